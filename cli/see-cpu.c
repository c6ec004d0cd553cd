/* cli/see-cpu.c - ireko see PATH --cpu: the CPU layer by layer, and who took what on each edge. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "see.h"

#define NARROW 80 /* columns where there is no terminal */

/* Who takes features, in the order of the way in, and what people call it. */
static const struct {
    const char *by, *words;
} takers[] = {
    {"vhv.enable", "vhv.enable of its .vmx took"},
    {"hypervisor.cpuid.v0", "hypervisor.cpuid.v0 of its .vmx took"},
    {"tcg", "TCG does not emulate"},
    {"cpu-model", "KVM, or QEMU's CPU model, took"},
    {"firmware", "the firmware locked"},
    {"kernel", "its own kernel hides"},
};

static void
print_names(unsigned width, const char *lead, const char *names)
{
    g_autofree char *text = cli_wrap(names, width, lead, "  |      ");
    (void)fputs(text, stdout);
}

/* What TAKER took of LOST, on lines of its own. */
static void
print_share(unsigned width, const GPtrArray *lost, const char *by, const char *words)
{
    g_autoptr(GString) names = g_string_new(NULL);
    unsigned count = 0;
    for (guint i = 0; i < lost->len; i++) {
        const IrekoLoss *loss = g_ptr_array_index(lost, i);
        if (strcmp(loss->by, by) != 0)
            continue;
        g_string_append_printf(names, " %s", loss->name);
        count++;
    }
    g_autofree char *lead = g_strdup_printf("  |  - %s %u: ", words, count);
    if (count > 0)
        print_names(width, lead, names->str);
}

static void
print_edge(unsigned width, const IrekoCpuLayer *layer)
{
    (void)puts("  |");
    for (size_t i = 0; i < G_N_ELEMENTS(takers); i++)
        print_share(width, layer->lost, takers[i].by, takers[i].words);
    if (layer->gained->len > 0) {
        g_autoptr(GString) names = g_string_new(NULL);
        for (guint i = 0; i < layer->gained->len; i++)
            g_string_append_printf(names, " %s", (const char *)g_ptr_array_index(layer->gained, i));
        g_autofree char *lead = g_strdup_printf("  |  + new inside %u: ", layer->gained->len);
        print_names(width, lead, names->str);
    }
    if (layer->lost->len + layer->gained->len == 0)
        (void)puts("  |  the same CPU");
    (void)puts("  v");
}

static void
print_layer(unsigned width, const IrekoCpuLayer *layer)
{
    if (layer->level > 0)
        print_edge(width, layer);
    g_autoptr(GString) parts = g_string_new(NULL);
    for (guint i = 0; i < layer->assist_parts->len; i++)
        g_string_append_printf(parts, "%s%s", i > 0 ? " " : " with ",
                               (const char *)g_ptr_array_index(layer->assist_parts, i));
    bool has = strcmp(layer->assist, "none") != 0;
    g_autofree char *words = g_strdup_printf(
        "%s, %s: %u features, %s%s", layer->level > 0 ? layer->path : "this host", layer->model,
        layer->features->len, has ? layer->assist : "no hardware assistance for guests",
        has ? parts->str : "");
    g_autofree char *lead = g_strdup_printf("L%u ", layer->level);
    g_autofree char *text = cli_wrap(words, width, lead, "   ");
    (void)fputs(text, stdout);
}

int
see_cpu(const IrekoHome *home, const char *path, const SeeOptions *options, GError **error)
{
    g_autoptr(GPtrArray) layers = ireko_see_cpus(home, path, cli_cancel_fd(), error);
    if (layers == NULL)
        return EXIT_NO;
    if (options->json) {
        g_autofree char *text = ireko_cpus_to_json(path, layers);
        (void)puts(text);
        return EXIT_DONE;
    }
    unsigned width = cli_width(STDOUT_FILENO);
    for (guint i = 0; i < layers->len; i++)
        print_layer(width > 0 ? width : NARROW, g_ptr_array_index(layers, i));
    return EXIT_DONE;
}
