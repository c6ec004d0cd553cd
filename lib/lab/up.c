/* lab/up.c - a lab brought up, proven, planned.
 *
 * Everything that can be known beforehand is checked before anything starts: names, memory at each
 * layer, images, disks of every machine however deep. Then the definition goes on record, and only
 * then the first machine starts. A second `up` finds the machines that run and proves them again;
 * where an earlier one was interrupted, it goes on from there. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <ireko/image.h>
#include <ireko/lab.h>

#include "base/file.h"
#include "base/text.h"
#include "lab/clone/snapshot.h"
#include "lab/clone/template.h"
#include "lab/drives.h"
#include "lab/layer.h"
#include "lab/network/cards.h"
#include "lab/network/frames.h"
#include "lab/network/network.h"
#include "lab/record.h"
#include "lab/requires.h"

/* One run of a lab on L0. */
typedef struct {
    const IrekoHome *home;
    const IrekoLab *lab;
    const IrekoLabRun *run;
    IrekoFacts *facts;
    IrekoAccel accel;
    IrekoTemplates *templates;  /* what its machines may be clones of; or NULL */
    IrekoLayer layer;           /* that they are for */
    GHashTable *reports;        /* path -> IrekoReport, the newest of each machine */
    GHashTable *inside;         /* path -> IrekoFacts, told by the machines of L0 */
    const IrekoVault *snapshot; /* what all go on from; NULL: none */
    char *folder;
} Work;

static void
work_clear(Work *work)
{
    ireko_templates_free(work->templates);
    ireko_facts_free(work->facts);
    g_clear_pointer(&work->reports, g_hash_table_unref);
    g_clear_pointer(&work->inside, g_hash_table_unref);
    g_free(work->folder);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

static void
free_report(void *report)
{
    ireko_report_free(report);
}

static void
free_facts(void *facts)
{
    ireko_facts_free(facts);
}

static Work
work_new(const IrekoHome *home, const IrekoLab *lab, const IrekoLabRun *run)
{
    return (Work){
        .home = home,
        .lab = lab,
        .run = run,
        .reports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_report),
        .inside = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_facts),
        .folder = ireko_record_run_folder(home, lab->name),
    };
}

static void
progress(const IrekoLabRun *run, const char *step)
{
    if (run->progress != NULL)
        run->progress(run->data, step, 0, 0);
}

/* What the record says of a machine's times when this run did not see them: it was already running.
 */
static void
recall_times(const json_t *kept, IrekoReport *report)
{
    if (report->state != IREKO_STATE_RUNNING)
        return; /* they were another machine's */
    size_t i;
    const json_t *machine;
    json_array_foreach(json_object_get(kept, "machines"), i, machine)
    {
        const char *path = json_string_value(json_object_get(machine, "path"));
        if (g_strcmp0(path, report->path) != 0)
            continue;
        const json_t *ready = json_object_get(machine, "ready_seconds");
        const json_t *proven = json_object_get(machine, "proven_seconds");
        if (report->ready_seconds < 0 && json_is_number(ready))
            report->ready_seconds = json_number_value(ready);
        if (report->proven_seconds < 0 && json_is_number(proven))
            report->proven_seconds = json_number_value(proven);
    }
}

static bool
is_known(const Work *work, const char *path);

static void
take_report(void *data, const IrekoReport *report)
{
    Work *work = data;
    if (!is_known(work, report->path))
        return; /* an agent reports only machines that it was given */
    g_hash_table_replace(work->reports, g_strdup(report->path), ireko_report_copy(report));
    if (work->run->report != NULL)
        work->run->report(work->run->data, report);
}

typedef struct {
    const char *path;
    bool found;
} Sought;

static bool
is_other(void *data, const IrekoNode *node)
{
    Sought *sought = data;
    sought->found = strcmp(sought->path, node->path) == 0;
    return !sought->found;
}

static bool
is_known(const Work *work, const char *path)
{
    Sought sought = {.path = path};
    (void)ireko_nodes_each(work->lab->nodes, is_other, &sought);
    return sought.found;
}

static bool
collect(void *data, const IrekoNode *node)
{
    g_ptr_array_add(data, ireko_report_new(node->path, node->level));
    return true;
}

GPtrArray *
ireko_lab_machines(const IrekoLab *lab)
{
    GPtrArray *machines = g_ptr_array_new_with_free_func(free_report);
    (void)ireko_nodes_each(lab->nodes, collect, machines);
    return machines;
}

static IrekoNest *
nest_of(Work *work, int64_t began_us)
{
    IrekoNest *nest = g_new0(IrekoNest, 1);
    nest->lab = g_strdup(work->lab->name);
    nest->accel = g_strdup(ireko_accel_name(work->accel));
    nest->depth = ireko_nodes_depth(work->lab->nodes);
    nest->reports = ireko_lab_machines(work->lab);
    nest->ok = true;
    g_autoptr(json_t) kept = ireko_record_read_nest(work->home, work->lab->name);
    for (unsigned i = 0; i < nest->reports->len; i++) {
        IrekoReport *blank = nest->reports->pdata[i];
        const IrekoReport *found = g_hash_table_lookup(work->reports, blank->path);
        if (found != NULL) {
            nest->reports->pdata[i] = ireko_report_copy(found);
            ireko_report_free(blank);
        }
        recall_times(kept, nest->reports->pdata[i]);
        nest->ok = nest->ok && ireko_report_ok(nest->reports->pdata[i]);
    }
    nest->seconds = (double)(g_get_monotonic_time() - began_us) / G_USEC_PER_SEC;
    return nest;
}

static bool
choose_accel(Work *work, const char *wanted, GError **error)
{
    return ireko_layer_accel(work->facts, wanted, &work->accel, error);
}

static void
take_facts(void *data, const IrekoNode *node, IrekoFacts *facts)
{
    const Work *work = data;
    g_hash_table_replace(work->inside, g_strdup(node->path), facts);
}

static IrekoLayer
layer_of(Work *work, bool start)
{
    return (IrekoLayer){
        .engine = ireko_engine_chosen(),
        .path = "",
        .facts = work->facts,
        .accel = work->accel,
        .images = work->home->cache,
        .folder = work->folder,
        .id = work->lab->name,
        .link = ireko_network_link,
        .pace = 1,
        .clones = work->lab->nodes->len,
        .start = start,
        .snapshot = work->snapshot,
        .cancel_fd = work->run->cancel_fd,
        .report = take_report,
        .take_facts = work->lab->requires != 0 || !start ? take_facts : NULL,
        .data = work,
    };
}

/* Has the machines that run send frames to each other. */
static void
prove_frames(Work *work)
{
    const IrekoFrames frames = {
        .engine = ireko_engine_chosen(),
        .folder = work->folder,
        .lab = work->lab->name,
        .nodes = work->lab->nodes,
        .pace = ireko_layer_pace(work->accel, 1, 0),
        .cancel_fd = work->run->cancel_fd,
    };
    g_autoptr(GPtrArray) changed = ireko_frames_prove(&frames, work->reports);
    for (unsigned i = 0; i < changed->len; i++) {
        g_autoptr(IrekoReport) report =
            ireko_report_copy(g_hash_table_lookup(work->reports, changed->pdata[i]));
        take_report(work, report);
    }
}

/* What the machines may be clones of; NULL: all are to boot. */
static IrekoTemplates *
find_templates(Work *work)
{
    if (!work->run->fresh && work->templates == NULL) {
        work->layer = layer_of(work, true);
        work->templates = ireko_templates_new(&work->layer, work->lab->nodes, work->home->cache,
                                              work->run->program);
    }
    return work->templates;
}

/* What the lab requires of its machines, when each was asked. */
static void
prove_required(Work *work)
{
    g_autoptr(GPtrArray) proven = ireko_requires_prove(work->lab, work->inside, work->reports);
    for (unsigned i = 0; i < proven->len; i++)
        take_report(work, proven->pdata[i]);
}

/* Has the machines bring up, or only ask, theirs; then what the lab requires of them is proven. */
static void
run_layer(Work *work, bool start)
{
    IrekoLayer layer = layer_of(work, start);
    if (start && work->snapshot == NULL)
        layer.templates = find_templates(work);
    ireko_layer_run(&layer, work->lab->nodes);
    g_clear_pointer(&work->templates, ireko_templates_free);
    prove_required(work);
    if (!work->run->no_frames)
        prove_frames(work);
}

static bool
uses_no_image(void *data, const IrekoNode *node)
{
    (void)data;
    return node->machine->image == NULL;
}

/* Whether the image that NODE names is one: asked before any is built. */
static bool
knows_image(void *data, const IrekoNode *node)
{
    GError **error = data;
    if (node->machine->image == NULL || ireko_image_is_known(node->machine->image, error))
        return true;
    g_prefix_error(error, "%s: ireko.image: ", node->machine->file);
    return false;
}

static bool
build_images(const Work *work, GError **error)
{
    if (!ireko_nodes_each(work->lab->nodes, knows_image, error))
        return false;
    if (!ireko_engine_boots_images(ireko_engine_chosen()) || work->run->program == NULL ||
        ireko_nodes_each(work->lab->nodes, uses_no_image, NULL))
        return true;
    const IrekoImageBuild build = {
        .home = work->home->cache,
        .program = work->run->program,
        .cancel_fd = work->run->cancel_fd,
        .progress = work->run->progress,
        .data = work->run->data,
    };
    return ireko_image_build(&build, error);
}

typedef struct {
    const IrekoLayer *layer;
    GError **error;
} Check;

/* Whether NODE's image, disks and devices are there, before anything starts. */
static bool
check_node(void *data, const IrekoNode *node)
{
    const Check *check = data;
    IrekoStart start = {0};
    if (!ireko_layer_prepare(check->layer, node, NULL, &start, check->error))
        return false;
    g_auto(GStrv) argv = ireko_engine_plan(check->layer->engine, &start.spec, check->error);
    ireko_start_clear(&start);
    return argv != NULL;
}

/* Whether the lab's machines fit into the memory of this host, as far as can be said beforehand.
 * What they are promised may be more than there is, where they share most of it. */
static bool
check_memory(Work *work, GError **error)
{
    uint64_t room = work->facts->available_bytes;
    uint64_t promised = ireko_nodes_promised(work->lab->nodes);
    const IrekoTemplates *templates = find_templates(work);
    uint64_t expected = templates != NULL ? ireko_templates_expected(templates) : promised;
    if (!ireko_nodes_check_memory(work->lab->nodes, expected, room, error))
        return false;
    g_autofree char *wants = ireko_text_size(expected), *most = ireko_text_size(promised);
    g_autofree char *has = ireko_text_size(room);
    g_autofree char *step =
        g_strdup_printf("memory: %s expected, %s promised, %s available%s", wants, most, has,
                        promised > room ? "; should its machines use all that they are promised, "
                                          "this host runs out of memory"
                                        : "");
    progress(work->run, step);
    return true;
}

static bool
check_definition(Work *work, GError **error)
{
    progress(work->run, "checking what the lab needs");
    const IrekoLayer layer = layer_of(work, true);
    Check check = {.layer = &layer, .error = error};
    const IrekoTemplates *templates = find_templates(work);
    bool known = templates != NULL && ireko_templates_are_there(templates);
    return (known || ireko_engine_probe(layer.engine, NULL, error)) && check_memory(work, error) &&
           ireko_nodes_each(work->lab->nodes, check_node, &check);
}

/* Whether the lab may be (re)started beside what runs of it already. */
static bool
check_running(const Work *work, bool *ret_any, GError **error)
{
    g_auto(GStrv) alive = ireko_record_alive(work->home, work->lab->name);
    *ret_any = alive[0] != NULL;
    if (!*ret_any)
        return true;
    g_autoptr(IrekoLab) recorded = ireko_record_read(work->home, work->lab->name, error);
    if (recorded == NULL)
        return false;
    if (!ireko_nodes_equal(recorded->nodes, work->lab->nodes)) {
        g_set_error(
            error, IREKO_ERROR, IREKO_ERROR_STATE,
            "the lab '%s' runs from another definition (%s as it was then): 'ireko down %s' "
            "first",
            work->lab->name, recorded->source, work->lab->name);
        return false;
    }
    ireko_cards_copy(work->lab->nodes, recorded->nodes);
    if (strcmp(recorded->accel, ireko_accel_name(work->accel)) == 0)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "the lab '%s' runs on %s: 'ireko down %s' first", work->lab->name, recorded->accel,
                work->lab->name);
    return false;
}

/* Puts the definition on record, in place of one that no longer runs. */
static bool
put_on_record(const Work *work, bool any_runs, GError **error)
{
    if (any_runs)
        return true;
    if (!ireko_record_clear_run(work->home, work->lab->name, error) ||
        !ireko_file_make_folder(work->folder, error))
        return false;
    IrekoLab record = *work->lab;
    g_autofree char *accel = g_strdup(ireko_accel_name(work->accel));
    record.accel = accel;
    return ireko_record_write(work->home, &record, error);
}

/* Forgets a lab of which nothing came to run, and which has no snapshots to be brought back. */
static void
forget_if_nothing_runs(const Work *work)
{
    g_auto(GStrv) alive = ireko_record_alive(work->home, work->lab->name);
    if (alive[0] == NULL && ireko_snapshots_any(work->home, work->lab->name))
        (void)ireko_record_clear_run(work->home, work->lab->name, NULL);
    else if (alive[0] == NULL)
        (void)ireko_record_remove(work->home, work->lab->name, NULL);
}

static bool
begin(Work *work, GError **error)
{
    if (!ireko_requires_check(work->lab, error))
        return false;
    work->facts = ireko_facts_here(error);
    bool any_runs = false;
    if (work->facts == NULL || !choose_accel(work, work->run->accel, error) ||
        !check_running(work, &any_runs, error))
        return false;
    return (any_runs || (ireko_network_plan(work->home, work->lab, error) &&
                         build_images(work, error) && check_definition(work, error))) &&
           put_on_record(work, any_runs, error) &&
           ireko_network_start(work->home, work->lab, work->run->program, error);
}

IrekoNest *
ireko_lab_up(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error)
{
    int64_t began_us = g_get_monotonic_time();
    g_auto(Work) work = work_new(home, lab, run);
    IREKO_AUTOFD lock = ireko_record_lock(home, lab->name, error);
    if (lock < 0)
        return NULL;
    ireko_snapshots_sweep(home, lab->name);
    if (!begin(&work, error)) {
        forget_if_nothing_runs(&work);
        return NULL;
    }
    run_layer(&work, true);

    IrekoNest *nest = nest_of(&work, began_us);
    ireko_record_write_nest(home, nest);
    forget_if_nothing_runs(&work);
    return nest;
}

IrekoNest *
ireko_lab_start(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error)
{
    int64_t began_us = g_get_monotonic_time();
    IREKO_AUTOFD lock = ireko_record_lock(home, lab->name, error);
    if (lock < 0)
        return NULL;
    g_auto(Work) work = work_new(home, lab, run);
    work.facts = ireko_facts_here(error);
    if (work.facts == NULL || !choose_accel(&work, lab->accel, error) ||
        !build_images(&work, error) || !ireko_network_start(home, lab, run->program, error))
        return NULL;
    const IrekoLayer layer = layer_of(&work, true);
    ireko_layer_run(&layer, lab->nodes);
    prove_required(&work);
    IrekoNest *nest = nest_of(&work, began_us);
    ireko_record_update_nest(home, nest);
    return nest;
}

IrekoNest *
ireko_lab_resume(const IrekoHome *home,
                 IrekoLab *lab,
                 const IrekoVault *vault,
                 const IrekoLabRun *run,
                 GError **error)
{
    int64_t began_us = g_get_monotonic_time();
    g_auto(Work) work = work_new(home, lab, run);
    work.facts = ireko_facts_here(error);
    if (work.facts == NULL || !choose_accel(&work, lab->accel, error) ||
        !ireko_file_make_folder(work.folder, error) ||
        !ireko_network_start(home, lab, run->program, error))
        return NULL;
    work.snapshot = vault;
    run_layer(&work, true);
    IrekoNest *nest = nest_of(&work, began_us);
    ireko_record_write_nest(home, nest);
    return nest;
}

IrekoNest *
ireko_lab_verify(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error)
{
    int64_t began_us = g_get_monotonic_time();
    g_auto(Work) work = work_new(home, lab, run);
    work.facts = ireko_facts_here(error);
    if (work.facts == NULL)
        return NULL;
    work.accel = g_strcmp0(lab->accel, "kvm") == 0 ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    run_layer(&work, false);
    return nest_of(&work, began_us);
}

typedef struct {
    const IrekoLayer *layer;
    GString *text;
    GError **error;
} Plan;

static bool
plan_node(void *data, const IrekoNode *node)
{
    Plan *plan = data;
    if (node->level > 1) {
        g_string_append_printf(
            plan->text, "%s: started by the agent of the machine around it, on kvm\n", node->path);
        return true;
    }
    IrekoStart start = {0};
    g_auto(GStrv) argv = NULL;
    if (ireko_layer_prepare(plan->layer, node, NULL, &start, plan->error)) {
        ireko_start_clock(&start, plan->layer);
        argv = ireko_engine_plan(plan->layer->engine, &start.spec, plan->error);
        ireko_start_clear(&start);
    }
    if (argv == NULL)
        return false;
    g_string_append_printf(plan->text, "%s:", node->path);
    for (size_t i = 0; argv[i] != NULL; i++) {
        g_autofree char *quoted = g_shell_quote(argv[i]);
        bool plain = strpbrk(argv[i], " \"'\\{}$*;&|<>()") == NULL && *argv[i] != '\0';
        g_string_append_printf(plan->text, " %s", plain ? argv[i] : quoted);
    }
    g_string_append_c(plan->text, '\n');
    return true;
}

char *
ireko_lab_plan(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error)
{
    g_auto(Work) work = work_new(home, lab, run);
    work.facts = ireko_facts_here(error);
    if (work.facts == NULL || !ireko_requires_check(lab, error) ||
        !choose_accel(&work, run->accel, error) || !ireko_network_plan(home, lab, error) ||
        !check_definition(&work, error))
        return NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    const IrekoLayer layer = layer_of(&work, true);
    Plan plan = {.layer = &layer, .text = text, .error = error};
    if (!ireko_nodes_each(lab->nodes, plan_node, &plan))
        return NULL;
    return g_string_free(g_steal_pointer(&text), FALSE);
}
