/* base/diff.c - a unified diff of two texts that are nearly the same.
 *
 * Both are read line by line from the front. Where they part, the nearest pair of lines at which
 * they are the same again is looked for: the pair that skips the fewest lines of both together.
 * That is not always the shortest diff, but always a right one, and for edits of a few lines apart
 * it is the shortest. The search looks at most REACH lines ahead, so that the whole stays linear in
 * the length of the texts; where they do not meet within it, all that is left is one change.
 *
 * A line ends with its newline, as for patch(1): a carriage return before it is part of the line,
 * and a last line without a newline is marked as such. */
#include <stdbool.h>
#include <string.h>

#include <ireko/text.h>

#define REACH   256 /* lines of both texts together that a change may have before it is the rest */
#define CONTEXT 3   /* lines around a change, as diff -u has them */

typedef struct {
    const char *bytes;
    size_t *starts; /* COUNT of them, and where the last line ends */
    size_t count;
} Lines;

/* Lines OLD to OLD_END of the one text became NEW to NEW_END of the other. */
typedef struct {
    size_t was, was_end, now, now_end;
} Change;

static Lines
split(GBytes *text)
{
    size_t len = 0;
    const char *bytes = g_bytes_get_data(text, &len);
    g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (size_t at = 0; at < len;) {
        g_array_append_val(starts, at);
        const char *end = memchr(bytes + at, '\n', len - at);
        at = end != NULL ? (size_t)(end - bytes) + 1 : len;
    }
    size_t count = starts->len;
    g_array_append_val(starts, len);
    return (Lines){bytes, (size_t *)(void *)g_array_free(g_steal_pointer(&starts), FALSE), count};
}

static bool
same(const Lines *was, size_t i, const Lines *now, size_t k)
{
    size_t len = was->starts[i + 1] - was->starts[i];
    return len == now->starts[k + 1] - now->starts[k] &&
           memcmp(was->bytes + was->starts[i], now->bytes + now->starts[k], len) == 0;
}

/* The change that begins at line I of OLD and line K of NEW, where they part. */
static Change
change_at(const Lines *was, size_t i, const Lines *now, size_t k)
{
    for (size_t skipped = 1; skipped <= REACH; skipped++) {
        for (size_t a = 0; a <= skipped; a++) {
            size_t x = i + a, y = k + skipped - a;
            bool both_end = x == was->count && y == now->count;
            if (both_end || (x < was->count && y < now->count && same(was, x, now, y)))
                return (Change){i, x, k, y};
        }
    }
    return (Change){i, was->count, k, now->count};
}

static GArray *
find_changes(const Lines *was, const Lines *now)
{
    GArray *changes = g_array_new(FALSE, FALSE, sizeof(Change));
    for (size_t i = 0, k = 0; i < was->count || k < now->count;) {
        if (i < was->count && k < now->count && same(was, i, now, k)) {
            i++, k++;
            continue;
        }
        Change change = change_at(was, i, now, k);
        g_array_append_val(changes, change);
        i = change.was_end;
        k = change.now_end;
    }
    return changes;
}

static void
print_lines(GString *out, char mark, const Lines *lines, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        size_t len = lines->starts[i + 1] - lines->starts[i];
        g_string_append_c(out, mark);
        g_string_append_len(out, lines->bytes + lines->starts[i], (gssize)len);
        if (lines->bytes[lines->starts[i + 1] - 1] != '\n')
            g_string_append(out, "\n\\ No newline at end of file\n");
    }
}

/* A range of COUNT lines from START (from 0), as the head of a hunk says it: an empty one is named
 * by the line before. */
static void
print_range(GString *out, char mark, size_t start, size_t count)
{
    g_string_append_printf(out, " %c%zu", mark, count > 0 ? start + 1 : start);
    if (count != 1)
        g_string_append_printf(out, ",%zu", count);
}

/* CHANGES, COUNT of them, which lie so near each other that they share their context. */
static void
print_hunk(GString *out, const Lines *was, const Lines *now, const Change *changes, size_t count)
{
    const Change *first = &changes[0], *last = &changes[count - 1];
    size_t before = MIN(first->was, CONTEXT), after = MIN(was->count - last->was_end, CONTEXT);
    g_string_append(out, "@@");
    print_range(out, '-', first->was - before, last->was_end + after - first->was + before);
    print_range(out, '+', first->now - before, last->now_end + after - first->now + before);
    g_string_append(out, " @@\n");
    size_t at = first->was - before;
    for (size_t i = 0; i < count; i++) {
        print_lines(out, ' ', was, at, changes[i].was);
        print_lines(out, '-', was, changes[i].was, changes[i].was_end);
        print_lines(out, '+', now, changes[i].now, changes[i].now_end);
        at = changes[i].was_end;
    }
    print_lines(out, ' ', was, at, at + after);
}

/* patch(1) takes a name with blanks for whole only where a tab follows it. */
static void
print_names(GString *out, const char *name)
{
    g_autofree char *safe = g_strdelimit(ireko_text_safe(name, (size_t)-1), "\n\t", '?');
    const char *tab = strchr(safe, ' ') != NULL ? "\t" : "";
    g_string_append_printf(out, "--- %s%s\n+++ %s%s\n", safe, tab, safe, tab);
}

char *
ireko_text_diff(const char *name, GBytes *before, GBytes *after, size_t *ret_len)
{
    Lines was = split(before), now = split(after);
    g_autoptr(GArray) changes = find_changes(&was, &now);
    GString *out = g_string_new(NULL);
    if (changes->len > 0)
        print_names(out, name);
    for (size_t i = 0; i < changes->len;) {
        const Change *first = &g_array_index(changes, Change, i);
        size_t count = 1;
        while (i + count < changes->len &&
               first[count].was - first[count - 1].was_end <= (size_t)2 * CONTEXT)
            count++;
        print_hunk(out, &was, &now, first, count);
        i += count;
    }
    g_free(was.starts);
    g_free(now.starts);
    *ret_len = out->len;
    return g_string_free(out, FALSE);
}
