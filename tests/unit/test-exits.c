/* Exits counted by the kernel: histograms read, reasons explained. */
#include <string.h>

#include "host/exits.h"

extern const char ireko_exits_book[]; /* of the library */
extern const char ireko_exits_book_end[];

static const char kernel_text[] =
    "# event histogram\n"
    "#\n"
    "# trigger info: hist:keys=common_pid,exit_reason:vals=hitcount:sort=hitcount:size=2048 "
    "[active]\n"
    "#\n"
    "\n"
    "{ common_pid:        104, exit_reason:         96 } hitcount:          5\n"
    "{ common_pid:        104, exit_reason:        124 } hitcount:        308\n"
    "{ common_pid:        107, exit_reason: 4294967295 } hitcount:          1\n"
    "\n"
    "Totals:\n"
    "    Hits: 314\n"
    "    Entries: 3\n"
    "    Dropped: 0\n";

static const IrekoExitRow *
row_of(const GArray *rows, int thread, uint32_t reason)
{
    for (guint i = 0; i < rows->len; i++) {
        const IrekoExitRow *row = &g_array_index(rows, IrekoExitRow, i);
        if (row->thread == thread && row->reason == reason)
            return row;
    }
    g_assert_not_reached();
}

static void
reads_what_the_kernel_prints(void)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(IrekoExitRow));
    g_assert_true(ireko_exits_parse(kernel_text, IREKO_EXITS_ALL, rows, NULL));
    g_assert_cmpuint(rows->len, ==, 3);
    g_assert_cmpuint(row_of(rows, 104, 124)->exits, ==, 308);
    g_assert_cmpuint(row_of(rows, 107, UINT32_MAX)->exits, ==, 1);
}

static void
three_histograms_make_one_row(void)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(IrekoExitRow));
    const char *inner = "{ common_pid: 104, exit_reason: 124 } hitcount: 61\n";
    const char *back = "{ common_pid: 104, exit_code: 124 } hitcount: 60\n"
                       "{ common_pid: 104, exit_code: 96 } hitcount: 2\n";
    g_assert_true(ireko_exits_parse(kernel_text, IREKO_EXITS_ALL, rows, NULL));
    g_assert_true(ireko_exits_parse(inner, IREKO_EXITS_INNER, rows, NULL));
    g_assert_true(ireko_exits_parse(back, IREKO_EXITS_REFLECTED, rows, NULL));
    const IrekoExitRow *io = row_of(rows, 104, 124);
    g_assert_cmpuint(io->exits, ==, 308);
    g_assert_cmpuint(io->inner, ==, 61);
    g_assert_cmpuint(io->reflected, ==, 60);
    g_assert_cmpuint(row_of(rows, 104, 96)->reflected, ==, 2);
}

static void
nonsense_is_passed_over(void)
{
    static const char *const lines[] = {
        "",
        "{ common_pid: x, exit_reason: 1 } hitcount: 1",
        "{ common_pid: 1, exit_reason: 4294967296 } hitcount: 1",
        "{ common_pid: 1, exit_reason: 1 } hitcount: -1",
        "{ common_pid: 1 } hitcount: 1",
        "{ exit_reason: 1 } hitcount: 1",
        "common_pid:",
    };
    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(IrekoExitRow));
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        g_assert_true(ireko_exits_parse(lines[i], IREKO_EXITS_ALL, rows, NULL));
    g_assert_cmpuint(rows->len, ==, 0);
}

static void
too_many_rows_are_an_error(void)
{
    g_autoptr(GArray) rows = g_array_new(FALSE, TRUE, sizeof(IrekoExitRow));
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i <= IREKO_EXITS_ROWS_MAX; i++)
        g_string_append_printf(text, "{ common_pid: 1, exit_reason: %u } hitcount: 1\n", i);
    g_autoptr(GError) error = NULL;
    g_assert_false(ireko_exits_parse(text->str, IREKO_EXITS_ALL, rows, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE);
}

static void
reasons_are_explained(void)
{
    static const struct {
        IrekoHv hv;
        uint32_t code;
        const char *name, *part;
    } rows[] = {
        {IREKO_HV_SVM, 0x07b, "io", "I/O port"},
        {IREKO_HV_SVM, 0x400, "npf", "nested tables"},
        {IREKO_HV_SVM, 0x000, "read_cr0", "CR0"},
        {IREKO_HV_SVM, UINT32_MAX, "invalid_guest_state", "no CPU"},
        {IREKO_HV_SVM, 0x333, NULL, NULL},
        {IREKO_HV_VMX, 48, "EPT_VIOLATION", "EPT"},
        {IREKO_HV_VMX, 0x80000021, "INVALID_STATE", "no CPU"}, /* bit 31: the entry failed */
        {IREKO_HV_VMX, 1000, NULL, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *meaning = NULL;
        g_autofree char *name = ireko_exits_explain(rows[i].hv, rows[i].code, &meaning);
        g_assert_cmpstr(name, ==, rows[i].name);
        g_assert_true(rows[i].part == NULL || strstr(meaning, rows[i].part) != NULL);
    }
}

/* Every line of the book can be found by its code, once. */
static void
the_book_is_whole(void)
{
    g_autofree char *book =
        g_strndup(ireko_exits_book, (size_t)(ireko_exits_book_end - ireko_exits_book));
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(book, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        if (*lines[i] == '#' || *lines[i] == '\0')
            continue;
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 4);
        g_assert_cmpuint(g_strv_length(words), ==, 4);
        bool vmx = strcmp(words[0], "vmx") == 0;
        g_assert_true(vmx || strcmp(words[0], "svm") == 0);
        g_autofree char *meaning = NULL;
        g_autofree char *name = ireko_exits_explain(
            vmx ? IREKO_HV_VMX : IREKO_HV_SVM,
            (uint32_t)g_ascii_strtoull(words[1], NULL, vmx ? 10 : 16), &meaning);
        g_assert_cmpstr(name, ==, words[2]);
        g_assert_cmpstr(meaning, ==, words[3]);
        g_assert_false(g_str_has_suffix(meaning, "."));
        g_assert_true(g_hash_table_add(seen, g_strdup_printf("%s %s", words[0], words[1])));
    }
    g_assert_cmpuint(g_hash_table_size(seen), >, 100);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/exits/what the kernel prints is read", reads_what_the_kernel_prints);
    g_test_add_func("/exits/three histograms make one row", three_histograms_make_one_row);
    g_test_add_func("/exits/what is no row is passed over", nonsense_is_passed_over);
    g_test_add_func("/exits/too many rows are an error", too_many_rows_are_an_error);
    g_test_add_func("/exits/reasons of both kinds are explained", reasons_are_explained);
    g_test_add_func("/exits/every line of the book is found once", the_book_is_whole);
    return g_test_run();
}
