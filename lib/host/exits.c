/* host/exits.c - KVM's exits counted by reason, inside the kernel.
 *
 * Three tracepoints tell it all (arch/x86/kvm/trace.h):
 *
 *     kvm_exit                    the CPU came back to this KVM, from a guest or from what runs in
 * it kvm_nested_vmexit           of these: it came from a guest of the guest
 *     kvm_nested_vmexit_inject    handed inwards: the hypervisor in the guest sees the exit
 *
 * so what a guest's guest did and this KVM settled by itself is the second less the third, reason
 * by reason. An exit that an interrupt makes may be handed inwards without being one of hardware,
 * and so the third can be the greater.
 *
 * The kernel adds them up itself (histogram triggers, Documentation/trace/histogram.rst): nothing
 * is written to a buffer and nothing wakes up, so that the guest pays some hundred instructions an
 * exit and nothing else. They live in a tracing instance of their own, beside whatever else is
 * traced. An instance outlives the process that made it, and this one may be killed: a child that
 * is in no session of ours waits for our end and takes the instance away. */
#include "host/exits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"

#define TRACING       "sys/kernel/tracing"
#define HIST_MAX      ((size_t)1 << 20) /* bytes of a histogram as text */
#define EXIT_VMRUN    0x80              /* SVM */
#define EXIT_VMLAUNCH 20                /* VMX */
#define EXIT_VMRESUME 24
#define REMOVE_TRIES  100
#define REMOVE_US     10000

static const struct {
    const char *event, *trigger;
    IrekoExitColumn column;
} events[] = {
    {"kvm_exit", "hist:keys=common_pid,exit_reason:size=4096", IREKO_EXITS_ALL},
    {"kvm_nested_vmexit", "hist:keys=common_pid,exit_reason:size=4096", IREKO_EXITS_INNER},
    {"kvm_nested_vmexit_inject", "hist:keys=common_pid,exit_code:size=4096", IREKO_EXITS_REFLECTED},
};

struct IrekoExitCount {
    int instances_fd; /* the folder that holds ours */
    int instance_fd;
    char *name;
    int guard_fd; /* closed by our end: the child waits for that */
    pid_t guard;
};

/* The kernel's tracing folder, mounted where nobody did so far. */
static int
open_tracing(int root_fd, GError **error)
{
    IREKO_AUTOFD fd = openat(root_fd, TRACING, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && faccessat(fd, "events", F_OK, 0) != 0) {
        g_autofree char *here = g_strdup_printf("/proc/self/fd/%d", fd);
        if (mount("tracefs", here, "tracefs", 0, NULL) == 0) {
            ireko_fd_close(&fd);
            fd = openat(root_fd, TRACING, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
    }
    if (fd < 0 || faccessat(fd, "events", F_OK, 0) != 0) {
        ireko_error_from_errno(error, errno, "cannot look into '/" TRACING "' (root can)");
        return -1;
    }
    if (faccessat(fd, "events/kvm/kvm_exit/hist", F_OK, 0) != 0) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "the kernel of this layer has no KVM loaded, or no histograms of "
                            "events (CONFIG_HIST_TRIGGERS)");
        return -1;
    }
    return ireko_fd_steal(&fd);
}

static bool
add_trigger(int instance_fd, const char *event, const char *trigger, GError **error)
{
    g_autofree char *path = g_strdup_printf("events/kvm/%s/trigger", event);
    IREKO_AUTOFD fd = openat(instance_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && ireko_fd_write_all(fd, trigger, strlen(trigger), IREKO_NO_DEADLINE, -1, error))
        return true;
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot open '%s'", path);
    return false;
}

/* In the child: waits until the other end of PIPE is gone, then removes the instance. */
static void
guard(int pipe_fd, int instances_fd, const char *name)
{
    (void)setsid();
    char byte;
    while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR)
        continue;
    for (unsigned i = 0; i < REMOVE_TRIES; i++) {
        if (unlinkat(instances_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            break;
        (void)usleep(REMOVE_US);
    }
    _exit(0);
}

static bool
post_guard(IrekoExitCount *count, GError **error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a pipe");
        return false;
    }
    count->guard = fork();
    if (count->guard == 0) {
        (void)close(ends[1]);
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            (void)close(fd); /* whoever reads our output is not to wait for the child */
        guard(ends[0], count->instances_fd, count->name);
    }
    (void)close(ends[0]);
    count->guard_fd = ends[1];
    if (count->guard > 0)
        return true;
    ireko_error_from_errno(error, errno, "cannot start a child");
    return false;
}

void
ireko_exits_end(IrekoExitCount *count)
{
    if (count == NULL)
        return;
    ireko_fd_close(&count->instance_fd);
    if (count->name != NULL)
        (void)unlinkat(count->instances_fd, count->name, AT_REMOVEDIR);
    ireko_fd_close(&count->guard_fd);
    if (count->guard > 0)
        (void)waitpid(count->guard, NULL, 0);
    ireko_fd_close(&count->instances_fd);
    g_free(count->name);
    g_free(count);
}

IrekoExitCount *
ireko_exits_begin(int root_fd, GError **error)
{
    IREKO_AUTOFD tracing = open_tracing(root_fd, error);
    if (tracing < 0)
        return NULL;
    g_autoptr(IrekoExitCount) count = g_new0(IrekoExitCount, 1);
    count->instance_fd = count->guard_fd = -1;
    count->instances_fd = openat(tracing, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autofree char *name = g_strdup_printf("ireko-%d", (int)getpid());
    if (count->instances_fd < 0 || mkdirat(count->instances_fd, name, 0700) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a tracing instance '%s' (root can)",
                               name);
        return NULL;
    }
    count->name = g_steal_pointer(&name);
    if (!post_guard(count, error))
        return NULL;
    count->instance_fd =
        openat(count->instances_fd, count->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        if (!add_trigger(count->instance_fd, events[i].event, events[i].trigger, error))
            return NULL;
    }
    return g_steal_pointer(&count);
}

/* Whether a guest entered guests of its own: else nothing is in the two other histograms. */
static bool
are_nested(const GArray *rows)
{
    for (guint i = 0; i < rows->len; i++) {
        uint32_t reason = g_array_index(rows, IrekoExitRow, i).reason;
        if (reason == EXIT_VMRUN || reason == EXIT_VMLAUNCH || reason == EXIT_VMRESUME)
            return true;
    }
    return false;
}

GArray *
ireko_exits_read(IrekoExitCount *count, GError **error)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(IrekoExitRow));
    for (size_t i = 0; i < G_N_ELEMENTS(events) && (i == 0 || are_nested(rows)); i++) {
        g_autofree char *path = g_strdup_printf("events/kvm/%s/hist", events[i].event);
        g_autofree char *text = ireko_file_read(count->instance_fd, path, HIST_MAX, NULL, error);
        if (text == NULL || !ireko_exits_parse(text, events[i].column, rows, error))
            return NULL;
    }
    return g_steal_pointer(&rows);
}
