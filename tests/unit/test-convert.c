/* A .vmx in other programs' words: golden files in tests/golden/convert, for each machine and
 * target the text and the account of every key. REGENERATE=1 writes them anew; the diff is then to
 * be read. What is golden is also shown to the programs that are here. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>

#include <ireko/convert.h>

#include "base/file.h"
#include "machine/machine.h"

#define GOLDEN_MAX ((size_t)1 << 20)

typedef struct {
    const char *name; /* of the golden files */
    const char *vmx;  /* below the top of the tree */
    bool starts;      /* shown to QEMU */
} Row;

static const Row rows[] = {
    {"workshop-esxi01", "examples/workshop/esxi01.vmx", true},
    {"workshop-linux", "examples/workshop/linux.vmx", false},
    {"vhv-off-esxi01", "examples/vhv-off/esxi01.vmx", false},
    {"hypervisor", "tests/golden/hypervisor.vmx", false},
    {"vhv-off", "tests/golden/vhv-off.vmx", false},
    {"disks", "tests/golden/disks.vmx", true},
    {"cards", "tests/golden/cards.vmx", true},
    {"desktop", "tests/golden/desktop.vmx", true},
    {"image-on-ide", "tests/golden/image-on-ide.vmx", false},
    {"image-alone", "tests/golden/image-alone.vmx", true},
    {"everything", "tests/golden/convert/everything.vmx", false},
    {"hostile", "tests/golden/convert/hostile.vmx", true},
};

static const struct {
    IrekoTarget target;
    const char *name, *suffix;
} targets[] = {
    {IREKO_AS_QEMU, "qemu", "qemu"},
    {IREKO_AS_LIBVIRT, "libvirt", "xml"},
    {IREKO_AS_VIRTUALBOX, "virtualbox", "vbox"},
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

/* Of QEMU without the words, which are the key book's. */
static char *
account_text(GPtrArray *account, IrekoTarget target)
{
    GString *out = g_string_new(NULL);
    for (size_t i = 0; i < account->len; i++) {
        const IrekoConverted *row = g_ptr_array_index(account, i);
        g_string_append_printf(out, "%u\t%s\t%s\t%s\n", row->line, row->key, row->outcome,
                               target == IREKO_AS_QEMU ? "" : row->how);
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
        g_autofree char *got = account_text(account, targets[i].target);
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

/* Runs COMMAND by sh in the folder DIR; whether it ends well. */
static bool
run_in(const char *dir, const char *command)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL, *err = NULL;
    const char *argv[] = {"sh", "-c", command, NULL};
    int status = 0;
    g_assert_true(g_spawn_sync(dir, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                               &out, &err, &status, &error));
    if (status != 0)
        g_test_message("%s%s", out, err);
    return status == 0;
}

static bool
skip_without(const char *program)
{
    g_autofree char *path = g_find_program_in_path(program);
    if (path == NULL)
        g_test_skip(program);
    return path == NULL;
}

static bool
fits_schema(const char *path)
{
    g_autofree char *word = g_shell_quote(path);
    g_autofree char *command = g_strdup_printf("virt-xml-validate %s domain", word);
    return run_in(NULL, command);
}

static void
test_schema(const void *data)
{
    const Row *row = data;
    if (skip_without("virt-xml-validate"))
        return;
    g_autofree char *relative = g_strdup_printf("tests/golden/convert/%s.xml", row->name);
    g_autofree char *path = top_path(relative);
    g_assert_true(fits_schema(path));
}

/* A folder for one machine, with what is put there. */
typedef struct {
    char *dir, *script;
} Place;

static void
place_init(Place *place)
{
    place->dir = g_dir_make_tmp("ireko-test-XXXXXX", NULL);
    place->script = g_build_filename(place->dir, "script", NULL);
}

static void
place_clear(Place *place)
{
    g_assert_true(ireko_file_remove_tree(place->dir, NULL));
    g_free(place->dir);
    g_free(place->script);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static void
write_in(const char *dir, const char *name, const char *text, int mode)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
}

static void
test_schema_refuses(void)
{
    if (skip_without("virt-xml-validate"))
        return;
    g_auto(Place) place = {0};
    place_init(&place);
    write_in(place.dir, "script", "<domain type='kvm'><name>a</name><nest/></domain>", 0600);
    g_assert_false(fits_schema(place.script));
}

/* ROW's script for TARGET in PLACE, as a file beside its .vmx. */
static char *
convert_in(const Place *place, const Row *row, IrekoTarget target)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = load(row->vmx);
    g_autofree char *file = g_strdup_printf("%s/%s.vmx", place->dir, row->name);
    g_autofree char *text = ireko_convert(doc, file, target, NULL, &error);
    g_assert_no_error(error);
    write_in(place->dir, "script", text, 0600);
    return g_steal_pointer(&text);
}

static void
make_disks(const Place *place, const Row *row)
{
    g_autoptr(IrekoVmx) doc = load(row->vmx);
    g_autoptr(IrekoMachine) machine = ireko_machine_from_vmx(doc, "a.vmx", NULL);
    for (size_t i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (disk->file == NULL || disk->create_bytes > 0)
            continue;
        g_autofree char *relative = g_build_filename(".", disk->file, NULL);
        g_autofree char *word = g_shell_quote(relative);
        const char *format = g_str_has_suffix(disk->file, ".vmdk") ? "vmdk" : "raw";
        g_autofree char *command = g_strdup_printf("qemu-img create -q -f %s %s 1M", format, word);
        g_assert_true(run_in(place->dir, command));
    }
}

/* Ctrl-a c, and then to QEMU's monitor. */
#define START_AND_QUIT "printf '\\001cquit\\n' | TMPDIR=. timeout 120 sh ./script"

static void
test_qemu_starts(const void *data)
{
    const Row *row = data;
    if (skip_without("qemu-system-x86_64") || skip_without("qemu-img"))
        return;
    g_auto(Place) place = {0};
    place_init(&place);
    g_autofree char *text = convert_in(&place, row, IREKO_AS_QEMU);
    make_disks(&place, row);
    /* In software alone: not every KVM takes a CPU that QEMU knows. */
    g_auto(GStrv) halves = g_strsplit(text, "-accel kvm", 2);
    g_autofree char *software = g_strjoinv("-accel tcg", halves);
    write_in(place.dir, "script", software, 0600);
    if (strstr(text, "OVMF") != NULL && !g_file_test("/usr/share/OVMF", G_FILE_TEST_IS_DIR)) {
        g_test_skip("there is no OVMF");
        return;
    }
    g_assert_true(run_in(place.dir, START_AND_QUIT));
    g_assert_false(run_in(place.dir, "test -e owned"));

    g_auto(GStrv) parts = g_strsplit(software, "-rtc base=utc", 2);
    g_autofree char *wrong = g_strjoinv("-rtc base=utx", parts);
    write_in(place.dir, "script", wrong, 0600);
    g_assert_false(run_in(place.dir, START_AND_QUIT));
}

/* ---- a VBoxManage that writes down how it is called ---- */

static const char fake[] = "#!/bin/sh\n"
                           "for word in \"$@\"; do printf '[%s]' \"$word\"; done >> calls\n"
                           "echo >> calls\n";

static void
test_virtualbox_is_called(const void *data)
{
    const Row *row = data;
    g_autoptr(GError) error = NULL;
    g_auto(Place) place = {0};
    place_init(&place);
    g_free(convert_in(&place, row, IREKO_AS_VIRTUALBOX));
    write_in(place.dir, "VBoxManage", fake, 0700);
    g_assert_true(run_in(place.dir, "PATH=.:$PATH sh ./script"));
    g_assert_false(run_in(place.dir, "test -e owned"));

    g_autofree char *path = g_build_filename(place.dir, "calls", NULL);
    g_autofree char *calls = ireko_file_read(AT_FDCWD, path, GOLDEN_MAX, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(calls, "[createvm][--name]["));
    g_assert_nonnull(strstr(calls, "[modifyvm]["));
    if (strcmp(row->name, "hostile") != 0)
        return;
    g_assert_nonnull(strstr(calls, "[\xef\xbf\xbd\xef\xbf\xbd[31m'; touch owned; $(touch owned) "
                                   "`touch owned` \" </name>\xef\xbf\xbd&]"));
    g_assert_nonnull(strstr(calls, "/-x $(touch owned)`touch owned`'\";\n,,touch owned.vmdk]"));
}

/* ---- words and values ---- */

static void
test_target_names(void)
{
    IrekoTarget target = IREKO_AS_QEMU;
    g_assert_true(ireko_target_from_name("virtualbox", &target));
    g_assert_cmpint(target, ==, IREKO_AS_VIRTUALBOX);
    g_assert_false(ireko_target_from_name("xen", &target));
    g_assert_false(ireko_target_from_name("", &target));
}

/* One line or more of a .vmx, and what the text of a target then has, or has not. */
static const struct {
    const char *label, *vmx;
    IrekoTarget target;
    const char *has, *lacks;
} words[] = {
    {"vhv.enable leaves vmx and svm in the CPU", "vhv.enable = \"TRUE\"\n", IREKO_AS_LIBVIRT,
     "host-passthrough", "policy='disable'"},
    {"without vhv.enable both are taken away", "memsize = \"64\"\n", IREKO_AS_LIBVIRT,
     "<feature policy='disable' name='svm'/>", NULL},
    {"... from QEMU's CPU too", "memsize = \"64\"\n", IREKO_AS_QEMU, "max,svm=off,vmx=off", NULL},
    {"... and from VirtualBox's", "memsize = \"64\"\n", IREKO_AS_VIRTUALBOX, "--nested-hw-virt off",
     NULL},
    {"vmkernel is a system of 64 bits", "guestOS = \"vmkernel65\"\n", IREKO_AS_LIBVIRT,
     "arch='x86_64'", "i686"},
    {"... for VirtualBox too", "guestOS = \"vmkernel8\"\n", IREKO_AS_VIRTUALBOX,
     "--ostype Other_64", NULL},
    {"a Windows server of 64 bits has no other name", "guestOS = \"windows2019srv-64\"\n",
     IREKO_AS_VIRTUALBOX, "--ostype Windows2019_64", NULL},
    {"a Debian of 32 bits", "guestOS = \"debian10\"\n", IREKO_AS_VIRTUALBOX, "--ostype Debian \\",
     NULL},
    {"secure boot needs EFI", "uefi.secureBoot.enabled = \"TRUE\"\n", IREKO_AS_LIBVIRT,
     "machine='pc'", "secure-boot"},
    {"EFI alone stays on the 440BX", "firmware = \"efi\"\n", IREKO_AS_LIBVIRT,
     "<feature enabled='no' name='secure-boot'/>", "q35"},
    {"a limit that limits nothing is none", "memsize = \"64\"\nsched.mem.max = \"64\"\n",
     IREKO_AS_LIBVIRT, "</domain>", "memtune"},
    {"unlimited is no limit", "sched.mem.max = \"unlimited\"\n", IREKO_AS_LIBVIRT, "</domain>",
     "memtune"},
    {"half of a generation ID is none", "vm.genid = \"1\"\n", IREKO_AS_LIBVIRT, "</domain>",
     "genid"},
    {"an affinity that is no list is none", "sched.cpu.affinity = \"0,x\"\n", IREKO_AS_LIBVIRT,
     "</domain>", "cpuset"},
    {"two controllers of a kind need the ICH9",
     "scsi0.present = \"1\"\nscsi1.present = \"1\"\nscsi0:0.present = \"1\"\n"
     "scsi1:0.present = \"1\"\nscsi0:0.fileName = \"a.vmdk\"\nscsi1:0.fileName = \"b.vmdk\"\n",
     IREKO_AS_VIRTUALBOX, "--chipset ich9", NULL},
    {"one of a kind does not",
     "scsi0.present = \"1\"\nscsi0:0.present = \"1\"\nscsi0:0.fileName = \"a.vmdk\"\n",
     IREKO_AS_VIRTUALBOX, "--chipset piix3", NULL},
    {"the ninth card needs the ICH9", "ethernet8.present = \"TRUE\"\n", IREKO_AS_VIRTUALBOX,
     "--chipset ich9", NULL},
    {"what VirtualBox attaches no image of is copied",
     "scsi0.present = \"1\"\nscsi0:0.present = \"1\"\nscsi0:0.fileName = \"a.img\"\n",
     IREKO_AS_VIRTUALBOX, "convertfromraw", NULL},
    {"an NVMe disk that moves stays an SSD",
     "nvme0.present = \"1\"\nnvme0:0.present = \"1\"\nnvme0:0.fileName = \"a.vmdk\"\n",
     IREKO_AS_LIBVIRT, "bus='sata' rotation_rate='1'", NULL},
};

static void
test_words(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_test_message("%s", words[i].label);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = ireko_vmx_parse(words[i].vmx, strlen(words[i].vmx), NULL);
        g_autofree char *text = ireko_convert(doc, "/lab/a.vmx", words[i].target, NULL, &error);
        g_assert_no_error(error);
        g_assert_nonnull(strstr(text, words[i].has));
        g_assert_true(words[i].lacks == NULL || strstr(text, words[i].lacks) == NULL);
    }
}

static void
test_no_machine_no_text(void)
{
    static const char vmx[] = "numvcpus = \"many\"\n";
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(vmx, strlen(vmx), NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GError) error = NULL;
        GPtrArray *account = NULL;
        g_assert_null(ireko_convert(doc, "a.vmx", targets[i].target, &account, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        g_assert_null(account);
    }
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
        add("VirtualBox is called", &rows[i], test_virtualbox_is_called);
        if (rows[i].starts)
            add("QEMU starts it", &rows[i], test_qemu_starts);
    }
    g_test_add_func("/convert/libvirt's schema refuses what is no domain", test_schema_refuses);
    g_test_add_func("/convert/targets have names", test_target_names);
    g_test_add_func("/convert/what a line becomes", test_words);
    g_test_add_func("/convert/what is no machine is an error", test_no_machine_no_text);
    return g_test_run();
}
