/* xray/find.c - the tree of guests in a machine's memory.
 *
 * One pass over RAM finds every page with the form of a control block, of whatever hypervisor and
 * however far in (find-scan.c): the memory of inner machines is part of it. Then, from outside in,
 * for each machine:
 *
 *     confirm   where does each one lead, taken for the machine's own?     find-confirm.c
 *     judge     which are its own, which lie in the memory of its guests?  find-judge.c
 *     shadows   which only repeat what a guest's hypervisor set up?
 *     descend   each guest, with what lies in it
 *
 * and at the end shadows are set beside the guests that they are shadows of. All of it is bounded:
 * pages with the form (IREKO_FIND_CONTROLS_MAX), guests, depth (IREKO_CHAIN_NESTED_MAX), and the
 * tables and rows of pages looked at in total (BUDGET_LEAST and four times the pages of RAM). */
#include "xray/find.h"

#include "xray/find-parts.h"

#define BUDGET_LEAST ((uint64_t)1 << 20)
#define BUDGET_TIMES 4

/* A shadow that waits for its guest. */
typedef struct {
    IrekoFindGroup *group;
    size_t within;  /* the guest that it is a part of */
    GArray *founds; /* size_t */
} Shadow;

typedef struct {
    IrekoFindings *findings;
    GArray *shadows; /* Shadow */
} Descent;

IrekoChain *
ireko_find_chain(const IrekoFindings *findings, const IrekoTable *table, size_t owner)
{
    IrekoTable tables[IREKO_CHAIN_NESTED_MAX];
    size_t n = 0;
    if (table != NULL)
        tables[n++] = *table;
    while (owner != IREKO_FIND_OUTERMOST) {
        const IrekoGuest *guest = &g_array_index(findings->guests, IrekoGuest, owner);
        if (n == IREKO_CHAIN_NESTED_MAX)
            return NULL;
        tables[n++] = guest->nested;
        owner = guest->parent;
    }
    IrekoChain *chain = ireko_chain_new(findings->memory, findings->map, tables, n);
    ireko_chain_keep(chain, true);
    return chain;
}

static bool
add_guest(IrekoFindLayer *layer, IrekoFindGroup *group)
{
    GArray *guests = layer->findings->guests;
    if (guests->len >= IREKO_FIND_GUESTS_MAX) {
        layer->findings->cut = true;
        return false;
    }
    size_t parent = layer->owner;
    unsigned depth =
        parent == IREKO_FIND_OUTERMOST ? 1 : g_array_index(guests, IrekoGuest, parent).depth + 1;
    IrekoGuest guest = {
        .parent = parent, .depth = depth, .nested = group->table, .bytes = group->bytes};
    group->guest = guests->len;
    g_array_append_val(guests, guest);
    return true;
}

/* What is known of the layer's own control blocks. */
static void
settle(IrekoFindLayer *layer, const IrekoFindMember *member)
{
    IrekoFound *found = ireko_find_found(layer->findings, member->found);
    const IrekoFindGroup *group =
        member->group != SIZE_MAX ? g_ptr_array_index(layer->groups, member->group) : NULL;
    found->owner = layer->owner;
    found->at = member->at;
    found->doubt = member->doubt;
    found->shadow = group != NULL && group->within != SIZE_MAX;
    found->guest = group != NULL ? group->guest : IREKO_FIND_OUTERMOST;
    if (found->doubt == IREKO_DOUBT_NONE && group != NULL && group->guest == IREKO_FIND_OUTERMOST)
        found->doubt = found->shadow ? IREKO_DOUBT_UNPAIRED : IREKO_DOUBT_DEPTH;
    if (found->doubt == IREKO_DOUBT_NONE && found->control.kind == IREKO_CONTROL_VMCS)
        found->doubt = IREKO_DOUBT_LAYOUT;
    if (found->doubt == IREKO_DOUBT_NONE && found->trust == IREKO_FIND_UNCONFIRMED)
        found->trust = IREKO_FIND_CONFIRMED;
}

/* Puts GROUP, a shadow, aside, with the control blocks that are its vCPUs. */
static void
put_aside(Descent *descent, IrekoFindLayer *layer, guint index)
{
    IrekoFindGroup *group = g_ptr_array_index(layer->groups, index);
    const IrekoFindGroup *whole = g_ptr_array_index(layer->groups, group->within);
    Shadow shadow = {.within = whole->guest, .founds = g_array_new(FALSE, FALSE, sizeof(size_t))};
    for (guint i = 0; i < layer->members->len; i++) {
        const IrekoFindMember *member = ireko_find_member(layer, i);
        if (member->group == index && member->is_valid)
            g_array_append_val(shadow.founds, member->found);
    }
    shadow.group = g_memdup2(group, sizeof *group);
    g_array_append_val(descent->shadows, shadow);
}

static void
shadow_clear(gpointer data)
{
    Shadow *shadow = data;
    g_free(shadow->group);
    g_array_unref(shadow->founds);
}

static void
look_into(Descent *descent, size_t owner, GArray *members);

/* What lies in the guest of GROUP. */
static void
descend(Descent *descent, const IrekoFindGroup *group)
{
    g_autoptr(GArray) members = g_array_new(FALSE, FALSE, sizeof(IrekoFindMember));
    for (guint i = 0; i < group->inside->len; i++) {
        const IrekoFindInside *inside = &g_array_index(group->inside, IrekoFindInside, i);
        IrekoFindMember member = {.found = inside->found, .at = inside->at};
        g_array_append_val(members, member);
    }
    look_into(descent, group->guest, members);
}

static void
look_into(Descent *descent, size_t owner, GArray *members)
{
    g_autoptr(IrekoChain) chain = ireko_find_chain(descent->findings, NULL, owner);
    IrekoFindLayer layer = {descent->findings, owner, chain, members, NULL};
    if (chain == NULL || members->len == 0)
        return;
    ireko_find_confirm(&layer);
    ireko_find_judge(&layer);
    ireko_find_shadows(&layer);
    g_autoptr(GPtrArray) groups = layer.groups;
    for (guint i = 0; i < groups->len; i++) {
        IrekoFindGroup *group = g_ptr_array_index(groups, i);
        if (group->is_valid && group->within == SIZE_MAX)
            (void)add_guest(&layer, group);
    }
    for (guint i = 0; i < members->len; i++)
        settle(&layer, ireko_find_member(&layer, i));
    for (guint i = 0; i < groups->len; i++) {
        const IrekoFindGroup *group = g_ptr_array_index(groups, i);
        if (group->is_valid && group->within != SIZE_MAX)
            put_aside(descent, &layer, i);
        else if (group->guest != IREKO_FIND_OUTERMOST)
            descend(descent, group);
    }
}

/* ---- shadows and the guests that they belong to ---- */

static bool
is_inside(const IrekoFindings *findings, size_t guest, size_t outer)
{
    while (guest != IREKO_FIND_OUTERMOST && guest != outer)
        guest = g_array_index(findings->guests, IrekoGuest, guest).parent;
    return guest == outer;
}

/* The vCPU of GUEST that a shadow which ran stands for, where there is but one. */
static void
pass_on(IrekoFindings *findings, size_t guest)
{
    IrekoFound *only = NULL;
    for (guint i = 0; i < findings->founds->len; i++) {
        IrekoFound *found = ireko_find_found(findings, i);
        if (found->guest != guest || found->shadow || found->trust == IREKO_FIND_UNCONFIRMED)
            continue;
        if (only != NULL)
            return;
        only = found;
    }
    if (only != NULL)
        only->trust = IREKO_FIND_RUN;
}

static void
pair(IrekoFindings *findings, const Shadow *shadow, size_t guest)
{
    for (guint i = 0; i < shadow->founds->len; i++) {
        IrekoFound *found = ireko_find_found(findings, g_array_index(shadow->founds, size_t, i));
        found->guest = guest;
        found->doubt = IREKO_DOUBT_NONE;
        if (found->trust == IREKO_FIND_RUN)
            pass_on(findings, guest);
        else
            found->trust = IREKO_FIND_CONFIRMED;
    }
}

static void
pair_shadows(Descent *descent)
{
    IrekoFindings *findings = descent->findings;
    for (guint i = 0; i < descent->shadows->len; i++) {
        const Shadow *shadow = &g_array_index(descent->shadows, Shadow, i);
        for (size_t guest = 0; guest < findings->guests->len; guest++) {
            if (!is_inside(findings, guest, shadow->within) ||
                !ireko_find_is_same(findings, shadow->group, guest))
                continue;
            pair(findings, shadow, guest);
            break;
        }
    }
}

/* Takes out what has not even a nested table: a processor's own VMCS has too little form. */
static void
drop_shapeless(IrekoFindings *findings)
{
    for (guint i = findings->founds->len; i-- > 0;) {
        const IrekoFound *found = ireko_find_found(findings, i);
        if (found->control.kind == IREKO_CONTROL_VMCS && found->doubt != IREKO_DOUBT_LAYOUT)
            g_array_remove_index(findings->founds, i);
    }
}

IrekoFindings *
ireko_find(const IrekoMemory *memory, const IrekoRamMap *map, const IrekoVcpu *vcpus, size_t n)
{
    IrekoFindings *findings = g_new0(IrekoFindings, 1);
    findings->memory = memory;
    findings->map = map;
    findings->vcpus = vcpus;
    findings->n_vcpus = n;
    findings->founds = g_array_new(FALSE, FALSE, sizeof(IrekoFound));
    findings->guests = g_array_new(FALSE, FALSE, sizeof(IrekoGuest));
    for (size_t i = 0; i < map->n; i++)
        findings->ram_pages += map->ranges[i].bytes / IREKO_PAGE_BYTES;
    findings->processes = g_array_new(FALSE, FALSE, sizeof(IrekoTable));
    findings->backings = g_ptr_array_new_with_free_func(g_free);
    findings->budget = findings->backing_budget = BUDGET_LEAST + BUDGET_TIMES * findings->ram_pages;
    ireko_find_scan(findings);
    ireko_find_add_siblings(findings);

    Descent descent = {findings, g_array_new(FALSE, FALSE, sizeof(Shadow))};
    g_array_set_clear_func(descent.shadows, shadow_clear);
    g_autoptr(GArray) members = g_array_new(FALSE, FALSE, sizeof(IrekoFindMember));
    for (guint i = 0; i < findings->founds->len; i++) {
        IrekoFindMember member = {.found = i, .at = ireko_find_found(findings, i)->gpa.at};
        g_array_append_val(members, member);
    }
    look_into(&descent, IREKO_FIND_OUTERMOST, members);
    pair_shadows(&descent);
    g_array_unref(descent.shadows);
    ireko_find_twins(findings);
    drop_shapeless(findings);
    findings->vcpus = NULL;
    findings->n_vcpus = 0;
    return findings;
}

void
ireko_findings_free(IrekoFindings *findings)
{
    if (findings == NULL)
        return;
    g_array_unref(findings->founds);
    g_array_unref(findings->guests);
    g_array_unref(findings->processes);
    g_ptr_array_unref(findings->backings);
    g_free(findings);
}

const IrekoFound *
ireko_findings_controls(const IrekoFindings *findings, size_t *ret_n)
{
    *ret_n = findings->founds->len;
    return (const IrekoFound *)(const void *)findings->founds->data;
}

const IrekoGuest *
ireko_findings_guests(const IrekoFindings *findings, size_t *ret_n)
{
    *ret_n = findings->guests->len;
    return (const IrekoGuest *)(const void *)findings->guests->data;
}

bool
ireko_findings_cut(const IrekoFindings *findings)
{
    return findings->cut;
}

IrekoChain *
ireko_findings_chain(const IrekoFindings *findings, size_t guest)
{
    return ireko_find_chain(findings, NULL, guest);
}

const char *
ireko_doubt_name(IrekoDoubt doubt)
{
    static const char *const names[] = {
        [IREKO_DOUBT_NONE] = "none",
        [IREKO_DOUBT_TABLE_EMPTY] = "table-empty",
        [IREKO_DOUBT_TABLE_BROKEN] = "table-broken",
        [IREKO_DOUBT_NO_CODE] = "no-code",
        [IREKO_DOUBT_GIVEN_AWAY] = "given-away",
        [IREKO_DOUBT_MUTUAL] = "mutual",
        [IREKO_DOUBT_UNPAIRED] = "unpaired",
        [IREKO_DOUBT_LAYOUT] = "layout",
        [IREKO_DOUBT_TWIN] = "twin",
        [IREKO_DOUBT_DEPTH] = "depth",
    };
    return (size_t)doubt < G_N_ELEMENTS(names) ? names[doubt] : "unknown";
}
