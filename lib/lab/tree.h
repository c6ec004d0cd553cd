/* lab/tree.h - the machines of a lab as a tree, in memory and as JSON: as the record keeps it, and
 * as a layer hands it to the layer inside. */
#pragma once

#include <jansson.h>

#include "lan/lan.h"
#include "machine/machine.h"

G_BEGIN_DECLS

#define IREKO_TREE_MACHINES_MAX 256
#define IREKO_TREE_VMX_MAX      ((size_t)256 << 10) /* bytes of one .vmx */

typedef struct {
    char *name;     /* its segment of the path */
    char *path;     /* "esxi01/esxi02" */
    unsigned level; /* 1 on L0 */
    GBytes *vmx;    /* the file as it was read */
    bool copy; /* one of several of the same .vmx, or inside one: what that says of its identity
                * (UUID, addresses) is nobody's, and each has its own */
    IrekoMachine *machine;
    GPtrArray *cards;  /* IrekoCard: what each of the machine's cards is given; empty before that */
    GPtrArray *guests; /* IrekoNode */
} IrekoNode;

/* Makes NODE, which has no guests yet, a copy. */
void
ireko_node_be_copy(IrekoNode *node);

/* The host name of NODE: its name, or, of one inside a copy, its path with hyphens, so that no two
 * of a lab have the same. Free with g_free. */
char *
ireko_node_host_name(const IrekoNode *node);

/* A node below PARENT_PATH ("" on L0) at LEVEL, from the bytes of the .vmx FILE. NAME NULL: of the
 * file. Errors as ireko_machine_from_vmx's. */
IrekoNode *
ireko_node_new(const char *parent_path,
               unsigned level,
               const char *name,
               const char *file,
               GBytes *vmx,
               GError **error);

void
ireko_node_free(IrekoNode *node); /* with its guests; NULL is fine */

/* An empty list of nodes, which it owns. */
GPtrArray *
ireko_nodes_new(void);

/* NODES as a JSON array; a new reference. */
json_t *
ireko_nodes_to_json(const GPtrArray *nodes);

/* Reads what to_json wrote, below PARENT_PATH at LEVEL. IREKO_ERROR_SYNTAX, IREKO_ERROR_TOO_LARGE.
 */
GPtrArray *
ireko_nodes_from_json(const json_t *array, const char *parent_path, unsigned level, GError **error);

/* Calls FUNC for each node of the tree, a node before its guests, until it returns false; returns
 * whether it never did. */
bool
ireko_nodes_each(const GPtrArray *nodes,
                 bool (*func)(void *data, const IrekoNode *node),
                 void *data);

/* How many machines, and how many levels. */
unsigned
ireko_nodes_count(const GPtrArray *nodes);

unsigned
ireko_nodes_depth(const GPtrArray *nodes);

/* No two of NODES, at any level among siblings, have one name; IREKO_ERROR_SYNTAX names both files.
 */
bool
ireko_nodes_check_names(const GPtrArray *nodes, GError **error);

/* What NODES are promised together: the memory of each and what it costs to run it. */
uint64_t
ireko_nodes_promised(const GPtrArray *nodes);

/* Whether each layer's machines fit into its memory: those of NODES, which are expected to take
 * EXPECTED_BYTES (clones share what they do not write), into ROOM_BYTES; the guests of each into
 * its memsize less what the layer itself needs. IREKO_ERROR_TOO_LARGE with the figures, the layer,
 * and the line to change. */
bool
ireko_nodes_check_memory(const GPtrArray *nodes,
                         uint64_t expected_bytes,
                         uint64_t room_bytes,
                         GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoNode, ireko_node_free)

G_END_DECLS
