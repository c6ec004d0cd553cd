/* base/jsonl.c - JSON lines over a descriptor. */
#include "base/jsonl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/text.h"

#define READ_STEP       ((size_t)16 << 10)
#define SHOWN_OF_BABBLE ((size_t)60) /* bytes of a bad line that its error repeats */

struct IrekoJsonl {
    int fd;
    int cancel_fd;
    GByteArray *in;  /* read, not yet given out */
    size_t searched; /* bytes of it that are known to hold no line end */
};

IrekoJsonl *
ireko_jsonl_new(int fd, int cancel_fd)
{
    IrekoJsonl *channel = g_new0(IrekoJsonl, 1);
    channel->fd = fd;
    channel->cancel_fd = cancel_fd;
    channel->in = g_byte_array_new();
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return channel;
}

void
ireko_jsonl_free(IrekoJsonl *channel)
{
    if (channel == NULL)
        return;
    ireko_fd_close(&channel->fd);
    g_byte_array_unref(channel->in);
    g_free(channel);
}

int
ireko_jsonl_fd(const IrekoJsonl *channel)
{
    return channel->fd;
}

bool
ireko_jsonl_send(IrekoJsonl *channel, const json_t *object, IrekoDeadline deadline, GError **error)
{
    char *text = json_dumps(object, JSON_COMPACT);
    if (text == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "message is not valid UTF-8");
        return false;
    }
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    free(text);
    return ireko_fd_write_all(channel->fd, line, strlen(line), deadline, channel->cancel_fd, error);
}

json_t *
ireko_jsonl_decode(const char *line, size_t len, GError **error)
{
    json_error_t why;
    json_t *object =
        json_loadb(line, len, JSON_REJECT_DUPLICATES, &why); /* depth: jansson's 2048 */
    if (json_is_object(object))
        return object;

    json_decref(object);
    g_autofree char *shown = ireko_text_safe(line, MIN(len, SHOWN_OF_BABBLE));
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "expected a JSON object, got '%s'", shown);
    return NULL;
}

/* Length of the first line in the buffer with its line end, or 0. */
static size_t
line_length(IrekoJsonl *channel)
{
    if (channel->in->len == channel->searched)
        return 0;
    const uint8_t *at =
        memchr(channel->in->data + channel->searched, '\n', channel->in->len - channel->searched);
    if (at == NULL) {
        channel->searched = channel->in->len;
        return 0;
    }
    return (size_t)(at - channel->in->data) + 1;
}

bool
ireko_jsonl_pending(const IrekoJsonl *channel)
{
    return channel->in->len > 0 && memchr(channel->in->data, '\n', channel->in->len) != NULL;
}

static bool
read_more(IrekoJsonl *channel, GError **error)
{
    uint8_t step[READ_STEP];
    ssize_t n = read(channel->fd, step, sizeof step);
    if (n > 0) {
        g_byte_array_append(channel->in, step, (unsigned)n);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n == 0)
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "the other side hung up");
    else
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "cannot read: %s", g_strerror(errno));
    return false;
}

/* Takes the line of LEN bytes out of the buffer. Blank lines give NULL without an error. */
static json_t *
take_line(IrekoJsonl *channel, size_t len, GError **error)
{
    g_autofree char *line = g_strndup((const char *)channel->in->data, len - 1);
    size_t text_len = len - 1;
    if (text_len > 0 && line[text_len - 1] == '\r')
        text_len--;
    g_byte_array_remove_range(channel->in, 0, (unsigned)len);
    channel->searched = 0;
    return text_len == 0 ? NULL : ireko_jsonl_decode(line, text_len, error);
}

json_t *
ireko_jsonl_receive(IrekoJsonl *channel, IrekoDeadline deadline, GError **error)
{
    for (;;) {
        size_t len = line_length(channel);
        if (len > 0) {
            GError *bad = NULL;
            json_t *object = take_line(channel, len, &bad);
            if (bad != NULL)
                g_propagate_error(error, bad);
            if (bad != NULL || object != NULL)
                return object;
            if (g_get_monotonic_time() < deadline) /* blank lines for ever are no way around it */
                continue;
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT, "no answer in time");
            return NULL;
        }
        if (channel->in->len > IREKO_JSONL_LINE_MAX) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "a line is longer than %zu bytes",
                        IREKO_JSONL_LINE_MAX);
            return NULL;
        }
        if (!ireko_fd_wait(channel->fd, POLLIN, deadline, channel->cancel_fd, error) ||
            !read_more(channel, error))
            return NULL;
    }
}

int
ireko_jsonl_steal(IrekoJsonl *channel)
{
    return ireko_fd_steal(&channel->fd);
}
