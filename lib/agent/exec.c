/* agent/exec.c - a command run for the host, its three streams carried as messages.
 *
 * While input waits for the command to take it, nothing more is read from the host: a command that
 * does not read holds the talk up, not the agent's memory. When the host hangs up, the command and
 * all that it started in its session are killed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/talk.h"

#define EXIT_NOT_FOUND 127 /* a shell's status for a command that is not there */

typedef struct {
    IrekoJsonl *channel;
    GPid pid;
    int in, out, err;    /* our ends; -1 where closed */
    GByteArray *waiting; /* input that the command has not taken yet */
    bool input_over;     /* the host has no more of it */
    bool host_gone;
} Exec;

static void
own_session(gpointer data)
{
    (void)data;
    (void)setsid();
    (void)signal(SIGPIPE, SIG_DFL); /* ireko ignores it; a command expects it */
}

/* ARGV as strings; NULL where it is not a list of them. */
static GStrv
words_of(const json_t *argv, GError **error)
{
    size_t n = json_array_size(argv);
    g_auto(GStrv) words = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        words[i] = g_strdup(json_string_value(json_array_get(argv, i)));
        if (words[i] == NULL || n > IREKO_AGENT_ARGV_MAX)
            n = 0;
    }
    if (n > 0)
        return g_steal_pointer(&words);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "'argv' must be 1 to %d strings",
                IREKO_AGENT_ARGV_MAX);
    return NULL;
}

static bool
begin(Exec *exec, char **words)
{
    if (!g_spawn_async_with_pipes("/", words, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                  own_session, NULL, &exec->pid, &exec->in, &exec->out, &exec->err,
                                  NULL))
        return false;
    (void)fcntl(exec->in, F_SETFL, O_NONBLOCK);
    return true;
}

/* Answers as a shell does where there is no such command. */
static bool
say_not_found(IrekoJsonl *channel, const char *command)
{
    g_autofree char *text = g_strconcat(command, ": cannot be run there: not found\n", NULL);
    g_autoptr(json_t) words = talk_bytes_message("err", text, strlen(text));
    g_autoptr(json_t) status = json_pack("{s:i}", "exit", EXIT_NOT_FOUND);
    IrekoDeadline deadline = ireko_deadline_in_ms(TALK_DEADLINE_MS);
    return ireko_jsonl_send(channel, words, deadline, NULL) &&
           ireko_jsonl_send(channel, status, deadline, NULL);
}

static void
send_output(Exec *exec, int *stream, const char *name)
{
    uint8_t data[IREKO_AGENT_CHUNK];
    ssize_t n = read(*stream, data, sizeof data);
    if (n <= 0) {
        ireko_fd_close(stream);
        return;
    }
    g_autoptr(json_t) message = talk_bytes_message(name, data, (size_t)n);
    if (!ireko_jsonl_send(exec->channel, message, ireko_deadline_in_ms(TALK_DEADLINE_MS), NULL))
        exec->host_gone = true;
}

/* Takes one message of the host: input, its end, or anything else, which ends the talk. */
static void
take_message(Exec *exec)
{
    /* A line that has begun to arrive comes whole: the host sends on while it waits for output. */
    g_autoptr(json_t) message =
        ireko_jsonl_receive(exec->channel, ireko_deadline_in_ms(TALK_DEADLINE_MS), NULL);
    size_t len = 0;
    g_autofree uint8_t *data = talk_bytes_of(message, "in", &len);
    if (data != NULL)
        g_byte_array_append(exec->waiting, data, (unsigned)len);
    else if (json_is_true(json_object_get(message, "eof")))
        exec->input_over = true;
    else
        exec->host_gone = true;
}

static void
feed_input(Exec *exec)
{
    ssize_t n =
        exec->waiting->len > 0 ? write(exec->in, exec->waiting->data, exec->waiting->len) : 0;
    if (n > 0)
        g_byte_array_remove_range(exec->waiting, 0, (unsigned)n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) { /* it wants no more: drop the rest */
        g_byte_array_set_size(exec->waiting, 0);
        exec->input_over = true;
    }
    if (exec->input_over && exec->waiting->len == 0)
        ireko_fd_close(&exec->in);
}

static void
step(Exec *exec)
{
    bool listen = exec->waiting->len == 0;
    struct pollfd fds[] = {
        {.fd = exec->out, .events = POLLIN},
        {.fd = exec->err, .events = POLLIN},
        {.fd = listen ? -1 : exec->in, .events = POLLOUT},
        {.fd = ireko_jsonl_fd(exec->channel), .events = listen ? POLLIN : 0},
    };
    bool pending = listen && ireko_jsonl_pending(exec->channel);
    (void)poll(fds, G_N_ELEMENTS(fds), pending ? 0 : -1);
    if (fds[0].revents != 0)
        send_output(exec, &exec->out, "out");
    if (fds[1].revents != 0)
        send_output(exec, &exec->err, "err");
    if (pending || (fds[3].revents & POLLIN) != 0)
        take_message(exec);
    else if ((fds[3].revents & (POLLHUP | POLLERR)) != 0)
        exec->host_gone = true;
    if (exec->in >= 0)
        feed_input(exec);
}

bool
talk_exec(IrekoJsonl *channel, const json_t *argv, GError **error)
{
    Exec exec = {.channel = channel, .in = -1, .out = -1, .err = -1};
    g_auto(GStrv) words = words_of(argv, error);
    if (words == NULL)
        return false;
    if (!begin(&exec, words))
        return say_not_found(channel, words[0]);

    exec.waiting = g_byte_array_new();
    while ((exec.out >= 0 || exec.err >= 0) && !exec.host_gone)
        step(&exec);
    if (exec.host_gone)
        (void)kill(-exec.pid, SIGKILL);
    int status = 0;
    while (waitpid(exec.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    g_byte_array_unref(exec.waiting);
    ireko_fd_close(&exec.in);
    ireko_fd_close(&exec.out);
    ireko_fd_close(&exec.err);

    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    g_autoptr(json_t) message = json_pack("{s:i}", "exit", code);
    return !exec.host_gone &&
           ireko_jsonl_send(channel, message, ireko_deadline_in_ms(TALK_DEADLINE_MS), NULL);
}
