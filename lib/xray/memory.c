/* xray/memory.c - which addresses are RAM, and RAM that is mapped.
 *
 * A machine has two or three ranges, so a search is a walk along them, the likeliest first: it
 * costs less than a translation cache would. A range is checked against the length of what is
 * mapped when it is used, since the file may be shorter than the map says; a file that shrinks
 * while it is mapped is the mapper's to prevent.
 */
#include <string.h>

#include "xray/parts.h"

#define GIB ((uint64_t)1 << 30)

bool
ireko_ram_map_add(IrekoRamMap *map, IrekoGpa start, uint64_t bytes, IrekoOffset offset)
{
    if (map->n == IREKO_RAM_RANGES_MAX || bytes == 0 ||
        (start.at | bytes) % IREKO_PAGE_BYTES != 0 || start.at > UINT64_MAX - bytes ||
        offset.at > UINT64_MAX - bytes)
        return false;
    const IrekoRamRange *last = map->n > 0 ? &map->ranges[map->n - 1] : NULL;
    if (last != NULL && start.at < last->start.at + last->bytes)
        return false;
    map->ranges[map->n++] = (IrekoRamRange){start, bytes, offset};
    return true;
}

IrekoRamMap
ireko_ram_map_pc(uint64_t ram_bytes)
{
    static const uint64_t window = 0xa0000, window_end = 0x100000;
    ram_bytes -= ram_bytes % IREKO_PAGE_BYTES;
    IrekoRamMap map = {.n = 0};
    uint64_t below = ram_bytes < 0xe0000000 ? ram_bytes : 3 * GIB;
    uint64_t first = below < window ? below : window;
    (void)ireko_ram_map_add(&map, (IrekoGpa){0}, first, (IrekoOffset){0});
    if (below > window_end)
        (void)ireko_ram_map_add(&map, (IrekoGpa){window_end}, below - window_end,
                                (IrekoOffset){window_end});
    if (ram_bytes > below)
        (void)ireko_ram_map_add(&map, (IrekoGpa){4 * GIB}, ram_bytes - below, (IrekoOffset){below});
    return map;
}

/* The range that AT is in, and how many of its bytes there are from AT on. */
static inline const IrekoRamRange *
find_range(const IrekoRamMap *map, IrekoGpa at, uint64_t *ret_left)
{
    for (size_t i = map->n; i-- > 0;) { /* the largest is the last one */
        const IrekoRamRange *range = &map->ranges[i];
        if (at.at - range->start.at < range->bytes) { /* wraps to a large number below it */
            *ret_left = range->bytes - (at.at - range->start.at);
            return range;
        }
    }
    return NULL;
}

uint64_t
ireko_ram_map_row(const IrekoRamMap *map, IrekoGpa at, IrekoOffset *ret_offset)
{
    uint64_t left = 0;
    const IrekoRamRange *range = find_range(map, at, &left);
    if (range == NULL)
        return 0;
    ret_offset->at = range->offset.at + (at.at - range->start.at);
    return left;
}

static inline const uint8_t *
ram_at(const IrekoRam *ram, IrekoGpa at, uint64_t *ret_left)
{
    uint64_t left = 0;
    const IrekoRamRange *range = find_range(&ram->map, at, &left);
    if (range == NULL)
        return NULL;
    uint64_t offset = range->offset.at + (at.at - range->start.at);
    if (offset >= ram->len)
        return NULL;
    *ret_left = left < ram->len - offset ? left : ram->len - offset;
    return ram->bytes + offset;
}

/* Word by word, so that none is half of before and half of after. */
static void
copy_words(uint8_t *to, const uint8_t *from, size_t words)
{
    const uint64_t *at = (const uint64_t *)(const void *)from;
    for (size_t i = 0; i < words; i++) {
        uint64_t value = __atomic_load_n(at + i, __ATOMIC_RELAXED);
        memcpy(to + i * sizeof value, &value, sizeof value);
    }
}

static bool
ram_read(void *data, IrekoGpa at, void *ret_bytes, size_t len)
{
    uint64_t left = 0;
    const uint8_t *from = ram_at(data, at, &left);
    if (from == NULL || left < len)
        return false;
    if (len % sizeof(uint64_t) == 0 && (uintptr_t)from % sizeof(uint64_t) == 0) {
        copy_words(ret_bytes, from, len / sizeof(uint64_t));
    } else if (len == sizeof(uint32_t) && (uintptr_t)from % sizeof(uint32_t) == 0) {
        uint32_t value = __atomic_load_n((const uint32_t *)(const void *)from, __ATOMIC_RELAXED);
        memcpy(ret_bytes, &value, sizeof value);
    } else {
        memcpy(ret_bytes, from, len);
    }
    return true;
}

static const uint8_t *
ram_window(void *data, IrekoGpa at, size_t *ret_len)
{
    uint64_t left = 0;
    const uint8_t *from = ram_at(data, at, &left);
    if (from != NULL)
        *ret_len = (size_t)left;
    return from;
}

IrekoMemory
ireko_ram_memory(IrekoRam *ram)
{
    return (IrekoMemory){.read = ram_read, .window = ram_window, .data = ram};
}

bool
ireko_memory_row(const IrekoMemory *memory, IrekoGpa at, IrekoRow *ret_row)
{
    uint64_t left = 0;
    const IrekoRam *ram = memory->data;
    const IrekoRamRange *range = memory->read == ram_read ? find_range(&ram->map, at, &left) : NULL;
    if (range == NULL || range->offset.at >= ram->len)
        return false;
    const uint8_t *bytes = ram->bytes + range->offset.at;
    uint64_t len = MIN(range->bytes, ram->len - range->offset.at) & ~(uint64_t)7;
    if ((uintptr_t)bytes % sizeof(uint64_t) != 0 || at.at - range->start.at >= len)
        return false;
    *ret_row = (IrekoRow){.bytes = bytes, .start = range->start.at, .len = len};
    return true;
}
