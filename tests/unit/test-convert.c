/* A .vmx in other programs' words: golden files in tests/golden/convert, for each machine and
 * target the text and the account of every key. REGENERATE=1 writes them anew; the diff is then to
 * be read. What is golden is also shown to the programs that are here. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include <ireko/convert.h>

#include "base/file.h"
#include "machine/machine.h"

#define GOLDEN_MAX ((size_t)1 << 20)

typedef struct {
    const char *name; /* of the golden files */
    const char *vmx;  /* below the top of the tree */
} Row;

static const Row rows[] = {
    {"workshop-esxi01", "examples/workshop/esxi01.vmx"},
    {"workshop-linux", "examples/workshop/linux.vmx"},
    {"vhv-off-esxi01", "examples/vhv-off/esxi01.vmx"},
    {"hypervisor", "tests/golden/hypervisor.vmx"},
    {"vhv-off", "tests/golden/vhv-off.vmx"},
    {"disks", "tests/golden/disks.vmx"},
    {"cards", "tests/golden/cards.vmx"},
    {"desktop", "tests/golden/desktop.vmx"},
    {"image-on-ide", "tests/golden/image-on-ide.vmx"},
    {"image-alone", "tests/golden/image-alone.vmx"},
    {"everything", "tests/golden/convert/everything.vmx"},
    {"hostile", "tests/golden/convert/hostile.vmx"},
};

static const struct {
    IrekoTarget target;
    const char *name, *suffix;
} targets[] = {
    {IREKO_AS_LIBVIRT, "libvirt", "xml"},
};

static char *
top_path(const char *name)
{
    const char *top = g_getenv("IREKO_TOP");
    g_assert_nonnull(top);
    return g_build_filename(top, name, NULL);
}

static IrekoVmx *
load(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = top_path(name);
    IrekoVmx *doc = ireko_vmx_load(path, &error);
    g_assert_no_error(error);
    return doc;
}

/* ROW of the tables as /lab/NAME.vmx. */
static char *
convert(const Row *row, IrekoTarget target, GPtrArray **ret_rows)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = load(row->vmx);
    g_autofree char *file = g_strdup_printf("/lab/%s.vmx", row->name);
    char *text = ireko_convert(doc, file, target, ret_rows, &error);
    g_assert_no_error(error);
    return text;
}

static void
compare(const char *name, const char *got)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *relative = g_build_filename("tests/golden/convert", name, NULL);
    g_autofree char *path = top_path(relative);
    if (g_getenv("REGENERATE") != NULL)
        g_assert_true(g_file_set_contents(path, got, -1, NULL));
    g_autofree char *want = ireko_file_read(AT_FDCWD, path, GOLDEN_MAX, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got, ==, want);
}

static char *
account_text(GPtrArray *account)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < account->len; i++) {
        const IrekoConverted *row = g_ptr_array_index(account, i);
        g_string_append_printf(out, "%u\t%s\t%s\t%s\n", row->line, row->key, row->outcome,
                               row->how);
    }
    return g_string_free(out, FALSE);
}

static void
test_golden(const void *data)
{
    const Row *row = data;
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GPtrArray) account = NULL;
        g_autofree char *text = convert(row, targets[i].target, &account);
        g_autofree char *name = g_strdup_printf("%s.%s", row->name, targets[i].suffix);
        g_autofree char *keys = g_strdup_printf("%s.%s.keys", row->name, targets[i].name);
        g_autofree char *got = account_text(account);
        compare(name, text);
        compare(keys, got);
    }
}

/* ---- the account ---- */

static void
test_every_line_has_a_word(const void *data)
{
    const Row *row = data;
    g_autoptr(IrekoVmx) doc = load(row->vmx);
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GPtrArray) account = NULL;
        g_autofree char *text = convert(row, targets[i].target, &account);
        g_assert_cmpuint(account->len, ==, ireko_vmx_count(doc));
        for (size_t k = 0; k < account->len; k++) {
            const IrekoConverted *one = g_ptr_array_index(account, k);
            g_assert_cmpuint(one->line, ==, ireko_vmx_entry(doc, k).line);
            g_assert_nonnull(one->outcome);
            g_assert_cmpstr(one->how, !=, "");
            g_assert_cmpstr(one->how, !=, "there is no counterpart");
            g_assert_null(strpbrk(one->how, "\n\x1b"));
        }
    }
}

/* ---- the real programs ---- */

static bool
run(char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL, *err = NULL;
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                               &status, &error));
    if (status != 0)
        g_test_message("%s%s", out, err);
    return status == 0;
}

static void
test_schema(const void *data)
{
    const Row *row = data;
    g_autofree char *program = g_find_program_in_path("virt-xml-validate");
    if (program == NULL) {
        g_test_skip("there is no virt-xml-validate");
        return;
    }
    g_autofree char *relative = g_strdup_printf("tests/golden/convert/%s.xml", row->name);
    g_autofree char *path = top_path(relative);
    char schema[] = "domain";
    char *argv[] = {program, path, schema, NULL};
    g_assert_true(run(argv));
}

static void
test_schema_refuses(void)
{
    g_autofree char *program = g_find_program_in_path("virt-xml-validate");
    if (program == NULL) {
        g_test_skip("there is no virt-xml-validate");
        return;
    }
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("ireko-XXXXXX.xml", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(
        g_file_set_contents(path, "<domain type='kvm'><name>a</name><nest/></domain>", -1, NULL));
    char schema[] = "domain";
    char *argv[] = {program, path, schema, NULL};
    g_assert_false(run(argv));
    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void
add(const char *what, const Row *row, GTestDataFunc test)
{
    g_autofree char *path = g_strdup_printf("/convert/%s/%s", what, row->name);
    g_test_add_data_func(path, row, test);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        add("golden", &rows[i], test_golden);
        add("every line has a word", &rows[i], test_every_line_has_a_word);
        add("libvirt's schema takes it", &rows[i], test_schema);
    }
    g_test_add_func("/convert/libvirt's schema refuses what is no domain", test_schema_refuses);
    return g_test_run();
}
