/* lab/network/cards.h - what the cards of a lab's machines are given. Private to lib/lab. */
#pragma once

#include "lab/tree.h"

G_BEGIN_DECLS

/* Gives each card of the machines NODES of the lab LAB its link, its MAC address and its IPv4
 * address, the same ones for the same lab. USED (IrekoSubnet) is what the host's routes lead to.
 * IREKO_ERROR_STATE where no subnet is left. Pure. */
bool
ireko_cards_plan(const GPtrArray *nodes, const char *lab, GArray *used, GError **error);

/* Gives the machines TO the cards that those of FROM have, the same definition. */
void
ireko_cards_copy(const GPtrArray *to, const GPtrArray *from);

/* The networks that cards of NODES, not of their guests, are plugged into; sorted, each once: char
 * *, of NODES. */
GPtrArray *
ireko_cards_networks(const GPtrArray *nodes);

G_END_DECLS
