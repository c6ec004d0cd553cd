/* lab/see/cpus.c - ireko see --cpu: the CPU as each layer on the way to a machine sees it. */
#include <stdlib.h>
#include <string.h>

#include <ireko/see.h>

#include "base/jsonl.h"
#include "lab/reach.h"
#include "lab/record.h"
#include "lab/see/capture.h"
#include "nest/nest.h"

void
ireko_cpu_layer_free(IrekoCpuLayer *layer)
{
    if (layer == NULL)
        return;
    g_free(layer->path);
    g_free(layer->vendor);
    g_free(layer->model);
    g_ptr_array_unref(layer->features);
    g_ptr_array_unref(layer->assist_parts);
    g_ptr_array_unref(layer->lost);
    g_ptr_array_unref(layer->gained);
    g_free(layer);
}

static void
free_layer(void *layer)
{
    ireko_cpu_layer_free(layer);
}

static bool
holds(const GPtrArray *names, const char *name)
{
    for (guint i = 0; i < names->len; i++) {
        if (strcmp(g_ptr_array_index(names, i), name) == 0)
            return true;
    }
    return false;
}

/* Those of NAMES that are not among OTHERS. */
static GPtrArray *
without(const GPtrArray *names, const GPtrArray *others)
{
    GPtrArray *left = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        if (!holds(others, name))
            g_ptr_array_add(left, g_strdup(name));
    }
    return left;
}

static IrekoCpuLayer *
layer_new(const char *path, unsigned level, const IrekoFacts *facts)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    IrekoCpuLayer *layer = g_new0(IrekoCpuLayer, 1);
    layer->path = g_strdup(path);
    layer->level = level;
    layer->vendor = g_strdup(facts->cpu_vendor);
    layer->model = g_strdup(facts->cpu_model);
    layer->assist = ireko_hv_name(facts->hv);
    layer->features = without(facts->cpu_features, facts->kernel_hides);
    layer->assist_parts = without(facts->hv_features, none);
    layer->lost = g_ptr_array_new();
    layer->gained = g_ptr_array_new_with_free_func(g_free);
    return layer;
}

/* Fills what LAYER, the machine NODE with facts INNER, has less and more than the one around it. */
static void
compare(IrekoCpuLayer *layer,
        const IrekoCpuLayer *around,
        const IrekoNode *node,
        const IrekoFacts *outer,
        IrekoAccel accel,
        const IrekoFacts *inner)
{
    g_autoptr(IrekoReport) report = ireko_report_new(node->path, node->level);
    ireko_nest_compare_cpus(report, node->machine, outer, accel, inner);
    g_ptr_array_unref(layer->lost);
    layer->lost = g_ptr_array_ref(report->lost);
    g_ptr_array_unref(layer->gained);
    layer->gained = without(layer->features, around->features);
}

/* The guest of NODES that SEGMENT names; it is there. */
static const IrekoNode *
guest_of(const GPtrArray *nodes, const char *segment)
{
    for (guint i = 0; i < nodes->len; i++) {
        const IrekoNode *node = g_ptr_array_index(nodes, i);
        if (strcmp(node->name, segment) == 0)
            return node;
    }
    return NULL;
}

GPtrArray *
ireko_see_cpus(const IrekoHome *home, const char *path, int cancel_fd, GError **error)
{
    g_auto(IrekoCapture) capture = IREKO_CAPTURE_NONE;
    if (!ireko_capture_find(&capture, home, path, error))
        return NULL;
    g_autoptr(IrekoFacts) outer = ireko_facts_here(error);
    if (outer == NULL)
        return NULL;
    g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func(free_layer);
    g_ptr_array_add(layers, layer_new("", 0, outer));
    IrekoAccel accel =
        g_strcmp0(capture.lab->accel, "kvm") == 0 ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    g_auto(GStrv) segments = g_strsplit(capture.node->path, "/", -1);
    const GPtrArray *nodes = capture.lab->nodes;
    for (size_t i = 0; segments[i] != NULL; i++) {
        const IrekoNode *node = guest_of(nodes, segments[i]);
        g_autofree char *where = g_strdup_printf("%s:%s", capture.lab->name, node->path);
        g_autoptr(IrekoFacts) inner = ireko_reach_facts(home, where, cancel_fd, error);
        if (inner == NULL)
            return NULL;
        IrekoCpuLayer *layer = layer_new(node->path, node->level, inner);
        compare(layer, g_ptr_array_index(layers, layers->len - 1), node, outer, accel, inner);
        g_ptr_array_add(layers, layer);
        ireko_facts_free(outer);
        outer = g_steal_pointer(&inner);
        accel = IREKO_ACCEL_KVM;
        nodes = node->guests;
    }
    return g_steal_pointer(&layers);
}

/* ---- as JSON ---- */

static json_t *
names_to_json(const GPtrArray *names)
{
    json_t *list = json_array();
    for (guint i = 0; i < names->len; i++)
        (void)json_array_append_new(list, json_string(g_ptr_array_index(names, i)));
    return list;
}

static json_t *
lost_to_json(const GPtrArray *lost)
{
    json_t *list = json_array();
    for (guint i = 0; i < lost->len; i++) {
        const IrekoLoss *loss = g_ptr_array_index(lost, i);
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:s}", "name", loss->name, "by", loss->by));
    }
    return list;
}

char *
ireko_cpus_to_json(const char *path, const GPtrArray *layers)
{
    json_t *list = json_array();
    for (guint i = 0; i < layers->len; i++) {
        const IrekoCpuLayer *layer = g_ptr_array_index(layers, i);
        (void)json_array_append_new(
            list, json_pack("{s:s,s:i,s:s?,s:s?,s:s,s:o,s:o,s:o,s:o}", "path", layer->path, "level",
                            (int)layer->level, "vendor", layer->vendor, "model", layer->model,
                            "assist", layer->assist, "features", names_to_json(layer->features),
                            "assist_parts", names_to_json(layer->assist_parts), "lost",
                            lost_to_json(layer->lost), "gained", names_to_json(layer->gained)));
    }
    g_autoptr(json_t) document =
        json_pack("{s:s,s:s,s:o}", "schema", "ireko.cpus/1", "path", path, "layers", list);
    char *text = json_dumps(document, JSON_INDENT(1));
    char *copy = g_strdup(text);
    free(text);
    return copy;
}
