/* host/findings.c - what else is to be known of a host that is to carry a nest.
 *
 * The first broken link comes first, then what is in the way of a nest, then what costs speed or
 * room, then remarks. A finding of severity error is only what leaves no way to run a nest at all.
 */
#include <string.h>

#include "base/text.h"
#include "host/judge.h"

#define KIB                 ((uint64_t)1 << 10)
#define MIB                 ((uint64_t)1 << 20)
#define GIB                 ((uint64_t)1 << 30)
#define NEST_MEMORY_BYTES   (2300 * MIB) /* examples/workshop: a hypervisor of 2 GiB, and QEMU */
#define NEST_DISK_BYTES     (1 * GIB)    /* images, packages, disks */
#define NEST_FILES          1024         /* descriptors of ireko and QEMU, with room to spare */
#define NEST_PIDS           512
#define QEMU_OLDEST_MAJOR   7
#define QEMU_OLDEST_MINOR   2
#define MSR_FEATURE_CONTROL 0x3au

/* Adds a finding; WHAT, EVIDENCE and FIX are taken, and may be NULL but for WHAT. */
static IrekoFinding *
add(IrekoVerdict *verdict, const char *code, IrekoSeverity severity, char *what, char *evidence)
{
    IrekoFinding *finding = ireko_finding_new(code, severity);
    finding->what = what;
    finding->evidence = evidence;
    g_ptr_array_add(verdict->findings, finding);
    return finding;
}

static char *
remedy_line(const IrekoRemedy *remedy)
{
    if (remedy == NULL)
        return NULL;
    g_autofree char *commands = g_strjoinv("; ", remedy->commands);
    g_autofree char *needs = g_strjoinv(", ", remedy->needs);
    const char *joint = *commands == '\0' ? "" : g_str_has_suffix(remedy->text, ":") ? " " : ": ";
    return g_strconcat(remedy->text, joint, commands, *needs != '\0' ? " (needs: " : "", needs,
                       *needs != '\0' ? ")" : "", NULL);
}

static void
find_cause(IrekoVerdict *verdict)
{
    if (verdict->cause == NULL)
        return;
    const char *evidence = verdict->facts->kvm.evidence;
    for (guint i = 0; i < verdict->links->len; i++) {
        const IrekoLink *link = verdict->links->pdata[i];
        if (link->state == IREKO_LINK_BROKEN) {
            evidence = link->evidence;
            break;
        }
    }
    bool way_out = strcmp(verdict->word, "none") != 0;
    IrekoFinding *finding =
        add(verdict, verdict->cause, way_out ? IREKO_SEVERITY_WARNING : IREKO_SEVERITY_ERROR,
            g_strdup(ireko_cause_summary(verdict->cause)), g_strdup(evidence));
    finding->fix = remedy_line(verdict->remedy);
    finding->source = g_strdup_printf("ireko check --explain %s", verdict->cause);
}

static bool
is_older(const char *version, unsigned major, unsigned minor)
{
    guint64 have_major = 0, have_minor = 0;
    char *end = NULL;
    have_major = g_ascii_strtoull(version, &end, 10);
    if (end == version)
        return false; /* not a version that we can read */
    if (*end == '.')
        have_minor = g_ascii_strtoull(end + 1, NULL, 10);
    return have_major < major || (have_major == major && have_minor < minor);
}

static void
find_qemu(IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    const IrekoQemuFact *qemu = &survey->qemu;
    if (qemu->path == NULL) {
        if (survey->is_recorded)
            return;
        add(verdict, "qemu-missing", IREKO_SEVERITY_WARNING,
            g_strdup("there is no qemu-system-x86_64 here, which ireko runs machines with"),
            g_strdup(qemu->evidence))
            ->fix = g_strdup("install it: apt-get install qemu-system-x86 (needs: root)");
        return;
    }
    if (qemu->version != NULL && is_older(qemu->version, QEMU_OLDEST_MAJOR, QEMU_OLDEST_MINOR))
        add(verdict, "qemu-old", IREKO_SEVERITY_WARNING,
            g_strdup_printf("QEMU %s is older than %d.%d, the oldest that ireko is tried with",
                            qemu->version, QEMU_OLDEST_MAJOR, QEMU_OLDEST_MINOR),
            g_strdup(qemu->path))
            ->fix = g_strdup("install a newer one");
    if (!qemu->has_kvm && verdict->facts->kvm.usable)
        add(verdict, "qemu-no-kvm", IREKO_SEVERITY_WARNING,
            g_strdup("this QEMU has no KVM: it emulates where it need not"),
            g_strdup(qemu->evidence))
            ->fix = g_strdup("install a QEMU that has it: apt-get install qemu-system-x86 (needs: "
                             "root)");
    if (!qemu->has_tcg)
        add(verdict, "qemu-no-tcg", IREKO_SEVERITY_INFO,
            g_strdup("this QEMU has no TCG: where KVM fails nothing runs"),
            g_strdup(qemu->evidence));
    else if (qemu->tcg_svm == IREKO_READ_NO)
        add(verdict, "tcg-no-svm", IREKO_SEVERITY_WARNING,
            g_strdup("this QEMU's TCG emulates no SVM: nests run on KVM or not at all"),
            g_strdup(qemu->evidence))
            ->fix = g_strdup("install QEMU 7.2 or newer (needs: root)");
    else if (qemu->tcg_svm == IREKO_READ_YES)
        add(verdict, "tcg-svm", IREKO_SEVERITY_INFO,
            g_strdup_printf("QEMU's TCG emulates AMD's SVM%s, and %s VMX: labs in software are "
                            "AMD-flavoured",
                            qemu->tcg_npt == IREKO_READ_YES ? " with nested paging" : "",
                            qemu->tcg_vmx == IREKO_READ_YES ? "Intel's" : "no"),
            g_strdup(qemu->evidence));
}

static void
find_paging(IrekoVerdict *verdict)
{
    const IrekoFacts *facts = verdict->facts;
    if (facts->hv == IREKO_HV_NONE)
        return;
    bool vmx = facts->hv == IREKO_HV_VMX;
    if (!facts->nested_paging)
        add(verdict, "no-nested-paging", IREKO_SEVERITY_WARNING,
            g_strdup_printf("no %s: guests' page tables are shadowed, which is slow, and VMware "
                            "products refuse to nest",
                            vmx ? "EPT" : "nested paging (NPT)"),
            g_strdup(facts->hv_evidence))
            ->fix = g_strdup_printf("let the layer above hand it on; on bare metal load %s",
                                    vmx ? "kvm_intel with ept=1" : "kvm_amd with npt=1");
    const char *shadow = ireko_verdict_param(facts, "kvm_intel.enable_shadow_vmcs");
    if (vmx && shadow != NULL && !ireko_verdict_is_on(shadow))
        add(verdict, "no-shadow-vmcs", IREKO_SEVERITY_INFO,
            g_strdup("no VMCS shadowing: each VMREAD and VMWRITE of a guest hypervisor is an exit"),
            g_strdup_printf("kvm_intel.enable_shadow_vmcs=%s", shadow));
    const char *ignore = ireko_verdict_param(facts, "kvm.ignore_msrs");
    if (facts->kvm.usable && ignore != NULL && !ireko_verdict_is_on(ignore))
        add(verdict, "ignore-msrs", IREKO_SEVERITY_INFO,
            g_strdup(
                "a guest that reads a register KVM does not know gets a fault; ESXi as a guest "
                "is reported to stop there"),
            g_strdup_printf("kvm.ignore_msrs=%s", ignore))
            ->fix = g_strdup("for ESXi guests: echo 1 > /sys/module/kvm/parameters/ignore_msrs "
                             "(needs: root)");
}

static void
find_emulation(IrekoVerdict *verdict)
{
    const char *above = verdict->facts->above;
    bool emulated = g_strcmp0(above, "qemu-tcg") == 0 || g_strcmp0(above, "bochs") == 0;
    if (emulated && verdict->facts->hv != IREKO_HV_NONE)
        add(verdict, "emulated", IREKO_SEVERITY_INFO,
            g_strdup_printf(
                "the hardware assistance of this layer is emulated (%s): it shows that a "
                "nest is set up right, and nothing of its speed",
                above),
            g_strdup(verdict->facts->above_evidence));
}

static void
find_others(IrekoVerdict *verdict)
{
    const char *others = verdict->survey->others;
    if (others == NULL || g_strcmp0(verdict->cause, "held-by-other") == 0)
        return;
    add(verdict, "other-hypervisor", IREKO_SEVERITY_WARNING,
        g_strdup(
            "another hypervisor is loaded; while it or KVM has the CPU's assistance, the other "
            "may be refused"),
        g_strdup(others))
        ->fix = g_strdup("run one at a time; from Linux 6.12 on load kvm with "
                         "enable_virt_at_load=0 to let go of it while no guest of KVM runs (needs: "
                         "root)");
}

static void
find_room(IrekoVerdict *verdict)
{
    const IrekoFacts *facts = verdict->facts;
    const IrekoSurvey *survey = verdict->survey;
    uint64_t room = facts->available_bytes;
    bool is_capped = survey->cgroup_memory_max >= 0 && (uint64_t)survey->cgroup_memory_max < room;
    if (is_capped)
        room = (uint64_t)survey->cgroup_memory_max;
    g_autofree char *memory = ireko_text_size(room);
    if (room != 0)
        add(verdict, room < NEST_MEMORY_BYTES ? "memory-short" : "memory-room",
            room < NEST_MEMORY_BYTES ? IREKO_SEVERITY_WARNING : IREKO_SEVERITY_INFO,
            g_strdup_printf("%s of memory for a nest; examples/workshop takes 2.2 GiB", memory),
            g_strdup(is_capped ? "the cgroup's memory limit" : "/proc/meminfo MemAvailable"));
    g_autofree char *disk = ireko_text_size(survey->disk_free_bytes);
    if (survey->disk_free_bytes != 0)
        add(verdict, survey->disk_free_bytes < NEST_DISK_BYTES ? "disk-short" : "disk-room",
            survey->disk_free_bytes < NEST_DISK_BYTES ? IREKO_SEVERITY_WARNING
                                                      : IREKO_SEVERITY_INFO,
            g_strdup_printf("%s of disk for images and disks; the images take 400 MiB", disk),
            g_strdup("statvfs of the folder that images are kept in"));
}

static void
find_limits(IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    if (survey->open_files_max >= 0 && survey->open_files_max < NEST_FILES)
        add(verdict, "open-files", IREKO_SEVERITY_WARNING,
            g_strdup_printf("a process may open %" G_GINT64_FORMAT " files; a lab wants %d",
                            survey->open_files_max, NEST_FILES),
            g_strdup("RLIMIT_NOFILE"))
            ->fix = g_strdup("ulimit -n 4096");
    if (survey->cgroup_pids_max >= 0 && survey->cgroup_pids_max < NEST_PIDS)
        add(verdict, "pids-limit", IREKO_SEVERITY_WARNING,
            g_strdup_printf("the cgroup allows %" G_GINT64_FORMAT " processes and threads; a lab "
                            "wants %d",
                            survey->cgroup_pids_max, NEST_PIDS),
            g_strdup("pids.max"))
            ->fix = g_strdup("raise it where the container is started");
}

static void
find_memory_sharing(IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    if (survey->ksm_run >= 0) {
        g_autofree char *sharing = ireko_text_size(survey->ksm_sharing_bytes);
        add(verdict, "ksm", IREKO_SEVERITY_INFO,
            survey->ksm_run == 1
                ? g_strdup_printf("KSM runs and saves %s; it merges private memory only", sharing)
                : g_strdup("KSM does not run: equal pages of guests are kept once for each"),
            g_strdup_printf("/sys/kernel/mm/ksm/run is %d", survey->ksm_run));
    }
    g_autofree char *pool = ireko_text_size(survey->huge_page_pool_bytes);
    g_autofree char *left = ireko_text_size(survey->huge_page_free_bytes);
    g_autofree char *reserved = survey->huge_page_pool_bytes != 0
                                    ? g_strdup_printf("%s, %s free", pool, left)
                                    : g_strdup("none");
    if (survey->huge_pages != NULL || survey->huge_page_pool_bytes != 0)
        add(verdict, "huge-pages", IREKO_SEVERITY_INFO,
            g_strdup_printf("transparent huge pages: %s; reserved huge pages: %s",
                            survey->huge_pages != NULL ? survey->huge_pages : "not known",
                            reserved),
            g_strdup("/sys/kernel/mm/transparent_hugepage, /proc/meminfo"));
}

/* What virt-host-validate asks besides. */
static void
find_devices(IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    if (survey->vhost_net.there == IREKO_READ_NO)
        add(verdict, "vhost-net", IREKO_SEVERITY_INFO,
            g_strdup("no /dev/vhost-net: virtio network cards are served by QEMU itself"), NULL)
            ->fix = g_strdup("modprobe vhost_net (needs: root)");
    if (survey->tun.there == IREKO_READ_NO)
        add(verdict, "tun", IREKO_SEVERITY_INFO,
            g_strdup("no /dev/net/tun: guests have QEMU's user network, no tap device"), NULL)
            ->fix = g_strdup("modprobe tun (needs: root)");
    if (survey->iommu != IREKO_READ_UNKNOWN)
        add(verdict, "iommu", IREKO_SEVERITY_INFO,
            g_strdup(survey->iommu == IREKO_READ_YES ? "an IOMMU is at work"
                                                     : "no IOMMU is at work: no device can be "
                                                       "handed to a guest"),
            g_strdup(survey->iommu_evidence));
}

static void
find_container(IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    if (survey->container != NULL)
        add(verdict, "in-container", IREKO_SEVERITY_INFO,
            g_strdup_printf("this is a container (%s): devices and limits are what it was given",
                            survey->container),
            g_strdup(survey->container_evidence));
}

static void
find_vulnerabilities(IrekoVerdict *verdict)
{
    const GPtrArray *all = verdict->survey->vulnerabilities;
    g_autoptr(GString) open = g_string_new(NULL);
    for (guint i = 0; all != NULL && i < all->len; i++) {
        const char *line = all->pdata[i];
        const char *colon = strchr(line, ':');
        if (colon != NULL && strstr(colon, "ulnerable") != NULL)
            g_string_append_printf(open, "%s%.*s", open->len > 0 ? ", " : "", (int)(colon - line),
                                   line);
    }
    if (open->len > 0)
        add(verdict, "cpu-vulnerable", IREKO_SEVERITY_INFO,
            g_strdup_printf("the kernel calls this CPU vulnerable to: %s; do not run guests of "
                            "strangers here",
                            open->str),
            g_strdup("/sys/devices/system/cpu/vulnerabilities"));
}

static void
find_unread(IrekoVerdict *verdict)
{
    const IrekoSurvey *survey = verdict->survey;
    const IrekoMsr *control = ireko_survey_msr(survey, MSR_FEATURE_CONTROL);
    bool denied = control != NULL && control->read == IREKO_READ_DENIED;
    if (survey->msr_evidence != NULL)
        g_ptr_array_add(verdict->unread,
                        g_strdup_printf("the CPU's registers (MSRs): %s%s", survey->msr_evidence,
                                        denied && !survey->is_root ? "; root may read them" : ""));
    for (guint i = 0; i < verdict->links->len; i++) {
        const IrekoLink *link = verdict->links->pdata[i];
        if (link->state == IREKO_LINK_UNKNOWN)
            g_ptr_array_add(verdict->unread, g_strdup_printf("%s: %s", link->name, link->evidence));
    }
    if (survey->qemu.path != NULL && survey->qemu.tcg_svm == IREKO_READ_UNKNOWN)
        g_ptr_array_add(verdict->unread,
                        g_strdup_printf("what QEMU can: %s", survey->qemu.evidence != NULL
                                                                 ? survey->qemu.evidence
                                                                 : "it was not asked"));
}

void
ireko_verdict_find(IrekoVerdict *verdict)
{
    find_cause(verdict);
    find_qemu(verdict);
    find_others(verdict);
    find_emulation(verdict);
    find_paging(verdict);
    find_room(verdict);
    find_limits(verdict);
    bool hands_on = strcmp(verdict->word, "hardware") == 0;
    IrekoFinding *holes =
        ireko_verdict_kernel_holes(verdict->facts->kernel, verdict->survey->distribution, hands_on);
    if (holes != NULL && (verdict->facts->hv != IREKO_HV_NONE || verdict->facts->kvm.usable))
        g_ptr_array_add(verdict->findings, holes);
    else
        ireko_finding_free(holes);
    find_vulnerabilities(verdict);
    find_container(verdict);
    find_devices(verdict);
    find_memory_sharing(verdict);
    find_unread(verdict);
}
