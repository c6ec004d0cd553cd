/* xray/backing.c - see backing.h.
 *
 * A nested table is what a hypervisor's kernel keeps of where a guest's memory is, no more: Linux
 * takes an entry out of it whenever the page behind moves or is shared - KSM, huge pages put
 * together and split, compaction, NUMA balancing (mmu notifiers, virt/kvm/kvm_main.c) - and puts it
 * in again when the guest touches the page, by that table. A guest that runs a guest may not touch
 * a page of that one for long, for the hypervisor around runs it by another table. What it has for
 * the guest in any case is the memory of a process, in whose page tables the page still is. */
#include "xray/backing.h"

static bool
process_address(const IrekoBacking *backing, uint64_t address, uint64_t *ret_at)
{
    for (size_t i = 0; i < backing->n; i++) {
        const IrekoBackingSpan *span = &backing->spans[i];
        if (address - span->start >= span->bytes)
            continue;
        *ret_at = span->to + (address - span->start);
        return true;
    }
    return false;
}

bool
ireko_backing_walk(const IrekoBacking *backing,
                   const IrekoMemory *memory,
                   uint64_t address,
                   const IrekoWalkOrder *order,
                   IrekoWalk *ret_walk)
{
    uint64_t at = 0;
    *ret_walk = (IrekoWalk){.cause = IREKO_CAUSE_NOT_PRESENT};
    if (!process_address(backing, address, &at) ||
        !ireko_walk(&backing->process, memory, at, order, ret_walk) ||
        (ret_walk->rights & IREKO_RIGHT_USER) == 0)
        return false;
    ret_walk->level = IREKO_LEVEL_PT;
    ret_walk->page_bytes = IREKO_PAGE_BYTES; /* a larger one may end outside of the hole */
    return true;
}
