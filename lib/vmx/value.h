/* vmx/value.h - from the bytes of a value to text, and back. Private to vmx. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* The name by which iconv knows the encoding that .encoding calls NAME; NULL for UTF-8 and for
 * names that are not in the list. */
const char *
ireko_vmx_charset(const char *name);

/* Whether NAME is UTF-8 or in the list. */
bool
ireko_vmx_knows_encoding(const char *name);

/* The value RAW as UTF-8: escapes undone, cut at a NUL, converted from CHARSET (NULL: UTF-8); what
 * cannot be converted becomes U+FFFD. Free with g_free. */
char *
ireko_vmx_decode(const char *raw, size_t raw_len, const char *charset);

/* The other way: VALUE (UTF-8) as it stands in a file, within quotes or without. Free with g_free.
 * NULL with IREKO_ERROR_UNSUPPORTED where CHARSET does not have it, IREKO_ERROR_SYNTAX where VALUE
 * is not UTF-8. */
char *
ireko_vmx_encode(const char *value, bool quoted, const char *charset, GError **error);
