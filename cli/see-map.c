/* cli/see-map.c - ireko see PATH --map: the memory of a nest, drawn as boxes inside boxes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "see.h"

#define NARROW    80 /* columns where there is no terminal */
#define BAR_CELLS 48
#define MIB       ((double)(1 << 20))

typedef struct {
    unsigned width;
    const char *side, *flat, *corners[4]; /* of a box: top left, top right, bottom left and right */
    const char *cells[4];                 /* of a bar: given on, its own, zeros, not touched */
} Style;

static Style
style_new(void)
{
    unsigned width = cli_width(STDOUT_FILENO);
    Style style = {.width = width > 0 ? width : NARROW,
                   .side = "|",
                   .flat = "-",
                   .corners = {"+", "+", "+", "+"},
                   .cells = {"#", "=", "0", "."}};
    if (g_get_charset(NULL))
        style = (Style){.width = style.width,
                        .side = "│",
                        .flat = "─",
                        .corners = {"┌", "┐", "└", "┘"},
                        .cells = {"█", "▒", "░", "·"}};
    return style;
}

static void
repeat(const char *text, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)fputs(text, stdout);
}

/* A line inside DEPTH boxes. */
static void
put_line(const Style *style, unsigned depth, const char *text)
{
    for (unsigned i = 0; i < depth; i++)
        (void)printf("%s ", style->side);
    (void)fputs(text, stdout);
    long used = g_utf8_strlen(text, -1) + 4L * depth;
    repeat(" ", used < (long)style->width ? style->width - (unsigned)used : 0);
    for (unsigned i = 0; i < depth; i++)
        (void)printf(" %s", style->side);
    (void)puts("");
}

/* The upper or lower edge of a box that has DEPTH boxes around it, with TITLE in it. */
static void
put_edge(const Style *style, unsigned depth, bool top, const char *title)
{
    g_autoptr(GString) line = g_string_new(style->corners[top ? 0 : 2]);
    if (*title != '\0')
        g_string_append_printf(line, "%s %s ", style->flat, title);
    long len = g_utf8_strlen(line->str, -1) + 4L * depth + 1;
    for (; len < (long)style->width; len++)
        g_string_append(line, style->flat);
    g_string_append(line, style->corners[top ? 1 : 3]);
    put_line(style, depth, line->str);
}

static void
put_bar(const Style *style, unsigned depth, const IrekoBox *box, uint64_t given)
{
    uint64_t zero = MIN(box->zero, box->taken - MIN(given, box->taken));
    uint64_t own = box->taken - MIN(given + zero, box->taken);
    const uint64_t parts[] = {MIN(given, box->taken), own, zero,
                              box->ram - MIN(box->taken, box->ram)};
    g_autoptr(GString) line = g_string_new(NULL);
    uint64_t before = 0, whole = MAX(MAX(box->ram, box->taken), 1);
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        uint64_t from = before * BAR_CELLS / whole, to = (before + parts[i]) * BAR_CELLS / whole;
        for (; from < to; from++)
            g_string_append(line, style->cells[i]);
        before += parts[i];
    }
    put_line(style, depth, line->str);
    g_autofree char *words = g_strdup_printf(
        "%s guests %.0f  %s own %.0f  %s zero %.0f  %s untouched %.0f MiB", style->cells[0],
        (double)parts[0] / MIB, style->cells[1], (double)parts[1] / MIB, style->cells[2],
        (double)parts[2] / MIB, style->cells[3], (double)parts[3] / MIB);
    put_line(style, depth, words);
}

static void
put_pages(const Style *style, unsigned depth, const IrekoBox *box)
{
    if (box->runs == NULL)
        return;
    g_autofree char *pages = g_strdup_printf(
        "mapped in 4 KiB pages %.0f, 2 MiB %.0f, 1 GiB %.0f MiB", (double)box->small / MIB,
        (double)box->large / MIB, (double)box->huge / MIB);
    put_line(style, depth, pages);
    g_autofree char *marks = g_strdup_printf("of these accessed %.0f, dirty %.0f MiB",
                                             (double)box->accessed / MIB, (double)box->dirty / MIB);
    put_line(style, depth, marks);
}

/* What BOXES[AT] gives to the machines just inside it. */
static uint64_t
given_by(const GPtrArray *boxes, guint at)
{
    const IrekoBox *box = g_ptr_array_index(boxes, at);
    uint64_t given = 0;
    for (guint i = at + 1; i < boxes->len; i++) {
        const IrekoBox *inner = g_ptr_array_index(boxes, i);
        if (inner->level <= box->level)
            break;
        given += inner->level == box->level + 1 ? inner->taken : 0;
    }
    return given;
}

/* Draws BOXES[AT] and all inside it; returns the index behind them. */
static guint
put_box(const Style *style, const GPtrArray *boxes, guint at)
{
    const IrekoBox *box = g_ptr_array_index(boxes, at);
    unsigned depth = box->level - 1;
    const char *slash = strrchr(box->path, '/');
    g_autofree char *title =
        g_strdup_printf("L%u %s, %.0f MiB", box->level, slash != NULL ? slash + 1 : box->path,
                        (double)(box->ram > 0 ? box->ram : box->taken) / MIB);
    put_edge(style, depth, true, title);
    if (box->unknown != NULL) {
        put_line(style, depth + 1, box->unknown);
    } else {
        put_bar(style, depth + 1, box, given_by(boxes, at));
        put_pages(style, depth + 1, box);
    }
    guint next = at + 1;
    while (next < boxes->len && ((IrekoBox *)g_ptr_array_index(boxes, next))->level > box->level)
        next = put_box(style, boxes, next);
    put_edge(style, depth, false, "");
    return next;
}

int
see_map(const IrekoHome *home,
        const IrekoSeeOrder *order,
        const SeeOptions *options,
        GError **error)
{
    g_autoptr(GPtrArray) boxes = ireko_see_map(home, order, error);
    if (boxes == NULL)
        return EXIT_NO;
    if (options->json) {
        g_autofree char *text =
            ireko_map_to_json(order->path != NULL ? order->path : order->ram, boxes);
        (void)puts(text);
        return EXIT_DONE;
    }
    Style style = style_new();
    for (guint at = 0; at < boxes->len;)
        at = put_box(&style, boxes, at);
    return EXIT_DONE;
}
