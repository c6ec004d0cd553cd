/* cli/cmd-bench.c - ireko bench disk PATH: how fast a machine's disk answers, and whether it makes
 * a difference that it says it is an SSD. */
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define ROUNDS_USUAL 5

static const char *const columns[] = {" ",      "AS HDD", "AS SSD",  "SSD/HDD",
                                      "ITSELF", "FILE",   "SSD/FILE"};

static const struct {
    const char *kind, *words;
} kind_words[IREKO_BENCH_KINDS] = {
    {"seq-read", "seq. read"},
    {"seq-write", "seq. write"},
    {"random-read", "random read"},
    {"random-write", "random write"},
};

static char *
per_second(IrekoBenchRange range)
{
    return g_strdup_printf("%.0f", range.median);
}

static char *
ratio(IrekoBenchRange range)
{
    return g_strdup_printf("%.2f (%.2f..%.2f)", range.median, range.least, range.most);
}

static void
add_row(struct libscols_table *table, const IrekoBenchRow *row)
{
    const char *words = row->kind;
    for (size_t i = 0; i < G_N_ELEMENTS(kind_words); i++) {
        if (strcmp(row->kind, kind_words[i].kind) == 0)
            words = kind_words[i].words;
    }
    char *cells[] = {g_strdup(words),
                     per_second(row->hdd),
                     per_second(row->ssd),
                     ratio(row->ratio),
                     ratio(row->self),
                     per_second(row->file),
                     g_strdup_printf("%.4f", row->share.median)};
    struct libscols_line *line = scols_table_new_line(table, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cells); i++) {
        (void)scols_line_set_data(line, i, cells[i]);
        g_free(cells[i]);
    }
}

/* Whether the ratio of each kind is no further from 1 than the disk was from itself. */
static bool
makes_no_difference(const IrekoDiskBench *bench)
{
    for (unsigned i = 0; i < IREKO_BENCH_KINDS; i++) {
        const IrekoBenchRow *row = &bench->rows[i];
        if (row->ratio.median < row->self.least || row->ratio.median > row->self.most)
            return false;
    }
    return true;
}

static void
print_result(const IrekoDiskBench *bench)
{
    struct libscols_table *table = cli_table_new(false, cli_width(STDOUT_FILENO));
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        (void)scols_table_new_column(table, columns[i], 0, i > 0 ? SCOLS_FL_RIGHT : 0);
    for (unsigned i = 0; i < IREKO_BENCH_KINDS; i++)
        add_row(table, &bench->rows[i]);
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    (void)printf("%s of %s: %s there, %" G_GUINT64_FORMAT
                 " MiB, %s by its .vmx; %s, %u rounds\n%s\n",
                 bench->device, bench->path, bench->name, (guint64)(bench->bytes >> 20),
                 bench->ssd ? "an SSD" : "a disk that rotates", bench->accel, bench->rounds, text);
    (void)printf(
        "\nRequests of 4 KiB a second, one at a time; median (least..most).\n%s\n",
        makes_no_difference(bench)
            ? "As an SSD it is as fast as a disk that rotates, within what it differs\n"
              "from itself (ITSELF): the flag changes what software in the machine does\n"
              "with the disk, not the disk."
            : "It differs by more than it did from itself (ITSELF). The flag changes what\n"
              "software in the machine does with the disk, not the disk: measure again,\n"
              "with more rounds, on a host with nothing else to do.");
    (void)printf("FILE is a file of this host, without a machine in between: what is lost\n"
                 "to it is the price of the emulation, whatever the disk calls itself.\n");
}

static void
show_progress(void *data, unsigned done, unsigned total)
{
    (void)data;
    if (cli_is_terminal(STDERR_FILENO))
        (void)fprintf(stderr, "\rround %u of %u\033[K", done + 1, total);
    else
        (void)fprintf(stderr, "round %u of %u\n", done + 1, total);
}

static bool
check_words(char **argv, int rounds, GError **error)
{
    if (strcmp(argv[1], "disk") == 0 && rounds >= 1 && rounds <= IREKO_BENCH_ROUNDS_MAX)
        return true;
    if (strcmp(argv[1], "disk") != 0)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "bench knows disk, not '%s'", argv[1]);
    else
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "--rounds is %d, and may be 1 to %d",
                    rounds, IREKO_BENCH_ROUNDS_MAX);
    return false;
}

static int
print_plan(const IrekoDiskBench *bench)
{
    (void)printf("would read 16 MiB at the beginning of %s of %s (/dev/%s there), write the same "
                 "bytes back,\nand time requests there in %u rounds\n",
                 bench->device, bench->path, bench->name, bench->rounds);
    return EXIT_DONE;
}

int
cmd_bench(int argc, char **argv, GError **error)
{
    gboolean json = FALSE, dry_run = FALSE;
    g_autofree char *disk = NULL;
    int rounds = ROUNDS_USUAL;
    const GOptionEntry entries[] = {
        {"disk", 0, 0, G_OPTION_ARG_STRING, &disk, "which disk (the first that ireko made)",
         "scsi0:1"},
        {"rounds", 0, 0, G_OPTION_ARG_INT, &rounds, "how many rounds, some two seconds each (5)",
         "N"},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say what would be measured", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the outcome as ireko.bench/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){2, 2}, &status, error) ||
        !check_words(argv, rounds, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    const IrekoDiskBenchAsk ask = {.path = argv[2],
                                   .device = disk,
                                   .rounds = (unsigned)rounds,
                                   .dry_run = dry_run,
                                   .cancel_fd = cli_cancel_fd(),
                                   .progress = show_progress};
    g_autoptr(IrekoDiskBench) bench = ireko_lab_bench_disk(home, &ask, error);
    if (cli_is_terminal(STDERR_FILENO) && !dry_run)
        (void)fprintf(stderr, "\r\033[K");
    if (bench == NULL)
        return EXIT_NO;
    if (dry_run)
        return print_plan(bench);
    if (json) {
        g_autofree char *text = ireko_disk_bench_to_text(bench);
        (void)puts(text);
    } else {
        print_result(bench);
    }
    return EXIT_DONE;
}

/* ireko bench-round DISK FLAG 0|1: an even or an odd round, inside the machine. */
int
cmd_bench_round(int argc, char **argv, GError **error)
{
    if (argc != 4) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "this is what 'ireko bench disk' runs inside a machine");
        return EXIT_USAGE;
    }
    unsigned number = strcmp(argv[3], "1") == 0 ? 1 : 0;
    return ireko_bench_print_round(argv[1], argv[2], number, error) ? EXIT_DONE : EXIT_NO;
}
