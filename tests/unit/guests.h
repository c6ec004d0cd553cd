/* guests.h - control blocks for tests, and the guests that they lead to. */
#pragma once

#include "tables.h"

#define PAGE     ((uint64_t)4096)
#define CODE     UINT64_C(0xffffffff81000000)
#define GDT      UINT64_C(0xfffffe0000001000)
#define IDT      UINT64_C(0xfffffe0000000000)
#define CR0_LONG 0x80050033u
#define CR4_LONG 0x6f0u
#define CR4_FIVE (CR4_LONG | 0x1000u)
#define EFER_VM  0x1d01u

#define GUEST_BYTES ((uint64_t)4 << 20)

/* A guest: its machine, and a table of its own where code and descriptor tables are. */
typedef struct {
    Machine *machine;
    IrekoTable own;
    IrekoPaging paging;
} Guest;

/* Writes VALUE at AT of PAGE. */
void
set(Machine *machine, uint64_t page, unsigned at, uint64_t value, unsigned bytes);

/* Writes a VMCB for vCPU NUMBER of GUEST, whose nested table is at ROOT, into PAGE of MACHINE. */
void
put_vmcb(Machine *machine, uint64_t page, const Guest *guest, uint64_t root, unsigned number);

/* The same as a VMCS of KVM's own layout. */
void
put_vmcs(Machine *machine, uint64_t page, const Guest *guest);

/* A guest of GUEST_BYTES in OUTER, by nested tables of the paging NESTED. */
Guest
guest_in(Machine *outer, IrekoPaging nested, IrekoPaging own);

/* The page of MACHINE into which a VMCB for vCPU NUMBER of GUEST was written. */
uint64_t
new_vmcb(Machine *machine, const Guest *guest, unsigned number);

/* A nested table in OUTER's memory that leads from GUEST, a guest's guest, to there, in one step.
 */
IrekoTable
shadow_of(Machine *outer, const Guest *guest);
