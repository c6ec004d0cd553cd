/* base/fd.c - descriptors, deadlines, unix sockets. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <ireko/error.h>

#define LISTEN_BACKLOG 8

void
ireko_fd_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

int
ireko_fd_steal(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

IrekoDeadline
ireko_deadline_in_ms(int64_t milliseconds)
{
    return g_get_monotonic_time() + milliseconds * 1000;
}

static int
poll_timeout_ms(IrekoDeadline deadline)
{
    if (deadline == IREKO_NO_DEADLINE)
        return -1;
    int64_t left_us = deadline - g_get_monotonic_time();
    return left_us <= 0 ? 0 : (int)MIN((left_us + 999) / 1000, G_MAXINT);
}

/* Like ireko_fd_wait, and stores what poll said of FD. */
static bool
wait_for(
    int fd, short events, IrekoDeadline deadline, int cancel_fd, short *ret_revents, GError **error)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = cancel_fd, .events = POLLIN}};
        int n = poll(fds, G_N_ELEMENTS(fds), poll_timeout_ms(deadline)); /* poll skips fd -1 */
        if (n < 0 && errno != EINTR) {
            ireko_error_from_errno(error, errno, "cannot wait for a descriptor");
            return false;
        }
        if (n > 0 && fds[1].revents != 0) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_CANCELLED, "interrupted");
            return false;
        }
        if (n > 0 && fds[0].revents != 0) {
            *ret_revents = fds[0].revents;
            return true;
        }
        if (n == 0 && g_get_monotonic_time() >= deadline) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT, "no answer in time");
            return false;
        }
    }
}

/* A socket whose other end is gone is an error like any other, not SIGPIPE. */
static ssize_t
write_some(int fd, const void *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    return n < 0 && errno == ENOTSOCK ? write(fd, data, len) : n;
}

bool
ireko_fd_wait(int fd, short events, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    short revents = 0;
    return wait_for(fd, events, deadline, cancel_fd, &revents, error);
}

/* A virtio port whose other side has gone says EAGAIN for ever: only poll tells. */
static bool
wait_writable(int fd, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    short revents = 0;
    if (!wait_for(fd, POLLOUT, deadline, cancel_fd, &revents, error))
        return false;
    if ((revents & POLLOUT) == 0) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "the other side hung up");
        return false;
    }
    return true;
}

bool
ireko_fd_write_all(
    int fd, const void *data, size_t len, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write_some(fd, at, len);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_writable(fd, deadline, cancel_fd, error))
                return false;
        } else if (n < 0 && errno != EINTR) {
            ireko_error_from_errno(error, errno, "cannot write");
            return false;
        }
    }
    return true;
}

/* A unix address may have 107 bytes; through /proc/self/fd it is short wherever the folder is. */
static bool
address_at(int dir_fd, const char *name, struct sockaddr_un *ret_address, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n =
        g_snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "socket name '%s' is too long",
                    name);
        return false;
    }
    *ret_address = address;
    return true;
}

static int
listen_at(int dir_fd, const char *name, int type, GError **error)
{
    struct sockaddr_un address;
    if (!address_at(dir_fd, name, &address, error))
        return -1;

    IREKO_AUTOFD fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    (void)unlinkat(dir_fd, name, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0) {
        ireko_error_from_errno(error, errno, "cannot make the socket '%s'", name);
        return -1;
    }
    return ireko_fd_steal(&fd);
}

int
ireko_fd_listen_at(int dir_fd, const char *name, GError **error)
{
    return listen_at(dir_fd, name, SOCK_STREAM, error);
}

int
ireko_fd_listen_packets_at(int dir_fd, const char *name, GError **error)
{
    return listen_at(dir_fd, name, SOCK_SEQPACKET, error);
}

static int
connect_at(int dir_fd, const char *name, int type, GError **error)
{
    struct sockaddr_un address;
    if (!address_at(dir_fd, name, &address, error))
        return -1;

    IREKO_AUTOFD fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return ireko_fd_steal(&fd);

    if (errno == ECONNREFUSED || errno == EAGAIN)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE, "nobody listens at the socket '%s': %s",
                    name, g_strerror(errno));
    else
        ireko_error_from_errno(error, errno, "cannot connect to the socket '%s'", name);
    return -1;
}

int
ireko_fd_connect_at(int dir_fd, const char *name, GError **error)
{
    return connect_at(dir_fd, name, SOCK_STREAM, error);
}

int
ireko_fd_connect_packets_at(int dir_fd, const char *name, GError **error)
{
    return connect_at(dir_fd, name, SOCK_SEQPACKET, error);
}

bool
ireko_fd_pass(int fd, int passed, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    char byte = '\n';
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof passed);
    for (;;) {
        if (!ireko_fd_wait(fd, POLLOUT, deadline, cancel_fd, error))
            return false;
        if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
            return true;
        if (errno != EINTR && errno != EAGAIN) {
            ireko_error_from_errno(error, errno, "cannot pass a descriptor on");
            return false;
        }
    }
}
