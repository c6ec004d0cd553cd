/* base/text.h - numbers and sizes read and written, and names; what is safe to print is in
 * <ireko/text.h>. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ireko/text.h>

/* TEXT as an error repeats a wrong value: one safe line, cut where it is long. Free with g_free. */
char *
ireko_text_shown(const char *text);

/* Reads TRUE, yes, 1 or FALSE, no, 0, whatever their case; false where it is neither. */
bool
ireko_text_parse_bool(const char *text, bool *ret_value);

/* Reads a number in BASE, at most 16, from LEAST to MOST: digits and nothing else, in either case.
 * GLib's g_ascii_string_to_unsigned() is not used: it goes by errno after it has waited for
 * another thread that is in it for the first time, which may set errno, and then it refuses "7". */
bool
ireko_text_parse_unsigned(
    const char *text, unsigned base, uint64_t least, uint64_t most, uint64_t *ret_value);

/* The same for a decimal number that may have a sign. */
bool
ireko_text_parse_signed(const char *text, int64_t least, int64_t most, int64_t *ret_value);

/* Reads a size such as "64M", "8 GB", "512": a decimal number and an optional unit K, M, G, T (with
 * or without B or iB; always powers of 1024), bytes when there is none. */
bool
ireko_text_parse_size(const char *text, uint64_t *ret_bytes);

/* BYTES for people: "512 MiB", "1.5 GiB". Free with g_free. */
char *
ireko_text_size(uint64_t bytes);

/* LEN bytes of TEXT, which has as many, and a NUL behind them; free with g_free. Unlike g_strndup()
 * it looks at none of them, which is less code: it counts where a clone has to translate it
 * (docs/design/boot.md). */
char *
ireko_text_copy(const char *text, size_t len);

/* Whether NAME can be a path segment and a file name: 1 to 64 of [A-Za-z0-9._-], not starting with
 * a dot or a hyphen. */
bool
ireko_text_is_name(const char *name);

/* Whether PATH is one to MOST such names with a slash between them. */
bool
ireko_text_is_path(const char *path, unsigned most);
