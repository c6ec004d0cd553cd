/* image/store.c - finding, listing, pruning images. */
#include "image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define MANIFEST     "manifest.json"
#define MANIFEST_MAX ((size_t)256 << 10)
#define SCHEMA       "ireko.image/1"
#define HASH_LEN     32
#define KEPT         2 /* images: the current one, and the one that machines may still run from */

const char *const image_names[] = {"kvm-host", "linux", NULL};

void
ireko_image_free(IrekoImage *image)
{
    if (image == NULL)
        return;
    g_free(image->name);
    g_free(image->kernel);
    g_free(image->initrd);
    g_free(image->root);
    g_free(image->cmdline);
    g_free(image->hash);
    g_free(image);
}

static json_t *
packages_to_json(const char *packages)
{
    json_t *object = json_object();
    g_auto(GStrv) lines = g_strsplit(packages, "\n", -1);
    for (guint i = 0; lines[i] != NULL; i++) {
        char *version = strchr(lines[i], ' ');
        if (version == NULL)
            continue;
        *version++ = '\0';
        (void)json_object_set_new(object, lines[i], json_string(version));
    }
    return object;
}

bool
image_manifest_write(const IrekoImage *image,
                     const char *packages,
                     const char *folder,
                     GError **error)
{
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:o}", "schema", SCHEMA, "name", image->name, "hash",
                  image->hash, "cmdline", image->cmdline, "packages", packages_to_json(packages));
    char *text = json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    g_autofree char *path = g_build_filename(folder, MANIFEST, NULL);
    bool ok = ireko_file_replace(path, text, strlen(text), 0644, error);
    free(text);
    return ok;
}

static bool
read_manifest(const char *path, IrekoImage *image, GError **error)
{
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, MANIFEST_MAX, &len, error);
    if (text == NULL)
        return false;

    json_error_t where;
    const char *name = NULL, *hash = NULL, *cmdline = NULL;
    json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    bool ok = json_unpack_ex(object, &where, 0, "{s:s, s:s, s:s}", "name", &name, "hash", &hash,
                             "cmdline", &cmdline) == 0;
    if (ok) {
        image->name = g_strdup(name);
        image->hash = g_strdup(hash);
        image->cmdline = g_strdup(cmdline);
    } else {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "'%s' is broken (%s): remove its folder and build again", path, where.text);
    }
    json_decref(object);
    return ok;
}

static char *
part(const char *folder, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    if (access(path, R_OK) == 0)
        return g_steal_pointer(&path);
    ireko_error_from_errno(error, errno, "cannot read '%s'", path);
    return NULL;
}

IrekoImage *
image_open(const char *folder, GError **error)
{
    g_autoptr(IrekoImage) image = g_new0(IrekoImage, 1);
    g_autofree char *manifest = g_build_filename(folder, MANIFEST, NULL);
    if (!read_manifest(manifest, image, error) ||
        (image->kernel = part(folder, "vmlinux", error)) == NULL ||
        (image->initrd = part(folder, "initrd", error)) == NULL ||
        (image->root = part(folder, "root.erofs", error)) == NULL)
        return NULL;
    return g_steal_pointer(&image);
}

/* The folder of the current images below HOME, by its hash: it stays what it is when a build makes
 * another one current. Where HOME has none: those that were handed down to this layer. */
static char *
current_folder(const char *home)
{
    if (home != NULL) {
        g_autofree char *link = g_build_filename(home, "images", IMAGE_CURRENT, NULL);
        g_autofree char *hash = g_file_read_link(link, NULL);
        if (hash != NULL)
            return g_build_filename(home, "images", hash, NULL);
    }
    return g_strdup(IMAGE_STORE_HANDED_DOWN);
}

bool
ireko_image_is_known(const char *name, GError **error)
{
    if (g_strv_contains(image_names, name))
        return true;
    g_autofree char *known = g_strjoinv("', '", (char **)(uintptr_t)image_names);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "there is no image '%s': the images are '%s'", name, known);
    return false;
}

IrekoImage *
ireko_image_find(const char *home, const char *name, GError **error)
{
    if (!ireko_image_is_known(name, error))
        return NULL;
    g_autofree char *folder = current_folder(home);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) cause = NULL;
    IrekoImage *image = image_open(path, &cause);
    if (image != NULL)
        return image;
    if (g_error_matches(cause, IREKO_ERROR, IREKO_ERROR_NOT_FOUND))
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "the image '%s' is not built yet: run 'ireko image build'", name);
    else
        g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

GPtrArray *
ireko_image_list(const char *home)
{
    GPtrArray *images = g_ptr_array_new_with_free_func((GDestroyNotify)ireko_image_free);
    for (size_t i = 0; image_names[i] != NULL; i++) {
        IrekoImage *image = ireko_image_find(home, image_names[i], NULL);
        if (image != NULL)
            g_ptr_array_add(images, image);
    }
    return images;
}

static bool
is_hash(const char *name)
{
    return strlen(name) == HASH_LEN && strspn(name, "0123456789abcdef") == HASH_LEN;
}

typedef struct {
    char *path;
    gint64 made;
    bool current;
} Kept;

static void
kept_free(gpointer data)
{
    Kept *kept = data;
    g_free(kept->path);
    g_free(kept);
}

static int
compare_kept(gconstpointer a, gconstpointer b)
{
    const Kept *left = *(const Kept *const *)a, *right = *(const Kept *const *)b;
    if (left->current != right->current)
        return left->current ? -1 : 1;
    return (left->made < right->made) - (left->made > right->made);
}

void
image_store_sweep(const char *store)
{
    g_autoptr(GDir) dir = g_dir_open(store, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(store, name, NULL);
        if (g_str_has_prefix(name, IMAGE_NEW_PREFIX))
            (void)ireko_file_remove_tree(path, NULL); /* what stays is tried again next time */
    }
}

void
image_store_prune(const char *store, const char *base)
{
    g_autofree char *link = g_build_filename(store, IMAGE_CURRENT, NULL);
    g_autofree char *current = g_file_read_link(link, NULL);
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func(kept_free);
    g_autoptr(GDir) dir = g_dir_open(store, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(store, name, NULL);
        struct stat st;
        if (g_str_has_prefix(name, IMAGE_BASE_PREFIX) && strcmp(name, base) != 0)
            (void)ireko_file_remove_tree(path, NULL);
        if (!is_hash(name) || stat(path, &st) != 0)
            continue;
        Kept *kept = g_new0(Kept, 1);
        kept->made = (gint64)st.st_ctim.tv_sec * G_USEC_PER_SEC + st.st_ctim.tv_nsec / 1000;
        kept->current = g_strcmp0(name, current) == 0;
        kept->path = g_steal_pointer(&path);
        g_ptr_array_add(images, kept);
    }
    g_ptr_array_sort(images, compare_kept);
    for (guint i = KEPT; i < images->len; i++)
        (void)ireko_file_remove_tree(((Kept *)g_ptr_array_index(images, i))->path, NULL);
}
