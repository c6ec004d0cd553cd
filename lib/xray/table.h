/* xray/table.h - a page table to be walked: its format, its root, and what its manual says of each
 * level. Sources: Intel SDM vol. 3A chapter 4 (paging) and vol. 3C 29.3 (EPT); AMD APM vol. 2
 * chapter 5 and 15.25 (nested paging). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "xray/address.h"

typedef enum {
    IREKO_PAGING_NONE, /* CR0.PG clear: a virtual address is a physical one */
    IREKO_PAGING_32,
    IREKO_PAGING_PAE,
    IREKO_PAGING_4,
    IREKO_PAGING_5,
    IREKO_PAGING_EPT4,
    IREKO_PAGING_EPT5,
} IrekoPaging;

#define IREKO_LEVEL_PT   1
#define IREKO_LEVEL_PD   2
#define IREKO_LEVEL_PDPT 3
#define IREKO_LEVEL_PML4 4
#define IREKO_LEVEL_PML5 5
#define IREKO_LEVELS     6 /* arrays by level: 0 is nobody's */

/* What an entry of one level may be. */
typedef struct {
    uint64_t reserved_table; /* bits that must be clear where it names a table ... */
    uint64_t reserved_page;  /* ... and where it maps a page */
    uint64_t large;          /* the bit that makes it map a page: PS, or 0 where none can */
    uint64_t page_mask;      /* the bits of a page's address that the entry gives */
    uint64_t implied;        /* rights that this level cannot take, as the bits that give them */
    uint16_t index_mask;
    uint8_t shift;
} IrekoTableLevel;

typedef struct {
    IrekoPaging paging;
    IrekoTableLevel levels[IREKO_LEVELS];
    IrekoGpa root;
    uint64_t present;    /* any of these bits: it is there */
    uint64_t table_mask; /* the bits of a table's address */
    uint8_t top;         /* the level the root is of; 0 without paging */
    uint8_t width;       /* bits of an address that it translates */
    uint8_t entry_bytes;
    bool nested;              /* it translates an inner machine's physical addresses */
    bool bad_root;            /* the root has bits that it must not have: every walk ends at once */
    bool nx;                  /* bit 63 forbids to fetch */
    bool protect, smep, smap; /* CR0.WP, CR4.SMEP, CR4.SMAP */
    bool ept_dirty; /* EPTP bit 6: accessed and dirty are kept, and a guest's table is written */
    bool ept_user;  /* fetches of a user have a bit of their own, 10 */
    bool ept_fetch_only; /* the CPU takes X without R */
    /* Where the hypervisor has what this nested table does not map just now; NULL: not known. It
     * answers where an address leads, and not whether an access to it is allowed. */
    const struct IrekoBacking *backing;
} IrekoTable;

/* What decides about paging, as a vCPU has it. */
typedef struct {
    uint64_t cr0, cr3, cr4, efer;
    uint8_t phys_bits; /* MAXPHYADDR, CPUID 80000008h EAX bits 7:0; 0 for 52 */
    bool no_1g;        /* the CPU has no 1 GiB pages: CPUID 80000001h EDX bit 26 clear */
} IrekoPagingState;

/* A machine's own table. */
IrekoTable
ireko_table_own(const IrekoPagingState *state);

/* A nested table of AMD's: the paging of HOST, the hypervisor that built it, with nCR3 for its CR3
 * (APM 15.25.3). */
IrekoTable
ireko_table_npt(const IrekoPagingState *host, uint64_t ncr3);

typedef struct {
    uint8_t phys_bits; /* as above */
    bool no_1g;        /* IA32_VMX_EPT_VPID_CAP bit 17 clear */
    bool fetch_only;   /* ... bit 0: X without R is allowed */
    bool user;         /* mode-based execute control is on: secondary control bit 22 */
} IrekoEptFeatures;

/* A nested table of Intel's (SDM 25.6.11 EPTP, 29.3). */
IrekoTable
ireko_table_ept(uint64_t eptp, const IrekoEptFeatures *features);

/* "none", "32-bit", "pae", "4-level", "5-level", "ept-4-level", "ept-5-level". */
const char *
ireko_paging_name(IrekoPaging paging);

/* "pml5", "pml4", "pdpt", "pd", "pt". */
const char *
ireko_level_name(unsigned level);
