/* vmx/lint-nest.c - rules about a machine that is to run a hypervisor. */
#include <string.h>

#include <ireko/preset.h>

#include "base/text.h"
#include "vmx/lint-rule.h"

#define HARDWARE_VHV    9  /* ESXi 5.1 */
#define HARDWARE_67     14 /* ESXi 6.7 */
#define HARDWARE_70     17
#define HARDWARE_80     20
#define BOOT_DISK_BYTES ((uint64_t)32 << 30) /* ESXi 7 and 8 */

#define DOC_8970          "VMware, Running Nested VMs (DOC-8970)"
#define ESXI_REQUIREMENTS "VMware docs, ESXi Hardware Requirements (GUID-DEB8086A)"

static void
check_vhv_hardware(Lint *lint, const Rule *rule)
{
    if (lint->has_vhv && lint->hardware > 0 && lint->hardware < HARDWARE_VHV)
        ireko_lint_say(lint, rule, lint->vhv_line, "virtualHW.version is %u", lint->hardware)->fix =
            g_strdup("upgrade the machine's hardware in VMware to 9 or later");
}

static void
check_vhv_software(Lint *lint, const Rule *rule)
{
    static const char *const keys[] = {"monitor.virtual_mmu", "monitor.virtual_exec"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys) && lint->has_vhv; i++) {
        unsigned line = 0;
        if (ireko_lint_is(lint, keys[i], "software", &line))
            ireko_lint_say(lint, rule, line, "%s is \"software\"", keys[i])->fix =
                g_strdup("remove the line");
    }
}

static void
check_no_vhv(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    g_autofree char *os = ireko_lint_value(lint, "guestOS", &line);
    if (lint->is_hypervisor && !lint->has_vhv)
        ireko_lint_say(lint, rule, lint->vhv_line > 0 ? lint->vhv_line : line,
                       "guestOS is '%s', vhv.enable is %s", os,
                       lint->vhv_line > 0 ? "FALSE" : "absent")
            ->fix = g_strdup("set vhv.enable to TRUE");
}

static void
check_guest_age(Lint *lint, const Rule *rule)
{
    static const struct {
        const char *os;
        unsigned hardware;
    } ages[] = {{"vmkernel9", HARDWARE_80}, {"vmkernel8", HARDWARE_80}, {"vmkernel7", HARDWARE_70}};
    for (size_t i = 0; i < G_N_ELEMENTS(ages); i++) {
        unsigned line = 0;
        g_autofree char *os = ireko_lint_value(lint, "guestOS", &line);
        if (g_str_has_prefix(lint->guest_os, ages[i].os) && lint->hardware > 0 &&
            lint->hardware < ages[i].hardware)
            ireko_lint_say(lint, rule, line, "guestOS is '%s', virtualHW.version %u", os,
                           lint->hardware)
                ->fix = g_strdup_printf("virtualHW.version %u or later, on a host that has it",
                                        ages[i].hardware);
    }
}

/* The floors are those that `ireko vmx nest` raises a machine to. */
static void
check_size(Lint *lint, const Rule *rule)
{
    const char *guest = NULL;
    g_autoptr(GPtrArray) steps = lint->is_esxi ? ireko_preset_nest(lint->doc, &guest, NULL) : NULL;
    for (unsigned i = 0; steps != NULL && i < steps->len; i++) {
        const IrekoStep *step = steps->pdata[i];
        bool size = g_ascii_strcasecmp(step->key, "numvcpus") == 0 ||
                    g_ascii_strcasecmp(step->key, "memsize") == 0;
        if (size && step->kind == IREKO_STEP_CHANGE)
            ireko_lint_say(lint, rule, step->line, "%s is %s, and %s needs %s", step->key,
                           step->before != NULL ? step->before : "absent", guest, step->after)
                ->fix = g_strdup_printf("%s = \"%s\", or `ireko vmx nest`", step->key, step->after);
    }
}

/* The first disk by its address, which the firmware boots from unless it is told otherwise. */
static const LintDevice *
boot_disk(const Lint *lint)
{
    for (unsigned i = 0; i < lint->disks->len; i++) {
        const LintDevice *disk = &g_array_index(lint->disks, LintDevice, i);
        if (!ireko_lint_is_cdrom(lint, disk))
            return disk;
    }
    return NULL;
}

static void
check_boot_disk(Lint *lint, const Rule *rule)
{
    bool large = lint->is_esxi && (g_str_has_prefix(lint->guest_os, "vmkernel7") ||
                                   g_str_has_prefix(lint->guest_os, "vmkernel8") ||
                                   g_str_has_prefix(lint->guest_os, "vmkernel9"));
    const LintDevice *boot = large ? boot_disk(lint) : NULL;
    if (boot == NULL)
        return;
    g_autofree char *key =
        g_strdup_printf("ireko.%s%u:%u.size", boot->bus, boot->number, boot->unit);
    unsigned line = 0;
    g_autofree char *size = ireko_lint_value(lint, key, &line);
    uint64_t bytes = 0;
    if (size != NULL && ireko_text_parse_size(size, &bytes) && bytes < BOOT_DISK_BYTES)
        ireko_lint_say(lint, rule, line, "%s is %s", key, size)->fix =
            g_strdup_printf("%s = \"32G\"", key);
}

static void
check_vpmc(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    if (ireko_lint_on(lint, "vpmc.enable", false, &line) &&
        (ireko_lint_on(lint, "evcCompatibilityMode", false, NULL) ||
         ireko_lint_with_prefix(lint, "featMask.vm.cpuid.", NULL) > 0))
        ireko_lint_say(lint, rule, line, "vpmc.enable is TRUE, and the CPU's features are masked")
            ->fix = g_strdup("remove vpmc.enable, or take the machine out of EVC");
}

static void
check_fault_tolerance(Lint *lint, const Rule *rule)
{
    unsigned line = ireko_lint_with_prefix(lint, "ftcpt.", "ftcpt.ftEncryptionMode");
    if (lint->has_vhv && line > 0)
        ireko_lint_say(lint, rule, line, "the line is of Fault Tolerance")->fix =
            g_strdup("turn Fault Tolerance off in vSphere, or set vhv.enable to FALSE");
}

static void
check_passthrough(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < 16 && lint->has_vhv; i++) {
        unsigned line = 0;
        g_autofree char *key = g_strdup_printf("pciPassthru%u.present", i);
        if (ireko_lint_on(lint, key, false, &line) &&
            !ireko_lint_on(lint, "vhv.allowPassthru", false, NULL))
            ireko_lint_say(lint, rule, line, "%s is TRUE", key)->fix =
                g_strdup("add vhv.allowPassthru = \"TRUE\"");
    }
}

static void
check_vbs(Lint *lint, const Rule *rule)
{
    static const char *const needs[] = {"vvtd.enable", "vhv.enable", "uefi.secureBoot.enabled"};
    unsigned line = 0, at = 0;
    if (!ireko_lint_on(lint, "vbs.enable", false, &line) &&
        !ireko_lint_on(lint, "windows.vbs.enabled", false, &line))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(needs); i++) {
        if (!ireko_lint_on(lint, needs[i], true, &at))
            ireko_lint_say(lint, rule, at, "%s is FALSE", needs[i])->fix =
                g_strdup("set it to TRUE, or turn virtualisation-based security off");
    }
    if (ireko_lint_is(lint, "firmware", "bios", &at))
        ireko_lint_say(lint, rule, at, "firmware is \"bios\"")->fix =
            g_strdup("set it to efi, where the guest was installed so");
    if (lint->hardware > 0 && lint->hardware < HARDWARE_67)
        ireko_lint_say(lint, rule, line, "virtualHW.version is %u", lint->hardware)->fix =
            g_strdup("upgrade the hardware to 14 (Intel) or 19 (AMD)");
}

static void
check_suspended(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    g_autofree char *state = ireko_lint_value(lint, "checkpoint.vmState", &line);
    if (lint->has_vhv && state != NULL && *state != '\0')
        ireko_lint_say(lint, rule, line, "suspended into '%s'", state)->fix =
            g_strdup("resume it where it was suspended, end the guests inside, then move it");
}

static bool
has_root_port(const Lint *lint)
{
    for (unsigned i = 0; i < 16; i++) {
        g_autofree char *key = g_strdup_printf("pciBridge%u.virtualDev", i);
        if (ireko_lint_is(lint, key, "pcieRootPort", NULL))
            return true;
    }
    return false;
}

static void
check_root_port(Lint *lint, const Rule *rule)
{
    if (lint->hardware > 0 && lint->hardware < 7)
        return; /* no PCI Express yet */
    if (has_root_port(lint))
        return;
    for (unsigned i = 0; i < lint->nics->len; i++) {
        const LintDevice *nic = &g_array_index(lint->nics, LintDevice, i);
        g_autofree char *model = ireko_lint_device_value(lint, nic, "virtualDev", NULL);
        if (model != NULL &&
            (g_ascii_strcasecmp(model, "vmxnet3") == 0 || g_ascii_strcasecmp(model, "e1000e") == 0))
            ireko_lint_say(lint, rule, nic->line, "ethernet%u is a %s", nic->number, model)->fix =
                g_strdup("add pciBridge4.present, .virtualDev = \"pcieRootPort\", .functions = "
                         "\"8\"");
    }
    for (unsigned i = 0; i < lint->disks->len; i++) {
        const LintDevice *disk = &g_array_index(lint->disks, LintDevice, i);
        if (strcmp(disk->bus, "nvme") == 0)
            ireko_lint_say(lint, rule, disk->line, "nvme%u:%u", disk->number, disk->unit)->fix =
                g_strdup("add pciBridge4.present, .virtualDev = \"pcieRootPort\", .functions = "
                         "\"8\"");
    }
}

const Rule ireko_rules_nest[] = {
    {"vhv-hardware-version", IREKO_SEVERITY_ERROR,
     "below hardware version 9 vhv.enable is ignored without a word",
     "vhv.enable is TRUE and virtualHW.version below 9", DOC_8970 "; pyvmomi issue 629",
     check_vhv_hardware},
    {"vhv-software-mmu", IREKO_SEVERITY_ERROR,
     "vhv.enable needs hardware paging (EPT, RVI), which this turns off",
     "vhv.enable is TRUE and monitor.virtual_mmu or monitor.virtual_exec is software",
     DOC_8970 "; vSphere API, VirtualMachineFlagInfo", check_vhv_software},
    {"hypervisor-without-vhv", IREKO_SEVERITY_WARNING,
     "the hypervisor comes up all the same, and runs no 64-bit guests",
     "guestOS is an ESXi (vmkernel...) or Hyper-V (winHyperV) and vhv.enable is not TRUE",
     DOC_8970 "; " ESXI_REQUIREMENTS, check_no_vhv},
    {"guest-newer-than-hardware", IREKO_SEVERITY_WARNING,
     "a host that has no newer hardware version does not know this guestOS",
     "guestOS is vmkernel7 below hardware version 17, vmkernel8 or vmkernel9 below 20",
     "govmomi vim25/types/enum.go, VirtualMachineGuestOsIdentifier", check_guest_age},
    {"esxi-too-small", IREKO_SEVERITY_ERROR, "ESXi does not install in so small a machine",
     "guestOS is an ESXi without ireko.image; 2 CPUs from 6.0, 4 GB to 6.7, 8 GB from 7.0",
     ESXI_REQUIREMENTS, check_size},
    {"esxi-boot-disk-small", IREKO_SEVERITY_ERROR, "ESXi 7 and 8 need a boot disk of 32 GB",
     "guestOS is vmkernel7 or later and ireko.X:Y.size of the first disk is below 32G",
     ESXI_REQUIREMENTS, check_boot_disk},
    {"vpmc-masked-cpu", IREKO_SEVERITY_WARNING,
     "virtual performance counters and EVC do not go together, and moving the machine fails",
     "vpmc.enable is TRUE with evcCompatibilityMode TRUE or a featMask.vm.cpuid",
     "https://knowledge.broadcom.com/external/article/344161/", check_vpmc},
    {"vhv-fault-tolerance", IREKO_SEVERITY_ERROR,
     "Fault Tolerance refuses a machine with nested assistance",
     "vhv.enable is TRUE and there is an ftcpt. key other than ftcpt.ftEncryptionMode",
     "govmomi vim25/types/enum.go, hasNestedHVConfiguration", check_fault_tolerance},
    {"vhv-passthrough", IREKO_SEVERITY_ERROR,
     "ESXi refuses nested assistance together with a passed-through device",
     "vhv.enable and pciPassthruN.present are TRUE and vhv.allowPassthru is not",
     "field report: docs.omersanli.com.tr, ESXi nested virtualization and GPU passthrough",
     check_passthrough},
    {"vbs-incomplete", IREKO_SEVERITY_WARNING,
     "virtualisation-based security needs a virtual IOMMU, nesting, EFI with secure boot",
     "vbs.enable or windows.vbs.enabled is TRUE and one of these is FALSE, firmware is bios, or "
     "the "
     "hardware version is below 14",
     "govmomi vim25/types/types.go, VirtualMachineFlagInfo.VbsEnabled", check_vbs},
    {"suspended-hypervisor", IREKO_SEVERITY_WARNING,
     "a hypervisor suspended with guests inside resumes only on the same CPU, and on AMD under "
     "KVM not safely at all",
     "vhv.enable is TRUE and checkpoint.vmState names a file",
     "Linux Documentation/virt/kvm/x86/running-nested-guests.rst; VMware Workstation docs "
     "(GUID-FF4870F3)",
     check_suspended},
    {"no-pcie-port", IREKO_SEVERITY_WARNING,
     "the device needs a PCI Express root port: \"No PCIe slot available\"",
     "an NVMe disk, e1000e or vmxnet3 and no pciBridgeN.virtualDev = pcieRootPort",
     "field report; libvirt src/vmx/vmx.c writes such bridges", check_root_port},
    {NULL, IREKO_SEVERITY_INFO, NULL, NULL, NULL, NULL},
};
