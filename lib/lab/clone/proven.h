/* lab/clone/proven.h - what was proven of a host when its template was made, and holds of its
 * clones. Private to lib/lab.
 *
 * A clone is the machine that was proven, byte for byte: its CPU, its memory, its devices are those
 * of its state. What is its own - addresses and the rest of its identity - is proven of each clone,
 * and so is that every machine inside runs on; nothing else is asked again. */
#pragma once

#include "lab/layer.h"

G_BEGIN_DECLS

/* SELF and the reports INSIDE (path -> IrekoReport) of the host that is frozen; a new reference. */
json_t *
ireko_proven_keep(const IrekoReport *self, GHashTable *inside);

/* The reports of a clone, NODE and all inside it, SECONDS after its start: of what its template has
 * in KEPT, of the host PATH then, and of what ANSWER (lab/clone/identity.h) tells. The first is
 * NODE's; IrekoReport, free with g_ptr_array_unref. NULL where something is missing: ask the
 * machines. */
GPtrArray *
ireko_proven_recall(const IrekoNode *node,
                    const json_t *kept,
                    const char *path,
                    const GPtrArray *answer,
                    double seconds);

G_END_DECLS
