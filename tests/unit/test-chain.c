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
                g_assert_true(ireko_chain_gva(nest->chain, &own, (IrekoGva){address + 5}, 0,
                                              kept ? NULL : steps, &way));
                g_assert_cmphex(way.physical[0], ==, to + 5);
                g_assert_cmphex(way.gpa.at, ==, outermost + 5);
                g_assert_cmphex(way.offset.at, ==, outermost + 5);
                g_assert_cmpuint(way.known, ==, nest->n + 1);
                g_assert_cmpuint(steps->len, ==, kept ? 0 : nests[i].steps);
            }
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chain/an-address-lands-where-all-tables-say",
                    test_an_address_lands_where_all_tables_say);
    return g_test_run();
}
