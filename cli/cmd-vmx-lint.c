/* cli/cmd-vmx-lint.c - ireko vmx lint: what is wrong with files and with a lab as a whole. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ireko/lint.h>

#include "vmx.h"

#define MARGIN "    "

typedef struct {
    VmxEdit edit;
    bool fix, json;
    unsigned width;
} Lint;

static void
add_detail(GString *out, const char *label, const char *text, unsigned width)
{
    if (text == NULL)
        return;
    g_autofree char *first = g_strdup_printf(MARGIN "%s: ", label);
    g_autofree char *lines = cli_wrap(text, width, first, MARGIN);
    g_string_append(out, lines);
}

static void
add_finding(GString *out, const IrekoFinding *finding, unsigned width)
{
    g_autofree char *line = finding->line > 0 ? g_strdup_printf(":%u", finding->line) : NULL;
    g_autofree char *place = finding->file != NULL
                                 ? g_strconcat(finding->file, line != NULL ? line : "", ": ", NULL)
                                 : g_strdup("");
    g_autofree char *safe = vmx_line(place);
    g_autofree char *head =
        g_strdup_printf("%s%s: %s [%s]", safe, ireko_severity_name(finding->severity),
                        finding->what, finding->code);
    g_autofree char *lines = cli_wrap(head, width, "", MARGIN);
    g_string_append(out, lines);
    add_detail(out, "read", finding->evidence, width);
    add_detail(out, finding->can_fix ? "fix (--fix does it)" : "fix", finding->fix, width);
    add_detail(out, "source", finding->source, width);
}

void
vmx_findings_to_text(GString *out, const GPtrArray *findings, IrekoSeverity least, unsigned width)
{
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        if (finding->severity >= least)
            add_finding(out, finding, width);
    }
}

static json_t *
findings_to_json(const GPtrArray *findings)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        g_autofree char *file = finding->file != NULL ? vmx_line(finding->file) : NULL;
        json_array_append_new(
            rows,
            json_pack("{s:s,s:s,s:s?,s:i,s:s,s:s?,s:s?,s:s?,s:b}", "code", finding->code,
                      "severity", ireko_severity_name(finding->severity), "file", file, "line",
                      (int)finding->line, "what", finding->what, "evidence", finding->evidence,
                      "fix", finding->fix, "source", finding->source, "can_fix", finding->can_fix));
    }
    return rows;
}

/* Adds FINDINGS up and says them. */
static void
report(const GPtrArray *findings, const Lint *lint, GString *words, VmxResult *result)
{
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        result->found[finding->severity]++;
        result->can_fix += finding->can_fix;
    }
    result->failed |= result->found[IREKO_SEVERITY_ERROR] > 0;
    if (lint->json)
        json_object_set_new(result->json, "findings", findings_to_json(findings));
    else
        vmx_findings_to_text(words, findings, IREKO_SEVERITY_INFO, lint->width);
}

static bool
mend(IrekoVmx *doc, const char *file, const void *data, VmxResult *result, GError **error)
{
    (void)error;
    const Lint *lint = data;
    GString *words = vmx_words(file, &lint->edit, result);
    result->fixed = ireko_lint_fix(doc, vmx_name(file));
    g_autoptr(GPtrArray) left = ireko_lint(doc, vmx_name(file));
    if (result->fixed > 0 && !lint->json)
        g_string_append_printf(words, "%s: %u %smended\n", vmx_name(file), result->fixed,
                               lint->edit.dry_run ? "to be " : "");
    result->json = vmx_row(file);
    json_object_set_new(result->json, "fixed", json_integer(result->fixed));
    report(left, lint, words, result);
    return true;
}

static bool
look(const char *file, const Lint *lint, VmxResult *result, GError **error)
{
    g_autoptr(IrekoVmx) doc = vmx_read(file, error);
    if (doc == NULL)
        return false;
    g_autoptr(GPtrArray) findings = ireko_lint(doc, vmx_name(file));
    IrekoFinding *locked = strcmp(file, "-") == 0 ? NULL : ireko_lint_locked(doc, file);
    if (locked != NULL)
        g_ptr_array_insert(findings, 0, locked);
    result->json = vmx_row(file);
    report(findings, lint, result->out, result);
    return true;
}

static void
lint_file(const char *file, const void *data, VmxResult *result)
{
    const Lint *lint = data;
    g_autoptr(GError) why = NULL;
    bool done = lint->fix ? vmx_edit(file, &lint->edit, mend, lint, result, &why)
                          : look(file, lint, result, &why);
    if (!done) {
        g_string_truncate(result->out, 0);
        g_string_truncate(result->err, 0);
        vmx_fail(result, file, why);
    } else if (lint->json) {
        g_string_truncate(result->out, 0);
    }
}

/* What is wrong with the machines of LAB together. */
static json_t *
lint_lab(const IrekoLab *lab, const Lint *lint, VmxResult *sum)
{
    VmxResult result = {.json = json_pack("{s:s}", "lab", ireko_lab_name(lab))};
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GPtrArray) findings = ireko_lab_lint(lab);
    report(findings, lint, out, &result);
    (void)fputs(out->str, stdout);
    for (size_t i = 0; i < G_N_ELEMENTS(sum->found); i++)
        sum->found[i] += result.found[i];
    sum->failed |= result.failed;
    return result.json;
}

static void
add_count(GString *out, unsigned count, const char *what)
{
    if (count > 0)
        g_string_append_printf(out, "%s%u %s%s", out->len > 0 ? ", " : "", count, what,
                               count == 1 ? "" : "s");
}

static void
print_sum(const VmxResult *sum, const Lint *lint, unsigned files)
{
    g_autoptr(GString) out = g_string_new(NULL);
    add_count(out, sum->found[IREKO_SEVERITY_ERROR], "error");
    add_count(out, sum->found[IREKO_SEVERITY_WARNING], "warning");
    add_count(out, sum->found[IREKO_SEVERITY_INFO], "remark");
    if (out->len == 0)
        g_string_append(out, sum->failed ? "nothing more found" : "nothing found");
    g_string_append_printf(out, " in %u file%s", files, files == 1 ? "" : "s");
    if (sum->fixed > 0)
        g_string_append_printf(out, "; %u %smended", sum->fixed,
                               lint->edit.dry_run ? "to be " : "");
    if (sum->can_fix > 0 && !lint->fix)
        g_string_append_printf(out, "; --fix can mend %u", sum->can_fix);
    (void)fprintf(stderr, "%s\n", out->str);
}

static bool
is_lab(const char *word)
{
    return g_file_test(word, G_FILE_TEST_IS_DIR) || g_str_has_suffix(word, ".yaml") ||
           g_str_has_suffix(word, ".yml");
}

/* Loads the labs among WORDS; the files that are meant go to FILES. */
static bool
take_words(char **words, const IrekoHome *home, GPtrArray *files, GPtrArray *labs, GError **error)
{
    for (; *words != NULL; words++) {
        if (!is_lab(*words)) {
            g_ptr_array_add(files, g_strdup(*words));
            continue;
        }
        IrekoLab *lab = ireko_lab_load(home, *words, error);
        if (lab == NULL)
            return false;
        g_ptr_array_add(labs, lab);
        g_auto(GStrv) names = ireko_lab_files(lab);
        for (size_t i = 0; names[i] != NULL; i++)
            g_ptr_array_add(files, g_strdup(names[i]));
    }
    return true;
}

static void
free_lab(void *lab)
{
    ireko_lab_free(lab);
}

static int
run_lint(char **words, Lint *lint, GError **error)
{
    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autoptr(GHashTable) running = vmx_running();
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) labs = g_ptr_array_new_with_free_func(free_lab);
    if (!take_words(words, home, files, labs, error))
        return EXIT_NO;
    lint->edit.running = running;
    lint->width = cli_width(STDOUT_FILENO);
    json_t *rows = json_array(), *lab_rows = json_array();
    VmxResult sum = vmx_each((char **)files->pdata, files->len, lint_file, lint, rows);
    for (unsigned i = 0; i < labs->len; i++)
        json_array_append_new(lab_rows, lint_lab(labs->pdata[i], lint, &sum));
    if (lint->json)
        cli_print_json(json_pack("{s:s,s:b,s:O,s:O}", "schema", "ireko.lint/1", "ok", !sum.failed,
                                 "files", rows, "labs", lab_rows));
    else
        print_sum(&sum, lint, files->len);
    json_decref(rows);
    json_decref(lab_rows);
    return sum.failed ? EXIT_NO : EXIT_DONE;
}

int
vmx_lint(int argc, char **argv, GError **error)
{
    gboolean fix = FALSE, dry_run = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"fix", 0, 0, G_OPTION_ARG_NONE, &fix, "mend what has one right answer", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "with --fix: print a diff instead", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "as ireko.lint/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, G_MAXINT}, &status, error))
        return status;
    bool to_output = fix && !dry_run && g_strv_contains((const char *const *)argv + 1, "-");
    if ((dry_run && !fix) || (json && to_output)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    dry_run ? "--dry-run goes with --fix"
                            : "--json and the text of '-' would both go to standard output: add "
                              "--dry-run");
        return EXIT_USAGE;
    }
    Lint lint = {.edit = {.dry_run = dry_run}, .fix = fix, .json = json};
    return run_lint(argv + 1, &lint, error);
}
