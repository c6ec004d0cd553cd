/* lab/network/frames.h - frames between every pair of machines of a lab that runs, as proof of its
 * network. Private to lib/lab. */
#pragma once

#include "engine/engine.h"
#include "lab/tree.h"

G_BEGIN_DECLS

typedef struct {
    const IrekoEngine *engine;
    const char *folder; /* RUN/NAME */
    const char *lab;    /* NAME */
    const GPtrArray *nodes;
    unsigned pace; /* of the outermost machines */
    int cancel_fd;
} IrekoFrames;

/* Has every machine that runs and has an agent send frames to every other on its networks, and
 * appends what came of it to REPORTS (path -> IrekoReport): of each card the checks net.broadcast,
 * net.unicast, net.foreign-mac and net.mtu; promised and seen are numbers of frames. What was lost
 * names the hop that ate it. Returns paths of the reports that got checks: char *, of NODES. */
GPtrArray *
ireko_frames_prove(const IrekoFrames *frames, GHashTable *reports);

G_END_DECLS
