/* Every engine keeps the same promises: each test below runs with QEMU and with the fake engine.
 * The machine has 32 MB, no disk and nothing to boot; QEMU sits in its firmware. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/file.h"
#include "engine/engine.h"

#define LONG_MS 30000 /* a slow host must not fail */

typedef struct {
    const char *name;
    const IrekoEngine *engine;
    const char *program_var; /* names the engine's program */
} Engine;

static const Engine engines[] = {
    {"qemu", &ireko_engine_qemu, "IREKO_QEMU"},
    {"fake", &ireko_engine_fake, "IREKO_FAKE_GUEST"},
};

typedef struct {
    const Engine *row;
    const IrekoEngine *engine;
    char *dir;
    char *before; /* the engine's program as the environment had it */
    IrekoMachine *machine;
    IrekoSpec spec;
} Fixture;

static const char small_vmx[] = "memsize = \"32\"\nnumvcpus = \"1\"\nsvga.present = \"FALSE\"\n";

static IrekoMachine *
machine_of(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    IrekoMachine *machine = ireko_machine_from_vmx(doc, "/lab/small.vmx", &error);
    g_assert_no_error(error);
    return machine;
}

static void
set_up(Fixture *f, const void *data)
{
    f->row = data;
    f->engine = f->row->engine;
    f->before = g_strdup(g_getenv(f->row->program_var));
    f->dir = g_dir_make_tmp("ireko-test-XXXXXX", NULL);
    f->machine = machine_of(small_vmx);
    f->spec = (IrekoSpec){
        .machine = f->machine,
        .id = "test/small",
        .drives = g_ptr_array_new(),
        .drop_root = getuid() == 0,
    };
}

static void
tear_down(Fixture *f, const void *data)
{
    (void)data;
    if (f->before != NULL)
        g_setenv(f->row->program_var, f->before, TRUE);
    else
        g_unsetenv(f->row->program_var);
    g_assert_true(ireko_file_remove_tree(f->dir, NULL));
    ireko_machine_free(f->machine);
    g_ptr_array_unref(f->spec.drives);
    g_free(f->before);
    g_free(f->dir);
}

static bool
is_missing(const Fixture *f)
{
    g_autoptr(GError) error = NULL;
    if (ireko_engine_probe(f->engine, NULL, &error))
        return false;
    g_test_skip(error->message);
    return true;
}

static IrekoVm *
start(Fixture *f, GError **error)
{
    return ireko_vm_start(f->engine, &f->spec, f->dir, ireko_deadline_in_ms(LONG_MS), -1, error);
}

static IrekoVm *
start_well(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    IrekoVm *vm = start(f, &error);
    g_assert_no_error(error);
    g_assert_nonnull(vm);
    return vm;
}

static void
end_well(IrekoVm *vm)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_vm_end(vm, ireko_deadline_in_ms(LONG_MS), &error));
    g_assert_no_error(error);
}

/* Makes the engine's program a script. */
static void
become_script(Fixture *f, const char *text)
{
    g_autofree char *path = g_build_filename(f->dir, "program", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_no_errno(g_chmod(path, 0755));
    g_setenv(f->row->program_var, path, TRUE);
}

/* The first number of the pid file. */
static pid_t
pid_in(const Fixture *f)
{
    g_autofree char *path = g_build_filename(f->dir, "pid", NULL);
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, 4096, NULL, NULL);
    g_assert_nonnull(text);
    return (pid_t)g_ascii_strtoull(text, NULL, 10);
}

static bool
has(const Fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* A machine that is gone leaves its log, so that one can read what it said. */
static void
assert_nothing_left(const Fixture *f)
{
    static const char *const names[] = {"pid",     "qmp",     "console", "agent.0",   "agent.1",
                                        "agent.2", "agent.3", "vnc",     "vnc.secret"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_cmpstr(has(f, names[i]) ? names[i] : NULL, ==, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_vm_attach(f->engine, f->dir, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
wait_until_gone(IrekoVm *vm)
{
    for (int i = 0; i < LONG_MS / 5 && ireko_vm_is_alive(vm); i++)
        g_usleep(5000);
    g_assert_false(ireko_vm_is_alive(vm));
}

/* ---- the promises ---- */

static void
test_lives_until_it_is_ended(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    g_autoptr(IrekoVm) vm = start_well(f);
    g_assert_true(ireko_vm_is_alive(vm));
    g_assert_true(has(f, "pid") && has(f, "qmp") && has(f, "console") && has(f, "agent.3"));
    end_well(vm);
    g_assert_false(ireko_vm_is_alive(vm));
    assert_nothing_left(f);
    end_well(vm); /* once more does no harm */
}

static void
test_is_found_again(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    IrekoVm *first = start_well(f);
    ireko_vm_free(first); /* as if that ireko had ended */

    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVm) vm = ireko_vm_attach(f->engine, f->dir, &error);
    g_assert_no_error(error);
    g_assert_true(ireko_vm_is_alive(vm));
    IREKO_AUTOFD console = ireko_vm_connect(vm, "console", &error);
    g_assert_no_error(error);
    g_assert_cmpint(console, >=, 0);
    g_assert_cmpint(ireko_vm_connect(vm, "agent.4", &error), ==, -1);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_cmpint(ireko_vm_connect(vm, "../qmp", &error), ==, -1);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    end_well(vm);
    assert_nothing_left(f);
}

static void
test_is_not_started_twice(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    g_autoptr(IrekoVm) vm = start_well(f);
    g_autoptr(GError) error = NULL;
    g_assert_null(start(f, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_assert_true(ireko_vm_is_alive(vm));
    g_assert_true(has(f, "qmp") && has(f, "pid"));
    end_well(vm);
}

static void
test_leaves_no_child(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    g_autoptr(IrekoVm) vm = start_well(f);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    pid_t pid = pid_in(f);
    g_assert_cmpint(getsid(pid), ==, pid); /* Ctrl-C is for ireko alone */
    end_well(vm);
}

static void
test_killed_from_outside_is_gone(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    g_autoptr(IrekoVm) vm = start_well(f);
    g_assert_no_errno(kill(pid_in(f), SIGKILL));
    wait_until_gone(vm);

    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_vm_attach(f->engine, f->dir, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_cmpint(ireko_vm_connect(vm, "console", &error), ==, -1);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_clear_error(&error);
    g_assert_false(ireko_vm_press_power(vm, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);

    g_assert_true(has(f, "qmp"));             /* stale sockets ... */
    g_autoptr(IrekoVm) again = start_well(f); /* ... disturb no new start */
    g_assert_true(ireko_vm_is_alive(again));
    end_well(vm); /* the old handle is the old machine: it may not end the new one */
    g_assert_true(ireko_vm_is_alive(again));
    g_assert_true(has(f, "qmp") && has(f, "pid"));
    end_well(again);
    assert_nothing_left(f);
}

static void
test_foreign_numbers_are_not_signalled(Fixture *f, const void *data)
{
    (void)data;
    g_autofree char *path = g_build_filename(f->dir, "pid", NULL);
    g_autofree char *mine = ireko_file_read(AT_FDCWD, "/proc/self/stat", 4096, NULL, NULL);
    g_assert_true(g_file_set_contents(path, mine, -1, NULL)); /* names a live process; no lock */
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_vm_attach(f->engine, f->dir, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
test_deaf_to_sigterm_is_killed(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    g_autoptr(IrekoVm) vm = start_well(f);
    g_assert_no_errno(kill(pid_in(f), SIGSTOP));
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_vm_end(vm, ireko_deadline_in_ms(50), &error));
    g_assert_no_error(error);
    assert_nothing_left(f);
}

static void
test_cancelled_start_leaves_nothing(Fixture *f, const void *data)
{
    (void)data;
    become_script(f, "#!/bin/sh\nexec sleep 1000\n");
    int cancel[2];
    g_assert_no_errno(pipe(cancel));
    g_assert_cmpint(write(cancel[1], "x", 1), ==, 1);
    g_autoptr(GError) error = NULL;
    IrekoVm *vm = ireko_vm_start(f->engine, &f->spec, f->dir, IREKO_NO_DEADLINE, cancel[0], &error);
    g_assert_null(vm);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_CANCELLED);
    assert_nothing_left(f);
    (void)close(cancel[0]);
    (void)close(cancel[1]);
}

static void
test_start_has_a_deadline(Fixture *f, const void *data)
{
    (void)data;
    become_script(f, "#!/bin/sh\nexec sleep 1000\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(
        ireko_vm_start(f->engine, &f->spec, f->dir, ireko_deadline_in_ms(30), -1, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT);
    assert_nothing_left(f);
}

static void
test_last_words_are_repeated(Fixture *f, const void *data)
{
    (void)data;
    static const struct {
        const char *script;
        const char *says;
    } rows[] = {
        {"#!/bin/sh\necho no luck today >&2\nexit 1\n", "no luck today"},
        {"#!/bin/sh\nprintf 'a\\033[2Jb\\n' >&2\nexit 1\n", "a\\x1b[2Jb"},
        {"#!/bin/sh\nsleep 0.05; echo late words >&2\nexit 1\n", "late words"},
        {"#!/bin/sh\nexit 1\n", "without a word"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        become_script(f, rows[i].script);
        g_autoptr(GError) error = NULL;
        g_assert_null(start(f, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
        g_assert_nonnull(strstr(error->message, rows[i].says));
        assert_nothing_left(f);
    }
}

static void
test_no_program_is_said_so(Fixture *f, const void *data)
{
    (void)data;
    g_setenv(f->row->program_var, "/nowhere/program", TRUE);
    g_autoptr(GError) error = NULL;
    g_assert_false(ireko_engine_probe(f->engine, NULL, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(start(f, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "/nowhere/program"));
    assert_nothing_left(f);
}

static void
test_no_folder_is_said_so(Fixture *f, const void *data)
{
    (void)data;
    g_autofree char *dir = g_build_filename(f->dir, "nowhere", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_vm_attach(f->engine, dir, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_autofree char *tail = ireko_vm_log_tail(dir);
    g_assert_cmpstr(tail, ==, "");
}

static void
test_long_paths_and_strange_names_work(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    g_autofree char *deep = g_strnfill(200, 'd');
    g_autofree char *dir = g_build_filename(f->dir, deep, "a,b = \"c\" %s", NULL);
    g_assert_true(ireko_file_make_folder(dir, NULL));
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVm) vm =
        ireko_vm_start(f->engine, &f->spec, dir, ireko_deadline_in_ms(LONG_MS), -1, &error);
    g_assert_no_error(error);
    IREKO_AUTOFD console = ireko_vm_connect(vm, "console", &error);
    g_assert_no_error(error);
    end_well(vm);
}

/* Open files of the starter are nothing to the machine. */
static void
test_inherits_only_what_it_needs(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    int stray = fcntl(STDERR_FILENO, F_DUPFD, 40); /* not close-on-exec */
    g_autoptr(IrekoVm) vm = start_well(f);
    g_autofree char *fd_40 = g_strdup_printf("/proc/%d/fd/%d", (int)pid_in(f), stray);
    g_autofree char *link = g_file_read_link(fd_40, NULL);
    g_autofree char *mine = g_strdup_printf("/proc/self/fd/%d", stray);
    g_autofree char *stray_link = g_file_read_link(mine, NULL);
    g_assert_cmpstr(link, !=, stray_link);
    (void)close(stray);
    end_well(vm);
}

/* ---- one engine's own ---- */

static void
test_fake_console_echoes(Fixture *f, const void *data)
{
    (void)data;
    g_autoptr(IrekoVm) vm = start_well(f);
    g_autoptr(GError) error = NULL;
    IREKO_AUTOFD console = ireko_vm_connect(vm, "console", &error);
    g_assert_no_error(error);
    g_assert_cmpint(write(console, "hello", 5), ==, 5);
    char heard[6] = "";
    for (ssize_t have = 0; have < 5;) {
        g_assert_true(ireko_fd_wait(console, POLLIN, ireko_deadline_in_ms(LONG_MS), -1, &error));
        have += read(console, heard + have, (size_t)(5 - have));
    }
    g_assert_cmpstr(heard, ==, "hello");
    g_assert_true(ireko_vm_press_power(vm, &error));
    g_assert_no_error(error);
    wait_until_gone(vm);
    end_well(vm);
    assert_nothing_left(f);
}

static void
test_qemu_gives_up_root(Fixture *f, const void *data)
{
    (void)data;
    if (is_missing(f))
        return;
    if (getuid() != 0) {
        g_test_skip("not root");
        return;
    }
    g_autoptr(IrekoVm) vm = start_well(f);
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid_in(f));
    g_autofree char *status = ireko_file_read(AT_FDCWD, path, 65536, NULL, NULL);
    g_assert_nonnull(strstr(status, "\nUid:\t65534\t65534\t65534\t65534\n"));
    g_assert_nonnull(strstr(status, "\nGid:\t65534\t65534\t65534\t65534\n"));
    g_assert_nonnull(strstr(status, "\nNoNewPrivs:\t1\n"));
    g_assert_nonnull(strstr(status, "\nSeccomp:\t2\n")); /* -sandbox: a filter */
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_vm_press_power(vm, &error));
    g_assert_no_error(error);
    end_well(vm);
}

static void
test_qemu_version_has_a_floor(Fixture *f, const void *data)
{
    (void)data;
    static const struct {
        const char *answer;
        int code; /* -1: fine */
        const char *says;
    } rows[] = {
        {"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg)", -1, "7.2.22"},
        {"QEMU emulator version 10.0.2", -1, "10.0.2"},
        {"QEMU emulator version 7.1.0", IREKO_ERROR_UNSUPPORTED, "7.2 or newer: apt install"},
        {"QEMU emulator version 6.9", IREKO_ERROR_UNSUPPORTED, "6.9 is too old"},
        {"QEMU emulator version new", IREKO_ERROR_UNSUPPORTED, "apt install qemu-system-x86"},
        {"", IREKO_ERROR_UNSUPPORTED, "apt install qemu-system-x86"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *script = g_strdup_printf("#!/bin/sh\necho '%s'\n", rows[i].answer);
        become_script(f, script);
        g_autoptr(GError) error = NULL;
        g_autofree char *version = NULL;
        g_assert_cmpint(ireko_engine_probe(f->engine, &version, &error), ==, rows[i].code < 0);
        if (rows[i].code < 0) {
            g_assert_cmpstr(version, ==, rows[i].says);
            continue;
        }
        g_assert_error(error, IREKO_ERROR, rows[i].code);
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

/* What QEMU 7.2 wrote, and what ireko makes of it. */
static void
test_qemu_words_are_made_helpful(Fixture *f, const void *data)
{
    (void)data;
    static const struct {
        const char *words;
        int code;
        const char *says;
    } rows[] = {
        {"qemu-system-x86_64: -device {\"driver\":\"scsi-hd\"}: Failed to get \"write\" lock\nIs "
         "another "
         "process using the image [/lab/a.vmdk]?",
         IREKO_ERROR_STATE,
         "used by another machine: end that one first (Failed to get \"write\" lock; Is another "
         "process "
         "using the image [/lab/a.vmdk]?)"},
        {"qemu-system-x86_64: -blockdev {\"driver\":\"qcow2\",\"node-name\":\"a\"}: Image not in "
         "qcow2 "
         "format",
         IREKO_ERROR_SYNTAX, "of another format (Image not in qcow2 format)"},
        {"Could not access KVM kernel module: Permission denied\nqemu-system-x86_64: -accel kvm: "
         "failed "
         "to initialize kvm: Permission denied",
         IREKO_ERROR_UNSUPPORTED, "--accel tcg"},
        {"qemu-system-x86_64: cannot set up guest memory ram: Cannot allocate memory",
         IREKO_ERROR_TOO_LARGE, "lower memsize"},
        {"qemu-system-x86_64: -blockdev {\"driver\":\"raw\"}: Could not open /lab/a: No such file "
         "or "
         "directory",
         IREKO_ERROR_NOT_FOUND, "Could not open /lab/a"},
        {"qemu-system-x86_64: warning: hub 0 is not connected\nqemu-system-x86_64: something new",
         IREKO_ERROR_REMOTE, "QEMU ended: something new"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *script =
            g_strdup_printf("#!/bin/sh\ncat >&2 <<'END'\n%s\nEND\nexit 1\n", rows[i].words);
        become_script(f, script);
        g_autoptr(GError) error = NULL;
        g_assert_null(start(f, &error));
        g_assert_error(error, IREKO_ERROR, rows[i].code);
        g_assert_nonnull(strstr(error->message, rows[i].says));
        g_assert_null(strstr(error->message, "driver"));
    }
}

typedef void (*Test)(Fixture *f, const void *data);

static void
add(const char *label, const Engine *engine, Test test)
{
    g_autofree char *path = g_strdup_printf("/engine/%s/%s", engine->name, label);
    g_test_add(path, Fixture, engine, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *label;
        Test test;
    } promises[] = {
        {"lives until it is ended", test_lives_until_it_is_ended},
        {"is found again by its folder", test_is_found_again},
        {"is not started twice", test_is_not_started_twice},
        {"leaves no child to reap", test_leaves_no_child},
        {"killed from outside is gone", test_killed_from_outside_is_gone},
        {"a number without the lock is nobody", test_foreign_numbers_are_not_signalled},
        {"one that does not end is killed", test_deaf_to_sigterm_is_killed},
        {"a cancelled start leaves nothing", test_cancelled_start_leaves_nothing},
        {"a start has a deadline", test_start_has_a_deadline},
        {"last words are repeated", test_last_words_are_repeated},
        {"a missing program is said so", test_no_program_is_said_so},
        {"a missing folder is said so", test_no_folder_is_said_so},
        {"long paths and strange names work", test_long_paths_and_strange_names_work},
        {"inherits only what it needs", test_inherits_only_what_it_needs},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t e = 0; e < G_N_ELEMENTS(engines); e++) {
        for (size_t i = 0; i < G_N_ELEMENTS(promises); i++)
            add(promises[i].label, &engines[e], promises[i].test);
    }
    add("console echoes, power button ends", &engines[1], test_fake_console_echoes);
    add("gives up root and is sandboxed", &engines[0], test_qemu_gives_up_root);
    add("has a version floor", &engines[0], test_qemu_version_has_a_floor);
    add("its words are made helpful", &engines[0], test_qemu_words_are_made_helpful);
    return g_test_run();
}
