/* Diff: what makes one text of another, as patch(1) takes it. */
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include <ireko/text.h>

#define HEAD      "--- f\n+++ f\n"
#define NO_END    "\\ No newline at end of file\n"
#define LINES_MAX 40

static char *
diff(const char *before, const char *after)
{
    g_autoptr(GBytes) old = g_bytes_new(before, strlen(before));
    g_autoptr(GBytes) now = g_bytes_new(after, strlen(after));
    size_t len = 0;
    char *text = ireko_text_diff("f", old, now, &len);
    g_assert_cmpuint(len, ==, strlen(text));
    return text;
}

static void
test_a_diff_is_what_diff_u_prints(void)
{
    static const struct {
        const char *label, *before, *after, *want;
    } rows[] = {
        {"the same needs no diff", "a\nb\n", "a\nb\n", ""},
        {"two empty texts are the same", "", "", ""},
        {"a line changes", "a\nb\nc\n", "a\nB\nc\n", HEAD "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"},
        {"a line is added at the end", "a\n", "a\nb\n", HEAD "@@ -1 +1,2 @@\n a\n+b\n"},
        {"a line is added at the begin", "b\n", "a\nb\n", HEAD "@@ -1 +1,2 @@\n+a\n b\n"},
        {"a line goes", "a\nb\nc\n", "a\nc\n", HEAD "@@ -1,3 +1,2 @@\n a\n-b\n c\n"},
        {"a text appears", "", "a\n", HEAD "@@ -0,0 +1 @@\n+a\n"},
        {"a text goes", "a\n", "", HEAD "@@ -1 +0,0 @@\n-a\n"},
        {"the context has three lines", "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
         "1\n2\n3\n4\nX\n6\n7\n8\n9\n", HEAD "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n"},
        {"changes near each other share a hunk", "a\n1\n2\n3\n4\n5\n6\nb\n",
         "A\n1\n2\n3\n4\n5\n6\nB\n",
         HEAD "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n"},
        {"changes apart have their own", "a\n1\n2\n3\n4\n5\n6\n7\nb\n",
         "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
         HEAD "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n"},
        {"a second hunk counts what the first added", "a\n1\n2\n3\n4\n5\n6\n7\nb\n",
         "A\nA\n1\n2\n3\n4\n5\n6\n7\n",
         HEAD "@@ -1,4 +1,5 @@\n-a\n+A\n+A\n 1\n 2\n 3\n@@ -6,4 +7,3 @@\n 5\n 6\n 7\n-b\n"},
        {"a missing last newline is said", "a\nb", "a\nc",
         HEAD "@@ -1,2 +1,2 @@\n a\n-b\n" NO_END "+c\n" NO_END},
        {"one that stays missing too", "a\nb", "A\nb", HEAD "@@ -1,2 +1,2 @@\n-a\n+A\n b\n" NO_END},
        {"a carriage return is of the line", "a\r\nb\r\n", "a\r\nB\r\n",
         HEAD "@@ -1,2 +1,2 @@\n a\r\n-b\r\n+B\r\n"},
        {"bytes stay as they are", "\x93\xfa\n", "\x93\xfb\n",
         HEAD "@@ -1 +1 @@\n-\x93\xfa\n+\x93\xfb\n"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autofree char *got = diff(rows[i].before, rows[i].after);
        g_assert_cmpstr(got, ==, rows[i].want);
    }
}

static void
test_a_name_is_safe_in_the_head(void)
{
    g_autoptr(GBytes) old = g_bytes_new_static("a", 1);
    g_autoptr(GBytes) now = g_bytes_new_static("b", 1);
    size_t len = 0;
    g_autofree char *text = ireko_text_diff("my \033[2J\nvm.vmx", old, now, &len);
    g_assert_true(g_str_has_prefix(text, "--- my \\x1b[2J?vm.vmx\t\n+++ my \\x1b[2J?vm.vmx\t\n"));
}

/* Applies DIFF to BEFORE as patch(1) would; its context must fit. */
static char *
apply(const char *before, const char *text)
{
    g_auto(GStrv) old = g_strsplit(before, "\n", -1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) out = g_string_new(NULL);
    size_t at = 0;
    for (size_t i = *text == '\0' ? 0 : 2; lines[i] != NULL && *lines[i] != '\0'; i++) {
        if (*lines[i] == '@') {
            guint64 start = g_ascii_strtoull(lines[i] + 4, NULL, 10);
            bool empty = strstr(lines[i], ",0 +") != NULL;
            for (; at + !empty < start; at++)
                g_string_append_printf(out, "%s\n", old[at]);
            continue;
        }
        if (*lines[i] != '+')
            g_assert_cmpstr(old[at++], ==, lines[i] + 1);
        if (*lines[i] != '-')
            g_string_append_printf(out, "%s\n", lines[i] + 1);
    }
    for (; old[at] != NULL && old[at + 1] != NULL; at++)
        g_string_append_printf(out, "%s\n", old[at]);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void
test_a_diff_makes_the_one_of_the_other(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    for (unsigned round = 0; round < 2000; round++) {
        g_autoptr(GString) before = g_string_new(NULL);
        g_autoptr(GString) after = g_string_new(NULL);
        int lines = g_rand_int_range(random, 0, LINES_MAX), words = g_rand_int_range(random, 2, 40);
        for (int i = 0; i < lines; i++) {
            int word = g_rand_int_range(random, 0, words), what = g_rand_int_range(random, 0, 12);
            if (what != 0)
                g_string_append_printf(before, "%d\n", word);
            if (what != 1)
                g_string_append_printf(after, "%d\n", what == 2 ? word + 100 : word);
        }
        g_autofree char *text = diff(before->str, after->str);
        g_autofree char *made = apply(before->str, text);
        g_assert_cmpstr(made, ==, after->str);
    }
}

/* Nothing in common, and more of it than is searched. */
static void
test_texts_that_never_meet_are_one_change(void)
{
    g_autoptr(GString) before = g_string_new(NULL);
    g_autoptr(GString) after = g_string_new(NULL);
    for (unsigned i = 0; i < 20000; i++) {
        g_string_append_printf(before, "a%u\n", i);
        g_string_append_printf(after, "b%u\n", i);
    }
    g_autofree char *text = diff(before->str, after->str);
    g_assert_true(g_str_has_prefix(text, HEAD "@@ -1,20000 +1,20000 @@\n-a0\n-a1\n"));
    g_assert_true(g_str_has_suffix(text, "+b19998\n+b19999\n"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/diff/is-what-diff-u-prints", test_a_diff_is_what_diff_u_prints);
    g_test_add_func("/diff/a-name-is-safe-in-the-head", test_a_name_is_safe_in_the_head);
    g_test_add_func("/diff/makes-the-one-of-the-other", test_a_diff_makes_the_one_of_the_other);
    g_test_add_func("/diff/texts-that-never-meet-are-one-change",
                    test_texts_that_never_meet_are_one_change);
    return g_test_run();
}
