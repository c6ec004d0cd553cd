/* host/above.c - which layer stands above this one?
 *
 * No single place tells. A hypervisor sets CPUID 1 ECX bit 31 and signs leaf 40000000h; but it may
 * hide both (kvm=off, hypervisor.cpuid.v0 = "FALSE"), may sign as another for the sake of its
 * guests (KVM and VirtualBox as Hyper-V, VirtualBox as KVM), and a paravirtual one cannot change
 * what user space reads from CPUID at all. So every sign is gathered, each with a kind and a
 * weight, and the weightiest decides; the rest stay as evidence. The weights say who imitates whom:
 *
 *   95  the CPU is itself an invention (User Mode Linux)
 *   90  what user space reads differs from what the kernel was told (PVM: guests in ring 3)
 *   80  products whose firmware names them while they sign as KVM or Hyper-V
 *   75  Xen's own interfaces: in a PV guest CPUID is that of the layer above Xen
 *   70  Firecracker's ACPI tables: it runs on KVM and signs as it was told to
 *   65  a second signature at 40000100h, behind that of Hyper-V
 *   60  the signature
 *   45  DMI: firmware that no bare machine has
 *   40  the signature of Hyper-V alone: others play it
 *   30  the kernel's clock source: it found a paravirtual clock
 *   20  DMI of clouds and management systems, which are on bare machines too: they count where a
 *       hypervisor is known to be there
 *   10  a hypervisor, and no more is known
 *
 * On processors without CPUID the device tree, /proc/sysinfo and DMI are all there is.
 */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

#define LEAF_HYPERVISOR  0x40000000u
#define LEAF_STEP        0x100u /* where a second and a third hypervisor's leaves begin */
#define ECX_HYPERVISOR   (1u << 31)
#define CAPABILITIES_MAX 256
#define SYSINFO_MAX      ((size_t)8 << 10)
#define TREE_NAMES_MAX   256
#define SMBIOS_VM_BYTE                                                                             \
    19 /* BIOS characteristics, second extension byte: bit 4 (SMBIOS 7.1.2.2)                      \
        */
#define SMBIOS_VM_BIT 0x10
#define ACPI_OEM_AT   10 /* OEM id, 6 bytes, in the header of every ACPI table */

typedef struct {
    const char *kind;
    int weight;
    char *text;
} Sign;

typedef struct {
    const IrekoHostSource *source;
    int root_fd;
    bool below; /* a hypervisor is there: CPUID, or what the kernel made of it, says so */
    bool is_x86;
    GArray *signs; /* Sign */
} Look;

static const struct {
    const char *signature; /* a prefix of the 12 bytes */
    const char *kind;
} hypervisors[] = {
    {"KVMKVMKVM", "kvm"},         {"Linux KVM Hv", "kvm"},        {"LKVMLKVMLKVM", "kvm"},
    {"TCGTCGTCGTCG", "qemu-tcg"}, {"VMwareVMware", "vmware"},     {"Microsoft Hv", "hyperv"},
    {"XenVMMXenVMM", "xen"},      {"VBoxVBoxVBox", "virtualbox"}, {"bhyve bhyve", "bhyve"},
    {" lrpepyh vr", "parallels"}, {"prl hyperv", "parallels"},    {"ACRNACRNACRN", "acrn"},
    {"Jailhouse", "jailhouse"},   {"QNXQVMBSQG", "qnx"},          {"SRESRESRESRE", "sre"},
    {"Apple VZ", "apple"},        {"___ NVMM ___", "nvmm"},       {"OpenBSDVMM58", "openbsd-vmm"},
    {"HAXMHAXMHAXM", "haxm"},     {"BOCHSBOCHS", "bochs"},        {"MicrosoftXTA", "microsoft-xta"},
};

/* What firmware says that no bare machine has. The order decides between equals: product before
 * vendor, as QEMU's vendor stands beside KVM's product. */
static const struct {
    const char *field; /* as in sys/class/dmi/id */
    const char *begins;
    const char *kind;
    int weight;
} firmwares[] = {
    {"product_name", "VirtualBox", "virtualbox", 80},
    {"sys_vendor", "innotek GmbH", "virtualbox", 80},
    {"sys_vendor", "Parallels", "parallels", 80},
    {"bios_vendor", "Parallels", "parallels", 80},
    {"product_name", "KVM", "kvm", 45},
    {"product_name", "RHEV Hypervisor", "kvm", 45},
    {"product_name", "OpenStack", "kvm", 20},
    {"product_name", "KubeVirt", "kvm", 45},
    {"product_name", "CloudStack KVM", "kvm", 45},
    {"product_name", "AHV", "kvm", 45},
    {"product_name", "VMware", "vmware", 45},
    {"product_name", "HVM domU", "xen", 75},
    {"product_name", "Apple Virtualization", "apple", 45},
    {"product_name", "BHYVE", "bhyve", 45},
    {"product_name", "Bochs", "bochs", 45},
    {"product_name", "Google Compute Engine", "kvm", 20},
    {"sys_vendor", "VMware", "vmware", 45},
    {"sys_vendor", "QEMU", "qemu", 45},
    {"sys_vendor", "KVM", "kvm", 45},
    {"sys_vendor", "Xen", "xen", 75},
    {"sys_vendor", "oVirt", "kvm", 45},
    {"sys_vendor", "Red Hat", "kvm", 20},
    {"sys_vendor", "KubeVirt", "kvm", 45},
    {"sys_vendor", "OpenStack", "kvm", 20},
    {"sys_vendor", "Nutanix", "kvm", 20},
    {"sys_vendor", "Amazon EC2", "kvm", 20},
    {"sys_vendor", "Alibaba", "kvm", 20},
    {"sys_vendor", "BHYVE", "bhyve", 45},
    {"sys_vendor", "Apple Virtualization", "apple", 45},
    {"bios_vendor", "The Bochs Project", "bochs", 45},
    {"bios_vendor", "Bochs", "bochs", 45},
    {"bios_vendor", "BHYVE", "bhyve", 45},
    {"bios_vendor", "Xen", "xen", 75},
    {"board_vendor", "VMware", "vmware", 45},
};

static const struct {
    const char *begins;
    const char *kind;
} clocks[] = {
    {"kvm-clock", "kvm"},
    {"hyperv_clocksource", "hyperv"},
    {"xen", "xen"},
    {"vmware", "vmware"},
};

G_GNUC_PRINTF(4, 5)
static void
add(Look *look, const char *kind, int weight, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *raw = g_strdup_vprintf(format, args);
    va_end(args);
    /* one line of the evidence, whatever a signature or a file holds */
    char *text = g_strdelimit(ireko_text_safe(raw, (size_t)-1), "\n\t", ' ');
    Sign sign = {.kind = kind, .weight = weight, .text = text};
    g_array_append_val(look->signs, sign);
}

static void
clear_sign(void *data)
{
    g_free(((Sign *)data)->text);
}

static bool
ask(const Look *look, uint32_t leaf, uint32_t regs[4])
{
    const IrekoHostSource *source = look->source;
    memset(regs, 0, 4 * sizeof regs[0]);
    return source->cpuid != NULL && source->cpuid(source->data, leaf, 0, regs);
}

/* ---- CPUID ---- */

static const char *
hypervisor_kind(const char *signature)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hypervisors); i++) {
        if (g_str_has_prefix(signature, hypervisors[i].signature))
            return hypervisors[i].kind;
    }
    return NULL;
}

static const char *
signature_at(Look *look, uint32_t leaf, char signature[13])
{
    uint32_t regs[4];
    memset(signature, 0, 13);
    if (!ask(look, leaf, regs))
        return NULL;
    memcpy(signature, &regs[1], 12);
    return hypervisor_kind(signature);
}

static void
look_at_cpuid(Look *look)
{
    char signature[13], second[13], third[13];
    const char *kind = signature_at(look, LEAF_HYPERVISOR, signature);
    const char *behind = signature_at(look, LEAF_HYPERVISOR + LEAF_STEP, second);
    (void)signature_at(look, LEAF_HYPERVISOR + 2 * LEAF_STEP, third);

    bool hyperv = g_strcmp0(kind, "hyperv") == 0;
    if (*signature != '\0')
        add(look, kind != NULL ? kind : "unknown",
            kind == NULL ? 10
            : hyperv     ? 40
                         : 60,
            "CPUID %08xh signature '%s'", LEAF_HYPERVISOR, signature);
    if (behind != NULL)
        add(look, behind, 65, "CPUID %08xh signature '%s'", LEAF_HYPERVISOR + LEAF_STEP, second);
    if (g_str_has_prefix(third, "PVM"))
        add(look, "pvm", 90, "CPUID %08xh signature '%s'", LEAF_HYPERVISOR + 2 * LEAF_STEP, third);
    if (*signature == '\0')
        add(look, "unknown", 10, "a hypervisor is there and does not sign its leaf");
}

/* The kernel found a clock that only KVM gives, and yet user space reads no signature of KVM: the
 * kernel was told by another way than the instruction. That is PVM, whose guests run in ring 3. */
static void
look_at_clock(Look *look)
{
    g_autofree char *clock = ireko_host_line(
        look->root_fd, "sys/devices/system/clocksource/clocksource0/current_clocksource");
    for (size_t i = 0; clock != NULL && i < G_N_ELEMENTS(clocks); i++) {
        if (g_str_has_prefix(clock, clocks[i].begins))
            add(look, clocks[i].kind, 30, "clock source '%s'", clock);
    }
    char signature[13];
    if (g_strcmp0(clock, "kvm-clock") != 0 || look->source->cpuid == NULL)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        if (g_strcmp0(signature_at(look, LEAF_HYPERVISOR + i * LEAF_STEP, signature), "kvm") == 0)
            return;
    }
    add(look, "pvm", 90, "the kernel has KVM's clock, and CPUID in user space does not show KVM");
}

/* ---- firmware ---- */

static const char *
dmi_field(const IrekoDmi *dmi, const char *field)
{
    return strcmp(field, "product_name") == 0  ? dmi->product_name
           : strcmp(field, "sys_vendor") == 0  ? dmi->sys_vendor
           : strcmp(field, "bios_vendor") == 0 ? dmi->bios_vendor
                                               : dmi->board_vendor;
}

/* Microsoft makes laptops too; only its machines are called that. */
static void
look_at_microsoft(Look *look, const IrekoDmi *dmi)
{
    if (g_strcmp0(dmi->sys_vendor, "Microsoft Corporation") != 0 ||
        g_strcmp0(dmi->product_name, "Virtual Machine") != 0)
        return;
    char signature[13];
    const char *kind = signature_at(look, LEAF_HYPERVISOR, signature);
    bool other = look->source->cpuid != NULL && g_strcmp0(kind, "hyperv") != 0;
    add(look, other ? "virtualpc" : "hyperv", 45,
        "DMI product_name 'Virtual Machine' of Microsoft");
}

static void
look_at_dmi(Look *look)
{
    IrekoDmi dmi = ireko_host_read_dmi(look->root_fd);
    bool metal = dmi.product_name != NULL && strstr(dmi.product_name, ".metal") != NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(firmwares); i++) {
        const char *text = dmi_field(&dmi, firmwares[i].field);
        bool weak = firmwares[i].weight <= 20;
        if (text != NULL && g_str_has_prefix(text, firmwares[i].begins) &&
            (!weak || look->below || (!look->is_x86 && !metal)))
            add(look, firmwares[i].kind, firmwares[i].weight, "DMI %s '%s'", firmwares[i].field,
                text);
    }
    if (dmi.sys_vendor != NULL && strstr(dmi.sys_vendor, "HITACHI") != NULL &&
        dmi.product_name != NULL && strstr(dmi.product_name, " LPAR") != NULL)
        add(look, "virtage", 45, "DMI product_name '%s' of Hitachi", dmi.product_name);
    look_at_microsoft(look, &dmi);
    ireko_host_clear_dmi(&dmi);

    size_t len = 0;
    g_autofree char *raw = ireko_host_head(look->root_fd, "sys/firmware/dmi/entries/0-0/raw",
                                           SMBIOS_VM_BYTE + 1, &len);
    if (raw != NULL && len == SMBIOS_VM_BYTE + 1 && (unsigned char)raw[1] > SMBIOS_VM_BYTE &&
        ((unsigned char)raw[SMBIOS_VM_BYTE] & SMBIOS_VM_BIT) != 0)
        add(look, "unknown", 10, "SMBIOS says 'system is a virtual machine'");
}

static void
look_at_acpi(Look *look)
{
    size_t len = 0;
    g_autofree char *head =
        ireko_host_head(look->root_fd, "sys/firmware/acpi/tables/FACP", ACPI_OEM_AT + 6, &len);
    if (head == NULL || len < ACPI_OEM_AT + 6)
        return;
    if (memcmp(head + ACPI_OEM_AT, "FIRECK", 6) == 0)
        add(look, "firecracker", 70, "ACPI tables by 'FIRECK'");
    else if (memcmp(head + ACPI_OEM_AT, "CLOUDH", 6) == 0)
        add(look, "cloud-hypervisor", 20, "ACPI tables by 'CLOUDH'");
}

/* ---- what the kernel shows ---- */

static void
look_at_xen(Look *look)
{
    g_autofree char *type = ireko_host_line(look->root_fd, "sys/hypervisor/type");
    if (type != NULL)
        add(look, strcmp(type, "xen") == 0 ? "xen" : "unknown", strcmp(type, "xen") == 0 ? 75 : 10,
            "/sys/hypervisor/type '%s'", type);
    if (ireko_host_exists(look->root_fd, "proc/xen")) {
        g_autofree char *line = ireko_host_line(look->root_fd, "proc/xen/capabilities");
        bool dom0 = line != NULL && strstr(line, "control_d") != NULL;
        add(look, "xen", 75, "/proc/xen, %s", dom0 ? "control domain (dom0)" : "domU");
    }
    if (ireko_host_exists(look->root_fd, "sys/bus/xen") &&
        !ireko_host_exists(look->root_fd, "sys/bus/xen-backend"))
        add(look, "xen", 30, "/sys/bus/xen: its devices are a guest's");
}

static void
look_at_cpuinfo(Look *look, const char *cpuinfo)
{
    g_autofree char *vendor = ireko_host_cpuinfo(cpuinfo, "vendor_id");
    g_autofree char *platform = ireko_host_cpuinfo(cpuinfo, "platform");
    g_autofree char *model = ireko_host_cpuinfo(cpuinfo, "model name");
    if (vendor != NULL && strstr(vendor, "User Mode Linux") != NULL)
        add(look, "uml", 95, "/proc/cpuinfo: vendor_id '%s'", vendor);
    if (vendor != NULL && g_str_has_prefix(vendor, "PowerVM Lx86"))
        add(look, "powervm-lx86", 95, "/proc/cpuinfo: vendor_id '%s'", vendor);
    if (platform != NULL && strstr(platform, "pSeries") != NULL)
        add(look, "powervm", 20, "/proc/cpuinfo: platform '%s'", platform);
    if (model != NULL && strstr(model, "QEMU") != NULL)
        add(look, "qemu", 30, "/proc/cpuinfo: model name '%s'", model);
}

static void
look_at_sysinfo(Look *look)
{
    g_autofree char *text =
        ireko_host_head(look->root_fd, "proc/sysinfo", SYSINFO_MAX, NULL); /* s390 alone has it */
    if (text == NULL)
        return;
    const char *program = strstr(text, "Control Program:");
    if (program != NULL)
        add(look, strstr(program, "KVM/Linux") != NULL ? "kvm" : "zvm", 60,
            "/proc/sysinfo: a control program");
    else if (strstr(text, "LPAR Number:") != NULL)
        add(look, "lpar", 60, "/proc/sysinfo: a logical partition");
}

static void
look_at_device_tree(Look *look)
{
    g_autofree char *hypervisor =
        ireko_host_line(look->root_fd, "proc/device-tree/hypervisor/compatible");
    g_autofree char *machine = ireko_host_line(look->root_fd, "proc/device-tree/compatible");
    if (hypervisor != NULL)
        add(look,
            strstr(hypervisor, "kvm") != NULL      ? "kvm"
            : strstr(hypervisor, "xen") != NULL    ? "xen"
            : strstr(hypervisor, "vmware") != NULL ? "vmware"
                                                   : "unknown",
            60, "device tree: hypervisor '%s'", hypervisor);
    if (machine != NULL && strstr(machine, "dummy-virt") != NULL)
        add(look, "kvm", 30, "device tree: '%s'", machine);
    if (machine != NULL && strstr(machine, "qemu,pseries") != NULL)
        add(look, "qemu", 45, "device tree: '%s'", machine);
    if (ireko_host_exists(look->root_fd, "proc/device-tree/ibm,partition-name") &&
        ireko_host_exists(look->root_fd, "proc/device-tree/hmc-managed?"))
        add(look, "powervm", 45, "device tree: a partition with a name");

    g_autoptr(GPtrArray) names =
        machine == NULL ? g_ptr_array_new()
                        : ireko_host_list(look->root_fd, "proc/device-tree", TREE_NAMES_MAX);
    for (guint i = 0; i < names->len; i++) {
        if (strstr(g_ptr_array_index(names, i), "fw-cfg") != NULL)
            add(look, "qemu", 30, "device tree: QEMU's fw-cfg");
    }
}

/* ---- judging ---- */

static int
compare_weights(const void *a, const void *b)
{
    return ((const Sign *)b)->weight - ((const Sign *)a)->weight;
}

static void
judge(const Look *look, const char *how, IrekoFacts *facts)
{
    if (look->signs->len == 0) {
        facts->above = g_strdup("none");
        facts->above_evidence = g_strdup(how);
        return;
    }
    const Sign *first = &g_array_index(look->signs, Sign, 0);
    facts->above = g_strdup(first->kind);
    facts->above_evidence =
        look->below ? g_strdup(first->text) : g_strdup_printf("%s; %s", first->text, how);
}

/* Whether a hypervisor shows itself; RET_HOW (free with g_free) says where that was read. */
static bool
is_below(Look *look, const char *cpuinfo, char **ret_how)
{
    uint32_t regs[4];
    g_autofree char *flags = ireko_host_cpuinfo(cpuinfo, "flags");
    bool asked = ask(look, 1, regs);
    look->is_x86 = asked || flags != NULL;
    *ret_how = asked ? g_strdup_printf("CPUID 1 ECX %08x: bit 31 (hypervisor) clear", regs[2])
                     : g_strdup("/proc/cpuinfo: no flag 'hypervisor'");
    return asked ? (regs[2] & ECX_HYPERVISOR) != 0 : ireko_host_has_word(flags, "hypervisor");
}

void
ireko_host_read_above(const IrekoHostSource *source,
                      const char *cpuinfo,
                      IrekoFacts *facts,
                      GPtrArray *signs)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Sign));
    g_array_set_clear_func(found, clear_sign);
    Look look = {.source = source, .root_fd = source->root_fd, .signs = found};
    g_autofree char *how = NULL;
    look.below = is_below(&look, cpuinfo, &how);

    if (look.below)
        look_at_cpuid(&look);
    look_at_clock(&look);
    look_at_dmi(&look);
    look_at_acpi(&look);
    look_at_xen(&look);
    look_at_cpuinfo(&look, cpuinfo);
    if (!look.is_x86) {
        look_at_sysinfo(&look);
        look_at_device_tree(&look);
    }
    g_array_sort(found, compare_weights);
    if (facts != NULL)
        judge(&look, how, facts);
    for (guint i = 0; signs != NULL && i < found->len; i++) {
        const Sign *sign = &g_array_index(found, Sign, i);
        g_ptr_array_add(signs, g_strdup_printf("%s: %s", sign->kind, sign->text));
    }
}
