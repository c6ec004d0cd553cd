/* engine/qemu/survey.c - what the QEMU of this machine can: which accelerators, and whether its TCG
 * emulates SVM.
 *
 * A version does not tell: builds leave things out, and versions add them; nor does `-accel help`,
 * which lists what a module would bring that may not be there. So QEMU is started with no machine
 * and asked over QMP what `-cpu max` has under TCG; one that has no TCG does not start so, and is
 * asked for the rest in another way. This takes some tenths of a second, so the answer is kept in
 * the cache folder under the path, size, inode and time of the program: an update of QEMU is asked
 * anew. A cache that cannot be read or written is none. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "engine/qemu/argv.h"
#include "qmp/qmp.h"

#define CACHE_NAME  "qemu.json"
#define CACHE_MAX   ((size_t)16 << 10)
#define TEXT_MAX    ((size_t)4 << 10)
#define ASK_SECONDS 20 /* to start and to answer, on a busy machine */

/* A QEMU that runs no machine. */
typedef struct {
    GPid pid;
    IrekoQmp *qmp;
    IrekoDeadline deadline;
} Asked;

/* A QEMU that nobody talks to any more runs on for ever. */
static void
die_with_parent(gpointer data)
{
    (void)data;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static bool
start(Asked *asked, const char *path, const char *accel, GError **error)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a socket");
        return false;
    }
    IREKO_AUTOFD ours = ends[0];
    IREKO_AUTOFD theirs = ends[1];
    const char *argv[] = {
        path,       "-machine", "none", "-accel", accel, "-nodefaults", "-no-user-config",
        "-display", "none",     "-qmp", "stdio",  NULL};
    g_autoptr(GError) why = NULL;
    if (!g_spawn_async_with_fds(NULL, (char **)(uintptr_t)argv, NULL,
                                G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
                                die_with_parent, NULL, &asked->pid, theirs, theirs, -1, &why)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_IO, "cannot start '%s': %s", path,
                    why->message);
        return false;
    }
    ireko_fd_close(&theirs); /* so that its end is seen */
    asked->qmp = ireko_qmp_open(ireko_fd_steal(&ours), -1, asked->deadline, error);
    return asked->qmp != NULL;
}

static void
end(Asked *asked)
{
    ireko_qmp_free(asked->qmp);
    asked->qmp = NULL;
    if (asked->pid > 0) {
        (void)kill(asked->pid, SIGKILL); /* it runs nothing */
        while (waitpid(asked->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    asked->pid = 0;
}

static void
take_version(Asked *asked, IrekoQemuFact *fact)
{
    json_t *answer = ireko_qmp_execute(asked->qmp, "query-version", NULL, asked->deadline, NULL);
    int major = 0, minor = 0, micro = 0;
    if (answer != NULL && json_unpack(answer, "{s:{s:i, s:i, s:i}}", "qemu", "major", &major,
                                      "minor", &minor, "micro", &micro) == 0)
        fact->version = g_strdup_printf("%d.%d.%d", major, minor, micro);
    json_decref(answer);

    int present = 0;
    answer = ireko_qmp_execute(asked->qmp, "query-kvm", NULL, asked->deadline, NULL);
    if (answer != NULL && json_unpack(answer, "{s:b}", "present", &present) == 0)
        fact->has_kvm = present != 0;
    json_decref(answer);
}

static IrekoRead
take_property(json_t *properties, const char *name)
{
    const json_t *value = json_object_get(properties, name);
    return json_is_true(value)    ? IREKO_READ_YES
           : json_is_false(value) ? IREKO_READ_NO
                                  : IREKO_READ_UNKNOWN;
}

static void
take_cpu(Asked *asked, IrekoQemuFact *fact)
{
    /* The full expansion has a number beyond int64_t (lbr-fmt), which no reader here takes. */
    json_t *arguments = json_pack("{s:s, s:{s:s}}", "type", "static", "model", "name", "max");
    g_autoptr(GError) error = NULL;
    json_t *answer = ireko_qmp_execute(asked->qmp, "query-cpu-model-expansion", arguments,
                                       asked->deadline, &error);
    json_decref(arguments);
    json_t *properties = json_object_get(json_object_get(answer, "model"), "props");
    fact->tcg_svm = take_property(properties, "svm");
    fact->tcg_npt = take_property(properties, "npt");
    fact->tcg_vmx = take_property(properties, "vmx");
    fact->evidence =
        error != NULL
            ? g_strdup_printf("QEMU was asked what -cpu max has under TCG: %s", error->message)
            : g_strdup("QMP query-cpu-model-expansion of -cpu max under TCG");
    json_decref(answer);
}

static void
ask(const char *path, IrekoQemuFact *fact)
{
    Asked asked = {.deadline = ireko_deadline_in_ms(ASK_SECONDS * 1000)};
    fact->has_tcg = start(&asked, path, "tcg", NULL);
    if (fact->has_tcg) {
        take_version(&asked, fact);
        take_cpu(&asked, fact);
        end(&asked);
        return;
    }
    end(&asked);
    /* Without TCG: by the accelerator of QEMU's own tests, which may be left out as well, or by
     * KVM. */
    g_autoptr(GError) error = NULL;
    bool answers = start(&asked, path, "qtest", NULL);
    if (!answers) {
        end(&asked);
        answers = start(&asked, path, "kvm", &error);
    }
    if (answers) {
        take_version(&asked, fact);
        fact->tcg_svm = fact->tcg_npt = fact->tcg_vmx = IREKO_READ_NO;
        fact->evidence = g_strdup("it does not start with -accel tcg");
    } else {
        fact->evidence = g_strdup_printf("it does not answer: %s", error->message);
    }
    end(&asked);
}

/* ---- the cache ---- */

static bool
take_kept(const char *file, const char *wanted, IrekoQemuFact *fact)
{
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, file, CACHE_MAX, &len, NULL);
    json_t *object = text != NULL ? json_loadb(text, len, 0, NULL) : NULL;
    IrekoJsonReader reader = ireko_json_reader(object, "answer of QEMU");
    g_autofree char *kept = ireko_json_text(&reader, "program", TEXT_MAX);
    IrekoQemuFact read = {
        .version = ireko_json_text(&reader, "version", TEXT_MAX),
        .has_kvm = ireko_json_bool(&reader, "kvm"),
        .has_tcg = ireko_json_bool(&reader, "tcg"),
        .tcg_svm = ireko_json_bool(&reader, "svm") ? IREKO_READ_YES : IREKO_READ_NO,
        .tcg_npt = ireko_json_bool(&reader, "npt") ? IREKO_READ_YES : IREKO_READ_NO,
        .tcg_vmx = ireko_json_bool(&reader, "vmx") ? IREKO_READ_YES : IREKO_READ_NO,
        .evidence = ireko_json_text(&reader, "evidence", TEXT_MAX),
    };
    bool good = ireko_json_reader_end(&reader, NULL) && strcmp(kept, wanted) == 0;
    json_decref(object);
    if (!good) {
        g_free(read.version);
        g_free(read.evidence);
        return false;
    }
    read.path = fact->path;
    *fact = read;
    return true;
}

static void
keep(const char *folder, const char *file, const char *name, const IrekoQemuFact *fact)
{
    if (fact->version == NULL || fact->tcg_svm == IREKO_READ_UNKNOWN)
        return; /* it did not answer: ask again next time */
    json_t *object =
        json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:s}", "program", name, "version",
                  fact->version, "kvm", fact->has_kvm, "tcg", fact->has_tcg, "svm",
                  fact->tcg_svm == IREKO_READ_YES, "npt", fact->tcg_npt == IREKO_READ_YES, "vmx",
                  fact->tcg_vmx == IREKO_READ_YES, "evidence", fact->evidence);
    char *text = json_dumps(object, JSON_INDENT(1));
    if (text != NULL && ireko_file_make_folder(folder, NULL))
        (void)ireko_file_put(file, text, strlen(text), 0600, NULL);
    free(text);
    json_decref(object);
}

void
ireko_engine_survey_qemu(const char *cache, IrekoQemuFact *ret_fact)
{
    *ret_fact = (IrekoQemuFact){0};
    ret_fact->path = g_find_program_in_path(ireko_qemu_program());
    if (ret_fact->path == NULL) {
        ret_fact->evidence = g_strdup_printf("there is no '%s' in PATH", ireko_qemu_program());
        return;
    }
    g_autofree char *name = ireko_file_identity(ret_fact->path);
    g_autofree char *file = cache != NULL ? g_build_filename(cache, CACHE_NAME, NULL) : NULL;
    if (name != NULL && file != NULL && take_kept(file, name, ret_fact))
        return;
    ask(ret_fact->path, ret_fact);
    if (name != NULL && file != NULL)
        keep(cache, file, name, ret_fact);
}
