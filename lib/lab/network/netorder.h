/* lab/network/netorder.h - what a layer is told to do about its own network, and how it does it.
 * Private to lib/lab and its tests.
 *
 *     {"cards":[CARD...],"uplinks":[N...],"set":BOOL}
 *         gives its cards their addresses and makes the bridges to its guests (SET), and says what
 *         its interfaces are, A null where one has no address:
 *     {"cards":[{"card":N,"interface":NAME,"mac":M,"address":A,"prefix":P}]}
 *
 * CARD is as ireko_cards_to_json writes it. The same order with other addresses makes another
 * machine's network of it. */
#pragma once

#include <jansson.h>

#include "lab/network/interfaces.h"

G_BEGIN_DECLS

/* The order for NODE's machine, whose guests lead on as their cards say; a new reference. */
json_t *
ireko_netorder_cards(const IrekoNode *node, bool set);

/* What NODE's guests lead on by, each once: int, IREKO_BRIDGE_INSIDE where a card leads nowhere. */
GArray *
ireko_netorder_uplinks(const IrekoNode *node);

/* Gives CARDS (IrekoCard) their addresses and makes the bridges of UPLINKS (int), or (SET false)
 * leaves both as they are; returns what they are then (IrekoInterface). */
typedef GArray *(*IrekoNetorderFunc)(const GPtrArray *cards,
                                     const GArray *uplinks,
                                     bool set,
                                     GError **error);

/* The same in the machine that this program runs in. */
GArray *
ireko_netorder_set(const GPtrArray *cards, const GArray *uplinks, bool set, GError **error);

/* Has OBEY do what ORDER says; what is to be answered, a new reference. */
json_t *
ireko_netorder_obey(const json_t *order, IrekoNetorderFunc obey, GError **error);

/* INTERFACES (IrekoInterface; NULL: nothing is known) as the list of an answer; a new reference. */
json_t *
ireko_netorder_interfaces(const GArray *interfaces);

G_END_DECLS
