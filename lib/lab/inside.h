/* lab/inside.h - the machines of a layer are asked for their checks, and they ask theirs. Private
 * to lib/lab. */
#pragma once

#include "engine/engine.h"
#include "host/inner.h"

G_BEGIN_DECLS

typedef struct {
    const IrekoEngine *engine;
    const char *folder;  /* where the machines have their folders */
    const char *path;    /* of this layer; "" on L0 */
    IrekoDeadline until; /* for all of it, however deep */
    int cancel_fd;
    /* Whether the machine NAME has an agent. NULL: each has. */
    bool (*has_agent)(void *data, const char *name);
    /* Takes what one layer says, at any depth, or why it says nothing, and before that that it is
     * asked; from any thread. INNER is its own from here. */
    void (*take)(void *data, IrekoInner *inner);
    void *data;
} IrekoInside;

/* Asks every machine that runs in the folder; returns when each has answered or cannot. Each layer
 * that was said to be asked is told of after that, once. */
void
ireko_inside_ask(const IrekoInside *inside);

/* Names of the machines that run in FOLDER, in any order; free with g_strfreev. */
char **
ireko_inside_alive(const IrekoEngine *engine, const char *folder);

G_END_DECLS
