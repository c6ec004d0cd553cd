/* xray/parts.h - what a chain shows to this module alone. */
#pragma once

#include "xray/chain.h"

/* RAM in a row where it is mapped: whole, aligned words. LEN 0: none is known. */
typedef struct {
    const uint8_t *bytes;
    uint64_t start, len;
} IrekoRow;

/* The row of MEMORY that AT is in; false where it is not mapped RAM. */
bool
ireko_memory_row(const IrekoMemory *memory, IrekoGpa at, IrekoRow *ret_row);

/* An aligned entry of 4 or 8 bytes from MEMORY: IrekoMemory.read, but without a call where it is in
 * ROW, the one read from last, since a walk is little else. */
static inline bool
ireko_memory_entry(
    const IrekoMemory *memory, IrekoRow *row, IrekoGpa at, uint64_t *ret_raw, unsigned bytes)
{
    if (bytes != sizeof *ret_raw ||
        (at.at - row->start >= row->len && !ireko_memory_row(memory, at, row)))
        return memory->read(memory->data, at, ret_raw, bytes);
    const uint8_t *from = row->bytes + (at.at - row->start);
    *ret_raw = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
    return true;
}

/* The outermost machine's memory, and which of it is RAM. */
const IrekoMemory *
ireko_chain_outermost(const IrekoChain *chain, const IrekoRamMap **ret_map);

/* Whether it keeps where tables are (ireko_chain_keep). */
bool
ireko_chain_keeps(const IrekoChain *chain);

/* How many entries were read for the last address. */
unsigned
ireko_chain_reads(const IrekoChain *chain);
