/* xray/chain.c - through all the tables of a machine inside machines.
 *
 * Let the machine that is walked be number 0, the one around it 1, up to n, whose RAM is held.
 * Nested table j translates the physical addresses of machine j; hypervisor j + 1 built it, so its
 * entries, and its root, are physical addresses of machine j + 1. To read an entry, its own address
 * goes through the nested tables j + 1 to n - 1 first: with five levels everywhere a virtual
 * address costs up to 6^(n + 1) - 1 entries, 35 for one nested table, 215 for two. That recursion
 * is one function, translate(), and a reader per machine (space_read) which calls it; walk.c knows
 * nothing of it.
 *
 * A hostile guest makes tables, not chains: n is the caller's, each table costs five entries at the
 * most, and IREKO_CHAIN_READS_MAX ends what is deeper than anyone nests. Each address that comes
 * out of a table goes through the next table or is checked against the RAM map; there is no third
 * way.
 *
 * What is kept (ireko_chain_keep), in direct-mapped arrays, so that a guest that makes entries
 * collide only makes it slow: of each table where its lowest tables are (kept.h), and of each
 * machine but the outermost where its pages that hold tables are in RAM. Pages of data are not
 * kept, for they would push out those of tables.
 *
 * With an access to be judged, a nested table judges reads of the tables above it as the hardware
 * makes them: AMD's as writes (APM 15.25.6), Intel's as reads, or as writes where EPTP bit 6 is set
 * (SDM vol. 3C 29.3.5).
 */
#include <string.h>

#include "xray/backing.h"
#include "xray/parts.h"

#define KEPT 1024 /* pages, a power of two */

typedef struct {
    uint64_t page; /* + 1; 0: nothing */
    IrekoGpa at;
} Kept;

typedef struct {
    IrekoChain *chain;
    unsigned machine;
    IrekoMemory memory; /* its physical memory, for walks: what is read counts for the query */
    /* what is kept, or NULL */
    Kept *kept;        /* KEPT of them: where its pages are */
    IrekoKept *lowest; /* of the table that translates its addresses; of machine 0 see own_lowest */
} Space;

struct IrekoChain {
    const IrekoMemory *memory;
    const IrekoRamMap *map;
    IrekoRow row; /* of MEMORY, read from last */
    size_t n;
    IrekoTable *nested;
    Space spaces[IREKO_CHAIN_NESTED_MAX + 1];
    /* the query that is going on */
    GArray *steps;
    unsigned access, reads;
    IrekoKept *own_lowest; /* kept of the table OWN, which is machine 0's */
    IrekoTable own;
    /* what ended a translation below the walk that is going on; NONE: nothing did */
    IrekoCause cause;
    uint8_t table, level;
};

static void
begin(IrekoChain *chain, unsigned access, GArray *steps)
{
    chain->steps = steps;
    chain->access = access;
    chain->reads = 0;
    chain->cause = IREKO_CAUSE_NONE;
}

/* Notes what ended it, unless something did further out already. */
static bool
fails(IrekoChain *chain, IrekoCause cause, size_t table, unsigned level)
{
    if (chain->cause == IREKO_CAUSE_NONE) {
        chain->cause = cause;
        chain->table = (uint8_t)table;
        chain->level = (uint8_t)level;
    }
    return false;
}

/* The steps from FIRST on that no walk further out has taken as its own are of TABLE. Each walk
 * adds its steps between those of the walks that its reads need, which are marked already. */
static void
mark_steps(GArray *steps, guint first, size_t table)
{
    for (guint i = first; steps != NULL && i < steps->len; i++) {
        IrekoStep *step = &g_array_index(steps, IrekoStep, i);
        if (step->table == 0)
            step->table = (uint8_t)table;
    }
}

/* Whether what is kept may be used: it is no answer to who would be denied, or to what was read. */
static bool
may_use_kept(const IrekoChain *chain)
{
    return chain->access == 0 && chain->steps == NULL;
}

/* The same by what the hypervisor has where its table says nothing: a way that no access takes
 * before the hypervisor has put it into the table. */
static bool
walk_backing(IrekoChain *chain, size_t j, uint64_t address, IrekoWalk *ret_walk)
{
    const IrekoBacking *backing = chain->nested[j].backing;
    guint first = chain->steps != NULL ? chain->steps->len : 0;
    IrekoWalk walk;
    if (backing == NULL || chain->access != 0 || ret_walk->cause != IREKO_CAUSE_NOT_PRESENT)
        return false;
    if (j + 1 == chain->n)
        chain->reads += backing->process.top;
    const IrekoWalkOrder order = {.steps = chain->steps};
    if (!ireko_backing_walk(backing, &chain->spaces[j + 1].memory, address, &order, &walk)) {
        if (chain->steps != NULL)
            g_array_set_size(chain->steps, first);
        return false;
    }
    mark_steps(chain->steps, first, j + 1);
    for (guint i = first; chain->steps != NULL && i < chain->steps->len; i++) {
        IrekoStep *step = &g_array_index(chain->steps, IrekoStep, i);
        step->backing = step->backing || step->table == j + 1;
    }
    *ret_walk = walk;
    return true;
}

/* An address of machine J through nested table J. */
static bool
walk_nested(IrekoChain *chain, size_t j, uint64_t address, unsigned access, IrekoWalk *ret_walk)
{
    guint first = chain->steps != NULL ? chain->steps->len : 0;
    if (j + 1 == chain->n) /* RAM itself is not read through space_read(), which counts the rest */
        chain->reads += chain->nested[j].top;
    const IrekoWalkOrder order = {.access = access,
                                  .steps = chain->steps,
                                  .kept = may_use_kept(chain) ? chain->spaces[j].lowest : NULL};
    bool there =
        ireko_walk(&chain->nested[j], &chain->spaces[j + 1].memory, address, &order, ret_walk);
    mark_steps(chain->steps, first, j + 1);
    there = there || walk_backing(chain, j, address, ret_walk);
    return there || fails(chain, ret_walk->cause, j + 1,
                          ret_walk->denier != 0 ? ret_walk->denier : ret_walk->level);
}

/* How nested table J sees that a table is read through it. */
static unsigned
table_access(const IrekoChain *chain, size_t j)
{
    const IrekoTable *table = &chain->nested[j];
    bool ept = table->paging == IREKO_PAGING_EPT4 || table->paging == IREKO_PAGING_EPT5;
    if (chain->access == 0)
        return 0;
    return ept && !table->ept_dirty ? IREKO_ACCESS_READ : IREKO_ACCESS_WRITE;
}

/* Where an entry at ADDRESS of machine J is in the outermost's memory. */
static bool
translate(IrekoChain *chain, size_t j, uint64_t address, IrekoGpa *ret_at)
{
    IrekoWalk walk;
    for (; j < chain->n; j++) {
        if (!walk_nested(chain, j, address, table_access(chain, j), &walk))
            return false;
        address = walk.at.at;
    }
    ret_at->at = address;
    return true;
}

/* The same by what is kept. */
static bool
translate_kept(Space *space, uint64_t address, IrekoGpa *ret_at)
{
    uint64_t page = address / IREKO_PAGE_BYTES, inside = address % IREKO_PAGE_BYTES;
    Kept *kept = &space->kept[page % KEPT];
    if (kept->page != page + 1) {
        IrekoGpa at = {0};
        if (!translate(space->chain, space->machine, address - inside, &at))
            return false;
        *kept = (Kept){page + 1, at};
    }
    ret_at->at = kept->at.at + inside;
    return true;
}

static bool
space_read(void *data, IrekoGpa at, void *ret_bytes, size_t len)
{
    Space *space = data;
    IrekoChain *chain = space->chain;
    bool kept = space->kept != NULL && may_use_kept(chain);
    IrekoGpa there = at;
    if (++chain->reads > IREKO_CHAIN_READS_MAX)
        return fails(chain, IREKO_CAUSE_TOO_MANY_READS, 0, 0);
    if (kept ? !translate_kept(space, at.at, &there)
             : !translate(chain, space->machine, at.at, &there))
        return false;
    uint64_t word = 0;
    if (len != sizeof word || there.at % sizeof word != 0)
        return chain->memory->read(chain->memory->data, there, ret_bytes, len);
    if (!ireko_memory_entry(chain->memory, &chain->row, there, &word, sizeof word))
        return false;
    memcpy(ret_bytes, &word, sizeof word);
    return true;
}

IrekoChain *
ireko_chain_new(const IrekoMemory *memory,
                const IrekoRamMap *map,
                const IrekoTable *nested,
                size_t n)
{
    if (n > IREKO_CHAIN_NESTED_MAX)
        return NULL;
    IrekoChain *chain = g_new0(IrekoChain, 1);
    chain->memory = memory;
    chain->map = map;
    chain->n = n;
    chain->nested = g_memdup2(nested, n * sizeof *nested);
    for (size_t i = 0; i <= n; i++) {
        Space *space = &chain->spaces[i];
        *space = (Space){.chain = chain, .machine = (unsigned)i};
        space->memory = i == n ? *memory : (IrekoMemory){.read = space_read, .data = space};
    }
    return chain;
}

static void
drop_kept(IrekoChain *chain)
{
    g_clear_pointer(&chain->own_lowest, g_free);
    for (size_t i = 0; i < chain->n; i++) {
        g_clear_pointer(&chain->spaces[i].kept, g_free);
        g_clear_pointer(&chain->spaces[i].lowest, g_free);
    }
}

void
ireko_chain_free(IrekoChain *chain)
{
    if (chain == NULL)
        return;
    drop_kept(chain);
    g_free(chain->nested);
    g_free(chain);
}

void
ireko_chain_keep(IrekoChain *chain, bool on)
{
    drop_kept(chain);
    if (!on)
        return;
    chain->own_lowest = g_new0(IrekoKept, IREKO_KEPT);
    for (size_t i = 0; i < chain->n; i++) {
        chain->spaces[i].kept = g_new0(Kept, KEPT);
        chain->spaces[i].lowest = g_new0(IrekoKept, IREKO_KEPT);
    }
}

const IrekoMemory *
ireko_chain_outermost(const IrekoChain *chain, const IrekoRamMap **ret_map)
{
    *ret_map = chain->map;
    return chain->memory;
}

bool
ireko_chain_keeps(const IrekoChain *chain)
{
    return chain->own_lowest != NULL;
}

unsigned
ireko_chain_reads(const IrekoChain *chain)
{
    return chain->reads;
}

/* Takes over what a walk found. */
static void
add_walk(IrekoWay *way, const IrekoWalk *walk)
{
    way->rights &= walk->rights;
    if (walk->page_bytes != 0 && (way->page_bytes == 0 || walk->page_bytes < way->page_bytes))
        way->page_bytes = walk->page_bytes;
    way->physical[way->known++] = walk->at.at;
}

static bool
stops(const IrekoChain *chain, IrekoWay *way)
{
    way->cause = chain->cause;
    way->table = chain->table;
    way->level = chain->level;
    return false;
}

/* From physical[0] on through the nested tables to RAM; LAST is the walk that gave physical[0]. */
static bool
go_outwards(IrekoChain *chain, unsigned access, IrekoWalk last, IrekoWay *way)
{
    for (size_t j = 0; j < chain->n; j++) {
        if (!walk_nested(chain, j, way->physical[j], access, &last))
            return stops(chain, way);
        add_walk(way, &last);
    }
    way->gpa.at = way->physical[chain->n];
    way->row_bytes = ireko_ram_map_row(chain->map, way->gpa, &way->offset);
    if (way->page_bytes != 0)
        way->row_bytes = MIN(way->row_bytes, way->page_bytes - way->gpa.at % way->page_bytes);
    if (way->row_bytes > 0)
        return true;
    (void)fails(chain, IREKO_CAUSE_NOT_RAM, chain->n, last.level);
    return stops(chain, way);
}

/* All but PHYSICAL, of which nothing is known yet: it is most of a way, and its ways are many. */
static void
clear_way(IrekoWay *way)
{
    way->cause = IREKO_CAUSE_NONE;
    way->table = way->level = way->known = 0;
    way->rights = UINT8_MAX;
    way->accessed = way->dirty = false;
    way->page_bytes = way->row_bytes = 0;
    way->gpa.at = way->offset.at = 0;
}

/* What is kept of OWN, and nothing of another table; NULL where nothing is to be used. */
static IrekoKept *
own_lowest(IrekoChain *chain, const IrekoTable *own)
{
    const IrekoTable *last = &chain->own;
    if (chain->own_lowest == NULL || !may_use_kept(chain))
        return NULL;
    bool same = own->root.at == last->root.at && own->paging == last->paging &&
                own->table_mask == last->table_mask && own->nx == last->nx &&
                own->levels[IREKO_LEVEL_PD].large == last->levels[IREKO_LEVEL_PD].large &&
                own->levels[IREKO_LEVEL_PDPT].large == last->levels[IREKO_LEVEL_PDPT].large;
    if (!same) {
        memset(chain->own_lowest, 0, IREKO_KEPT * sizeof *chain->own_lowest);
        chain->own = *own;
    }
    return chain->own_lowest;
}

bool
ireko_chain_gva(IrekoChain *chain,
                const IrekoTable *own,
                IrekoGva address,
                unsigned access,
                GArray *steps,
                IrekoWay *ret_way)
{
    IrekoWalk walk;
    clear_way(ret_way);
    begin(chain, access, steps);
    const IrekoWalkOrder order = {.access = access, .steps = steps, .kept = own_lowest(chain, own)};
    if (!ireko_walk(own, &chain->spaces[0].memory, address.at, &order, &walk)) {
        (void)fails(chain, walk.cause, 0, walk.denier != 0 ? walk.denier : walk.level);
        return stops(chain, ret_way);
    }
    add_walk(ret_way, &walk);
    ret_way->accessed = walk.accessed;
    ret_way->dirty = walk.dirty;
    /* a user's address, by which EPT may tell fetches apart, is one that the tables give to users
     */
    unsigned user = (walk.rights & IREKO_RIGHT_USER) != 0 ? IREKO_ACCESS_USER : 0;
    unsigned kinds = access & (IREKO_ACCESS_READ | IREKO_ACCESS_WRITE | IREKO_ACCESS_FETCH);
    return go_outwards(chain, kinds != 0 ? kinds | user : 0, walk, ret_way);
}

bool
ireko_chain_npa(
    IrekoChain *chain, IrekoNpa address, unsigned access, GArray *steps, IrekoWay *ret_way)
{
    clear_way(ret_way);
    ret_way->known = 1;
    ret_way->physical[0] = address.at;
    begin(chain, access, steps);
    return go_outwards(chain, access, (IrekoWalk){.level = 0}, ret_way);
}

/* LEN bytes at AT of machine 0, which are in one page of 4 KiB and so in one of any size. */
static bool
read_inner(void *data, IrekoGpa at, void *ret_bytes, size_t len)
{
    IrekoChain *chain = data;
    begin(chain, 0, NULL);
    for (size_t done = 0; done < len;) {
        IrekoGpa from = {at.at + done};
        size_t piece = MIN(len - done, IREKO_PAGE_BYTES - (size_t)(from.at % IREKO_PAGE_BYTES));
        if (!space_read(&chain->spaces[0], from, (uint8_t *)ret_bytes + done, piece))
            return false;
        done += piece;
    }
    return true;
}

static const uint8_t *
window_inner(void *data, IrekoGpa at, size_t *ret_len)
{
    IrekoChain *chain = data;
    IrekoGpa there = {0};
    size_t len = 0;
    begin(chain, 0, NULL);
    if (!translate(chain, 0, at.at, &there))
        return NULL;
    const uint8_t *from = chain->memory->window(chain->memory->data, there, &len);
    if (from != NULL)
        *ret_len = MIN(len, IREKO_PAGE_BYTES - (size_t)(at.at % IREKO_PAGE_BYTES));
    return from;
}

IrekoMemory
ireko_chain_memory(IrekoChain *chain)
{
    if (chain->n == 0)
        return *chain->memory;
    return (IrekoMemory){.read = read_inner,
                         .window = chain->memory->window != NULL ? window_inner : NULL,
                         .data = chain};
}
