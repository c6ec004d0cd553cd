/* lab/drives.c - the files behind a machine's disks.
 *
 * A .vmx may come from elsewhere and name any file, so a file is taken for a disk only where its
 * first bytes say so, or - raw images have no first bytes of their own - where its name does. The
 * format is then told to the engine: what a guest writes into its disk never decides how it is read
 * next time. */
#include "lab/drives.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "lab/made.h"

#define PROBE_BYTES 512

static const struct {
    const char *magic;
    size_t len;
    const char *format;
} magics[] = {
    {"KDMV", 4, "vmdk"}, /* VMware Virtual Disk Format 5.0, hosted sparse extent */
    {"COWD", 4, "vmdk"}, /* ... ESXi sparse extent */
    {"# Disk DescriptorFile", 21, "vmdk"},
    {"QFI\xfb", 4, "qcow2"},
    {"conectix", 8, "vpc"},
    {"vhdxfile", 8, "vhdx"},
};

/* Names of raw images. "-flat.vmdk" is the data of an ESXi disk. */
static const char *const raw_suffixes[] = {"-flat.vmdk", ".img", ".raw", ".iso", ".bin"};

static bool
is_raw_name(const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(raw_suffixes); i++) {
        if (g_str_has_suffix(lower, raw_suffixes[i]))
            return true;
    }
    return false;
}

static bool
refuse(
    const IrekoNode *node, const IrekoDisk *disk, IrekoError code, const char *what, GError **error)
{
    g_set_error(error, IREKO_ERROR, (int)code, "%s:%u: disk '%s' of %s %s", node->machine->file,
                disk->line, disk->file != NULL ? disk->file : "", disk->device, what);
    return false;
}

/* Finds out what the file PATH is. */
static bool
probe_format(const IrekoNode *node,
             const IrekoDisk *disk,
             const char *path,
             const char **ret_format,
             GError **error)
{
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        g_autofree char *what = g_strdup_printf("cannot be opened: %s", g_strerror(errno));
        return refuse(node, disk, IREKO_ERROR_IO, what, error);
    }
    if (S_ISBLK(st.st_mode)) {
        *ret_format = "host_device";
        return true;
    }
    char head[PROBE_BYTES] = "";
    ssize_t len = S_ISREG(st.st_mode) ? read(fd, head, sizeof head) : -1;
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
        if (len >= (ssize_t)magics[i].len && memcmp(head, magics[i].magic, magics[i].len) == 0) {
            *ret_format = magics[i].format;
            return true;
        }
    }
    if (len > 0 && is_raw_name(path)) {
        *ret_format = "raw";
        return true;
    }
    return refuse(
        node, disk, IREKO_ERROR_SYNTAX,
        "is not a disk image that ireko knows (vmdk, qcow2, vhd, vhdx; raw where it is called "
        ".img, .raw, .iso or -flat.vmdk), or it is damaged: name another, or restore it",
        error);
}

/* The user's file behind DISK, or NULL where there is none. */
static char *
find_file(const IrekoNode *node, const IrekoDisk *disk)
{
    if (disk->file == NULL || node->level != 1)
        return NULL;
    g_autofree char *beside = g_path_get_dirname(node->machine->file);
    g_autofree char *path = g_path_is_absolute(disk->file)
                                ? g_strdup(disk->file)
                                : g_build_filename(beside, disk->file, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

/* DRIVE is made in FOLDER; NULL: it is only said where it would be. */
static bool
make(const IrekoNode *node, IrekoDrive *drive, const char *folder, GError **error)
{
    g_autoptr(GError) why = NULL;
    drive->made = true;
    if (!ireko_made_place(drive->disk, folder != NULL ? folder : "", &drive->path, &drive->format,
                          &why))
        return refuse(node, drive->disk, (IrekoError)why->code, why->message, error);
    return folder == NULL || ireko_made_create(drive->disk, folder, error);
}

static bool
resolve(const IrekoNode *node, IrekoDrive *drive, const char *folder, GError **error)
{
    const IrekoDisk *disk = drive->disk;
    if (disk->file == NULL && disk->cdrom)
        return true; /* an empty tray */
    drive->path = find_file(node, disk);
    if (drive->path != NULL)
        return probe_format(node, disk, drive->path, &drive->format, error);
    if (disk->create_bytes > 0)
        return make(node, drive, folder, error);
    if (node->level > 1)
        return refuse(node, disk, IREKO_ERROR_UNSUPPORTED,
                      "is out of reach inside a nest: inner machines take a built-in image "
                      "(ireko.image) and disks made at a size (ireko.scsi0:1.size = \"1G\")",
                      error);
    return refuse(node, disk, IREKO_ERROR_NOT_FOUND,
                  "is not there: correct fileName, or have it made with ireko.X:Y.size = \"1G\"",
                  error);
}

GPtrArray *
ireko_drives_prepare(const IrekoNode *node, const char *folder, GError **error)
{
    g_autoptr(GPtrArray) drives =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ireko_drive_free);
    const IrekoDisk *replaced =
        node->machine->image != NULL ? ireko_machine_boot_disk(node->machine) : NULL;
    for (unsigned i = 0; i < node->machine->disks->len; i++) {
        const IrekoDisk *disk = node->machine->disks->pdata[i];
        if (disk == replaced)
            continue;
        IrekoDrive *drive = g_new0(IrekoDrive, 1);
        drive->disk = disk;
        drive->read_only = disk->cdrom;
        g_ptr_array_add(drives, drive);
        if (!resolve(node, drive, folder, error))
            return NULL;
    }
    return g_steal_pointer(&drives);
}
