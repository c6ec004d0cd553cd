/* Fuzz target: a random memory image. Whatever it says, walks and maps end, a chain answers the
 * same with what it keeps as without, and what arrives is in RAM and what a second, slower look
 * finds.
 *
 * The first bytes choose the tables and the addresses. Then come entries, so that a table is more
 * likely than by chance, and behind RAW_MARK RAM as it stands, from its fourth page on. */
#include <glib.h>
#include <string.h>

#include "xray/map.h"

#define PAGES       16
#define RAW_MARK    0xff
#define RAW_FROM    (3 * IREKO_PAGE_BYTES)
#define ADDRESSES   8
#define NESTED_MOST 3

typedef struct {
    uint8_t nested, own_format, nested_formats[NESTED_MOST], features, access, spare;
    uint64_t roots[NESTED_MOST + 1];
    uint64_t addresses[ADDRESSES];
} Choice;

/* One entry: where it stands, and what it names. */
typedef struct {
    uint8_t page, index, target, low, high, width;
} Entry;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static IrekoTable
choose_table(const Choice *choice, unsigned format, uint64_t root, bool nested)
{
    if (nested && (format & 4) != 0) {
        IrekoEptFeatures features = {.phys_bits = (choice->features & 1) != 0 ? 36 : 52,
                                     .no_1g = (choice->features & 2) != 0,
                                     .fetch_only = (choice->features & 4) != 0,
                                     .user = (choice->features & 8) != 0};
        return ireko_table_ept(root | (choice->spare & 0x40), &features);
    }
    IrekoPagingState state = {.cr0 = (format & 8) != 0 ? 0x10001 : 0x80010001,
                              .cr3 = root,
                              .cr4 = (uint64_t)choice->features << 4 | (uint64_t)choice->spare
                                                                           << 16,
                              .efer = (format & 1 ? 1 << 8 : 0) | (format & 2 ? 1 << 11 : 0),
                              .phys_bits = (choice->features & 1) != 0 ? 36 : 52,
                              .no_1g = (choice->features & 2) != 0};
    state.cr4 = (state.cr4 & ~(uint64_t)(1 << 12)) | (format & 16 ? 1 << 12 : 0);
    return nested ? ireko_table_npt(&state, root) : ireko_table_own(&state);
}

static void
set_entry(uint8_t *ram, const Entry *entry)
{
    uint64_t raw = (uint64_t)entry->target << 12 | entry->low | (uint64_t)entry->high << 56;
    bool narrow = entry->width % 4 == 0;
    size_t at = entry->page % PAGES * (size_t)IREKO_PAGE_BYTES;
    at += narrow ? entry->index * sizeof(uint32_t) : entry->index * sizeof(uint64_t);
    memcpy(ram + at, &raw, narrow ? sizeof(uint32_t) : sizeof raw);
}

/* Fills RAM from DATA. */
static void
fill(uint8_t *ram, const uint8_t *data, size_t size)
{
    memset(ram, 0, PAGES * IREKO_PAGE_BYTES);
    for (; size >= sizeof(Entry) && *data != RAW_MARK;
         data += sizeof(Entry), size -= sizeof(Entry)) {
        Entry entry;
        memcpy(&entry, data, sizeof entry);
        set_entry(ram, &entry);
    }
    if (size > 0)
        memcpy(ram + RAW_FROM, data, MIN(size, (size_t)PAGES * IREKO_PAGE_BYTES - RAW_FROM));
}

static void
assert_same(const IrekoWay *a, const IrekoWay *b)
{
    g_assert_cmpint(a->cause, ==, b->cause);
    g_assert_cmpuint(a->table, ==, b->table);
    g_assert_cmpuint(a->level, ==, b->level);
    g_assert_cmpuint(a->known, ==, b->known);
    g_assert_cmpuint(a->rights, ==, b->rights);
    g_assert_cmpint(a->accessed, ==, b->accessed);
    g_assert_cmpint(a->dirty, ==, b->dirty);
    g_assert_cmpuint(a->page_bytes, ==, b->page_bytes);
    g_assert_cmpuint(a->row_bytes, ==, b->row_bytes);
    for (unsigned i = 0; i < a->known; i++)
        g_assert_cmphex(a->physical[i], ==, b->physical[i]);
    g_assert_cmphex(a->offset.at, ==, b->offset.at);
}

/* That WAY is right, as far as it can be seen from outside. */
static void
check_way(IrekoChain *chain, const IrekoRamMap *map, const IrekoWay *way, const uint8_t *ram)
{
    IrekoOffset offset;
    g_assert_cmpint(way->cause, <, IREKO_CAUSES);
    if (way->cause != IREKO_CAUSE_NONE)
        return;
    g_assert_cmpuint(ireko_ram_map_row(map, way->gpa, &offset), >=, way->row_bytes);
    g_assert_cmphex(offset.at, ==, way->offset.at);
    g_assert_cmphex(way->physical[way->known - 1], ==, way->gpa.at);
    IrekoMemory inner = ireko_chain_memory(chain);
    uint8_t byte = 0;
    g_assert_true(inner.read(inner.data, (IrekoGpa){way->physical[0]}, &byte, 1));
    g_assert_cmphex(byte, ==, ram[way->offset.at]);
}

static void
check_address(IrekoChain *chain,
              const IrekoTable *own,
              uint64_t address,
              const IrekoRam *ram,
              unsigned access)
{
    IrekoWay way, kept, recorded;
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(IrekoStep));
    ireko_chain_keep(chain, false);
    bool there = ireko_chain_gva(chain, own, (IrekoGva){address}, 0, NULL, &way);
    g_assert_cmpint(there, ==, way.cause == IREKO_CAUSE_NONE);
    check_way(chain, &ram->map, &way, ram->bytes);

    (void)ireko_chain_gva(chain, own, (IrekoGva){address}, 0, steps, &recorded);
    assert_same(&way, &recorded);
    ireko_chain_keep(chain, true);
    for (int i = 0; i < 2; i++) {
        (void)ireko_chain_gva(chain, own, (IrekoGva){address}, 0, NULL, &kept);
        assert_same(&way, &kept);
    }

    bool allowed = ireko_chain_gva(chain, own, (IrekoGva){address}, access, steps, &recorded);
    g_assert_true(there || !allowed); /* an access is denied more, never less */
    if (allowed)
        g_assert_cmphex(recorded.offset.at, ==, way.offset.at);
}

static bool
check_run(void *data, const IrekoRun *run)
{
    uint64_t *behind = data;
    g_assert_cmpuint(run->bytes, >, 0);
    g_assert_true(run->start >= *behind || *behind == 0);
    *behind = run->start + run->bytes;
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t ram_bytes[PAGES * IREKO_PAGE_BYTES];
    Choice choice;
    IrekoTable nested[NESTED_MOST];
    if (size < sizeof choice)
        return 0;
    memcpy(&choice, data, sizeof choice);
    fill(ram_bytes, data + sizeof choice, size - sizeof choice);

    IrekoRam ram = {.bytes = ram_bytes, .len = sizeof ram_bytes};
    g_assert_true(ireko_ram_map_add(&ram.map, (IrekoGpa){0}, sizeof ram_bytes, (IrekoOffset){0}));
    IrekoMemory memory = ireko_ram_memory(&ram);
    size_t n = choice.nested % (NESTED_MOST + 1);
    for (size_t i = 0; i < n; i++)
        nested[i] = choose_table(&choice, choice.nested_formats[i], choice.roots[i + 1], true);
    IrekoTable own = choose_table(&choice, choice.own_format, choice.roots[0], false);
    g_autoptr(IrekoChain) chain = ireko_chain_new(&memory, &ram.map, nested, n);
    for (size_t i = 0; i < ADDRESSES; i++)
        check_address(chain, &own, choice.addresses[i], &ram, choice.access);

    IrekoMapEnd end;
    uint64_t behind = 0;
    ireko_chain_keep(chain, true);
    if (choice.spare % 16 == 0) /* dear, where every entry is a table */
        (void)ireko_map(chain, &own, check_run, &behind, &end);
    return 0;
}
