/* image/modules.c - kernel modules and driver lists.
 *
 * A module names what it depends on and which devices it is for in its own .modinfo section, so
 * nothing of kmod is needed, neither here nor in the guest: the order of loading is worked out
 * once, when the image is made. Signatures are cut off: checking them costs an RSA operation and a
 * hash over the whole module at each boot of each layer, and the image is read-only and ours. */
#include "image/modules.h"

#include <fcntl.h>
#include <string.h>

#include <ireko/error.h>

#include "base/file.h"
#include "image/elffile.h"

#define MODULE_BYTES_MAX ((size_t)64 << 20)
#define DEPENDS_DEPTH    16
#define PARAMETERS_KVM   ":halt_poll_ns=0,nx_huge_pages=off"

/* What a driver list has. MATCH NULL: the devices that the module itself names. */
static const struct {
    const char *list, *match, *module;
    bool hypervisor;
    const char *also[2]; /* loaded behind it: nothing depends on them, yet it is no use alone */
} drivers[] = {
    {"early", NULL, "vmw_pvscsi", false, {"sd_mod", NULL}},
    {"early", NULL, "sym53c8xx", false, {"sd_mod", NULL}},
    {"early", NULL, "mptsas", false, {"sd_mod", NULL}},
    {"early", NULL, "ahci", false, {"sd_mod", NULL}},
    {"early", "ide:drive", "ata_piix", false, {"sd_mod", NULL}},
    {"early", NULL, "nvme", false, {NULL, NULL}},
    {"early", "-", "virtio_pci", false, {"virtio_console", NULL}},
    {"early", "-", "crc32c_generic", false, {"erofs", NULL}},
    {"drivers", "cpu:svm", "kvm_amd", true, {NULL, NULL}},
    {"drivers", "cpu:vmx", "kvm_intel", true, {NULL, NULL}},
    {"drivers", NULL, "vmxnet3", false, {NULL, NULL}},
    {"drivers", NULL, "e1000", false, {NULL, NULL}},
    {"drivers", NULL, "e1000e", false, {NULL, NULL}},
    {"drivers", NULL, "pcnet32", false, {NULL, NULL}},
    {"late", "-", "sr_mod", false, {NULL, NULL}},
    {"late", "-", "button", false, {"evdev", NULL}},
    {"mount", "fs-ext2,fs-ext3,fs-ext4", "ext4", false, {NULL, NULL}},
    {"network", "-", "bridge", true, {"tun", NULL}}, /* loaded by ireko where guests have cards */
};

struct ImageModules {
    GHashTable *paths; /* name with underscores -> path */
};

/* "kvm-amd.ko.xz" -> "kvm_amd"; NULL where FILE is no module. */
static char *
module_name(const char *file)
{
    const char *end = strstr(file, ".ko");
    if (end == NULL)
        return NULL;
    return g_strdelimit(g_strndup(file, (gsize)(end - file)), "-", '_');
}

static void
index_folder(ImageModules *modules, const char *folder, unsigned depth)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);
        char *name = module_name(entry);
        if (name != NULL)
            g_hash_table_replace(modules->paths, name, g_steal_pointer(&path));
        else if (depth > 0 && g_file_test(path, G_FILE_TEST_IS_DIR) &&
                 !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            index_folder(modules, path, depth - 1);
    }
}

ImageModules *
image_modules_open(const char *folder, GError **error)
{
    g_autoptr(ImageModules) modules = g_new0(ImageModules, 1);
    modules->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    index_folder(modules, folder, DEPENDS_DEPTH);
    if (g_hash_table_size(modules->paths) == 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "no kernel modules below '%s'",
                    folder);
        return NULL;
    }
    return g_steal_pointer(&modules);
}

void
image_modules_free(ImageModules *modules)
{
    if (modules == NULL)
        return;
    g_clear_pointer(&modules->paths, g_hash_table_unref);
    g_free(modules);
}

GBytes *
image_modules_read(ImageModules *modules, const char *file, GError **error)
{
    g_autofree char *name = module_name(file);
    const char *path = name != NULL ? g_hash_table_lookup(modules->paths, name) : NULL;
    if (path == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "the kernel package has no '%s'",
                    file);
        return NULL;
    }
    if (!g_str_has_suffix(path, ".ko")) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "'%s' is compressed: only kernels with plain .ko modules (Debian 12) are known",
                    path);
        return NULL;
    }
    size_t len = 0;
    char *data = ireko_file_read(AT_FDCWD, path, MODULE_BYTES_MAX, &len, error);
    return data != NULL ? g_bytes_new_take(data, image_elf_unsigned_len(data, len)) : NULL;
}

static GPtrArray *
modinfo(GBytes *module, const char *key)
{
    gsize len = 0;
    const void *data = g_bytes_get_data(module, &len);
    return image_elf_modinfo(data, len, key);
}

/* Appends NAME's file to CHAIN, behind those it depends on. */
static bool
add_chain(ImageModules *modules, const char *name, GPtrArray *chain, unsigned depth, GError **error)
{
    g_autofree char *plain = g_strdelimit(g_strdup(name), "-", '_');
    g_autofree char *file = g_strconcat(plain, ".ko", NULL);
    if (g_ptr_array_find_with_equal_func(chain, file, g_str_equal, NULL))
        return true;
    if (depth == 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "module '%s' depends on itself", name);
        return false;
    }
    g_autoptr(GBytes) module = image_modules_read(modules, file, error);
    if (module == NULL)
        return false;

    g_autoptr(GPtrArray) depends = modinfo(module, "depends");
    for (guint i = 0; i < depends->len; i++) {
        g_auto(GStrv) names = g_strsplit(g_ptr_array_index(depends, i), ",", -1);
        for (guint n = 0; names[n] != NULL; n++) {
            if (*names[n] != '\0' && !add_chain(modules, names[n], chain, depth - 1, error))
                return false;
        }
    }
    g_ptr_array_add(chain, g_steal_pointer(&file));
    return true;
}

/* The patterns of the PCI devices that the module NAME is for; or only MATCH. */
static GPtrArray *
patterns_of(ImageModules *modules, const char *name, const char *match, GError **error)
{
    g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(g_free);
    if (match != NULL) {
        g_ptr_array_add(patterns, g_strdup(match));
        return g_steal_pointer(&patterns);
    }
    g_autofree char *file = g_strconcat(name, ".ko", NULL);
    g_autoptr(GBytes) module = image_modules_read(modules, file, error);
    if (module == NULL)
        return NULL;

    g_autoptr(GPtrArray) aliases = modinfo(module, "alias");
    for (guint i = 0; i < aliases->len; i++) {
        const char *alias = g_ptr_array_index(aliases, i);
        if (g_str_has_prefix(alias, "pci:"))
            g_ptr_array_add(patterns, g_strdup(alias));
    }
    return g_steal_pointer(&patterns);
}

/* One line for the init: PATTERN,PATTERN... FILE FILE... */
static void
append_line(GString *text, GPtrArray *patterns, GPtrArray *chain)
{
    for (guint i = 0; i < patterns->len; i++)
        g_string_append_printf(text, "%s%s", i > 0 ? "," : "",
                               (const char *)g_ptr_array_index(patterns, i));
    for (guint i = 0; i < chain->len; i++) {
        const char *file = g_ptr_array_index(chain, i);
        g_string_append_printf(text, " %s%s", file,
                               strcmp(file, "kvm.ko") == 0 ? PARAMETERS_KVM : "");
    }
    g_string_append_c(text, '\n');
}

static bool
append_driver(ImageModules *modules, size_t index, GString *text, GHashTable *files, GError **error)
{
    g_autoptr(GPtrArray) patterns =
        patterns_of(modules, drivers[index].module, drivers[index].match, error);
    g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(g_free);
    if (patterns == NULL || !add_chain(modules, drivers[index].module, chain, DEPENDS_DEPTH, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(drivers[index].also) && drivers[index].also[i] != NULL;
         i++) {
        if (!add_chain(modules, drivers[index].also[i], chain, DEPENDS_DEPTH, error))
            return false;
    }
    for (guint i = 0; i < chain->len; i++)
        g_hash_table_add(files, g_strdup(g_ptr_array_index(chain, i)));
    append_line(text, patterns, chain);
    return true;
}

char *
image_modules_list(
    ImageModules *modules, const char *name, bool hypervisor, GHashTable *files, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
        bool wanted = strcmp(drivers[i].list, name) == 0 && (hypervisor || !drivers[i].hypervisor);
        if (wanted && !append_driver(modules, i, text, files, error))
            return NULL;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
