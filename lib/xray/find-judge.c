/* xray/find-judge.c - whose a control block is, and which of two that contradict each other.
 *
 * The RAM of a machine holds that of all its guests, so what looks like a control block may have
 * been written by any of them. A hypervisor never gives its own control blocks to a guest: one that
 * lies in what a nested table maps is that guest's, and its addresses are that guest's. So a guest
 * can plant in its own memory what it likes: it is looked at as the guest's, where its forged
 * nested table is one of the guest's own pages and maps no more than the guest has.
 *
 * But a forged nested table may also claim to map pages of the hypervisor, its control blocks among
 * them. So first it has to be settled who is real: whose page no real one maps. What a vCPU ran is
 * real. Then, over and over: what a real one maps is not the owner's; what no more than unreal
 * ones map is real. What is left then, two that map each other, cannot be told from memory alone,
 * and is left unconfirmed.
 *
 * A hypervisor that runs guests of its guests makes a nested table for them that leads from the
 * innermost to its own memory (KVM's vmcb02): a shadow of the two tables in a row. All that it maps
 * is part of one guest's memory. Its own control block is the guest hypervisor's, further in. */
#include "xray/find-parts.h"

#define SHADOW_LEAST                                                                               \
    0.9                /* of what it maps is in the guest; the rest are pages of zeros and such    \
                        */
#define SAME_LEAST 0.9 /* of the samples */

static IrekoFindGroup *
group_at(const IrekoFindLayer *layer, size_t index)
{
    return g_ptr_array_index(layer->groups, index);
}

static bool
maps(const IrekoFindGroup *group, size_t found)
{
    for (guint i = 0; i < group->inside->len; i++) {
        if (g_array_index(group->inside, IrekoFindInside, i).found == found)
            return true;
    }
    return false;
}

/* What those groups that map MEMBER make of it: void, where one is real; valid, where none can be.
 */
static void
judge_member(const IrekoFindLayer *layer, IrekoFindMember *member)
{
    bool all_void = true;
    for (guint i = 0; i < layer->groups->len; i++) {
        const IrekoFindGroup *group = group_at(layer, i);
        if (!maps(group, member->found))
            continue;
        if (group->is_valid)
            member->is_void = true;
        all_void = all_void && group->is_void;
    }
    member->is_valid = !member->is_void && all_void;
}

static void
judge_group(const IrekoFindLayer *layer, size_t index)
{
    IrekoFindGroup *group = group_at(layer, index);
    bool all_void = true;
    for (guint i = 0; i < layer->members->len; i++) {
        const IrekoFindMember *member = ireko_find_member(layer, i);
        if (member->group != index)
            continue;
        if (member->is_valid)
            group->is_valid = true;
        all_void = all_void && member->is_void;
    }
    group->is_void = !group->is_valid && all_void;
}

/* What is certain to begin with. */
static void
judge_first(const IrekoFindLayer *layer)
{
    for (guint i = 0; i < layer->members->len; i++) {
        IrekoFindMember *member = ireko_find_member(layer, i);
        bool own = member->group != SIZE_MAX && maps(group_at(layer, member->group), member->found);
        if (own && member->doubt == IREKO_DOUBT_NONE)
            member->doubt = IREKO_DOUBT_GIVEN_AWAY;
        member->is_void = own;
        member->is_valid =
            !own && ireko_find_found(layer->findings, member->found)->trust == IREKO_FIND_RUN;
    }
}

static size_t
undecided(const IrekoFindLayer *layer)
{
    size_t n = 0;
    for (guint i = 0; i < layer->members->len; i++) {
        const IrekoFindMember *member = ireko_find_member(layer, i);
        n += !member->is_valid && !member->is_void;
    }
    return n;
}

void
ireko_find_judge(IrekoFindLayer *layer)
{
    judge_first(layer);
    for (size_t before = SIZE_MAX; before > undecided(layer);) {
        before = undecided(layer);
        for (guint i = 0; i < layer->groups->len; i++)
            judge_group(layer, i);
        for (guint i = 0; i < layer->members->len; i++) {
            IrekoFindMember *member = ireko_find_member(layer, i);
            if (!member->is_valid && !member->is_void)
                judge_member(layer, member);
        }
    }
    for (guint i = 0; i < layer->groups->len; i++)
        judge_group(layer, i);
    for (guint i = 0; i < layer->members->len; i++) {
        IrekoFindMember *member = ireko_find_member(layer, i);
        if (!member->is_valid && !member->is_void && member->doubt == IREKO_DOUBT_NONE)
            member->doubt = IREKO_DOUBT_MUTUAL;
    }
}

/* ---- shadows ---- */

/* How much of what PART maps WHOLE maps too. */
static double
share_of(const IrekoFindings *findings, const IrekoFindGroup *part, const IrekoFindGroup *whole)
{
    uint64_t all = 0, both = 0;
    for (uint64_t i = 0; i <= findings->ram_pages / 64; i++) {
        all += (uint64_t)__builtin_popcountll(part->pages[i]);
        both += (uint64_t)__builtin_popcountll(part->pages[i] & whole->pages[i]);
    }
    return all > 0 ? (double)both / (double)all : 0;
}

static bool
agrees(IrekoChain *chain, const IrekoFindGroup *group)
{
    size_t same = 0;
    for (size_t i = 0; i < group->n_samples; i++) {
        IrekoWay way;
        const IrekoFindSample *sample = &group->samples[i];
        same += ireko_chain_npa(chain, (IrekoNpa){sample->at}, 0, NULL, &way) &&
                way.gpa.at == sample->gpa.at;
    }
    return group->n_samples > 0 && (double)same >= SAME_LEAST * (double)group->n_samples;
}

bool
ireko_find_is_same(const IrekoFindings *findings, const IrekoFindGroup *group, size_t guest)
{
    g_autoptr(IrekoChain) chain = ireko_find_chain(findings, NULL, guest);
    return chain != NULL && agrees(chain, group);
}

void
ireko_find_shadows(IrekoFindLayer *layer)
{
    for (guint i = 0; i < layer->groups->len; i++) {
        IrekoFindGroup *part = group_at(layer, i);
        for (guint j = 0; part->is_valid && j < layer->groups->len; j++) {
            const IrekoFindGroup *whole = group_at(layer, j);
            if (j == i || !whole->is_valid || whole->bytes <= part->bytes ||
                share_of(layer->findings, part, whole) < SHADOW_LEAST)
                continue;
            g_autoptr(IrekoChain) chain =
                ireko_find_chain(layer->findings, &whole->table, layer->owner);
            bool same = chain != NULL && agrees(chain, part); /* a second table for one machine */
            if (!same &&
                (part->within == SIZE_MAX || group_at(layer, part->within)->bytes < whole->bytes))
                part->within = j; /* of a shadow in a shadow the outer one */
        }
    }
}

/* ---- twins ---- */

static bool
is_one_vcpu(const IrekoFound *a, const IrekoFound *b)
{
    const IrekoControl *left = &a->control, *right = &b->control;
    return left->gdt_base != 0 && left->tr_base != 0 && left->gdt_base == right->gdt_base &&
           left->tr_base == right->tr_base && left->gs_base == right->gs_base &&
           left->kind == right->kind && a->owner == b->owner && a->guest == b->guest &&
           a->shadow == b->shadow && a->guest != IREKO_FIND_OUTERMOST;
}

static void
doubt_twin(IrekoFound *found)
{
    if (found->trust != IREKO_FIND_CONFIRMED)
        return;
    found->trust = IREKO_FIND_UNCONFIRMED;
    found->doubt = IREKO_DOUBT_TWIN;
}

void
ireko_find_twins(IrekoFindings *findings)
{
    for (guint i = 0; i < findings->founds->len; i++) {
        for (guint j = i + 1; j < findings->founds->len; j++) {
            IrekoFound *a = ireko_find_found(findings, i), *b = ireko_find_found(findings, j);
            if (!is_one_vcpu(a, b) || (a->trust == IREKO_FIND_UNCONFIRMED && b->trust == a->trust))
                continue;
            doubt_twin(a);
            doubt_twin(b);
        }
    }
}
