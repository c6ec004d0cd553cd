/* xray/map.h - every page that a table maps, in order, and where it lands. */
#pragma once

#include "xray/chain.h"

/* The outermost machine having so many pages of RAM. More is mapped only where the same is mapped
 * many times over, and more is read for it only by who is 15 machines deep or makes a map slow. */
#define IREKO_MAP_TABLES_MAX(ram_pages) (((uint64_t)1 << 16) + (ram_pages))
#define IREKO_MAP_PIECES_MAX(ram_pages) (((uint64_t)1 << 20) + 16 * (ram_pages))
#define IREKO_MAP_READS_MAX(ram_pages)  (64 * IREKO_MAP_PIECES_MAX(ram_pages))

/* Pages in a row that differ in nothing but their addresses, which go up together. */
typedef struct {
    uint64_t start; /* of the space that the table translates: virtual, or nested physical */
    uint64_t bytes;
    uint64_t page_bytes; /* as this table maps them */
    uint64_t to;         /* START in the physical memory of the machine that built the table */
    IrekoCause cause;    /* NONE, or why the way from TO to RAM ends early; then that is all */
    IrekoGpa gpa;        /* START in the outermost machine's memory, */
    IrekoOffset offset;  /* and in its file */
    uint8_t rights;      /* IREKO_RIGHT_ bits, of this table alone */
    uint8_t level;       /* that maps them */
    bool accessed, dirty;
} IrekoRun;

/* Whether to go on. */
typedef bool (*IrekoRunFunc)(void *data, const IrekoRun *run);

typedef struct {
    uint64_t tables; /* read; one that is met twice counts twice */
    uint64_t broken; /* entries that are present and cannot be followed: a reserved bit, a table
                        that is not RAM ... */
    uint64_t pieces; /* pages, and of pages that are in several pieces further out those */
    bool cut;        /* more than IREKO_MAP_TABLES_MAX, _PIECES_MAX or _READS_MAX: not all came */
} IrekoMapEnd;

/* Hands every run that TABLE maps to FUNC, in ascending order; none where there is no paging.
 * BUILDER is the chain of the machine that built the table: for a machine's own table its own
 * chain, for its nested one the chain of the machine around it. False where FUNC stopped it. */
bool
ireko_map(IrekoChain *builder,
          const IrekoTable *table,
          IrekoRunFunc func,
          void *data,
          IrekoMapEnd *ret_end);

/* What a table maps, added up. */
typedef struct {
    uint64_t bytes;                  /* mapped, */
    uint64_t by_level[IREKO_LEVELS]; /* and by the level that maps them: pt, pd, pdpt */
    uint64_t dirty_bytes, accessed_bytes;
    uint64_t lost_bytes;  /* mapped to where no RAM is: devices, or a way that ends early */
    uint64_t taken_bytes; /* of RAM, what is mapped twice counted once */
    uint64_t zero_bytes;  /* of those, pages of 4 KiB with nothing but zeros */
    IrekoMapEnd end;
} IrekoMapSum;

/* Adds up all of TABLE. ZERO: look for zeros as well, which reads all of that memory. */
IrekoMapSum
ireko_map_sum(IrekoChain *builder, const IrekoTable *table, bool zero);
