/* cli/cmd-snapshot.c - ireko snapshot, ireko restore: a whole lab as it was at one moment. */
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include <ireko/snapshot.h>

#include "cli.h"

/* ---- snapshot list ---- */

static json_t *
to_json(const IrekoSnapshot *s)
{
    return json_pack("{s:s,s:s,s:I,s:s?,s:i,s:I,s:f,s:b,s:b,s:s?}", "lab", s->lab, "name", s->name,
                     "made", (json_int_t)s->made_unix, "accel", s->accel, "machines",
                     (int)s->machines, "bytes", (json_int_t)s->bytes, "still_seconds",
                     s->still_seconds, "in_use", (int)s->in_use, "changed", (int)s->changed,
                     "damage", s->damage);
}

static void
add_row(struct libscols_table *table, const IrekoSnapshot *s)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    g_autofree char *size = g_format_size_full(s->bytes, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *machines = g_strdup_printf("%u", s->machines);
    g_autoptr(GDateTime) made = g_date_time_new_from_unix_local(s->made_unix);
    g_autofree char *when =
        made != NULL && s->made_unix > 0 ? g_date_time_format(made, "%F %T") : g_strdup("");
    const char *words = s->damage != NULL ? s->damage
                        : s->in_use       ? "the lab goes on from it"
                        : s->changed      ? "of another definition than the lab's now"
                                          : "";
    const char *cells[] = {s->lab, s->name, machines, s->accel != NULL ? s->accel : "?",
                           size,   when,    words};
    for (size_t i = 0; i < G_N_ELEMENTS(cells); i++)
        (void)scols_line_set_data(line, i, cells[i]);
}

static void
print_table(const GPtrArray *snapshots)
{
    static const struct {
        const char *name;
        int flags;
    } columns[] = {{"LAB", 0},
                   {"NAME", 0},
                   {"MACHINES", SCOLS_FL_RIGHT},
                   {"ON", 0},
                   {"SIZE", SCOLS_FL_RIGHT},
                   {"MADE", 0},
                   {"", SCOLS_FL_TRUNC}};
    bool terminal = cli_is_terminal(1);
    struct libscols_table *table = cli_table_new(terminal, terminal ? cli_columns() : 0);
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        (void)scols_table_new_column(table, columns[i].name, 0, columns[i].flags);
    for (unsigned i = 0; i < snapshots->len; i++)
        add_row(table, snapshots->pdata[i]);
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    (void)printf("%s\n", text);
}

/* The snapshots of LAB, or (NULL) of every lab on record: IrekoSnapshot; free with
 * g_ptr_array_unref. */
static GPtrArray *
collect(const IrekoHome *home, const char *lab)
{
    g_auto(GStrv) names = ireko_lab_names(home);
    GPtrArray *all =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ireko_snapshot_free);
    for (size_t i = 0; names[i] != NULL; i++) {
        if (lab != NULL && strcmp(lab, names[i]) != 0)
            continue;
        g_autoptr(GPtrArray) some = ireko_snapshot_list(home, names[i]);
        while (some->len > 0)
            g_ptr_array_add(all, g_ptr_array_steal_index(some, 0));
    }
    return all;
}

static int
list(const IrekoHome *home, const char *where, bool json, GError **error)
{
    g_autofree char *lab = where != NULL ? cli_lab_name(home, where, error) : NULL;
    if (where != NULL && lab == NULL)
        return EXIT_NO;
    g_autoptr(GPtrArray) snapshots = collect(home, lab);
    if (json) {
        json_t *array = json_array();
        for (unsigned i = 0; i < snapshots->len; i++)
            json_array_append_new(array, to_json(snapshots->pdata[i]));
        cli_print_json(json_pack("{s:s,s:o}", "schema", "ireko.snapshots/1", "snapshots", array));
    } else if (snapshots->len == 0) {
        (void)fprintf(stderr, "no snapshots: 'ireko snapshot LAB NAME' takes one\n");
    } else {
        print_table(snapshots);
    }
    return EXIT_DONE;
}

/* ---- snapshot LAB NAME, snapshot remove ---- */

static int
take(const IrekoHome *home, char **words, bool dry_run, bool json, GError **error)
{
    g_autofree char *lab = cli_lab_name(home, words[0], error);
    if (lab == NULL)
        return EXIT_NO;
    if (dry_run) {
        g_autofree char *plan = ireko_snapshot_plan(home, lab, words[1], error);
        (void)fputs(plan != NULL ? plan : "", stdout);
        return plan != NULL ? EXIT_DONE : EXIT_NO;
    }
    const IrekoLabRun run = {.cancel_fd = cli_cancel_fd(), .progress = cli_print_step};
    g_autoptr(IrekoSnapshot) snapshot = ireko_snapshot_take(home, lab, words[1], &run, error);
    if (snapshot == NULL)
        return EXIT_NO;
    if (json) {
        json_t *document = to_json(snapshot);
        json_object_set_new(document, "schema", json_string("ireko.snapshot/1"));
        cli_print_json(document);
        return EXIT_DONE;
    }
    g_autofree char *size = g_format_size_full(snapshot->bytes, G_FORMAT_SIZE_IEC_UNITS);
    (void)printf("%s: kept as '%s', %u machine%s, %s; stood still for %.2f s\n", lab,
                 snapshot->name, snapshot->machines, snapshot->machines == 1 ? "" : "s", size,
                 snapshot->still_seconds);
    (void)fprintf(stderr, "Back to it with: ireko restore %s %s\n", lab, snapshot->name);
    return EXIT_DONE;
}

static int
remove_one(const IrekoHome *home, char **words, bool dry_run, GError **error)
{
    g_autofree char *lab = cli_lab_name(home, words[0], error);
    if (lab == NULL)
        return EXIT_NO;
    if (!dry_run && !ireko_snapshot_remove(home, lab, words[1], error))
        return EXIT_NO;
    (void)printf("%s %s of %s\n", dry_run ? "would remove" : "removed", words[1], lab);
    return EXIT_DONE;
}

int
cmd_snapshot(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say what would be saved, or removed", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "as ireko.snapshot/1; list: as ireko.snapshots/1",
         NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 3}, &status, error))
        return status;
    g_autoptr(IrekoHome) home = ireko_home_new();
    bool is_list = strcmp(argv[1], "list") == 0 && argc <= 3 && !dry_run;
    bool is_remove = strcmp(argv[1], "remove") == 0 && argc == 4 && !json;
    if (is_list)
        return list(home, argc > 2 ? argv[2] : NULL, json, error);
    if (is_remove)
        return remove_one(home, argv + 2, dry_run, error);
    if (argc == 3)
        return take(home, argv + 1, dry_run, json, error);
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                        "write 'snapshot LAB NAME', 'snapshot list [LAB]' or 'snapshot remove LAB "
                        "NAME'");
    return EXIT_USAGE;
}

/* ---- restore ---- */

/* Says that the lab comes back as it was defined then. Whether NAME is one of its snapshots. */
static void
note_change(const IrekoHome *home, const char *lab, const char *name)
{
    g_autoptr(GPtrArray) snapshots = ireko_snapshot_list(home, lab);
    for (unsigned i = 0; i < snapshots->len; i++) {
        const IrekoSnapshot *snapshot = snapshots->pdata[i];
        if (snapshot->changed && strcmp(snapshot->name, name) == 0)
            (void)fprintf(
                stderr,
                "'%s' was taken of another definition than the one on record now: the lab "
                "comes back as it was defined then\n",
                name);
    }
}

int
cmd_restore(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "only check the snapshot", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the outcome as ireko.nest/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){2, 2}, &status, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autofree char *lab = cli_lab_name(home, argv[1], error);
    if (lab == NULL)
        return EXIT_NO;
    note_change(home, lab, argv[2]);
    if (dry_run) {
        bool good = ireko_snapshot_check(home, lab, argv[2], error);
        if (good)
            (void)printf("%s would go on from '%s'\n", lab, argv[2]);
        return good ? EXIT_DONE : EXIT_NO;
    }
    g_autofree char *program = cli_program();
    g_autoptr(IrekoLab) then = ireko_snapshot_lab(home, lab, argv[2], NULL);
    g_autoptr(GPtrArray) machines =
        then != NULL ? ireko_lab_machines(then) : g_ptr_array_new(); /* the restore says why */
    View *view = view_new(lab, machines, false);
    const IrekoLabRun run = {.program = program,
                             .cancel_fd = cli_cancel_fd(),
                             .report = view_report,
                             .progress = view_progress,
                             .data = view};
    g_autoptr(IrekoNest) nest = ireko_snapshot_restore(home, lab, argv[2], &run, error);
    view_free(view);
    return nest != NULL ? cli_print_nest(nest, json) : EXIT_NO;
}
