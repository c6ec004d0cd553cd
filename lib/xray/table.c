/* xray/table.c - what the manuals say of each level, worked out once for a table.
 *
 *                 levels              index bits   entry   pages
 *     32-bit      pd pt               10 10        4       4K, 4M with CR4.PSE
 *     PAE         pdpt pd pt          2 9 9        8       4K, 2M
 *     4-level     pml4 pdpt pd pt     9 each       8       4K, 2M, 1G where the CPU has them
 *     5-level     pml5 ...            9 each       8       the same
 *     EPT         as 4- and 5-level                        the same, other bits
 *
 * What is reserved, M being MAXPHYADDR:
 *
 *     long mode   51:M; 63 without EFER.NXE; PS (bit 7) where no page can be; the bits of a large
 *                 page's address below its size, but for bit 12 (PAT). 62:52 are ignored.
 *     PAE         the same, and 62:M. A PDPTE gives no rights: besides 2:1, 8:5 and 63 are
 * reserved. 32-bit      of a 4M page 21:(M - 19), M being 40 at most: 20:13 are bits 39:32 of its
 * address EPT         51:M; 7:3 of a PML5E and PML4E, 6:3 of others that name a table; of a large
 * page the bits of its address below its size, bit 12 too
 *
 * A CPU may have read the four PDPTEs of PAE when CR3 was loaded, and go by those (SDM 4.4.1); here
 * they are as memory has them now.
 *
 * Where Intel and AMD differ, the milder is taken, for a walk is to end where a real one does and
 * no earlier: AMD reserves bit 8 (G) in a PML4E and in a PDPTE that names a table, Intel ignores
 * it.
 */
#include "xray/table.h"

#include <stddef.h>

#define CR0_WP      (1u << 16)
#define CR0_PG      (1u << 31)
#define CR4_PSE     (1u << 4)
#define CR4_PAE     (1u << 5)
#define CR4_LA57    (1u << 12)
#define CR4_SMEP    (1u << 20)
#define CR4_SMAP    (1u << 21)
#define EFER_LME    (1u << 8)
#define EFER_NXE    (1u << 11)
#define CR3_LAM     ((uint64_t)3 << 61) /* how pointers are masked, no address */
#define PRESENT     1u
#define WRITE_USER  6u
#define PS          (1u << 7)
#define NX          ((uint64_t)1 << 63)
#define EPT_RIGHTS  7u
#define EPT_USER    (1u << 10)
#define PAGE_SHIFT  12
#define PHYS_LEAST  32
#define PHYS_MOST   52
#define PSE36_MOST  40
#define CR3_NONE_OF 0xfffull /* not of the address: PCID, PWT, PCD */

/* Bits LOW to HIGH; none where LOW is above HIGH. */
static uint64_t
bits(unsigned low, unsigned high)
{
    return low > high ? 0 : (UINT64_MAX >> (63 - high)) & (UINT64_MAX << low);
}

static unsigned
phys_bits(unsigned told)
{
    if (told == 0 || told > PHYS_MOST)
        return PHYS_MOST;
    return told < PHYS_LEAST ? PHYS_LEAST : told;
}

/* Levels 1 to TOP with entries of 8 bytes, none reserved yet but the address bits from PHYS on. */
static void
set_levels(IrekoTable *table, unsigned top, unsigned phys)
{
    table->top = (uint8_t)top;
    table->width = (uint8_t)(PAGE_SHIFT + 9 * top);
    table->entry_bytes = 8;
    table->present = PRESENT;
    table->table_mask = bits(PAGE_SHIFT, phys - 1);
    for (unsigned level = 1; level <= top; level++) {
        IrekoTableLevel *at = &table->levels[level];
        at->shift = (uint8_t)(PAGE_SHIFT + 9 * (level - 1));
        at->index_mask = 511;
        at->page_mask = bits(at->shift, phys - 1);
        at->reserved_table = at->reserved_page = bits(phys, PHYS_MOST - 1);
    }
}

/* 2 MiB pages, and 1 GiB pages if LARGEST is the PDPT's level; from FIRST on the bits below a large
 * page's size are reserved. */
static void
set_large(IrekoTable *table, unsigned largest, unsigned first)
{
    for (unsigned level = IREKO_LEVEL_PD; level <= table->top; level++) {
        IrekoTableLevel *at = &table->levels[level];
        if (level > largest) {
            at->reserved_table |= PS;
            continue;
        }
        at->large = PS;
        at->reserved_page |= bits(first, at->shift - 1u);
    }
}

static void
set_32(IrekoTable *table, const IrekoPagingState *state, unsigned phys)
{
    unsigned most = phys < PSE36_MOST ? phys : PSE36_MOST;
    table->paging = IREKO_PAGING_32;
    table->top = IREKO_LEVEL_PD;
    table->width = 32;
    table->entry_bytes = 4;
    table->present = PRESENT;
    table->table_mask = bits(PAGE_SHIFT, 31);
    table->root.at = state->cr3 & bits(PAGE_SHIFT, 31);
    table->levels[IREKO_LEVEL_PT] =
        (IrekoTableLevel){.page_mask = bits(12, 31), .index_mask = 1023, .shift = 12};
    table->levels[IREKO_LEVEL_PD] = (IrekoTableLevel){.reserved_page = bits(most - 19, 21),
                                                      .large = (state->cr4 & CR4_PSE) != 0 ? PS : 0,
                                                      .page_mask = bits(22, 31),
                                                      .index_mask = 1023,
                                                      .shift = 22};
}

static void
set_pae(IrekoTable *table, const IrekoPagingState *state, unsigned phys)
{
    table->paging = IREKO_PAGING_PAE;
    set_levels(table, IREKO_LEVEL_PDPT, phys);
    set_large(table, IREKO_LEVEL_PD, 13);
    table->width = 32;
    table->root.at = state->cr3 & bits(5, 31);
    table->nx = (state->efer & EFER_NXE) != 0;
    for (unsigned level = IREKO_LEVEL_PT; level <= IREKO_LEVEL_PD; level++) {
        uint64_t reserved = bits(phys, 62) | (table->nx ? 0 : NX);
        table->levels[level].reserved_table |= reserved;
        table->levels[level].reserved_page |= reserved;
    }
    IrekoTableLevel *pdpt = &table->levels[IREKO_LEVEL_PDPT];
    pdpt->index_mask = 3;
    pdpt->implied = WRITE_USER;
    pdpt->reserved_table = bits(1, 2) | bits(5, 8) | bits(phys, 63);
}

static void
set_long(IrekoTable *table, const IrekoPagingState *state, unsigned phys)
{
    bool five = (state->cr4 & CR4_LA57) != 0;
    table->paging = five ? IREKO_PAGING_5 : IREKO_PAGING_4;
    set_levels(table, five ? IREKO_LEVEL_PML5 : IREKO_LEVEL_PML4, phys);
    set_large(table, state->no_1g ? IREKO_LEVEL_PD : IREKO_LEVEL_PDPT, 13);
    table->root.at = state->cr3 & table->table_mask;
    table->bad_root = (state->cr3 & ~(table->table_mask | CR3_NONE_OF | CR3_LAM)) != 0;
    table->nx = (state->efer & EFER_NXE) != 0;
    for (unsigned level = 1; level <= table->top && !table->nx; level++) {
        table->levels[level].reserved_table |= NX;
        table->levels[level].reserved_page |= NX;
    }
}

IrekoTable
ireko_table_own(const IrekoPagingState *state)
{
    unsigned phys = phys_bits(state->phys_bits);
    IrekoTable table = {.protect = (state->cr0 & CR0_WP) != 0};
    if ((state->cr0 & CR0_PG) == 0) {
        table.paging = IREKO_PAGING_NONE;
        table.width = 32;
        return table;
    }
    if ((state->cr4 & CR4_PAE) == 0)
        set_32(&table, state, phys);
    else if ((state->efer & EFER_LME) == 0)
        set_pae(&table, state, phys);
    else
        set_long(&table, state, phys);
    table.smep = (state->cr4 & CR4_SMEP) != 0;
    table.smap = (state->cr4 & CR4_SMAP) != 0;
    return table;
}

IrekoTable
ireko_table_npt(const IrekoPagingState *host, uint64_t ncr3)
{
    IrekoPagingState state = *host;
    state.cr3 = ncr3;
    IrekoTable table = ireko_table_own(&state);
    table.nested = true;
    if (table.paging == IREKO_PAGING_NONE) /* a host without paging has no nested paging either */
        table.bad_root = true;
    return table;
}

IrekoTable
ireko_table_ept(uint64_t eptp, const IrekoEptFeatures *features)
{
    unsigned phys = phys_bits(features->phys_bits), levels = (unsigned)(eptp >> 3 & 7) + 1;
    unsigned memory_type = (unsigned)(eptp & 7);
    bool five = levels == IREKO_LEVEL_PML5;
    IrekoTable table = {.paging = five ? IREKO_PAGING_EPT5 : IREKO_PAGING_EPT4, .nested = true};
    set_levels(&table, five ? IREKO_LEVEL_PML5 : IREKO_LEVEL_PML4, phys);
    set_large(&table, features->no_1g ? IREKO_LEVEL_PD : IREKO_LEVEL_PDPT, PAGE_SHIFT);
    for (unsigned level = IREKO_LEVEL_PD; level <= table.top; level++)
        table.levels[level].reserved_table |= bits(3, 6);
    table.present = EPT_RIGHTS | (features->user ? EPT_USER : 0);
    table.root.at = eptp & table.table_mask;
    table.bad_root = (levels != IREKO_LEVEL_PML4 && !five) ||
                     (memory_type != 0 && memory_type != 6) ||
                     (eptp & (bits(8, 11) | bits(phys, 63))) != 0;
    table.ept_dirty = (eptp & (1u << 6)) != 0;
    table.ept_user = features->user;
    table.ept_fetch_only = features->fetch_only;
    return table;
}

const char *
ireko_paging_name(IrekoPaging paging)
{
    static const char *const names[] = {
        [IREKO_PAGING_NONE] = "none",        [IREKO_PAGING_32] = "32-bit",
        [IREKO_PAGING_PAE] = "pae",          [IREKO_PAGING_4] = "4-level",
        [IREKO_PAGING_5] = "5-level",        [IREKO_PAGING_EPT4] = "ept-4-level",
        [IREKO_PAGING_EPT5] = "ept-5-level",
    };
    return (size_t)paging < sizeof names / sizeof names[0] ? names[paging] : "unknown";
}

const char *
ireko_level_name(unsigned level)
{
    static const char *const names[IREKO_LEVELS] = {"none", "pt", "pd", "pdpt", "pml4", "pml5"};
    return level < IREKO_LEVELS ? names[level] : "unknown";
}
