/* xray/control-parts.h - between the files that read control blocks. */
#pragma once

#include <glib.h>
#include <string.h>

#include "xray/control.h"
#include "xray/memory.h"

#define IREKO_CR0_PE    ((uint64_t)1 << 0)
#define IREKO_CR0_PG    ((uint64_t)1 << 31)
#define IREKO_CR4_PAE   ((uint64_t)1 << 5)
#define IREKO_EFER_LME  ((uint64_t)1 << 8)
#define IREKO_EFER_LMA  ((uint64_t)1 << 10)
#define IREKO_PHYS_BITS 52

static inline uint64_t
ireko_control_u64(const uint8_t *page, size_t at)
{
    uint64_t value;
    memcpy(&value, page + at, sizeof value);
    return GUINT64_FROM_LE(value);
}

static inline uint32_t
ireko_control_u32(const uint8_t *page, size_t at)
{
    uint32_t value;
    memcpy(&value, page + at, sizeof value);
    return GUINT32_FROM_LE(value);
}

static inline uint16_t
ireko_control_u16(const uint8_t *page, size_t at)
{
    return (uint16_t)(page[at] | page[at + 1] << 8);
}

/* Whether CR0, CR3, CR4 and EFER can be together on a CPU, and RIP is an address. */
bool
ireko_control_state_ok(const IrekoControl *control);

/* Whether AWAY is what a hypervisor goes on with: it has paging. */
bool
ireko_put_away_ok(const IrekoPutAway *away);

bool
ireko_vmcb_maybe(const uint8_t *lines);

bool
ireko_vmcb_read(const uint8_t *page, IrekoControl *ret_control);

bool
ireko_vmcs_maybe(const uint8_t *lines);

bool
ireko_vmcs_read(const uint8_t *page, IrekoControl *ret_control);
