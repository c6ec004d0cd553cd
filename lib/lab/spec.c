/* lab/spec.c - what a layer is told about the guests that it is to run. */
#include "lab/spec.h"

#include <string.h>

#include <ireko/report.h>

#include "base/json.h"
#include "base/text.h"

#define PATH_MAX_LEN ((size_t)65 * IREKO_PATH_DEPTH_MAX)
#define ID_MAX_LEN   ((size_t)64)

json_t *
ireko_spec_to_json(const IrekoNode *node, const char *id, unsigned pace, bool start)
{
    /* The node alone, as a list of one, and what stands above it. */
    g_autoptr(GPtrArray) self = g_ptr_array_new();
    g_ptr_array_add(self, (void *)(uintptr_t)node);
    g_autofree char *above =
        g_strndup(node->path, strlen(node->path) - MIN(strlen(node->path), strlen(node->name) + 1));
    return json_pack("{s:s,s:s,s:i,s:i,s:b,s:o}", "id", id, "above", above, "level",
                     (int)node->level, "pace", (int)pace, "start", start, "self",
                     ireko_nodes_to_json(self));
}

IrekoLayerSpec *
ireko_spec_from_json(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "run");
    g_autoptr(IrekoLayerSpec) spec = g_new0(IrekoLayerSpec, 1);
    spec->id = ireko_json_text(&reader, "id", ID_MAX_LEN);
    g_autofree char *above = ireko_json_text(&reader, "above", PATH_MAX_LEN);
    unsigned level = (unsigned)ireko_json_count(&reader, "level", IREKO_PATH_DEPTH_MAX);
    spec->pace = (unsigned)ireko_json_count(&reader, "pace", IREKO_SPEC_PACE_MAX);
    spec->start = ireko_json_bool(&reader, "start");
    const json_t *self = ireko_json_list(&reader, "self", 1);
    if (!ireko_json_reader_end(&reader, error))
        return NULL;

    g_autoptr(GPtrArray) nodes = ireko_nodes_from_json(self, above, level, error);
    if (nodes == NULL)
        return NULL;
    if (nodes->len != 1 || !ireko_text_is_name(spec->id)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "'run' names no machine that this layer is");
        return NULL;
    }
    spec->self = g_ptr_array_steal_index(nodes, 0);
    return g_steal_pointer(&spec);
}

void
ireko_spec_free(IrekoLayerSpec *spec)
{
    if (spec == NULL)
        return;
    ireko_node_free(spec->self);
    g_free(spec->id);
    g_free(spec);
}
