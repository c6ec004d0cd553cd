/* xray/kept.h - where the lowest tables of a table are, kept for memory that does not change.
 *
 * A walk that finds its PT here reads one entry and not five. Direct-mapped: a table that makes
 * others collide makes walks slow, and no answer wrong. */
#pragma once

#include "xray/entry.h"

#define IREKO_KEPT 512 /* a power of two; of each 2 MiB */

typedef struct {
    uint64_t region;   /* which 2 MiB of what the table translates (32-bit: 4 MiB), + 1; 0: none */
    uint64_t table_at; /* the PT of these */
    IrekoEntrySum sum; /* of the entries that led to it */
} IrekoKept;

static inline const IrekoKept *
ireko_kept_get(const IrekoTable *table, uint64_t address, const IrekoKept *kept)
{
    uint64_t region = address >> table->levels[IREKO_LEVEL_PD].shift;
    const IrekoKept *one = &kept[region % IREKO_KEPT];
    return one->region == region + 1 ? one : NULL;
}

static inline void
ireko_kept_put(const IrekoTable *table,
               uint64_t address,
               uint64_t table_at,
               const IrekoEntrySum *sum,
               IrekoKept *kept)
{
    uint64_t region = address >> table->levels[IREKO_LEVEL_PD].shift;
    kept[region % IREKO_KEPT] =
        (IrekoKept){.region = region + 1, .table_at = table_at, .sum = *sum};
}

/* How a walk is to be done. */
typedef struct {
    unsigned access;
    GArray *steps;   /* or NULL */
    IrekoKept *kept; /* IREKO_KEPT of them; only with neither access nor steps, which want all
                      * entries read; or NULL */
} IrekoWalkOrder;

/* ireko_walk_gva() and ireko_walk_npa(), as TABLE is nested or not. */
bool
ireko_walk(const IrekoTable *table,
           const IrekoMemory *memory,
           uint64_t address,
           const IrekoWalkOrder *order,
           IrekoWalk *ret_walk);
