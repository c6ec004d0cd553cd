/* Survey: what machines made of files show of the layer above, containers, devices and limits. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "host/survey.h"
#include "root.h"

#define FILES_MAX 8

#define BARE  "CPUID 00000001: 00000000-00000000-00000000-00000000\n"
#define BELOW "CPUID 00000001: 00000000-00000000-80000000-00000000\n"
#define INTEL "CPUID 00000000: 00000016-756E6547-6C65746E-49656E69\n"
#define AMD   "CPUID 00000000: 00000016-68747541-444D4163-69746E65\n"
#define KVM0  "CPUID 40000000: 40000001-4B4D564B-564B4D56-0000004D\n"
#define KVM1  "CPUID 40000100: 40000101-4B4D564B-564B4D56-0000004D\n"
#define HV0   "CPUID 40000000: 40000006-7263694D-666F736F-76482074\n"
#define XEN0  "CPUID 40000000: 40000001-566E6558-65584D4D-4D4D566E\n"
#define XEN1  "CPUID 40000100: 40000101-566E6558-65584D4D-4D4D566E\n"
#define BHYVE "CPUID 40000000: 40000000-76796862-68622065-20657679\n"
#define DMI   "sys/class/dmi/id/"
#define CLOCK "sys/devices/system/clocksource/clocksource0/current_clocksource"

/* What a row wants of one thing: a text, or NULL for none. */
typedef struct {
    const char *label;
    File files[FILES_MAX];
    const char *want;
} Row;

typedef struct {
    Root root;
    IrekoRecorded *recorded;
    IrekoFacts *facts;
    IrekoSurvey *survey;
} Host;

static Host
host_new(const File *files)
{
    g_autoptr(GError) error = NULL;
    Host host = {.root = root_new(files, FILES_MAX)};
    host.recorded = ireko_recorded_open(host.root.path, &error);
    g_assert_no_error(error);
    host.facts = ireko_facts_read(ireko_recorded_source(host.recorded), &error);
    g_assert_no_error(error);
    host.survey = ireko_survey_read(ireko_recorded_source(host.recorded), host.facts);
    return host;
}

static void
host_clear(Host *host)
{
    ireko_survey_free(host->survey);
    ireko_facts_free(host->facts);
    ireko_recorded_free(host->recorded);
    root_clear(&host->root);
}

static const Row above_rows[] = {
    {"metal", {{"cpuid", BARE}}, "none"},
    {"a signature alone", {{"cpuid", BELOW KVM0}}, "kvm"},
    {"VMware that hides its leaf is known by DMI",
     {{"cpuid", BARE}, {DMI "sys_vendor", "VMware, Inc.\n"}},
     "vmware"},
    {"QEMU that hides its leaf is known by DMI, its accelerator is not",
     {{"cpuid", BARE}, {DMI "sys_vendor", "QEMU\n"}, {DMI "product_name", "Standard PC\n"}},
     "qemu"},
    {"QEMU's vendor stands beside KVM's product",
     {{"cpuid", BARE}, {DMI "sys_vendor", "QEMU\n"}, {DMI "product_name", "KVM Server\n"}},
     "kvm"},
    {"a laptop of Microsoft is no virtual machine",
     {{"cpuid", BARE},
      {DMI "sys_vendor", "Microsoft Corporation\n"},
      {DMI "product_name", "Surface Laptop 4\n"}},
     "none"},
    {"a virtual machine of Microsoft without a leaf is Virtual PC",
     {{"cpuid", BARE},
      {DMI "sys_vendor", "Microsoft Corporation\n"},
      {DMI "product_name", "Virtual Machine\n"}},
     "virtualpc"},
    {"Hyper-V", {{"cpuid", BELOW HV0}}, "hyperv"},
    {"Hyper-V's signature with QEMU's firmware is QEMU that plays it",
     {{"cpuid", BELOW HV0}, {DMI "sys_vendor", "QEMU\n"}},
     "qemu"},
    {"KVM behind Hyper-V's signature", {{"cpuid", BELOW HV0 KVM1}}, "kvm"},
    {"Xen behind Hyper-V's signature", {{"cpuid", BELOW HV0 XEN1}}, "xen"},
    {"VirtualBox that signs as KVM is known by DMI",
     {{"cpuid", BELOW KVM0}, {DMI "product_name", "VirtualBox\n"}},
     "virtualbox"},
    {"Parallels that signs as KVM is known by its BIOS",
     {{"cpuid", BELOW KVM0}, {DMI "bios_vendor", "Parallels Software International Inc.\n"}},
     "parallels"},
    {"a PV guest of Xen on KVM", {{"cpuid", BELOW KVM0}, {"proc/xen/xenbus", ""}}, "xen"},
    {"/sys/hypervisor", {{"cpuid", BARE}, {"sys/hypervisor/type", "xen\n"}}, "xen"},
    {"Firecracker on KVM",
     {{"cpuid", BELOW KVM0}, {"sys/firmware/acpi/tables/FACP", "FACP\1\1\1\1\6fFIRECKxx"}},
     "firecracker"},
    {"PVM: the kernel has KVM's clock, user space sees another hypervisor",
     {{"cpuid", BELOW BHYVE}, {CLOCK, "kvm-clock\n"}},
     "pvm"},
    {"KVM's clock beside KVM's signature is KVM",
     {{"cpuid", BELOW KVM0}, {CLOCK, "kvm-clock\n"}},
     "kvm"},
    {"KVM's clock beside KVM's signature behind Xen's is Xen, emulated by KVM",
     {{"cpuid", BELOW HV0 KVM1}, {CLOCK, "kvm-clock\n"}},
     "kvm"},
    {"PVM's own signature",
     {{"cpuid", BELOW KVM0 "CPUID 40000200: 40000201-204D5650-204D5650-204D5650\n"}},
     "pvm"},
    {"a clock alone, without CPUID", {{CLOCK, "hyperv_clocksource_tsc_page\n"}}, "hyperv"},
    {"metal at Amazon is metal",
     {{"cpuid", BARE}, {DMI "sys_vendor", "Amazon EC2\n"}, {DMI "product_name", "m5.metal\n"}},
     "none"},
    {"SMBIOS's bit is a sign of something",
     {{"cpuid", BARE}, {"sys/firmware/dmi/entries/0-0/raw", "x\x18xxxxxxxxxxxxxxxxx\x10"}},
     "unknown"},
    {"User Mode Linux", {{"proc/cpuinfo", "vendor_id\t: User Mode Linux\n"}}, "uml"},
    {"a guest of KVM on arm",
     {{"proc/device-tree/hypervisor/compatible", "linux,kvm"},
      {"proc/cpuinfo", "CPU implementer\t: 0x41\n"}},
     "kvm"},
    {"QEMU on arm by its device tree",
     {{"proc/device-tree/compatible", "linux,dummy"}, {"proc/device-tree/fw-cfg@9020000", ""}},
     "qemu"},
    {"z/VM", {{"proc/sysinfo", "LPAR Number: 1\nVM00 Control Program: z/VM 6.4\n"}}, "zvm"},
    {"a guest of Xen on Itanium",
     {{"proc/cpuinfo", "vendor : GenuineIntel\narch : IA-64\n"}, {"sys/bus/xen/x", ""}},
     "xen"},
};

static void
test_above(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(above_rows); i++) {
        g_test_message("%s", above_rows[i].label);
        Host host = host_new(above_rows[i].files);
        g_assert_cmpstr(host.facts->above, ==, above_rows[i].want);
        if (strcmp(above_rows[i].want, "none") != 0) { /* and the weightiest sign comes first */
            const char *first = g_ptr_array_index(host.survey->above_all, 0);
            g_autofree char *start = g_strconcat(above_rows[i].want, ": ", NULL);
            g_assert_true(g_str_has_prefix(first, start));
        }
        host_clear(&host);
    }
}

static const Row cloud_rows[] = {
    {"no cloud", {{DMI "sys_vendor", "LENOVO\n"}}, NULL},
    {"Amazon", {{DMI "sys_vendor", "Amazon EC2\n"}}, "aws"},
    {"Amazon on Xen", {{DMI "sys_vendor", "Xen\n"}, {DMI "bios_version", "4.11.amazon\n"}}, "aws"},
    {"Google", {{DMI "product_name", "Google Compute Engine\n"}}, "gcp"},
    {"Azure by the tag of its chassis",
     {{DMI "sys_vendor", "Microsoft Corporation\n"},
      {DMI "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n"}},
     "azure"},
    {"Hyper-V at home", {{DMI "sys_vendor", "Microsoft Corporation\n"}}, NULL},
    {"Oracle", {{DMI "chassis_asset_tag", "OracleCloud.com\n"}}, "oracle"},
    {"DigitalOcean", {{DMI "sys_vendor", "DigitalOcean\n"}}, "digitalocean"},
    {"Hetzner", {{DMI "sys_vendor", "Hetzner\n"}}, "hetzner"},
    {"OpenStack", {{DMI "product_name", "OpenStack Nova\n"}}, "openstack"},
    {"Alibaba", {{DMI "product_name", "Alibaba Cloud ECS\n"}}, "alibaba"},
    {"somebody's own asset tag", {{DMI "chassis_asset_tag", "SECRET-7\n"}}, NULL},
};

static void
test_cloud(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cloud_rows); i++) {
        g_test_message("%s", cloud_rows[i].label);
        Host host = host_new(cloud_rows[i].files);
        g_assert_cmpstr(host.survey->cloud, ==, cloud_rows[i].want);
        host_clear(&host);
    }
}

static const Row container_rows[] = {
    {"none", {{"proc/sys/kernel/osrelease", "6.1.0-40-amd64\n"}}, NULL},
    {"docker by its file", {{".dockerenv", ""}}, "docker"},
    {"podman by its file, docker's from the image",
     {{"run/.containerenv", ""}, {".dockerenv", ""}},
     "podman"},
    {"what systemd was told", {{"run/systemd/container", "systemd-nspawn\n"}}, "systemd-nspawn"},
    {"what the manager put down", {{"run/host/container-manager", "lxc-libvirt\n"}}, "lxc-libvirt"},
    {"the environment of process 1", {{"proc/1/environ", "container=rkt"}}, "rkt"},
    {"an environment without one", {{"proc/1/environ", "xcontainer=rkt"}}, NULL},
    {"a kind that is no word is other", {{"run/systemd/container", "a b\n"}}, "other"},
    {"OpenVZ", {{"proc/vz/x", ""}}, "openvz"},
    {"the node of OpenVZ is none", {{"proc/vz/x", ""}, {"proc/bc/x", ""}}, NULL},
    {"WSL", {{"proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n"}}, "wsl"},
    {"WSL 1", {{"proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n"}}, "wsl"},
    {"kubernetes by the control group",
     {{"proc/self/cgroup", "0::/kubepods.slice/x\n"}},
     "kubernetes"},
    {"docker by the control group", {{"proc/self/cgroup", "4:memory:/docker/0123\n"}}, "docker"},
    {"podman by the control group",
     {{"proc/self/cgroup", "0::/machine.slice/libpod-1.scope\n"}},
     "podman"},
    {"Linux-VServer", {{"proc/self/status", "Name:\tx\nVxID:\t40\n"}}, "linux-vserver"},
    {"what a record says comes before its files",
     {{"probe", "container none\n"}, {".dockerenv", ""}},
     NULL},
    {"what a record says", {{"probe", "container lxc the record\n"}}, "lxc"},
};

static void
test_container(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(container_rows); i++) {
        g_test_message("%s", container_rows[i].label);
        Host host = host_new(container_rows[i].files);
        g_assert_cmpstr(host.survey->container, ==, container_rows[i].want);
        g_assert_cmpint(host.survey->container_evidence != NULL, ==,
                        container_rows[i].want != NULL);
        host_clear(&host);
    }
}

static const Row other_rows[] = {
    {"nobody", {{"sys/module/kvm/x", ""}}, NULL},
    {"VirtualBox and VMware",
     {{"sys/module/vmmon/x", ""}, {"sys/module/vboxdrv/x", ""}},
     "vboxdrv vmmon"},
    {"Xen's control domain", {{"proc/xen/capabilities", "control_d\n"}}, "xen"},
    {"Xen's control domain by its features",
     {{"sys/hypervisor/properties/features", "00000900\n"}},
     "xen"},
    {"a domain of Xen is not Xen", {{"sys/hypervisor/properties/features", "00000100\n"}}, NULL},
    {"the root partition of Hyper-V",
     {{"cpuid", BELOW HV0 "CPUID 40000003: 00000000-00000001-00000000-00000000\n"}},
     "hyperv"},
    {"a guest of Hyper-V is not Hyper-V",
     {{"cpuid", BELOW HV0 "CPUID 40000003: 00000000-00000100-00000000-00000000\n"}},
     NULL},
};

static void
test_others(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(other_rows); i++) {
        g_test_message("%s", other_rows[i].label);
        Host host = host_new(other_rows[i].files);
        g_assert_cmpstr(host.survey->others, ==, other_rows[i].want);
        host_clear(&host);
    }
}

static const Row confidential_rows[] = {
    {"none", {{"cpuid", BELOW KVM0}}, NULL},
    {"a host that offers SEV is none itself",
     {{"cpuid", AMD BARE "CPUID 8000001F: 00000002-0-0-0\n"}, {"proc/cpuinfo", "flags: sev\n"}},
     NULL},
    {"SEV by the flag", {{"cpuid", BELOW KVM0}, {"proc/cpuinfo", "flags\t: sev\n"}}, "sev"},
    {"SEV-SNP by the register", {{"cpuid", AMD BELOW KVM0}, {"msr", "c0010131 7\n"}}, "sev-snp"},
    {"SEV-SNP that Hyper-V says",
     {{"cpuid", BELOW HV0 "CPUID 40000003: 00000000-00400000-00000000-00000000\n"
                          "CPUID 4000000C: 00000000-00000002-00000000-00000000\n"}},
     "sev-snp"},
    {"TDX by its leaf",
     {{"cpuid", BELOW KVM0 "CPUID 00000021: 00000000-65746E49-20202020-5844546C\n"}},
     "tdx"},
    {"TDX by the flag", {{"cpuid", BELOW KVM0}, {"proc/cpuinfo", "flags\t: tdx_guest\n"}}, "tdx"},
};

static void
test_confidential(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(confidential_rows); i++) {
        g_test_message("%s", confidential_rows[i].label);
        Host host = host_new(confidential_rows[i].files);
        const char *want = confidential_rows[i].want;
        g_assert_cmpstr(host.survey->confidential, ==, want);
        bool sev = want != NULL && g_str_has_prefix(want, "sev");
        g_assert_cmpint(host.survey->sev_guest == IREKO_READ_YES, ==, sev);
        g_assert_cmpint(host.survey->tdx_guest == IREKO_READ_YES, ==, g_strcmp0(want, "tdx") == 0);
        host_clear(&host);
    }
}

static const Row arch_rows[] = {
    {"x86 by CPUID", {{"cpuid", BARE}}, "x86_64"},
    {"x86 by its flags", {{"proc/cpuinfo", "flags\t: fpu\n"}}, "x86_64"},
    {"Itanium", {{"proc/cpuinfo", "vendor : GenuineIntel\narch : IA-64\n"}}, "ia64"},
    {"arm", {{"proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\n"}}, "aarch64"},
    {"s390", {{"proc/cpuinfo", "vendor_id : IBM/S390\n"}}, "s390x"},
    {"nothing that says so", {{"proc/x", ""}}, NULL},
};

static void
test_arch(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(arch_rows); i++) {
        g_test_message("%s", arch_rows[i].label);
        Host host = host_new(arch_rows[i].files);
        g_assert_cmpstr(host.survey->arch, ==, arch_rows[i].want);
        host_clear(&host);
    }
}

static const struct {
    const char *label;
    File files[FILES_MAX];
    unsigned version;
    int64_t memory, pids, cpu;
} group_rows[] = {
    {"no groups", {{"proc/x", ""}}, 0, -1, -1, -1},
    {"version 2: the least on the way up",
     {{"sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"},
      {"proc/self/cgroup", "0::/a/b\n"},
      {"sys/fs/cgroup/a/b/memory.max", "max\n"},
      {"sys/fs/cgroup/a/memory.max", "4096\n"},
      {"sys/fs/cgroup/a/b/pids.max", "7\n"},
      {"sys/fs/cgroup/a/pids.max", "9\n"},
      {"sys/fs/cgroup/a/cpu.max", "150000 100000\n"}},
     2,
     4096,
     7,
     150},
    {"version 2 in a container: its own group is the root",
     {{"sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"},
      {"proc/self/cgroup", "0::/\n"},
      {"sys/fs/cgroup/memory.max", "8192\n"},
      {"sys/fs/cgroup/cpu.max", "max 100000\n"}},
     2,
     8192,
     -1,
     -1},
    {"version 1: each controller has its tree",
     {{"proc/self/cgroup", "3:pids:/p\n2:cpu,cpuacct:/c\n1:memory:/m\n0::/\n"},
      {"sys/fs/cgroup/memory/m/memory.limit_in_bytes", "1048576\n"},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {"sys/fs/cgroup/pids/p/pids.max", "max\n"},
      {"sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "50000\n"},
      {"sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n"}},
     1,
     1048576,
     -1,
     50},
    {"version 1 without a limit",
     {{"proc/self/cgroup", "1:memory:/\n"},
      {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}},
     1,
     -1,
     -1,
     -1},
    {"what a record says",
     {{"probe", "cgroup.version 2\ncgroup.memory 5\ncgroup.pids none\n"}},
     2,
     5,
     -1,
     -1},
};

static void
test_groups(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(group_rows); i++) {
        g_test_message("%s", group_rows[i].label);
        Host host = host_new(group_rows[i].files);
        g_assert_cmpuint(host.survey->cgroup_version, ==, group_rows[i].version);
        g_assert_cmpint(host.survey->cgroup_memory_max, ==, group_rows[i].memory);
        g_assert_cmpint(host.survey->cgroup_pids_max, ==, group_rows[i].pids);
        g_assert_cmpint(host.survey->cgroup_cpu_percent, ==, group_rows[i].cpu);
        host_clear(&host);
    }
}

static void
test_registers_name_what_vmx_offers(void)
{
    static const File files[FILES_MAX] = {
        {"cpuid", INTEL "CPUID 00000001: 00000000-00000000-00000020-00000000\n"},
        {"msr", "3a 5\n480 da040000000013\n481 a000000000\n482 80000000000000\n"
                "48b 408200000000\n48c f0106334141\n48d no\n"},
    };
    Host host = host_new(files);
    g_ptr_array_add(host.facts->hv_features, NULL);
    g_autofree char *features = g_strjoinv(" ", (char **)host.facts->hv_features->pdata);
    g_ptr_array_set_size(host.facts->hv_features, (int)host.facts->hv_features->len - 1);
    g_assert_cmpstr(features, ==,
                    "vnmi posted_intr invvpid ept_x_only ept_ad ept_1gb ept unrestricted_guest "
                    "shadow_vmcs");
    g_assert_true(host.facts->nested_paging);
    const IrekoMsr *control = ireko_survey_msr(host.survey, 0x3a);
    g_assert_nonnull(control);
    g_assert_cmpint(control->read, ==, IREKO_READ_YES);
    g_assert_cmphex(control->value, ==, 5);
    g_assert_cmpint(ireko_survey_msr(host.survey, 0x48d)->read, ==, IREKO_READ_NO);
    g_assert_null(ireko_survey_msr(host.survey, 0xc0010114));
    g_assert_null(host.survey->msr_evidence);
    host_clear(&host);
}

static void
test_registers_that_may_not_be_read(void)
{
    static const File denied[FILES_MAX] = {{"cpuid", AMD BARE}, {"probe", "msr EACCES\n"}};
    Host host = host_new(denied);
    g_assert_cmpint(ireko_survey_msr(host.survey, 0xc0010114)->read, ==, IREKO_READ_DENIED);
    g_assert_nonnull(strstr(host.survey->msr_evidence, g_strerror(EACCES)));
    host_clear(&host);

    static const File silent[FILES_MAX] = {{"cpuid", AMD BARE}};
    host = host_new(silent);
    g_assert_cmpint(ireko_survey_msr(host.survey, 0xc0010114)->read, ==, IREKO_READ_UNKNOWN);
    g_assert_nonnull(host.survey->msr_evidence);
    host_clear(&host);
}

static void
test_a_kernel_is_read(void)
{
    static const File files[FILES_MAX] = {
        {"etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"},
        {"proc/meminfo",
         "HugePages_Total:       4\nHugePages_Free:        1\nHugepagesize: 2048 kB\n"},
        {"sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
        {"sys/kernel/mm/ksm/pages_sharing", "3\n"},
        {"sys/devices/system/cpu/vulnerabilities/spectre_v2", "Mitigation: Retpolines\n"},
        {"sys/firmware/acpi/tables/DMAR", ""},
        {"sys/module/kvm_intel/x", ""},
        {"sys/class/virtio-ports/vport1p1/name", "org.ireko.agent.0\n"},
    };
    Host host = host_new(files);
    const IrekoSurvey *survey = host.survey;
    g_assert_cmpstr(survey->distribution, ==, "Debian GNU/Linux 12 (bookworm)");
    g_assert_cmpuint(survey->huge_page_pool_bytes, ==, 8 << 20);
    g_assert_cmpuint(survey->huge_page_free_bytes, ==, 2 << 20);
    g_assert_cmpstr(survey->huge_pages, ==, "madvise");
    g_assert_cmpint(survey->ksm_run, ==, -1);
    g_assert_cmpuint(survey->ksm_sharing_bytes, ==, 3 * 4096);
    g_assert_cmpstr(g_ptr_array_index(survey->vulnerabilities, 0), ==,
                    "spectre_v2: Mitigation: Retpolines");
    g_assert_cmpint(survey->iommu, ==, IREKO_READ_NO);
    g_assert_nonnull(strstr(survey->iommu_evidence, "DMAR"));
    g_assert_cmpint(survey->module_vmx, ==, IREKO_READ_YES);
    g_assert_cmpint(survey->module_svm, ==, IREKO_READ_NO);
    g_assert_true(survey->ireko_machine);
    g_assert_cmpint(survey->user_namespace, ==, IREKO_READ_UNKNOWN);
    g_assert_cmpint(survey->open_files_max, ==, -1);
    host_clear(&host);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/survey/above", test_above);
    g_test_add_func("/survey/cloud", test_cloud);
    g_test_add_func("/survey/container", test_container);
    g_test_add_func("/survey/others", test_others);
    g_test_add_func("/survey/confidential", test_confidential);
    g_test_add_func("/survey/arch", test_arch);
    g_test_add_func("/survey/groups", test_groups);
    g_test_add_func("/survey/vmx-by-registers", test_registers_name_what_vmx_offers);
    g_test_add_func("/survey/registers-denied", test_registers_that_may_not_be_read);
    g_test_add_func("/survey/a-kernel", test_a_kernel_is_read);
    return g_test_run();
}
