/* xray/stream.c - QEMU's migration stream (its docs/devel/migration.rst, migration/savevm.c).
 *
 * All numbers are big-endian:
 *
 *     "QEVM", version 3
 *     07 configuration   length, the machine's type; subsections
 *     01 start, 02 part, 03 end    of a device that comes in pieces; of those, RAM alone is read
 *     04 full            section number, name, instance, version, the device's state
 *     7e footer          section number again, after each section
 *     08 command         number, length, bytes
 *     00 end of file
 *     06 description     length, JSON
 *
 * A full section does not say how long it is: the description does, and it stands behind all of
 * them. So the description is found first, from the end: JSON has no NUL, and the length before it
 * begins with one, since it is under IREKO_STREAM_DESC_MAX. */
#include "xray/stream.h"

#include <stdlib.h>
#include <string.h>

#include <ireko/text.h>

#include "xray/stream-parts.h"

#define MAGIC         0x5145564du /* "QEVM" */
#define VERSION       3
#define DESC_MAX      ((size_t)4 << 20) /* bytes; that of a PC is some 100 KiB */
#define DEVICES_MAX   16384
#define SECTIONS_MAX  65536
#define MACHINE_MAX   256
#define PAGE_BYTES    4096
#define PAGE_MAX      65536
#define IGNORE_SHARED "x-ignore-shared"
#define CPU           "cpu"
#define CPU_COMMON    "cpu_common" /* whether it is halted */

/* What is known while the stream is read. */
typedef struct {
    IrekoStreamCursor cursor;
    json_t *description;
    GHashTable *devices; /* "name/instance": their descriptions, borrowed */
    uint64_t page_bytes;
    bool ignore_shared;
    uint64_t ram_section; /* its number; 0: none yet */
    IrekoStream *stream;
} Reading;

bool
ireko_stream_damaged(GError **error, const char *what)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "the state stream is damaged: %s", what);
    return false;
}

/* ---- the description ---- */

/* Where the description begins; 0 where there is none. */
static size_t
find_description(const uint8_t *data, size_t len)
{
    const uint8_t *last = memrchr(data, 0, len);
    size_t nul = last != NULL ? (size_t)(last - data) : 0;
    for (size_t mark = nul > 4 ? nul - 4 : 1; mark < nul; mark++) {
        IrekoStreamCursor cursor = {.at = data + mark, .left = len - mark};
        if (data[mark - 1] == IREKO_STREAM_EOF &&
            ireko_stream_take(&cursor, 1) == IREKO_STREAM_DESCRIPTION &&
            ireko_stream_take(&cursor, 4) == cursor.left && !cursor.is_short && cursor.left > 0)
            return (size_t)(cursor.at - data);
    }
    return 0;
}

static bool
index_devices(Reading *reading, GError **error)
{
    const json_t *devices = json_object_get(reading->description, "devices");
    if (json_array_size(devices) == 0 || json_array_size(devices) > DEVICES_MAX)
        return ireko_stream_damaged(error, "its description has no devices, or too many");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        const char *name = json_string_value(json_object_get(device, "name"));
        json_int_t instance = json_integer_value(json_object_get(device, "instance_id"));
        if (name == NULL)
            return ireko_stream_damaged(error, "its description has a device without a name");
        char *key = g_strdup_printf("%s/%" G_GUINT32_FORMAT, name, (uint32_t)instance);
        if (!g_hash_table_insert(reading->devices, key, json_array_get(devices, i)))
            return ireko_stream_damaged(error, "its description has a device twice");
    }
    return true;
}

json_t *
ireko_stream_description(const uint8_t *data, size_t len, size_t *ret_at, GError **error)
{
    size_t at = find_description(data, len);
    if (at == 0 || len - at > DESC_MAX) {
        g_set_error(error, IREKO_ERROR, at == 0 ? IREKO_ERROR_UNSUPPORTED : IREKO_ERROR_TOO_LARGE,
                    at == 0
                        ? "the state stream has no description at its end: it is cut off, or of "
                          "a machine whose QEMU leaves it out"
                        : "the state stream's description has more than 4 MiB");
        return NULL;
    }
    json_error_t why;
    json_t *description =
        json_loadb((const char *)data + at, len - at, JSON_REJECT_DUPLICATES, &why);
    if (description == NULL)
        (void)ireko_stream_damaged(error, "its description is no JSON");
    *ret_at = at - 5; /* mark and length */
    return description;
}

static bool
read_description(Reading *reading, const uint8_t *data, size_t len, GError **error)
{
    size_t end = 0;
    reading->description = ireko_stream_description(data, len, &end, error);
    if (reading->description == NULL)
        return false;
    json_int_t page = json_integer_value(json_object_get(reading->description, "page_size"));
    reading->page_bytes = page > 0 ? (uint64_t)page : PAGE_BYTES;
    if (reading->page_bytes < PAGE_BYTES || reading->page_bytes > PAGE_MAX ||
        (reading->page_bytes & (reading->page_bytes - 1)) != 0)
        return ireko_stream_damaged(error, "its pages have no size that pages have");
    reading->cursor = (IrekoStreamCursor){.at = data, .left = end};
    return index_devices(reading, error);
}

/* ---- the configuration ---- */

/* The capabilities that the migration was done with: a count, then names. */
static void
read_capabilities(Reading *reading)
{
    uint64_t count = ireko_stream_take(&reading->cursor, 4);
    for (uint64_t i = 0; i < count && !reading->cursor.is_short; i++) {
        char name[IREKO_STREAM_NAME_MAX + 1];
        ireko_stream_take_name(&reading->cursor, name);
        if (strcmp(name, IGNORE_SHARED) == 0)
            reading->ignore_shared = true;
    }
}

/* Its subsections are described from QEMU 8.2 on; those of before are these. */
static bool
read_configuration(Reading *reading, GError **error)
{
    IrekoStreamCursor *cursor = &reading->cursor;
    uint64_t len = ireko_stream_take(cursor, 4);
    const uint8_t *name = len <= MACHINE_MAX ? ireko_stream_skip(cursor, len) : NULL;
    if (name == NULL)
        return ireko_stream_damaged(error, "its configuration");
    g_free(reading->stream->machine);
    reading->stream->machine = ireko_text_safe((const char *)name, len);
    while (cursor->left > 0 && *cursor->at == IREKO_STREAM_SUBSECTION) {
        char subsection[IREKO_STREAM_NAME_MAX + 1];
        ireko_stream_take(cursor, 1);
        ireko_stream_take_name(cursor, subsection);
        ireko_stream_take(cursor, 4);
        if (strcmp(subsection, "configuration/capabilities") == 0)
            read_capabilities(reading);
        else if (strcmp(subsection, "configuration/target-page-bits") == 0)
            ireko_stream_take(cursor, 4);
        else if (strcmp(subsection, "configuration/uuid") == 0)
            ireko_stream_skip(cursor, 16);
        else
            return ireko_stream_damaged(error, "an unknown part of its configuration");
    }
    return true;
}

/* ---- sections ---- */

static IrekoVcpu *
vcpu_numbered(GArray *vcpus, uint32_t number)
{
    for (guint i = 0; i < vcpus->len; i++) {
        if (g_array_index(vcpus, IrekoVcpu, i).number == number)
            return &g_array_index(vcpus, IrekoVcpu, i);
    }
    IrekoVcpu vcpu = {.number = number};
    g_array_append_val(vcpus, vcpu);
    return &g_array_index(vcpus, IrekoVcpu, vcpus->len - 1);
}

bool
ireko_stream_is_vcpu(const char *name)
{
    return g_strcmp0(name, CPU) == 0 || g_strcmp0(name, CPU_COMMON) == 0;
}

bool
ireko_stream_add(IrekoStream *stream,
                 const char *name,
                 uint32_t instance,
                 const IrekoStreamPiece *piece,
                 GError **error)
{
    if (!ireko_stream_is_vcpu(name))
        return true;
    IrekoVcpu *vcpu = vcpu_numbered(stream->vcpus, instance);
    if (stream->vcpus->len > IREKO_STREAM_VCPUS_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "the state stream has more than %d vCPUs", IREKO_STREAM_VCPUS_MAX);
        return false;
    }
    if (strcmp(name, CPU) == 0)
        return ireko_stream_read_vcpu(piece, vcpu, stream->images, error);
    uint64_t halted = 0;
    vcpu->halted = ireko_stream_number(piece, "halted", 0, &halted) && halted != 0;
    return true;
}

static bool
read_device(Reading *reading, const char *name, uint32_t instance, uint32_t version, GError **error)
{
    g_autofree char *key = g_strdup_printf("%s/%" G_GUINT32_FORMAT, name, instance);
    const json_t *desc = g_hash_table_lookup(reading->devices, key);
    uint64_t bytes = 0;
    const uint8_t *at = NULL;
    bool other = ireko_stream_is_vcpu(name) &&
                 json_integer_value(json_object_get(desc, "version")) != version;
    if (desc != NULL && !other && ireko_stream_span(desc, &bytes))
        at = ireko_stream_skip(&reading->cursor, bytes);
    if (at == NULL)
        return ireko_stream_damaged(error, "a device is not as its description says");
    const IrekoStreamPiece piece = {desc, at, (size_t)bytes};
    return ireko_stream_add(reading->stream, name, instance, &piece, error);
}

static bool
read_section(Reading *reading, unsigned mark, GError **error)
{
    IrekoStreamCursor *cursor = &reading->cursor;
    uint64_t number = ireko_stream_take(cursor, 4);
    if (mark == IREKO_STREAM_FULL || mark == IREKO_STREAM_START) {
        char name[IREKO_STREAM_NAME_MAX + 1];
        ireko_stream_take_name(cursor, name);
        uint32_t instance = (uint32_t)ireko_stream_take(cursor, 4);
        uint32_t version = (uint32_t)ireko_stream_take(cursor, 4);
        if (mark == IREKO_STREAM_FULL)
            return read_device(reading, name, instance, version, error);
        if (strcmp(name, "ram") == 0)
            reading->ram_section = number;
    }
    if (number == 0 || number != reading->ram_section) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "the state stream has a device in pieces that is not memory");
        return false;
    }
    return ireko_stream_read_ram(cursor, reading->ignore_shared, reading->page_bytes,
                                 reading->stream->blocks, error);
}

static bool
read_part(Reading *reading, unsigned mark, GError **error)
{
    IrekoStreamCursor *cursor = &reading->cursor;
    switch (mark) {
    case IREKO_STREAM_CONFIGURATION:
        return read_configuration(reading, error);
    case IREKO_STREAM_START:
    case IREKO_STREAM_PART:
    case IREKO_STREAM_END:
    case IREKO_STREAM_FULL:
        return read_section(reading, mark, error);
    case IREKO_STREAM_FOOTER:
        ireko_stream_take(cursor, 4);
        return true;
    case IREKO_STREAM_COMMAND:
        ireko_stream_take(cursor, 2);
        ireko_stream_skip(cursor, ireko_stream_take(cursor, 2));
        return true;
    default:
        return ireko_stream_damaged(error, "an unknown kind of section");
    }
}

bool
ireko_stream_begin(IrekoStreamCursor *cursor, GError **error)
{
    uint64_t magic = ireko_stream_take(cursor, 4), version = ireko_stream_take(cursor, 4);
    if (magic != MAGIC || version != VERSION) {
        g_set_error(
            error, IREKO_ERROR, magic != MAGIC ? IREKO_ERROR_SYNTAX : IREKO_ERROR_UNSUPPORTED,
            magic != MAGIC ? "this is no state stream of QEMU's: it does not begin with 'QEVM'"
                           : "the state stream is not of version 3");
        return false;
    }
    return true;
}

static bool
read_parts(Reading *reading, GError **error)
{
    IrekoStreamCursor *cursor = &reading->cursor;
    if (!ireko_stream_begin(cursor, error))
        return false;
    for (unsigned i = 0; i < SECTIONS_MAX; i++) {
        unsigned mark = (unsigned)ireko_stream_take(cursor, 1);
        if (cursor->is_short || mark == IREKO_STREAM_EOF)
            break;
        if (!read_part(reading, mark, error))
            return false;
    }
    if (cursor->is_short || cursor->left > 0)
        return ireko_stream_damaged(error, "it does not end where its description begins");
    return true;
}

static int
compare_vcpus(const void *a, const void *b)
{
    const IrekoVcpu *left = a, *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

static void
clear_block(gpointer data)
{
    IrekoStreamBlock *block = data;
    g_free(block->name);
}

IrekoStream *
ireko_stream_new(void)
{
    IrekoStream *stream = g_new0(IrekoStream, 1);
    stream->machine = g_strdup("");
    stream->vcpus = g_array_new(FALSE, FALSE, sizeof(IrekoVcpu));
    stream->blocks = g_array_new(FALSE, FALSE, sizeof(IrekoStreamBlock));
    g_array_set_clear_func(stream->blocks, clear_block);
    stream->images = g_ptr_array_new_with_free_func(g_free);
    return stream;
}

void
ireko_stream_forget_vcpus(IrekoStream *stream)
{
    g_array_set_size(stream->vcpus, 0);
    g_ptr_array_set_size(stream->images, 0);
}

void
ireko_stream_sort(IrekoStream *stream)
{
    g_array_sort(stream->vcpus, compare_vcpus);
}

IrekoStream *
ireko_stream_read(const void *data, size_t len, GError **error)
{
    g_autoptr(IrekoStream) stream = ireko_stream_new();
    g_autoptr(GHashTable) devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Reading reading = {.devices = devices, .stream = stream};
    bool is_stream = len >= 4 && memcmp(data, "QEVM", 4) == 0;
    bool done = is_stream ? read_description(&reading, data, len, error) : true;
    if (!is_stream)
        reading.cursor = (IrekoStreamCursor){.at = data, .left = len};
    done = done && read_parts(&reading, error);
    json_decref(reading.description);
    if (!done)
        return NULL;
    ireko_stream_sort(stream);
    return g_steal_pointer(&stream);
}

void
ireko_stream_free(IrekoStream *stream)
{
    if (stream == NULL)
        return;
    g_free(stream->machine);
    g_array_unref(stream->vcpus);
    g_array_unref(stream->blocks);
    g_ptr_array_unref(stream->images);
    g_free(stream);
}

const char *
ireko_stream_machine(const IrekoStream *stream)
{
    return stream->machine;
}

size_t
ireko_stream_vcpus(const IrekoStream *stream)
{
    return stream->vcpus->len;
}

const IrekoVcpu *
ireko_stream_vcpu(const IrekoStream *stream, size_t index)
{
    return &g_array_index(stream->vcpus, IrekoVcpu, index);
}

size_t
ireko_stream_blocks(const IrekoStream *stream)
{
    return stream->blocks->len;
}

const IrekoStreamBlock *
ireko_stream_block(const IrekoStream *stream, size_t index)
{
    return &g_array_index(stream->blocks, IrekoStreamBlock, index);
}

uint64_t
ireko_stream_block_bytes(const IrekoStream *stream, const char *name)
{
    for (guint i = 0; i < stream->blocks->len; i++) {
        const IrekoStreamBlock *block = ireko_stream_block(stream, i);
        if (strcmp(block->name, name) == 0)
            return block->bytes;
    }
    return 0;
}
