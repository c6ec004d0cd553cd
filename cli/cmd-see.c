/* cli/cmd-see.c - ireko see: what each layer of a running nest really sees, from the outside. */
#include <string.h>

#include "see.h"

#define SECONDS_MOST 3600

static int
usage(GError **error, const char *fault)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "%s: 'ireko see --help' says more", fault);
    return EXIT_USAGE;
}

/* What does not go together. NULL: nothing. */
static const char *
fault_of(const SeeOptions *options)
{
    unsigned questions = (options->map != 0) + (options->cpu != 0) + (options->exits != 0) +
                         (options->find != 0) + (options->addresses != NULL);
    if (questions > 1)
        return "--address, --map, --cpu, --exits and --find are questions of their own: ask one";
    if ((options->watch || options->seconds != 0) && !options->exits)
        return "--watch and --seconds go with --exits";
    if (options->seconds < 0 || options->seconds > SECONDS_MOST || options->guest < 0)
        return "--seconds is 1 to 3600, --guest a number that --find shows";
    if (options->no_pause && questions > (options->addresses != NULL))
        return "--no-pause goes with addresses";
    if (options->ram != NULL && (options->cpu || options->exits))
        return "--cpu and --exits ask a machine that runs, and not a saved one";
    return NULL;
}

static int
run(const char *path, const SeeOptions *options, GError **error)
{
    g_autoptr(IrekoHome) home = ireko_home_new();
    const char *fault = fault_of(options);
    if (fault != NULL)
        return usage(error, fault);
    /* A dump alone stands where else the state of a saved machine does. */
    bool dump = options->find && options->ram == NULL && g_file_test(path, G_FILE_TEST_IS_REGULAR);
    bool saved = options->ram != NULL;
    const IrekoSeeOrder order = {.path = saved || dump ? NULL : path,
                                 .state = saved ? path : NULL,
                                 .ram = dump ? path : options->ram,
                                 .no_pause = options->no_pause != 0,
                                 .guest = (unsigned)options->guest};
    (void)cli_cancel_fd(); /* Ctrl-C waits until no machine stands still; a second one does not */
    if (options->exits)
        return see_exits(home, path, options, error);
    if (options->cpu)
        return see_cpu(home, path, options, error);
    if (options->map)
        return see_map(home, &order, options, error);
    return options->find ? see_find(home, &order, options, error)
                         : see_addresses(home, &order, options, error);
}

int
cmd_see(int argc, char **argv, GError **error)
{
    SeeOptions options = {0};
    const GOptionEntry entries[] = {
        {"address", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.addresses,
         "the way of this virtual address", "GVA"},
        {"map", 0, 0, G_OPTION_ARG_NONE, &options.map, "whose memory is where, as nested boxes",
         NULL},
        {"cpu", 0, 0, G_OPTION_ARG_NONE, &options.cpu, "CPU features, layer by layer", NULL},
        {"exits", 0, 0, G_OPTION_ARG_NONE, &options.exits, "why control goes outwards", NULL},
        {"watch", 0, 0, G_OPTION_ARG_NONE, &options.watch, "... again and again", NULL},
        {"seconds", 0, 0, G_OPTION_ARG_INT, &options.seconds, "how long exits are counted", "N"},
        {"find", 0, 0, G_OPTION_ARG_NONE, &options.find, "control blocks, by structure alone",
         NULL},
        {"guest", 0, 0, G_OPTION_ARG_INT, &options.guest, "a guest that --find numbers", "N"},
        {"no-pause", 0, 0, G_OPTION_ARG_NONE, &options.no_pause, "read it while it runs, twice",
         NULL},
        {"ram", 0, 0, G_OPTION_ARG_FILENAME, &options.ram, "the memory of a saved machine", "FILE"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &options.json, "as ireko.see/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        status = run(argv[1], &options, error);
    g_strfreev(options.addresses);
    g_free(options.ram);
    return status;
}
