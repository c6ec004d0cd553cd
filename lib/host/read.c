/* host/read.c - small files of /proc and /sys below a root folder. What cannot be read is unknown.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

char *
ireko_host_head(int root_fd, const char *path, size_t max, size_t *ret_len)
{
    IREKO_AUTOFD fd = openat(root_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return NULL;

    g_autofree char *data = g_malloc(max + 1);
    size_t len = 0;
    ssize_t n = 1;
    while (len < max && n != 0) {
        n = read(fd, data + len, max - len);
        if (n < 0 && errno != EINTR)
            return NULL;
        len += n > 0 ? (size_t)n : 0;
    }
    data[len] = '\0';
    if (ret_len != NULL)
        *ret_len = len;
    return g_steal_pointer(&data);
}

char *
ireko_host_line(int root_fd, const char *path)
{
    g_autofree char *head = ireko_host_head(root_fd, path, IREKO_HOST_LINE_MAX, NULL);
    if (head == NULL)
        return NULL;
    head[strcspn(head, "\n")] = '\0';
    return ireko_text_safe(g_strstrip(head), (size_t)-1);
}

int64_t
ireko_host_number(int root_fd, const char *path, int64_t fallback)
{
    g_autofree char *line = ireko_host_line(root_fd, path);
    gint64 value = 0;
    if (line == NULL || !g_ascii_string_to_signed(line, 10, G_MININT64, G_MAXINT64, &value, NULL))
        return fallback;
    return value;
}

char *
ireko_host_link_name(int root_fd, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(root_fd, path, target, sizeof target - 1);
    if (n <= 0)
        return NULL;
    target[n] = '\0';
    const char *slash = strrchr(target, '/');
    return ireko_text_safe(slash == NULL ? target : slash + 1, (size_t)-1);
}

bool
ireko_host_exists(int root_fd, const char *path)
{
    return faccessat(root_fd, path, F_OK, 0) == 0;
}

char *
ireko_host_cpuinfo(const char *text, const char *field)
{
    size_t len = strlen(field);
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t line_len = strcspn(line, "\n");
        if (line_len == 0)
            return NULL; /* the second processor: the same again */
        size_t name_len = strcspn(line, "\t:\n");
        const char *colon = memchr(line, ':', line_len);
        if (colon != NULL && name_len == len && memcmp(line, field, len) == 0) {
            g_autofree char *value = g_strndup(colon + 1, line_len - (size_t)(colon + 1 - line));
            return ireko_text_safe(g_strstrip(value), (size_t)-1);
        }
        line += line_len + (line[line_len] == '\n');
    }
    return NULL;
}

bool
ireko_host_has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, word, len) == 0)
            return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}
