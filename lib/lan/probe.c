/* lan/probe.c - the plan of an exchange of frames, and the frames. */
#include "lan/probe.h"

#include <string.h>

#include "base/json.h"
#include "lan/switch.h"

#define TYPE_AT    12
#define MAGIC      "ireko"
#define MAGIC_AT   IREKO_FRAME_HEADER
#define TOKEN_AT   (MAGIC_AT + 5)
#define NUMBER_AT  (TOKEN_AT + 8)
#define FILLING_AT (NUMBER_AT + 4)
#define FOREIGN    0x02 /* locally administered: no card's own address begins so */

#define NETWORKS_MAX 2560
#define TOKEN_MAX    ((uint64_t)INT64_MAX)

static void
free_card(void *data)
{
    IrekoProbeCard *card = data;
    g_free(card->path);
    g_free(card);
}

IrekoProbeCard *
ireko_probe_card_new(const char *path, unsigned index, unsigned network, const char *mac)
{
    IrekoProbeCard *card = g_new0(IrekoProbeCard, 1);
    card->path = g_strdup(path);
    card->index = index;
    card->network = network;
    (void)ireko_mac_parse(mac, card->mac);
    return card;
}

/* ---- the plan ---- */

static void
add_frames(GArray *frames, unsigned from, unsigned to)
{
    for (unsigned kind = IREKO_PROBE_UNICAST; kind < IREKO_PROBE_KINDS; kind++) {
        IrekoProbe frame = {(uint16_t)from, (uint16_t)to, (uint16_t)kind};
        g_array_append_val(frames, frame);
    }
}

/* The frames of the cards MEMBERS, which are on one network. */
static void
plan_network(GArray *frames, const GArray *members)
{
    unsigned count = members->len;
    for (unsigned i = 0; i < count && count > 1; i++) {
        unsigned from = g_array_index(members, unsigned, i);
        IrekoProbe all = {(uint16_t)from, (uint16_t)from, IREKO_PROBE_BROADCAST};
        g_array_append_val(frames, all);
        for (unsigned far = 1; far < count; far += count <= IREKO_PROBE_ALL_PAIRS ? 1 : far)
            add_frames(frames, from, g_array_index(members, unsigned, (i + far) % count));
    }
}

static unsigned
network_of(const GPtrArray *cards, unsigned i)
{
    return ((const IrekoProbeCard *)g_ptr_array_index(cards, i))->network;
}

IrekoProbePlan *
ireko_probe_plan_new(uint64_t token, GPtrArray *cards)
{
    g_assert(cards->len <= IREKO_PROBE_CARDS_MAX);
    IrekoProbePlan *plan = g_new0(IrekoProbePlan, 1);
    plan->token = token & TOKEN_MAX;
    plan->cards = cards;
    plan->frames = g_array_new(FALSE, FALSE, sizeof(IrekoProbe));
    g_ptr_array_set_free_func(cards, free_card);
    g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);
    for (unsigned i = 0; i < cards->len; i++) {
        unsigned network = network_of(cards, i);
        if (!g_hash_table_add(done, GUINT_TO_POINTER(network)))
            continue;
        g_autoptr(GArray) members = g_array_new(FALSE, FALSE, sizeof(unsigned));
        for (unsigned k = i; k < cards->len; k++) {
            if (network_of(cards, k) == network)
                g_array_append_val(members, k);
        }
        plan_network(plan->frames, members);
    }
    return plan;
}

void
ireko_probe_plan_free(IrekoProbePlan *plan)
{
    if (plan == NULL)
        return;
    g_ptr_array_unref(plan->cards);
    g_array_unref(plan->frames);
    g_free(plan);
}

json_t *
ireko_probe_plan_to_json(const IrekoProbePlan *plan)
{
    json_t *cards = json_array();
    for (unsigned i = 0; i < plan->cards->len; i++) {
        const IrekoProbeCard *card = g_ptr_array_index(plan->cards, i);
        char mac[IREKO_MAC_TEXT];
        ireko_mac_print(card->mac, mac);
        json_array_append_new(cards, json_pack("{s:s,s:i,s:i,s:b,s:s}", "path", card->path, "card",
                                               (int)card->index, "network", (int)card->network,
                                               "bridged", (int)card->bridged, "mac", mac));
    }
    return json_pack("{s:I,s:o}", "token", (json_int_t)plan->token, "cards", cards);
}

static IrekoProbeCard *
card_from_json(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "card of a plan");
    g_autofree char *path = ireko_json_text(&reader, "path", IREKO_PROBE_PATH_MAX);
    g_autofree char *mac = ireko_json_text(&reader, "mac", IREKO_MAC_TEXT);
    unsigned index = (unsigned)ireko_json_count(&reader, "card", IREKO_NET_CARDS_MAX - 1);
    unsigned network = (unsigned)ireko_json_count(&reader, "network", NETWORKS_MAX);
    bool bridged = ireko_json_bool(&reader, "bridged");
    uint8_t parsed[IREKO_MAC_BYTES];
    if (!ireko_mac_parse(mac, parsed))
        ireko_json_reader_fail(&reader, "mac", "the address of one card");
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    IrekoProbeCard *card = ireko_probe_card_new(path, index, network, mac);
    card->bridged = bridged;
    return card;
}

IrekoProbePlan *
ireko_probe_plan_from_json(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "plan");
    uint64_t token = ireko_json_count(&reader, "token", TOKEN_MAX);
    const json_t *list = ireko_json_list(&reader, "cards", IREKO_PROBE_CARDS_MAX);
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func(free_card);
    for (size_t i = 0; i < json_array_size(list); i++) {
        IrekoProbeCard *card = card_from_json(json_array_get(list, i), error);
        if (card == NULL)
            return NULL;
        g_ptr_array_add(cards, card);
    }
    return ireko_probe_plan_new(token, g_steal_pointer(&cards));
}

char *
ireko_probe_top(const IrekoProbeCard *card)
{
    return g_strdup_printf(card->bridged ? "bridge %u" : "ethernet%u", card->index);
}

bool
ireko_probe_is_for(const IrekoProbePlan *plan, unsigned number, unsigned card)
{
    const IrekoProbe *frame = &g_array_index(plan->frames, IrekoProbe, number);
    if (frame->kind != IREKO_PROBE_BROADCAST)
        return frame->to == card;
    return frame->from != card &&
           network_of(plan->cards, frame->from) == network_of(plan->cards, card);
}

/* ---- frames ---- */

static size_t
length_of(const IrekoProbe *frame)
{
    return frame->kind == IREKO_PROBE_FULL ? IREKO_PROBE_MTU : IREKO_PROBE_SHORT;
}

static void
put_number(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t
get_number(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

/* What fills the frame NUMBER up: something else in each place. */
static uint8_t
filling(unsigned number, size_t at)
{
    return (uint8_t)(number + at * 7);
}

size_t
ireko_probe_write(const IrekoProbePlan *plan, unsigned number, uint8_t ret_frame[IREKO_PROBE_MTU])
{
    const IrekoProbe *frame = &g_array_index(plan->frames, IrekoProbe, number);
    const IrekoProbeCard *from = g_ptr_array_index(plan->cards, frame->from);
    const IrekoProbeCard *to = g_ptr_array_index(plan->cards, frame->to);
    size_t len = length_of(frame);
    if (frame->kind == IREKO_PROBE_BROADCAST)
        memset(ret_frame, 0xff, IREKO_MAC_BYTES);
    else
        memcpy(ret_frame, to->mac, IREKO_MAC_BYTES);
    memcpy(ret_frame + IREKO_MAC_BYTES, from->mac, IREKO_MAC_BYTES);
    if (frame->kind == IREKO_PROBE_FOREIGN)
        ret_frame[IREKO_MAC_BYTES] = (uint8_t)(ret_frame[IREKO_MAC_BYTES] ^ FOREIGN);
    put_number(ret_frame + TYPE_AT, IREKO_PROBE_TYPE, 2);
    memcpy(ret_frame + MAGIC_AT, MAGIC, sizeof MAGIC - 1);
    put_number(ret_frame + TOKEN_AT, plan->token, 8);
    put_number(ret_frame + NUMBER_AT, number, 4);
    for (size_t at = FILLING_AT; at < len; at++)
        ret_frame[at] = filling(number, at);
    return len;
}

int
ireko_probe_read(const IrekoProbePlan *plan, const uint8_t *data, size_t len)
{
    if (len < IREKO_PROBE_SHORT || get_number(data + TYPE_AT, 2) != IREKO_PROBE_TYPE ||
        memcmp(data + MAGIC_AT, MAGIC, sizeof MAGIC - 1) != 0 ||
        get_number(data + TOKEN_AT, 8) != plan->token)
        return -1;
    uint64_t number = get_number(data + NUMBER_AT, 4);
    if (number >= plan->frames->len)
        return -1;
    if (len != length_of(&g_array_index(plan->frames, IrekoProbe, number)))
        return -1;
    for (size_t at = FILLING_AT; at < len; at++) {
        if (data[at] != filling((unsigned)number, at))
            return -1;
    }
    return (int)number;
}
