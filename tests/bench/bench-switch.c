/* bench-switch vde|ireko FOLDER BYTES IDLE - how many frames a second of BYTES a switch carries
 * from one port to another, beside IDLE ports that do nothing.
 *
 * FOLDER is where the switch that is measured has its sockets: of vde_switch its control folder,
 * of ireko switch the one with "ports". Prints how many were sent and how many arrived. */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECONDS   2
#define BURST     64
#define FRAME_MAX 2048
#define SETTLE_US 100000

/* vde_switch's request for a port (vde2, src/vde_switch/datasock.c, version 3). */
struct vde_request {
    uint32_t magic, version, type;
    struct sockaddr_un own;
    char description[128];
} __attribute__((packed));

static int receiver;
static volatile int over;
static long arrived;

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
give_up(const char *what)
{
    perror(what);
    exit(1);
}

static int
connect_to(const char *folder, const char *name, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, name);
    int fd = socket(AF_UNIX, type, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        give_up(address.sun_path);
    return fd;
}

/* The control connection stays open: its end is the port's. */
static int
plug_vde(const char *folder)
{
    static int count;
    struct vde_request request = {.magic = 0xfeedface, .version = 3};
    struct sockaddr_un theirs;
    int control = connect_to(folder, "ctl", SOCK_STREAM), fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    request.own.sun_family = AF_UNIX;
    (void)snprintf(request.own.sun_path, sizeof request.own.sun_path, "%s/bench.%d.%d", folder,
                   (int)getpid(), count++);
    struct sockaddr_un own = request.own;
    if (bind(fd, (const struct sockaddr *)&own, sizeof own) != 0 ||
        send(control, &request, sizeof request, 0) != (ssize_t)sizeof request ||
        recv(control, &theirs, sizeof theirs, 0) <= 0 ||
        connect(fd, (const struct sockaddr *)&theirs, sizeof theirs) != 0)
        give_up("vde_switch");
    (void)unlink(own.sun_path);
    return fd;
}

static int
plug_ireko(const char *folder)
{
    char answer[16];
    int fd = connect_to(folder, "ports", SOCK_SEQPACKET);
    if (send(fd, "bench", 5, 0) != 5 || recv(fd, answer, sizeof answer, 0) <= 0)
        give_up("ireko switch");
    return fd;
}

static void *
receive(void *unused)
{
    char frame[FRAME_MAX];
    (void)unused;
    while (over == 0) {
        struct pollfd wait = {.fd = receiver, .events = POLLIN};
        (void)poll(&wait, 1, 50);
        while (recv(receiver, frame, sizeof frame, MSG_DONTWAIT) > 0)
            arrived++;
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    int (*plug)(const char *folder) = strcmp(argv[1], "vde") == 0 ? plug_vde : plug_ireko;
    size_t bytes = (size_t)atoi(argv[3]);
    for (int i = 0; i < atoi(argv[4]); i++)
        (void)plug(argv[2]);
    int sender = plug(argv[2]);
    receiver = plug(argv[2]);
    uint8_t frame[FRAME_MAX] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
    uint8_t back[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
    if (bytes < sizeof back || bytes > sizeof frame)
        return 2;
    (void)usleep(SETTLE_US);
    (void)send(receiver, back, sizeof back, 0); /* the switch learns where it is */
    (void)usleep(SETTLE_US);
    pthread_t thread;
    (void)pthread_create(&thread, NULL, receive, NULL);
    double began = now();
    long sent = 0;
    while (now() - began < SECONDS) {
        for (int i = 0; i < BURST; i++)
            sent += send(sender, frame, bytes, 0) == (ssize_t)bytes;
    }
    double took = now() - began;
    (void)usleep(2 * SETTLE_US);
    over = 1;
    (void)pthread_join(thread, NULL);
    (void)printf("%.0f %.0f\n", (double)sent / took, (double)arrived / took);
    return 0;
}
