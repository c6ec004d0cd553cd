/* Vaults: what was written is what is read, what is damaged is found, what is in use stays. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/fd.h"
#include "base/file.h"
#include "vault/vault.h"

#define RAM_BYTES   ((uint64_t)5 * 1024 * 1024 + 123)
#define STATE_BYTES ((size_t)3000)
#define TICK_US     (60 * G_TIME_SPAN_MILLISECOND) /* longer than the clock of a file system */

typedef struct {
    char *store;
    int ram_fd; /* a sparse file as memory is */
} Fixture;

static void
fill(int fd, uint64_t at, size_t len)
{
    g_autofree uint8_t *bytes = g_malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(1 + (at + i) * 7 % 251);
    g_assert_cmpint(pwrite(fd, bytes, len, (off_t)at), ==, len);
}

static void
set_up(Fixture *f, const void *data)
{
    (void)data;
    f->store = g_dir_make_tmp("ireko-vault-XXXXXX", NULL);
    f->ram_fd = (int)memfd_create("ram", MFD_CLOEXEC);
    g_assert_no_errno(ftruncate(f->ram_fd, (off_t)RAM_BYTES));
    fill(f->ram_fd, 4096, 10000);
    fill(f->ram_fd, 2 << 20, 1 << 20);
    fill(f->ram_fd, RAM_BYTES - 5, 5);
}

static void
tear_down(Fixture *f, const void *data)
{
    (void)data;
    ireko_fd_close(&f->ram_fd);
    g_assert_true(ireko_file_remove_tree(f->store, NULL));
    g_free(f->store);
}

static void
write_vault(const Fixture *f, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVaultWriter) writer = ireko_vault_begin(f->store, name, &error);
    g_assert_no_error(error);
    g_assert_true(ireko_vault_copy(writer, "ram", f->ram_fd, 0, RAM_BYTES, &error));
    g_assert_no_error(error);
    IREKO_AUTOFD fd = ireko_vault_create(writer, "esxi01/state", &error);
    g_assert_no_error(error);
    fill(fd, 0, STATE_BYTES);
    g_assert_true(ireko_vault_commit(writer, json_pack("{s:s}", "of", name), &error));
    g_assert_no_error(error);
}

/* Opens and checks; RET_ERROR gets what was found. */
static bool
is_right(const Fixture *f, const char *name, GError **ret_error)
{
    g_autoptr(IrekoVault) vault = ireko_vault_open(f->store, name, ret_error);
    return vault != NULL && ireko_vault_check(vault, ret_error);
}

static void
check_round_trip(Fixture *f, const void *data)
{
    (void)data;
    write_vault(f, "one");
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVault) vault = ireko_vault_open(f->store, "one", &error);
    g_assert_no_error(error);
    g_assert_true(ireko_vault_check(vault, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(json_string_value(json_object_get(ireko_vault_about(vault), "of")), ==, "one");

    IREKO_AUTOFD fd = ireko_vault_open_file(vault, "ram", &error);
    g_assert_no_error(error);
    g_autofree uint8_t *before = g_malloc(RAM_BYTES), *after = g_malloc(RAM_BYTES);
    g_assert_cmpint(pread(f->ram_fd, before, RAM_BYTES, 0), ==, RAM_BYTES);
    g_assert_cmpint(pread(fd, after, RAM_BYTES, 0), ==, RAM_BYTES);
    g_assert_cmpmem(before, RAM_BYTES, after, RAM_BYTES);
    struct stat st;
    g_assert_no_errno(fstat(fd, &st));
    g_assert_cmpint(st.st_blocks * 512, <, 2 << 20); /* the holes are holes */
}

/* A slice of a descriptor, as the memory of a process is. */
static void
check_slice(Fixture *f, const void *data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVaultWriter) writer = ireko_vault_begin(f->store, "slice", &error);
    g_assert_true(ireko_vault_copy(writer, "part", f->ram_fd, 2 << 20, 1 << 20, &error));
    g_assert_true(ireko_vault_commit(writer, json_object(), &error));
    g_autoptr(IrekoVault) vault = ireko_vault_open(f->store, "slice", &error);
    g_assert_no_error(error);
    IREKO_AUTOFD fd = ireko_vault_open_file(vault, "part", &error);
    uint8_t there = 0, here = 0;
    g_assert_cmpint(pread(fd, &there, 1, 77), ==, 1);
    g_assert_cmpint(pread(f->ram_fd, &here, 1, (2 << 20) + 77), ==, 1);
    g_assert_cmpuint(there, ==, here);
}

typedef struct {
    const char *name;
    const char *file;
    off_t at;       /* of the byte whose lowest bit is turned; -1: none; from the end below -1 */
    off_t truncate; /* to this many bytes; -1: not */
    bool remove;
} Damage;

static const Damage damages[] = {
    {"first-byte-of-a-hole", "ram", 0, -1, false},
    {"first-byte-of-data", "ram", 4096, -1, false},
    {"a-byte-in-a-hole-of-a-chunk", "ram", 100000, -1, false},
    {"a-byte-of-the-middle", "ram", 2500000, -1, false},
    {"the-last-byte", "ram", -2, -1, false},
    {"the-state", "esxi01/state", 2999, -1, false},
    {"memory-without-its-last-byte", "ram", -1, (off_t)RAM_BYTES - 1, false},
    {"memory-with-a-byte-more", "ram", -1, (off_t)RAM_BYTES + 1, false},
    {"no-memory", "ram", -1, 0, false},
    {"half-a-state", "esxi01/state", -1, 1500, false},
    {"memory-is-gone", "ram", -1, -1, true},
    {"state-is-gone", "esxi01/state", -1, -1, true},
    {"manifest-is-gone", "manifest.json", -1, -1, true},
    {"manifest-is-empty", "manifest.json", -1, 0, false},
    {"manifest-ends-early", "manifest.json", -1, 40, false},
    {"the-manifests-own-checksum", "manifest.json", -5, -1, false},
};

static void
do_damage(const Fixture *f, const Damage *damage)
{
    g_autofree char *path = g_build_filename(f->store, "one", damage->file, NULL);
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    g_assert_no_errno(fstat(fd, &st));
    if (damage->remove)
        g_assert_no_errno(unlink(path));
    if (damage->truncate >= 0)
        g_assert_no_errno(ftruncate(fd, damage->truncate));
    if (damage->at == -1)
        return;
    off_t at = damage->at < 0 ? st.st_size + damage->at + 1 : damage->at;
    uint8_t byte = 0;
    g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
    byte ^= 1;
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
}

static void
check_damage(Fixture *f, const void *data)
{
    write_vault(f, "one");
    g_usleep(TICK_US);
    g_assert_true(is_right(f, "one", NULL)); /* noted as right: the next check is a short one */
    do_damage(f, data);
    g_autoptr(GError) error = NULL;
    g_assert_false(is_right(f, "one", &error));
    g_assert_nonnull(error);
    if (!g_error_matches(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND))
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
}

static void
check_every_manifest_bit(Fixture *f, const void *data)
{
    (void)data;
    write_vault(f, "one");
    g_autofree char *path = g_build_filename(f->store, "one", "manifest.json", NULL);
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    g_assert_no_errno(fstat(fd, &st));
    for (off_t at = 0; at < st.st_size; at++) {
        uint8_t byte = 0;
        g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
        uint8_t other = (uint8_t)(byte ^ 1 << at % 8);
        g_assert_cmpint(pwrite(fd, &other, 1, at), ==, 1);
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_vault_open(f->store, "one", &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    }
    g_assert_true(is_right(f, "one", NULL));
}

/* A write through a private mapping, as a clone has one, reaches nobody; one through a shared
 * mapping is found although the last check was good. */
static void
check_mappings(Fixture *f, const void *data)
{
    (void)data;
    write_vault(f, "one");
    g_usleep(TICK_US);
    g_assert_true(is_right(f, "one", NULL));
    g_autofree char *path = g_build_filename(f->store, "one", "ram", NULL);
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t *own = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    g_assert_true(own != MAP_FAILED);
    own[5000] ^= 1;
    g_assert_true(is_right(f, "one", NULL));
    uint8_t *all = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(all != MAP_FAILED);
    all[5000] ^= 1;
    g_autoptr(GError) error = NULL;
    g_assert_false(is_right(f, "one", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    g_assert_nonnull(strstr(error->message, "'ram' is damaged"));
    (void)munmap(own, RAM_BYTES);
    (void)munmap(all, RAM_BYTES);
}

static void
check_in_use(Fixture *f, const void *data)
{
    (void)data;
    write_vault(f, "one");
    g_autoptr(GError) error = NULL;
    IrekoVault *vault = ireko_vault_open(f->store, "one", &error);
    g_assert_false(ireko_vault_remove(f->store, "one", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_clear_error(&error);
    IREKO_AUTOFD fd = ireko_vault_open_file(vault, "ram", &error);
    ireko_vault_free(vault);
    int inherited = dup(fd); /* as a machine's process has it */
    ireko_fd_close(&fd);
    g_assert_false(ireko_vault_remove(f->store, "one", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_clear_error(&error);
    g_assert_cmpuint(ireko_vault_evict(f->store, 0, NULL), ==, 0);
    ireko_fd_close(&inherited);
    g_assert_true(ireko_vault_remove(f->store, "one", &error));
    g_assert_false(ireko_vault_remove(f->store, "one", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
set_used(const Fixture *f, const char *name, long unix_seconds)
{
    g_autofree char *path = g_build_filename(f->store, name, "manifest.json", NULL);
    const struct timespec times[2] = {{.tv_sec = unix_seconds}, {.tv_sec = unix_seconds}};
    g_assert_no_errno(utimensat(AT_FDCWD, path, times, 0));
}

static void
check_evict(Fixture *f, const void *data)
{
    (void)data;
    static const char *const names[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        write_vault(f, names[i]);
    set_used(f, "a", 3000);
    set_used(f, "b", 1000);
    set_used(f, "c", 4000);
    set_used(f, "d", 2000);
    GPtrArray *list = ireko_vault_list(f->store);
    g_autoptr(GString) order = g_string_new(NULL);
    for (unsigned i = 0; i < list->len; i++)
        g_string_append(order, ((const IrekoVaultEntry *)list->pdata[i])->name);
    g_assert_cmpstr(order->str, ==, "cadb");
    uint64_t each = ((const IrekoVaultEntry *)list->pdata[0])->bytes;
    g_ptr_array_unref(list);
    g_assert_cmpuint(ireko_vault_evict(f->store, 4 * each, NULL), ==, 0);
    g_assert_cmpuint(ireko_vault_evict(f->store, 2 * each, "b"), ==, 2); /* d and a */
    list = ireko_vault_list(f->store);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_cmpstr(((const IrekoVaultEntry *)list->pdata[0])->name, ==, "c");
    g_assert_cmpstr(((const IrekoVaultEntry *)list->pdata[1])->name, ==, "b");
    g_ptr_array_unref(list);
}

static unsigned
count_entries(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    unsigned count = 0;
    while (dir != NULL && g_dir_read_name(dir) != NULL)
        count++;
    return count;
}

static void
check_unfinished(Fixture *f, const void *data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    IrekoVaultWriter *writer = ireko_vault_begin(f->store, "one", &error);
    g_assert_true(ireko_vault_copy(writer, "ram", f->ram_fd, 0, RAM_BYTES, &error));
    ireko_vault_sweep(f->store); /* its writer lives */
    g_assert_cmpuint(count_entries(f->store), ==, 1);
    g_assert_null(ireko_vault_open(f->store, "one", NULL));
    ireko_vault_writer_free(writer);
    g_assert_cmpuint(count_entries(f->store), ==, 0);

    g_autofree char *dead = g_build_filename(f->store, ".new-dead", NULL); /* nobody's lock */
    g_assert_true(ireko_file_make_folder(dead, NULL));
    ireko_vault_sweep(f->store);
    g_assert_cmpuint(count_entries(f->store), ==, 0);
}

static void
add(const char *name, const void *data, void (*check)(Fixture *f, const void *data))
{
    g_test_add(name, Fixture, data, set_up, check, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/vault/what-was-written-is-read-and-holes-stay-holes", NULL, check_round_trip);
    add("/vault/a-slice-is-copied", NULL, check_slice);
    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *name = g_strconcat("/vault/damage-is-found/", damages[i].name, NULL);
        add(name, &damages[i], check_damage);
    }
    add("/vault/no-bit-of-the-manifest-can-turn", NULL, check_every_manifest_bit);
    add("/vault/what-one-writes-privately-reaches-nobody", NULL, check_mappings);
    add("/vault/what-is-in-use-stays", NULL, check_in_use);
    add("/vault/what-was-used-longest-ago-goes-first", NULL, check_evict);
    add("/vault/what-was-not-finished-is-swept", NULL, check_unfinished);
    return g_test_run();
}
