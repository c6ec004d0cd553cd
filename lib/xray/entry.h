/* xray/entry.h - one entry of a page table judged; for the files of this module that read entries.
 */
#pragma once

#include "xray/walk.h"

/* What the entries on the way have together: all of them, and any. */
typedef struct {
    uint64_t all, any;
} IrekoEntrySum;

static inline bool
ireko_table_is_ept(const IrekoTable *table)
{
    return table->paging == IREKO_PAGING_EPT4 || table->paging == IREKO_PAGING_EPT5;
}

/* Whether RAW, an entry of LEVEL, is there and maps a page. */
static inline bool
ireko_entry_is_page(const IrekoTable *table, unsigned level, uint64_t raw)
{
    return (raw & table->present) != 0 &&
           (level == IREKO_LEVEL_PT || (raw & table->levels[level].large) != 0);
}

/* SDM vol. 3C 29.3.3.1, but for reserved bits: W without R, X without R where the CPU has no such
 * thing, a memory type that does not exist. */
static inline bool
ireko_entry_is_misconfigured(const IrekoTable *table, uint64_t raw, bool page)
{
    const uint64_t read = 1, write = 2, fetch = 4, user_fetch = 1 << 10;
    uint64_t fetches = fetch | (table->ept_user ? user_fetch : 0);
    if ((raw & read) == 0 &&
        ((raw & write) != 0 || ((raw & fetches) != 0 && !table->ept_fetch_only)))
        return true;
    unsigned memory_type = (unsigned)(raw >> 3 & 7);
    return page && (memory_type == 2 || memory_type == 3 || memory_type == 7);
}

/* Why a walk ends at RAW, or NONE: it names a table, or is a page as PAGE says. */
static inline IrekoCause
ireko_entry_cause(const IrekoTable *table, unsigned level, uint64_t raw, bool page)
{
    const IrekoTableLevel *at = &table->levels[level];
    if ((raw & table->present) == 0)
        return IREKO_CAUSE_NOT_PRESENT;
    if ((raw & (page ? at->reserved_page : at->reserved_table)) != 0)
        return IREKO_CAUSE_RESERVED_BIT;
    if (ireko_table_is_ept(table) && ireko_entry_is_misconfigured(table, raw, page))
        return IREKO_CAUSE_MISCONFIGURED;
    return IREKO_CAUSE_NONE;
}

static inline void
ireko_entry_add(const IrekoTable *table, unsigned level, uint64_t raw, IrekoEntrySum *sum)
{
    sum->all &= raw | table->levels[level].implied;
    sum->any |= raw;
}

/* The IREKO_RIGHT_ bits that SUM leaves. */
unsigned
ireko_entry_rights(const IrekoTable *table, const IrekoEntrySum *sum);

/* The page that RAW maps, by its first byte, as a walk that has come through SUM finds it. */
void
ireko_entry_lands(const IrekoTable *table,
                  unsigned level,
                  uint64_t raw,
                  const IrekoEntrySum *sum,
                  IrekoWalk *ret_walk);
