/* cli/cmd-vmx-preset.c - ireko vmx nest, ssd: what people come for, each step with its reason. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ireko/lint.h>
#include <ireko/preset.h>

#include "vmx.h"

#define MARGIN "        "

typedef struct {
    VmxEdit edit;
    bool json;
    unsigned width;
    char *const *disks; /* of ssd; DISKS_COUNT of them. NULL: nest */
    size_t disks_count;
    bool off; /* no SSD */
} Preset;

/* "+ vhv.enable = "TRUE"    was "FALSE", line 15" */
static void
add_head(GString *out, const IrekoStep *step)
{
    static const char signs[] = {
        [IREKO_STEP_RIGHT] = '=', [IREKO_STEP_CHANGE] = '+', [IREKO_STEP_ADVICE] = '!'};
    bool goes = step->kind == IREKO_STEP_CHANGE && step->after == NULL;
    const char *value = step->kind == IREKO_STEP_CHANGE ? step->after : step->before;
    g_autofree char *text =
        value != NULL ? g_strdup_printf("%s = \"%s\"", step->key, value) : g_strdup(step->key);
    g_autofree char *safe = vmx_line(text);
    g_string_append_printf(out, "  %c %s", goes ? '-' : signs[step->kind], safe);
    if (step->kind == IREKO_STEP_RIGHT)
        g_string_append(out, step->before != NULL ? "  (so already)" : "  (not needed)");
    else if (step->kind == IREKO_STEP_CHANGE && step->before == NULL)
        g_string_append(out, "  (new)");
    else if (step->kind == IREKO_STEP_CHANGE) {
        g_autofree char *was = vmx_line(step->before);
        g_string_append_printf(out, "  (was \"%s\", line %u)", was, step->line);
    }
    g_string_append_c(out, '\n');
}

static void
add_step_text(GString *out, const IrekoStep *step, unsigned width)
{
    add_head(out, step);
    g_autofree char *why = g_strdup_printf("%s [%s]", step->reason, step->source);
    g_autofree char *lines = cli_wrap(why, width, MARGIN, MARGIN);
    g_string_append(out, lines);
}

static json_t *
steps_to_json(const GPtrArray *steps)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < steps->len; i++) {
        const IrekoStep *step = steps->pdata[i];
        json_array_append_new(rows, json_pack("{s:s,s:s,s:i,s:s?,s:s?,s:s,s:s?}", "kind",
                                              ireko_step_kind_name(step->kind), "key", step->key,
                                              "line", (int)step->line, "before", step->before,
                                              "after", step->after, "reason", step->reason,
                                              "source", step->source));
    }
    return rows;
}

/* The steps for DOC; of several disks, one after the other. */
static GPtrArray *
plan(const IrekoVmx *doc, const Preset *preset, size_t i, const char **ret_guest, GError **error)
{
    return preset->disks == NULL ? ireko_preset_nest(doc, ret_guest, error)
                                 : ireko_preset_ssd(doc, preset->disks[i], !preset->off, error);
}

/* What lint would still call an error is said, since the machine does not do with it. */
static void
say_what_is_left(const IrekoVmx *doc, const char *file, const Preset *preset, VmxResult *result)
{
    g_autoptr(GPtrArray) findings = ireko_lint(doc, vmx_name(file));
    vmx_findings_to_text(result->err, findings, IREKO_SEVERITY_ERROR, preset->width);
}

static bool
do_preset(IrekoVmx *doc, const char *file, const void *data, VmxResult *result, GError **error)
{
    const Preset *preset = data;
    GString *words = vmx_words(file, &preset->edit, result);
    result->json = vmx_row(file);
    json_t *rows = json_array();
    json_object_set_new(result->json, "steps", rows);
    for (size_t i = 0; i < (preset->disks == NULL ? 1 : preset->disks_count); i++) {
        const char *guest = NULL;
        g_autoptr(GPtrArray) steps = plan(doc, preset, i, &guest, error);
        if (steps == NULL || !ireko_preset_apply(doc, steps, error)) {
            g_prefix_error(error, "%s: ", vmx_name(file));
            return false;
        }
        if (guest != NULL)
            json_object_set_new(result->json, "guest", json_string(guest));
        json_t *more = steps_to_json(steps);
        json_array_extend(rows, more);
        json_decref(more);
        if (preset->json)
            continue;
        if (i == 0)
            g_string_append_printf(words, "%s%s%s:\n", vmx_name(file),
                                   guest != NULL ? ", to run " : "", guest != NULL ? guest : "");
        for (unsigned k = 0; k < steps->len; k++)
            add_step_text(words, steps->pdata[k], preset->width);
    }
    if (preset->disks == NULL)
        say_what_is_left(doc, file, preset, result);
    return true;
}

static void
preset_file(const char *file, const void *data, VmxResult *result)
{
    const Preset *preset = data;
    g_autoptr(GError) why = NULL;
    bool done = vmx_edit(file, &preset->edit, do_preset, preset, result, &why);
    if (!done) {
        g_string_truncate(result->out, 0);
        g_string_truncate(result->err, 0);
        vmx_fail(result, file, why);
        return;
    }
    json_object_set_new(result->json, "changed", json_boolean(result->changed > 0));
    if (preset->json) {
        g_string_truncate(result->out, 0); /* the answer is the JSON alone */
        return;
    }
    const char *ending = !result->changed         ? "nothing to change"
                         : preset->edit.dry_run   ? "nothing was changed: a dry run"
                         : strcmp(file, "-") == 0 ? "done"
                                                  : "done; 'ireko vmx undo' takes it back";
    g_string_append_printf(vmx_words(file, &preset->edit, result), "%s: %s\n", vmx_name(file),
                           ending);
}

static int
run_preset(char **files, size_t count, Preset *preset, const char *schema, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(files[i], "-") != 0 || !preset->json || preset->edit.dry_run)
            continue;
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "--json and the text of '-' would both go to standard output: add --dry-run");
        return EXIT_USAGE;
    }
    g_autoptr(GHashTable) running = vmx_running();
    preset->edit.running = running;
    preset->width = cli_width(STDOUT_FILENO);
    json_t *rows = json_array();
    VmxResult sum = vmx_each(files, count, preset_file, preset, rows);
    if (preset->json)
        cli_print_json(json_pack("{s:s,s:b,s:b,s:O}", "schema", schema, "ok", !sum.failed,
                                 "dry_run", preset->edit.dry_run, "files", rows));
    json_decref(rows);
    return sum.failed ? EXIT_NO : EXIT_DONE;
}

int
vmx_nest(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "print what would change, as a diff", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the steps as ireko.vmx.nest/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, G_MAXINT}, &status, error))
        return status;
    Preset preset = {.edit = {.dry_run = dry_run}, .json = json};
    return run_preset(argv + 1, (size_t)argc - 1, &preset, "ireko.vmx.nest/1", error);
}

int
vmx_ssd(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE, json = FALSE, off = FALSE;
    const GOptionEntry entries[] = {
        {"off", 0, 0, G_OPTION_ARG_NONE, &off, "say that they rotate", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "print what would change, as a diff", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the steps as ireko.vmx.ssd/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){2, G_MAXINT}, &status, error))
        return status;
    Preset preset = {.edit = {.dry_run = dry_run},
                     .json = json,
                     .disks = argv + 2,
                     .disks_count = (size_t)argc - 2,
                     .off = off};
    return run_preset(argv + 1, 1, &preset, "ireko.vmx.ssd/1", error);
}
