/* lab/inside.c - the machines of a layer are asked for their checks, and they ask theirs.
 *
 * Each machine is asked on a thread: its agent checks the layer that it is with the code that
 * checks this one, says so at once, and asks the machines inside in the same way. What these say
 * comes out through it, one by one, so that a layer that hangs keeps nothing back but itself.
 * Whoever asks gives a layer a share of the time that it has left itself, so that a layer far
 * inside which does not answer is named by the one that asked it before that one's own time is
 * over.
 *
 * Clocks of layers are not compared, and any layer may be held up for longer than what the shares
 * leave for the way back. So each says first whom it asks: a layer that was asked, and of which
 * nothing came, is named by the next one out whose time is over. */
#include "lab/inside.h"

#include <string.h>

#include <ireko/report.h>

#include "agent/agent.h"
#include "base/text.h"
#include "lab/layer.h"

#define SHARE_NUMERATOR   3 /* of the time that a layer has left, for the layers inside it */
#define SHARE_DENOMINATOR 4
#define LAYERS_MAX        ((unsigned)256) /* that one machine may tell of */

typedef struct {
    const IrekoInside *inside;
    char *name, *path;
    GHashTable *asked; /* paths of those that it asks and has not told of */
    unsigned count;    /* of what it told */
    bool itself;       /* it told of itself */
} Task;

static void
say_silent(const Task *task, const char *message)
{
    task->inside->take(task->inside->data, ireko_inner_silent(task->path, message));
}

/* Names whom the machine asked and told nothing of. */
static void
say_unanswered(const Task *task, const char *why)
{
    g_autofree char *message =
        g_strdup_printf("nothing came of it through '%s': %s", task->path, why);
    GHashTableIter each;
    g_hash_table_iter_init(&each, task->asked);
    for (void *path = NULL; g_hash_table_iter_next(&each, &path, NULL);)
        task->inside->take(task->inside->data, ireko_inner_silent(path, message));
}

/* Keeps in mind that the layer INNER is asked, or told of. */
static void
note_asked(Task *task, const IrekoInner *inner)
{
    if (inner->asked)
        (void)g_hash_table_add(task->asked, g_strdup(inner->path));
    else
        (void)g_hash_table_remove(task->asked, inner->path);
}

/* Takes a layer that the machine tells of: itself, or one inside it. */
static void
take_layer(void *data, const json_t *object)
{
    Task *task = data;
    g_autoptr(IrekoInner) inner =
        task->count++ < 2 * LAYERS_MAX ? ireko_inner_from_json(object, NULL) : NULL;
    g_autofree char *inner_prefix = g_strconcat(task->path, "/", NULL);
    bool itself = inner != NULL && strcmp(inner->path, task->path) == 0;
    if (inner == NULL || (itself && (task->itself || inner->asked)) ||
        (!itself && !g_str_has_prefix(inner->path, inner_prefix)))
        return;
    task->itself |= itself;
    note_asked(task, inner);
    task->inside->take(task->inside->data, g_steal_pointer(&inner));
}

static bool
ask(Task *task, GError **error)
{
    const IrekoInside *inside = task->inside;
    g_autofree char *folder = g_build_filename(inside->folder, task->name, NULL);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(inside->engine, folder, &hold, error);
    g_autoptr(IrekoAgent) agent =
        fd >= 0 ? ireko_agent_hello(fd, task->path, inside->until, inside->cancel_fd, error) : NULL;
    int64_t left_ms = MAX(inside->until - g_get_monotonic_time(), 0) / G_TIME_SPAN_MILLISECOND;
    int64_t share_ms = left_ms * SHARE_NUMERATOR / SHARE_DENOMINATOR;
    return agent != NULL &&
           ireko_agent_check(agent, share_ms, inside->until, take_layer, task, error);
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
    say_unanswered(task, error != NULL ? error->message : "its agent tells nothing of it");
    g_hash_table_unref(task->asked);
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
        task->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        inside->take(inside->data, ireko_inner_asked(task->path));
        g_ptr_array_add(threads, g_thread_new("ask", run_task, task));
    }
    for (unsigned i = 0; i < threads->len; i++)
        (void)g_thread_join(threads->pdata[i]);
}
