/* lab/tail.h - the last lines of a console, kept while its machine comes up. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct IrekoTail IrekoTail;

/* Reads FD, which it owns from here (-1: nothing to read), on a thread of its own. */
IrekoTail *
ireko_tail_start(int fd);

/* Ends it. Returns the last lines, safe to print, or NULL where there were none; free with g_free.
 */
char *
ireko_tail_stop(IrekoTail *tail);

G_END_DECLS
