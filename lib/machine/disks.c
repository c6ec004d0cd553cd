/* machine/disks.c - the disks and CD-ROM drives of a machine.
 *
 * A disk counts when its own "present" and its controller's are TRUE (IDE's controllers always
 * are). A drive without a medium has no file: VMware says that in half a dozen ways. */
#include <string.h>

#include "base/text.h"
#include "machine/builder.h"

#define SCSI_OWN_UNIT   7  /* the controller itself */
#define SCSI_UNITS_WIDE 16 /* of every controller but pvscsi */

static const char *const bus_names[BUSES] = {
    [IREKO_BUS_SCSI] = "scsi",
    [IREKO_BUS_SATA] = "sata",
    [IREKO_BUS_IDE] = "ide",
    [IREKO_BUS_NVME] = "nvme",
};

/* A disk under construction: where it stands, and what the .vmx says of it. */
typedef struct {
    Builder *b;
    const Field *fields;
    IrekoDisk *disk;
    bool raw; /* a drive of the host */
} Slot;

static void
disk_free(void *data)
{
    IrekoDisk *disk = data;
    g_free(disk->device);
    g_free(disk->file);
    g_free(disk);
}

static bool
read_controllers(Builder *b, IrekoBus bus, bool ret_present[CONTROLLERS_MAX], GError **error)
{
    for (unsigned i = 0; i < CONTROLLERS_MAX; i++) {
        const Field *fields = b->controllers[bus][i];
        if (!ireko_field_present(b, fields, CONTROLLER_ATTRS, &ret_present[i], error))
            return false;
        b->machine->has_nvme |= bus == IREKO_BUS_NVME && ret_present[i];
        if (bus == IREKO_BUS_IDE)
            ret_present[i] = true;
    }
    return true;
}

static bool
read_scsi_model(Builder *b, unsigned controller, IrekoScsiModel *ret_model, GError **error)
{
    static const char *const models[] = {
        [IREKO_SCSI_LSILOGIC] = "lsilogic",
        [IREKO_SCSI_PVSCSI] = "pvscsi",
        [IREKO_SCSI_LSISAS1068] = "lsisas1068",
        NULL,
    };
    const Field *model = &b->controllers[IREKO_BUS_SCSI][controller][CONTROLLER_MODEL];
    unsigned index = IREKO_SCSI_LSILOGIC;
    if (model->value != NULL && !ireko_field_choice(b, model, models, &index, error))
        return false;
    b->machine->has_pvscsi |= index == IREKO_SCSI_PVSCSI;
    *ret_model = (IrekoScsiModel)index;
    return true;
}

static bool
check_unit(const Slot *slot, GError **error)
{
    const IrekoDisk *disk = slot->disk;
    const char *why = NULL;
    if (disk->bus == IREKO_BUS_SCSI && disk->unit == SCSI_OWN_UNIT)
        why = "unit 7 is the controller's own: take another";
    else if (disk->bus == IREKO_BUS_SCSI && disk->unit >= SCSI_UNITS_WIDE &&
             disk->scsi_model != IREKO_SCSI_PVSCSI)
        why = "only pvscsi has units above 15";
    else if (disk->bus == IREKO_BUS_NVME && disk->unit > 0)
        why = "ireko's NVMe controllers have unit 0 only: take another controller";
    if (why != NULL)
        ireko_field_fail(slot->b, &slot->fields[DISK_PRESENT], IREKO_ERROR_UNSUPPORTED, error, "%s",
                         why);
    return why == NULL;
}

static bool
read_type(Slot *slot, GError **error)
{
    enum { FIRST_CDROM = 3, FIRST_RAW = 4 };
    static const char *const types[] = {
        "disk", "scsi-hardDisk", "ata-hardDisk", "cdrom-image", "cdrom-raw", "atapi-cdrom", NULL,
    };
    const Field *type = &slot->fields[DISK_TYPE];
    unsigned index = 0;
    if (type->value != NULL && !ireko_field_choice(slot->b, type, types, &index, error))
        return false;
    slot->disk->cdrom = index >= FIRST_CDROM;
    slot->raw = index >= FIRST_RAW;
    if (slot->disk->cdrom && slot->disk->bus == IREKO_BUS_NVME) {
        ireko_field_fail(slot->b, type, IREKO_ERROR_UNSUPPORTED, error,
                         "NVMe has no CD-ROM drives: take an IDE or SATA one");
        return false;
    }
    return true;
}

/* Whether the drive is without a medium. */
static bool
read_empty(const Slot *slot, bool *ret_empty, GError **error)
{
    const Field *file = &slot->fields[DISK_FILE];
    bool connected = true, autodetect = false, client = false;
    if (!ireko_field_bool(slot->b, &slot->fields[DISK_CONNECTED], true, &connected, error) ||
        !ireko_field_bool(slot->b, &slot->fields[DISK_AUTODETECT], false, &autodetect, error) ||
        !ireko_field_bool(slot->b, &slot->fields[DISK_CLIENT], false, &client, error))
        return false;

    bool named = file->value != NULL && *file->value != '\0' &&
                 g_ascii_strcasecmp(file->value, "auto detect") != 0 &&
                 g_ascii_strcasecmp(file->value, "emptyBackingString") != 0;
    bool foreign = named && slot->raw && *file->value != '/';
    if (foreign)
        ireko_field_note(file, IREKO_KEY_UNSUPPORTED,
                         "not a drive of this host, so the drive is empty");
    *ret_empty = !named || !connected || client || foreign || (slot->raw && autodetect);
    return true;
}

static bool
read_file(Slot *slot, GError **error)
{
    const Field *file = &slot->fields[DISK_FILE];
    bool empty = false;
    if (slot->disk->cdrom) {
        if (!read_empty(slot, &empty, error))
            return false;
    } else if (file->value == NULL || *file->value == '\0') {
        const Field *present = &slot->fields[DISK_PRESENT];
        ireko_field_fail(slot->b, present, IREKO_ERROR_SYNTAX, error,
                         "the disk has no file: add %s.fileName = \"NAME.vmdk\"",
                         slot->disk->device);
        return false;
    } else {
        ireko_field_note(&slot->fields[DISK_CONNECTED], IREKO_KEY_HONOURED,
                         "a hard disk is always connected");
    }
    slot->disk->file = empty ? NULL : g_strdup(file->value);
    return true;
}

static bool
read_mode(Slot *slot, GError **error)
{
    static const char *const modes[] = {"persistent", "independent-persistent",
                                        "independent-nonpersistent", "nonpersistent", NULL};
    enum { FIRST_NONPERSISTENT = 2 };
    const Field *mode = &slot->fields[DISK_MODE];
    unsigned index = 0;
    if (mode->value != NULL && !ireko_field_choice(slot->b, mode, modes, &index, error))
        return false;
    slot->disk->nonpersistent = index >= FIRST_NONPERSISTENT;
    return true;
}

static bool
read_ssd(Slot *slot, GError **error)
{
    IrekoDisk *disk = slot->disk;
    const Field *field = &slot->fields[DISK_SSD];
    if (!ireko_field_bool(slot->b, field, false, &disk->ssd, error))
        return false;
    if (disk->cdrom && disk->ssd) {
        ireko_field_fail(slot->b, field, IREKO_ERROR_UNSUPPORTED, error,
                         "a CD-ROM drive cannot say that it is an SSD: remove the line");
        return false;
    }
    if (disk->bus == IREKO_BUS_NVME && !disk->cdrom) {
        disk->ssd = true;
        ireko_field_note(field, IREKO_KEY_HONOURED, "an NVMe disk is an SSD with or without it");
    }
    return true;
}

static bool
read_size(Slot *slot, GError **error)
{
    const Field *field = &slot->fields[DISK_SIZE];
    if (field->value == NULL)
        return true;
    if (slot->disk->cdrom) {
        ireko_field_fail(slot->b, field, IREKO_ERROR_SYNTAX, error,
                         "ireko makes no CD-ROMs: remove the line");
        return false;
    }
    uint64_t bytes = 0;
    if (!ireko_text_parse_size(field->value, &bytes) || bytes < IREKO_MACHINE_DISK_MIN ||
        bytes > IREKO_MACHINE_DISK_MAX) {
        ireko_field_fail(slot->b, field, IREKO_ERROR_SYNTAX, error,
                         "must be a size from 1M to 62T, as in 64M");
        return false;
    }
    slot->disk->create_bytes = bytes;
    return true;
}

static bool
read_slot(Slot *slot, GError **error)
{
    IrekoDisk *disk = slot->disk;
    const Field *file = &slot->fields[DISK_FILE], *present = &slot->fields[DISK_PRESENT];
    disk->line = file->note != NULL ? file->note->line : present->note->line;
    if (disk->bus == IREKO_BUS_SCSI &&
        !read_scsi_model(slot->b, disk->controller, &disk->scsi_model, error))
        return false;
    return check_unit(slot, error) && read_type(slot, error) && read_file(slot, error) &&
           read_mode(slot, error) && read_ssd(slot, error) && read_size(slot, error);
}

static bool
read_disk(Builder *b, IrekoDisk place, bool controller_present, GError **error)
{
    const Field *fields = b->disks[place.bus][place.controller][place.unit];
    bool present = false;
    if (!ireko_field_present(b, fields, DISK_ATTRS, &present, error))
        return false;
    if (present && !controller_present)
        ireko_field_note(&fields[DISK_PRESENT], IREKO_KEY_UNSUPPORTED,
                         "left out: %s%u.present is not TRUE", bus_names[place.bus],
                         place.controller);
    if (!present || !controller_present)
        return true;

    GPtrArray *disks = b->machine->disks;
    if (disks->len == IREKO_MACHINE_DISKS_MAX) {
        ireko_field_fail(b, &fields[DISK_PRESENT], IREKO_ERROR_TOO_LARGE, error,
                         "a machine has at most %d disks", IREKO_MACHINE_DISKS_MAX);
        return false;
    }
    IrekoDisk *disk = g_memdup2(&place, sizeof place);
    g_ptr_array_add(disks, disk);
    disk->device = g_strdup_printf("%s%u:%u", bus_names[place.bus], place.controller, place.unit);
    Slot slot = {.b = b, .fields = fields, .disk = disk};
    return read_slot(&slot, error);
}

static bool
read_bus(Builder *b, IrekoBus bus, GError **error)
{
    bool present[CONTROLLERS_MAX] = {false};
    if (!read_controllers(b, bus, present, error))
        return false;
    IrekoScsiModel unused = IREKO_SCSI_LSILOGIC;
    for (unsigned i = 0; i < CONTROLLERS_MAX; i++) {
        if (bus == IREKO_BUS_SCSI && present[i] && !read_scsi_model(b, i, &unused, error))
            return false;
        for (unsigned unit = 0; unit < UNITS_MAX; unit++) {
            IrekoDisk place = {.bus = bus, .controller = i, .unit = unit};
            if (!read_disk(b, place, present[i], error))
                return false;
        }
    }
    return true;
}

bool
ireko_build_disks(Builder *b, GError **error)
{
    b->machine->disks = g_ptr_array_new_with_free_func(disk_free);
    for (unsigned bus = 0; bus < BUSES; bus++) {
        if (!read_bus(b, (IrekoBus)bus, error))
            return false;
    }
    return true;
}
