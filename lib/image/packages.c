/* image/packages.c - packages by apt and dpkg.
 *
 * apt is asked what installing our names on a machine without any package would fetch: that is the
 * closure, whatever this machine has installed. Of it only what the images take files from is
 * fetched: the named packages and libraries. Programs that maintainer scripts would need (perl,
 * initramfs-tools, udev) never run here. Versions are apt's choice; its signatures are checked by
 * apt itself when it fetches. */
#include "image/packages.h"

#include <stdint.h>
#include <string.h>

#include <ireko/error.h>

#include "base/file.h"
#include "image/run.h"

const char *const image_package_names[] = {
    "linux-image-amd64", /* the kernel and its modules */
    "qemu-system-x86",   "seabios",     "busybox-static",
    "libglib2.0-0",      "libjansson4", "libcyaml1", /* what ireko itself links */
    "libsmartcols1",     "libxxhash0",  NULL,
};

void
image_package_free(ImagePackage *package)
{
    if (package == NULL)
        return;
    g_free(package->name);
    g_free(package->version);
    g_free(package->file);
    g_free(package);
}

/* Whether the images take files of the package NAME. */
static bool
is_used(const char *name)
{
    static const char *const prefixes[] = {"lib", "zlib1g", "linux-image-", "qemu-system-data"};
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(name, prefixes[i]))
            return true;
    }
    return g_strv_contains(image_package_names, name);
}

ImagePackage *
image_package_from_uri_line(const char *line)
{
    if (*line != '\'')
        return NULL;
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    if (g_strv_length(words) < 3)
        return NULL;
    g_auto(GStrv) parts = g_strsplit(words[1], "_", -1); /* NAME_VERSION_ARCHITECTURE.deb */
    if (g_strv_length(parts) != 3 || !is_used(parts[0]) || strchr(words[1], '/') != NULL)
        return NULL;
    g_autofree char *version = g_uri_unescape_string(parts[1], "/");
    if (version == NULL)
        return NULL;

    ImagePackage *package = g_new0(ImagePackage, 1);
    package->name = g_strdup(parts[0]);
    package->version = g_steal_pointer(&version);
    package->file = g_strdup(words[1]);
    return package;
}

static void
take_uri_line(void *data, const char *line)
{
    GPtrArray *packages = data;
    ImagePackage *package = image_package_from_uri_line(line);
    if (package != NULL && packages->len < IMAGE_PACKAGES_MAX)
        g_ptr_array_add(packages, package);
    else
        image_package_free(package);
}

static int
compare_packages(gconstpointer a, gconstpointer b)
{
    const ImagePackage *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

GPtrArray *
image_packages_resolve(const IrekoImageBuild *build, const char *scratch, GError **error)
{
    build->progress(build->data, "asking apt for package versions", 0, 0);
    g_autofree char *status = g_build_filename(scratch, "status", NULL);
    g_autofree char *partial = g_build_filename(scratch, "archives", "partial", NULL);
    if (!ireko_file_make_folder(partial, error) || !ireko_file_replace(status, "", 0, 0600, error))
        return NULL;
    g_autofree char *status_option = g_strdup_printf("Dir::State::status=%s", status);
    g_autofree char *cache_option = g_strdup_printf("Dir::Cache=%s", scratch);

    const char *const fixed[] = {
        "apt-get",
        "-qq",
        "-y",
        "--print-uris",
        "--no-install-recommends",
        "-o",
        status_option,
        "-o",
        cache_option,
        "-o",
        "Debug::NoLocking=true",
        "-o",
        "APT::Architecture=amd64",
        "install",
    };
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
        g_ptr_array_add(argv, g_strdup(fixed[i]));
    for (size_t i = 0; image_package_names[i] != NULL; i++)
        g_ptr_array_add(argv, g_strdup(image_package_names[i]));
    g_ptr_array_add(argv, NULL);

    g_autoptr(GPtrArray) packages =
        g_ptr_array_new_with_free_func((GDestroyNotify)image_package_free);
    ImageCommand command = {.argv = (const char *const *)argv->pdata,
                            .package = "apt",
                            .stdin_fd = -1,
                            .stdout_fd = -1,
                            .cancel_fd = build->cancel_fd,
                            .line = take_uri_line,
                            .data = packages};
    if (!image_run(&command, error)) {
        g_prefix_error(error, "cannot find the packages (are package lists there? try 'apt-get "
                              "update' as root): ");
        return NULL;
    }
    g_ptr_array_sort(packages, compare_packages);
    return g_steal_pointer(&packages);
}

/* apt's machine-readable progress: "dlstatus:FILE:PERCENT:TEXT". */
static void
tell_download(void *data, const char *line)
{
    const IrekoImageBuild *build = data;
    if (!g_str_has_prefix(line, "dlstatus:"))
        return;
    g_auto(GStrv) parts = g_strsplit(line, ":", 4);
    if (g_strv_length(parts) < 3)
        return;
    double percent = g_ascii_strtod(parts[2], NULL);
    build->progress(build->data, "fetching packages, percent", (unsigned)percent, 100);
}

bool
image_packages_fetch(const IrekoImageBuild *build,
                     GPtrArray *packages,
                     const char *folder,
                     GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    const char *const fixed[] = {
        "apt-get", "-qq", "-o", "APT::Status-Fd=1", "-o", "APT::Sandbox::User=root", "download",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
        g_ptr_array_add(argv, g_strdup(fixed[i]));
    for (guint i = 0; i < packages->len; i++) {
        const ImagePackage *package = g_ptr_array_index(packages, i);
        g_ptr_array_add(argv, g_strdup_printf("%s=%s", package->name, package->version));
    }
    g_ptr_array_add(argv, NULL);

    build->progress(build->data, "fetching packages, percent", 0, 100);
    ImageCommand command = {.argv = (const char *const *)argv->pdata,
                            .package = "apt",
                            .folder = folder,
                            .stdin_fd = -1,
                            .stdout_fd = -1,
                            .cancel_fd = build->cancel_fd,
                            .line = tell_download,
                            .data = (void *)(uintptr_t)build};
    return image_run(&command, error);
}

bool
image_packages_unpack(const IrekoImageBuild *build,
                      GPtrArray *packages,
                      const char *folder,
                      const char *tree,
                      GError **error)
{
    for (guint i = 0; i < packages->len; i++) {
        const ImagePackage *package = g_ptr_array_index(packages, i);
        build->progress(build->data, "unpacking packages", i, packages->len);
        g_autofree char *path = g_build_filename(folder, package->file, NULL);
        const char *const argv[] = {"dpkg-deb", "-x", path, tree, NULL};
        ImageCommand command = {.argv = argv,
                                .package = "dpkg",
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .cancel_fd = build->cancel_fd};
        if (!image_run(&command, error))
            return false;
    }
    return true;
}
