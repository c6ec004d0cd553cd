/* Machines inside machines: where their addresses land, and what it takes. */
#include <string.h>

#include "tables.h"

#define MIB   ((uint64_t)1 << 20)
#define RAM   (16 * MIB)
#define DEPTH 4

typedef struct {
    Machine *machines[DEPTH]; /* [0] the outermost */
    IrekoTable nested[DEPTH]; /* as a chain takes them: the innermost first */
    size_t n;
    IrekoRam ram;
    IrekoMemory memory;
    IrekoChain *chain;
} Nest;

static Nest *
nest_new(GRand *random, const IrekoPaging *pagings, size_t n)
{
    Nest *nest = g_new0(Nest, 1);
    nest->n = n;
    nest->machines[0] = machine_new(RAM, random);
    for (size_t i = 0; i < n; i++) { /* PAGINGS: the outermost's first */
        nest->machines[i + 1] =
            machine_new_inside(nest->machines[i], pagings[i], RAM / 4 / (i + 1));
        nest->nested[n - 1 - i] = nest->machines[i + 1]->nested;
    }
    machine_ram(nest->machines[0], &nest->ram);
    nest->memory = ireko_ram_memory(&nest->ram);
    nest->chain = ireko_chain_new(&nest->memory, &nest->ram.map, nest->nested, n);
    return nest;
}

static void
nest_free(Nest *nest)
{
    ireko_chain_free(nest->chain);
    for (size_t i = 0; i <= nest->n; i++)
        machine_free(nest->machines[i]);
    g_free(nest);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Nest, nest_free)

static const struct {
    const char *label;
    size_t n;
    IrekoPaging pagings[DEPTH - 1];
    IrekoPaging own;
    guint steps; /* of one address, every page being of 4 KiB */
} nests[] = {
    {"no nested table", 0, {0}, IREKO_PAGING_4, 4},
    {"NPT", 1, {IREKO_PAGING_4}, IREKO_PAGING_4, 24},
    {"NPT, 5 levels in 5", 1, {IREKO_PAGING_5}, IREKO_PAGING_5, 35},
    {"EPT", 1, {IREKO_PAGING_EPT4}, IREKO_PAGING_4, 24},
    {"NPT in NPT", 2, {IREKO_PAGING_4, IREKO_PAGING_4}, IREKO_PAGING_4, 124},
    {"NPT in NPT in NPT", 3, {IREKO_PAGING_4, IREKO_PAGING_4, IREKO_PAGING_4}, IREKO_PAGING_4, 624},
    {"EPT in NPT, a PAE guest", 2, {IREKO_PAGING_5, IREKO_PAGING_EPT4}, IREKO_PAGING_PAE, 119},
    {"a guest without paging", 1, {IREKO_PAGING_4}, IREKO_PAGING_NONE, 4},
};

static void
test_an_address_lands_where_all_tables_say(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(nests); i++) {
        g_test_message("%s", nests[i].label);
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        g_autoptr(Nest) nest = nest_new(random, nests[i].pagings, nests[i].n);
        Machine *inner = nest->machines[nest->n];
        IrekoTable own = table_new(inner, nests[i].own, false);
        for (unsigned round = 0; round < 64; round++) {
            uint64_t to = machine_take(inner), address = to;
            if (own.paging != IREKO_PAGING_NONE) {
                address = (uint64_t)g_rand_int(random) & 0x7ffff000;
                table_map(inner, &own, address, to, 1, T_ALL);
            }
            uint64_t outermost = machine_outermost(inner, to);
            for (int kept = 0; kept < 2; kept++) {
                g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(IrekoStep));
                IrekoWay way;
                ireko_chain_keep(nest->chain, kept != 0);
                g_assert_true(
                    ireko_chain_gva(nest->chain, &own, (IrekoGva){address + 5}, 0, NULL, &way));
                g_assert_true(
                    ireko_chain_gva(nest->chain, &own, (IrekoGva){address + 5}, 0, steps, &way));
                g_assert_cmphex(way.physical[0], ==, to + 5);
                g_assert_cmphex(way.gpa.at, ==, outermost + 5);
                g_assert_cmphex(way.offset.at, ==, outermost + 5);
                g_assert_cmpuint(way.known, ==, nest->n + 1);
                g_assert_cmpuint(steps->len, ==, nests[i].steps);
            }
        }
    }
}

/* ---- what is kept ---- */

static uint64_t
outermost_of(Nest *nest, const IrekoTable *own)
{
    IrekoWay way;
    g_assert_true(ireko_chain_gva(nest->chain, own, (IrekoGva){0x400000}, 0, NULL, &way));
    return way.gpa.at;
}

static void
test_what_is_kept_is_of_its_own_table_and_forgotten(void)
{
    static const IrekoPaging pagings[] = {IREKO_PAGING_4};
    g_autoptr(GRand) random = g_rand_new_with_seed(4);
    g_autoptr(Nest) nest = nest_new(random, pagings, 1);
    Machine *inner = nest->machines[1];
    uint64_t pages[3];
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++)
        pages[i] = machine_take(inner);
    IrekoTable one = table_new(inner, IREKO_PAGING_4, false);
    IrekoTable other = table_new(inner, IREKO_PAGING_4, false);
    table_map(inner, &one, 0x400000, pages[0], 1, T_ALL);
    table_map(inner, &other, 0x400000, pages[1], 1, T_ALL);
    ireko_chain_keep(nest->chain, true);
    for (int i = 0; i < 3; i++) { /* as a kernel changes from one process to the other and back */
        g_assert_cmphex(outermost_of(nest, &one), ==, machine_outermost(inner, pages[0]));
        g_assert_cmphex(outermost_of(nest, &other), ==, machine_outermost(inner, pages[1]));
    }

    uint64_t pt = machine_take(inner); /* another PT, which has another page there */
    machine_set(inner, pt, pages[2] | T_ALL, 8);
    machine_set(inner, table_entry(inner, &other, 0x400000, 2), pt | T_ALL, 8);
    ireko_chain_keep(nest->chain, true);
    g_assert_cmphex(outermost_of(nest, &other), ==, machine_outermost(inner, pages[2]));
}

/* ---- who ended it ---- */

/* In a machine two deep a page at 0x400000 is mapped; then one entry on its way is changed: the one
 * at LEVEL of table TABLE, for the page itself or, OF_TABLE, for the PT that maps it. */
static const struct {
    const char *label;
    unsigned table, level;
    bool of_table;
    uint64_t set, clear;
    unsigned access;
    IrekoCause cause;
    unsigned known; /* addresses that were found before */
} blames[] = {
    {"its own PTE", 0, 1, false, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT, 0},
    {"the inner nested PTE of its page", 1, 1, false, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT, 1},
    {"the outer nested PTE of its page", 2, 1, false, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT, 2},
    {"the inner nested PTE of its PT", 1, 1, true, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT, 0},
    {"the outer nested PTE of its PT", 2, 1, true, 0, T_P, 0, IREKO_CAUSE_NOT_PRESENT, 0},
    {"reserved, in the outer table", 2, 1, true, (uint64_t)1 << 50, 0, 0, IREKO_CAUSE_RESERVED_BIT,
     0},
    {"a PT that is not RAM", 2, 1, true, (uint64_t)1 << 36, 0, 0, IREKO_CAUSE_NOT_RAM, 0},
    {"a page that is not RAM", 2, 1, false, (uint64_t)1 << 36, 0, 0, IREKO_CAUSE_NOT_RAM, 3},
    {"a read of what is not for writing", 1, 1, false, 0, T_W, IREKO_ACCESS_READ, IREKO_CAUSE_NONE,
     3},
    {"tables under a PDPTE that is not for writing", 1, 3, false, 0, T_W, IREKO_ACCESS_READ,
     IREKO_CAUSE_WRITE_DENIED, 0},
    {"a write of it", 1, 1, false, 0, T_W, IREKO_ACCESS_WRITE, IREKO_CAUSE_WRITE_DENIED, 1},
    {"a PT that is not for writing", 1, 1, true, 0, T_W, IREKO_ACCESS_READ,
     IREKO_CAUSE_WRITE_DENIED, 0},
    {"the same, with nobody denied", 1, 1, true, 0, T_W, 0, IREKO_CAUSE_NONE, 3},
    {"a page of nobody's, further out", 2, 1, false, 0, T_U, IREKO_ACCESS_READ,
     IREKO_CAUSE_USER_DENIED, 2},
    {"a fetch, NX in the outer table", 2, 1, false, T_NX, 0, IREKO_ACCESS_FETCH,
     IREKO_CAUSE_FETCH_DENIED, 2},
    {"a user's read", 0, 1, false, 0, T_U, IREKO_ACCESS_READ | IREKO_ACCESS_USER,
     IREKO_CAUSE_USER_DENIED, 0},
};

/* Where the entry to be changed is: it is a table of machine N - TABLE. */
static void
change_entry(Nest *nest, const IrekoTable *own, size_t row)
{
    Machine *inner = nest->machines[nest->n];
    uint64_t pte_at = table_entry(inner, own, 0x400000, 1);
    uint64_t pte = machine_get(inner, pte_at, 8);
    uint64_t address = blames[row].of_table ? pte_at : pte & 0xffffff000;
    const IrekoTable *table = blames[row].table == 0 ? own : &inner->nested;
    Machine *builder = blames[row].table == 0 ? inner : inner->outer;
    if (blames[row].table == 0)
        address = 0x400000;
    if (blames[row].table == 2) {
        address =
            GPOINTER_TO_SIZE(g_hash_table_lookup(inner->pages, GSIZE_TO_POINTER(address / 4096)));
        address *= 4096;
        table = &inner->outer->nested;
        builder = inner->outer->outer;
    }
    uint64_t at = table_entry(builder, table, address, blames[row].level);
    machine_set(builder, at, (machine_get(builder, at, 8) & ~blames[row].clear) | blames[row].set,
                8);
}

static void
test_a_way_that_ends_names_the_table_that_ended_it(void)
{
    static const IrekoPaging pagings[] = {IREKO_PAGING_4, IREKO_PAGING_4};
    for (size_t i = 0; i < G_N_ELEMENTS(blames); i++) {
        g_test_message("%s", blames[i].label);
        g_autoptr(GRand) random = g_rand_new_with_seed(3);
        g_autoptr(Nest) nest = nest_new(random, pagings, 2);
        Machine *inner = nest->machines[2];
        IrekoTable own = table_new(inner, IREKO_PAGING_4, false);
        table_map(inner, &own, 0x400000, machine_take(inner), 1, T_ALL);
        change_entry(nest, &own, i);

        IrekoWay way;
        ireko_chain_keep(nest->chain, true); /* where an access is judged, all is read even so */
        (void)ireko_chain_gva(nest->chain, &own, (IrekoGva){0x400000}, 0, NULL, &way);
        bool there =
            ireko_chain_gva(nest->chain, &own, (IrekoGva){0x400000}, blames[i].access, NULL, &way);
        g_assert_cmpstr(ireko_cause_name(way.cause), ==, ireko_cause_name(blames[i].cause));
        g_assert_cmpint(there, ==, blames[i].cause == IREKO_CAUSE_NONE);
        g_assert_cmpuint(way.known, ==, blames[i].known);
        if (there)
            continue;
        bool table_not_ram = way.cause == IREKO_CAUSE_NOT_RAM && blames[i].of_table;
        g_assert_cmpuint(way.table, ==, table_not_ram ? 0 : blames[i].table);
        g_assert_cmpuint(way.level, ==, blames[i].level);
    }
}

/* An EPT's bit 6 makes reads of a guest's tables writes. */
static void
test_ept_lets_tables_be_read_only_without_dirty_bits(void)
{
    for (unsigned dirty = 0; dirty < 2; dirty++) {
        static const IrekoPaging pagings[] = {IREKO_PAGING_EPT4};
        g_autoptr(GRand) random = g_rand_new_with_seed(3);
        g_autoptr(Nest) nest = nest_new(random, pagings, 1);
        Machine *inner = nest->machines[1];
        IrekoTable own = table_new(inner, IREKO_PAGING_4, false), nested = inner->nested;
        table_map(inner, &own, 0x400000, machine_take(inner), 1, T_ALL);
        uint64_t pte_at = table_entry(inner, &own, 0x400000, 1);
        uint64_t at = table_entry(inner->outer, &nested, pte_at, 1);
        machine_set(inner->outer, at, machine_get(inner->outer, at, 8) & ~E_W, 8);
        nested.ept_dirty = dirty != 0;
        IrekoWay way;
        g_autoptr(IrekoChain) chain = ireko_chain_new(&nest->memory, &nest->ram.map, &nested, 1);
        (void)ireko_chain_gva(chain, &own, (IrekoGva){0x400000}, IREKO_ACCESS_READ, NULL, &way);
        g_assert_cmpint(way.cause, ==, dirty ? IREKO_CAUSE_WRITE_DENIED : IREKO_CAUSE_NONE);
    }
}

/* Mode-based execute control: X for a supervisor's addresses, bit 10 for a user's. */
static void
test_ept_may_tell_fetches_of_users_apart(void)
{
    static const struct {
        uint64_t own_clear, set, clear;
        IrekoCause cause;
    } rows[] = {
        {0, E_UX, E_X, IREKO_CAUSE_NONE},
        {0, 0, 0, IREKO_CAUSE_FETCH_DENIED},
        {T_U, 0, 0, IREKO_CAUSE_NONE},
        {T_U, E_UX, E_X, IREKO_CAUSE_FETCH_DENIED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        static const IrekoPaging pagings[] = {IREKO_PAGING_EPT4};
        g_autoptr(GRand) random = g_rand_new_with_seed(3);
        g_autoptr(Nest) nest = nest_new(random, pagings, 1);
        Machine *inner = nest->machines[1];
        uint64_t page = machine_take(inner);
        IrekoTable own = table_new(inner, IREKO_PAGING_4, false);
        IrekoTable nested = ireko_table_ept(inner->nested.root.at | 0x1e,
                                            &(IrekoEptFeatures){.fetch_only = true, .user = true});
        table_map(inner, &own, 0x400000, page, 1, T_ALL & ~rows[i].own_clear);
        for (unsigned level = 1; level <= 4; level++) {
            uint64_t at = table_entry(inner->outer, &nested, page, level);
            uint64_t raw = machine_get(inner->outer, at, 8) | (level > 1 ? E_UX : rows[i].set);
            machine_set(inner->outer, at, level > 1 ? raw : raw & ~rows[i].clear, 8);
        }
        IrekoWay way;
        g_autoptr(IrekoChain) chain = ireko_chain_new(&nest->memory, &nest->ram.map, &nested, 1);
        (void)ireko_chain_gva(chain, &own, (IrekoGva){0x400000}, IREKO_ACCESS_FETCH, NULL, &way);
        g_assert_cmpint(way.cause, ==, rows[i].cause);
    }
}

/* ---- the memory of an inner machine ---- */

static void
test_inner_memory_is_read_across_its_pages(void)
{
    static const IrekoPaging pagings[] = {IREKO_PAGING_4, IREKO_PAGING_EPT4};
    for (int keep = 0; keep < 2; keep++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(9);
        g_autoptr(Nest) nest = nest_new(random, pagings, 2);
        Machine *inner = nest->machines[2];
        uint8_t bytes[64], got[64];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)(i + 1);
            *machine_byte(inner, 0x5000 - 32 + i) = bytes[i];
        }
        ireko_chain_keep(nest->chain, keep != 0);
        IrekoMemory memory = ireko_chain_memory(nest->chain);
        size_t len = 0;
        g_assert_true(memory.read(memory.data, (IrekoGpa){0x5000 - 32}, got, sizeof got));
        g_assert_cmpmem(got, sizeof got, bytes, sizeof bytes);
        for (size_t i = 0; i < 16; i++) { /* a word at any address, to any address */
            g_assert_true(memory.read(memory.data, (IrekoGpa){0x5000 - 32 + i}, got + i, 8));
            g_assert_cmpmem(got + i, 8, bytes + i, 8);
        }
        g_assert_false(memory.read(memory.data, (IrekoGpa){0x6000 - 32}, got, sizeof got));
        g_assert_true(memory.window(memory.data, (IrekoGpa){0x5000 - 32}, &len) ==
                      machine_byte(inner, 0x5000 - 32));
        g_assert_cmpuint(len, ==, 32);
        g_assert_null(memory.window(memory.data, (IrekoGpa){0x6000}, &len));
    }
}

/* ---- depth ---- */

static void
test_deeper_than_anyone_nests_is_bounded(void)
{
    IrekoTable nested[IREKO_CHAIN_NESTED_MAX + 1];
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    IrekoTable identity = table_new(machine, IREKO_PAGING_5, true);
    IrekoTable own = table_new(machine, IREKO_PAGING_5, false);
    for (uint64_t page = 0; page < 64; page++)
        table_map(machine, &identity, page * 4096, page * 4096, 1, T_ALL);
    table_map(machine, &own, 0x400000, 0x3000, 1, T_ALL);
    for (size_t i = 0; i < G_N_ELEMENTS(nested); i++)
        nested[i] = identity;
    IrekoRam ram;
    machine_ram(machine, &ram);
    IrekoMemory memory = ireko_ram_memory(&ram);
    g_assert_null(ireko_chain_new(&memory, &ram.map, nested, IREKO_CHAIN_NESTED_MAX + 1));
    for (size_t n = 0; n <= IREKO_CHAIN_NESTED_MAX; n++) {
        IrekoWay way;
        g_autoptr(IrekoChain) chain = ireko_chain_new(&memory, &ram.map, nested, n);
        (void)ireko_chain_gva(chain, &own, (IrekoGva){0x400000}, 0, NULL, &way);
        g_assert_cmpint(way.cause, ==, n <= 5 ? IREKO_CAUSE_NONE : IREKO_CAUSE_TOO_MANY_READS);
        ireko_chain_keep(chain,
                         true); /* of what is kept nothing is read again: no depth is too much */
        g_assert_true(ireko_chain_gva(chain, &own, (IrekoGva){0x400000}, 0, NULL, &way));
        g_assert_cmphex(way.gpa.at, ==, 0x3000);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chain/an-address-lands-where-all-tables-say",
                    test_an_address_lands_where_all_tables_say);
    g_test_add_func("/chain/what-is-kept-is-of-its-own-table-and-forgotten",
                    test_what_is_kept_is_of_its_own_table_and_forgotten);
    g_test_add_func("/chain/a-way-that-ends-names-the-table-that-ended-it",
                    test_a_way_that_ends_names_the_table_that_ended_it);
    g_test_add_func("/chain/ept-lets-tables-be-read-only-without-dirty-bits",
                    test_ept_lets_tables_be_read_only_without_dirty_bits);
    g_test_add_func("/chain/ept-may-tell-fetches-of-users-apart",
                    test_ept_may_tell_fetches_of_users_apart);
    g_test_add_func("/chain/inner-memory-is-read-across-its-pages",
                    test_inner_memory_is_read_across_its_pages);
    g_test_add_func("/chain/deeper-than-anyone-nests-is-bounded",
                    test_deeper_than_anyone_nests_is_bounded);
    return g_test_run();
}
