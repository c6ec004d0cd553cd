/* host/read.c - small files of /proc and /sys below a root folder. What cannot be read is unknown.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

#define FIRST_STEP ((size_t)4 << 10) /* bytes: most files are shorter than what they may be */

/* The kernel's struct open_how; its header clashes with fcntl.h on older systems. */
typedef struct {
    uint64_t flags, mode, resolve;
} OpenHow;

#define RESOLVE_INSIDE 0x10u /* RESOLVE_IN_ROOT: links, "..", all of it ends at the folder */

int
ireko_host_open(int root_fd, const char *path, int flags)
{
    int all = O_RDONLY | O_CLOEXEC | flags;
    OpenHow how = {.flags = (uint64_t)(unsigned)all, .resolve = RESOLVE_INSIDE};
    long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* before Linux 5.6, or a filter's no */
        return openat(root_fd, path, all);
    return (int)fd;
}

char *
ireko_host_head(int root_fd, const char *path, size_t max, size_t *ret_len)
{
    IREKO_AUTOFD fd = ireko_host_open(root_fd, path, O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return NULL;

    size_t room = MIN(max, FIRST_STEP), len = 0;
    g_autofree char *data = g_malloc(room + 1);
    ssize_t n = 1;
    while (len < max && n != 0) {
        if (len == room) {
            room = MIN(room * 2, max);
            data = g_realloc(data, room + 1);
        }
        n = read(fd, data + len, room - len);
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
    int64_t value = 0;
    if (line == NULL || !ireko_text_parse_signed(line, G_MININT64, G_MAXINT64, &value))
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
    IREKO_AUTOFD fd = ireko_host_open(root_fd, path, O_PATH);
    return fd >= 0;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
ireko_host_list(int root_fd, const char *path, size_t max)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int fd = ireko_host_open(root_fd, path, O_DIRECTORY);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        ireko_fd_close(&fd);
        return names;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL && names->len < max;
         entry = readdir(dir)) {
        if (entry->d_name[0] != '.')
            g_ptr_array_add(names, g_strdup(entry->d_name));
    }
    (void)closedir(dir);
    g_ptr_array_sort(names, compare_names);
    return names;
}

char *
ireko_host_cpuinfo(const char *text, const char *field)
{
    size_t len = strlen(field);
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t line_len = strcspn(line, "\n");
        if (line_len == 0)
            return NULL; /* the second processor: the same again */
        const char *colon = memchr(line, ':', line_len);
        size_t name_len = colon != NULL ? (size_t)(colon - line) : 0;
        while (name_len > 0 && g_ascii_isspace(line[name_len - 1]))
            name_len--; /* tabs on x86, blanks on others */
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

/* ---- what a record tells ---- */

const char *
ireko_host_told(const IrekoHostSource *source, const char *key)
{
    return source->told != NULL ? source->told(source->data, key) : NULL;
}

bool
ireko_host_told_number(const IrekoHostSource *source, const char *key, int64_t *ret_value)
{
    const char *text = ireko_host_told(source, key);
    int64_t value = -1;
    if (text == NULL ||
        (strcmp(text, "none") != 0 && !ireko_text_parse_signed(text, 0, G_MAXINT64, &value)))
        return false;
    *ret_value = value;
    return true;
}

IrekoRead
ireko_host_told_yes(const IrekoHostSource *source, const char *key)
{
    const char *text = ireko_host_told(source, key);
    if (g_strcmp0(text, "yes") == 0)
        return IREKO_READ_YES;
    if (g_strcmp0(text, "denied") == 0)
        return IREKO_READ_DENIED;
    return g_strcmp0(text, "no") == 0 ? IREKO_READ_NO : IREKO_READ_UNKNOWN;
}

static const struct {
    int number;
    const char *name;
} errnos[] = {
    {0, "ok"},          {EPERM, "EPERM"},   {ENOENT, "ENOENT"}, {EIO, "EIO"},
    {ENXIO, "ENXIO"},   {EACCES, "EACCES"}, {EBUSY, "EBUSY"},   {ENODEV, "ENODEV"},
    {EINVAL, "EINVAL"}, {EROFS, "EROFS"},   {ENOTTY, "ENOTTY"}, {ELOOP, "ELOOP"},
};

char *
ireko_host_errno_name(int errnum)
{
    for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
        if (errnos[i].number == errnum)
            return g_strdup(errnos[i].name);
    }
    return g_strdup_printf("%d", errnum);
}

int
ireko_host_errno_of(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
        if (strcmp(errnos[i].name, name) == 0)
            return errnos[i].number;
    }
    uint64_t number = 0;
    return ireko_text_parse_unsigned(name, 10, 1, INT16_MAX, &number) ? (int)number : -1;
}
