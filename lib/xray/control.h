/* xray/control.h - a control block: what a hypervisor keeps of one virtual CPU for the hardware,
 * AMD's VMCB or Intel's VMCS, read out of the page it is in. */
#pragma once

#include "xray/table.h"

typedef enum {
    IREKO_CONTROL_VMCB,   /* AMD APM vol. 2, appendix B */
    IREKO_CONTROL_VMCS12, /* a VMCS as KVM lays it out for its guests */
    IREKO_CONTROL_VMCS,   /* a processor's own: its layout is private, its nested table found */
} IrekoControlKind;

/* Of a VMCS in a private layout only the kind, the revision and the nested root are known. */
typedef struct {
    IrekoControlKind kind;
    uint32_t revision;      /* VMCS */
    IrekoPagingState state; /* the guest's: CR0, CR3, CR4, EFER */
    uint64_t rip, rsp, rflags;
    uint64_t cs_base, gdt_base, idt_base, tr_base, gs_base;
    uint64_t exit_code; /* of the last exit; VMCS: the exit reason */
    uint32_t asid;      /* VMCS: VPID */
    bool nested_paging; /* else the guest's CR3 is a table that the hypervisor made (shadow paging)
                         */
    uint64_t nested_root; /* nCR3, EPTP */
} IrekoControl;

#define IREKO_CONTROL_LINES 128 /* bytes of a page that tell most pages apart: two cache lines */

/* Whether a page that begins with LINES may be a control block; nothing more is read of most. */
bool
ireko_control_maybe(const void *lines);

/* Whether PAGE, of IREKO_PAGE_BYTES, is one that the hardware would take: every rule on its fields
 * holds (APM vol. 2, 15.5.1; SDM vol. 3C, 27.2 and 27.3). Says nothing on where it leads. */
bool
ireko_control_read(const void *page, IrekoControl *ret_control);

/* The registers of a vCPU that runs a guest just now, as it goes on when that exits. */
typedef struct {
    IrekoPagingState state;
    uint64_t rip, cs_base;
} IrekoPutAway;

/* Out of PAGE, of IREKO_PAGE_BYTES: where QEMU's VMRUN put them (VM_HSAVE_PA), or the VMCB in the
 * nested state that KVM keeps of a vCPU; both have them where a VMCB has its guest's (APM vol. 2,
 * appendix B, table B-2). False where nothing is there that a host can go on with. */
bool
ireko_vmcb_read_host(const void *page, IrekoPutAway *ret_away);

/* The same out of the host-state area of a VMCS in KVM's layout (SDM vol. 3C, 25.5). */
bool
ireko_vmcs_read_host(const void *page, IrekoPutAway *ret_away);

/* Whether PAGE may be one where QEMU's VMRUN put them; little is read of most. */
bool
ireko_vmcb_maybe_host(const void *page);
