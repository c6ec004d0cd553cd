/* xray/stream-parts.h - between the files of the state-stream reader. */
#pragma once

#include <jansson.h>

#include "xray/stream.h"

#define IREKO_STREAM_NAME_MAX 255 /* a byte says how long a name is */

/* What a part of the stream begins with (stream.c). */
enum {
    IREKO_STREAM_EOF = 0x00,
    IREKO_STREAM_START = 0x01,
    IREKO_STREAM_PART = 0x02,
    IREKO_STREAM_END = 0x03,
    IREKO_STREAM_FULL = 0x04,
    IREKO_STREAM_SUBSECTION = 0x05, /* within a device */
    IREKO_STREAM_DESCRIPTION = 0x06,
    IREKO_STREAM_CONFIGURATION = 0x07,
    IREKO_STREAM_COMMAND = 0x08,
    IREKO_STREAM_FOOTER = 0x7e
};

struct IrekoStream {
    char *machine;
    GArray *vcpus;     /* IrekoVcpu */
    GArray *blocks;    /* IrekoStreamBlock */
    GPtrArray *images; /* what vcpus point to */
};

IrekoStream *
ireko_stream_new(void); /* of nothing yet */

void
ireko_stream_forget_vcpus(IrekoStream *stream);

/* Puts its vCPUs in the order of their numbers. */
void
ireko_stream_sort(IrekoStream *stream);

/* Sets IREKO_ERROR_SYNTAX; always false. */
bool
ireko_stream_damaged(GError **error, const char *what);

/* The description at the end of a whole stream, a new reference, and in RET_AT where the part that
 * holds it begins. */
json_t *
ireko_stream_description(const uint8_t *data, size_t len, size_t *ret_at, GError **error);

/* What is left to read; a read past the end leaves it short, and what is read is 0 from there on.
 */
typedef struct {
    const uint8_t *at;
    size_t left;
    bool is_short;
} IrekoStreamCursor;

uint64_t
ireko_stream_take(IrekoStreamCursor *cursor, unsigned bytes); /* 1, 2, 4 or 8, big-endian */

const uint8_t *
ireko_stream_skip(IrekoStreamCursor *cursor, uint64_t bytes); /* where they were; NULL when short */

/* Takes the magic and the version that a stream begins with; false with IREKO_ERROR_SYNTAX for
 * none, IREKO_ERROR_UNSUPPORTED for another version. */
bool
ireko_stream_begin(IrekoStreamCursor *cursor, GError **error);

/* A name whose length stands before it; as it is. */
void
ireko_stream_take_name(IrekoStreamCursor *cursor, char ret_name[IREKO_STREAM_NAME_MAX + 1]);

/* A described piece of the stream: the state of a device, a subsection, a structure, a field. */
typedef struct {
    const json_t *desc; /* has "fields" and perhaps "subsections"; NULL: a plain field */
    const uint8_t *at;
    size_t len;
} IrekoStreamPiece;

/* Bytes that DESC says it takes; false where it says nothing that can be. */
bool
ireko_stream_span(const json_t *desc, uint64_t *ret_bytes);

/* The element INDEX of the field NAME of PIECE; false where it has none. */
bool
ireko_stream_field(const IrekoStreamPiece *piece,
                   const char *name,
                   unsigned index,
                   IrekoStreamPiece *ret_field);

/* The subsection NAME of PIECE. */
bool
ireko_stream_subsection(const IrekoStreamPiece *piece,
                        const char *name,
                        IrekoStreamPiece *ret_subsection);

/* The field as a number of 1 to 8 bytes; false, RET_VALUE untouched, where it has none. */
bool
ireko_stream_number(const IrekoStreamPiece *piece,
                    const char *name,
                    unsigned index,
                    uint64_t *ret_value);

/* Adds what the state CPU of the device "cpu" says to VCPU; IMAGES (free function g_free) owns what
 * VCPU points to. */
bool
ireko_stream_read_vcpu(const IrekoStreamPiece *cpu,
                       IrekoVcpu *vcpu,
                       GPtrArray *images,
                       GError **error);

/* Whether the device NAME is a vCPU or a part of one. */
bool
ireko_stream_is_vcpu(const char *name);

/* Adds what PIECE, the state INSTANCE of the device NAME, says of a vCPU; nothing, where it is
 * another device's. */
bool
ireko_stream_add(IrekoStream *stream,
                 const char *name,
                 uint32_t instance,
                 const IrekoStreamPiece *piece,
                 GError **error);

/* Reads what a section of "ram" has, after its header; adds the blocks it lists to BLOCKS. */
bool
ireko_stream_read_ram(IrekoStreamCursor *cursor,
                      bool ignore_shared,
                      uint64_t page_bytes,
                      GArray *blocks,
                      GError **error);
