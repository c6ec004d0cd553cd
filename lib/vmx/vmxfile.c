/* vmx/vmxfile.c - a .vmx on disk is opened for an edit: found behind symbolic links, locked, read.
 *
 * Who edits holds flock(2) on the file itself: no lock file is left behind, and a lock dies with
 * its process. A file is replaced by another, so a lock counts only if its file is still the one
 * that has the name; else the new one is locked. Who finds the lock taken waits a moment, since an
 * edit takes milliseconds.
 *
 * The file is opened for writing although it is never written: a file that is write-protected says
 * that its owner wants it to stay, and to replace it would get around that. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmx/busy.h"
#include "vmx/document.h"
#include "vmx/replace.h"

#define LINKS_MAX     40   /* symbolic links behind each other, as in the kernel */
#define LOCK_WAIT_MS  1000 /* for another editor */
#define LOCK_RETRY_MS 10

/* ---- finding it ---- */

/* The text of the symbolic link NAME in FOLDER_FD, seen from the working folder. */
static char *
read_link(int folder_fd, const char *folder, const char *name)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(folder_fd, name, target, sizeof target - 1);
    if (len < 0)
        return NULL;
    target[len] = '\0';
    return g_path_is_absolute(target) ? g_strdup(target) : g_build_filename(folder, target, NULL);
}

static int
open_for_edit(int folder, const char *name)
{
    return openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* Sets folder, name and fd. */
static bool
find(IrekoVmxFile *file, GError **error)
{
    g_autofree char *at = g_strdup(file->path);
    for (unsigned links = 0; links < LINKS_MAX; links++) {
        g_autofree char *folder = g_path_get_dirname(at);
        ireko_fd_close(&file->folder);
        file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (file->folder < 0) {
            ireko_error_from_errno(error, errno, "cannot open '%s': its folder '%s'", file->path,
                                   folder);
            return false;
        }
        g_free(file->name);
        file->name = g_path_get_basename(at);
        file->fd = open_for_edit(file->folder, file->name);
        if (file->fd >= 0)
            return true;
        int why = errno;
        g_autofree char *next = why == ELOOP ? read_link(file->folder, folder, file->name) : NULL;
        if (why == EISDIR) {
            (void)ireko_vmx_load(file->path, error); /* it says so */
            return false;
        }
        if (next == NULL) {
            ireko_error_from_errno(error, why, "cannot open '%s' to edit it", file->path);
            return false;
        }
        g_free(at);
        at = g_steal_pointer(&next);
    }
    ireko_error_from_errno(error, ELOOP, "cannot open '%s' to edit it", file->path);
    return false;
}

/* ---- locking it ---- */

static bool
wait_for_lock(const IrekoVmxFile *file, unsigned *waited_ms, GError **error)
{
    while (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            ireko_error_from_errno(error, errno, "cannot lock '%s'", file->path);
            return false;
        }
        if (*waited_ms >= LOCK_WAIT_MS) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "'%s' is being edited by another ireko: try again", file->path);
            return false;
        }
        g_usleep((gulong)LOCK_RETRY_MS * 1000);
        *waited_ms += LOCK_RETRY_MS;
    }
    return true;
}

/* Locks the file that has the name now, and sets st. */
static bool
lock(IrekoVmxFile *file, GError **error)
{
    for (unsigned waited_ms = 0;;) {
        struct stat now;
        if (!wait_for_lock(file, &waited_ms, error))
            return false;
        if (fstat(file->fd, &file->st) != 0 ||
            fstatat(file->folder, file->name, &now, AT_SYMLINK_NOFOLLOW) != 0) {
            ireko_error_from_errno(error, errno, "cannot look at '%s'", file->path);
            return false;
        }
        if (now.st_dev == file->st.st_dev && now.st_ino == file->st.st_ino)
            return true;
        ireko_fd_close(&file->fd);
        file->fd = open_for_edit(file->folder, file->name);
        if (file->fd < 0) {
            ireko_error_from_errno(error, errno, "cannot open '%s' to edit it", file->path);
            return false;
        }
    }
}

/* ---- the file ---- */

static bool
read_document(IrekoVmxFile *file, GError **error)
{
    file->doc = ireko_vmx_load_fd(file->fd, file->path, &file->st, error);
    if (file->doc == NULL)
        return false;
    file->bytes = ireko_vmx_print(file->doc, &file->len);
    if (file->st.st_nlink > 1) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "'%s' has %lu names (hard links), and an edit would change it under one of "
                    "them only: make it a file of its own (cp), or the others symbolic links",
                    file->path, (unsigned long)file->st.st_nlink);
        return false;
    }
    IrekoBusy busy =
        ireko_busy_check(file->folder, file->name, file->path, file->doc, &file->stale);
    if (busy == IREKO_BUSY_YES)
        g_propagate_error(error, g_steal_pointer(&file->stale));
    return busy != IREKO_BUSY_YES;
}

static void
set_names(IrekoVmxFile *file)
{
    file->fresh = g_strdup_printf(".%s.ireko-new", file->name);
    file->next = g_strdup_printf(".%s.ireko-next", file->name);
    file->kept = g_strdup_printf(".%s.ireko-old", file->name);
    file->stamp = g_strdup_printf(".%s.ireko", file->name);
    file->undo = g_strdup_printf("%s.undo", file->name);
}

IrekoVmxFile *
ireko_vmxfile_open(const char *path, GError **error)
{
    g_autoptr(IrekoVmxFile) file = g_new0(IrekoVmxFile, 1);
    file->path = g_strdup(path);
    file->folder = file->fd = -1;
    if (!find(file, error) || !lock(file, error) || !read_document(file, error))
        return NULL;
    set_names(file);
    file->doc->before = ireko_replaced_document(file);
    return g_steal_pointer(&file);
}

IrekoVmx *
ireko_vmxfile_preview(const char *path, GError **error)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, error);
    if (doc == NULL)
        return NULL;
    g_autoptr(IrekoVmxFile) file = g_new0(IrekoVmxFile, 1);
    file->path = g_strdup(path);
    file->folder = file->fd = -1;
    if (!find(file, NULL))
        return g_steal_pointer(&doc); /* it may not be edited, but it may be asked about */
    set_names(file);
    file->bytes = ireko_vmx_print(doc, &file->len);
    doc->before = ireko_replaced_document(file);
    return g_steal_pointer(&doc);
}

IrekoVmx *
ireko_vmxfile_document(IrekoVmxFile *file)
{
    return file->doc;
}

/* A machine whose suspended state is gone is to lose the line that says so, and then all else. */
static bool
check_wakes(const IrekoVmxFile *file, const IrekoVmx *doc, GError **error)
{
    if (file->stale == NULL || !ireko_busy_is_suspended(doc))
        return true;
    g_propagate_error(error, g_error_copy(file->stale));
    return false;
}

bool
ireko_vmxfile_save(IrekoVmxFile *file, GError **error)
{
    size_t len = 0;
    g_autofree char *bytes = ireko_vmx_print(file->doc, &len);
    if (len == file->len && memcmp(bytes, file->bytes, len) == 0)
        return true;
    if (!check_wakes(file, file->doc, error))
        return false;
    if (!ireko_vmx_check(file->doc, file->path, error)) {
        g_prefix_error(error, "the edit is refused, since after it ");
        return false;
    }
    return ireko_replace(file, bytes, len, error);
}

char *
ireko_vmxfile_before(IrekoVmxFile *file, size_t *ret_len, GError **error)
{
    return ireko_replaced(file, ret_len, error);
}

bool
ireko_vmxfile_undo(IrekoVmxFile *file, GError **error)
{
    size_t len = 0;
    g_autofree char *before = ireko_replaced(file, &len, error);
    g_autoptr(IrekoVmx) doc = before == NULL ? NULL : ireko_vmx_parse(before, len, error);
    if (doc == NULL || !check_wakes(file, doc, error) || !ireko_replace(file, before, len, error))
        return false;
    ireko_vmx_free(file->doc);
    file->doc = g_steal_pointer(&doc);
    return true;
}

void
ireko_vmxfile_free(IrekoVmxFile *file)
{
    if (file == NULL)
        return;
    ireko_fd_close(&file->fd);
    ireko_fd_close(&file->folder);
    ireko_vmx_free(file->doc);
    g_clear_error(&file->stale);
    g_free(file->bytes);
    g_free(file->path);
    g_free(file->name);
    g_free(file->fresh);
    g_free(file->next);
    g_free(file->kept);
    g_free(file->stamp);
    g_free(file->undo);
    g_free(file);
}
