/* engine/engine.c - starts, finds and ends machines; the one caller of the engines' tables. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/ops.h"
#include "engine/process.h"

#define MIB           ((off_t)1 << 20)
#define FREEZING      "freezing"
#define UNFREEZE_MS   5000
#define LAST_WORDS_MS 2000  /* from the end of a control channel to the end of its process */
#define KILL_MS       20000 /* a killed process of many gigabytes takes its time */

struct IrekoVm {
    const IrekoEngine *engine;
    IrekoProcess *process;
    int dir_fd;
};

void
ireko_drive_free(IrekoDrive *drive)
{
    if (drive == NULL)
        return;
    g_free(drive->path);
    g_free(drive->base);
    g_free(drive);
}

void
ireko_vm_free(IrekoVm *vm)
{
    if (vm == NULL)
        return;
    ireko_process_free(vm->process);
    ireko_fd_close(&vm->dir_fd);
    g_free(vm);
}

bool
ireko_engine_probe(const IrekoEngine *engine, char **ret_version, GError **error)
{
    g_autofree char *version = NULL;
    if (!engine->probe(&version, error))
        return false;
    g_assert(version != NULL);
    if (ret_version != NULL)
        *ret_version = g_steal_pointer(&version);
    return true;
}

char *
ireko_engine_identity(const IrekoEngine *engine)
{
    return engine->identity();
}

bool
ireko_engine_boots_images(const IrekoEngine *engine)
{
    return engine->boots_images;
}

static void
assert_spec(const IrekoSpec *spec)
{
    g_assert(spec->machine != NULL && spec->id != NULL && spec->drives != NULL);
    g_assert(spec->boot == NULL || (spec->boot->kernel != NULL && spec->boot->root != NULL));
}

char **
ireko_engine_plan(const IrekoEngine *engine, const IrekoSpec *spec, GError **error)
{
    assert_spec(spec);
    char **argv = engine->plan(spec, error);
    g_assert(argv == NULL || argv[0] != NULL);
    return argv;
}

static int
open_folder(const char *dir, GError **error)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot open the machine's folder '%s'", dir);
    return fd;
}

/* Ends PROCESS for good. */
static bool
kill_and_wait(const IrekoProcess *process, GError **error)
{
    if (!ireko_process_signal(process, SIGKILL, error))
        return false;
    if (ireko_process_wait(process, ireko_deadline_in_ms(KILL_MS), error))
        return true;
    g_prefix_error_literal(error, "the machine's process was killed and is still there: ");
    return false;
}

/* The error of a machine whose process ended by itself; SEEN is what was noticed first. */
static void
explain_death(const IrekoEngine *engine, int dir_fd, const GError *seen, GError **error)
{
    g_autofree char *words = ireko_process_log_tail(dir_fd);
    if (*words == '\0')
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                    "the machine's process ended without a word (%s)", seen->message);
    else if (engine->explain != NULL)
        engine->explain(words, error);
    else
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE, words);
}

/* Waits until the machine runs. A control channel that ends is the process's own end: what it wrote
 * then says more than the channel. */
static bool
await_running(
    const IrekoVm *vm, const IrekoSpec *spec, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    g_autoptr(GError) seen = NULL;
    int control_fd = ireko_fd_connect_at(vm->dir_fd, "qmp", &seen);
    if (control_fd >= 0 && vm->engine->await(control_fd, spec, deadline, cancel_fd, &seen))
        return true;
    if (!g_error_matches(seen, IREKO_ERROR, IREKO_ERROR_CANCELLED) &&
        !g_error_matches(seen, IREKO_ERROR, IREKO_ERROR_TIMEOUT) &&
        ireko_process_wait(vm->process, ireko_deadline_in_ms(LAST_WORDS_MS), NULL))
        explain_death(vm->engine, vm->dir_fd, seen, error);
    else
        g_propagate_error(error, g_steal_pointer(&seen));
    return false;
}

static IrekoVm *
vm_new(const IrekoEngine *engine, IrekoProcess *process, int dir_fd)
{
    IrekoVm *vm = g_new0(IrekoVm, 1);
    vm->engine = engine;
    vm->process = process;
    vm->dir_fd = dir_fd;
    return vm;
}

/* Starts ARGV in the folder DIR_FD, which is claimed by LOCK_FD; owns both. */
static IrekoVm *
launch(const IrekoEngine *engine,
       char **argv,
       const char *dir,
       int dir_fd,
       int lock_fd,
       const IrekoProcessGift *gift,
       GError **error)
{
    GError *seen = NULL;
    IrekoProcess *process = ireko_process_start(argv, dir, dir_fd, lock_fd, gift, &seen);
    if (process != NULL)
        return vm_new(engine, process, dir_fd);

    if (g_error_matches(seen, IREKO_ERROR, IREKO_ERROR_REMOTE))
        explain_death(engine, dir_fd, seen, error);
    else
        g_propagate_error(error, g_steal_pointer(&seen));
    g_clear_error(&seen);
    ireko_process_tidy(dir_fd);
    ireko_fd_close(&dir_fd);
    return NULL;
}

/* Memory of the machine's size that belongs to no folder: it goes with the process. */
static int
make_ram(const IrekoSpec *spec, GError **error)
{
    IREKO_AUTOFD fd = memfd_create("ireko-ram", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)spec->machine->memory_mib * MIB) == 0)
        return ireko_fd_steal(&fd);
    ireko_error_from_errno(error, errno, "cannot make %u MiB of memory", spec->machine->memory_mib);
    return -1;
}

IrekoVm *
ireko_vm_start(const IrekoEngine *engine,
               const IrekoSpec *spec,
               const char *dir,
               IrekoDeadline deadline,
               int cancel_fd,
               GError **error)
{
    g_auto(GStrv) argv = ireko_engine_plan(engine, spec, error);
    if (argv == NULL)
        return NULL;
    IREKO_AUTOFD dir_fd = open_folder(dir, error);
    IREKO_AUTOFD lock_fd = dir_fd < 0 ? -1 : ireko_process_claim(dir_fd, error);
    if (lock_fd < 0)
        return NULL;
    if (engine->prepare != NULL && !engine->prepare(spec, dir_fd, error)) {
        ireko_fd_close(&lock_fd);
        ireko_process_tidy(dir_fd);
        return NULL;
    }

    IREKO_AUTOFD made_fd = -1;
    IrekoProcessGift gift = {.ram_fd = spec->from != NULL ? spec->from->ram_fd : -1,
                             .state_fd = spec->from != NULL ? spec->from->state_fd : -1,
                             .link_fds = spec->cards != NULL ? spec->link_fds : NULL};
    if (gift.ram_fd < 0 && spec->open_ram)
        gift.ram_fd = made_fd = make_ram(spec, error);
    if (gift.ram_fd < 0 && spec->open_ram)
        return NULL;
    g_autoptr(IrekoVm) vm =
        launch(engine, argv, dir, ireko_fd_steal(&dir_fd), ireko_fd_steal(&lock_fd), &gift, error);
    if (vm == NULL)
        return NULL;
    if (spec->ret_agent_fd != NULL)
        *spec->ret_agent_fd = ireko_vm_connect(vm, "agent.0", NULL);
    if (await_running(vm, spec, deadline, cancel_fd, error))
        return g_steal_pointer(&vm);
    (void)kill_and_wait(vm->process, NULL);
    ireko_process_tidy(vm->dir_fd);
    return NULL;
}

IrekoVm *
ireko_vm_attach(const IrekoEngine *engine, const char *dir, GError **error)
{
    IREKO_AUTOFD dir_fd = open_folder(dir, error);
    if (dir_fd < 0)
        return NULL;
    IrekoProcess *process = ireko_process_attach(dir_fd, error);
    return process == NULL ? NULL : vm_new(engine, process, ireko_fd_steal(&dir_fd));
}

bool
ireko_vm_is_alive(IrekoVm *vm)
{
    return ireko_process_is_alive(vm->process);
}

static bool
is_channel(const char *name)
{
    if (strcmp(name, "console") == 0)
        return true;
    return g_str_has_prefix(name, "agent.") && strlen(name) == strlen("agent.0") &&
           name[6] >= '0' && name[6] < '0' + IREKO_ENGINE_AGENT_PORTS;
}

int
ireko_vm_connect(IrekoVm *vm, const char *channel, GError **error)
{
    if (!is_channel(channel)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "a machine has no channel '%s': console, agent.0 to agent.%d", channel,
                    IREKO_ENGINE_AGENT_PORTS - 1);
        return -1;
    }
    if (!ireko_process_is_alive(vm->process)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE, "the machine does not run");
        return -1;
    }
    return ireko_fd_connect_at(vm->dir_fd, channel, error);
}

bool
ireko_vm_press_power(IrekoVm *vm, GError **error)
{
    if (!ireko_process_is_alive(vm->process)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE, "the machine does not run");
        return false;
    }
    return vm->engine->press_power(vm->process, vm->dir_fd, error);
}

void
ireko_ram_files_clear(IrekoRamFiles *files)
{
    g_clear_pointer(&files->path, g_free);
    ireko_fd_close(&files->file_fd);
    ireko_fd_close(&files->process_fd);
    ireko_fd_close(&files->pages_fd);
}

bool
ireko_vm_open_ram(IrekoVm *vm, IrekoRamFiles *ret_files, GError **error)
{
    if (!ireko_process_is_alive(vm->process)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE, "the machine does not run");
        return false;
    }
    if (vm->engine->open_ram != NULL)
        return vm->engine->open_ram(ireko_process_number(vm->process), ret_files, error);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "the engine '%s' shows no memory",
                vm->engine->name);
    return false;
}

/* The control channel of a machine that its engine can save; -1 with an error. */
static int
connect_to_freeze(IrekoVm *vm, GError **error)
{
    if (vm->engine->freeze != NULL)
        return ireko_fd_connect_at(vm->dir_fd, "qmp", error);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "the engine '%s' saves no machine",
                vm->engine->name);
    return -1;
}

bool
ireko_vm_freeze(IrekoVm *vm, const IrekoFreeze *freeze, IrekoDeadline deadline, GError **error)
{
    IREKO_AUTOFD mark_fd =
        openat(vm->dir_fd, FREEZING, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int control_fd = mark_fd >= 0 ? connect_to_freeze(vm, error) : -1;
    if (mark_fd < 0)
        ireko_error_from_errno(error, errno, "cannot make the file '" FREEZING "' of the machine");
    bool frozen = control_fd >= 0 && vm->engine->freeze(control_fd, freeze, deadline, error);
    if (frozen)
        (void)unlinkat(vm->dir_fd, FREEZING, 0);
    else if (mark_fd >= 0)
        (void)ireko_vm_unfreeze(vm, ireko_deadline_in_ms(UNFREEZE_MS), NULL);
    return frozen;
}

bool
ireko_vm_is_freezing(IrekoVm *vm)
{
    return faccessat(vm->dir_fd, FREEZING, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool
ireko_vm_check_freeze(IrekoVm *vm, IrekoDeadline deadline, GError **error)
{
    int control_fd = connect_to_freeze(vm, error);
    return control_fd >= 0 && vm->engine->check_freeze(control_fd, deadline, error);
}

bool
ireko_vm_halt(IrekoVm *vm, IrekoDeadline deadline, GError **error)
{
    int control_fd = connect_to_freeze(vm, error);
    return control_fd >= 0 && vm->engine->halt(control_fd, deadline, error);
}

bool
ireko_vm_unfreeze(IrekoVm *vm, IrekoDeadline deadline, GError **error)
{
    int control_fd = connect_to_freeze(vm, error);
    bool runs = control_fd >= 0 && vm->engine->unfreeze(control_fd, deadline, error);
    if (runs)
        (void)unlinkat(vm->dir_fd, FREEZING, 0);
    return runs;
}

bool
ireko_vm_relink(IrekoVm *vm, unsigned index, int link_fd, IrekoDeadline deadline, GError **error)
{
    int control_fd = ireko_fd_connect_at(vm->dir_fd, "qmp", error);
    return control_fd >= 0 && vm->engine->relink(control_fd, index, link_fd, deadline, error);
}

GHashTable *
ireko_vm_count(IrekoVm *vm, IrekoDeadline deadline, GError **error)
{
    if (vm->engine->count == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "the engine '%s' counts nothing",
                    vm->engine->name);
        return NULL;
    }
    int control_fd = ireko_fd_connect_at(vm->dir_fd, "qmp", error);
    return control_fd >= 0 ? vm->engine->count(control_fd, deadline, error) : NULL;
}

GArray *
ireko_vm_registers(IrekoVm *vm, IrekoDeadline deadline, GError **error)
{
    if (vm->engine->registers == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "the engine '%s' shows no register", vm->engine->name);
        return NULL;
    }
    int control_fd = ireko_fd_connect_at(vm->dir_fd, "qmp", error);
    return control_fd >= 0 ? vm->engine->registers(control_fd, deadline, error) : NULL;
}

/* SIGTERM needs nobody else to be away from the control socket, and QEMU flushes on it. */
bool
ireko_vm_end(IrekoVm *vm, IrekoDeadline deadline, GError **error)
{
    if (!ireko_process_signal(vm->process, SIGTERM, error))
        return false;
    if (!ireko_process_wait(vm->process, deadline, NULL) && !kill_and_wait(vm->process, error))
        return false;
    ireko_process_tidy(vm->dir_fd);
    return true;
}

char *
ireko_vm_log_tail(const char *dir)
{
    IREKO_AUTOFD dir_fd = open_folder(dir, NULL);
    return dir_fd < 0 ? g_strdup("") : ireko_process_log_tail(dir_fd);
}
