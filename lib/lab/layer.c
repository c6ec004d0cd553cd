/* lab/layer.c - one layer runs its machines.
 *
 * Each machine has a thread that takes it from nothing to its proof: find it or start it
 * (obtain.c), wait for its agent (its console is read meanwhile, to have last words where it does
 * not answer), take its facts, compare them with the promise, have it run its guests. A guest of a
 * guest is reported by the layer that runs it, through the agents between, as the same reports. A
 * machine that cannot be run holds its guests back; nothing else stops the others.
 *
 * Where the layer itself cannot run guests with hardware assistance, none is started: it would come
 * up all the same, in software, and prove nothing. */
#include "lab/layer.h"

#include <string.h>

#include "agent/agent.h"
#include "base/text.h"
#include "lab/clone/proven.h"
#include "lab/network/netorder.h"
#include "lab/network/network.h"
#include "lab/spec.h"
#include "lab/task.h"

#define HELLO_SECONDS 15 /* for the agent's first word, times the pace */
#define FACTS_SECONDS 10
#define ASK_SECONDS   2 /* for a machine that should be up already */

#define LAST_BREATH_US (500 * G_TIME_SPAN_MILLISECOND)
#define LOOK_EVERY_US  (5 * G_TIME_SPAN_MILLISECOND)

static void
emit(IrekoLayerRun *run, const IrekoReport *report)
{
    g_mutex_lock(&run->lock);
    run->layer->report(run->layer->data, report);
    g_mutex_unlock(&run->lock);
}

void
ireko_task_settle(IrekoTask *task, IrekoState state, const char *message)
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
    IrekoLayerRun *run;
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
hold_back(IrekoLayerRun *run, const GPtrArray *nodes, const char *message, const IrekoCheck *why)
{
    Held held = {.run = run, .message = message, .why = why};
    (void)ireko_nodes_each(nodes, report_held, &held);
}

static void
free_report(void *report)
{
    ireko_report_free(report);
}

void
ireko_report_set_origin(IrekoReport *report, const char *origin)
{
    g_free(report->origin);
    report->origin = g_strdup(origin);
}

static double
seconds_since(int64_t began_us)
{
    return began_us == 0 ? -1 : (double)(g_get_monotonic_time() - began_us) / G_USEC_PER_SEC;
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
why_unmet(const IrekoTask *task, IrekoVm *vm, const GError *error, double seconds)
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
end_tail(IrekoTask *task)
{
    return task->tail != NULL ? ireko_tail_stop(g_steal_pointer(&task->tail)) : NULL;
}

/* The machine came up and then did not do: its report has its last words. */
static void
fail(IrekoTask *task, const char *message)
{
    task->report->console = end_tail(task);
    ireko_task_settle(task, IREKO_STATE_FAILED, message);
}

/* Waits for the agent; NULL where the machine's fate is settled. */
static IrekoAgent *
meet_agent(IrekoTask *task, IrekoVm *vm, int *ret_hold)
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
prove_cards(IrekoTask *task, IrekoAgent *agent)
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
prove(IrekoTask *task, IrekoAgent *agent)
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
    ireko_task_settle(task, IREKO_STATE_RUNNING, NULL);
    return true;
}

/* A report from inside, about machines below the task's own. */
static void
pass_on(void *data, const json_t *object)
{
    IrekoTask *task = data;
    g_autoptr(IrekoReport) report = ireko_report_from_json(object, NULL);
    g_autofree char *prefix = g_strconcat(task->node->path, "/", NULL);
    if (report == NULL || !g_str_has_prefix(report->path, prefix))
        return;
    if (task->origin != NULL) {
        ireko_report_set_origin(report, task->origin);
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
run_guests(IrekoTask *task, IrekoVm *vm, IrekoAgent *agent)
{
    const IrekoLayer *layer = task->run->layer;
    const IrekoNode *node = task->node;
    g_autoptr(GError) error = NULL;
    unsigned deepest = ireko_nodes_depth(node->guests) - node->level;
    unsigned pace = task->pace;
    for (unsigned i = 0; i < deepest; i++)
        pace = ireko_layer_pace(IREKO_ACCEL_KVM, pace, 1);
    int64_t silence_ms =
        (int64_t)(ireko_patience_seconds(IREKO_START_SECONDS + HELLO_SECONDS, pace) * 1000);
    g_autoptr(json_t) spec = ireko_spec_to_json(node, layer->id, ireko_patience_inside(task->pace),
                                                layer->start && layer->snapshot == NULL);
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
settle_unasked(IrekoTask *task)
{
    ireko_nest_prove(task->report, task->node->machine, task->run->layer->facts,
                     task->run->layer->accel, NULL, task->node->guests->len > 0);
    if (task->run->layer->level == 0) {
        ireko_network_check(task->run->layer, task->node, task->report);
        ireko_network_listen(task->run->layer, task->node, task->report);
    }
    ireko_task_settle(task, IREKO_STATE_RUNNING,
                      "runs the user's own system: nobody inside tells what it sees");
    hold_back(task->run, task->node->guests,
              "its host boots no built-in image, so nobody there can start it", NULL);
}

/* Asks the machine for its facts, and has it run its guests. */
static void
ask_inside(IrekoTask *task, IrekoVm *vm)
{
    const IrekoNode *node = task->node;
    task->tail = ireko_tail_start(ireko_vm_connect(vm, "console", NULL));
    IREKO_AUTOFD hold = -1;
    g_autoptr(IrekoAgent) agent = meet_agent(task, vm, &hold);
    if (agent != NULL) {
        task->report->ready_seconds = seconds_since(task->began_us);
        ireko_task_settle(task, IREKO_STATE_PROVING, NULL);
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
settle_clone(IrekoTask *task)
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
bring_up(IrekoTask *task)
{
    const IrekoNode *node = task->node;
    task->report->accel = g_strdup(ireko_accel_name(task->run->layer->accel));
    ireko_nest_expect_cards(task->report, node->cards, node->machine->image != NULL);
    g_autoptr(IrekoVm) vm = ireko_task_obtain(task);
    if (vm == NULL) {
        g_autofree char *message = g_strdup_printf("its host '%s' does not run", node->path);
        hold_back(task->run, node->guests, message, NULL);
        ireko_task_keep(task, NULL);
        return;
    }
    if (node->machine->image == NULL)
        settle_unasked(task);
    else if (task->answer == NULL || task->run->layer->take_facts != NULL || !settle_clone(task))
        ask_inside(task, vm);
    ireko_task_keep(task, vm);
}

static void *
run_task(void *data)
{
    IrekoTask *task = data;
    bring_up(task);
    ireko_report_free(task->report);
    g_hash_table_unref(task->good);
    g_clear_pointer(&task->answer, g_ptr_array_unref);
    g_free(task->folder);
    g_free(task);
    return NULL;
}

void
ireko_layer_run(const IrekoLayer *layer, const GPtrArray *nodes)
{
    IrekoLayerRun run = {.layer = layer};
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
        IrekoTask *task = g_new0(IrekoTask, 1);
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
