/* Control blocks found: real ones at every depth, stale ones, copies, and those planted to mislead.
 */
#include <string.h>

#include "guests.h"
#include "xray/find.h"

#define MIB   ((uint64_t)1 << 20)
#define RAM   (16 * MIB)
#define OUTER IREKO_FIND_OUTERMOST

/* ---- looking ---- */

typedef struct {
    IrekoRam ram;
    IrekoMemory memory;
    IrekoFindings *findings;
    const IrekoFound *controls;
    const IrekoGuest *guests;
    size_t n, n_guests;
} Look;

static void
look(Look *look, Machine *outermost, uint64_t ran)
{
    IrekoVcpu vcpu = {.nested = IREKO_NESTED_SVM, .control_gpa = ran};
    machine_ram(outermost, &look->ram);
    look->memory = ireko_ram_memory(&look->ram);
    look->findings = ireko_find(&look->memory, &look->ram.map, &vcpu, ran != 0 ? 1 : 0);
    look->controls = ireko_findings_controls(look->findings, &look->n);
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
    for (size_t i = 0; i < look->n; i++) {
        if (look->controls[i].gpa.at == gpa)
            return &look->controls[i];
    }
    return NULL;
}

static void
check(const Look *look, uint64_t gpa, IrekoFindTrust trust, IrekoDoubt doubt)
{
    const IrekoFound *found = found_at(look, gpa);
    g_assert_nonnull(found);
    g_assert_cmpstr(ireko_doubt_name(found->doubt), ==, ireko_doubt_name(doubt));
    g_assert_cmpint(found->trust, ==, trust);
}

/* ---- nothing there ---- */

static void
test_nothing(void)
{
    g_autoptr(GRand) random = g_rand_new();
    g_autoptr(Machine) machine = machine_new(RAM, random);
    for (uint64_t at = 0; at < RAM / 2; at += 4)
        machine_set(machine, at, g_rand_int(random), 4);
    memset(machine->ram + RAM / 2, 0xff, RAM / 8);
    memset(machine->ram + RAM / 2 + RAM / 8, 'a', RAM / 8);
    g_auto(Look) seen = {0};
    look(&seen, machine, 0);
    g_assert_cmpuint(seen.n, ==, 0);
    g_assert_cmpuint(seen.n_guests, ==, 0);
}

/* ---- depth ---- */

static const struct {
    const char *label;
    IrekoPaging nested[3], own;
    bool vmcs;
} nests[] = {
    {"one", {IREKO_PAGING_4}, IREKO_PAGING_4, false},
    {"one-of-five-levels", {IREKO_PAGING_5}, IREKO_PAGING_5, false},
    {"one-of-PAE", {IREKO_PAGING_PAE}, IREKO_PAGING_4, false},
    {"two", {IREKO_PAGING_4, IREKO_PAGING_4}, IREKO_PAGING_4, false},
    {"three", {IREKO_PAGING_4, IREKO_PAGING_5, IREKO_PAGING_4}, IREKO_PAGING_5, false},
    {"vmcs-one", {IREKO_PAGING_EPT4}, IREKO_PAGING_4, true},
    {"vmcs-three", {IREKO_PAGING_EPT4, IREKO_PAGING_EPT5, IREKO_PAGING_EPT4}, IREKO_PAGING_4, true},
};

static void
test_nest(gconstpointer data)
{
    size_t row = GPOINTER_TO_SIZE(data);
    g_autoptr(GRand) random = g_rand_new();
    g_autoptr(GPtrArray) machines = g_ptr_array_new_with_free_func((GDestroyNotify)machine_free);
    Machine *machine = machine_new(RAM, random);
    g_ptr_array_add(machines, machine);
    uint64_t gpas[3] = {0}, ats[3] = {0};
    size_t depth = 0;
    for (; depth < 3 && nests[row].nested[depth] != IREKO_PAGING_NONE; depth++) {
        Guest guest = guest_in(machine, nests[row].nested[depth], nests[row].own);
        ats[depth] = machine_take(machine);
        gpas[depth] = machine_outermost(machine, ats[depth]);
        if (nests[row].vmcs)
            put_vmcs(machine, ats[depth], &guest);
        else
            put_vmcb(machine, ats[depth], &guest, guest.machine->nested.root.at, 0);
        machine = guest.machine;
        g_ptr_array_add(machines, machine);
    }
    g_auto(Look) seen = {0};
    look(&seen, g_ptr_array_index(machines, 0), 0);
    g_assert_cmpuint(seen.n, ==, depth);
    g_assert_cmpuint(seen.n_guests, ==, depth);
    for (size_t i = 0; i < depth; i++) {
        const IrekoFound *found = found_at(&seen, gpas[i]);
        check(&seen, gpas[i], IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
        g_assert_cmphex(found->at, ==, ats[i]);
        g_assert_cmpuint(found->owner, ==, i == 0 ? OUTER : i - 1);
        g_assert_cmpuint(found->guest, ==, i);
        g_assert_cmpuint(seen.guests[i].parent, ==, i == 0 ? OUTER : i - 1);
        g_assert_cmpuint(seen.guests[i].depth, ==, i + 1);
        g_assert_cmpint(seen.guests[i].nested.paging, ==, nests[row].nested[i]);
        const Machine *inner = g_ptr_array_index(machines, i + 1);
        g_assert_cmpuint(seen.guests[i].bytes, ==, g_hash_table_size(inner->pages) * PAGE);
    }
    g_autoptr(IrekoChain) chain = ireko_findings_chain(seen.findings, depth - 1);
    IrekoWay way;
    g_assert_true(ireko_chain_npa(chain, (IrekoNpa){PAGE}, 0, NULL, &way) ||
                  way.cause == IREKO_CAUSE_NOT_PRESENT);
}

/* ---- KVM's guests of guests ---- */

typedef struct {
    Machine *l1;
    Guest l2, l3;
    uint64_t vmcb01, vmcb02, vmcb12; /* the last in L2's memory */
} Nest;

static Nest
nest_new(void)
{
    Nest nest = {.l1 = machine_new(RAM, NULL)};
    nest.l2 = guest_in(nest.l1, IREKO_PAGING_4, IREKO_PAGING_4);
    nest.l3 = guest_in(nest.l2.machine, IREKO_PAGING_4, IREKO_PAGING_4);
    nest.vmcb01 = new_vmcb(nest.l1, &nest.l2, 0);
    nest.vmcb12 = new_vmcb(nest.l2.machine, &nest.l3, 1);
    IrekoTable table = shadow_of(nest.l1, &nest.l3);
    nest.vmcb02 = machine_take(nest.l1);
    put_vmcb(nest.l1, nest.vmcb02, &nest.l3, table.root.at, 1);
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

static void
test_shadow(void)
{
    g_auto(Nest) nest = nest_new();
    uint64_t vmcb12 = machine_outermost(nest.l2.machine, nest.vmcb12);
    g_auto(Look) seen = {0};
    look(&seen, nest.l1, nest.vmcb02);
    g_assert_cmpuint(seen.n, ==, 3);
    g_assert_cmpuint(seen.n_guests, ==, 2);
    check(&seen, nest.vmcb01, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    check(&seen, nest.vmcb02, IREKO_FIND_RUN, IREKO_DOUBT_NONE);
    check(&seen, vmcb12, IREKO_FIND_RUN, IREKO_DOUBT_NONE);
    g_assert_true(found_at(&seen, nest.vmcb02)->shadow);
    g_assert_false(found_at(&seen, vmcb12)->shadow);
    g_assert_cmpuint(found_at(&seen, nest.vmcb01)->guest, ==, 0);
    g_assert_cmpuint(found_at(&seen, nest.vmcb02)->guest, ==, 1);
    g_assert_cmpuint(found_at(&seen, nest.vmcb02)->owner, ==, OUTER);
    g_assert_cmpuint(found_at(&seen, vmcb12)->guest, ==, 1);
    g_assert_cmpuint(found_at(&seen, vmcb12)->owner, ==, 0);
    g_assert_cmphex(found_at(&seen, vmcb12)->at, ==, nest.vmcb12);
}

static void
test_unpaired(void)
{
    g_auto(Nest) nest = nest_new();
    set(nest.l2.machine, nest.vmcb12, 0x58, 0, 4);
    g_auto(Look) seen = {0};
    look(&seen, nest.l1, 0);
    g_assert_cmpuint(seen.n, ==, 2);
    g_assert_cmpuint(seen.n_guests, ==, 1);
    check(&seen, nest.vmcb01, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    check(&seen, nest.vmcb02, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_UNPAIRED);
}

/* ---- more vCPUs, and copies of one ---- */

typedef struct {
    Machine *l1;
    Guest l2;
    uint64_t vmcb;
} Pair;

static Pair
pair_new(void)
{
    Pair pair = {.l1 = machine_new(RAM, NULL)};
    pair.l2 = guest_in(pair.l1, IREKO_PAGING_4, IREKO_PAGING_4);
    pair.vmcb = new_vmcb(pair.l1, &pair.l2, 0);
    return pair;
}

static void
pair_end(Pair *pair)
{
    machine_free(pair->l2.machine);
    machine_free(pair->l1);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_end)

static void
test_vcpus(void)
{
    g_auto(Pair) pair = pair_new();
    uint64_t second = new_vmcb(pair.l1, &pair.l2, 1);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, second);
    g_assert_cmpuint(seen.n_guests, ==, 1);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    check(&seen, second, IREKO_FIND_RUN, IREKO_DOUBT_NONE);
}

static void
test_twins(void)
{
    g_auto(Pair) pair = pair_new();
    uint64_t copy = new_vmcb(pair.l1, &pair.l2, 0);
    g_auto(Look) seen = {0}, told = {0};
    look(&seen, pair.l1, 0);
    check(&seen, pair.vmcb, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_TWIN);
    check(&seen, copy, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_TWIN);
    look(&told, pair.l1, pair.vmcb);
    check(&told, pair.vmcb, IREKO_FIND_RUN, IREKO_DOUBT_NONE);
    check(&told, copy, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_TWIN);
}

/* ---- stale, and planted ---- */

static void
test_ended(void)
{
    g_auto(Pair) pair = pair_new();
    memset(machine_byte(pair.l1, pair.l2.machine->nested.root.at), 0, PAGE);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    g_assert_cmpuint(seen.n_guests, ==, 0);
    check(&seen, pair.vmcb, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_TABLE_EMPTY);
}

static const struct {
    const char *label;
    unsigned at;
    uint64_t value;
    IrekoDoubt doubt;
} decoys[] = {
    {"nested-table-outside-of-ram", 0xb0, RAM + 4096, IREKO_DOUBT_TABLE_BROKEN},
    {"nested-table-far-outside", 0xb0, UINT64_C(0xffffffffff000), IREKO_DOUBT_TABLE_BROKEN},
    {"guest-table-where-it-has-no-memory", 0x550, UINT64_C(0x7fff000), IREKO_DOUBT_NO_CODE},
    {"no-code-and-no-descriptors", 0x550, 0, IREKO_DOUBT_NO_CODE},
};

static void
test_decoy(gconstpointer data)
{
    size_t row = GPOINTER_TO_SIZE(data);
    g_auto(Pair) pair = pair_new();
    uint64_t decoy = new_vmcb(pair.l1, &pair.l2, 1);
    set(pair.l1, decoy, decoys[row].at, decoys[row].value, 8);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    g_assert_cmpuint(seen.n_guests, ==, 1);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    check(&seen, decoy, IREKO_FIND_UNCONFIRMED, decoys[row].doubt);
}

static void
test_self(void)
{
    g_auto(Pair) pair = pair_new();
    uint64_t decoy = new_vmcb(pair.l1, &pair.l2, 1), root = machine_take(pair.l1);
    for (unsigned i = 0; i < 512; i++)
        set(pair.l1, root, i * 8, root | T_ALL, 8);
    set(pair.l1, decoy, 0xb0, root, 8);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    g_assert_cmpuint(seen.n_guests, ==, 1);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    g_assert_cmpint(found_at(&seen, decoy)->trust, ==, IREKO_FIND_UNCONFIRMED);
}

/* A decoy whose nested table maps all of the guest, and itself, and another control block. */
static void
test_given_away(void)
{
    g_auto(Pair) pair = pair_new();
    Guest other = guest_in(pair.l1, IREKO_PAGING_4, IREKO_PAGING_4);
    IrekoTable forged = shadow_of(pair.l1, &other);
    uint64_t decoy = machine_take(pair.l1);
    put_vmcb(pair.l1, decoy, &other, forged.root.at, 1);
    table_map(pair.l1, &forged, 3 * MIB, decoy, 1, T_ALL);
    table_map(pair.l1, &forged, 3 * MIB + PAGE, pair.vmcb, 1, T_ALL);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    g_assert_cmpuint(seen.n_guests, ==, 1);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    check(&seen, decoy, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_GIVEN_AWAY);
    machine_free(other.machine);
}

static void
test_broken_table(void)
{
    g_auto(Pair) pair = pair_new();
    set(pair.l1, pair.l2.machine->nested.root.at, 511 * 8, 0x7000 | T_PS | T_ALL, 8);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    g_assert_cmpuint(seen.n_guests, ==, 0);
    check(&seen, pair.vmcb, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_TABLE_BROKEN);
}

static void
test_large_page(void)
{
    g_auto(Pair) pair = pair_new();
    table_map(pair.l1, &pair.l2.machine->nested, 8 * MIB, 12 * MIB, 2, T_ALL | T_PS);
    put_vmcb(pair.l1, 12 * MIB + 5 * PAGE, &pair.l2, 8 * MIB, 0);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    const IrekoFound *inner = found_at(&seen, 12 * MIB + 5 * PAGE);
    g_assert_cmpuint(inner->owner, ==, 0);
    g_assert_cmphex(inner->at, ==, 8 * MIB + 5 * PAGE);
}

static void
test_copy_in_guest(void)
{
    g_auto(Pair) pair = pair_new();
    uint64_t inner = new_vmcb(pair.l2.machine, &pair.l2, 0);
    uint64_t gpa = machine_outermost(pair.l2.machine, inner);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    g_assert_cmpuint(seen.n_guests, ==, 1);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    g_assert_cmpint(found_at(&seen, gpa)->trust, ==, IREKO_FIND_UNCONFIRMED);
    g_assert_cmpuint(found_at(&seen, gpa)->owner, ==, 0);
    g_assert_cmphex(found_at(&seen, gpa)->at, ==, inner);
}

/* A guest forges, in its own memory, a control block and a nested table by outermost addresses: it
 * maps the guest's code, and the page of the real control block. */
static uint64_t
forge(const Pair *pair)
{
    Machine *outer = pair->l1, *inner = pair->l2.machine;
    uint64_t pages[3], at[3];
    for (size_t i = 0; i < 3; i++) {
        at[i] = machine_take(inner);
        pages[i] = machine_outermost(inner, at[i]);
    }
    uint64_t root = machine_outermost(inner, machine_take(inner));
    uint64_t decoy = machine_take(inner);
    set(outer, root, 0, pages[0] | T_ALL, 8);
    set(outer, pages[0], 0, pages[1] | T_ALL, 8);
    set(outer, pages[1], 0, pages[2] | T_ALL, 8);
    GHashTableIter known;
    gpointer page, to;
    g_hash_table_iter_init(&known, inner->pages);
    while (g_hash_table_iter_next(&known, &page, &to)) {
        if (GPOINTER_TO_SIZE(page) < 500)
            set(outer, pages[2], (unsigned)GPOINTER_TO_SIZE(page) * 8,
                GPOINTER_TO_SIZE(to) * PAGE | T_ALL, 8);
    }
    set(outer, pages[2], 510 * 8, pair->vmcb | T_ALL, 8);
    set(outer, pages[2], (unsigned)(decoy / PAGE) * 8, 0, 8); /* not the page that it is in */
    put_vmcb(inner, decoy, &pair->l2, root, 1);
    return machine_outermost(inner, decoy);
}

static void
test_forged(void)
{
    g_auto(Pair) pair = pair_new();
    uint64_t decoy = forge(&pair);
    g_auto(Look) seen = {0}, told = {0};
    look(&seen, pair.l1, 0);
    check(&seen, pair.vmcb, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_MUTUAL);
    check(&seen, decoy, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_MUTUAL);
    g_assert_cmpuint(seen.n_guests, ==, 0);
    look(&told, pair.l1, pair.vmcb);
    check(&told, pair.vmcb, IREKO_FIND_RUN, IREKO_DOUBT_NONE);
    g_assert_cmpint(found_at(&told, decoy)->trust, ==, IREKO_FIND_UNCONFIRMED);
    g_assert_cmpuint(found_at(&told, decoy)->owner, ==, 0);
    g_assert_cmpuint(told.n_guests, ==, 1);
}

static void
test_forged_about_another(void)
{
    g_auto(Pair) pair = pair_new();
    Guest other = guest_in(pair.l1, IREKO_PAGING_4, IREKO_PAGING_4);
    uint64_t real = pair.vmcb;
    pair.vmcb = new_vmcb(pair.l1, &other, 2); /* what the forged one claims */
    uint64_t decoy = forge(&pair);
    g_auto(Look) seen = {0};
    look(&seen, pair.l1, 0);
    check(&seen, real, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    check(&seen, pair.vmcb, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    g_assert_cmpint(found_at(&seen, decoy)->trust, ==, IREKO_FIND_UNCONFIRMED);
    g_assert_cmpuint(seen.n_guests, ==, 2);
    machine_free(other.machine);
}

static void
test_flood(void)
{
    g_autoptr(Machine) l1 = machine_new(64 * MIB, NULL);
    Guest l2 = guest_in(l1, IREKO_PAGING_4, IREKO_PAGING_4);
    for (unsigned i = 0; i < 6000; i++) { /* each with a table of its own that is all loops */
        uint64_t decoy = new_vmcb(l1, &l2, 1), root = machine_take(l1);
        for (unsigned j = 0; j < 512; j++)
            set(l1, root, j * 8, (root - (j % 3) * 2 * PAGE) | T_ALL, 8);
        set(l1, decoy, 0xb0, root, 8);
    }
    uint64_t last = new_vmcb(l1, &l2, 0);
    g_auto(Look) seen = {0};
    look(&seen, l1, last);
    g_assert_true(ireko_findings_cut(seen.findings));
    g_assert_cmpuint(seen.n, ==, IREKO_FIND_CONTROLS_MAX + 1);
    check(&seen, last, IREKO_FIND_RUN, IREKO_DOUBT_NONE);
    machine_free(l2.machine);
}

/* ---- other kinds ---- */

static void
test_shadow_paging(void)
{
    g_autoptr(Machine) l1 = machine_new(RAM, NULL);
    Guest guest = {.machine = l1, .own = table_new(l1, IREKO_PAGING_4, false)};
    table_map(l1, &guest.own, CODE, machine_take(l1), 1, T_ALL);
    uint64_t page = machine_take(l1);
    put_vmcb(l1, page, &guest, 0, 0);
    set(l1, page, 0x90, 0, 8);
    g_auto(Look) seen = {0};
    look(&seen, l1, 0);
    check(&seen, page, IREKO_FIND_CONFIRMED, IREKO_DOUBT_NONE);
    g_assert_cmpuint(found_at(&seen, page)->guest, ==, OUTER);
    g_assert_cmpuint(seen.n_guests, ==, 0);
}

/* In memory, the VMCS that a KVM has in use is what it was when it was loaded. */
static void
test_kept_apart(void)
{
    g_autoptr(Machine) l1 = machine_new(RAM, NULL);
    Guest l2 = guest_in(l1, IREKO_PAGING_EPT4, IREKO_PAGING_4);
    uint64_t page = machine_take(l1);
    put_vmcs(l1, page, &l2);
    g_autofree uint8_t *image = g_memdup2(machine_byte(l1, page), PAGE);
    set(l1, page, 544, 0, 8);
    set(l1, page, 432, 0, 8);
    IrekoRam ram;
    machine_ram(l1, &ram);
    IrekoMemory memory = ireko_ram_memory(&ram);
    IrekoVcpu vcpu = {
        .nested = IREKO_NESTED_VMX, .control_gpa = page, .image = image, .image_bytes = PAGE};
    g_autoptr(IrekoFindings) findings = ireko_find(&memory, &ram.map, &vcpu, 1);
    size_t n = 0;
    const IrekoFound *found = ireko_findings_controls(findings, &n);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(found->trust, ==, IREKO_FIND_RUN);
    g_assert_cmpint(found->doubt, ==, IREKO_DOUBT_NONE);
    g_assert_cmphex(found->control.rip, ==, CODE);
    machine_free(l2.machine);
}

static void
test_private_vmcs(void)
{
    g_autoptr(Machine) l1 = machine_new(RAM, NULL);
    Guest l2 = guest_in(l1, IREKO_PAGING_EPT4, IREKO_PAGING_4);
    uint64_t root = l2.machine->nested.root.at, page = 0;
    static const bool has[][2] = {{false, true}, {true, false}, {true, true}}; /* EPT, link */
    for (size_t i = 0; i < G_N_ELEMENTS(has); i++) {
        page = machine_take(l1);
        set(l1, page, 0, 0x12, 4);
        set(l1, page, 0x2c0, has[i][1] ? UINT64_MAX : 0, 8);
        set(l1, page, 0x310, (has[i][0] ? root : 0x8000) | 0x5e, 8);
    }
    g_auto(Look) seen = {0};
    look(&seen, l1, 0);
    g_assert_cmpuint(seen.n, ==, 1);
    check(&seen, page, IREKO_FIND_UNCONFIRMED, IREKO_DOUBT_LAYOUT);
    g_assert_cmpuint(found_at(&seen, page)->control.revision, ==, 0x12);
    g_assert_cmpuint(seen.guests[0].bytes, ==, g_hash_table_size(l2.machine->pages) * PAGE);
    machine_free(l2.machine);
}

static void
test_without_window(void)
{
    g_auto(Nest) nest = nest_new();
    IrekoRam ram;
    machine_ram(nest.l1, &ram);
    IrekoMemory memory = ireko_ram_memory(&ram);
    memory.window = NULL;
    g_autoptr(IrekoFindings) findings = ireko_find(&memory, &ram.map, NULL, 0);
    size_t n = 0, guests = 0;
    (void)ireko_findings_controls(findings, &n);
    (void)ireko_findings_guests(findings, &guests);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpuint(guests, ==, 2);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/find/noise-is-no-control-block", test_nothing);
    for (size_t i = 0; i < G_N_ELEMENTS(nests); i++) {
        g_autofree char *path = g_strdup_printf("/find/every-guest-is-found/%s", nests[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_nest);
    }
    g_test_add_func("/find/a-shadow-is-set-beside-its-guest", test_shadow);
    g_test_add_func("/find/a-shadow-without-a-guest-is-not-confirmed", test_unpaired);
    g_test_add_func("/find/two-vcpus-are-one-guest", test_vcpus);
    g_test_add_func("/find/a-copy-is-not-taken-for-a-vcpu", test_twins);
    g_test_add_func("/find/a-guest-that-ended-is-not-confirmed", test_ended);
    for (size_t i = 0; i < G_N_ELEMENTS(decoys); i++) {
        g_autofree char *path = g_strdup_printf("/find/a-decoy-is-told/%s", decoys[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_decoy);
    }
    g_test_add_func("/find/a-decoy-is-told/a-table-of-itself", test_self);
    g_test_add_func("/find/a-decoy-is-told/it-gives-itself-to-its-guest", test_given_away);
    g_test_add_func("/find/a-decoy-is-told/a-table-with-a-reserved-bit", test_broken_table);
    g_test_add_func("/find/what-lies-in-a-large-page-has-its-address", test_large_page);
    g_test_add_func("/find/a-copy-in-a-guest-is-that-guests", test_copy_in_guest);
    g_test_add_func("/find/a-forged-one-is-confirmed-in-no-case", test_forged);
    g_test_add_func("/find/a-forged-one-does-not-hide-others", test_forged_about_another);
    g_test_add_func("/find/a-flood-of-decoys-ends", test_flood);
    g_test_add_func("/find/shadow-paging-is-confirmed-by-its-table", test_shadow_paging);
    g_test_add_func("/find/a-processors-own-vmcs-is-known-by-its-ept", test_private_vmcs);
    g_test_add_func("/find/what-a-kvm-keeps-apart-is-looked-at-instead", test_kept_apart);
    g_test_add_func("/find/memory-that-is-only-read-gives-the-same", test_without_window);
    return g_test_run();
}
