/* lab/see/boxes.c - ireko see --map: the memory of a nest as boxes, one inside the other.
 *
 * What a guest has of the memory of the layer around it is what its nested table maps. That table
 * is read while the machines run on: it is told as of about one moment, and a page that was mapped
 * while it was read may be missing. Accessed and dirty are what the hardware marks in the nested
 * table; a hypervisor that does not let it mark (KVM without A/D bits) shows neither. */
#include <string.h>

#include <ireko/see.h>
#include <ireko/text.h>

#include "base/jsonl.h"
#include "lab/record.h"
#include "lab/see/capture.h"
#include "lab/see/within.h"
#include "xray/map.h"

#define MIB      ((uint64_t)1 << 20)
#define RUNS_MAX 1048576

typedef struct {
    IrekoSource source;
    GPtrArray *boxes;
} Boxes;

void
ireko_box_free(IrekoBox *box)
{
    if (box == NULL)
        return;
    g_free(box->path);
    g_clear_pointer(&box->runs, g_array_unref);
    g_free(box->unknown);
    g_free(box);
}

static void
free_box(void *box)
{
    ireko_box_free(box);
}

static bool
add_run(void *data, const IrekoRun *run)
{
    IrekoBox *box = data;
    const IrekoBoxRun one = {
        .start = run->start,
        .bytes = run->bytes,
        .page_bytes = run->page_bytes,
        .to = run->to,
        .offset = run->offset.at,
        .accessed = run->accessed,
        .dirty = run->dirty,
        .cause = run->cause != IREKO_CAUSE_NONE ? ireko_cause_name(run->cause) : NULL,
    };
    g_array_append_val(box->runs, one);
    return box->runs->len < RUNS_MAX;
}

static void
fill_guest(IrekoBox *box, const IrekoSource *source, size_t guest)
{
    size_t n = 0;
    const IrekoGuest *guests = ireko_findings_guests(source->findings, &n);
    g_autoptr(IrekoChain) builder = ireko_within_chain(source, guests[guest].parent);
    IrekoMapSum sum = ireko_map_sum(builder, &guests[guest].nested, true);
    box->taken = sum.taken_bytes;
    box->small = sum.by_level[IREKO_LEVEL_PT];
    box->large = sum.by_level[IREKO_LEVEL_PD];
    box->huge = sum.by_level[IREKO_LEVEL_PDPT];
    box->accessed = sum.accessed_bytes;
    box->dirty = sum.dirty_bytes;
    box->zero = sum.zero_bytes;
    box->elsewhere = sum.lost_bytes;
    box->runs = g_array_new(FALSE, FALSE, sizeof(IrekoBoxRun));
    IrekoMapEnd end;
    (void)ireko_map(builder, &guests[guest].nested, add_run, box, &end);
}

static void
add_box(Boxes *boxes, const IrekoNode *node)
{
    IrekoBox *box = g_new0(IrekoBox, 1);
    box->path = g_strdup(node->path);
    box->level = node->level;
    box->ram = node->machine->memory_mib * MIB;
    g_ptr_array_add(boxes->boxes, box);
    if (node->level == 1) {
        ireko_capture_measure(boxes->source.capture, &box->taken, &box->zero);
        return;
    }
    g_autoptr(GError) why = NULL;
    g_autofree char *evidence = NULL;
    size_t guest = 0;
    if (ireko_within_guest(&boxes->source, node, &guest, &evidence, &why))
        fill_guest(box, &boxes->source, guest);
    else
        box->unknown = g_strdup(why->message);
}

/* Adds NODE and what is inside it, as far as it is on the way to WANTED or in it. */
static void
add_boxes(Boxes *boxes, const IrekoNode *node, const IrekoNode *wanted)
{
    size_t len = strlen(node->path), wanted_len = strlen(wanted->path);
    bool around = g_str_has_prefix(wanted->path, node->path) &&
                  (wanted->path[len] == '/' || wanted->path[len] == '\0');
    bool inside = g_str_has_prefix(node->path, wanted->path) && node->path[wanted_len] == '/';
    if (!around && !inside)
        return;
    add_box(boxes, node);
    for (guint i = 0; i < node->guests->len; i++)
        add_boxes(boxes, g_ptr_array_index(node->guests, i), wanted);
}

/* Adds the guests that were found just inside PARENT, each with those inside it. */
static void
add_found(Boxes *boxes, size_t parent)
{
    size_t n = 0;
    const IrekoGuest *guests = ireko_findings_guests(boxes->source.findings, &n);
    for (size_t i = 0; i < n; i++) {
        if (guests[i].parent != parent)
            continue;
        IrekoBox *box = g_new0(IrekoBox, 1);
        box->path = g_strdup_printf("guest %zu", i + 1);
        box->level = guests[i].depth + 1;
        fill_guest(box, &boxes->source, i);
        g_ptr_array_add(boxes->boxes, box);
        add_found(boxes, i);
    }
}

/* A saved machine, of which no lab says what is in it. */
static void
add_saved(Boxes *boxes, const char *ram)
{
    IrekoBox *box = g_new0(IrekoBox, 1);
    box->path = ireko_text_safe(ram, (size_t)-1);
    box->level = 1;
    box->ram = boxes->source.capture->bytes;
    ireko_capture_measure(boxes->source.capture, &box->taken, &box->zero);
    g_ptr_array_add(boxes->boxes, box);
    add_found(boxes, IREKO_FIND_OUTERMOST);
}

GPtrArray *
ireko_see_map(const IrekoHome *home, const IrekoSeeOrder *order, GError **error)
{
    g_auto(IrekoCapture) capture = IREKO_CAPTURE_NONE;
    IrekoMemory memory;
    if (!ireko_capture_order(&capture, home, order, error) ||
        !ireko_capture_scan(&capture, &memory, error))
        return NULL;
    g_autoptr(IrekoFindings) findings = ireko_within_find(&capture, &memory);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(free_box);
    Boxes boxes = {.source = {.capture = &capture, .memory = &memory, .findings = findings},
                   .boxes = list};
    if (capture.lab == NULL)
        add_saved(&boxes, order->ram);
    for (guint i = 0; capture.lab != NULL && i < capture.lab->nodes->len; i++)
        add_boxes(&boxes, g_ptr_array_index(capture.lab->nodes, i), capture.node);
    return g_steal_pointer(&list);
}

/* ---- as JSON ---- */

static json_t *
hex(uint64_t value)
{
    return json_sprintf("0x%" G_GINT64_MODIFIER "x", value);
}

static json_t *
runs_to_json(const GArray *runs)
{
    if (runs == NULL)
        return json_null();
    json_t *list = json_array();
    for (guint i = 0; i < runs->len; i++) {
        const IrekoBoxRun *run = &g_array_index(runs, IrekoBoxRun, i);
        (void)json_array_append_new(
            list, json_pack("{s:o,s:I,s:I,s:o,s:o,s:b,s:b,s:s?}", "start", hex(run->start), "bytes",
                            (json_int_t)run->bytes, "page_bytes", (json_int_t)run->page_bytes, "to",
                            hex(run->to), "offset",
                            run->cause == NULL ? hex(run->offset) : json_null(), "accessed",
                            (int)run->accessed, "dirty", (int)run->dirty, "cause", run->cause));
    }
    return list;
}

static json_t *
box_to_json(const IrekoBox *box)
{
    return json_pack("{s:s,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s?,s:o}", "path", box->path,
                     "level", (int)box->level, "ram_bytes", (json_int_t)box->ram, "taken_bytes",
                     (json_int_t)box->taken, "small_bytes", (json_int_t)box->small, "large_bytes",
                     (json_int_t)box->large, "huge_bytes", (json_int_t)box->huge, "accessed_bytes",
                     (json_int_t)box->accessed, "dirty_bytes", (json_int_t)box->dirty, "zero_bytes",
                     (json_int_t)box->zero, "elsewhere_bytes", (json_int_t)box->elsewhere,
                     "unknown", box->unknown, "runs", runs_to_json(box->runs));
}

char *
ireko_map_to_json(const char *path, const GPtrArray *boxes)
{
    json_t *list = json_array();
    for (guint i = 0; i < boxes->len; i++)
        (void)json_array_append_new(list, box_to_json(g_ptr_array_index(boxes, i)));
    g_autofree char *name = ireko_text_safe(path, (size_t)-1);
    g_autoptr(json_t) document =
        json_pack("{s:s,s:s,s:o}", "schema", "ireko.map/1", "path", name, "boxes", list);
    char *text = json_dumps(document, JSON_INDENT(1));
    char *copy = g_strdup(text);
    free(text);
    return copy;
}
