/* xray/control.c - which page is a control block. */
#include "xray/control.h"

#include "xray/control-parts.h"

#define CR0_NW         ((uint64_t)1 << 29)
#define CR0_CD         ((uint64_t)1 << 30)
#define CANONICAL_BITS 57

/* The bits above the address bits repeat its sign. */
static bool
is_canonical(uint64_t address)
{
    uint64_t top = address >> (CANONICAL_BITS - 1);
    return top == 0 || top == UINT64_MAX >> (CANONICAL_BITS - 1);
}

bool
ireko_control_state_ok(const IrekoControl *control)
{
    const IrekoPagingState *state = &control->state;
    bool paging = (state->cr0 & IREKO_CR0_PG) != 0, lme = (state->efer & IREKO_EFER_LME) != 0;
    if (state->cr0 >> 32 != 0 || state->cr4 >> 32 != 0 || state->cr3 >> IREKO_PHYS_BITS != 0 ||
        (state->cr0 & (CR0_NW | CR0_CD)) == CR0_NW ||
        (paging && (state->cr0 & IREKO_CR0_PE) == 0) ||
        (paging && lme && (state->cr4 & IREKO_CR4_PAE) == 0) ||
        ((state->efer & IREKO_EFER_LMA) != 0 && !(paging && lme)))
        return false;
    return is_canonical(control->rip) && is_canonical(control->rsp);
}

bool
ireko_put_away_ok(const IrekoPutAway *away)
{
    const IrekoControl control = {.state = away->state, .rip = away->rip};
    return (away->state.cr0 & IREKO_CR0_PG) != 0 && ireko_control_state_ok(&control);
}

bool
ireko_control_maybe(const void *lines)
{
    return ireko_vmcb_maybe(lines) || ireko_vmcs_maybe(lines);
}

bool
ireko_control_read(const void *page, IrekoControl *ret_control)
{
    return (ireko_vmcb_maybe(page) && ireko_vmcb_read(page, ret_control)) ||
           (ireko_vmcs_maybe(page) && ireko_vmcs_read(page, ret_control));
}
