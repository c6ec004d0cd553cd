/* engine/fake/fake.c - an engine whose machine is a small program: for tests of what is above
 * engines.
 *
 * The program is the one that IREKO_FAKE_GUEST names. It is started, found, reached and ended as
 * QEMU is; on its control socket it says "ready" and a line end when its machine runs. It answers
 * "freeze" ("freeze-all": with its memory) with its state, a line of JSON that one like it goes on
 * from, and stands still until it hears "go", which it answers with {}; "look" with a state that
 * nobody keeps. SIGUSR1 is its power
 * button. It is told what it stands for by its arguments, and boots no image. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/jsonl.h"
#include "engine/ops.h"

#define PROGRAM_VAR "IREKO_FAKE_GUEST"

static const char *
find_program(GError **error)
{
    const char *named = g_getenv(PROGRAM_VAR);
    if (named != NULL && access(named, X_OK) == 0)
        return named;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "the fake engine needs the program that " PROGRAM_VAR " names: '%s'",
                named != NULL ? named : "");
    return NULL;
}

static bool
probe(char **ret_version, GError **error)
{
    if (find_program(error) == NULL)
        return false;
    *ret_version = g_strdup("fake");
    return true;
}

static char *
identity(void)
{
    return g_strdup(g_getenv(PROGRAM_VAR));
}

/* PROGRAM --id ID --vmx FILE --accel kvm|tcg --hv none|svm|vmx [--kernel FILE --append TEXT] and
 * --disk DEVICE PATH for each. */
static char **
plan(const IrekoSpec *spec, GError **error)
{
    static const char *const hvs[] = {
        [IREKO_HV_NONE] = "none",
        [IREKO_HV_SVM] = "svm",
        [IREKO_HV_VMX] = "vmx",
    };
    const char *program = find_program(error);
    if (program == NULL)
        return NULL;
    g_autoptr(GStrvBuilder) argv = g_strv_builder_new();
    IrekoHv hv = spec->machine->vhv ? spec->offer : IREKO_HV_NONE;
    const char *accel = spec->kvm ? "kvm" : "tcg";
    g_strv_builder_add_many(argv, program, "--id", spec->id, "--vmx", spec->machine->file, NULL);
    g_strv_builder_add_many(argv, "--accel", accel, "--hv", hvs[hv], NULL);
    if (spec->boot != NULL)
        g_strv_builder_add_many(argv, "--kernel", spec->boot->kernel, NULL);
    if (spec->boot != NULL && spec->boot->cmdline != NULL)
        g_strv_builder_add_many(argv, "--append", spec->boot->cmdline, NULL);
    if (spec->from != NULL)
        g_strv_builder_add(argv, "--from");
    for (unsigned i = 0; i < spec->drives->len; i++) {
        const IrekoDrive *drive = g_ptr_array_index(spec->drives, i);
        g_strv_builder_add_many(argv, "--disk", drive->disk->device, drive->path, NULL);
    }
    return g_strv_builder_end(argv);
}

static bool
hear_ready(int fd, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    static const char ready[] = "ready\n";
    for (size_t have = 0; have < strlen(ready); have++) {
        char c = 0;
        if (!ireko_fd_wait(fd, POLLIN, deadline, cancel_fd, error))
            return false;
        if (read(fd, &c, 1) != 1 || c != ready[have]) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                                "the fake guest did not say that it is ready");
            return false;
        }
    }
    return true;
}

/* A line "link N" after "ready", its end with the descriptor. */
static bool
relink(int control_fd, unsigned index, int link_fd, IrekoDeadline deadline, GError **error)
{
    IREKO_AUTOFD fd = control_fd;
    g_autofree char *line = g_strdup_printf("link %u", index);
    return hear_ready(fd, deadline, -1, error) &&
           ireko_fd_write_all(fd, line, strlen(line), deadline, -1, error) &&
           ireko_fd_pass(fd, link_fd, deadline, -1, error);
}

static bool
await(int control_fd, const IrekoSpec *spec, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    (void)spec;
    IREKO_AUTOFD fd = control_fd;
    return hear_ready(fd, deadline, cancel_fd, error);
}

/* Says REQUEST, a line, on CHANNEL; the answer, or NULL. */
static json_t *
ask(IrekoJsonl *channel, const char *request, IrekoDeadline deadline, GError **error)
{
    return ireko_fd_write_all(ireko_jsonl_fd(channel), request, strlen(request), deadline, -1,
                              error)
               ? ireko_jsonl_receive(channel, deadline, error)
               : NULL;
}

/* The channel of the control socket FD, which it owns, when the guest has said that it is ready. */
static IrekoJsonl *
open_channel(int fd, IrekoDeadline deadline, GError **error)
{
    IREKO_AUTOFD owned = fd;
    return hear_ready(owned, deadline, -1, error) ? ireko_jsonl_new(ireko_fd_steal(&owned), -1)
                                                  : NULL;
}

/* What the guest answers to REQUEST, where it can be frozen. */
static json_t *
ask_state(IrekoJsonl *channel, const char *request, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) state = ask(channel, request, deadline, error);
    const char *blocked = json_string_value(json_object_get(state, "blocked"));
    if (blocked == NULL)
        return g_steal_pointer(&state);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "its state cannot be saved: %s",
                blocked);
    return NULL;
}

static bool
keep(const json_t *state, const IrekoFreeze *order, IrekoDeadline deadline, GError **error)
{
    char *text = json_dumps(state, JSON_COMPACT);
    bool written = ireko_fd_write_all(order->state_fd, text, strlen(text), deadline, -1, error);
    free(text);
    if (written && order->fits != NULL && !order->fits(order->data))
        return keep(state, order, deadline, error);
    return written && (order->still == NULL || order->still(order->data, error));
}

static bool
freeze(int control_fd, const IrekoFreeze *order, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoJsonl) channel = open_channel(control_fd, deadline, error);
    g_autoptr(json_t) state =
        channel == NULL
            ? NULL
            : ask_state(channel, order->with_ram ? "freeze-all\n" : "freeze\n", deadline, error);
    if (state == NULL)
        return false;
    bool kept = keep(state, order, deadline, error);
    if (kept && order->end)
        return true;
    g_autoptr(json_t) gone = ask(channel, "go\n", deadline, kept ? error : NULL);
    return kept && gone != NULL;
}

/* Whether the guest does what REQUEST says; what it answers is nobody's. */
static bool
obeys(int control_fd, const char *request, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoJsonl) channel = open_channel(control_fd, deadline, error);
    g_autoptr(json_t) state = channel != NULL ? ask_state(channel, request, deadline, error) : NULL;
    return state != NULL;
}

static bool
check_freeze(int control_fd, IrekoDeadline deadline, GError **error)
{
    return obeys(control_fd, "look\n", deadline, error);
}

static bool
halt(int control_fd, IrekoDeadline deadline, GError **error)
{
    return obeys(control_fd, "freeze\n", deadline, error);
}

static bool
unfreeze(int control_fd, IrekoDeadline deadline, GError **error)
{
    return obeys(control_fd, "go\n", deadline, error);
}

/* Its memory is the file that it was given. A clone may not write to that, and has pages of its
 * own: they are nowhere, but it says so. */
static bool
open_ram(pid_t number, IrekoRamFiles *ret_files, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", (int)number, IREKO_PROCESS_FD_RAM);
    struct stat link;
    bool own = lstat(path, &link) == 0 && (link.st_mode & S_IWUSR) != 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "its memory is in no file that can be read");
        return false;
    }
    *ret_files = (IrekoRamFiles){.path = g_steal_pointer(&path),
                                 .file_fd = fd,
                                 .process_fd = own ? -1 : dup(fd),
                                 .pages_fd = -1};
    return true;
}

static bool
press_power(const IrekoProcess *process, int dir_fd, GError **error)
{
    (void)dir_fd;
    return ireko_process_signal(process, SIGUSR1, error);
}

const IrekoEngine ireko_engine_fake = {
    .name = "fake",
    .probe = probe,
    .identity = identity,
    .plan = plan,
    .await = await,
    .relink = relink,
    .freeze = freeze,
    .check_freeze = check_freeze,
    .halt = halt,
    .unfreeze = unfreeze,
    .open_ram = open_ram,
    .press_power = press_power,
};
