/* lab/network/netorder.c - what a layer is told to do about its own network. */
#include "lab/network/netorder.h"

#include "base/json.h"
#include "lab/network/interfaces.h"

static void
add_once(json_t *list, int value)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_integer_value(json_array_get(list, i)) == value)
            return;
    }
    json_array_append_new(list, json_integer(value));
}

json_t *
ireko_netorder_cards(const IrekoNode *node, bool set)
{
    json_t *uplinks = json_array();
    for (unsigned i = 0; i < node->guests->len; i++) {
        const IrekoNode *guest = node->guests->pdata[i];
        for (unsigned k = 0; k < guest->cards->len; k++) {
            const IrekoCard *card = guest->cards->pdata[k];
            if (card->link == IREKO_CARD_NET)
                add_once(uplinks, card->uplink);
        }
    }
    return json_pack("{s:o,s:o,s:b}", "cards", ireko_cards_to_json(node->cards), "uplinks", uplinks,
                     "set", (int)set);
}

static GArray *
take_uplinks(const json_t *list, GError **error)
{
    g_autoptr(GArray) uplinks = g_array_new(FALSE, FALSE, sizeof(int));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || number < IREKO_BRIDGE_INSIDE ||
            number >= IREKO_NET_CARDS_MAX) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                                "'uplinks' names a card that there is not");
            return NULL;
        }
        int uplink = (int)number;
        g_array_append_val(uplinks, uplink);
    }
    return g_steal_pointer(&uplinks);
}

json_t *
ireko_netorder_obey(const json_t *order, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(order, "order");
    const json_t *list = ireko_json_list(&reader, "cards", IREKO_NET_CARDS_MAX);
    const json_t *numbers = ireko_json_list(&reader, "uplinks", IREKO_NET_CARDS_MAX + 1);
    bool set = ireko_json_bool(&reader, "set");
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    g_autoptr(GPtrArray) cards = ireko_cards_from_json(list, error);
    g_autoptr(GArray) uplinks = cards != NULL ? take_uplinks(numbers, error) : NULL;
    if (uplinks == NULL || (set && !ireko_interfaces_set(cards, uplinks, error)))
        return NULL;
    return json_pack("{s:o}", "cards", ireko_interfaces_read(cards, uplinks));
}
