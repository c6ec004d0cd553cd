/* convert/libvirt-disks.c - controllers, disks, CD-ROMs and floppies of a libvirt domain.
 *
 * A disk stands where the .vmx has it, as far as libvirt and QEMU have such a place; one that they
 * have not (NVMe, IDE on a q35 board, SATA ports above 5, LSI Logic targets above 7) moves to a
 * free SATA port, since AHCI is what most guests have a driver for. Each says of itself whether it
 * rotates, and an NVMe disk that moves stays an SSD.
 *
 * Addresses are QEMU's: unit M of a .vmx is target M, LUN 0 (of LSI Logic, libvirt numbers units).
 * libvirt's own reader writes target 0, unit M; QEMU's pvscsi has no such LUN. */
#include <string.h>

#include "base/text.h"
#include "convert/extras.h"
#include "convert/libvirt.h"

#define CONTROLLERS 4
#define SATA_PORTS  6 /* of QEMU's AHCI */
#define LETTERS     26

typedef struct {
    const char *bus, *model; /* libvirt's; MODEL may be NULL */
    unsigned units;
} ScsiKind;

static const ScsiKind scsi_kinds[] = {
    [IREKO_SCSI_LSILOGIC] = {"scsi", "lsilogic", 7},
    [IREKO_SCSI_PVSCSI] = {"scsi", "vmpvscsi", 64},
    [IREKO_SCSI_LSISAS1068] = {"scsi", "lsisas1068", 8},
};

typedef struct {
    Domain *domain;
    unsigned letters;    /* "sd" names given so far */
    unsigned boot_order; /* places in the boot order given so far */
    unsigned moved;      /* disks moved to SATA so far */
    unsigned spare;      /* the SATA controller that they move to, and on from there */
} Disks;

/* ---- controllers ---- */

static bool
controller_present(const Domain *d, const char *bus, unsigned number)
{
    const char *device = ireko_xml_format(d->xml, "%s%u", bus, number);
    return ireko_account_flag(d->account, device, "present", false);
}

static void
write_scsi(Domain *d, unsigned number)
{
    const char *device = ireko_xml_format(d->xml, "scsi%u", number);
    const char *named = ireko_account_get(d->account, device, "virtualDev");
    const ScsiKind *kind = &scsi_kinds[IREKO_SCSI_LSILOGIC];
    if (named != NULL && g_ascii_strcasecmp(named, "pvscsi") == 0)
        kind = &scsi_kinds[IREKO_SCSI_PVSCSI];
    else if (named != NULL && g_ascii_strcasecmp(named, "lsisas1068") == 0)
        kind = &scsi_kinds[IREKO_SCSI_LSISAS1068];
    ireko_xml_leaf(d->xml, "controller", "type", "scsi", "index",
                   ireko_xml_format(d->xml, "%u", number), "model", kind->model, NULL);
    ireko_account_say(d->account, device, "present", CARRIED, "controller type='scsi' index='%u'",
                      number);
    ireko_account_say(d->account, device, "virtualDev", CARRIED, "controller model='%s'",
                      kind->model);
}

static void
say_nvme(Domain *d)
{
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        const char *device = ireko_xml_format(d->xml, "nvme%u", n);
        ireko_account_say(d->account, device, "present",
                          controller_present(d, "nvme", n) ? DROPPED : CARRIED,
                          controller_present(d, "nvme", n)
                              ? "libvirt 9.0 emulates no NVMe: its disks move to SATA"
                              : "there is none");
    }
}

static void
write_controllers(Disks *s)
{
    Domain *d = s->domain;
    unsigned sata = s->spare + (s->moved + SATA_PORTS - 1) / SATA_PORTS;
    for (unsigned n = 0; n < CONTROLLERS; n++) {
        if (controller_present(d, "scsi", n))
            write_scsi(d, n);
    }
    for (unsigned n = 0; n < MAX(sata, CONTROLLERS); n++) {
        const char *device = ireko_xml_format(d->xml, "sata%u", n);
        if (controller_present(d, "sata", n) || (n >= s->spare && n < sata))
            ireko_xml_leaf(d->xml, "controller", "type", "sata", "index",
                           ireko_xml_format(d->xml, "%u", n), NULL);
        if (controller_present(d, "sata", n))
            ireko_account_say(d->account, device, "present", CARRIED,
                              "controller type='sata' index='%u'", n);
    }
    say_nvme(d);
}

/* ---- the place of a disk ---- */

typedef struct {
    const char *bus;
    unsigned controller, number, target, unit; /* NUMBER: of the bus */
    bool moved;
} Place;

static bool
has_place(const Domain *d, const IrekoDisk *disk)
{
    switch (disk->bus) {
    case IREKO_BUS_SCSI:
        return disk->unit < scsi_kinds[disk->scsi_model].units;
    case IREKO_BUS_SATA:
        return disk->unit < SATA_PORTS;
    case IREKO_BUS_IDE:
        return !d->q35;
    case IREKO_BUS_NVME:
        return false;
    }
    g_assert_not_reached();
}

static Place
place_of(Disks *s, const IrekoDisk *disk)
{
    Place place = {.controller = disk->controller};
    if (!has_place(s->domain, disk)) {
        place.moved = true;
        place.bus = "sata";
        place.controller = s->spare + s->moved / SATA_PORTS;
        place.unit = s->moved++ % SATA_PORTS;
    } else if (disk->bus == IREKO_BUS_SATA) {
        place.bus = "sata";
        place.unit = disk->unit;
    } else if (disk->bus == IREKO_BUS_IDE) {
        place.bus = "ide";
        place.controller = 0;
        place.number = disk->controller;
        place.unit = disk->unit;
    } else {
        place.bus = "scsi";
        bool by_unit = disk->scsi_model == IREKO_SCSI_LSILOGIC;
        place.unit = by_unit ? disk->unit : 0;
        place.target = by_unit ? 0 : disk->unit;
    }
    return place;
}

/* 0 is "a", 25 is "z", 26 is "aa". */
static const char *
letters_of(Domain *d, unsigned index)
{
    if (index < LETTERS)
        return ireko_xml_format(d->xml, "%c", 'a' + (int)index);
    return ireko_xml_format(d->xml, "%s%c", letters_of(d, index / LETTERS - 1),
                            'a' + (int)(index % LETTERS));
}

static const char *
name_of(Disks *s, const Place *place)
{
    Domain *d = s->domain;
    if (strcmp(place->bus, "ide") == 0)
        return ireko_xml_format(d->xml, "hd%s", letters_of(d, place->number * 2 + place->unit));
    return ireko_xml_format(d->xml, "sd%s", letters_of(d, s->letters++));
}

/* ---- what a disk says of itself ---- */

static void
write_iotune(Domain *d, const IrekoDisk *disk)
{
    const char *cap = ireko_account_get(d->account, disk->device, "throughputCap");
    uint64_t iops = 0;
    if (cap == NULL)
        return;
    if (!ireko_text_parse_unsigned(cap, 10, 1, G_MAXINT64, &iops)) {
        bool off = g_ascii_strcasecmp(cap, "off") == 0 ||
                   g_ascii_strcasecmp(cap, "unlimited") == 0 || strcmp(cap, "-1") == 0;
        ireko_account_say(d->account, disk->device, "throughputCap", off ? CARRIED : DROPPED,
                          off ? "no limit" : "must be a number of I/Os a second, or off");
        return;
    }
    ireko_xml_open(d->xml, "iotune", NULL);
    ireko_xml_text(d->xml, "total_iops_sec", ireko_xml_format(d->xml, "%" G_GUINT64_FORMAT, iops),
                   NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, disk->device, "throughputCap", CARRIED, "iotune/total_iops_sec");
}

static bool
is_shared(const Domain *d, const IrekoDisk *disk)
{
    const char *sharing = ireko_account_get(d->account, disk->device, "sharing");
    bool shared = ireko_account_flag(d->account, disk->device, "shared", false);
    return shared || (sharing != NULL && g_ascii_strcasecmp(sharing, "multi-writer") == 0);
}

/* libvirt puts what is written aside for files alone. */
static void
write_mode(Domain *d, const IrekoDisk *disk, bool block)
{
    bool transient = disk->nonpersistent && !block;
    if (transient)
        ireko_xml_leaf(d->xml, "transient", NULL);
    ireko_account_say(d->account, disk->device, "mode",
                      disk->nonpersistent && block ? DROPPED : CARRIED, "%s",
                      transient             ? "transient: what is written is dropped at the end"
                      : disk->nonpersistent ? "writes stay: libvirt drops those to files alone"
                                            : "writes stay");
}

static void
write_sharing(Domain *d, const IrekoDisk *disk)
{
    bool shared = is_shared(d, disk);
    const char *how = shared ? "shareable" : "the disk is not shared";
    if (shared)
        ireko_xml_leaf(d->xml, "shareable", NULL);
    ireko_account_say_each(d->account, disk->device, "shared sharing", CARRIED, how);
}

static void
say_place(Domain *d, const IrekoDisk *disk, const Place *place)
{
    const char *what = disk->cdrom ? "cdrom" : "disk";
    if (place->moved)
        ireko_account_say(d->account, disk->device, "present", APPROXIMATED,
                          "disk device='%s', moved to sata%u:%u: libvirt has no such place", what,
                          place->controller, place->unit);
    else
        ireko_account_say(d->account, disk->device, "present", CARRIED,
                          "disk device='%s' on %s, target %u, unit %u", what, place->bus,
                          place->target, place->unit);
    ireko_account_say(d->account, disk->device, "deviceType", CARRIED, "device='%s'", what);
    ireko_account_say(d->account, disk->device, "virtualSSD", CARRIED,
                      disk->ssd ? "target rotation_rate='1'" : "a disk that rotates");
}

/* ---- the file behind it ---- */

static void
say_medium(Domain *d, const IrekoDisk *disk)
{
    Account *account = d->account;
    ireko_account_say_each(account, disk->device, "startConnected autodetect clientDevice", CARRIED,
                           disk->file == NULL ? "an empty drive" : "the drive holds its medium");
    if (disk->file == NULL)
        ireko_account_say(account, disk->device, "fileName", CARRIED, "an empty drive");
    g_autofree char *make = g_strconcat("ireko.", disk->device, NULL);
    g_autofree char *size = ireko_text_size(disk->create_bytes);
    ireko_account_say(account, make, "size", DROPPED,
                      "libvirt makes no disks: qemu-img create makes one of %s", size);
}

static void
write_source(Domain *d, const IrekoDisk *disk, bool block)
{
    bool through = ireko_account_flag(d->account, disk->device, "writeThrough", false);
    const char *format = block || disk->file == NULL ? "raw" : ireko_account_format(disk->file);
    ireko_xml_leaf(d->xml, "driver", "name", "qemu", "type", format, "cache",
                   through ? "writethrough" : NULL, NULL);
    ireko_account_say(d->account, disk->device, "writeThrough", CARRIED,
                      through ? "driver cache='writethrough'" : "the cache is libvirt's usual one");
    say_medium(d, disk);
    if (disk->file == NULL)
        return;
    g_autofree char *path = ireko_libvirt_path(d, disk->device, "fileName", disk->file);
    ireko_xml_leaf(d->xml, "source", block ? "dev" : "file", path, NULL);
}

static void
write_disk(Disks *s, const IrekoDisk *disk)
{
    Domain *d = s->domain;
    Xml *xml = d->xml;
    Place place = place_of(s, disk);
    bool block = disk->file != NULL && g_str_has_prefix(disk->file, "/dev/");
    ireko_xml_open(xml, "disk", "type", block ? "block" : "file", "device",
                   disk->cdrom ? "cdrom" : "disk", NULL);
    write_source(d, disk, block);
    ireko_xml_leaf(xml, "target", "dev", name_of(s, &place), "bus", place.bus, "rotation_rate",
                   disk->ssd ? "1" : NULL, NULL);
    if (disk->cdrom)
        ireko_xml_leaf(xml, "readonly", NULL);
    write_sharing(d, disk);
    write_mode(d, disk, block);
    write_iotune(d, disk);
    ireko_xml_leaf(xml, "boot", "order", ireko_xml_format(xml, "%u", ++s->boot_order), NULL);
    ireko_xml_leaf(xml, "address", "type", "drive", "controller",
                   ireko_xml_format(xml, "%u", place.controller), "bus",
                   ireko_xml_format(xml, "%u", place.number), "target",
                   ireko_xml_format(xml, "%u", place.target), "unit",
                   ireko_xml_format(xml, "%u", place.unit), NULL);
    ireko_xml_close(xml);
    say_place(d, disk, &place);
}

/* ---- floppies ---- */

static void
write_floppy(Domain *d, unsigned number)
{
    const char *device = ireko_xml_format(d->xml, "floppy%u", number), *file = NULL;
    if (!ireko_extra_floppy(d->account, device, &file))
        return;
    bool block = file != NULL && g_str_has_prefix(file, "/dev/");
    ireko_xml_open(d->xml, "disk", "type", block ? "block" : "file", "device", "floppy", NULL);
    ireko_xml_leaf(d->xml, "driver", "name", "qemu", "type", "raw", NULL);
    if (file != NULL) {
        g_autofree char *path = ireko_libvirt_path(d, device, "fileName", file);
        ireko_xml_leaf(d->xml, "source", block ? "dev" : "file", path, NULL);
    }
    ireko_xml_leaf(d->xml, "target", "dev", number == 0 ? "fda" : "fdb", "bus", "fdc", NULL);
    ireko_xml_close(d->xml);
    ireko_account_say_each(d->account, device, "present fileType startConnected clientDevice",
                           CARRIED,
                           file != NULL ? "disk device='floppy'" : "disk device='floppy', empty");
}

/* ---- the whole ---- */

/* The first SATA controller behind those of the .vmx: what moves goes there. */
static unsigned
first_spare(const Domain *d)
{
    unsigned spare = 0;
    for (unsigned n = 0; n < CONTROLLERS; n++)
        spare = controller_present(d, "sata", n) ? n + 1 : spare;
    return spare;
}

void
ireko_libvirt_disks(Domain *d)
{
    Disks s = {.domain = d, .spare = first_spare(d)};
    /* disks boot before CD-ROMs, as in VMware's BIOS */
    for (int cdroms = 0; cdroms <= 1; cdroms++) {
        for (unsigned i = 0; i < d->machine->disks->len; i++) {
            const IrekoDisk *disk = g_ptr_array_index(d->machine->disks, i);
            if (disk->cdrom == (cdroms == 1))
                write_disk(&s, disk);
        }
    }
    for (unsigned n = 0; n < IREKO_FLOPPIES; n++)
        write_floppy(d, n);
    write_controllers(&s);
}
