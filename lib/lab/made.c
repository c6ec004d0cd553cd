/* lab/made.c - disks that ireko makes, in a machine's own folder.
 *
 * The ending of fileName says as what: .vmdk (also where there is no name), .raw or .img, .qcow2.
 * All are thin, and what a guest discards is given back to this host.
 *
 * The last is why a .vmdk is made as a pair, a descriptor and the flat extent that holds the disk's
 * bytes and nothing else ("monolithicFlat" in VMware's Virtual Disk Format 5.0): VMware's products
 * and qemu-img open the descriptor, and the machine is given the extent, as a raw file with holes.
 * The other way, one sparse file ("monolithicSparse"), only grows: QEMU's driver for it does
 * nothing on a discard, and zeroes that are written stay allocated (QEMU 7.2).
 *
 * No program is started for any of them, so that they can be made where there is no qemu-img: in
 * the layers of a nest.
 */
#include "lab/made.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define SECTOR_BYTES 512u

/* The geometry of a disk of VMware's on a SCSI controller. */
#define HEADS   255u
#define SECTORS 63u

/* qcow2 (QEMU's docs/interop/qcow2.txt), version 3: the header, then a cluster each for the table
 * of reference counts, its one block and, as many as it takes, the L1 table of the guest's
 * clusters. */
#define QCOW2_BITS      16u
#define QCOW2_CLUSTER   (1u << QCOW2_BITS)
#define QCOW2_HEADER    104u
#define QCOW2_FIRST_L1  3u
#define QCOW2_L2_ENTRY  8u
#define QCOW2_REFCOUNTS 4u /* 2 to this power: bits of each */

typedef enum { MADE_VMDK, MADE_RAW, MADE_QCOW2, MADE_NONE } Made;

static const struct {
    const char *ending; /* of a fileName, in lower case */
    Made made;
} endings[] = {
    {".vmdk", MADE_VMDK},
    {".raw", MADE_RAW},
    {".img", MADE_RAW},
    {".qcow2", MADE_QCOW2},
};

static const struct {
    const char *file; /* what stands behind the device's name */
    const char *format;
} kinds[] = {
    [MADE_VMDK] = {"-flat.vmdk", "raw"},
    [MADE_RAW] = {".raw", "raw"},
    [MADE_QCOW2] = {".qcow2", "qcow2"},
};

static Made
made_of(const IrekoDisk *disk)
{
    if (disk->file == NULL)
        return MADE_VMDK;
    g_autofree char *lower = g_ascii_strdown(disk->file, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        if (g_str_has_suffix(lower, endings[i].ending))
            return endings[i].made;
    }
    return MADE_NONE;
}

uint64_t
ireko_made_bytes(const IrekoDisk *disk)
{
    return (disk->create_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
}

/* FOLDER/scsi0-1ENDING */
static char *
path_of(const IrekoDisk *disk, const char *folder, const char *ending)
{
    g_autofree char *device = g_strdelimit(g_strdup(disk->device), ":", '-');
    g_autofree char *name = g_strconcat(device, ending, NULL);
    return g_build_filename(folder, name, NULL);
}

bool
ireko_made_place(const IrekoDisk *disk,
                 const char *folder,
                 char **ret_path,
                 const char **ret_format,
                 GError **error)
{
    Made made = made_of(disk);
    if (made == MADE_NONE) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "is not there, and ireko makes .vmdk, .raw, .img and .qcow2: give its "
                            "fileName one of these endings");
        return false;
    }
    *ret_path = path_of(disk, folder, kinds[made].file);
    *ret_format = kinds[made].format;
    return true;
}

static bool
fail(const char *path, GError **error)
{
    ireko_error_from_errno(error, errno, "cannot make the disk '%s'", path);
    return false;
}

/* Gives PATH the size BYTES; HEAD (may be NULL) are its first bytes where it is new. */
static bool
make_file(const char *path, const GByteArray *head, uint64_t bytes, GError **error)
{
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return fail(path, error);
    if (head != NULL && st.st_size > 0)
        return true; /* it grows with what is in it */
    if (head != NULL &&
        !ireko_fd_write_all(fd, head->data, head->len, IREKO_NO_DEADLINE, -1, error)) {
        (void)unlink(path);
        g_prefix_error(error, "cannot make the disk '%s': ", path);
        return false;
    }
    return (uint64_t)st.st_size == bytes || ftruncate(fd, (off_t)bytes) == 0 || fail(path, error);
}

static bool
make_vmdk(const IrekoDisk *disk, const char *folder, GError **error)
{
    uint64_t sectors = ireko_made_bytes(disk) / SECTOR_BYTES;
    g_autofree char *path = path_of(disk, folder, ".vmdk");
    g_autofree char *extent_path = path_of(disk, folder, kinds[MADE_VMDK].file);
    g_autofree char *extent = g_path_get_basename(extent_path);
    bool scsi = disk->bus == IREKO_BUS_SCSI;
    g_autofree char *text = g_strdup_printf("# Disk DescriptorFile\n"
                                            "version=1\n"
                                            "CID=fffffffe\n"
                                            "parentCID=ffffffff\n"
                                            "createType=\"monolithicFlat\"\n"
                                            "\n"
                                            "# Extent description\n"
                                            "RW %" PRIu64 " FLAT \"%s\" 0\n"
                                            "\n"
                                            "# The Disk Data Base\n"
                                            "#DDB\n"
                                            "\n"
                                            "ddb.virtualHWVersion = \"4\"\n"
                                            "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
                                            "ddb.geometry.heads = \"%u\"\n"
                                            "ddb.geometry.sectors = \"%u\"\n"
                                            "ddb.adapterType = \"%s\"\n",
                                            sectors, extent, MAX(sectors / (HEADS * SECTORS), 1),
                                            HEADS, SECTORS, scsi ? "lsilogic" : "ide");
    GByteArray head = {.data = (uint8_t *)text, .len = (guint)strlen(text)};
    return make_file(extent_path, NULL, ireko_made_bytes(disk), error) &&
           make_file(path, &head, head.len, error);
}

static void
put(GByteArray *out, size_t at, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        out->data[at + i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

/* Of the L1 table of a disk of BYTES. */
static uint64_t
qcow2_entries(uint64_t bytes)
{
    uint64_t entry_bytes = (uint64_t)QCOW2_CLUSTER * (QCOW2_CLUSTER / QCOW2_L2_ENTRY);
    return (bytes + entry_bytes - 1) / entry_bytes;
}

/* That such a disk has when it is empty. */
static uint64_t
qcow2_clusters(uint64_t bytes)
{
    uint64_t table_bytes = qcow2_entries(bytes) * QCOW2_L2_ENTRY;
    return QCOW2_FIRST_L1 + (table_bytes + QCOW2_CLUSTER - 1) / QCOW2_CLUSTER;
}

static bool
make_qcow2(const char *path, uint64_t bytes, GError **error)
{
    uint64_t clusters = qcow2_clusters(bytes);
    g_autoptr(GByteArray) head = g_byte_array_new();
    g_byte_array_set_size(head, QCOW2_FIRST_L1 * QCOW2_CLUSTER);
    memset(head->data, 0, head->len);
    const struct {
        size_t at;
        unsigned width;
        uint64_t value;
    } fields[] = {
        {0, 4, 0x514649fb}, /* "QFI", fbh */
        {4, 4, 3},
        {20, 4, QCOW2_BITS},
        {24, 8, bytes},
        {36, 4, qcow2_entries(bytes)},
        {40, 8, (uint64_t)QCOW2_FIRST_L1 * QCOW2_CLUSTER},
        {48, 8, QCOW2_CLUSTER}, /* the table of reference counts, of one cluster */
        {56, 4, 1},
        {96, 4, QCOW2_REFCOUNTS},
        {100, 4, QCOW2_HEADER},
        {QCOW2_CLUSTER, 8, 2 * (uint64_t)QCOW2_CLUSTER}, /* the table: its one block */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        put(head, fields[i].at, fields[i].width, fields[i].value);
    for (uint64_t i = 0; i < clusters; i++) /* each is used once; 62 TiB take 16 for L1 */
        put(head, 2 * (size_t)QCOW2_CLUSTER + 2 * i, 2, 1);
    return make_file(path, head, clusters * QCOW2_CLUSTER, error);
}

char *
ireko_made_overlay_path(const IrekoDisk *disk, const char *folder)
{
    return path_of(disk, folder, ".overlay");
}

/* It grows by the first cluster that is written, and by the table that leads to it. */
bool
ireko_made_overlay_is_written(const IrekoDisk *disk, const char *folder)
{
    g_autofree char *path = ireko_made_overlay_path(disk, folder);
    struct stat st;
    return stat(path, &st) == 0 &&
           (uint64_t)st.st_size > qcow2_clusters(ireko_made_bytes(disk)) * QCOW2_CLUSTER;
}

bool
ireko_made_overlay(const IrekoDisk *disk, const char *folder, char **ret_path, GError **error)
{
    g_autofree char *path = ireko_made_overlay_path(disk, folder);
    (void)unlink(path);
    if (!make_qcow2(path, ireko_made_bytes(disk), error))
        return false;
    *ret_path = g_steal_pointer(&path);
    return true;
}

bool
ireko_made_create(const IrekoDisk *disk, const char *folder, GError **error)
{
    g_autofree char *path = NULL;
    const char *format;
    if (!ireko_made_place(disk, folder, &path, &format, error))
        return false;
    Made made = made_of(disk);
    if (made == MADE_VMDK)
        return make_vmdk(disk, folder, error);
    if (made == MADE_QCOW2)
        return make_qcow2(path, ireko_made_bytes(disk), error);
    return make_file(path, NULL, ireko_made_bytes(disk), error);
}
