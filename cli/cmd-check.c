/* cli/cmd-check.c - ireko check: will nesting work here, and if not, what is to be changed? */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ireko/check.h>

#include "cli.h"

typedef struct {
    gboolean json, here;
    char *need, *root, *cpuid, *record, *explain;
} Options;

static int
usage(GError **error, const char *fault)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "%s: 'ireko check --help' says more",
                fault);
    return EXIT_USAGE;
}

static int
explain(const char *cause, GError **error)
{
    const char *page = ireko_cause_page(cause);
    if (page != NULL) {
        (void)fputs(page, stdout);
        return EXIT_DONE;
    }
    g_autofree char *known = g_strjoinv(", ", (char **)(uintptr_t)ireko_causes());
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "there is no cause '%s'; there are %s",
                cause, known);
    return EXIT_USAGE;
}

static int
record(const char *dir, const IrekoHome *home, GError **error)
{
    if (!ireko_check_record(dir, home->cache, error))
        return EXIT_NO;
    (void)fprintf(stderr,
                  "recorded, without serial numbers, addresses and names: 'ireko check --root %s' "
                  "judges it\n",
                  dir);
    return EXIT_DONE;
}

static int
judge(const Options *options, const IrekoHome *home, GError **error)
{
    const IrekoCheckOrder order = {
        .root = options->root, .cpuid = options->cpuid, .cache = home->cache};
    g_autoptr(IrekoVerdict) verdict = ireko_check(&order, error);
    if (verdict == NULL)
        return EXIT_NO;
    if (!options->here && options->root == NULL && options->cpuid == NULL)
        ireko_lab_check(home, verdict, cli_cancel_fd());
    bool terminal = cli_is_terminal(STDOUT_FILENO);
    const IrekoCheckStyle style = {
        .width = terminal ? cli_columns() : 0, .colour = terminal, .utf8 = g_get_charset(NULL)};
    g_autofree char *text =
        options->json ? ireko_verdict_to_json(verdict) : ireko_verdict_to_text(verdict, &style);
    (void)fputs(text, stdout);
    const char *word = ireko_verdict_word(verdict);
    bool good =
        options->need != NULL ? strcmp(word, options->need) == 0 : strcmp(word, "none") != 0;
    return good ? EXIT_DONE : EXIT_NO;
}

static int
run(const Options *options, GError **error)
{
    if (options->need != NULL && strcmp(options->need, "hardware") != 0)
        return usage(error, "--need takes 'hardware' alone");
    bool recorded = options->root != NULL || options->cpuid != NULL;
    if (options->root != NULL && options->cpuid != NULL)
        return usage(error, "--root and --cpuid are two hosts: give one");
    if (options->record != NULL && (recorded || options->explain != NULL))
        return usage(error, "--record writes down this machine, and nothing else");
    if (options->explain != NULL)
        return explain(options->explain, error);
    g_autoptr(IrekoHome) home = ireko_home_new();
    return options->record != NULL ? record(options->record, home, error)
                                   : judge(options, home, error);
}

int
cmd_check(int argc, char **argv, GError **error)
{
    Options options = {0};
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &options.json, "as ireko.check/1", NULL},
        {"here", 0, 0, G_OPTION_ARG_NONE, &options.here, "ask no machine that runs here", NULL},
        {"need", 0, 0, G_OPTION_ARG_STRING, &options.need, "'hardware': software is a no", "WORD"},
        {"root", 0, 0, G_OPTION_ARG_FILENAME, &options.root, "judge a recorded host", "DIR"},
        {"cpuid", 0, 0, G_OPTION_ARG_FILENAME, &options.cpuid, "judge a CPUID dump", "FILE"},
        {"record", 0, 0, G_OPTION_ARG_FILENAME, &options.record, "write this host down", "DIR"},
        {"explain", 0, 0, G_OPTION_ARG_STRING, &options.explain, "all of one cause", "CAUSE"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (cli_parse(&argc, &argv, entries, (const int[]){0, 0}, &status, error))
        status = run(&options, error);
    g_free(options.need);
    g_free(options.root);
    g_free(options.cpuid);
    g_free(options.record);
    g_free(options.explain);
    return status;
}
