/* xray/backing.h - the memory that a hypervisor has for its guest, by the page tables of the
 * process that runs it. */
#pragma once

#include "xray/kept.h"

#define IREKO_BACKING_SPANS 2 /* below the hole for devices under 4 GiB, and above it */

/* START of the guest's physical memory and the BYTES from there on are at TO in the process. */
typedef struct {
    uint64_t start, bytes, to;
} IrekoBackingSpan;

typedef struct IrekoBacking IrekoBacking;
struct IrekoBacking {
    IrekoTable process; /* in the memory of the machine that built the nested table */
    IrekoBackingSpan spans[IREKO_BACKING_SPANS];
    size_t n;
};

/* Where BACKING, whose tables are in MEMORY, has the page that ADDRESS of the guest is in: a walk
 * of the process's tables, its page one of 4 KiB. False where ADDRESS is in no span, or is not in
 * memory. */
bool
ireko_backing_walk(const IrekoBacking *backing,
                   const IrekoMemory *memory,
                   uint64_t address,
                   const IrekoWalkOrder *order,
                   IrekoWalk *ret_walk);
