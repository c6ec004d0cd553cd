/* The network of a fake guest: a hub of real sockets.
 *
 * What comes in by a card goes to the guests that lead on by it and the other way round, and each
 * passing is noted as an agent notes what passes its interfaces. Faults eat frames on their way
 * between a guest and a card. */
#include "fake-net.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/process.h"
#include "lan/probe.h"

#define PORTS_MAX 64
#define LOOK_MS   5
#define FRAME_MAX 2048
#define LOCAL_BIT 0x02 /* of the first byte of an address: no card's own */

typedef struct {
    int fd;
    char *name; /* of the guest; NULL: a card of its own */
    unsigned index,
        uplink; /* of the guest's card; of the own card that it leads on by, or (unsigned)-1 */
    bool dead;
} Port;

static struct {
    GMutex lock;
    Port ports[PORTS_MAX];
    unsigned count;
    const char *fault;
    IrekoExchange *exchange;
} net;

static bool
has_fault(const char *fault)
{
    return strcmp(net.fault, fault) == 0;
}

static void
note(const char *label, bool out, const uint8_t *frame, size_t len)
{
    if (net.exchange != NULL)
        ireko_exchange_note(net.exchange, label, out, frame, len);
}

static void
note_port(const Port *port, bool out, const uint8_t *frame, size_t len)
{
    g_autofree char *label = port->name != NULL
                                 ? g_strdup_printf("%s ethernet%u", port->name, port->index)
                                 : g_strdup_printf("ethernet%u", port->index);
    note(label, out, frame, len);
}

static void
note_bridge(unsigned uplink, bool out, const uint8_t *frame, size_t len)
{
    g_autofree char *label = g_strdup_printf("bridge %u", uplink);
    note(label, out, frame, len);
}

/* Whether the hub eats a frame. */
static bool
is_eaten(const uint8_t *frame, size_t len)
{
    return (has_fault("eats-foreign-mac") && (frame[6] & LOCAL_BIT) != 0) ||
           (has_fault("eats-long") && len > 1000) ||
           (has_fault("eats-broadcast") && frame[0] == 0xff) || has_fault("eats-all");
}

/* To every port of the same bridge but FROM (NULL: from the machine itself). */
static void
pass_on(const Port *from, unsigned uplink, const uint8_t *frame, size_t len)
{
    for (unsigned i = 0; i < net.count; i++) {
        Port *port = &net.ports[i];
        if (port == from || port->uplink != uplink || (from != NULL && is_eaten(frame, len)))
            continue;
        note_port(port, true, frame, len);
        (void)send(port->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void
take_frame(Port *port)
{
    uint8_t frame[FRAME_MAX];
    ssize_t len = recv(port->fd, frame, sizeof frame, MSG_DONTWAIT);
    if (len == 0)
        port->dead = true;
    if (len < 14)
        return;
    note_port(port, false, frame, (size_t)len);
    note_bridge(port->uplink, false, frame, (size_t)len);
    pass_on(port, port->uplink, frame, (size_t)len);
}

static void *
run_hub(void *data)
{
    (void)data;
    for (;;) {
        struct pollfd fds[PORTS_MAX];
        g_mutex_lock(&net.lock);
        unsigned count = net.count;
        for (unsigned i = 0; i < count; i++)
            fds[i] =
                (struct pollfd){.fd = net.ports[i].dead ? -1 : net.ports[i].fd, .events = POLLIN};
        g_mutex_unlock(&net.lock);
        if (poll(fds, count, LOOK_MS) <= 0)
            continue;
        g_mutex_lock(&net.lock);
        for (unsigned i = 0; i < count; i++) {
            if (fds[i].revents != 0)
                take_frame(&net.ports[i]);
        }
        g_mutex_unlock(&net.lock);
    }
    return NULL;
}

static void
start_hub(void)
{
    static gsize once = 0;
    if (!g_once_init_enter(&once))
        return;
    g_thread_unref(g_thread_new("hub", run_hub, NULL));
    g_once_init_leave(&once, 1);
}

void
fake_net_start(const char *fault)
{
    net.fault = fault;
    for (unsigned i = 0; i < IREKO_PROCESS_LINKS; i++) {
        int fd = IREKO_PROCESS_FD_LINK + (int)i;
        if (fcntl(fd, F_GETFD) >= 0)
            net.ports[net.count++] = (Port){.fd = fd, .index = i, .uplink = i};
    }
    if (net.count > 0)
        start_hub();
}

void
fake_net_relinked(unsigned index)
{
    g_mutex_lock(&net.lock);
    for (unsigned i = 0; i < net.count; i++) {
        if (net.ports[i].name == NULL && net.ports[i].index == index)
            net.ports[i].dead = false;
    }
    g_mutex_unlock(&net.lock);
}

/* ---- as an agent has it ---- */

static int
link_guest(const IrekoLayer *layer, const IrekoNode *node, const IrekoCard *card, GError **error)
{
    (void)layer, (void)error;
    int ends[2];
    g_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    g_mutex_lock(&net.lock);
    unsigned at = 0;
    while (at < net.count && (net.ports[at].name == NULL || !net.ports[at].dead ||
                              strcmp(net.ports[at].name, node->name) != 0))
        at++; /* one that was this guest's before it was started anew is used again */
    g_assert(at < PORTS_MAX);
    if (at == net.count)
        net.count++;
    else
        (void)close(net.ports[at].fd);
    net.ports[at] = (Port){.fd = ends[0],
                           .name = g_strdup(node->name),
                           .index = card->index,
                           .uplink = (unsigned)card->uplink};
    g_mutex_unlock(&net.lock);
    start_hub();
    return ends[1];
}

/* Its cards have what they were given, as far as anybody can tell. */
static GArray *
have_cards(const GPtrArray *cards, const GArray *uplinks, bool set, GError **error)
{
    (void)uplinks, (void)set, (void)error;
    GArray *found = g_array_new(FALSE, FALSE, sizeof(IrekoInterface));
    for (unsigned i = 0; i < cards->len; i++) {
        const IrekoCard *card = cards->pdata[i];
        IrekoInterface one = {.card = card->index,
                              .name = "fake",
                              .address = card->address,
                              .prefix = card->prefix};
        (void)g_strlcpy(one.mac, card->mac, sizeof one.mac);
        if (!has_fault("no-driver"))
            g_array_append_val(found, one);
    }
    return found;
}

static void *
listen_all(IrekoExchange *exchange, GError **error)
{
    (void)error;
    g_mutex_lock(&net.lock);
    net.exchange = exchange;
    g_mutex_unlock(&net.lock);
    return &net;
}

static void
end(void *listening)
{
    (void)listening;
    g_mutex_lock(&net.lock);
    net.exchange = NULL;
    g_mutex_unlock(&net.lock);
}

static bool
send_one(void *listening, unsigned index, const uint8_t *frame, size_t len, GError **error)
{
    (void)listening, (void)error;
    g_mutex_lock(&net.lock);
    note_bridge(index, true, frame, len);
    pass_on(NULL, index, frame, len);
    g_mutex_unlock(&net.lock);
    return true;
}

static const IrekoWire wire = {.listen = listen_all, .end = end, .send = send_one};

const IrekoServerNet fake_net = {.link = link_guest, .cards = have_cards, .wire = &wire};
