/* Pages with and without the form of a control block. */
#include <string.h>

#include "guests.h"
#include "xray/control.h"

#define RAM ((uint64_t)1 << 20)

/* A page with a VMCB, or a VMCS of KVM's; nothing of it leads anywhere. */
static uint8_t *
page_new(Machine *machine, bool vmcs)
{
    Guest guest = {.machine = machine, .own.root.at = 0x5000, .paging = IREKO_PAGING_4};
    uint64_t page = machine_take(machine);
    machine->nested = (IrekoTable){.root.at = 0x7000, .paging = IREKO_PAGING_EPT4};
    if (vmcs)
        put_vmcs(machine, page, &guest);
    else
        put_vmcb(machine, page, &guest, 0x7000, 0);
    return machine_byte(machine, page);
}

static void
test_vmcb(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    const uint8_t *page = page_new(machine, false);
    IrekoControl control;
    g_assert_true(ireko_control_maybe(page));
    g_assert_true(ireko_control_read(page, &control));
    g_assert_cmpint(control.kind, ==, IREKO_CONTROL_VMCB);
    g_assert_cmphex(control.state.cr0, ==, CR0_LONG);
    g_assert_cmphex(control.state.cr3, ==, 0x5000);
    g_assert_cmphex(control.state.cr4, ==, CR4_LONG);
    g_assert_cmphex(control.state.efer, ==, EFER_VM);
    g_assert_cmphex(control.rip, ==, CODE + 0x10);
    g_assert_cmphex(control.rsp, ==, 0xffffffff82a03e98);
    g_assert_cmphex(control.rflags, ==, 0x246);
    g_assert_cmphex(control.gdt_base, ==, GDT);
    g_assert_cmphex(control.idt_base, ==, IDT);
    g_assert_cmphex(control.tr_base, ==, IDT + 0x3000);
    g_assert_cmphex(control.gs_base, ==, 0xffff888000000000);
    g_assert_cmphex(control.exit_code, ==, 0x78);
    g_assert_cmpuint(control.asid, ==, 7);
    g_assert_true(control.nested_paging);
    g_assert_cmphex(control.nested_root, ==, 0x7000);
}

static void
test_vmcs(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    const uint8_t *page = page_new(machine, true);
    IrekoControl control;
    g_assert_true(ireko_control_maybe(page));
    g_assert_true(ireko_control_read(page, &control));
    g_assert_cmpint(control.kind, ==, IREKO_CONTROL_VMCS12);
    g_assert_cmphex(control.revision, ==, 0x11e57ed0);
    g_assert_cmphex(control.state.cr3, ==, 0x5000);
    g_assert_cmphex(control.state.efer, ==, 0xd01);
    g_assert_cmphex(control.rip, ==, CODE);
    g_assert_cmphex(control.gdt_base, ==, GDT);
    g_assert_cmphex(control.nested_root, ==, 0x705e);
    g_assert_true(control.nested_paging);
}

/* ---- what a hypervisor put away ---- */

static void
put(uint8_t *page, unsigned at, uint64_t value, unsigned bytes)
{
    value = GUINT64_TO_LE(value);
    memcpy(page + at, &value, bytes);
}

static void
test_vmcb_host(void)
{
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    const uint8_t nothing[PAGE] = {0};
    IrekoPutAway away;
    g_assert_true(ireko_vmcb_read_host(page_new(machine, false), &away));
    g_assert_cmphex(away.state.cr0, ==, CR0_LONG);
    g_assert_cmphex(away.state.cr3, ==, 0x5000);
    g_assert_cmphex(away.state.efer, ==, EFER_VM);
    g_assert_cmphex(away.rip, ==, CODE + 0x10);
    g_assert_cmphex(away.cs_base, ==, 0);
    g_assert_false(ireko_vmcb_read_host(nothing, &away));
}

static void
test_vmcs_host(void)
{
    static const struct {
        uint64_t exit, efer;
    } rows[] = {{1u << 9, 0x500}, {1u << 21 | 1u << 9, 0xd01}, {0, 0}};
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    uint8_t *page = page_new(machine, true);
    const uint8_t nothing[PAGE] = {0};
    IrekoPutAway away;
    put(page, 264, 0xd01, 8);
    put(page, 672, CODE + 0x40, 8);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        put(page, 768, rows[i].exit, 4);
        g_assert_true(ireko_vmcs_read_host(page, &away));
        g_assert_cmphex(away.state.efer, ==, rows[i].efer);
        g_assert_cmphex(away.state.cr3, ==, 0x1000);
        g_assert_cmphex(away.rip, ==, CODE + 0x40);
    }
    put(page, 0, 0x11e57ed1, 4); /* not of KVM's layout */
    g_assert_false(ireko_vmcs_read_host(page, &away));
    g_assert_false(ireko_vmcs_read_host(nothing, &away));
}

/* ---- the rules, broken one at a time ---- */

static const struct {
    const char *label;
    unsigned at, bytes;
    uint64_t value;
} broken[] = {
    {"vmrun-is-not-intercepted", 0x10, 4, 0x6e7e},
    {"asid-0", 0x58, 4, 0},
    {"asid-too-large", 0x58, 4, 0x10000},
    {"tlb-control", 0x5c, 1, 2},
    {"reserved-18h", 0x18, 8, 1},
    {"reserved-30h", 0x30, 8, 1},
    {"reserved-5dh", 0x5d, 1, 1},
    {"iopm-too-high", 0x40, 8, UINT64_C(1) << 52},
    {"no-iopm", 0x40, 8, 0},
    {"no-msrpm", 0x48, 8, 0},
    {"virtual-interrupt", 0x60, 8, UINT64_C(1) << 40},
    {"interrupt-shadow", 0x68, 8, 4},
    {"exit-code", 0x70, 8, 0x300},
    {"nested-control", 0x90, 8, 0x10001},
    {"encrypted", 0x90, 8, 5},
    {"no-nested-table", 0xb0, 8, 0},
    {"nested-table-too-high", 0xb0, 8, UINT64_C(1) << 52},
    {"event-of-no-kind", 0xa8, 8, 0x80000120},
    {"event-reserved", 0xa8, 8, 0x80001000},
    {"last-branch", 0xb8, 8, 0x100},
    {"reserved-c4h", 0xc4, 4, 1},
    {"segment-attributes", 0x412, 2, 0x1a9b},
    {"segment-attributes-of-tr", 0x492, 2, 0x8000},
    {"cpl-4", 0x4cb, 1, 4},
    {"efer-without-svme", 0x4d0, 8, 0xd01},
    {"efer-reserved", 0x4d0, 8, EFER_VM | 2},
    {"cr0-high", 0x558, 8, UINT64_C(1) << 32 | CR0_LONG},
    {"cr0-nw-without-cd", 0x558, 8, CR0_LONG | 1u << 29},
    {"paging-without-protection", 0x558, 8, CR0_LONG & ~1u},
    {"long-mode-without-pae", 0x548, 8, CR4_LONG & ~0x20u},
    {"long-mode-active-without-paging", 0x558, 8, 0x33},
    {"cr3-high", 0x550, 8, UINT64_C(1) << 52},
    {"cr4-high", 0x548, 8, UINT64_C(1) << 32 | CR4_LONG},
    {"dr6-high", 0x568, 8, UINT64_C(1) << 32},
    {"dr7-high", 0x560, 8, UINT64_C(1) << 32},
    {"rflags-bit-1", 0x570, 8, 0x244},
    {"rflags-reserved", 0x570, 8, 0x400246},
    {"cs-long-and-32", 0x412, 2, 0xe9b},
    {"rip-not-canonical", 0x578, 8, UINT64_C(0x8000000000000000)},
    {"rsp-not-canonical", 0x5d8, 8, UINT64_C(0x4000000000000000)},
    {"vmcs-revision", 0, 4, 0x11e57ed1},
    {"vmcs-abort", 4, 4, 1},
    {"vmcs-launch-state", 8, 4, 2},
    {"vmcs-eptp-memory-type", 120, 8, 0x705d},
    {"vmcs-eptp-levels", 120, 8, 0x7056},
    {"vmcs-no-eptp", 120, 8, 0x5e},
    {"vmcs-host-without-vmxe", 600, 8, 0x6f0},
    {"vmcs-host-without-paging", 584, 8, 0x33},
    {"vmcs-host-without-cr3", 592, 8, 0},
    {"vmcs-guest-cr0", 424, 8, CR0_LONG & ~1u},
    {"vmcs-guest-cr4", 440, 8, CR4_LONG & ~0x20u},
};

static void
test_broken(gconstpointer data)
{
    size_t row = GPOINTER_TO_SIZE(data);
    g_autoptr(Machine) machine = machine_new(RAM, NULL);
    uint8_t *page = page_new(machine, g_str_has_prefix(broken[row].label, "vmcs-"));
    uint64_t value = GUINT64_TO_LE(broken[row].value);
    IrekoControl control;
    memcpy(page + broken[row].at, &value, broken[row].bytes);
    g_assert_false(ireko_control_read(page, &control));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/a-vmcb-is-read", test_vmcb);
    g_test_add_func("/control/kvms-vmcs-is-read", test_vmcs);
    g_test_add_func("/control/what-a-host-put-away-is-where-a-vmcb-has-its-guest", test_vmcb_host);
    g_test_add_func("/control/what-a-host-put-away-is-in-kvms-vmcs", test_vmcs_host);
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *path =
            g_strdup_printf("/control/a-broken-rule-is-seen/%s", broken[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_broken);
    }
    return g_test_run();
}
