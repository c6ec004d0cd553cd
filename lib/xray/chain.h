/* xray/chain.h - a machine inside machines: its addresses through its own table, then through one
 * nested table after the other, to the RAM of the outermost machine.
 *
 * A chain belongs to one thread. */
#pragma once

#include "xray/walk.h"

#define IREKO_CHAIN_NESTED_MAX 15                  /* as deep as a lab can be */
#define IREKO_CHAIN_READS_MAX  ((unsigned)1 << 16) /* entries read for one address */

typedef struct IrekoChain IrekoChain;

/* MEMORY and MAP, which outlive the chain, are the outermost machine's. NESTED[0] translates the
 * physical addresses of the machine that is walked, NESTED[N - 1] gives addresses of MEMORY. N is
 * at most IREKO_CHAIN_NESTED_MAX, else there is no chain: NULL; and may be 0: the machine is the
 * outermost itself. */
IrekoChain *
ireko_chain_new(const IrekoMemory *memory,
                const IrekoRamMap *map,
                const IrekoTable *nested,
                size_t n);

void
ireko_chain_free(IrekoChain *chain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoChain, ireko_chain_free)

/* Where tables are is kept, for memory that does not change: some tens of KiB per machine. To begin
 * with nothing is kept; ON again forgets what was. Walks that judge an access or record steps read
 * everything all the same. */
void
ireko_chain_keep(IrekoChain *chain, bool on);

/* The way of one address. */
typedef struct {
    IrekoCause cause;
    uint8_t table;        /* which table ended it: 0 the machine's own, i nested table i - 1 */
    uint8_t level;        /* of its entry that did, or 0 */
    uint8_t known;        /* physical[0 .. known - 1] are known */
    uint8_t rights;       /* IREKO_RIGHT_ bits of all tables together */
    bool accessed, dirty; /* as the machine's own table says; without one, the innermost nested */
    uint64_t page_bytes;  /* the smallest page on the way; 0: no paging */
    uint64_t row_bytes;   /* so many from the address on are in a row in the file */
    /* The address as each machine takes it for physical: [0] the one that is walked, [n] the
     * outermost. */
    uint64_t physical[IREKO_CHAIN_NESTED_MAX + 1];
    IrekoGpa gpa;       /* physical[n] by its type; it, and OFFSET, only without a cause */
    IrekoOffset offset; /* in the memory file */
} IrekoWay;

/* Where ADDRESS leads by the table OWN. Steps, if an array is given, come as the hardware takes
 * them: those of nested tables stand before the entry, or the page, whose address they translate.
 * True where RET_WAY has no cause. */
bool
ireko_chain_gva(IrekoChain *chain,
                const IrekoTable *own,
                IrekoGva address,
                unsigned access,
                GArray *steps,
                IrekoWay *ret_way);

/* The same from a physical address of the machine on. */
bool
ireko_chain_npa(
    IrekoChain *chain, IrekoNpa address, unsigned access, GArray *steps, IrekoWay *ret_way);

/* The physical memory of the machine that is walked, to be read like any other. */
IrekoMemory
ireko_chain_memory(IrekoChain *chain);
