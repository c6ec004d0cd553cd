/* lan/fdb.c - the switch's table: MAC address to port. */
#include <string.h>

#include "lan/switch.h"

#define TYPE_AT        12
#define TYPE_ARP       0x0806
#define ARP_BYTES      28              /* RFC 826, for Ethernet and IPv4 */
#define ARP_HEAD       "\0\1\10\0\6\4" /* hardware 1, protocol 0800h, lengths 6 and 4 */
#define ARP_HEAD_BYTES 6
#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP  14

typedef struct {
    uint64_t mac; /* 0: the slot is free */
    uint32_t seen_s;
    uint32_t address;
    uint16_t port;
} Entry;

#define SLOTS (2 * IREKO_FDB_MAX) /* a power of two: at most half full */

G_STATIC_ASSERT((SLOTS & (SLOTS - 1)) == 0);

struct IrekoFdb {
    Entry slots[SLOTS];
    unsigned count;
    unsigned by_port[IREKO_SWITCH_PORTS];
    uint32_t swept_s; /* when what is old was last looked for */
};

IrekoFdb *
ireko_fdb_new(void)
{
    return g_new0(IrekoFdb, 1);
}

void
ireko_fdb_free(IrekoFdb *fdb)
{
    g_free(fdb);
}

static uint64_t
mac_at(const uint8_t *at)
{
    uint64_t mac = 0;
    for (unsigned i = 0; i < IREKO_MAC_BYTES; i++)
        mac = mac << 8 | at[i];
    return mac;
}

static unsigned
home_of(uint64_t mac)
{
    return (unsigned)((mac * 0x9e3779b97f4a7c15u) >> 40) & (SLOTS - 1); /* Fibonacci hashing */
}

/* The slot of MAC, or the free one where it would stand. */
static unsigned
find(const IrekoFdb *fdb, uint64_t mac)
{
    unsigned at = home_of(mac);
    while (fdb->slots[at].mac != 0 && fdb->slots[at].mac != mac)
        at = (at + 1) & (SLOTS - 1);
    return at;
}

/* Frees the slot AT and moves up what stands behind it for want of a nearer one (Knuth, 6.4,
 * algorithm R). */
static void
forget(IrekoFdb *fdb, unsigned at)
{
    fdb->by_port[fdb->slots[at].port]--;
    fdb->count--;
    for (unsigned next = (at + 1) & (SLOTS - 1); fdb->slots[next].mac != 0;
         next = (next + 1) & (SLOTS - 1)) {
        unsigned home = home_of(fdb->slots[next].mac);
        if (((next - home) & (SLOTS - 1)) < ((next - at) & (SLOTS - 1)))
            continue; /* it would stand before its home */
        fdb->slots[at] = fdb->slots[next];
        at = next;
    }
    fdb->slots[at] = (Entry){0};
}

static bool
is_old(const Entry *entry, uint32_t now_s)
{
    return now_s - entry->seen_s > IREKO_FDB_AGE_S;
}

/* Room for one more behind PORT: makes some by forgetting what is old. */
static bool
has_room(IrekoFdb *fdb, unsigned port, uint32_t now_s)
{
    bool full = fdb->count >= IREKO_FDB_MAX || fdb->by_port[port] >= IREKO_FDB_PORT_MAX;
    if (!full || fdb->swept_s == now_s)
        return !full;
    fdb->swept_s = now_s;
    for (unsigned at = 0; at < SLOTS; at++) {
        while (fdb->slots[at].mac != 0 && is_old(&fdb->slots[at], now_s))
            forget(fdb, at);
    }
    return fdb->count < IREKO_FDB_MAX && fdb->by_port[port] < IREKO_FDB_PORT_MAX;
}

/* The IPv4 address that the sender of an ARP frame gives itself, or 0. */
static uint32_t
address_in(const uint8_t *frame, size_t len)
{
    const uint8_t *arp = frame + IREKO_FRAME_HEADER;
    if (len < IREKO_FRAME_HEADER + ARP_BYTES ||
        (frame[TYPE_AT] << 8 | frame[TYPE_AT + 1]) != TYPE_ARP ||
        memcmp(arp, ARP_HEAD, ARP_HEAD_BYTES) != 0 ||
        memcmp(arp + ARP_SENDER_MAC, frame + IREKO_MAC_BYTES, IREKO_MAC_BYTES) != 0)
        return 0;
    const uint8_t *ip = arp + ARP_SENDER_IP;
    return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
}

static void
learn(IrekoFdb *fdb, unsigned port, const uint8_t *frame, size_t len, uint32_t now_s)
{
    uint64_t mac = mac_at(frame + IREKO_MAC_BYTES);
    if (mac == 0 || (frame[IREKO_MAC_BYTES] & 1) != 0)
        return; /* nobody's, or a group's */
    unsigned at = find(fdb, mac);
    if (fdb->slots[at].mac != 0 && fdb->slots[at].port != port) {
        forget(fdb, at); /* it moved */
        at = find(fdb, mac);
    }
    if (fdb->slots[at].mac == 0) {
        /* Out of most frames' way: only where a new address comes is there anything to look for. */
        if (!has_room(fdb, port, now_s))
            return;
        at = find(fdb, mac);
        fdb->slots[at] = (Entry){.mac = mac, .port = (uint16_t)port};
        fdb->by_port[port]++;
        fdb->count++;
    }
    fdb->slots[at].seen_s = now_s;
    uint32_t address = address_in(frame, len);
    if (address != 0)
        fdb->slots[at].address = address;
}

int
ireko_fdb_pass(IrekoFdb *fdb, unsigned port, const uint8_t *frame, size_t len, uint32_t now_s)
{
    if (len < IREKO_FRAME_HEADER || len > IREKO_FRAME_MAX || port >= IREKO_SWITCH_PORTS)
        return IREKO_FDB_DROP;
    learn(fdb, port, frame, len, now_s);
    if ((frame[0] & 1) != 0)
        return IREKO_FDB_ALL;
    const Entry *entry = &fdb->slots[find(fdb, mac_at(frame))];
    if (entry->mac == 0 || is_old(entry, now_s))
        return IREKO_FDB_ALL;
    return entry->port == port ? (int)IREKO_FDB_DROP : (int)entry->port;
}

void
ireko_fdb_unplug(IrekoFdb *fdb, unsigned port)
{
    for (unsigned at = 0; at < SLOTS && fdb->by_port[port] > 0; at++) {
        while (fdb->slots[at].mac != 0 && fdb->slots[at].port == port)
            forget(fdb, at);
    }
}

void
ireko_fdb_each(const IrekoFdb *fdb,
               uint32_t now_s,
               void (*func)(void *data, const char *mac, unsigned port, uint32_t address),
               void *data)
{
    for (unsigned at = 0; at < SLOTS; at++) {
        const Entry *entry = &fdb->slots[at];
        if (entry->mac == 0 || is_old(entry, now_s))
            continue;
        uint8_t mac[IREKO_MAC_BYTES];
        for (unsigned i = 0; i < IREKO_MAC_BYTES; i++)
            mac[i] = (uint8_t)(entry->mac >> (8 * (IREKO_MAC_BYTES - 1 - i)));
        char text[IREKO_MAC_TEXT];
        ireko_mac_print(mac, text);
        func(data, text, entry->port, entry->address);
    }
}
