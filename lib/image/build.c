/* image/build.c - ireko_image_build: from a base and this program to the images.
 *
 * Two stages, each kept under a hash of its inputs. The base is what the packages gave, under the
 * names of the packages: minutes the first time. The images are the base, this ireko and the init,
 * under all three: seconds, so that a developer's new ireko is soon inside. A build whose images
 * are there reads the program, hashes it and returns.
 *
 * Everything is made in folders whose names begin with IMAGE_NEW_PREFIX, by the one process that
 * holds the lock, and renamed when whole. A builder that died left only such folders, which the
 * next one removes, since with the lock in its hands they are nobody's. The hash is of package
 * names, not versions: what `fresh` finds replaces the images in their place. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <ireko/image.h>

#include "base/fd.h"
#include "base/file.h"
#include "image/base.h"
#include "image/cpio.h"
#include "image/packages.h"
#include "image/run.h"
#include "image/store.h"
#include "image/tree.h"

#define RECIPE        "4" /* counts changes of what a base takes from its packages */
#define MODULE_MAX    ((size_t)64 << 20)
#define LOCK_POLL_MS  100
#define PROGRAM_PLACE "usr/bin/ireko"
#define MODULES_PLACE "usr/lib/modules"

/* What both images' kernels are told; docs/design/boot.md says why. The initcalls left out set up
 * tracing, certificates and a congestion control that nobody inside needs; pci=noearly spares AMD's
 * search for an AGP bridge on 256 buses, 33,000 exits; psi=0 and what follows is work at every
 * switch, call and interrupt that guards against users whom these images do not have; norandmaps:
 * programs are at the same addresses in every layer (lab/clone/merge.c); from ipv6.disable=1 on it
 * is work by the clock, for what nobody waits for. */
#define CMDLINE                                                                                    \
    "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off no_timer_check tsc=reliable "         \
    "random.trust_cpu=on audit=0 lsm= raid=noautodetect cryptomgr.notests pci=noearly "            \
    "rodata=off rcupdate.rcu_expedited=1 transparent_hugepage=always "                             \
    "psi=0 cgroup_disable=memory nosmap init_on_alloc=0 hardened_usercopy=off nowatchdog "         \
    "randomize_kstack_offset=off norandmaps "                                                      \
    "ipv6.disable=1 sysctl.vm.compaction_proactiveness=0 sysctl.vm.stat_interval=3600 "            \
    "initcall_blacklist=init_kprobe_trace,cubictcp_register,crypto_kdf108_init,"                   \
    "load_system_certificate_list"

/* The init, from guest/init-blob.S. */
extern const unsigned char ireko_guest_init[];
extern const unsigned char ireko_guest_init_end[];

typedef struct {
    const IrekoImageBuild *build;
    char *store, *base, *hash; /* base: a name in the store */
    GMappedFile *file;         /* nobody writes into a program that runs */
    const char *program;       /* its bytes */
    size_t program_len;
} Job;

static void
job_clear(Job *job)
{
    g_free(job->store);
    g_free(job->base);
    g_free(job->hash);
    g_clear_pointer(&job->file, g_mapped_file_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_clear)

static size_t
init_len(void)
{
    return (size_t)(ireko_guest_init_end - ireko_guest_init);
}

static char *
hash_text(XXH3_state_t *state)
{
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    return g_strdup_printf("%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x",
                           (guint64)hash.high64, (guint64)hash.low64);
}

/* Each piece with its NUL, so that no two lists of names look alike. */
static void
hash_names(XXH3_state_t *state)
{
    (void)XXH3_128bits_update(state, RECIPE, sizeof RECIPE);
    for (size_t i = 0; image_package_names[i] != NULL; i++)
        (void)XXH3_128bits_update(state, image_package_names[i],
                                  strlen(image_package_names[i]) + 1);
}

static void
hash_inputs(Job *job)
{
    XXH3_state_t *state = XXH3_createState();
    (void)XXH3_128bits_reset(state);
    hash_names(state);
    g_autofree char *names = hash_text(state);
    job->base = g_strconcat(IMAGE_BASE_PREFIX, names, NULL);

    (void)XXH3_128bits_update(state, CMDLINE, sizeof CMDLINE);
    (void)XXH3_128bits_update(state, ireko_guest_init, init_len());
    (void)XXH3_128bits_update(state, job->program, job->program_len);
    job->hash = hash_text(state);
    (void)XXH3_freeState(state);
}

static bool
is_current(const Job *job)
{
    g_autofree char *link = g_build_filename(job->store, IMAGE_CURRENT, NULL);
    g_autofree char *current = g_file_read_link(link, NULL);
    if (g_strcmp0(current, job->hash) != 0)
        return false;
    for (size_t i = 0; image_names[i] != NULL; i++) {
        g_autofree char *folder = g_build_filename(job->store, job->hash, image_names[i], NULL);
        g_autoptr(IrekoImage) image = image_open(folder, NULL);
        if (image == NULL)
            return false;
    }
    return true;
}

/* --- the images ------------------------------------------------------------------------------- */

static bool
add_modules(GByteArray *archive, const char *modules, const char *list, GError **error)
{
    g_autofree char *list_path = g_build_filename(modules, list, NULL);
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, list_path, MODULE_MAX, &len, error);
    if (text == NULL)
        return false;
    g_autofree char *list_name = g_strdup_printf("modules/%s", list);
    image_cpio_add_file(archive, list_name, 0644, text, len);

    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
    for (guint i = 0; words[i] != NULL; i++) {
        if (!g_str_has_suffix(words[i], ".ko") || !g_hash_table_add(done, g_strdup(words[i])))
            continue;
        g_autofree char *path = g_build_filename(modules, words[i], NULL);
        g_autofree char *name = g_strdup_printf("modules/%s", words[i]);
        g_autofree char *module = ireko_file_read(AT_FDCWD, path, MODULE_MAX, &len, error);
        if (module == NULL)
            return false;
        image_cpio_add_file(archive, name, 0644, module, len);
    }
    return true;
}

static bool
make_initrd(const char *base, const char *to, GError **error)
{
    static const char *const folders[] = {"dev", "proc", "sys", "run", "root", "modules"};
    g_autoptr(GByteArray) archive = g_byte_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
        image_cpio_add_folder(archive, folders[i]);
    image_cpio_add_device(archive, "dev/console", 5, 1);
    image_cpio_add_file(archive, "init", 0755, ireko_guest_init, init_len());
    g_autofree char *modules = g_build_filename(base, IMAGE_BASE_MODULES, NULL);
    if (!add_modules(archive, modules, IMAGE_LIST_EARLY, error))
        return false;
    image_cpio_end(archive);
    return ireko_file_replace(to, archive->data, archive->len, 0644, error);
}

/* The modules that LIST names, and LIST itself under the name AS, into ROOT. */
static bool
link_modules(
    const char *modules, const char *list, const char *as, const char *root, GError **error)
{
    g_autofree char *list_path = g_build_filename(modules, list, NULL);
    g_autofree char *list_name = g_build_filename(MODULES_PLACE, as, NULL);
    g_autofree char *text = ireko_file_read(AT_FDCWD, list_path, MODULE_MAX, NULL, error);
    if (text == NULL || !image_tree_link(list_path, root, list_name, error))
        return false;

    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
    for (guint i = 0; words[i] != NULL; i++) {
        words[i][strcspn(words[i], ":")] = '\0'; /* parameters */
        if (!g_str_has_suffix(words[i], ".ko"))
            continue;
        g_autofree char *path = g_build_filename(modules, words[i], NULL);
        g_autofree char *name = g_build_filename(MODULES_PLACE, words[i], NULL);
        if (!image_tree_link(path, root, name, error))
            return false;
    }
    return true;
}

static bool
write_program(const Job *job, const char *root, const char *pool, GError **error)
{
    g_autofree char *path = g_build_filename(root, PROGRAM_PLACE, NULL);
    g_autoptr(ImageLibraries) libraries = image_libraries_open(pool);
    return ireko_file_replace(path, job->program, job->program_len, 0755, error) &&
           image_tree_add_needed(libraries, path, root, error);
}

static bool
make_tree(const Job *job, const char *base, const char *root, bool hypervisor, GError **error)
{
    g_autofree char *pool = g_build_filename(base, IMAGE_BASE_POOL, NULL);
    g_autofree char *modules = g_build_filename(base, IMAGE_BASE_MODULES, NULL);
    const char *drivers = hypervisor ? IMAGE_LIST_DRIVERS : IMAGE_LIST_LEAF;
    return image_tree_make_root(pool, root, hypervisor, error) &&
           write_program(job, root, pool, error) &&
           link_modules(modules, drivers, IMAGE_LIST_DRIVERS, root, error) &&
           link_modules(modules, IMAGE_LIST_LATE, IMAGE_LIST_LATE, root, error) &&
           link_modules(modules, IMAGE_LIST_MOUNT, IMAGE_LIST_MOUNT, root, error) &&
           (!hypervisor ||
            link_modules(modules, IMAGE_LIST_NETWORK, IMAGE_LIST_NETWORK, root, error));
}

/* The files of an image besides its root. */
static bool
hand_over(const char *from, const char *root, const char *name, GError **error)
{
    static const char *const parts[] = {"vmlinux", "initrd", "manifest.json", "root.erofs"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_build_filename(from, parts[i], NULL);
        g_autofree char *place = g_build_filename(IMAGE_STORE_HANDED_DOWN, name, parts[i], NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS) && !image_tree_link(path, root, place, error))
            return false;
    }
    return true;
}

/* The images that a guest hypervisor hands down: the leaf, and itself, whose root is the disk that
 * it booted from (guest/init.c makes that link). */
static bool
hand_down(const char *new, const char *root, GError **error)
{
    g_autofree char *leaf = g_build_filename(new, "linux", NULL);
    g_autofree char *own = g_build_filename(new, "kvm-host", NULL);
    g_autofree char *own_root =
        g_build_filename(root, IMAGE_STORE_HANDED_DOWN, "kvm-host", "root.erofs", NULL);
    if (!hand_over(leaf, root, "linux", error) || !hand_over(own, root, "kvm-host", error))
        return false;
    if (symlink("/run/ireko/root-disk", own_root) != 0) {
        ireko_error_from_errno(error, errno, "cannot make the link '%s'", own_root);
        return false;
    }
    return true;
}

static bool
pack_root(const Job *job, const char *root, const char *uuid, const char *to, GError **error)
{
    const char *const argv[] = {"mkfs.erofs", "-T0", "-U", uuid, "--all-root", to, root, NULL};
    ImageCommand command = {.argv = argv,
                            .package = "erofs-utils",
                            .stdin_fd = -1,
                            .stdout_fd = -1,
                            .cancel_fd = job->build->cancel_fd};
    return image_run(&command, error);
}

/* A root's UUID is of what is in it: image, inputs, package versions. */
static char *
root_uuid(const Job *job, const char *name, const char *versions)
{
    XXH3_state_t *state = XXH3_createState();
    (void)XXH3_128bits_reset(state);
    (void)XXH3_128bits_update(state, job->hash, strlen(job->hash) + 1);
    (void)XXH3_128bits_update(state, name, strlen(name) + 1);
    (void)XXH3_128bits_update(state, versions, strlen(versions));
    g_autofree char *hash = hash_text(state);
    (void)XXH3_freeState(state);
    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hash, hash + 8, hash + 12, hash + 16,
                           hash + 20);
}

/* Makes NEW/NAME. */
static bool
make_image(const Job *job, const char *name, const char *new, GError **error)
{
    bool hypervisor = strcmp(name, "kvm-host") == 0;
    g_autofree char *base = g_build_filename(job->store, job->base, NULL);
    g_autofree char *kernel = g_build_filename(base, IMAGE_BASE_KERNEL, NULL);
    g_autofree char *initrd = g_build_filename(new, "initrd", NULL);
    g_autofree char *folder = g_build_filename(new, name, NULL);
    g_autofree char *root = g_strdup_printf("%s-%s", new, name);
    g_autofree char *to = g_build_filename(folder, "root.erofs", NULL);
    g_autofree char *versions_path = g_build_filename(base, IMAGE_BASE_VERSIONS, NULL);
    g_autofree char *versions = ireko_file_read(AT_FDCWD, versions_path, MODULE_MAX, NULL, error);
    if (versions == NULL)
        return false;

    g_autofree char *uuid = root_uuid(job, name, versions);
    g_autofree char *cmdline = g_strdup_printf("%s ireko.root=%s", CMDLINE, uuid);
    g_autofree char *label = g_strdup(name);
    IrekoImage image = {.name = label, .cmdline = cmdline, .hash = job->hash};
    return image_tree_link(kernel, folder, "vmlinux", error) &&
           image_tree_link(initrd, folder, "initrd", error) &&
           image_manifest_write(&image, versions, folder, error) &&
           make_tree(job, base, root, hypervisor, error) &&
           (!hypervisor || hand_down(new, root, error)) && pack_root(job, root, uuid, to, error) &&
           ireko_file_remove_tree(root, error);
}

static bool
sync_store(const char *store, GError **error)
{
    IREKO_AUTOFD fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && syncfs(fd) == 0)
        return true;
    ireko_error_from_errno(error, errno, "cannot sync '%s'", store);
    return false;
}

/* Puts the whole folder NEW in its place and makes it the current one. */
static bool
put_in_place(const Job *job, const char *new, GError **error)
{
    g_autofree char *place = g_build_filename(job->store, job->hash, NULL);
    g_autofree char *link = g_build_filename(job->store, IMAGE_CURRENT, NULL);
    g_autofree char *new_link = g_build_filename(job->store, IMAGE_NEW_PREFIX IMAGE_CURRENT, NULL);
    if (!sync_store(job->store, error))
        return false;

    /* Where images of the same inputs are there, older packages in them: exchanged in one step. */
    bool done = rename(new, place) == 0 ||
                ((errno == ENOTEMPTY || errno == EEXIST) &&
                 renameat2(AT_FDCWD, new, AT_FDCWD, place, RENAME_EXCHANGE) == 0);
    if (!done || symlink(job->hash, new_link) != 0 || rename(new_link, link) != 0) {
        ireko_error_from_errno(error, errno, "cannot put the images in place as '%s'", place);
        return false;
    }
    return true;
}

static bool
make_images(const Job *job, GError **error)
{
    g_autofree char *new = g_strdup_printf("%s/" IMAGE_NEW_PREFIX "images", job->store);
    g_autofree char *base = g_build_filename(job->store, job->base, NULL);
    g_autofree char *initrd = g_build_filename(new, "initrd", NULL);
    if (!ireko_file_make_folder(new, error) || !make_initrd(base, initrd, error))
        return false;
    job->build->progress(job->build->data, "packing the image 'linux'", 0, 2);
    if (!make_image(job, "linux", new, error))
        return false;
    job->build->progress(job->build->data, "packing the image 'kvm-host'", 1, 2);
    if (!make_image(job, "kvm-host", new, error))
        return false;
    (void)unlink(initrd);
    return put_in_place(job, new, error);
}

/* --- the build -------------------------------------------------------------------------------- */

/* Takes the store's lock, which is free again when the fd is closed, however this process ends. */
static int
take_lock(const Job *job, GError **error)
{
    g_autofree char *path = g_build_filename(job->store, ".lock", NULL);
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s'", path);
        return -1;
    }
    for (bool told = false; flock(fd, LOCK_EX | LOCK_NB) != 0; told = true) {
        struct pollfd cancel = {.fd = job->build->cancel_fd, .events = POLLIN};
        if (errno != EWOULDBLOCK && errno != EINTR) {
            ireko_error_from_errno(error, errno, "cannot lock '%s'", path);
            return -1;
        }
        if (!told)
            job->build->progress(job->build->data, "waiting for another build", 0, 0);
        if (poll(&cancel, 1, LOCK_POLL_MS) > 0) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_CANCELLED, "interrupted");
            return -1;
        }
    }
    return ireko_fd_steal(&fd);
}

static bool
build_locked(const Job *job, GError **error)
{
    if (!job->build->fresh && is_current(job))
        return true; /* another build was faster */

    bool changed = false;
    bool ok = image_base_make(job->build, job->store, job->base, &changed, error) &&
              ((!changed && is_current(job)) || make_images(job, error));
    image_store_sweep(job->store);
    if (ok)
        image_store_prune(job->store, job->base);
    return ok;
}

static void
tell_nobody(void *data, const char *step, unsigned done, unsigned total)
{
    (void)data, (void)step, (void)done, (void)total;
}

static bool
say_plan(const Job *job)
{
    g_autofree char *base = g_build_filename(job->store, job->base, IMAGE_BASE_VERSIONS, NULL);
    bool has_base = g_file_test(base, G_FILE_TEST_EXISTS);
    if (job->build->fresh || !has_base)
        job->build->progress(job->build->data,
                             "would ask apt for packages, fetch about 110 MB and unpack them", 0,
                             0);
    job->build->progress(job->build->data,
                         "would pack the images 'kvm-host' and 'linux' with this ireko", 0, 0);
    return true;
}

static bool
open_program(Job *job, GError **error)
{
    const char *path = job->build->program;
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s'", path);
        return false;
    }
    job->file = g_mapped_file_new_from_fd(fd, FALSE, NULL);
    job->program_len = job->file != NULL ? g_mapped_file_get_length(job->file) : 0;
    job->program = job->program_len > 0 ? g_mapped_file_get_contents(job->file) : NULL;
    if (job->program == NULL)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_IO, "cannot read '%s', this program", path);
    return job->program != NULL;
}

bool
ireko_image_build(const IrekoImageBuild *build, GError **error)
{
    IrekoImageBuild own = *build;
    if (own.progress == NULL)
        own.progress = tell_nobody;

    g_auto(Job) job = {.build = &own, .store = g_build_filename(build->home, "images", NULL)};
    if (!open_program(&job, error))
        return false;
    hash_inputs(&job);
    if (!build->fresh && is_current(&job))
        return true;
    if (build->dry_run)
        return say_plan(&job);

    if (!ireko_file_make_folder(job.store, error))
        return false;
    IREKO_AUTOFD lock = take_lock(&job, error);
    if (lock < 0)
        return false;
    image_store_sweep(job.store);
    return build_locked(&job, error);
}
