/* image/kernel.c - bzImage to vmlinux.
 *
 * A machine that boots vmlinux by its PVH entry skips the real-mode setup, the copying and above
 * all the decompression, which emulated CPUs do slowly and each layer would do again. The boot
 * protocol header (Documentation/x86/boot.rst) says where in a bzImage the packed kernel begins. */
#include "image/kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/fd.h"
#include "base/file.h"
#include "image/elffile.h"
#include "image/run.h"

#define SETUP_SECTORS_AT  0x1f1
#define HEADER_MAGIC_AT   0x202
#define PAYLOAD_OFFSET_AT 0x248 /* since protocol 2.08 */
#define HEADER_LEN        0x250
#define SECTOR            512
#define KERNEL_MAX        ((size_t)512 << 20)
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

/* Rewrites the kernel's program headers, and its file, without the zeros at the ends of segments:
 * what a loader does not write is zero in a new machine, and the kernel clears its own .bss in one
 * that was reset. Returns the length that the file is left with. */
static size_t
trim_segments(char *data, size_t len)
{
    Elf64_Ehdr header;
    memcpy(&header, data, sizeof header);
    size_t end = header.e_phoff + header.e_phnum * sizeof(Elf64_Phdr);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        char *at = data + header.e_phoff + i * sizeof segment;
        memcpy(&segment, at, sizeof segment);
        if (segment.p_offset > len || segment.p_filesz > len - segment.p_offset)
            continue;
        while (segment.p_type == PT_LOAD && segment.p_filesz > 0 &&
               data[segment.p_offset + segment.p_filesz - 1] == '\0')
            segment.p_filesz--;
        if (segment.p_type == PT_LOAD)
            segment.p_memsz = segment.p_filesz;
        memcpy(at, &segment, sizeof segment);
        end = MAX(end, segment.p_offset + segment.p_filesz);
    }
    header.e_shoff = 0; /* the sections' table stood behind the zeros; nobody loads by it */
    header.e_shnum = 0;
    header.e_shstrndx = 0;
    memcpy(data, &header, sizeof header);
    return end;
}

/* Checks the kernel PATH and takes the zeros off it. */
static bool
finish(const char *path, GError **error)
{
    size_t len = 0;
    g_autofree char *data = ireko_file_read(AT_FDCWD, path, KERNEL_MAX, &len, error);
    if (data == NULL)
        return false;
    if (!image_elf_has_pvh(data, len)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "the kernel has no PVH entry (CONFIG_PVH): Debian's kernels have");
        return false;
    }
    len = MIN(len, trim_segments(data, len));
    return ireko_file_replace(path, data, len, 0644, error);
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
    return image_run(&command, error) && finish(to, error);
}
