/* convert/shell.h - commands for a POSIX shell that hold any word. Private to convert. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* WORD, quoted where the shell would read anything into it. Free with g_free. */
char *
ireko_shell_word(const char *word);

/* Adds a line to the command that ends OUT: OPTION, which is plain, and its values, quoted, up to
 * NULL. */
void
ireko_shell_option(GString *out, const char *option, ...) G_GNUC_NULL_TERMINATED;

/* Adds "[ -e FILE ] || ", so that what is there is kept. */
void
ireko_shell_unless(GString *out, const char *file);

G_END_DECLS
