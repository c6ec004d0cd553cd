/* xray/vmcs.c - Intel's VMCS (SDM vol. 3C, chapter 25).
 *
 * Only its first eight bytes are public: the revision, and the abort indicator. Behind them each
 * processor keeps its fields where it likes. Two kinds are told:
 *
 * - KVM gives its guests a VMX of its own, with revision 11E57ED0h and a layout that may never
 *   change (Linux, arch/x86/kvm/vmx/vmcs12.h): all of it can be read.
 *
 * - A processor's own. As Volatility's vmscan and Actaeon do: a revision that processors have, no
 *   abort, the link pointer of all ones that 27.3.1.5 asks for. And, since they go by layouts that
 *   were learnt per processor and this does not, one field that has the form of an EPTP (25.6.11):
 *   write-back, four or five levels. What it leads to must prove it; where there is none, or more
 *   than one form, the page is none. */
#include "xray/control-parts.h"

#define REVISION_KVM      0x11e57ed0u
#define REVISION_MOST     0xffu /* those of processors seen so far are under 40h */
#define REVISION_SHADOW   ((uint32_t)1 << 31)
#define LINK_POINTER_NONE UINT64_MAX
#define FIELDS            8 /* of a processor's own, from here on */

/* Of KVM's. */
#define LAUNCH_STATE 8
#define EPTP         120
#define EFER         200
#define HOST_EFER    264
#define CR0          424
#define CR3          432
#define CR4          440
#define CS_BASE      456
#define GS_BASE      488
#define TR_BASE      504
#define GDTR_BASE    512
#define IDTR_BASE    520
#define RSP          536
#define RIP          544
#define RFLAGS       552
#define HOST_CR0     584
#define HOST_CR3     592
#define HOST_CR4     600
#define HOST_RIP     672
#define PRIMARY      748
#define EXIT         768
#define ENTRY        780
#define SECONDARY    804
#define EXIT_REASON  812
#define CS_ACCESS    884
#define VPID         960

#define PRIMARY_SECONDARY ((uint32_t)1 << 31)
#define SECONDARY_EPT     ((uint32_t)1 << 1)
#define ENTRY_LONG        ((uint32_t)1 << 9)
#define ENTRY_LOAD_EFER   ((uint32_t)1 << 15)
#define EXIT_LONG         ((uint32_t)1 << 9)
#define EXIT_LOAD_EFER    ((uint32_t)1 << 21)
#define CR4_VMXE          ((uint64_t)1 << 13)
#define ACCESS_LONG       ((uint32_t)1 << 13)
#define EPTP_WRITE_BACK   6u
#define EPTP_LEVELS_4     3u
#define EPTP_LEVELS_5     4u

bool
ireko_vmcs_maybe(const uint8_t *lines)
{
    uint32_t revision = ireko_control_u32(lines, 0) & ~REVISION_SHADOW;
    return (revision == REVISION_KVM || revision - 1 < REVISION_MOST) &&
           ireko_control_u32(lines, 4) == 0;
}

static bool
is_eptp(uint64_t value)
{
    unsigned levels = (unsigned)(value >> 3 & 7);
    return value >> 12 != 0 && value >> IREKO_PHYS_BITS == 0 && (value & 7) == EPTP_WRITE_BACK &&
           (levels == EPTP_LEVELS_4 || levels == EPTP_LEVELS_5) && (value & 0xf80) == 0;
}

/* The guest's EFER: loaded on entry, or what the entry's mode makes of it. */
static uint64_t
guest_efer(const uint8_t *page)
{
    uint32_t entry = ireko_control_u32(page, ENTRY);
    if ((entry & ENTRY_LOAD_EFER) != 0)
        return ireko_control_u64(page, EFER);
    return (entry & ENTRY_LONG) != 0 ? IREKO_EFER_LME | IREKO_EFER_LMA : 0;
}

/* The host's: loaded on exit, or what the exit's mode makes of it. */
static uint64_t
host_efer(const uint8_t *page)
{
    uint32_t exit = ireko_control_u32(page, EXIT);
    if ((exit & EXIT_LOAD_EFER) != 0)
        return ireko_control_u64(page, HOST_EFER);
    return (exit & EXIT_LONG) != 0 ? IREKO_EFER_LME | IREKO_EFER_LMA : 0;
}

static bool
host_ok(const uint8_t *page)
{
    uint64_t cr0 = ireko_control_u64(page, HOST_CR0), cr4 = ireko_control_u64(page, HOST_CR4);
    return cr0 >> 32 == 0 && cr4 >> 32 == 0 && (cr4 & CR4_VMXE) != 0 &&
           (cr0 & (IREKO_CR0_PE | IREKO_CR0_PG)) == (IREKO_CR0_PE | IREKO_CR0_PG) &&
           ireko_control_u64(page, HOST_CR3) != 0;
}

static bool
read_kvm(const uint8_t *page, IrekoControl *ret_control)
{
    uint32_t primary = ireko_control_u32(page, PRIMARY);
    uint32_t secondary =
        (primary & PRIMARY_SECONDARY) != 0 ? ireko_control_u32(page, SECONDARY) : 0;
    IrekoControl control = {
        .kind = IREKO_CONTROL_VMCS12,
        .revision = REVISION_KVM,
        .state = {.cr0 = ireko_control_u64(page, CR0),
                  .cr3 = ireko_control_u64(page, CR3),
                  .cr4 = ireko_control_u64(page, CR4),
                  .efer = guest_efer(page)},
        .rip = ireko_control_u64(page, RIP),
        .rsp = ireko_control_u64(page, RSP),
        .rflags = ireko_control_u64(page, RFLAGS),
        .cs_base = ireko_control_u64(page, CS_BASE),
        .gdt_base = ireko_control_u64(page, GDTR_BASE),
        .idt_base = ireko_control_u64(page, IDTR_BASE),
        .tr_base = ireko_control_u64(page, TR_BASE),
        .gs_base = ireko_control_u64(page, GS_BASE),
        .exit_code = ireko_control_u32(page, EXIT_REASON),
        .asid = ireko_control_u16(page, VPID),
        .nested_paging = (secondary & SECONDARY_EPT) != 0,
        .nested_root = ireko_control_u64(page, EPTP),
    };
    if ((control.state.efer & IREKO_EFER_LMA) != 0 &&
        (ireko_control_u32(page, CS_ACCESS) & ACCESS_LONG) != 0)
        control.cs_base = 0;
    if (ireko_control_u32(page, LAUNCH_STATE) > 1 || !host_ok(page) ||
        (control.nested_paging && !is_eptp(control.nested_root)) ||
        !ireko_control_state_ok(&control))
        return false;
    *ret_control = control;
    return true;
}

static bool
read_private(const uint8_t *page, uint32_t revision, IrekoControl *ret_control)
{
    uint64_t eptp = 0;
    bool linked = false;
    for (size_t at = FIELDS; at < IREKO_PAGE_BYTES; at += 8) {
        uint64_t value = ireko_control_u64(page, at);
        linked = linked || value == LINK_POINTER_NONE;
        if (!is_eptp(value) || value == eptp)
            continue;
        if (eptp != 0)
            return false;
        eptp = value;
    }
    if (!linked || eptp == 0)
        return false;
    *ret_control = (IrekoControl){.kind = IREKO_CONTROL_VMCS,
                                  .revision = revision,
                                  .nested_paging = true,
                                  .nested_root = eptp};
    return true;
}

bool
ireko_vmcs_read(const uint8_t *page, IrekoControl *ret_control)
{
    uint32_t revision = ireko_control_u32(page, 0);
    if ((revision & ~REVISION_SHADOW) == REVISION_KVM)
        return read_kvm(page, ret_control);
    return read_private(page, revision & ~REVISION_SHADOW, ret_control);
}

bool
ireko_vmcs_read_host(const void *page, IrekoPutAway *ret_away)
{
    ret_away->state = (IrekoPagingState){.cr0 = ireko_control_u64(page, HOST_CR0),
                                         .cr3 = ireko_control_u64(page, HOST_CR3),
                                         .cr4 = ireko_control_u64(page, HOST_CR4),
                                         .efer = host_efer(page)};
    ret_away->rip = ireko_control_u64(page, HOST_RIP);
    ret_away->cs_base = 0; /* an exit loads that (27.5.2) */
    return (ireko_control_u32(page, 0) & ~REVISION_SHADOW) == REVISION_KVM && host_ok(page) &&
           ireko_put_away_ok(ret_away);
}
