/* lab/obtain.c - how a machine comes to run: found, booted, as a clone of a template, as it was in
 * a snapshot; and how one that booted becomes a template. */
#include <string.h>

#include "base/file.h"
#include "lab/clone/began.h"
#include "lab/clone/clone.h"
#include "lab/clone/freeze.h"
#include "lab/clone/proven.h"
#include "lab/clone/spare.h"
#include "lab/network/network.h"
#include "lab/task.h"

static IrekoVm *
boot_vm(IrekoTask *task, GError **error)
{
    const IrekoLayer *layer = task->run->layer;
    IrekoStart start = {0};
    ireko_began_forget(task->folder);
    if (!ireko_layer_prepare(layer, task->node, task->folder, &start, error))
        return NULL;
    ireko_start_clock(&start, layer);
    task->began_us = g_get_monotonic_time();
    ireko_task_settle(task, IREKO_STATE_STARTING, NULL);
    IrekoVm *vm =
        ireko_vm_start(layer->engine, &start.spec, task->folder,
                       ireko_patience(IREKO_START_SECONDS, task->pace), layer->cancel_fd, error);
    ireko_start_clear(&start);
    return vm;
}

/* The machine is started now, to go on as ORIGIN. */
static void
begin_as(IrekoTask *task, const char *origin)
{
    task->began_us = g_get_monotonic_time();
    task->origin = origin;
    ireko_report_set_origin(task->report, origin);
    ireko_task_settle(task, IREKO_STATE_STARTING, NULL);
}

/* Starts the machine as it was in the layer's snapshot. */
static IrekoVm *
restore_vm(IrekoTask *task, GError **error)
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

/* A clone like CLONE that was made beforehand, which is the machine now; or NULL. */
static IrekoVm *
take_spare(IrekoTask *task, const IrekoClone *clone)
{
    g_autoptr(GError) why = NULL;
    IrekoVm *vm = ireko_spare_take(clone, &task->answer, &why);
    if (why == NULL)
        return vm;
    g_autofree char *words = g_strdup_printf("its spare could not be used: %s", why->message);
    ireko_task_settle(task, IREKO_STATE_STARTING, words);
    return NULL;
}

/* Starts the machine as a clone of VAULT; NULL where it has to boot after all. */
static IrekoVm *
clone_vm(IrekoTask *task, const IrekoVault *vault, GError **error)
{
    const IrekoLayer *layer = task->run->layer;
    const IrekoClone clone = ireko_clone_of_template(layer, task->node, vault, task->folder);
    g_autoptr(GError) why = NULL;
    ireko_templates_enter(layer->templates);
    begin_as(task, IREKO_ORIGIN_CLONE);
    IrekoVm *vm = take_spare(task, &clone);
    if (vm == NULL)
        vm = ireko_clone_start(&clone, &task->answer, &why);
    ireko_templates_leave(layer->templates, task->node, vm != NULL);
    task->vault = vault;
    if (vm != NULL)
        return vm;
    ireko_templates_reject(layer->templates, task->node, why);
    task->origin = NULL;
    ireko_report_set_origin(task->report, "boot");
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_CANCELLED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return NULL;
    }
    g_autofree char *words = g_strdup_printf("booted: its template %.12s could not be used: %s",
                                             ireko_vault_name(vault), why->message);
    ireko_task_settle(task, IREKO_STATE_STARTING, words);
    return NULL;
}

static void
say_waiting(void *data)
{
    ireko_task_settle(data, IREKO_STATE_DEFINED, "waits for the template that another becomes");
}

/* OWN: what is on its disks no template has. */
static IrekoVm *
start_vm(IrekoTask *task, bool own, GError **error)
{
    IrekoTemplates *templates = task->run->layer->templates;
    if (!ireko_file_make_folder(task->folder, error))
        return NULL;
    if (task->run->layer->snapshot != NULL)
        return restore_vm(task, error);
    if (templates == NULL || own)
        return ireko_thaw_detach(task->node, task->folder, error) ? boot_vm(task, error) : NULL;
    const IrekoVault *vault = NULL;
    g_autofree char *words = NULL;
    task->use = ireko_templates_take(templates, task->node, say_waiting, task, &vault, &words);
    g_clear_pointer(&task->report->message, g_free);
    if (words != NULL)
        ireko_task_settle(task, IREKO_STATE_STARTING, words);
    GError *ended = NULL;
    IrekoVm *vm = vault != NULL ? clone_vm(task, vault, &ended) : NULL;
    if (ended != NULL)
        g_propagate_error(error, ended);
    return vm != NULL || ended != NULL ? vm : boot_vm(task, error);
}

void
ireko_task_keep(IrekoTask *task, IrekoVm *vm)
{
    IrekoTemplates *templates = task->run->layer->templates;
    if (task->use != IREKO_TEMPLATE_MAKE)
        return;
    unsigned inside = ireko_nodes_count(task->node->guests);
    if (vm == NULL || !ireko_report_ok(task->report) || g_hash_table_size(task->good) < inside) {
        ireko_templates_settle(templates, task->node);
        return;
    }
    ireko_task_settle(task, IREKO_STATE_RUNNING, "being kept as a template");
    json_t *proven = ireko_proven_keep(task->report, task->good);
    g_autofree char *words = ireko_templates_make(templates, task->node, vm, task->folder, proven);
    ireko_task_settle(task, IREKO_STATE_RUNNING, words);
}

/* What an earlier ireko did not come to the end of with the machine VM is put right, or (where
 * nothing is started) told: false then. One that was to become another and did not is ended. */
static bool
is_settled(IrekoTask *task, IrekoVm **vm)
{
    const IrekoLayer *layer = task->run->layer;
    bool thawing = ireko_is_thawing(task->folder);
    if (!thawing && !ireko_vm_is_freezing(*vm))
        return true;
    g_autoptr(GError) error = NULL;
    bool mended = false;
    if (layer->start && thawing) {
        mended = ireko_vm_end(*vm, ireko_patience(IREKO_END_SECONDS, 1), &error);
        g_clear_pointer(vm, ireko_vm_free);
    } else if (layer->start) {
        mended = ireko_vm_unfreeze(*vm, ireko_patience(IREKO_START_SECONDS, task->pace), &error);
    }
    if (mended)
        return true;
    ireko_task_settle(
        task, error != NULL ? IREKO_STATE_FAILED : IREKO_STATE_STOPPED,
        error != NULL ? error->message
        : thawing     ? "is about to go on from what was saved; where no ireko is at work on the "
                        "lab any more, 'ireko up' starts it anew"
                      : "stands still while it is saved; where no ireko is at work on the lab any "
                        "more, 'ireko up' lets it go on");
    g_clear_pointer(vm, ireko_vm_free);
    return false;
}

/* As what the machine that runs was started. */
static void
recall_origin(IrekoTask *task)
{
    g_autoptr(json_t) began = ireko_began_read(task->folder);
    const char *origin = json_string_value(json_object_get(began, "origin"));
    if (origin == NULL)
        return;
    task->origin =
        g_strcmp0(origin, IREKO_ORIGIN_SNAPSHOT) == 0 ? IREKO_ORIGIN_SNAPSHOT : IREKO_ORIGIN_CLONE;
    ireko_report_set_origin(task->report, task->origin);
}

IrekoVm *
ireko_task_obtain(IrekoTask *task)
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
        ireko_task_settle(task, IREKO_STATE_STARTING, NULL);
        return vm;
    }
    if (!layer->start) {
        ireko_task_settle(task, IREKO_STATE_STOPPED,
                          "its process is gone: 'ireko up' starts it again");
        return NULL;
    }
    g_clear_error(&error);
    g_autoptr(json_t) began = ireko_began_read(task->folder);
    bool own = ireko_thaw_is_needless(task->node, task->folder);
    bool ran = began != NULL || own;
    vm = start_vm(task, own, &error);
    if (vm == NULL) {
        /* What was made for a machine that never ran is of no use to anybody. */
        if (!ran)
            (void)ireko_file_remove_tree(task->folder, NULL);
        ireko_task_settle(task, IREKO_STATE_FAILED, error->message);
    }
    return vm;
}
