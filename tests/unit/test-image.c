/* Image: the formats that a build reads and writes, and what a store of images says. */
#include <elf.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ireko/image.h>

#include "base/file.h"
#include "image/cpio.h"
#include "image/elffile.h"
#include "image/modules.h"
#include "image/packages.h"
#include "image/run.h"
#include "image/store.h"

/* --- helpers ---------------------------------------------------------------------------------- */

static void
write_file(const char *dir, const char *name, const void *data, size_t len)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    g_assert_true(ireko_file_replace(path, data, len, 0644, NULL));
}

static char *
make_dir(void)
{
    return g_dir_make_tmp("ireko-image-XXXXXX", NULL);
}

static void
drop_dir(const char *dir)
{
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

/* An ELF file of one section SECTION with LEN bytes DATA, and its table of names. */
static GByteArray *
make_elf(const char *section, const void *data, size_t len)
{
    GByteArray *elf = g_byte_array_new();
    g_autoptr(GByteArray) names = g_byte_array_new();
    g_byte_array_append(names, (const guint8 *)"", 1);
    g_byte_array_append(names, (const guint8 *)section, (guint)strlen(section) + 1);

    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_machine = EM_X86_64,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 2,
        .e_shstrndx = 1,
    };
    header.e_shoff = sizeof header + len + names->len;
    Elf64_Shdr sections[2] = {
        {.sh_name = 1, .sh_offset = sizeof header, .sh_size = len},
        {.sh_name = 0, .sh_offset = sizeof header + len, .sh_size = names->len},
    };
    g_byte_array_append(elf, (const guint8 *)&header, sizeof header);
    g_byte_array_append(elf, data, (guint)len);
    g_byte_array_append(elf, names->data, names->len);
    g_byte_array_append(elf, (const guint8 *)sections, sizeof sections);
    return elf;
}

static void
write_module(const char *dir, const char *name, const char *info, size_t len)
{
    g_autoptr(GByteArray) elf = make_elf(".modinfo", info, len);
    write_file(dir, name, elf->data, elf->len);
}

#define WRITE_MODULE(dir, name, info) write_module(dir, name, info, sizeof(info))

/* --- packages --------------------------------------------------------------------------------- */

static void
test_an_apt_line_is_a_package_where_the_images_use_it(void)
{
    static const struct {
        const char *line, *name, *version;
    } rows[] = {
        {"'http://d/x' libc6_2.36-9_amd64.deb 10 MD5Sum:0", "libc6", "2.36-9"},
        {"'http://d/x' zlib1g_1%3a1.2.13_amd64.deb 10 MD5Sum:0", "zlib1g", "1:1.2.13"},
        {"'http://d/x' qemu-system-x86_1%3a7.2+dfsg_amd64.deb 1 S:0", "qemu-system-x86",
         "1:7.2+dfsg"},
        {"'http://d/x' initramfs-tools_0.142_all.deb 10 MD5Sum:0", NULL, NULL},
        {"'http://d/x' lib/../etc_1_all.deb 10 MD5Sum:0", NULL, NULL},
        {"'http://d/x' libc6.deb 10 MD5Sum:0", NULL, NULL},
        {"'http://d/x' libc6_1%00_amd64.deb 10 MD5Sum:0", NULL, NULL},
        {"'http://d/x'", NULL, NULL},
        {"Reading package lists...", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ImagePackage *package = image_package_from_uri_line(rows[i].line);
        g_assert_cmpstr(package != NULL ? package->name : NULL, ==, rows[i].name);
        g_assert_cmpstr(package != NULL ? package->version : NULL, ==, rows[i].version);
        image_package_free(package);
    }
}

/* --- programs --------------------------------------------------------------------------------- */

static void
append_line(void *data, const char *line)
{
    g_string_append_printf(data, "%s|", line);
}

static void
test_a_program_gives_its_lines_or_its_last_words(void)
{
    static const struct {
        const char *argv[4];
        const char *lines;
        int code; /* -1: succeeds */
        const char *words;
    } rows[] = {
        {{"printf", "a\\nb", NULL}, "a|b|", -1, NULL},
        {{"ls", "/no/such/folder", NULL}, "", IREKO_ERROR_IO, "/no/such/folder"},
        {{"no-such-program", NULL}, "", IREKO_ERROR_NOT_FOUND, "install the package 'the-package'"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) lines = g_string_new(NULL);
        ImageCommand command = {.argv = rows[i].argv,
                                .package = "the-package",
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .cancel_fd = -1,
                                .line = append_line,
                                .data = lines};
        g_assert_cmpint(image_run(&command, &error), ==, rows[i].code < 0);
        g_assert_cmpstr(lines->str, ==, rows[i].lines);
        if (rows[i].code < 0)
            continue;
        g_assert_error(error, IREKO_ERROR, rows[i].code);
        g_assert_nonnull(strstr(error->message, rows[i].words));
    }
}

static void
test_a_cancelled_program_is_ended_at_once(void)
{
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    const char *const argv[] = {"sleep", "60", NULL};
    ImageCommand command = {.argv = argv,
                            .package = "coreutils",
                            .stdin_fd = -1,
                            .stdout_fd = -1,
                            .cancel_fd = ends[0]};
    g_autoptr(GError) error = NULL;
    gint64 begin = g_get_monotonic_time();
    g_assert_false(image_run(&command, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_CANCELLED);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 10 * G_USEC_PER_SEC);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* --- formats ---------------------------------------------------------------------------------- */

static void
test_an_archive_is_in_the_newc_form(void)
{
    g_autoptr(GByteArray) archive = g_byte_array_new();
    image_cpio_add_folder(archive, "dev");
    image_cpio_add_device(archive, "dev/console", 5, 1);
    image_cpio_add_file(archive, "init", 0755, "hello", 5);
    image_cpio_end(archive);

    static const char want[] = "070701"
                               "00000000"
                               "000041ed"
                               "00000000"
                               "00000000"
                               "00000001"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000004"
                               "00000000"
                               "dev\0\0\0"
                               "070701"
                               "00000000"
                               "00002180"
                               "00000000"
                               "00000000"
                               "00000001"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000005"
                               "00000001"
                               "0000000c"
                               "00000000"
                               "dev/console\0\0\0"
                               "070701"
                               "00000000"
                               "000081ed"
                               "00000000"
                               "00000000"
                               "00000001"
                               "00000000"
                               "00000005"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000005"
                               "00000000"
                               "init\0\0hello\0\0\0"
                               "070701"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000001"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "00000000"
                               "0000000b"
                               "00000000"
                               "TRAILER!!!\0\0\0";
    g_assert_cmpmem(archive->data, archive->len, want, sizeof want);
}

static void
test_a_broken_elf_file_has_no_information(void)
{
    static const char info[] = "alias=pci:a\0depends=b\0alias=pci:c";
    g_autoptr(GByteArray) elf = make_elf(".modinfo", info, sizeof info);
    g_autoptr(GPtrArray) whole = image_elf_modinfo(elf->data, elf->len, "alias");
    g_assert_cmpuint(whole->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(whole, 1), ==, "pci:c");

    for (size_t len = 0; len < elf->len; len++) { /* cut anywhere: the sections stand at its end */
        g_autofree void *cut = g_memdup2(elf->data, len);
        g_autoptr(GPtrArray) values = image_elf_modinfo(cut, len, "alias");
        g_assert_cmpuint(values->len, ==, 0);
        g_assert_false(image_elf_has_pvh(cut, len));
    }
}

static void
test_any_changed_byte_of_an_elf_file_is_survived(void)
{
    static const char info[] = "alias=pci:a\0depends=b";
    g_autoptr(GByteArray) elf = make_elf(".modinfo", info, sizeof info);
    for (size_t at = 0; at < elf->len; at++) {
        static const guint8 values[] = {0x00, 0x7f, 0x80, 0xff};
        for (size_t v = 0; v < G_N_ELEMENTS(values); v++) {
            g_autofree guint8 *copy = g_memdup2(elf->data, elf->len);
            copy[at] = values[v];
            g_autoptr(GPtrArray) found = image_elf_modinfo(copy, elf->len, "alias");
            g_assert_cmpuint(found->len, <=, 2);
            (void)image_elf_has_pvh(copy, elf->len);
        }
    }
}

static void
test_only_a_kernel_with_the_note_has_a_pvh_entry(void)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        Elf64_Nhdr note;
        char name[4];
        uint32_t entry;
    } kernel = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
                   .e_machine = EM_X86_64,
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_NOTE,
                    .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                    .p_filesz = sizeof(Elf64_Nhdr) + 8},
        .note = {.n_namesz = 4, .n_descsz = 4, .n_type = 18},
        .name = "Xen",
    };
    g_assert_true(image_elf_has_pvh(&kernel, sizeof kernel));
    kernel.note.n_type = 17;
    g_assert_false(image_elf_has_pvh(&kernel, sizeof kernel));
    kernel.note.n_type = 18;
    kernel.header.e_machine = EM_AARCH64;
    g_assert_false(image_elf_has_pvh(&kernel, sizeof kernel));
}

static void
test_a_signature_is_cut_off_a_module(void)
{
    static const char signed_module[] = "module"
                                        "SIG"
                                        "\0\0\2\0\0\0\0\0\0\0\0\3"
                                        "~Module signature appended~\n";
    static const char liar[] = "m"
                               "\0\0\2\0\0\0\0\0\xff\xff\xff\xff"
                               "~Module signature appended~\n";
    g_assert_cmpuint(image_elf_unsigned_len(signed_module, sizeof signed_module - 1), ==, 6);
    g_assert_cmpuint(image_elf_unsigned_len(liar, sizeof liar - 1), ==, sizeof liar - 1);
    g_assert_cmpuint(image_elf_unsigned_len("plain", 5), ==, 5);
}

/* --- driver lists ----------------------------------------------------------------------------- */

static void
test_a_driver_comes_behind_what_it_depends_on(void)
{
    g_autofree char *dir = make_dir();
    WRITE_MODULE(dir, "6.1/kernel/kvm.ko", "depends=irqbypass");
    WRITE_MODULE(dir, "6.1/kernel/kvm-amd.ko", "depends=kvm,ccp");
    WRITE_MODULE(dir, "6.1/kernel/kvm-intel.ko", "depends=kvm");
    WRITE_MODULE(dir, "6.1/drivers/ccp.ko", "depends=");
    WRITE_MODULE(dir, "6.1/virt/irqbypass.ko", "depends=");
    WRITE_MODULE(dir, "6.1/net/vmxnet3.ko",
                 "depends=\0alias=pci:v15AD\0alias=of:none\0alias=pci:vB");
    WRITE_MODULE(dir, "6.1/net/e1000.ko", "alias=pci:e1000");
    WRITE_MODULE(dir, "6.1/net/e1000e.ko", "alias=pci:e1000e");
    WRITE_MODULE(dir, "6.1/net/pcnet32.ko", "alias=pci:pcnet\0depends=mii");
    WRITE_MODULE(dir, "6.1/net/mii.ko", "depends=");

    g_autoptr(GError) error = NULL;
    g_autoptr(ImageModules) modules = image_modules_open(dir, &error);
    g_assert_no_error(error);
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *list = image_modules_list(modules, "drivers", true, files, &error);
    g_assert_no_error(error);
    g_auto(GStrv) lines = g_strsplit(list, "\n", -1);
    g_assert_true(g_str_has_prefix(lines[0], "cpu:svm irqbypass.ko kvm.ko"));
    g_assert_true(g_str_has_suffix(lines[0], " ccp.ko kvm_amd.ko"));
    g_assert_cmpstr(lines[2], ==, "pci:v15AD,pci:vB vmxnet3.ko");
    g_assert_cmpstr(lines[5], ==, "pci:pcnet mii.ko pcnet32.ko");
    g_assert_true(g_hash_table_contains(files, "kvm_amd.ko"));

    g_autofree char *leaf = image_modules_list(modules, "drivers", false, files, &error);
    g_assert_null(strstr(leaf, "kvm"));
    drop_dir(dir);
}

static void
test_a_broken_chain_of_modules_is_an_error(void)
{
    static const struct {
        const char *info;
        size_t len;
        int code;
    } rows[] = {
        {"depends=sr-mod", sizeof "depends=sr-mod", IREKO_ERROR_SYNTAX},
        {"depends=cdrom", sizeof "depends=cdrom", IREKO_ERROR_NOT_FOUND},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *dir = make_dir();
        write_module(dir, "sr_mod.ko", rows[i].info, rows[i].len);
        g_autoptr(GError) error = NULL;
        g_autoptr(ImageModules) modules = image_modules_open(dir, NULL);
        g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_assert_null(image_modules_list(modules, "late", false, files, &error));
        g_assert_error(error, IREKO_ERROR, rows[i].code);
        drop_dir(dir);
    }
}

/* --- the store -------------------------------------------------------------------------------- */

#define HASH_A "00000000000000000000000000000001"
#define HASH_B "00000000000000000000000000000002"
#define HASH_C "00000000000000000000000000000003"

static void
make_image(const char *home, const char *hash, const char *name)
{
    g_autofree char *folder = g_build_filename(home, "images", hash, name, NULL);
    char label[16], cmdline[] = "quiet", digits[] = HASH_A;
    g_strlcpy(label, name, sizeof label);
    IrekoImage image = {.name = label, .hash = digits, .cmdline = cmdline};
    write_file(folder, "vmlinux", "k", 1);
    write_file(folder, "initrd", "i", 1);
    write_file(folder, "root.erofs", "r", 1);
    g_assert_true(image_manifest_write(&image, "libc6 2.36\n", folder, NULL));
}

static void
make_current(const char *home, const char *hash)
{
    g_autofree char *link = g_build_filename(home, "images", "current", NULL);
    (void)g_unlink(link);
    g_assert_cmpint(symlink(hash, link), ==, 0);
}

static void
test_an_image_is_found_whole_or_not_at_all(void)
{
    g_autofree char *home = make_dir();
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_image_find(home, "linux", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "ireko image build"));
    g_clear_error(&error);

    make_image(home, HASH_A, "linux");
    make_current(home, HASH_A);
    g_autoptr(IrekoImage) image = ireko_image_find(home, "linux", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(image->name, ==, "linux");
    g_assert_cmpstr(image->cmdline, ==, "quiet");
    g_assert_nonnull(strstr(image->root, HASH_A "/linux/root.erofs"));
    g_autoptr(GPtrArray) list = ireko_image_list(home);
    g_assert_cmpuint(list->len, ==, 1);

    g_assert_null(ireko_image_find(home, "windows", &error));
    g_assert_nonnull(strstr(error->message, "'kvm-host', 'linux'"));
    g_clear_error(&error);

    g_assert_cmpint(g_unlink(image->initrd), ==, 0);
    g_assert_null(ireko_image_find(home, "linux", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    drop_dir(home);
}

static void
test_a_broken_manifest_is_told(void)
{
    static const char *const rows[] = {"", "{", "[]", "{\"name\": 1}", "{\"name\": \"linux\"}"};
    g_autofree char *home = make_dir();
    make_image(home, HASH_A, "linux");
    make_current(home, HASH_A);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        write_file(home, "images/" HASH_A "/linux/manifest.json", rows[i], strlen(rows[i]));
        g_assert_null(ireko_image_find(home, "linux", &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    }
    drop_dir(home);
}

static bool
is_there(const char *home, const char *name)
{
    g_autofree char *path = g_build_filename(home, "images", name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void
test_the_current_images_and_the_ones_before_are_kept(void)
{
    g_autofree char *home = make_dir();
    g_autofree char *store = g_build_filename(home, "images", NULL);
    make_image(home, HASH_A, "linux");
    g_usleep(2000);
    make_image(home, HASH_B, "linux");
    g_usleep(2000);
    make_image(home, HASH_C, "linux");
    make_current(home, HASH_A);
    write_file(store, ".base-old/versions", "", 0);
    write_file(store, ".base-now/versions", "", 0);
    write_file(store, "notes.txt", "", 0);

    image_store_prune(store, ".base-now");
    g_assert_true(is_there(home, HASH_A)); /* the oldest, and current */
    g_assert_false(is_there(home, HASH_B));
    g_assert_true(is_there(home, HASH_C));
    g_assert_false(is_there(home, ".base-old"));
    g_assert_true(is_there(home, ".base-now"));
    g_assert_true(is_there(home, "notes.txt"));
    drop_dir(home);
}

static void
test_what_a_dead_builder_left_is_swept(void)
{
    g_autofree char *home = make_dir();
    g_autofree char *store = g_build_filename(home, "images", NULL);
    make_image(home, HASH_A, "linux");
    write_file(store, ".new-images/linux/vmlinux", "half", 4);
    image_store_sweep(store);
    g_assert_false(is_there(home, ".new-images"));
    g_assert_true(is_there(home, HASH_A));
    drop_dir(home);
}

/* --- the build -------------------------------------------------------------------------------- */

static void
append_step(void *data, const char *step, unsigned done, unsigned total)
{
    (void)done, (void)total;
    g_string_append_printf(data, "%s|", step);
}

static void
test_a_dry_run_says_what_a_build_would_do_and_does_nothing(void)
{
    g_autofree char *home = make_dir();
    write_file(home, "ireko", "program", 7);
    g_autofree char *program = g_build_filename(home, "ireko", NULL);
    g_autoptr(GString) steps = g_string_new(NULL);
    IrekoImageBuild build = {.home = home,
                             .program = program,
                             .dry_run = true,
                             .cancel_fd = -1,
                             .progress = append_step,
                             .data = steps};
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_image_build(&build, &error));
    g_assert_no_error(error);
    g_assert_nonnull(strstr(steps->str, "would ask apt"));
    g_assert_nonnull(strstr(steps->str, "would pack"));
    g_assert_false(is_there(home, ""));
    drop_dir(home);
}

static void
test_a_missing_program_is_told(void)
{
    g_autofree char *home = make_dir();
    IrekoImageBuild build = {.home = home, .program = "/no/such/ireko", .cancel_fd = -1};
    g_autoptr(GError) error = NULL;
    g_assert_false(ireko_image_build(&build, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    drop_dir(home);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add_func("/image/" name, function)
    ADD("an apt line is a package where the images use it",
        test_an_apt_line_is_a_package_where_the_images_use_it);
    ADD("a program gives its lines or its last words",
        test_a_program_gives_its_lines_or_its_last_words);
    ADD("a cancelled program is ended at once", test_a_cancelled_program_is_ended_at_once);
    ADD("an archive is in the newc form", test_an_archive_is_in_the_newc_form);
    ADD("a broken ELF file has no information", test_a_broken_elf_file_has_no_information);
    ADD("any changed byte of an ELF file is survived",
        test_any_changed_byte_of_an_elf_file_is_survived);
    ADD("only a kernel with the note has a PVH entry",
        test_only_a_kernel_with_the_note_has_a_pvh_entry);
    ADD("a signature is cut off a module", test_a_signature_is_cut_off_a_module);
    ADD("a driver comes behind what it depends on", test_a_driver_comes_behind_what_it_depends_on);
    ADD("a broken chain of modules is an error", test_a_broken_chain_of_modules_is_an_error);
    ADD("an image is found whole or not at all", test_an_image_is_found_whole_or_not_at_all);
    ADD("a broken manifest is told", test_a_broken_manifest_is_told);
    ADD("the current images and the ones before are kept",
        test_the_current_images_and_the_ones_before_are_kept);
    ADD("what a dead builder left is swept", test_what_a_dead_builder_left_is_swept);
    ADD("a dry run says what a build would do and does nothing",
        test_a_dry_run_says_what_a_build_would_do_and_does_nothing);
    ADD("a missing program is told", test_a_missing_program_is_told);
    return g_test_run();
}
