/* cli/cmd-stop.c - ireko stop PATH, ireko start PATH: one machine of a lab, at any depth. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* The machines that LAB keeps from PATH inwards, a line each: "VERB esxi01/esxi02". */
static int
print_machines(const IrekoLab *lab, const char *verb, const char *path)
{
    const char *colon = strchr(path, ':');
    size_t depth = strlen(colon != NULL ? colon + 1 : path);
    g_autoptr(GPtrArray) machines = ireko_lab_machines(lab);
    for (unsigned i = 0; i < machines->len; i++) {
        const IrekoReport *machine = machines->pdata[i];
        if (strlen(machine->path) >= depth)
            (void)printf("%s %s\n", verb, machine->path);
    }
    return EXIT_DONE;
}

int
cmd_stop(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say which machines would end", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    if (dry_run) {
        g_autoptr(IrekoLab) lab = ireko_lab_of_machine(home, argv[1], error);
        return lab != NULL ? print_machines(lab, "stop", argv[1]) : EXIT_NO;
    }
    const IrekoLabRun run = {.cancel_fd = cli_cancel_fd()};
    if (!ireko_lab_stop(home, argv[1], &run, error))
        return EXIT_NO;
    (void)fprintf(stderr, "%s stands still: 'ireko start %s' starts it again\n", argv[1], argv[1]);
    return EXIT_DONE;
}

int
cmd_start(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say which machines would start", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "the outcome as ireko.nest/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autoptr(IrekoLab) lab = ireko_lab_of_machine(home, argv[1], error);
    if (lab == NULL)
        return EXIT_NO;
    if (dry_run)
        return print_machines(lab, "start", argv[1]);
    g_autofree char *program = cli_program();
    g_autoptr(GPtrArray) machines = ireko_lab_machines(lab);
    View *view = view_new(ireko_lab_name(lab), machines, false);
    const IrekoLabRun run = {.program = program,
                             .cancel_fd = cli_cancel_fd(),
                             .report = view_report,
                             .progress = view_progress,
                             .data = view};
    g_autoptr(IrekoNest) nest = ireko_lab_start(home, lab, &run, error);
    view_free(view);
    return nest != NULL ? cli_print_nest(nest, json) : EXIT_NO;
}
