/* agent/guest.c - the guest's side of a talk: one request at a time, until the host hangs up. */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "agent/talk.h"

/* One talk as it goes on. */
typedef struct {
    IrekoJsonl *channel;
    const IrekoAgentHandlers *handlers;
    GMutex lock; /* reports come from any thread */
    bool over;   /* the descriptor was used for bytes: nothing more to say */
    void *held;  /* for the identity */
} Talk;

static bool
say(Talk *talk, json_t *message)
{
    g_autoptr(json_t) owned = message;
    g_mutex_lock(&talk->lock);
    bool said =
        ireko_jsonl_send(talk->channel, owned, ireko_deadline_in_ms(TALK_DEADLINE_MS), NULL);
    g_mutex_unlock(&talk->lock);
    return said;
}

static void
emit_report(void *data, json_t *report)
{
    (void)say(data, json_pack("{s:o}", "report", report));
}

static bool
answer_facts(Talk *talk, const json_t *request, GError **error)
{
    (void)request;
    json_t *facts = talk->handlers->facts(talk->handlers->data, error);
    return facts != NULL && say(talk, json_pack("{s:o}", "facts", facts));
}

static bool
answer_network(Talk *talk, const json_t *request, GError **error)
{
    const IrekoAgentHandlers *handlers = talk->handlers;
    if (handlers->network == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "this machine leaves its network alone");
        return false;
    }
    json_t *answer = handlers->network(handlers->data, json_object_get(request, "order"),
                                       ireko_jsonl_fd(talk->channel), error);
    return answer != NULL && say(talk, json_pack("{s:o}", "network", answer));
}

static void
emit_layer(void *data, json_t *layer)
{
    (void)say(data, json_pack("{s:o}", "layer", layer));
}

static bool
answer_check(Talk *talk, const json_t *request, GError **error)
{
    json_int_t within_ms = json_integer_value(json_object_get(request, "within_ms"));
    bool done =
        talk->handlers->check(talk->handlers->data, CLAMP(within_ms, 0, IREKO_AGENT_CHECK_MS),
                              ireko_jsonl_fd(talk->channel), emit_layer, talk, error);
    return done && say(talk, json_pack("{s:b}", "done", 1));
}

static bool
answer_run(Talk *talk, const json_t *request, GError **error)
{
    /* Whatever comes from the host before we are done - its end, or a new hello - ends the run. */
    bool done = talk->handlers->run(talk->handlers->data, json_object_get(request, "spec"),
                                    ireko_jsonl_fd(talk->channel), emit_report, talk, error);
    return done && say(talk, json_pack("{s:b}", "done", 1));
}

static bool
answer_exec(Talk *talk, const json_t *request, GError **error)
{
    return talk_exec(talk->channel, json_object_get(request, "argv"), error);
}

static bool
answer_merge(Talk *talk, const json_t *request, GError **error)
{
    (void)request, (void)error;
    talk->handlers->merge(talk->handlers->data);
    return say(talk, json_pack("{s:b}", "done", 1));
}

static bool
answer_stop(Talk *talk, const json_t *request, GError **error)
{
    (void)request;
    return say(talk, json_pack("{s:b}", "done", 1)) &&
           talk->handlers->stop(talk->handlers->data, error);
}

static bool
answer_end(Talk *talk, const json_t *request, GError **error)
{
    const char *name = json_string_value(json_object_get(request, "guest"));
    json_int_t ms = json_integer_value(json_object_get(request, "ms"));
    if (name == NULL || ms < 0 || ms > IREKO_AGENT_WAIT_MAX) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "request has no 'guest', or a time that is none");
        return false;
    }
    return talk->handlers->end(talk->handlers->data, name, ms, error) &&
           say(talk, json_pack("{s:b}", "done", 1));
}

/* Takes the one byte by which the host says that it has read our last message: bytes sent before
 * that would be read as part of it. */
static bool
await_go(int fd)
{
    char go;
    return ireko_fd_wait(fd, POLLIN, ireko_deadline_in_ms(TALK_DEADLINE_MS), -1, NULL) &&
           read(fd, &go, 1) == 1;
}

/* Becomes a pipe between the host and CHANNEL of the guest that FIELD names. */
static bool
answer_bytes(
    Talk *talk, const json_t *request, const char *field, const char *channel, GError **error)
{
    const char *name = json_string_value(json_object_get(request, field));
    if (name == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "request has no '%s'", field);
        return false;
    }
    IREKO_AUTOFD hold = -1;
    IREKO_AUTOFD far = talk->handlers->connect(talk->handlers->data, name, channel, &hold, error);
    if (far < 0)
        return false;
    g_autofree char *ours = talk_hello_mark(talk->handlers->path(talk->handlers->data));
    if (say(talk, json_pack("{s:b}", "done", 1)) && await_go(ireko_jsonl_fd(talk->channel)))
        ireko_agent_splice(ireko_jsonl_fd(talk->channel), far, -1, ours);
    talk->over = true;
    return true;
}

static bool
answer_relay(Talk *talk, const json_t *request, GError **error)
{
    return answer_bytes(talk, request, "to", "agent", error);
}

static bool
answer_console(Talk *talk, const json_t *request, GError **error)
{
    return answer_bytes(talk, request, "of", "console", error);
}

static const struct {
    const char *op;
    bool (*answer)(Talk *talk, const json_t *request, GError **error);
} operations[] = {
    {"facts", answer_facts}, {"check", answer_check},     {"run", answer_run},
    {"exec", answer_exec},   {"stop", answer_stop},       {"end", answer_end},
    {"relay", answer_relay}, {"console", answer_console}, {"network", answer_network},
    {"merge", answer_merge},
};

static bool
answer_hello(Talk *talk, const json_t *request)
{
    json_t *answer =
        json_pack("{s:i,s:O?,s:s,s:s}", "hello", IREKO_AGENT_PROTOCOL, "nonce",
                  json_object_get(request, "nonce"), "version", talk->handlers->version, "path",
                  talk->handlers->path(talk->handlers->data));
    return say(talk, answer);
}

static bool
answer_operation(Talk *talk, const json_t *request, GError **error)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        if (g_strcmp0(op, operations[i].op) == 0)
            return operations[i].answer(talk, request, error);
    }
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                        "this agent does not know the request");
    return false;
}

static void
settle(Talk *talk)
{
    void *held = g_steal_pointer(&talk->held);
    if (talk->handlers->settle != NULL)
        talk->handlers->settle(talk->handlers->data, held);
}

static bool
say_words(Talk *talk, const char *words)
{
    g_mutex_lock(&talk->lock);
    bool said = ireko_jsonl_send_line(talk->channel, TALK_IDENTITY, words,
                                      ireko_deadline_in_ms(TALK_DEADLINE_MS), NULL);
    g_mutex_unlock(&talk->lock);
    return said;
}

static bool
answer_identity(Talk *talk, const char *order)
{
    const IrekoAgentHandlers *handlers = talk->handlers;
    g_autoptr(GError) error = NULL;
    g_autofree char *words = handlers->identity(handlers->data, order, &talk->held, &error);
    return words != NULL ? say_words(talk, words) : say(talk, talk_error_message(error));
}

/* Answers REQUEST; false where the talk is over. */
static bool
answer(Talk *talk, const json_t *request)
{
    if (json_object_get(request, "hello") != NULL)
        return answer_hello(talk, request);
    settle(talk);
    g_autoptr(GError) error = NULL;
    if (answer_operation(talk, request, &error))
        return !talk->over;
    return error != NULL && say(talk, talk_error_message(error));
}

/* Answers LINE; false where the talk is over. Half a line of a talk that broke off has no answer:
 * the next hello starts afresh. */
static bool
answer_line(Talk *talk, const char *line)
{
    if (g_str_has_prefix(line, TALK_IDENTITY " "))
        return answer_identity(talk, line + strlen(TALK_IDENTITY));
    g_autoptr(json_t) request = ireko_jsonl_decode(line, strlen(line), NULL);
    return request == NULL || answer(talk, request);
}

void
ireko_agent_serve_talk(int fd, const IrekoAgentHandlers *handlers)
{
    Talk talk = {.handlers = handlers, .channel = ireko_jsonl_new(dup(fd), -1)};
    g_mutex_init(&talk.lock);
    for (bool more = true; more;) {
        g_autofree char *line = ireko_jsonl_receive_line(talk.channel, IREKO_NO_DEADLINE, NULL);
        more = line != NULL && answer_line(&talk, line);
    }
    settle(&talk);
    ireko_jsonl_free(talk.channel);
    g_mutex_clear(&talk.lock);
}
