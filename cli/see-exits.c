/* cli/see-exits.c - ireko see PATH --exits: a table a layer, once or again and again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "see.h"

#define NAME_WIDTH 14
#define NARROW     80 /* columns where there is no terminal */
#define TOP_ROWS   8  /* reasons of a machine that are shown while watching */

typedef struct {
    const char *path;
    bool json, watch, terminal;
    unsigned width;
} Shown;

/* COUNT in SECONDS, as a rate. */
static char *
rate(uint64_t count, double seconds)
{
    double value = seconds > 0 ? (double)count / seconds : 0;
    if (count == 0)
        return g_strdup("-");
    return g_strdup_printf(value < 10 ? "%.1f" : "%.0f", value);
}

/* A line: exits of the guest itself, those from inside it that the layer settled, those that it
 * handed inwards; and what it is, beside them. */
static void
print_row(const Shown *shown, const char *name, const IrekoExitReason *counts, double seconds)
{
    uint64_t own = counts->exits - MIN(counts->inner, counts->exits);
    uint64_t settled = counts->inner - MIN(counts->reflected, counts->inner);
    g_autofree char *first = rate(own, seconds), *second = rate(settled, seconds),
                    *third = rate(counts->reflected, seconds);
    g_autofree char *lead =
        g_strdup_printf("  %-*s %7s %7s %7s  ", NAME_WIDTH, name, first, second, third);
    g_autofree char *margin = g_strnfill(strlen(lead), ' ');
    const char *meaning = counts->meaning != NULL ? counts->meaning : "";
    g_autofree char *text = cli_wrap(meaning, shown->width, lead, margin);
    (void)printf("%s\n", *meaning != '\0' ? g_strchomp(text) : g_strchomp(lead));
}

static void
print_table(const Shown *shown, const IrekoExitEdge *edge)
{
    (void)printf("  %-*s %7s %7s %7s\n", NAME_WIDTH, "REASON", "OWN/s", "INNER/s", "BACK/s");
    IrekoExitReason all = {0};
    for (guint i = 0; i < edge->reasons->len; i++) {
        const IrekoExitReason *reason = g_ptr_array_index(edge->reasons, i);
        all.exits += reason->exits;
        all.inner += reason->inner;
        all.reflected += reason->reflected;
        if (!shown->watch || i < TOP_ROWS)
            print_row(shown, reason->name, reason, edge->seconds);
    }
    print_row(shown, "all", &all, edge->seconds);
}

/* What the engine counts by itself, since the machine started. */
static void
print_counted(const Shown *shown, const IrekoExitEdge *edge)
{
    g_autoptr(GString) words = g_string_new(NULL);
    g_autoptr(GList) names =
        g_list_sort(g_hash_table_get_keys(edge->counted), (GCompareFunc)(void (*)(void))strcmp);
    for (GList *at = names; at != NULL; at = at->next) {
        uint64_t value = *(const uint64_t *)g_hash_table_lookup(edge->counted, at->data);
        if (value > 0)
            g_string_append_printf(words, "%s%s %" PRIu64, words->len > 0 ? ", " : "",
                                   (const char *)at->data, value);
    }
    g_autofree char *lead = g_strdup_printf("    %s since it started: ", edge->source);
    g_autofree char *text = cli_wrap(words->str, shown->width, lead, "    ");
    if (words->len > 0)
        (void)fputs(text, stdout);
}

static void
print_edge(const Shown *shown, const IrekoExitEdge *edge)
{
    const char *by = *edge->layer != '\0' ? edge->layer : "this host (L0)";
    if (edge->unknown != NULL) {
        g_autofree char *lead = g_strdup_printf("%s -> %s: ", edge->path, by);
        g_autofree char *text = cli_wrap(edge->unknown, shown->width, lead, "    ");
        (void)printf("%s\n", g_strchomp(text));
        if (edge->counted != NULL)
            print_counted(shown, edge);
    } else {
        (void)printf("%s -> %s, %s, %.1f s\n", edge->path, by, edge->assist, edge->seconds);
        print_table(shown, edge);
    }
    (void)puts("");
}

static bool
show(void *data, const GPtrArray *edges)
{
    const Shown *shown = data;
    if (shown->json) {
        g_autofree char *text = ireko_exits_to_json(shown->path, edges);
        (void)puts(text);
        return fflush(stdout) == 0;
    }
    if (shown->watch && shown->terminal)
        (void)fputs("\033[H\033[J", stdout);
    for (guint i = 0; i < edges->len; i++)
        print_edge(shown, g_ptr_array_index(edges, i));
    if (!shown->watch) {
        g_autofree char *legend = cli_wrap(
            "OWN: the machine's own exits. INNER: exits of a guest inside it that the layer "
            "settled "
            "by itself. BACK: handed inwards, so that the hypervisor in the machine sees them as "
            "exits of its guest; each of these costs it exits of its own (vmrun, vmload, stgi).",
            shown->width, "", "");
        (void)printf("%s\n", g_strchomp(legend));
    }
    return fflush(stdout) == 0;
}

int
see_exits(const IrekoHome *home, const char *path, const SeeOptions *options, GError **error)
{
    unsigned width = cli_width(STDOUT_FILENO);
    Shown shown = {.path = path,
                   .json = options->json,
                   .watch = options->watch,
                   .terminal = cli_is_terminal(STDOUT_FILENO),
                   .width = width > 0 ? width : NARROW};
    const IrekoExitsOrder order = {
        .path = path,
        .every_ms = 1000 * (unsigned)options->seconds,
        .rounds = options->watch ? 0 : 1,
        .each = options->watch,
        .cancel_fd = cli_cancel_fd(),
        .report = show,
        .data = &shown,
    };
    return ireko_see_exits(home, &order, error) ? EXIT_DONE : EXIT_NO;
}
