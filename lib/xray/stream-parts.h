/* xray/stream-parts.h - between the files of the state-stream reader. */
#pragma once

#include <jansson.h>

#include "xray/stream.h"

#define IREKO_STREAM_NAME_MAX 255 /* a byte says how long a name is */

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

/* Reads what a section of "ram" has, after its header; adds the blocks it lists to BLOCKS. */
bool
ireko_stream_read_ram(IrekoStreamCursor *cursor,
                      bool ignore_shared,
                      uint64_t page_bytes,
                      GArray *blocks,
                      GError **error);
