/* tables.h - page tables for tests: machines inside machines, built in a buffer that stands for the
 * RAM of the outermost. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "xray/chain.h"

/* The bits that a builder sets; both numberings, so that EPT has its own. */
#define T_P   ((uint64_t)1 << 0)
#define T_W   ((uint64_t)1 << 1)
#define T_U   ((uint64_t)1 << 2)
#define T_A   ((uint64_t)1 << 5)
#define T_D   ((uint64_t)1 << 6)
#define T_PS  ((uint64_t)1 << 7)
#define T_NX  ((uint64_t)1 << 63)
#define T_ALL (T_P | T_W | T_U) /* in EPT as many: R, W, X */

#define E_R  ((uint64_t)1 << 0)
#define E_W  ((uint64_t)1 << 1)
#define E_X  ((uint64_t)1 << 2)
#define E_A  ((uint64_t)1 << 8)
#define E_D  ((uint64_t)1 << 9)
#define E_UX ((uint64_t)1 << 10)

/* The physical memory of one machine. */
typedef struct Machine Machine;
struct Machine {
    Machine *outer;    /* NULL: the outermost */
    IrekoTable nested; /* in OUTER's memory; of an inner machine */
    GHashTable *pages; /* page number -> page number in OUTER: what the nested table says */
    uint8_t *ram;      /* of the outermost */
    uint64_t bytes;
    GRand *random;     /* pages are given out in no order; NULL: in order */
    GHashTable *taken; /* page numbers given out */
    uint64_t next;
};

Machine *
machine_new(uint64_t bytes, GRand *random);

/* One inside OUTER, its physical memory given page by page where it is touched, by a table of the
 * paging NESTED. */
Machine *
machine_new_inside(Machine *outer, IrekoPaging nested, uint64_t bytes);

void
machine_free(Machine *machine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Machine, machine_free)

/* A page of its physical memory that nothing has, zeroed. */
uint64_t
machine_take(Machine *machine);

/* Where the byte AT of its memory is in RAM; an inner machine is given the page. */
uint8_t *
machine_byte(Machine *machine, uint64_t at);

/* Where AT is in the outermost's memory, by the builder's own books. */
uint64_t
machine_outermost(Machine *machine, uint64_t at);

uint64_t
machine_get(Machine *machine, uint64_t at, unsigned bytes);

void
machine_set(Machine *machine, uint64_t at, uint64_t value, unsigned bytes);

/* An empty table of PAGING in MACHINE's memory; NESTED: for the memory of one inside. */
IrekoTable
table_new(Machine *machine, IrekoPaging paging, bool nested);

/* Where the entry for ADDRESS at LEVEL is, the tables above made as far as they are missing. */
uint64_t
table_entry(Machine *machine, const IrekoTable *table, uint64_t address, unsigned level);

/* Maps the page of LEVEL's size at ADDRESS to TO, with BITS. */
void
table_map(Machine *machine,
          const IrekoTable *table,
          uint64_t address,
          uint64_t to,
          unsigned level,
          uint64_t bits);

/* A reader of the outermost's RAM, which is one range from 0 on. */
void
machine_ram(Machine *outermost, IrekoRam *ret_ram);
