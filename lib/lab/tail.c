/* lab/tail.c - the last lines of a console. A machine may write for ever: only the end is kept. */
#include "lab/tail.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

#define TAIL_BYTES ((size_t)4096)
#define TAIL_LINES 24

struct IrekoTail {
    int fd;
    int end_fd; /* readable: stop */
    GString *text;
    GThread *thread;
};

static void *
read_console(void *data)
{
    IrekoTail *tail = data;
    char step[512];
    while (ireko_fd_wait(tail->fd, POLLIN, IREKO_NO_DEADLINE, tail->end_fd, NULL)) {
        ssize_t n = read(tail->fd, step, sizeof step);
        if (n <= 0)
            break;
        g_string_append_len(tail->text, step, n);
        if (tail->text->len > 2 * TAIL_BYTES)
            g_string_erase(tail->text, 0, (gssize)(tail->text->len - TAIL_BYTES));
    }
    return NULL;
}

IrekoTail *
ireko_tail_start(int fd)
{
    IrekoTail *tail = g_new0(IrekoTail, 1);
    tail->fd = fd;
    tail->end_fd = eventfd(0, EFD_CLOEXEC);
    tail->text = g_string_new(NULL);
    if (fd >= 0)
        tail->thread = g_thread_new("console", read_console, tail);
    return tail;
}

/* The last TAIL_LINES lines of TEXT that hold something. */
static char *
last_lines(char *text)
{
    (void)g_strdelimit(text, "\r", '\n');
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    for (size_t i = 0; lines[i] != NULL; i++) {
        if (*g_strstrip(lines[i]) != '\0')
            g_ptr_array_add(kept, lines[i]);
    }
    if (kept->len > TAIL_LINES)
        g_ptr_array_remove_range(kept, 0, kept->len - TAIL_LINES);
    if (kept->len == 0)
        return NULL;
    g_ptr_array_add(kept, NULL);
    g_autofree char *joined = g_strjoinv("\n", (char **)kept->pdata);
    return ireko_text_safe(joined, (size_t)-1);
}

char *
ireko_tail_stop(IrekoTail *tail)
{
    if (tail->thread != NULL) {
        (void)eventfd_write(tail->end_fd, 1);
        (void)g_thread_join(tail->thread);
    }
    ireko_fd_close(&tail->fd);
    ireko_fd_close(&tail->end_fd);
    g_autofree char *text = g_string_free(tail->text, FALSE);
    g_free(tail);
    return last_lines(text);
}
