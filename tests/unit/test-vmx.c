/* vmx: VMware's grammar, byte for byte; values as text; what is not a .vmx. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include <ireko/vmx.h>

#include "base/file.h"

static IrekoVmx *
parse(const char *bytes, size_t len)
{
    g_autoptr(GError) error = NULL;
    IrekoVmx *doc = ireko_vmx_parse(bytes, len, &error);
    g_assert_no_error(error);
    return doc;
}

static void
assert_prints_back(const char *bytes, size_t len)
{
    g_autoptr(IrekoVmx) doc = parse(bytes, len);
    size_t out_len = 0;
    g_autofree char *out = ireko_vmx_print(doc, &out_len);
    g_assert_cmpmem(out, out_len, bytes, len);
}

static void
test_a_line_is_read_as_vmware_reads_it(void)
{
#define LINE(text) (text), sizeof(text) - 1
    static const struct {
        const char *label, *bytes;
        size_t len;
        const char *name, *value; /* name NULL: malformed; value NULL too: no entry at all */
    } rows[] = {
        {"a quoted value", LINE("a = \"b\"\n"), "a", "b"},
        {"no blanks are needed", LINE("a=\"b=c\""), "a", "b=c"},
        {"blanks and tabs may stand anywhere between", LINE(" \ta\t= \t\"b\" \t\n"), "a", "b"},
        {"a value without quotes", LINE("x = 1\n"), "x", "1"},
        {"a value without quotes has no blanks", LINE("x = v w\n"), NULL, "x = v w"},
        {"a value without quotes may hold a quote", LINE("x = a\"b\n"), "x", "a\"b"},
        {"no value is the empty one", LINE("x =\n"), "x", ""},
        {"no value before a comment", LINE("x = # c\n"), "x", ""},
        {"a comment after quotes is no value", LINE("x = \"a\" # c\n"), "x", "a"},
        {"a comment needs no blank", LINE("x = a#c\n"), "x", "a"},
        {"# in quotes is no comment", LINE("x = \"a # c\"\n"), "x", "a # c"},
        {"a quote inside quotes is malformed", LINE("x = \"a\"b\"\n"), NULL, "x = \"a\"b\""},
        {"quotes that do not end are malformed", LINE("x = \"a\n"), NULL, "x = \"a"},
        {"a line without = is malformed", LINE("hello\n"), NULL, "hello"},
        {"a line without a name is malformed", LINE("= \"a\"\n"), NULL, "= \"a\""},
        {"a name has no blanks", LINE("a b = c\n"), NULL, "a b = c"},
        {"a name may have any other byte", LINE("\"\xe5\x85/:! = 1\n"), "\"\xe5\x85/:!", "1"},
        {"a comment is no entry", LINE("  # x = \"y\"\n"), NULL, NULL},
        {"the line #! is a comment", LINE("#!/usr/bin/vmware\n"), NULL, NULL},
        {"a blank line is no entry", LINE(" \t\r\n"), NULL, NULL},
        {"CRLF ends a line", LINE("a = b\r\n"), "a", "b"},
        {"a lone CR ends a line", LINE("a = \"b\"\r"), "a", "b"},
        {"the last line needs no end", LINE("a = b"), "a", "b"},
        {"the mark of UTF-8 is not of the name",
         LINE("\xef\xbb\xbf"
              "a = b\n"),
         "a", "b"},
        {"a NUL ends what is read of a line", LINE("a = \"b\"\0 x\n"), "a", "b"},
        {"a NUL in quotes is malformed", LINE("a = \"b\0c\"\n"), NULL, "a = \"b"},
        {"a NUL at the begin is malformed", LINE("\0a = b\n"), NULL, ""},
        {"|XX is a byte", LINE("a = \"x|22|7Cy\"\n"), "a", "x\"|y"},
        {"|XX is a byte without quotes too", LINE("a = x|20y\n"), "a", "x y"},
        {"the hex digits have any case", LINE("a = |4a|4A"), "a", "JJ"},
        {"| without digits stays", LINE("a = \"|\" # |"), "a", "|"},
        {"| with one digit stays", LINE("a = |2"), "a", "|2"},
        {"||22 stays", LINE("a = ||22"), "a", "||22"},
        {"|2|22 stays", LINE("a = |2|22"), "a", "|2|22"},
        {"|2g22 stays", LINE("a = |2g|22"), "a", "|2g\""},
        {"|00 ends the value", LINE("a = b|00c"), "a", "b"},
        {"bytes that are no UTF-8 become U+FFFD", LINE("a = x\xffy"), "a", "x\xef\xbf\xbdy"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        assert_prints_back(rows[i].bytes, rows[i].len);
        g_autoptr(IrekoVmx) doc = parse(rows[i].bytes, rows[i].len);
        bool entry_wanted = rows[i].name != NULL || rows[i].value != NULL;
        g_assert_cmpuint(ireko_vmx_count(doc), ==, entry_wanted ? 1 : 0);
        if (!entry_wanted)
            continue;
        IrekoVmxEntry entry = ireko_vmx_entry(doc, 0);
        g_autofree char *value = ireko_vmx_entry_value(doc, 0);
        g_assert_cmpuint(entry.line, ==, 1);
        if (rows[i].name == NULL) {
            g_assert_null(entry.name);
            g_assert_null(value);
            g_autofree char *raw = g_strndup(entry.raw, entry.raw_len);
            g_assert_cmpstr(raw, ==, rows[i].value);
            continue;
        }
        g_assert_cmpmem(entry.name, entry.name_len, rows[i].name, strlen(rows[i].name));
        g_assert_cmpstr(value, ==, rows[i].value);
    }
#undef LINE
}

static void
test_lines_are_counted_whatever_ends_them(void)
{
    static const char text[] = "# c\r\na = 1\rb = 2\n\n\r\rc = 3\r\n\nd = \"4";
    static const unsigned lines[] = {2, 3, 7, 9};
    g_autoptr(IrekoVmx) doc = parse(text, strlen(text));
    g_assert_cmpuint(ireko_vmx_count(doc), ==, G_N_ELEMENTS(lines));
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        g_assert_cmpuint(ireko_vmx_entry(doc, i).line, ==, lines[i]);
}

static void
test_keys_have_any_case_and_the_first_counts(void)
{
    static const char text[] = "memsize = \"1\nmemSize = \"256\"\nMEMSIZE = 512\nmem = 2\na=b=c\n";
    g_autoptr(IrekoVmx) doc = parse(text, strlen(text));
    unsigned line = 0;
    g_autofree char *value = ireko_vmx_get(doc, "MemSize", &line);
    g_assert_cmpstr(value, ==, "256");
    g_assert_cmpuint(line, ==, 2);
    g_assert_null(ireko_vmx_get(doc, "memsi", NULL));
    g_assert_null(ireko_vmx_get(doc, "memsize2", NULL));
    g_assert_null(ireko_vmx_get(doc, "a=b", NULL));
    g_assert_null(ireko_vmx_get(doc, "", NULL));
}

static void
append_pair(void *data, size_t first, size_t again)
{
    g_string_append_printf(data, "%zu-%zu ", first, again);
}

static void
test_duplicates_name_the_entry_that_counts(void)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a = 1\nb = 2\n", ""},
        {"a = 1\nb = 2\nA = 3\n", "0-2 "},
        {"b = 1\na = 2\nB = 3\nab = 9\na = 4\nb = 5\n", "0-2 1-4 0-5 "},
        {"bad line\nbad line\na = 1\n", ""},
        {"", ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(IrekoVmx) doc = parse(rows[i].text, strlen(rows[i].text));
        g_autoptr(GString) got = g_string_new(NULL);
        ireko_vmx_duplicates(doc, append_pair, got);
        g_assert_cmpstr(got->str, ==, rows[i].want);
    }
}

static void
test_values_are_converted_as_the_encoding_says(void)
{
    static const struct {
        const char *encoding, *raw, *want;
    } rows[] = {
        {"UTF-8", "\xe5\x85\xa5", "\xe5\x85\xa5"},
        {"windows-1252", "\x80 \xe9", "\xe2\x82\xac \xc3\xa9"},
        {"windows-1252", "a\x81z", "a\xef\xbf\xbdz"},
        {"Shift_JIS", "\x93\xfc\x8e\x71", "\xe5\x85\xa5\xe5\xad\x90"},
        {"shift_jis", "C:\\\x93\xfc", "C:\\\xe5\x85\xa5"},
        {"Shift_JIS", "\x83|7C", "\xe3\x83\x9d"}, /* its second byte is | */
        {"Shift_JIS", "a\x93", "a\xef\xbf\xbd"},
        {"no-such-thing", "a\xff", "a\xef\xbf\xbd"},
        {"UTF-16//TRANSLIT", "a", "a"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text =
            g_strdup_printf("a = \"%s\"\n.Encoding = \"%s\"\n", rows[i].raw, rows[i].encoding);
        g_autoptr(IrekoVmx) doc = parse(text, strlen(text));
        g_autofree char *got = ireko_vmx_get(doc, "a", NULL);
        g_assert_cmpstr(got, ==, rows[i].want);
    }
}

/* Pieces that the grammar turns on, at random: far likelier to meet an edge than random bytes. */
static GString *
random_document(void)
{
    static const char *const pieces[] = {
        "a",
        "scsi0:1.present",
        " ",
        "\t",
        "=",
        " = ",
        "\"",
        "\"x y\"",
        "#",
        "# c",
        "\n",
        "\r",
        "\r\n",
        "|",
        "|22",
        "||",
        "|00",
        "\xef\xbb\xbf",
        "\xff",
        "\xe5\x85\xa5",
        ".encoding = ",
        "windows-1252",
        "Shift_JIS",
        "TRUE",
    };
    GString *text = g_string_new(NULL);
    for (int n = g_test_rand_int_range(0, 60); n > 0; n--) {
        int pick = g_test_rand_int_range(-1, G_N_ELEMENTS(pieces));
        if (pick < 0)
            g_string_append_c(text, (char)g_test_rand_int_range(0, 256));
        else
            g_string_append(text, pieces[pick]);
    }
    return text;
}

static void
count_call(void *data, size_t first, size_t again)
{
    g_assert_cmpuint(first, <, again);
    (*(size_t *)data)++;
}

static void
test_any_document_prints_back(void)
{
    for (int round = 0; round < 500; round++) {
        g_autoptr(GString) text = random_document();
        assert_prints_back(text->str, text->len);

        g_autoptr(IrekoVmx) doc = parse(text->str, text->len);
        size_t repeated = 0, found = 0;
        ireko_vmx_duplicates(doc, count_call, &repeated);
        for (size_t i = 0; i < ireko_vmx_count(doc); i++) {
            IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
            g_autofree char *value = ireko_vmx_entry_value(doc, i);
            g_assert_cmpint(value == NULL, ==, entry.name == NULL);
            if (value == NULL)
                continue;
            g_assert_true(g_utf8_validate(value, -1, NULL));
            g_autofree char *name = g_strndup(entry.name, entry.name_len);
            unsigned line = 0;
            g_autofree char *first = ireko_vmx_get(doc, name, &line);
            g_assert_nonnull(first);
            found += line < entry.line;
        }
        g_assert_cmpuint(found, ==, repeated); /* get and duplicates agree on which counts */
    }
}

static void
test_a_document_over_the_limit_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_vmx_parse("", IREKO_VMX_BYTES_MAX + 1, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE);
}

static char *
write_file(const char *dir, const char *bytes, size_t len)
{
    char *path = g_build_filename(dir, "test.vmx", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_file_replace(path, bytes, len, 0600, &error));
    return path;
}

static void
test_what_is_not_a_vmx_is_named(void)
{
#define FILE_OF(text) (text), sizeof(text) - 1
    static const struct {
        const char *bytes;
        size_t len;
        const char *says;
    } rows[] = {
        {FILE_OF(""), "is empty"},
        {FILE_OF(" \n\n# nothing\n"), "no line in it is of the form"},
        {FILE_OF("name: workshop\nmachines:\n"), "no line in it is of the form"},
        {FILE_OF(".encoding = \"UTF-8\"\nsnapshot.lastUID = \"1\"\n"), "(.vmsd)"},
        {FILE_OF("KDMV\1\0\0\0"), "a VMware disk"},
        {FILE_OF("# Disk DescriptorFile\nversion=1\nCID=fffffffe\n"), "disk descriptor"},
        {FILE_OF("\xef\xbb\xbf\r\n# disk descriptorfile\r\n"), "disk descriptor"},
        {FILE_OF("<?xml version=\"1.0\"?>\n<Foundry>\n<VM>"), "(.vmxf)"},
        {FILE_OF("<?xml version=\"1.0\"?>\n<ovf:Envelope xmlns=\"x\">"), "ovftool"},
        {FILE_OF(" <Envelope vmw:buildId=\"1\">"), "an OVF description"},
        {FILE_OF("<html><body class=\"x\">"), "an XML file"},
        {FILE_OF("MRVN\1\0\0\0"), "(.nvram)"},
        {FILE_OF("\xd2\xbe\xd2\xbe\1\0"), "(.vmss, .vmsn)"},
        {FILE_OF("PK\3\4\0\0"), "a zip archive, not a .vmx: unpack"},
        {FILE_OF("\x1f\x8b\x08\0"), "a gzip archive"},
        {FILE_OF("\x7f"
                 "ELF\2\1\1\0"),
         "(ELF)"},
        {FILE_OF("QFI\xfb\0\0\0\3"), "(qcow2)"},
        {FILE_OF("%PDF-1.7\n"), "a PDF"},
        {FILE_OF("\xff\xfe"
                 "a\0=\0b\0\n\0"),
         "UTF-16 text, not a .vmx: save"},
        {FILE_OF("\xfe\xff\0a"), "UTF-16 text"},
        {FILE_OF("a\0 \0=\0 \0"), "UTF-16 text"},
        {FILE_OF("\0a\0 \0=\0 "), "UTF-16 text"},
        {FILE_OF("a = b\0\1\2"), "a binary file"},
        {FILE_OF("a = b\nencryption.keySafe = \"x\"\n"), "test.vmx:2: the machine is encrypted"},
        {FILE_OF("encryption.data = \"x\"\n"), "remove the encryption in VMware"},
    };
    g_autofree char *dir = g_dir_make_tmp("ireko-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = write_file(dir, rows[i].bytes, rows[i].len);
        g_assert_null(ireko_vmx_load(path, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        if (strstr(error->message, rows[i].says) == NULL)
            g_error("row %zu: want '%s', got '%s'", i, rows[i].says, error->message);
    }
    g_assert_true(ireko_file_remove_tree(dir, NULL));
#undef FILE_OF
}

static void
test_what_stands_deep_in_a_file_is_named(void)
{
    static const struct {
        size_t at;
        const char *magic, *says;
    } rows[] = {
        {257, "ustar", "a tar archive or an OVA"},
        {510, "\x55\xaa", "a disk image"},
        {0x8001, "CD001", "a CD image"},
    };
    g_autofree char *dir = g_dir_make_tmp("ireko-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *bytes = g_malloc0(0x9000);
        memcpy(bytes + rows[i].at, rows[i].magic, strlen(rows[i].magic));
        g_autofree char *path = write_file(dir, bytes, 0x9000);
        g_assert_null(ireko_vmx_load(path, &error));
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

static void
test_folders_pipes_and_missing_files_are_refused(void)
{
    g_autofree char *dir = g_dir_make_tmp("ireko-XXXXXX", NULL);
    g_autofree char *pipe_path = g_build_filename(dir, "pipe", NULL);
    g_autofree char *missing = g_build_filename(dir, "missing.vmx", NULL);
    g_assert_cmpint(mkfifo(pipe_path, 0600), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_vmx_load(dir, &error));
    g_assert_nonnull(strstr(error->message, "is a folder, not a .vmx: give the .vmx file inside"));
    g_clear_error(&error);
    g_assert_null(ireko_vmx_load(pipe_path, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    g_clear_error(&error);
    g_assert_null(ireko_vmx_load(missing, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

static void
test_a_vmx_needs_no_config_version(void)
{
    static const char text[] = "junk line\r\nmemsize = \"256\"\r\n";
    g_autofree char *dir = g_dir_make_tmp("ireko-XXXXXX", NULL);
    g_autofree char *path = write_file(dir, text, strlen(text));
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, &error);
    g_assert_no_error(error);
    size_t len = 0;
    g_autofree char *out = ireko_vmx_print(doc, &len);
    g_assert_cmpmem(out, len, text, strlen(text));
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

/* Each line is read once: a long one among many is compared by its name alone. */
static void
test_a_long_line_among_many_keys_is_no_wait(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *rest = g_strnfill(1 << 20, 'x');
    for (unsigned i = 0; i < 50000; i++)
        g_string_append_printf(text, "a%06u = 1\n", i);
    g_string_append_printf(text, "a0 = \"%s\"\n", rest);
    for (unsigned i = 0; i < 50000; i++)
        g_string_append_printf(text, "b%06u = 1\n", i);
    g_string_append_printf(text, "b0 = \"%s\"\nA0 = 1\n", rest);
    g_autoptr(IrekoVmx) doc = parse(text->str, text->len);
    size_t repeated = 0;
    gint64 begin = g_get_monotonic_time();
    ireko_vmx_duplicates(doc, count_call, &repeated);
    g_assert_cmpuint(repeated, ==, 1);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 10 * G_USEC_PER_SEC);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmx/line-is-read-as-vmware-reads-it", test_a_line_is_read_as_vmware_reads_it);
    g_test_add_func("/vmx/lines-are-counted-whatever-ends-them",
                    test_lines_are_counted_whatever_ends_them);
    g_test_add_func("/vmx/keys-have-any-case-and-the-first-counts",
                    test_keys_have_any_case_and_the_first_counts);
    g_test_add_func("/vmx/duplicates-name-the-entry-that-counts",
                    test_duplicates_name_the_entry_that_counts);
    g_test_add_func("/vmx/long-line-among-many-keys-is-no-wait",
                    test_a_long_line_among_many_keys_is_no_wait);
    g_test_add_func("/vmx/values-are-converted-as-the-encoding-says",
                    test_values_are_converted_as_the_encoding_says);
    g_test_add_func("/vmx/any-document-prints-back", test_any_document_prints_back);
    g_test_add_func("/vmx/document-over-the-limit-is-refused",
                    test_a_document_over_the_limit_is_refused);
    g_test_add_func("/vmx/what-is-not-a-vmx-is-named", test_what_is_not_a_vmx_is_named);
    g_test_add_func("/vmx/what-stands-deep-in-a-file-is-named",
                    test_what_stands_deep_in_a_file_is_named);
    g_test_add_func("/vmx/folders-pipes-and-missing-files-are-refused",
                    test_folders_pipes_and_missing_files_are_refused);
    g_test_add_func("/vmx/a-vmx-needs-no-config-version", test_a_vmx_needs_no_config_version);
    return g_test_run();
}
