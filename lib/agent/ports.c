/* agent/ports.c - the virtio-serial ports of this machine, each served on a thread.
 *
 * A port whose other end is not open says POLLHUP at once and for ever, so poll(2) cannot wait for
 * the host: an edge-triggered epoll can, since the driver wakes its waiters when the other end
 * opens. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/talk.h"
#include "base/file.h"

#define PORTS_FOLDER    "/sys/class/virtio-ports"
#define PORT_NAME_MAX   ((size_t)128)
#define PORT_RETRY_USEC (100 * G_TIME_SPAN_MILLISECOND) /* should a wake-up ever be lost */

typedef struct {
    int fd;
    const IrekoAgentHandlers *handlers;
} Port;

static bool
is_connected(int fd)
{
    struct pollfd port = {.fd = fd, .events = POLLIN};
    return poll(&port, 1, 0) >= 0 && (port.revents & POLLHUP) == 0;
}

static void *
serve_port(void *data)
{
    g_autofree Port *port = data;
    IREKO_AUTOFD edge = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    (void)epoll_ctl(edge, EPOLL_CTL_ADD, port->fd, &event);
    for (;;) {
        if (is_connected(port->fd))
            ireko_agent_serve_talk(port->fd, port->handlers);
        else if (epoll_wait(edge, &event, 1, -1) < 0 && errno != EINTR)
            g_usleep(PORT_RETRY_USEC);
    }
    return NULL;
}

/* Opens the port ENTRY of the class folder where its name begins with PREFIX; else -1. */
static int
open_port(const char *entry, const char *prefix)
{
    g_autofree char *name_file = g_build_filename(PORTS_FOLDER, entry, "name", NULL);
    g_autofree char *name = ireko_file_read(AT_FDCWD, name_file, PORT_NAME_MAX, NULL, NULL);
    if (name == NULL || !g_str_has_prefix(name, prefix))
        return -1;
    g_autofree char *node = g_build_filename("/dev", entry, NULL);
    return open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

bool
ireko_agent_serve_ports(const char *prefix, const IrekoAgentHandlers *handlers, GError **error)
{
    g_autoptr(GDir) folder = g_dir_open(PORTS_FOLDER, 0, NULL);
    g_autoptr(GPtrArray) served = g_ptr_array_new();
    for (const char *entry; folder != NULL && (entry = g_dir_read_name(folder)) != NULL;) {
        int fd = open_port(entry, prefix);
        if (fd < 0)
            continue;
        Port *port = g_new(Port, 1);
        *port = (Port){.fd = fd, .handlers = handlers};
        g_ptr_array_add(served, g_thread_new(entry, serve_port, port));
    }
    if (served->len == 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "this machine has no virtio-serial port '%s': the agent runs only inside a "
                    "machine that ireko started",
                    prefix);
        return false;
    }
    for (unsigned i = 0; i < served->len; i++)
        (void)g_thread_join(served->pdata[i]);
    return true;
}
