/* vmx/busy.c - whether VMware holds a machine: then its .vmx is VMware's to write.
 *
 * VMware reads a .vmx when it opens the machine and writes it back from memory, so an edit in
 * between is lost. While Workstation and Fusion have a machine open, running or not, the folder
 * NAME.vmx.lck stands beside it with a file M*.lck inside; ESXi has a file NAME.vmx.lck. After a
 * crash of the host these stay. Which process on which host made them only VMware can judge (the
 * folder may be shared), so they are believed, and the message says how to go on. An empty folder
 * locks nothing.
 *
 * A suspended machine has its state in a .vmss that checkpoint.vmState names and that fits the
 * devices of the .vmx as it is: VMware's manual says not to change the file then. Where that file
 * is gone and its folder is not, there is nothing to resume: the entry is stale, and to remove it
 * loses nothing. Any other edit has to wait for that, so that nobody edits by accident a machine
 * whose state only lies elsewhere for now. */
#include "vmx/busy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"

#define LOCK_SUFFIX  ".lck"
#define STATE_SUFFIX ".vmss"
#define STATE_KEY    "checkpoint.vmState"

typedef enum { THERE, ABSENT, FAILED } Presence;

static Presence
look(int folder, const char *name, struct stat *st, const char *path, GError **error)
{
    if (fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) == 0)
        return THERE;
    if (errno == ENOENT)
        return ABSENT;
    ireko_error_from_errno(error, errno, "cannot tell whether '%s' is in use: '%s'", path, name);
    return FAILED;
}

/* The name of a file in the folder NAME, or NULL with errno, which is 0 where it is empty. */
static char *
first_in(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL) {
        int why = errno;
        ireko_fd_close(&fd);
        errno = why;
        return NULL;
    }
    char *found = NULL;
    errno = 0;
    for (struct dirent *entry = readdir(entries); entry != NULL && found == NULL;
         entry = readdir(entries)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            found = g_strdup(entry->d_name);
    }
    int why = errno;
    (void)closedir(entries);
    errno = why;
    return found;
}

static bool
check_unlocked(int folder, const char *name, const char *path, GError **error)
{
    g_autofree char *lock = g_strconcat(name, LOCK_SUFFIX, NULL);
    struct stat st;
    Presence presence = look(folder, lock, &st, path, error);
    if (presence != THERE)
        return presence == ABSENT;

    g_autofree char *inside = NULL;
    if (S_ISDIR(st.st_mode)) {
        inside = first_in(folder, lock);
        if (inside == NULL && (errno == 0 || errno == ENOENT))
            return true;
        if (inside == NULL) {
            ireko_error_from_errno(error, errno, "cannot tell whether '%s' is in use: '%s'", path,
                                   lock);
            return false;
        }
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' is open in VMware (its lock '%s%s%s' is there): power the machine off and "
                "close it there; if VMware is gone (a crash), remove '%s'",
                path, lock, inside != NULL ? "/" : "", inside != NULL ? inside : "", lock);
    return false;
}

bool
ireko_busy_is_suspended(const IrekoVmx *doc)
{
    g_autofree char *state = ireko_vmx_get(doc, STATE_KEY, NULL);
    return state != NULL && *state != '\0';
}

/* Whether the file STATE, seen from FOLDER, is gone for certain: its folder is there without it. A
 * name of Windows, and one in a working folder elsewhere, cannot be followed here. */
static bool
is_gone(int folder, const char *state, const IrekoVmx *doc)
{
    g_autofree char *working = ireko_vmx_get(doc, "workingDir", NULL);
    bool here = working == NULL || *working == '\0' || strcmp(working, ".") == 0;
    struct stat st;
    if (strpbrk(state, "\\:") != NULL || (!here && !g_path_is_absolute(state)) ||
        fstatat(folder, state, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return false;
    g_autofree char *around = g_path_get_dirname(state);
    return fstatat(folder, around, &st, 0) == 0;
}

/* What checkpoint.vmState says, which is not empty. */
static IrekoBusy
judge_state(int folder, const char *path, const IrekoVmx *doc, GError **error)
{
    unsigned line = 0;
    g_autofree char *state = ireko_vmx_get(doc, STATE_KEY, &line);
    bool gone = is_gone(folder, state, doc);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                gone ? "'%s' is suspended by its line %u (checkpoint.vmState), but '%s' is not "
                       "there, so that nothing can be resumed: if it lies nowhere else, 'ireko "
                       "vmx unset %s checkpoint.vmState' takes the line away"
                     : "'%s' is suspended (line %u, checkpoint.vmState, names '%s'): resume the "
                       "machine in VMware and shut it down",
                path, line, state, path);
    return gone ? IREKO_BUSY_STALE : IREKO_BUSY_YES;
}

static IrekoBusy
check_awake(int folder, const char *name, const char *path, const IrekoVmx *doc, GError **error)
{
    size_t len = strlen(name), suffix = strlen(".vmx");
    bool has_suffix = len > suffix && g_ascii_strcasecmp(name + len - suffix, ".vmx") == 0;
    g_autofree char *stem = g_strndup(name, has_suffix ? len - suffix : len);
    g_autofree char *beside = g_strconcat(stem, STATE_SUFFIX, NULL);
    struct stat st;
    Presence presence = look(folder, beside, &st, path, error);
    if (presence == ABSENT)
        return ireko_busy_is_suspended(doc) ? judge_state(folder, path, doc, error) : IREKO_BUSY_NO;
    if (presence == THERE)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "'%s' is suspended ('%s' is beside it): resume the machine in VMware and shut "
                    "it down",
                    path, beside);
    return IREKO_BUSY_YES;
}

IrekoBusy
ireko_busy_check(
    int folder, const char *name, const char *path, const IrekoVmx *doc, GError **error)
{
    return check_unlocked(folder, name, path, error) ? check_awake(folder, name, path, doc, error)
                                                     : IREKO_BUSY_YES;
}
