/* agent/host.c - the host's side of a talk. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/talk.h"
#include "base/text.h"

#define HELLO_AGAIN_MS  500 /* an agent that starts late has not seen the first hello */
#define EXEC_SILENCE_MS (24 * 3600 * INT64_C(1000)) /* a command may well say nothing for a day */
#define HELLO_LINES_MAX 1000 /* leftovers of an earlier talk that are passed over */

typedef struct {
    IrekoAgentReportFunc func;
    void *data;
} Taker;

struct IrekoAgent {
    IrekoJsonl *channel;
    int cancel_fd;
    char *path;
};

void
ireko_agent_free(IrekoAgent *agent)
{
    if (agent == NULL)
        return;
    ireko_jsonl_free(agent->channel);
    g_free(agent->path);
    g_free(agent);
}

/* Judges the answer to our hello. */
static bool
check_hello(const json_t *answer, const char *path, GError **error)
{
    json_int_t protocol = json_integer_value(json_object_get(answer, "hello"));
    if (protocol != IREKO_AGENT_PROTOCOL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "the agent speaks protocol %lld and this ireko %d: build the image again with "
                    "'ireko image build' and start the machine anew",
                    (long long)protocol, IREKO_AGENT_PROTOCOL);
        return false;
    }
    const char *there = json_string_value(json_object_get(answer, "path"));
    if (path != NULL && g_strcmp0(there, path) != 0) {
        g_autofree char *safe = ireko_text_safe(there != NULL ? there : "", (size_t)-1);
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                    "the agent of '%s' answered where '%s' was expected", safe, path);
        return false;
    }
    return true;
}

/* Reads until the answer that carries NONCE; what an earlier talk left behind is passed over. */
static json_t *
await_hello(IrekoJsonl *channel, json_int_t nonce, IrekoDeadline deadline, GError **error)
{
    for (unsigned i = 0; i < HELLO_LINES_MAX; i++) {
        g_autoptr(GError) why = NULL;
        g_autoptr(json_t) answer = ireko_jsonl_receive(channel, deadline, &why);
        if (answer != NULL && json_integer_value(json_object_get(answer, "nonce")) == nonce)
            return g_steal_pointer(&answer);
        if (answer == NULL && (!g_error_matches(why, IREKO_ERROR, IREKO_ERROR_REMOTE) ||
                               strstr(why->message, "hung up") != NULL)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return NULL;
        }
    }
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                        "the agent babbles instead of saying hello");
    return NULL;
}

static bool
say_hello(IrekoJsonl *channel, const char *path, IrekoDeadline deadline, GError **error)
{
    json_int_t nonce = (json_int_t)(g_random_int() >> 1);
    g_autoptr(json_t) hello = json_pack("{s:i,s:I,s:s*}", "hello", IREKO_AGENT_PROTOCOL, "nonce",
                                        nonce, "hello-to", path); /* talk_hello_mark */
    for (;;) {
        g_autoptr(GError) why = NULL;
        IrekoDeadline again = MIN(deadline, ireko_deadline_in_ms(HELLO_AGAIN_MS));
        g_autoptr(json_t) answer = NULL;
        if (ireko_jsonl_send(channel, hello, deadline, &why))
            answer = await_hello(channel, nonce, again, &why);
        if (answer != NULL)
            return check_hello(answer, path, error);
        if (!g_error_matches(why, IREKO_ERROR, IREKO_ERROR_TIMEOUT) || again == deadline) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
    }
}

IrekoAgent *
ireko_agent_go_on(int fd, int cancel_fd)
{
    IrekoAgent *agent = g_new0(IrekoAgent, 1);
    agent->channel = ireko_jsonl_new(fd, cancel_fd);
    agent->cancel_fd = cancel_fd;
    return agent;
}

IrekoAgent *
ireko_agent_hello(int fd, const char *path, IrekoDeadline deadline, int cancel_fd, GError **error)
{
    g_autoptr(IrekoAgent) agent = ireko_agent_go_on(fd, cancel_fd);
    /* Ends whatever half a line an earlier talk may have left. */
    if (!ireko_fd_write_all(fd, "\n", 1, deadline, cancel_fd, error) ||
        !say_hello(agent->channel, path, deadline, error))
        return NULL;
    return g_steal_pointer(&agent);
}

/* The next message; an error message becomes the error. Answers to hellos that were said again
 * while the agent started come late and are passed over. Where RET_WORDS is not NULL, words may
 * come instead, and are stored there, free with g_free. */
static json_t *
next_message(IrekoAgent *agent, IrekoDeadline deadline, char **ret_words, GError **error)
{
    for (unsigned i = 0; i < HELLO_LINES_MAX; i++) {
        g_autofree char *line = ireko_jsonl_receive_line(agent->channel, deadline, error);
        if (line == NULL)
            return NULL;
        if (ret_words != NULL && g_str_has_prefix(line, TALK_IDENTITY " ")) {
            *ret_words = g_strdup(line + strlen(TALK_IDENTITY));
            return NULL;
        }
        g_autoptr(json_t) message = ireko_jsonl_decode(line, strlen(line), error);
        if (message == NULL)
            return NULL;
        if (json_object_get(message, "hello") != NULL)
            continue;
        if (json_object_get(message, "error") == NULL)
            return g_steal_pointer(&message);
        talk_error_from_message(message, error);
        return NULL;
    }
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                        "the agent says hello again and again");
    return NULL;
}

/* Sends REQUEST (stolen) and returns the first answer. */
static json_t *
ask(IrekoAgent *agent, json_t *request, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) owned = request;
    if (!ireko_jsonl_send(agent->channel, owned, deadline, error))
        return NULL;
    return next_message(agent, deadline, NULL, error);
}

static bool
unexpected(const char *wanted, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "the agent's answer holds no '%s'", wanted);
    return false;
}

json_t *
ireko_agent_facts(IrekoAgent *agent, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) answer = ask(agent, json_pack("{s:s}", "op", "facts"), deadline, error);
    if (answer == NULL)
        return NULL;
    json_t *facts = json_object_get(answer, "facts");
    if (!json_is_object(facts)) {
        (void)unexpected("facts", error);
        return NULL;
    }
    return json_incref(facts);
}

json_t *
ireko_agent_network(IrekoAgent *agent, const json_t *order, IrekoDeadline deadline, GError **error)
{
    json_t *request = json_pack("{s:s,s:o}", "op", "network", "order", json_deep_copy(order));
    g_autoptr(json_t) answer = ask(agent, request, deadline, error);
    if (answer == NULL)
        return NULL;
    json_t *network = json_object_get(answer, "network");
    if (json_is_object(network))
        return json_incref(network);
    (void)unexpected("network", error);
    return NULL;
}

char *
ireko_agent_identity(IrekoAgent *agent, const char *order, IrekoDeadline deadline, GError **error)
{
    if (!ireko_jsonl_send_line(agent->channel, TALK_IDENTITY, order, deadline, error))
        return NULL;
    char *words = NULL;
    g_autoptr(json_t) message = next_message(agent, deadline, &words, error);
    if (message != NULL)
        (void)unexpected(TALK_IDENTITY, error);
    return words;
}

/* Hands each FIELD that comes to FUNC until the agent is done; DEADLINE is for all of it, or, where
 * there is none, SILENCE_MS for each. */
static bool
take_each(IrekoAgent *agent,
          const char *field,
          IrekoDeadline deadline,
          int64_t silence_ms,
          const Taker *taker,
          GError **error)
{
    for (;;) {
        IrekoDeadline until =
            deadline != IREKO_NO_DEADLINE ? deadline : ireko_deadline_in_ms(silence_ms);
        g_autoptr(json_t) message = next_message(agent, until, NULL, error);
        if (message == NULL)
            return false;
        const json_t *value = json_object_get(message, field);
        if (json_is_object(value))
            taker->func(taker->data, value);
        else
            return json_is_true(json_object_get(message, "done")) || unexpected(field, error);
    }
}

bool
ireko_agent_check(IrekoAgent *agent,
                  int64_t within_ms,
                  IrekoDeadline deadline,
                  IrekoAgentReportFunc func,
                  void *data,
                  GError **error)
{
    g_autoptr(json_t) request =
        json_pack("{s:s,s:I}", "op", "check", "within_ms", (json_int_t)within_ms);
    const Taker taker = {func, data};
    return ireko_jsonl_send(agent->channel, request, deadline, error) &&
           take_each(agent, "layer", deadline, 0, &taker, error);
}

bool
ireko_agent_run(IrekoAgent *agent,
                const json_t *spec,
                int64_t silence_ms,
                IrekoAgentReportFunc func,
                void *data,
                GError **error)
{
    g_autoptr(json_t) request = json_pack("{s:s}", "op", "run");
    json_object_set_new(request, "spec", json_deep_copy(spec));
    if (!ireko_jsonl_send(agent->channel, request, ireko_deadline_in_ms(TALK_DEADLINE_MS), error))
        return false;
    const Taker taker = {func, data};
    return take_each(agent, "report", IREKO_NO_DEADLINE, silence_ms, &taker, error);
}

/* Takes a piece of standard input, or its end, into WAITING as a message's line. */
static void
take_input(int *input, GByteArray *waiting)
{
    uint8_t data[IREKO_AGENT_CHUNK];
    ssize_t n = read(*input, data, sizeof data);
    if (n <= 0)
        *input = -1;
    g_autoptr(json_t) message =
        n > 0 ? talk_bytes_message("in", data, (size_t)n) : json_pack("{s:b}", "eof", 1);
    char *line = json_dumps(message, JSON_COMPACT);
    g_byte_array_append(waiting, (const uint8_t *)line, (unsigned)strlen(line));
    g_byte_array_append(waiting, (const uint8_t *)"\n", 1);
    free(line);
}

/* Sends what goes at once of WAITING. Input never waits for room while output waits to be read: the
 * agent does the same the other way round, and both would wait for ever. */
static bool
push_input(int fd, GByteArray *waiting, GError **error)
{
    ssize_t n = write(fd, waiting->data, waiting->len);
    if (n > 0)
        g_byte_array_remove_range(waiting, 0, (unsigned)n);
    if (n >= 0 || errno == EAGAIN || errno == EINTR)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "the agent takes no more input: %s",
                g_strerror(errno));
    return false;
}

/* Prints output of MESSAGE. Returns the exit status where it holds one, -1 to go on. */
static int
take_output(const json_t *message, const int fds[3], GError **error)
{
    static const struct {
        const char *name;
        int fd;
    } streams[] = {{"out", 1}, {"err", 2}};
    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        size_t len = 0;
        g_autofree uint8_t *data = talk_bytes_of(message, streams[i].name, &len);
        if (data != NULL &&
            !ireko_fd_write_all(fds[streams[i].fd], data, len, IREKO_NO_DEADLINE, -1, error))
            return -1;
    }
    const json_t *status = json_object_get(message, "exit");
    return json_is_integer(status) ? (int)(json_integer_value(status) & 0xff) : -1;
}

/* Carries the streams of a command that runs until it ends; its exit status, -1 with an error. */
static int
carry_streams(IrekoAgent *agent, const int fds[3], GError **error)
{
    int input = fds[0];
    int fd = ireko_jsonl_fd(agent->channel);
    g_autoptr(GByteArray) waiting = g_byte_array_new();
    for (;;) {
        bool full = waiting->len > 0;
        struct pollfd polled[3] = {
            {.fd = full ? -1 : input, .events = POLLIN},
            {.fd = fd, .events = full ? POLLIN | POLLOUT : POLLIN},
            {.fd = agent->cancel_fd, .events = POLLIN},
        };
        if (!ireko_jsonl_pending(agent->channel))
            (void)poll(polled, G_N_ELEMENTS(polled), -1);
        if (polled[0].revents != 0)
            take_input(&input, waiting);
        if (waiting->len > 0 && !push_input(fd, waiting, error))
            return -1;
        if ((polled[1].revents & ~POLLOUT) == 0 && polled[2].revents == 0 &&
            !ireko_jsonl_pending(agent->channel))
            continue;
        g_autoptr(json_t) message =
            next_message(agent, ireko_deadline_in_ms(EXEC_SILENCE_MS), NULL, error);
        GError *failed = NULL;
        int status = message != NULL ? take_output(message, fds, &failed) : -1;
        if (failed != NULL)
            g_propagate_error(error, failed);
        if (message == NULL || failed != NULL || status >= 0)
            return status;
    }
}

int
ireko_agent_exec(IrekoAgent *agent, const char *const *argv, const int fds[3], GError **error)
{
    g_autoptr(json_t) words = json_array();
    for (size_t i = 0; argv[i] != NULL; i++)
        json_array_append_new(words, json_string(argv[i]));
    g_autoptr(json_t) request = json_pack("{s:s,s:O}", "op", "exec", "argv", words);
    if (request == NULL ||
        !ireko_jsonl_send(agent->channel, request, ireko_deadline_in_ms(TALK_DEADLINE_MS), error)) {
        if (request == NULL)
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "command is not UTF-8");
        return -1;
    }

    return carry_streams(agent, fds, error);
}

bool
ireko_agent_stop(IrekoAgent *agent, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) answer = ask(agent, json_pack("{s:s}", "op", "stop"), deadline, error);
    return answer != NULL;
}

bool
ireko_agent_merge(IrekoAgent *agent, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) answer = ask(agent, json_pack("{s:s}", "op", "merge"), deadline, error);
    return answer != NULL;
}

bool
ireko_agent_end(IrekoAgent *agent, const char *name, int64_t wait_ms, GError **error)
{
    json_t *request = json_pack("{s:s,s:s,s:I}", "op", "end", "guest", name, "ms",
                                (json_int_t)MIN(wait_ms, IREKO_AGENT_WAIT_MAX));
    g_autoptr(json_t) answer =
        ask(agent, request, ireko_deadline_in_ms(wait_ms + TALK_DEADLINE_MS), error);
    return answer != NULL;
}

/* Sends REQUEST and gives the descriptor out where the agent agrees; AGENT is used up. */
static int
become_bytes(IrekoAgent *agent, json_t *request, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoAgent) owned = agent;
    g_autoptr(json_t) answer = ask(owned, request, deadline, error);
    if (answer == NULL)
        return -1;
    IREKO_AUTOFD fd = ireko_jsonl_steal(owned->channel);
    if (!ireko_fd_write_all(fd, "\n", 1, deadline, owned->cancel_fd, error)) /* "go": guest.c */
        return -1;
    return ireko_fd_steal(&fd);
}

IrekoAgent *
ireko_agent_relay(
    IrekoAgent *agent, const char *name, const char *path, IrekoDeadline deadline, GError **error)
{
    int cancel_fd = agent->cancel_fd;
    json_t *request = json_pack("{s:s,s:s}", "op", "relay", "to", name);
    int fd = become_bytes(agent, request, deadline, error);
    return fd < 0 ? NULL : ireko_agent_hello(fd, path, deadline, cancel_fd, error);
}

int
ireko_agent_console(IrekoAgent *agent, const char *name, IrekoDeadline deadline, GError **error)
{
    json_t *request = json_pack("{s:s,s:s}", "op", "console", "of", name);
    return become_bytes(agent, request, deadline, error);
}
