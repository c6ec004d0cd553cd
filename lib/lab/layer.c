/* lab/layer.c - one layer runs its machines.
 *
 * Each machine has a thread that takes it from nothing to its proof: find it or start it, wait for
 * its agent (its console is read meanwhile, to have last words where it does not answer), take its
 * facts, compare them with the promise, have it run its guests. A guest of a guest is reported by
 * the layer that runs it, through the agents between, as the same reports. A machine that cannot be
 * run holds its guests back; nothing else stops the others.
 *
 * Where the layer itself cannot run guests with hardware assistance, none is started: it would come
 * up all the same, in software, and prove nothing. */
#include "lab/layer.h"

#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "base/file.h"
#include "base/text.h"
#include "lab/clone/began.h"
#include "lab/clone/clone.h"
#include "lab/clone/freeze.h"
#include "lab/clone/proven.h"
#include "lab/clone/template.h"
#include "lab/network/netorder.h"
#include "lab/network/network.h"
#include "lab/spec.h"
#include "lab/tail.h"

#define START_SECONDS 10 /* for QEMU to answer, times the pace */
#define HELLO_SECONDS 15 /* for the agent's first word, times the pace */
#define FACTS_SECONDS 10
#define ASK_SECONDS   2 /* for a machine that should be up already */
#define END_SECONDS   5

#define LAST_BREATH_US (500 * G_TIME_SPAN_MILLISECOND)
#define LOOK_EVERY_US  (5 * G_TIME_SPAN_MILLISECOND)

typedef struct {
    const IrekoLayer *layer;
    GMutex lock; /* reports go out one at a time */
} Run;

typedef struct {
    Run *run;
    const IrekoNode *node;
    IrekoReport *report;
    char *folder;
    IrekoTail *tail; /* of its console, until all is settled; or NULL */
    unsigned pace;
    IrekoTemplateUse use;
    const char *origin;      /* of one that goes on from a vault, it and all inside it; else NULL */
    GHashTable *good;        /* path -> IrekoReport of machines inside that hold their promises */
    json_t *answer;          /* what a clone told of who it is; else NULL */
    const IrekoVault *vault; /* that it is a clone of */
    int64_t began_us;        /* when its process was started; 0: it was found running */
} Task;

static void
emit(Run *run, const IrekoReport *report)
{
    g_mutex_lock(&run->lock);
    run->layer->report(run->layer->data, report);
    g_mutex_unlock(&run->lock);
}

static void
settle(Task *task, IrekoState state, const char *message)
{
    task->report->state = state;
    if (message != NULL) {
        g_free(task->report->message);
        task->report->message = ireko_text_safe(message, (size_t)-1);
    }
    emit(task->run, task->report);
}

/* Why a subtree is not started. */
typedef struct {
    Run *run;
    const char *message;
    const IrekoCheck *why; /* the check that failed, or NULL */
} Held;

static bool
report_held(void *data, const IrekoNode *node)
{
    const Held *held = data;
    g_autoptr(IrekoReport) report = ireko_report_new(node->path, node->level);
    report->state = IREKO_STATE_NOT_STARTED;
    report->message = g_strdup(held->message);
    IrekoCheck *check = g_new0(IrekoCheck, 1);
    check->what = g_strdup("start");
    check->promised = g_strdup("running");
    check->seen = g_strdup(ireko_state_name(IREKO_STATE_NOT_STARTED));
    check->cause = g_strdup(held->why != NULL ? held->why->cause : "unknown");
    check->evidence = g_strdup(held->why != NULL ? held->why->evidence : held->message);
    check->fix = g_strdup(held->why != NULL ? held->why->fix : NULL);
    g_ptr_array_add(report->checks, check);
    emit(held->run, report);
    return true;
}

static void
hold_back(Run *run, const GPtrArray *nodes, const char *message, const IrekoCheck *why)
{
    Held held = {.run = run, .message = message, .why = why};
    (void)ireko_nodes_each(nodes, report_held, &held);
}

static void
free_report(void *report)
{
    ireko_report_free(report);
}

static void
set_origin(IrekoReport *report, const char *origin)
{
    g_free(report->origin);
    report->origin = g_strdup(origin);
}

static double
seconds_since(int64_t began_us)
{
    return began_us == 0 ? -1 : (double)(g_get_monotonic_time() - began_us) / G_USEC_PER_SEC;
}

static IrekoVm *
boot_vm(Task *task, GError **error)
{
    const IrekoLayer *layer = task->run->layer;
    IrekoStart start = {0};
    ireko_began_forget(task->folder);
    if (!ireko_layer_prepare(layer, task->node, task->folder, &start, error))
        return NULL;
    task->began_us = g_get_monotonic_time();
    settle(task, IREKO_STATE_STARTING, NULL);
    IrekoVm *vm =
        ireko_vm_start(layer->engine, &start.spec, task->folder,
                       ireko_patience(START_SECONDS, task->pace), layer->cancel_fd, error);
    ireko_start_clear(&start);
    return vm;
}

/* The machine is started now, to go on as ORIGIN. */
static void
begin_as(Task *task, const char *origin)
{
    task->began_us = g_get_monotonic_time();
    task->origin = origin;
    set_origin(task->report, origin);
    settle(task, IREKO_STATE_STARTING, NULL);
}

/* Starts the machine as it was in the layer's snapshot. */
static IrekoVm *
restore_vm(Task *task, GError **error)
{
    const IrekoLayer *layer = task->run->layer;
    const json_t *machines = json_object_get(ireko_vault_about(layer->snapshot), "machines");
    g_autofree char *prefix = g_strconcat(task->node->name, "/", NULL);
    const IrekoClone clone = {
        .layer = layer,
        .node = task->node,
        .folder = task->folder,
        .vault = layer->snapshot,
        .prefix = prefix,
        .about = json_object_get(machines, task->node->name),
        .same = true,
        .pace = task->pace,
    };
    begin_as(task, IREKO_ORIGIN_SNAPSHOT);
    return ireko_clone_start(&clone, NULL, error);
}

/* Starts the machine as a clone of VAULT; NULL where it has to boot after all. */
static IrekoVm *
clone_vm(Task *task, const IrekoVault *vault, GError **error)
{
    const IrekoLayer *layer = task->run->layer;
    const IrekoClone clone = {
        .layer = layer,
        .node = task->node,
        .folder = task->folder,
        .vault = vault,
        .prefix = "",
        .about = json_object_get(ireko_vault_about(vault), "machine"),
        .pace = task->pace,
    };
    g_autoptr(GError) why = NULL;
    ireko_templates_enter(layer->templates);
    begin_as(task, IREKO_ORIGIN_CLONE);
    IrekoVm *vm = ireko_clone_start(&clone, &task->answer, &why);
    ireko_templates_leave(layer->templates, task->node, vm != NULL);
    task->vault = vault;
    if (vm != NULL)
        return vm;
    ireko_templates_reject(layer->templates, task->node, why);
    task->origin = NULL;
    set_origin(task->report, "boot");
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    g_autofree char *words = g_strdup_printf("booted: its template %.12s could not be used: %s",
                                             ireko_vault_name(vault), why->message);
    settle(task, IREKO_STATE_STARTING, words);
    return NULL;
}

static void
say_waiting(void *data)
{
    settle(data, IREKO_STATE_DEFINED, "waits for the template that another becomes");
}

static IrekoVm *
start_vm(Task *task, GError **error)
{
    IrekoTemplates *templates = task->run->layer->templates;
    if (!ireko_file_make_folder(task->folder, error))
        return NULL;
    if (task->run->layer->snapshot != NULL)
        return restore_vm(task, error);
    if (templates == NULL || ireko_thaw_is_needless(task->node, task->folder))
        return ireko_thaw_detach(task->node, task->folder, error) ? boot_vm(task, error) : NULL;
    const IrekoVault *vault = NULL;
    g_autofree char *words = NULL;
    task->use = ireko_templates_take(templates, task->node, say_waiting, task, &vault, &words);
    g_clear_pointer(&task->report->message, g_free);
    if (words != NULL)
        settle(task, IREKO_STATE_STARTING, words);
    GError *ended = NULL;
    IrekoVm *vm = vault != NULL ? clone_vm(task, vault, &ended) : NULL;
    if (ended != NULL)
        g_propagate_error(error, ended);
    return vm != NULL || ended != NULL ? vm : boot_vm(task, error);
}

/* What was booted and is proven, it and all inside it, is kept as a template. */
static void
keep_as_template(Task *task, IrekoVm *vm)
{
    IrekoTemplates *templates = task->run->layer->templates;
    if (task->use != IREKO_TEMPLATE_MAKE)
        return;
    unsigned inside = ireko_nodes_count(task->node->guests);
    if (vm == NULL || !ireko_report_ok(task->report) || g_hash_table_size(task->good) < inside) {
        ireko_templates_settle(templates, task->node);
        return;
    }
    settle(task, IREKO_STATE_RUNNING, "being kept as a template");
    json_t *proven = ireko_proven_keep(task->report, task->good);
    g_autofree char *words = ireko_templates_make(templates, task->node, vm, task->folder, proven);
    settle(task, IREKO_STATE_RUNNING, words);
}

/* What an earlier ireko did not come to the end of with the machine VM is put right, or (where
 * nothing is started) told: false then. One that was to become another and did not is ended. */
static bool
is_settled(Task *task, IrekoVm **vm)
{
    const IrekoLayer *layer = task->run->layer;
    bool thawing = ireko_is_thawing(task->folder);
    if (!thawing && !ireko_vm_is_freezing(*vm))
        return true;
    g_autoptr(GError) error = NULL;
    bool mended = false;
    if (layer->start && thawing) {
        mended = ireko_vm_end(*vm, ireko_patience(END_SECONDS, 1), &error);
        g_clear_pointer(vm, ireko_vm_free);
    } else if (layer->start) {
        mended = ireko_vm_unfreeze(*vm, ireko_patience(START_SECONDS, task->pace), &error);
    }
    if (mended)
        return true;
    settle(task, error != NULL ? IREKO_STATE_FAILED : IREKO_STATE_STOPPED,
           error != NULL ? error->message
           : thawing ? "is about to go on from what was saved; where no ireko is at work on the "
                       "lab any more, 'ireko up' starts it anew"
                     : "stands still while it is saved; where no ireko is at work on the lab any "
                       "more, 'ireko up' lets it go on");
    g_clear_pointer(vm, ireko_vm_free);
    return false;
}

/* As what the machine that runs was started. */
static void
recall_origin(Task *task)
{
    g_autoptr(json_t) began = ireko_began_read(task->folder);
    const char *origin = json_string_value(json_object_get(began, "origin"));
    if (origin == NULL)
        return;
    task->origin =
        g_strcmp0(origin, IREKO_ORIGIN_SNAPSHOT) == 0 ? IREKO_ORIGIN_SNAPSHOT : IREKO_ORIGIN_CLONE;
    set_origin(task->report, task->origin);
}

/* The machine's process: one that runs, or a new one. NULL where its fate is settled. */
static IrekoVm *
obtain_vm(Task *task)
{
    const IrekoLayer *layer = task->run->layer;
    g_autoptr(GError) error = NULL;
    IrekoVm *vm = ireko_vm_attach(layer->engine, task->folder, &error);
    if (vm != NULL && !is_settled(task, &vm))
        return NULL;
    if (vm != NULL) {
        recall_origin(task);
        if (layer->start && layer->level == 0)
            ireko_network_mend(layer, task->node, vm);
        settle(task, IREKO_STATE_STARTING, NULL);
        return vm;
    }
    if (!layer->start) {
        settle(task, IREKO_STATE_STOPPED, "its process is gone: 'ireko up' starts it again");
        return NULL;
    }
    g_clear_error(&error);
    vm = start_vm(task, &error);
    if (vm == NULL) {
        /* What was made for a machine that never ran is of no use to anybody. */
        (void)ireko_file_remove_tree(task->folder, NULL);
        settle(task, IREKO_STATE_FAILED, error->message);
    }
    return vm;
}

/* Whether the machine of VM has ended. A dying process closes its sockets before it is gone, so a
 * talk that broke off is a reason to look for a moment. */
static bool
has_ended(IrekoVm *vm, const GError *error)
{
    bool broke_off = g_error_matches(error, IREKO_ERROR, IREKO_ERROR_REMOTE) ||
                     g_error_matches(error, IREKO_ERROR, IREKO_ERROR_IO);
    int64_t until = g_get_monotonic_time() + (broke_off ? LAST_BREATH_US : 0);
    while (ireko_vm_is_alive(vm)) {
        if (g_get_monotonic_time() >= until)
            return false;
        g_usleep(LOOK_EVERY_US);
    }
    return true;
}

/* Why there was no hello within SECONDS, on one line. */
static char *
why_unmet(const Task *task, IrekoVm *vm, const GError *error, double seconds)
{
    const char *accel = ireko_accel_name(task->run->layer->accel);
    if (has_ended(vm, error)) {
        g_autofree char *log = ireko_vm_log_tail(task->folder);
        g_auto(GStrv) lines = g_strsplit(log, "\n", -1);
        g_autofree char *words = g_strjoinv("; ", lines);
        return g_strdup_printf("its process ended before its agent answered (%s)%s%s", accel,
                               *words != '\0' ? ": " : "", words);
    }
    if (g_error_matches(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT))
        return g_strdup_printf("its agent did not answer within %.3g s (%s)", seconds, accel);
    return g_strdup_printf("its agent cannot be talked with: %s", error->message);
}

/* Stops reading the console; its last lines are the caller's. */
static char *
end_tail(Task *task)
{
    return task->tail != NULL ? ireko_tail_stop(g_steal_pointer(&task->tail)) : NULL;
}

/* The machine came up and then did not do: its report has its last words. */
static void
fail(Task *task, const char *message)
{
    task->report->console = end_tail(task);
    settle(task, IREKO_STATE_FAILED, message);
}

/* Waits for the agent; NULL where the machine's fate is settled. */
static IrekoAgent *
meet_agent(Task *task, IrekoVm *vm, int *ret_hold)
{
    const IrekoLayer *layer = task->run->layer;
    g_autoptr(GError) error = NULL;
    unsigned seconds = task->began_us != 0 || layer->start ? HELLO_SECONDS : ASK_SECONDS;
    int fd = ireko_port_connect(layer->engine, task->folder, ret_hold, &error);
    IrekoAgent *agent =
        fd < 0 ? NULL
               : ireko_agent_hello(fd, task->node->path, ireko_patience(seconds, task->pace),
                                   layer->cancel_fd, &error);
    if (agent != NULL)
        return agent;

    g_autofree char *message =
        why_unmet(task, vm, error, ireko_patience_seconds(seconds, task->pace));
    fail(task, message);
    return NULL;
}

/* Gives the machine's cards what the lab gives them, where it is to be started, and proves it. */
static void
prove_cards(Task *task, IrekoAgent *agent)
{
    const IrekoNode *node = task->node;
    if (node->cards->len == 0)
        return;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) order = ireko_netorder_cards(node, task->run->layer->start);
    g_autoptr(json_t) answer =
        ireko_agent_network(agent, order, ireko_patience(FACTS_SECONDS, task->pace), &error);
    ireko_nest_prove_cards(task->report, node->cards, json_object_get(answer, "cards"),
                           error != NULL ? error->message : NULL);
}

/* Takes the facts from inside and proves. False where the machine's fate is settled. */
static bool
prove(Task *task, IrekoAgent *agent)
{
    const IrekoLayer *layer = task->run->layer;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) json =
        ireko_agent_facts(agent, ireko_patience(FACTS_SECONDS, task->pace), &error);
    g_autoptr(IrekoFacts) inner = json != NULL ? ireko_facts_from_json(json, &error) : NULL;
    if (inner == NULL) {
        g_prefix_error_literal(&error, "its agent told no facts: ");
        fail(task, error->message);
        return false;
    }
    ireko_nest_prove(task->report, task->node->machine, layer->facts, layer->accel, inner,
                     task->node->guests->len > 0);
    if (layer->level == 0)
        ireko_network_check(layer, task->node, task->report);
    prove_cards(task, agent);
    task->report->proven_seconds = seconds_since(task->began_us);
    if (layer->take_facts != NULL) {
        g_mutex_lock(&task->run->lock);
        layer->take_facts(layer->data, task->node, g_steal_pointer(&inner));
        g_mutex_unlock(&task->run->lock);
    }
    settle(task, IREKO_STATE_RUNNING, NULL);
    return true;
}

/* A report from inside, about machines below the task's own. */
static void
pass_on(void *data, const json_t *object)
{
    Task *task = data;
    g_autoptr(IrekoReport) report = ireko_report_from_json(object, NULL);
    g_autofree char *prefix = g_strconcat(task->node->path, "/", NULL);
    if (report == NULL || !g_str_has_prefix(report->path, prefix))
        return;
    if (task->origin != NULL) {
        set_origin(report, task->origin);
        if (task->began_us != 0 && report->ready_seconds < 0 &&
            report->state >= IREKO_STATE_PROVING)
            report->ready_seconds = seconds_since(task->began_us);
    }
    if (ireko_report_ok(report))
        (void)g_hash_table_replace(task->good, g_strdup(report->path), ireko_report_copy(report));
    else
        (void)g_hash_table_remove(task->good, report->path);
    emit(task->run, report);
}

static void
run_guests(Task *task, IrekoVm *vm, IrekoAgent *agent)
{
    const IrekoLayer *layer = task->run->layer;
    const IrekoNode *node = task->node;
    g_autoptr(GError) error = NULL;
    unsigned deepest = ireko_nodes_depth(node->guests) - node->level;
    unsigned pace = task->pace;
    for (unsigned i = 0; i < deepest; i++)
        pace = ireko_layer_pace(IREKO_ACCEL_KVM, pace, 1);
    int64_t silence_ms =
        (int64_t)(ireko_patience_seconds(START_SECONDS + HELLO_SECONDS, pace) * 1000);
    g_autoptr(json_t) spec =
        ireko_spec_to_json(node, layer->id, task->pace, layer->start && layer->snapshot == NULL);
    if (ireko_agent_run(agent, spec, silence_ms, pass_on, task, &error))
        return;
    g_autofree char *message =
        g_strdup_printf("'%s' did not run its guests: %s", node->path, error->message);
    if (has_ended(vm, error))
        fail(task, "its process ended while it ran its guests");
    hold_back(task->run, node->guests, message, NULL);
}

/* A machine with nobody inside who could tell anything. */
static void
settle_unasked(Task *task)
{
    ireko_nest_prove(task->report, task->node->machine, task->run->layer->facts,
                     task->run->layer->accel, NULL, task->node->guests->len > 0);
    if (task->run->layer->level == 0) {
        ireko_network_check(task->run->layer, task->node, task->report);
        ireko_network_listen(task->run->layer, task->node, task->report);
    }
    settle(task, IREKO_STATE_RUNNING,
           "runs the user's own system: nobody inside tells what it sees");
    hold_back(task->run, task->node->guests,
              "its host boots no built-in image, so nobody there can start it", NULL);
}

/* Asks the machine for its facts, and has it run its guests. */
static void
ask_inside(Task *task, IrekoVm *vm)
{
    const IrekoNode *node = task->node;
    task->tail = ireko_tail_start(ireko_vm_connect(vm, "console", NULL));
    IREKO_AUTOFD hold = -1;
    g_autoptr(IrekoAgent) agent = meet_agent(task, vm, &hold);
    if (agent != NULL) {
        task->report->ready_seconds = seconds_since(task->began_us);
        settle(task, IREKO_STATE_PROVING, NULL);
    }
    if (agent == NULL || !prove(task, agent)) {
        g_autofree char *message = g_strdup_printf("its host '%s' does not answer", node->path);
        hold_back(task->run, node->guests, message, NULL);
    } else if (node->guests->len > 0) {
        run_guests(task, vm, agent);
    }
    g_free(end_tail(task));
}

/* A clone whose machines have all answered is what its template was. False: ask them. */
static bool
settle_clone(Task *task)
{
    const json_t *about = ireko_vault_about(task->vault);
    const json_t *machine = json_object_get(about, "machine");
    g_autoptr(GPtrArray) reports =
        ireko_proven_recall(task->node, json_object_get(about, "proven"),
                            json_string_value(json_object_get(machine, "path")), task->answer,
                            seconds_since(task->began_us));
    for (unsigned i = 0; reports != NULL && i < reports->len; i++)
        emit(task->run, reports->pdata[i]);
    return reports != NULL;
}

static void
bring_up(Task *task)
{
    const IrekoNode *node = task->node;
    task->report->accel = g_strdup(ireko_accel_name(task->run->layer->accel));
    ireko_nest_expect_cards(task->report, node->cards, node->machine->image != NULL);
    g_autoptr(IrekoVm) vm = obtain_vm(task);
    if (vm == NULL) {
        g_autofree char *message = g_strdup_printf("its host '%s' does not run", node->path);
        hold_back(task->run, node->guests, message, NULL);
        keep_as_template(task, NULL);
        return;
    }
    if (node->machine->image == NULL)
        settle_unasked(task);
    else if (task->answer == NULL || task->run->layer->take_facts != NULL || !settle_clone(task))
        ask_inside(task, vm);
    keep_as_template(task, vm);
}

static void *
run_task(void *data)
{
    Task *task = data;
    bring_up(task);
    ireko_report_free(task->report);
    g_hash_table_unref(task->good);
    json_decref(task->answer);
    g_free(task->folder);
    g_free(task);
    return NULL;
}

void
ireko_layer_run(const IrekoLayer *layer, const GPtrArray *nodes)
{
    Run run = {.layer = layer};
    g_mutex_init(&run.lock);
    g_autoptr(IrekoCheck) cannot = ireko_nest_check_guests(layer->facts, layer->level, layer->self);
    if (cannot != NULL) {
        g_autofree char *message = g_strdup_printf(
            "held back: '%s' has no hardware assistance (%s)", layer->path, cannot->cause);
        hold_back(&run, nodes, message, cannot);
    }
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    for (unsigned i = 0; cannot == NULL && i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        Task *task = g_new0(Task, 1);
        task->run = &run;
        task->node = node;
        task->report = ireko_report_new(node->path, node->level);
        task->folder = g_build_filename(layer->folder, node->name, NULL);
        task->good = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_report);
        task->pace = ireko_layer_pace(layer->accel, layer->pace, layer->level);
        g_ptr_array_add(threads, g_thread_new("machine", run_task, task));
    }
    for (unsigned i = 0; i < threads->len; i++)
        (void)g_thread_join(threads->pdata[i]);
    g_mutex_clear(&run.lock);
}
