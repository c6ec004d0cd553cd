/* xray/memory.h - a machine's physical memory, as a walk reads it.
 *
 * A guest writes it while it is read and lies in it where it can: what matters is read once, into a
 * variable, and judged there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xray/address.h"

#define IREKO_PAGE_BYTES     4096
#define IREKO_RAM_RANGES_MAX 32

typedef struct {
    IrekoGpa start;
    uint64_t bytes;
    IrekoOffset offset; /* of its first byte in the memory file */
} IrekoRamRange;

/* Which physical addresses are RAM: ranges in ascending order, none touching what is not its own.
 */
typedef struct {
    IrekoRamRange ranges[IREKO_RAM_RANGES_MAX];
    size_t n;
} IrekoRamMap;

/* Adds a range of whole pages behind those there. False where it is empty, is not of whole pages,
 * wraps, does not lie behind the last one, or is one too many. */
bool
ireko_ram_map_add(IrekoRamMap *map, IrekoGpa start, uint64_t bytes, IrekoOffset offset);

/* The map of QEMU's machine type `pc` with RAM_BYTES in one file (QEMU, hw/i386/pc_piix.c,
 * pc_init1): from 3.5 GiB of RAM on what is above 3 GiB stands behind 4 GiB. From A0000h to FFFFFh
 * there is the VGA window, and then ROM or RAM as firmware has set it, per 16 KiB (82441FX, PAM
 * registers): none of it is taken for RAM, since the file may hold something else than what is
 * seen. */
IrekoRamMap
ireko_ram_map_pc(uint64_t ram_bytes);

/* Where AT is in the file, and how many bytes from it on are RAM in a row there; 0 where AT is not.
 */
uint64_t
ireko_ram_map_row(const IrekoRamMap *map, IrekoGpa at, IrekoOffset *ret_offset);

/* What is read by walks. Its owner keeps DATA; a walk keeps nothing. */
typedef struct {
    /* Copies LEN bytes, 1 to a page, from AT on. False, and nothing is promised of RET_BYTES, where
     * any of them is not RAM. 4 aligned bytes, and 8, are of one moment, in longer reads too. */
    bool (*read)(void *data, IrekoGpa at, void *ret_bytes, size_t len);
    /* The bytes from AT on as they lie in this process, and how many there are in a row; NULL where
     * there is no RAM at AT. They may change at any time. The whole member is NULL where memory
     * cannot be had that way. */
    const uint8_t *(*window)(void *data, IrekoGpa at, size_t *ret_len);
    void *data;
} IrekoMemory;

/* RAM that is mapped, all of the memory file in a row. */
typedef struct {
    const uint8_t *bytes;
    uint64_t len; /* of BYTES: ranges of the map that reach behind it are no RAM there */
    IrekoRamMap map;
} IrekoRam;

/* The reader of RAM, which outlives it. */
IrekoMemory
ireko_ram_memory(IrekoRam *ram);
