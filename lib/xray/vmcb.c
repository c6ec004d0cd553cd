/* xray/vmcb.c - AMD's VMCB (APM vol. 2, appendix B: tables B-1 and B-2).
 *
 * It has no magic number, but VMRUN refuses a VMCB that breaks any of many rules (15.5.1): the
 * intercept of VMRUN itself must be set, the ASID must not be 0, EFER.SVME must be set, and CR0,
 * CR4 and EFER must be a state that a CPU can be in. So every VMCB that ever ran holds to them, as
 * do the reserved fields that software is to leave 0. Of a page of anything else hardly one in 2^60
 * does by chance.
 *
 * The ASID with the TLB control beside it, 58h to 5Fh, is looked at first: 1 to FFFFh, one of four
 * values, three bytes of 0. Neither a page of zeros, nor one of code or text, passes that. */
#include "xray/control-parts.h"

#define INTERCEPTS_3  0x0c
#define INTERCEPTS_4  0x10 /* bit 0: VMRUN */
#define RESERVED_18   0x18
#define IOPM          0x40
#define MSRPM         0x48
#define ASID          0x58
#define VINTR         0x60
#define SHADOW        0x68
#define EXIT_CODE     0x70
#define NESTED        0x90
#define EVENT         0xa8
#define NCR3          0xb0
#define LBR           0xb8
#define CLEAN         0xc0
#define SAVE          0x400
#define CS            (SAVE + 0x10)
#define GS            (SAVE + 0x50)
#define GDTR          (SAVE + 0x60)
#define IDTR          (SAVE + 0x80)
#define TR            (SAVE + 0x90)
#define CPL           (SAVE + 0xcb)
#define EFER          (SAVE + 0xd0)
#define CR4           (SAVE + 0x148)
#define CR3           (SAVE + 0x150)
#define CR0           (SAVE + 0x158)
#define DR7           (SAVE + 0x160)
#define DR6           (SAVE + 0x168)
#define RFLAGS        (SAVE + 0x170)
#define RIP           (SAVE + 0x178)
#define RSP           (SAVE + 0x1d8)
#define SEGMENT_BYTES 16
#define SEGMENTS      10 /* ES to TR */

#define INTERCEPT_IO   ((uint32_t)1 << 27)
#define INTERCEPT_MSR  ((uint32_t)1 << 28)
#define NESTED_ON      ((uint64_t)1 << 0)
#define NESTED_SEV_ES  ((uint64_t)1 << 2) /* the registers are encrypted, and elsewhere */
#define EVENT_VALID    ((uint64_t)1 << 31)
#define EFER_SVME      ((uint64_t)1 << 12)
#define EFER_DEFINED   ((uint64_t)0x36fd01)
#define RFLAGS_ONE     ((uint64_t)1 << 1)
#define RFLAGS_DEFINED ((uint64_t)0x3f7fd7)
#define ATTRIB_LONG    (1u << 9)
#define ATTRIB_32      (1u << 10)
#define ATTRIB_DEFINED 0x0fffu
#define ASID_MOST      0xffffu

static bool
is_physical(uint64_t address)
{
    return address >> IREKO_PHYS_BITS == 0;
}

/* Table C-1: what a guest can be left for; software's own range is from F0000000h on. */
static bool
is_exit_code(uint64_t code)
{
    return code <= 0xa7 || (code >= 0x400 && code <= 0x405) || code >= UINT64_MAX - 3 ||
           code == UINT32_MAX || (code >= 0xf0000000 && code <= 0xf00000ff);
}

bool
ireko_vmcb_maybe(const uint8_t *lines)
{
    uint64_t asid = ireko_control_u64(lines, ASID);
    uint64_t flush = asid >> 32;
    return (asid & UINT32_MAX) - 1 < ASID_MOST && (flush <= 1 || flush == 3 || flush == 7) &&
           (lines[INTERCEPTS_4] & 1) != 0;
}

static bool
control_ok(const uint8_t *page)
{
    uint32_t intercepts = ireko_control_u32(page, INTERCEPTS_3);
    uint64_t iopm = ireko_control_u64(page, IOPM), msrpm = ireko_control_u64(page, MSRPM);
    for (size_t at = RESERVED_18; at < IOPM - 8; at += 8) { /* 38h: pause filter at its end */
        if (ireko_control_u64(page, at) != 0)
            return false;
    }
    if (!is_physical(iopm) || !is_physical(msrpm) || ireko_control_u32(page, IOPM - 8) != 0 ||
        ((intercepts & INTERCEPT_IO) != 0 && iopm == 0) ||
        ((intercepts & INTERCEPT_MSR) != 0 && msrpm == 0))
        return false;
    return ireko_control_u64(page, VINTR) >> 40 == 0 && ireko_control_u64(page, SHADOW) <= 3 &&
           is_exit_code(ireko_control_u64(page, EXIT_CODE));
}

static bool
nested_ok(const uint8_t *page)
{
    uint64_t nested = ireko_control_u64(page, NESTED), ncr3 = ireko_control_u64(page, NCR3);
    uint64_t event = ireko_control_u64(page, EVENT), kind = event >> 8 & 7;
    if (nested >> 16 != 0 || (nested & NESTED_SEV_ES) != 0 || !is_physical(ncr3) ||
        ((nested & NESTED_ON) != 0 && ncr3 == 0))
        return false;
    if ((event & EVENT_VALID) != 0 && ((event >> 12 & 0x7ffff) != 0 || kind == 1 || kind > 4))
        return false;
    return ireko_control_u64(page, LBR) >> 8 == 0 && ireko_control_u32(page, CLEAN + 4) == 0;
}

static bool
save_ok(const uint8_t *page)
{
    for (size_t i = 0; i < SEGMENTS; i++) {
        if ((ireko_control_u16(page, SAVE + i * SEGMENT_BYTES + 2) & ~ATTRIB_DEFINED) != 0)
            return false;
    }
    uint64_t efer = ireko_control_u64(page, EFER), rflags = ireko_control_u64(page, RFLAGS);
    return page[CPL] <= 3 && (efer & EFER_SVME) != 0 && (efer & ~EFER_DEFINED) == 0 &&
           ireko_control_u64(page, DR6) >> 32 == 0 && ireko_control_u64(page, DR7) >> 32 == 0 &&
           (rflags & RFLAGS_ONE) != 0 && (rflags & ~RFLAGS_DEFINED) == 0;
}

static uint64_t
base_of(const uint8_t *page, size_t segment)
{
    return ireko_control_u64(page, segment + 8);
}

static IrekoPagingState
saved_state(const uint8_t *page)
{
    return (IrekoPagingState){.cr0 = ireko_control_u64(page, CR0),
                              .cr3 = ireko_control_u64(page, CR3),
                              .cr4 = ireko_control_u64(page, CR4),
                              .efer = ireko_control_u64(page, EFER)};
}

bool
ireko_vmcb_read(const uint8_t *page, IrekoControl *ret_control)
{
    if (!control_ok(page) || !nested_ok(page) || !save_ok(page))
        return false;
    unsigned attributes = ireko_control_u16(page, CS + 2);
    IrekoControl control = {
        .kind = IREKO_CONTROL_VMCB,
        .state = saved_state(page),
        .rip = ireko_control_u64(page, RIP),
        .rsp = ireko_control_u64(page, RSP),
        .rflags = ireko_control_u64(page, RFLAGS),
        .cs_base = base_of(page, CS),
        .gdt_base = base_of(page, GDTR),
        .idt_base = base_of(page, IDTR),
        .tr_base = base_of(page, TR),
        .gs_base = base_of(page, GS),
        .exit_code = ireko_control_u64(page, EXIT_CODE),
        .asid = ireko_control_u32(page, ASID),
        .nested_paging = (ireko_control_u64(page, NESTED) & NESTED_ON) != 0,
        .nested_root = ireko_control_u64(page, NCR3),
    };
    bool long_mode = (control.state.efer & IREKO_EFER_LMA) != 0;
    if (long_mode && (attributes & (ATTRIB_LONG | ATTRIB_32)) == (ATTRIB_LONG | ATTRIB_32))
        return false;
    if (long_mode && (attributes & ATTRIB_LONG) != 0)
        control.cs_base = 0; /* not used, whatever it says (vol. 2, 4.8.1) */
    if (!ireko_control_state_ok(&control))
        return false;
    *ret_control = control;
    return true;
}

bool
ireko_vmcb_read_host(const void *page, IrekoPutAway *ret_away)
{
    ret_away->state = saved_state(page);
    ret_away->rip = ireko_control_u64(page, RIP);
    ret_away->cs_base = (ret_away->state.efer & IREKO_EFER_LMA) != 0 ? 0 : base_of(page, CS);
    return ireko_put_away_ok(ret_away);
}

/* VMRUN puts nothing where a VMCB has its controls. */
bool
ireko_vmcb_maybe_host(const void *page)
{
    const uint64_t needed = EFER_SVME | IREKO_EFER_LMA;
    return ireko_control_u64(page, 0) == 0 && (ireko_control_u64(page, EFER) & needed) == needed &&
           (ireko_control_u64(page, EFER) & ~EFER_DEFINED) == 0;
}
