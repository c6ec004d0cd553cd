/* lab/inside.c - the machines of a layer are asked for their checks, and they ask theirs.
 *
 * Each machine is asked on a thread: its agent checks the layer that it is with the code that
 * checks this one, says so at once, and asks the machines inside in the same way. What these say
 * comes out through it, one by one, so that a layer that hangs keeps nothing back but itself.
 * Whoever asks gives a layer less time than it has itself, so that a layer far inside which does
 * not answer is named by the one that asked it before that one's own time is over. */
#include "lab/inside.h"

#include <string.h>

#include <ireko/report.h>

#include "agent/agent.h"
#include "base/text.h"
#include "lab/layer.h"

#define SHARE_NUMERATOR   3 /* of a layer's time, for the layers inside it */
#define SHARE_DENOMINATOR 4
#define LAYERS_MAX        256 /* that one machine may tell of */

typedef struct {
    const IrekoInside *inside;
    char *name, *path;
    unsigned count; /* of what it told */
    bool itself;    /* it told of itself */
} Task;

static void
say_silent(const Task *task, const char *message)
{
    task->inside->take(task->inside->data, ireko_inner_silent(task->path, message));
}

/* Takes a layer that the machine tells of: itself, or one inside it. */
static void
take_layer(void *data, const json_t *object)
{
    Task *task = data;
    g_autoptr(IrekoInner) inner =
        task->count++ < LAYERS_MAX ? ireko_inner_from_json(object, NULL) : NULL;
    g_autofree char *inner_prefix = g_strconcat(task->path, "/", NULL);
    bool itself = inner != NULL && strcmp(inner->path, task->path) == 0;
    if (inner == NULL || (itself && task->itself) ||
        (!itself && !g_str_has_prefix(inner->path, inner_prefix)))
        return;
    task->itself |= itself;
    task->inside->take(task->inside->data, g_steal_pointer(&inner));
}

static bool
ask(Task *task, GError **error)
{
    const IrekoInside *inside = task->inside;
    IrekoDeadline deadline = ireko_deadline_in_ms(inside->within_ms);
    g_autofree char *folder = g_build_filename(inside->folder, task->name, NULL);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(inside->engine, folder, &hold, error);
    g_autoptr(IrekoAgent) agent =
        fd >= 0 ? ireko_agent_hello(fd, task->path, deadline, inside->cancel_fd, error) : NULL;
    int64_t share_ms = inside->within_ms * SHARE_NUMERATOR / SHARE_DENOMINATOR;
    return agent != NULL && ireko_agent_check(agent, share_ms, deadline, take_layer, task, error);
}

static void *
run_task(void *data)
{
    Task *task = data;
    const IrekoInside *inside = task->inside;
    g_autoptr(GError) error = NULL;
    if (inside->has_agent != NULL && !inside->has_agent(inside->data, task->name)) {
        say_silent(task, "it runs the user's own system: nobody inside tells");
    } else if (!ask(task, &error) && !task->itself) {
        say_silent(task, error->message);
    } else if (!task->itself) {
        say_silent(task, "its agent tells nothing of itself");
    }
    g_free(task->name);
    g_free(task->path);
    g_free(task);
    return NULL;
}

char **
ireko_inside_alive(const IrekoEngine *engine, const char *folder)
{
    g_autoptr(GPtrArray) alive = g_ptr_array_new();
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *machine = g_build_filename(folder, entry, NULL);
        g_autoptr(IrekoVm) vm =
            ireko_text_is_name(entry) ? ireko_vm_attach(engine, machine, NULL) : NULL;
        if (vm != NULL)
            g_ptr_array_add(alive, g_strdup(entry));
    }
    g_ptr_array_add(alive, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&alive), FALSE);
}

void
ireko_inside_ask(const IrekoInside *inside)
{
    g_auto(GStrv) names = ireko_inside_alive(inside->engine, inside->folder);
    g_autoptr(GPtrArray) threads = g_ptr_array_new();
    for (size_t i = 0; names[i] != NULL; i++) {
        Task *task = g_new0(Task, 1);
        task->inside = inside;
        task->name = g_strdup(names[i]);
        task->path = *inside->path != '\0' ? g_strconcat(inside->path, "/", names[i], NULL)
                                           : g_strdup(names[i]);
        g_ptr_array_add(threads, g_thread_new("ask", run_task, task));
    }
    for (unsigned i = 0; i < threads->len; i++)
        (void)g_thread_join(threads->pdata[i]);
}
