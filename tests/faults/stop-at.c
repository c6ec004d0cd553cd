/* stop-at.c - stop-at N COMMAND...: runs COMMAND and stops it, whole, before the N-th system call
 * by which it changes something outside of itself, in whichever of its threads that is.
 *
 * There it says "at NAME" on descriptor 3 and waits for a byte: 'k' kills COMMAND as kill -9 does,
 * any other lets it run on. A COMMAND that makes fewer calls runs to its end, and "calls COUNT" is
 * said. The exit status is COMMAND's, 137 where it was killed.
 *
 * Threads are followed (ptrace(2), PTRACE_O_TRACECLONE), other processes are not: what COMMAND
 * starts runs as ever. While one thread waits here the others are held at their next call of that
 * kind, so nothing of COMMAND's changes anything meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TELL_FD      3
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define KILLED       137
#define NOT_RUN      127

static const struct {
    uint64_t number;
    const char *name;
} calls[] = {
    {SYS_mkdir, "mkdir"},         {SYS_mkdirat, "mkdirat"},
    {SYS_rename, "rename"},       {SYS_renameat, "renameat"},
    {SYS_renameat2, "renameat2"}, {SYS_unlink, "unlink"},
    {SYS_unlinkat, "unlinkat"},   {SYS_rmdir, "rmdir"},
    {SYS_ftruncate, "ftruncate"}, {SYS_flock, "flock"},
    {SYS_fsync, "fsync"},         {SYS_bind, "bind"},
    {SYS_connect, "connect"},     {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},     {SYS_write, "write"},
    {SYS_pwrite64, "pwrite64"},   {SYS_fork, "fork"},
    {SYS_kill, "kill"},           {SYS_pidfd_send_signal, "pidfd_send_signal"},
};

/* What a call changes: its name, or NULL where it is none of ours. */
static const char *
name_of(const struct __ptrace_syscall_info *info)
{
    const uint64_t *args = info->entry.args;
    uint64_t number = info->entry.nr;
    if (number == SYS_openat && (args[2] & O_CREAT) != 0)
        return "openat";
    if (number == SYS_clone && (args[0] & CLONE_THREAD) == 0)
        return "clone";
    if ((number == SYS_write || number == SYS_pwrite64) && args[0] <= STDERR_FILENO)
        return NULL; /* only words */
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (calls[i].number == number)
            return calls[i].name;
    }
    return NULL;
}

static _Noreturn void
be_command(char **argv)
{
    (void)close(TELL_FD);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
        _exit(NOT_RUN);
    (void)execvp(argv[0], argv);
    _exit(NOT_RUN);
}

static bool
is_entry(pid_t thread, struct __ptrace_syscall_info *ret_info)
{
    memset(ret_info, 0, sizeof *ret_info);
    return ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof *ret_info, ret_info) > 0 &&
           ret_info->op == PTRACE_SYSCALL_INFO_ENTRY;
}

/* Says where COMMAND stands and does what it is told; whether it is to run on. */
static bool
hold(pid_t command, const char *name)
{
    char order = 'k';
    dprintf(TELL_FD, "at %s\n", name);
    if (read(TELL_FD, &order, 1) == 1 && order != 'k')
        return true;
    (void)kill(command, SIGKILL);
    return false;
}

/* Until COMMAND's end: its wait status. */
static int
follow(pid_t command, unsigned long at)
{
    unsigned long count = 0;
    bool watch = true;
    for (;;) {
        int status = 0;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR)
            continue;
        if (thread < 0)
            return NOT_RUN << 8;
        if (!WIFSTOPPED(status)) {
            if (thread != command)
                continue;
            dprintf(TELL_FD, "calls %lu\n", count);
            return status;
        }
        int signal = WSTOPSIG(status);
        struct __ptrace_syscall_info info;
        if (watch && signal == SYSCALL_STOP && is_entry(thread, &info) && name_of(&info) != NULL &&
            ++count == at) {
            hold(command, name_of(&info));
            watch = false;
        }
        bool own = signal == SYSCALL_STOP || signal == SIGTRAP || signal == SIGSTOP;
        (void)ptrace(watch ? PTRACE_SYSCALL : PTRACE_CONT, thread, NULL,
                     (void *)(uintptr_t)(own ? 0 : signal));
    }
}

int
main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long at = argc > 2 ? strtoul(argv[1], &end, 10) : 0;
    if (argc < 3 || *end != '\0') {
        (void)fprintf(stderr, "usage: stop-at N COMMAND...\n");
        return 2;
    }
    pid_t command = fork();
    if (command == 0)
        be_command(argv + 2);
    (void)signal(SIGPIPE, SIG_IGN); /* nobody need listen to the end */
    int status = 0;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    if (command < 0 || waitpid(command, &status, 0) != command || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, command, NULL, options) != 0 ||
        ptrace(PTRACE_SYSCALL, command, NULL, NULL) != 0) {
        (void)fprintf(stderr, "stop-at: a process cannot be traced here\n");
        return NOT_RUN;
    }
    status = follow(command, at);
    return WIFSIGNALED(status) ? KILLED : WEXITSTATUS(status);
}
