/* The network of a lab without any machine: subnets, cards as JSON, the switch's table. */
#include <stdio.h>
#include <string.h>

#include "lan/lan.h"
#include "lan/switch.h"

/* ---- subnets ---- */

#define HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define ROUTE(destination, flags, mask)                                                            \
    "eth0\t" destination "\t00000000\t" flags "\t0\t0\t0\t" mask "\t0\t0\t0\n"

static const struct {
    const char *name, *routes;
    const char *first; /* of the subnet for the key "lab/hostonly"; NULL: none is left */
} pools[] = {
    {"a host without routes leaves the first choice", HEAD, "10.138.176.0"},
    {"a default route is in nobody's way", HEAD ROUTE("00000000", "0003", "00000000"),
     "10.138.176.0"},
    {"a default route in halves is in nobody's way",
     HEAD ROUTE("00000000", "0003", "00000080") ROUTE("00000080", "0003", "00000080"),
     "10.138.176.0"},
    {"what a route leads to is left alone", HEAD ROUTE("00B08A0A", "0001", "00FFFFFF"),
     "10.138.192.0"},
    {"a host of the subnet is enough", HEAD ROUTE("0DBE8A0A", "0005", "FFFFFFFF"), "10.138.192.0"},
    {"a route that is down does not count", HEAD ROUTE("00B08A0A", "0000", "00FFFFFF"),
     "10.138.176.0"},
    {"a host that uses all of 10.0.0.0 gets another block",
     HEAD ROUTE("0000000A", "0001", "000000FF"), "172.26.176.0"},
    {"... and one that uses that too, a third",
     HEAD ROUTE("0000000A", "0001", "000000FF") ROUTE("000010AC", "0001", "0000F0FF"),
     "192.168.176.0"},
    {"a host that uses every private address gets none",
     HEAD ROUTE("0000000A", "0001", "000000FF") ROUTE("000010AC", "0001", "0000F0FF")
         ROUTE("0000A8C0", "0001", "0000FFFF"),
     NULL},
    {"lines that are no routes are passed over", "junk\njunk\n\n\t\t\nx 1 2 3\n", "10.138.176.0"},
};

static void
test_pool(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(IrekoSubnet));
    ireko_routes_parse(pools[i].routes, used);
    IrekoSubnet subnet = {0};
    bool got = ireko_pool_take(used, "lab/hostonly", &subnet);
    g_autofree char *first = got ? ireko_address_print(subnet.base) : NULL;
    g_assert_cmpstr(first, ==, pools[i].first);
}

static void
test_pool_apart(void)
{
    g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(IrekoSubnet));
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    IrekoSubnet subnet = {0};
    ireko_routes_parse(HEAD ROUTE("0000000A", "0001", "000000FF"), used);
    unsigned count = 0;
    for (; ireko_pool_take(used, "the same key", &subnet); count++)
        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(subnet.base)));
    g_assert_cmpuint(count, ==, 256 + 16);
}

/* ---- cards ---- */

static void
test_cards(void)
{
    g_autoptr(GPtrArray) cards = g_ptr_array_new_with_free_func((GDestroyNotify)ireko_card_free);
    IrekoCard *card = ireko_card_new(3, IREKO_CARD_NET, "VM Network");
    *card = (IrekoCard){.index = 3,
                        .link = IREKO_CARD_NET,
                        .network = card->network,
                        .uplink = 0,
                        .mac = "00:0c:29:01:02:03",
                        .address = 0x0a010203,
                        .prefix = 20};
    g_ptr_array_add(cards, card);
    g_autoptr(GError) error = NULL;
    json_t *json = ireko_cards_to_json(cards);
    g_autoptr(GPtrArray) again = ireko_cards_from_json(json, &error);
    json_decref(json);
    g_assert_no_error(error);
    const IrekoCard *same = ireko_card_find(again, 3);
    g_assert_nonnull(same);
    g_assert_cmpstr(same->network, ==, "VM Network");
    g_assert_cmpstr(same->mac, ==, "00:0c:29:01:02:03");
    g_assert_cmpuint(same->address, ==, 0x0a010203);
    g_assert_cmpint(same->uplink, ==, 0);
    g_assert_null(ireko_card_find(again, 0));
}

#define CARD(fields)                                                                               \
    "[{\"card\":0,\"link\":\"nat\",\"mac\":\"00:0c:29:01:02:03\",\"prefix\":20" fields "}]"

static const struct {
    const char *name, *json;
    bool good;
} peers[] = {
    {"a card as ireko writes it is taken", CARD(""), true},
    {"no cards are no fault", "[]", true},
    {"a group's address is no card's",
     "[{\"card\":0,\"link\":\"nat\",\"mac\":\"01:0c:29:01:02:03\",\"prefix\":20}]", false},
    {"an address that is none is refused", CARD(",\"address\":\"10.1.2\""), false},
    {"a NAT card on a network is refused", CARD(",\"network\":\"x\""), false},
    {"a card on no network is refused",
     "[{\"card\":0,\"link\":\"net\",\"mac\":\"00:0c:29:01:02:03\",\"prefix\":20}]", false},
    {"an eleventh card is refused",
     "[{\"card\":10,\"link\":\"nat\",\"mac\":\"00:0c:29:01:02:03\",\"prefix\":20}]", false},
    {"eleven of anything are refused", "[1,2,3,4,5,6,7,8,9,10,11]", false},
};

static void
test_peer(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    json_t *json = json_loads(peers[i].json, 0, NULL);
    g_assert_nonnull(json);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) cards = ireko_cards_from_json(json, &error);
    json_decref(json);
    g_assert_true((cards != NULL) == peers[i].good);
    g_assert_true((error == NULL) == peers[i].good);
}

/* ---- the switch's table ---- */

/* A frame to TO from FROM: last bytes of addresses; 255 is everyone. */
static int
pass(IrekoFdb *fdb, unsigned port, unsigned to, unsigned from, uint32_t now_s)
{
    uint8_t frame[60] = {0x02, 0, 0, 0, 0, (uint8_t)to, 0x02, 0, 0, 0, 0, (uint8_t)from, 8, 0};
    if (to == 255)
        memset(frame, 0xff, 6);
    return ireko_fdb_pass(fdb, port, frame, sizeof frame, now_s);
}

static void
test_learning(void)
{
    g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
    g_assert_cmpint(pass(fdb, 0, 2, 1, 0), ==, IREKO_FDB_ALL); /* nobody knows 2 */
    g_assert_cmpint(pass(fdb, 1, 1, 2, 0), ==, 0);
    g_assert_cmpint(pass(fdb, 0, 2, 1, 0), ==, 1);
    g_assert_cmpint(pass(fdb, 0, 2, 7, 0), ==, 1); /* a guest of the machine at port 0 */
    g_assert_cmpint(pass(fdb, 1, 7, 2, 0), ==, 0);
    g_assert_cmpint(pass(fdb, 0, 7, 1, 0), ==, IREKO_FDB_DROP); /* they are behind one port */
    g_assert_cmpint(pass(fdb, 0, 255, 1, 0), ==, IREKO_FDB_ALL);
}

static void
test_moving(void)
{
    g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
    (void)pass(fdb, 0, 255, 1, 0);
    (void)pass(fdb, 3, 255, 1, 0);
    g_assert_cmpint(pass(fdb, 1, 1, 2, 0), ==, 3);
    ireko_fdb_unplug(fdb, 3);
    g_assert_cmpint(pass(fdb, 1, 1, 2, 0), ==, IREKO_FDB_ALL);
}

static void
test_age(void)
{
    g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
    (void)pass(fdb, 0, 255, 1, 100);
    g_assert_cmpint(pass(fdb, 1, 1, 2, 100 + IREKO_FDB_AGE_S), ==, 0);
    g_assert_cmpint(pass(fdb, 1, 1, 2, 101 + IREKO_FDB_AGE_S), ==, IREKO_FDB_ALL);
}

static void
test_lengths(void)
{
    g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
    uint8_t frame[IREKO_FRAME_MAX + 1] = {0xff};
    g_assert_cmpint(ireko_fdb_pass(fdb, 0, frame, IREKO_FRAME_HEADER - 1, 0), ==, IREKO_FDB_DROP);
    g_assert_cmpint(ireko_fdb_pass(fdb, 0, frame, IREKO_FRAME_HEADER, 0), ==, IREKO_FDB_ALL);
    g_assert_cmpint(ireko_fdb_pass(fdb, 0, frame, IREKO_FRAME_MAX, 0), ==, IREKO_FDB_ALL);
    g_assert_cmpint(ireko_fdb_pass(fdb, 0, frame, IREKO_FRAME_MAX + 1, 0), ==, IREKO_FDB_DROP);
    g_assert_cmpint(ireko_fdb_pass(fdb, IREKO_SWITCH_PORTS, frame, 60, 0), ==, IREKO_FDB_DROP);
}

/* A frame with a sender of many. */
static int
pass_numbered(IrekoFdb *fdb, unsigned port, unsigned from, uint32_t now_s)
{
    uint8_t frame[60] = {0xff,
                         0xff,
                         0xff,
                         0xff,
                         0xff,
                         0xff,
                         0x06,
                         0,
                         (uint8_t)port,
                         (uint8_t)(from >> 16),
                         (uint8_t)(from >> 8),
                         (uint8_t)from};
    return ireko_fdb_pass(fdb, port, frame, sizeof frame, now_s);
}

static void
count_one(void *data, const char *mac, unsigned port, uint32_t address)
{
    (void)mac, (void)port, (void)address;
    ++*(unsigned *)data;
}

static unsigned
count(const IrekoFdb *fdb, uint32_t now_s)
{
    unsigned n = 0;
    ireko_fdb_each(fdb, now_s, count_one, &n);
    return n;
}

static void
test_flood(void)
{
    g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
    (void)pass(fdb, 1, 255, 2, 0);
    for (unsigned i = 0; i < 100000; i++)
        g_assert_cmpint(pass_numbered(fdb, 0, i, 0), ==, IREKO_FDB_ALL);
    g_assert_cmpuint(count(fdb, 0), ==, IREKO_FDB_PORT_MAX + 1);
    g_assert_cmpint(pass(fdb, 0, 2, 1, 0), ==, 1); /* the other's address is still known */
    (void)pass_numbered(fdb, 0, 100000, IREKO_FDB_AGE_S + 1);
    g_assert_cmpuint(count(fdb, IREKO_FDB_AGE_S + 1), ==, 1); /* the old ones made room */
    for (unsigned port = 0; port < 32; port++) {
        for (unsigned i = 0; i < IREKO_FDB_PORT_MAX; i++)
            (void)pass_numbered(fdb, port, i, 1000);
    }
    g_assert_cmpuint(count(fdb, 1000), ==, IREKO_FDB_MAX);
    for (unsigned port = 0; port < 32; port++)
        ireko_fdb_unplug(fdb, port);
    g_assert_cmpuint(count(fdb, 1000), ==, 0);
}

static void
keep_address(void *data, const char *mac, unsigned port, uint32_t address)
{
    (void)mac, (void)port;
    *(uint32_t *)data = address;
}

static void
test_arp(void)
{
    static const uint8_t asked[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0,  0, 0, 0, 9, 8, 6, 0, 1, 8, 0,  6, 4, 0,
        1,    0x02, 0,    0,    0,    0,    9,    10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 10, 1, 2, 4,
    };
    for (size_t len = IREKO_FRAME_HEADER; len <= sizeof asked; len++) {
        g_autoptr(IrekoFdb) fdb = ireko_fdb_new();
        g_assert_cmpint(ireko_fdb_pass(fdb, 4, asked, len, 0), ==, IREKO_FDB_ALL);
        uint32_t address = 1;
        ireko_fdb_each(fdb, 0, keep_address, &address);
        g_assert_cmpuint(address, ==, len == sizeof asked ? 0x0a010203 : 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(pools); i++) {
        g_autofree char *name = g_strconcat("/pool/", pools[i].name, NULL);
        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_pool);
    }
    g_test_add_func("/pool/no subnet is given twice", test_pool_apart);
    g_test_add_func("/cards/come back from JSON as they were", test_cards);
    for (size_t i = 0; i < G_N_ELEMENTS(peers); i++) {
        g_autofree char *name = g_strconcat("/cards/", peers[i].name, NULL);
        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_peer);
    }
    g_test_add_func("/switch/learns who is behind which port", test_learning);
    g_test_add_func("/switch/an address that moves is found where it is now", test_moving);
    g_test_add_func("/switch/an address that is silent is forgotten", test_age);
    g_test_add_func("/switch/what is too short or too long is no frame", test_lengths);
    g_test_add_func("/switch/a flood of addresses pushes nobody's out", test_flood);
    g_test_add_func("/switch/reads addresses out of whole ARP frames", test_arp);
    return g_test_run();
}
