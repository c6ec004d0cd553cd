/* lab/network/packets.c - frames on this layer's interfaces.
 *
 * One socket sees what passes each of them, both ways: only one for every protocol is shown frames
 * on their way out, and those that a bridge takes. So a filter in the kernel leaves out what is
 * none of ours before it costs anything. */
#include "lab/network/packets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab/network/interfaces.h"

#define BUFFER_BYTES (8 << 20)
#define FRAME_ROOM   2048

typedef struct {
    IrekoExchange *exchange;
    int fd, send_fd; /* a socket is not shown what it sent itself: so there are two */
    int end_fd;
    GThread *thread;
    GHashTable *labels; /* number of an interface -> what it is called; of the thread */
} Listening;

/* ldh [12]; jeq #0x88b5, 0, 1; ret #-1; ret #0 (filter.rst of the kernel) */
static bool
set_filter(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IREKO_PROBE_TYPE, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = G_N_ELEMENTS(code), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static const char *
label_of(Listening *listening, int interface)
{
    char name[IF_NAMESIZE] = "";
    const char *known = g_hash_table_lookup(listening->labels, GINT_TO_POINTER(interface));
    if (known != NULL)
        return known;
    char *label =
        ireko_interfaces_label(if_indextoname((unsigned)interface, name) != NULL ? name : "gone");
    g_hash_table_insert(listening->labels, GINT_TO_POINTER(interface), label);
    return label;
}

static void *
run_listening(void *data)
{
    Listening *listening = data;
    for (;;) {
        struct pollfd fds[] = {{.fd = listening->fd, .events = POLLIN},
                               {.fd = listening->end_fd, .events = POLLIN}};
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents != 0)
            return NULL;
        uint8_t frame[FRAME_ROOM];
        struct sockaddr_ll from = {0};
        socklen_t from_len = sizeof from;
        ssize_t len = recvfrom(listening->fd, frame, sizeof frame, MSG_DONTWAIT,
                               (struct sockaddr *)&from, &from_len);
        if (len > 0)
            ireko_exchange_note(listening->exchange, label_of(listening, from.sll_ifindex),
                                from.sll_pkttype == PACKET_OUTGOING, frame, (size_t)len);
    }
}

static void
end(void *data)
{
    Listening *listening = data;
    uint64_t one = 1;
    if (listening->thread != NULL) {
        (void)!write(listening->end_fd, &one, sizeof one);
        (void)g_thread_join(listening->thread);
    }
    ireko_fd_close(&listening->fd);
    ireko_fd_close(&listening->send_fd);
    ireko_fd_close(&listening->end_fd);
    g_hash_table_unref(listening->labels);
    g_free(listening);
}

static void *
listen_all(IrekoExchange *exchange, GError **error)
{
    Listening *listening = g_new0(Listening, 1);
    listening->exchange = exchange;
    listening->labels = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    listening->end_fd = eventfd(0, EFD_CLOEXEC);
    listening->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    listening->send_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* receives nothing */
    if (listening->fd < 0 || listening->send_fd < 0 || listening->end_fd < 0 ||
        !set_filter(listening->fd)) {
        ireko_error_from_errno(error, errno, "cannot listen for frames");
        end(listening);
        return NULL;
    }
    int bytes = BUFFER_BYTES;
    (void)setsockopt(listening->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    listening->thread = g_thread_new("frames", run_listening, listening);
    return listening;
}

static bool
send_one(void *data, unsigned index, const uint8_t *frame, size_t len, GError **error)
{
    const Listening *listening = data;
    char name[IF_NAMESIZE];
    if (!ireko_interfaces_top(index, name, error))
        return false;
    const struct sockaddr_ll to = {.sll_family = AF_PACKET,
                                   .sll_protocol = htons(IREKO_PROBE_TYPE),
                                   .sll_ifindex = (int)if_nametoindex(name),
                                   .sll_halen = ETH_ALEN};
    if (sendto(listening->send_fd, frame, len, 0, (const struct sockaddr *)&to, sizeof to) ==
        (ssize_t)len)
        return true;
    ireko_error_from_errno(error, errno, "cannot send a frame by '%s'", name);
    return false;
}

const IrekoWire ireko_wire_packets = {.listen = listen_all, .end = end, .send = send_one};
