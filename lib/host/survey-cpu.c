/* host/survey-cpu.c - the processor beyond its facts: architecture, flags, registers, and whether
 * this machine is a confidential guest, in which KVM cannot work. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "host/parts.h"

#define FLAGS_MAX        1024
#define MSR_SEV_STATUS   0xc0010131u
#define ECX_HYPERVISOR   (1u << 31)
#define SEV_STATUS_ES    2u
#define SEV_STATUS_SNP   4u
#define LEAF_TDX         0x21u
#define LEAF_SEV         0x8000001fu
#define SEV_LEAF_SEV     2u          /* EAX bit 1 */
#define LEAF_HYPERV      0x40000003u /* TLFS: EBX bit 22 isolation, bit 12 is the root's */
#define LEAF_HYPERV_ISO  0x4000000cu /* EBX bits 0-3: 2 SNP, 3 TDX */
#define HYPERV_ISOLATION (1u << 22)
#define HYPERV_MANAGES   (1u << 12)

/* ---- architecture ---- */

static const struct {
    const char *field; /* of /proc/cpuinfo */
    const char *part;  /* of its value */
    const char *arch;
} architectures[] = {
    {"arch", "IA-64", "ia64"},          {"flags", "", "x86_64"},
    {"CPU implementer", "", "aarch64"}, {"vendor_id", "IBM/S390", "s390x"},
    {"isa", "rv64", "riscv64"},         {"cpu", "POWER", "ppc64le"},
};

static char *
read_arch(const IrekoHostSource *source, const char *cpuinfo)
{
    struct utsname name;
    if (source->probe && uname(&name) == 0)
        return g_strdup(name.machine);
    const char *told = ireko_host_told(source, "arch");
    if (told != NULL)
        return g_strdup(told);
    for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++) {
        g_autofree char *value = ireko_host_cpuinfo(cpuinfo, architectures[i].field);
        if (value != NULL && strstr(value, architectures[i].part) != NULL)
            return g_strdup(architectures[i].arch);
    }
    return source->cpuid != NULL ? g_strdup("x86_64") : NULL;
}

static void
read_flags(const char *cpuinfo, GPtrArray *flags)
{
    g_autofree char *words = ireko_host_cpuinfo(cpuinfo, "flags");
    if (words == NULL)
        words = ireko_host_cpuinfo(cpuinfo, "Features"); /* arm */
    for (const char *at = words; at != NULL && *at != '\0' && flags->len < FLAGS_MAX;) {
        size_t n = strcspn(at, " ");
        if (n > 0)
            g_ptr_array_add(flags, g_strndup(at, n));
        at += n + strspn(at + n, " ");
    }
}

/* ---- registers ---- */

/* IA32_FEATURE_CONTROL, then the capabilities of VMX; SYSCFG, VM_CR, SEV_STATUS. */
static const struct {
    uint32_t first, last;
    bool amd;
} ranges[] = {
    {0x3a, 0x3a, false},
    {0x480, 0x491, false},
    {0xc0010010, 0xc0010010, true},
    {0xc0010114, 0xc0010114, true},
    {MSR_SEV_STATUS, MSR_SEV_STATUS, true},
};

static void
explain_msrs(int errnum, IrekoSurvey *survey)
{
    if (survey->msr_evidence != NULL)
        return;
    if (errnum == ENODATA)
        survey->msr_evidence = g_strdup("the record does not have them");
    else if (errnum == ENOENT || errnum == ENXIO)
        survey->msr_evidence = g_strdup("no /dev/cpu/0/msr: the module msr is not loaded");
    else
        survey->msr_evidence = g_strdup_printf("/dev/cpu/0/msr: %s", g_strerror(errnum));
}

static void
read_msr(const IrekoHostSource *source, uint32_t index, IrekoSurvey *survey)
{
    IrekoMsr *msr = g_new0(IrekoMsr, 1);
    msr->index = index;
    g_ptr_array_add(survey->msrs, msr);
    if (survey->msr_evidence != NULL) { /* the next would not be read either */
        msr->read = ((const IrekoMsr *)g_ptr_array_index(survey->msrs, 0))->read;
        return;
    }
    int errnum = ireko_host_msr(source, index, &msr->value);
    msr->read = errnum == 0                           ? IREKO_READ_YES
                : errnum == EIO                       ? IREKO_READ_NO
                : errnum == EACCES || errnum == EPERM ? IREKO_READ_DENIED
                                                      : IREKO_READ_UNKNOWN;
    if (errnum != 0 && errnum != EIO)
        explain_msrs(errnum, survey);
}

/* A record may hold some registers and not others. */
static void
read_msrs(const IrekoHostSource *source, const IrekoFacts *facts, IrekoSurvey *survey)
{
    const char *vendor = facts->cpu_vendor != NULL ? facts->cpu_vendor : "";
    bool amd = strcmp(vendor, "AuthenticAMD") == 0 || strcmp(vendor, "HygonGenuine") == 0;
    if (g_strcmp0(survey->arch, "x86_64") != 0 && g_strcmp0(survey->arch, "i686") != 0)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
        for (uint32_t index = ranges[i].first; index <= ranges[i].last && ranges[i].amd == amd;
             index++)
            read_msr(source, index, survey);
    }
}

/* ---- confidential guests ---- */

static bool
ask(const IrekoHostSource *source, uint32_t leaf, uint32_t regs[4])
{
    memset(regs, 0, 4 * sizeof regs[0]);
    return source->cpuid != NULL && source->cpuid(source->data, leaf, 0, regs);
}

static bool
has_flag(const IrekoSurvey *survey, const char *flag)
{
    for (guint i = 0; i < survey->cpu_flags->len; i++) {
        if (strcmp(g_ptr_array_index(survey->cpu_flags, i), flag) == 0)
            return true;
    }
    return false;
}

/* Hyper-V hides the leaves of SEV from its guests and says it in its own. */
static uint32_t
hyperv_isolation(const IrekoHostSource *source)
{
    uint32_t regs[4];
    if (!ask(source, 0x40000000u, regs) || memcmp(&regs[1], "Microsoft Hv", 12) != 0 ||
        !ask(source, LEAF_HYPERV, regs) || (regs[1] & HYPERV_ISOLATION) == 0 ||
        (regs[1] & HYPERV_MANAGES) != 0 || !ask(source, LEAF_HYPERV_ISO, regs))
        return 0;
    return regs[1] & 0xf;
}

static const char *
sev_kind(const IrekoSurvey *survey, uint32_t isolation)
{
    const IrekoMsr *status = ireko_survey_msr(survey, MSR_SEV_STATUS);
    uint64_t bits = status != NULL && status->read == IREKO_READ_YES ? status->value : 0;
    if (isolation == 2 || (bits & SEV_STATUS_SNP) != 0 || has_flag(survey, "sev_snp"))
        return "sev-snp";
    if ((bits & SEV_STATUS_ES) != 0 || has_flag(survey, "sev_es"))
        return "sev-es";
    return (bits & 1) != 0 || has_flag(survey, "sev") ? "sev" : NULL;
}

static IrekoRead
read_sev(const IrekoHostSource *source, const IrekoSurvey *survey)
{
    uint32_t regs[4];
    const IrekoMsr *status = ireko_survey_msr(survey, MSR_SEV_STATUS);
    if (!ask(source, LEAF_SEV, regs))
        return source->cpuid != NULL ? IREKO_READ_NO : IREKO_READ_UNKNOWN;
    if ((regs[0] & SEV_LEAF_SEV) == 0 || (status != NULL && status->read == IREKO_READ_YES))
        return IREKO_READ_NO;
    return status != NULL && status->read == IREKO_READ_DENIED ? IREKO_READ_DENIED
                                                               : IREKO_READ_UNKNOWN;
}

static void
read_confidential(const IrekoHostSource *source, IrekoSurvey *survey)
{
    uint32_t regs[4];
    bool asked = ask(source, 1, regs);
    bool below = asked ? (regs[2] & ECX_HYPERVISOR) != 0 : has_flag(survey, "hypervisor");
    bool known = asked || survey->cpu_flags->len > 0;
    survey->sev_guest = survey->tdx_guest = known ? IREKO_READ_NO : IREKO_READ_UNKNOWN;
    if (!below)
        return; /* on metal the same flags say what the host can offer */

    uint32_t isolation = hyperv_isolation(source);
    const char *sev = sev_kind(survey, isolation);
    bool tdx = ask(source, LEAF_TDX, regs) && memcmp(&regs[1], "Inte", 4) == 0 &&
               memcmp(&regs[3], "lTDX", 4) == 0;
    if (tdx || isolation == 3 || has_flag(survey, "tdx_guest")) {
        survey->tdx_guest = IREKO_READ_YES;
        survey->confidential = g_strdup("tdx");
    } else if (sev != NULL) {
        survey->sev_guest = IREKO_READ_YES;
        survey->confidential = g_strdup(sev);
    } else {
        survey->sev_guest = read_sev(source, survey);
    }
}

/* ---- together ---- */

static void
read_xen(const IrekoHostSource *source, IrekoSurvey *survey)
{
    uint32_t regs[4];
    bool hvm = ask(source, 0x40000000u, regs) && memcmp(&regs[1], "XenVMMXenVMM", 12) == 0;
    if (!hvm)
        hvm = ask(source, 0x40000100u, regs) && memcmp(&regs[1], "XenVMMXenVMM", 12) == 0;
    g_autofree char *type = ireko_host_line(source->root_fd, "sys/hypervisor/type");
    g_autofree char *guest = ireko_host_line(source->root_fd, "sys/hypervisor/guest_type");
    bool xen = g_strcmp0(type, "xen") == 0 || ireko_host_exists(source->root_fd, "proc/xen");
    if (ireko_host_is_xen_dom0(source->root_fd))
        survey->xen = g_strdup("dom0");
    else if (hvm || (guest != NULL && g_ascii_strcasecmp(guest, "PV") != 0))
        survey->xen = g_strdup("hvm");
    else if (xen)
        survey->xen = g_strdup("pv");
}

void
ireko_host_survey_cpu(const IrekoHostSource *source, const IrekoFacts *facts, IrekoSurvey *survey)
{
    g_autofree char *cpuinfo =
        ireko_host_head(source->root_fd, "proc/cpuinfo", IREKO_HOST_CPUINFO_MAX, NULL);
    survey->is_root =
        source->probe ? geteuid() == 0 : ireko_host_told_yes(source, "root") == IREKO_READ_YES;
    survey->arch = read_arch(source, cpuinfo);
    read_flags(cpuinfo, survey->cpu_flags);
    read_msrs(source, facts, survey);
    ireko_host_read_above(source, cpuinfo, NULL, survey->above_all);
    read_confidential(source, survey);
    read_xen(source, survey);
}
