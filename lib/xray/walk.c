/* xray/walk.c - one address through one page table.
 *
 * From the top level down: the address gives an index, the index an entry, the entry a table of the
 * next level or a page. At most five entries are read, whatever they say, so a table that names
 * itself is no loop. An entry is read once, into a variable; the step that is recorded, the
 * judgement and the address that follows from it are all of that one value. Rights are not judged
 * until the page is found, as the hardware does it: an entry that is not there comes before one
 * that forbids.
 *
 * Rights add up bit by bit: what all entries have set (W, U; R, W, X of EPT), and what any has set
 * (NX). An entry that cannot take a right counts as giving it (IrekoTableLevel.implied).
 *
 * An IrekoGpa here is an address of the machine that built the table, and what a walk lands on is
 * one too.
 */
#include "xray/entry.h"
#include "xray/kept.h"
#include "xray/parts.h"

#define WRITE        2u
#define USER         4u
#define NX           ((uint64_t)1 << 63)
#define ACCESSED     (1u << 5)
#define DIRTY        (1u << 6)
#define EPT_READ     1u
#define EPT_WRITE    2u
#define EPT_FETCH    4u
#define EPT_ACCESSED (1u << 8)
#define EPT_DIRTY    (1u << 9)
#define EPT_USER     (1u << 10)
#define EVERY_RIGHT                                                                                \
    (IREKO_RIGHT_READ | IREKO_RIGHT_WRITE | IREKO_RIGHT_FETCH | IREKO_RIGHT_USER |                 \
     IREKO_RIGHT_USER_FETCH)
#define ACCESS_KINDS (IREKO_ACCESS_READ | IREKO_ACCESS_WRITE | IREKO_ACCESS_FETCH)

/* A walk on its way down. */
typedef struct {
    unsigned level;    /* of the entry that is read next, */
    uint64_t table_at; /* and of the table it is in */
    IrekoEntrySum sum; /* of the entries above */
    IrekoRow row;      /* that the tables are in */
    uint64_t raw[IREKO_LEVELS];
} Descent;

static bool
ends(IrekoWalk *walk, IrekoCause cause)
{
    walk->cause = cause;
    return false;
}

unsigned
ireko_entry_rights(const IrekoTable *table, const IrekoEntrySum *sum)
{
    unsigned rights = IREKO_RIGHT_READ;
    if (ireko_table_is_ept(table)) {
        uint64_t user_fetch = table->ept_user ? EPT_USER : EPT_FETCH;
        rights = IREKO_RIGHT_USER | (unsigned)(sum->all & (EPT_READ | EPT_WRITE | EPT_FETCH));
        return rights | ((sum->all & user_fetch) != 0 ? IREKO_RIGHT_USER_FETCH : 0);
    }
    if ((sum->all & WRITE) != 0)
        rights |= IREKO_RIGHT_WRITE;
    if ((sum->all & USER) != 0)
        rights |= IREKO_RIGHT_USER;
    if (!table->nx || (sum->any & NX) == 0)
        rights |= IREKO_RIGHT_FETCH | ((sum->all & USER) != 0 ? IREKO_RIGHT_USER_FETCH : 0);
    return rights;
}

/* Why ACCESS is denied where all levels together give RIGHTS; RET_RIGHT is what was missing. */
static IrekoCause
denied(const IrekoTable *table, unsigned rights, unsigned access, unsigned *ret_right)
{
    bool ept = ireko_table_is_ept(table), fetch = (access & IREKO_ACCESS_FETCH) != 0;
    bool user = (access & IREKO_ACCESS_USER) != 0 || (table->nested && !ept);
    bool data = (access & (IREKO_ACCESS_READ | IREKO_ACCESS_WRITE)) != 0;
    unsigned fetch_right = ept && user ? IREKO_RIGHT_USER_FETCH : IREKO_RIGHT_FETCH;
    const struct {
        bool needed;
        unsigned right;
        IrekoCause cause;
    } needs[] = {
        {user && !ept, IREKO_RIGHT_USER, IREKO_CAUSE_USER_DENIED},
        {(access & IREKO_ACCESS_READ) != 0, IREKO_RIGHT_READ, IREKO_CAUSE_READ_DENIED},
        {(access & IREKO_ACCESS_WRITE) != 0 && (user || ept || table->protect), IREKO_RIGHT_WRITE,
         IREKO_CAUSE_WRITE_DENIED},
        {fetch, fetch_right, IREKO_CAUSE_FETCH_DENIED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(needs); i++) {
        if (needs[i].needed && (rights & needs[i].right) == 0) {
            *ret_right = needs[i].right;
            return needs[i].cause;
        }
    }
    *ret_right = IREKO_RIGHT_USER; /* the one that may be in the way */
    bool of_user = !ept && !user && table->top > 0 && (rights & IREKO_RIGHT_USER) != 0;
    if (of_user && ((fetch && table->smep) || (data && table->smap)))
        return IREKO_CAUSE_SUPERVISOR_DENIED;
    return IREKO_CAUSE_NONE;
}

/* The outermost level whose entry alone lacks RIGHT. */
static uint8_t
denier_of(const IrekoTable *table, const Descent *descent, unsigned lowest, unsigned right)
{
    for (unsigned level = table->top; level > lowest; level--) {
        IrekoEntrySum alone = {.all = UINT64_MAX};
        ireko_entry_add(table, level, descent->raw[level], &alone);
        if ((ireko_entry_rights(table, &alone) & right) == 0)
            return (uint8_t)level;
    }
    return (uint8_t)lowest;
}

/* What is right in the rights: WALK has found its page. */
static bool
judge(const IrekoTable *table, const Descent *descent, unsigned access, IrekoWalk *walk)
{
    unsigned right = 0;
    if ((access & ACCESS_KINDS) == 0)
        return true;
    walk->cause = denied(table, walk->rights, access, &right);
    if (walk->cause == IREKO_CAUSE_NONE)
        return true;
    walk->denier = walk->cause == IREKO_CAUSE_SUPERVISOR_DENIED
                       ? walk->level
                       : denier_of(table, descent, walk->level, right);
    return false;
}

/* Bits of the address of a page that are not from the address itself. */
static uint64_t
page_at(const IrekoTable *table, const IrekoTableLevel *level, uint64_t raw)
{
    uint64_t at = raw & level->page_mask;
    if (table->paging == IREKO_PAGING_32 && level->shift > 12)
        at |= (raw >> 13 & 0xff) << 32; /* PSE-36 */
    return at;
}

void
ireko_entry_lands(const IrekoTable *table,
                  unsigned level,
                  uint64_t raw,
                  const IrekoEntrySum *sum,
                  IrekoWalk *ret_walk)
{
    bool ept = ireko_table_is_ept(table), marks = !ept || table->ept_dirty;
    *ret_walk = (IrekoWalk){
        .at = {page_at(table, &table->levels[level], raw)},
        .page_bytes = (uint64_t)1 << table->levels[level].shift,
        .raw = raw,
        .level = (uint8_t)level,
        .rights = (uint8_t)ireko_entry_rights(table, sum),
        .accessed = marks && (raw & (ept ? EPT_ACCESSED : ACCESSED)) != 0,
        .dirty = marks && (raw & (ept ? EPT_DIRTY : DIRTY)) != 0,
    };
}

static void
record(GArray *steps, const IrekoStep *step)
{
    if (steps != NULL)
        g_array_append_val(steps, *step);
}

/* Reads the entry of DESCENT's level for ADDRESS and records it. */
static bool
read_entry(const IrekoTable *table,
           const IrekoMemory *memory,
           uint64_t address,
           Descent *descent,
           GArray *steps,
           uint64_t *ret_raw)
{
    const IrekoTableLevel *level = &table->levels[descent->level];
    uint64_t index = address >> level->shift & level->index_mask;
    IrekoGpa at = {descent->table_at + index * table->entry_bytes};
    uint64_t raw = 0; /* little-endian, and where an entry has 4 bytes the upper half stays 0 */
    bool there = ireko_memory_entry(memory, &descent->row, at, &raw, table->entry_bytes);
    *ret_raw = GUINT64_FROM_LE(raw);
    if (steps != NULL) {
        bool page = there && ireko_entry_is_page(table, descent->level, *ret_raw);
        record(steps, &(IrekoStep){.entry_at = at,
                                   .raw = there ? *ret_raw : 0,
                                   .page_bytes = page ? (uint64_t)1 << level->shift : 0,
                                   .level = (uint8_t)descent->level,
                                   .unread = !there});
    }
    return there;
}

static bool
go_down(const IrekoTable *table,
        const IrekoMemory *memory,
        uint64_t address,
        Descent *descent,
        const IrekoWalkOrder *order,
        IrekoWalk *walk)
{
    for (;; descent->level--) {
        unsigned level = descent->level;
        uint64_t raw = 0;
        walk->level = (uint8_t)level;
        if (!read_entry(table, memory, address, descent, order->steps, &raw))
            return ends(walk, IREKO_CAUSE_NOT_RAM);
        bool page = ireko_entry_is_page(table, level, raw);
        walk->raw = descent->raw[level] = raw;
        IrekoCause cause = ireko_entry_cause(table, level, raw, page);
        if (cause != IREKO_CAUSE_NONE)
            return ends(walk, cause);
        ireko_entry_add(table, level, raw, &descent->sum);
        if (page) { /* at the PT's level at the latest */
            ireko_entry_lands(table, level, raw, &descent->sum, walk);
            walk->at.at |= address & (walk->page_bytes - 1);
            return judge(table, descent, order->access, walk);
        }
        descent->table_at = raw & table->table_mask;
        if (level == IREKO_LEVEL_PD && order->kept != NULL)
            ireko_kept_put(table, address, descent->table_at, &descent->sum, order->kept);
    }
}

/* Why ADDRESS is none that TABLE could translate. */
static IrekoCause
address_cause(const IrekoTable *table, uint64_t address)
{
    if (table->nested || table->width == 32)
        return address >> table->width != 0 ? IREKO_CAUSE_TOO_WIDE : IREKO_CAUSE_NONE;
    uint64_t sign = address >> (table->width - 1);
    bool canonical = sign == 0 || sign == UINT64_MAX >> (table->width - 1);
    return canonical ? IREKO_CAUSE_NONE : IREKO_CAUSE_NOT_CANONICAL;
}

bool
ireko_walk(const IrekoTable *table,
           const IrekoMemory *memory,
           uint64_t address,
           const IrekoWalkOrder *order,
           IrekoWalk *ret_walk)
{
    Descent descent;
    *ret_walk = (IrekoWalk){.cause = address_cause(table, address)};
    if (ret_walk->cause != IREKO_CAUSE_NONE)
        return false;
    if (table->bad_root)
        return ends(ret_walk, IREKO_CAUSE_BAD_ROOT);
    if (table->top == 0) {
        ret_walk->at.at = address;
        ret_walk->rights = EVERY_RIGHT;
        return true;
    }
    const IrekoKept *kept =
        order->kept != NULL ? ireko_kept_get(table, address, order->kept) : NULL;
    descent.row.len = 0;
    descent.level = kept != NULL ? IREKO_LEVEL_PT : table->top;
    descent.table_at = kept != NULL ? kept->table_at : table->root.at;
    descent.sum = kept != NULL ? kept->sum : (IrekoEntrySum){.all = UINT64_MAX};
    return go_down(table, memory, address, &descent, order, ret_walk);
}

bool
ireko_walk_gva(const IrekoTable *table,
               const IrekoMemory *memory,
               IrekoGva address,
               unsigned access,
               GArray *steps,
               IrekoWalk *ret_walk)
{
    const IrekoWalkOrder order = {.access = access, .steps = steps};
    return ireko_walk(table, memory, address.at, &order, ret_walk);
}

bool
ireko_walk_npa(const IrekoTable *table,
               const IrekoMemory *memory,
               IrekoNpa address,
               unsigned access,
               GArray *steps,
               IrekoWalk *ret_walk)
{
    const IrekoWalkOrder order = {.access = access, .steps = steps};
    return ireko_walk(table, memory, address.at, &order, ret_walk);
}

const char *
ireko_cause_name(IrekoCause cause)
{
    static const char *const names[IREKO_CAUSES] = {
        [IREKO_CAUSE_NONE] = "none",
        [IREKO_CAUSE_NOT_PRESENT] = "not-present",
        [IREKO_CAUSE_RESERVED_BIT] = "reserved-bit",
        [IREKO_CAUSE_MISCONFIGURED] = "misconfigured",
        [IREKO_CAUSE_NOT_RAM] = "not-ram",
        [IREKO_CAUSE_BAD_ROOT] = "bad-root",
        [IREKO_CAUSE_NOT_CANONICAL] = "not-canonical",
        [IREKO_CAUSE_TOO_WIDE] = "too-wide",
        [IREKO_CAUSE_READ_DENIED] = "read-denied",
        [IREKO_CAUSE_WRITE_DENIED] = "write-denied",
        [IREKO_CAUSE_FETCH_DENIED] = "fetch-denied",
        [IREKO_CAUSE_USER_DENIED] = "user-denied",
        [IREKO_CAUSE_SUPERVISOR_DENIED] = "supervisor-denied",
        [IREKO_CAUSE_TOO_MANY_READS] = "too-many-reads",
    };
    return cause < IREKO_CAUSES ? names[cause] : "unknown";
}
