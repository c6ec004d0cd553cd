/* What comes into a lab's network from guests: frames at the switch and at a layer's interfaces,
 * and what machines tell of both. The first byte says which. */
#include <stdint.h>
#include <string.h>

#include "lab/network/exchange.h"
#include "lan/lan.h"
#include "lan/probe.h"
#include "lan/switch.h"
#include "nest/nest.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CARDS 5

static IrekoProbePlan *
make_plan(void)
{
    GPtrArray *cards = g_ptr_array_new();
    for (unsigned i = 0; i < CARDS; i++) {
        g_autofree char *path = g_strdup_printf("m%u", i);
        g_autofree char *mac = g_strdup_printf("00:0c:29:00:00:%02x", i);
        g_ptr_array_add(cards, ireko_probe_card_new(path, 0, i % 2, mac));
    }
    return ireko_probe_plan_new(1, cards);
}

static void
count(void *data, const char *mac, unsigned port, uint32_t address)
{
    (void)address;
    uint8_t bytes[IREKO_MAC_BYTES];
    g_assert(ireko_mac_parse(mac, bytes) && port < IREKO_SWITCH_PORTS);
    ++*(unsigned *)data;
}

/* Frames of 16 bytes and more by ports that they name themselves: where one goes is a port that
 * there is, and the table keeps its limits. */
static void
try_switch(const uint8_t *data, size_t size)
{
    g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
    uint32_t now_s = 0;
    while (size > 2) {
        now_s += data[0] >> 4;
        unsigned port = data[0] & 7;
        size_t len = MIN((size_t)data[1] + 1, size - 2);
        int way = ireko_fdb_pass(fdb, port, data + 2, len, now_s);
        g_assert(way == IREKO_FDB_DROP || way == IREKO_FDB_ALL || (way >= 0 && way < 8));
        g_assert(way != (int)port);
        if ((data[1] & 0x80) != 0)
            ireko_fdb_unplug(fdb, port);
        data += 2 + len;
        size -= 2 + len;
    }
    unsigned entries = 0;
    ireko_fdb_each(fdb, now_s, count, &entries);
    g_assert(entries <= IREKO_FDB_MAX);
}

/* Whatever it is, it is a frame of the plan only if it is that frame, byte by byte. */
static void
try_frame(const uint8_t *data, size_t size)
{
    g_autoptr(IrekoProbePlan) plan = make_plan();
    int number = ireko_probe_read(plan, data, size);
    if (number < 0)
        return;
    uint8_t frame[IREKO_PROBE_MTU];
    size_t len = ireko_probe_write(plan, (unsigned)number, frame);
    g_assert(len == size && memcmp(frame + 12, data + 12, len - 12) == 0);
}

static void
try_json(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, 0, NULL);
    if (json == NULL)
        return;
    g_autoptr(GPtrArray) cards = ireko_cards_from_json(json, NULL);
    if (cards != NULL) {
        json_t *again = ireko_cards_to_json(cards);
        g_autoptr(GPtrArray) same = ireko_cards_from_json(again, NULL);
        g_assert(same != NULL && same->len == cards->len);
        json_decref(again);
    }
    g_autoptr(IrekoProbePlan) plan = ireko_probe_plan_from_json(json, NULL);
    for (unsigned i = 0; plan != NULL && i < plan->frames->len; i++) {
        const IrekoProbe *frame = &g_array_index(plan->frames, IrekoProbe, i);
        g_assert(frame->from < plan->cards->len && frame->to < plan->cards->len);
    }
    g_autoptr(IrekoProbePlan) ours = make_plan();
    g_autoptr(IrekoProbeLog) log = ireko_probe_log_from_json(ours, json, NULL);
    for (unsigned i = 0; log != NULL && i < ours->frames->len; i++)
        (void)ireko_probe_log_has(log, "ethernet0", true, i);
    json_decref(json);
}

static void *
listen_all(IrekoExchange *exchange, GError **error)
{
    (void)error;
    return exchange;
}

static void
end(void *listening)
{
    (void)listening;
}

static bool
send_one(void *listening, unsigned index, const uint8_t *frame, size_t len, GError **error)
{
    (void)error;
    g_assert(index < IREKO_NET_CARDS_MAX);
    ireko_exchange_note(listening, "ethernet0", false, frame, len);
    return true;
}

/* Orders, one a line, for the machine "a", which has no guests; what it answers is an object. */
static void
try_orders(const uint8_t *data, size_t size)
{
    static const IrekoWire wire = {.listen = listen_all, .end = end, .send = send_one};
    const IrekoGuests guests = {
        .engine = &ireko_engine_fake, .folder = "/nowhere", .path = "a", .cancel_fd = -1};
    IrekoPart part = {.wire = &wire};
    g_autofree char *text = g_strndup((const char *)data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 8);
    for (size_t i = 0; lines[i] != NULL; i++) {
        json_t *order = json_loads(lines[i], 0, NULL);
        if (json_is_object(order))
            (void)json_object_set_new(order, "wait_ms", json_integer(0));
        json_t *answer = ireko_exchange_obey(&part, &guests, order, NULL);
        g_assert(answer == NULL || json_is_object(json_object_get(answer, "seen")));
        json_decref(answer);
        json_decref(order);
    }
    ireko_exchange_free(part.now);
}

/* What an agent says of its interfaces settles each check, whatever it is. */
static void
try_found(const uint8_t *data, size_t size)
{
    json_t *found = json_loadb((const char *)data, size, 0, NULL);
    g_autoptr(IrekoReport) report = ireko_report_new("a", 1);
    g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func((GDestroyNotify)ireko_card_free);
    IrekoCard *card = ireko_card_new(0, IREKO_CARD_NET, "hostonly");
    (void)g_strlcpy(card->mac, "00:0c:29:01:02:03", sizeof card->mac);
    card->address = 0x0a010203;
    card->prefix = 20;
    g_ptr_array_add(cards, card);
    ireko_nest_prove_cards(report, cards, found, "why");
    g_assert(report->checks->len == 1);
    const IrekoCheck *check = report->checks->pdata[0];
    g_assert(check->ok == (check->cause == NULL));
    json_decref(found);
}

/* No subnet that is given overlaps what a route leads to. */
static void
try_routes(const uint8_t *data, size_t size)
{
    g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(IrekoSubnet));
    g_autofree char *text = g_strndup((const char *)data, size);
    ireko_routes_parse(text, used);
    unsigned routes = used->len;
    IrekoSubnet subnet;
    if (!ireko_pool_take(used, "fuzz/hostonly", &subnet))
        return;
    for (unsigned i = 0; i < routes; i++) {
        const IrekoSubnet *route = &g_array_index(used, IrekoSubnet, i);
        uint32_t mask = ~0u << (32 - MIN(route->prefix, subnet.prefix));
        g_assert((route->base & mask) != (subnet.base & mask));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const uint8_t *data, size_t size) = {
        try_switch, try_frame, try_json, try_routes, try_orders, try_found};
    if (size > 1)
        tries[data[0] % G_N_ELEMENTS(tries)](data + 1, size - 1);
    return 0;
}
