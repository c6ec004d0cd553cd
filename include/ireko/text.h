/* ireko/text.h - text made safe to print, and the difference between two texts. */
#pragma once

#include <glib.h>
#include <stddef.h>

G_BEGIN_DECLS

/* LEN bytes made safe for a terminal: valid UTF-8 stays; control bytes (C0 but tab and newline,
 * DEL, C1) and invalid bytes become \xHH. LEN of (size_t)-1 reads up to the NUL. Free with g_free.
 */
char *
ireko_text_safe(const char *text, size_t len);

#define IREKO_TEXT_NEAR_MAX 64 /* bytes; what is longer is no typing error */

/* The edit distance of A and B without regard to case, each of at most IREKO_TEXT_NEAR_MAX bytes;
 * where neighbours have changed places that counts once. Of LIMIT and more, LIMIT. */
unsigned
ireko_text_distance(const char *a, const char *b, unsigned limit);

/* What makes AFTER of BEFORE, both of them of the file NAME: a unified diff that patch(1) applies,
 * whatever bytes they hold; empty where they are the same. It need not be the shortest there is.
 * Stores its length, since it may hold a NUL, in RET_LEN; free with g_free. */
char *
ireko_text_diff(const char *name, GBytes *before, GBytes *after, size_t *ret_len);

G_END_DECLS
