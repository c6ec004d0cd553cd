/* vault/store.c - the vaults of a store: listed, removed, kept below a size. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "vault/manifest.h"

#define DEPTH_MAX 3 /* of a vault's folders */

/* Calls FUNC with the path of each file below FOLDER until it returns false. */
static bool
each_file(const char *folder,
          unsigned depth,
          bool (*func)(void *data, const char *path),
          void *data)
{
    g_autoptr(GDir) dir = depth > 0 ? g_dir_open(folder, 0, NULL) : NULL;
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);
        struct stat st;
        if (lstat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) ? !each_file(path, depth - 1, func, data) : !func(data, path))
            return false;
    }
    return true;
}

/* ---- removing ---- */

/* Takes the lock of PATH alone; the fds go to DATA. False where somebody has it. */
static bool
lock_alone(void *data, const char *path)
{
    GArray *fds = data;
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return true; /* no file, or none that anybody can have */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return false;
    int kept = ireko_fd_steal(&fd);
    g_array_append_val(fds, kept);
    return true;
}

/* The locks of every file below FOLDER, or NULL where one is in use; free with g_array_unref. */
static GArray *
lock_all(const char *folder)
{
    g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_set_clear_func(fds, (GDestroyNotify)(void (*)(void))ireko_fd_close);
    return each_file(folder, DEPTH_MAX, lock_alone, fds) ? g_steal_pointer(&fds) : NULL;
}

/* A name of its own in STORE for what NAME was: another one may be in use yet. */
static char *
old_path(const char *store, const char *name)
{
    return g_strdup_printf("%s/" VAULT_OLD "%s-%08x", store, name, g_random_int());
}

bool
ireko_vault_remove(const char *store, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(store, name, NULL);
    if (!ireko_text_is_name(name) || !g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "there is no '%s'", path);
        return false;
    }
    g_autoptr(GArray) locks = lock_all(path);
    if (locks == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE, "'%s' is in use", name);
        return false;
    }
    g_autofree char *old = old_path(store, name);
    if (rename(path, old) != 0) {
        ireko_error_from_errno(error, errno, "cannot remove '%s'", path);
        return false;
    }
    return ireko_file_remove_tree(old, error);
}

void
ireko_vault_discard(const char *store, const char *name)
{
    if (!ireko_text_is_name(name) || ireko_vault_remove(store, name, NULL))
        return;
    g_autofree char *path = g_build_filename(store, name, NULL);
    g_autofree char *old = old_path(store, name);
    (void)rename(path, old);
}

static bool
is_in_use(const char *path)
{
    g_autoptr(GArray) locks = lock_all(path);
    return locks == NULL;
}

void
ireko_vault_sweep(const char *store)
{
    g_autoptr(GDir) dir = g_dir_open(store, 0, NULL);
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        if (!g_str_has_prefix(entry, VAULT_NEW) && !g_str_has_prefix(entry, VAULT_OLD))
            continue;
        g_autofree char *path = g_build_filename(store, entry, NULL);
        IREKO_AUTOFD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && !is_in_use(path))
            (void)ireko_file_remove_tree(path, NULL);
    }
}

/* ---- found again ---- */

char *
vault_folder_mark(const char *folder)
{
    struct stat st;
    return stat(folder, &st) == 0
               ? g_strdup_printf("%jx-%jx", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino)
               : NULL;
}

char *
ireko_vault_find(const char *folder, const char *mark, GError **error)
{
    g_autofree char *there = vault_folder_mark(folder);
    if (g_strcmp0(there, mark) == 0)
        return g_strdup(folder);
    g_autofree char *store = g_path_get_dirname(folder);
    g_autoptr(GDir) dir = g_dir_open(store, 0, NULL);
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(store, entry, NULL);
        g_autofree char *own = g_str_has_prefix(entry, VAULT_OLD) ? vault_folder_mark(path) : NULL;
        if (g_strcmp0(own, mark) == 0)
            return g_steal_pointer(&path);
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "'%s', which its disks lie over, is not there any more", folder);
    return NULL;
}

/* ---- listing ---- */

static void
free_entry(void *data)
{
    IrekoVaultEntry *entry = data;
    g_free(entry->name);
    g_free(entry->damage);
    json_decref(entry->about);
    g_free(entry);
}

static bool
add_size(void *data, const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0)
        *(uint64_t *)data += (uint64_t)st.st_blocks * 512; /* stat(2): always units of 512 */
    return true;
}

uint64_t
vault_folder_bytes(const char *folder)
{
    uint64_t bytes = 0;
    (void)each_file(folder, DEPTH_MAX, add_size, &bytes);
    return bytes;
}

static IrekoVaultEntry *
look_at(const char *store, const char *name)
{
    IrekoVaultEntry *entry = g_new0(IrekoVaultEntry, 1);
    g_autofree char *folder = g_build_filename(store, name, NULL);
    g_autofree char *manifest = g_build_filename(folder, VAULT_MANIFEST, NULL);
    entry->name = g_strdup(name);
    entry->bytes = vault_folder_bytes(folder);
    struct stat st;
    if (stat(manifest, &st) == 0)
        entry->used_unix = st.st_mtime;
    g_autoptr(GArray) locks = lock_all(folder);
    entry->in_use = locks == NULL;
    g_clear_pointer(&locks, g_array_unref);
    g_autoptr(GError) why = NULL;
    g_autoptr(IrekoVault) vault = ireko_vault_open(store, name, &why);
    if (vault == NULL)
        entry->damage = g_strdup(why->message);
    else
        entry->about = json_deep_copy(ireko_vault_about(vault));
    return entry;
}

static int
compare_use(const void *a, const void *b)
{
    const IrekoVaultEntry *x = *(IrekoVaultEntry *const *)a, *y = *(IrekoVaultEntry *const *)b;
    if (x->used_unix != y->used_unix)
        return x->used_unix < y->used_unix ? 1 : -1;
    return strcmp(x->name, y->name);
}

GPtrArray *
ireko_vault_list(const char *store)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func(free_entry);
    g_autoptr(GDir) dir = g_dir_open(store, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        if (ireko_text_is_name(name))
            g_ptr_array_add(entries, look_at(store, name));
    }
    g_ptr_array_sort(entries, compare_use);
    return entries;
}

unsigned
ireko_vault_evict(const char *store, uint64_t limit, const char *keep)
{
    g_autoptr(GPtrArray) entries = ireko_vault_list(store);
    uint64_t sum = 0;
    for (unsigned i = 0; i < entries->len; i++)
        sum += ((const IrekoVaultEntry *)entries->pdata[i])->bytes;
    unsigned removed = 0;
    for (unsigned i = entries->len; sum > limit && i-- > 0;) {
        const IrekoVaultEntry *entry = entries->pdata[i];
        if (g_strcmp0(entry->name, keep) == 0 || !ireko_vault_remove(store, entry->name, NULL))
            continue;
        sum -= entry->bytes;
        removed++;
    }
    return removed;
}
