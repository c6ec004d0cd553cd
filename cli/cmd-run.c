/* cli/cmd-run.c - ireko run FILE.vmx: the player; one machine, its console here. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static void
print_report(void *data, const IrekoReport *report)
{
    (void)data;
    (void)fprintf(stderr, "%s: %s%s%s\n", report->path, ireko_state_name(report->state),
                  report->message != NULL ? ": " : "",
                  report->message != NULL ? report->message : "");
}

static void
print_step(void *data, const char *step, unsigned done, unsigned total)
{
    (void)data, (void)done, (void)total;
    (void)fprintf(stderr, "%s\n", step);
}

/* Shows the console until the machine or the user ends it. */
static bool
play(const IrekoHome *home, const IrekoLab *lab, GError **error)
{
    g_autoptr(GPtrArray) machines = ireko_lab_machines(lab);
    const IrekoReport *machine = machines->pdata[0];
    g_autofree char *path = g_strdup_printf("%s:%s", ireko_lab_name(lab), machine->path);
    int fd = ireko_lab_console(home, path, cli_cancel_fd(), error);
    if (fd < 0)
        return false;
    (void)fprintf(stderr, "console of %s: Enter shows a prompt, Ctrl-] ends the machine\n",
                  machine->path);
    (void)cli_attach_terminal(fd, cli_cancel_fd());
    (void)close(fd);
    (void)fputc('\n', stderr);
    return true;
}

static int
start_and_play(const IrekoHome *home, IrekoLab *lab, IrekoLabRun *run, bool detach, GError **error)
{
    run->report = print_report;
    run->progress = print_step;
    g_autoptr(IrekoNest) nest = ireko_lab_up(home, lab, run, error);
    if (nest == NULL)
        return EXIT_NO;
    if (detach)
        return cli_print_nest(nest, false);
    const IrekoReport *machine = nest->reports->pdata[0];
    bool played = machine->state == IREKO_STATE_RUNNING && play(home, lab, error);
    g_autoptr(GError) why = NULL;
    g_autofree char *name = g_strdup(machine->path);
    bool ended = ireko_lab_down(home, ireko_lab_name(lab), &(IrekoLabRun){.cancel_fd = -1}, &why);
    if (!ended && *error == NULL)
        g_propagate_error(error, g_steal_pointer(&why));
    if (ended)
        (void)fprintf(stderr, "%s: ended\n", name);
    return played && ended ? EXIT_DONE : EXIT_NO;
}

int
cmd_run(int argc, char **argv, GError **error)
{
    gboolean detach = FALSE, dry_run = FALSE;
    g_autofree char *accel = NULL;
    const GOptionEntry entries[] = {
        {"accel", 0, 0, G_OPTION_ARG_STRING, &accel, "auto, kvm or tcg (auto: KVM where it works)",
         "WHICH"},
        {"detach", 0, 0, G_OPTION_ARG_NONE, &detach, "leave it running, without its console", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "say what would be started, start nothing",
         NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error) ||
        !cli_check_accel(&accel, error))
        return status;
    if (!g_str_has_suffix(argv[1], ".vmx")) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "'%s' is not called .vmx: 'ireko up' takes labs", argv[1]);
        return EXIT_USAGE;
    }
    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autoptr(IrekoLab) lab = ireko_lab_load(home, argv[1], error);
    if (lab == NULL)
        return EXIT_NO;
    cli_print_notes(lab);
    g_autofree char *program = cli_program();
    IrekoLabRun run = {
        .accel = accel, .program = program, .fresh = true, .cancel_fd = cli_cancel_fd()};
    if (dry_run)
        return cli_print_plan(home, lab, &run, error);
    return start_and_play(home, lab, &run, detach, error);
}
