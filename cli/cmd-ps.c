/* cli/cmd-ps.c - ireko ps [LAB]: what runs, at every layer. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void
free_nest(void *nest)
{
    ireko_nest_free(nest);
}

/* Looks at the lab NAME and adds what it finds; a record that cannot be read is told of, and no
 * more. */
static bool
look(const IrekoHome *home, const char *name, GPtrArray *nests, GError **error)
{
    const IrekoLabRun run = {.cancel_fd = cli_cancel_fd(), .no_frames = true};
    g_autoptr(IrekoLab) lab = ireko_lab_recorded(home, name, error);
    IrekoNest *nest = lab != NULL ? ireko_lab_verify(home, lab, &run, error) : NULL;
    if (nest == NULL)
        return false;
    g_ptr_array_add(nests, nest);
    return true;
}

/* "hostonly 10.1.2.3/20 (agent), ..."; free with g_free. */
static char *
addresses_of(const IrekoReport *report)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < report->addresses->len; i++) {
        const IrekoAddress *at = report->addresses->pdata[i];
        if (at->network == NULL)
            continue;
        g_string_append_printf(text, "%s%s %s (%s)", text->len > 0 ? ", " : "", at->network,
                               at->address != NULL ? at->address : at->mac, at->by);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
print_line(const IrekoNest *nest, const IrekoReport *report)
{
    unsigned held = 0, known = 0;
    for (unsigned i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = report->checks->pdata[i];
        known += check->seen != NULL;
        held += check->seen != NULL && check->ok;
    }
    g_autofree char *proof =
        known > 0 ? g_strdup_printf("%u of %u held", held, known) : g_strdup("-");
    g_autofree char *addresses = addresses_of(report);
    g_autofree char *line = g_strdup_printf(
        "%-14s %-30s %-12s %-6s %-15s %s", nest->lab, report->path, ireko_state_name(report->state),
        report->accel != NULL ? report->accel : "-", proof, addresses);
    (void)puts(g_strchomp(line));
}

int
cmd_ps(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "as ireko.nest/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){0, 1}, &status, error))
        return status;

    g_autoptr(IrekoHome) home = ireko_home_new();
    g_autoptr(GPtrArray) nests = g_ptr_array_new_with_free_func(free_nest);
    bool all = true;
    if (argc > 1) {
        if (!look(home, argv[1], nests, error))
            return EXIT_NO;
    } else {
        g_auto(GStrv) names = ireko_lab_names(home);
        for (size_t i = 0; names[i] != NULL; i++) {
            g_autoptr(GError) why = NULL;
            if (look(home, names[i], nests, &why) ||
                g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND))
                continue; /* on record, or not yet, or no more */
            (void)fprintf(stderr, "ireko ps: %s: %s\n", names[i], why->message);
            all = false;
        }
    }
    if (json) {
        g_autofree char *text = ireko_nests_to_text(nests);
        (void)puts(text);
        return all ? EXIT_DONE : EXIT_NO;
    }
    if (nests->len == 0)
        (void)fprintf(stderr, "no lab is on record: 'ireko up examples/workshop' brings one up\n");
    else
        (void)printf("%-14s %-30s %-12s %-6s %-15s %s\n", "LAB", "MACHINE", "STATE", "ACCEL",
                     "PROMISES", "ADDRESSES");
    for (unsigned i = 0; i < nests->len; i++) {
        const IrekoNest *nest = nests->pdata[i];
        for (unsigned k = 0; k < nest->reports->len; k++)
            print_line(nest, nest->reports->pdata[k]);
    }
    if (argc == 1)
        cli_print_spares(home, NULL);
    return all ? EXIT_DONE : EXIT_NO;
}
