/* nest/addresses.c - the addresses of a machine's cards: given, and read back from inside. */
#include <string.h>

#include "base/json.h"
#include "nest/parts.h"

#define CARD_MAX      16
#define ADDRESS_MAX   24
#define BY_MAX        16
#define INTERFACE_MAX 32

static void
free_address(void *data)
{
    IrekoAddress *address = data;
    g_free(address->card);
    g_free(address->network);
    g_free(address->mac);
    g_free(address->address);
    g_free(address->by);
    g_free(address);
}

GPtrArray *
ireko_addresses_new(void)
{
    return g_ptr_array_new_with_free_func(free_address);
}

IrekoAddress *
ireko_address_copy(const IrekoAddress *address)
{
    IrekoAddress *copy = g_new0(IrekoAddress, 1);
    copy->card = g_strdup(address->card);
    copy->network = g_strdup(address->network);
    copy->mac = g_strdup(address->mac);
    copy->address = g_strdup(address->address);
    copy->by = g_strdup(address->by);
    return copy;
}

json_t *
ireko_addresses_to_json(const GPtrArray *addresses)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < addresses->len; i++) {
        const IrekoAddress *a = g_ptr_array_index(addresses, i);
        json_t *object = json_pack("{s:s,s:s,s:s?,s:s}", "card", a->card, "mac", a->mac, "address",
                                   a->address, "by", a->by);
        (void)json_object_set_new(object, "network",
                                  ireko_json_clipped(a->network, IREKO_NET_NETWORK_MAX));
        (void)json_array_append_new(list, object);
    }
    return list;
}

bool
ireko_addresses_take(GPtrArray *addresses, const json_t *list, GError **error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        IrekoJsonReader reader = ireko_json_reader(json_array_get(list, i), "address");
        IrekoAddress *address = g_new0(IrekoAddress, 1);
        g_ptr_array_add(addresses, address);
        address->card = ireko_json_text(&reader, "card", CARD_MAX);
        address->network = ireko_json_text_or_null(&reader, "network", IREKO_NET_NETWORK_MAX);
        address->mac = ireko_json_text(&reader, "mac", IREKO_MAC_TEXT);
        address->address = ireko_json_text_or_null(&reader, "address", ADDRESS_MAX);
        address->by = ireko_json_text(&reader, "by", BY_MAX);
        if (!ireko_json_reader_end(&reader, error))
            return false;
    }
    return true;
}

static char *
with_prefix(uint32_t address, unsigned prefix)
{
    g_autofree char *text = ireko_address_print(address);
    return g_strdup_printf("%s/%u", text, prefix);
}

void
ireko_nest_expect_cards(IrekoReport *report, const GPtrArray *cards, bool has_agent)
{
    g_ptr_array_set_size(report->addresses, 0);
    for (unsigned i = 0; i < cards->len; i++) {
        const IrekoCard *card = g_ptr_array_index(cards, i);
        bool known = card->address != 0 && (has_agent || card->link == IREKO_CARD_NAT);
        IrekoAddress *address = g_new0(IrekoAddress, 1);
        g_ptr_array_add(report->addresses, address);
        address->card = g_strdup_printf("ethernet%u", card->index);
        address->network = g_strdup(card->link == IREKO_CARD_NAT ? "nat" : card->network);
        address->mac = g_strdup(card->mac);
        address->address = known ? with_prefix(card->address, card->prefix) : NULL;
        address->by = g_strdup(known || card->address == 0 ? "assigned" : "unknown");
    }
}

/* What FOUND says of the card INDEX, or NULL. */
static const json_t *
find_card(const json_t *found, unsigned index)
{
    for (size_t i = 0; i < json_array_size(found); i++) {
        const json_t *object = json_array_get(found, i);
        const json_t *number = json_object_get(object, "card");
        if (json_is_integer(number) && json_integer_value(number) == (json_int_t)index)
            return object;
    }
    return NULL;
}

/* An interface as an agent tells of it. */
typedef struct {
    char *name, *mac;
    uint32_t address;
    unsigned prefix;
} Interface;

static void
interface_clear(Interface *interface)
{
    g_free(interface->name);
    g_free(interface->mac);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Interface, interface_clear)

static bool
take_interface(const json_t *object, Interface *interface, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "interface");
    interface->name = ireko_json_text(&reader, "interface", INTERFACE_MAX);
    interface->mac = ireko_json_text(&reader, "mac", IREKO_MAC_TEXT);
    interface->prefix = (unsigned)ireko_json_count(&reader, "prefix", 32);
    g_autofree char *text = ireko_json_text_or_null(&reader, "address", ADDRESS_MAX);
    if (text != NULL && !ireko_address_parse(text, &interface->address))
        ireko_json_reader_fail(&reader, "address", "an address");
    return ireko_json_reader_end(&reader, error);
}

static void
settle_card(IrekoCheck *check, IrekoAddress *address, const IrekoCard *card, const json_t *object)
{
    g_auto(Interface) seen = {0};
    g_autoptr(GError) error = NULL;
    if (!take_interface(object, &seen, &error)) {
        ireko_check_settle(check, NULL, false, IREKO_CAUSE_UNKNOWN, error->message);
        return;
    }
    bool right = strcmp(seen.mac, card->mac) == 0 && seen.address == card->address &&
                 seen.prefix == card->prefix;
    g_autofree char *has =
        seen.address != 0 ? with_prefix(seen.address, seen.prefix) : g_strdup("no address");
    g_autofree char *given = with_prefix(card->address, card->prefix);
    g_autofree char *evidence =
        right ? g_strdup_printf("%s, %s: %s, by the kernel inside", has, seen.name, seen.mac)
              : g_strdup_printf("%s, %s: %s, and it was given %s, %s", has, seen.name, seen.mac,
                                given, card->mac);
    ireko_check_settle(check, ireko_bool_name(right), right, IREKO_CAUSE_UNKNOWN, evidence);
    g_free(address->mac);
    g_free(address->address);
    g_free(address->by);
    address->mac = g_steal_pointer(&seen.mac);
    address->address = seen.address != 0 ? with_prefix(seen.address, seen.prefix) : NULL;
    address->by = g_strdup("agent");
}

void
ireko_nest_prove_cards(IrekoReport *report,
                       const GPtrArray *cards,
                       const json_t *found,
                       const char *why_not)
{
    ireko_nest_expect_cards(report, cards, true);
    for (unsigned i = 0; i < cards->len; i++) {
        const IrekoCard *card = g_ptr_array_index(cards, i);
        IrekoAddress *address = g_ptr_array_index(report->addresses, i);
        if (card->address == 0)
            continue;
        IrekoCheck *check = ireko_check_new("net.address", address->card, ireko_bool_name(true));
        g_ptr_array_add(report->checks, check);
        const json_t *object = find_card(found, card->index);
        if (object != NULL)
            settle_card(check, address, card, object);
        else if (found == NULL)
            ireko_check_settle(check, NULL, false, IREKO_CAUSE_UNKNOWN, why_not);
        else
            ireko_check_settle(check, ireko_bool_name(false), false, "device-missing",
                               "no driver inside took the card: it has no interface");
    }
}

IrekoCheck *
ireko_nest_frames_check(const char *what,
                        const char *device,
                        const char *promised,
                        const char *seen,
                        const char *evidence)
{
    IrekoCheck *check = ireko_check_new(what, device, promised);
    ireko_check_settle(check, seen, seen != NULL && strcmp(promised, seen) == 0,
                       IREKO_CAUSE_UNKNOWN, evidence);
    return check;
}

IrekoCheck *
ireko_nest_link_check(const char *device, const char *network, bool plugged, const char *evidence)
{
    IrekoCheck *check = ireko_check_new("net.link", device, network);
    ireko_check_settle(check, plugged ? network : "nothing", plugged, IREKO_CAUSE_UNKNOWN,
                       evidence);
    return check;
}
