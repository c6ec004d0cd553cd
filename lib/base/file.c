/* base/file.c - whole files and folders. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/fd.h"

#define READ_STEP       ((size_t)16 << 10)
#define TREE_OPEN_LIMIT 16 /* folders that a removal keeps open at once */
#define TREE_TRIES      20
#define TREE_PAUSE_US   10000

/* Room for a regular file at once; files of /proc say 0 and grow. */
static size_t
first_step(int fd, size_t max)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0)
        return MIN(READ_STEP, max) + 1;
    return MIN((size_t)st.st_size, max) + 1;
}

char *
ireko_file_read(int dir_fd, const char *path, size_t max, size_t *ret_len, GError **error)
{
    IREKO_AUTOFD fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }

    size_t room = first_step(fd, max), len = 0;
    g_autofree char *data = g_malloc(room + 1);
    for (;;) {
        ssize_t n = read(fd, data + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            ireko_error_from_errno(error, errno, "cannot read '%s'", path);
            return NULL;
        }
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "'%s' is longer than %zu bytes",
                        path, max);
            return NULL;
        }
        if (len == room) {
            room = MIN(room * 2, max + 1);
            data = g_realloc(data, room + 1);
        }
    }
    data[len] = '\0';
    if (ret_len != NULL)
        *ret_len = len;
    return g_steal_pointer(&data);
}

static bool
sync_folder_of(const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    IREKO_AUTOFD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        ireko_error_from_errno(error, errno, "cannot sync the folder '%s'", folder);
        return false;
    }
    return true;
}

/* What is to be in a file. */
typedef struct {
    const void *data;
    size_t len;
    unsigned mode;
    bool synced;
} Content;

static bool
write_content(int fd, const Content *content, GError **error)
{
    if (!ireko_fd_write_all(fd, content->data, content->len, IREKO_NO_DEADLINE, -1, error))
        return false;
    if (fchmod(fd, content->mode) != 0 || (content->synced && fsync(fd) != 0)) {
        ireko_error_from_errno(error, errno, "cannot sync");
        return false;
    }
    return true;
}

static bool
replace(const char *path, const Content *content, GError **error)
{
    g_autofree char *temporary = g_strdup_printf("%s.XXXXXX", path);
    IREKO_AUTOFD fd = g_mkstemp_full(temporary, O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot write beside '%s'", path);
        return false;
    }
    if (!write_content(fd, content, error)) {
        (void)unlink(temporary);
        g_prefix_error(error, "'%s': ", path);
        return false;
    }
    if (rename(temporary, path) != 0) {
        ireko_error_from_errno(error, errno, "cannot replace '%s'", path);
        (void)unlink(temporary);
        return false;
    }
    return !content->synced || sync_folder_of(path, error);
}

bool
ireko_file_replace(const char *path, const void *data, size_t len, unsigned mode, GError **error)
{
    const Content content = {.data = data, .len = len, .mode = mode, .synced = true};
    return replace(path, &content, error);
}

bool
ireko_file_put(const char *path, const void *data, size_t len, unsigned mode, GError **error)
{
    const Content content = {.data = data, .len = len, .mode = mode};
    return replace(path, &content, error);
}

char *
ireko_file_identity(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return NULL;
    return g_strdup_printf("%s %lld %lld.%09ld %llu", path, (long long)st.st_size,
                           (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                           (unsigned long long)st.st_ino);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* A process that was killed may still finish the call that it is in, which makes one more file. */
bool
ireko_file_remove_tree(const char *path, GError **error)
{
    for (unsigned tries = 1;; tries++) {
        if (nftw(path, remove_one, TREE_OPEN_LIMIT, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
            return true;
        if (errno != ENOTEMPTY || tries == TREE_TRIES) {
            ireko_error_from_errno(error, errno, "cannot remove '%s'", path);
            return false;
        }
        g_usleep(TREE_PAUSE_US);
    }
}

bool
ireko_file_make_folder(const char *path, GError **error)
{
    if (g_mkdir_with_parents(path, 0700) == 0)
        return true;
    ireko_error_from_errno(error, errno, "cannot make the folder '%s'", path);
    return false;
}
