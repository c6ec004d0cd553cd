/* A guest's memory that its nested table does not map just now, and the process that has it. */
#include <string.h>

#include "guests.h"
#include "xray/find.h"
#include "xray/map.h"

#define RAM     ((uint64_t)16 << 20)
#define LOW     256 /* pages that a PC has other things in */
#define IN_HOST UINT64_C(0x7f1234400000)

static const uint64_t further[] = {900, 1600}; /* pages, in another 2 MiB each */

/* L3 in L2 in L1, and the process in L1 that has L2's memory from IN_HOST on. */
typedef struct {
    Machine *l1;
    Guest l2, l3;
    uint64_t vmcb01, vmcb02, vmcb12; /* the last in L2's memory */
    uint64_t low, code;              /* of L2: a page of low memory, the one with L3's code */
    IrekoTable process;
    uint64_t away; /* the page where VMRUN put L1's registers */
} Nest;

static uint64_t *
entry_of(Nest *nest, const IrekoTable *table, uint64_t address)
{
    uint64_t at = table_entry(nest->l1, table, address, 1);
    return (uint64_t *)(void *)machine_byte(nest->l1, at);
}

static void
put_process(Nest *nest)
{
    nest->process = table_new(nest->l1, IREKO_PAGING_4, false);
    GHashTableIter pages;
    gpointer page;
    g_hash_table_iter_init(&pages, nest->l2.machine->pages);
    while (g_hash_table_iter_next(&pages, &page, NULL)) {
        uint64_t at = GPOINTER_TO_SIZE(page) * PAGE;
        table_map(nest->l1, &nest->process, IN_HOST + at, machine_outermost(nest->l2.machine, at),
                  1, T_ALL);
    }
    nest->away = machine_take(nest->l1);
    set(nest->l1, nest->away, 0x4d0, EFER_VM, 8);
    set(nest->l1, nest->away, 0x548, CR4_LONG, 8);
    set(nest->l1, nest->away, 0x550, nest->process.root.at, 8);
    set(nest->l1, nest->away, 0x558, CR0_LONG, 8);
    set(nest->l1, nest->away, 0x578, CODE, 8);
}

/* What L1 moved is no longer in L2's nested table: a part of L3's, L3's code, its VMCB. */
static void
make_holes(Nest *nest)
{
    const uint64_t holes[] = {nest->l3.machine->nested.root.at, nest->code, nest->vmcb12,
                              nest->low};
    for (size_t i = 0; i < G_N_ELEMENTS(holes); i++)
        *entry_of(nest, &nest->l2.machine->nested, holes[i]) = 0;
}

static Nest
nest_new(void)
{
    Nest nest = {.l1 = machine_new(RAM, NULL)};
    nest.l2 = guest_in(nest.l1, IREKO_PAGING_4, IREKO_PAGING_4);
    nest.l2.machine->bytes = 2 * GUEST_BYTES;
    nest.low = machine_take(nest.l2.machine);
    nest.l2.machine->next = LOW;
    for (unsigned i = 0; i < 64; i++)
        (void)machine_take(nest.l2.machine);
    nest.l3 = guest_in(nest.l2.machine, IREKO_PAGING_4, IREKO_PAGING_4);
    nest.vmcb01 = new_vmcb(nest.l1, &nest.l2, 0);
    nest.vmcb12 = new_vmcb(nest.l2.machine, &nest.l3, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(further); i++) {
        nest.l2.machine->next = further[i];
        for (unsigned k = 0; k < 64; k++)
            (void)machine_take(nest.l2.machine);
    }
    IrekoTable table = shadow_of(nest.l1, &nest.l3);
    nest.vmcb02 = machine_take(nest.l1);
    put_vmcb(nest.l1, nest.vmcb02, &nest.l3, table.root.at, 1);
    uint64_t own = table_entry(nest.l3.machine, &nest.l3.own, CODE, 1);
    uint64_t code = machine_get(nest.l3.machine, own, 8) & ~(PAGE - 1);
    nest.code = GPOINTER_TO_SIZE(
                    g_hash_table_lookup(nest.l3.machine->pages, GSIZE_TO_POINTER(code / PAGE))) *
                PAGE;
    put_process(&nest);
    make_holes(&nest);
    return nest;
}

static void
nest_end(Nest *nest)
{
    machine_free(nest->l3.machine);
    machine_free(nest->l2.machine);
    machine_free(nest->l1);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Nest, nest_end)

/* ---- looking ---- */

typedef struct {
    IrekoRam ram;
    IrekoMemory memory;
    IrekoFindings *findings;
    const IrekoGuest *guests;
    size_t n_guests;
} Look;

static void
look(Look *look, const Nest *nest, bool with_vcpu)
{
    IrekoVcpu vcpu = {
        .nested = IREKO_NESTED_SVM, .control_gpa = nest->vmcb02, .hsave_gpa = nest->away};
    machine_ram(nest->l1, &look->ram);
    look->memory = ireko_ram_memory(&look->ram);
    look->findings = ireko_find(&look->memory, &look->ram.map, &vcpu, with_vcpu ? 1 : 0);
    look->guests = ireko_findings_guests(look->findings, &look->n_guests);
}

static void
look_end(Look *look)
{
    ireko_findings_free(look->findings);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_end)

static const IrekoFound *
found_at(const Look *look, uint64_t gpa)
{
    size_t n = 0;
    const IrekoFound *controls = ireko_findings_controls(look->findings, &n);
    for (size_t i = 0; i < n; i++) {
        if (controls[i].gpa.at == gpa)
            return &controls[i];
    }
    return NULL;
}

/* Whether L2's ADDRESS is found where it is; false: nowhere. */
static bool
is_seen(const Look *look, Nest *nest, uint64_t address, unsigned access)
{
    g_autoptr(IrekoChain) chain = ireko_findings_chain(look->findings, 0);
    IrekoWay way;
    bool there = ireko_chain_npa(chain, (IrekoNpa){address}, access, NULL, &way);
    g_assert_cmpint(way.cause, ==, there ? IREKO_CAUSE_NONE : IREKO_CAUSE_NOT_PRESENT);
    if (there)
        g_assert_cmphex(way.gpa.at, ==, machine_outermost(nest->l2.machine, address));
    return there;
}

static void
check_all_is_seen(const Look *look, Nest *nest)
{
    g_assert_cmpuint(look->n_guests, ==, 2);
    g_assert_cmpuint(look->guests[1].parent, ==, 0);
    uint64_t vmcb12 = machine_outermost(nest->l2.machine, nest->vmcb12);
    const IrekoFound *inner = found_at(look, vmcb12), *shadow = found_at(look, nest->vmcb02);
    g_assert_nonnull(inner);
    g_assert_nonnull(shadow);
    g_assert_cmpuint(inner->owner, ==, 0);
    g_assert_cmpuint(inner->guest, ==, 1);
    g_assert_cmphex(inner->at, ==, nest->vmcb12);
    g_assert_cmpint(inner->trust, !=, IREKO_FIND_UNCONFIRMED);
    g_assert_true(shadow->shadow);
    g_assert_cmpuint(shadow->guest, ==, 1);
    g_assert_cmpint(shadow->trust, !=, IREKO_FIND_UNCONFIRMED);
    /* all of L2's memory but the page of low memory */
    g_assert_cmpuint(look->guests[0].bytes, ==,
                     (g_hash_table_size(nest->l2.machine->pages) - 1) * PAGE);
}

static void
test_seen(gconstpointer with_vcpu)
{
    g_auto(Nest) nest = nest_new();
    g_auto(Look) seen = {0};
    look(&seen, &nest, GPOINTER_TO_SIZE(with_vcpu) != 0);
    check_all_is_seen(&seen, &nest);
    g_autoptr(IrekoChain) chain = ireko_findings_chain(seen.findings, 1);
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(IrekoStep));
    IrekoWay way;
    g_assert_true(ireko_chain_gva(chain, &nest.l3.own, (IrekoGva){CODE}, 0, steps, &way));
    g_assert_cmphex(way.physical[1], ==, nest.code);
    g_assert_cmphex(way.gpa.at, ==, machine_outermost(nest.l2.machine, nest.code));
    /* the last entries: one of the nested table, with nothing in it, and four of the process */
    g_assert_cmpuint(steps->len, >, 5);
    for (guint i = steps->len - 5; i < steps->len; i++) {
        const IrekoStep *step = &g_array_index(steps, IrekoStep, i);
        g_assert_cmpuint(step->table, ==, 2);
        g_assert_cmpint(step->backing, ==, i != steps->len - 5);
        g_assert_cmphex(step->raw & T_P, ==, i != steps->len - 5);
    }
}

/* A table that maps 2 MiB is gone with all that was in it. */
static void
test_large_hole(void)
{
    g_auto(Nest) nest = nest_new();
    uint64_t at = further[0] * PAGE;
    uint64_t entry = table_entry(nest.l1, &nest.l2.machine->nested, at, 2);
    machine_set(nest.l1, entry, 0, 8);
    /* and of the rest the process has not all */
    *entry_of(&nest, &nest.process, IN_HOST + at + 9 * PAGE) = 0;
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    uint64_t bytes = (g_hash_table_size(nest.l2.machine->pages) - 2) * PAGE;
    g_assert_cmpuint(seen.guests[0].bytes, ==, bytes);
    g_assert_true(is_seen(&seen, &nest, at + 10 * PAGE, 0));
    g_assert_false(is_seen(&seen, &nest, at + 9 * PAGE, 0));
}

/* What was put away is of a process beside the one that has the guest. */
static void
test_sibling(gconstpointer with_vcpu)
{
    g_auto(Nest) nest = nest_new();
    IrekoTable other = table_new(nest.l1, IREKO_PAGING_4, false);
    for (unsigned entry = 256; entry < 512; entry += 51) {
        set(nest.l1, nest.process.root.at, entry * 8, (uint64_t)entry * PAGE | T_P, 8);
        set(nest.l1, other.root.at, entry * 8, (uint64_t)entry * PAGE | T_P, 8);
    }
    set(nest.l1, nest.away, 0x550, other.root.at, 8);
    g_auto(Look) seen = {0};
    look(&seen, &nest, GPOINTER_TO_SIZE(with_vcpu) != 0);
    check_all_is_seen(&seen, &nest);
}

/* ---- what is not told ---- */

static void
test_no_access_is_allowed(void)
{
    g_auto(Nest) nest = nest_new();
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    g_assert_true(is_seen(&seen, &nest, nest.code, 0));
    g_assert_false(is_seen(&seen, &nest, nest.code, IREKO_ACCESS_READ));
}

static void
test_low_memory_is_unknown(void)
{
    g_auto(Nest) nest = nest_new();
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    g_assert_false(is_seen(&seen, &nest, nest.low, 0));
}

/* What lies behind the last page that both have may be anything. */
static void
test_ends_are_unknown(void)
{
    g_auto(Nest) nest = nest_new();
    uint64_t last = nest.l2.machine->next * PAGE, first = (LOW + 1) * PAGE;
    *entry_of(&nest, &nest.l2.machine->nested, first) = 0;
    *entry_of(&nest, &nest.l2.machine->nested, last) = 0;
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    g_assert_true(is_seen(&seen, &nest, nest.code, 0));
    g_assert_false(is_seen(&seen, &nest, first, 0));
    g_assert_false(is_seen(&seen, &nest, last, 0));
}

/* Neither the table nor the process has it: it is on a disk, say. */
static void
test_swapped_out(void)
{
    g_auto(Nest) nest = nest_new();
    *entry_of(&nest, &nest.process, IN_HOST + nest.code) &= ~T_P;
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    g_assert_false(is_seen(&seen, &nest, nest.code, 0));
    g_assert_true(is_seen(&seen, &nest, nest.vmcb12, 0));
}

static void
test_kernels_pages(void)
{
    g_auto(Nest) nest = nest_new();
    *entry_of(&nest, &nest.process, IN_HOST + nest.code) &= ~T_U;
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    g_assert_false(is_seen(&seen, &nest, nest.code, 0));
}

/* A process that has a few pages elsewhere than the nested table is not the one. */
static void
test_other_process(void)
{
    g_auto(Nest) nest = nest_new();
    for (uint64_t page = LOW + 3; page < LOW + 7; page++) {
        uint64_t *entry = entry_of(&nest, &nest.process, IN_HOST + page * PAGE);
        *entry = nest.away | (*entry & (PAGE - 1));
    }
    g_auto(Look) seen = {0};
    look(&seen, &nest, true);
    g_assert_false(is_seen(&seen, &nest, nest.code, 0));
    g_assert_false(is_seen(&seen, &nest, nest.vmcb12, 0));
}

/* L2 writes what looks like a process into its own memory: it has a few pages of L2's, whose places
 * L2 has learnt, and L1's control block where the nested table has holes, so that this is taken for
 * one that lies in L2. */
static void
test_planted(void)
{
    g_auto(Nest) nest = nest_new();
    uint64_t page = machine_take(nest.l2.machine);
    uint64_t end = nest.l2.machine->next * PAGE;
    IrekoTable forged = table_new(nest.l2.machine, IREKO_PAGING_4, false);
    for (uint64_t at = (uint64_t)LOW * PAGE; at < end; at += PAGE) {
        bool known = at < (uint64_t)(LOW + 32) * PAGE || at >= end - 8 * PAGE;
        bool is_there = g_hash_table_contains(nest.l2.machine->pages, GSIZE_TO_POINTER(at / PAGE));
        uint64_t to = known && is_there ? machine_outermost(nest.l2.machine, at) : nest.vmcb01;
        uint64_t entry = table_entry(nest.l2.machine, &forged, IN_HOST + at, 1);
        machine_set(nest.l2.machine, entry, to | T_ALL, 8);
    }
    /* the CPU takes the entries above for addresses of L1 */
    const struct {
        uint64_t page;
        unsigned level;
    } above[] = {{LOW, 2}, {further[0], 2}, {further[1], 2}, {LOW, 3}, {LOW, 4}};
    for (size_t i = 0; i < G_N_ELEMENTS(above); i++) {
        uint64_t address = IN_HOST + above[i].page * PAGE;
        uint64_t at = table_entry(nest.l2.machine, &forged, address, above[i].level);
        uint64_t entry = machine_get(nest.l2.machine, at, 8);
        machine_set(nest.l2.machine, at,
                    machine_outermost(nest.l2.machine, entry & ~(PAGE - 1)) | T_ALL, 8);
    }
    memcpy(machine_byte(nest.l2.machine, page), machine_byte(nest.l1, nest.away), PAGE);
    set(nest.l2.machine, page, 0x550, machine_outermost(nest.l2.machine, forged.root.at), 8);
    set(nest.l1, nest.away, 0x4d0, 0, 8);
    g_auto(Look) seen = {0};
    look(&seen, &nest, false);
    g_assert_cmpint(found_at(&seen, nest.vmcb01)->trust, ==, IREKO_FIND_CONFIRMED);
    g_assert_false(is_seen(&seen, &nest, nest.code, 0));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/backing/what-the-nested-table-left-out-is-seen", GSIZE_TO_POINTER(1),
                         test_seen);
    g_test_add_data_func("/backing/it-is-without-a-vcpu", GSIZE_TO_POINTER(0), test_seen);
    g_test_add_func("/backing/a-whole-table-may-be-gone", test_large_hole);
    g_test_add_data_func("/backing/processes-beside-it-are-asked", GSIZE_TO_POINTER(1),
                         test_sibling);
    g_test_add_data_func("/backing/they-are-without-a-vcpu", GSIZE_TO_POINTER(0), test_sibling);
    g_test_add_func("/backing/no-access-is-allowed-by-it", test_no_access_is_allowed);
    g_test_add_func("/backing/low-memory-is-left-out", test_low_memory_is_unknown);
    g_test_add_func("/backing/both-ends-are-left-out", test_ends_are_unknown);
    g_test_add_func("/backing/what-the-process-lacks-is-left-out", test_swapped_out);
    g_test_add_func("/backing/pages-of-its-kernel-are-left-out", test_kernels_pages);
    g_test_add_func("/backing/another-process-is-not-asked", test_other_process);
    g_test_add_func("/backing/a-planted-one-is-not-believed", test_planted);
    return g_test_run();
}
