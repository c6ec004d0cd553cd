/* cli/cmd-up.c - ireko up LAB: bring a lab up and prove it; verify and ps ask again. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int
cli_print_nest(const IrekoNest *nest, bool json)
{
    if (json) {
        g_autofree char *text = ireko_nest_to_text(nest);
        (void)puts(text);
    } else {
        bool terminal = cli_is_terminal(STDOUT_FILENO);
        g_autofree char *title =
            g_strdup_printf("%s: %s, %u machine%s, %.1f s", nest->lab, nest->accel,
                            nest->reports->len, nest->reports->len == 1 ? "" : "s", nest->seconds);
        g_autofree char *text =
            tree_to_text(title, nest->reports, terminal, terminal ? cli_columns() : 0);
        (void)fputs(text, stdout);
        words_print(nest);
    }
    return nest->ok ? EXIT_DONE : EXIT_NO;
}

void
cli_print_notes(const IrekoLab *lab)
{
    g_auto(GStrv) notes = ireko_lab_notes(lab);
    for (size_t i = 0; notes[i] != NULL; i++)
        (void)fprintf(stderr, "%s\n", notes[i]);
}

int
cli_print_plan(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error)
{
    g_autofree char *plan = ireko_lab_plan(home, lab, run, error);
    if (plan == NULL)
        return EXIT_NO;
    (void)fputs(plan, stdout);
    return EXIT_DONE;
}

int
cmd_up(int argc, char **argv, GError **error)
{
    gboolean json = FALSE, dry_run = FALSE, fresh = FALSE;
    g_autofree char *accel = NULL;
    const GOptionEntry entries[] = {
        {"accel", 0, 0, G_OPTION_ARG_STRING, &accel, "auto, kvm or tcg (auto: KVM where it works)",
         "WHICH"},
        {"fresh", 0, 0, G_OPTION_ARG_NONE, &fresh, "end what runs of the lab and start anew", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say what would be started, start nothing",
         NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the outcome as ireko.nest/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error) ||
        !cli_check_accel(&accel, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autoptr(IrekoLab) lab = ireko_lab_load(home, argv[1], error);
    if (lab == NULL)
        return EXIT_NO;
    cli_print_notes(lab);
    g_autofree char *program = cli_program();
    IrekoLabRun run = {
        .accel = accel, .program = program, .fresh = fresh != 0, .cancel_fd = cli_cancel_fd()};
    if (dry_run)
        return cli_print_plan(home, lab, &run, error);
    if (fresh && !ireko_lab_down(home, ireko_lab_name(lab), &run, error))
        return EXIT_NO;

    g_autoptr(GPtrArray) machines = ireko_lab_machines(lab);
    View *view = view_new(ireko_lab_name(lab), machines, false);
    run.report = view_report;
    run.progress = view_progress;
    run.data = view;
    g_autoptr(IrekoNest) nest = ireko_lab_up(home, lab, &run, error);
    view_free(view);
    return nest != NULL ? cli_print_nest(nest, json) : EXIT_NO;
}

int
cmd_verify(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the outcome as ireko.nest/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autoptr(IrekoLab) lab = ireko_lab_recorded(home, argv[1], error);
    const IrekoLabRun run = {.cancel_fd = cli_cancel_fd()};
    g_autoptr(IrekoNest) nest = lab != NULL ? ireko_lab_verify(home, lab, &run, error) : NULL;
    if (nest == NULL)
        return EXIT_NO;
    status = cli_print_nest(nest, json);
    if (!json)
        lost_print(nest);
    return status;
}
