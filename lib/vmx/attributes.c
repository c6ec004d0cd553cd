/* vmx/attributes.c - owner, extended attributes and mode of a file, given to the file that replaces
 * it.
 *
 * In this order: a change of owner takes set-id bits away, an access list changes the mode. A new
 * file may have got attributes by itself (from the folder's default access list): those that the
 * old one lacks are removed. What cannot be kept is an error, never a loss. */
#include "vmx/attributes.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <ireko/error.h>

/* The kernel's own sums over the bytes: of other bytes they would be wrong, and it makes them anew.
 */
static const char *const of_the_bytes[] = {"security.ima", "security.evm", NULL};

/* The names of FD's attributes, each with its NUL; "" where the filesystem has none. */
static char *
list_names(int fd, size_t *ret_len, const char *path, GError **error)
{
    g_autofree char *names = g_malloc(XATTR_LIST_MAX);
    ssize_t len = flistxattr(fd, names, XATTR_LIST_MAX);
    if (len < 0 && errno != ENOTSUP) {
        ireko_error_from_errno(error, errno, "cannot read the extended attributes of '%s'", path);
        return NULL;
    }
    *ret_len = (size_t)MAX(len, 0);
    return g_steal_pointer(&names);
}

static bool
has_name(const char *names, size_t len, const char *name)
{
    for (const char *at = names; at < names + len; at += strlen(at) + 1) {
        if (strcmp(at, name) == 0)
            return true;
    }
    return false;
}

static bool
copy_one(int from, int to, const char *name, const char *path, GError **error)
{
    g_autofree char *value = g_malloc(XATTR_SIZE_MAX), *now = g_malloc(XATTR_SIZE_MAX);
    ssize_t len = fgetxattr(from, name, value, XATTR_SIZE_MAX);
    ssize_t now_len = fgetxattr(to, name, now, XATTR_SIZE_MAX);
    if (len >= 0 && len == now_len && memcmp(value, now, (size_t)len) == 0)
        return true;
    if (len < 0 || fsetxattr(to, name, value, (size_t)len, 0) != 0) {
        ireko_error_from_errno(error, errno, "cannot keep the extended attribute '%s' of '%s'",
                               name, path);
        return false;
    }
    return true;
}

static bool
copy_xattrs(int from, int to, const char *path, GError **error)
{
    size_t len = 0, now_len = 0;
    g_autofree char *names = list_names(from, &len, path, error);
    g_autofree char *now = names == NULL ? NULL : list_names(to, &now_len, path, error);
    if (now == NULL)
        return false;
    for (const char *name = names; name < names + len; name += strlen(name) + 1) {
        bool own = g_strv_contains(of_the_bytes, name);
        if (!own && !copy_one(from, to, name, path, error))
            return false;
    }
    for (const char *name = now; name < now + now_len; name += strlen(name) + 1) {
        if (has_name(names, len, name) || fremovexattr(to, name) == 0)
            continue;
        ireko_error_from_errno(error, errno,
                               "cannot take the extended attribute '%s', which '%s' has not, from "
                               "the file that replaces it",
                               name, path);
        return false;
    }
    return true;
}

bool
ireko_attributes_copy(int from,
                      const struct stat *from_st,
                      int to,
                      const struct stat *to_st,
                      const char *path,
                      GError **error)
{
    bool same_owner = from_st->st_uid == to_st->st_uid && from_st->st_gid == to_st->st_gid;
    if (!same_owner && fchown(to, from_st->st_uid, from_st->st_gid) != 0) {
        ireko_error_from_errno(error, errno,
                               "cannot keep the owner of '%s' (%u:%u), edit it as that user", path,
                               from_st->st_uid, from_st->st_gid);
        return false;
    }
    if (!copy_xattrs(from, to, path, error))
        return false;
    if (fchmod(to, from_st->st_mode & 07777) != 0) {
        ireko_error_from_errno(error, errno, "cannot keep the mode of '%s'", path);
        return false;
    }
    return true;
}
