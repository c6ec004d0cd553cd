/* edits.c - every system call of an edit and of an undo fails in turn, and whatever happens the
 * file is exactly the old one or exactly the new one.
 *
 * After each run: the file's bytes, mode, owner and attributes; whether the error was told; what
 * undo would bring back. Then the next edit has to work and to leave nothing behind but the file
 * and its undo. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <ireko/vmxfile.h>

#include "base/file.h"
#include "trace.h"

#define GEN_0     "config.version = \"8\"\r\nmemsize = \"1024\"\r\n# a comment"
#define GEN_1     "config.version = \"8\"\r\nmemsize = \"4096\"\r\n# a comment"
#define GEN_2     "config.version = \"8\"\r\nmemsize = \"81920\"\r\n# a comment"
#define THEIRS    "\r\ntheirs = \"1\""
#define MODE      ((mode_t)0640)
#define ATTRIBUTE "user.lab"
#define CALLS_MAX 1000 /* of one edit; it makes some fifty */

typedef struct {
    const char *label;
    const char *undo;     /* what NAME.undo holds before; NULL: it is not there */
    const char *leftover; /* the edit before was killed at its exchange; it wrote GEN_1 */
    bool stale;           /* the edit before was killed before its exchange */
    bool undoes;          /* the job is an undo, not an edit */
    const char *wanted;   /* the bytes after it */
} Scenario;

static const Scenario scenarios[] = {
    {.label = "the first edit of a file", .wanted = GEN_2},
    {.label = "an edit after an edit", .undo = GEN_0, .wanted = GEN_2},
    {.label = "an undo", .undo = GEN_0, .undoes = true, .wanted = GEN_0},
    {.label = "an edit after one that was killed early",
     .undo = GEN_0,
     .stale = true,
     .wanted = GEN_2},
    {.label = "an undo after an edit that was killed late",
     .leftover = GEN_0,
     .undoes = true,
     .wanted = GEN_0},
};

typedef struct {
    const Scenario *scenario;
    char *top, *folder, *vmx, *link;
    unsigned runs, violations;
    bool no_exchange;
} Case;

/* ---- the place ---- */

static void
write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t len = strlen(text);
    g_assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len && close(fd) == 0);
}

static void
write_vmx(const Case *c, const char *text)
{
    write_file(c->vmx, text);
    g_assert_true(geteuid() != 0 || chown(c->vmx, 12, 34) == 0);
    g_assert_cmpint(chmod(c->vmx, MODE), ==, 0);
    (void)setxattr(c->vmx, ATTRIBUTE, "3", 1, 0); /* where the filesystem has them */
}

static void
edit(const char *path, const char *key, const char *value, Told *told)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = ireko_vmxfile_open(path, &error);
    told->ok = file != NULL && ireko_vmx_set(ireko_vmxfile_document(file), key, value, &error) &&
               ireko_vmxfile_save(file, &error);
    if (error != NULL)
        (void)g_strlcpy(told->message, error->message, sizeof told->message);
}

static void
undo(const char *path, Told *told)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = ireko_vmxfile_open(path, &error);
    told->ok = file != NULL && ireko_vmxfile_undo(file, &error);
    if (error != NULL)
        (void)g_strlcpy(told->message, error->message, sizeof told->message);
}

static void
must_edit(const Case *c, const char *memsize)
{
    Told told = {0};
    edit(c->link, "memsize", memsize, &told);
    if (!told.ok)
        g_error("%s", told.message);
}

static void
killed_job(void *data, Told *told)
{
    const Case *c = data;
    edit(c->link, "memsize", "4096", told);
}

/* What the scenario begins with: the file is GEN_1. */
static void
prepare(Case *c)
{
    static const Fault late = {.kill_on_exchange = true};
    g_assert_true(ireko_file_remove_tree(c->folder, NULL));
    g_assert_cmpint(mkdir(c->folder, 0700), ==, 0);
    if (c->scenario->leftover != NULL) {
        write_vmx(c, c->scenario->leftover);
        g_assert_true(trace_run(killed_job, c, &late).killed);
    } else if (c->scenario->undo != NULL) {
        write_vmx(c, c->scenario->undo);
        must_edit(c, "4096");
    } else {
        write_vmx(c, GEN_1);
    }
    if (c->scenario->stale) {
        g_autofree char *fresh = g_build_filename(c->folder, ".a.vmx.ireko-new", NULL);
        g_autofree char *next = g_build_filename(c->folder, ".a.vmx.ireko-next", NULL);
        g_autofree char *kept = g_build_filename(c->folder, ".a.vmx.ireko-old", NULL);
        write_file(fresh, "config.ver");
        write_file(next, "0123");
        write_file(kept, "config");
    }
}

static void
job(void *data, Told *told)
{
    const Case *c = data;
    if (c->scenario->undoes)
        undo(c->link, told);
    else
        edit(c->link, "memsize", "81920", told);
}

/* ---- what has to be so afterwards ---- */

static char *
read_text(const char *path)
{
    size_t len = 0;
    char *text = ireko_file_read(AT_FDCWD, path, 1 << 20, &len, NULL);
    return text;
}

static const char *
judge_attributes(const Case *c)
{
    struct stat st;
    char value[8] = "";
    if (stat(c->vmx, &st) != 0)
        return "the file is not there";
    if ((st.st_mode & 07777) != MODE)
        return "the mode is another";
    if (geteuid() == 0 && (st.st_uid != 12 || st.st_gid != 34))
        return "the owner is another";
    ssize_t len = getxattr(c->vmx, ATTRIBUTE, value, sizeof value);
    if (len >= 0 ? len != 1 || *value != '3' : errno != ENOTSUP)
        return "the extended attribute is another";
    g_autofree char *target = g_file_read_link(c->link, NULL);
    return g_strcmp0(target, "lab/a.vmx") == 0 ? NULL : "the symbolic link is another";
}

static const char *
judge_told(const Run *run, bool is_new)
{
    if (run->killed)
        return NULL;
    if (run->told.ok)
        return is_new ? NULL : "it said it was done, and it was not";
    if (*run->told.message == '\0' || strchr(run->told.message, '\n') != NULL)
        return "the error is not told in one line";
    return NULL;
}

/* What undo would bring back: after the new bytes the ones before, and never others. */
static const char *
judge_undo(const Case *c, const char *now, bool is_new)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = ireko_vmxfile_open(c->link, &error);
    size_t len = 0;
    g_autofree char *before = file == NULL ? NULL : ireko_vmxfile_before(file, &len, &error);
    if (file == NULL)
        return "the file cannot be opened again";
    if (is_new)
        return g_strcmp0(before, GEN_1) == 0 ? NULL : "undo does not know the bytes before";
    if (before == NULL)
        return NULL; /* it says that it does not know */
    bool generation = strcmp(before, GEN_0) == 0 || (c->no_exchange && strcmp(before, now) == 0);
    return generation ? NULL : "undo would bring back what was not before";
}

static const char *
judge_next(const Case *c, const char *now)
{
    Told told = {0};
    edit(c->link, "lab.next", "2", &told);
    if (!told.ok)
        return "the next edit fails";
    g_autofree char *file = read_text(c->vmx);
    g_autofree char *want = g_strconcat(now, "\r\nlab.next = \"2\"", NULL);
    if (g_strcmp0(file, want) != 0)
        return "the next edit lost something";
    g_autofree char *kept_at = g_strconcat(c->vmx, ".undo", NULL);
    g_autofree char *kept = read_text(kept_at);
    if (g_strcmp0(kept, now) != 0)
        return "the next edit did not keep the bytes before";
    g_autoptr(GDir) dir = g_dir_open(c->folder, 0, NULL);
    for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir)) {
        bool known = strcmp(name, "a.vmx") == 0 || strcmp(name, "a.vmx.undo") == 0 ||
                     strcmp(name, ".a.vmx.ireko") == 0;
        if (!known)
            return "the next edit left something behind";
    }
    return judge_attributes(c);
}

static const char *
judge(const Case *c, const Run *run)
{
    g_autofree char *now = read_text(c->vmx);
    bool is_new = g_strcmp0(now, c->scenario->wanted) == 0;
    if (!is_new && g_strcmp0(now, GEN_1) != 0)
        return "the file is neither the old nor the new one";
    const char *fault = judge_attributes(c);
    fault = fault != NULL ? fault : judge_told(run, is_new);
    fault = fault != NULL ? fault : judge_undo(c, now, is_new);
    return fault != NULL ? fault : judge_next(c, now);
}

/* ---- the runs ---- */

static Run
run_once(Case *c, const Fault *fault)
{
    prepare(c);
    Run run = trace_run(job, c, fault);
    if (fault->kind != FAULT_NONE && !run.hit)
        return run;
    c->runs++;
    const char *wrong = judge(c, &run);
    if (wrong == NULL)
        return run;
    c->violations++;
    printf("# call %u, fault %d, errno %d%s: %s (%s)\n", fault->at, fault->kind, fault->errnum,
           fault->persistent ? " from there on" : "", wrong, run.told.message);
    return run;
}

static void
run_faults_at(Case *c, unsigned at)
{
    static const int errnums[] = {EIO, ENOSPC, EDQUOT, EINTR};
    for (int persistent = 0; persistent < 2; persistent++) {
        Fault fault = {.at = at, .persistent = persistent == 1, .no_exchange = c->no_exchange};
        fault.kind = FAULT_ERRNO;
        for (size_t i = 0; i < G_N_ELEMENTS(errnums); i++) {
            fault.errnum = errnums[i];
            (void)run_once(c, &fault);
        }
        fault.kind = FAULT_SHORT;
        fault.errnum = 0;
        (void)run_once(c, &fault);
    }
    Fault killed = {.at = at, .no_exchange = c->no_exchange, .kind = FAULT_KILL_BEFORE};
    (void)run_once(c, &killed);
    killed.kind = FAULT_KILL_AFTER;
    (void)run_once(c, &killed);
}

static unsigned
report(const Case *c, unsigned row, unsigned calls, const char *more)
{
    printf("%sok %u - %s%s: %u calls, %u points, %u violations\n", c->violations > 0 ? "not " : "",
           row, c->scenario->label, more, calls, c->runs, c->violations);
    (void)fflush(stdout);
    return c->runs;
}

static unsigned
test_faults(Case *c, unsigned row)
{
    c->runs = c->violations = 0;
    Fault none = {.no_exchange = c->no_exchange};
    unsigned calls = run_once(c, &none).calls;
    g_assert_true(calls > 10 && calls < CALLS_MAX);
    for (unsigned at = 1; at <= calls; at++)
        run_faults_at(c, at);
    return report(c, row, calls, c->no_exchange ? ", where files cannot change places" : "");
}

/* ---- somebody without a lock ---- */

static void
append_theirs(void *data)
{
    const Case *c = data;
    int fd = open(c->vmx, O_WRONLY | O_APPEND | O_CLOEXEC);
    size_t len = strlen(THEIRS);
    g_assert_true(fd >= 0 && write(fd, THEIRS, len) == (ssize_t)len && close(fd) == 0);
}

static void
rename_theirs(void *data)
{
    const Case *c = data;
    g_autofree char *now = read_text(c->vmx);
    g_autofree char *text = g_strconcat(now, THEIRS, NULL);
    g_autofree char *path = g_build_filename(c->folder, "theirs", NULL);
    write_file(path, text);
    g_assert_cmpint(rename(path, c->vmx), ==, 0);
}

static unsigned
test_meddling(Case *c, unsigned row, void (*meddle)(void *data), const char *how)
{
    c->runs = c->violations = 0;
    Fault fault = {.kind = FAULT_MEDDLE, .meddle = meddle, .data = c};
    for (fault.at = 1; fault.at < CALLS_MAX; fault.at++) {
        prepare(c);
        Run run = trace_run(job, c, &fault);
        if (!run.hit)
            break;
        c->runs++;
        g_autofree char *now = read_text(c->vmx);
        bool both = g_strcmp0(now, GEN_2 THEIRS) == 0, theirs = g_strcmp0(now, GEN_1 THEIRS) == 0;
        if (run.told.ok ? both : theirs || both)
            continue;
        c->violations++;
        printf("# call %u: %s, told '%s'\n", fault.at, run.told.ok ? "done" : "refused",
               run.told.message);
    }
    return report(c, row, fault.at - 1, how);
}

static void
set_up(Case *c)
{
    bool has_memory = access("/dev/shm", W_OK) == 0; /* thousands of syncs */
    c->top =
        g_build_filename(has_memory ? "/dev/shm" : g_get_tmp_dir(), "ireko-faults-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(c->top));
    c->folder = g_build_filename(c->top, "lab", NULL);
    c->vmx = g_build_filename(c->folder, "a.vmx", NULL);
    c->link = g_build_filename(c->top, "link.vmx", NULL);
    g_assert_cmpint(symlink("lab/a.vmx", c->link), ==, 0);
}

static void
clean_up(Case *c)
{
    g_assert_true(ireko_file_remove_tree(c->top, NULL));
    g_free(c->top);
    g_free(c->folder);
    g_free(c->vmx);
    g_free(c->link);
}

/* faults-edits exchange|rename|meddling: they take a while, so each is a test of its own. */
int
main(int argc, char **argv)
{
    if (!trace_works()) {
        printf("1..0 # SKIP a process cannot be traced here\n");
        return 0;
    }
    (void)umask(022);
    const char *what = argc == 2 ? argv[1] : "";
    Case c = {.scenario = &scenarios[1], .no_exchange = strcmp(what, "rename") == 0};
    set_up(&c);
    unsigned row = 0, points = 0;
    if (strcmp(what, "meddling") == 0) {
        points += test_meddling(&c, ++row, append_theirs, ", while somebody writes into the file");
        points += test_meddling(&c, ++row, rename_theirs, ", while somebody replaces the file");
    } else {
        for (c.scenario = scenarios; row < G_N_ELEMENTS(scenarios); c.scenario++)
            points += test_faults(&c, ++row);
    }
    printf("1..%u\n# %u points\n", row, points);
    clean_up(&c);
    return 0;
}
