/* lab/check.c - ireko check: opens the host that is meant, reads it, asks QEMU, has it judged. */
#include <ireko/check.h>

#include "base/fd.h"
#include "engine/engine.h"
#include "host/verdict.h"

/* Facts and survey of SOURCE; QEMU is asked where it is this machine's. */
static bool
read_host(const IrekoHostSource *source,
          const char *cache,
          IrekoFacts **ret_facts,
          IrekoSurvey **ret_survey,
          GError **error)
{
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, error);
    if (facts == NULL)
        return false;
    IrekoSurvey *survey = ireko_survey_read(source, facts);
    if (!survey->is_recorded)
        ireko_engine_survey_qemu(cache, &survey->qemu);
    *ret_facts = g_steal_pointer(&facts);
    *ret_survey = survey;
    return true;
}

static IrekoVerdict *
judge(const IrekoHostSource *source, const char *cache, GError **error)
{
    IrekoFacts *facts = NULL;
    IrekoSurvey *survey = NULL;
    return read_host(source, cache, &facts, &survey, error) ? ireko_verdict_new(facts, survey)
                                                            : NULL;
}

IrekoVerdict *
ireko_check(const IrekoCheckOrder *order, GError **error)
{
    if (order->root == NULL && order->cpuid == NULL) {
        IrekoHostSource here;
        if (!ireko_host_here(&here, error))
            return NULL;
        IREKO_AUTOFD root_fd = here.root_fd;
        (void)root_fd;
        return judge(&here, order->cache, error);
    }
    g_autoptr(IrekoRecorded) recorded = order->root != NULL
                                            ? ireko_recorded_open(order->root, error)
                                            : ireko_recorded_open_cpuid(order->cpuid, error);
    return recorded != NULL ? judge(ireko_recorded_source(recorded), order->cache, error) : NULL;
}

bool
ireko_check_record(const char *dir, const char *cache, GError **error)
{
    IrekoHostSource here;
    if (!ireko_host_here(&here, error))
        return false;
    IREKO_AUTOFD root_fd = here.root_fd;
    (void)root_fd;
    g_autoptr(IrekoFacts) facts = NULL;
    g_autoptr(IrekoSurvey) survey = NULL;
    return read_host(&here, cache, &facts, &survey, error) &&
           ireko_record_host(&here, facts, survey, dir, error);
}
