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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/walk/an-address-lands-where-its-table-says",
                    test_an_address_lands_where_its_table_says);
    return g_test_run();
}
