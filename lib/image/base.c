/* image/base.c - from packages to a base. */
#include "image/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/file.h"
#include "image/kernel.h"
#include "image/modules.h"
#include "image/packages.h"
#include "image/store.h"
#include "image/tree.h"

#define VERSIONS_MAX  ((size_t)256 << 10)
#define KERNEL_PREFIX "vmlinuz-"

static const struct {
    const char *file, *list;
    bool hypervisor;
} lists[] = {
    {IMAGE_LIST_EARLY, "early", false},  {IMAGE_LIST_DRIVERS, "drivers", true},
    {IMAGE_LIST_LEAF, "drivers", false}, {IMAGE_LIST_LATE, "late", false},
    {IMAGE_LIST_MOUNT, "mount", false},  {IMAGE_LIST_NETWORK, "network", true},
};

static char *
versions_of(GPtrArray *packages)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < packages->len; i++) {
        const ImagePackage *package = g_ptr_array_index(packages, i);
        g_string_append_printf(text, "%s %s\n", package->name, package->version);
    }
    return g_string_free(text, FALSE);
}

static bool
make_kernel(const IrekoImageBuild *build, const char *tree, const char *base, GError **error)
{
    build->progress(build->data, "unpacking the kernel", 0, 0);
    g_autofree char *boot = g_build_filename(tree, "boot", NULL);
    g_autofree char *to = g_build_filename(base, IMAGE_BASE_KERNEL, NULL);
    g_autoptr(GDir) dir = g_dir_open(boot, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        if (!g_str_has_prefix(name, KERNEL_PREFIX))
            continue;
        g_autofree char *path = g_build_filename(boot, name, NULL);
        return image_kernel_unpack(build, path, to, error);
    }
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                        "the kernel package has no /boot/" KERNEL_PREFIX "*");
    return false;
}

static bool
write_modules(ImageModules *modules, GHashTable *files, const char *folder, GError **error)
{
    GHashTableIter each;
    gpointer file = NULL;
    g_hash_table_iter_init(&each, files);
    while (g_hash_table_iter_next(&each, &file, NULL)) {
        g_autoptr(GBytes) module = image_modules_read(modules, file, error);
        g_autofree char *path = g_build_filename(folder, file, NULL);
        if (module == NULL || !ireko_file_replace(path, g_bytes_get_data(module, NULL),
                                                  g_bytes_get_size(module), 0644, error))
            return false;
    }
    return true;
}

static bool
make_modules(const char *tree, const char *base, GError **error)
{
    g_autofree char *from = g_build_filename(tree, "lib/modules", NULL);
    g_autofree char *merged = g_build_filename(tree, "usr/lib/modules", NULL);
    bool is_merged = g_file_test(merged, G_FILE_TEST_IS_DIR);
    g_autoptr(ImageModules) modules = image_modules_open(is_merged ? merged : from, error);
    g_autofree char *folder = g_build_filename(base, IMAGE_BASE_MODULES, NULL);
    if (modules == NULL || !ireko_file_make_folder(folder, error))
        return false;

    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autofree char *path = g_build_filename(folder, lists[i].file, NULL);
        g_autofree char *text =
            image_modules_list(modules, lists[i].list, lists[i].hypervisor, files, error);
        if (text == NULL || !ireko_file_replace(path, text, strlen(text), 0644, error))
            return false;
    }
    return write_modules(modules, files, folder, error);
}

/* Fills the new folder BASE from PACKAGES. */
static bool
fill(const IrekoImageBuild *build,
     GPtrArray *packages,
     const char *store,
     const char *base,
     GError **error)
{
    g_autofree char *folder = g_build_filename(store, "packages", NULL);
    g_autofree char *tree = g_strconcat(base, "-tree", NULL);
    g_autofree char *pool = g_build_filename(base, IMAGE_BASE_POOL, NULL);
    g_autofree char *versions_path = g_build_filename(base, IMAGE_BASE_VERSIONS, NULL);
    g_autofree char *versions = versions_of(packages);
    if (!ireko_file_make_folder(folder, error) || !ireko_file_make_folder(tree, error) ||
        !ireko_file_make_folder(pool, error) ||
        !image_packages_fetch(build, packages, folder, error) ||
        !image_packages_unpack(build, packages, folder, tree, error) ||
        !make_kernel(build, tree, base, error))
        return false;
    build->progress(build->data, "choosing files", 0, 0);
    return make_modules(tree, base, error) && image_tree_make_pool(tree, pool, error) &&
           ireko_file_replace(versions_path, versions, strlen(versions), 0644, error) &&
           ireko_file_remove_tree(tree, error);
}

/* Removes packages of FOLDER that are none of PACKAGES: those of an earlier base. */
static void
drop_old_packages(GPtrArray *packages, const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        bool used = false;
        for (guint i = 0; i < packages->len && !used; i++)
            used = strcmp(((ImagePackage *)g_ptr_array_index(packages, i))->file, name) == 0;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (!used)
            (void)unlink(path);
    }
}

static bool
has_versions(const char *path, GPtrArray *packages)
{
    g_autofree char *old = ireko_file_read(AT_FDCWD, path, VERSIONS_MAX, NULL, NULL);
    g_autofree char *now = versions_of(packages);
    return g_strcmp0(old, now) == 0;
}

bool
image_base_make(const IrekoImageBuild *build,
                const char *store,
                const char *name,
                bool *ret_changed,
                GError **error)
{
    g_autofree char *path = g_build_filename(store, name, NULL);
    g_autofree char *versions = g_build_filename(path, IMAGE_BASE_VERSIONS, NULL);
    g_autofree char *new = g_strdup_printf("%s/" IMAGE_NEW_PREFIX "base", store);
    g_autofree char *scratch = g_strdup_printf("%s/" IMAGE_NEW_PREFIX "apt", store);
    bool there = g_file_test(versions, G_FILE_TEST_EXISTS);
    *ret_changed = false;
    if (there && !build->fresh)
        return true;

    g_autoptr(GPtrArray) packages = image_packages_resolve(build, scratch, error);
    if (packages == NULL)
        return false;
    if (there && has_versions(versions, packages))
        return true;
    if (!fill(build, packages, store, new, error) || !ireko_file_remove_tree(path, error))
        return false;
    if (rename(new, path) != 0) {
        ireko_error_from_errno(error, errno, "cannot rename '%s'", new);
        return false;
    }
    g_autofree char *folder = g_build_filename(store, "packages", NULL);
    drop_old_packages(packages, folder);
    *ret_changed = true;
    return true;
}
