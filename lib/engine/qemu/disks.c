/* engine/qemu/disks.c - controllers, disks and CD-ROMs as QEMU's options.
 *
 * A disk is two options: the file behind it (-blockdev) and the device that the guest sees
 * (-device). Its place is the one that the .vmx names, at the PCI slot that machine/address.h gives
 * its controller; whoever looks from inside counts on that. A built-in image takes the place of the
 * boot disk; a machine without a disk gets it on a pvscsi controller of its own.
 *
 * QEMU gives ATA disks only writable files. A read-only file behind one, such as a built-in image,
 * and a disk whose writes are to be dropped get an overlay that QEMU makes in TMPDIR, the machine's
 * folder, and has unlinked from the start (-drive snapshot=on; -blockdev has no word for it).
 */
#include <string.h>

#include "engine/qemu/argv.h"
#include "machine/address.h"

#define CONTROLLERS     4 /* of SCSI, SATA and NVMe each */
#define IDE_CONTROLLERS 2
#define SERIAL_DIGITS   15 /* with "ireko" before them the 20 bytes that ATA and NVMe have */

/* World wide names with VMware's number, "5" for NAA and 9 digits of our own. */
#define WWN_LEAD   ((uint64_t)0x5000c29 << 36)
#define WWN_DIGITS 9

/* What QEMU has of a bus. */
typedef struct {
    const char *name;       /* in the .vmx */
    const char *controller; /* QEMU's device; NULL: part of the chipset */
    unsigned slot;
    unsigned controllers;
    unsigned units;
    const char *disk, *cdrom; /* NULL: none */
} Bus;

static const Bus scsi_buses[] = {
    [IREKO_SCSI_LSILOGIC] = {"scsi", "lsi53c895a", IREKO_SLOT_SCSI, CONTROLLERS, 7, "scsi-hd",
                             "scsi-cd"},
    [IREKO_SCSI_PVSCSI] = {"scsi", "pvscsi", IREKO_SLOT_SCSI, CONTROLLERS, 64, "scsi-hd",
                           "scsi-cd"},
    [IREKO_SCSI_LSISAS1068] = {"scsi", "mptsas1068", IREKO_SLOT_SCSI, CONTROLLERS, 8, "scsi-hd",
                               "scsi-cd"},
};

static const Bus other_buses[] = {
    [IREKO_BUS_SATA] = {"sata", "ich9-ahci", IREKO_SLOT_SATA, CONTROLLERS, 6, "ide-hd", "ide-cd"},
    [IREKO_BUS_IDE] = {"ide", NULL, 0, IDE_CONTROLLERS, 2, "ide-hd", "ide-cd"},
    [IREKO_BUS_NVME] = {"nvme", NULL, IREKO_SLOT_NVME, CONTROLLERS, 1, "nvme", NULL},
};

/* A disk as it goes to QEMU. */
typedef struct {
    const IrekoDisk *disk;
    const char *path; /* NULL: an empty CD-ROM drive */
    const char *format;
    const char *base; /* what the file is written over, or NULL */
    const char *base_format;
    bool read_only;
    int bootindex; /* -1: none */
} Place;

static const Bus *
bus_of(const IrekoDisk *disk)
{
    return disk->bus == IREKO_BUS_SCSI ? &scsi_buses[disk->scsi_model] : &other_buses[disk->bus];
}

/* QEMU's name of a disk, as node and as device: "scsi0-1". */
static char *
name_of(const IrekoDisk *disk)
{
    return g_strdup_printf("%s%u-%u", bus_of(disk)->name, disk->controller, disk->unit);
}

static bool
check_place(const IrekoDisk *disk, GError **error)
{
    const Bus *bus = bus_of(disk);
    const char *model = bus->controller != NULL ? bus->controller : bus->name;
    if (disk->cdrom && bus->cdrom == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "%s: there is no CD-ROM on %s: use sata or ide", disk->device, bus->name);
        return false;
    }
    if (disk->controller < bus->controllers && disk->unit < bus->units)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "%s: QEMU's %s has the places %s0:0 to %s%u:%u: move the disk to one of them",
                disk->device, model, bus->name, bus->name, bus->controllers - 1, bus->units - 1);
    return false;
}

/* ---- the file ---- */

static bool
is_ata(const IrekoDisk *disk)
{
    return disk->bus == IREKO_BUS_SATA || disk->bus == IREKO_BUS_IDE;
}

static bool
wants_overlay(const Place *place)
{
    return !place->disk->cdrom &&
           (place->disk->nonpersistent || (place->read_only && is_ata(place->disk)));
}

/* The file below an overlay, or NULL; what the overlay itself says of it does not count. */
static json_t *
base_of(const Place *place)
{
    if (place->base == NULL)
        return NULL;
    return json_pack("{s:s, s:b, s:{s:s, s:s, s:b, s:b}}", "driver", place->base_format,
                     "read-only", true, "file", "driver", "file", "filename", place->base,
                     "read-only", true, "auto-read-only", false);
}

static void
add_file(GPtrArray *argv, const Place *place)
{
    bool is_device = strcmp(place->format, "host_device") == 0;
    const char *protocol = is_device ? "host_device" : "file";
    const char *format = is_device ? "raw" : place->format;
    g_autofree char *name = name_of(place->disk);
    if (wants_overlay(place)) {
        g_autofree char *path = ireko_qemu_escape(place->path);
        ireko_qemu_add(argv, "-drive",
                       "if=none,id=%s,snapshot=on,driver=%s,file.driver=%s,file.filename=%s", name,
                       format, protocol, path);
        return;
    }
    /* clang-format off */
    ireko_qemu_add_json(argv, "-blockdev", json_pack(
        "{s:s, s:s, s:b, s:s, s:{s:s, s:s, s:b, s:b, s:s}, s:o*}",
        "driver", format, "node-name", name, "read-only", place->read_only, "discard", "unmap",
        "file", "driver", protocol, "filename", place->path, "read-only", place->read_only,
        "auto-read-only", false, "discard", "unmap", "backing", base_of(place)));
    /* clang-format on */
}

/* ---- the device ---- */

static void
set_string(json_t *object, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
set_string(json_t *object, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    json_object_set_new(object, key, json_string(text));
}

static void
set_address(json_t *object, const IrekoDisk *disk)
{
    switch (disk->bus) {
    case IREKO_BUS_SCSI:
        set_string(object, "bus", "scsi%u.0", disk->controller);
        json_object_set_new(object, "channel", json_integer(0));
        json_object_set_new(object, "scsi-id", json_integer(disk->unit));
        json_object_set_new(object, "lun", json_integer(0));
        break;
    case IREKO_BUS_SATA:
        set_string(object, "bus", "sata%u.%u", disk->controller, disk->unit);
        break;
    case IREKO_BUS_IDE:
        set_string(object, "bus", "ide.%u", disk->controller);
        json_object_set_new(object, "unit", json_integer(disk->unit));
        break;
    case IREKO_BUS_NVME:
        set_string(object, "addr", "0x%x", IREKO_SLOT_NVME + disk->controller);
        break;
    }
}

/* Software that keeps disks apart, such as vSAN, multipathing and udev's by-id, goes by the world
 * wide name; and Linux finds no disk on a SAS controller that has not got one. QEMU's NVMe has none
 * to give away: there the kernel makes one out of the serial number. */
static void
set_wwn(json_t *object, const IrekoSpec *spec, const char *name)
{
    g_autofree char *digits = ireko_spec_name(spec, name, WWN_DIGITS);
    json_int_t wwn = (json_int_t)(WWN_LEAD | g_ascii_strtoull(digits, NULL, 16));
    json_object_set_new(object, "wwn", json_integer(wwn));
}

static void
add_device(GPtrArray *argv, const IrekoSpec *spec, const Place *place)
{
    const IrekoDisk *disk = place->disk;
    const Bus *bus = bus_of(disk);
    g_autofree char *name = name_of(disk);
    g_autofree char *serial = ireko_spec_name(spec, name, SERIAL_DIGITS);

    json_t *device =
        json_pack("{s:s, s:s}", "driver", disk->cdrom ? bus->cdrom : bus->disk, "id", name);
    set_address(device, disk);
    if (place->path != NULL)
        set_string(device, "drive", "%s", name);
    set_string(device, "serial", "ireko%s", serial);
    if (disk->bus != IREKO_BUS_NVME)
        set_wwn(device, spec, name);
    if (disk->ssd && disk->bus != IREKO_BUS_NVME) /* NVMe is nothing else */
        json_object_set_new(device, "rotation_rate", json_integer(1));
    if (place->bootindex >= 0)
        json_object_set_new(device, "bootindex", json_integer(place->bootindex));
    ireko_qemu_add_json(argv, "-device", device);
}

static void
add_controller(GPtrArray *argv, const Bus *bus, unsigned number)
{
    /* clang-format off */
    ireko_qemu_add(argv, "-device", "%s,id=%s%u,addr=0x%x",
                   bus->controller, bus->name, number, bus->slot + number);
    /* clang-format on */
}

/* ---- the whole ---- */

static const IrekoDrive *
find_drive(const IrekoSpec *spec, const IrekoDisk *disk)
{
    for (unsigned i = 0; i < spec->drives->len; i++) {
        const IrekoDrive *drive = g_ptr_array_index(spec->drives, i);
        if (drive->disk == disk)
            return drive;
    }
    return NULL;
}

static bool
fill_place(Place *place, const IrekoSpec *spec, bool is_root, GError **error)
{
    const IrekoDrive *drive = is_root ? NULL : find_drive(spec, place->disk);
    if (is_root) {
        place->path = spec->boot->root;
        place->format = spec->boot->root_format;
        place->read_only = true;
    } else if (drive != NULL) {
        place->path = drive->path;
        place->format = drive->format;
        place->base = drive->base;
        place->base_format = drive->base_format;
        place->read_only = drive->read_only || place->disk->cdrom;
    } else if (!place->disk->cdrom) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "%s: there is no file behind the disk", place->disk->device);
        return false;
    }
    return place->path == NULL || ireko_qemu_check_path(place->path, error);
}

static const IrekoDisk *
find_on(const IrekoMachine *machine, IrekoBus bus, unsigned controller)
{
    for (unsigned i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (disk->bus == bus && disk->controller == controller)
            return disk;
    }
    return NULL;
}

/* The lowest controller of BUS that no disk is on; CONTROLLERS where there is none. */
static unsigned
free_controller(const IrekoMachine *machine, IrekoBus bus)
{
    unsigned n = 0;
    while (n < CONTROLLERS && find_on(machine, bus, n) != NULL)
        n++;
    return n;
}

static bool
has_pvscsi_disk(const IrekoMachine *machine)
{
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        const IrekoDisk *disk = find_on(machine, IREKO_BUS_SCSI, n);
        if (disk != NULL && disk->scsi_model == IREKO_SCSI_PVSCSI)
            return true;
    }
    return false;
}

/* Controllers, each at its slot; ROOT is a disk beside the machine's own, or NULL. */
static void
add_controllers(GPtrArray *argv, const IrekoMachine *machine, const IrekoDisk *root)
{
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        const IrekoDisk *disk = find_on(machine, IREKO_BUS_SCSI, n);
        if (disk != NULL)
            add_controller(argv, bus_of(disk), n);
    }
    unsigned spare = root != NULL ? root->controller : free_controller(machine, IREKO_BUS_SCSI);
    if (root != NULL || (machine->has_pvscsi && !has_pvscsi_disk(machine) && spare < CONTROLLERS))
        add_controller(argv, &scsi_buses[IREKO_SCSI_PVSCSI], spare);
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        if (find_on(machine, IREKO_BUS_SATA, n) != NULL)
            add_controller(argv, &other_buses[IREKO_BUS_SATA], n);
    }
    if (machine->has_nvme && free_controller(machine, IREKO_BUS_NVME) == 0)
        ireko_qemu_add(argv, "-device", "nvme,id=nvme0,serial=ireko,addr=0x%x", IREKO_SLOT_NVME);
}

static bool
add_disk(GPtrArray *argv, const IrekoSpec *spec, Place place, bool is_root, GError **error)
{
    if (!check_place(place.disk, error) || !fill_place(&place, spec, is_root, error))
        return false;
    if (place.path != NULL)
        add_file(argv, &place);
    add_device(argv, spec, &place);
    return true;
}

/* The machine's disks, or its CD-ROMs; counts bootindex on. */
static bool
add_kind(GPtrArray *argv, const IrekoSpec *spec, bool cdrom, int *bootindex, GError **error)
{
    const IrekoDisk *boot_disk = ireko_machine_boot_disk(spec->machine);
    for (unsigned i = 0; i < spec->machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(spec->machine->disks, i);
        if (disk->cdrom != cdrom)
            continue;
        Place place = {.disk = disk, .bootindex = spec->boot != NULL ? -1 : (*bootindex)++};
        bool is_root = spec->boot != NULL && disk == boot_disk && !cdrom;
        if (!add_disk(argv, spec, place, is_root, error))
            return false;
    }
    return true;
}

bool
ireko_qemu_add_disks(GPtrArray *argv, const IrekoSpec *spec, GError **error)
{
    const IrekoDisk *boot_disk = ireko_machine_boot_disk(spec->machine);
    bool alone = spec->boot != NULL && (boot_disk == NULL || boot_disk->cdrom);
    const IrekoDisk root = {
        .bus = IREKO_BUS_SCSI,
        .scsi_model = IREKO_SCSI_PVSCSI,
        .controller = free_controller(spec->machine, IREKO_BUS_SCSI),
    };
    if (alone && root.controller == CONTROLLERS) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "there is no place for the built-in image: add a disk to the machine");
        return false;
    }

    add_controllers(argv, spec->machine, alone ? &root : NULL);
    int bootindex = 0;
    if (alone && !add_disk(argv, spec, (Place){.disk = &root, .bootindex = -1}, true, error))
        return false;
    /* disks boot before CD-ROMs, as in VMware's BIOS */
    return add_kind(argv, spec, false, &bootindex, error) &&
           add_kind(argv, spec, true, &bootindex, error);
}
