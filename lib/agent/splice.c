/* agent/splice.c - what both sides of a talk use: bytes carried, errors and bytes as messages. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "agent/talk.h"
#include "base/text.h"

#define SPLICE_STEP ((size_t)32 << 10)

static const struct {
    IrekoError code;
    const char *word;
} code_words[] = {
    {IREKO_ERROR_SYNTAX, "syntax"},
    {IREKO_ERROR_NOT_FOUND, "not-found"},
    {IREKO_ERROR_UNSUPPORTED, "unsupported"},
    {IREKO_ERROR_TOO_LARGE, "too-large"},
    {IREKO_ERROR_STATE, "state"},
    {IREKO_ERROR_REMOTE, "remote"},
    {IREKO_ERROR_IO, "io"},
    {IREKO_ERROR_TIMEOUT, "timeout"},
    {IREKO_ERROR_CANCELLED, "cancelled"},
};

json_t *
talk_error_message(const GError *error)
{
    const char *word = "io";
    for (size_t i = 0; i < G_N_ELEMENTS(code_words); i++) {
        if (g_error_matches(error, IREKO_ERROR, (int)code_words[i].code))
            word = code_words[i].word;
    }
    g_autofree char *text = ireko_text_safe(error->message, (size_t)-1);
    return json_pack("{s:{s:s,s:s}}", "error", "code", word, "message", text);
}

void
talk_error_from_message(const json_t *message, GError **error)
{
    const json_t *body = json_object_get(message, "error");
    const char *word = json_string_value(json_object_get(body, "code"));
    const char *text = json_string_value(json_object_get(body, "message"));
    IrekoError code = IREKO_ERROR_REMOTE;
    for (size_t i = 0; i < G_N_ELEMENTS(code_words); i++) {
        if (g_strcmp0(word, code_words[i].word) == 0)
            code = code_words[i].code;
    }
    g_autofree char *safe =
        ireko_text_safe(text != NULL ? text : "an error without words", (size_t)-1);
    g_set_error_literal(error, IREKO_ERROR, (int)code, safe);
}

char *
talk_hello_mark(const char *path)
{
    return g_strdup_printf("\"hello-to\":\"%s\"}", path);
}

json_t *
talk_bytes_message(const char *name, const void *data, size_t len)
{
    g_autofree char *text = g_base64_encode(data, len);
    return json_pack("{s:s}", name, text);
}

uint8_t *
talk_bytes_of(const json_t *message, const char *name, size_t *ret_len)
{
    const char *text = json_string_value(json_object_get(message, name));
    if (text == NULL)
        return NULL;
    gsize len = 0;
    uint8_t *data = g_base64_decode(text, &len);
    *ret_len = len;
    return data;
}

/* Bytes on their way from one descriptor to another. */
typedef struct {
    int from, to;
    size_t at, len;
    const char *until; /* text that ends it, or NULL */
    size_t matched;    /* bytes of it that the last ones were */
    uint8_t data[SPLICE_STEP];
} Flow;

/* Whether UNTIL ends in what was just read, wherever reads have cut it. It begins with a quote and
 * has no other bytes twice in a way that a start over could miss: a hello is ASCII, its key once.
 */
static bool
is_over(Flow *flow)
{
    for (size_t i = 0; flow->until != NULL && i < flow->len; i++) {
        if (flow->data[i] != (uint8_t)flow->until[flow->matched])
            flow->matched = 0;
        if (flow->data[i] == (uint8_t)flow->until[flow->matched])
            flow->matched++;
        if (flow->until[flow->matched] == '\0')
            return true;
    }
    return false;
}

/* Moves what can be moved now; false when this flow is over. */
static bool
flow_step(Flow *flow)
{
    if (flow->at == flow->len) {
        ssize_t n = read(flow->from, flow->data, sizeof flow->data);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        flow->at = 0;
        flow->len = n > 0 ? (size_t)n : 0;
        if (is_over(flow))
            return false;
    }
    while (flow->at < flow->len) {
        ssize_t n = write(flow->to, flow->data + flow->at, flow->len - flow->at);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        flow->at += (size_t)n;
    }
    return true;
}

/* What a descriptor is to be watched for: room while bytes wait for it, else news. */
static short
flow_events(const Flow *in, const Flow *out)
{
    short events = 0;
    if (in->at == in->len)
        events |= POLLIN;
    if (out->at < out->len)
        events |= POLLOUT;
    return events;
}

void
ireko_agent_splice(int a, int b, int cancel_fd, const char *until)
{
    g_autofree Flow *ab = g_new0(Flow, 1);
    g_autofree Flow *ba = g_new0(Flow, 1);
    ab->from = ba->to = a;
    ab->to = ba->from = b;
    ab->until = until;
    for (;;) {
        struct pollfd fds[3] = {
            {.fd = a, .events = flow_events(ab, ba)},
            {.fd = b, .events = flow_events(ba, ab)},
            {.fd = cancel_fd, .events = POLLIN},
        };
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR)
            return;
        bool hung_up = ((fds[0].revents | fds[1].revents) & (POLLHUP | POLLERR)) != 0;
        bool more = flow_step(ab) && flow_step(ba);
        bool readable = ((fds[0].revents | fds[1].revents) & POLLIN) != 0;
        if (!more || fds[2].revents != 0 || (hung_up && !readable))
            return;
    }
}
