/* lan/card.c - cards and addresses as texts and as JSON. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "lan/lan.h"

#define WORD_MAX    8
#define ADDRESS_MAX 18

static const char *const links[] = {
    [IREKO_CARD_NONE] = "none",
    [IREKO_CARD_NAT] = "nat",
    [IREKO_CARD_NET] = "net",
};

IrekoCard *
ireko_card_new(unsigned index, IrekoCardLink link, const char *network)
{
    IrekoCard *card = g_new(IrekoCard, 1);
    *card = (IrekoCard){.index = index, .link = link, .network = g_strdup(network), .uplink = -1};
    return card;
}

void
ireko_card_free(IrekoCard *card)
{
    if (card == NULL)
        return;
    g_free(card->network);
    g_free(card);
}

static void
free_card(void *card)
{
    ireko_card_free(card);
}

const IrekoCard *
ireko_card_find(const GPtrArray *cards, unsigned index)
{
    for (unsigned i = 0; cards != NULL && i < cards->len; i++) {
        const IrekoCard *card = cards->pdata[i];
        if (card->index == index)
            return card;
    }
    return NULL;
}

bool
ireko_mac_parse(const char *text, uint8_t ret_mac[IREKO_MAC_BYTES])
{
    uint8_t mac[IREKO_MAC_BYTES];
    if (text == NULL || strlen(text) != IREKO_MAC_TEXT - 1)
        return false;
    for (unsigned i = 0; i < IREKO_MAC_BYTES; i++, text += 3) {
        int high = g_ascii_xdigit_value(text[0]), low = g_ascii_xdigit_value(text[1]);
        char end = i + 1 < IREKO_MAC_BYTES ? ':' : '\0';
        if (high < 0 || low < 0 || text[2] != end)
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    if ((mac[0] & 1) != 0)
        return false; /* a group's */
    memcpy(ret_mac, mac, sizeof mac);
    return true;
}

void
ireko_mac_print(const uint8_t mac[IREKO_MAC_BYTES], char ret_text[IREKO_MAC_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < IREKO_MAC_BYTES; i++) {
        *ret_text++ = digits[mac[i] >> 4];
        *ret_text++ = digits[mac[i] & 0xf];
        *ret_text++ = i + 1 < IREKO_MAC_BYTES ? ':' : '\0';
    }
}

char *
ireko_address_print(uint32_t address)
{
    return g_strdup_printf("%u.%u.%u.%u", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                           address & 0xff);
}

bool
ireko_address_parse(const char *text, uint32_t *ret_address)
{
    struct in_addr address;
    if (text == NULL || inet_pton(AF_INET, text, &address) != 1)
        return false;
    *ret_address = ntohl(address.s_addr);
    return true;
}

static json_t *
address_json(uint32_t address)
{
    g_autofree char *text = ireko_address_print(address);
    return address == 0 ? json_null() : json_string(text);
}

json_t *
ireko_cards_to_json(const GPtrArray *cards)
{
    json_t *array = json_array();
    for (unsigned i = 0; cards != NULL && i < cards->len; i++) {
        const IrekoCard *card = cards->pdata[i];
        json_t *object = json_pack("{s:i,s:s,s:s?,s:s,s:o,s:i,s:o}", "card", (int)card->index,
                                   "link", links[card->link], "network", card->network, "mac",
                                   card->mac, "address", address_json(card->address), "prefix",
                                   (int)card->prefix, "gateway", address_json(card->gateway));
        json_object_set_new(object, "uplink",
                            card->uplink >= 0 ? json_integer(card->uplink) : json_null());
        json_array_append_new(array, object);
    }
    return array;
}

static uint32_t
take_address(IrekoJsonReader *reader, const char *key)
{
    uint32_t address = 0;
    g_autofree char *text = ireko_json_text_or_null(reader, key, ADDRESS_MAX);
    if (text != NULL && !ireko_address_parse(text, &address))
        ireko_json_reader_fail(reader, key, "an address");
    return address;
}

static IrekoCardLink
take_link(IrekoJsonReader *reader)
{
    g_autofree char *word = ireko_json_text(reader, "link", WORD_MAX);
    for (unsigned i = 0; i < G_N_ELEMENTS(links); i++) {
        if (g_strcmp0(word, links[i]) == 0)
            return (IrekoCardLink)i;
    }
    ireko_json_reader_fail(reader, "link", "none, nat or net");
    return IREKO_CARD_NONE;
}

static IrekoCard *
card_from_json(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "card");
    g_autoptr(IrekoCard) card = ireko_card_new(0, take_link(&reader), NULL);
    card->index = (unsigned)ireko_json_count(&reader, "card", IREKO_NET_CARDS_MAX - 1);
    card->network = ireko_json_text_or_null(&reader, "network", IREKO_NET_NETWORK_MAX);
    if ((card->network != NULL) != (card->link == IREKO_CARD_NET))
        ireko_json_reader_fail(&reader, "network", "there exactly where the link is net");
    card->uplink = (int)ireko_json_count_or_null(&reader, "uplink", IREKO_NET_CARDS_MAX - 1);
    uint8_t mac[IREKO_MAC_BYTES] = {0};
    g_autofree char *text = ireko_json_text(&reader, "mac", IREKO_MAC_TEXT);
    if (!ireko_mac_parse(text, mac))
        ireko_json_reader_fail(&reader, "mac", "the address of one card");
    ireko_mac_print(mac, card->mac);
    card->address = take_address(&reader, "address");
    card->gateway = take_address(&reader, "gateway");
    card->prefix = (unsigned)ireko_json_count(&reader, "prefix", 32);
    return ireko_json_reader_end(&reader, error) ? g_steal_pointer(&card) : NULL;
}

GPtrArray *
ireko_cards_from_json(const json_t *array, GError **error)
{
    g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func(free_card);
    if (json_array_size(array) > IREKO_NET_CARDS_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "a machine has at most %d cards",
                    IREKO_NET_CARDS_MAX);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        IrekoCard *card = card_from_json(json_array_get(array, i), error);
        if (card == NULL)
            return NULL;
        g_ptr_array_add(cards, card);
    }
    return g_steal_pointer(&cards);
}
