/* Walks through one table: where they land, what they cost, and what ends them. */
#include <string.h>

#include "tables.h"

#define MIB      ((uint64_t)1 << 20)
#define RAM      (8 * MIB)
#define GIB      ((uint64_t)1 << 30)
#define KERNEL_4 0xffff888000000000
#define KERNEL_5 0xff11000000000000

/* ---- where it lands ---- */

static const struct {
    const char *label;
    IrekoPaging paging;
    bool nested;
    unsigned level; /* of the page */
    uint64_t address, to;
} landings[] = {
    {"4-level, 4 KiB", IREKO_PAGING_4, false, 1, 0x7f1234567abc, 0x123000},
    {"4-level, 2 MiB", IREKO_PAGING_4, false, 2, 0x7f1234567abc, 6 * MIB},
    {"4-level, 1 GiB", IREKO_PAGING_4, false, 3, 0x7f1234567abc, 5 * GIB},
    {"4-level, the upper half", IREKO_PAGING_4, false, 1, KERNEL_4 + 0xfff, 0x1000},
    {"5-level, 4 KiB", IREKO_PAGING_5, false, 1, 0x00e234567890abcd, 0x7ff000},
    {"5-level, 2 MiB, the upper half", IREKO_PAGING_5, false, 2, KERNEL_5 + 0x345678, 4 * MIB},
    {"5-level, 1 GiB", IREKO_PAGING_5, false, 3, KERNEL_5 + 0x345678, 512 * GIB},
    {"PAE, 4 KiB", IREKO_PAGING_PAE, false, 1, 0xc0123456, 0x321000},
    {"PAE, 4 KiB above 4 GiB", IREKO_PAGING_PAE, false, 1, 0x123456, 0x321000 + 64 * GIB},
    {"PAE, 2 MiB", IREKO_PAGING_PAE, false, 2, 0xffffffff, 2 * MIB},
    {"32-bit, 4 KiB", IREKO_PAGING_32, false, 1, 0xc0123456, 0x321000},
    {"32-bit, 4 MiB", IREKO_PAGING_32, false, 2, 0xc0123456, 4 * MIB},
    {"32-bit, 4 MiB above 4 GiB", IREKO_PAGING_32, false, 2, 0xc0123456, 4 * MIB + 0xab * 4 * GIB},
    {"NPT, 4 KiB", IREKO_PAGING_4, true, 1, 0xdeadbee, 0x123000},
    {"NPT, 2 MiB", IREKO_PAGING_4, true, 2, 0xffffdeadbeef, 6 * MIB},
    {"NPT of 5 levels, 1 GiB", IREKO_PAGING_5, true, 3, 0x1ffffffdeadbeef, GIB},
    {"NPT of a PAE host", IREKO_PAGING_PAE, true, 1, 0xdeadbee, 0x321000},
    {"NPT of a 32-bit host", IREKO_PAGING_32, true, 1, 0xdeadbee, 0x321000},
    {"EPT, 4 KiB", IREKO_PAGING_EPT4, true, 1, 0xdeadbee, 0x123000},
    {"EPT, 2 MiB", IREKO_PAGING_EPT4, true, 2, 0xffffdeadbeef, 6 * MIB},
    {"EPT of 5 levels, 1 GiB", IREKO_PAGING_EPT5, true, 3, 0x1ffffffdeadbeef, GIB},
};

static bool
walk(Machine *machine,
     const IrekoTable *table,
     uint64_t address,
     unsigned access,
     GArray *steps,
     IrekoWalk *ret_walk)
{
    IrekoRam ram;
    machine_ram(machine, &ram);
    IrekoMemory memory = ireko_ram_memory(&ram);
    return table->nested
               ? ireko_walk_npa(table, &memory, (IrekoNpa){address}, access, steps, ret_walk)
               : ireko_walk_gva(table, &memory, (IrekoGva){address}, access, steps, ret_walk);
}

static void
test_an_address_lands_where_its_table_says(void)
{
    static const unsigned shifts[] = {0, 12, 21, 30};
    for (size_t i = 0; i < G_N_ELEMENTS(landings); i++) {
        g_test_message("%s", landings[i].label);
        g_autoptr(Machine) machine = machine_new(RAM, NULL);
        IrekoTable table = table_new(machine, landings[i].paging, landings[i].nested);
        unsigned level = landings[i].level;
        table_map(machine, &table, landings[i].address, landings[i].to, level, T_ALL);

        g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(IrekoStep));
        IrekoWalk found;
        uint64_t bytes =
            table.paging == IREKO_PAGING_32 && level == 2 ? 4 * MIB : (uint64_t)1 << shifts[level];
        g_assert_true(walk(machine, &table, landings[i].address, 0, steps, &found));
        g_assert_cmphex(found.at.at, ==, landings[i].to | (landings[i].address & (bytes - 1)));
        g_assert_cmpuint(found.page_bytes, ==, bytes);
        g_assert_cmpuint(found.level, ==, level);
        g_assert_cmpint(found.cause, ==, IREKO_CAUSE_NONE);
        g_assert_cmpuint(steps->len, ==, (guint)table.top - level + 1);
        for (guint n = 0; n < steps->len; n++) {
            const IrekoStep *step = &g_array_index(steps, IrekoStep, n);
            g_assert_cmpuint(step->level, ==, table.top - n);
            g_assert_cmphex(step->entry_at.at, ==,
                            table_entry(machine, &table, landings[i].address, step->level));
            g_assert_cmphex(step->raw, ==,
                            machine_get(machine, step->entry_at.at, table.entry_bytes));
            g_assert_cmpuint(step->page_bytes, ==, n + 1 == steps->len ? bytes : 0);
        }
    }
}

/* ---- what ends it ---- */

/* Each row maps 4 KiB at 0x1000, or a larger page at 0, changes one entry, and walks. */
static const struct {
    const char *label;
    IrekoPaging paging;
    bool nested;
    unsigned page_level;
    unsigned level; /* whose entry is changed: these bits set, those cleared */
    uint64_t set, clear;
    unsigned access;
    IrekoCause cause;
} ends[] = {
    {"nothing is changed", IREKO_PAGING_4, false, 1, 1, 0, 0, 0, IREKO_CAUSE_NONE},
    {"P of a PTE", IREKO_PAGING_4, false, 1, 1, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT},
    {"P of a PML5E", IREKO_PAGING_5, false, 1, 5, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT},
    {"a table in no RAM", IREKO_PAGING_4, false, 1, 3, GIB << 5, 0, 0, IREKO_CAUSE_NOT_RAM},
    {"a page in no RAM is a page", IREKO_PAGING_4, false, 1, 1, GIB << 5, 0, 0, IREKO_CAUSE_NONE},
    {"bit 39, MAXPHYADDR being 40", IREKO_PAGING_4, false, 1, 1, GIB << 9, 0, 0, IREKO_CAUSE_NONE},
    {"bit 40", IREKO_PAGING_4, false, 1, 1, GIB << 10, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 51", IREKO_PAGING_4, false, 1, 4, GIB << 21, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 52 is ignored", IREKO_PAGING_4, false, 1, 4, GIB << 22, 0, 0, IREKO_CAUSE_NONE},
    {"bit 52 is not in PAE", IREKO_PAGING_PAE, false, 1, 1, GIB << 22, 0, 0,
     IREKO_CAUSE_RESERVED_BIT},
    {"PS of a PML4E", IREKO_PAGING_4, false, 1, 4, T_PS, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"W of a PDPTE of PAE", IREKO_PAGING_PAE, false, 1, 3, T_W, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 62 in PAE", IREKO_PAGING_PAE, false, 1, 2, GIB << 32, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 8 of a PDPTE of PAE", IREKO_PAGING_PAE, false, 1, 3, 1 << 8, 0, 0,
     IREKO_CAUSE_RESERVED_BIT},
    {"NX of a PDPTE of PAE", IREKO_PAGING_PAE, false, 1, 3, T_NX, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 12 of 2 MiB is PAT", IREKO_PAGING_4, false, 2, 2, 1 << 12, 0, 0, IREKO_CAUSE_NONE},
    {"bit 13 of 2 MiB", IREKO_PAGING_4, false, 2, 2, 1 << 13, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 29 of 1 GiB", IREKO_PAGING_4, false, 3, 3, 1 << 29, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 21 of 4 MiB", IREKO_PAGING_32, false, 2, 2, 1 << 21, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 20 of 4 MiB is bit 39", IREKO_PAGING_32, false, 2, 2, 1 << 20, 0, 0, IREKO_CAUSE_NONE},
    {"bit 12 of 2 MiB of EPT", IREKO_PAGING_EPT4, true, 2, 2, 1 << 12, 0, 0,
     IREKO_CAUSE_RESERVED_BIT},
    {"bit 3 of an EPT PDE", IREKO_PAGING_EPT4, true, 1, 2, 1 << 3, 0, 0, IREKO_CAUSE_RESERVED_BIT},
    {"bit 7 of an EPT PML5E", IREKO_PAGING_EPT5, true, 1, 5, 1 << 7, 0, 0,
     IREKO_CAUSE_RESERVED_BIT},
    {"W without R of EPT", IREKO_PAGING_EPT4, true, 1, 1, 0, E_R | E_X, 0,
     IREKO_CAUSE_MISCONFIGURED},
    {"X alone of EPT", IREKO_PAGING_EPT4, true, 1, 4, 0, E_R | E_W, 0, IREKO_CAUSE_MISCONFIGURED},
    {"memory type 2", IREKO_PAGING_EPT4, true, 1, 1, 2 << 3, 0, 0, IREKO_CAUSE_MISCONFIGURED},
    {"memory type 6", IREKO_PAGING_EPT4, true, 1, 1, 6 << 3, 0, 0, IREKO_CAUSE_NONE},
    {"none of R, W, X", IREKO_PAGING_EPT4, true, 1, 1, 0, 7, 0, IREKO_CAUSE_NOT_PRESENT},
    {"a write, W of the PDPTE clear", IREKO_PAGING_4, false, 1, 3, 0, T_W, IREKO_ACCESS_WRITE,
     IREKO_CAUSE_WRITE_DENIED},
    {"a read, W clear", IREKO_PAGING_4, false, 1, 3, 0, T_W, IREKO_ACCESS_READ, IREKO_CAUSE_NONE},
    {"a user's read, U of the PML4E clear", IREKO_PAGING_4, false, 1, 4, 0, T_U,
     IREKO_ACCESS_READ | IREKO_ACCESS_USER, IREKO_CAUSE_USER_DENIED},
    {"a supervisor's read, U clear", IREKO_PAGING_4, false, 1, 4, 0, T_U, IREKO_ACCESS_READ,
     IREKO_CAUSE_NONE},
    {"a fetch, NX of the PDE set", IREKO_PAGING_4, false, 1, 2, T_NX, 0, IREKO_ACCESS_FETCH,
     IREKO_CAUSE_FETCH_DENIED},
    {"a read, NX set", IREKO_PAGING_4, false, 1, 2, T_NX, 0, IREKO_ACCESS_READ, IREKO_CAUSE_NONE},
    {"everyone is a user in NPT", IREKO_PAGING_4, true, 1, 2, 0, T_U, IREKO_ACCESS_READ,
     IREKO_CAUSE_USER_DENIED},
    {"no access at all in NPT", IREKO_PAGING_4, true, 1, 2, 0, T_U, 0, IREKO_CAUSE_NONE},
    {"a fetch, X of EPT clear", IREKO_PAGING_EPT4, true, 1, 3, 0, E_X, IREKO_ACCESS_FETCH,
     IREKO_CAUSE_FETCH_DENIED},
    {"a write, W of EPT clear", IREKO_PAGING_EPT4, true, 2, 2, 0, E_W, IREKO_ACCESS_WRITE,
     IREKO_CAUSE_WRITE_DENIED},
};

static void
test_a_walk_ends_at_the_entry_that_ends_it(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_test_message("%s", ends[i].label);
        g_autoptr(Machine) machine = machine_new(RAM, NULL);
        IrekoTable table = table_new(machine, ends[i].paging, ends[i].nested);
        uint64_t address = ends[i].page_level == 1 ? 0x1000 : 0;
        table_map(machine, &table, address, 0, ends[i].page_level, T_ALL);
        uint64_t entry_at = table_entry(machine, &table, address, ends[i].level);
        uint64_t raw = machine_get(machine, entry_at, table.entry_bytes);
        raw = (raw & ~ends[i].clear) | ends[i].set;
        machine_set(machine, entry_at, raw, table.entry_bytes);

        g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(IrekoStep));
        IrekoWalk found;
        bool there = walk(machine, &table, address, ends[i].access, steps, &found);
        g_assert_cmpstr(ireko_cause_name(found.cause), ==, ireko_cause_name(ends[i].cause));
        g_assert_cmpint(there, ==, found.cause == IREKO_CAUSE_NONE);
        const IrekoStep *last = &g_array_index(steps, IrekoStep, steps->len - 1);
        g_assert_cmpuint(last->level, ==, found.level);
        if (found.cause == IREKO_CAUSE_NOT_RAM) { /* of what the entry named */
            g_assert_cmpuint(found.level, ==, ends[i].level - 1);
            g_assert_true(last->unread);
        } else if (!there) {
            unsigned level = found.denier != 0 ? found.denier : found.level;
            g_assert_cmpuint(level, ==, ends[i].level);
            g_assert_cmphex(last->raw, ==, found.raw);
        }
        g_assert_cmpint(found.denier != 0, ==, !there && found.page_bytes != 0);
    }
}

/* ---- roots and addresses ---- */

static const struct {
    const char *label;
    IrekoPaging paging;
    bool nested;
    uint64_t root, address;
    IrekoCause cause;
} beginnings[] = {
    {"PCID and PWT are not of the root", IREKO_PAGING_4, false, 0x3fff, 0, IREKO_CAUSE_NOT_PRESENT},
    {"CR3 above MAXPHYADDR", IREKO_PAGING_4, false, GIB << 10, 0, IREKO_CAUSE_BAD_ROOT},
    {"CR3 with LAM", IREKO_PAGING_5, false, GIB << 31, 0, IREKO_CAUSE_NOT_PRESENT},
    {"nCR3 above MAXPHYADDR", IREKO_PAGING_5, true, GIB << 20, 0, IREKO_CAUSE_BAD_ROOT},
    {"the upper half of CR3 in PAE", IREKO_PAGING_PAE, false, GIB << 20, 0,
     IREKO_CAUSE_NOT_PRESENT},
    {"a root in no RAM", IREKO_PAGING_4, false, GIB, 0, IREKO_CAUSE_NOT_RAM},
    {"an EPTP of 4 levels", IREKO_PAGING_EPT4, true, 0x101e, 0, IREKO_CAUSE_NOT_PRESENT},
    {"an EPTP of 3 levels", IREKO_PAGING_EPT4, true, 0x1016, 0, IREKO_CAUSE_BAD_ROOT},
    {"an EPTP with memory type 1", IREKO_PAGING_EPT4, true, 0x1019, 0, IREKO_CAUSE_BAD_ROOT},
    {"an EPTP with bit 8", IREKO_PAGING_EPT4, true, 0x111e, 0, IREKO_CAUSE_BAD_ROOT},
    {"an EPTP with bit 11", IREKO_PAGING_EPT4, true, 0x181e, 0, IREKO_CAUSE_BAD_ROOT},
    {"an EPTP above MAXPHYADDR", IREKO_PAGING_EPT4, true, GIB << 10 | 0x1e, 0,
     IREKO_CAUSE_BAD_ROOT},
    {"the last of the lower half", IREKO_PAGING_4, false, 0, 0x7fffffffffff,
     IREKO_CAUSE_NOT_PRESENT},
    {"not canonical", IREKO_PAGING_4, false, 0, 0x800000000000, IREKO_CAUSE_NOT_CANONICAL},
    {"not canonical, high", IREKO_PAGING_4, false, 0, 0xffff7fffffffffff,
     IREKO_CAUSE_NOT_CANONICAL},
    {"canonical in 5 levels", IREKO_PAGING_5, false, 0, 0x800000000000, IREKO_CAUSE_NOT_PRESENT},
    {"not canonical in 5 levels", IREKO_PAGING_5, false, 0, GIB << 26, IREKO_CAUSE_NOT_CANONICAL},
    {"33 bits in PAE", IREKO_PAGING_PAE, false, 0, 4 * GIB, IREKO_CAUSE_TOO_WIDE},
    {"33 bits without paging", IREKO_PAGING_NONE, false, 0, 4 * GIB, IREKO_CAUSE_TOO_WIDE},
    {"49 bits in NPT", IREKO_PAGING_4, true, 0, 0x1000000000000, IREKO_CAUSE_TOO_WIDE},
    {"NPT of a host without paging", IREKO_PAGING_NONE, true, 0x1000, 0, IREKO_CAUSE_BAD_ROOT},
    {"NPT has no upper half", IREKO_PAGING_4, true, 0, 0xffff800000000000, IREKO_CAUSE_TOO_WIDE},
    {"48 bits in NPT", IREKO_PAGING_4, true, 0, 0xffffffffffff, IREKO_CAUSE_NOT_PRESENT},
};

static void
test_a_walk_begins_where_root_and_address_allow(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(beginnings); i++) {
        g_test_message("%s", beginnings[i].label);
        g_autoptr(Machine) machine = machine_new(RAM, NULL);
        bool ept = beginnings[i].paging == IREKO_PAGING_EPT4;
        IrekoTable model = table_new(machine, beginnings[i].paging, beginnings[i].nested);
        IrekoPagingState state = {
            .cr0 = beginnings[i].paging == IREKO_PAGING_NONE ? 1 : 0x80000001,
            .cr3 = beginnings[i].root,
            .cr4 = beginnings[i].paging == IREKO_PAGING_5 ? 0x1020 : 0x20,
            .efer = beginnings[i].paging == IREKO_PAGING_PAE ? 0 : 0x500,
            .phys_bits = 40,
        };
        IrekoTable table =
            ept ? ireko_table_ept(beginnings[i].root, &(IrekoEptFeatures){.phys_bits = 40})
            : beginnings[i].nested ? ireko_table_npt(&state, beginnings[i].root)
                                   : ireko_table_own(&state);
        IrekoWalk found;
        g_assert_cmpint(table.paging, ==, model.paging);
        g_assert_false(walk(machine, &table, beginnings[i].address, 0, NULL, &found));
        g_assert_cmpstr(ireko_cause_name(found.cause), ==, ireko_cause_name(beginnings[i].cause));
    }
}

/* CR3 in PAE: four entries anywhere in the first 4 GiB, on 32 bytes (SDM table 4-7). */
static void
test_a_root_of_pae_is_not_on_a_page(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable table = table_new(machine, IREKO_PAGING_PAE, false);
    uint64_t root = table.root.at + 0x7e0;
    table_map(machine, &table, 0xc0001000, 0x5000, 1, T_ALL);
    for (uint64_t i = 0; i < 4; i++) {
        machine_set(machine, root + i * 8, machine_get(machine, table.root.at + i * 8, 8), 8);
        machine_set(machine, table.root.at + i * 8, 0, 8);
    }
    IrekoPagingState state = {.cr0 = 0x80000001, .cr3 = root | 0x18, .cr4 = 0x20};
    IrekoWalk found;
    table = ireko_table_own(&state);
    g_assert_true(walk(machine, &table, 0xc0001234, 0, NULL, &found));
    g_assert_cmphex(found.at.at, ==, 0x5234);
}

/* Tables at the end of what is there: the file is cut, in the middle of an entry, behind each of
 * them. */
static void
test_an_entry_that_is_cut_off_is_not_read(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable table = table_new(machine, IREKO_PAGING_4, false);
    table_map(machine, &table, 0x1ff000, 0x5000, 1, T_ALL);
    for (unsigned level = 1; level <= 4; level++) {
        uint64_t entry_at = table_entry(machine, &table, 0x1ff000, level);
        IrekoRam ram;
        machine_ram(machine, &ram);
        IrekoMemory memory = ireko_ram_memory(&ram);
        IrekoWalk found;
        for (unsigned missing = 0; missing < 8; missing++) {
            ram.len = entry_at + 8 - missing;
            (void)ireko_walk_gva(&table, &memory, (IrekoGva){0x1ff000}, 0, NULL, &found);
            bool cut = found.cause == IREKO_CAUSE_NOT_RAM;
            g_assert_true(missing == 0 ? !cut || found.level < level : cut && found.level <= level);
        }
    }
}

static void
test_formats_levels_and_causes_have_names(void)
{
    g_assert_cmpstr(ireko_paging_name(IREKO_PAGING_PAE), ==, "pae");
    g_assert_cmpstr(ireko_paging_name(IREKO_PAGING_EPT5), ==, "ept-5-level");
    g_assert_cmpstr(ireko_paging_name((IrekoPaging)99), ==, "unknown");
    g_assert_cmpstr(ireko_level_name(IREKO_LEVEL_PDPT), ==, "pdpt");
    g_assert_cmpstr(ireko_level_name(IREKO_LEVELS), ==, "unknown");
    g_assert_cmpstr(ireko_cause_name(IREKO_CAUSE_NOT_RAM), ==, "not-ram");
    g_assert_cmpstr(ireko_cause_name(IREKO_CAUSES), ==, "unknown");
    for (unsigned i = 0; i < IREKO_CAUSES; i++)
        g_assert_nonnull(ireko_cause_name((IrekoCause)i));
}

/* ---- RAM ---- */

static const struct {
    uint64_t ram_bytes, at;
    uint64_t row; /* 0: no RAM */
    uint64_t offset;
} pcs[] = {
    {2 * GIB, 0, 0xa0000, 0},
    {2 * GIB, 0x9fff8, 8, 0x9fff8},
    {2 * GIB, 0xa0000, 0, 0},
    {2 * GIB, 0xfffff, 0, 0},
    {2 * GIB, 0x100000, 2 * GIB - 0x100000, 0x100000},
    {2 * GIB, 2 * GIB - 1, 1, 2 * GIB - 1},
    {2 * GIB, 2 * GIB, 0, 0},
    {4 * GIB, 3 * GIB - 1, 1, 3 * GIB - 1},
    {4 * GIB, 3 * GIB, 0, 0},
    {4 * GIB, 4 * GIB, GIB, 3 * GIB},
    {4 * GIB, 5 * GIB, 0, 0},
    {0xe0000000, 0xc0000000, 0, 0},
    {0xe0000000, 4 * GIB, 0x20000000, 0xc0000000},
    {0xdff00000, 0xdfefffff, 1, 0xdfefffff},
    {0x80000, 0x7ffff, 1, 0x7ffff},
    {0x80000, 0x80000, 0, 0},
};

static void
test_a_pc_has_its_ram_around_its_holes(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(pcs); i++) {
        IrekoRamMap map = ireko_ram_map_pc(pcs[i].ram_bytes);
        IrekoOffset offset = {0};
        g_assert_cmphex(ireko_ram_map_row(&map, (IrekoGpa){pcs[i].at}, &offset), ==, pcs[i].row);
        g_assert_cmphex(offset.at, ==, pcs[i].offset);
    }
}

static void
test_ranges_are_whole_and_in_order(void)
{
    IrekoRamMap map = {.n = 0};
    g_assert_true(ireko_ram_map_add(&map, (IrekoGpa){0x2000}, 0x1000, (IrekoOffset){0}));
    g_assert_false(ireko_ram_map_add(&map, (IrekoGpa){0x1000}, 0x1000, (IrekoOffset){0}));
    g_assert_false(ireko_ram_map_add(&map, (IrekoGpa){0x2000}, 0x2000, (IrekoOffset){0}));
    g_assert_false(ireko_ram_map_add(&map, (IrekoGpa){0x4000}, 0, (IrekoOffset){0}));
    g_assert_false(ireko_ram_map_add(&map, (IrekoGpa){0x4000}, 0x800, (IrekoOffset){0}));
    g_assert_false(
        ireko_ram_map_add(&map, (IrekoGpa){UINT64_MAX - 0xfff}, 0x2000, (IrekoOffset){0}));
    g_assert_cmpuint(map.n, ==, 1);
    for (uint64_t i = 1; i < IREKO_RAM_RANGES_MAX; i++)
        g_assert_true(ireko_ram_map_add(&map, (IrekoGpa){i << 20}, 0x1000, (IrekoOffset){0}));
    g_assert_false(ireko_ram_map_add(&map, (IrekoGpa){GIB}, 0x1000, (IrekoOffset){0}));
}

static void
test_what_is_read_is_ram_to_the_last_byte(void)
{
    static uint8_t bytes[3 * 4096];
    IrekoRam ram = {.bytes = bytes, .len = sizeof bytes - 8}; /* the file is shorter than its map */
    uint8_t got[4096];
    size_t len = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i % 251);
    g_assert_true(ireko_ram_map_add(&ram.map, (IrekoGpa){0x1000}, 4096, (IrekoOffset){4096}));
    g_assert_true(ireko_ram_map_add(&ram.map, (IrekoGpa){0x8000}, 4096, (IrekoOffset){8192}));
    IrekoMemory memory = ireko_ram_memory(&ram);
    g_assert_true(memory.read(memory.data, (IrekoGpa){0x1003}, got, 4093));
    g_assert_cmpmem(got, 4093, bytes + 4099, 4093);
    g_assert_false(memory.read(memory.data, (IrekoGpa){0x1003}, got, 4094));
    g_assert_false(memory.read(memory.data, (IrekoGpa){0xfff}, got, 1));
    g_assert_false(memory.read(memory.data, (IrekoGpa){UINT64_MAX}, got, 8));
    g_assert_true(memory.read(memory.data, (IrekoGpa){0x8fef}, got, 8));
    g_assert_cmpmem(got, 8, bytes + 8192 + 0xfef, 8);
    g_assert_false(memory.read(memory.data, (IrekoGpa){0x8ff4}, got, 8));
    g_assert_false(memory.read(memory.data, (IrekoGpa){0x8ff8}, got, 8));
    g_assert_true(memory.window(memory.data, (IrekoGpa){0x8ff0}, &len) == bytes + 8192 + 0xff0);
    g_assert_cmpuint(len, ==, 8);
    g_assert_null(memory.window(memory.data, (IrekoGpa){0x8ff8}, &len));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/walk/an-address-lands-where-its-table-says",
                    test_an_address_lands_where_its_table_says);
    g_test_add_func("/walk/ends-at-the-entry-that-ends-it",
                    test_a_walk_ends_at_the_entry_that_ends_it);
    g_test_add_func("/walk/begins-where-root-and-address-allow",
                    test_a_walk_begins_where_root_and_address_allow);
    g_test_add_func("/walk/a-root-of-pae-is-not-on-a-page", test_a_root_of_pae_is_not_on_a_page);
    g_test_add_func("/walk/an-entry-that-is-cut-off-is-not-read",
                    test_an_entry_that_is_cut_off_is_not_read);
    g_test_add_func("/walk/formats-levels-and-causes-have-names",
                    test_formats_levels_and_causes_have_names);
    g_test_add_func("/memory/a-pc-has-its-ram-around-its-holes",
                    test_a_pc_has_its_ram_around_its_holes);
    g_test_add_func("/memory/ranges-are-whole-and-in-order", test_ranges_are_whole_and_in_order);
    g_test_add_func("/memory/what-is-read-is-ram-to-the-last-byte",
                    test_what_is_read_is_ram_to_the_last_byte);
    return g_test_run();
}
