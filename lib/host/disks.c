/* host/disks.c - block devices: where they stand, whether they say that they rotate, and which they
 * are.
 *
 * A disk that is an SSD says so in two places: the device's own words (VPD page B1h of SCSI, word
 * 217 of ATA IDENTIFY; 0001h: not rotating) and what the kernel made of them (queue/rotational).
 * Both are kept, since the point of marking a disk is that they agree.
 *
 * The place in the machine comes from the device's path in /sys: the slot of its controller on PCI
 * bus 0 (machine/address.h), then the SCSI target or the ATA port. A disk behind a bridge, or on a
 * controller that a .vmx does not have, has no such name.
 *
 * Serial number and world wide name are taken as the kernel keeps them (since Linux 3.15 and 4.0):
 * what software in the machine goes by is that, not what the disk would answer now.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/hdreg.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "host/parts.h"
#include "machine/address.h"

#define BLOCK_DEVICES_MAX  4096 /* that are looked at; most of them made up */
#define DISKS_TOLD_MAX     ((size_t)1 << 20)
#define SECTOR_BYTES       512u /* of /sys/block/X/size, whatever the disk's own */
#define VPD_KEPT           8    /* bytes of page B1h that are kept */
#define VPD_HEAD           4    /* bytes of any page before what it says */
#define VPD_PAGE_MAX       260  /* bytes of page 80h */
#define INQUIRY_TIMEOUT_MS 2000
#define IDENTIFY_ROTATION  217 /* word of ATA IDENTIFY: nominal rotation rate */

static bool
is_made_up(const char *name)
{
    static const char *const prefixes[] = {"loop", "ram", "zram", "dm-", "md", "nbd", "fd"};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(name, prefixes[i]))
            return true;
    }
    return false;
}

/* Finds the first H:C:T:L segment in PATH. */
static bool
scsi_target(const char *path, unsigned *ret_channel, unsigned *ret_target, unsigned *ret_lun)
{
    for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
        unsigned host;
        char end;
        if (sscanf(at, "/%u:%u:%u:%u%c", &host, ret_channel, ret_target, ret_lun, &end) == 5 &&
            end == '/')
            return true;
    }
    return false;
}

/* The port, from 0, of the ATA controller's port that PATH goes through, or -1. */
static int
ata_port(int root_fd, const char *path)
{
    const char *at = strstr(path, "/ata");
    if (at == NULL)
        return -1;
    const char *end = strchr(at + 1, '/');
    if (end == NULL)
        return -1;
    g_autofree char *file =
        g_strdup_printf("%.*s/ata_port%.*s/port_no", (int)(end - path), path, (int)(end - at), at);
    int64_t port = ireko_host_number(root_fd, file, 0);
    return port >= 1 && port <= INT_MAX ? (int)port - 1 : -1;
}

/* SAS gives its targets numbers in the order in which they answer; the phy is the unit. */
static int
sas_phy(int root_fd, const char *path)
{
    const char *at = strstr(path, "/end_device-");
    const char *end = at != NULL ? strchr(at + 1, '/') : NULL;
    if (end == NULL)
        return -1;
    g_autofree char *file = g_strdup_printf("%.*s/sas_device%.*s/phy_identifier", (int)(end - path),
                                            path, (int)(end - at), at);
    int64_t phy = ireko_host_number(root_fd, file, -1);
    return phy >= 0 && phy <= INT_MAX ? (int)phy : -1;
}

static char *
ata_name(int root_fd, const char *path, const char *bus, unsigned target)
{
    int port = ata_port(root_fd, path);
    if (port < 0)
        return NULL;
    if (strcmp(bus, "ide") == 0) /* two ports with two units each */
        return g_strdup_printf("ide%d:%u", port, target);
    return g_strdup_printf("%s:%d", bus, port);
}

static char *
scsi_name(int root_fd, const char *path, unsigned controller)
{
    unsigned channel, target, lun;
    if (!scsi_target(path, &channel, &target, &lun) || channel != 0 || lun != 0)
        return NULL;
    int phy = sas_phy(root_fd, path);
    return g_strdup_printf("scsi%u:%u", controller, phy >= 0 ? (unsigned)phy : target);
}

/* The .vmx's name of the disk at PATH whose controller is function FUNCTION of SLOT on bus 0. */
static char *
device_name(int root_fd, const char *path, unsigned slot, unsigned function)
{
    unsigned channel, target = 0, lun;
    if (slot == 1 && function == 1 && scsi_target(path, &channel, &target, &lun))
        return ata_name(root_fd, path, "ide", target);
    if (function != 0)
        return NULL;
    if (slot >= IREKO_SLOT_SCSI && slot < IREKO_SLOT_SCSI + 4)
        return scsi_name(root_fd, path, slot - IREKO_SLOT_SCSI);
    if (slot >= IREKO_SLOT_SATA && slot < IREKO_SLOT_SATA + 4) {
        g_autofree char *bus = g_strdup_printf("sata%u", slot - IREKO_SLOT_SATA);
        return ata_name(root_fd, path, bus, 0);
    }
    if (slot >= IREKO_SLOT_NVME && slot < IREKO_SLOT_NVME + 4 && strstr(path, "/nvme") != NULL)
        return g_strdup_printf("nvme%u:0", slot - IREKO_SLOT_NVME);
    return NULL;
}

/* Reads the place and the controller's driver out of PATH, "sys/devices/pci0000:00/...". */
static void
read_place(int root_fd, const char *path, IrekoDiskFact *disk)
{
    const char *pci_end = NULL;
    unsigned bus = 0, slot = 0, function = 0, depth = 0;
    for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
        unsigned domain, b, s, f;
        if (sscanf(at, "/%4x:%2x:%2x.%1x/", &domain, &b, &s, &f) != 4)
            continue;
        bus = domain << 8 | b;
        slot = s;
        function = f;
        depth++;
        pci_end = strchr(at + 1, '/');
    }

    if (pci_end == NULL) {
        g_autofree char *link = g_strdup_printf("%s/device/driver", path);
        disk->controller = ireko_host_link_name(root_fd, link);
        return;
    }
    g_autofree char *link = g_strdup_printf("%.*s/driver", (int)(pci_end - path), path);
    disk->controller = ireko_host_link_name(root_fd, link);
    if (depth == 1 && bus == 0)
        disk->device = device_name(root_fd, path, slot, function);
}

static bool
vpd_from_sysfs(int root_fd, const char *name, uint8_t page[VPD_KEPT])
{
    g_autofree char *path = g_strdup_printf("sys/block/%s/device/vpd_pgb1", name);
    size_t len = 0;
    g_autofree char *bytes = ireko_host_head(root_fd, path, VPD_KEPT, &len);
    if (bytes == NULL || len < VPD_KEPT)
        return false;
    memcpy(page, bytes, VPD_KEPT);
    return true;
}

/* INQUIRY with EVPD, page B1h (SPC-4 6.6, SBC-3 6.5.2); kernels before 5.13 do not keep it. */
static bool
vpd_from_disk(int fd, uint8_t page[VPD_KEPT])
{
    unsigned char command[6] = {0x12, 1, 0xb1, 0, VPD_KEPT, 0};
    unsigned char sense[32];
    memset(page, 0, VPD_KEPT);
    struct sg_io_hdr io = {
        .interface_id = 'S',
        .dxfer_direction = SG_DXFER_FROM_DEV,
        .cmd_len = sizeof command,
        .cmdp = command,
        .mx_sb_len = sizeof sense,
        .sbp = sense,
        .dxfer_len = VPD_KEPT,
        .dxferp = page,
        .timeout = INQUIRY_TIMEOUT_MS,
    };
    return ioctl(fd, SG_IO, &io) == 0 && (io.info & SG_INFO_OK_MASK) == SG_INFO_OK &&
           io.resid == 0 && page[1] == 0xb1;
}

/* IDENTIFY as the kernel read it when the disk came up: the disk itself is not asked again. */
static int
rate_from_identify(int fd)
{
    uint16_t words[256] = {0};
    if (ioctl(fd, HDIO_GET_IDENTITY, words) != 0)
        return -1;
    return words[IDENTIFY_ROTATION];
}

static void
read_rotation(const IrekoHostSource *source, const char *path, IrekoDiskFact *disk)
{
    g_autofree char *queue = g_strdup_printf("%s/queue/rotational", path);
    disk->rotational = (int)CLAMP(ireko_host_number(source->root_fd, queue, -1), -1, 1);
    disk->rotation_rate = -1;

    unsigned channel, target, lun;
    if (disk->cdrom || !scsi_target(path, &channel, &target, &lun))
        return; /* only SCSI has such a page, and ATA that the kernel shows as SCSI */

    uint8_t page[VPD_KEPT];
    bool known = vpd_from_sysfs(source->root_fd, disk->name, page);
    if (!known && source->probe) {
        g_autofree char *node = g_strdup_printf("dev/%s", disk->name);
        IREKO_AUTOFD fd = openat(source->root_fd, node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        known = fd >= 0 && vpd_from_disk(fd, page);
        if (!known && fd >= 0 && strstr(path, "/ata") != NULL)
            disk->rotation_rate = rate_from_identify(fd);
    }
    if (!known)
        return;
    disk->rotation_rate = page[4] << 8 | page[5];
    GString *hex = g_string_new(NULL);
    for (size_t i = 0; i < VPD_KEPT; i++)
        g_string_append_printf(hex, i == 0 ? "%02x" : " %02x", page[i]);
    disk->vpd_b1 = g_string_free(hex, FALSE);
}

/* The serial number in page 80h (SPC-4, 7.8.18), or NULL. */
static char *
serial_from_vpd(int root_fd, const char *device)
{
    g_autofree char *path = g_strdup_printf("%s/vpd_pg80", device);
    size_t len = 0;
    g_autofree char *page = ireko_host_head(root_fd, path, VPD_PAGE_MAX, &len);
    if (page == NULL || len <= VPD_HEAD || (uint8_t)page[1] != 0x80)
        return NULL;
    size_t says = (size_t)(uint8_t)page[2] << 8 | (uint8_t)page[3];
    return ireko_text_safe(page + VPD_HEAD, MIN(says, len - VPD_HEAD));
}

/* TEXT without spaces around it; NULL for an empty one. Takes TEXT over. */
static char *
trimmed_or_null(char *text)
{
    if (text != NULL && *g_strstrip(text) != '\0')
        return text;
    g_free(text);
    return NULL;
}

static void
read_identity(int root_fd, const char *path, IrekoDiskFact *disk)
{
    bool nvme = g_str_has_prefix(disk->name, "nvme"); /* its WWN is the namespace's */
    g_autofree char *device = g_strdup_printf("sys/block/%s/device", disk->name);
    g_autofree char *serial = g_strdup_printf("%s/serial", device);
    g_autofree char *wwid = g_strdup_printf("%s/wwid", nvme ? path : device);
    disk->serial =
        trimmed_or_null(nvme ? ireko_host_line(root_fd, serial) : serial_from_vpd(root_fd, device));
    disk->wwn = trimmed_or_null(ireko_host_line(root_fd, wwid));
}

/* "sys/devices/..." of the block device NAME; or "sys/block/NAME" where that is no link. */
static char *
device_path(int root_fd, const char *name)
{
    g_autofree char *link = g_strdup_printf("sys/block/%s", name);
    char target[PATH_MAX];
    ssize_t n = readlinkat(root_fd, link, target, sizeof target - 1);
    if (n <= 3)
        return g_steal_pointer(&link);
    target[n] = '\0';
    return g_str_has_prefix(target, "../devices/") ? g_strdup_printf("sys/%s", target + 3)
                                                   : g_steal_pointer(&link);
}

static IrekoDiskFact *
read_disk(const IrekoHostSource *source, const char *name)
{
    g_autofree char *path = device_path(source->root_fd, name);
    g_autoptr(IrekoDiskFact) disk = g_new0(IrekoDiskFact, 1);
    disk->name = g_strdup(name);
    disk->cdrom = g_str_has_prefix(name, "sr");

    g_autofree char *size = g_strdup_printf("%s/size", path);
    int64_t sectors = ireko_host_number(source->root_fd, size, 0);
    disk->bytes = sectors > 0 ? (uint64_t)sectors * SECTOR_BYTES : 0;
    read_place(source->root_fd, path, disk);
    read_rotation(source, path, disk);
    read_identity(source->root_fd, path, disk);
    return g_steal_pointer(&disk);
}

/* What a record says of its disks; false where it says nothing that can be read. */
static bool
read_told(const IrekoHostSource *source, IrekoFacts *facts)
{
    if (source->told == NULL)
        return false;
    size_t len = 0;
    g_autofree char *text = ireko_host_head(source->root_fd, "disks", DISKS_TOLD_MAX, &len);
    g_autoptr(json_t) object = text == NULL ? NULL : ireko_jsonl_decode(text, len, NULL);
    const json_t *list = json_object_get(object, "disks");
    if (json_is_array(list) && ireko_host_disks_from_json(list, facts, NULL))
        return true;
    g_ptr_array_set_size(facts->disks, 0);
    return false;
}

void
ireko_host_read_disks(const IrekoHostSource *source, IrekoFacts *facts)
{
    if (read_told(source, facts))
        return;
    g_autoptr(GPtrArray) names = ireko_host_list(source->root_fd, "sys/block", BLOCK_DEVICES_MAX);
    for (guint i = 0; i < names->len && facts->disks->len < IREKO_FACTS_DISKS_MAX; i++) {
        const char *name = g_ptr_array_index(names, i);
        if (ireko_text_is_name(name) && !is_made_up(name))
            g_ptr_array_add(facts->disks, read_disk(source, name));
    }
}
