/* cli/cmd-template.c - ireko template: listed, removed; the rest is in cmd-template-warm.c. */
#include <jansson.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include <ireko/template.h>
#include <ireko/text.h>

#include "template.h"

#define KEY_SHOWN 12 /* digits of a key: enough to tell them apart */

static void
print_json(const GPtrArray *templates)
{
    json_t *list = json_array();
    uint64_t sum = 0;
    for (unsigned i = 0; i < templates->len; i++) {
        const IrekoTemplate *t = templates->pdata[i];
        sum += t->bytes;
        json_array_append_new(
            list, json_pack("{s:s,s:s?,s:s?,s:s?,s:s?,s:i,s:I,s:I,s:b,s:i,s:s?}", "key", t->key,
                            "lab", t->lab, "name", t->name, "file", t->file, "accel", t->accel,
                            "machines", (int)t->machines, "bytes", (json_int_t)t->bytes, "used",
                            (json_int_t)t->used_unix, "in_use", (int)t->in_use, "spares",
                            (int)t->spares, "damage", t->damage));
    }
    cli_print_json(json_pack("{s:s,s:I,s:I,s:o}", "schema", "ireko.templates/1", "bytes",
                             (json_int_t)sum, "limit_bytes", (json_int_t)ireko_template_limit(),
                             "templates", list));
}

/* BYTES in the unit that people read. */
static char *
size_text(uint64_t bytes)
{
    return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

static void
add_row(struct libscols_table *table, const IrekoTemplate *t)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    g_autofree char *key = g_strndup(t->key, KEY_SHOWN);
    g_autofree char *size = size_text(t->bytes);
    g_autofree char *machines = g_strdup_printf("%u", t->machines);
    g_autoptr(GDateTime) used = g_date_time_new_from_unix_local(t->used_unix);
    g_autofree char *when = used != NULL ? g_date_time_format(used, "%F %T") : g_strdup("");
    g_autofree char *of = t->lab != NULL ? g_strdup_printf("%s:%s", t->lab, t->name) : NULL;
    g_autofree char *ready = g_strdup_printf("in use, %u ready", t->spares);
    const char *cells[] = {key,
                           of != NULL ? of : "?",
                           machines,
                           t->accel != NULL ? t->accel : "?",
                           size,
                           when,
                           t->damage != NULL ? t->damage
                           : t->spares > 0   ? ready
                           : t->in_use       ? "in use"
                                             : ""};
    for (size_t i = 0; i < G_N_ELEMENTS(cells); i++)
        (void)scols_line_set_data(line, i, cells[i]);
}

static void
print_table(const GPtrArray *templates)
{
    static const struct {
        const char *name;
        int flags;
    } columns[] = {{"KEY", 0},          {"MADE OF", 0},           {"MACHINES", SCOLS_FL_RIGHT},
                   {"ON", 0},           {"SIZE", SCOLS_FL_RIGHT}, {"LAST USED", 0},
                   {"", SCOLS_FL_TRUNC}};
    bool terminal = cli_is_terminal(1);
    struct libscols_table *table = cli_table_new(terminal, terminal ? cli_columns() : 0);
    for (size_t i = 0; i < G_N_ELEMENTS(columns); i++)
        (void)scols_table_new_column(table, columns[i].name, 0, columns[i].flags);
    uint64_t sum = 0;
    for (unsigned i = 0; i < templates->len; i++) {
        add_row(table, templates->pdata[i]);
        sum += ((const IrekoTemplate *)templates->pdata[i])->bytes;
    }
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    g_autofree char *all = size_text(sum), *limit = size_text(ireko_template_limit());
    (void)printf("%s\n%s of %s (IREKO_TEMPLATES_SIZE)\n", text, all, limit);
}

static int
list(const IrekoHome *home, bool json)
{
    g_autoptr(GPtrArray) templates = ireko_template_list(home);
    if (json)
        print_json(templates);
    else if (templates->len == 0)
        (void)fprintf(stderr, "no templates yet: 'ireko up' keeps what it has proven\n");
    else
        print_table(templates);
    return EXIT_DONE;
}

/* Removes the template KEY, or says that it would. */
static bool
remove_one(const IrekoHome *home, const char *key, bool dry_run, GError **error)
{
    if (!dry_run && !ireko_template_remove(home, key, error))
        return false;
    (void)printf("%s %.*s\n", dry_run ? "would remove" : "removed", KEY_SHOWN, key);
    return true;
}

/* Those in use stay, and are told of. */
static int
remove_all(const IrekoHome *home, bool dry_run)
{
    g_autoptr(GPtrArray) templates = ireko_template_list(home);
    int status = EXIT_DONE;
    for (unsigned i = 0; i < templates->len; i++) {
        const IrekoTemplate *t = templates->pdata[i];
        g_autoptr(GError) why = NULL;
        if (t->in_use)
            (void)fprintf(stderr, "%.*s stays: it is in use\n", KEY_SHOWN, t->key);
        else if (!remove_one(home, t->key, dry_run, &why))
            (void)fprintf(stderr, "%s\n", why->message);
        status = t->in_use || why != NULL ? EXIT_NO : status;
    }
    return status;
}

/* Whether the words and OPTIONS behind VERB go with it. */
static bool
fits(const char *verb, int words, const TemplateOptions *options)
{
    bool warms = options->count != 0 || options->accel != NULL;
    if (strcmp(verb, "list") == 0)
        return words == 0 && !options->all && !options->dry_run && !warms;
    if (strcmp(verb, "warm") == 0)
        return words == 1 && !options->all;
    return (strcmp(verb, "remove") == 0 || strcmp(verb, "cool") == 0) &&
           (words > 0) != (options->all != 0) && !options->json && !warms;
}

static int
remove_some(const IrekoHome *home, char **starts, const TemplateOptions *options, GError **error)
{
    if (options->all)
        return remove_all(home, options->dry_run);
    for (; *starts != NULL; starts++) {
        g_autofree char *key = ireko_template_find(home, *starts, error);
        if (key == NULL || !remove_one(home, key, options->dry_run, error))
            return EXIT_NO;
    }
    return EXIT_DONE;
}

static int
run(const char *verb, char **words, TemplateOptions *options, GError **error)
{
    g_autoptr(IrekoHome) home = ireko_home_new();
    if (strcmp(verb, "list") == 0)
        return list(home, options->json);
    if (strcmp(verb, "remove") == 0)
        return remove_some(home, words, options, error);
    if (strcmp(verb, "cool") == 0)
        return template_cool(home, words, options, error);
    if (options->count == 0)
        options->count = 1;
    return cli_check_accel(&options->accel, error) ? template_warm(home, *words, options, error)
                                                   : EXIT_USAGE;
}

int
cmd_template(int argc, char **argv, GError **error)
{
    TemplateOptions options = {0};
    const GOptionEntry entries[] = {
        {"all", 0, 0, G_OPTION_ARG_NONE, &options.all,
         "remove: every one not in use; cool: every lab's", NULL},
        {"count", 0, 0, G_OPTION_ARG_INT, &options.count,
         "warm: how many for each machine (1 to 64; 1)", "N"},
        {"accel", 0, 0, G_OPTION_ARG_STRING, &options.accel, "warm: auto, kvm or tcg, as for up",
         "WHICH"},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &options.dry_run, "say what would be done", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options.json,
         "list: as ireko.templates/1; warm: as ireko.spares/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1 + TEMPLATE_WORDS_MAX}, &status, error))
        return status;
    if (options.count < 0 || options.count > IREKO_SPARES_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "--count is 1 to %d, not %d",
                    IREKO_SPARES_MAX, options.count);
    } else if (!fits(argv[1], argc - 2, &options)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "write 'template list [--json]', 'template warm LAB [--count N]', "
                            "'template cool LAB... | --all' or 'template remove KEY... | --all'");
    } else {
        status = run(argv[1], argv + 2, &options, error);
    }
    g_free(options.accel);
    return status;
}
