/* lan/lan.h - the network of a lab: what each card is joined to, under which addresses. Pure.
 *
 * Addresses are IPv4 in host byte order. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_NET_CARDS_MAX   10 /* of one machine: ethernet0 to ethernet9 */
#define IREKO_NET_NETWORK_MAX 64 /* bytes of a network's name */
#define IREKO_MAC_BYTES       6
#define IREKO_MAC_TEXT        18 /* "00:0c:29:00:00:01" and a NUL */

/* ---- cards ---- */

typedef enum {
    IREKO_CARD_NONE, /* a card without a network: not connected at power on */
    IREKO_CARD_NAT,  /* leads out through the layer that runs the machine */
    IREKO_CARD_NET,  /* is on a network of the lab */
} IrekoCardLink;

/* What a card of a machine is given. */
typedef struct {
    unsigned index; /* N of ethernetN */
    IrekoCardLink link;
    char *network; /* of the lab; of others NULL */
    int uplink; /* inside a hypervisor: the card of that one which leads on; -1: none, or on L0 */
    char mac[IREKO_MAC_TEXT];
    uint32_t address, gateway; /* 0: none */
    unsigned prefix;
} IrekoCard;

IrekoCard *
ireko_card_new(unsigned index, IrekoCardLink link, const char *network);

void
ireko_card_free(IrekoCard *card); /* NULL is fine */

/* The card N of CARDS (IrekoCard), or NULL. */
const IrekoCard *
ireko_card_find(const GPtrArray *cards, unsigned index);

/* CARDS as JSON; a new reference. */
json_t *
ireko_cards_to_json(const GPtrArray *cards);

/* Reads what to_json wrote, from a peer or a file that may lie: IREKO_ERROR_REMOTE. NULL as ARRAY
 * is a list of none. */
GPtrArray *
ireko_cards_from_json(const json_t *array, GError **error);

/* TEXT as "00:0c:29:00:00:01", the address of one card. */
bool
ireko_mac_parse(const char *text, uint8_t ret_mac[IREKO_MAC_BYTES]);

void
ireko_mac_print(const uint8_t mac[IREKO_MAC_BYTES], char ret_text[IREKO_MAC_TEXT]);

/* "10.1.2.3"; free with g_free. */
char *
ireko_address_print(uint32_t address);

bool
ireko_address_parse(const char *text, uint32_t *ret_address);

/* ---- subnets ---- */

typedef struct {
    uint32_t base;
    unsigned prefix;
} IrekoSubnet;

#define IREKO_SUBNET_PREFIX 20 /* of each that the pool gives: 4094 hosts */
#define IREKO_SUBNET_HOSTS  4094

/* Appends to USED (IrekoSubnet) what the kernel's table of routes, TEXT as in /proc/net/route,
 * leads to; a default route, also one in halves as VPNs have it, is none. */
void
ireko_routes_parse(const char *text, GArray *used);

/* Takes a private subnet (RFC 1918) that none of USED overlaps, and appends it there. Looked for
 * from a place that KEY names: the same key gets the same one where that is free. False where
 * every one is taken. */
bool
ireko_pool_take(GArray *used, const char *key, IrekoSubnet *ret_subnet);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoCard, ireko_card_free)

G_END_DECLS
