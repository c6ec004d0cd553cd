/* xray/stream-fields.c - a piece of a state stream taken apart by its description.
 *
 * The description (QEMU's migration/vmstate.c writes it) lists a device's fields in the order of
 * the stream, each with "name", "type" and "size", the bytes of one element. Elements of an array
 * that all look alike are described once, with "array_len"; else each is described, with "index".
 * A structure describes its own fields in "struct". "subsections" follow the fields, in the
 * description as in the stream, where each begins with 05h, the length of its name, its name and
 * its version. So the place of a field is a sum of sizes, and nothing needs to be known of a field
 * that is passed over. */
#include <string.h>

#include "xray/stream-parts.h"

#define DEPTH_MAX     8 /* of subsections within subsections */
#define VERSION_BYTES 4

uint64_t
ireko_stream_take(IrekoStreamCursor *cursor, unsigned bytes)
{
    const uint8_t *at = ireko_stream_skip(cursor, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; at != NULL && i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

const uint8_t *
ireko_stream_skip(IrekoStreamCursor *cursor, uint64_t bytes)
{
    if (cursor->is_short || bytes > cursor->left) {
        cursor->is_short = true;
        return NULL;
    }
    const uint8_t *at = cursor->at;
    cursor->at += bytes;
    cursor->left -= (size_t)bytes;
    return at;
}

void
ireko_stream_take_name(IrekoStreamCursor *cursor, char ret_name[IREKO_STREAM_NAME_MAX + 1])
{
    size_t len = (size_t)ireko_stream_take(cursor, 1);
    const uint8_t *at = ireko_stream_skip(cursor, len);
    memset(ret_name, 0, IREKO_STREAM_NAME_MAX + 1);
    if (at != NULL)
        memcpy(ret_name, at, len);
}

static const char *
name_of(const json_t *desc, const char *key)
{
    const char *name = json_string_value(json_object_get(desc, key));
    return name != NULL && strlen(name) <= IREKO_STREAM_NAME_MAX ? name : NULL;
}

/* Elements that the description of a field stands for. */
static uint64_t
elements(const json_t *field)
{
    json_int_t count = json_integer_value(json_object_get(field, "array_len"));
    return count > 0 ? (uint64_t)count : 1;
}

static bool
element_bytes(const json_t *field, uint64_t *ret_bytes)
{
    const json_t *size = json_object_get(field, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return false;
    *ret_bytes = (uint64_t)json_integer_value(size);
    return true;
}

static bool
fields_span(const json_t *desc, uint64_t *ret_bytes)
{
    const json_t *fields = json_object_get(desc, "fields");
    uint64_t sum = 0;
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        uint64_t bytes = 0;
        if (!element_bytes(field, &bytes) ||
            __builtin_mul_overflow(bytes, elements(field), &bytes) ||
            __builtin_add_overflow(sum, bytes, &sum))
            return false;
    }
    *ret_bytes = sum;
    return true;
}

static bool
span(const json_t *desc, unsigned depth, uint64_t *ret_bytes)
{
    uint64_t sum = 0;
    if (depth > DEPTH_MAX || !fields_span(desc, &sum))
        return false;
    const json_t *subsections = json_object_get(desc, "subsections");
    for (size_t i = 0; i < json_array_size(subsections); i++) {
        const json_t *subsection = json_array_get(subsections, i);
        const char *name = name_of(subsection, "vmsd_name");
        uint64_t bytes = 0;
        if (name == NULL || !span(subsection, depth + 1, &bytes) ||
            __builtin_add_overflow(sum, bytes, &sum) ||
            __builtin_add_overflow(sum, 2 + strlen(name) + VERSION_BYTES, &sum))
            return false;
    }
    *ret_bytes = sum;
    return true;
}

bool
ireko_stream_span(const json_t *desc, uint64_t *ret_bytes)
{
    return span(desc, 0, ret_bytes);
}

static bool
is_element(const json_t *field, const char *name, unsigned index)
{
    const json_t *only = json_object_get(field, "index");
    if (g_strcmp0(name_of(field, "name"), name) != 0)
        return false;
    return json_is_integer(only) ? json_integer_value(only) == (json_int_t)index
                                 : index < elements(field);
}

bool
ireko_stream_field(const IrekoStreamPiece *piece,
                   const char *name,
                   unsigned index,
                   IrekoStreamPiece *ret_field)
{
    const json_t *fields = json_object_get(piece->desc, "fields");
    IrekoStreamCursor cursor = {.at = piece->at, .left = piece->len};
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        uint64_t bytes = 0, all = 0;
        if (!element_bytes(field, &bytes) || __builtin_mul_overflow(bytes, elements(field), &all))
            return false;
        const uint8_t *at = ireko_stream_skip(&cursor, all);
        if (at == NULL)
            return false;
        if (!is_element(field, name, index))
            continue;
        bool is_alone = json_object_get(field, "index") != NULL;
        *ret_field = (IrekoStreamPiece){.desc = json_object_get(field, "struct"),
                                        .at = at + (is_alone ? 0 : bytes * index),
                                        .len = (size_t)bytes};
        return true;
    }
    return false;
}

bool
ireko_stream_subsection(const IrekoStreamPiece *piece,
                        const char *name,
                        IrekoStreamPiece *ret_subsection)
{
    const json_t *subsections = json_object_get(piece->desc, "subsections");
    uint64_t before = 0;
    if (!fields_span(piece->desc, &before))
        return false;
    IrekoStreamCursor cursor = {.at = piece->at, .left = piece->len};
    ireko_stream_skip(&cursor, before);
    for (size_t i = 0; i < json_array_size(subsections); i++) {
        const json_t *subsection = json_array_get(subsections, i);
        char said[IREKO_STREAM_NAME_MAX + 1];
        uint64_t bytes = 0;
        bool marked = ireko_stream_take(&cursor, 1) == IREKO_STREAM_SUBSECTION;
        ireko_stream_take_name(&cursor, said);
        ireko_stream_take(&cursor, VERSION_BYTES);
        const uint8_t *at =
            ireko_stream_span(subsection, &bytes) ? ireko_stream_skip(&cursor, bytes) : NULL;
        if (at == NULL || !marked || g_strcmp0(said, name_of(subsection, "vmsd_name")) != 0)
            return false;
        if (strcmp(said, name) == 0) {
            *ret_subsection = (IrekoStreamPiece){subsection, at, (size_t)bytes};
            return true;
        }
    }
    return false;
}

bool
ireko_stream_number(const IrekoStreamPiece *piece,
                    const char *name,
                    unsigned index,
                    uint64_t *ret_value)
{
    IrekoStreamPiece field;
    if (!ireko_stream_field(piece, name, index, &field) || field.len < 1 || field.len > 8)
        return false;
    IrekoStreamCursor cursor = {.at = field.at, .left = field.len};
    *ret_value = ireko_stream_take(&cursor, (unsigned)field.len);
    return true;
}
