/* cli/cmd-down.c - ireko down LAB: end a lab, remove exactly what was made for it. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void
print_step(void *data, const char *step, unsigned done, unsigned total)
{
    (void)data, (void)done, (void)total;
    (void)fprintf(stderr, "%s\n", step);
}

/* The name of the lab that WHERE means; a lab whose record is damaged still goes by its name. */
static char *
name_of(const IrekoHome *home, const char *where, GError **error)
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
    g_autofree char *name = name_of(home, argv[1], error);
    if (name == NULL)
        return EXIT_NO;
    if (dry_run) {
        g_autoptr(IrekoLab) lab = ireko_lab_recorded(home, name, error);
        g_autoptr(GPtrArray) machines = lab != NULL ? ireko_lab_machines(lab) : NULL;
        for (unsigned i = 0; machines != NULL && i < machines->len; i++)
            (void)printf("end %s\n", ((const IrekoReport *)machines->pdata[i])->path);
        return lab != NULL ? EXIT_DONE : EXIT_NO;
    }
    const IrekoLabRun run = {.cancel_fd = cli_cancel_fd(), .progress = print_step};
    if (!ireko_lab_down(home, name, &run, error))
        return EXIT_NO;
    (void)fprintf(stderr, "%s is gone\n", name);
    return EXIT_DONE;
}
