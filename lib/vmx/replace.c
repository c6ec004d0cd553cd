/* vmx/replace.c - a file gets other bytes, at once and for good, and its old ones are kept.
 *
 * Beside NAME stand, for the moments of an edit,
 *   .NAME.ireko-new    the new file: written, given the attributes of the old one, synced;
 *   .NAME.ireko-next   the hash of the new bytes;
 * and from one edit to the next
 *   NAME.undo          the old file, which is the one that was replaced;
 *   .NAME.ireko        the hash of the bytes that replaced it: undo must not undo more.
 *
 * The new file and NAME change places in one step (RENAME_EXCHANGE). What comes out of NAME is then
 * looked at: it has to be the file that was read, with the bytes that were read. If not, somebody
 * else wrote meanwhile, with or without a lock: the two change places again and the edit is
 * refused. A plain rename would have destroyed theirs. Last, what came out becomes NAME.undo, and
 * ireko-next becomes the hash of the edit; the folder is synced.
 *
 * A hash stands in a symbolic link: that is there at once and whole, is as durable as a name, and
 * no data of it keep the folder waiting, as those of a file do that is renamed over another (ext4).
 * A filesystem without symbolic links gets a file.
 *
 * A kill leaves NAME as it was or as it is to be. Which one, the next edit sees by ireko-next: is
 * it the hash of NAME, then the exchange was made and the two last steps are made up for; else what
 * was left is removed. Who comes next cannot mistake a living editor for a dead one: the old file
 * and the new one are locked (flock) for as long as either may be NAME.
 *
 * Filesystems without RENAME_EXCHANGE (FAT, NFS, some of FUSE): a copy of the old bytes is written
 * (.NAME.ireko-old), NAME is looked at, and a rename replaces it. Between the two, a file that
 * somebody renames to NAME without a lock is lost. */
#include "vmx/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/fd.h"
#include "vmx/attributes.h"
#include "vmx/document.h"

#define STAMP_LEN ((size_t)32) /* the hash in hex */

#define IN_FOLDER (O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

typedef enum {
    REPLACED,
    AS_IT_WAS,
    BETWEEN, /* and what could not be put right now will be by the next edit */
} Outcome;

static void
write_stamp(const char *bytes, size_t len, char *text)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, len);
    (void)g_snprintf(text, STAMP_LEN + 1, "%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x",
                     hash.high64, hash.low64);
}

/* What the stamp NAME says, up to LEN bytes of it; -1 where it cannot be read. */
static ssize_t
read_stamp_text(const IrekoVmxFile *file, const char *name, char *text, size_t len)
{
    ssize_t got = readlinkat(file->folder, name, text, len);
    if (got >= 0 || errno != EINVAL)
        return got;
    IREKO_AUTOFD fd = openat(file->folder, name, O_RDONLY | IN_FOLDER);
    return fd < 0 ? -1 : ireko_vmx_read_up_to(fd, text, 0, len);
}

/* Whether the stamp NAME holds the hash of the bytes of FILE. */
static bool
read_stamp(const IrekoVmxFile *file, const char *name, bool *ret_same, GError **error)
{
    char want[STAMP_LEN + 1], got[STAMP_LEN + 1];
    *ret_same = false;
    ssize_t len = read_stamp_text(file, name, got, sizeof got);
    if (len < 0 && errno == ENOENT)
        return true;
    if (len < 0) {
        ireko_error_from_errno(error, errno, "cannot read '%s' beside '%s'", name, file->path);
        return false;
    }
    write_stamp(file->bytes, file->len, want);
    *ret_same = len == (ssize_t)STAMP_LEN && memcmp(got, want, STAMP_LEN) == 0;
    return true;
}

static bool
write_all(int fd, const char *bytes, size_t len)
{
    for (unsigned interrupted = 0; len > 0;) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR && interrupted++ < IREKO_VMX_EINTR_MAX)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- what an edit that was killed left ---- */

static bool
move(const IrekoVmxFile *file, const char *from, const char *to)
{
    return renameat(file->folder, from, file->folder, to) == 0;
}

static bool
is_gone(const IrekoVmxFile *file, const char *name)
{
    return unlinkat(file->folder, name, 0) == 0 || errno == ENOENT;
}

/* The hash goes last: while it is there, there is something to be done. */
static bool
sweep(const IrekoVmxFile *file, GError **error)
{
    if (is_gone(file, file->fresh) && is_gone(file, file->kept) && is_gone(file, file->next))
        return true;
    ireko_error_from_errno(error, errno, "cannot remove what an edit of '%s' left", file->path);
    return false;
}

static bool
finish(const IrekoVmxFile *file, GError **error)
{
    bool kept = move(file, file->kept, file->undo) ||
                (errno == ENOENT && (move(file, file->fresh, file->undo) || errno == ENOENT));
    if (kept && move(file, file->next, file->stamp))
        return true;
    ireko_error_from_errno(error, errno, "cannot finish an edit of '%s' that was broken off",
                           file->path);
    return false;
}

static bool
lock_fresh(const IrekoVmxFile *file, int fd, GError **error)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "'%s' is being edited by another ireko: try again", file->path);
    else
        ireko_error_from_errno(error, errno, "cannot lock '%s'", file->fresh);
    return false;
}

static bool
recover(const IrekoVmxFile *file, GError **error)
{
    IREKO_AUTOFD fresh = openat(file->folder, file->fresh, O_RDWR | IN_FOLDER);
    if (fresh < 0 && errno != ENOENT) {
        ireko_error_from_errno(error, errno, "cannot open what an edit of '%s' left, '%s'",
                               file->path, file->fresh);
        return false;
    }
    if (fresh >= 0 && !lock_fresh(file, fresh, error))
        return false;
    bool done = false;
    if (!read_stamp(file, file->next, &done, error))
        return false;
    return done ? finish(file, error) : sweep(file, error);
}

/* ---- the new file ---- */

static int
make(const IrekoVmxFile *file, const char *name)
{
    return openat(file->folder, name, O_RDWR | O_CREAT | O_EXCL | IN_FOLDER, 0600);
}

/* Makes ireko-next, which is not there, say TEXT. */
static bool
make_stamp(const IrekoVmxFile *file, const char *text)
{
    if (symlinkat(text, file->folder, file->next) == 0)
        return true;
    if (errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP)
        return false;
    IREKO_AUTOFD fd = make(file, file->next);
    if (fd >= 0 && write_all(fd, text, STAMP_LEN))
        return true;
    int why = errno;
    if (fd >= 0)
        (void)unlinkat(file->folder, file->next, 0);
    errno = why;
    return false;
}

/* Makes the stamp and the new file of an edit, and first makes up for an edit that left them. */
static bool
begin(const IrekoVmxFile *file, const char *stamp, int *ret_fresh, GError **error)
{
    for (unsigned tries = 0;; tries++) {
        bool stamped = make_stamp(file, stamp);
        *ret_fresh = stamped ? make(file, file->fresh) : -1;
        if (*ret_fresh >= 0)
            return true;
        int why = errno;
        if (stamped)
            (void)unlinkat(file->folder, file->next, 0);
        if (why != EEXIST || tries > 0) {
            ireko_error_from_errno(error, why, "cannot write beside '%s'", file->path);
            return false;
        }
        if (!recover(file, error))
            return false;
    }
}

static bool
fill(const IrekoVmxFile *file,
     int fd,
     const struct stat *st,
     const char *bytes,
     size_t len,
     GError **error)
{
    struct stat old;
    if (fstat(file->fd, &old) != 0) {
        ireko_error_from_errno(error, errno, "cannot read the mode of '%s'", file->path);
        return false;
    }
    if (!ireko_attributes_copy(file->fd, &old, fd, st, file->path, error))
        return false;
    if (write_all(fd, bytes, len) && fsync(fd) == 0)
        return true;
    ireko_error_from_errno(error, errno, "cannot write beside '%s'", file->path);
    return false;
}

/* Locks the new file before it can be NAME, and makes sure that nobody swept it as a dead one's. */
static bool
make_ours(const IrekoVmxFile *file, int fd, struct stat *st, GError **error)
{
    if (!lock_fresh(file, fd, error))
        return false;
    if (fstat(fd, st) != 0) {
        ireko_error_from_errno(error, errno, "cannot write beside '%s'", file->path);
        return false;
    }
    if (st->st_nlink == 0)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "'%s' is being edited by another ireko: try again", file->path);
    return st->st_nlink > 0;
}

/* ---- its place ---- */

/* Whether NAME is the file that was read, with the bytes that were read. */
static bool
is_untouched(const IrekoVmxFile *file, const char *name, GError **error)
{
    struct stat st;
    g_autofree char *now = g_malloc(file->len + 1);
    ssize_t len = fstatat(file->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0
                      ? -1
                      : ireko_vmx_read_up_to(file->fd, now, 0, file->len + 1);
    if (len < 0) {
        ireko_error_from_errno(error, errno, "cannot look at '%s' again", file->path);
        return false;
    }
    if (st.st_dev == file->st.st_dev && st.st_ino == file->st.st_ino && (size_t)len == file->len &&
        memcmp(now, file->bytes, file->len) == 0)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' was changed by somebody else since it was read, and theirs stands: try again",
                file->path);
    return false;
}

/* ERROR is set; changes places again. Where a third one has come, both stay. */
static Outcome
take_back(const IrekoVmxFile *file, const struct stat *ours, GError **error)
{
    struct stat st;
    if (renameat2(file->folder, file->fresh, file->folder, file->name, RENAME_EXCHANGE) != 0) {
        g_prefix_error(error, "'%s' is edited, and what it was is in '%s' beside it, since ",
                       file->path, file->fresh);
        return BETWEEN;
    }
    if (fstatat(file->folder, file->fresh, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == ours->st_dev && st.st_ino == ours->st_ino)
        return AS_IT_WAS;

    g_autofree char *theirs = g_strconcat(file->name, ".conflict", NULL);
    bool moved = renameat2(file->folder, file->fresh, file->folder, theirs, RENAME_NOREPLACE) == 0;
    g_prefix_error(error, "somebody else's last edit of '%s' is in '%s' beside it: ", file->path,
                   moved ? theirs : file->fresh);
    return moved ? AS_IT_WAS : BETWEEN;
}

static void
set_undo_error(const IrekoVmxFile *file, GError **error)
{
    ireko_error_from_errno(error, errno, "cannot keep the old bytes of '%s' as '%s'", file->path,
                           file->undo);
}

static Outcome
exchange(const IrekoVmxFile *file, const struct stat *ours, GError **error)
{
    if (!is_untouched(file, file->fresh, error))
        return take_back(file, ours, error);
    if (!move(file, file->fresh, file->undo)) {
        set_undo_error(file, error);
        return take_back(file, ours, error);
    }
    return REPLACED;
}

static Outcome
replace_without_exchange(const IrekoVmxFile *file, GError **error)
{
    struct stat st;
    IREKO_AUTOFD kept = make(file, file->kept);
    if (kept < 0 || fstat(kept, &st) != 0) {
        ireko_error_from_errno(error, errno, "cannot write beside '%s'", file->path);
        return AS_IT_WAS;
    }
    if (!fill(file, kept, &st, file->bytes, file->len, error) ||
        !is_untouched(file, file->name, error))
        return AS_IT_WAS;
    if (!move(file, file->fresh, file->name)) {
        ireko_error_from_errno(error, errno, "cannot replace '%s'", file->path);
        return AS_IT_WAS;
    }
    if (move(file, file->kept, file->undo))
        return REPLACED;
    set_undo_error(file, error);
    if (move(file, file->kept, file->name))
        return AS_IT_WAS;
    g_prefix_error(error, "'%s' is edited, and what it was is in '%s' beside it, since ",
                   file->path, file->kept);
    return BETWEEN;
}

static Outcome
put_in_place(const IrekoVmxFile *file, const struct stat *ours, GError **error)
{
    if (renameat2(file->folder, file->fresh, file->folder, file->name, RENAME_EXCHANGE) == 0)
        return exchange(file, ours, error);
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
        return replace_without_exchange(file, error);
    ireko_error_from_errno(error, errno, "cannot replace '%s'", file->path);
    return AS_IT_WAS;
}

/* The file is replaced: FD is it, locked. */
static void
take_over(IrekoVmxFile *file, int *fd, const struct stat *st, const char *bytes, size_t len)
{
    ireko_fd_close(&file->fd);
    file->fd = ireko_fd_steal(fd);
    file->st = *st;
    g_free(file->bytes);
    file->bytes = g_malloc(len + 1);
    memcpy(file->bytes, bytes, len);
    file->bytes[len] = '\0';
    file->len = len;
}

bool
ireko_replace(IrekoVmxFile *file, const char *bytes, size_t len, GError **error)
{
    char stamp[STAMP_LEN + 1];
    write_stamp(bytes, len, stamp);
    IREKO_AUTOFD fresh = -1;
    struct stat st;
    if (!begin(file, stamp, &fresh, error) || !make_ours(file, fresh, &st, error))
        return false; /* what is not known to be ours is left to the next edit */

    Outcome outcome = AS_IT_WAS;
    if (fill(file, fresh, &st, bytes, len, error))
        outcome = put_in_place(file, &st, error);
    if (outcome == AS_IT_WAS)
        (void)sweep(file, NULL); /* what stays, the next edit sweeps */
    if (outcome != REPLACED)
        return false;

    (void)move(file, file->next, file->stamp); /* else recover does */
    take_over(file, &fresh, &st, bytes, len);
    if (fsync(file->folder) == 0)
        return true;
    ireko_error_from_errno(error, errno, "'%s' is written, but may be lost if the power fails now",
                           file->path);
    return false;
}

/* ---- what was replaced ---- */

char *
ireko_replaced(IrekoVmxFile *file, size_t *ret_len, GError **error)
{
    bool same = false;
    if (!recover(file, error))
        return NULL;
    struct stat st;
    IREKO_AUTOFD fd = openat(file->folder, file->undo, O_RDONLY | IN_FOLDER);
    if (fd < 0 && errno == ENOENT) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "there is nothing to undo: '%s' would be beside '%s' after an edit by ireko",
                    file->undo, file->path);
        return NULL;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s' beside '%s'", file->undo,
                               file->path);
        return NULL;
    }
    if (!read_stamp(file, file->stamp, &same, error))
        return NULL;
    if (!same) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "'%s' was changed by something else since ireko edited it, and undo would undo "
                    "that too: compare it with '%s' beside it, and copy that one by hand if it is "
                    "what you want",
                    file->path, file->undo);
        return NULL;
    }
    g_autoptr(IrekoVmx) before = ireko_vmx_load_fd(fd, file->undo, &st, error);
    return before == NULL ? NULL : ireko_vmx_print(before, ret_len);
}

IrekoVmx *
ireko_replaced_document(const IrekoVmxFile *file)
{
    bool same = false;
    struct stat st;
    IREKO_AUTOFD fd = openat(file->folder, file->undo, O_RDONLY | IN_FOLDER);
    return fd >= 0 && fstat(fd, &st) == 0 && read_stamp(file, file->stamp, &same, NULL) && same
               ? ireko_vmx_load_fd(fd, file->undo, &st, NULL)
               : NULL;
}
