/* lab/network/hops.h - the way of a frame through the layers of a nest, and where it ended. Pure.
 * Private to lib/lab and its tests. */
#pragma once

#include "lab/tree.h"
#include "lan/probe.h"

G_BEGIN_DECLS

/* What machines told: path -> IrekoProbeLog, owned by whoever made it. */
typedef GHashTable IrekoTold;

/* Where the frame NUMBER of PLAN, meant for its card TO, was seen last and by what it was eaten
 * then, in words; NODES are the lab's. Free with g_free. */
char *
ireko_hops_explain(const GPtrArray *nodes,
                   const IrekoProbePlan *plan,
                   IrekoTold *told,
                   unsigned number,
                   unsigned to);

G_END_DECLS
