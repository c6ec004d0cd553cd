/* vault/write.c - a vault is written.
 *
 * Everything is made in a folder ".new-..." of the store, on which the writer holds flock(2); the
 * folder of a writer that died has no lock, which is how vault_store_sweep knows it. At the end
 * every file is synced and its checksums are made from what can be read back, then the manifest is
 * written, the folder synced and renamed, and the store synced. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "vault/sums.h"

#define STEP  ((size_t)1 << 20) /* bytes copied at a time */
#define BLOCK ((size_t)4096)    /* what of a copy is left out where it is zeros */

struct IrekoVaultWriter {
    char *store, *name;
    char *folder; /* NULL: committed */
    int lock_fd;  /* of the folder */
    GMutex lock;  /* of the list of files: several may write at once */
    VaultManifest *manifest;
};

void
ireko_vault_writer_free(IrekoVaultWriter *writer)
{
    if (writer == NULL)
        return;
    if (writer->folder != NULL)
        (void)ireko_file_remove_tree(writer->folder, NULL);
    ireko_fd_close(&writer->lock_fd);
    g_mutex_clear(&writer->lock);
    vault_manifest_free(writer->manifest);
    g_free(writer->folder);
    g_free(writer->store);
    g_free(writer->name);
    g_free(writer);
}

IrekoVaultWriter *
ireko_vault_begin(const char *store, const char *name, GError **error)
{
    if (!ireko_file_make_folder(store, error))
        return NULL;
    g_autoptr(IrekoVaultWriter) writer = g_new0(IrekoVaultWriter, 1);
    writer->store = g_strdup(store);
    writer->name = g_strdup(name);
    writer->lock_fd = -1;
    g_mutex_init(&writer->lock);
    writer->manifest = vault_manifest_new();
    g_autofree char *folder = g_strdup_printf("%s/" VAULT_NEW "XXXXXX", store);
    if (g_mkdtemp_full(folder, 0700) == NULL) {
        ireko_error_from_errno(error, errno, "cannot make a folder in '%s'", store);
        return NULL;
    }
    writer->folder = g_steal_pointer(&folder);
    writer->lock_fd = open(writer->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (writer->lock_fd >= 0 && flock(writer->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return g_steal_pointer(&writer);
    ireko_error_from_errno(error, errno, "cannot lock '%s'", writer->folder);
    return NULL;
}

/* Puts FILE on the list; false where that is full. */
static bool
add_entry(IrekoVaultWriter *writer, const char *file)
{
    g_mutex_lock(&writer->lock);
    bool fits = writer->manifest->files->len < IREKO_VAULT_FILES_MAX;
    if (fits) {
        VaultFile *entry = g_new0(VaultFile, 1);
        entry->name = g_strdup(file);
        g_ptr_array_add(writer->manifest->files, entry);
    }
    g_mutex_unlock(&writer->lock);
    return fits;
}

char *
ireko_vault_add_path(IrekoVaultWriter *writer, const char *file, GError **error)
{
    g_assert(vault_is_file_name(file)); /* names of machines and disks were checked */
    if (!add_entry(writer, file)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "more than %d files to keep",
                    IREKO_VAULT_FILES_MAX);
        return NULL;
    }
    g_autofree char *path = g_build_filename(writer->folder, file, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    return ireko_file_make_folder(folder, error) ? g_steal_pointer(&path) : NULL;
}

int
ireko_vault_create(IrekoVaultWriter *writer, const char *file, GError **error)
{
    g_autofree char *path = ireko_vault_add_path(writer, file, error);
    if (path == NULL)
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot make '%s'", path);
    return fd;
}

/* ---- copying ---- */

static bool
is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Writes what of LEN bytes is not zeros, in runs of blocks, at OFFSET. False with errno. */
static bool
write_blocks(int fd, const uint8_t *bytes, size_t len, off_t offset)
{
    for (size_t at = 0; at < len;) {
        size_t end = at;
        while (end < len && !is_zero(bytes + end, MIN(BLOCK, len - end)))
            end = MIN(end + BLOCK, len);
        for (size_t done = at; done < end;) {
            ssize_t n = pwrite(fd, bytes + done, end - done, offset + (off_t)done);
            if (n < 0 && errno != EINTR)
                return false;
            done += n > 0 ? (size_t)n : 0;
        }
        at = end + BLOCK; /* one block of zeros, or the end */
    }
    return true;
}

/* Copies the bytes from AT to END, which are stored; false with errno. */
static bool
copy_run(int from_fd, int to_fd, uint8_t *buffer, uint64_t at, uint64_t end, uint64_t base)
{
    while (at < end) {
        ssize_t n = pread(from_fd, buffer, (size_t)MIN(STEP, end - at), (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        if (!write_blocks(to_fd, buffer, (size_t)n, (off_t)(at - base)))
            return false;
        at += (uint64_t)n;
    }
    return true;
}

/* Where the next stored bytes from AT on are, up to END; a file that cannot tell has no holes. */
static void
find_run(int fd, uint64_t at, uint64_t end, uint64_t *ret_from, uint64_t *ret_to)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data < 0) {
        *ret_from = errno == ENXIO ? end : at;
        *ret_to = end;
        return;
    }
    off_t hole = lseek(fd, data, SEEK_HOLE);
    *ret_from = MIN((uint64_t)data, end);
    *ret_to = hole < 0 ? end : MIN((uint64_t)hole, end);
}

bool
ireko_vault_copy_to(int to_fd, int from_fd, uint64_t offset, uint64_t len, GError **error)
{
    g_autofree uint8_t *buffer = g_malloc(STEP);
    bool copied = ftruncate(to_fd, (off_t)len) == 0;
    uint64_t end = offset + len;
    for (uint64_t at = offset, to = 0; copied && at < end; at = to) {
        find_run(from_fd, at, end, &at, &to);
        copied = copy_run(from_fd, to_fd, buffer, at, to, offset);
    }
    if (!copied)
        ireko_error_from_errno(error, errno, "cannot copy");
    return copied;
}

bool
ireko_vault_copy(IrekoVaultWriter *writer,
                 const char *file,
                 int from_fd,
                 uint64_t offset,
                 uint64_t len,
                 GError **error)
{
    IREKO_AUTOFD fd = ireko_vault_create(writer, file, error);
    if (fd < 0)
        return false;
    bool copied = ireko_vault_copy_to(fd, from_fd, offset, len, error);
    if (!copied)
        g_prefix_error(error, "'%s': ", file);
    return copied;
}

/* ---- the end ---- */

static bool
seal_file(const IrekoVaultWriter *writer, VaultFile *file, GError **error)
{
    g_autofree char *path = g_build_filename(writer->folder, file->name, NULL);
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || fsync(fd) != 0) {
        ireko_error_from_errno(error, errno, "cannot keep '%s'", path);
        return false;
    }
    file->bytes = (uint64_t)st.st_size;
    if (file->bytes <= IREKO_VAULT_FILE_MAX)
        return vault_sum_file(fd, file, error);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                "'%s' has %" G_GUINT64_FORMAT " bytes, and may have %" G_GUINT64_FORMAT, path,
                file->bytes, IREKO_VAULT_FILE_MAX);
    return false;
}

static bool
write_manifest(const IrekoVaultWriter *writer, GError **error)
{
    size_t len = 0;
    g_autofree char *text = vault_manifest_to_text(writer->manifest, &len);
    g_autofree char *path = g_build_filename(writer->folder, VAULT_MANIFEST, NULL);
    return ireko_file_replace(path, text, len, 0600, error); /* syncs the folder too */
}

/* Gives the folder its name. */
static bool
put_in_place(IrekoVaultWriter *writer, GError **error)
{
    g_autofree char *path = g_build_filename(writer->store, writer->name, NULL);
    g_autoptr(GError) why = NULL;
    if (!ireko_vault_remove(writer->store, writer->name, &why) &&
        !g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    IREKO_AUTOFD store_fd = open(writer->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rename(writer->folder, path) == 0 && store_fd >= 0 && fsync(store_fd) == 0)
        return true;
    ireko_error_from_errno(error, errno, "cannot keep '%s'", path);
    return false;
}

bool
ireko_vault_commit(IrekoVaultWriter *writer, json_t *about, GError **error)
{
    writer->manifest->about = about;
    for (unsigned i = 0; i < writer->manifest->files->len; i++) {
        if (!seal_file(writer, writer->manifest->files->pdata[i], error))
            return false;
    }
    if (!write_manifest(writer, error) || !put_in_place(writer, error))
        return false;
    g_clear_pointer(&writer->folder, g_free);
    return true;
}
