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
ireko_jsonl_send_line(IrekoJsonl *channel,
                      const char *begin,
                      const char *rest,
                      IrekoDeadline deadline,
                      GError **error)
{
    size_t at = strlen(begin), len = at + strlen(rest) + 1;
    g_autofree char *line = g_malloc(len);
    memcpy(line, begin, at);
    memcpy(line + at, rest, len - at - 1);
    line[len - 1] = '\n';
    return ireko_fd_write_all(channel->fd, line, len, deadline, channel->cancel_fd, error);
}

bool
ireko_jsonl_send(IrekoJsonl *channel, const json_t *object, IrekoDeadline deadline, GError **error)
{
    char *text = json_dumps(object, JSON_COMPACT);
    if (text == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "message is not valid UTF-8");
        return false;
    }
    bool sent = ireko_jsonl_send_line(channel, text, "", deadline, error);
    free(text);
    return sent;
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

/* Takes the line of LEN bytes out of the buffer; NULL where it is blank. No text has a zero byte.
 */
static char *
take_line(IrekoJsonl *channel, size_t len)
{
    size_t text_len = len - 1;
    if (text_len > 0 && channel->in->data[text_len - 1] == '\r')
        text_len--;
    char *line = text_len > 0 ? g_malloc(text_len + 1) : NULL;
    if (line != NULL) {
        memcpy(line, channel->in->data, text_len);
        line[text_len] = '\0';
        for (char *zero = line;
             (zero = memchr(zero, '\0', (size_t)(line + text_len - zero))) != NULL;)
            *zero = '?';
    }
    g_byte_array_remove_range(channel->in, 0, (unsigned)len);
    channel->searched = 0;
    return line;
}

char *
ireko_jsonl_receive_line(IrekoJsonl *channel, IrekoDeadline deadline, GError **error)
{
    for (;;) {
        size_t len = line_length(channel);
        char *line = len > 0 ? take_line(channel, len) : NULL;
        if (line != NULL)
            return line;
        if (len > 0 && g_get_monotonic_time() >= deadline) {
            g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT, "no answer in time");
            return NULL; /* blank lines for ever are no way around it */
        }
        if (channel->in->len > IREKO_JSONL_LINE_MAX) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "a line is longer than %zu bytes",
                        IREKO_JSONL_LINE_MAX);
            return NULL;
        }
        if (len == 0 && (!ireko_fd_wait(channel->fd, POLLIN, deadline, channel->cancel_fd, error) ||
                         !read_more(channel, error)))
            return NULL;
    }
}

json_t *
ireko_jsonl_receive(IrekoJsonl *channel, IrekoDeadline deadline, GError **error)
{
    g_autofree char *line = ireko_jsonl_receive_line(channel, deadline, error);
    return line != NULL ? ireko_jsonl_decode(line, strlen(line), error) : NULL;
}

int
ireko_jsonl_steal(IrekoJsonl *channel)
{
    return ireko_fd_steal(&channel->fd);
}
