/* lab/spec.h - what a layer is told about the guests that it is to run. */
#pragma once

#include <jansson.h>

#include "lab/tree.h"

G_BEGIN_DECLS

/* A nest of the greatest depth under TCG is below it. */
#define IREKO_SPEC_PACE_MAX 100000

typedef struct {
    IrekoNode *self; /* the machine that the layer is, with its guests */
    char *id;        /* of the lab */
    unsigned pace;   /* of the layer */
    bool start;      /* else only ask */
} IrekoLayerSpec;

/* What NODE's machine is told; a new reference. */
json_t *
ireko_spec_to_json(const IrekoNode *node, const char *id, unsigned pace, bool start);

/* Reads what to_json wrote. */
IrekoLayerSpec *
ireko_spec_from_json(const json_t *object, GError **error);

void
ireko_spec_free(IrekoLayerSpec *spec); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoLayerSpec, ireko_spec_free)

G_END_DECLS
