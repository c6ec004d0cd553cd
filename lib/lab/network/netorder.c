/* lab/network/netorder.c - what a layer is told to do about its own network. */
#include "lab/network/netorder.h"

#include "base/json.h"
#include "lab/network/interfaces.h"

static void
add_once(GArray *list, int value)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (g_array_index(list, int, i) == value)
            return;
    }
    g_array_append_val(list, value);
}

GArray *
ireko_netorder_uplinks(const IrekoNode *node)
{
    GArray *uplinks = g_array_new(FALSE, FALSE, sizeof(int));
    for (unsigned i = 0; i < node->guests->len; i++) {
        const IrekoNode *guest = node->guests->pdata[i];
        for (unsigned k = 0; k < guest->cards->len; k++) {
            const IrekoCard *card = guest->cards->pdata[k];
            if (card->link == IREKO_CARD_NET)
                add_once(uplinks, card->uplink);
        }
    }
    return uplinks;
}

json_t *
ireko_netorder_cards(const IrekoNode *node, bool set)
{
    g_autoptr(GArray) uplinks = ireko_netorder_uplinks(node);
    json_t *list = json_array();
    for (unsigned i = 0; i < uplinks->len; i++)
        json_array_append_new(list, json_integer(g_array_index(uplinks, int, i)));
    return json_pack("{s:o,s:o,s:b}", "cards", ireko_cards_to_json(node->cards), "uplinks", list,
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

GArray *
ireko_netorder_set(const GPtrArray *cards, const GArray *uplinks, bool set, GError **error)
{
    if (set && !ireko_interfaces_set(cards, uplinks, error))
        return NULL;
    return ireko_interfaces_read(cards, uplinks);
}

json_t *
ireko_netorder_interfaces(const GArray *interfaces)
{
    json_t *list = interfaces != NULL ? json_array() : NULL;
    for (unsigned i = 0; interfaces != NULL && i < interfaces->len; i++) {
        const IrekoInterface *one = &g_array_index(interfaces, IrekoInterface, i);
        g_autofree char *address = one->address != 0 ? ireko_address_print(one->address) : NULL;
        json_array_append_new(list, json_pack("{s:i,s:s,s:s,s:s?,s:i}", "card", (int)one->card,
                                              "interface", one->name, "mac", one->mac, "address",
                                              address, "prefix", (int)one->prefix));
    }
    return list;
}

json_t *
ireko_netorder_obey(const json_t *order, IrekoNetorderFunc obey, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(order, "order");
    const json_t *list = ireko_json_list(&reader, "cards", IREKO_NET_CARDS_MAX);
    const json_t *numbers = ireko_json_list(&reader, "uplinks", IREKO_NET_CARDS_MAX + 1);
    bool set = ireko_json_bool(&reader, "set");
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    g_autoptr(GPtrArray) cards = ireko_cards_from_json(list, error);
    g_autoptr(GArray) uplinks = cards != NULL ? take_uplinks(numbers, error) : NULL;
    g_autoptr(GArray) found = uplinks != NULL ? obey(cards, uplinks, set, error) : NULL;
    return found != NULL ? json_pack("{s:o}", "cards", ireko_netorder_interfaces(found)) : NULL;
}
