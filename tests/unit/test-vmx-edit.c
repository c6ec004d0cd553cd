/* vmx edits: the bytes of one value or of one line change, and no others. */
#include <glib.h>
#include <string.h>

#include <ireko/vmx.h>

#define BOM "\xef\xbb\xbf"

static IrekoVmx *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    IrekoVmx *doc = ireko_vmx_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    return doc;
}

static void
assert_text(const IrekoVmx *doc, const char *want)
{
    size_t len = 0;
    g_autofree char *got = ireko_vmx_print(doc, &len);
    g_assert_cmpuint(strlen(got), ==, len);
    g_assert_cmpstr(got, ==, want);
}

/* What the document knows of its lines is what a fresh look at its bytes gives. */
static void
assert_consistent(const IrekoVmx *doc)
{
    size_t len = 0;
    g_autofree char *bytes = ireko_vmx_print(doc, &len);
    g_autoptr(IrekoVmx) fresh = ireko_vmx_parse(bytes, len, NULL);
    g_assert_cmpuint(ireko_vmx_count(doc), ==, ireko_vmx_count(fresh));
    for (size_t i = 0; i < ireko_vmx_count(doc); i++) {
        IrekoVmxEntry a = ireko_vmx_entry(doc, i), b = ireko_vmx_entry(fresh, i);
        g_assert_cmpmem(a.name, a.name_len, b.name, b.name_len);
        g_assert_cmpmem(a.raw, a.raw_len, b.raw, b.raw_len);
        g_assert_cmpuint(a.line, ==, b.line);
        g_autofree char *a_value = ireko_vmx_entry_value(doc, i);
        g_autofree char *b_value = ireko_vmx_entry_value(fresh, i);
        g_assert_cmpstr(a_value, ==, b_value);
    }
}

static void
set(IrekoVmx *doc, const char *key, const char *value)
{
    g_autoptr(GError) error = NULL;
    bool done = ireko_vmx_set(doc, key, value, &error);
    g_assert_no_error(error);
    g_assert_true(done);
    assert_consistent(doc);
    g_autofree char *got = ireko_vmx_get(doc, key, NULL);
    g_assert_cmpstr(got, ==, value);
}

static void
test_setting_changes_the_value_and_setting_back_gives_the_same_bytes(void)
{
    static const struct {
        const char *label, *before, *key, *value, *after;
    } rows[] = {
        {"quotes stay", "a = \"1\"\n", "a", "2", "a = \"2\"\n"},
        {"no quotes stay none", "a = 1\n", "a", "2", "a = 2\n"},
        {"no blanks stay none", "a=1\nb=2", "b", "3", "a=1\nb=3"},
        {"case and blanks stay", "\tMemSize\t=  \"1\" \r\n", "memsize", "22",
         "\tMemSize\t=  \"22\" \r\n"},
        {"the comment behind stays", "a = \"1\" # one\n", "a", "2", "a = \"2\" # one\n"},
        {"a comment without a blank stays", "a = 1# one\n", "a", "22", "a = 22# one\n"},
        {"line ends stay", "x=1\r\na = 1\ry = 2\n", "a", "22", "x=1\r\na = 22\ry = 2\n"},
        {"the mark of UTF-8 stays", BOM "a = 1", "a", "2", BOM "a = 2"},
        {"what is malformed stays", "a = \"1\n\"\na = 1\n", "a", "2", "a = \"1\n\"\na = 2\n"},
        {"quotes hold an emptied value", "a = \"1\"\n", "a", "", "a = \"\"\n"},
        {"nothing is the empty value too", "a = 1\n", "a", "", "a = \n"},
        {"nothing without blanks", "a=1\n", "a", "", "a=\n"},
        {"nothing before a comment", "a = 1 # c\n", "a", "", "a =  # c\n"},
        {"nothing before a comment without blanks", "a=1 # c\n", "a", "", "a= # c\n"},
        {"a value where nothing was", "a = \n", "a", "1", "a = 1\n"},
        {"a value where nothing was, before a comment", "a =\t# c\n", "a", "1", "a =\t1# c\n"},
        {"quotes and bars are escaped", "a = \"x|7Cy\"\n", "a", "\"|\"", "a = \"|22|7C|22\"\n"},
        {"control bytes are escaped", "a = \"1\"\n", "a", "\x01\n\r\x1f\x7f",
         "a = \"|01|0A|0D|1F|7F\"\n"},
        {"a tab is not", "a = \"1\"\n", "a", "\t# c", "a = \"\t# c\"\n"},
        {"without quotes, blanks and # are", "a = 1\n", "a", "\"\t# c\"", "a = |22|09|23|20c|22\n"},
        {"UTF-8 is UTF-8", "a = \"1\"\n", "a", "\xe5\x85\xa5", "a = \"\xe5\x85\xa5\"\n"},
        {"in windows-1252 a letter is a byte", ".encoding = \"windows-1252\"\na = \"1\"\n", "a",
         "\xc3\xa9\xe2\x82\xac", ".encoding = \"windows-1252\"\na = \"\xe9\x80\"\n"},
        {"in Shift_JIS a bar inside a letter is escaped", ".encoding = \"Shift_JIS\"\na = \"1\"\n",
         "a", "C:\\\xe3\x83\x9d", ".encoding = \"Shift_JIS\"\na = \"C:\\\x83|7C\"\n"},
        {"an accent that stands apart", ".encoding = \"windows-1258\"\na = \"1\"\n", "a",
         "\xe1\xba\xbf", ".encoding = \"windows-1258\"\na = \"\xea\xec\"\n"},
        {"ASCII in an encoding that is not known", ".encoding = \"EBCDIC\"\na = 1\n", "a", "2",
         ".encoding = \"EBCDIC\"\na = 2\n"},
        {"an encoding where all is ASCII", ".encoding = \"UTF-8\"\na = 1\n", ".encoding",
         "Shift_JIS", ".encoding = \"Shift_JIS\"\na = 1\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(IrekoVmx) doc = parse(rows[i].before);
        g_autofree char *old = ireko_vmx_get(doc, rows[i].key, NULL);
        set(doc, rows[i].key, rows[i].value);
        assert_text(doc, rows[i].after);
        set(doc, rows[i].key, old);
        assert_text(doc, rows[i].before);
    }
}

static void
test_setting_what_is_set_touches_nothing(void)
{
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"a = \"|41b\"\n", "Ab"},           {"a = |31\n", "1"},
        {"a = \"x|00y\"\n", "x"},           {"a = \"||22\"\n", "||22"},
        {"a = \"\xff\"\n", "\xef\xbf\xbd"}, {"A=\n", ""},
        {".encoding = \"x\"\n", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(IrekoVmx) doc = parse(rows[i].text);
        set(doc, rows[i].value == NULL ? ".encoding" : "a", rows[i].value ? rows[i].value : "x");
        assert_text(doc, rows[i].text);
    }
}

static void
test_a_new_key_stands_beside_its_siblings_and_leaves_no_trace(void)
{
    static const struct {
        const char *label, *before, *key, *after;
    } rows[] = {
        {"in an empty file", "", "a", "a = \"v\"\n"},
        {"behind a mark of UTF-8", BOM, "a", BOM "a = \"v\"\n"},
        {"at the end", "x = \"1\"\ny = \"2\"\n", "a", "x = \"1\"\ny = \"2\"\na = \"v\"\n"},
        {"without a final newline", "x = 1\ny = 2", "a", "x = 1\ny = 2\na = \"v\""},
        {"without any newline", "x = 1", "a", "x = 1\na = \"v\""},
        {"behind a comment without a newline", "# c", "a", "# c\na = \"v\""},
        {"with the file's line end", "x = 1\r\n", "a", "x = 1\r\na = \"v\"\r\n"},
        {"with the line end of the line before", "x=1\r\ny=2", "a", "x=1\r\ny=2\r\na=\"v\""},
        {"with a lone CR", "x = 1\ry = 2", "a", "x = 1\ry = 2\ra = \"v\""},
        {"in a file of blank lines", "\r\n\r\n", "a", "\r\n\r\na = \"v\"\r\n"},
        {"with the neighbour's blanks", "  x\t=1\n", "a", "  x\t=1\n  a\t=\"v\"\n"},
        {"without blanks", "x=\"1\"\n", "a", "x=\"1\"\na=\"v\"\n"},
        {"beside a value that is not there", "x =   # c\n", "a", "x =   # c\na = \"v\"\n"},
        {"behind malformed lines", "x=1\nhm\n", "a", "x=1\nhm\na=\"v\"\n"},
        {"in the same device", "scsi0:1.present = 1\nscsi0:0.present = 1\nz = 1\n",
         "SCSI0:1.virtualSSD",
         "scsi0:1.present = 1\nSCSI0:1.virtualSSD = \"v\"\nscsi0:0.present = 1\nz = 1\n"},
        {"on the same controller", "scsi0.present = 1\nscsi0:0.fileName = x\nscsi1.present = 1\n",
         "scsi0:1.present",
         "scsi0.present = 1\nscsi0:0.fileName = x\nscsi0:1.present = \"v\"\nscsi1.present = 1\n"},
        {"between two units", "scsi0:0.x = 1\nscsi0:2.x = 1\n", "scsi0:1.x",
         "scsi0:0.x = 1\nscsi0:1.x = \"v\"\nscsi0:2.x = 1\n"},
        {"behind the card before it", "ethernet0.a = 1\nethernet2.a = 1\nz = 1\n", "ethernet1.a",
         "ethernet0.a = 1\nethernet1.a = \"v\"\nethernet2.a = 1\nz = 1\n"},
        {"beside a later card", "ethernet1.a = 1\nz = 1\n", "ethernet0.a",
         "ethernet1.a = 1\nethernet0.a = \"v\"\nz = 1\n"},
        {"not beside a kind that begins alike", "usb_xhci.present = 1\nusb.present = 1\nz = 1\n",
         "usb:1.present", "usb_xhci.present = 1\nusb.present = 1\nusb:1.present = \"v\"\nz = 1\n"},
        {"where more parts are the same", "r.v.a = 1\nr.b = 1\nz = 1\n", "R.V.c",
         "r.v.a = 1\nR.V.c = \"v\"\nr.b = 1\nz = 1\n"},
        {"vhv beside the CPUs", "numvcpus = 2\nmemsize = 4\nz = 1\n", "vhv.enable",
         "numvcpus = 2\nmemsize = 4\nvhv.enable = \"v\"\nz = 1\n"},
        {"vhv beside vpmc, if it is there", "numvcpus = 2\nz = 1\nvhv.allow = 1\ny = 1\n",
         "vhv.enable", "numvcpus = 2\nz = 1\nvhv.allow = 1\nvhv.enable = \"v\"\ny = 1\n"},
        {"a comment behind is not copied", "vhv.a = \"1\" # c\nz=1\n", "vhv.b",
         "vhv.a = \"1\" # c\nvhv.b = \"v\"\nz=1\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(IrekoVmx) doc = parse(rows[i].before);
        set(doc, rows[i].key, "v");
        assert_text(doc, rows[i].after);
        g_assert_cmpuint(ireko_vmx_unset(doc, rows[i].key), ==, 1);
        assert_consistent(doc);
        assert_text(doc, rows[i].before);
    }
}

static void
test_the_encoding_stands_first(void)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"", ".encoding = \"UTF-8\"\n"},
        {"a = 1", ".encoding = \"UTF-8\"\na = 1"},
        {"a = 1\r\n", ".encoding = \"UTF-8\"\r\na = 1\r\n"},
        {BOM "a = \xe5\x85\xa5\n", BOM ".encoding = \"UTF-8\"\na = \xe5\x85\xa5\n"},
        {"#!/usr/bin/vmware\na = 1\n", "#!/usr/bin/vmware\n.encoding = \"UTF-8\"\na = 1\n"},
        {"#!/usr/bin/vmware", "#!/usr/bin/vmware\n.encoding = \"UTF-8\""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(IrekoVmx) doc = parse(rows[i].before);
        set(doc, ".encoding", "UTF-8");
        assert_text(doc, rows[i].after);
        g_assert_cmpuint(ireko_vmx_unset(doc, ".Encoding"), ==, 1);
        assert_text(doc, rows[i].before);
    }
}

static void
test_what_cannot_be_set_is_refused_and_nothing_changes(void)
{
    static const struct {
        const char *before, *key, *value;
        int code;
        const char *says;
    } rows[] = {
        {"a = 1\n", "", "1", IREKO_ERROR_SYNTAX, "cannot be a key"},
        {"a = 1\n", "b c", "1", IREKO_ERROR_SYNTAX, "'b c' cannot be a key"},
        {"a = 1\n", "b=c", "1", IREKO_ERROR_SYNTAX, "cannot be a key"},
        {"a = 1\n", "#b", "1", IREKO_ERROR_SYNTAX, "cannot be a key"},
        {"a = 1\n", "\"b\"", "1", IREKO_ERROR_SYNTAX, "cannot be a key"},
        {"a = 1\n", "b\n", "1", IREKO_ERROR_SYNTAX, "cannot be a key"},
        {"a = 1\n", "\xe5\x85\xa5", "1", IREKO_ERROR_SYNTAX, "cannot be a key"},
        {"a = 1\n", "a", "\xff", IREKO_ERROR_SYNTAX, "not UTF-8"},
        {"a = 1\nA = 2\n\na = 1\n", "a", "1", IREKO_ERROR_STATE, "3 times (lines 1, 2, 4)"},
        {".encoding = windows-1252\na = 1\n", "a", "x\xe5\x85\xa5", IREKO_ERROR_UNSUPPORTED,
         "CP1252, has no '\xe5\x85\xa5' (U+5165)"},
        {".encoding = windows-1258\na = 1\n", "a", "\xc3\xaa\xcc\x81", IREKO_ERROR_UNSUPPORTED,
         "another"},
        {".encoding = EBCDIC\na = 1\n", "a", "\xc3\xa9", IREKO_ERROR_UNSUPPORTED, "'EBCDIC'"},
        {"a = 1\n", ".encoding", "UTF-16", IREKO_ERROR_UNSUPPORTED, "'UTF-16'"},
        {"# \xc3\xa9\n.encoding = UTF-8\n", ".encoding", "Big5", IREKO_ERROR_UNSUPPORTED,
         "outside ASCII"},
        {"a = |C3|A9\n", ".encoding", "Big5", IREKO_ERROR_UNSUPPORTED, "outside ASCII"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = parse(rows[i].before);
        g_assert_false(ireko_vmx_set(doc, rows[i].key, rows[i].value, &error));
        g_assert_error(error, IREKO_ERROR, rows[i].code);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, rows[i].says));
        assert_text(doc, rows[i].before);
    }
}

static void
test_unset_takes_every_line_of_the_key(void)
{
    static const struct {
        const char *before, *after;
        size_t removed;
    } rows[] = {
        {"a = 1\n", "", 1},
        {"a = 1 # c\nb = 2\nA = 2\n# a = 3\na=4", "b = 2\n# a = 3", 3},
        {BOM "a = 1\r\n", BOM, 1},
        {"a = 1", "", 1},
        {"b=1\r\na=1\r\n\r\n", "b=1\r\n\r\n", 1},
        {"b=1\ra=1\n\nc=1\n", "b=1\r\nc=1\n", 1},
        {"a=1\n" BOM "b=1\n", BOM "b=1\n", 1},
        {"ab=1\na b=1\n", "ab=1\na b=1\n", 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(IrekoVmx) doc = parse(rows[i].before);
        g_assert_cmpuint(ireko_vmx_unset(doc, "a"), ==, rows[i].removed);
        assert_consistent(doc);
        assert_text(doc, rows[i].after);
    }
}

static void
test_remove_takes_one_line(void)
{
    static const char text[] = BOM "a=1\nbad line\r\n.encoding=windows-1252\na=\xe9\n# c\nb=1";
    static const char *const without[] = {
        BOM "bad line\r\n.encoding=windows-1252\na=\xe9\n# c\nb=1",
        BOM "a=1\n.encoding=windows-1252\na=\xe9\n# c\nb=1",
        BOM "a=1\nbad line\r\na=\xe9\n# c\nb=1",
        BOM "a=1\nbad line\r\n.encoding=windows-1252\n# c\nb=1",
        BOM "a=1\nbad line\r\n.encoding=windows-1252\na=\xe9\n# c",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(without); i++) {
        g_autoptr(IrekoVmx) doc = parse(text);
        ireko_vmx_remove(doc, i);
        assert_consistent(doc);
        assert_text(doc, without[i]);
    }
}

static void
test_many_lines_are_removed_at_once(void)
{
    static const size_t some[] = {0, 2, 3};
    g_autoptr(IrekoVmx) doc = parse("a=1\nb=2\r\nhm\nd=4");
    ireko_vmx_remove_many(doc, NULL, 0);
    assert_text(doc, "a=1\nb=2\r\nhm\nd=4");
    ireko_vmx_remove_many(doc, some, G_N_ELEMENTS(some));
    assert_consistent(doc);
    assert_text(doc, "b=2");
}

/* What is linear takes milliseconds here; what is quadratic, minutes. */
#define LONG_S 20.0
#define MANY   100000

static void
edit_large(IrekoVmx *doc, const char *key)
{
    g_assert_true(ireko_vmx_set(doc, "zzz.new", "1", NULL));
    g_assert_true(ireko_vmx_set(doc, key, "another value", NULL) || strcmp(key, "same") == 0);
    g_assert_cmpuint(ireko_vmx_unset(doc, key), >=, 1);
    g_assert_cmpuint(ireko_vmx_unset(doc, "zzz.new"), ==, 1);
}

static void
count_one(void *data, size_t first, size_t again)
{
    (void)first, (void)again;
    (*(size_t *)data)++;
}

static void
test_large_documents_take_no_longer_than_they_must(void)
{
    static const struct {
        const char *piece, *key; /* the piece is repeated; %d counts */
        int times;
        size_t duplicates;
    } rows[] = {
        {"key%d = \"value\"\n", "key50000", MANY, 0},
        {"same = \"value\"\n", "same", MANY, MANY - 1},
        {"x|", "k", 1 << 19, 0},
        {"|22", "k", 1 << 19, 0},
        {" ", "k", 1 << 20, 0},
        {"\r", "k", 1 << 20, 0},
        {"= ", "k", 1 << 19, 0},
        {"\xe5", "k", 1 << 20, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) text = g_string_new("k = \"");
        g_string_truncate(text, rows[i].times == MANY ? 0 : text->len);
        for (int n = 0; n < rows[i].times; n++) {
            if (strchr(rows[i].piece, '%') != NULL)
                g_string_append_printf(text, "key%d = \"value\"\n", n);
            else
                g_string_append(text, rows[i].piece);
        }
        g_string_append(text, rows[i].times == MANY ? "" : "\"\n");
        g_autoptr(GTimer) timer = g_timer_new();
        g_autoptr(IrekoVmx) doc = ireko_vmx_parse(text->str, text->len, NULL);
        size_t duplicates = 0;
        ireko_vmx_duplicates(doc, count_one, &duplicates);
        g_assert_cmpuint(duplicates, ==, rows[i].duplicates);
        edit_large(doc, rows[i].key);
        g_assert_cmpfloat(g_timer_elapsed(timer, NULL), <, LONG_S);
        g_test_message("%s: %.3f s", rows[i].key, g_timer_elapsed(timer, NULL));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmx-edit/setting-changes-the-value-and-setting-back-gives-the-same-bytes",
                    test_setting_changes_the_value_and_setting_back_gives_the_same_bytes);
    g_test_add_func("/vmx-edit/setting-what-is-set-touches-nothing",
                    test_setting_what_is_set_touches_nothing);
    g_test_add_func("/vmx-edit/a-new-key-stands-beside-its-siblings-and-leaves-no-trace",
                    test_a_new_key_stands_beside_its_siblings_and_leaves_no_trace);
    g_test_add_func("/vmx-edit/the-encoding-stands-first", test_the_encoding_stands_first);
    g_test_add_func("/vmx-edit/what-cannot-be-set-is-refused-and-nothing-changes",
                    test_what_cannot_be_set_is_refused_and_nothing_changes);
    g_test_add_func("/vmx-edit/unset-takes-every-line-of-the-key",
                    test_unset_takes_every_line_of_the_key);
    g_test_add_func("/vmx-edit/remove-takes-one-line", test_remove_takes_one_line);
    g_test_add_func("/vmx-edit/many-lines-are-removed-at-once",
                    test_many_lines_are_removed_at_once);
    g_test_add_func("/vmx-edit/large-documents-take-no-longer-than-they-must",
                    test_large_documents_take_no_longer_than_they_must);
    return g_test_run();
}
