/* host/cpu.c - what the CPU says of itself.
 *
 * CPUID is asked first: inside a nest it is what the layer above let through. /proc/cpuinfo is what
 * the kernel made of it, and stands in where a recorded host has no CPUID. Assistance: SVM is
 * 80000001h ECX bit 2, its parts 8000000Ah EDX (AMD APM vol. 3, E.4); VMX is 1 ECX bit 5, its parts
 * are in MSRs (host/msr.c) that the kernel prints as "vmx flags" (Linux 5.9 on).
 */
#include <string.h>

#include "base/text.h"
#include "host/parts.h"

#define LEAF_EXTENDED       0x80000001u
#define LEAF_BRAND          0x80000002u /* and the two after it */
#define LEAF_SVM            0x8000000au
#define ECX_VMX             (1u << 5)
#define EXTENDED_ECX_SVM    (1u << 2)
#define MSR_PROCBASED_CTLS2 0x48b
#define CTLS2_EPT           ((uint64_t)1 << 33) /* allowed-1 half, bit 1 */
#define FEATURES_MAX        64
#define FEATURE_LEN_MAX     32

enum { EAX, EBX, ECX, EDX };

static const struct {
    unsigned bit; /* of 8000000Ah EDX */
    const char *name;
    const char *flag; /* in /proc/cpuinfo */
} svm_features[] = {
    {0, "npt", "npt"},
    {1, "lbrv", "lbrv"},
    {2, "svm-lock", "svm_lock"},
    {3, "nrip-save", "nrip_save"},
    {4, "tsc-scale", "tsc_scale"},
    {5, "vmcb-clean", "vmcb_clean"},
    {6, "flushbyasid", "flushbyasid"},
    {7, "decodeassists", "decodeassists"},
    {10, "pause-filter", "pausefilter"},
    {12, "pfthreshold", "pfthreshold"},
    {13, "avic", "avic"},
    {15, "v-vmsave-vmload", "v_vmsave_vmload"},
    {16, "vgif", "vgif"},
    {18, "x2avic", "x2avic"},
    {25, "vnmi", "vnmi"},
    {28, "svme-addr-chk", "svme_addr_chk"},
};

static bool
ask(const IrekoHostSource *source, uint32_t leaf, uint32_t regs[4])
{
    memset(regs, 0, 4 * sizeof regs[0]);
    return source->cpuid != NULL && source->cpuid(source->data, leaf, 0, regs);
}

static void
read_names(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts)
{
    uint32_t regs[4];
    if (ask(source, 0, regs)) {
        const uint32_t order[] = {regs[EBX], regs[EDX], regs[ECX]};
        facts->cpu_vendor = ireko_text_safe((const char *)order, strnlen((const char *)order, 12));
    } else {
        facts->cpu_vendor = ireko_host_cpuinfo(cpuinfo, "vendor_id");
        if (facts->cpu_vendor == NULL)
            facts->cpu_vendor = ireko_host_cpuinfo(cpuinfo, "vendor"); /* Itanium's name for it */
    }

    char brand[49] = "";
    for (uint32_t i = 0; i < 3 && ask(source, LEAF_BRAND + i, regs); i++)
        memcpy(brand + 16 * i, regs, sizeof regs);
    if (*g_strstrip(brand) != '\0')
        facts->cpu_model = ireko_text_safe(brand, (size_t)-1);
    else
        facts->cpu_model = ireko_host_cpuinfo(cpuinfo, "model name");
}

static void
add_feature(IrekoFacts *facts, const char *name)
{
    if (facts->hv_features->len < FEATURES_MAX && strlen(name) <= FEATURE_LEN_MAX)
        g_ptr_array_add(facts->hv_features, g_strdup(name));
}

static void
read_svm(const IrekoHostSource *source, const char *flags, uint32_t ecx, IrekoFacts *facts)
{
    uint32_t regs[4];
    bool asked = ask(source, LEAF_SVM, regs);
    for (size_t i = 0; i < G_N_ELEMENTS(svm_features); i++) {
        bool has = asked ? (regs[EDX] >> svm_features[i].bit & 1) != 0
                         : ireko_host_has_word(flags, svm_features[i].flag);
        if (has)
            add_feature(facts, svm_features[i].name);
    }
    facts->nested_paging = asked ? (regs[EDX] & 1) != 0 : ireko_host_has_word(flags, "npt");
    facts->hv_evidence =
        asked ? g_strdup_printf("SVM set: CPUID 80000001h ECX bit 2 of %08x; NPT %s: CPUID "
                                "8000000Ah EDX bit 0 of %08x",
                                ecx, facts->nested_paging ? "set" : "clear", regs[EDX])
              : g_strdup("/proc/cpuinfo: flag 'svm'");
}

/* The control MSR itself, where it can be read. */
static bool
ept_from_msr(const IrekoHostSource *source, bool *ret_ept)
{
    uint64_t value = 0;
    if (ireko_host_msr(source, MSR_PROCBASED_CTLS2, &value) != 0)
        return false;
    *ret_ept = (value & CTLS2_EPT) != 0;
    return true;
}

static void
read_vmx(const IrekoHostSource *source, const char *cpuinfo, const char *how, IrekoFacts *facts)
{
    g_autofree char *words = ireko_host_cpuinfo(cpuinfo, "vmx flags");
    g_autofree char *param =
        ireko_host_line(source->root_fd, "sys/module/kvm_intel/parameters/ept");
    const char *where;
    if (ept_from_msr(source, &facts->nested_paging)) {
        where = "IA32_VMX_PROCBASED_CTLS2";
    } else if (words != NULL) {
        facts->nested_paging = ireko_host_has_word(words, "ept");
        where = "/proc/cpuinfo vmx flags";
    } else {
        facts->nested_paging = param != NULL && (*param == 'Y' || *param == '1');
        where = param != NULL ? "kvm_intel.ept" : "nothing that says so";
    }

    g_auto(GStrv) list = g_strsplit(words != NULL ? words : "", " ", FEATURES_MAX);
    for (size_t i = 0; list[i] != NULL && *list[i] != '\0'; i++)
        add_feature(facts, list[i]);
    if (words == NULL && !ireko_host_vmx_features(source, facts->hv_features) &&
        facts->nested_paging)
        add_feature(facts, "ept");
    facts->hv_evidence =
        g_strdup_printf("%s; EPT %s by %s", how, facts->nested_paging ? "there" : "absent", where);
}

/* Processors whose assistance is of another kind: it is named for what it is. */
static const struct {
    const char *field, *part; /* of /proc/cpuinfo */
    const char *evidence;
} foreign[] = {
    {"arch", "IA-64", "Itanium: its assistance is VT-i, which is neither VMX nor SVM"},
    {"CPU implementer", "", "arm: its assistance is EL2, which is neither VMX nor SVM"},
    {"vendor_id", "IBM/S390", "s390: its assistance is SIE, which is neither VMX nor SVM"},
    {"cpu", "POWER", "POWER: its assistance is HV mode, which is neither VMX nor SVM"},
    {"isa", "rv64", "RISC-V: its assistance is the H extension, which is neither VMX nor SVM"},
};

static const char *
foreign_assistance(const char *cpuinfo)
{
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
        g_autofree char *value = ireko_host_cpuinfo(cpuinfo, foreign[i].field);
        if (value != NULL && strstr(value, foreign[i].part) != NULL)
            return foreign[i].evidence;
    }
    return NULL;
}

static void
read_assistance(const IrekoHostSource *source,
                const char *cpuinfo,
                const char *flags,
                IrekoFacts *facts)
{
    uint32_t basic[4], extended[4];
    bool asked = ask(source, 1, basic);
    if (!ask(source, LEAF_EXTENDED, extended))
        extended[ECX] = 0;
    bool svm = asked ? (extended[ECX] & EXTENDED_ECX_SVM) != 0 : ireko_host_has_word(flags, "svm");
    bool vmx = asked ? (basic[ECX] & ECX_VMX) != 0 : ireko_host_has_word(flags, "vmx");

    facts->hv = svm ? IREKO_HV_SVM : vmx ? IREKO_HV_VMX : IREKO_HV_NONE;
    if (svm) {
        read_svm(source, flags, extended[ECX], facts);
    } else if (vmx) {
        g_autofree char *how =
            asked ? g_strdup_printf("VMX set: CPUID 1 ECX bit 5 of %08x", basic[ECX])
                  : g_strdup("/proc/cpuinfo: flag 'vmx'");
        read_vmx(source, cpuinfo, how, facts);
    } else if (asked) {
        facts->hv_evidence = g_strdup_printf("SVM clear: CPUID 80000001h ECX bit 2 of %08x; "
                                             "VMX clear: CPUID 1 ECX bit 5 of %08x",
                                             extended[ECX], basic[ECX]);
    } else {
        const char *other = foreign_assistance(cpuinfo);
        facts->hv_evidence =
            g_strdup(other != NULL ? other : "/proc/cpuinfo: neither flag 'svm' nor 'vmx'");
    }
}

void
ireko_host_read_cpu(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts)
{
    g_autofree char *flags = ireko_host_cpuinfo(cpuinfo, "flags");
    read_names(source, cpuinfo, facts);
    ireko_host_read_above(source, cpuinfo, facts, NULL);
    read_assistance(source, cpuinfo, flags, facts);
    ireko_host_read_features(source, flags, facts);
}
