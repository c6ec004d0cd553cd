/* cli/cmd-down.c - ireko down LAB: end a lab, remove exactly what was made for it. */
#include <stdio.h>
#include <string.h>

#include <ireko/snapshot.h>
#include <ireko/template.h>

#include "cli.h"

void
cli_print_step(void *data, const char *step, unsigned done, unsigned total)
{
    (void)data, (void)done, (void)total;
    (void)fprintf(stderr, "%s\n", step);
}

void
cli_print_spares(const IrekoHome *home, const char *lab)
{
    unsigned count = ireko_template_spares(home, lab);
    if (count > 0)
        (void)fprintf(stderr, "%u spare%s stand%s ready: 'ireko template cool %s' ends %s\n", count,
                      count == 1 ? "" : "s", count == 1 ? "s" : "", lab != NULL ? lab : "--all",
                      count == 1 ? "it" : "them");
}

char *
cli_lab_name(const IrekoHome *home, const char *where, GError **error)
{
    g_auto(GStrv) names = ireko_lab_names(home);
    if (g_strv_contains((const char *const *)names, where))
        return g_strdup(where);
    g_autoptr(IrekoLab) lab = ireko_lab_recorded(home, where, error);
    return lab != NULL ? g_strdup(ireko_lab_name(lab)) : NULL;
}

int
cmd_down(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say which machines would be ended", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autofree char *name = cli_lab_name(home, argv[1], error);
    if (name == NULL)
        return EXIT_NO;
    g_autoptr(GPtrArray) snapshots = ireko_snapshot_list(home, name);
    if (dry_run) {
        g_autoptr(IrekoLab) lab = ireko_lab_recorded(home, name, error);
        g_autoptr(GPtrArray) machines = lab != NULL ? ireko_lab_machines(lab) : NULL;
        for (unsigned i = 0; machines != NULL && i < machines->len; i++)
            (void)printf("end %s\n", ((const IrekoReport *)machines->pdata[i])->path);
        for (unsigned i = 0; i < snapshots->len; i++)
            (void)printf("remove snapshot %s\n",
                         ((const IrekoSnapshot *)snapshots->pdata[i])->name);
        return lab != NULL ? EXIT_DONE : EXIT_NO;
    }
    const IrekoLabRun run = {.cancel_fd = cli_cancel_fd(), .progress = cli_print_step};
    if (!ireko_lab_down(home, name, &run, error))
        return EXIT_NO;
    for (unsigned i = 0; i < snapshots->len; i++)
        (void)fprintf(stderr, "removed its snapshot %s\n",
                      ((const IrekoSnapshot *)snapshots->pdata[i])->name);
    (void)fprintf(stderr, "%s is gone\n", name);
    cli_print_spares(home, name);
    return EXIT_DONE;
}
