/* convert/virtualbox-disks.c - storage controllers of VirtualBox and what is attached to them.
 *
 * Each controller of the .vmx becomes one of that name. VirtualBox has no PVSCSI: its disks go to
 * an AHCI controller, which most guests have a driver for. It attaches VDI, VMDK and VHD files;
 * what else a disk is gets a wrapper (a device of the host) or a copy (a raw image) in the
 * commands. */
#include <string.h>

#include "convert/extras.h"
#include "convert/shell.h"
#include "convert/virtualbox.h"

#define CONTROLLERS 4
#define MIB         ((uint64_t)1 << 20)

/* VirtualBox's limits of ports: PlatformProperties::getMaxPortCountForStorageBus in its source. */
typedef struct {
    const char *bus, *model;
    unsigned ports;
    bool near; /* not what VMware has */
} Kind;

static const Kind scsi_kinds[] = {
    [IREKO_SCSI_LSILOGIC] = {"scsi", "LSILogic", 16, false},
    [IREKO_SCSI_PVSCSI] = {"sata", "IntelAhci", 30, true},
    [IREKO_SCSI_LSISAS1068] = {"sas", "LSILogicSAS", 255, false},
};

static const Kind other_kinds[] = {
    [IREKO_BUS_SATA] = {"sata", "IntelAhci", 30, false},
    [IREKO_BUS_IDE] = {"ide", "PIIX4", 2, false},
    [IREKO_BUS_NVME] = {"pcie", "NVMe", 255, false},
};

static const char *const bus_names[] = {
    [IREKO_BUS_SCSI] = "scsi",
    [IREKO_BUS_SATA] = "sata",
    [IREKO_BUS_IDE] = "ide",
    [IREKO_BUS_NVME] = "nvme",
};

static const Kind *
kind_of(const IrekoDisk *disk)
{
    return disk->bus == IREKO_BUS_SCSI ? &scsi_kinds[disk->scsi_model] : &other_kinds[disk->bus];
}

/* The first disk on controller NUMBER of BUS, or NULL. */
static const IrekoDisk *
find_on(const IrekoMachine *machine, IrekoBus bus, unsigned number)
{
    for (unsigned i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (disk->bus == bus && (bus == IREKO_BUS_IDE || disk->controller == number))
            return disk;
    }
    return NULL;
}

bool
ireko_box_disks_need_ich9(const IrekoMachine *machine)
{
    static const IrekoBus buses[] = {IREKO_BUS_SCSI, IREKO_BUS_SATA, IREKO_BUS_NVME};
    static const char *const kinds[] = {"scsi", "sas", "sata", "pcie"};
    unsigned counts[G_N_ELEMENTS(kinds)] = {0};
    bool twice = false;
    for (size_t bus = 0; bus < G_N_ELEMENTS(buses); bus++) {
        for (unsigned n = 0; n < CONTROLLERS; n++) {
            const IrekoDisk *disk = find_on(machine, buses[bus], n);
            for (size_t k = 0; disk != NULL && k < G_N_ELEMENTS(kinds); k++)
                twice |= strcmp(kind_of(disk)->bus, kinds[k]) == 0 && ++counts[k] > 1;
        }
    }
    return twice;
}

/* ---- controllers ---- */

/* "scsi0"; VirtualBox's one IDE controller has both of VMware's as its ports. */
static char *
controller_name(const IrekoDisk *disk)
{
    return disk->bus == IREKO_BUS_IDE
               ? g_strdup("ide")
               : g_strdup_printf("%s%u", bus_names[disk->bus], disk->controller);
}

static void
append_controller(Box *b, const IrekoDisk *disk)
{
    const Kind *kind = kind_of(disk);
    g_autofree char *name = controller_name(disk);
    ireko_box_begin(b, "storagectl");
    ireko_shell_option(b->out, "--name", name, NULL);
    ireko_shell_option(b->out, "--add", kind->bus, NULL);
    ireko_shell_option(b->out, "--controller", kind->model, NULL);
    ireko_box_end(b);
    ireko_account_say(b->account, name, "present", CARRIED, "storagectl --name %s", name);
    ireko_account_say(b->account, name, "virtualDev", kind->near ? APPROXIMATED : CARRIED,
                      kind->near ? "--controller %s: VirtualBox has no PVSCSI" : "--controller %s",
                      kind->model);
}

/* A controller of the .vmx without a disk is nothing that VirtualBox needs to be told. */
static void
say_bare(Box *b, IrekoBus bus, unsigned number)
{
    g_autofree char *name = g_strdup_printf("%s%u", bus_names[bus], number);
    if (ireko_account_flag(b->account, name, "present", false))
        ireko_account_say_each(b->account, name, "present virtualDev", DROPPED,
                               "nothing is attached to it");
}

static void
append_controllers(Box *b)
{
    static const IrekoBus buses[] = {IREKO_BUS_SCSI, IREKO_BUS_SATA, IREKO_BUS_IDE, IREKO_BUS_NVME};
    for (size_t i = 0; i < G_N_ELEMENTS(buses); i++) {
        for (unsigned n = 0; n < (buses[i] == IREKO_BUS_IDE ? 1 : CONTROLLERS); n++) {
            const IrekoDisk *disk = find_on(b->machine, buses[i], n);
            if (disk != NULL)
                append_controller(b, disk);
            else
                say_bare(b, buses[i], n);
        }
    }
}

/* ---- media ---- */

static void
append_new(Box *b, const IrekoDisk *disk, const char *path)
{
    g_autofree char *key = g_strconcat("ireko.", disk->device, NULL);
    g_autofree char *size =
        g_strdup_printf("%" G_GUINT64_FORMAT, (disk->create_bytes + MIB - 1) / MIB);
    ireko_shell_unless(b->out, path);
    g_string_append(b->out, "VBoxManage createmedium disk");
    ireko_shell_option(b->out, "--filename", path, NULL);
    ireko_shell_option(b->out, "--size", size, NULL);
    ireko_shell_option(b->out, "--format", "VMDK", NULL);
    ireko_box_end(b);
    ireko_account_say(b->account, key, "size", CARRIED, "createmedium, where it is missing");
}

/* A device of the host, wrapped: beside the .vmx, named after the disk's place. */
static char *
append_wrapper(Box *b, const IrekoDisk *disk)
{
    g_autofree char *place = g_strdelimit(g_strdup(disk->device), ":", '-');
    g_autofree char *name = g_strdup_printf("%s.%s.vmdk", b->machine->name, place);
    g_autofree char *path = ireko_account_path(b->account, name);
    g_autofree char *property = g_strconcat("RawDrive=", disk->file, NULL);
    ireko_shell_unless(b->out, path);
    g_string_append(b->out, "VBoxManage createmedium disk");
    ireko_shell_option(b->out, "--filename", path, NULL);
    ireko_shell_option(b->out, "--format", "VMDK", NULL);
    ireko_shell_option(b->out, "--variant", "RawDisk", NULL);
    ireko_shell_option(b->out, "--property", property, NULL);
    ireko_box_end(b);
    ireko_account_say(b->account, disk->device, "fileName", CARRIED,
                      "createmedium --variant RawDisk --property RawDrive");
    return g_steal_pointer(&path);
}

static char *
append_copy(Box *b, const IrekoDisk *disk, const char *path)
{
    g_autofree char *copy = g_strconcat(path, ".vdi", NULL);
    ireko_shell_unless(b->out, copy);
    g_string_append(b->out, "VBoxManage convertfromraw");
    ireko_shell_option(b->out, "--format", "VDI", path, copy, NULL);
    ireko_box_end(b);
    ireko_account_say(b->account, disk->device, "fileName", APPROXIMATED,
                      "VirtualBox attaches no raw image: convertfromraw makes a copy");
    return g_steal_pointer(&copy);
}

/* What storageattach is given for DISK; commands that make it come first. */
static char *
append_medium(Box *b, const IrekoDisk *disk)
{
    if (disk->file == NULL)
        return g_strdup("emptydrive");
    bool device = g_str_has_prefix(disk->file, "/dev/");
    g_autofree char *path = ireko_account_path(b->account, disk->file);
    if (disk->cdrom)
        return device ? g_strconcat("host:", path, NULL) : g_steal_pointer(&path);
    if (device)
        return append_wrapper(b, disk);
    bool made = disk->create_bytes > 0;
    if (made)
        append_new(b, disk, path);
    if (!made && strcmp(ireko_account_format(disk->file), "raw") == 0)
        return append_copy(b, disk, path);
    return g_steal_pointer(&path);
}

/* ---- attachments ---- */

static void
say_attached(Box *b, const IrekoDisk *disk)
{
    Account *account = b->account;
    const char *type = disk->cdrom ? "--type dvddrive" : "--type hdd";
    ireko_account_say_each(account, disk->device, "startConnected autodetect clientDevice", CARRIED,
                           disk->file == NULL ? "--medium emptydrive"
                                              : "the drive holds its medium");
    ireko_account_say(account, disk->device, "deviceType", CARRIED, "%s", type);
    ireko_account_say(account, disk->device, "virtualSSD", CARRIED, "--nonrotational %s",
                      disk->ssd ? "on" : "off");
    ireko_account_say(account, disk->device, "mode", CARRIED,
                      disk->nonpersistent ? "--mtype immutable: what is written is dropped"
                                          : "writes stay");
    ireko_account_say(account, disk->device, "writeThrough", DROPPED,
                      "VirtualBox has the host's cache for a controller, not for a disk");
    ireko_account_say(account, disk->device, "throughputCap", DROPPED,
                      "VirtualBox limits bytes a second, in bandwidth groups");
    ireko_account_say(account, disk->device, "shared", DROPPED, "no disk is shared");
    ireko_account_say(account, disk->device, "sharing", DROPPED,
                      "VirtualBox shares fixed VDI disks alone (modifymedium --type shareable)");
}

static void
append_attach(Box *b, const char *controller, const char *port, const char *device)
{
    ireko_box_begin(b, "storageattach");
    ireko_shell_option(b->out, "--storagectl", controller, NULL);
    ireko_shell_option(b->out, "--port", port, NULL);
    ireko_shell_option(b->out, "--device", device, NULL);
}

static void
append_attachment(Box *b, const IrekoDisk *disk)
{
    bool ide = disk->bus == IREKO_BUS_IDE;
    g_autofree char *controller = controller_name(disk);
    g_autofree char *port = g_strdup_printf("%u", ide ? disk->controller : disk->unit);
    g_autofree char *device = g_strdup_printf("%u", ide ? disk->unit : 0);
    say_attached(b, disk);
    if (!ide && disk->unit >= kind_of(disk)->ports) {
        ireko_account_say(b->account, disk->device, "present", DROPPED,
                          "VirtualBox's %s has ports 0 to %u", kind_of(disk)->model,
                          kind_of(disk)->ports - 1);
        return;
    }
    ireko_account_say(b->account, disk->device, "fileName", CARRIED,
                      disk->file != NULL ? "--medium" : "--medium emptydrive");
    g_autofree char *medium = append_medium(b, disk);
    append_attach(b, controller, port, device);
    ireko_shell_option(b->out, "--type", disk->cdrom ? "dvddrive" : "hdd", NULL);
    ireko_shell_option(b->out, "--medium", medium, NULL);
    if (disk->nonpersistent)
        ireko_shell_option(b->out, "--mtype", "immutable", NULL);
    if (disk->ssd)
        ireko_shell_option(b->out, "--nonrotational", "on", NULL);
    ireko_box_end(b);
    ireko_account_say(b->account, disk->device, "present", CARRIED,
                      "storageattach --storagectl %s --port %s --device %s", controller, port,
                      device);
}

/* ---- floppies ---- */

static void
append_floppy(Box *b, unsigned number, bool *controller)
{
    g_autofree char *device = g_strdup_printf("floppy%u", number);
    g_autofree char *place = g_strdup_printf("%u", number);
    const char *file = NULL;
    if (!ireko_extra_floppy(b->account, device, &file))
        return;
    g_autofree char *medium =
        file != NULL ? ireko_account_path(b->account, file) : g_strdup("emptydrive");
    if (!*controller) {
        ireko_box_begin(b, "storagectl");
        ireko_shell_option(b->out, "--name", "floppy", NULL);
        ireko_shell_option(b->out, "--add", "floppy", NULL);
        ireko_shell_option(b->out, "--controller", "I82078", NULL);
        ireko_box_end(b);
        *controller = true;
    }
    append_attach(b, "floppy", "0", place);
    ireko_shell_option(b->out, "--type", "fdd", NULL);
    ireko_shell_option(b->out, "--medium", medium, NULL);
    ireko_box_end(b);
    ireko_account_say_each(b->account, device,
                           "present fileType fileName startConnected clientDevice", CARRIED,
                           "storageattach --type fdd");
}

void
ireko_box_disks(Box *b)
{
    bool floppies = false;
    append_controllers(b);
    for (unsigned i = 0; i < b->machine->disks->len; i++)
        append_attachment(b, g_ptr_array_index(b->machine->disks, i));
    for (unsigned n = 0; n < IREKO_FLOPPIES; n++)
        append_floppy(b, n, &floppies);
}
