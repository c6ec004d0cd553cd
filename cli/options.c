/* cli/options.c - options and help, from the command table. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "vmx.h"

/* The verb NAME, or the sub-verb: "vmx set". */
static const Command *
command_of(const char *name)
{
    const Command *command = strchr(name, ' ') != NULL ? vmx_commands : cli_commands;
    while (strcmp(command->name, name) != 0)
        command++;
    return command;
}

void
cli_print_list(const Command *commands)
{
    for (const Command *command = commands; command->name != NULL; command++) {
        if (command->summary != NULL)
            (void)printf("  %-8s  %s\n", command->name, command->summary);
    }
}

void
cli_print_help(void)
{
    (void)puts("usage: ireko VERB ...\n"
               "\n"
               "Runs, customises and sees through nested virtual machines - hypervisors inside\n"
               "hypervisors - from VMware .vmx files, on QEMU, with or without hardware\n"
               "virtualisation.\n");
    cli_print_list(cli_commands);
    (void)puts("\n"
               "  ireko VERB --help  more of one verb, with examples\n"
               "  ireko --version\n"
               "\n"
               "Begin with: ireko up examples/workshop\n"
               "\n"
               "Exit status: 0 done or yes, 1 failed or no, 2 wrong usage. IREKO_HOME overrides\n"
               "the folders where things are kept.");
}

static void
print_command_help(const Command *command, const GOptionEntry *entries)
{
    const char *stop = g_str_has_suffix(command->summary, "?") ? "" : ".";
    (void)printf("usage: ireko %s %s\n\n%s%s\n\n%s", command->name, command->synopsis,
                 command->summary, stop, command->help);
    for (const GOptionEntry *entry = entries; entry != NULL && entry->long_name != NULL; entry++) {
        g_autofree char *name =
            entry->arg_description != NULL
                ? g_strdup_printf("--%s %s", entry->long_name, entry->arg_description)
                : g_strdup_printf("--%s", entry->long_name);
        (void)printf("%s  %-22s %s\n", entry == entries ? "\n" : "", name, entry->description);
    }
}

/* Whether --help stands anywhere before "--". */
static bool
asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* Takes the options that stand before and between words, up to "--". */
static bool
take_options(int *argc, char ***argv, const GOptionEntry *entries, bool strict, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, strict);
    if (entries != NULL)
        g_option_context_add_main_entries(context, entries, NULL);
    return g_option_context_parse(context, argc, argv, error);
}

bool
cli_parse(int *argc,
          char ***argv,
          const GOptionEntry *entries,
          const int least_most[2],
          int *ret_status,
          GError **error)
{
    const Command *command = command_of((*argv)[0]);
    if (command->summary != NULL && asks_for_help(*argc, *argv)) {
        print_command_help(command, entries);
        *ret_status = EXIT_DONE;
        return false;
    }
    *ret_status = EXIT_USAGE;
    bool any = least_most[1] < 0; /* what follows is a command with options of its own */
    if (!take_options(argc, argv, entries, any, error)) {
        g_autofree char *fault = g_strdup((*error)->message);
        g_clear_error(error);
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "%s\nusage: ireko %s %s", fault,
                    command->name, command->synopsis != NULL ? command->synopsis : "");
        return false;
    }
    int words = *argc - 1;
    if (words >= least_most[0] && (any || words <= least_most[1]))
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "usage: ireko %s %s", command->name,
                command->synopsis != NULL ? command->synopsis : "");
    return false;
}

bool
cli_check_accel(char **accel, GError **error)
{
    if (*accel == NULL || strcmp(*accel, "kvm") == 0 || strcmp(*accel, "tcg") == 0)
        return true;
    if (strcmp(*accel, "auto") == 0) {
        g_clear_pointer(accel, g_free);
        return true;
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "--accel is auto, kvm or tcg, not '%s'",
                *accel);
    return false;
}
