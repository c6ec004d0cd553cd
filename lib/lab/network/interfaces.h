/* lab/network/interfaces.h - the network interfaces of the layer that this program runs in: what
 * its cards are called, their addresses, the bridges to its guests. Needs root; for the agent of a
 * built-in image alone. Private to lib/lab. */
#pragma once

#include <net/if.h>

#include "lab/tree.h"
#include "lan/lan.h"

G_BEGIN_DECLS

#define IREKO_BRIDGE_INSIDE                                                                        \
    (-1) /* "uplink" of a guest's card that leads no further than this layer */

/* Gives the interfaces of CARDS (IrekoCard) their MAC and IPv4 addresses and the way out, and makes
 * the bridges of UPLINKS (int, each once): the card of that number and the taps of the guests that
 * lead on by it are its ports. What is right already stays untouched; so it is also how a layer
 * whose addresses were another's gets its own. */
bool
ireko_interfaces_set(const GPtrArray *cards, const GArray *uplinks, GError **error);

/* Gives the interface of the card INDEX the address MAC (NULL: leaves it as it is) and stores which
 * it has then. IREKO_ERROR_NOT_FOUND where no driver took the card. */
bool
ireko_interfaces_mac(unsigned index, const char *mac, char ret_mac[IREKO_MAC_TEXT], GError **error);

/* What a card, or its bridge, is in the layer. */
typedef struct {
    unsigned card;
    char name[IF_NAMESIZE];
    char mac[IREKO_MAC_TEXT];
    uint32_t address; /* 0: none */
    unsigned prefix;
} IrekoInterface;

/* What the kernel says of the interfaces of CARDS, or of their bridges where UPLINKS says that they
 * have one (IrekoInterface). A card that no driver took has none. */
GArray *
ireko_interfaces_read(const GPtrArray *cards, const GArray *uplinks);

/* A tap for CARD of the guest called NAME, a port of its bridge. Its alias (ifconfig's, ip link's)
 * says whose it is. A descriptor; -1 with an error. */
int
ireko_interfaces_tap(const char *name, const IrekoCard *card, GError **error);

/* What has the addresses of the card INDEX: its interface, or the bridge that that is a port of.
 * NAME has room for IF_NAMESIZE bytes. */
bool
ireko_interfaces_top(unsigned index, char *name, GError **error);

/* Whose the interface is, by its name: "ethernet0", "bridge 0", "leaf ethernet1" or its own name.
 * Free with g_free. */
char *
ireko_interfaces_label(const char *interface);

G_END_DECLS
