/* vault/check.c - a vault is opened, and compared with its manifest.
 *
 * Whoever has a file of a vault open has flock(2) on it, shared; whoever removes one wants it
 * alone. The lock belongs to the open file, so it goes with the descriptor into a machine's process
 * and lasts as long as that.
 *
 * Reading all of it takes a tenth of a second where a machine is to be there in less. So a check
 * that found everything right notes what each file was: its inode, length, and the time of its last
 * change. That time (ctime) is set by the kernel with each write, also through a mapping, and by
 * nobody else; where it and the host's boot are the same, nobody has written. What changes while
 * nothing runs, on the disk itself, is found by the first check after the host was started. As with
 * every such note, a file that changed in the moment of the check might change again within the
 * same tick of the clock: then nothing is noted. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "vault/sums.h"

#define BOOT_ID       "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_MAX   ((size_t)128)
#define CHECKED_MAX   ((size_t)4 << 20)
#define LOCK_TRIES    50
#define LOCK_RETRY_US 2000
#define CLOCK_TICK_NS (50 * INT64_C(1000000)) /* the coarsest clock of a file system, with room */

struct IrekoVault {
    char *name;
    char *folder;
    int lock_fd; /* the manifest */
    VaultManifest *manifest;
};

void
ireko_vault_free(IrekoVault *vault)
{
    if (vault == NULL)
        return;
    vault_manifest_free(vault->manifest);
    ireko_fd_close(&vault->lock_fd);
    g_free(vault->folder);
    g_free(vault->name);
    g_free(vault);
}

const char *
ireko_vault_name(const IrekoVault *vault)
{
    return vault->name;
}

const json_t *
ireko_vault_about(const IrekoVault *vault)
{
    return vault->manifest->about;
}

uint64_t
ireko_vault_bytes(const IrekoVault *vault)
{
    return vault_folder_bytes(vault->folder);
}

char *
ireko_vault_path(const IrekoVault *vault, const char *file)
{
    return g_build_filename(vault->folder, file, NULL);
}

/* Whether FD is still what PATH names: another may just have removed it. */
static bool
is_in_place(int fd, const char *path)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
           here.st_dev == there.st_dev;
}

/* Opens PATH with its lock; who looks whether it is in use has the lock for a moment. */
static int
open_locked(const char *path, GError **error)
{
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
    for (unsigned i = 0; fd >= 0 && !locked && i < LOCK_TRIES; i++) {
        g_usleep(LOCK_RETRY_US);
        locked = flock(fd, LOCK_SH | LOCK_NB) == 0;
    }
    if (locked && is_in_place(fd, path))
        return ireko_fd_steal(&fd);
    if (fd >= 0)
        errno = ENOENT; /* it is being removed */
    ireko_error_from_errno(error, errno, "cannot open '%s'", path);
    return -1;
}

IrekoVault *
ireko_vault_open(const char *store, const char *name, GError **error)
{
    g_autoptr(IrekoVault) vault = g_new0(IrekoVault, 1);
    vault->name = g_strdup(name);
    vault->folder = g_build_filename(store, name, NULL);
    g_autofree char *path = g_build_filename(vault->folder, VAULT_MANIFEST, NULL);
    vault->lock_fd = open_locked(path, error);
    if (vault->lock_fd < 0)
        return NULL;
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, IREKO_VAULT_MANIFEST_MAX, &len, error);
    if (text == NULL)
        return NULL;
    vault->manifest = vault_manifest_from_text(text, len, error);
    return vault->manifest != NULL ? g_steal_pointer(&vault) : NULL;
}

int
ireko_vault_open_file(const IrekoVault *vault, const char *file, GError **error)
{
    g_autofree char *path = ireko_vault_path(vault, file);
    return open_locked(path, error);
}

int
ireko_vault_hold(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, VAULT_MANIFEST, NULL);
    return open_locked(path, NULL);
}

char *
ireko_vault_mark(const IrekoVault *vault)
{
    return vault_folder_mark(vault->folder);
}

/* ---- the note of the last check ---- */

static int64_t
time_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What the files are now, a line each, or NULL where one is not there or changed just now. */
static char *
take_note(const IrekoVault *vault)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    g_autofree char *boot = ireko_file_read(AT_FDCWD, BOOT_ID, BOOT_ID_MAX, NULL, NULL);
    g_autoptr(GString) note = g_string_new(boot);
    for (unsigned i = 0; boot != NULL && i < vault->manifest->files->len; i++) {
        const VaultFile *file = vault->manifest->files->pdata[i];
        g_autofree char *path = ireko_vault_path(vault, file->name);
        struct stat st;
        if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != file->bytes ||
            time_ns(st.st_ctim) + CLOCK_TICK_NS > time_ns(now))
            return NULL;
        g_string_append_printf(note, "%s %llu %llu %lld\n", file->name,
                               (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
                               (long long)time_ns(st.st_ctim));
    }
    return boot != NULL ? g_string_free(g_steal_pointer(&note), FALSE) : NULL;
}

/* Keeps NOTE; where that fails the next check reads everything again. */
static void
keep_note(const IrekoVault *vault, const char *note)
{
    g_autofree char *path = ireko_vault_path(vault, VAULT_CHECKED);
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0)
        (void)ireko_fd_write_all(fd, note, strlen(note), IREKO_NO_DEADLINE, -1, NULL);
}

static bool
compare(const IrekoVault *vault, const VaultFile *file, GError **error)
{
    g_autofree char *path = ireko_vault_path(vault, file->name);
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "'%s' cannot be opened: %s", file->name,
                    g_strerror(errno));
        return false;
    }
    if ((uint64_t)st.st_size != file->bytes) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "'%s' is damaged: %lld bytes, written were %" G_GUINT64_FORMAT, file->name,
                    (long long)st.st_size, file->bytes);
        return false;
    }
    return vault_compare_file(fd, file, error);
}

bool
ireko_vault_check(IrekoVault *vault, GError **error)
{
    g_autofree char *path = ireko_vault_path(vault, VAULT_CHECKED);
    g_autofree char *noted = ireko_file_read(AT_FDCWD, path, CHECKED_MAX, NULL, NULL);
    g_autofree char *note = take_note(vault);
    bool known = note != NULL && g_strcmp0(note, noted) == 0;
    for (unsigned i = 0; !known && i < vault->manifest->files->len; i++) {
        if (!compare(vault, vault->manifest->files->pdata[i], error))
            return false;
    }
    if (!known && note != NULL)
        keep_note(vault, note);
    (void)futimens(vault->lock_fd, NULL); /* when it was last used */
    return true;
}
