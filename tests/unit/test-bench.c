/* Bench: a round leaves a disk as it was; what is said of it is taken with care, and summed up. */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "bench/bench.h"

#define SIZE ((size_t)1 << 20)

static char *
new_file(const char *dir, const char *name, const void *bytes, size_t len)
{
    char *path = g_build_filename(dir, name, NULL);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
    return path;
}

static void
test_a_round_leaves_everything_as_it_was(void)
{
    g_autofree char *dir = g_dir_make_tmp("ireko-bench-XXXXXX", NULL);
    g_autofree uint8_t *bytes = g_malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    g_autofree char *path = new_file(dir, "disk", bytes, SIZE);
    g_autofree char *flag = new_file(dir, "rotational", "1\n", 2);
    for (unsigned number = 0; number < 2; number++) {
        const IrekoBenchRound round = {.path = path, .flag = flag, .number = number};
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) samples = ireko_bench_round(&round, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(samples->len, ==, 3 * IREKO_BENCH_KINDS);
        for (guint i = 0; i < samples->len; i++) {
            const IrekoBenchSample *one = &g_array_index(samples, IrekoBenchSample, i);
            g_assert_cmpuint(one->kind, ==, i / 3);
            g_assert_cmpint(one->ssd, ==, (i % 3 == 1) ^ ((number + i / 3) % 2));
            g_assert_true(one->per_second > 0);
        }
        g_autofree char *after = NULL, *flag_after = NULL;
        gsize len = 0;
        g_assert_true(g_file_get_contents(path, &after, &len, NULL));
        g_assert_cmpmem(after, len, bytes, SIZE);
        g_assert_true(g_file_get_contents(flag, &flag_after, NULL, NULL));
        g_assert_cmpstr(flag_after, ==, "1\n");
    }
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

static void
test_what_cannot_be_measured_is_said(void)
{
    g_autofree char *dir = g_dir_make_tmp("ireko-bench-XXXXXX", NULL);
    g_autofree char *small = new_file(dir, "small", "abc", 3);
    g_autofree char *gone = g_build_filename(dir, "gone", NULL);
    const IrekoBenchRound rounds[] = {
        {.path = small}, {.path = gone}, {.path = small, .flag = gone}};
    const char *const says[] = {"too small", "cannot open", "No such file"};
    for (size_t i = 0; i < G_N_ELEMENTS(rounds); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_bench_round(&rounds[i], &error));
        g_assert_nonnull(strstr(error->message, says[i]));
    }
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

static GArray *
samples_of(const IrekoBenchSample *samples, size_t count)
{
    GArray *array = g_array_new(FALSE, FALSE, sizeof *samples);
    g_array_append_vals(array, samples, (guint)count);
    return array;
}

static void
test_samples_come_back_the_same(void)
{
    static const IrekoBenchSample some[] = {{0, 1, 8123.5}, {3, 0, 1}, {2, -1, 999999}};
    g_autoptr(GArray) samples = samples_of(some, G_N_ELEMENTS(some));
    g_autofree char *text = ireko_bench_samples_to_text(samples);
    g_autoptr(GArray) again = ireko_bench_samples_from_text(text, strlen(text), NULL);
    g_assert_nonnull(again);
    g_assert_cmpuint(again->len, ==, G_N_ELEMENTS(some));
    for (size_t i = 0; i < G_N_ELEMENTS(some); i++) {
        const IrekoBenchSample *one = &g_array_index(again, IrekoBenchSample, i);
        g_assert_true(one->kind == some[i].kind && one->ssd == some[i].ssd &&
                      one->per_second == some[i].per_second);
    }
}

static void
test_lies_are_refused(void)
{
    static const char *const rows[] = {
        "{",
        "[]\n",
        "{\"kind\":\"seq-read\",\"ssd\":true}\n",
        "{\"kind\":\"seq-read\",\"ssd\":true,\"per_second\":0}\n",
        "{\"kind\":\"seq-read\",\"ssd\":true,\"per_second\":-4}\n",
        "{\"kind\":\"seq-read\",\"ssd\":true,\"per_second\":1e300}\n",
        "{\"kind\":\"seq-read\",\"ssd\":true,\"per_second\":\"9\"}\n",
        "{\"kind\":\"seek\",\"ssd\":true,\"per_second\":9}\n",
        "{\"ssd\":true,\"per_second\":9}\n",
        "\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_bench_samples_from_text(rows[i], strlen(rows[i]), &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    }
    g_autoptr(GString) many = g_string_new(NULL);
    for (unsigned i = 0; i <= IREKO_BENCH_SAMPLES_MAX; i++)
        g_string_append(many, "{\"kind\":\"seq-read\",\"per_second\":9}\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_bench_samples_from_text(many->str, many->len, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
}

/* Rounds of samples: each kind in order, A B A where A is as an SSD in odd rounds. */
static void
fill(GArray *disk, GArray *file)
{
    static const double values[3][3] = {{100, 110, 100}, {90, 100, 110}, {400, 1200, 800}};
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned kind = 0; kind < IREKO_BENCH_KINDS; kind++) {
            for (unsigned i = 0; i < 3; i++) {
                const IrekoBenchSample one = {kind, (i == 1) ^ (round == 1), values[round][i]};
                const IrekoBenchSample here = {kind, -1, 1000};
                g_array_append_val(disk, one);
                g_array_append_val(file, here);
            }
        }
    }
}

static void
test_rounds_are_summed_up(void)
{
    g_autoptr(GArray) disk = samples_of(NULL, 0), file = samples_of(NULL, 0);
    fill(disk, file);
    IrekoBenchRow rows[IREKO_BENCH_KINDS];
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_bench_sum(disk, file, rows, &error));
    g_assert_cmpstr(rows[3].kind, ==, "random-write");
    const IrekoBenchRow *row = &rows[1];
    g_assert_cmpfloat(row->hdd.median, ==, 100); /* 100 100 100 400 800 */
    g_assert_cmpfloat(row->hdd.most, ==, 800);
    g_assert_cmpfloat(row->ssd.median, ==, 110); /* 90 110 110 1200 */
    g_assert_cmpfloat(row->ssd.least, ==, 90);
    g_assert_cmpfloat_with_epsilon(row->ratio.least, 1, 1e-9); /* 100 over 100 */
    g_assert_cmpfloat_with_epsilon(row->ratio.median, 1.1, 1e-9);
    g_assert_cmpfloat_with_epsilon(row->ratio.most, 2, 1e-9); /* 1200 over 600 */
    g_assert_cmpfloat_with_epsilon(row->self.least, 1, 1e-9);
    g_assert_cmpfloat_with_epsilon(row->self.most, 2, 1e-9);
    g_assert_cmpfloat_with_epsilon(row->share.median, 0.11, 1e-9);
    g_assert_cmpfloat(row->file.median, ==, 1000);
}

static void
test_what_is_no_round_is_refused(void)
{
    for (unsigned fault = 0; fault < 6; fault++) {
        g_autoptr(GArray) disk = samples_of(NULL, 0), file = samples_of(NULL, 0);
        fill(disk, file);
        if (fault < 3) /* one is missing */
            g_array_remove_index(fault == 2 ? file : disk, fault);
        else if (fault == 3) /* all are of one kind of disk */
            g_array_index(disk, IrekoBenchSample, 1).ssd = 0;
        else if (fault == 4)
            g_array_index(disk, IrekoBenchSample, 2).ssd = -1;
        else
            g_array_index(file, IrekoBenchSample, 0).ssd = 1;
        IrekoBenchRow rows[IREKO_BENCH_KINDS];
        g_autoptr(GError) error = NULL;
        g_assert_false(ireko_bench_sum(disk, file, rows, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    }
    g_autoptr(GArray) none = samples_of(NULL, 0);
    g_assert_false(ireko_bench_sum(none, none, NULL, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench/a-round-leaves-everything-as-it-was",
                    test_a_round_leaves_everything_as_it_was);
    g_test_add_func("/bench/what-cannot-be-measured-is-said", test_what_cannot_be_measured_is_said);
    g_test_add_func("/bench/samples-come-back-the-same", test_samples_come_back_the_same);
    g_test_add_func("/bench/lies-are-refused", test_lies_are_refused);
    g_test_add_func("/bench/rounds-are-summed-up", test_rounds_are_summed_up);
    g_test_add_func("/bench/what-is-no-round-is-refused", test_what_is_no_round_is_refused);
    return g_test_run();
}
