/* lab/reach.c - a machine at any depth reached by its path: its agent, its console, its end. */
#include "lab/reach.h"

#include <string.h>
#include <unistd.h>

#include <ireko/lab.h>

#include "agent/agent.h"
#include "base/text.h"
#include "lab/clone/began.h"
#include "lab/clone/freeze.h"
#include "lab/end.h"
#include "lab/layer.h"
#include "lab/record.h"

#define REACH_SECONDS 20 /* for the whole way, times the pace of a first layer under TCG */
#define REACH_PACE    6

#define STOP_SECONDS 30 /* for a machine to shut down, times its pace */

/* The way to a machine. */
typedef struct {
    char *folder;   /* of the outermost machine */
    GStrv segments; /* of the path */
    IrekoAgent *agent;
    int hold;
} Way;

static void
way_clear(Way *way)
{
    g_free(way->folder);
    g_strfreev(way->segments);
    ireko_agent_free(way->agent);
    ireko_fd_close(&way->hold);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Way, way_clear)

static bool
not_running(const char *path, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "no machine '%s' runs here: 'ireko ps' lists those that do", path);
    return false;
}

/* Finds the outermost machine of the path among the labs (LAB NULL: whichever has one). */
static bool
find_folder(const IrekoHome *home, const char *lab, const char *path, Way *way, GError **error)
{
    g_auto(GStrv) names = ireko_lab_names(home);
    const char *found = NULL;
    for (size_t i = 0; names[i] != NULL; i++) {
        g_auto(GStrv) alive = ireko_record_alive(home, names[i]);
        if ((lab != NULL && strcmp(lab, names[i]) != 0) ||
            !g_strv_contains((const char *const *)alive, way->segments[0]))
            continue;
        if (found != NULL) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "'%s' runs in the labs '%s' and '%s': say '%s:%s'", way->segments[0], found,
                        names[i], found, path);
            return false;
        }
        found = names[i];
        g_free(way->folder);
        way->folder = g_build_filename(home->run, found, way->segments[0], NULL);
    }
    return found != NULL || not_running(path, error);
}

static bool
way_begin(const IrekoHome *home, const char *where, Way *way, GError **error)
{
    const char *colon = strchr(where, ':');
    g_autofree char *lab = colon != NULL ? g_strndup(where, (size_t)(colon - where)) : NULL;
    const char *path = colon != NULL ? colon + 1 : where;
    way->segments = g_strsplit(path, "/", IREKO_PATH_DEPTH_MAX + 1);
    for (size_t i = 0; i == 0 || way->segments[i] != NULL; i++) {
        if (way->segments[i] == NULL || !ireko_text_is_name(way->segments[i])) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                        "'%s' is not a path: write the machines' names from the outside in, as in "
                        "esxi01/esxi02/linux",
                        where);
            return false;
        }
    }
    return find_folder(home, lab, path, way, error);
}

/* Goes to the agent of the machine COUNT segments deep. */
static bool
way_go(Way *way, unsigned count, int cancel_fd, GError **error)
{
    IrekoDeadline deadline = ireko_patience(REACH_SECONDS, REACH_PACE);
    int fd = ireko_port_connect(ireko_engine_chosen(), way->folder, &way->hold, error);
    if (fd < 0)
        return false;
    g_autoptr(GString) path = g_string_new(way->segments[0]);
    way->agent = ireko_agent_hello(fd, path->str, deadline, cancel_fd, error);
    for (unsigned i = 1; way->agent != NULL && i < count; i++) {
        g_string_append_printf(path, "/%s", way->segments[i]);
        way->agent = ireko_agent_relay(g_steal_pointer(&way->agent), way->segments[i], path->str,
                                       deadline, error);
    }
    if (way->agent == NULL)
        g_prefix_error(error, "%s: ", path->str);
    return way->agent != NULL;
}

int
ireko_lab_exec(const IrekoHome *home,
               const char *path,
               const char *const *argv,
               const int fds[3],
               int cancel_fd,
               GError **error)
{
    g_auto(Way) way = {.hold = -1};
    if (!way_begin(home, path, &way, error) ||
        !way_go(&way, g_strv_length(way.segments), cancel_fd, error))
        return -1;
    return ireko_agent_exec(way.agent, argv, fds, error);
}

IrekoFacts *
ireko_reach_facts(const IrekoHome *home, const char *where, int cancel_fd, GError **error)
{
    g_auto(Way) way = {.hold = -1};
    if (!way_begin(home, where, &way, error) ||
        !way_go(&way, g_strv_length(way.segments), cancel_fd, error))
        return NULL;
    g_autoptr(json_t) facts =
        ireko_agent_facts(way.agent, ireko_patience(REACH_SECONDS, REACH_PACE), error);
    return facts != NULL ? ireko_facts_from_json(facts, error) : NULL;
}

int
ireko_lab_console(const IrekoHome *home, const char *path, int cancel_fd, GError **error)
{
    g_auto(Way) way = {.hold = -1};
    if (!way_begin(home, path, &way, error))
        return -1;
    unsigned depth = g_strv_length(way.segments);
    if (depth == 1) {
        g_autoptr(IrekoVm) vm = ireko_vm_attach(ireko_engine_chosen(), way.folder, error);
        return vm != NULL ? ireko_vm_connect(vm, "console", error) : -1;
    }
    if (!way_go(&way, depth - 1, cancel_fd, error))
        return -1;
    int fd = ireko_agent_console(g_steal_pointer(&way.agent), way.segments[depth - 1],
                                 ireko_patience(REACH_SECONDS, REACH_PACE), error);
    if (fd >= 0)
        (void)ireko_fd_steal(&way.hold); /* held as long as this process lives, like the console */
    return fd;
}

/* What it takes to end the machine that LAB keeps, DEPTH deep, in good order. */
static IrekoEnding
ending_of(const IrekoLab *lab, unsigned depth, int cancel_fd)
{
    const IrekoNode *node = lab->nodes->pdata[0];
    IrekoAccel accel = g_strcmp0(lab->accel, "kvm") == 0 ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    unsigned pace = ireko_layer_pace(accel, 1, 0);
    for (unsigned level = 1; level < depth; level++) {
        pace = ireko_layer_pace(IREKO_ACCEL_KVM, pace, level);
        node = node->guests->pdata[0];
    }
    return (IrekoEnding){.path = node->path,
                         .by_power = node->machine->image == NULL,
                         .until = ireko_patience(STOP_SECONDS, pace),
                         .cancel_fd = cancel_fd};
}

bool
ireko_lab_stop(const IrekoHome *home, const char *path, const IrekoLabRun *run, GError **error)
{
    g_autoptr(IrekoLab) lab = ireko_lab_of_machine(home, path, error);
    IREKO_AUTOFD lock = lab != NULL ? ireko_record_lock(home, lab->name, error) : -1;
    if (lock < 0)
        return false;
    g_auto(Way) way = {.hold = -1};
    const char *colon = strchr(path, ':');
    g_autofree char *where = g_strdup_printf("%s:%s", lab->name, colon != NULL ? colon + 1 : path);
    if (!way_begin(home, where, &way, error))
        return false;
    unsigned depth = g_strv_length(way.segments);
    const IrekoEnding ending = ending_of(lab, depth, run->cancel_fd);
    /* in use by us too: its disks are put down as its own when it has ended */
    IREKO_AUTOFD held = depth == 1 ? ireko_began_hold(way.folder) : -1;
    if (depth == 1)
        return ireko_machine_end(way.folder, &ending, error) &&
               ireko_thaw_detach(lab->nodes->pdata[0], way.folder, error);
    int64_t wait_ms = (ending.until - g_get_monotonic_time()) / 1000;
    return way_go(&way, depth - 1, run->cancel_fd, error) &&
           ireko_agent_end(way.agent, way.segments[depth - 1], wait_ms, error);
}
