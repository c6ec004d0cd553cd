/* engine/qemu/freeze.c - a machine of QEMU's stopped at one moment, and gone on from one.
 *
 * QEMU's migration does both. Where the memory is a file that is mapped shared, the capability
 * x-ignore-shared leaves it out of the stream: what is left is some 300 KB, and the file is the
 * memory. A machine that begins with such a file maps it privately, so that it reads the same pages
 * as all the others and has of its own what it wrote.
 *
 * Such a machine's own memory is in no file any more: it goes through the stream when it is frozen
 * in its turn, and its process is the one place where all of it can be read. To be looked at only
 * it is stopped and says what its devices hold by the command that QEMU has for Xen, which keeps a
 * machine's memory itself. */
#include "engine/qemu/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "engine/process.h"

#define STATE_NAME "state" /* of the descriptor that the stream goes to */
#define LOOK_US    2000    /* between looks at a migration: it is over in some 20 ms */
#define AGAIN_US   7000    /* between two stops: no multiple of a tick, or all are the same */
#define CONT_MS    5000
#define MAPS_MAX   ((size_t)4 << 20) /* bytes of a /proc/PID/maps */

static bool
execute(
    IrekoQmp *qmp, const char *command, json_t *arguments, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) owned = arguments;
    g_autoptr(json_t) done = ireko_qmp_execute(qmp, command, owned, deadline, error);
    return done != NULL;
}

/* What a migration is to do: leave memory out that is shared with a file, tell by events. */
static bool
set_capabilities(
    IrekoQmp *qmp, bool no_shared_ram, bool events, IrekoDeadline deadline, GError **error)
{
    json_t *arguments =
        json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability", "x-ignore-shared",
                  "state", (int)no_shared_ram, "capability", "events", "state", (int)events);
    return execute(qmp, "migrate-set-capabilities", arguments, deadline, error);
}

/* ---- going on ---- */

/* Whether the incoming migration came to its end: events say so, there is nothing to poll. */
static bool
await_loaded(IrekoQmp *qmp, IrekoDeadline deadline, GError **error)
{
    for (;;) {
        g_autoptr(json_t) event = ireko_qmp_next_event(qmp, deadline, error);
        if (event == NULL)
            return false;
        const char *name = json_string_value(json_object_get(event, "event"));
        const json_t *data = json_object_get(event, "data");
        const char *status = json_string_value(json_object_get(data, "status"));
        if (g_strcmp0(name, "MIGRATION") == 0 && g_strcmp0(status, "completed") == 0)
            return true;
        if (g_strcmp0(name, "MIGRATION") == 0 && g_strcmp0(status, "failed") == 0) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                                "QEMU could not load its state");
            return false;
        }
    }
}

bool
ireko_qemu_resume(IrekoQmp *qmp, const IrekoFrozen *from, IrekoDeadline deadline, GError **error)
{
    g_autofree char *uri = g_strdup_printf("fd:%d", IREKO_PROCESS_FD_STATE);
    /* It was saved while it stood, and stands when it is loaded. */
    return set_capabilities(qmp, from->ram_fd >= 0, true, deadline, error) &&
           execute(qmp, "migrate-incoming", json_pack("{s:s}", "uri", uri), deadline, error) &&
           await_loaded(qmp, deadline, error) && execute(qmp, "cont", NULL, deadline, error);
}

/* ---- freezing ---- */

/* What QEMU says of its migration in words, or NULL where there is nothing in its way. */
static char *
blockers(const json_t *migration)
{
    const json_t *reasons = json_object_get(migration, "blocked-reasons");
    g_autoptr(GString) words = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        if (reason != NULL)
            g_string_append_printf(words, "%s%s", words->len > 0 ? "; " : "", reason);
    }
    return words->len > 0 ? ireko_text_safe(words->str, words->len) : NULL;
}

static bool
check_blockers(IrekoQmp *qmp, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) migration = ireko_qmp_execute(qmp, "query-migrate", NULL, deadline, error);
    g_autofree char *words = migration != NULL ? blockers(migration) : NULL;
    if (words != NULL)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "its state cannot be saved: %s",
                    words);
    return migration != NULL && words == NULL;
}

/* Whether the migration that was begun came to its end. */
static bool
await_saved(IrekoQmp *qmp, IrekoDeadline deadline, GError **error)
{
    for (;;) {
        g_autoptr(json_t) answer = ireko_qmp_execute(qmp, "query-migrate", NULL, deadline, error);
        if (answer == NULL)
            return false;
        const char *status = json_string_value(json_object_get(answer, "status"));
        if (g_strcmp0(status, "completed") == 0)
            return true;
        if (g_strcmp0(status, "failed") == 0 || g_strcmp0(status, "cancelled") == 0) {
            const char *why = json_string_value(json_object_get(answer, "error-desc"));
            g_autofree char *words = ireko_text_safe(why != NULL ? why : status, (size_t)-1);
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "QEMU could not save it: %s",
                        words);
            return false;
        }
        if (g_get_monotonic_time() >= deadline) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT,
                                "QEMU did not save it in time");
            return false;
        }
        g_usleep(LOOK_US);
    }
}

static bool
stop(IrekoQmp *qmp, IrekoDeadline deadline, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (execute(qmp, "stop", NULL, deadline, &why))
        return true;
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_TIMEOUT))
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT,
                    "QEMU could not stop a vCPU in time (%s). Its TCG now and then loses the "
                    "request where a guest computes without a pause; QEMU then answers nothing "
                    "more until that guest halts",
                    why->message);
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

/* What a freeze goes through. */
typedef struct {
    IrekoQmp *qmp;
    const IrekoFreeze *order;
    int devices_fd;     /* of its state where devices alone are written: open for writing alone, as
                         * QEMU wants it; else -1 */
    char *devices_path; /* the same, as QEMU calls it */
    int64_t stopped_us; /* when the machine was stopped last */
    IrekoDeadline deadline;
} Freezing;

static bool
give_devices_file(Freezing *freezing, GError **error)
{
    g_autofree char *own = g_strdup_printf("/proc/self/fd/%d", freezing->order->state_fd);
    freezing->devices_fd = open(own, O_WRONLY | O_CLOEXEC);
    if (freezing->devices_fd < 0)
        ireko_error_from_errno(error, errno, "cannot open '%s' to write", own);
    else
        freezing->devices_path =
            ireko_qmp_give_path(freezing->qmp, freezing->devices_fd, freezing->deadline, error);
    return freezing->devices_path != NULL;
}

/* Of a machine that stands still. "live" would have QEMU let go of its disks. */
static bool
write_devices(const Freezing *freezing, GError **error)
{
    if (lseek(freezing->devices_fd, 0, SEEK_SET) != 0) {
        ireko_error_from_errno(error, errno, "cannot write a state anew");
        return false;
    }
    json_t *arguments = json_pack("{s:s,s:b}", "filename", freezing->devices_path, "live", 0);
    return execute(freezing->qmp, "xen-save-devices-state", arguments, freezing->deadline, error);
}

static bool
write_state(Freezing *freezing, GError **error)
{
    IrekoQmp *qmp = freezing->qmp;
    const IrekoFreeze *order = freezing->order;
    IrekoDeadline deadline = freezing->deadline;
    freezing->stopped_us = g_get_monotonic_time();
    if (!stop(qmp, deadline, error))
        return false;
    if (order->devices)
        return write_devices(freezing, error);
    return set_capabilities(qmp, !order->with_ram, false, deadline, error) &&
           ireko_qmp_give_fd(qmp, STATE_NAME, order->state_fd, deadline, error) &&
           execute(qmp, "migrate", json_pack("{s:s}", "uri", "fd:" STATE_NAME), deadline, error) &&
           await_saved(qmp, deadline, error);
}

static bool
save(Freezing *freezing, GError **error)
{
    const IrekoFreeze *order = freezing->order;
    for (;;) {
        if (!write_state(freezing, error))
            return false;
        if (order->fits == NULL || order->fits(order->data))
            return order->still == NULL || order->still(order->data, error);
        if (g_get_monotonic_time() >= freezing->deadline) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT,
                                "its vCPUs were in the middle of a guest of theirs each time that "
                                "it was stopped");
            return false;
        }
        if (!execute(freezing->qmp, "cont", NULL, freezing->deadline, error))
            return false;
        g_usleep(AGAIN_US);
    }
}

/* Lets the machine run on, whatever became of it. */
static bool
go_on(const Freezing *freezing, bool saved, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (execute(freezing->qmp, "cont", NULL, ireko_deadline_in_ms(CONT_MS), &why)) {
        if (freezing->order->ret_still_us != NULL)
            *freezing->order->ret_still_us = g_get_monotonic_time() - freezing->stopped_us;
        return saved;
    }
    if (saved)
        g_propagate_prefixed_error(error, g_steal_pointer(&why),
                                   "it stands still since it was saved: ");
    return false;
}

bool
ireko_qemu_freeze(int control_fd, const IrekoFreeze *freeze, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    if (qmp == NULL || !check_blockers(qmp, deadline, error))
        return false;
    Freezing freezing = {.qmp = qmp, .order = freeze, .devices_fd = -1, .deadline = deadline};
    bool done = false;
    if (!freeze->devices || give_devices_file(&freezing, error)) {
        bool saved = save(&freezing, error);
        done = saved && freeze->end ? true : go_on(&freezing, saved, error);
    }
    ireko_fd_close(&freezing.devices_fd);
    g_free(freezing.devices_path);
    return done;
}

bool
ireko_qemu_check_freeze(int control_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    return qmp != NULL && check_blockers(qmp, deadline, error);
}

bool
ireko_qemu_halt(int control_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    return qmp != NULL && stop(qmp, deadline, error);
}

/* A migration that goes on when nobody waits for it any more is ended first: until then QEMU
 * refuses to go on. */
bool
ireko_qemu_unfreeze(int control_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    for (;;) {
        g_autoptr(json_t) answer =
            qmp != NULL ? ireko_qmp_execute(qmp, "query-status", NULL, deadline, error) : NULL;
        if (answer == NULL)
            return false;
        if (json_is_true(json_object_get(answer, "running")))
            return true;
        (void)execute(qmp, "migrate_cancel", NULL, deadline, NULL);
        g_autoptr(GError) why = NULL;
        if (execute(qmp, "cont", NULL, deadline, &why))
            continue;
        if (g_get_monotonic_time() >= deadline) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        g_usleep(LOOK_US);
    }
}

/* ---- memory ---- */

/* Where in a /proc/PID/maps the file FILE is mapped, and how: 's' or 'p'; 0 where it is not. */
static char
find_mapping(const char *maps, const struct stat *file, uint64_t *ret_start)
{
    for (const char *line = maps; line != NULL && *line != '\0';) {
        uint64_t start = 0, end = 0, offset = 0, inode = 0;
        unsigned major = 0, minor = 0;
        char mode[5] = "";
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64, &start, &end,
                   mode, &offset, &major, &minor, &inode) == 7 &&
            inode == file->st_ino && offset == 0 && makedev(major, minor) == file->st_dev) {
            *ret_start = start;
            return mode[3];
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

static int
open_of(pid_t number, const char *name, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)number, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot read the memory of the machine ('%s')", path);
    return fd;
}

/* Where the process NUMBER has the file RAM mapped, and how ('s', 'p'); 0 with an error. */
static char
mapped_at(pid_t number, const char *ram, uint64_t *ret_start, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/maps", (int)number);
    g_autofree char *maps = ireko_file_read(AT_FDCWD, path, MAPS_MAX, NULL, error);
    struct stat file;
    if (maps == NULL)
        return 0;
    bool there = stat(ram, &file) == 0;
    if (!there && errno != ENOENT) {
        ireko_error_from_errno(error, errno, "cannot look at '%s'", ram);
        return 0;
    }
    char mode = there ? find_mapping(maps, &file, ret_start) : 0;
    if (mode == 0)
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "its memory is in no file that can be read: it was started by an older "
                            "ireko, or inside a layer");
    return mode;
}

bool
ireko_qemu_open_ram(pid_t number, IrekoRamFiles *ret_files, GError **error)
{
    g_autofree char *name = g_strdup_printf("fd/%d", IREKO_PROCESS_FD_RAM);
    g_autofree char *ram = g_strdup_printf("/proc/%d/%s", (int)number, name);
    uint64_t start = 0;
    char mode = mapped_at(number, ram, &start, error);
    IREKO_AUTOFD file = mode != 0 ? open_of(number, name, error) : -1;
    if (file < 0)
        return false;
    bool own = mode != 's';
    IREKO_AUTOFD process = own ? open_of(number, "mem", error) : -1;
    IREKO_AUTOFD pages = own && process >= 0 ? open_of(number, "pagemap", error) : -1;
    if (own && pages < 0)
        return false;
    ret_files->path = own ? g_strdup_printf("/proc/%d/mem", (int)number) : g_steal_pointer(&ram);
    ret_files->base = own ? start : 0;
    ret_files->file_fd = ireko_fd_steal(&file);
    ret_files->process_fd = ireko_fd_steal(&process);
    ret_files->pages_fd = ireko_fd_steal(&pages);
    return true;
}
