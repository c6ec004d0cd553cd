/* engine/qemu/qemu.c - QEMU as an engine: which one is there, its files, its control channel, and
 * what its last words mean. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "engine/ops.h"
#include "engine/qemu/argv.h"
#include "engine/qemu/count.h"
#include "engine/qemu/freeze.h"
#include "engine/qemu/nics.h"
#include "qmp/qmp.h"

#define PROGRAM      "qemu-system-x86_64"
#define PROGRAM_VAR  "IREKO_QEMU" /* names another binary */
#define PACKAGE      "qemu-system-x86"
#define FLOOR_MAJOR  7 /* Debian 12's: the oldest that ireko is tried with */
#define FLOOR_MINOR  2
#define EFI_VARS_MAX ((size_t)4 << 20)
#define POWER_MS     5000
#define POLL_US      10000

const char *
ireko_qemu_program(void)
{
    const char *named = g_getenv(PROGRAM_VAR);
    return named != NULL && *named != '\0' ? named : PROGRAM;
}

/* ---- probing ---- */

/* "QEMU emulator version 7.2.22 (Debian ...)" */
static bool
read_version(const char *text, char **ret_version, GError **error)
{
    static const char lead[] = "QEMU emulator version ";
    unsigned major = 0, minor = 0;
    const char *at = strstr(text, lead);
    if (at == NULL || sscanf(at + strlen(lead), "%5u.%5u", &major, &minor) != 2) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "'%s --version' does not answer as QEMU does: apt install " PACKAGE,
                    ireko_qemu_program());
        return false;
    }
    const char *number = at + strlen(lead);
    g_autofree char *version = g_strndup(number, strspn(number, "0123456789."));
    if (major < FLOOR_MAJOR || (major == FLOOR_MAJOR && minor < FLOOR_MINOR)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "QEMU %s is too old, ireko needs %d.%d or newer: apt install " PACKAGE, version,
                    FLOOR_MAJOR, FLOOR_MINOR);
        return false;
    }
    *ret_version = g_steal_pointer(&version);
    return true;
}

static bool
probe(char **ret_version, GError **error)
{
    g_autofree char *path = g_find_program_in_path(ireko_qemu_program());
    if (path == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "there is no '%s' in PATH: apt install " PACKAGE, ireko_qemu_program());
        return false;
    }
    char version_flag[] = "--version";
    char *argv[] = {path, version_flag, NULL};
    g_autofree char *out = NULL;
    g_autoptr(GError) why = NULL;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL, NULL,
                      &why)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_IO, "cannot ask QEMU's version: %s",
                    why->message);
        return false;
    }
    return read_version(out, ret_version, error);
}

static char *
identity(void)
{
    g_autofree char *path = g_find_program_in_path(ireko_qemu_program());
    return path != NULL ? ireko_file_identity(path) : NULL;
}

/* ---- planning ---- */

/* OVMF's code and the variables that go with it, the larger flash first as Debian does. */
static const struct {
    const char *code, *vars;
} firmware[] = {
    {IREKO_QEMU_OVMF_CODE, IREKO_QEMU_OVMF_VARS},
    {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
};

/* Index of the firmware that is here, or -1. */
static int
find_firmware(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(firmware); i++) {
        if (access(firmware[i].code, R_OK) == 0 && access(firmware[i].vars, R_OK) == 0)
            return (int)i;
    }
    return -1;
}

static char **
plan(const IrekoSpec *spec, GError **error)
{
    int i = ireko_qemu_wants_efi(spec) ? find_firmware() : -1;
    IrekoQemuHost host = {.program = ireko_qemu_program(),
                          .efi_code = i < 0 ? NULL : firmware[i].code};
    return ireko_qemu_argv(spec, &host, error);
}

static bool
write_file(int dir_fd, const char *name, int flags, const void *data, size_t len, GError **error)
{
    IREKO_AUTOFD fd =
        openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0 && errno == EEXIST)
        return true;
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot make the file '%s' of the machine", name);
        return false;
    }
    if (ireko_fd_write_all(fd, data, len, IREKO_NO_DEADLINE, -1, error))
        return true;
    (void)unlinkat(dir_fd, name, 0); /* half a file is none */
    g_prefix_error(error, "file '%s' of the machine: ", name);
    return false;
}

/* A machine keeps its EFI variables from one run to the next. */
static bool
prepare_efi(int dir_fd, GError **error)
{
    int i = find_firmware();
    size_t len = 0;
    g_autofree char *vars =
        i < 0 ? NULL : ireko_file_read(AT_FDCWD, firmware[i].vars, EFI_VARS_MAX, &len, error);
    return vars != NULL && write_file(dir_fd, IREKO_QEMU_EFI_VARS, O_EXCL, vars, len, error);
}

static bool
prepare(const IrekoSpec *spec, int dir_fd, GError **error)
{
    if (ireko_qemu_wants_efi(spec) && !prepare_efi(dir_fd, error))
        return false;
    const char *password = spec->machine->vnc ? spec->machine->vnc_password : NULL;
    return password == NULL ||
           write_file(dir_fd, IREKO_QEMU_VNC_SECRET, O_TRUNC, password, strlen(password), error);
}

/* ---- the control channel ---- */

static bool
await(int control_fd, const IrekoSpec *spec, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, cancel_fd, deadline, error);
    if (qmp == NULL)
        return false;
    if (spec->from != NULL)
        return ireko_qemu_resume(qmp, spec->from, deadline, error);
    for (;;) {
        g_autoptr(json_t) answer = ireko_qmp_execute(qmp, "query-status", NULL, deadline, error);
        if (answer == NULL)
            return false;
        const char *status = json_string_value(json_object_get(answer, "status"));
        if (g_strcmp0(status, "running") == 0)
            return true;
        if (g_strcmp0(status, "prelaunch") != 0) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                        "QEMU started and the machine does not run: %s",
                        status != NULL ? status : "no status");
            return false;
        }
        g_usleep(POLL_US);
    }
}

static bool
press_power(const IrekoProcess *process, int dir_fd, GError **error)
{
    (void)process;
    IrekoDeadline deadline = ireko_deadline_in_ms(POWER_MS);
    int fd = ireko_fd_connect_at(dir_fd, "qmp", error);
    g_autoptr(IrekoQmp) qmp = fd < 0 ? NULL : ireko_qmp_open(fd, -1, deadline, error);
    g_autoptr(json_t) done =
        qmp == NULL ? NULL : ireko_qmp_execute(qmp, "system_powerdown", NULL, deadline, error);
    return done != NULL;
}

/* ---- last words ---- */

/* QEMU repeats the option that it stumbled over, JSON and all; people want what is behind it. */
static const char *
without_option(const char *line)
{
    const char *at = line;
    if (g_str_has_prefix(at, "qemu") && strstr(at, ": ") != NULL)
        at = strstr(at, ": ") + 2;
    if (*at != '-')
        return at;
    const char *behind_json = strstr(at, "}: ");
    const char *behind = behind_json != NULL ? behind_json + 1 : strstr(at, ": ");
    return behind != NULL ? behind + 2 : at;
}

/* What QEMU said, without its warnings. */
static char *
essence_of(const char *words)
{
    g_auto(GStrv) lines = g_strsplit(words, "\n", -1);
    g_autoptr(GString) out = g_string_new(NULL);
    for (char **line = lines; *line != NULL; line++) {
        if (**line != '\0' && strstr(*line, "warning: ") == NULL)
            g_string_append_printf(out, "%s%s", out->len > 0 ? "; " : "", without_option(*line));
    }
    return g_strdup(out->len > 0 ? out->str : words);
}

static void
explain(const char *words, GError **error)
{
    static const struct {
        const char *part; /* of QEMU's words */
        IrekoError code;
        const char *meaning;
    } rows[] = {
        {"\"write\" lock", IREKO_ERROR_STATE,
         "a disk is used by another machine: end that one first"},
        {"Could not access KVM", IREKO_ERROR_UNSUPPORTED,
         "/dev/kvm cannot be used: --accel tcg does without it"},
        {"failed to initialize kvm", IREKO_ERROR_UNSUPPORTED,
         "/dev/kvm cannot be used: --accel tcg does without it"},
        {"Cannot allocate memory", IREKO_ERROR_TOO_LARGE,
         "not enough memory: lower memsize or end other machines"},
        {"cannot set up guest memory", IREKO_ERROR_TOO_LARGE,
         "not enough memory: lower memsize or end other machines"},
        {"No space left", IREKO_ERROR_IO, "the disk of this host is full"},
        {"corrupt", IREKO_ERROR_SYNTAX, "a disk image is damaged: qemu-img check tells more"},
        {"Unsupported qcow", IREKO_ERROR_SYNTAX, "a disk image is damaged or of another format"},
        {"not in", IREKO_ERROR_SYNTAX, "a disk image is damaged or of another format"},
        {"nvalid", IREKO_ERROR_SYNTAX, "a disk image is damaged or of another format"},
        {"No such file", IREKO_ERROR_NOT_FOUND, "a file of the machine is missing"},
        {"Permission denied", IREKO_ERROR_IO, "a file of the machine may not be used"},
    };
    g_autofree char *essence = essence_of(words);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (strstr(essence, rows[i].part) == NULL)
            continue;
        g_set_error(error, IREKO_ERROR, rows[i].code, "%s (%s)", rows[i].meaning, essence);
        return;
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "QEMU ended: %s", essence);
}

const IrekoEngine ireko_engine_qemu = {
    .name = "qemu",
    .boots_images = true,
    .probe = probe,
    .identity = identity,
    .plan = plan,
    .prepare = prepare,
    .await = await,
    .freeze = ireko_qemu_freeze,
    .check_freeze = ireko_qemu_check_freeze,
    .halt = ireko_qemu_halt,
    .unfreeze = ireko_qemu_unfreeze,
    .open_ram = ireko_qemu_open_ram,
    .relink = ireko_qemu_relink,
    .count = ireko_qemu_count,
    .registers = ireko_qemu_registers,
    .press_power = press_power,
    .explain = explain,
};
