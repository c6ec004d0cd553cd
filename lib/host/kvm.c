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

#define ENVIRON_MAX ((size_t)4 << 10)

static void
say(IrekoFacts *facts, const char *cause, char *evidence)
{
    facts->kvm.usable = cause == NULL;
    facts->kvm.cause = g_strdup(cause);
    facts->kvm.evidence = evidence;
}

static bool
is_container(int root_fd)
{
    if (ireko_host_exists(root_fd, ".dockerenv") ||
        ireko_host_exists(root_fd, "run/.containerenv") ||
        ireko_host_exists(root_fd, "run/systemd/container"))
        return true;
    size_t len = 0;
    g_autofree char *environment = ireko_host_head(root_fd, "proc/1/environ", ENVIRON_MAX, &len);
    return environment != NULL &&
           (g_str_has_prefix(environment, "container=") ||
            memmem(environment, len, "\0container=", sizeof "\0container=" - 1) != NULL);
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
explain_absence(int root_fd, const char *cpuinfo, const char *opened, IrekoFacts *facts)
{
    const char *module = facts->hv == IREKO_HV_VMX ? "kvm_intel" : "kvm_amd";
    g_autofree char *folder = g_strdup_printf("sys/module/%s", module);
    if (is_registered(root_fd)) {
        bool inside = is_container(root_fd);
        say(facts, inside ? "container" : "device-missing",
            g_strdup_printf("%s; the kernel has KVM%s", opened,
                            inside ? ", this container was not given the device" : ""));
    } else if (facts->hv == IREKO_HV_NONE && strcmp(facts->above, "none") != 0) {
        say(facts, "hidden-by-host", g_strdup_printf("%s; %s", opened, facts->hv_evidence));
    } else if (facts->hv == IREKO_HV_NONE) {
        say(facts, "cpu-lacks", g_strdup_printf("%s; %s", opened, facts->hv_evidence));
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
explain_refusal(int root_fd, const char *cpuinfo, int errnum, IrekoFacts *facts)
{
    g_autofree char *opened = g_strdup_printf("open /dev/kvm: %s", g_strerror(errnum));
    switch (errnum) {
    case EACCES:
        say(facts, "device-denied", g_steal_pointer(&opened));
        break;
    case EPERM: /* the device group of a container says no, even to root */
        say(facts, is_container(root_fd) ? "container" : "device-denied", g_steal_pointer(&opened));
        break;
    case EBUSY:
        say(facts, "device-busy", g_strdup_printf("%s%s", opened, other_hypervisor(root_fd)));
        break;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        explain_absence(root_fd, cpuinfo, opened, facts);
        break;
    default:
        say(facts, "unknown", g_steal_pointer(&opened));
    }
}

static void
try_device(int root_fd, const char *cpuinfo, IrekoFacts *facts)
{
    IREKO_AUTOFD fd = openat(root_fd, "dev/kvm", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        explain_refusal(root_fd, cpuinfo, errno, facts);
        return;
    }
    IrekoKvmTrial trial = ireko_host_try_kvm(fd);
    if (trial.usable) {
        say(facts, NULL, trial.evidence);
        return;
    }
    say(facts, trial.cause, g_strconcat(trial.evidence, other_hypervisor(root_fd), NULL));
    g_free(trial.evidence);
}

void
ireko_host_read_kvm(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts)
{
    if (source->probe)
        try_device(source->root_fd, cpuinfo, facts);
    else if (is_registered(source->root_fd))
        say(facts, "unknown", g_strdup("a recorded host: /dev/kvm was not tried"));
    else
        explain_absence(source->root_fd, cpuinfo, "a recorded host without KVM", facts);
}
