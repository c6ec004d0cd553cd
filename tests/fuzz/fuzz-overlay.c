/* Fuzz target: whatever a QEMU wrote into an overlay, it is put down as a disk of its size, or
 * refused. The input says what differs from an overlay as it is made, a line each: place and number
 * of 8 bytes, both hexadecimal. */
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "lab/clone/overlay.h"
#include "lab/made.h"

#define INPUT_MAX  ((size_t)2048)
#define CLUSTER    ((uint64_t)65536)
#define FILE_BYTES (12 * CLUSTER)
#define DISK_BYTES (8192 * CLUSTER + 3 * CLUSTER + 512) /* two tables */
#define MADE_MAX   (8 * CLUSTER)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An overlay as it is made; RET_LEN bytes. */
static char *
make(size_t *ret_len)
{
    char device[] = "scsi0:1";
    const IrekoDisk disk = {.device = device, .create_bytes = DISK_BYTES};
    g_autofree char *folder = g_dir_make_tmp("ireko-fuzz-XXXXXX", NULL);
    g_autofree char *path = NULL;
    g_assert_true(ireko_made_overlay(&disk, folder, &path, NULL));
    char *made = ireko_file_read(AT_FDCWD, path, MADE_MAX, ret_len, NULL);
    g_assert_nonnull(made);
    g_assert_true(ireko_file_remove_tree(folder, NULL));
    return made;
}

static void
change(int fd, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        char *number = NULL;
        uint64_t at = g_ascii_strtoull(lines[i], &number, 16);
        uint64_t raw = GUINT64_TO_BE(g_ascii_strtoull(number, NULL, 16));
        if (at <= FILE_BYTES - sizeof raw)
            g_assert_cmpint(pwrite(fd, &raw, sizeof raw, (off_t)at), ==, sizeof raw);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *made;
    static size_t made_len;
    if (made == NULL)
        made = make(&made_len);
    if (size > INPUT_MAX)
        return -1;
    IREKO_AUTOFD from_fd = memfd_create("overlay", MFD_CLOEXEC);
    IREKO_AUTOFD to_fd = memfd_create("disk", MFD_CLOEXEC);
    g_assert_cmpint(pwrite(from_fd, made, made_len, 0), ==, (ssize_t)made_len);
    g_assert_cmpint(ftruncate(from_fd, FILE_BYTES), ==, 0);
    g_autofree char *text = g_strndup((const char *)data, size);
    change(from_fd, text);

    g_autoptr(GError) error = NULL;
    if (!ireko_overlay_put(from_fd, to_fd, DISK_BYTES, &error)) {
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        return 0;
    }
    struct stat st;
    g_assert_cmpint(fstat(to_fd, &st), ==, 0);
    g_assert_cmpuint((uint64_t)st.st_size, ==, DISK_BYTES);
    return 0;
}
