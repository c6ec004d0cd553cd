/* xray/map-sum.c - what a table maps, added up.
 *
 * Which bytes of RAM are taken is counted in a bitmap of the pages of the memory file, so that what
 * is mapped twice counts once: a kernel maps all its memory a second time, and KSM merges pages.
 */
#include <string.h>

#include "xray/map.h"
#include "xray/parts.h"

typedef struct {
    IrekoMapSum *sum;
    const IrekoMemory *memory;
    uint8_t *taken; /* a bit for each page of the file */
    uint64_t pages; /* of the file */
    bool zero;
} Summing;

static uint64_t
pages_of_file(const IrekoRamMap *map)
{
    uint64_t end = 0;
    for (size_t i = 0; i < map->n; i++)
        end = MAX(end, map->ranges[i].offset.at + map->ranges[i].bytes);
    return (end + IREKO_PAGE_BYTES - 1) / IREKO_PAGE_BYTES;
}

static bool
is_zero(const IrekoMemory *memory, IrekoGpa at)
{
    uint64_t words[IREKO_PAGE_BYTES / sizeof(uint64_t)], any = 0;
    if (!memory->read(memory->data, at, words, sizeof words))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        any |= words[i];
    return any == 0;
}

static void
take_page(Summing *summing, IrekoGpa gpa, IrekoOffset offset)
{
    uint64_t page = offset.at / IREKO_PAGE_BYTES;
    uint8_t bit = (uint8_t)(1u << page % 8);
    if (page >= summing->pages || (summing->taken[page / 8] & bit) != 0)
        return;
    summing->taken[page / 8] |= bit;
    summing->sum->taken_bytes += IREKO_PAGE_BYTES;
    if (summing->zero && is_zero(summing->memory, gpa))
        summing->sum->zero_bytes += IREKO_PAGE_BYTES;
}

static bool
add_run(void *data, const IrekoRun *run)
{
    Summing *summing = data;
    IrekoMapSum *sum = summing->sum;
    sum->bytes += run->bytes;
    sum->by_level[run->level] += run->bytes;
    sum->accessed_bytes += run->accessed ? run->bytes : 0;
    sum->dirty_bytes += run->dirty ? run->bytes : 0;
    if (run->cause != IREKO_CAUSE_NONE) {
        sum->lost_bytes += run->bytes;
        return true;
    }
    for (uint64_t done = 0; done < run->bytes; done += IREKO_PAGE_BYTES)
        take_page(summing, (IrekoGpa){run->gpa.at + done}, (IrekoOffset){run->offset.at + done});
    return true;
}

IrekoMapSum
ireko_map_sum(IrekoChain *builder, const IrekoTable *table, bool zero)
{
    IrekoMapSum sum = {.bytes = 0};
    const IrekoRamMap *map = NULL;
    const IrekoMemory *memory = ireko_chain_outermost(builder, &map);
    uint64_t pages = pages_of_file(map);
    g_autofree uint8_t *taken = g_malloc0(pages / 8 + 1);
    Summing summing = {&sum, memory, taken, pages, zero};
    (void)ireko_map(builder, table, add_run, &summing, &sum.end);
    return sum;
}
