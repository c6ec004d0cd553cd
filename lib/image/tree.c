/* image/tree.c - the pool and the root trees.
 *
 * A root holds what its layer runs and nothing else: what is not there need not be read, and every
 * library lies in one folder under its soname, so that the dynamic linker finds each at its first
 * try. Files are hard links all the way (package -> pool -> root): a root costs no space before it
 * is packed. */
#include "image/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/file.h"
#include "image/elffile.h"

#define QEMU    "usr/bin/qemu-system-x86_64"
#define BUSYBOX "usr/bin/busybox"

/* Files of packages: the first place where one is counts (Debian moves them from / to /usr). */
static const struct {
    const char *to;
    const char *from[2];
    bool hypervisor;
} picked[] = {
    {BUSYBOX, {"bin/busybox", BUSYBOX}, false},
    {QEMU, {QEMU, NULL}, true},
    {"usr/share/seabios/bios-256k.bin", {"usr/share/seabios/bios-256k.bin", NULL}, true},
    {"usr/share/seabios/vgabios-vmware.bin", {"usr/share/seabios/vgabios-vmware.bin", NULL}, true},
    {"usr/share/qemu/qboot.rom", {"usr/share/qemu/qboot.rom", NULL}, true},
    {"usr/share/qemu/pvh.bin", {"usr/share/qemu/pvh.bin", NULL}, true},
    {"usr/share/qemu/linuxboot_dma.bin", {"usr/share/qemu/linuxboot_dma.bin", NULL}, true},
    {"usr/share/qemu/kvmvapic.bin", {"usr/share/qemu/kvmvapic.bin", NULL}, true},
    {"usr/share/qemu/keymaps/en-us", {"usr/share/qemu/keymaps/en-us", NULL}, true},
};

/* What ireko links: in the pool whatever QEMU needs, since ireko comes later than the pool. */
static const char *const program_libraries[] = {
    "libc.so.6",     "libm.so.6",         "libglib-2.0.so.0", "libjansson.so.4",
    "libcyaml.so.1", "libsmartcols.so.1", "libxxhash.so.0",
};

static const char *const folders[] = {
    "dev",           "etc", "proc", "root",    "run",
    "sys",           "tmp", "var",  "usr/bin", "usr/lib/modules",
    IMAGE_LIBRARIES,
};

static const struct {
    const char *name, *target;
} links[] = {
    {"bin", "usr/bin"},
    {"sbin", "usr/bin"},
    {"lib", "usr/lib"},
    {"lib64", IMAGE_LIBRARIES},
    {"usr/sbin", "bin"},
    {"var/run", "/run"},
    {"var/tmp", "/tmp"},
    {"etc/mtab", "/proc/self/mounts"},
    {"etc/resolv.conf", "/run/resolv.conf"},
    {"etc/machine-id", "/run/machine-id"},
};

/* The kernel calls it with the name of a file system that is to be mounted, "fs-ext4", as the last
 * word; its line in the list "mount" has the modules. At each boot of each layer their megabyte
 * would cost more than it is worth. */
#define LOAD_FOR_MOUNT                                                                             \
    "#!/bin/sh\n"                                                                                  \
    "for name; do :; done\n"                                                                       \
    "cd /usr/lib/modules && while read -r what modules; do\n"                                      \
    "    case ,$what, in *,$name,*) for m in $modules; do insmod $m 2>/dev/null; done ;; esac\n"   \
    "done < mount\n"

static const struct {
    const char *name, *text;
    unsigned mode;
} files[] = {
    {"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
     0644},
    {"etc/group", "root:x:0:\nkvm:x:100:\nnogroup:x:65534:\n", 0644},
    {"etc/hosts", "127.0.0.1 localhost\n", 0644},
    {"etc/filesystems", "ext4\nerofs\n", 0644}, /* that mount tries where it is told none */
    {"usr/bin/load-for-mount", LOAD_FOR_MOUNT, 0755},
};

static const char *const applets[] = {
    "awk",      "basename",  "blkdiscard", "blkid",   "cat",      "chmod",   "chown",    "cmp",
    "cp",       "cut",       "date",       "dd",      "df",       "dirname", "dmesg",    "du",
    "echo",     "env",       "expr",       "false",   "find",     "free",    "fstrim",   "grep",
    "gzip",     "halt",      "head",       "hexdump", "hostname", "id",      "ifconfig", "insmod",
    "ip",       "kill",      "killall",    "less",    "ln",       "ls",      "lsmod",    "md5sum",
    "mkdir",    "mke2fs",    "mknod",      "mktemp",  "more",     "mount",   "mv",       "nc",
    "netstat",  "nproc",     "od",         "ping",    "poweroff", "printf",  "ps",       "pwd",
    "readlink", "reboot",    "rm",         "rmdir",   "rmmod",    "route",   "sed",      "seq",
    "sh",       "sha256sum", "sleep",      "sort",    "stat",     "strings", "sync",     "sysctl",
    "tail",     "tar",       "tee",        "test",    "time",     "timeout", "top",      "touch",
    "tr",       "true",      "truncate",   "udhcpc",  "umount",   "uname",   "uniq",     "uptime",
    "vi",       "watch",     "wc",         "wget",    "which",    "xargs",   "yes",      "zcat",
};

struct ImageLibraries {
    GHashTable *paths; /* file name -> path */
};

static void
index_folder(ImageLibraries *libraries, const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        if (strstr(entry, ".so") != NULL && !g_hash_table_contains(libraries->paths, entry))
            g_hash_table_insert(libraries->paths, g_strdup(entry),
                                g_build_filename(folder, entry, NULL));
    }
}

ImageLibraries *
image_libraries_open(const char *tree)
{
    /* Debian's own folders, and those that a library of QEMU names in its run path. */
    static const char *const places[] = {
        IMAGE_LIBRARIES,
        "lib/x86_64-linux-gnu",
        IMAGE_LIBRARIES "/pulseaudio",
    };
    ImageLibraries *libraries = g_new0(ImageLibraries, 1);
    libraries->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *folder = g_build_filename(tree, places[i], NULL);
        index_folder(libraries, folder);
    }
    return libraries;
}

void
image_libraries_free(ImageLibraries *libraries)
{
    if (libraries == NULL)
        return;
    g_hash_table_unref(libraries->paths);
    g_free(libraries);
}

bool
image_tree_link(const char *from, const char *root, const char *name, GError **error)
{
    g_autofree char *to = g_build_filename(root, name, NULL);
    g_autofree char *folder = g_path_get_dirname(to);
    if (g_mkdir_with_parents(folder, 0755) != 0) {
        ireko_error_from_errno(error, errno, "cannot make the folder '%s'", folder);
        return false;
    }
    g_autofree char *file = realpath(from, NULL);
    if (file == NULL || (link(file, to) != 0 && errno != EEXIST)) {
        ireko_error_from_errno(error, errno, "cannot link '%s' to '%s'", from, to);
        return false;
    }
    return true;
}

static bool
add_library(ImageLibraries *libraries,
            const char *soname,
            const char *for_file,
            const char *root,
            GError **error)
{
    const char *path = g_hash_table_lookup(libraries->paths, soname);
    if (path == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "'%s' needs the library '%s', which no package of the images has (was it "
                    "built for another system?)",
                    for_file, soname);
        return false;
    }
    g_autofree char *name = g_build_filename(IMAGE_LIBRARIES, soname, NULL);
    g_autofree char *there = g_build_filename(root, name, NULL);
    if (g_file_test(there, G_FILE_TEST_EXISTS))
        return true;
    return image_tree_link(path, root, name, error) &&
           image_tree_add_needed(libraries, path, root, error);
}

bool
image_tree_add_needed(ImageLibraries *libraries, const char *path, const char *root, GError **error)
{
    g_autoptr(GPtrArray) needed = image_elf_needed(path, error);
    if (needed == NULL)
        return false;
    for (guint i = 0; i < needed->len; i++) {
        if (!add_library(libraries, g_ptr_array_index(needed, i), path, root, error))
            return false;
    }
    return true;
}

static bool
pick(const char *tree, const char *pool, size_t index, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(picked[index].from); i++) {
        if (picked[index].from[i] == NULL)
            break;
        g_autofree char *path = g_build_filename(tree, picked[index].from[i], NULL);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return image_tree_link(path, pool, picked[index].to, error);
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "no package has the file '/%s', which the images need", picked[index].to);
    return false;
}

bool
image_tree_make_pool(const char *tree, const char *pool, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(picked); i++) {
        if (!pick(tree, pool, i, error))
            return false;
    }
    g_autoptr(ImageLibraries) libraries = image_libraries_open(tree);
    for (size_t i = 0; i < G_N_ELEMENTS(program_libraries); i++) {
        if (!add_library(libraries, program_libraries[i], "ireko", pool, error))
            return false;
    }
    g_autofree char *qemu = g_build_filename(pool, QEMU, NULL);
    return image_tree_add_needed(libraries, qemu, pool, error);
}

static bool
make_skeleton(const char *root, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(root, folders[i], NULL);
        if (g_mkdir_with_parents(path, 0755) != 0) {
            ireko_error_from_errno(error, errno, "cannot make the folder '%s'", path);
            return false;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *path = g_build_filename(root, links[i].name, NULL);
        if (symlink(links[i].target, path) != 0) {
            ireko_error_from_errno(error, errno, "cannot make the link '%s'", path);
            return false;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(root, files[i].name, NULL);
        if (!ireko_file_replace(path, files[i].text, strlen(files[i].text), files[i].mode, error))
            return false;
    }
    return true;
}

static bool
make_applets(const char *root, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(applets); i++) {
        g_autofree char *path = g_build_filename(root, "usr/bin", applets[i], NULL);
        if (symlink("busybox", path) != 0) {
            ireko_error_from_errno(error, errno, "cannot make the link '%s'", path);
            return false;
        }
    }
    return true;
}

bool
image_tree_make_root(const char *pool, const char *root, bool hypervisor, GError **error)
{
    if (!make_skeleton(root, error) || !make_applets(root, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(picked); i++) {
        g_autofree char *path = g_build_filename(pool, picked[i].to, NULL);
        bool wanted = hypervisor || !picked[i].hypervisor;
        if (wanted && !image_tree_link(path, root, picked[i].to, error))
            return false;
    }
    if (!hypervisor)
        return true;
    g_autoptr(ImageLibraries) libraries = image_libraries_open(pool);
    g_autofree char *qemu = g_build_filename(pool, QEMU, NULL);
    return image_tree_add_needed(libraries, qemu, root, error);
}
