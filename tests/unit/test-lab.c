/* Lab: its file, its tree as JSON, what fits where, the files behind disks, the record. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "lab/drives.h"
#include "lab/labfile.h"
#include "lab/layer.h"
#include "lab/made.h"
#include "lab/record.h"
#include "lab/spec.h"
#include "lab/tree.h"

#define MIB ((uint64_t)1 << 20)

typedef struct {
    char *dir;
    IrekoHome *home;
} Fixture;

static void
set_up(Fixture *f, const void *data)
{
    (void)data;
    f->dir = g_dir_make_tmp("ireko-test-XXXXXX", NULL);
    g_setenv("IREKO_HOME", f->dir, TRUE);
    f->home = ireko_home_new();
}

static void
tear_down(Fixture *f, const void *data)
{
    (void)data;
    g_assert_true(ireko_file_remove_tree(f->dir, NULL));
    ireko_home_free(f->home);
    g_free(f->dir);
}

static char *
put(const Fixture *f, const char *name, const char *bytes, size_t len)
{
    char *path = g_build_filename(f->dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_true(ireko_file_make_folder(folder, NULL));
    g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
    return path;
}

static IrekoNode *
node_of(const char *above, unsigned level, const char *file, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    IrekoNode *node = ireko_node_new(above, level, NULL, file, bytes, &error);
    g_assert_no_error(error);
    return node;
}

/* A machine with MEMORY megabytes below OUTER (NULL: on L0). */
static IrekoNode *
add_machine(GPtrArray *nodes, const IrekoNode *outer, const char *name, unsigned memory)
{
    g_autofree char *text = g_strdup_printf("vhv.enable = \"TRUE\"\nmemsize = \"%u\"\n", memory);
    g_autofree char *file = g_strdup_printf("/lab/%s.vmx", name);
    IrekoNode *node =
        node_of(outer != NULL ? outer->path : "", outer != NULL ? outer->level + 1 : 1, file, text);
    g_ptr_array_add(nodes, node);
    return node;
}

/* ---- the lab file ---- */

static void
test_lab_files(Fixture *f, const void *data)
{
    (void)data;
    static const struct {
        const char *label, *text, *error; /* NULL: it is right */
    } rows[] = {
        {"the least", "name: x\nmachines:\n  - vmx: m.vmx\n", NULL},
        {"every key", "name: x\nmachines:\n  - {vmx: m.vmx, count: 2, guests: [{vmx: m.vmx}]}\n",
         NULL},
        {"a requirement", "name: x\nrequires: [vsan, vsan]\nmachines:\n  - vmx: m.vmx\n", NULL},
        {"a list of no requirements", "name: x\nrequires: []\nmachines:\n  - vmx: m.vmx\n", NULL},
        {"an unknown requirement",
         "name: x\nmachines:\n  - vmx: m.vmx\nrequires:\n  - vsan\n  - vsam\n",
         "lab.yaml:4: a lab cannot require 'vsam': ireko knows vsan"},
        {"a requirement that is a map", "name: x\nrequires: [{vsan: 1}]\nmachines: []\n",
         "lab.yaml:2: "},
        {"an unknown key of a lab", "name: x\nmachine: []\n",
         "lab.yaml:2: unexpected key: machine"},
        {"an unknown key of a machine", "name: x\nmachines:\n  - vmx: m.vmx\n    cuont: 2\n",
         "lab.yaml:4: unexpected key: cuont"},
        {"an unknown key far inside",
         "name: x\nmachines:\n  - vmx: m.vmx\n    guests:\n      - vmx: m.vmx\n      - vm: m.vmx\n",
         "lab.yaml:6: unexpected key: vm"},
        {"a count that is no number", "name: x\nmachines:\n  - vmx: m.vmx\n    count: two\n",
         "lab.yaml:4: "},
        {"a count below zero", "name: x\nmachines:\n  - vmx: m.vmx\n    count: -2\n",
         "lab.yaml:4: "},
        {"machines that are no list", "name: x\nmachines: m.vmx\n", "lab.yaml:2: "},
        {"no machine at all", "name: x\nmachines: []\n", "lab.yaml:2: "},
        {"no name", "machines:\n  - vmx: m.vmx\n", "lab.yaml:"},
        {"a name that is no file's", "name: a/b\nmachines:\n  - vmx: m.vmx\n", "name of a lab"},
        {"a machine without a .vmx", "name: x\nmachines:\n  - count: 2\n", "lab.yaml:3: "},
        {"an alias", "name: x\nmachines:\n  - &a\n    vmx: m.vmx\n  - *a\n", "lab.yaml:"},
        {"no YAML", "name: [\n", "lab.yaml:"},
        {"nothing", "", "lab.yaml:"},
        {"too many of one", "name: x\nmachines:\n  - vmx: m.vmx\n    count: 65\n",
         "may be 1 to 64"},
        {"too many in all",
         "name: x\nmachines:\n  - vmx: m.vmx\n    count: 64\n    guests:\n      - vmx: g.vmx\n"
         "        count: 64\n",
         "may have 256 machines"},
        {"a .vmx that is missing", "name: x\nmachines:\n  - vmx: gone.vmx\n", "gone.vmx"},
        {"one name twice", "name: x\nmachines:\n  - vmx: m.vmx\n  - vmx: m.vmx\n",
         "two machines are called 'm'"},
        {"one name at two levels", "name: x\nmachines:\n  - {vmx: m.vmx, guests: [{vmx: m.vmx}]}\n",
         NULL},
    };
    g_autofree char *m = put(f, "m.vmx", "memsize = \"64\"\n", 15);
    g_autofree char *guest = put(f, "g.vmx", "memsize = \"64\"\n", 15);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autofree char *path = put(f, "lab.yaml", rows[i].text, strlen(rows[i].text));
        g_autofree char *name = NULL;
        unsigned requires = 0;
        g_autoptr(GPtrArray) nodes = NULL;
        g_autoptr(GError) error = NULL;
        bool loaded = ireko_labfile_load(path, &name, &requires, &nodes, &error);
        g_assert_cmpint(loaded, ==, rows[i].error == NULL);
        g_assert_cmpint(error == NULL, ==, loaded);
        if (!loaded && strstr(error->message, rows[i].error) == NULL)
            g_error("%s: %s", rows[i].label, error->message);
        g_assert_true(loaded || strchr(error->message, '\n') == NULL);
        g_assert_cmpuint(requires, ==,
                         strcmp(rows[i].label, "a requirement") == 0 ? IREKO_REQUIRES_VSAN : 0);
    }
}

static void
test_nesting_ends(Fixture *f, const void *data)
{
    (void)data;
    g_autofree char *m = put(f, "m.vmx", "memsize = \"64\"\n", 15);
    for (unsigned depth = IREKO_PATH_DEPTH_MAX; depth <= 400; depth *= 5) {
        g_autoptr(GString) text = g_string_new("name: x\nmachines: ");
        for (unsigned i = 0; i < depth; i++)
            g_string_append(text, "[{vmx: m.vmx, guests: ");
        g_string_append(text, "[]");
        for (unsigned i = 0; i < depth; i++)
            g_string_append(text, "}]");
        g_autofree char *path = put(f, "lab.yaml", text->str, text->len);
        g_autofree char *name = NULL;
        unsigned requires = 0;
        g_autoptr(GPtrArray) nodes = NULL;
        g_autoptr(GError) error = NULL;
        bool loaded = ireko_labfile_load(path, &name, &requires, &nodes, &error);
        g_assert_cmpint(loaded, ==, depth <= IREKO_PATH_DEPTH_MAX);
        g_assert_cmpuint(loaded ? ireko_nodes_depth(nodes) : depth, ==, depth);
        g_assert_true(loaded || strstr(error->message, "16 machines deep") != NULL);
    }
}

static void
test_count_makes_names(Fixture *f, const void *data)
{
    (void)data;
    static const char text[] =
        "name: x\nmachines:\n  - {vmx: m.vmx, count: 2, guests: [{vmx: m.vmx}]}\n";
    g_autofree char *m = put(f, "m.vmx", "memsize = \"64\"\n", 15);
    g_autofree char *path = put(f, "lab.yaml", text, strlen(text));
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoLab) lab = ireko_lab_load(f->home, f->dir, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) machines = ireko_lab_machines(lab);
    static const char *const paths[] = {"m-1", "m-1/m", "m-2", "m-2/m"};
    g_assert_cmpuint(machines->len, ==, G_N_ELEMENTS(paths));
    for (unsigned i = 0; i < machines->len; i++)
        g_assert_cmpstr(((const IrekoReport *)machines->pdata[i])->path, ==, paths[i]);
}

/* ---- the tree ---- */

static GPtrArray *
three_deep(void)
{
    GPtrArray *nodes = ireko_nodes_new();
    IrekoNode *a = add_machine(nodes, NULL, "a", 2048);
    IrekoNode *b = add_machine(a->guests, a, "b", 1024);
    (void)add_machine(b->guests, b, "c", 256);
    (void)add_machine(nodes, NULL, "d", 64);
    return nodes;
}

static void
test_tree_comes_back(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) nodes = three_deep();
    g_autoptr(json_t) json = ireko_nodes_to_json(nodes);
    g_autoptr(GPtrArray) again = ireko_nodes_from_json(json, "", 1, &error);
    g_assert_no_error(error);
    g_assert_true(ireko_nodes_equal(nodes, again));
    g_assert_cmpuint(ireko_nodes_count(again), ==, 4);
    g_assert_cmpuint(ireko_nodes_depth(again), ==, 3);
    const IrekoNode *a = again->pdata[0];
    g_assert_cmpstr(((const IrekoNode *)a->guests->pdata[0])->path, ==, "a/b");
    g_ptr_array_remove_index(a->guests, 0);
    g_assert_false(ireko_nodes_equal(nodes, again));
}

static void
test_bad_trees_are_refused(void)
{
    static const char *const rows[] = {
        "{}",
        "[1]",
        "[{}]",
        "[{\"name\":\"../x\",\"file\":\"f\",\"vmx\":\"\",\"guests\":[]}]",
        "[{\"name\":\"x\",\"file\":\"f\",\"vmx\":1,\"guests\":[]}]",
        "[{\"name\":\"x\",\"file\":\"f\",\"vmx\":\"\",\"guests\":{}}]",
        "[{\"name\":\"x\",\"file\":\"f\",\"vmx\":\"bWVtc2l6ZSA9ICJtYW55Igo=\",\"guests\":[]}]",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) json = json_loads(rows[i], 0, NULL);
        g_assert_null(ireko_nodes_from_json(json, "", 1, &error));
        g_assert_nonnull(error);
    }
}

static void
test_what_fits(void)
{
    static const struct {
        const char *label;
        unsigned outer, inner, innermost; /* MiB; 0: no such machine */
        uint64_t room_mib;
        const char *error;
    } rows[] = {
        {"one machine with its overhead", 1024, 0, 0, 1024 + 64, NULL},
        {"one machine, a megabyte short", 1024, 0, 0, 1024 + 63, "the lab needs 1.1 GiB"},
        {"L2 in L1 with the floor of L1", 1024, 1024 - 64 - 192, 0, 8192, NULL},
        {"L2 in L1, four megabytes too much", 1024, 1024 - 64 - 192 + 4, 0, 8192,
         "/lab/a.vmx:2: 'a' has 1 GiB"},
        {"L2 as large as its L1", 1024, 1024, 0, 8192, "set memsize = \"1280\" or more"},
        {"L3 in L2", 2048, 1024, 512, 8192, NULL},
        {"L3 larger than its L2", 4096, 1024, 1024, 8192, "/lab/b.vmx:2: 'a/b' has 1 GiB"},
        {"inner machines take nothing of L0's", 2048, 1024, 512, 2048 + 64, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) nodes = ireko_nodes_new();
        IrekoNode *a = add_machine(nodes, NULL, "a", rows[i].outer);
        IrekoNode *b = rows[i].inner > 0 ? add_machine(a->guests, a, "b", rows[i].inner) : NULL;
        if (rows[i].innermost > 0)
            (void)add_machine(b->guests, b, "c", rows[i].innermost);
        bool fits = ireko_nodes_check_memory(nodes, ireko_nodes_promised(nodes),
                                             rows[i].room_mib * MIB, &error);
        g_assert_cmpint(fits, ==, rows[i].error == NULL);
        if (!fits && strstr(error->message, rows[i].error) == NULL)
            g_error("%s: %s", rows[i].label, error->message);
    }
}

static void
test_spec_comes_back(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) nodes = three_deep();
    const IrekoNode *a = nodes->pdata[0];
    const IrekoNode *b = a->guests->pdata[0];
    g_autoptr(json_t) json = ireko_spec_to_json(b, "lab", 12, true);
    g_autoptr(IrekoLayerSpec) spec = ireko_spec_from_json(json, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(spec->self->path, ==, "a/b");
    g_assert_cmpuint(spec->self->level, ==, 2);
    g_assert_cmpuint(spec->self->guests->len, ==, 1);
    g_assert_cmpstr(spec->id, ==, "lab");
    g_assert_cmpuint(spec->pace, ==, 12);
    g_assert_true(spec->start);

    static const char *const fields[] = {"id", "above", "level", "pace", "start", "self"};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autoptr(json_t) broken = json_deep_copy(json);
        json_object_set_new(broken, fields[i], json_pack("{s:i}", "x", 1));
        g_assert_null(ireko_spec_from_json(broken, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
    }
}

static void
test_patience_is_handed_on(void)
{
    static const struct {
        const char *patience;
        unsigned pace, inside;
    } rows[] = {{NULL, 12, 12},         {"3", 12, 36},   {"1.5", 1, 1},
                {"1.5", 2, 3},          {"0.1", 12, 12}, {"0", 12, 12},
                {"1000", 1536, 100000}, {"x", 12, 12},   {"1e9", 12, 12}};
    g_autofree char *before = g_strdup(g_getenv("IREKO_PATIENCE"));
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].patience != NULL)
            (void)g_setenv("IREKO_PATIENCE", rows[i].patience, TRUE);
        else
            g_unsetenv("IREKO_PATIENCE");
        g_assert_cmpuint(ireko_patience_inside(rows[i].pace), ==, rows[i].inside);
    }
    if (before != NULL)
        (void)g_setenv("IREKO_PATIENCE", before, TRUE);
    else
        g_unsetenv("IREKO_PATIENCE");
}

/* ---- disks ---- */

static void
test_drives(Fixture *f, const void *data)
{
    (void)data;
    static const struct {
        const char *label, *file, *bytes, *size, *format, *error;
        unsigned level;
    } rows[] = {
        {"a sparse VMDK", "d.vmdk", "KDMV....", NULL, "vmdk", NULL, 1},
        {"a VMDK's descriptor", "d.vmdk", "# Disk DescriptorFile\n", NULL, "vmdk", NULL, 1},
        {"QCOW2 whatever it is called", "d.vmdk", "QFI\xfb....", NULL, "qcow2", NULL, 1},
        {"raw by its name", "d.img", "anything", NULL, "raw", NULL, 1},
        {"raw by its name in capitals", "D.ISO", "anything", NULL, "raw", NULL, 1},
        {"an ESXi disk's data", "d-flat.vmdk", "anything", NULL, "raw", NULL, 1},
        {"no image", "d.vmdk", "anything", NULL, NULL, "is not a disk image", 1},
        {"an empty file", "d.img", "", NULL, NULL, "is not a disk image", 1},
        {"a missing file", "d.vmdk", NULL, NULL, NULL, ":2: disk 'd.vmdk' of scsi0:0 is not there",
         1},
        {"made at its size", "d.vmdk", NULL, "3M", "raw", NULL, 1},
        {"made as a raw file", "d.RAW", NULL, "3M", "raw", NULL, 1},
        {"made as QCOW2", "d.qcow2", NULL, "3M", "qcow2", NULL, 1},
        {"made as nothing that ireko makes", "d.vdi", NULL, "3M", NULL, "ireko makes .vmdk", 1},
        {"a file that is there is not made", "d.vmdk", "KDMV....", "3M", "vmdk", NULL, 1},
        {"out of reach inside a nest", "d.vmdk", "KDMV....", NULL, NULL, "out of reach", 2},
        {"made inside a nest", "d.vmdk", "KDMV....", "3M", "raw", NULL, 2},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autofree char *lab = g_strdup_printf("%s/%zu", f->dir, i);
        g_autofree char *made = g_build_filename(lab, "made", NULL);
        g_autofree char *vmx = g_build_filename(lab, "m.vmx", NULL);
        g_assert_true(ireko_file_make_folder(made, NULL));
        g_autofree char *name = g_strdup_printf("%zu/%s", i, rows[i].file);
        if (rows[i].bytes != NULL)
            g_free(put(f, name, rows[i].bytes, strlen(rows[i].bytes)));
        g_autofree char *text = g_strdup_printf(
            "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"%s\"\nscsi0.present = "
            "\"TRUE\"\n%s%s%s",
            rows[i].file, rows[i].size != NULL ? "ireko.scsi0:0.size = \"" : "",
            rows[i].size != NULL ? rows[i].size : "", rows[i].size != NULL ? "\"\n" : "");
        g_autoptr(IrekoNode) node =
            node_of(rows[i].level > 1 ? "host" : "", rows[i].level, vmx, text);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) drives = ireko_drives_prepare(node, made, &error);
        if (rows[i].error != NULL) {
            g_assert_null(drives);
            g_assert_nonnull(strstr(error->message, rows[i].error));
            continue;
        }
        g_assert_no_error(error);
        const IrekoDrive *drive = drives->pdata[0];
        g_assert_cmpstr(drive->format, ==, rows[i].format);
        struct stat st;
        g_assert_no_errno(stat(drive->path, &st));
        g_assert_cmpint(drive->made, ==, g_str_has_prefix(drive->path, made));
        g_assert_cmpint(drive->made, ==,
                        rows[i].size != NULL && (rows[i].bytes == NULL || rows[i].level > 1));
        if (drive->made && strcmp(rows[i].format, "raw") == 0)
            g_assert_cmpint(st.st_size, ==, 3 * MIB);
    }
}

/* What qemu-img says of FILE; NULL where it takes it for damaged. */
static char *
qemu_img(const char *verb, const char *format, const char *file)
{
    const char *const argv[] = {"qemu-img", verb, "-f", format, file, NULL};
    char *out = NULL;
    int status = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL,
                               G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out,
                               NULL, &status, &error));
    if (g_spawn_check_wait_status(status, NULL))
        return out;
    g_free(out);
    return NULL;
}

static void
test_made_disks(Fixture *f, const void *data)
{
    (void)data;
    static const struct {
        const char *label, *file, *made, *format, *says;
        uint64_t size;
        bool checked; /* qemu-img check knows the format */
    } rows[] = {
        {"a .vmdk of a sector more", "d.vmdk", "scsi0-1.vmdk", "vmdk", "(1049088 bytes)", MIB + 1,
         false},
        {"a .vmdk as large as VMware's", "d.vmdk", "scsi0-1.vmdk", "vmdk", "62 TiB",
         (uint64_t)62 << 40, false},
        {"a disk without a name", NULL, "scsi0-1-flat.vmdk", "raw", "3 MiB", 3 * MIB, false},
        {"the smallest QCOW2", "d.qcow2", "scsi0-1.qcow2", "qcow2", "1 MiB", MIB, true},
        {"QCOW2 with an L1 table of clusters", "d.qcow2", "scsi0-1.qcow2", "qcow2", "62 TiB",
         (uint64_t)62 << 40, true},
    };
    g_autofree char *program = g_find_program_in_path("qemu-img");
    if (program == NULL) {
        g_test_skip("there is no qemu-img");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autofree char *folder = g_strdup_printf("%s/%zu", f->dir, i);
        g_assert_true(ireko_file_make_folder(folder, NULL));
        const IrekoDisk disk = {.device = (char *)(uintptr_t) "scsi0:1",
                                .bus = IREKO_BUS_SCSI,
                                .file = (char *)(uintptr_t)rows[i].file,
                                .create_bytes = rows[i].size};
        g_autoptr(GError) error = NULL;
        bool done = ireko_made_create(&disk, folder, &error);
        if (!done && strstr(error->message, "File too large") != NULL)
            continue; /* than the file system of this test has them */
        g_assert_no_error(error);
        g_autofree char *path = g_build_filename(folder, rows[i].made, NULL);
        g_autofree char *info = qemu_img("info", rows[i].format, path);
        g_assert_nonnull(info);
        g_assert_nonnull(strstr(info, rows[i].says));
        g_autofree char *checked = rows[i].checked ? qemu_img("check", rows[i].format, path) : NULL;
        g_assert_true(!rows[i].checked || strstr(checked, "No errors") != NULL);
    }
}

static void
test_a_made_disk_keeps_its_bytes(Fixture *f, const void *data)
{
    (void)data;
    static const char *const files[] = {"d.vmdk", "d.raw", "d.qcow2"};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        const IrekoDisk disk = {.device = (char *)(uintptr_t) "sata0:1",
                                .bus = IREKO_BUS_SATA,
                                .file = (char *)(uintptr_t)files[i],
                                .create_bytes = MIB};
        g_autofree char *path = NULL;
        const char *format;
        g_assert_true(ireko_made_place(&disk, f->dir, &path, &format, NULL));
        g_assert_true(ireko_made_create(&disk, f->dir, NULL));
        IREKO_AUTOFD fd = open(path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint(pwrite(fd, "kept", 4, 512), ==, 4);
        g_assert_true(ireko_made_create(&disk, f->dir, NULL));
        char bytes[4] = "";
        g_assert_cmpint(pread(fd, bytes, 4, 512), ==, 4);
        g_assert_cmpmem(bytes, 4, "kept", 4);
    }
}

static void
test_a_plan_makes_no_disk(Fixture *f, const void *data)
{
    (void)data;
    g_autofree char *vmx = g_build_filename(f->dir, "m.vmx", NULL);
    g_autoptr(IrekoNode) node =
        node_of("", 1, vmx,
                "scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"d.vmdk\"\n"
                "ireko.scsi0:0.size = \"1M\"\nscsi0.present = \"TRUE\"\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) drives = ireko_drives_prepare(node, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(drives->len, ==, 1);
    g_autoptr(GDir) folder = g_dir_open(f->dir, 0, NULL);
    g_assert_null(g_dir_read_name(folder));
}

/* ---- the record ---- */

static IrekoLab *
write_record(const Fixture *f)
{
    g_autoptr(GError) error = NULL;
    IrekoLab *lab = g_new0(IrekoLab, 1);
    lab->name = g_strdup("deep");
    lab->source = g_strdup("/labs/deep/lab.yaml");
    lab->accel = g_strdup("tcg");
    lab->requires = IREKO_REQUIRES_VSAN;
    lab->nodes = three_deep();
    IREKO_AUTOFD lock = ireko_record_lock(f->home, lab->name, &error);
    g_assert_cmpint(lock, >=, 0);
    g_assert_true(ireko_record_write(f->home, lab, &error));
    g_assert_no_error(error);
    return lab;
}

static void
test_record_comes_back(Fixture *f, const void *data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoLab) lab = write_record(f);
    static const char *const ways[] = {"deep", "/labs/deep/lab.yaml"};
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autoptr(IrekoLab) again = ireko_lab_recorded(f->home, ways[i], &error);
        g_assert_no_error(error);
        g_assert_true(ireko_nodes_equal(lab->nodes, again->nodes));
        g_assert_cmpstr(again->source, ==, lab->source);
        g_assert_cmpstr(again->accel, ==, "tcg");
        g_assert_cmpuint(again->requires, ==, IREKO_REQUIRES_VSAN);
    }
    g_assert_true(ireko_record_remove(f->home, "deep", &error));
    g_assert_null(ireko_lab_recorded(f->home, "deep", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
test_damaged_records_say_what_to_do(Fixture *f, const void *data)
{
    (void)data;
    static const char *const rows[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"schema\":\"ireko.record/1\"}",
        "{\"schema\":\"ireko.record/9\",\"source\":\"\",\"accel\":\"\",\"machines\":[]}",
        "{\"schema\":\"ireko.record/1\",\"source\":\"\",\"accel\":\"\",\"machines\":[1]}",
    };
    g_autoptr(IrekoLab) lab = write_record(f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = put(f, "labs/deep/record.json", rows[i], strlen(rows[i]));
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_lab_recorded(f->home, "deep", &error));
        if (strstr(error->message, "ireko down deep") == NULL)
            g_error("%s: %s", rows[i], error->message);
    }
}

static void
test_one_at_a_time(Fixture *f, const void *data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    IREKO_AUTOFD first = ireko_record_lock(f->home, "deep", &error);
    g_assert_cmpint(first, >=, 0);
    g_assert_cmpint(ireko_record_lock(f->home, "deep", &error), ==, -1);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_clear_error(&error);
    IREKO_AUTOFD other = ireko_record_lock(f->home, "other", &error);
    g_assert_cmpint(other, >=, 0);
    /* Removed by a `down` while held: the next one is not kept waiting by a file that is no more.
     */
    g_assert_true(ireko_record_remove(f->home, "deep", &error));
    IREKO_AUTOFD again = ireko_record_lock(f->home, "deep", &error);
    g_assert_cmpint(again, >=, 0);
}

static void
add(const char *name, void (*test)(Fixture *f, const void *data))
{
    g_autofree char *path = g_strconcat("/lab/", name, NULL);
    g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("lab files say what is wrong, and where", test_lab_files);
    add("nesting ends at the limit, however it goes on", test_nesting_ends);
    add("count makes names", test_count_makes_names);
    g_test_add_func("/lab/a tree comes back from its JSON", test_tree_comes_back);
    g_test_add_func("/lab/bad trees are refused", test_bad_trees_are_refused);
    g_test_add_func("/lab/each layer's machines fit into it", test_what_fits);
    g_test_add_func("/lab/what a layer is told comes back", test_spec_comes_back);
    g_test_add_func("/lab/layers-inside-wait-longer-too-never-shorter", test_patience_is_handed_on);
    add("a disk is what its bytes say", test_drives);
    add("QEMU takes a disk that was made for what it is", test_made_disks);
    add("a disk that was made keeps its bytes", test_a_made_disk_keeps_its_bytes);
    add("a plan makes no disk", test_a_plan_makes_no_disk);
    add("a record comes back by name and by file", test_record_comes_back);
    add("damaged records say what to do", test_damaged_records_say_what_to_do);
    add("one ireko at a time changes a lab", test_one_at_a_time);
    return g_test_run();
}
