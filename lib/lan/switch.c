/* lan/switch.c - the process of the lab's switch: ports, frames between them, and what it knows.
 *
 * One thread carries frames; nothing waits for a port that does not read: its frames are dropped
 * and counted, as a switch does whose queue is full. A port that hangs up is gone, with all that
 * was learnt of it. */
#include "lan/switch.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define BATCH        32 /* frames taken from a port before the others' turn */
#define EVENTS       64
#define BUFFER_BYTES (1 << 20) /* of a port, where the kernel allows it */
#define STATUS_MS    2000      /* for a reader of the status to take it */
#define PORTS_MARK   (UINT32_MAX - 1)
#define STATUS_MARK  UINT32_MAX

typedef struct {
    int fd;      /* -1: free */
    char *label; /* NULL: it has not said who it is */
    uint64_t received, sent, dropped;
} Port;

typedef struct {
    Port ports[IREKO_SWITCH_PORTS];
    unsigned end; /* no port is in use from here on */
    IrekoFdb *fdb;
    int epoll_fd;
    uint32_t now_s;
} Switch;

static uint32_t
now_s(void)
{
    return (uint32_t)(g_get_monotonic_time() / G_USEC_PER_SEC);
}

/* ---- ports ---- */

static void
unplug(Switch *self, unsigned number)
{
    Port *port = &self->ports[number];
    ireko_fd_close(&port->fd); /* the epoll set forgets it */
    g_clear_pointer(&port->label, g_free);
    ireko_fdb_unplug(self->fdb, number);
    while (self->end > 0 && self->ports[self->end - 1].fd < 0)
        self->end--;
}

static bool
watch(const Switch *self, int fd, uint32_t mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = mark};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void
plug_in(Switch *self, int ports_fd)
{
    IREKO_AUTOFD fd = accept4(ports_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    unsigned number = 0;
    while (number < self->end && self->ports[number].fd >= 0)
        number++;
    if (fd < 0 || number == IREKO_SWITCH_PORTS || !watch(self, fd, number))
        return;
    int bytes = BUFFER_BYTES;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    self->ports[number] = (Port){.fd = ireko_fd_steal(&fd)};
    self->end = MAX(self->end, number + 1);
}

static void
send_to(Switch *self, unsigned number, const uint8_t *frame, size_t len)
{
    Port *port = &self->ports[number];
    if (port->fd < 0 || port->label == NULL)
        return;
    if (send(port->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
        port->sent++;
    else
        port->dropped++; /* its queue is full, or it hangs up: then its own event says so */
}

static void
carry(Switch *self, unsigned from, const uint8_t *frame, size_t len)
{
    self->ports[from].received++;
    int way = ireko_fdb_pass(self->fdb, from, frame, len, self->now_s);
    if (way >= 0) {
        send_to(self, (unsigned)way, frame, len);
    } else if (way == IREKO_FDB_ALL) {
        for (unsigned i = 0; i < self->end; i++) {
            if (i != from)
                send_to(self, i, frame, len);
        }
    } else {
        self->ports[from].dropped++;
    }
}

static void
take_label(Port *port, const uint8_t *text, size_t len)
{
    port->label = ireko_text_safe((const char *)text, MIN(len, IREKO_SWITCH_LABEL));
    (void)send(port->fd, IREKO_SWITCH_ANSWER, strlen(IREKO_SWITCH_ANSWER),
               MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
take_frames(Switch *self, unsigned number)
{
    uint8_t frame[IREKO_FRAME_MAX + 1]; /* one that fills it was longer, and is dropped */
    Port *port = &self->ports[number];
    for (unsigned i = 0; i < BATCH; i++) {
        ssize_t len = recv(port->fd, frame, sizeof frame, MSG_DONTWAIT);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len <= 0) {
            unplug(self, number);
            return;
        }
        if (port->label == NULL)
            take_label(port, frame, (size_t)len);
        else
            carry(self, number, frame, (size_t)len);
    }
}

/* ---- status ---- */

typedef struct {
    const Switch *self;
    json_t *list;
} Seen;

static void
add_seen(void *data, const char *mac, unsigned port, uint32_t address)
{
    const Seen *seen = data;
    g_autofree char *text = address != 0 ? ireko_address_print(address) : NULL;
    json_array_append_new(seen->list, json_pack("{s:s,s:s?,s:s?}", "mac", mac, "label",
                                                seen->self->ports[port].label, "address", text));
}

static json_t *
status_of(const Switch *self)
{
    json_t *ports = json_array();
    for (unsigned i = 0; i < self->end; i++) {
        const Port *port = &self->ports[i];
        if (port->fd >= 0 && port->label != NULL)
            json_array_append_new(ports, json_pack("{s:s,s:I,s:I,s:I}", "label", port->label,
                                                   "received", (json_int_t)port->received, "sent",
                                                   (json_int_t)port->sent, "dropped",
                                                   (json_int_t)port->dropped));
    }
    Seen seen = {.self = self, .list = json_array()};
    ireko_fdb_each(self->fdb, self->now_s, add_seen, &seen);
    return json_pack("{s:o,s:o}", "ports", ports, "seen", seen.list);
}

typedef struct {
    int fd;
    char *text;
} Answer;

/* On a thread of its own: whoever asks may be slow to read. */
static void *
give_answer(void *data)
{
    Answer *answer = data;
    (void)ireko_fd_write_all(answer->fd, answer->text, strlen(answer->text),
                             ireko_deadline_in_ms(STATUS_MS), -1, NULL);
    ireko_fd_close(&answer->fd);
    g_free(answer->text);
    g_free(answer);
    return NULL;
}

static void
answer_status(const Switch *self, int status_fd)
{
    int fd = accept4(status_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    json_t *status = status_of(self);
    Answer *answer = g_new0(Answer, 1);
    answer->fd = fd;
    char *line = json_dumps(status, JSON_COMPACT);
    answer->text = g_strconcat(line, "\n", NULL);
    free(line);
    json_decref(status);
    g_thread_unref(g_thread_new("status", give_answer, answer));
}

/* ---- the process ---- */

/* Root has no business here: nothing is opened any more. */
static bool
drop_root(GError **error)
{
    if (geteuid() != 0)
        return true;
    const struct passwd *nobody = getpwnam("nobody");
    if (nobody != NULL && setgroups(0, NULL) == 0 && setgid(nobody->pw_gid) == 0 &&
        setuid(nobody->pw_uid) == 0)
        return true;
    ireko_error_from_errno(error, errno, "the switch cannot become 'nobody'");
    return false;
}

static void
raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void
ireko_switch_serve(int ports_fd, int status_fd, GError **error)
{
    g_autofree Switch *self = g_new0(Switch, 1);
    for (unsigned i = 0; i < IREKO_SWITCH_PORTS; i++)
        self->ports[i].fd = -1;
    self->fdb = ireko_fdb_new();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    raise_limit();
    if (!drop_root(error))
        return;
    if (!watch(self, ports_fd, PORTS_MARK) || !watch(self, status_fd, STATUS_MARK)) {
        ireko_error_from_errno(error, errno, "the switch was started without its sockets");
        return;
    }
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(self->epoll_fd, events, EVENTS, -1);
        self->now_s = now_s();
        for (int i = 0; i < count; i++) {
            uint32_t mark = events[i].data.u32;
            if (mark == PORTS_MARK)
                plug_in(self, ports_fd);
            else if (mark == STATUS_MARK)
                answer_status(self, status_fd);
            else if (self->ports[mark].fd >= 0)
                take_frames(self, mark);
        }
    }
}
