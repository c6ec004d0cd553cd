/* base/json.h - fields taken out of a JSON object that a stranger wrote.
 *
 * A reader remembers the first thing that was wrong, so that a codec takes all its fields in a row
 * and asks once. What is taken after that is empty. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const json_t *object;
    const char *what; /* names the object in messages: "facts", "check" */
    GError *error;    /* the first failure, or NULL */
} IrekoJsonReader;

/* Reads OBJECT, which may be anything. Free with ireko_json_reader_end. */
IrekoJsonReader
ireko_json_reader(const json_t *object, const char *what);

/* Whether all was right; else moves the failure, IREKO_ERROR_REMOTE, to ERROR. */
bool
ireko_json_reader_end(IrekoJsonReader *reader, GError **error);

/* Notes FAILURE, an expectation such as "a word", for the field KEY, unless one failed before. */
void
ireko_json_reader_fail(IrekoJsonReader *reader, const char *key, const char *expected);

/* A text of at most MAX bytes once it is made safe to print on one line; NULL only after a failure.
 */
char *
ireko_json_text(IrekoJsonReader *reader, const char *key, size_t max);

/* The same, or NULL where the field is null or absent. */
char *
ireko_json_text_or_null(IrekoJsonReader *reader, const char *key, size_t max);

/* A text whose newlines and tabs stay; or NULL where the field is null or absent. */
char *
ireko_json_lines_or_null(IrekoJsonReader *reader, const char *key, size_t max);

bool
ireko_json_bool(IrekoJsonReader *reader, const char *key);

/* A whole number of 0 to MAX. */
uint64_t
ireko_json_count(IrekoJsonReader *reader, const char *key, uint64_t max);

/* The same, or -1 where the field is null or absent. MAX is at most INT64_MAX. */
int64_t
ireko_json_count_or_null(IrekoJsonReader *reader, const char *key, int64_t max);

/* A list of at most MAX elements; an empty one may be absent. NULL after a failure or for none:
 * json_array_size(NULL) is 0. */
const json_t *
ireko_json_list(IrekoJsonReader *reader, const char *key, size_t max);

/* An object; NULL after a failure. */
const json_t *
ireko_json_object(IrekoJsonReader *reader, const char *key);

/* A list of at most MAX texts of at most TEXT_MAX bytes: char *, free with g_ptr_array_unref. Never
 * NULL. */
GPtrArray *
ireko_json_texts(IrekoJsonReader *reader, const char *key, size_t max, size_t text_max);

/* TEXT as a JSON string of at most MAX bytes that is safe to print, cut where it is longer; null
 * for NULL. So what this side writes is never what the other side refuses. */
json_t *
ireko_json_clipped(const char *text, size_t max);

/* A copy of VALUE, whatever it is, with each text in it safe to print on one line, and without the
 * fields whose names are no words. NULL where it is nested deeper than DEPTH_MAX. A new reference.
 */
json_t *
ireko_json_safe(const json_t *value, unsigned depth_max);
