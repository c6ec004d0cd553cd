/* xray/stream-devices.c - the devices of a machine alone, without memory or a description.
 *
 * QEMU writes that, too (xen-save-devices-state, migration/savevm.c): after magic and version come
 * full sections and an end. It takes a millisecond where a stream with all of a machine's own
 * memory takes seconds. How long a section is, nothing in it says. The description of a stream of
 * the same machine from another moment does, but for two things: QEMU writes a subsection only
 * where there is something to say at the time, and some devices keep buffers. So the sections are
 * not counted off; those of vCPUs are looked for by their headers,
 *
 *     04, the section's number, "cpu", instance, version
 *
 * their fields are read by the description, and their subsections, which say their names, as far as
 * it knows them. A section has to end in its footer.
 *
 * A guest can have a device keep such a header for it: in a packet that waits to be sent, or in its
 * own registers. Then the header is there twice, which one is real cannot be told, and neither is
 * read. */
#include <string.h>

#include "xray/stream-parts.h"

#define NUMBER_BYTES 4
#define UNKNOWN_MAX  ((size_t)64 << 10) /* bytes of subsections that the description knows not */
#define HEADER_MAX   (1 + IREKO_STREAM_NAME_MAX + 8)
#define NESTED       "nested_state" /* in all names of that */
#define ANOTHER_TIME                                                                               \
    "a virtual CPU says what it did not say when the machine that it began as was saved, and "     \
    "nothing tells how to read that: --no-pause does without"

static void
append(GByteArray *bytes, uint64_t value, unsigned count)
{
    for (unsigned i = count; i-- > 0;) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        g_byte_array_append(bytes, &byte, 1);
    }
}

/* What the header of the device DESC has behind the section's number. */
static GByteArray *
header_of(const json_t *desc, const char *name)
{
    GByteArray *header = g_byte_array_sized_new(HEADER_MAX);
    append(header, strlen(name), 1);
    g_byte_array_append(header, (const uint8_t *)name, (guint)strlen(name));
    append(header, (uint64_t)json_integer_value(json_object_get(desc, "instance_id")), 4);
    append(header, (uint64_t)json_integer_value(json_object_get(desc, "version")), 4);
    return header;
}

/* The one place of HEADER, with the mark and a number before it; sets CURSOR behind it. */
static bool
find_section(const uint8_t *data,
             size_t len,
             const GByteArray *header,
             IrekoStreamCursor *cursor,
             uint64_t *ret_number,
             GError **error)
{
    const uint8_t *found = NULL, *end = data + len;
    for (const uint8_t *at = data + 1 + NUMBER_BYTES;
         at < end && (at = memmem(at, (size_t)(end - at), header->data, header->len)) != NULL;
         at++) {
        if (at[-1 - NUMBER_BYTES] != IREKO_STREAM_FULL)
            continue;
        if (found != NULL)
            return ireko_stream_damaged(error, "a virtual CPU's section is there twice, as a guest "
                                               "can have it");
        found = at;
    }
    if (found == NULL)
        return ireko_stream_damaged(error, "a virtual CPU's section is missing");
    IrekoStreamCursor number = {.at = found - NUMBER_BYTES, .left = NUMBER_BYTES};
    *ret_number = ireko_stream_take(&number, NUMBER_BYTES);
    *cursor =
        (IrekoStreamCursor){.at = found + header->len, .left = (size_t)(end - found) - header->len};
    return true;
}

/* Of DESC the subsection NAME; NULL. */
static json_t *
subsection_of(const json_t *desc, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(desc, "subsections"), i, one)
    {
        if (g_strcmp0(json_string_value(json_object_get(one, "vmsd_name")), name) == 0)
            return one;
    }
    return NULL;
}

/* DESC as it is now: with those of its subsections that are there, of a section that begins at
 * CURSOR, which is moved behind what is known. A new reference; NULL where that is too short. */
static json_t *
describe_now(const json_t *desc, IrekoStreamCursor *cursor)
{
    json_t *now = json_pack("{s:O,s:[]}", "fields", json_object_get(desc, "fields"), "subsections");
    uint64_t bytes = 0;
    bool fits =
        now != NULL && ireko_stream_span(now, &bytes) && ireko_stream_skip(cursor, bytes) != NULL;
    while (fits && cursor->left > 0 && *cursor->at == IREKO_STREAM_SUBSECTION) {
        IrekoStreamCursor ahead = *cursor;
        char name[IREKO_STREAM_NAME_MAX + 1];
        ireko_stream_take(&ahead, 1);
        ireko_stream_take_name(&ahead, name);
        ireko_stream_take(&ahead, 4);
        json_t *known = subsection_of(desc, name);
        if (known == NULL)
            return now;
        fits = ireko_stream_span(known, &bytes) && ireko_stream_skip(&ahead, bytes) != NULL;
        (void)json_array_append(json_object_get(now, "subsections"), known);
        *cursor = ahead;
    }
    if (!fits)
        g_clear_pointer(&now, json_decref);
    return now;
}

/* Whether the section NUMBER ends at CURSOR, or behind subsections that nobody described. What KVM
 * says of a guest that runs may not be among those: by that it is known whose the registers are. */
static bool
ends(const IrekoStreamCursor *cursor, uint64_t number)
{
    const uint8_t footer[] = {IREKO_STREAM_FOOTER, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                              (uint8_t)(number >> 8), (uint8_t)number};
    size_t left = MIN(cursor->left, UNKNOWN_MAX);
    const uint8_t *end = memmem(cursor->at, left, footer, sizeof footer);
    if (end == cursor->at)
        return true;
    return end != NULL && *cursor->at == IREKO_STREAM_SUBSECTION &&
           memmem(cursor->at, (size_t)(end - cursor->at), NESTED, strlen(NESTED)) == NULL;
}

static bool
read_vcpu(IrekoStream *stream,
          const json_t *desc,
          const char *name,
          const uint8_t *data,
          size_t len,
          GError **error)
{
    g_autoptr(GByteArray) header = header_of(desc, name);
    IrekoStreamCursor cursor;
    uint64_t number = 0;
    if (!find_section(data, len, header, &cursor, &number, error))
        return false;
    const uint8_t *at = cursor.at;
    json_t *now = describe_now(desc, &cursor);
    uint32_t instance = (uint32_t)json_integer_value(json_object_get(desc, "instance_id"));
    bool added = false;
    if (now == NULL || !ends(&cursor, number)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE, ANOTHER_TIME);
    } else {
        const IrekoStreamPiece piece = {now, at, (size_t)(cursor.at - at)};
        added = ireko_stream_add(stream, name, instance, &piece, error);
    }
    json_decref(now);
    return added;
}

IrekoStream *
ireko_stream_read_devices(
    const void *data, size_t len, const void *described, size_t described_len, GError **error)
{
    g_autoptr(IrekoStream) stream = ireko_stream_read(described, described_len, error);
    size_t end = 0;
    json_t *description =
        stream != NULL ? ireko_stream_description(described, described_len, &end, error) : NULL;
    bool done = description != NULL;
    IrekoStreamCursor parts = {.at = data, .left = len};
    done = done && ireko_stream_begin(&parts, error);
    if (done)
        ireko_stream_forget_vcpus(stream);
    size_t i;
    const json_t *desc;
    json_array_foreach(json_object_get(description, "devices"), i, desc)
    {
        const char *name = json_string_value(json_object_get(desc, "name"));
        if (done && ireko_stream_is_vcpu(name))
            done = read_vcpu(stream, desc, name, parts.at, parts.left, error);
    }
    json_decref(description);
    if (!done)
        return NULL;
    ireko_stream_sort(stream);
    return g_steal_pointer(&stream);
}
