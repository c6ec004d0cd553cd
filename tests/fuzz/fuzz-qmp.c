/* Whatever a peer says, QMP ends in answers or in IREKO_ERROR_REMOTE: never in a crash, a wait, or
 * another error. The input is all that the peer says before it hangs up. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/jsonl.h"
#include "qmp/qmp.h"

#define INPUT_MAX ((size_t)64 << 10) /* fits the socket's buffer */
#define ASKED_MAX 8

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
assert_remote(const GError *error)
{
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
}

static void
converse(int fd)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(fd, -1, IREKO_NO_DEADLINE, &error);
    for (int i = 0; i < ASKED_MAX && qmp != NULL; i++) {
        g_autoptr(json_t) answer =
            ireko_qmp_execute(qmp, "query-status", NULL, IREKO_NO_DEADLINE, &error);
        if (answer == NULL)
            assert_remote(error);
        g_clear_error(&error);
    }
    for (json_t *event = NULL; qmp != NULL && error == NULL; json_decref(event))
        event = ireko_qmp_next_event(qmp, IREKO_NO_DEADLINE, &error);
    assert_remote(error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    if (size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    g_assert_cmpint(send(fds[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL), ==, (ssize_t)size);
    (void)shutdown(fds[1], SHUT_WR);
    converse(fds[0]);
    (void)close(fds[1]);
    return 0;
}
