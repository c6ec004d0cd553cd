/* The manuals again, the slow way. */
#include "oracle.h"

#include <string.h>

static bool
is_ept(const OracleTable *table)
{
    return table->paging == IREKO_PAGING_EPT4 || table->paging == IREKO_PAGING_EPT5;
}

static bool
is_long(const OracleTable *table)
{
    return table->paging == IREKO_PAGING_4 || table->paging == IREKO_PAGING_5;
}

static bool
bit(uint64_t value, unsigned n)
{
    return (value >> n & 1) != 0;
}

/* SDM tables 4-5, 4-6 (32-bit), 4-8 to 4-11 (PAE), 4-14 to 4-20 (4- and 5-level), 29-1 to 29-6
 * (EPT): may bit N of an entry be set? */
static bool
may_be_set(const OracleTable *table, unsigned level, bool page, unsigned n)
{
    bool address_beyond = n >= table->phys;
    if (table->paging == IREKO_PAGING_32) {
        unsigned m = table->phys < 40 ? table->phys : 40;
        return !(page && level == 2 && n <= 21 && n >= m - 19);
    }
    if (table->paging == IREKO_PAGING_PAE && level == 3)
        return !(n == 1 || n == 2 || (n >= 5 && n <= 8) || address_beyond);
    if (table->paging == IREKO_PAGING_PAE) {
        if (n == 63)
            return table->nx;
        return !address_beyond && !(page && level == 2 && n >= 13 && n <= 20);
    }
    if (n <= 51 && address_beyond)
        return false;
    if (is_ept(table)) {
        if (!page && level >= 4 && n >= 3 && n <= 7)
            return false;
        if (!page && (level == 2 || level == 3) && n >= 3 && n <= 6)
            return false;
        if (level == 3 && n == 7)
            return table->has_1g;
        return !(page &&
                 ((level == 3 && n >= 12 && n <= 29) || (level == 2 && n >= 12 && n <= 20)));
    }
    if (n == 63)
        return table->nx;
    if (n == 7 && level >= 4)
        return false;
    if (n == 7 && level == 3)
        return table->has_1g;
    return !(page && ((level == 3 && n >= 13 && n <= 29) || (level == 2 && n >= 13 && n <= 20)));
}

static bool
read_memory(const OracleMemory *memory, uint64_t at, unsigned bytes, uint64_t *ret_value)
{
    *ret_value = 0;
    if (memory->nested != NULL) {
        OracleAnswer answer = oracle_walk(memory->nested, memory->outer, at, 0);
        return answer.cause == IREKO_CAUSE_NONE &&
               read_memory(memory->outer, answer.at, bytes, ret_value);
    }
    if (at >= memory->len || memory->len - at < bytes)
        return false;
    memcpy(ret_value, memory->bytes + at, bytes);
    return true;
}

static bool
is_present(const OracleTable *table, uint64_t entry)
{
    if (is_ept(table))
        return bit(entry, 0) || bit(entry, 1) || bit(entry, 2) ||
               (table->user_fetch && bit(entry, 10));
    return bit(entry, 0);
}

static bool
is_page(const OracleTable *table, unsigned level, uint64_t entry)
{
    if (level == 1)
        return true;
    if (!bit(entry, 7))
        return false;
    switch (table->paging) {
    case IREKO_PAGING_32:
        return table->pse;
    case IREKO_PAGING_PAE:
        return level == 2;
    case IREKO_PAGING_4:
    case IREKO_PAGING_5:
    case IREKO_PAGING_EPT4:
    case IREKO_PAGING_EPT5:
        return level == 2 || (level == 3 && table->has_1g);
    case IREKO_PAGING_NONE:
    default:
        g_assert_not_reached();
    }
}

/* What EPT calls a misconfiguration, but for reserved bits. */
static bool
is_misconfigured(const OracleTable *table, uint64_t entry, bool page)
{
    bool r = bit(entry, 0), w = bit(entry, 1), x = bit(entry, 2);
    bool ux = table->user_fetch && bit(entry, 10);
    if (!is_ept(table))
        return false;
    if ((!r && w) || (!r && (x || ux) && !table->fetch_only))
        return true;
    unsigned type = (unsigned)(entry / 8 % 8);
    return page && type != 0 && type != 1 && type != 4 && type != 5 && type != 6;
}

static bool
root_is_bad(const OracleTable *table)
{
    if (is_ept(table)) {
        unsigned type = (unsigned)(table->root % 8);
        unsigned length = (unsigned)(table->root / 8 % 8);
        if (type != 0 && type != 6)
            return true;
        if (length != (table->paging == IREKO_PAGING_EPT5 ? 4 : 3))
            return true;
        for (unsigned n = 8; n < 64; n++) {
            if (bit(table->root, n) && (n <= 11 || n >= table->phys))
                return true;
        }
        return false;
    }
    for (unsigned n = table->phys; is_long(table) && n < 64; n++) {
        if (bit(table->root, n) && n != 61 && n != 62) /* LAM */
            return true;
    }
    return table->paging == IREKO_PAGING_NONE && table->nested;
}

/* 0: it can be asked. */
static IrekoCause
address_is_bad(const OracleTable *table, uint64_t address)
{
    static const unsigned widths[] = {32, 32, 32, 48, 57, 48, 57};
    unsigned width = widths[table->paging];
    if (table->nested || width == 32) {
        for (unsigned n = width; n < 64; n++) {
            if (bit(address, n))
                return IREKO_CAUSE_TOO_WIDE;
        }
        return IREKO_CAUSE_NONE;
    }
    for (unsigned n = width; n < 64; n++) {
        if (bit(address, n) != bit(address, width - 1))
            return IREKO_CAUSE_NOT_CANONICAL;
    }
    return IREKO_CAUSE_NONE;
}

static void
take_rights(const OracleTable *table, unsigned level, uint64_t entry, OracleAnswer *answer)
{
    if (is_ept(table)) {
        answer->read &= bit(entry, 0);
        answer->write &= bit(entry, 1);
        answer->fetch &= bit(entry, 2);
        answer->user_fetch &= bit(entry, table->user_fetch ? 10 : 2);
        return;
    }
    if (table->paging == IREKO_PAGING_PAE && level == 3)
        return;
    answer->write &= bit(entry, 1);
    answer->user &= bit(entry, 2);
    if (table->paging != IREKO_PAGING_32 && table->nx)
        answer->fetch &= !bit(entry, 63);
    answer->user_fetch = answer->fetch && answer->user;
}

static IrekoCause
judge(const OracleTable *table, const OracleAnswer *answer, unsigned access)
{
    bool reads = (access & IREKO_ACCESS_READ) != 0, writes = (access & IREKO_ACCESS_WRITE) != 0;
    bool fetches = (access & IREKO_ACCESS_FETCH) != 0, user = (access & IREKO_ACCESS_USER) != 0;
    if (!reads && !writes && !fetches)
        return IREKO_CAUSE_NONE;
    if (is_ept(table)) {
        if (reads && !answer->read)
            return IREKO_CAUSE_READ_DENIED;
        if (writes && !answer->write)
            return IREKO_CAUSE_WRITE_DENIED;
        if (fetches && !(user ? answer->user_fetch : answer->fetch))
            return IREKO_CAUSE_FETCH_DENIED;
        return IREKO_CAUSE_NONE;
    }
    if (table->nested)
        user = true;
    if (user && !answer->user)
        return IREKO_CAUSE_USER_DENIED;
    if (writes && !answer->write && (user || table->wp))
        return IREKO_CAUSE_WRITE_DENIED;
    if (fetches && !answer->fetch)
        return IREKO_CAUSE_FETCH_DENIED;
    if (!user && answer->user && fetches && table->smep)
        return IREKO_CAUSE_SUPERVISOR_DENIED;
    if (!user && answer->user && (reads || writes) && table->smap)
        return IREKO_CAUSE_SUPERVISOR_DENIED;
    return IREKO_CAUSE_NONE;
}

/* Index bits, and the lowest of them. */
static void
index_bits(const OracleTable *table, unsigned level, unsigned *ret_low, unsigned *ret_n)
{
    bool narrow = table->paging == IREKO_PAGING_32;
    *ret_low = narrow ? 12 + 10 * (level - 1) : 12 + 9 * (level - 1);
    *ret_n = narrow ? 10 : table->paging == IREKO_PAGING_PAE && level == 3 ? 2 : 9;
}

static uint64_t
page_address(const OracleTable *table, unsigned level, uint64_t entry)
{
    if (table->paging == IREKO_PAGING_32 && level == 2)
        return (entry & 0xffc00000) + ((entry >> 13) % 256) * ((uint64_t)1 << 32);
    unsigned low = 0, n = 0;
    index_bits(table, level, &low, &n);
    uint64_t at = 0;
    for (unsigned i = low; i < 52 && i < table->phys; i++)
        at += bit(entry, i) ? (uint64_t)1 << i : 0;
    return at;
}

static uint64_t
table_address(const OracleTable *table, uint64_t entry)
{
    uint64_t at = 0;
    for (unsigned i = 12; i < 52 && i < table->phys; i++)
        at += bit(entry, i) ? (uint64_t)1 << i : 0;
    return table->paging == IREKO_PAGING_32 ? at % ((uint64_t)1 << 32) : at;
}

static bool
ends(OracleAnswer *answer, IrekoCause cause)
{
    answer->cause = cause;
    return false;
}

/* One level; false where the walk is at its end. */
static bool
step(const OracleTable *table,
     const OracleMemory *memory,
     uint64_t address,
     uint64_t *at,
     OracleAnswer *answer)
{
    unsigned level = answer->level, low = 0, n = 0;
    unsigned entry_bytes = table->paging == IREKO_PAGING_32 ? 4 : 8;
    index_bits(table, level, &low, &n);
    uint64_t index = (address >> low) % ((uint64_t)1 << n), entry = 0;
    if (!read_memory(memory, *at + index * entry_bytes, entry_bytes, &entry))
        return ends(answer, IREKO_CAUSE_NOT_RAM);
    if (!is_present(table, entry))
        return ends(answer, IREKO_CAUSE_NOT_PRESENT);
    bool page = is_page(table, level, entry);
    for (unsigned i = 0; i < 64; i++) {
        if (bit(entry, i) && !may_be_set(table, level, page, i))
            return ends(answer, IREKO_CAUSE_RESERVED_BIT);
    }
    if (is_misconfigured(table, entry, page))
        return ends(answer, IREKO_CAUSE_MISCONFIGURED);
    take_rights(table, level, entry, answer);
    if (!page) {
        *at = table_address(table, entry);
        return true;
    }
    answer->page_bytes = (uint64_t)1 << low;
    answer->at = page_address(table, level, entry) + address % answer->page_bytes;
    bool kept = !is_ept(table) || bit(table->root, 6);
    answer->accessed = kept && bit(entry, is_ept(table) ? 8 : 5);
    answer->dirty = kept && bit(entry, is_ept(table) ? 9 : 6);
    return false;
}

OracleAnswer
oracle_walk(const OracleTable *table, const OracleMemory *memory, uint64_t address, unsigned access)
{
    static const unsigned levels[] = {0, 2, 3, 4, 5, 4, 5};
    OracleAnswer answer = {
        .read = true, .write = true, .fetch = true, .user = true, .user_fetch = true};
    answer.cause = address_is_bad(table, address);
    if (answer.cause == IREKO_CAUSE_NONE && root_is_bad(table))
        answer.cause = IREKO_CAUSE_BAD_ROOT;
    if (answer.cause != IREKO_CAUSE_NONE)
        return answer;
    if (table->paging == IREKO_PAGING_NONE) {
        answer.at = address;
        return answer;
    }
    uint64_t at = table_address(table, table->root);
    if (table->paging == IREKO_PAGING_PAE)
        at = table->root % ((uint64_t)1 << 32) / 32 * 32;
    for (answer.level = levels[table->paging]; step(table, memory, address, &at, &answer);)
        answer.level--;
    if (answer.cause == IREKO_CAUSE_NONE)
        answer.cause = judge(table, &answer, access);
    return answer;
}

IrekoTable
oracle_table(const OracleTable *table)
{
    if (is_ept(table)) {
        IrekoEptFeatures features = {.phys_bits = (uint8_t)table->phys,
                                     .no_1g = !table->has_1g,
                                     .fetch_only = table->fetch_only,
                                     .user = table->user_fetch};
        return ireko_table_ept(table->root, &features);
    }
    bool pae = table->paging == IREKO_PAGING_PAE || is_long(table);
    IrekoPagingState state = {
        .cr0 = (table->paging != IREKO_PAGING_NONE ? 0x80000001 : 1) | (table->wp ? 1 << 16 : 0),
        .cr3 = table->root,
        .cr4 = (table->pse ? 1 << 4 : 0) | (pae ? 1 << 5 : 0) |
               (table->paging == IREKO_PAGING_5 ? 1 << 12 : 0) | (table->smep ? 1 << 20 : 0) |
               (table->smap ? 1 << 21 : 0),
        .efer = (is_long(table) ? 0x500 : 0) | (table->nx ? 1 << 11 : 0),
        .phys_bits = (uint8_t)table->phys,
        .no_1g = !table->has_1g,
    };
    return table->nested ? ireko_table_npt(&state, table->root) : ireko_table_own(&state);
}
