/* lab/serve.h - what a layer does when the one around it asks: for the agent, and for whoever
 * stands in for one. Private to lib/lab and its tests. */
#pragma once

#include "agent/agent.h"
#include "host/facts.h"
#include "lab/clone/identity.h"
#include "lab/layer.h"
#include "lab/network/exchange.h"
#include "lab/network/netorder.h"

G_BEGIN_DECLS

/* How a layer deals with its network. */
typedef struct {
    /* What its guests' cards are plugged into: IrekoLayer.link; NULL: nothing. */
    int (*link)(const IrekoLayer *layer,
                const IrekoNode *node,
                const IrekoCard *card,
                GError **error);
    IrekoNetorderFunc cards; /* how its cards get their addresses */
    const IrekoWire *wire; /* NULL: it sends no frames */
} IrekoServerNet;

typedef struct {
    const char *version;    /* told to who asks */
    const char *path;       /* of the machine that this layer is; read and set atomically */
    const char *folder;     /* where its guests have their folders */
    IrekoBecome be;         /* how it becomes another machine */
    void (*rescan)(void);   /* has the kernel look anew at disks that are other ones; NULL: none */
    void (*merge)(void);    /* has pages of guests that hold the same become one; NULL: none */
    const IrekoFacts *told; /* what it offers, by whoever stands in; NULL: this machine is asked */
    void *facts;            /* what was last read of this machine; private to serve.c */
    GMutex lock;            /* of facts */
    const IrekoServerNet *net; /* NULL: it leaves its network alone */
    IrekoPart part;            /* in an exchange of frames */
    GMutex starting;           /* one `run` at a time: two would start the same machines */
    GMutex settling;           /* of: */
    bool unsettled;            /* its disks are other ones since it became another machine */
} IrekoServer;

#define IREKO_SERVE_FOLDER "/run/ireko/nest" /* of the guests, inside a machine */

/* This machine's path in its nest, as it was told or from the kernel's command line: "" where it is
 * not in one. Free with g_free. */
char *
ireko_serve_own_path(void);

/* The handlers for SERVER, which outlives them; its mutexes are initialised by zeros. */
IrekoAgentHandlers
ireko_server_handlers(IrekoServer *server);

G_END_DECLS
