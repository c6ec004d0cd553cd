/* host/kvm.c - can this layer run guests on KVM, and if not, why not?
 *
 * The device is tried, never inferred. Where it is not there, the reason is the first link of the
 * chain that is broken: the CPU shows no SVM or VMX (taken away by the layer above, or never
 * there); the kernel found it switched off by the firmware and took the flag out of /proc/cpuinfo;
 * no KVM module; a module but no device file, as in a container.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "host/parts.h"

static void
say(IrekoFacts *facts, const char *cause, char *evidence)
{
    facts->kvm.usable = cause == NULL;
    facts->kvm.cause = g_strdup(cause);
    facts->kvm.evidence = evidence;
}

static bool
is_container(const IrekoHostSource *source)
{
    g_autofree char *kind = ireko_host_container(source, NULL);
    return kind != NULL;
}

/* Whether a KVM module has registered its device, whatever became of the file in /dev. */
static bool
is_registered(int root_fd)
{
    return ireko_host_exists(root_fd, "sys/class/misc/kvm") ||
           ireko_host_exists(root_fd, "sys/devices/virtual/misc/kvm");
}

/* CPUID has the bit, the kernel's list of flags has not: the firmware locked it off. */
static bool
is_firmware_off(const IrekoFacts *facts, const char *cpuinfo)
{
    g_autofree char *flags = ireko_host_cpuinfo(cpuinfo, "flags");
    return flags != NULL && !ireko_host_has_word(flags, ireko_hv_name(facts->hv));
}

static void
explain_absence(const IrekoHostSource *source,
                const char *cpuinfo,
                const char *opened,
                IrekoFacts *facts)
{
    int root_fd = source->root_fd;
    const char *module = facts->hv == IREKO_HV_VMX ? "kvm_intel" : "kvm_amd";
    g_autofree char *folder = g_strdup_printf("sys/module/%s", module);
    if (is_registered(root_fd)) {
        bool inside = is_container(source);
        say(facts, inside ? "container" : "device-missing",
            g_strdup_printf("%s; the kernel has KVM%s", opened,
                            inside ? ", this container was not given the device" : ""));
    } else if (facts->hv == IREKO_HV_NONE && strcmp(facts->above, "none") != 0) {
        say(facts, "hidden-by-host", g_strdup_printf("%s; %s", opened, facts->hv_evidence));
    } else if (facts->hv == IREKO_HV_NONE) {
        say(facts, "cpu-lacks", g_strdup_printf("%s; %s", opened, facts->hv_evidence));
    } else if (root_fd < 0) {
        say(facts, "unknown", g_strdup_printf("%s; %s", opened, facts->hv_evidence));
    } else if (is_firmware_off(facts, cpuinfo)) {
        say(facts, "firmware-off",
            g_strdup_printf("%s; %s, and /proc/cpuinfo has no flag '%s'", opened,
                            facts->hv_evidence, ireko_hv_name(facts->hv)));
    } else if (!ireko_host_exists(root_fd, folder)) {
        say(facts, "module-missing", g_strdup_printf("%s; no /%s", opened, folder));
    } else {
        say(facts, "unknown", g_strdup_printf("%s; /%s is there", opened, folder));
    }
}

/* Other hypervisors that keep the CPU's assistance to themselves while they run. */
static const char *
other_hypervisor(int root_fd)
{
    if (ireko_host_exists(root_fd, "sys/module/vboxdrv"))
        return "; VirtualBox's module is loaded";
    if (ireko_host_exists(root_fd, "sys/module/vmmon"))
        return "; VMware's module is loaded";
    return "";
}

static void
explain_refusal(const IrekoHostSource *source, const char *cpuinfo, int errnum, IrekoFacts *facts)
{
    g_autofree char *opened = g_strdup_printf("open /dev/kvm: %s", g_strerror(errnum));
    switch (errnum) {
    case EACCES:
        say(facts, "device-denied", g_steal_pointer(&opened));
        break;
    case EPERM: /* the device group of a container says no, even to root */
        say(facts, is_container(source) ? "container" : "device-denied", g_steal_pointer(&opened));
        break;
    case EBUSY:
        say(facts, "device-busy",
            g_strdup_printf("%s%s", opened, other_hypervisor(source->root_fd)));
        break;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        explain_absence(source, cpuinfo, opened, facts);
        break;
    default:
        say(facts, "unknown", g_steal_pointer(&opened));
    }
}

/* A vCPU runs where the CPU has neither SVM nor VMX: KVM of the paravirtual kind (kvm_pvm and its
 * like), which runs kernels that were made for it. A guest of ireko's is none, and would find no
 * assistance to hand on. */
static void
say_paravirtual(IrekoFacts *facts, const IrekoKvmTrial *trial)
{
    bool inside = strcmp(facts->above, "none") != 0;
    say(facts, inside ? "hidden-by-host" : "cpu-lacks",
        g_strdup_printf("%s, without SVM or VMX: a paravirtual KVM, for kernels made for it; %s",
                        trial->evidence, facts->hv_evidence));
}

/* Takes TRIAL's evidence. */
static void
judge(const IrekoHostSource *source, const IrekoKvmTrial *trial, IrekoFacts *facts)
{
    facts->kvm.nested_state = trial->nested_state;
    if (trial->usable && facts->hv == IREKO_HV_NONE) {
        say_paravirtual(facts, trial);
        g_free(trial->evidence);
        return;
    }
    if (trial->usable) {
        say(facts, NULL, trial->evidence);
        return;
    }
    const char *other = other_hypervisor(source->root_fd);
    bool told = g_str_has_suffix(trial->evidence, other); /* a record has it in its words */
    say(facts, trial->cause, g_strconcat(trial->evidence, told ? "" : other, NULL));
    g_free(trial->evidence);
}

static void
try_device(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts)
{
    IREKO_AUTOFD fd = openat(source->root_fd, "dev/kvm", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    facts->kvm.open_errno = fd < 0 ? errno : 0;
    if (fd < 0) {
        explain_refusal(source, cpuinfo, facts->kvm.open_errno, facts);
        return;
    }
    IrekoKvmTrial trial = ireko_host_try_kvm(fd);
    judge(source, &trial, facts);
}

/* A stable word as a trial gives it. */
static const char *
trial_cause(const char *word)
{
    static const char *const causes[] = {"held-by-other", "hidden-by-host", "cpu-lacks"};
    for (size_t i = 0; i < G_N_ELEMENTS(causes); i++) {
        if (strcmp(word, causes[i]) == 0)
            return causes[i];
    }
    return "unknown";
}

/* What a record tells of the same. */
static void
hear_of_device(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts)
{
    IrekoDevice device;
    ireko_host_device(source, "/dev/kvm", &device);
    const char *told = ireko_host_told(source, "kvm.trial");
    facts->kvm.open_errno = device.open_errno;
    if (device.open_errno > 0) {
        explain_refusal(source, cpuinfo, device.open_errno, facts);
    } else if (told != NULL) {
        size_t len = strcspn(told, " ");
        g_autofree char *word = g_strndup(told, len);
        bool usable = strcmp(word, "ok") == 0;
        IrekoKvmTrial trial = {
            .usable = usable,
            .cause = usable ? NULL : trial_cause(word),
            .evidence = g_strdup(told[len] == ' ' ? told + len + 1 : "the record says so"),
            .nested_state = ireko_host_told_yes(source, "kvm.nested-state"),
        };
        judge(source, &trial, facts);
    } else if (is_registered(source->root_fd) || device.there == IREKO_READ_YES) {
        say(facts, "unknown", g_strdup("a recorded host: /dev/kvm was not tried"));
    } else {
        explain_absence(source, cpuinfo,
                        source->root_fd < 0 ? "a CPUID dump alone" : "a recorded host without KVM",
                        facts);
    }
    g_free(device.path);
    g_free(device.owner);
    g_free(device.group);
}

void
ireko_host_read_kvm(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts)
{
    if (source->probe)
        try_device(source, cpuinfo, facts);
    else
        hear_of_device(source, cpuinfo, facts);
}
