/* The machine of the fake engine: a process with QEMU's sockets and no guest in it. Says on its
 * control socket that it is ready, echoes on its console, hears its agent channels and says
 * nothing. Ends on SIGTERM as QEMU does, and on SIGUSR1, its power button. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/process.h"

#define LISTENERS (IREKO_PROCESS_FD_DIR - IREKO_PROCESS_FD_CONTROL)
#define PEERS_MAX 32
#define CHUNK     4096

typedef struct {
    int fd;
    bool echoes;
} Peer;

static Peer peers[PEERS_MAX];
static size_t n_peers;

static void
say(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static void
let_in(int listener)
{
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return;
    if (n_peers == PEERS_MAX) {
        (void)close(fd);
        return;
    }
    if (listener == IREKO_PROCESS_FD_CONTROL)
        say(fd, "ready\n", 6);
    peers[n_peers++] = (Peer){.fd = fd, .echoes = listener == IREKO_PROCESS_FD_CONSOLE};
}

/* Whether PEER is still there. */
static bool
hear(const Peer *peer)
{
    char bytes[CHUNK];
    ssize_t n = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0 && peer->echoes)
        say(peer->fd, bytes, (size_t)n);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void
serve_once(void)
{
    struct pollfd fds[LISTENERS + PEERS_MAX];
    size_t n = n_peers;
    for (size_t i = 0; i < LISTENERS; i++)
        fds[i] = (struct pollfd){.fd = IREKO_PROCESS_FD_CONTROL + (int)i, .events = POLLIN};
    for (size_t i = 0; i < n; i++)
        fds[LISTENERS + i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
    if (poll(fds, LISTENERS + n, -1) < 0)
        return;

    for (size_t i = n; i-- > 0;) {
        if (fds[LISTENERS + i].revents == 0 || hear(&peers[i]))
            continue;
        (void)close(peers[i].fd);
        peers[i] = peers[--n_peers];
    }
    for (size_t i = 0; i < LISTENERS; i++) {
        if (fds[i].revents != 0)
            let_in(fds[i].fd);
    }
}

int
main(void)
{
    (void)fputs("fake guest\n", stderr);
    for (;;)
        serve_once(); /* SIGTERM and SIGUSR1 end it by themselves */
}
