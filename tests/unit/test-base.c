/* Base: text made safe, sizes, names, files. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/jsonl.h"
#include "base/text.h"

#define PUT_US     4000 /* for which files are put into a folder that is being removed */
#define PUT_ROUNDS 20

static void
test_control_bytes_are_escaped(void)
{
    static const struct {
        const char *in;
        size_t len;
        const char *want;
    } rows[] = {
        {"plain", 5, "plain"},         {"\x1b[2J", 4, "\\x1b[2J"},
        {"a\0b", 3, "a\\x00b"},        {"\xff", 1, "\\xff"},
        {"\xc2\x9b", 2, "\\xc2\\x9b"}, {"\xe5\x85\xa5", 3, "\xe5\x85\xa5"},
        {"\xe5\x85", 2, "\\xe5\\x85"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = ireko_text_safe(rows[i].in, rows[i].len);
        g_assert_cmpstr(got, ==, rows[i].want);
    }
}

static void
test_a_number_is_digits_within_its_range(void)
{
    static const struct {
        const char *text;
        unsigned base;
        uint64_t least, most;
        bool ok;
        uint64_t want;
    } rows[] = {
        {"7", 10, 0, 999, true, 7},
        {"007", 10, 0, 999, true, 7},
        {"18446744073709551615", 10, 0, UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", 10, 0, UINT64_MAX, false, 0},
        {"99999999999999999999", 10, 0, UINT64_MAX, false, 0},
        {"fF", 16, 0, 255, true, 255},
        {"0755", 8, 0, 07777, true, 0755},
        {"8", 8, 0, 07777, false, 0},
        {"a", 10, 0, 999, false, 0},
        {"0x1", 16, 0, 999, false, 0},
        {"", 10, 0, 999, false, 0},
        {" 1", 10, 0, 999, false, 0},
        {"1 ", 10, 0, 999, false, 0},
        {"+1", 10, 0, 999, false, 0},
        {"-1", 10, 0, 999, false, 0},
        {"1", 10, 2, 3, false, 0},
        {"4", 10, 2, 3, false, 0},
        {"2", 10, 2, 3, true, 2},
        {"3", 10, 2, 3, true, 3},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t value = 0;
        bool ok = ireko_text_parse_unsigned(rows[i].text, rows[i].base, rows[i].least, rows[i].most,
                                            &value);
        g_test_message("'%s'", rows[i].text);
        g_assert_cmpint(ok, ==, rows[i].ok);
        g_assert_cmpuint(value, ==, rows[i].want);
    }
}

static void
test_a_number_may_have_a_sign(void)
{
    static const struct {
        const char *text;
        int64_t least, most;
        bool ok;
        int64_t want;
    } rows[] = {
        {"-1", -1, 1, true, -1},
        {"+1", -1, 1, true, 1},
        {"-0", -1, 1, true, 0},
        {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
        {"-9223372036854775809", INT64_MIN, INT64_MAX, false, 0},
        {"-", -1, 1, false, 0},
        {"+-1", -1, 1, false, 0},
        {"-2", -1, 1, false, 0},
        {"2", -1, 1, false, 0},
        {"", -1, 1, false, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int64_t value = 0;
        g_test_message("'%s'", rows[i].text);
        g_assert_cmpint(ireko_text_parse_signed(rows[i].text, rows[i].least, rows[i].most, &value),
                        ==, rows[i].ok);
        g_assert_cmpint(value, ==, rows[i].want);
    }
}

static void
test_sizes_are_powers_of_1024(void)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t bytes;
    } rows[] = {
        {"512", true, 512},
        {"64M", true, (uint64_t)64 << 20},
        {"8 GB", true, (uint64_t)8 << 30},
        {"1tib", true, (uint64_t)1 << 40},
        {"", false, 0},
        {"M", false, 0},
        {"-1", false, 0},
        {"1X", false, 0},
        {"99999999999999T", false, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t bytes = 0;
        g_assert_cmpint(ireko_text_parse_size(rows[i].text, &bytes), ==, rows[i].ok);
        g_assert_cmpuint(bytes, ==, rows[i].bytes);
    }
}

static void
test_names_cannot_leave_their_folder(void)
{
    g_assert_true(ireko_text_is_name("esxi01-1.a"));
    g_assert_false(ireko_text_is_name(""));
    g_assert_false(ireko_text_is_name(".."));
    g_assert_false(ireko_text_is_name("a/b"));
    g_assert_false(ireko_text_is_name("-rf"));
    g_assert_false(ireko_text_is_name("a,b"));
}

static void
test_a_wrong_value_is_shown_in_one_safe_line(void)
{
    g_autofree char *line = ireko_text_shown("a\nb\x1b");
    g_assert_cmpstr(line, ==, "a b\\x1b");
    g_autofree char *many = g_strnfill(1000, 'x');
    g_autofree char *cut = ireko_text_shown(many);
    g_assert_true(strlen(cut) < 100 && g_str_has_suffix(cut, "x..."));
}

static void
test_words_for_true_and_false(void)
{
    bool yes = false;
    g_assert_true(ireko_text_parse_bool("TRUE", &yes) && yes);
    g_assert_true(ireko_text_parse_bool("False", &yes) && !yes);
    g_assert_true(ireko_text_parse_bool("yes", &yes) && yes);
    g_assert_true(ireko_text_parse_bool("no", &yes) && !yes);
    g_assert_true(ireko_text_parse_bool("1", &yes) && yes);
    g_assert_true(ireko_text_parse_bool("0", &yes) && !yes);
    g_assert_false(ireko_text_parse_bool("", &yes));
    g_assert_false(ireko_text_parse_bool("2", &yes));
}

static void
test_a_replaced_file_leaves_nothing_beside_it(void)
{
    g_autofree char *dir = g_dir_make_tmp("ireko-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "state", NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_file_replace(path, "old", 3, 0600, &error));
    g_assert_true(ireko_file_put(path, "new", 3, 0600, &error));
    g_assert_true(ireko_file_replace(path, "newer", 5, 0600, &error));

    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, 100, &len, &error);
    g_assert_cmpstr(text, ==, "newer");
    g_assert_cmpuint(len, ==, 5);

    g_autoptr(GDir) listing = g_dir_open(dir, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(listing), ==, "state");
    g_assert_null(g_dir_read_name(listing));
    g_assert_true(ireko_file_remove_tree(dir, &error));
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
    g_assert_true(ireko_file_remove_tree(dir, &error));
}

static void
test_a_file_that_was_written_or_exchanged_is_another(void)
{
    g_autofree char *dir = g_dir_make_tmp("ireko-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "program", NULL);
    g_assert_null(ireko_file_identity(path));
    g_assert_true(ireko_file_put(path, "one", 3, 0600, NULL));
    g_autofree char *first = ireko_file_identity(path), *again = ireko_file_identity(path);
    g_assert_cmpstr(first, ==, again);
    g_assert_true(ireko_file_put(path, "two", 3, 0600, NULL));
    g_autofree char *exchanged = ireko_file_identity(path);
    g_assert_cmpstr(first, !=, exchanged);
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    g_assert_cmpint(write(fd, "!", 1), ==, 1);
    g_autofree char *written = ireko_file_identity(path);
    g_assert_cmpstr(exchanged, !=, written);
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

static void
test_a_file_over_the_limit_is_refused(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_file_read(AT_FDCWD, "/proc/self/maps", 10, NULL, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE);
    g_clear_error(&error);
    g_assert_null(ireko_file_read(AT_FDCWD, "/nowhere", 10, NULL, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
test_a_socket_works_however_long_its_folder_is(void)
{
    g_autofree char *top = g_dir_make_tmp("ireko-XXXXXX", NULL);
    g_autofree char *name = g_strnfill(200, 'x');
    g_autofree char *dir = g_build_filename(top, name, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_file_make_folder(dir, &error));
    IREKO_AUTOFD dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    g_assert_cmpint(ireko_fd_connect_at(dir_fd, "s", &error), ==, -1);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_clear_error(&error);

    IREKO_AUTOFD server = ireko_fd_listen_at(dir_fd, "s", &error);
    g_assert_no_error(error);
    IREKO_AUTOFD client = ireko_fd_connect_at(dir_fd, "s", &error);
    g_assert_no_error(error);

    g_assert_false(ireko_fd_wait(client, 1, ireko_deadline_in_ms(1), -1, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT);
    g_clear_error(&error);

    ireko_fd_close(&server);
    IREKO_AUTOFD late = ireko_fd_connect_at(dir_fd, "s", &error);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_assert_true(ireko_file_remove_tree(top, NULL));
}

/* Feeds BYTES in pieces of STEP to a channel whose peer then hangs up. */
static json_t *
receive_from(const char *bytes, size_t step, GError **error)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_autoptr(IrekoJsonl) channel = ireko_jsonl_new(ends[0], -1);
    for (size_t i = 0, len = strlen(bytes); i < len; i += step)
        g_assert_cmpint(write(ends[1], bytes + i, MIN(step, len - i)), >, 0);
    (void)close(ends[1]);
    return ireko_jsonl_receive(channel, ireko_deadline_in_ms(1000), error);
}

static void
test_a_line_is_one_object_or_an_error(void)
{
    static const struct {
        const char *bytes;
        const char *key; /* of the object; NULL: an error that says WHY */
        const char *why;
    } rows[] = {
        {"{\"a\":1}\n", "a", NULL},
        {"\n\r\n{\"a\":1}\r\n", "a", NULL},
        {"{\"a\":1}", NULL, "hung up"},
        {"[1]\n", NULL, "expected a JSON object, got '[1]'"},
        {"\x1b[2J\n", NULL, "got '\\x1b[2J'"},
        {"{\"a\":1,\"a\":2}\n", NULL, "expected"},
        {"{\"a\":1}{\n", NULL, "expected"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (size_t step = 1; step < 30; step += 7) {
            g_autoptr(GError) error = NULL;
            g_autoptr(json_t) got = receive_from(rows[i].bytes, step, &error);
            g_assert_cmpint(got != NULL, ==, rows[i].key != NULL);
            if (rows[i].key != NULL)
                g_assert_nonnull(json_object_get(got, rows[i].key));
            else
                g_assert_nonnull(strstr(error->message, rows[i].why));
        }
    }
}

static void
test_deep_nesting_is_an_error(void)
{
    g_autofree char *deep = g_strnfill(200000, '[');
    g_autofree char *line = g_strconcat("{\"a\":", deep, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_jsonl_decode(line, strlen(line), &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
}

/* Puts files into the folder DATA for a while, as a process that is just being killed does. */
static void *
put_files(void *data)
{
    int64_t until = g_get_monotonic_time() + PUT_US;
    for (unsigned i = 0; g_get_monotonic_time() < until; i++) {
        g_autofree char *path = g_strdup_printf("%s/%u", (const char *)data, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            (void)close(fd);
    }
    return NULL;
}

static void
test_a_tree_goes_while_files_are_put_into_it(void)
{
    for (unsigned i = 0; i < PUT_ROUNDS; i++) { /* not each meets the moment */
        g_autofree char *folder = g_dir_make_tmp("ireko-XXXXXX", NULL);
        GThread *thread = g_thread_new("files", put_files, folder);
        g_usleep(PUT_US / 4);
        g_autoptr(GError) error = NULL;
        (void)ireko_file_remove_tree(folder, &error);
        g_assert_no_error(error);
        g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
        (void)g_thread_join(thread);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/text/control-bytes-are-escaped", test_control_bytes_are_escaped);
    g_test_add_func("/text/a-number-is-digits-within-its-range",
                    test_a_number_is_digits_within_its_range);
    g_test_add_func("/text/a-number-may-have-a-sign", test_a_number_may_have_a_sign);
    g_test_add_func("/text/sizes-are-powers-of-1024", test_sizes_are_powers_of_1024);
    g_test_add_func("/text/names-cannot-leave-their-folder", test_names_cannot_leave_their_folder);
    g_test_add_func("/text/wrong-value-is-shown-in-one-safe-line",
                    test_a_wrong_value_is_shown_in_one_safe_line);
    g_test_add_func("/text/words-for-true-and-false", test_words_for_true_and_false);
    g_test_add_func("/file/replaced-leaves-nothing-beside-it",
                    test_a_replaced_file_leaves_nothing_beside_it);
    g_test_add_func("/file/a-tree-goes-while-files-are-put-into-it",
                    test_a_tree_goes_while_files_are_put_into_it);
    g_test_add_func("/file/written-or-exchanged-is-another",
                    test_a_file_that_was_written_or_exchanged_is_another);
    g_test_add_func("/file/over-the-limit-is-refused", test_a_file_over_the_limit_is_refused);
    g_test_add_func("/fd/socket-works-however-long-its-folder-is",
                    test_a_socket_works_however_long_its_folder_is);
    g_test_add_func("/jsonl/line-is-one-object-or-an-error", test_a_line_is_one_object_or_an_error);
    g_test_add_func("/jsonl/deep-nesting-is-an-error", test_deep_nesting_is_an_error);
    return g_test_run();
}
