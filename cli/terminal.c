/* cli/terminal.c - the terminal, and Ctrl-C. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

#define DEFAULT_COLUMNS 80
#define DEFAULT_ROWS    24
#define LEAVE_KEY       0x1d /* Ctrl-] */

bool
cli_is_terminal(int fd)
{
    return isatty(fd) == 1 && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

static struct winsize
window(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        (void)ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    return size;
}

unsigned
cli_columns(void)
{
    unsigned columns = window().ws_col;
    return columns > 0 ? columns : DEFAULT_COLUMNS;
}

unsigned
cli_rows(void)
{
    unsigned rows = window().ws_row;
    return rows > 0 ? rows : DEFAULT_ROWS;
}

static int cancel_fd = -1;

static void
on_signal(int number)
{
    (void)number;
    int saved = errno;
    (void)eventfd_write(cancel_fd, 1);
    errno = saved;
}

int
cli_cancel_fd(void)
{
    if (cancel_fd >= 0)
        return cancel_fd;
    cancel_fd = eventfd(0, EFD_CLOEXEC);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
    return cancel_fd;
}

char *
cli_program(void)
{
    return g_file_read_link("/proc/self/exe", NULL);
}

/* Moves what can be read from FROM to TO; false at the end, and where the user leaves. */
static bool
carry(int from, int to, bool typed, bool *ret_left)
{
    char bytes[4096];
    ssize_t n = read(from, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    const char *key = typed ? memchr(bytes, LEAVE_KEY, (size_t)n) : NULL;
    size_t len = key != NULL ? (size_t)(key - bytes) : (size_t)n;
    for (size_t at = 0; at < len;) {
        ssize_t written = write(to, bytes + at, len - at);
        if (written < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = to, .events = POLLOUT};
            (void)poll(&room, 1, -1);
        } else if (written < 0 && errno != EINTR) {
            return false;
        }
        at += written > 0 ? (size_t)written : 0;
    }
    *ret_left = key != NULL;
    return key == NULL;
}

bool
cli_attach_terminal(int fd, int cancel)
{
    struct termios before;
    bool raw = tcgetattr(STDIN_FILENO, &before) == 0;
    if (raw) {
        struct termios now = before;
        cfmakeraw(&now);
        now.c_oflag |= OPOST; /* our own messages keep their line ends */
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &now);
    }
    bool left = false, more = true;
    int input = STDIN_FILENO;
    while (more) {
        struct pollfd fds[] = {
            {.fd = input, .events = POLLIN},
            {.fd = fd, .events = POLLIN},
            {.fd = cancel, .events = POLLIN},
        };
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
            break;
        if (fds[2].revents != 0) {
            left = true;
            break;
        }
        if (fds[1].revents != 0)
            more = carry(fd, STDOUT_FILENO, false, &left);
        /* The end of a piped input is not the end of the console. */
        if (more && fds[0].revents != 0 && !carry(input, fd, true, &left)) {
            more = !left;
            input = -1;
        }
    }
    if (raw)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    return left;
}
