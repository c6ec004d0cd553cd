/* host/links.c - the chain from the CPU to a vCPU that ran, judged link by link.
 *
 *   cpu         CPUID shows VMX or SVM
 *   firmware    and no register locks it off: IA32_FEATURE_CONTROL (3ah) with bit 0 set and bit 2
 *               clear (Intel SDM vol. 3C, 24.7), VM_CR (c0010114h) with bit 4, SVMDIS (AMD APM vol.
 *               2, 15.30.1)
 *   module      kvm_intel or kvm_amd is loaded
 *   nested      and hands the assistance on: its parameter `nested`
 *   device      /dev/kvm is there
 *   permission  and opens
 *   probe       a VM could be made, and its vCPU ran to HLT
 *
 * The first broken link is the cause; what is behind it is skipped, but for `nested`: without it
 * guests still run, only without guests of their own on KVM. A link that cannot be read is unknown
 * and ends nothing. Where a later link holds, so must those before it: an opened device needs no
 * /sys to prove its module.
 *
 * A hidden flag has three names. Where the .vmx of this very machine is to be changed - the layer
 * above is a VMware product, or ireko - it is vhv-off; else hidden-by-host. A Xen or Hyper-V whose
 * control domain this is has the assistance to itself: held-by-other. */
#include <errno.h>
#include <string.h>

#include "host/judge.h"

#define MSR_FEATURE_CONTROL    0x3au
#define FEATURE_CONTROL_LOCKED ((uint64_t)1 << 0)
#define FEATURE_CONTROL_VMXON  ((uint64_t)1 << 2)
#define MSR_VM_CR              0xc0010114u
#define VM_CR_SVMDIS           ((uint64_t)1 << 4)

typedef struct {
    IrekoLinkState state;
    const char *cause; /* of a broken one */
    char *evidence;
} Found;

static Found
ok(char *evidence)
{
    return (Found){.state = IREKO_LINK_OK, .evidence = evidence};
}

static Found
unknown(char *evidence)
{
    return (Found){.state = IREKO_LINK_UNKNOWN, .evidence = evidence};
}

static Found
broken(const char *cause, char *evidence)
{
    return (Found){.state = IREKO_LINK_BROKEN, .cause = cause, .evidence = evidence};
}

const char *
ireko_verdict_param(const IrekoFacts *facts, const char *name)
{
    size_t len = strlen(name);
    for (guint i = 0; i < facts->kvm_params->len; i++) {
        const char *param = facts->kvm_params->pdata[i];
        if (strncmp(param, name, len) == 0 && param[len] == '=')
            return param + len + 1;
    }
    return NULL;
}

bool
ireko_verdict_is_on(const char *value)
{
    return value != NULL && (*value == 'Y' || *value == 'y' || (*value >= '1' && *value <= '9'));
}

static bool
has_text(const GPtrArray *texts, const char *wanted)
{
    return texts != NULL && g_ptr_array_find_with_equal_func((GPtrArray *)(uintptr_t)texts, wanted,
                                                             g_str_equal, NULL);
}

static bool
is_guest(const IrekoFacts *facts)
{
    return facts->above != NULL && strcmp(facts->above, "none") != 0;
}

/* WSL is told as a container, and its devices are its own. */
static bool
in_container(const IrekoSurvey *survey)
{
    return survey->container != NULL && strcmp(survey->container, "wsl") != 0;
}

/* The module of a CPU whose HV is not known may be either. */
static const char *
module_name(const IrekoFacts *facts)
{
    if (facts->hv == IREKO_HV_NONE)
        return strstr(facts->cpu_vendor != NULL ? facts->cpu_vendor : "", "AMD") != NULL
                   ? "kvm_amd"
                   : "kvm_intel";
    return facts->hv == IREKO_HV_VMX ? "kvm_intel" : "kvm_amd";
}

static const IrekoMsr *
read_msr(const IrekoSurvey *survey, uint32_t index)
{
    const IrekoMsr *msr = ireko_survey_msr(survey, index);
    return msr != NULL && msr->read == IREKO_READ_YES ? msr : NULL;
}

/* Why the firmware's register locks assistance off, or NULL; free with g_free. */
static char *
locked_off(const IrekoSurvey *survey)
{
    const IrekoMsr *control = read_msr(survey, MSR_FEATURE_CONTROL);
    if (control != NULL && (control->value & FEATURE_CONTROL_LOCKED) != 0 &&
        (control->value & FEATURE_CONTROL_VMXON) == 0)
        return g_strdup_printf("MSR 3ah (IA32_FEATURE_CONTROL) is %" G_GINT64_MODIFIER
                               "x: locked (bit 0), VMXON off (bit 2)",
                               control->value);
    const IrekoMsr *vm_cr = read_msr(survey, MSR_VM_CR);
    if (vm_cr != NULL && (vm_cr->value & VM_CR_SVMDIS) != 0)
        return g_strdup_printf("MSR c0010114h (VM_CR) is %" G_GINT64_MODIFIER
                               "x: SVMDIS (bit 4) is set",
                               vm_cr->value);
    return NULL;
}

/* The other hypervisor under which this machine is the control domain, or NULL. */
static const char *
controls(const IrekoSurvey *survey)
{
    if (g_strcmp0(survey->xen, "dom0") == 0)
        return "Xen";
    const char *others = survey->others != NULL ? survey->others : "";
    if (strstr(others, "xen") != NULL)
        return "Xen";
    return strstr(others, "hyperv") != NULL ? "Hyper-V" : NULL;
}

/* A CPU of another kind has assistance of another kind. */
static char *
foreign_cpu(const IrekoSurvey *survey)
{
    const char *arch = survey->arch;
    if (arch == NULL || strcmp(arch, "x86_64") == 0 ||
        (arch[0] == 'i' && g_str_has_suffix(arch, "86")))
        return NULL;
    if (strcmp(arch, "ia64") == 0)
        return g_strdup("this is an Itanium (ia64): its hardware assistance is Intel's VT-i, not "
                        "the VT-x of x86; Linux dropped KVM for it in 3.19");
    if (strcmp(arch, "aarch64") == 0)
        return g_strdup("this is an Arm CPU (aarch64): its hardware assistance is EL2, not the VMX "
                        "or SVM of x86");
    return g_strdup_printf("this CPU is a '%s', not an x86: it has neither VMX nor SVM", arch);
}

static Found
judge_hidden_cpu(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    const char *evidence = facts->hv_evidence != NULL ? facts->hv_evidence : "no VMX, no SVM";
    const char *domain = controls(survey);
    if (domain != NULL)
        return broken("held-by-other",
                      g_strdup_printf("%s; %s runs this machine as its control domain and has the "
                                      "assistance to itself",
                                      evidence, domain));
    if (survey->sev_guest == IREKO_READ_YES || survey->tdx_guest == IREKO_READ_YES)
        return broken(
            "sev-guest",
            g_strdup_printf("%s; this machine is a confidential guest (%s)", evidence,
                            survey->sev_guest == IREKO_READ_YES ? "AMD SEV" : "Intel TDX"));
    if (!is_guest(facts))
        return broken("cpu-lacks", g_strdup(evidence));
    bool own_vmx = survey->ireko_machine || strcmp(facts->above, "vmware") == 0;
    return broken(own_vmx ? "vhv-off" : "hidden-by-host",
                  g_strdup_printf("%s; the layer above is %s", evidence, facts->above));
}

static Found
judge_cpu(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    char *foreign = foreign_cpu(survey);
    if (foreign != NULL)
        return broken("cpu-lacks", foreign);
    if (facts->hv != IREKO_HV_NONE) {
        g_ptr_array_add(facts->hv_features, NULL);
        g_autofree char *features = g_strjoinv(" ", (char **)facts->hv_features->pdata);
        g_ptr_array_set_size(facts->hv_features, (gint)facts->hv_features->len - 1);
        return ok(
            g_strconcat(facts->hv_evidence, *features != '\0' ? "; it has " : "", features, NULL));
    }
    /* Linux takes the flag out of /proc/cpuinfo where the firmware locks it off: without CPUID, ask
     * the register. Below another layer the register is that layer's, and proves nothing. */
    g_autofree char *locked = locked_off(survey);
    bool by_flags = g_str_has_prefix(facts->hv_evidence != NULL ? facts->hv_evidence : "", "/proc");
    if (locked != NULL && by_flags && !is_guest(facts))
        return ok(g_strconcat("no flag is left of it, and yet the CPU has it: ", locked, NULL));
    return judge_hidden_cpu(facts, survey);
}

static Found
judge_firmware(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    char *locked = locked_off(survey);
    if (locked != NULL)
        return broken("firmware-off", locked);
    const IrekoMsr *msr =
        read_msr(survey, facts->hv == IREKO_HV_VMX ? MSR_FEATURE_CONTROL : MSR_VM_CR);
    if (msr != NULL)
        return ok(g_strdup_printf("MSR %xh is %" G_GINT64_MODIFIER "x: not locked off", msr->index,
                                  msr->value));
    if (facts->kvm.usable)
        return ok(g_strdup("a vCPU ran"));
    const char *flag = ireko_hv_name(facts->hv);
    if (has_text(survey->cpu_flags, flag))
        return ok(
            g_strdup_printf("/proc/cpuinfo has the flag '%s': the kernel found it usable", flag));
    if (survey->cpu_flags != NULL && survey->cpu_flags->len > 0)
        return broken("firmware-off",
                      g_strdup_printf("CPUID has the bit, and /proc/cpuinfo no flag '%s': the "
                                      "kernel found it switched off",
                                      flag));
    return unknown(g_strdup(survey->msr_evidence != NULL
                                ? survey->msr_evidence
                                : "neither a register nor a flag is known"));
}

static Found
judge_module(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    const char *name = module_name(facts);
    IrekoRead read = facts->hv == IREKO_HV_VMX ? survey->module_vmx : survey->module_svm;
    if (read == IREKO_READ_YES)
        return ok(g_strdup_printf("/sys/module/%s is there", name));
    if (facts->kvm.usable || survey->kvm.open_errno == 0)
        return ok(g_strdup("/dev/kvm opened"));
    const char *domain = controls(survey);
    if (domain != NULL)
        return broken(
            "held-by-other",
            g_strdup_printf("no /sys/module/%s: under %s no module gets it", name, domain));
    if (read == IREKO_READ_NO)
        return broken("module-missing", g_strdup_printf("there is no /sys/module/%s", name));
    return unknown(g_strdup("which modules are loaded is not known"));
}

static Found
judge_nested(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    (void)survey;
    g_autofree char *name = g_strconcat(module_name(facts), ".nested", NULL);
    const char *value = ireko_verdict_param(facts, name);
    if (value == NULL)
        return unknown(g_strdup_printf("no parameter %s can be read", name));
    char *evidence = g_strdup_printf("%s=%s", name, value);
    return ireko_verdict_is_on(value) ? ok(evidence) : broken("nested-off", evidence);
}

static Found
judge_device(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    if (survey->kvm.there == IREKO_READ_YES)
        return ok(g_strdup_printf("/dev/kvm, mode %04o, %s:%s", survey->kvm.mode,
                                  survey->kvm.owner != NULL ? survey->kvm.owner : "?",
                                  survey->kvm.group != NULL ? survey->kvm.group : "?"));
    if (facts->kvm.usable || survey->kvm.open_errno == 0)
        return ok(g_strdup("/dev/kvm opened"));
    if (survey->kvm.there == IREKO_READ_UNKNOWN)
        return unknown(g_strdup("whether there is a /dev/kvm is not known"));
    const char *absent = survey->kvm_registered == IREKO_READ_YES
                             ? "the kernel has KVM (/sys/class/misc/kvm), and there is no /dev/kvm"
                             : "there is no /dev/kvm";
    if (in_container(survey))
        return broken(
            "container",
            g_strdup_printf("%s in this container (%s: %s)", absent, survey->container,
                            survey->container_evidence != NULL ? survey->container_evidence : "?"));
    return broken("device-missing", g_strdup(absent));
}

/* EBUSY: somebody has it, known or not. */
static const char *
busy_cause(const IrekoSurvey *survey)
{
    return survey->others != NULL ? "held-by-other" : "device-busy";
}

/* Takes EVIDENCE. */
static char *
with_others(char *evidence, const IrekoSurvey *survey)
{
    if (survey->others == NULL)
        return evidence;
    char *more = g_strconcat(evidence, "; loaded here: ", survey->others, NULL);
    g_free(evidence);
    return more;
}

static Found
refused(const IrekoSurvey *survey, int number)
{
    char *opened = g_strdup_printf("open /dev/kvm: %s", g_strerror(number));
    switch (number) {
    case EACCES:
        return broken("device-denied", opened);
    case EPERM:
        return broken(in_container(survey) ? "container" : "device-denied", opened);
    case EBUSY:
        return broken(busy_cause(survey), with_others(opened, survey));
    case ENOENT:
    case ENODEV:
    case ENXIO: /* a node without a driver behind it */
        return broken(in_container(survey) ? "container" : "device-missing", opened);
    default:
        return broken("unknown", opened);
    }
}

/* The mode may allow what a device cgroup, a security module or the driver then refuses: the trial,
 * which opened it in earnest, has the last word. */
static Found
judge_permission(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    static const char *const refusals[] = {"device-denied", "device-missing", "container", NULL};
    int number = survey->kvm.open_errno;
    const char *cause = facts->kvm.cause != NULL ? facts->kvm.cause : "unknown";
    if (facts->kvm.usable)
        return ok(g_strdup("/dev/kvm opened for reading and writing"));
    if (number > 0)
        return refused(survey, number);
    if (g_strv_contains(refusals, cause))
        return broken(cause, g_strdup(facts->kvm.evidence));
    return number == 0 ? ok(g_strdup("/dev/kvm may be opened for reading and writing"))
                       : unknown(g_strdup("/dev/kvm was not tried"));
}

static Found
judge_probe(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    const char *evidence = facts->kvm.evidence != NULL ? facts->kvm.evidence : "nothing was tried";
    if (facts->kvm.usable)
        return ok(g_strconcat(evidence,
                              survey->nested_state == IREKO_READ_YES
                                  ? "; nested state can be saved (KVM_CAP_NESTED_STATE)"
                              : survey->nested_state == IREKO_READ_NO
                                  ? "; nested state cannot be saved (no KVM_CAP_NESTED_STATE)"
                                  : "",
                              NULL));
    const char *cause = facts->kvm.cause != NULL ? facts->kvm.cause : "unknown";
    bool untold = survey->is_recorded && strcmp(cause, "unknown") == 0;
    if (survey->kvm.open_errno != 0 || untold)
        return unknown(g_strdup(untold ? evidence : "no VM was made"));
    bool busy = strcmp(cause, "held-by-other") == 0 || strcmp(cause, "device-busy") == 0;
    return broken(busy ? busy_cause(survey) : cause, with_others(g_strdup(evidence), survey));
}

static const struct {
    const char *name;
    Found (*judge)(const IrekoFacts *facts, const IrekoSurvey *survey);
} chain[] = {
    {"cpu", judge_cpu},       {"firmware", judge_firmware}, {"module", judge_module},
    {"nested", judge_nested}, {"device", judge_device},     {"permission", judge_permission},
    {"probe", judge_probe},
};

static void
add_link(IrekoVerdict *verdict, const char *name, IrekoLinkState state, char *evidence)
{
    IrekoLink *link = g_new0(IrekoLink, 1);
    *link = (IrekoLink){.name = name, .state = state, .evidence = evidence};
    g_ptr_array_add(verdict->links, link);
}

void
ireko_verdict_judge_links(IrekoVerdict *verdict)
{
    const char *stopped = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(chain); i++) {
        const char *name = chain[i].name;
        if (stopped != NULL) {
            add_link(verdict, name, IREKO_LINK_SKIPPED, g_strdup_printf("behind '%s'", stopped));
            continue;
        }
        Found found = chain[i].judge(verdict->facts, verdict->survey);
        add_link(verdict, name, found.state, found.evidence);
        if (found.state != IREKO_LINK_BROKEN)
            continue;
        bool guests_run = chain[i].judge == judge_nested;
        if (verdict->cause == NULL)
            verdict->cause = found.cause;
        if (!guests_run) {
            verdict->kvm_cause = found.cause;
            stopped = name;
        }
    }
    if (verdict->facts->kvm.usable)
        verdict->kvm_cause = NULL;
    else if (verdict->kvm_cause == NULL)
        verdict->kvm_cause = "unknown";
    if (verdict->cause == NULL)
        verdict->cause = verdict->kvm_cause;
}
