/* engine/process.c - a process that outlives ireko and is found again by its folder.
 *
 * Whether a machine runs must be known by a later ireko, whatever became of the earlier one and
 * although numbers of processes are used again. So the answer is a lock: the starter opens the file
 * "pid", takes flock(2) on it and hands the open file on; the lock lives exactly as long as
 * somebody has that file open, which is the process alone once the starter has closed its own. The
 * file holds a copy of /proc/PID/stat, written by the process itself before it executes the
 * program. Its number together with its start time (field 22) names one process for ever; a pidfd
 * opened on it and checked against both is then safe to wait for and to signal.
 *
 * A probe takes the lock shared, for microseconds, so a claim that meets one tries again for a
 * moment. Who removes the pid file holds its lock, and who gets the lock looks whether the file it
 * opened is still the one in the folder.
 *
 * The process is a grandchild: whoever starts it has no child to reap, be it a shell's tool that
 * ends at once or the first process of a guest. It leads a session of its own, since Ctrl-C in the
 * terminal is meant for ireko. Between fork and exec only async-signal-safe calls are made.
 */
#include "engine/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/file.h"
#include "base/text.h"

#define CLAIM_MS       50   /* how long a claim waits for a probe of the lock to end */
#define ATTACH_MS      2000 /* how long a process may take from its lock to its pid file */
#define RETRY_US       2000
#define STAT_MAX       ((size_t)4096)
#define STAT_START     20 /* start time, counted from the field behind the name */
#define LOG_TAIL_BYTES 4096
#define HIGH_FD        64 /* above every number that the process is given */
#define EXEC_FAILED    127

struct IrekoProcess {
    int pidfd;
    pid_t number;
};

/* What a machine leaves in its folder when it dies; pid comes last, it is the lock. */
static const char *const leftovers[] = {
    "qmp",     "console", "agent.0",    "agent.1",  "agent.2",
    "agent.3", "vnc",     "vnc.secret", "freezing", "pid",
};

/* The sockets in the order of their numbers in the process. */
static const char *const sockets[] = {"qmp", "console", "agent.0", "agent.1", "agent.2", "agent.3"};

G_STATIC_ASSERT(IREKO_PROCESS_FD_CONTROL + G_N_ELEMENTS(sockets) == IREKO_PROCESS_FD_DIR);
G_STATIC_ASSERT(IREKO_PROCESS_FD_DIR == 10); /* IREKO_PROCESS_DIR says so too */
G_STATIC_ASSERT(IREKO_PROCESS_FD_RAM == 11); /* and IREKO_PROCESS_RAM */

/* Descriptors that the process is given: [0] becomes IREKO_PROCESS_FD_PID, and so on. */
typedef struct {
    int given[IREKO_PROCESS_FD_END - IREKO_PROCESS_FD_PID];
    int null_fd, log_fd, status_fd;
} Files;

static void
files_clear(Files *files)
{
    for (size_t i = 0; i < G_N_ELEMENTS(files->given); i++)
        ireko_fd_close(&files->given[i]);
    ireko_fd_close(&files->null_fd);
    ireko_fd_close(&files->log_fd);
    ireko_fd_close(&files->status_fd);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Files, files_clear)

void
ireko_process_free(IrekoProcess *process)
{
    if (process == NULL)
        return;
    ireko_fd_close(&process->pidfd);
    g_free(process);
}

/* ---- the lock ---- */

static bool
is_in_folder(int fd, int dir_fd)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && fstatat(dir_fd, "pid", &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static void
remove_leftovers(int dir_fd)
{
    for (size_t i = 0; i < G_N_ELEMENTS(leftovers); i++)
        (void)unlinkat(dir_fd, leftovers[i], 0);
}

/* Opens and locks the pid file; -1 with errno, EWOULDBLOCK where another holds it. */
static int
try_claim(int dir_fd)
{
    for (;;) {
        IREKO_AUTOFD fd = openat(dir_fd, "pid", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
            return -1;
        if (is_in_folder(fd, dir_fd))
            return ireko_fd_steal(&fd);
    }
}

int
ireko_process_claim(int dir_fd, GError **error)
{
    IrekoDeadline deadline = ireko_deadline_in_ms(CLAIM_MS);
    int fd = try_claim(dir_fd);
    while (fd < 0 && errno == EWOULDBLOCK && g_get_monotonic_time() < deadline) {
        g_usleep(RETRY_US);
        fd = try_claim(dir_fd);
    }
    if (fd < 0 && errno == EWOULDBLOCK) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE,
                            "the machine runs already: end it first");
        return -1;
    }
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot lock the file 'pid' of the machine");
        return -1;
    }
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(leftovers); i++)
        (void)unlinkat(dir_fd, leftovers[i], 0);
    if (ftruncate(fd, 0) != 0) {
        ireko_error_from_errno(error, errno, "cannot write the file 'pid' of the machine");
        ireko_fd_close(&fd);
    }
    return fd;
}

void
ireko_process_tidy(int dir_fd)
{
    IREKO_AUTOFD lock_fd = ireko_process_claim(dir_fd, NULL);
    if (lock_fd >= 0)
        remove_leftovers(dir_fd);
}

/* ---- starting ---- */

/* Writes /proc/self/stat into the pid file. */
static bool
write_stat(int pid_fd)
{
    char stat[STAT_MAX];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof stat);
    return n > 0 && write(pid_fd, stat, (size_t)n) == n && close(fd) == 0;
}

static bool
put_files(const Files *files)
{
    if (dup2(files->null_fd, STDIN_FILENO) < 0 || dup2(files->log_fd, STDOUT_FILENO) < 0 ||
        dup2(files->log_fd, STDERR_FILENO) < 0)
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(files->given); i++) {
        int number = IREKO_PROCESS_FD_PID + (int)i;
        if (files->given[i] < 0 ? close(number) != 0 && errno != EBADF
                                : dup2(files->given[i], number) < 0)
            return false;
    }
    /* What ireko was itself started with is nothing to the machine. */
    (void)syscall(SYS_close_range, IREKO_PROCESS_FD_END, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
    return true;
}

/* In the grandchild: becomes the program, or says by its errno why not. */
static void
become(const char *program, char **argv, char **environ_, const Files *files)
{
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    sigset_t none;
    (void)sigemptyset(&none);

    if (setsid() >= 0 && put_files(files) && write_stat(IREKO_PROCESS_FD_PID) &&
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        (void)execve(program, argv, environ_);
    int why = errno;
    (void)!write(files->status_fd, &why, sizeof why);
    _exit(EXEC_FAILED);
}

/* Forks twice; the child in between is reaped here. */
static bool
fork_program(const char *program, char **argv, char **environ_, const Files *files, GError **error)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* no handler of ireko runs in the child */
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0)
            become(program, argv, environ_, files);
        int why = errno;
        if (grandchild < 0)
            (void)!write(files->status_fd, &why, sizeof why);
        _exit(0);
    }
    int why = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (child < 0) {
        ireko_error_from_errno(error, why, "cannot start a process");
        return false;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return true;
}

/* A copy of FD above the numbers that the process is given, so that none is overwritten. */
static int
raise_fd(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

static int
open_socket(int dir_fd, const char *name, GError **error)
{
    IREKO_AUTOFD fd = ireko_fd_listen_at(dir_fd, name, error);
    return fd < 0 ? -1 : raise_fd(fd);
}

static int
raise_gift(int fd)
{
    return fd < 0 ? -1 : raise_fd(fd);
}

static bool
open_files(Files *files, int dir_fd, int lock_fd, const IrekoProcessGift *gift, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sockets); i++) {
        int fd = open_socket(dir_fd, sockets[i], error);
        if (fd < 0)
            return false;
        files->given[IREKO_PROCESS_FD_CONTROL - IREKO_PROCESS_FD_PID + (int)i] = fd;
    }
    IREKO_AUTOFD null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    IREKO_AUTOFD log_fd = openat(
        dir_fd, "log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    files->given[0] = raise_fd(lock_fd);
    files->given[IREKO_PROCESS_FD_DIR - IREKO_PROCESS_FD_PID] = raise_fd(dir_fd);
    int ram_fd = raise_gift(gift->ram_fd), state_fd = raise_gift(gift->state_fd);
    files->given[IREKO_PROCESS_FD_RAM - IREKO_PROCESS_FD_PID] = ram_fd;
    files->given[IREKO_PROCESS_FD_STATE - IREKO_PROCESS_FD_PID] = state_fd;
    files->null_fd = raise_fd(null_fd);
    files->log_fd = raise_fd(log_fd);
    for (int i = 0; gift->link_fds != NULL && i < IREKO_PROCESS_LINKS; i++)
        files->given[IREKO_PROCESS_FD_LINK - IREKO_PROCESS_FD_PID + i] =
            raise_gift(gift->link_fds[i]);
    if (files->given[0] < 0 || files->given[IREKO_PROCESS_FD_DIR - IREKO_PROCESS_FD_PID] < 0 ||
        files->null_fd < 0 || files->log_fd < 0 || (gift->ram_fd >= 0 && ram_fd < 0) ||
        (gift->state_fd >= 0 && state_fd < 0)) {
        ireko_error_from_errno(error, errno, "cannot open the files of the machine");
        return false;
    }
    return true;
}

/* Executes the program with its files; they are closed here when this returns. */
static bool
spawn(const char *program,
      char **argv,
      const char *dir,
      int dir_fd,
      int lock_fd,
      const IrekoProcessGift *gift,
      GError **error)
{
    g_auto(Files) files = {.null_fd = -1, .log_fd = -1, .status_fd = -1};
    for (size_t i = 0; i < G_N_ELEMENTS(files.given); i++)
        files.given[i] = -1;
    if (!open_files(&files, dir_fd, lock_fd, gift, error))
        return false;

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a pipe");
        return false;
    }
    IREKO_AUTOFD status_fd = ends[0];
    IREKO_AUTOFD low_fd = ends[1];
    files.status_fd = raise_fd(low_fd);
    ireko_fd_close(&low_fd);
    if (files.status_fd < 0) {
        ireko_error_from_errno(error, errno, "cannot make a pipe");
        return false;
    }

    g_auto(GStrv) vars = g_environ_setenv(g_get_environ(), "TMPDIR", dir, TRUE);
    if (!fork_program(program, argv, vars, &files, error))
        return false;
    ireko_fd_close(&files.status_fd);

    int why = 0;
    ssize_t n = read(status_fd, &why, sizeof why); /* ends when the program is executed */
    while (n < 0 && errno == EINTR)
        n = read(status_fd, &why, sizeof why);
    if (n == 0)
        return true;
    ireko_error_from_errno(error, n < 0 ? errno : why, "cannot execute '%s'", program);
    return false;
}

IrekoProcess *
ireko_process_start(char **argv,
                    const char *dir,
                    int dir_fd,
                    int lock_fd,
                    const IrekoProcessGift *gift,
                    GError **error)
{
    IREKO_AUTOFD lock = lock_fd;
    g_autofree char *program = g_find_program_in_path(argv[0]);
    if (program == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "there is no program '%s' in PATH",
                    argv[0]);
        return NULL;
    }
    if (!spawn(program, argv, dir, dir_fd, lock, gift, error))
        return NULL;
    ireko_fd_close(&lock); /* the process alone holds it from here */

    IrekoProcess *process = ireko_process_attach(dir_fd, NULL);
    if (process == NULL)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "'%s' ended at once", argv[0]);
    return process;
}

/* ---- finding again ---- */

/* The number and the start time in a line of /proc/PID/stat. */
static bool
read_stat(int dir_fd, const char *path, pid_t *ret_pid, char **ret_start)
{
    g_autofree char *text = ireko_file_read(dir_fd, path, STAT_MAX, NULL, NULL);
    const char *behind_name = text == NULL ? NULL : strrchr(text, ')');
    if (behind_name == NULL)
        return false;
    guint64 pid = g_ascii_strtoull(text, NULL, 10);
    g_auto(GStrv) fields = g_strsplit(behind_name, " ", STAT_START + 2);
    if (pid == 0 || pid > G_MAXINT || g_strv_length(fields) <= STAT_START)
        return false;
    *ret_pid = (pid_t)pid;
    *ret_start = g_strdup(fields[STAT_START]);
    return true;
}

/* A pidfd of the process that the pid file names, or -1 where it is not that process any more. */
static int
open_named(int dir_fd, pid_t *ret_number)
{
    pid_t pid = 0, again = 0;
    g_autofree char *start = NULL, *now = NULL;
    if (!read_stat(dir_fd, "pid", &pid, &start))
        return -1;
    IREKO_AUTOFD pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
    if (pidfd < 0)
        return -1;
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    if (!read_stat(AT_FDCWD, path, &again, &now) || again != pid || strcmp(start, now) != 0)
        return -1;
    *ret_number = pid;
    return ireko_fd_steal(&pidfd);
}

static bool
is_locked(int dir_fd)
{
    IREKO_AUTOFD fd = openat(dir_fd, "pid", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

IrekoProcess *
ireko_process_attach(int dir_fd, GError **error)
{
    IrekoDeadline deadline = ireko_deadline_in_ms(ATTACH_MS);
    for (;;) {
        if (!is_locked(dir_fd)) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                                "the machine does not run");
            return NULL;
        }
        pid_t number = 0;
        int pidfd = open_named(dir_fd, &number);
        if (pidfd >= 0) {
            IrekoProcess *process = g_new0(IrekoProcess, 1);
            process->pidfd = pidfd;
            process->number = number;
            return process;
        }
        if (g_get_monotonic_time() >= deadline) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE,
                                "another ireko is just starting or ending the machine: try again");
            return NULL;
        }
        g_usleep(RETRY_US);
    }
}

pid_t
ireko_process_number(const IrekoProcess *process)
{
    return process->number;
}

bool
ireko_process_is_alive(const IrekoProcess *process)
{
    struct pollfd end = {.fd = process->pidfd, .events = POLLIN};
    return poll(&end, 1, 0) == 0;
}

bool
ireko_process_wait(const IrekoProcess *process, IrekoDeadline deadline, GError **error)
{
    return ireko_fd_wait(process->pidfd, POLLIN, deadline, -1, error);
}

bool
ireko_process_signal(const IrekoProcess *process, int signal, GError **error)
{
    if (syscall(SYS_pidfd_send_signal, process->pidfd, signal, NULL, 0U) == 0 || errno == ESRCH)
        return true;
    ireko_error_from_errno(error, errno, "cannot signal the process of the machine");
    return false;
}

char *
ireko_process_log_tail(int dir_fd)
{
    IREKO_AUTOFD fd = openat(dir_fd, "log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char tail[LOG_TAIL_BYTES];
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return g_strdup("");
    off_t from = MAX(st.st_size - LOG_TAIL_BYTES, 0);
    ssize_t n = pread(fd, tail, sizeof tail, from);
    return g_strchomp(ireko_text_safe(tail, n > 0 ? (size_t)n : 0));
}
