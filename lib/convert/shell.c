/* convert/shell.c - no name from a file is ever read by the shell: a word is plain, or it stands in
 * single quotes. */
#include "convert/shell.h"

#include <stdarg.h>
#include <string.h>

#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"

char *
ireko_shell_word(const char *word)
{
    size_t len = strlen(word);
    return len > 0 && strspn(word, PLAIN) == len ? g_strdup(word) : g_shell_quote(word);
}

void
ireko_shell_option(GString *out, const char *option, ...)
{
    g_string_append_printf(out, " \\\n    %s", option);
    va_list values;
    va_start(values, option);
    for (;;) {
        const char *value = va_arg(values, const char *);
        if (value == NULL)
            break;
        g_autofree char *word = ireko_shell_word(value);
        g_string_append_printf(out, " %s", word);
    }
    va_end(values);
}

void
ireko_shell_unless(GString *out, const char *file)
{
    g_autofree char *word = ireko_shell_word(file);
    g_string_append_printf(out, "[ -e %s ] || ", word);
}
