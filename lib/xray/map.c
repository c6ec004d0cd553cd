/* xray/map.c - every page that a table maps, by going through the table itself.
 *
 * Each table is copied whole, then its entries are judged one by one, as a walk judges them
 * (entry.h); a page's own way to RAM is asked of the chain of the machine that built the table, in
 * pieces as large as the smallest page on it. Neighbours that go on in the same way are one run.
 *
 * Tables may be shared, and may name themselves: the depth is bounded by the format, and what is
 * met again is gone through again, for it is mapped again. A guest can make five levels of a single
 * page so, 512 to the power of five pages, and send 1 GiB to a page of 4 KiB each; so
 * IREKO_MAP_TABLES_MAX tables are read, IREKO_MAP_PIECES_MAX pieces are asked for, and no more.
 */
#include "xray/map.h"

#include <string.h>

#include "xray/backing.h"
#include "xray/parts.h"

#define ENTRIES_MAX 1024 /* of the 32-bit format, 4 bytes each */

typedef struct {
    IrekoChain *builder;
    IrekoMemory memory; /* of the builder */
    const IrekoTable *table;
    IrekoRunFunc func;
    void *data;
    IrekoKept *process_kept; /* of the tables behind TABLE (backing.h), or NULL */
    uint64_t tables_max, pieces_max, reads_left;
    IrekoRun run; /* not handed over yet; bytes 0: there is none */
    IrekoMapEnd end;
} Mapping;

static bool
goes_on(const IrekoRun *run, const IrekoRun *next)
{
    uint64_t n = run->bytes;
    bool in_row = run->cause != IREKO_CAUSE_NONE ||
                  (run->gpa.at + n == next->gpa.at && run->offset.at + n == next->offset.at);
    return in_row && run->start + n == next->start && run->to + n == next->to &&
           run->cause == next->cause && run->page_bytes == next->page_bytes &&
           run->rights == next->rights && run->accessed == next->accessed &&
           run->dirty == next->dirty;
}

static bool
hand_over(Mapping *mapping)
{
    bool more = mapping->run.bytes == 0 || mapping->func(mapping->data, &mapping->run);
    mapping->run.bytes = 0;
    return more;
}

static bool
add(Mapping *mapping, const IrekoRun *next)
{
    if (mapping->run.bytes != 0 && goes_on(&mapping->run, next)) {
        mapping->run.bytes += next->bytes;
        return true;
    }
    if (!hand_over(mapping))
        return false;
    mapping->run = *next;
    return true;
}

/* Whether what was read for the last address leaves something to be read. */
static bool
may_read_on(Mapping *mapping)
{
    uint64_t reads = ireko_chain_reads(mapping->builder);
    mapping->end.cut = mapping->end.cut || reads > mapping->reads_left;
    mapping->reads_left -= MIN(reads, mapping->reads_left);
    return !mapping->end.cut;
}

/* The page at START that LEAF is, in pieces as its way to RAM has them. */
static bool
add_page(Mapping *mapping, uint64_t start, const IrekoWalk *leaf)
{
    for (uint64_t done = 0; done < leaf->page_bytes;) {
        IrekoWay way;
        uint64_t left = leaf->page_bytes - done, to = leaf->at.at + done;
        if (++mapping->end.pieces > mapping->pieces_max) {
            mapping->end.cut = true;
            return true;
        }
        bool arrives = ireko_chain_npa(mapping->builder, (IrekoNpa){to}, 0, NULL, &way);
        if (!may_read_on(mapping))
            return true;
        IrekoRun run = {.start = start + done,
                        .bytes = arrives ? MIN(left, way.row_bytes)
                                         : MIN(left, IREKO_PAGE_BYTES - to % IREKO_PAGE_BYTES),
                        .page_bytes = leaf->page_bytes,
                        .to = to,
                        .cause = way.cause,
                        .gpa = way.gpa,
                        .offset = way.offset,
                        .rights = leaf->rights,
                        .level = leaf->level,
                        .accessed = leaf->accessed,
                        .dirty = leaf->dirty};
        if (!add(mapping, &run))
            return false;
        done += run.bytes;
    }
    return true;
}

/* The address of entry INDEX of a table whose first is for START; its sign is spread where it has
 * one. */
static uint64_t
address_of(const IrekoTable *table, uint64_t start, unsigned level, uint64_t index)
{
    uint64_t address = start + (index << table->levels[level].shift);
    bool negative = (address >> (table->width - 1) & 1) != 0 && table->width > 32 && !table->nested;
    return negative ? address | UINT64_MAX << (table->width - 1) : address;
}

static bool
read_table(Mapping *mapping, unsigned level, uint64_t at, void *ret_entries)
{
    const IrekoTable *table = mapping->table;
    size_t len = (size_t)(table->levels[level].index_mask + 1) * table->entry_bytes;
    if (mapping->end.tables == mapping->tables_max) {
        mapping->end.cut = true;
        return false;
    }
    mapping->end.tables++;
    bool there = mapping->memory.read(mapping->memory.data, (IrekoGpa){at}, ret_entries, len);
    if (!may_read_on(mapping))
        return false;
    if (there)
        return true;
    mapping->end.broken++;
    return false;
}

/* How far it is from AT of SPAN to the end of what the entry that WALK met stands for. */
static uint64_t
rest_of(const IrekoBacking *backing,
        const IrekoBackingSpan *span,
        uint64_t at,
        const IrekoWalk *walk)
{
    unsigned level = MAX(walk->level, IREKO_LEVEL_PT);
    uint64_t bytes = (uint64_t)1 << backing->process.levels[level].shift;
    return bytes - (span->to + (at - span->start)) % bytes;
}

/* What the hypervisor has where the table maps nothing, BYTES from START on. */
static bool
add_hole(Mapping *mapping, uint64_t start, uint64_t bytes)
{
    const IrekoBacking *backing = mapping->table->backing;
    const IrekoWalkOrder order = {.kept = mapping->process_kept};
    for (size_t i = 0; backing != NULL && i < backing->n; i++) {
        const IrekoBackingSpan *span = &backing->spans[i];
        uint64_t end = MIN(start + bytes, span->start + span->bytes);
        IrekoWalk leaf;
        for (uint64_t at = MAX(start, span->start); at < end;
             at += rest_of(backing, span, at, &leaf)) {
            if (++mapping->end.pieces > mapping->pieces_max)
                mapping->end.cut = true;
            if (mapping->end.cut)
                return true;
            bool there = ireko_backing_walk(backing, &mapping->memory, at, &order, &leaf);
            if (!may_read_on(mapping))
                return true;
            if (there) {
                leaf.at.at -= leaf.at.at % IREKO_PAGE_BYTES;
                if (!add_page(mapping, at, &leaf))
                    return false;
            }
        }
    }
    return true;
}

static bool
map_table(Mapping *mapping, unsigned level, uint64_t at, uint64_t start, const IrekoEntrySum *above)
{
    const IrekoTable *table = mapping->table;
    union {
        uint64_t wide[ENTRIES_MAX / 2];
        uint32_t narrow[ENTRIES_MAX];
    } entries;
    if (!read_table(mapping, level, at, &entries))
        return true;
    for (uint64_t i = 0; i <= table->levels[level].index_mask && !mapping->end.cut; i++) {
        uint64_t raw = table->entry_bytes == sizeof(uint32_t) ? GUINT32_FROM_LE(entries.narrow[i])
                                                              : GUINT64_FROM_LE(entries.wide[i]);
        uint64_t address = address_of(table, start, level, i);
        if ((raw & table->present) == 0) {
            if (table->backing != NULL &&
                !add_hole(mapping, address, (uint64_t)1 << table->levels[level].shift))
                return false;
            continue;
        }
        IrekoEntrySum sum = *above;
        bool page = ireko_entry_is_page(table, level, raw), more = true;
        ireko_entry_add(table, level, raw, &sum);
        if (ireko_entry_cause(table, level, raw, page) != IREKO_CAUSE_NONE) {
            mapping->end.broken++;
        } else if (page) {
            IrekoWalk leaf;
            ireko_entry_lands(table, level, raw, &sum, &leaf);
            more = add_page(mapping, address, &leaf);
        } else {
            more = map_table(mapping, level - 1, raw & table->table_mask, address, &sum);
        }
        if (!more)
            return false;
    }
    return true;
}

bool
ireko_map(IrekoChain *builder,
          const IrekoTable *table,
          IrekoRunFunc func,
          void *data,
          IrekoMapEnd *ret_end)
{
    const IrekoRamMap *ram = NULL;
    uint64_t pages = 0;
    (void)ireko_chain_outermost(builder, &ram);
    for (size_t i = 0; i < ram->n; i++)
        pages += ram->ranges[i].bytes / IREKO_PAGE_BYTES;
    Mapping mapping = {.builder = builder,
                       .memory = ireko_chain_memory(builder),
                       .table = table,
                       .tables_max = IREKO_MAP_TABLES_MAX(pages),
                       .pieces_max = IREKO_MAP_PIECES_MAX(pages),
                       .reads_left = IREKO_MAP_READS_MAX(pages),
                       .func = func,
                       .data = data};
    IrekoEntrySum none = {.all = UINT64_MAX};
    bool more = true, kept = ireko_chain_keeps(builder);
    if (!kept)
        ireko_chain_keep(builder, true); /* it is of about one moment all the same */
    if (table->backing != NULL)
        mapping.process_kept = g_new0(IrekoKept, IREKO_KEPT);
    if (table->bad_root)
        mapping.end.broken = 1;
    else if (table->top > 0)
        more = map_table(&mapping, table->top, table->root.at, 0, &none);
    more = more && hand_over(&mapping);
    if (!kept)
        ireko_chain_keep(builder, false);
    g_free(mapping.process_kept);
    *ret_end = mapping.end;
    return more;
}
