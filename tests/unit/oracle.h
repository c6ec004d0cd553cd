/* oracle.h - a second translator, for tests: slow, bit by bit as the manuals list them, recursive
 * where tables stand on tables, and with nothing of lib/xray in it but names of formats and causes.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "xray/walk.h"

typedef struct {
    IrekoPaging paging;
    bool nested;
    uint64_t root; /* CR3, nCR3 or EPTP, as it is */
    unsigned phys; /* MAXPHYADDR */
    bool pse, nx, wp, smep, smap, has_1g;
    bool fetch_only, user_fetch; /* EPT */
} OracleTable;

/* The physical memory that a table stands in: bytes, or what another table gives. */
typedef struct OracleMemory OracleMemory;
struct OracleMemory {
    const uint8_t *bytes;
    uint64_t len;
    const OracleTable *nested; /* else; in OUTER */
    const OracleMemory *outer;
};

typedef struct {
    IrekoCause cause;
    uint64_t at;
    unsigned level;
    uint64_t page_bytes;
    bool read, write, fetch, user, user_fetch;
    bool accessed, dirty;
} OracleAnswer;

/* With ACCESS, IREKO_ACCESS_ bits. A table that cannot be read, for whatever reason, is NOT_RAM. */
OracleAnswer
oracle_walk(const OracleTable *table,
            const OracleMemory *memory,
            uint64_t address,
            unsigned access);

/* What lib/xray makes of the same. */
IrekoTable
oracle_table(const OracleTable *table);
