/* tests/unit/test-verdict.c - what facts and survey come to: links, cause, levels, fix. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "host/judge.h"

#define YES IREKO_READ_YES
#define NO  IREKO_READ_NO

/* A host by what differs from nothing known at all. */
typedef struct {
    const char *arch, *vendor;
    IrekoHv hv;
    const char *above; /* NULL: "none" */
    const char *hv_evidence;
    bool usable;
    const char *kvm_cause;
    const char *param;
    const char *flags; /* one of /proc/cpuinfo */
    IrekoMsr msr;
    IrekoRead module, device, sev, tcg_svm;
    int open_errno; /* 0: opened where there is a device */
    const char *container, *others, *xen, *cloud;
    bool ireko_machine, recorded, no_qemu;
} Given;

static IrekoFacts *
make_facts(const Given *given)
{
    IrekoFacts *facts = g_new0(IrekoFacts, 1);
    facts->cpu_vendor = g_strdup(given->vendor != NULL ? given->vendor : "GenuineIntel");
    facts->cpu_model = g_strdup("Some CPU");
    facts->hv = given->hv;
    facts->nested_paging = given->hv != IREKO_HV_NONE;
    facts->hv_features = g_ptr_array_new_with_free_func(g_free);
    facts->cpu_features = g_ptr_array_new_with_free_func(g_free);
    facts->kernel_hides = g_ptr_array_new_with_free_func(g_free);
    facts->hv_evidence =
        g_strdup(given->hv_evidence != NULL ? given->hv_evidence : "CPUID was read");
    facts->above = g_strdup(given->above != NULL ? given->above : "none");
    facts->above_evidence = g_strdup("CPUID 1 ECX");
    facts->kvm.usable = given->usable;
    facts->kvm.cause = g_strdup(given->kvm_cause);
    facts->kvm.evidence = g_strdup("a trial");
    facts->kvm_params = g_ptr_array_new_with_free_func(g_free);
    if (given->param != NULL)
        g_ptr_array_add(facts->kvm_params, g_strdup(given->param));
    facts->kernel = g_strdup("6.1.0-56-amd64");
    facts->available_bytes = (uint64_t)8 << 30;
    facts->disks = g_ptr_array_new();
    return facts;
}

static IrekoSurvey *
make_survey(const Given *given)
{
    IrekoSurvey *survey = g_new0(IrekoSurvey, 1);
    survey->arch = g_strdup(given->arch != NULL ? given->arch : "x86_64");
    survey->is_recorded = given->recorded;
    survey->cpu_flags = g_ptr_array_new_with_free_func(g_free);
    if (given->flags != NULL)
        g_ptr_array_add(survey->cpu_flags, g_strdup(given->flags));
    survey->msrs = g_ptr_array_new_with_free_func(g_free);
    if (given->msr.index != 0)
        g_ptr_array_add(survey->msrs, g_memdup2(&given->msr, sizeof given->msr));
    else
        survey->msr_evidence = g_strdup("/dev/cpu/0/msr: Permission denied");
    survey->above_all = g_ptr_array_new_with_free_func(g_free);
    survey->vulnerabilities = g_ptr_array_new_with_free_func(g_free);
    survey->module_vmx = survey->module_svm = given->module;
    survey->kvm.there = given->device;
    survey->kvm.open_errno = given->device == YES ? given->open_errno : -1;
    survey->vhost_net.open_errno = survey->tun.open_errno = survey->sev.open_errno = -1;
    survey->sev_guest = given->sev;
    survey->container = g_strdup(given->container);
    survey->container_evidence = g_strdup(given->container != NULL ? "/.dockerenv" : NULL);
    survey->others = g_strdup(given->others);
    survey->xen = g_strdup(given->xen);
    survey->cloud = g_strdup(given->cloud);
    survey->ireko_machine = given->ireko_machine;
    survey->cgroup_memory_max = survey->cgroup_pids_max = -1;
    survey->open_files_max = survey->memlock_max_bytes = -1;
    survey->ksm_run = -1;
    if (!given->no_qemu) {
        survey->qemu.path = g_strdup("/usr/bin/qemu-system-x86_64");
        survey->qemu.version = g_strdup("7.2.22");
        survey->qemu.has_kvm = survey->qemu.has_tcg = true;
        survey->qemu.tcg_svm = given->tcg_svm;
    }
    return survey;
}

static IrekoVerdict *
judge(const Given *given)
{
    return ireko_verdict_new(make_facts(given), make_survey(given));
}

#define GOOD_INTEL                                                                                 \
    .hv = IREKO_HV_VMX, .usable = true, .flags = "vmx", .module = YES, .device = YES,              \
    .param = "kvm_intel.nested=Y"
#define GOOD_AMD                                                                                   \
    .hv = IREKO_HV_SVM, .vendor = "AuthenticAMD", .usable = true, .flags = "svm", .module = YES,   \
    .device = YES, .param = "kvm_amd.nested=1"
#define HAS_INTEL .hv = IREKO_HV_VMX, .flags = "vmx"
#define LOADED    HAS_INTEL, .module = YES, .param = "kvm_intel.nested=Y"

static const struct {
    const char *label;
    Given given;
    const char *word, *cause, *broken; /* broken: the first broken link */
    int levels;
} rows[] = {
    {"a vCPU ran and nested is on: hardware, two levels", {GOOD_INTEL}, "hardware", NULL, NULL, 2},
    {"the same on AMD", {GOOD_AMD}, "hardware", NULL, NULL, 2},
    {"below another KVM that hands it on", {GOOD_AMD, .above = "kvm"}, "hardware", NULL, NULL, 2},
    {"nested off: guests run, theirs do not; software takes its place",
     {.hv = IREKO_HV_VMX,
      .usable = true,
      .flags = "vmx",
      .module = YES,
      .device = YES,
      .param = "kvm_intel.nested=N",
      .tcg_svm = YES},
     "software",
     "nested-off",
     "nested",
     2},
    {"nested off, and no SVM in software: one level",
     {.hv = IREKO_HV_SVM,
      .vendor = "AuthenticAMD",
      .usable = true,
      .module = YES,
      .device = YES,
      .param = "kvm_amd.nested=0",
      .tcg_svm = NO},
     "none",
     "nested-off",
     "nested",
     1},
    {"a parameter that cannot be read proves nothing",
     {.hv = IREKO_HV_VMX, .usable = true, .flags = "vmx", .module = YES, .device = YES},
     "none",
     "unknown",
     NULL,
     1},
    {"bare metal without the flag", {.tcg_svm = YES}, "software", "cpu-lacks", "cpu", 2},
    {"an old QEMU that emulates no SVM", {.tcg_svm = NO}, "none", "cpu-lacks", "cpu", 1},
    {"no QEMU at all", {.no_qemu = true}, "none", "cpu-lacks", "cpu", 0},
    {"Itanium has VT-i, which is no VMX", {.arch = "ia64"}, "none", "cpu-lacks", "cpu", -1},
    {"Arm has EL2", {.arch = "aarch64", .tcg_svm = YES}, "software", "cpu-lacks", "cpu", 2},
    {"the layer above hides it",
     {.above = "kvm", .tcg_svm = YES},
     "software",
     "hidden-by-host",
     "cpu",
     2},
    {"below VMware the .vmx is what to change", {.above = "vmware"}, "none", "vhv-off", "cpu", -1},
    {"in a machine of ireko too",
     {.above = "qemu-tcg", .ireko_machine = true},
     "none",
     "vhv-off",
     "cpu",
     -1},
    {"a confidential guest", {.above = "kvm", .sev = YES}, "none", "sev-guest", "cpu", -1},
    {"Xen's control domain", {.above = "xen", .xen = "dom0"}, "none", "held-by-other", "cpu", -1},
    {"a guest of Xen", {.above = "xen", .xen = "pv"}, "none", "hidden-by-host", "cpu", -1},
    {"IA32_FEATURE_CONTROL locked without VMXON",
     {HAS_INTEL, .msr = {0x3a, YES, 1}},
     "none",
     "firmware-off",
     "firmware",
     -1},
    {"IA32_FEATURE_CONTROL locked with VMXON",
     {LOADED, .msr = {0x3a, YES, 5}, .device = YES, .usable = true},
     "hardware",
     NULL,
     NULL,
     2},
    {"VM_CR with SVMDIS",
     {.hv = IREKO_HV_SVM, .flags = "svm", .msr = {0xc0010114, YES, 0x18}},
     "none",
     "firmware-off",
     "firmware",
     -1},
    {"no register, and the kernel took the flag away",
     {.hv = IREKO_HV_VMX, .flags = "sse2"},
     "none",
     "firmware-off",
     "firmware",
     -1},
    {"without CPUID the register tells a lacking flag from a locked one",
     {.hv_evidence = "/proc/cpuinfo: neither flag", .msr = {0x3a, YES, 1}},
     "none",
     "firmware-off",
     "firmware",
     -1},
    {"below another layer the register is that layer's",
     {.hv_evidence = "/proc/cpuinfo: neither flag", .above = "hyperv", .msr = {0x3a, YES, 1}},
     "none",
     "hidden-by-host",
     "cpu",
     -1},
    {"no module", {HAS_INTEL, .module = NO}, "none", "module-missing", "module", -1},
    {"no module, below Hyper-V as its root",
     {HAS_INTEL, .module = NO, .others = "hyperv"},
     "none",
     "held-by-other",
     "module",
     -1},
    {"no device", {LOADED, .device = NO}, "none", "device-missing", "device", -1},
    {"no device in a container",
     {LOADED, .device = NO, .container = "docker"},
     "none",
     "container",
     "device",
     -1},
    {"a device that may not be opened",
     {LOADED, .device = YES, .open_errno = EACCES},
     "none",
     "device-denied",
     "permission",
     -1},
    {"the device cgroup of a container",
     {LOADED, .device = YES, .open_errno = EPERM, .container = "podman"},
     "none",
     "container",
     "permission",
     -1},
    {"EPERM outside a container",
     {LOADED, .device = YES, .open_errno = EPERM},
     "none",
     "device-denied",
     "permission",
     -1},
    {"a node without a driver",
     {LOADED, .device = YES, .open_errno = ENODEV},
     "none",
     "device-missing",
     "permission",
     -1},
    {"a mode that allows what the container's device group forbids",
     {LOADED, .device = YES, .kvm_cause = "container", .container = "docker"},
     "none",
     "container",
     "permission",
     -1},
    {"WSL is no container that was not given a device",
     {LOADED, .device = NO, .container = "wsl"},
     "none",
     "device-missing",
     "device",
     -1},
    {"busy, and nobody is seen",
     {LOADED, .device = YES, .open_errno = EBUSY},
     "none",
     "device-busy",
     "permission",
     -1},
    {"busy, and VirtualBox is loaded",
     {LOADED, .device = YES, .open_errno = EBUSY, .others = "vboxdrv"},
     "none",
     "held-by-other",
     "permission",
     -1},
    {"a VM is refused while VMware is loaded",
     {LOADED, .device = YES, .kvm_cause = "device-busy", .others = "vmmon"},
     "none",
     "held-by-other",
     "probe",
     -1},
    {"a VM is refused and nobody is seen",
     {LOADED, .device = YES, .kvm_cause = "held-by-other"},
     "none",
     "device-busy",
     "probe",
     -1},
    {"a vCPU that does not run",
     {LOADED, .device = YES, .kvm_cause = "unknown"},
     "none",
     "unknown",
     "probe",
     -1},
    {"a CPUID dump alone proves nothing",
     {.hv = IREKO_HV_VMX, .recorded = true, .no_qemu = true},
     "none",
     "unknown",
     NULL,
     -1},
};

static const IrekoLink *
first_broken(const IrekoVerdict *verdict)
{
    const GPtrArray *links = ireko_verdict_links(verdict);
    for (guint i = 0; i < links->len; i++) {
        const IrekoLink *link = links->pdata[i];
        if (link->state == IREKO_LINK_BROKEN)
            return link;
    }
    return NULL;
}

static void
test_row(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(IrekoVerdict) verdict = judge(&rows[i].given);
    const IrekoLink *link = first_broken(verdict);
    g_assert_cmpstr(ireko_verdict_word(verdict), ==, rows[i].word);
    g_assert_cmpstr(ireko_verdict_cause(verdict), ==, rows[i].cause);
    g_assert_cmpstr(link != NULL ? link->name : NULL, ==, rows[i].broken);
    g_assert_cmpint(ireko_verdict_levels_below(verdict), ==, rows[i].levels);
    g_assert_cmpuint(ireko_verdict_links(verdict)->len, ==, 7);
    if (rows[i].cause == NULL)
        return;
    const IrekoFinding *first = ireko_verdict_findings(verdict)->pdata[0];
    g_assert_cmpstr(first->code, ==, rows[i].cause);
    g_assert_nonnull(first->fix);
}

/* Whom the fix speaks to: a word of it. */
static const struct {
    const char *label;
    Given given;
    const char *word;
} fixes[] = {
    {"bare metal: the firmware's setup", {HAS_INTEL, .msr = {0x3a, YES, 1}}, "setup"},
    {"Hyper-V: a PowerShell line", {.above = "hyperv"}, "ExposeVirtualizationExtensions"},
    {"Azure, though Hyper-V runs it: a size", {.above = "hyperv", .cloud = "azure"}, "size"},
    {"EC2, though KVM runs it: the launch",
     {.above = "kvm", .cloud = "aws"},
     "NestedVirtualization=enabled"},
    {"VirtualBox", {.above = "virtualbox"}, "--nested-hw-virt on"},
    {"VMware", {.above = "vmware"}, "vhv.enable = \"TRUE\""},
    {"a machine of ireko, whatever runs it",
     {.above = "kvm", .ireko_machine = true},
     "ireko vmx set"},
    {"a layer that nobody knows", {.above = "unknown"}, "whoever runs the layer above"},
    {"Docker", {LOADED, .device = NO, .container = "docker"}, "docker run --device /dev/kvm"},
    {"a container of a kind without words of its own",
     {LOADED, .device = NO, .container = "rkt"},
     "--device /dev/kvm"},
    {"VirtualBox's module",
     {LOADED, .device = YES, .open_errno = EBUSY, .others = "vboxdrv"},
     "modprobe -r vbox"},
    {"Itanium", {.arch = "ia64"}, "VT-i"},
};

static void
test_fix(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(IrekoVerdict) verdict = judge(&fixes[i].given);
    const IrekoFinding *first = ireko_verdict_findings(verdict)->pdata[0];
    if (strstr(first->fix, fixes[i].word) == NULL)
        g_error("'%s' is not in: %s", fixes[i].word, first->fix);
}

static const struct {
    const char *label, *release;
    const char *code;
    const char *word;
} kernels[] = {
    {"a mended release of a long branch", "6.1.177", "kernel-holes", "is mended"},
    {"the one before it", "6.1.176", "kernel-hole", "has the hole"},
    {"a newer one of the newest branch that was mended", "7.1.4", "kernel-holes", "is mended"},
    {"a branch that is newer than the mend", "7.2.0", "kernel-holes", "is mended"},
    {"two parts are enough", "7.2", "kernel-holes", "is mended"},
    {"a branch that ended before", "6.13.12", "kernel-holes", "unknown"},
    {"an older branch", "5.15.200", "kernel-holes", "unknown"},
    {"Debian's own version", "6.1.0-56-amd64", "kernel-holes", "unknown"},
    {"a version with a maker's suffix", "6.18.44-custom", "kernel-holes", "unknown"},
    {"no version", "", "kernel-holes", "unknown"},
};

static void
test_kernel(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(IrekoFinding) finding = ireko_verdict_kernel_holes(kernels[i].release, NULL, true);
    g_assert_cmpstr(finding->code, ==, kernels[i].code);
    g_assert_nonnull(strstr(finding->what, kernels[i].word));
    g_assert_true((finding->severity == IREKO_SEVERITY_INFO) ==
                  (strcmp(kernels[i].word, "is mended") == 0));
}

static void
test_every_cause_of_the_contract_has_a_page_for_every_platform(void)
{
    static const char *const causes[] = {
        "cpu-lacks",     "firmware-off", "module-missing", "nested-off", "device-missing",
        "device-denied", "device-busy",  "hidden-by-host", "vhv-off",    "container",
        "held-by-other", "sev-guest",    "unknown",        NULL,
    };
    static const char *const platforms[] = {"KVM",     "ESXi", "Workstation", "VirtualBox",
                                            "Hyper-V", "Xen",  "cloud"};
    const char *const *known = ireko_causes();
    g_assert_cmpuint(g_strv_length((char **)(uintptr_t)known), ==, G_N_ELEMENTS(causes) - 1);
    for (size_t i = 0; causes[i] != NULL; i++) {
        const char *page = ireko_cause_page(causes[i]);
        g_assert_nonnull(page);
        g_assert_true(g_str_has_prefix(page, causes[i]));
        for (size_t k = 0; k < G_N_ELEMENTS(platforms); k++) {
            if (strstr(page, platforms[k]) == NULL)
                g_error("the page of %s says nothing of %s", causes[i], platforms[k]);
        }
        const char *const anyone[] = {"everywhere", NULL};
        const IrekoRemedy *remedy = ireko_cause_remedy(causes[i], anyone);
        g_assert_nonnull(remedy);
        g_assert_cmpstr(remedy->text, !=, "");
    }
    g_assert_null(ireko_cause_page("no-such-cause"));
}

static void
test_a_page_fits_80_columns(void)
{
    for (const char *const *cause = ireko_causes(); *cause != NULL; cause++) {
        g_auto(GStrv) lines = g_strsplit(ireko_cause_page(*cause), "\n", -1);
        for (size_t i = 0; lines[i] != NULL; i++) {
            bool is_command = g_str_has_prefix(lines[i], "      ");
            if (!is_command && g_utf8_strlen(lines[i], -1) > 80)
                g_error("%s: '%s'", *cause, lines[i]);
        }
    }
}

static void
test_text_keeps_within_its_width_and_says_the_cause(void)
{
    const Given given = {
        .above = "hyperv", .cloud = "azure", .tcg_svm = YES, .container = "docker"};
    g_autoptr(IrekoVerdict) verdict = judge(&given);
    const IrekoCheckStyle style = {.width = 80, .utf8 = true};
    g_autofree char *text = ireko_verdict_to_text(verdict, &style);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++)
        g_assert_cmpint(g_utf8_strlen(lines[i], -1), <=, 80);
    g_assert_nonnull(strstr(text, "Yes, in software"));
    g_assert_nonnull(strstr(text, "(hidden-by-host)"));
    g_assert_nonnull(strstr(text, "✗ cpu"));
    g_assert_nonnull(strstr(text, "az vm resize"));
    g_assert_nonnull(strstr(text, "It needs powering the machine off and on again"));
    g_assert_nonnull(strstr(text, "ireko check --explain hidden-by-host"));
    g_assert_null(strchr(text, '\033'));

    const IrekoCheckStyle plain = {.colour = true};
    g_autofree char *ascii = ireko_verdict_to_text(verdict, &plain);
    g_assert_nonnull(strchr(ascii, '\033'));
    g_assert_true(g_str_is_ascii(ascii));
}

static void
test_json_has_the_fields_of_the_contract(void)
{
    const Given given = {.above = "vmware", .tcg_svm = YES};
    g_autoptr(IrekoVerdict) verdict = judge(&given);
    g_autofree char *text = ireko_verdict_to_json(verdict);
    json_t *object = json_loads(text, 0, NULL);
    const char *schema, *word, *vendor, *hv, *kind, *cause, *tcg_hv, *code, *severity, *fix;
    int levels, usable, tcg_usable;
    json_t *findings, *features;
    int unpacked = json_unpack(
        object, "{s:s, s:s, s:i, s:{s:s, s:s, s:o}, s:{s:s}, s:{s:{s:b, s:s}, s:{s:b, s:s}}, s:o}",
        "schema", &schema, "verdict", &word, "levels_below", &levels, "cpu", "vendor", &vendor,
        "hv", &hv, "features", &features, "above", "kind", &kind, "accelerators", "kvm", "usable",
        &usable, "cause", &cause, "tcg", "usable", &tcg_usable, "hv", &tcg_hv, "findings",
        &findings);
    g_assert_cmpint(unpacked, ==, 0);
    g_assert_cmpstr(schema, ==, "ireko.check/1");
    g_assert_cmpstr(word, ==, "software");
    g_assert_cmpstr(kind, ==, "vmware");
    g_assert_cmpstr(cause, ==, "vhv-off");
    g_assert_true(!usable && tcg_usable);
    g_assert_cmpstr(tcg_hv, ==, "svm");
    g_assert_true(json_is_array(features));
    unpacked = json_unpack(json_array_get(findings, 0), "{s:s, s:s, s:s}", "code", &code,
                           "severity", &severity, "fix", &fix);
    g_assert_cmpint(unpacked, ==, 0);
    g_assert_cmpstr(code, ==, "vhv-off");
    g_assert_cmpstr(severity, ==, "warning");
    json_decref(object);
}

static void
test_room_and_limits_are_judged(void)
{
    const Given given = {GOOD_INTEL};
    IrekoFacts *facts = make_facts(&given);
    IrekoSurvey *survey = make_survey(&given);
    survey->cgroup_memory_max = (int64_t)1 << 30;
    survey->disk_free_bytes = 1 << 20;
    survey->open_files_max = 64;
    survey->cgroup_pids_max = 100;
    survey->ksm_run = 0;
    survey->tun.there = NO;
    g_autoptr(IrekoVerdict) verdict = ireko_verdict_new(facts, survey);
    static const char *const wanted[] = {"memory-short", "disk-short", "open-files",  "pids-limit",
                                         "ksm",          "tun",        "kernel-holes"};
    for (size_t k = 0; k < G_N_ELEMENTS(wanted); k++) {
        bool found = false;
        for (guint i = 0; i < verdict->findings->len; i++) {
            const IrekoFinding *finding = verdict->findings->pdata[i];
            found = found || strcmp(finding->code, wanted[k]) == 0;
        }
        if (!found)
            g_error("there is no finding '%s'", wanted[k]);
    }
}

static void
add_rows(const char *folder, const char *label, size_t i, GTestDataFunc test)
{
    g_autofree char *path = g_strdup_printf("/verdict/%s/%s", folder, label);
    g_test_add_data_func(path, GSIZE_TO_POINTER(i), test);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        add_rows("hosts", rows[i].label, i, test_row);
    for (size_t i = 0; i < G_N_ELEMENTS(fixes); i++)
        add_rows("fixes", fixes[i].label, i, test_fix);
    for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++)
        add_rows("kernels", kernels[i].label, i, test_kernel);
    g_test_add_func("/verdict/causes/every cause has a page for every platform",
                    test_every_cause_of_the_contract_has_a_page_for_every_platform);
    g_test_add_func("/verdict/causes/a page fits 80 columns", test_a_page_fits_80_columns);
    g_test_add_func("/verdict/text/it keeps within its width and says the cause",
                    test_text_keeps_within_its_width_and_says_the_cause);
    g_test_add_func("/verdict/json/it has the fields of the contract",
                    test_json_has_the_fields_of_the_contract);
    g_test_add_func("/verdict/findings/room and limits are judged",
                    test_room_and_limits_are_judged);
    return g_test_run();
}
