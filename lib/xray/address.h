/* xray/address.h - an address and whose it is: four types, so that the compiler refuses to take one
 * for the other. Each is only a number with a name around it, and costs nothing. */
#pragma once

#include <stdint.h>

/* A virtual address of the machine that is walked; a linear one, in Intel's words. */
typedef struct {
    uint64_t at;
} IrekoGva;

/* A nested physical address: what an inner machine (L2 or deeper) takes for physical, and the
 * hypervisor around it translates by a nested table. */
typedef struct {
    uint64_t at;
} IrekoNpa;

/* A physical address of the machine whose RAM is held. Of an IrekoMemory that is the memory of an
 * inner machine (ireko_chain_memory) it is an address of that machine. */
typedef struct {
    uint64_t at;
} IrekoGpa;

/* Where a byte is in the file that the RAM is kept in. */
typedef struct {
    uint64_t at;
} IrekoOffset;
