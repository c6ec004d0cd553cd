/* lab/check.c - ireko check: opens the host that is meant, reads it, asks QEMU, has it judged. */
#include <string.h>

#include <ireko/check.h>
#include <ireko/lab.h>

#include "base/fd.h"
#include "lab/inside.h"
#include "lab/layer.h"
#include "lab/record.h"
#include "lab/serve.h"

#define INSIDE_SECONDS 30 /* for all layers inside: they may be emulated, and busy */

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

/* ---- the layers inside ---- */

typedef struct {
    IrekoVerdict *verdict;
    GMutex lock; /* of the verdict */
    int cancel_fd;
} Report;

/* The machines of one lab on L0, or those inside this layer. */
typedef struct {
    Report *report;
    char *lab;        /* NULL inside a layer */
    IrekoLab *record; /* NULL: none, or damaged */
    char *folder, *path;
} Group;

static void
take_inner(void *data, IrekoInner *inner)
{
    const Group *group = data;
    if (inner->asked) {
        ireko_inner_free(inner);
        return;
    }
    inner->lab = g_strdup(group->lab);
    g_mutex_lock(&group->report->lock);
    ireko_verdict_add_inner(group->report->verdict, inner);
    g_mutex_unlock(&group->report->lock);
}

static bool
has_agent(void *data, const char *name)
{
    const Group *group = data;
    for (unsigned i = 0; group->record != NULL && i < group->record->nodes->len; i++) {
        const IrekoNode *node = group->record->nodes->pdata[i];
        if (strcmp(node->name, name) == 0)
            return node->machine->image != NULL;
    }
    return true;
}

static void *
ask_group(void *data)
{
    Group *group = data;
    const IrekoInside inside = {
        .engine = ireko_engine_chosen(),
        .folder = group->folder,
        .path = group->path,
        .until = ireko_patience(INSIDE_SECONDS, 1),
        .cancel_fd = group->report->cancel_fd,
        .has_agent = has_agent,
        .take = take_inner,
        .data = group,
    };
    ireko_inside_ask(&inside);
    ireko_lab_free(group->record);
    g_free(group->lab);
    g_free(group->folder);
    g_free(group->path);
    g_free(group);
    return NULL;
}

static GThread *
begin_group(Report *report, const char *lab, IrekoLab *record, char *folder, const char *path)
{
    Group *group = g_new0(Group, 1);
    *group = (Group){.report = report,
                     .lab = g_strdup(lab),
                     .record = record,
                     .folder = folder,
                     .path = g_strdup(path)};
    return g_thread_new("lab", ask_group, group);
}

void
ireko_lab_check(const IrekoHome *home, IrekoVerdict *verdict, int cancel_fd)
{
    Report report = {.verdict = verdict, .cancel_fd = cancel_fd};
    g_mutex_init(&report.lock);
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    g_auto(GStrv) labs = ireko_lab_names(home);
    for (size_t i = 0; labs[i] != NULL; i++) {
        IrekoLab *record = ireko_record_read(home, labs[i], NULL);
        char *folder = ireko_record_run_folder(home, labs[i]);
        g_ptr_array_add(threads, begin_group(&report, labs[i], record, folder, ""));
    }
    g_autofree char *path = ireko_serve_own_path();
    if (*path != '\0')
        g_ptr_array_add(threads,
                        begin_group(&report, NULL, NULL, g_strdup(IREKO_SERVE_FOLDER), path));
    for (unsigned i = 0; i < threads->len; i++)
        (void)g_thread_join(threads->pdata[i]);
    g_mutex_clear(&report.lock);
}
