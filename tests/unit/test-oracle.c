/* Random tables, and two translators that must agree: that of lib/xray and the one of oracle.c. */
#include <string.h>

#include "oracle.h"
#include "xray/map.h"

#define PAGES  24
#define RAM    (PAGES * 4096)
#define DEPTH  3
#define ROUNDS 300
#define ASKED  100 /* addresses, each round */

typedef struct {
    GRand *random;
    uint8_t ram[RAM];
    OracleTable own, nested[DEPTH]; /* [0] the innermost */
    OracleMemory memories[DEPTH + 1];
    size_t n;
} World;

static bool
one_in(World *world, int n)
{
    return g_rand_int_range(world->random, 0, n) == 0;
}

static uint64_t
random_bits(World *world)
{
    return (uint64_t)g_rand_int(world->random) << 32 | g_rand_int(world->random);
}

/* Most entries are fit to be followed; one bit of some is not. */
static uint64_t
random_entry(World *world, const OracleTable *table)
{
    bool ept = table->paging == IREKO_PAGING_EPT4 || table->paging == IREKO_PAGING_EPT5;
    uint64_t entry = (uint64_t)g_rand_int_range(world->random, 0, PAGES + 1) << 12;
    if (one_in(world, 16))
        return random_bits(world);
    if (table->paging == IREKO_PAGING_PAE && one_in(world, 2))
        return entry | 1;
    entry |= one_in(world, 8) ? random_bits(world) & 7 : 7;
    if (one_in(world, 6))
        entry = (entry & ~(uint64_t)0x1ff000) | 0x80; /* a large page */
    if (ept && one_in(world, 2))
        entry |= 6 << 3;
    if (one_in(world, 8))
        entry |= random_bits(world) & 0x8000000000000e60;
    if (one_in(world, 24))
        entry |= (uint64_t)1 << g_rand_int_range(world->random, 0, 64);
    return entry;
}

static OracleTable
random_table(World *world, bool nested)
{
    IrekoPaging paging =
        (IrekoPaging)g_rand_int_range(world->random, nested ? IREKO_PAGING_32 : IREKO_PAGING_NONE,
                                      nested ? IREKO_PAGING_EPT5 + 1 : IREKO_PAGING_5 + 1);
    uint64_t root = (uint64_t)g_rand_int_range(world->random, 0, PAGES) << 12;
    if (paging == IREKO_PAGING_EPT4 || paging == IREKO_PAGING_EPT5)
        root |= (paging == IREKO_PAGING_EPT5 ? 4 : 3) << 3 | (one_in(world, 2) ? 6 : 0) |
                (one_in(world, 2) ? 0x40 : 0);
    if (one_in(world, 40))
        root |= (uint64_t)1 << g_rand_int_range(world->random, 0, 64);
    return (OracleTable){
        .paging = paging,
        .nested = nested,
        .root = root,
        .phys = (unsigned)g_rand_int_range(world->random, 32, 53),
        .pse = one_in(world, 2),
        .nx = !one_in(world, 4),
        .wp = one_in(world, 2),
        .smep = one_in(world, 2),
        .smap = one_in(world, 2),
        .has_1g = one_in(world, 2),
        .fetch_only = one_in(world, 2),
        .user_fetch = one_in(world, 2),
    };
}

static void
make_world(World *world)
{
    world->n = (size_t)g_rand_int_range(world->random, 0, DEPTH + 1);
    world->own = random_table(world, false);
    world->memories[world->n] = (OracleMemory){.bytes = world->ram, .len = RAM};
    for (size_t i = 0; i < world->n; i++) {
        world->nested[i] = random_table(world, true);
        world->memories[i] =
            (OracleMemory){.nested = &world->nested[i], .outer = &world->memories[i + 1]};
    }
    for (size_t page = 0; page < PAGES; page++) {
        size_t of = (size_t)g_rand_int_range(world->random, 0, (gint32)world->n + 1);
        const OracleTable *table = of == world->n ? &world->own : &world->nested[of];
        for (size_t at = page * 4096; at < (page + 1) * 4096; at += 8) {
            uint64_t entry = random_entry(world, table);
            if (at % 4096 < 64 &&
                !one_in(world, 4)) /* low addresses, which all tables have in common */
                entry = (entry & 0x1f000) | (table->paging == IREKO_PAGING_PAE ? 1 : 7);
            if (table->paging == IREKO_PAGING_32)
                entry = (entry & UINT32_MAX) | random_entry(world, table) << 32;
            memcpy(world->ram + at, &entry, sizeof entry);
        }
    }
}

static uint64_t
random_address(World *world)
{
    static const unsigned widths[] = {14, 15, 15, 16, 16, 24, 30, 32, 47, 64};
    gint32 which = g_rand_int_range(world->random, 0, G_N_ELEMENTS(widths));
    uint64_t address = random_bits(world) >> (64 - widths[which]);
    return one_in(world, 12) ? ~address : address;
}

static unsigned
rights_of(const OracleAnswer *answer)
{
    return (answer->read ? IREKO_RIGHT_READ : 0) | (answer->write ? IREKO_RIGHT_WRITE : 0) |
           (answer->fetch ? IREKO_RIGHT_FETCH : 0) | (answer->user ? IREKO_RIGHT_USER : 0) |
           (answer->user_fetch ? IREKO_RIGHT_USER_FETCH : 0);
}

static void
init_reader(World *world, IrekoRam *ram, IrekoMemory *memory)
{
    *ram = (IrekoRam){.bytes = world->ram, .len = RAM};
    g_assert_true(ireko_ram_map_add(&ram->map, (IrekoGpa){0}, RAM, (IrekoOffset){0}));
    *memory = ireko_ram_memory(ram);
}

/* ---- one table ---- */

static void
compare_walk(World *world, const IrekoMemory *memory, unsigned seen[IREKO_CAUSES])
{
    const OracleTable *wanted = world->n > 0 ? &world->nested[world->n - 1] : &world->own;
    IrekoTable table = oracle_table(wanted);
    uint64_t address = random_address(world);
    unsigned access = one_in(world, 3) ? 0 : g_rand_int(world->random) & 15;
    OracleAnswer want = oracle_walk(wanted, &world->memories[world->n], address, access);
    IrekoWalk walk;
    if (wanted->nested)
        (void)ireko_walk_npa(&table, memory, (IrekoNpa){address}, access, NULL, &walk);
    else
        (void)ireko_walk_gva(&table, memory, (IrekoGva){address}, access, NULL, &walk);
    g_assert_cmpint(walk.cause, ==, want.cause);
    g_assert_cmpuint(walk.level, ==, want.level);
    seen[walk.cause]++;
    if (want.page_bytes == 0 && want.cause != IREKO_CAUSE_NONE)
        return;
    g_assert_cmphex(walk.at.at, ==, want.at);
    g_assert_cmphex(walk.page_bytes, ==, want.page_bytes);
    g_assert_cmphex(walk.rights, ==, rights_of(&want));
    g_assert_cmpint(walk.accessed, ==, want.accessed);
    g_assert_cmpint(walk.dirty, ==, want.dirty);
}

static void
test_a_walk_is_what_the_oracle_says(void)
{
    g_autofree World *world = g_new0(World, 1);
    unsigned seen[IREKO_CAUSES] = {0};
    world->random = g_rand_new_with_seed(5);
    for (unsigned round = 0; round < ROUNDS; round++) {
        IrekoRam ram;
        IrekoMemory memory;
        make_world(world);
        init_reader(world, &ram, &memory);
        for (unsigned i = 0; i < ASKED; i++)
            compare_walk(world, &memory, seen);
    }
    for (unsigned cause = 0; cause < IREKO_CAUSES; cause++) {
        g_test_message("%s: %u", ireko_cause_name(cause), seen[cause]);
        g_assert_cmpint(seen[cause] > 4, ==, cause != IREKO_CAUSE_TOO_MANY_READS);
    }
    g_rand_free(world->random);
}

/* ---- all tables ---- */

/* The way of ADDRESS by the oracle; false where it ends early. */
static bool
oracle_way(World *world, uint64_t address, IrekoWay *ret_way)
{
    OracleAnswer answer = oracle_walk(&world->own, &world->memories[0], address, 0);
    *ret_way = (IrekoWay){.rights = UINT8_MAX};
    ret_way->accessed = answer.accessed;
    ret_way->dirty = answer.dirty;
    for (size_t j = 0;; j++) {
        if (answer.cause != IREKO_CAUSE_NONE)
            return false;
        ret_way->physical[ret_way->known++] = answer.at;
        ret_way->rights &= (uint8_t)rights_of(&answer);
        uint64_t bytes = answer.page_bytes;
        if (bytes != 0 && (ret_way->page_bytes == 0 || bytes < ret_way->page_bytes))
            ret_way->page_bytes = bytes;
        if (j == world->n)
            break;
        answer = oracle_walk(&world->nested[j], &world->memories[j + 1], answer.at, 0);
    }
    ret_way->row_bytes = answer.at < RAM ? RAM - answer.at : 0;
    if (ret_way->page_bytes != 0)
        ret_way->row_bytes =
            MIN(ret_way->row_bytes, ret_way->page_bytes - answer.at % ret_way->page_bytes);
    return ret_way->row_bytes > 0;
}

static void
compare_way(World *world, IrekoChain *chain, const IrekoTable *own, unsigned *arrived)
{
    uint64_t address = random_address(world);
    IrekoWay want, way;
    bool there = oracle_way(world, address, &want);
    g_assert_cmpint(ireko_chain_gva(chain, own, (IrekoGva){address}, 0, NULL, &way), ==, there);
    g_assert_cmpuint(way.known, ==, want.known);
    for (unsigned i = 0; i < want.known; i++)
        g_assert_cmphex(way.physical[i], ==, want.physical[i]);
    if (!there)
        return;
    ++*arrived;
    g_assert_cmphex(way.gpa.at, ==, way.physical[world->n]);
    g_assert_cmphex(way.offset.at, ==, way.physical[world->n]);
    g_assert_cmpuint(way.page_bytes, ==, want.page_bytes);
    g_assert_cmpuint(way.row_bytes, ==, want.row_bytes);
    g_assert_cmpuint(way.rights, ==, want.rights);
    g_assert_cmpint(way.accessed, ==, want.accessed);
    g_assert_cmpint(way.dirty, ==, want.dirty);
}

static void
test_a_chain_goes_the_way_of_the_oracle(void)
{
    g_autofree World *world = g_new0(World, 1);
    unsigned arrived[DEPTH + 1] = {0};
    world->random = g_rand_new_with_seed(6);
    for (unsigned round = 0; round < ROUNDS; round++) {
        IrekoRam ram;
        IrekoMemory memory;
        IrekoTable nested[DEPTH];
        make_world(world);
        init_reader(world, &ram, &memory);
        for (size_t i = 0; i < world->n; i++)
            nested[i] = oracle_table(&world->nested[i]);
        IrekoTable own = oracle_table(&world->own);
        g_autoptr(IrekoChain) chain = ireko_chain_new(&memory, &ram.map, nested, world->n);
        ireko_chain_keep(chain, one_in(world, 2));
        for (unsigned i = 0; i < ASKED; i++)
            compare_way(world, chain, &own, &arrived[world->n]);
    }
    for (size_t n = 0; n <= DEPTH; n++) {
        g_test_message("%zu nested tables: %u arrived", n, arrived[n]);
        g_assert_cmpuint(arrived[n], >, 50);
    }
    g_rand_free(world->random);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/oracle/a-walk-is-what-the-oracle-says", test_a_walk_is_what_the_oracle_says);
    g_test_add_func("/oracle/a-chain-goes-the-way-of-the-oracle",
                    test_a_chain_goes_the_way_of_the_oracle);
    return g_test_run();
}
