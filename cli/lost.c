/* cli/lost.c - what of the CPU did not arrive in each machine, a line each. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define NAMES_SHOWN 3  /* of each taker's */
#define LINE_WIDTH  80 /* where there is no terminal */

/* Who takes features, and what they are called for people; in the order of the way in. */
static const struct {
    const char *by, *words;
} takers[] = {
    {"vhv.enable", "vhv.enable"},
    {"hypervisor.cpuid.v0", "hypervisor.cpuid.v0"},
    {"tcg", "TCG"},
    {"cpu-model", "CPU model"},
    {"firmware", "firmware"},
    {"kernel", "its kernel"},
};

/* "TCG took 43: avx512f, la57, ..."; NULL where it took none. */
static char *
share_of(const IrekoReport *report, const char *by, const char *words)
{
    g_autoptr(GString) names = g_string_new(NULL);
    unsigned count = 0;
    for (guint i = 0; i < report->lost->len; i++) {
        const IrekoLoss *loss = g_ptr_array_index(report->lost, i);
        if (strcmp(loss->by, by) != 0)
            continue;
        if (++count <= NAMES_SHOWN)
            g_string_append_printf(names, "%s%s", count > 1 ? ", " : "", loss->name);
    }
    if (count == 0)
        return NULL;
    return g_strdup_printf("%s %u (%s%s)", words, count, names->str,
                           count > NAMES_SHOWN ? ", ..." : "");
}

static char *
line_of(const IrekoReport *report, unsigned width)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "  %s: ", report->path);
    bool first = true;
    for (size_t i = 0; i < G_N_ELEMENTS(takers); i++) {
        g_autofree char *share = share_of(report, takers[i].by, takers[i].words);
        if (share != NULL)
            g_string_append_printf(line, "%s%s", first ? "" : "; ", share);
        first = first && share == NULL;
    }
    if (g_utf8_strlen(line->str, -1) <= (long)width)
        return g_strdup(line->str);
    const char *end = g_utf8_offset_to_pointer(line->str, (long)width - 3);
    return g_strdup_printf("%.*s...", (int)(end - line->str), line->str);
}

void
lost_print(const IrekoNest *nest)
{
    bool terminal = cli_is_terminal(STDOUT_FILENO);
    unsigned width = terminal ? cli_columns() : LINE_WIDTH;
    bool begun = false;
    for (guint i = 0; i < nest->reports->len; i++) {
        const IrekoReport *report = g_ptr_array_index(nest->reports, i);
        if (report->lost->len == 0)
            continue;
        if (!begun)
            (void)puts("\nCPU features that did not arrive, by who took them (all: --json):");
        begun = true;
        g_autofree char *line = line_of(report, MAX(width, LINE_WIDTH / 2));
        (void)puts(line);
    }
}
