/* vmx/value.h - from the bytes of a value to text. Private to vmx. */
#pragma once

#include <stddef.h>

/* The name by which iconv knows the encoding that .encoding calls NAME; NULL for UTF-8 and for
 * names that are not in the list. */
const char *
ireko_vmx_charset(const char *name);

/* The value RAW as UTF-8: escapes undone, cut at a NUL, converted from CHARSET (NULL: UTF-8); what
 * cannot be converted becomes U+FFFD. Free with g_free. */
char *
ireko_vmx_decode(const char *raw, size_t raw_len, const char *charset);
