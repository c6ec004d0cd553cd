/* base/json.c - fields taken out of a JSON object that a stranger wrote. */
#include "base/json.h"

#include <string.h>

#include <ireko/error.h>

#include "base/text.h"

IrekoJsonReader
ireko_json_reader(const json_t *object, const char *what)
{
    IrekoJsonReader reader = {.object = object, .what = what};
    if (!json_is_object(object))
        g_set_error(&reader.error, IREKO_ERROR, IREKO_ERROR_REMOTE, "%s: not an object", what);
    return reader;
}

bool
ireko_json_reader_end(IrekoJsonReader *reader, GError **error)
{
    if (reader->error == NULL)
        return true;
    g_propagate_error(error, g_steal_pointer(&reader->error));
    return false;
}

void
ireko_json_reader_fail(IrekoJsonReader *reader, const char *key, const char *expected)
{
    if (reader->error == NULL)
        g_set_error(&reader->error, IREKO_ERROR, IREKO_ERROR_REMOTE, "%s: field '%s' is not %s",
                    reader->what, key, expected);
}

/* The field KEY, or NULL where it is null, absent, or a field before it was wrong. */
static const json_t *
field(const IrekoJsonReader *reader, const char *key)
{
    if (reader->error != NULL)
        return NULL;
    const json_t *value = json_object_get(reader->object, key);
    return json_is_null(value) ? NULL : value;
}

/* VALUE as a text that is safe to print and of at most MAX bytes as such, so that it can be passed
 * on to a reader with the same limit; NULL where it is none. Free with g_free. */
static char *
safe_text(const json_t *value, size_t max)
{
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len > max)
        return NULL;
    g_autofree char *safe = ireko_text_safe(json_string_value(value), len);
    return strlen(safe) <= max ? g_steal_pointer(&safe) : NULL;
}

char *
ireko_json_lines_or_null(IrekoJsonReader *reader, const char *key, size_t max)
{
    const json_t *value = field(reader, key);
    if (value == NULL)
        return NULL;
    char *text = safe_text(value, max);
    if (text == NULL) {
        g_autofree char *expected = g_strdup_printf("a text of at most %zu bytes", max);
        ireko_json_reader_fail(reader, key, expected);
    }
    return text;
}

char *
ireko_json_text_or_null(IrekoJsonReader *reader, const char *key, size_t max)
{
    char *text = ireko_json_lines_or_null(reader, key, max);
    return text == NULL ? NULL : g_strdelimit(text, "\n\t", ' ');
}

char *
ireko_json_text(IrekoJsonReader *reader, const char *key, size_t max)
{
    char *text = ireko_json_text_or_null(reader, key, max);
    if (text == NULL)
        ireko_json_reader_fail(reader, key, "there");
    return text;
}

bool
ireko_json_bool(IrekoJsonReader *reader, const char *key)
{
    const json_t *value = field(reader, key);
    if (!json_is_boolean(value))
        ireko_json_reader_fail(reader, key, "true or false");
    return json_is_true(value);
}

int64_t
ireko_json_count_or_null(IrekoJsonReader *reader, const char *key, int64_t max)
{
    const json_t *value = field(reader, key);
    if (value == NULL)
        return -1;
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number >= 0 && number <= max)
        return number;
    g_autofree char *expected =
        g_strdup_printf("a whole number of 0 to %" G_GINT64_FORMAT, (gint64)max);
    ireko_json_reader_fail(reader, key, expected);
    return -1;
}

uint64_t
ireko_json_count(IrekoJsonReader *reader, const char *key, uint64_t max)
{
    int64_t number = ireko_json_count_or_null(reader, key, (int64_t)MIN(max, (uint64_t)INT64_MAX));
    if (number >= 0)
        return (uint64_t)number;
    ireko_json_reader_fail(reader, key, "there");
    return 0;
}

const json_t *
ireko_json_list(IrekoJsonReader *reader, const char *key, size_t max)
{
    const json_t *value = field(reader, key);
    if (value == NULL || (json_is_array(value) && json_array_size(value) <= max))
        return value;
    g_autofree char *expected = g_strdup_printf("a list of at most %zu elements", max);
    ireko_json_reader_fail(reader, key, expected);
    return NULL;
}

const json_t *
ireko_json_object(IrekoJsonReader *reader, const char *key)
{
    const json_t *value = field(reader, key);
    if (json_is_object(value))
        return value;
    ireko_json_reader_fail(reader, key, "an object");
    return NULL;
}

GPtrArray *
ireko_json_texts(IrekoJsonReader *reader, const char *key, size_t max, size_t text_max)
{
    GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
    const json_t *list = ireko_json_list(reader, key, max);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char *text = safe_text(json_array_get(list, i), text_max);
        if (text == NULL) {
            ireko_json_reader_fail(reader, key, "a list of short texts");
            break;
        }
        g_ptr_array_add(texts, g_strdelimit(text, "\n\t", ' '));
    }
    return texts;
}

json_t *
ireko_json_clipped(const char *text, size_t max)
{
    if (text == NULL)
        return json_null();
    g_autofree char *safe = ireko_text_safe(text, (size_t)-1);
    if (strlen(safe) > max) {
        char *cut = safe + max;
        while (cut > safe && ((unsigned char)*cut & 0xc0) == 0x80)
            cut--; /* not inside a character */
        *cut = '\0';
    }
    return json_string(safe);
}

static bool
is_word(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name[strspn(name, letters)] == '\0';
}

static json_t *
safe_list(const json_t *list, unsigned depth_max)
{
    json_t *copy = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_array_append_new(copy, ireko_json_safe(json_array_get(list, i), depth_max)) == 0)
            continue;
        json_decref(copy);
        return NULL;
    }
    return copy;
}

static json_t *
safe_object(const json_t *object, unsigned depth_max)
{
    json_t *copy = json_object();
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!is_word(name) ||
            json_object_set_new(copy, name, ireko_json_safe(value, depth_max)) == 0)
            continue;
        json_decref(copy);
        return NULL;
    }
    return copy;
}

json_t *
ireko_json_safe(const json_t *value, unsigned depth_max)
{
    if (json_is_array(value) || json_is_object(value)) {
        if (depth_max == 0)
            return NULL;
        return json_is_array(value) ? safe_list(value, depth_max - 1)
                                    : safe_object(value, depth_max - 1);
    }
    if (!json_is_string(value))
        return json_deep_copy(value);
    g_autofree char *safe = ireko_text_safe(json_string_value(value), json_string_length(value));
    return json_string(g_strdelimit(safe, "\n\t", ' '));
}
