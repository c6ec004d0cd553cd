/* cli/tree.c - machines and their checks as a tree, by libsmartcols (what lsblk prints with). */
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { COLUMN_NAME, COLUMN_PROMISED, COLUMN_SEEN, COLUMN_MARK, COLUMN_EVIDENCE };

#define WORDS_LEAST 20 /* columns that words are given at least */

#define RED   "red"
#define GREEN "green"

/* What a check is called for people. */
static const struct {
    const char *what, *words;
} check_words[] = {
    {"hv", "hardware assist"},
    {"npt", "nested paging"},
    {"kvm", "/dev/kvm"},
    {"cpus", "CPUs"},
    {"memory", "memory MiB"},
    {"disk.ssd", "SSD"},
    {"net.link", "network"},
    {"net.address", "address"},
    {"net.broadcast", "broadcast"},
    {"net.unicast", "unicast"},
    {"net.foreign-mac", "foreign MAC"},
    {"net.mtu", "full MTU"},
    {"start", "started"},
    {"vsan.hosts", "vSAN hosts"},
    {"vsan.cache", "vSAN cache"},
    {"vsan.capacity", "vSAN capacity"},
    {"disk.size", "bytes"},
    {"disk.serial", "serial"},
    {"disk.wwn", "WWN"},
};

char *
cli_check_words(const IrekoCheck *check)
{
    const char *words = check->what;
    for (size_t i = 0; i < G_N_ELEMENTS(check_words); i++) {
        if (strcmp(check->what, check_words[i].what) == 0)
            words = check_words[i].words;
    }
    return check->device != NULL ? g_strdup_printf("%s %s", check->device, words) : g_strdup(words);
}

/* Marks that the locale can print. */
static const char *
mark(bool good)
{
    bool utf8 = g_get_charset(NULL);
    if (good)
        return utf8 ? "✓" : "ok";
    return utf8 ? "✗" : "NO";
}

/* true and false read as an answer. */
static const char *
answer(const char *value)
{
    if (g_strcmp0(value, "true") == 0)
        return "yes";
    if (g_strcmp0(value, "false") == 0)
        return "no";
    return value != NULL ? value : "?";
}

static char *
headline(const IrekoReport *report)
{
    GString *text = g_string_new(ireko_state_name(report->state));
    if (report->accel != NULL)
        g_string_append_printf(text, ", %s", report->accel);
    if (report->ready_seconds >= 0)
        g_string_append_printf(text, ", up in %.1f s", report->ready_seconds);
    if (report->proven_seconds >= 0)
        g_string_append_printf(text, ", proven in %.1f s", report->proven_seconds);
    if (report->message != NULL)
        g_string_append_printf(text, ": %s", report->message);
    return g_string_free(text, FALSE);
}

static void
add_check(struct libscols_table *table, struct libscols_line *machine, const IrekoCheck *check)
{
    struct libscols_line *line = scols_table_new_line(table, machine);
    bool unknown = check->seen == NULL;
    g_autofree char *name = cli_check_words(check);
    g_autofree char *text = g_strdelimit(
        check->ok || check->cause == NULL
            ? g_strdup(check->evidence != NULL ? check->evidence : "")
            : g_strconcat(check->cause, check->evidence != NULL ? ": " : "", check->evidence, NULL),
        "\n\t", ' ');
    (void)scols_line_set_data(line, COLUMN_NAME, name);
    (void)scols_line_set_data(line, COLUMN_PROMISED, answer(check->promised));
    (void)scols_line_set_data(line, COLUMN_SEEN, answer(check->seen));
    (void)scols_line_set_data(line, COLUMN_MARK, unknown ? "?" : mark(check->ok));
    (void)scols_line_set_data(line, COLUMN_EVIDENCE, text);
    if (!unknown)
        (void)scols_cell_set_color(scols_line_get_cell(line, COLUMN_MARK), check->ok ? GREEN : RED);
}

/* A machine's own line: its state runs over the columns of the checks. */
static struct libscols_line *
add_machine(struct libscols_table *table, struct libscols_line *parent, const IrekoReport *report)
{
    struct libscols_line *line = scols_table_new_line(table, parent);
    const char *slash = strrchr(report->path, '/');
    g_autofree char *state = g_strdelimit(headline(report), "\n\t", ' ');
    (void)scols_line_set_data(line, COLUMN_NAME, slash != NULL ? slash + 1 : report->path);
    bool failed = report->state == IREKO_STATE_FAILED || report->state == IREKO_STATE_NOT_STARTED ||
                  report->state == IREKO_STATE_STOPPED;
    if (report->state == IREKO_STATE_RUNNING)
        (void)scols_line_set_data(line, COLUMN_MARK, mark(ireko_report_ok(report)));
    else if (failed)
        (void)scols_line_set_data(line, COLUMN_MARK, mark(false));
    (void)scols_line_set_data(line, COLUMN_EVIDENCE, state);
    (void)scols_cell_set_color(scols_line_get_cell(line, COLUMN_NAME), "bold");
    (void)scols_cell_set_color(scols_line_get_cell(line, COLUMN_MARK),
                               ireko_report_ok(report) ? GREEN : RED);
    return line;
}

struct libscols_table *
cli_table_new(bool colour, unsigned width)
{
    (void)scols_init_debug(0);
    struct libscols_table *table = scols_new_table();
    (void)scols_table_enable_colors(table, colour);
    if (width > 0) {
        (void)scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS);
        (void)scols_table_set_termwidth(table, width);
    } else {
        (void)scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    }
    return table;
}

void
cli_table_add_text(struct libscols_table *table, const char *name, int flags)
{
    struct libscols_column *column = scols_table_new_column(table, name, 0, flags);
    (void)scols_column_set_safechars(column, "\\"); /* else one before an x is an escape to it */
}

void
cli_table_add_words(struct libscols_table *table, const char *name, unsigned width)
{
    struct libscols_column *column =
        scols_table_new_column(table, name, 0, width > 0 ? SCOLS_FL_WRAP : 0);
    (void)scols_column_set_safechars(column, "\n\\");
    (void)scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
}

char *
cli_table_words(const char *text, unsigned width, unsigned used)
{
    unsigned room = width == 0 ? 0 : width > used + WORDS_LEAST ? width - used : WORDS_LEAST;
    return g_strchomp(cli_wrap(text, room, "", ""));
}

static struct libscols_table *
new_tree(bool colour, unsigned width)
{
    struct libscols_table *table = cli_table_new(colour, width);
    (void)scols_table_new_column(table, "MACHINE", 0, SCOLS_FL_TREE);
    (void)scols_table_new_column(table, "PROMISED", 0, 0);
    (void)scols_table_new_column(table, "SEEN", 0, 0);
    (void)scols_table_new_column(table, " ", 0, 0);
    (void)scols_table_new_column(table, "EVIDENCE", 0, width > 0 ? SCOLS_FL_TRUNC : 0);
    return table;
}

/* Cuts trailing blanks off every line. */
static char *
trim_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++)
        (void)g_strchomp(lines[i]);
    return g_strjoinv("\n", lines);
}

char *
cli_table_to_text(struct libscols_table *table)
{
    char *text = NULL;
    (void)scols_print_table_to_string(table, &text);
    char *trimmed = trim_lines(text != NULL ? text : "");
    free(text);
    return trimmed;
}

char *
tree_to_text(const char *title, const GPtrArray *reports, bool colour, unsigned width)
{
    struct libscols_table *table = new_tree(colour, width);
    struct libscols_line *lines[IREKO_PATH_DEPTH_MAX + 1] = {NULL};
    for (unsigned i = 0; i < reports->len; i++) {
        const IrekoReport *report = reports->pdata[i];
        unsigned level = CLAMP(report->level, 1, IREKO_PATH_DEPTH_MAX);
        lines[level] = add_machine(table, level > 1 ? lines[level - 1] : NULL, report);
        for (unsigned k = 0; k < report->checks->len; k++)
            add_check(table, lines[level], report->checks->pdata[k]);
    }
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    return g_strconcat(title, "\n", text, "\n", NULL);
}
