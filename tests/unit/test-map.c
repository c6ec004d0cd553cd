/* Maps of tables: all pages, each once, where a walk finds them; and tables that mean harm. */
#include <string.h>

#include "tables.h"
#include "xray/map.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define RAM (8 * MIB)

typedef struct {
    IrekoRam ram;
    IrekoMemory memory;
    IrekoChain *chain; /* of the innermost machine */
} Reader;

static void
reader_init(Reader *reader, Machine *outermost, const IrekoTable *nested, size_t n)
{
    machine_ram(outermost, &reader->ram);
    reader->memory = ireko_ram_memory(&reader->ram);
    reader->chain = ireko_chain_new(&reader->memory, &reader->ram.map, nested, n);
}

static bool
keep_run(void *data, const IrekoRun *run)
{
    g_array_append_val((GArray *)data, *run);
    return true;
}

static GArray *
runs_of(IrekoChain *builder, const IrekoTable *table, IrekoMapEnd *ret_end)
{
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(IrekoRun));
    g_assert_true(ireko_map(builder, table, keep_run, runs, ret_end));
    return runs;
}

/* ---- what is mapped is what a walk finds ---- */

static const struct {
    const char *label;
    IrekoPaging own, nested; /* NESTED NONE: the machine is the outermost */
} spaces[] = {
    {"4-level", IREKO_PAGING_4, IREKO_PAGING_NONE},
    {"5-level", IREKO_PAGING_5, IREKO_PAGING_NONE},
    {"PAE", IREKO_PAGING_PAE, IREKO_PAGING_NONE},
    {"32-bit", IREKO_PAGING_32, IREKO_PAGING_NONE},
    {"4-level in NPT", IREKO_PAGING_4, IREKO_PAGING_4},
    {"32-bit in EPT", IREKO_PAGING_32, IREKO_PAGING_EPT4},
};

static uint64_t
random_address(GRand *random, const IrekoTable *table)
{
    uint64_t bits = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
    uint64_t address = bits & ((UINT64_MAX >> (64 - table->width)) & ~(uint64_t)4095);
    bool high = table->width > 32 && address >> (table->width - 1) != 0;
    return high ? address | UINT64_MAX << table->width : address;
}

static void
check_against_walks(Reader *reader, const IrekoTable *own, GArray *runs, GHashTable *mapped)
{
    uint64_t behind = 0;
    for (guint i = 0; i < runs->len; i++) {
        const IrekoRun *run = &g_array_index(runs, IrekoRun, i);
        g_assert_true(i == 0 || run->start >= behind);
        behind = run->start + run->bytes;
        for (uint64_t done = 0; done < run->bytes; done += 4096) {
            IrekoWay way;
            uint64_t address = run->start + done;
            bool there = ireko_chain_gva(reader->chain, own, (IrekoGva){address}, 0, NULL, &way);
            g_assert_cmpint(way.cause, ==, run->cause);
            g_assert_cmphex(way.physical[0], ==, run->to + done);
            g_assert_cmphex(way.gpa.at, ==, there ? run->gpa.at + done : way.gpa.at);
            g_assert_cmphex(way.offset.at, ==, there ? run->offset.at + done : 0);
            g_assert_cmpuint(way.rights, ==, there ? run->rights : way.rights);
            g_assert_cmpint(way.dirty, ==, run->dirty);
            g_hash_table_remove(mapped, GSIZE_TO_POINTER(address));
        }
    }
    g_assert_cmpuint(g_hash_table_size(mapped), ==, 0);
}

static void
test_a_map_has_every_page_that_a_walk_finds(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(spaces); i++) {
        g_test_message("%s", spaces[i].label);
        g_autoptr(GRand) random = g_rand_new_with_seed(11);
        g_autoptr(Machine) outer = machine_new(RAM, random);
        bool nested = spaces[i].nested != IREKO_PAGING_NONE;
        g_autoptr(Machine) inner =
            nested ? machine_new_inside(outer, spaces[i].nested, RAM / 4) : NULL;
        Machine *machine = nested ? inner : outer;
        IrekoTable own = table_new(machine, spaces[i].own, false);
        g_autoptr(GHashTable) mapped = g_hash_table_new(g_direct_hash, g_direct_equal);
        for (unsigned n = 0; n < 100; n++) {
            uint64_t address = random_address(random, &own);
            uint64_t bits = (n % 2 != 0 ? T_U : 0) | (n % 3 != 0 ? T_W | T_D : 0) | T_P;
            unsigned level = n % 10 == 0 ? 2 : 1;
            uint64_t to = level == 2 ? (n % 20 == 0 ? 4 * MIB : 8 * GIB) : machine_take(machine);
            if (to > UINT32_MAX && own.paging == IREKO_PAGING_32)
                to = 4 * MIB;
            (void)machine_outermost(machine, to); /* a page that is nowhere yet is given */
            uint64_t entry_at = table_entry(machine, &own, address, 2);
            if (level == 2 && machine_get(machine, entry_at, own.entry_bytes) != 0)
                continue;
            if ((machine_get(machine, entry_at, own.entry_bytes) & T_PS) != 0)
                continue;
            table_map(machine, &own, address, to, level, bits);
            if (n % 7 == 0) { /* rights are taken above the page, too */
                uint64_t raw = machine_get(machine, entry_at, own.entry_bytes);
                machine_set(machine, entry_at, raw & ~T_W, own.entry_bytes);
            }
            g_hash_table_add(mapped, GSIZE_TO_POINTER(address));
        }
        Reader reader;
        IrekoMapEnd end;
        reader_init(&reader, outer, nested ? &inner->nested : NULL, nested ? 1 : 0);
        g_autoptr(GArray) runs = runs_of(reader.chain, &own, &end);
        check_against_walks(&reader, &own, runs, mapped);
        g_assert_false(end.cut);
        g_assert_cmpuint(end.broken, ==, 0);
        ireko_chain_free(reader.chain);
    }
}

/* ---- tables that mean harm ---- */

static void
test_a_table_of_nothing_but_itself_is_cut(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable own = table_new(machine, IREKO_PAGING_5, false);
    for (uint64_t i = 0; i < 512; i++)
        machine_set(machine, own.root.at + i * 8, own.root.at | T_ALL, 8);
    Reader reader;
    IrekoMapSum sum;
    reader_init(&reader, machine, NULL, 0);
    sum = ireko_map_sum(reader.chain, &own, true);
    g_assert_true(sum.end.cut);
    g_assert_cmpuint(sum.end.pieces, ==, IREKO_MAP_PIECES_MAX(RAM / 4096) + 1);
    g_assert_cmpuint(sum.taken_bytes, ==, 4096);
    g_assert_cmpuint(sum.zero_bytes, ==, 0);
    ireko_chain_free(reader.chain);
}

static void
test_empty_tables_without_end_are_cut(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable own = table_new(machine, IREKO_PAGING_5, false);
    uint64_t empty = machine_take(machine), pd = machine_take(machine),
             pdpt = machine_take(machine);
    for (uint64_t i = 0; i < 512; i++) {
        machine_set(machine, pd + i * 8, empty | T_ALL, 8);
        machine_set(machine, pdpt + i * 8, pd | T_ALL, 8);
    }
    machine_set(machine, table_entry(machine, &own, 0, IREKO_LEVEL_PML4), pdpt | T_ALL, 8);
    Reader reader;
    reader_init(&reader, machine, NULL, 0);
    IrekoMapSum sum = ireko_map_sum(reader.chain, &own, false);
    g_assert_true(sum.end.cut);
    g_assert_cmpuint(sum.end.tables, ==, IREKO_MAP_TABLES_MAX(RAM / 4096));
    g_assert_cmpuint(sum.bytes, ==, 0);
    ireko_chain_free(reader.chain);
}

static void
test_large_pages_in_small_pieces_are_cut(void)
{
    g_autoptr(Machine) outer = machine_new(RAM, NULL);
    g_autoptr(Machine) inner = machine_new_inside(outer, IREKO_PAGING_4, RAM / 4);
    IrekoTable own = table_new(inner, IREKO_PAGING_4, false);
    uint64_t pdpt = machine_take(inner);
    for (uint64_t i = 0; i < 512; i++) {
        machine_set(inner, own.root.at + i * 8, pdpt | T_ALL, 8);
        machine_set(inner, pdpt + i * 8, T_ALL | T_PS, 8);
    }
    Reader reader;
    reader_init(&reader, outer, &inner->nested, 1);
    IrekoMapSum sum = ireko_map_sum(reader.chain, &own, false);
    g_assert_true(sum.end.cut);
    g_assert_cmpuint(sum.end.pieces, ==, IREKO_MAP_PIECES_MAX(RAM / 4096) + 1);
    ireko_chain_free(reader.chain);
}

static void
test_what_cannot_be_followed_is_counted(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable own = table_new(machine, IREKO_PAGING_4, false);
    table_map(machine, &own, 0, 0x1000, 1, T_ALL);
    machine_set(machine, own.root.at + 8, 64 * MIB | T_ALL, 8); /* a table where no RAM is */
    machine_set(machine, own.root.at + 16, own.root.at | T_PS | T_ALL, 8);
    Reader reader;
    IrekoMapEnd end;
    reader_init(&reader, machine, NULL, 0);
    g_autoptr(GArray) runs = runs_of(reader.chain, &own, &end);
    g_assert_cmpuint(runs->len, ==, 1);
    g_assert_cmpuint(end.broken, ==, 2);

    own.bad_root = true;
    g_autoptr(GArray) none = runs_of(reader.chain, &own, &end);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpuint(end.broken, ==, 1);

    IrekoTable unpaged = table_new(machine, IREKO_PAGING_NONE, false);
    g_autoptr(GArray) nothing = runs_of(reader.chain, &unpaged, &end);
    g_assert_cmpuint(nothing->len + end.broken, ==, 0);
    ireko_chain_free(reader.chain);
}

/* ---- sums ---- */

static void
test_a_sum_counts_by_size_and_each_byte_of_ram_once(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable own = table_new(machine, IREKO_PAGING_4, false);
    uint64_t zero = machine_take(machine), full = machine_take(machine);
    machine_set(machine, full + 4088, 1, 8);
    table_map(machine, &own, 0x1000, zero, 1, T_ALL);
    table_map(machine, &own, 0x2000, full, 1, T_ALL | T_A | T_D);
    table_map(machine, &own, 0x3000, full, 1, T_ALL | T_A);
    table_map(machine, &own, 0x4000, 64 * MIB, 1, T_ALL);                 /* where no RAM is */
    table_map(machine, &own, 0x5000, full, 1, T_ALL | UINT64_C(1) << 45); /* reserved */
    table_map(machine, &own, 4 * MIB, 2 * MIB, 2, T_ALL);
    table_map(machine, &own, 4 * GIB, 0, 3, T_ALL | T_NX); /* RAM and much behind it */
    Reader reader;
    reader_init(&reader, machine, NULL, 0);
    IrekoMapSum sum = ireko_map_sum(reader.chain, &own, true);
    g_assert_cmpuint(sum.bytes, ==, 4 * 4096 + 2 * MIB + GIB);
    g_assert_cmpuint(sum.by_level[IREKO_LEVEL_PT], ==, 4 * 4096);
    g_assert_cmpuint(sum.by_level[IREKO_LEVEL_PD], ==, 2 * MIB);
    g_assert_cmpuint(sum.by_level[IREKO_LEVEL_PDPT], ==, GIB);
    g_assert_cmpuint(sum.accessed_bytes, ==, 2 * 4096);
    g_assert_cmpuint(sum.dirty_bytes, ==, 4096);
    g_assert_cmpuint(sum.lost_bytes, ==, 4096 + GIB - RAM);
    g_assert_cmpuint(sum.taken_bytes, ==, RAM);
    uint64_t full_pages = machine->next - 1; /* what was taken, but for the page of zeros */
    g_assert_cmpuint(sum.zero_bytes, ==, RAM - full_pages * 4096);
    g_assert_cmpuint(sum.end.broken, ==, 1);
    g_assert_false(sum.end.cut);
    ireko_chain_free(reader.chain);
}

static bool
stop_at_second(void *data, const IrekoRun *run)
{
    (void)run;
    return ++*(unsigned *)data < 2;
}

static void
test_a_map_stops_where_it_is_told_to(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable own = table_new(machine, IREKO_PAGING_4, false);
    for (uint64_t i = 0; i < 8; i++)
        table_map(machine, &own, i << 30, 0x1000, 1, T_ALL);
    Reader reader;
    IrekoMapEnd end;
    unsigned seen = 0;
    reader_init(&reader, machine, NULL, 0);
    g_assert_false(ireko_map(reader.chain, &own, stop_at_second, &seen, &end));
    g_assert_cmpuint(seen, ==, 2);
    ireko_chain_free(reader.chain);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/map/a-map-has-every-page-that-a-walk-finds",
                    test_a_map_has_every_page_that_a_walk_finds);
    g_test_add_func("/map/a-table-of-nothing-but-itself-is-cut",
                    test_a_table_of_nothing_but_itself_is_cut);
    g_test_add_func("/map/empty-tables-without-end-are-cut", test_empty_tables_without_end_are_cut);
    g_test_add_func("/map/large-pages-in-small-pieces-are-cut",
                    test_large_pages_in_small_pieces_are_cut);
    g_test_add_func("/map/what-cannot-be-followed-is-counted",
                    test_what_cannot_be_followed_is_counted);
    g_test_add_func("/map/a-sum-counts-by-size-and-each-byte-of-ram-once",
                    test_a_sum_counts_by_size_and_each_byte_of_ram_once);
    g_test_add_func("/map/a-map-stops-where-it-is-told-to", test_a_map_stops_where_it_is_told_to);
    return g_test_run();
}
