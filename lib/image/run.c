/* image/run.c - running one program: its output line by line, its last words kept for the message,
 * ended when the user cancels or when this process dies. */
#include "image/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/fd.h"
#include "base/text.h"

#define READ_STEP    4096
#define WORDS_KEPT   2000               /* last bytes of stderr that a message may carry */
#define LINE_MAX_LEN ((size_t)64 << 10) /* a longer line is given in pieces */

typedef struct {
    GPid pid;
    int out, err;
    GString *pending; /* output without its newline yet */
    GString *words;
} Child;

static void
die_with_parent(gpointer data)
{
    (void)data;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static bool
child_start(Child *child, const ImageCommand *command, GError **error)
{
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "LC_ALL", "C.UTF-8", TRUE);
    g_autoptr(GError) cause = NULL;
    bool own_output = command->stdout_fd < 0;
    if (g_spawn_async_with_pipes_and_fds(command->folder, command->argv, (const char *const *)env,
                                         G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                         die_with_parent, NULL, command->stdin_fd,
                                         command->stdout_fd, -1, NULL, NULL, 0, &child->pid, NULL,
                                         own_output ? &child->out : NULL, &child->err, &cause))
        return true;

    if (g_error_matches(cause, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "the program '%s' is missing: install the package '%s'", command->argv[0],
                    command->package);
    else
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_IO, "cannot start '%s': %s", command->argv[0],
                    cause->message);
    return false;
}

static void
give_lines(Child *child, const ImageCommand *command, bool at_end)
{
    char *end = NULL;
    while ((end = memchr(child->pending->str, '\n', child->pending->len)) != NULL ||
           child->pending->len > LINE_MAX_LEN || (at_end && child->pending->len > 0)) {
        size_t len = end != NULL ? (size_t)(end - child->pending->str) : child->pending->len;
        g_autofree char *line = g_strndup(child->pending->str, len);
        g_string_erase(child->pending, 0, (gssize)(len + (end != NULL)));
        if (command->line != NULL)
            command->line(command->data, line);
    }
}

/* Reads what FD has into TO; closes it at its end. */
static void
drain(int *fd, GString *to)
{
    char step[READ_STEP];
    ssize_t n = read(*fd, step, sizeof step);
    if (n > 0)
        g_string_append_len(to, step, n);
    else if (n == 0 || errno != EINTR)
        ireko_fd_close(fd);
}

/* Until the program has closed both its outputs. */
static bool
listen_to(Child *child, const ImageCommand *command, GError **error)
{
    while (child->out >= 0 || child->err >= 0) {
        struct pollfd fds[] = {{.fd = child->out, .events = POLLIN},
                               {.fd = child->err, .events = POLLIN},
                               {.fd = command->cancel_fd, .events = POLLIN}};
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR) {
            ireko_error_from_errno(error, errno, "cannot wait for '%s'", command->argv[0]);
            return false;
        }
        if (fds[2].revents != 0) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_CANCELLED, "interrupted");
            return false;
        }
        if (fds[0].revents != 0) {
            drain(&child->out, child->pending);
            give_lines(child, command, false);
        }
        if (fds[1].revents != 0) {
            drain(&child->err, child->words);
            if (child->words->len > WORDS_KEPT)
                g_string_erase(child->words, 0, (gssize)(child->words->len - WORDS_KEPT));
        }
    }
    give_lines(child, command, true);
    return true;
}

static bool
child_end(Child *child, const ImageCommand *command, bool heard, GError **error)
{
    int status = 0;
    if (!heard)
        (void)kill(child->pid, SIGTERM);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!heard || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return heard;

    g_autofree char *words = ireko_text_safe(g_strstrip(child->words->str), (size_t)-1);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_IO, "'%s' failed (%s %d)%s%s", command->argv[0],
                WIFEXITED(status) ? "exit code" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                *words != '\0' ? ": " : "", words);
    return false;
}

bool
image_run(const ImageCommand *command, GError **error)
{
    g_autoptr(GString) pending = g_string_new(NULL);
    g_autoptr(GString) words = g_string_new(NULL);
    Child child = {.out = -1, .err = -1, .pending = pending, .words = words};
    if (!child_start(&child, command, error))
        return false;

    bool heard = listen_to(&child, command, error);
    ireko_fd_close(&child.out);
    ireko_fd_close(&child.err);
    return child_end(&child, command, heard, error);
}
