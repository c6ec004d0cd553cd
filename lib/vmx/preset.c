/* vmx/preset.c - a machine that runs a hypervisor; a disk that says it is an SSD.
 *
 * A preset looks at what is there and plans a step for each thing that matters, with its reason and
 * source, also where it is right already. It changes what has one right answer and only where the
 * present value does not do: a larger memory or a better card stays. Devices are changed, never
 * added, and a disk controller only where the guest cannot have been installed on the old one. */
#include <string.h>

#include <ireko/preset.h>

#include "base/text.h"

#define VHV_HARDWARE 9 /* the virtualHW.version that vhv.enable needs */
#define RAISED_HARDWARE                                                                            \
    7 /* from here on a version differs from the next by little but its number */
#define SSD_HARDWARE    8 /* that tells a guest of SSDs */
#define NICS_MAX        10
#define CONTROLLERS_MAX 4
#define LISTED_MAX      64 /* drives that a message names */

#define DOC_8970    "VMware, Running Nested VMs (DOC-8970)"
#define FLAG_INFO   "vSphere API, VirtualMachineFlagInfo"
#define REQUIREMENT "VMware docs, ESXi Hardware Requirements "
#define SEEN        "field report: "

/* What a hypervisor needs of the machine around it. */
typedef struct {
    const char *prefix; /* of guestOS, lower case */
    const char *name;
    unsigned vcpus, memory_mib; /* at least; 0: no floor known */
    const char *floor_source;
    const char *nic; /* in place of one that it has no driver for; NULL: it has all */
    const char *nic_source;
    bool pvscsi; /* has no driver for the old parallel SCSI controllers */
    bool hide;   /* does not install where it sees that it is a guest */
} Guest;

#define NIC_ESXI SEEN "williamlam.com, nested ESXi 6.5: drivers for vmxnet3, pvscsi and NVMe"
#define NIC_ESX5                                                                                   \
    "ESXi 5.1 Update 2 release notes: e1000 is the default of an ESX guest, vmxnet3 experimental"
#define NIC_WINDOWS "VMware KB 1001805: no vlance driver since Windows Vista"

/* The first that fits counts. */
static const Guest guests[] = {
    {"vmkernel9", "ESXi 9", 2, 8192, REQUIREMENT "8.0; none newer was read", "vmxnet3", NIC_ESXI,
     true, false},
    {"vmkernel8", "ESXi 8", 2, 8192, REQUIREMENT "8.0", "vmxnet3", NIC_ESXI, true, false},
    {"vmkernel7", "ESXi 7", 2, 8192, REQUIREMENT "7.0", "vmxnet3", NIC_ESXI, true, false},
    {"vmkernel65", "ESXi 6.5 or 6.7", 2, 4096, REQUIREMENT "6.5", "vmxnet3", NIC_ESXI, false,
     false},
    {"vmkernel6", "ESXi 6.0", 2, 4096, REQUIREMENT "6.0", "e1000e", NIC_ESX5, false, false},
    {"vmkernel5", "ESXi 5", 2, 4096, REQUIREMENT "5.5", "e1000", NIC_ESX5, false, false},
    {"vmkernel", "ESX 4", 0, 0, NULL, "e1000", NIC_ESX5, false, false},
    {"win", "Hyper-V", 0, 4096, "Microsoft, System requirements for Hyper-V", "e1000e", NIC_WINDOWS,
     false, true},
    {"", "KVM, Xen or another hypervisor", 0, 0, NULL, NULL, NULL, false, false},
};

const char *
ireko_step_kind_name(IrekoStepKind kind)
{
    switch (kind) {
    case IREKO_STEP_RIGHT:
        return "right";
    case IREKO_STEP_CHANGE:
        return "change";
    case IREKO_STEP_ADVICE:
        return "advice";
    }
    return "advice";
}

static void
free_step(void *data)
{
    IrekoStep *step = data;
    g_free(step->key);
    g_free(step->before);
    g_free(step->after);
    g_free(step);
}

/* Adds a step of KIND for KEY, which is read from DOC; to be completed. */
static IrekoStep *
add_step(
    GPtrArray *steps, const IrekoVmx *doc, IrekoStepKind kind, const char *key, const char *reason)
{
    IrekoStep *step = g_new0(IrekoStep, 1);
    step->kind = kind;
    step->key = g_strdup(key);
    step->before = ireko_vmx_get(doc, key, &step->line);
    step->reason = reason;
    g_ptr_array_add(steps, step);
    return step;
}

/* Plans that KEY has the value AFTER; RIGHT says whether it does already. */
static void
want(GPtrArray *steps,
     const IrekoVmx *doc,
     const char *key,
     const char *after,
     bool right,
     const char *const reason_source[2])
{
    IrekoStep *step =
        add_step(steps, doc, right ? IREKO_STEP_RIGHT : IREKO_STEP_CHANGE, key, reason_source[0]);
    step->source = reason_source[1];
    if (!right)
        step->after = g_strdup(after);
}

static bool
is_value(const IrekoVmx *doc, const char *key, bool fallback)
{
    g_autofree char *value = ireko_vmx_get(doc, key, NULL);
    if (value == NULL)
        return fallback;
    bool on = false;
    return ireko_text_parse_bool(value, &on) && on;
}

/* The whole number that KEY has, or FALLBACK where it is absent; 0 where it is none. */
static unsigned
number_of(const IrekoVmx *doc, const char *key, unsigned fallback)
{
    g_autofree char *value = ireko_vmx_get(doc, key, NULL);
    uint64_t number = 0;
    if (value == NULL)
        return fallback;
    return ireko_text_parse_unsigned(value, 10, 0, G_MAXUINT, &number) ? (unsigned)number : 0;
}

static bool
plan_hardware(GPtrArray *steps, const IrekoVmx *doc, GError **error)
{
    static const char *const why[] = {
        "below 9 VMware's products ignore vhv.enable; 9 opens in ESXi 5.1, Workstation 9 and newer",
        DOC_8970};
    unsigned version = number_of(doc, "virtualHW.version", VHV_HARDWARE - 1);
    if (version < RAISED_HARDWARE) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "virtualHW.version is %u, and nesting needs %d: upgrade the machine's virtual "
                    "hardware in a VMware product first, since its devices change too",
                    version, VHV_HARDWARE);
        return false;
    }
    want(steps, doc, "virtualHW.version", G_STRINGIFY(VHV_HARDWARE), version >= VHV_HARDWARE, why);
    return true;
}

/* Software there means: without EPT or RVI, which vhv.enable needs. */
static void
plan_monitor(GPtrArray *steps, const IrekoVmx *doc)
{
    static const char *const keys[] = {"monitor.virtual_mmu", "monitor.virtual_exec"};
    static const char *const why[] = {
        "vhv.enable needs EPT or RVI, and this turns hardware virtualisation off; without the line "
        "the product takes it",
        FLAG_INFO};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *value = ireko_vmx_get(doc, keys[i], NULL);
        if (value != NULL && g_ascii_strcasecmp(value, "software") == 0)
            want(steps, doc, keys[i], NULL, false, why);
    }
}

static void
plan_floor(GPtrArray *steps, const IrekoVmx *doc, const Guest *guest)
{
    g_autofree char *image = ireko_vmx_get(doc, "ireko.image", NULL);
    if (image != NULL) {
        add_step(steps, doc, IREKO_STEP_RIGHT, "ireko.image",
                 "a built-in image runs in the place of the guestOS, whose floors for CPUs and "
                 "memory do not apply")
            ->source = "ireko-vmx(5)";
        return;
    }
    if (guest->vcpus > 0) {
        g_autofree char *floor = g_strdup_printf("%u", guest->vcpus);
        want(steps, doc, "numvcpus", floor, number_of(doc, "numvcpus", 1) >= guest->vcpus,
             (const char *const[]){"it does not install with fewer CPUs", guest->floor_source});
    }
    if (guest->memory_mib > 0) {
        g_autofree char *floor = g_strdup_printf("%u", guest->memory_mib);
        want(steps, doc, "memsize", floor, number_of(doc, "memsize", 0) >= guest->memory_mib,
             (const char *const[]){"MB: the least that it asks for; its guests come on top",
                                   guest->floor_source});
    }
}

static void
plan_cards(GPtrArray *steps, const IrekoVmx *doc, const Guest *guest)
{
    for (unsigned n = 0; guest->nic != NULL && n < NICS_MAX; n++) {
        g_autofree char *present = g_strdup_printf("ethernet%u.present", n);
        g_autofree char *key = g_strdup_printf("ethernet%u.virtualDev", n);
        if (!is_value(doc, present, false))
            continue;
        g_autofree char *card = ireko_vmx_get(doc, key, NULL);
        bool old = card == NULL || g_ascii_strcasecmp(card, "vlance") == 0 ||
                   g_ascii_strcasecmp(card, "vmxnet") == 0;
        want(steps, doc, key, guest->nic, !old,
             (const char *const[]){old ? "it has no driver for vlance (what an absent key means) "
                                         "and vmxnet"
                                       : "it has a driver for this card",
                                   guest->nic_source});
    }
}

static void
plan_controllers(GPtrArray *steps, const IrekoVmx *doc, const Guest *guest)
{
    for (unsigned n = 0; guest->pvscsi && n < CONTROLLERS_MAX; n++) {
        g_autofree char *present = g_strdup_printf("scsi%u.present", n);
        g_autofree char *key = g_strdup_printf("scsi%u.virtualDev", n);
        if (!is_value(doc, present, false))
            continue;
        g_autofree char *model = ireko_vmx_get(doc, key, NULL);
        bool old = model == NULL || g_ascii_strcasecmp(model, "lsilogic") == 0 ||
                   g_ascii_strcasecmp(model, "buslogic") == 0;
        want(steps, doc, key, "pvscsi", !old,
             (const char *const[]){old ? "ESXi 7 and newer have no driver for lsilogic (what an "
                                         "absent key means) and buslogic"
                                       : "it is no parallel SCSI controller of old",
                                   old ? SEEN "vmklinux drivers ended with ESXi 6.7" : NIC_ESXI});
    }
}

static void
plan_hiding(GPtrArray *steps, const IrekoVmx *doc, const Guest *guest)
{
    static const char *const why[] = {
        "Hyper-V does not install where it sees that it is a guest of VMware; VMware Tools and the "
        "like then do not see it either",
        SEEN "woshub.com, Hyper-V on an ESXi VM"};
    if (guest->hide)
        want(steps, doc, "hypervisor.cpuid.v0", "FALSE",
             !is_value(doc, "hypervisor.cpuid.v0", true), why);
}

static void
plan_width(GPtrArray *steps, const IrekoVmx *doc, const Guest *guest, const char *os)
{
    if (g_str_has_prefix(guest->prefix, "vmkernel") || strstr(os, "64") != NULL ||
        strstr(os, "hyperv") != NULL)
        return;
    add_step(steps, doc, IREKO_STEP_ADVICE, "guestOS",
             "not a 64-bit guest: a hypervisor of today needs one, such as \"debian12-64\"")
        ->source = DOC_8970;
}

GPtrArray *
ireko_preset_nest(const IrekoVmx *doc, const char **ret_guest, GError **error)
{
    static const char *const vhv[] = {
        "hands VT-x/EPT or AMD-V/RVI on to the guest; absent means FALSE, and then only 32-bit "
        "guests or none run inside",
        DOC_8970};
    g_autofree char *value = ireko_vmx_get(doc, "guestOS", NULL);
    g_autofree char *os = g_ascii_strdown(value != NULL ? value : "", -1);
    const Guest *guest = guests;
    while (!g_str_has_prefix(os, guest->prefix))
        guest++;

    g_autoptr(GPtrArray) steps = g_ptr_array_new_with_free_func(free_step);
    if (!plan_hardware(steps, doc, error))
        return NULL;
    want(steps, doc, "vhv.enable", "TRUE", is_value(doc, "vhv.enable", false), vhv);
    plan_monitor(steps, doc);
    plan_hiding(steps, doc, guest);
    plan_width(steps, doc, guest, os);
    plan_floor(steps, doc, guest);
    plan_cards(steps, doc, guest);
    plan_controllers(steps, doc, guest);
    *ret_guest = guest->name;
    return g_steal_pointer(&steps);
}

/* Whether NAME is a drive such as "scsi0:1"; stores its bus. */
static bool
is_drive(const char *name, size_t len, const char **ret_bus)
{
    static const char *const buses[] = {"scsi", "sata", "ide", "nvme"};
    for (size_t i = 0; i < G_N_ELEMENTS(buses); i++) {
        size_t at = strlen(buses[i]);
        if (len < at || g_ascii_strncasecmp(name, buses[i], at) != 0)
            continue;
        size_t digits = at;
        while (digits < len && g_ascii_isdigit(name[digits]))
            digits++;
        size_t end = digits + 1;
        while (end < len && g_ascii_isdigit(name[end]))
            end++;
        *ret_bus = buses[i];
        return digits > at && digits < len && name[digits] == ':' && end == len && end > digits + 1;
    }
    return false;
}

static bool
is_cdrom(const IrekoVmx *doc, const char *drive)
{
    g_autofree char *key = g_strconcat(drive, ".deviceType", NULL);
    g_autofree char *type = ireko_vmx_get(doc, key, NULL);
    g_autofree char *lower = g_ascii_strdown(type != NULL ? type : "", -1);
    return strstr(lower, "cdrom") != NULL;
}

/* Whether entry INDEX says that a drive is present; stores its name in lower case. */
static bool
is_present_drive(const IrekoVmx *doc, size_t index, char **ret_drive)
{
    static const char ending[] = ".present";
    const size_t ending_len = sizeof ending - 1;
    IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
    const char *bus = NULL;
    if (entry.name == NULL || entry.name_len <= ending_len ||
        g_ascii_strncasecmp(entry.name + entry.name_len - ending_len, ending, ending_len) != 0 ||
        !is_drive(entry.name, entry.name_len - ending_len, &bus))
        return false;
    bool present = false;
    g_autofree char *value = ireko_vmx_entry_value(doc, index);
    *ret_drive = g_ascii_strdown(entry.name, (gssize)(entry.name_len - ending_len));
    return ireko_text_parse_bool(value, &present) && present;
}

/* "scsi0:0, ide1:0 (a CD-ROM)": the drives of DOC, as many as a person reads; free with g_free. */
static char *
list_drives(const IrekoVmx *doc)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < ireko_vmx_count(doc) && names->len < LISTED_MAX; i++) {
        g_autofree char *drive = NULL;
        if (is_present_drive(doc, i, &drive))
            g_ptr_array_add(names,
                            g_strconcat(drive, is_cdrom(doc, drive) ? " (a CD-ROM)" : "", NULL));
    }
    g_ptr_array_add(names, NULL);
    return names->len == 1 ? g_strdup("none") : g_strjoinv(", ", (char **)names->pdata);
}

/* Whether DRIVE is a hard disk of DOC that can be an SSD or not. */
static bool
check_disk(const IrekoVmx *doc, const char *drive, bool ssd, GError **error)
{
    const char *bus = NULL;
    g_autofree char *present = g_strconcat(drive, ".present", NULL);
    if (!is_drive(drive, strlen(drive), &bus)) {
        g_autofree char *drives = list_drives(doc);
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "'%s' is no name of a disk; such as scsi0:1 are meant; here are: %s", drive,
                    drives);
        return false;
    }
    if (!is_value(doc, present, false)) {
        g_autofree char *drives = list_drives(doc);
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "there is no disk %s; there are: %s",
                    drive, drives);
        return false;
    }
    if (is_cdrom(doc, drive)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "%s is a CD-ROM drive: only hard disks can be SSDs", drive);
        return false;
    }
    if (strcmp(bus, "nvme") == 0 && !ssd) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "%s is an NVMe disk, and those are always SSDs: put it on a SCSI controller",
                    drive);
        return false;
    }
    return true;
}

GPtrArray *
ireko_preset_ssd(const IrekoVmx *doc, const char *disk, bool ssd, GError **error)
{
    static const char *const to_ssd[] = {
        "the disk tells its guest that it does not rotate (SCSI VPD page B1h, ATA word 217): vSAN "
        "and others take it for an SSD",
        "vSphere 5.5 docs, Identify SSD Devices; key: " SEEN "packer #2309"};
    static const char *const to_disk[] = {
        "the disk tells its guest that it rotates, whatever the datastore is made of",
        "key: " SEEN "packer #2309"};
    g_autofree char *drive = g_ascii_strdown(disk, -1);
    if (!check_disk(doc, drive, ssd, error))
        return NULL;

    g_autoptr(GPtrArray) steps = g_ptr_array_new_with_free_func(free_step);
    g_autofree char *key = g_strconcat(drive, ".virtualSSD", NULL);
    if (g_str_has_prefix(drive, "nvme")) {
        add_step(steps, doc, IREKO_STEP_RIGHT, key, "an NVMe disk is an SSD without this key")
            ->source = "ireko-vmx(5)";
        return g_steal_pointer(&steps);
    }
    g_autofree char *value = ireko_vmx_get(doc, key, NULL);
    want(steps, doc, key, ssd ? "1" : "0", value != NULL && is_value(doc, key, false) == ssd,
         ssd ? to_ssd : to_disk);
    if (ssd && number_of(doc, "virtualHW.version", SSD_HARDWARE) < SSD_HARDWARE)
        add_step(steps, doc, IREKO_STEP_ADVICE, "virtualHW.version",
                 "below 8 VMware's products tell no guest of an SSD: upgrade the virtual hardware")
            ->source = "vSphere 5.5 docs, Identify SSD Devices";
    return g_steal_pointer(&steps);
}

bool
ireko_preset_apply(IrekoVmx *doc, const GPtrArray *steps, GError **error)
{
    for (unsigned i = 0; i < steps->len; i++) {
        const IrekoStep *step = steps->pdata[i];
        if (step->kind != IREKO_STEP_CHANGE)
            continue;
        if (step->after == NULL)
            (void)ireko_vmx_unset(doc, step->key);
        else if (!ireko_vmx_set(doc, step->key, step->after, error))
            return false;
    }
    return true;
}
