/* lab/tree.c - the machines of a lab as a tree. */
#include "lab/tree.h"

#include <string.h>

#include <ireko/report.h>

#include "base/text.h"

#define MIB ((uint64_t)1 << 20)

/* What a layer keeps for itself (kernel, agent, caches), and what a machine costs beside its memory
 * (QEMU's own heap, page tables, device state): estimates, on the generous side. */
#define LAYER_FLOOR_BYTES (192 * MIB)
#define VM_OVERHEAD_BYTES (64 * MIB)

void
ireko_node_free(IrekoNode *node)
{
    if (node == NULL)
        return;
    g_free(node->name);
    g_free(node->path);
    g_clear_pointer(&node->vmx, g_bytes_unref);
    ireko_machine_free(node->machine);
    g_clear_pointer(&node->cards, g_ptr_array_unref);
    g_clear_pointer(&node->guests, g_ptr_array_unref);
    g_free(node);
}

static void
free_node(void *node)
{
    ireko_node_free(node);
}

GPtrArray *
ireko_nodes_new(void)
{
    return g_ptr_array_new_with_free_func(free_node);
}

IrekoNode *
ireko_node_new(const char *parent_path,
               unsigned level,
               const char *name,
               const char *file,
               GBytes *vmx,
               GError **error)
{
    if (level > IREKO_PATH_DEPTH_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "%s: a nest may be %d machines deep",
                    file, IREKO_PATH_DEPTH_MAX);
        return NULL;
    }
    size_t len = 0;
    const char *bytes = g_bytes_get_data(vmx, &len);
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(bytes, len, error);
    if (doc == NULL)
        return NULL;

    g_autoptr(IrekoNode) node = g_new0(IrekoNode, 1);
    node->machine = ireko_machine_from_vmx(doc, file, error);
    if (node->machine == NULL)
        return NULL;
    node->name = g_strdup(name != NULL ? name : node->machine->name);
    node->path = *parent_path == '\0' ? g_strdup(node->name)
                                      : g_strconcat(parent_path, "/", node->name, NULL);
    node->level = level;
    node->vmx = g_bytes_ref(vmx);
    node->cards = ireko_cards_from_json(NULL, NULL);
    node->guests = ireko_nodes_new();
    return g_steal_pointer(&node);
}

void
ireko_node_be_copy(IrekoNode *node)
{
    node->copy = true;
    g_clear_pointer(&node->machine->uuid, g_free);
    for (unsigned i = 0; i < node->machine->nics->len; i++) {
        IrekoNic *nic = node->machine->nics->pdata[i];
        g_clear_pointer(&nic->mac, g_free);
    }
}

char *
ireko_node_host_name(const IrekoNode *node)
{
    return node->copy ? g_strdelimit(g_strdup(node->path), "/", '-') : g_strdup(node->name);
}

json_t *
ireko_nodes_to_json(const GPtrArray *nodes)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        size_t len = 0;
        const uint8_t *bytes = g_bytes_get_data(node->vmx, &len);
        g_autofree char *vmx = g_base64_encode(bytes, len);
        json_array_append_new(array,
                              json_pack("{s:s,s:s,s:s,s:b,s:o,s:o}", "name", node->name, "file",
                                        node->machine->file, "vmx", vmx, "copy", (int)node->copy,
                                        "cards", ireko_cards_to_json(node->cards), "guests",
                                        ireko_nodes_to_json(node->guests)));
    }
    return array;
}

/* One machine of the array; LEFT is how many more the tree may have. */
static IrekoNode *
node_from_json(const json_t *object, const char *parent_path, unsigned level, GError **error)
{
    const char *name = NULL, *file = NULL, *vmx = NULL;
    json_t *guests = NULL, *cards = NULL;
    int copy = 0;
    /* json_unpack takes a json_t that is not const, and reads it. */
    json_t *readable = json_incref((json_t *)(uintptr_t)object);
    int got = json_unpack(readable, "{s:s,s:s,s:s,s?b,s?o,s:o}", "name", &name, "file", &file,
                          "vmx", &vmx, "copy", &copy, "cards", &cards, "guests", &guests);
    json_decref(readable);
    if (got != 0 || !json_is_array(guests) || !ireko_text_is_name(name)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "a machine of the nest is not as ireko writes it");
        return NULL;
    }
    gsize len = 0;
    uint8_t *bytes = g_base64_decode(vmx, &len);
    g_autoptr(GBytes) text = g_bytes_new_take(bytes, len);
    g_autoptr(IrekoNode) node = ireko_node_new(parent_path, level, name, file, text, error);
    if (node == NULL)
        return NULL;
    g_ptr_array_unref(node->cards);
    node->cards = ireko_cards_from_json(cards, error);
    if (node->cards == NULL)
        return NULL;
    if (copy != 0)
        ireko_node_be_copy(node);
    g_ptr_array_unref(node->guests);
    node->guests = ireko_nodes_from_json(guests, node->path, level + 1, error);
    return node->guests == NULL ? NULL : g_steal_pointer(&node);
}

GPtrArray *
ireko_nodes_from_json(const json_t *array, const char *parent_path, unsigned level, GError **error)
{
    g_autoptr(GPtrArray) nodes = ireko_nodes_new();
    if (!json_is_array(array) || json_array_size(array) > IREKO_TREE_MACHINES_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "expected a list of up to %d machines",
                    IREKO_TREE_MACHINES_MAX);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        IrekoNode *node = node_from_json(json_array_get(array, i), parent_path, level, error);
        if (node == NULL)
            return NULL;
        g_ptr_array_add(nodes, node);
    }
    return g_steal_pointer(&nodes);
}

bool
ireko_nodes_each(const GPtrArray *nodes,
                 bool (*func)(void *data, const IrekoNode *node),
                 void *data)
{
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        if (!func(data, node) || !ireko_nodes_each(node->guests, func, data))
            return false;
    }
    return true;
}

static bool
count_one(void *data, const IrekoNode *node)
{
    (void)node;
    ++*(unsigned *)data;
    return true;
}

unsigned
ireko_nodes_count(const GPtrArray *nodes)
{
    unsigned count = 0;
    (void)ireko_nodes_each(nodes, count_one, &count);
    return count;
}

static bool
deepest(void *data, const IrekoNode *node)
{
    unsigned *depth = data;
    *depth = MAX(*depth, node->level);
    return true;
}

unsigned
ireko_nodes_depth(const GPtrArray *nodes)
{
    unsigned depth = 0;
    (void)ireko_nodes_each(nodes, deepest, &depth);
    return depth;
}

bool
ireko_nodes_check_names(const GPtrArray *nodes, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        const IrekoNode *other = g_hash_table_lookup(seen, node->name);
        if (other != NULL) {
            g_set_error(
                error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "two machines are called '%s' (%s and %s): rename one .vmx file, or give one "
                "entry a 'count'",
                node->path, other->machine->file, node->machine->file);
            return false;
        }
        g_hash_table_insert(seen, node->name, (void *)(uintptr_t)node);
        if (!ireko_nodes_check_names(node->guests, error))
            return false;
    }
    return true;
}

static uint64_t
memory_of(const IrekoNode *node)
{
    return node->machine->memory_mib * MIB;
}

uint64_t
ireko_nodes_promised(const GPtrArray *nodes)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < nodes->len; i++)
        sum += memory_of(nodes->pdata[i]) + VM_OVERHEAD_BYTES;
    return sum;
}

static bool
check_guests_fit(void *data, const IrekoNode *node)
{
    GError **error = data;
    uint64_t need = ireko_nodes_promised(node->guests) + LAYER_FLOOR_BYTES;
    if (node->guests->len == 0 || need <= memory_of(node))
        return true;

    g_autofree char *has = ireko_text_size(memory_of(node));
    g_autofree char *wants = ireko_text_size(need);
    g_autofree char *line =
        node->machine->memory_line == 0
            ? g_strdup(node->machine->file)
            : g_strdup_printf("%s:%u", node->machine->file, node->machine->memory_line);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                "%s: '%s' has %s and its guests need %s of it: set memsize = \"%" G_GUINT64_FORMAT
                "\" or more, or give the guests less",
                line, node->path, has, wants, (need / MIB + 3) / 4 * 4);
    return false;
}

bool
ireko_nodes_check_memory(const GPtrArray *nodes,
                         uint64_t expected_bytes,
                         uint64_t room_bytes,
                         GError **error)
{
    if (expected_bytes <= room_bytes)
        return ireko_nodes_each(nodes, check_guests_fit, error);
    g_autofree char *has = ireko_text_size(room_bytes);
    g_autofree char *wants = ireko_text_size(expected_bytes);
    g_autofree char *promised = ireko_text_size(ireko_nodes_promised(nodes));
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                "the lab needs %s of memory (promised to its machines are %s) and this machine has "
                "%s available: lower memsize in the .vmx files, or end something ('ireko ps' lists "
                "labs)",
                wants, promised, has);
    return false;
}
