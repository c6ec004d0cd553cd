/* trace.c - system calls that fail, by ptrace(2).
 *
 * The child stops itself when the job begins and when it ends. In between each system call stops it
 * twice, before and after. A call that is to fail is made call number -1, which does nothing, and
 * gets its result afterwards. So every call is met, also those that libc makes on its own account;
 * a library in front of libc would miss them. Calls about memory, signals and time are let through:
 * they say nothing about files, and GLib ends a program that has no memory. */
#include "trace.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <sys/user.h>

#define SYSCALL_STOP (SIGTRAP | 0x80)

typedef struct {
    pid_t pid;
    const Fault *fault;
    Run run;
    bool inside;  /* of a call */
    bool failing; /* and it is made to fail with ERRNUM */
    int errnum;
    bool shortened; /* and its length was COUNT */
    unsigned long long count;
    bool kill_after;
    bool exchanged; /* the one exchange of a job has been tried */
} Trace;

static bool
is_let_through(unsigned long long call)
{
    static const unsigned long long calls[] = {
        SYS_mmap,         SYS_munmap,         SYS_brk,       SYS_mprotect,   SYS_madvise,
        SYS_mremap,       SYS_futex,          SYS_getpid,    SYS_gettid,     SYS_tgkill,
        SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_getrandom, SYS_exit_group, SYS_clock_nanosleep,
        SYS_nanosleep,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (calls[i] == call)
            return true;
    }
    return false;
}

static bool
has_length(unsigned long long call)
{
    return call == SYS_read || call == SYS_write || call == SYS_pread64 || call == SYS_pwrite64;
}

static void
check(long result, const char *what)
{
    if (result < 0)
        g_error("%s: %s", what, g_strerror(errno));
}

static void
make_fail(Trace *trace, struct user_regs_struct *regs, int errnum)
{
    trace->failing = true;
    trace->errnum = errnum;
    regs->orig_rax = (unsigned long long)-1;
    check(ptrace(PTRACE_SETREGS, trace->pid, NULL, regs), "set registers");
}

static void
apply(Trace *trace, struct user_regs_struct *regs)
{
    const Fault *fault = trace->fault;
    if (fault->kind == FAULT_SHORT && (!has_length(regs->orig_rax) || regs->rdx < 2))
        return;
    trace->run.hit = fault->kind != FAULT_NONE;
    if (fault->kind == FAULT_ERRNO)
        make_fail(trace, regs, fault->errnum);
    if (fault->kind == FAULT_KILL_BEFORE)
        check(kill(trace->pid, SIGKILL), "kill");
    if (fault->kind == FAULT_MEDDLE)
        fault->meddle(fault->data);
    trace->kill_after = trace->kill_after || fault->kind == FAULT_KILL_AFTER;
    if (fault->kind == FAULT_SHORT) {
        trace->shortened = true;
        trace->count = regs->rdx;
        regs->rdx /= 2;
        check(ptrace(PTRACE_SETREGS, trace->pid, NULL, regs), "set registers");
    }
}

static void
enter(Trace *trace)
{
    struct user_regs_struct regs;
    check(ptrace(PTRACE_GETREGS, trace->pid, NULL, &regs), "get registers");
    bool exchanges = regs.orig_rax == SYS_renameat2 && (regs.r8 & RENAME_EXCHANGE) != 0;
    bool links = regs.orig_rax == SYS_symlinkat;
    trace->exchanged = trace->exchanged || exchanges;
    trace->failing = trace->shortened = trace->kill_after = false;
    if (is_let_through(regs.orig_rax))
        return;
    trace->run.calls++;
    unsigned at = trace->fault->at;
    if (trace->run.calls == at || (trace->fault->persistent && trace->run.calls > at))
        apply(trace, &regs);
    bool dead = trace->run.hit && trace->fault->kind == FAULT_KILL_BEFORE;
    if ((exchanges || links) && trace->fault->no_exchange && !trace->failing && !dead)
        make_fail(trace, &regs, links ? EPERM : EINVAL);
    trace->kill_after = trace->kill_after || (exchanges && trace->fault->kill_on_exchange);
}

static void
leave(Trace *trace)
{
    if (trace->kill_after)
        check(kill(trace->pid, SIGKILL), "kill");
    if (trace->kill_after || (!trace->failing && !trace->shortened))
        return;
    struct user_regs_struct regs;
    check(ptrace(PTRACE_GETREGS, trace->pid, NULL, &regs), "get registers");
    if (trace->failing)
        regs.rax = (unsigned long long)(-(long long)trace->errnum);
    if (trace->shortened)
        regs.rdx = trace->count; /* the compiler takes it for unchanged */
    check(ptrace(PTRACE_SETREGS, trace->pid, NULL, &regs), "set registers");
}

static _Noreturn void
run_child(void (*job)(void *data, Told *told), void *data, Told *told)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    (void)raise(SIGSTOP);
    job(data, told);
    (void)raise(SIGSTOP);
    _exit(0);
}

/* Whether what is left of the job need not be watched. */
static bool
is_over(const Trace *trace)
{
    const Fault *fault = trace->fault;
    return trace->run.hit && !trace->inside && !fault->persistent &&
           (!fault->no_exchange || trace->exchanged);
}

/* Until the job's end or its death. */
static void
follow(Trace *trace)
{
    for (;;) {
        int status = 0;
        int how = is_over(trace) ? PTRACE_CONT : PTRACE_SYSCALL;
        (void)ptrace(how, trace->pid, NULL, NULL); /* it may just have been killed */
        check(waitpid(trace->pid, &status, 0), "wait");
        trace->run.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (trace->run.killed)
            return;
        g_assert_true(WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGSTOP)
            break;
        g_assert_cmpint(WSTOPSIG(status), ==, SYSCALL_STOP);
        trace->inside = !trace->inside;
        if (trace->inside)
            enter(trace);
        else
            leave(trace);
    }
    int status = 0;
    check(ptrace(PTRACE_CONT, trace->pid, NULL, NULL), "continue");
    check(waitpid(trace->pid, &status, 0), "wait");
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool
start(Trace *trace)
{
    int status = 0;
    check(waitpid(trace->pid, &status, 0), "wait");
    if (!WIFSTOPPED(status))
        return false;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    return ptrace(PTRACE_SETOPTIONS, trace->pid, NULL, options) == 0;
}

Run
trace_run(void (*job)(void *data, Told *told), void *data, const Fault *fault)
{
    Told *told =
        mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(told != MAP_FAILED);
    Trace trace = {.pid = fork(), .fault = fault};
    check(trace.pid, "fork");
    if (trace.pid == 0)
        run_child(job, data, told);
    g_assert_true(start(&trace));
    follow(&trace);
    trace.run.told = *told;
    check(munmap(told, sizeof *told), "unmap");
    return trace.run;
}

static void
one_call(void *data, Told *told)
{
    (void)data;
    told->ok = close(-1) != 0 && errno == EDQUOT;
}

/* Not only that a child can be traced, also that its calls can be made to fail. */
bool
trace_works(void)
{
    static const Fault fault = {.kind = FAULT_ERRNO, .errnum = EDQUOT, .at = 1};
    pid_t pid = fork();
    if (pid == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    int status = 1;
    bool allowed = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
    return allowed && trace_run(one_call, NULL, &fault).told.ok;
}

#else /* how a call is made to fail differs from one machine to the next */

bool
trace_works(void)
{
    return false;
}

Run
trace_run(void (*job)(void *data, Told *told), void *data, const Fault *fault)
{
    (void)job, (void)data, (void)fault;
    g_assert_not_reached();
}

#endif
