/* lab/clone/merge.h - memory of this machine's guests that is the same. Private to lib/lab. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Has the kernel keep pages of guests that hold the same as one; returns when it has looked at all
 * of them, or after 20 s. Where it cannot, nothing happens. */
void
ireko_merge_pages(void);

G_END_DECLS
