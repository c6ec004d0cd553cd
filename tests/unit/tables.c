/* Page tables for tests, written by other rules than they are read: nothing of lib/xray but the
 * constructors of IrekoTable is used. */
#include "tables.h"

#include <string.h>

#define PAGE 4096

static bool
is_ept(IrekoPaging paging)
{
    return paging == IREKO_PAGING_EPT4 || paging == IREKO_PAGING_EPT5;
}

static unsigned
levels_of(IrekoPaging paging)
{
    static const unsigned levels[] = {0, 2, 3, 4, 5, 4, 5};
    return levels[paging];
}

static unsigned
index_of(IrekoPaging paging, uint64_t address, unsigned level)
{
    if (paging == IREKO_PAGING_32)
        return level == 2 ? (address >> 22) & 1023 : (address >> 12) & 1023;
    return (unsigned)(address >> (12 + 9 * (level - 1))) & 511;
}

Machine *
machine_new(uint64_t bytes, GRand *random)
{
    Machine *machine = g_new0(Machine, 1);
    machine->bytes = bytes;
    machine->random = random;
    machine->ram = g_malloc0(bytes);
    machine->taken = g_hash_table_new(g_direct_hash, g_direct_equal);
    machine->pages = g_hash_table_new(g_direct_hash, g_direct_equal);
    return machine;
}

Machine *
machine_new_inside(Machine *outer, IrekoPaging nested, uint64_t bytes)
{
    Machine *machine = machine_new(0, outer->random);
    machine->bytes = bytes;
    machine->outer = outer;
    machine->nested = table_new(outer, nested, true);
    return machine;
}

void
machine_free(Machine *machine)
{
    if (machine == NULL)
        return;
    g_hash_table_unref(machine->taken);
    g_hash_table_unref(machine->pages);
    g_free(machine->ram);
    g_free(machine);
}

uint64_t
machine_take(Machine *machine)
{
    uint64_t page = 0, pages = machine->bytes / PAGE;
    do {
        page = machine->random != NULL
                   ? (uint64_t)g_rand_int_range(machine->random, 1, (gint32)pages)
                   : ++machine->next;
    } while (g_hash_table_contains(machine->taken, GSIZE_TO_POINTER(page)));
    g_assert_cmpuint(page, <, pages);
    g_hash_table_add(machine->taken, GSIZE_TO_POINTER(page));
    memset(machine_byte(machine, page * PAGE), 0, PAGE);
    return page * PAGE;
}

uint64_t
machine_outermost(Machine *machine, uint64_t at)
{
    for (; machine->outer != NULL; machine = machine->outer) {
        gpointer page = GSIZE_TO_POINTER(at / PAGE), outer = NULL;
        if (!g_hash_table_lookup_extended(machine->pages, page, NULL, &outer)) {
            outer = GSIZE_TO_POINTER(machine_take(machine->outer) / PAGE);
            g_hash_table_insert(machine->pages, page, outer);
            table_map(machine->outer, &machine->nested, at & ~(uint64_t)(PAGE - 1),
                      GPOINTER_TO_SIZE(outer) * PAGE, 1,
                      T_ALL | (is_ept(machine->nested.paging) ? 6 << 3 : 0));
        }
        at = GPOINTER_TO_SIZE(outer) * PAGE + at % PAGE;
    }
    return at;
}

uint8_t *
machine_byte(Machine *machine, uint64_t at)
{
    uint64_t outermost = machine_outermost(machine, at);
    while (machine->outer != NULL)
        machine = machine->outer;
    g_assert_cmpuint(outermost, <, machine->bytes);
    return machine->ram + outermost;
}

uint64_t
machine_get(Machine *machine, uint64_t at, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, machine_byte(machine, at), bytes);
    return value;
}

void
machine_set(Machine *machine, uint64_t at, uint64_t value, unsigned bytes)
{
    memcpy(machine_byte(machine, at), &value, bytes);
}

IrekoTable
table_new(Machine *machine, IrekoPaging paging, bool nested)
{
    uint64_t root = paging == IREKO_PAGING_NONE ? 0 : machine_take(machine);
    static const uint64_t cr4[] = {0, 1 << 4, 1 << 5, 1 << 5, 1 << 5 | 1 << 12};
    if (is_ept(paging)) {
        uint64_t eptp = root | 6 | (levels_of(paging) - 1) << 3 | 1 << 6;
        return ireko_table_ept(eptp, &(IrekoEptFeatures){.phys_bits = 40});
    }
    IrekoPagingState state = {
        .cr0 = (paging != IREKO_PAGING_NONE ? (uint64_t)1 << 31 : 0) | 1 << 16 | 1,
        .cr3 = root,
        .cr4 = cr4[paging],
        .efer = 1 << 11 | (levels_of(paging) > 3 ? 1 << 8 | 1 << 10 : 0),
        .phys_bits = 40,
    };
    return nested ? ireko_table_npt(&state, root) : ireko_table_own(&state);
}

uint64_t
table_entry(Machine *machine, const IrekoTable *table, uint64_t address, unsigned level)
{
    unsigned entry_bytes = table->paging == IREKO_PAGING_32 ? 4 : 8;
    uint64_t at = table->root.at, mask = 0x000ffffffffff000;
    for (unsigned n = levels_of(table->paging);; n--) {
        uint64_t entry_at = at + (uint64_t)index_of(table->paging, address, n) * entry_bytes;
        if (n == level)
            return entry_at;
        uint64_t entry = machine_get(machine, entry_at, entry_bytes);
        if (entry == 0) {
            bool rights = table->paging != IREKO_PAGING_PAE || n != 3;
            uint64_t bits = !rights ? T_P : T_ALL;
            entry = machine_take(machine) | bits;
            machine_set(machine, entry_at, entry, entry_bytes);
        }
        at = entry & mask;
    }
}

void
table_map(Machine *machine,
          const IrekoTable *table,
          uint64_t address,
          uint64_t to,
          unsigned level,
          uint64_t bits)
{
    uint64_t entry = to | bits | (level > 1 ? T_PS : 0);
    if (table->paging == IREKO_PAGING_32 && level == 2) /* PSE-36 */
        entry = (to & 0xffc00000) | (to >> 32 & 0xff) << 13 | bits | T_PS;
    machine_set(machine, table_entry(machine, table, address, level), entry,
                table->paging == IREKO_PAGING_32 ? 4 : 8);
}

void
machine_ram(Machine *outermost, IrekoRam *ret_ram)
{
    *ret_ram = (IrekoRam){.bytes = outermost->ram, .len = outermost->bytes};
    g_assert_true(
        ireko_ram_map_add(&ret_ram->map, (IrekoGpa){0}, outermost->bytes, (IrekoOffset){0}));
}
