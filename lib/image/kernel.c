/* image/kernel.c - bzImage to vmlinux.
 *
 * A machine that boots vmlinux by its PVH entry skips the real-mode setup, the copying and above
 * all the decompression, which emulated CPUs do slowly and each layer would do again. The boot
 * protocol header (Documentation/x86/boot.rst) says where in a bzImage the packed kernel begins. */
#include "image/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/fd.h"
#include "image/elffile.h"
#include "image/run.h"

#define SETUP_SECTORS_AT  0x1f1
#define HEADER_MAGIC_AT   0x202
#define PAYLOAD_OFFSET_AT 0x248 /* since protocol 2.08 */
#define HEADER_LEN        0x250
#define SECTOR            512
#define XZ_MAGIC                                                                                   \
    "\xfd"                                                                                         \
    "7zXZ"

/* Where the packed kernel begins, or -1. */
static off_t
find_payload(int fd)
{
    unsigned char header[HEADER_LEN];
    if (pread(fd, header, sizeof header, 0) != (ssize_t)sizeof header ||
        memcmp(header + HEADER_MAGIC_AT, "HdrS", 4) != 0)
        return -1;

    unsigned sectors = header[SETUP_SECTORS_AT] != 0 ? header[SETUP_SECTORS_AT] : 4;
    guint32 offset = 0;
    memcpy(&offset, header + PAYLOAD_OFFSET_AT, sizeof offset);
    off_t at = (off_t)(sectors + 1) * SECTOR + GUINT32_FROM_LE(offset);

    char magic[sizeof XZ_MAGIC];
    bool is_xz = pread(fd, magic, sizeof magic, at) == (ssize_t)sizeof magic &&
                 memcmp(magic, XZ_MAGIC, sizeof magic) == 0;
    return is_xz ? at : -1;
}

static bool
check_pvh(const char *path, GError **error)
{
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, NULL);
    if (file != NULL &&
        image_elf_has_pvh(g_mapped_file_get_contents(file), g_mapped_file_get_length(file)))
        return true;
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                        "the kernel has no PVH entry (CONFIG_PVH): Debian's kernels have");
    return false;
}

bool
image_kernel_unpack(const IrekoImageBuild *build, const char *path, const char *to, GError **error)
{
    IREKO_AUTOFD in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s'", path);
        return false;
    }
    off_t at = find_payload(in);
    if (at < 0 || lseek(in, at, SEEK_SET) != at) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "'%s' is no bzImage packed by xz, as Debian's are", path);
        return false;
    }
    IREKO_AUTOFD out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (out < 0) {
        ireko_error_from_errno(error, errno, "cannot write '%s'", to);
        return false;
    }
    /* Behind the stream stands the unpacked length, which is no part of it. */
    const char *const argv[] = {"xz", "-dc", "--single-stream", NULL};
    ImageCommand command = {.argv = argv,
                            .package = "xz-utils",
                            .stdin_fd = in,
                            .stdout_fd = out,
                            .cancel_fd = build->cancel_fd};
    return image_run(&command, error) && check_pvh(to, error);
}
