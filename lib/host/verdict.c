/* host/verdict.c - from the links to a word, a number of levels, and what to do.
 *
 * LEVELS_BELOW is a promise, so it ends where another layer's begins:
 *
 *   0   no guest runs here
 *   1   guests run, and see no assistance: a guest of theirs is emulated
 *   2   guests see assistance, so that a guest of theirs runs on KVM. What stands deeper is theirs
 *       to promise: the same check in the guest tells
 *  -1   cannot be told
 *
 * The same for both accelerators: on KVM by the parameter `nested`, on QEMU's TCG by the SVM that
 * it emulates. */
#include "host/verdict.h"

#include <string.h>

#include "host/inner.h"
#include "host/judge.h"

#define REMEDY_KEYS_MAX 10

const char *
ireko_link_state_name(IrekoLinkState state)
{
    switch (state) {
    case IREKO_LINK_OK:
        return "ok";
    case IREKO_LINK_BROKEN:
        return "broken";
    case IREKO_LINK_UNKNOWN:
        return "unknown";
    case IREKO_LINK_SKIPPED:
        return "skipped";
    }
    return "unknown";
}

static void
free_inner(void *data)
{
    ireko_inner_free(data);
}

static void
free_link(void *data)
{
    IrekoLink *link = data;
    g_free(link->evidence);
    g_free(link);
}

void
ireko_verdict_free(IrekoVerdict *verdict)
{
    if (verdict == NULL)
        return;
    ireko_facts_free(verdict->facts);
    ireko_survey_free(verdict->survey);
    g_ptr_array_unref(verdict->links);
    g_free(verdict->levels_why);
    g_ptr_array_unref(verdict->unread);
    g_ptr_array_unref(verdict->findings);
    g_ptr_array_unref(verdict->inner);
    g_free(verdict);
}

bool
ireko_verdict_tcg_nests(const IrekoVerdict *verdict)
{
    const IrekoQemuFact *qemu = &verdict->survey->qemu;
    return qemu->path != NULL && qemu->has_tcg && qemu->tcg_svm == IREKO_READ_YES;
}

static bool
is_link_ok(const IrekoVerdict *verdict, const char *name)
{
    for (guint i = 0; i < verdict->links->len; i++) {
        const IrekoLink *link = verdict->links->pdata[i];
        if (strcmp(link->name, name) == 0)
            return link->state == IREKO_LINK_OK;
    }
    return false;
}

static void
set_levels(IrekoVerdict *verdict, int levels, const char *why)
{
    verdict->levels_below = levels;
    verdict->levels_why = g_strdup(why);
}

static void
judge_levels(IrekoVerdict *verdict)
{
    const IrekoQemuFact *qemu = &verdict->survey->qemu;
    if (strcmp(verdict->word, "hardware") == 0)
        set_levels(verdict, 2,
                   "guests see the assistance, so that guests of theirs run on KVM; what stands "
                   "deeper is theirs to promise");
    else if (strcmp(verdict->word, "software") == 0)
        set_levels(verdict, 2,
                   "guests see the SVM that QEMU emulates, so that guests of theirs run on the KVM "
                   "inside; what stands deeper is theirs to promise");
    else if (verdict->facts->kvm.usable)
        set_levels(verdict, 1, "guests run on KVM and see no assistance");
    else if (g_strcmp0(verdict->kvm_cause, "unknown") == 0)
        set_levels(verdict, -1, "what was read does not tell");
    else if (qemu->path != NULL && qemu->has_tcg && qemu->tcg_svm == IREKO_READ_NO)
        set_levels(verdict, 1, "QEMU's TCG runs guests that see no assistance");
    else if (qemu->path != NULL || verdict->survey->is_recorded)
        set_levels(verdict, -1, "no guest runs on KVM; what QEMU's TCG can is not known");
    else
        set_levels(verdict, 0, "no guest runs on KVM, and there is no QEMU to emulate one");
}

/* Whose words the fix is to be in, the most particular first. */
static const IrekoRemedy *
find_remedy(const IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    const char *keys[REMEDY_KEYS_MAX] = {NULL};
    size_t count = 0;
    const char *above = verdict->facts->above;
    if (survey->arch != NULL)
        keys[count++] = survey->arch;
    if (survey->ireko_machine)
        keys[count++] = "ireko";
    if (survey->container != NULL) {
        keys[count++] = survey->container;
        keys[count++] = "container";
    }
    if (survey->others != NULL)
        keys[count++] = strstr(survey->others, "vboxdrv") != NULL ? "vboxdrv"
                        : strstr(survey->others, "vmmon") != NULL ? "vmmon"
                                                                  : survey->others;
    if (survey->cloud != NULL)
        keys[count++] = survey->cloud;
    if (above != NULL)
        keys[count++] = strcmp(above, "none") != 0 ? above : "here";
    keys[count++] = "everywhere";
    return ireko_cause_remedy(verdict->cause, keys);
}

IrekoVerdict *
ireko_verdict_new(IrekoFacts *facts, IrekoSurvey *survey)
{
    IrekoVerdict *verdict = g_new0(IrekoVerdict, 1);
    verdict->facts = facts;
    verdict->survey = survey;
    verdict->links = g_ptr_array_new_with_free_func(free_link);
    verdict->unread = g_ptr_array_new_with_free_func(g_free);
    verdict->findings = ireko_findings_new();
    verdict->inner = g_ptr_array_new_with_free_func(free_inner);
    ireko_verdict_judge_links(verdict);

    bool on_kvm = facts->kvm.usable && facts->hv != IREKO_HV_NONE && is_link_ok(verdict, "nested");
    verdict->word = on_kvm ? "hardware" : ireko_verdict_tcg_nests(verdict) ? "software" : "none";
    if (!on_kvm && verdict->cause == NULL)
        verdict->cause = "unknown"; /* a vCPU ran, and whether nested is on could not be read */
    judge_levels(verdict);
    if (verdict->cause != NULL)
        verdict->remedy = find_remedy(verdict);
    ireko_verdict_find(verdict);
    return verdict;
}

const char *
ireko_verdict_word(const IrekoVerdict *verdict)
{
    return verdict->word;
}

const char *
ireko_verdict_cause(const IrekoVerdict *verdict)
{
    return verdict->cause;
}

int
ireko_verdict_levels_below(const IrekoVerdict *verdict)
{
    return verdict->levels_below;
}

const GPtrArray *
ireko_verdict_links(const IrekoVerdict *verdict)
{
    return verdict->links;
}

const GPtrArray *
ireko_verdict_findings(const IrekoVerdict *verdict)
{
    return verdict->findings;
}
