/* xray/find-confirm.c - where a control block leads.
 *
 * A VMCB does not say in which format its nested table is: it is in that of the hypervisor's own
 * paging, which is not in it. So the formats are tried; the one in which the guest is there is it.
 *
 * The guest is there if its next instruction is: RIP through the guest's own table, and every
 * entry of that, and the byte, through the nested table to RAM. Code of a program may be paged out,
 * and a vCPU that waits has been interrupted anywhere; then its interrupt and its global descriptor
 * table have to be there instead, both, since no kernel does without.
 *
 * Then the whole nested table is gone through, once for all control blocks that share it: how much
 * it maps, and which other pages with the form of a control block it gives to the guest. And once
 * more where it is known what the hypervisor has for the guest besides (find-backing.c). */
#include "xray/find-parts.h"

#define CR0_PE_PG      0x80000001u
#define CR4_PAE        (1u << 5)
#define CR4_LA57       (1u << 12)
#define EFER_LONG      0xd00u /* LME, LMA, NXE */
#define MAPS_TIMES_MAX 4      /* as much as there is RAM: a guest that has more is none */
#define FORMATS        3
#define LINEAR_32      UINT32_MAX

static IrekoTable
nested_table(const IrekoControl *control, unsigned format)
{
    static const IrekoPagingState hosts[FORMATS] = {
        {.cr0 = CR0_PE_PG, .cr4 = CR4_PAE, .efer = EFER_LONG},
        {.cr0 = CR0_PE_PG, .cr4 = CR4_PAE | CR4_LA57, .efer = EFER_LONG},
        {.cr0 = CR0_PE_PG, .cr4 = CR4_PAE},
    };
    static const IrekoEptFeatures features = {.fetch_only = true};
    return control->kind == IREKO_CONTROL_VMCB
               ? ireko_table_npt(&hosts[format], control->nested_root)
               : ireko_table_ept(control->nested_root, &features);
}

static bool
leads(IrekoChain *chain, const IrekoTable *own, uint64_t address)
{
    IrekoWay way;
    return ireko_chain_gva(chain, own, (IrekoGva){address}, 0, NULL, &way);
}

static bool
is_there(IrekoChain *chain, const IrekoControl *control)
{
    IrekoTable own = ireko_table_own(&control->state);
    uint64_t linear = control->cs_base + control->rip;
    if (own.width <= 32)
        linear &= LINEAR_32;
    return leads(chain, &own, linear) ||
           (control->gdt_base != 0 && control->idt_base != 0 &&
            leads(chain, &own, control->gdt_base) && leads(chain, &own, control->idt_base));
}

/* ---- the whole table ---- */

/* The place of the page AT among all pages of RAM. */
static uint64_t
page_number(const IrekoRamMap *map, IrekoGpa at)
{
    uint64_t before = 0;
    for (size_t i = 0; i < map->n; i++) {
        const IrekoRamRange *range = &map->ranges[i];
        if (at.at - range->start.at < range->bytes)
            return before + (at.at - range->start.at) / IREKO_PAGE_BYTES;
        before += range->bytes / IREKO_PAGE_BYTES;
    }
    return 0;
}

/* The first control block at or behind GPA. */
static size_t
first_found(const IrekoFindings *findings, uint64_t gpa)
{
    size_t low = 0, high = findings->founds->len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ireko_find_found(findings, middle)->gpa.at < gpa)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct {
    IrekoFindings *findings;
    IrekoFindGroup *group;
    uint64_t runs, stride;
} Gathering;

static void
add_sample(Gathering *gathering, const IrekoRun *run)
{
    IrekoFindGroup *group = gathering->group;
    if (gathering->runs++ % gathering->stride != 0)
        return;
    if (group->n_samples == IREKO_FIND_SAMPLES) { /* every other one stays */
        for (size_t i = 0; i < IREKO_FIND_SAMPLES / 2; i++)
            group->samples[i] = group->samples[2 * i];
        group->n_samples = IREKO_FIND_SAMPLES / 2;
        gathering->stride *= 2;
    }
    group->samples[group->n_samples++] = (IrekoFindSample){run->start, run->gpa};
}

static bool
gather(void *data, const IrekoRun *run)
{
    Gathering *gathering = data;
    IrekoFindings *findings = gathering->findings;
    IrekoFindGroup *group = gathering->group;
    if (findings->budget == 0)
        return false;
    findings->budget--;
    if (run->cause != IREKO_CAUSE_NONE)
        return true; /* a device of the guest's */
    group->bytes += run->bytes;
    if (group->bytes / IREKO_PAGE_BYTES > MAPS_TIMES_MAX * findings->ram_pages)
        return false;
    uint64_t page = page_number(findings->map, run->gpa);
    for (uint64_t i = page; i < page + run->bytes / IREKO_PAGE_BYTES; i++)
        group->pages[i / 64] |= UINT64_C(1) << (i % 64);
    for (size_t i = first_found(findings, run->gpa.at); i < findings->founds->len; i++) {
        uint64_t far = ireko_find_found(findings, i)->gpa.at - run->gpa.at;
        if (far >= run->bytes)
            break;
        IrekoFindInside inside = {i, run->start + far};
        g_array_append_val(group->inside, inside);
    }
    add_sample(gathering, run);
    return true;
}

static bool
map_group(IrekoFindLayer *layer, IrekoFindGroup *group)
{
    IrekoFindings *findings = layer->findings;
    Gathering gathering = {.findings = findings, .group = group, .stride = 1};
    IrekoMapEnd end = {0};
    group->pages = g_new0(uint64_t, findings->ram_pages / 64 + 1);
    bool whole = ireko_map(layer->chain, &group->table, gather, &gathering, &end);
    findings->budget -= MIN(findings->budget, end.tables);
    if (findings->budget == 0)
        findings->cut = true;
    return whole && !end.cut && end.broken == 0 && group->bytes > 0;
}

/* ---- a member ---- */

static bool
stop(void *data, const IrekoRun *run)
{
    (void)data;
    (void)run;
    return false;
}

/* Why CONTROL leads nowhere. */
static IrekoDoubt
nowhere(IrekoFindLayer *layer, const IrekoControl *control)
{
    IrekoTable table = nested_table(control, 0);
    IrekoMapEnd end = {0};
    if (table.bad_root || layer->findings->budget == 0)
        return IREKO_DOUBT_TABLE_BROKEN;
    bool empty = ireko_map(layer->chain, &table, stop, NULL, &end);
    layer->findings->budget -= MIN(layer->findings->budget, end.tables);
    if (!empty)
        return IREKO_DOUBT_NO_CODE;
    return end.broken != 0 || end.tables == 0 ? IREKO_DOUBT_TABLE_BROKEN : IREKO_DOUBT_TABLE_EMPTY;
}

/* The table in which CONTROL's guest is there. */
static bool
find_table(const IrekoFindLayer *layer, const IrekoControl *control, IrekoTable *ret_table)
{
    unsigned formats = control->kind == IREKO_CONTROL_VMCB ? FORMATS : 1;
    for (unsigned format = 0; format < formats; format++) {
        IrekoTable table = nested_table(control, format);
        g_autoptr(IrekoChain) chain =
            table.bad_root ? NULL : ireko_find_chain(layer->findings, &table, layer->owner);
        if (chain == NULL)
            continue;
        if (control->kind == IREKO_CONTROL_VMCS || is_there(chain, control)) {
            *ret_table = table;
            return true;
        }
    }
    return false;
}

static void
group_free(gpointer data)
{
    IrekoFindGroup *group = data;
    g_free(group->pages);
    g_array_unref(group->inside);
    g_free(group);
}

/* What GROUP's table was found to map. */
static void
forget(IrekoFindGroup *group)
{
    group->bytes = 0;
    group->n_samples = 0;
    g_clear_pointer(&group->pages, g_free);
    g_array_set_size(group->inside, 0);
}

/* The group of TABLE; a new one is gone through. SIZE_MAX where it does not hold. */
static size_t
group_of(IrekoFindLayer *layer, const IrekoTable *table)
{
    for (guint i = 0; i < layer->groups->len; i++) {
        const IrekoFindGroup *group = g_ptr_array_index(layer->groups, i);
        if (group->table.root.at == table->root.at && group->table.paging == table->paging)
            return group->bytes > 0 ? i : SIZE_MAX;
    }
    if (layer->groups->len >= IREKO_FIND_GUESTS_MAX) {
        layer->findings->cut = true;
        return SIZE_MAX;
    }
    IrekoFindGroup *group = g_new0(IrekoFindGroup, 1);
    group->table = *table;
    group->guest = IREKO_FIND_OUTERMOST;
    group->within = SIZE_MAX;
    group->inside = g_array_new(FALSE, FALSE, sizeof(IrekoFindInside));
    g_ptr_array_add(layer->groups, group);
    bool whole = map_group(layer, group);
    const IrekoBacking *backing = whole ? ireko_find_backing(layer, group) : NULL;
    if (backing != NULL) {
        group->table.backing = backing;
        forget(group);
        whole = map_group(layer, group);
    }
    if (whole)
        return layer->groups->len - 1;
    forget(group); /* so that it is not asked again */
    return SIZE_MAX;
}

static void
confirm(IrekoFindLayer *layer, IrekoFindMember *member)
{
    const IrekoControl *control = &ireko_find_found(layer->findings, member->found)->control;
    IrekoTable table;
    member->group = SIZE_MAX;
    if (!control->nested_paging) {
        member->doubt = is_there(layer->chain, control) ? IREKO_DOUBT_NONE : IREKO_DOUBT_NO_CODE;
        return;
    }
    if (!find_table(layer, control, &table)) {
        member->doubt = nowhere(layer, control);
        return;
    }
    member->group = group_of(layer, &table);
    member->doubt = member->group == SIZE_MAX ? IREKO_DOUBT_TABLE_BROKEN : IREKO_DOUBT_NONE;
}

/* Those that ran come first: what is planted beside them may use up what is left to be looked at.
 */
void
ireko_find_confirm(IrekoFindLayer *layer)
{
    layer->groups = g_ptr_array_new_with_free_func(group_free);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (guint i = 0; i < layer->members->len; i++) {
            IrekoFindMember *member = ireko_find_member(layer, i);
            bool ran = ireko_find_found(layer->findings, member->found)->trust == IREKO_FIND_RUN;
            if (ran == (turn == 0))
                confirm(layer, member);
        }
    }
}
