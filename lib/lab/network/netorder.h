/* lab/network/netorder.h - what a layer is told to do about its own network, and how it does it.
 * Private to lib/lab and its tests.
 *
 *     {"cards":[CARD...],"uplinks":[N...],"set":BOOL}
 *         gives its cards their addresses and makes the bridges to its guests (SET), and says what
 *         its interfaces are: {"cards":[...]}, as ireko_interfaces_read
 *
 * CARD is as ireko_cards_to_json writes it. The same order with other addresses makes another
 * machine's network of it. */
#pragma once

#include <jansson.h>

#include "lab/tree.h"

G_BEGIN_DECLS

/* The order for NODE's machine, whose guests lead on as their cards say; a new reference. */
json_t *
ireko_netorder_cards(const IrekoNode *node, bool set);

/* Does what ORDER says, in the machine that this program runs in. */
json_t *
ireko_netorder_obey(const json_t *order, GError **error);

G_END_DECLS
