/* lab/network/exchange.h - a layer's part in an exchange of frames (lan/probe.h). Private to
 * lib/lab and its tests.
 *
 * What a layer is told, and passes on as it is to the guests that run in it:
 *
 *     {"do":"listen","plan":PLAN,"within_ms":N}
 *         from now on notes which frames of PLAN pass its interfaces
 *     {"do":"send","token":T,"frames":SET,"wait_ms":W,"within_ms":N}
 *         sends those of SET that are its own, waits until all of SET that are for it have come, W
 * ms at most, and tells what passed since it began to listen
 *     {"do":"end","token":T,"within_ms":N}
 *
 * It answers {"seen":{PATH:LOG},"silent":{PATH:WHY}}, of itself and the layers inside it: all have
 * answered or are silent within N ms. */
#pragma once

#include "engine/engine.h"
#include "lan/probe.h"

G_BEGIN_DECLS

typedef struct IrekoExchange IrekoExchange;

/* How a layer hears and sends frames. */
typedef struct {
    /* Begins to call ireko_exchange_note for each frame that passes an interface; NULL with an
     * error. */
    void *(*listen)(IrekoExchange *exchange, GError **error);
    void (*end)(void *listening); /* returns when it is called no more */
    /* Sends a frame from the card INDEX of this machine. */
    bool (*send)(void *listening, unsigned index, const uint8_t *frame, size_t len, GError **error);
} IrekoWire;

/* Ends an exchange that a layer's part is in; NULL is fine. */
void
ireko_exchange_free(IrekoExchange *exchange);

/* Notes DATA if it is a frame of the exchange; from any thread. */
void
ireko_exchange_note(
    IrekoExchange *exchange, const char *label, bool out, const uint8_t *data, size_t len);

/* The part that a layer plays; zeros are none. */
typedef struct {
    const IrekoWire *wire; /* NULL: it has none, and only passes orders on */
    IrekoExchange *now;
    GMutex lock; /* one order at a time */
} IrekoPart;

/* Where the guests of a layer are. */
typedef struct {
    const IrekoEngine *engine;
    const char *folder, *path; /* of their folders; of the layer, "" on L0 */
    int cancel_fd;
    /* Whether the machine NAME has an agent. NULL: each has. */
    bool (*has_agent)(void *data, const char *name);
    void *data;
} IrekoGuests;

/* Does what ORDER says and has the guests do it; a new reference to what is to be answered. */
json_t *
ireko_exchange_obey(IrekoPart *part,
                    const IrekoGuests *guests,
                    const json_t *order,
                    GError **error);

/* Has the guests alone do what ORDER says. */
json_t *
ireko_exchange_ask(const IrekoGuests *guests, const json_t *order);

G_END_DECLS
