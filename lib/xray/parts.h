/* xray/parts.h - what a chain shows to this module alone. */
#pragma once

#include "xray/chain.h"

/* The reader of IrekoRam. */
bool
ireko_ram_read(void *data, IrekoGpa at, void *ret_bytes, size_t len);

/* An entry of 4 or 8 bytes from MEMORY: IrekoMemory.read, but without a call where it is mapped
 * RAM, since a walk is little else. */
static inline bool
ireko_memory_entry(const IrekoMemory *memory, IrekoGpa at, uint64_t *ret_raw, unsigned bytes)
{
    const IrekoRam *ram = memory->data;
    if (memory->read != ireko_ram_read || bytes != sizeof *ret_raw)
        return memory->read(memory->data, at, ret_raw, bytes);
    for (size_t i = ram->map.n; i-- > 0;) {
        const IrekoRamRange *range = &ram->map.ranges[i];
        uint64_t inside = at.at - range->start.at, offset = range->offset.at + inside;
        if (inside >= range->bytes)
            continue;
        const uint8_t *from = ram->bytes + offset;
        if (range->bytes - inside < bytes || offset >= ram->len || ram->len - offset < bytes ||
            (uintptr_t)from % bytes != 0)
            break;
        *ret_raw = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
        return true;
    }
    return memory->read(memory->data, at, ret_raw, bytes);
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
