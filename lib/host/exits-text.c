/* host/exits-text.c - histograms of the kernel read, and the book of exit reasons. Pure. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "host/exits.h"

extern const char ireko_exits_book[];
extern const char ireko_exits_book_end[];

static IrekoExitRow *
find_row(GArray *rows, int thread, uint32_t reason)
{
    for (guint i = 0; i < rows->len; i++) {
        IrekoExitRow *row = &g_array_index(rows, IrekoExitRow, i);
        if (row->thread == thread && row->reason == reason)
            return row;
    }
    if (rows->len == IREKO_EXITS_ROWS_MAX)
        return NULL;
    const IrekoExitRow fresh = {.thread = thread, .reason = reason};
    g_array_append_val(rows, fresh);
    return &g_array_index(rows, IrekoExitRow, rows->len - 1);
}

/* The number behind NAME in LINE. */
static bool
number_behind(const char *line, const char *name, uint64_t most, uint64_t *ret_value)
{
    const char *at = strstr(line, name);
    if (at == NULL)
        return false;
    at += strlen(name);
    at += strspn(at, " ");
    g_autofree char *digits = g_strndup(at, strspn(at, "0123456789"));
    return ireko_text_parse_unsigned(digits, 10, 0, most, ret_value);
}

/* "{ common_pid:        104, exit_reason:         96 } hitcount:          5" */
static bool
parse_line(const char *line, int *ret_thread, uint32_t *ret_reason, uint64_t *ret_hits)
{
    uint64_t thread = 0, reason = 0, hits = 0;
    if (!number_behind(line, "common_pid:", INT32_MAX, &thread) ||
        !number_behind(line, "hitcount:", UINT64_MAX, &hits) ||
        (!number_behind(line, "exit_reason:", UINT32_MAX, &reason) &&
         !number_behind(line, "exit_code:", UINT32_MAX, &reason)))
        return false;
    *ret_thread = (int)thread;
    *ret_reason = (uint32_t)reason;
    *ret_hits = hits;
    return true;
}

bool
ireko_exits_parse(const char *text, IrekoExitColumn column, GArray *rows, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        int thread = 0;
        uint32_t reason = 0;
        uint64_t hits = 0;
        if (!parse_line(lines[i], &thread, &reason, &hits))
            continue;
        IrekoExitRow *row = find_row(rows, thread, reason);
        if (row == NULL) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                        "more than %d kinds of exits are counted", IREKO_EXITS_ROWS_MAX);
            return false;
        }
        if (column == IREKO_EXITS_ALL)
            row->exits += hits;
        else if (column == IREKO_EXITS_INNER)
            row->inner += hits;
        else
            row->reflected += hits;
    }
    return true;
}

char *
ireko_exits_explain(IrekoHv hv, uint32_t reason, char **ret_meaning)
{
    g_autofree char *key = hv == IREKO_HV_VMX ? g_strdup_printf("\nvmx %u ", reason & 0xffff)
                                              : g_strdup_printf("\nsvm %03x ", reason);
    size_t len = (size_t)(ireko_exits_book_end - ireko_exits_book);
    const char *at = memmem(ireko_exits_book, len, key, strlen(key));
    if (at == NULL)
        return NULL;
    at += strlen(key);
    const char *end = memchr(at, '\n', (size_t)(ireko_exits_book_end - at));
    const char *blank = memchr(at, ' ', (size_t)(end - at));
    *ret_meaning = g_strndup(blank + 1, (size_t)(end - blank - 1));
    return g_strndup(at, (size_t)(blank - at));
}
