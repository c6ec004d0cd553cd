/* cli/view.c - a run shown as it goes on.
 *
 * On a terminal the tree is drawn again in place at each report and each second; where it would not
 * fit the window, and elsewhere, each change is one line on standard error. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define TICK_MS 500

struct View {
    GMutex lock;
    GCond ended;
    GThread *ticker; /* NULL: lines instead of a live tree */
    bool over, quiet;
    char *name;
    char *step;          /* what goes on before the first machine; or NULL */
    GPtrArray *machines; /* IrekoReport, in the order of the tree */
    unsigned drawn;      /* lines on the screen that are ours */
    int64_t began_us;
};

static unsigned
count_lines(const char *text)
{
    unsigned lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

static void
erase(View *view)
{
    if (view->drawn > 0)
        (void)fprintf(stderr, "\033[%uA\033[J", view->drawn);
    view->drawn = 0;
}

/* Puts TEXT over what was drawn before, line by line, so that nothing flickers. */
static void
draw_over(View *view, const char *text)
{
    if (view->drawn > 0)
        (void)fprintf(stderr, "\033[%uA", view->drawn);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    view->drawn = g_strv_length(lines) - 1; /* the text ends its last line */
    for (unsigned i = 0; i < view->drawn; i++)
        (void)fprintf(stderr, "%s\033[K\n", lines[i]);
    (void)fputs("\033[J", stderr);
}

/* The machines without their checks. */
static GPtrArray *
folded(const GPtrArray *machines)
{
    GPtrArray *heads =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ireko_report_free);
    for (unsigned i = 0; i < machines->len; i++) {
        IrekoReport *head = ireko_report_copy(machines->pdata[i]);
        g_ptr_array_set_size(head->checks, 0);
        g_ptr_array_add(heads, head);
    }
    return heads;
}

static void
draw(View *view)
{
    double seconds = (double)(g_get_monotonic_time() - view->began_us) / G_USEC_PER_SEC;
    g_autofree char *title =
        view->step != NULL ? g_strdup_printf("%s: %s (%.0f s)", view->name, view->step, seconds)
                           : g_strdup_printf("%s (%.0f s)", view->name, seconds);
    g_autofree char *whole = tree_to_text(title, view->machines, true, cli_columns() - 1);
    if (count_lines(whole) < cli_rows()) {
        draw_over(view, whole);
    } else {
        g_autoptr(GPtrArray) heads = folded(view->machines);
        g_autofree char *text = tree_to_text(title, heads, true, cli_columns() - 1);
        draw_over(view, text);
    }
    (void)fflush(stderr);
}

static void *
tick(void *data)
{
    View *view = data;
    g_mutex_lock(&view->lock);
    while (!view->over) {
        draw(view);
        (void)g_cond_wait_until(&view->ended, &view->lock,
                                g_get_monotonic_time() + TICK_MS * G_TIME_SPAN_MILLISECOND);
    }
    g_mutex_unlock(&view->lock);
    return NULL;
}

View *
view_new(const char *name, const GPtrArray *machines, bool quiet)
{
    View *view = g_new0(View, 1);
    g_mutex_init(&view->lock);
    g_cond_init(&view->ended);
    view->quiet = quiet;
    view->name = g_strdup(name);
    view->machines =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ireko_report_free);
    for (unsigned i = 0; i < machines->len; i++)
        g_ptr_array_add(view->machines, ireko_report_copy(machines->pdata[i]));
    view->began_us = g_get_monotonic_time();
    if (!quiet && cli_is_terminal(STDERR_FILENO))
        view->ticker = g_thread_new("view", tick, view);
    return view;
}

void
view_free(View *view)
{
    if (view == NULL)
        return;
    g_mutex_lock(&view->lock);
    view->over = true;
    g_cond_signal(&view->ended);
    g_mutex_unlock(&view->lock);
    if (view->ticker != NULL)
        (void)g_thread_join(view->ticker);
    erase(view);
    (void)fflush(stderr);
    g_ptr_array_unref(view->machines);
    g_free(view->name);
    g_free(view->step);
    g_mutex_clear(&view->lock);
    g_cond_clear(&view->ended);
    g_free(view);
}

/* A line on how REPORT differs from OLD, which was told before. */
static void
print_change(const IrekoReport *old, const IrekoReport *report)
{
    bool says = report->message != NULL && g_strcmp0(old->message, report->message) != 0;
    if (!says && old->state == report->state && old->checks->len == report->checks->len)
        return;
    unsigned held = 0;
    for (unsigned i = 0; i < report->checks->len; i++)
        held += ((const IrekoCheck *)report->checks->pdata[i])->ok;
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "%s: %s", report->path, ireko_state_name(report->state));
    if (report->proven_seconds >= 0)
        g_string_append_printf(line, " after %.1f s", report->proven_seconds);
    else if (report->ready_seconds >= 0)
        g_string_append_printf(line, " after %.1f s", report->ready_seconds);
    if (report->checks->len > 0)
        g_string_append_printf(line, ", %u of %u promises held", held, report->checks->len);
    if (says)
        g_string_append_printf(line, ": %s", report->message);
    (void)fprintf(stderr, "%s\n", line->str);
}

void
view_report(void *data, const IrekoReport *report)
{
    View *view = data;
    g_mutex_lock(&view->lock);
    g_clear_pointer(&view->step, g_free);
    for (unsigned i = 0; i < view->machines->len; i++) {
        IrekoReport *old = view->machines->pdata[i];
        if (strcmp(old->path, report->path) != 0)
            continue;
        if (view->ticker == NULL && !view->quiet)
            print_change(old, report);
        view->machines->pdata[i] = ireko_report_copy(report);
        ireko_report_free(old);
    }
    if (view->ticker != NULL)
        draw(view);
    g_mutex_unlock(&view->lock);
}

void
view_progress(void *data, const char *step, unsigned done, unsigned total)
{
    View *view = data;
    g_autofree char *text =
        total > 0 ? g_strdup_printf("%s (%u of %u)", step, done, total) : g_strdup(step);
    g_mutex_lock(&view->lock);
    bool same = view->step != NULL && g_str_has_prefix(view->step, step);
    g_free(view->step);
    view->step = g_steal_pointer(&text);
    if (view->ticker != NULL)
        draw(view);
    else if (!view->quiet && !same)
        (void)fprintf(stderr, "%s\n", view->step);
    g_mutex_unlock(&view->lock);
}
