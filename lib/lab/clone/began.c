/* lab/clone/began.c - what a machine of L0 began with, and what is just being done with it. */
#include "lab/clone/began.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "vault/vault.h"

#define FROM     "from.json"
#define FROM_MAX ((size_t)1 << 20)
#define THAWING  "thawing"

bool
ireko_thawing_set(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, THAWING, NULL);
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot make '%s'", path);
    return fd >= 0;
}

void
ireko_thawing_clear(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, THAWING, NULL);
    (void)unlink(path);
}

bool
ireko_is_thawing(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, THAWING, NULL);
    return access(path, F_OK) == 0;
}

/* It is of no use after the host's own end: nothing is synced. */
bool
ireko_began_write(const char *folder, const json_t *from, GError **error)
{
    g_autofree char *path = g_build_filename(folder, FROM, NULL);
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot make '%s'", path);
        return false;
    }
    char *text = json_dumps(from, JSON_COMPACT);
    bool written = ireko_fd_write_all(fd, text, strlen(text), IREKO_NO_DEADLINE, -1, error);
    free(text);
    return written;
}

json_t *
ireko_began_read(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, FROM, NULL);
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, FROM_MAX, &len, NULL);
    return text != NULL ? ireko_jsonl_decode(text, len, NULL) : NULL;
}

/* One that an older ireko wrote does not name its vault. */
char *
ireko_began_path(const json_t *began, const char *path, GError **error)
{
    const char *vault = json_string_value(json_object_get(began, "vault"));
    const char *mark = json_string_value(json_object_get(began, "mark"));
    if (vault == NULL || mark == NULL || !g_str_has_prefix(path, vault))
        return g_strdup(path);
    g_autofree char *now = ireko_vault_find(vault, mark, error);
    return now != NULL ? g_strconcat(now, path + strlen(vault), NULL) : NULL;
}

int
ireko_began_hold(const char *folder)
{
    g_autoptr(json_t) began = ireko_began_read(folder);
    const char *vault = json_string_value(json_object_get(began, "vault"));
    g_autofree char *now = vault != NULL ? ireko_began_path(began, vault, NULL) : NULL;
    return now != NULL ? ireko_vault_hold(now) : -1;
}

void
ireko_began_forget(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, FROM, NULL);
    (void)unlink(path);
    ireko_thawing_clear(folder);
}
