/* host/kvm-run.c - does this KVM run a guest?
 *
 * A device that opens and a VM that is made say little: a broken nested KVM fails at the first
 * entry, or never comes back. So one vCPU runs seven bytes in real mode that compute a value, write
 * it to a port and halt; the value at the port is the witness, HLT is the end. A timer whose signal
 * goes to this thread ends a vCPU that never does: its handler sets immediate_exit, so that neither
 * a running KVM_RUN nor the next one stays inside. KVM's API: Documentation/virt/kvm/api.rst.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/parts.h"

#define KVM_API_VERSION_WANTED 12 /* the only one there has been since 2007 */
#define TRIAL_SECONDS          20 /* three hypervisors deep and emulated it takes well under one */
#define TRIAL_EXITS_MAX        16
#define GUEST_BYTES            4096
#define GUEST_AT               0x1000
#define TSS_AT                 0xfffbd000u /* Intel wants three pages that no memory slot uses */
#define WITNESS_PORT           0x10
#define WITNESS                0x2a

static const unsigned char guest_code[] = {
    0xb0, WITNESS - 1,  /* mov al, 29h */
    0xfe, 0xc0,         /* inc al */
    0xe6, WITNESS_PORT, /* out 10h, al */
    0xf4,               /* hlt */
};

typedef struct {
    int vm_fd, vcpu_fd;
    void *memory;
    struct kvm_run *run;
    size_t run_bytes;
} Trial;

static _Thread_local struct kvm_run *guarded; /* what the timer ends */

static void
end_guarded(int signal_number)
{
    (void)signal_number;
    if (guarded != NULL)
        guarded->immediate_exit = 1;
}

static IrekoKvmTrial
failed(const char *cause, const char *what)
{
    return (IrekoKvmTrial){.cause = cause,
                           .evidence = g_strdup_printf("%s: %s", what, g_strerror(errno))};
}

static void
trial_clear(Trial *trial)
{
    if (trial->run != MAP_FAILED)
        (void)munmap(trial->run, trial->run_bytes);
    if (trial->memory != MAP_FAILED)
        (void)munmap(trial->memory, GUEST_BYTES);
    ireko_fd_close(&trial->vcpu_fd);
    ireko_fd_close(&trial->vm_fd);
}

static bool
give_memory(Trial *trial)
{
    trial->memory =
        mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (trial->memory == MAP_FAILED)
        return false;
    memcpy(trial->memory, guest_code, sizeof guest_code);
    struct kvm_userspace_memory_region region = {
        .guest_phys_addr = GUEST_AT,
        .memory_size = GUEST_BYTES,
        .userspace_addr = (uintptr_t)trial->memory,
    };
    return ioctl(trial->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

static bool
make_vcpu(Trial *trial, int kvm_fd)
{
    int bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    trial->vcpu_fd = ioctl(trial->vm_fd, KVM_CREATE_VCPU, 0);
    if (trial->vcpu_fd < 0 || bytes < (int)sizeof *trial->run)
        return false;
    trial->run_bytes = (size_t)bytes;
    trial->run =
        mmap(NULL, trial->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, trial->vcpu_fd, 0);
    if (trial->run == MAP_FAILED)
        return false;

    struct kvm_sregs sregs;
    if (ioctl(trial->vcpu_fd, KVM_GET_SREGS, &sregs) != 0)
        return false;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    struct kvm_regs regs = {.rip = GUEST_AT, .rflags = 2};
    return ioctl(trial->vcpu_fd, KVM_SET_SREGS, &sregs) == 0 &&
           ioctl(trial->vcpu_fd, KVM_SET_REGS, &regs) == 0;
}

static bool
is_witness(const struct kvm_run *run)
{
    const unsigned char *data = (const unsigned char *)run + run->io.data_offset;
    return run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
           run->io.port == WITNESS_PORT && run->io.size == 1 && *data == WITNESS;
}

static IrekoKvmTrial
run_vcpu(const Trial *trial)
{
    bool witnessed = false;
    for (unsigned i = 0; i < TRIAL_EXITS_MAX; i++) {
        int status = ioctl(trial->vcpu_fd, KVM_RUN, 0);
        if (status != 0 && (errno == EINTR || errno == EAGAIN) && !trial->run->immediate_exit)
            continue;
        if (status != 0 && errno == EINTR)
            return (IrekoKvmTrial){.cause = "unknown",
                                   .evidence = g_strdup_printf(
                                       "a vCPU did not reach HLT in %d seconds", TRIAL_SECONDS)};
        if (status != 0)
            return failed("unknown", "KVM_RUN");
        if (trial->run->exit_reason == KVM_EXIT_HLT && witnessed)
            return (IrekoKvmTrial){
                .usable = true,
                .evidence = g_strdup("a vCPU ran to HLT, having computed and written to a port")};
        if (!is_witness(trial->run))
            break;
        witnessed = true;
    }
    return (IrekoKvmTrial){
        .cause = "unknown",
        .evidence =
            g_strdup_printf("a vCPU left with exit %u instead of HLT%s", trial->run->exit_reason,
                            witnessed ? "" : ", its value not seen"),
    };
}

/* Runs the vCPU with SIGALRM, to this thread only, as its end; all is put back after. */
static IrekoKvmTrial
run_guarded(const Trial *trial)
{
    static GMutex one_at_a_time; /* the handler belongs to the process */
    g_mutex_lock(&one_at_a_time);

    struct sigaction action = {.sa_handler = end_guarded}, action_before;
    sigset_t alarm_set, set_before;
    (void)sigemptyset(&alarm_set);
    (void)sigaddset(&alarm_set, SIGALRM);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    event._sigev_un._tid = gettid();
    timer_t timer;
    IrekoKvmTrial result;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) {
        result = failed("unknown", "timer_create");
    } else {
        guarded = trial->run;
        (void)sigaction(SIGALRM, &action, &action_before);
        (void)pthread_sigmask(SIG_UNBLOCK, &alarm_set, &set_before);
        struct itimerspec limit = {.it_value.tv_sec = TRIAL_SECONDS, .it_interval.tv_sec = 1};
        (void)timer_settime(timer, 0, &limit, NULL);
        result = run_vcpu(trial);
        (void)timer_delete(timer);
        guarded = NULL;
        (void)pthread_sigmask(SIG_SETMASK, &set_before, NULL);
        (void)sigaction(SIGALRM, &action_before, NULL);
    }
    g_mutex_unlock(&one_at_a_time);
    return result;
}

IrekoKvmTrial
ireko_host_try_kvm(int kvm_fd)
{
    int version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
    if (version < 0)
        return failed("unknown", "KVM_GET_API_VERSION");
    if (version != KVM_API_VERSION_WANTED)
        return (IrekoKvmTrial){.cause = "unknown",
                               .evidence = g_strdup_printf("KVM API version %d, expected %d",
                                                           version, KVM_API_VERSION_WANTED)};

    Trial trial = {.vm_fd = -1, .vcpu_fd = -1, .memory = MAP_FAILED, .run = MAP_FAILED};
    do
        trial.vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
    while (trial.vm_fd < 0 && errno == EINTR);
    if (trial.vm_fd < 0)
        return failed(errno == EBUSY ? "held-by-other" : "unknown", "KVM_CREATE_VM");

    int nested_state = ioctl(trial.vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE);
    (void)ioctl(trial.vm_fd, KVM_SET_TSS_ADDR, TSS_AT); /* AMD takes it and needs it not */
    IrekoKvmTrial result;
    if (!give_memory(&trial))
        result = failed("unknown", "KVM_SET_USER_MEMORY_REGION");
    else if (!make_vcpu(&trial, kvm_fd))
        result = failed("unknown", "KVM_CREATE_VCPU");
    else
        result = run_guarded(&trial);
    trial_clear(&trial);
    result.nested_state = nested_state > 0 ? IREKO_READ_YES : IREKO_READ_NO;
    return result;
}
