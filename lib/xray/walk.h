/* xray/walk.h - one address through one page table. */
#pragma once

#include <glib.h>

#include "xray/address.h"
#include "xray/memory.h"
#include "xray/table.h"

/* Why a walk ended early. The words are stable (ireko_cause_name). */
typedef enum {
    IREKO_CAUSE_NONE,              /* it did not */
    IREKO_CAUSE_NOT_PRESENT,       /* an entry is not there */
    IREKO_CAUSE_RESERVED_BIT,      /* an entry has a bit set that must be clear */
    IREKO_CAUSE_MISCONFIGURED,     /* an EPT entry has rights or a memory type that cannot be */
    IREKO_CAUSE_NOT_RAM,           /* a table, or in a chain the page, is where no RAM is */
    IREKO_CAUSE_BAD_ROOT,          /* CR3, nCR3 or EPTP is none */
    IREKO_CAUSE_NOT_CANONICAL,     /* the upper bits of the address do not repeat its sign */
    IREKO_CAUSE_TOO_WIDE,          /* the address has more bits than the table translates */
    IREKO_CAUSE_READ_DENIED,       /* EPT alone: R is clear */
    IREKO_CAUSE_WRITE_DENIED,      /* W is clear */
    IREKO_CAUSE_FETCH_DENIED,      /* NX is set, or X is clear */
    IREKO_CAUSE_USER_DENIED,       /* U is clear; in a nested table everyone is a user */
    IREKO_CAUSE_SUPERVISOR_DENIED, /* SMEP or SMAP: the page is a user's */
    IREKO_CAUSE_TOO_MANY_READS,    /* IREKO_CHAIN_READS_MAX */
    IREKO_CAUSES,
} IrekoCause;

/* What the walk is for. 0: only where the address leads; rights are told, and nobody is denied.
 * Protection keys and shadow stacks deny more than is judged here. */
#define IREKO_ACCESS_READ  (1u << 0)
#define IREKO_ACCESS_WRITE (1u << 1)
#define IREKO_ACCESS_FETCH (1u << 2)
#define IREKO_ACCESS_USER  (1u << 3) /* besides: at CPL 3 */

/* What all entries on the way allow together. */
#define IREKO_RIGHT_READ       (1u << 0)
#define IREKO_RIGHT_WRITE      (1u << 1)
#define IREKO_RIGHT_FETCH      (1u << 2)
#define IREKO_RIGHT_USER       (1u << 3) /* CPL 3 too; EPT knows no such thing and always says yes */
#define IREKO_RIGHT_USER_FETCH (1u << 4) /* fetches at CPL 3, which EPT may tell apart */

typedef struct {
    IrekoGpa at;         /* where the address lands; only without a cause */
    uint64_t page_bytes; /* of the page it is in, or 0: no paging */
    uint64_t raw;        /* the entry read last: the page's, or the one that ended the walk */
    IrekoCause cause;
    uint8_t level;  /* of that entry; 0 where none was read */
    uint8_t denier; /* the level, outermost first, that takes the right that was needed */
    uint8_t rights;
    bool accessed, dirty; /* as the page's entry says */
} IrekoWalk;

/* One entry that was read. */
typedef struct {
    IrekoGpa entry_at; /* in the memory of the machine that built the table */
    uint64_t raw;
    uint64_t page_bytes; /* it maps a page of this size; 0: it names a table, or nothing */
    uint8_t table;       /* of the chain: 0 the machine's own, 1 the innermost nested one ... */
    uint8_t level;
    bool unread;  /* no RAM there: RAW is nothing */
    bool backing; /* it is of the process that has what TABLE does not map (backing.h) */
} IrekoStep;

/* Translates through TABLE, whose entries are in MEMORY, to do ACCESS (IREKO_ACCESS_ bits). Each
 * entry is read once. The answer is in RET_WALK in any case; true where it has no cause. STEPS: an
 * array of IrekoStep that every entry is added to before it is judged, or NULL. */
bool
ireko_walk_gva(const IrekoTable *table,
               const IrekoMemory *memory,
               IrekoGva address,
               unsigned access,
               GArray *steps,
               IrekoWalk *ret_walk);

/* The same for a nested table. */
bool
ireko_walk_npa(const IrekoTable *table,
               const IrekoMemory *memory,
               IrekoNpa address,
               unsigned access,
               GArray *steps,
               IrekoWalk *ret_walk);

/* "not-present", "reserved-bit", ... */
const char *
ireko_cause_name(IrekoCause cause);
