/* bench-xray - how many addresses a second are translated, and how long a map takes.
 *
 * For each line that it reads it measures once and prints ten numbers: addresses a second, warm and
 * cold, of one table (L1 virtual to L1 physical), and to file offsets of L1's, L2's and L3's; then
 * the milliseconds that the map of L3's nested and that of its own table take. scripts/bench asks.
 *
 * The RAM is a memory file of 2 GiB, mapped shared as QEMU's is, with tables as Linux and KVM build
 * them at their worst: pages of 4 KiB throughout, in no order. A machine has 2048, 1024 and 256 MiB
 * as in the workshop. Addresses are random. Warm: 1,000 of them over and over. Cold: every page of
 * the machine once, in random order, after 128 MiB of something else have gone through the CPU's
 * caches, with nothing kept of tables but what this very pass finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/tables.h"
#include "xray/map.h"

#define MIB    ((uint64_t)1 << 20)
#define PAGE   4096
#define BASE   ((uint64_t)0xffff888000000000) /* where a kernel maps all its memory */
#define WARM   1000
#define SWEEP  (128 * MIB)
#define DEPTHS 3

static const uint64_t ram_bytes[DEPTHS] = {2048 * MIB, 1024 * MIB, 256 * MIB};

typedef struct {
    IrekoTable own;
    IrekoChain *chain;
    uint32_t *order; /* its pages, shuffled */
    size_t pages;
} Layer;

typedef struct {
    Machine *machines[DEPTHS];
    IrekoTable nested[DEPTHS];
    IrekoRam ram;
    IrekoMemory memory;
    Layer layers[DEPTHS];
    uint8_t *sweep;
} Bench;

static uint8_t *
map_memory_file(uint64_t bytes)
{
    int fd = memfd_create("bench-xray", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
        g_error("a memory file: %s", g_strerror(errno));
    void *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ram == MAP_FAILED)
        g_error("map: %s", g_strerror(errno));
    return ram;
}

static void
shuffle(GRand *random, uint32_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t other = (size_t)g_rand_int_range(random, 0, (gint32)i);
        uint32_t item = items[i - 1];
        items[i - 1] = items[other];
        items[other] = item;
    }
}

/* The machine's own table maps all its memory; what is inside it takes 5/8 of the pages, in no
 * order. */
static void
build_layer(Bench *bench, GRand *random, size_t depth)
{
    Machine *machine = bench->machines[depth];
    Layer *layer = &bench->layers[depth];
    layer->pages = ram_bytes[depth] / PAGE / 16 * (depth + 1 < DEPTHS ? 6 : 15);
    layer->own = table_new(machine, IREKO_PAGING_5, false);
    for (uint64_t page = 0; page < layer->pages; page++)
        table_map(machine, &layer->own, BASE + page * PAGE, machine_take(machine), 1, T_ALL | T_A);
    layer->chain = ireko_chain_new(&bench->memory, &bench->ram.map, bench->nested, depth);
    layer->order = g_new(uint32_t, layer->pages);
    for (uint32_t page = 0; page < layer->pages; page++)
        layer->order[page] = page;
    shuffle(random, layer->order, layer->pages);
}

static Bench *
bench_new(void)
{
    Bench *bench = g_new0(Bench, 1);
    GRand *random = g_rand_new_with_seed(1);
    bench->sweep = g_malloc(SWEEP);
    memset(bench->sweep, 1, SWEEP);
    for (size_t depth = 0; depth < DEPTHS; depth++) {
        Machine *outer = depth > 0 ? bench->machines[depth - 1] : NULL;
        Machine *machine = depth == 0 ? machine_new(0, random)
                                      : machine_new_inside(outer, IREKO_PAGING_5, ram_bytes[depth]);
        bench->machines[depth] = machine;
        if (depth == 0) {
            machine->bytes = ram_bytes[0];
            machine->ram = map_memory_file(machine->bytes);
            machine_ram(machine, &bench->ram);
            bench->memory = ireko_ram_memory(&bench->ram);
        }
        for (size_t i = depth; i > 1; i--)
            bench->nested[i - 1] = bench->nested[i - 2];
        if (depth > 0)
            bench->nested[0] = machine->nested;
        build_layer(bench, random, depth);
    }
    return bench;
}

static double
seconds_now(void)
{
    return (double)g_get_monotonic_time() / G_USEC_PER_SEC;
}

/* Walks through N pages of the layer, ROUNDS times over; returns how many a second. */
static double
rate_of(Bench *bench, const Layer *layer, size_t n, size_t rounds, bool single)
{
    uint64_t sum = 0, walked = 0;
    double began = seconds_now();
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < n; i++) {
            IrekoGva address = {BASE + (uint64_t)layer->order[i] * PAGE + 8};
            IrekoWalk walk;
            IrekoWay way;
            if (single ? !ireko_walk_gva(&layer->own, &bench->memory, address, 0, NULL, &walk)
                       : !ireko_chain_gva(layer->chain, &layer->own, address, 0, NULL, &way))
                g_error("a page is not where it was put");
            sum += single ? walk.at.at : way.offset.at;
            walked++;
        }
    }
    double rate = (double)walked / (seconds_now() - began);
    if (sum == 0)
        printf("nothing was found\n");
    return rate;
}

/* Nothing of the RAM is in the CPU's caches. */
static void
make_cold(Bench *bench)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SWEEP; i += 64)
        sum += ++bench->sweep[i];
    if (sum == 0)
        printf("nothing was swept\n");
}

static void
measure_walks(Bench *bench, size_t depth, bool single)
{
    const Layer *layer = &bench->layers[depth];
    ireko_chain_keep(layer->chain, true);
    (void)rate_of(bench, layer, WARM, 1, single);
    printf("%.0f ", rate_of(bench, layer, WARM, 200, single));
    ireko_chain_keep(layer->chain, true);
    make_cold(bench);
    printf("%.0f ", rate_of(bench, layer, layer->pages, 1, single));
}

static bool
count_run(void *data, const IrekoRun *run)
{
    *(uint64_t *)data += run->bytes / PAGE;
    return true;
}

static void
measure_map(Bench *bench, IrekoChain *builder, const IrekoTable *table)
{
    IrekoMapEnd end;
    uint64_t pages = 0;
    ireko_chain_keep(builder, true);
    make_cold(bench);
    double began = seconds_now();
    (void)ireko_map(builder, table, count_run, &pages, &end);
    printf("%.2f ", (seconds_now() - began) * 1000);
    if (pages < bench->layers[DEPTHS - 1].pages)
        g_error("a map of %" G_GUINT64_FORMAT " pages", pages);
}

int
main(void)
{
    char line[16];
    Bench *bench = bench_new();
    while (fgets(line, sizeof line, stdin) != NULL) {
        measure_walks(bench, 0, true);
        for (size_t depth = 0; depth < DEPTHS; depth++)
            measure_walks(bench, depth, false);
        measure_map(bench, bench->layers[1].chain, &bench->nested[0]);
        measure_map(bench, bench->layers[2].chain, &bench->layers[2].own);
        printf("\n");
        (void)fflush(stdout);
    }
    return 0;
}
