/* lab/see/exits.c - ireko see --exits: what the KVM of each layer counts, gathered on L0.
 *
 * In every layer around the machine that was asked for, and in that machine, `ireko exits` counts
 * (exits-serve.c); its lines come here through the agents, a thread a layer. L0 itself has no
 * agent: its engine is asked, and where L0 has KVM and we are root, its tracepoints. */
#include "host/exits.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ireko/see.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "engine/engine.h"
#include "lab/layer.h"
#include "lab/record.h"
#include "lab/see/capture.h"

#define BEGIN_SECONDS 30 /* for a layer's first line, times the pace of a first layer under TCG */
#define BEGIN_PACE    6
#define COUNT_MS      10000
#define FIRST_MS      1000 /* to the first round of many */
#define ONCE_MS       3000

/* A round costs each layer a tenth of a second in software, and hardly anything on KVM. */
#define WATCH_TCG_MS 15000
#define WATCH_KVM_MS 2000

#define WORDS_MAX 1024 /* bytes of what a layer said on standard error */
#define GUEST_MAX 256  /* bytes of a guest's name */

/* A layer that counts. */
typedef struct {
    const IrekoHome *home;
    char *where; /* "LAB:esxi01": how it is reached */
    char *path;
    unsigned first_ms, every_ms;
    int out_fd; /* of the talk: standard output and error there */
    int err_fd;
    int cancel_fd;
    GThread *thread;
    IrekoJsonl *lines;
    char *failure; /* why nothing comes; or NULL */
    IrekoHv hv;
    int64_t us, before_us;
    GHashTable *rows, *before; /* "GUEST\nREASON" to uint64_t[3], since the beginning */
} Source;

static void
source_free(void *data)
{
    Source *source = data;
    if (source->thread != NULL)
        (void)g_thread_join(source->thread);
    ireko_jsonl_free(source->lines);
    ireko_fd_close(&source->out_fd);
    ireko_fd_close(&source->err_fd);
    g_hash_table_unref(source->rows);
    g_hash_table_unref(source->before);
    g_free(source->where);
    g_free(source->path);
    g_free(source->failure);
    g_free(source);
}

void
ireko_exit_edge_free(IrekoExitEdge *edge)
{
    if (edge == NULL)
        return;
    g_free(edge->path);
    g_free(edge->layer);
    g_free(edge->source);
    g_free(edge->assist);
    g_free(edge->unknown);
    g_clear_pointer(&edge->reasons, g_ptr_array_unref);
    g_clear_pointer(&edge->counted, g_hash_table_unref);
    g_free(edge);
}

static void
free_edge(void *edge)
{
    ireko_exit_edge_free(edge);
}

static void
free_reason(void *data)
{
    IrekoExitReason *reason = data;
    g_free(reason->name);
    g_free(reason->meaning);
    g_free(reason);
}

/* ---- a layer's lines ---- */

static void *
run_source(void *data)
{
    Source *source = data;
    g_autofree char *every = g_strdup_printf("%u", source->every_ms);
    g_autofree char *first = g_strdup_printf("%u", source->first_ms);
    const char *argv[] = {"ireko", "exits", "--every-ms", every, "--first-ms", first, NULL};
    const int fds[3] = {-1, source->out_fd, source->err_fd};
    g_autoptr(GError) error = NULL;
    if (ireko_lab_exec(source->home, source->where, argv, fds, source->cancel_fd, &error) < 0)
        (void)dprintf(source->err_fd, "%s", error->message);
    ireko_fd_close(&source->out_fd); /* the end of its lines */
    return NULL;
}

static Source *
source_new(const IrekoHome *home,
           const char *lab,
           const IrekoNode *node,
           const IrekoExitsOrder *order,
           int stop_fd)
{
    Source *source = g_new0(Source, 1);
    int ends[2] = {-1, -1};
    (void)pipe2(ends, O_CLOEXEC);
    source->home = home;
    source->where = g_strdup_printf("%s:%s", lab, node->path);
    source->path = g_strdup(node->path);
    source->every_ms = order->every_ms;
    source->first_ms = order->rounds == 1 ? order->every_ms : MIN(order->every_ms, FIRST_MS);
    source->cancel_fd = stop_fd;
    source->out_fd = ends[1];
    source->err_fd = memfd_create("ireko-words", MFD_CLOEXEC);
    source->lines = ireko_jsonl_new(ends[0], order->cancel_fd);
    source->rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    source->before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    source->thread = g_thread_new("exits", run_source, source);
    return source;
}

/* What the layer said when it ended; free with g_free. */
static char *
words_of(const Source *source, const char *otherwise)
{
    char words[WORDS_MAX];
    ssize_t n = pread(source->err_fd, words, sizeof words, 0);
    g_autofree char *text = g_strndup(words, n > 0 ? (size_t)n : 0);
    g_strdelimit(g_strstrip(text), "\n", ' ');
    return *text != '\0' ? ireko_text_safe(text, (size_t)-1) : g_strdup(otherwise);
}

static bool
take_row(Source *source, const json_t *row)
{
    const char *guest = json_string_value(json_array_get(row, 0));
    if (json_array_size(row) != 5 || guest == NULL || strlen(guest) > GUEST_MAX)
        return false;
    uint64_t *counts = g_new0(uint64_t, 3);
    json_int_t reason = json_integer_value(json_array_get(row, 1));
    for (size_t i = 0; i < 3; i++)
        counts[i] = (uint64_t)MAX(json_integer_value(json_array_get(row, i + 2)), 0);
    g_autofree char *name = ireko_text_safe(guest, (size_t)-1);
    (void)g_strdelimit(name, "\n", ' ');
    (void)g_hash_table_replace(source->rows, g_strdup_printf("%s\n%u", name, (uint32_t)reason),
                               counts);
    return true;
}

static void
take_line(Source *source, const json_t *line)
{
    const json_t *rows = json_object_get(line, "rows");
    const char *hv = json_string_value(json_object_get(line, "hv"));
    bool good = json_is_array(rows) && json_array_size(rows) <= IREKO_EXITS_ROWS_MAX;
    g_hash_table_unref(source->before);
    source->before = source->rows;
    source->rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    source->before_us = source->us;
    source->us = (int64_t)json_integer_value(json_object_get(line, "us"));
    source->hv = g_strcmp0(hv, "vmx") == 0 ? IREKO_HV_VMX : IREKO_HV_SVM;
    for (size_t i = 0; good && i < json_array_size(rows); i++)
        good = take_row(source, json_array_get(rows, i));
    if (!good)
        source->failure = g_strdup("the layer answered with nonsense");
}

/* Waits for the next line of SOURCE; false only where the user ended it. */
static bool
next_line(Source *source, IrekoDeadline deadline)
{
    if (source->failure != NULL)
        return true;
    g_autoptr(GError) why = NULL;
    g_autoptr(json_t) line = ireko_jsonl_receive(source->lines, deadline, &why);
    if (line != NULL)
        take_line(source, line);
    else if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_CANCELLED))
        return false;
    else
        source->failure = words_of(source, why->message);
    return true;
}

/* ---- edges ---- */

static int
compare_reasons(const void *a, const void *b)
{
    const IrekoExitReason *x = *(IrekoExitReason *const *)a, *y = *(IrekoExitReason *const *)b;
    if (x->exits != y->exits)
        return x->exits < y->exits ? 1 : -1;
    return (x->code > y->code) - (x->code < y->code);
}

static IrekoExitEdge *
edge_new(const char *path, const char *layer, const char *source)
{
    IrekoExitEdge *edge = g_new0(IrekoExitEdge, 1);
    edge->path = g_strdup(path);
    edge->layer = g_strdup(layer);
    edge->source = g_strdup(source);
    edge->reasons = g_ptr_array_new_with_free_func(free_reason);
    return edge;
}

/* The edge of GUEST among EDGES, made where it is not there yet. */
static IrekoExitEdge *
edge_of(GPtrArray *edges, const Source *source, const char *guest)
{
    g_autofree char *path = g_strdup_printf("%s/%s", source->path, guest);
    for (guint i = 0; i < edges->len; i++) {
        IrekoExitEdge *edge = g_ptr_array_index(edges, i);
        if (strcmp(edge->path, path) == 0)
            return edge;
    }
    IrekoExitEdge *edge = edge_new(path, source->path, "kvm tracepoints");
    edge->assist = g_strdup(ireko_hv_name(source->hv));
    g_ptr_array_add(edges, edge);
    return edge;
}

static void
add_reason(IrekoExitEdge *edge, IrekoHv hv, uint32_t code, const uint64_t counts[3])
{
    IrekoExitReason *reason = g_new0(IrekoExitReason, 1);
    reason->code = code;
    reason->name = ireko_exits_explain(hv, code, &reason->meaning);
    if (reason->name == NULL)
        reason->name = g_strdup_printf(hv == IREKO_HV_VMX ? "%u" : "%03x", code);
    reason->exits = counts[0];
    reason->inner = counts[1];
    reason->reflected = counts[2];
    g_ptr_array_add(edge->reasons, reason);
}

static void
add_edges(GPtrArray *edges, const Source *source, bool each)
{
    if (source->failure != NULL) {
        IrekoExitEdge *edge = edge_new(source->path, source->path, "kvm tracepoints");
        edge->unknown = g_strdup(source->failure);
        g_ptr_array_add(edges, edge);
        return;
    }
    GHashTableIter iter;
    void *key = NULL, *value = NULL;
    g_hash_table_iter_init(&iter, source->rows);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const uint64_t *now = value, *old = g_hash_table_lookup(source->before, key);
        uint64_t counts[3];
        for (size_t i = 0; i < 3; i++)
            counts[i] = now[i] - (each && old != NULL && old[i] <= now[i] ? old[i] : 0);
        const char *line_end = strchr(key, '\n');
        g_autofree char *guest = g_strndup(key, (size_t)(line_end - (const char *)key));
        IrekoExitEdge *edge = edge_of(edges, source, guest);
        edge->seconds = (double)(source->us - (each ? source->before_us : 0)) / G_USEC_PER_SEC;
        if (counts[0] + counts[1] + counts[2] > 0)
            add_reason(edge, source->hv, (uint32_t)g_ascii_strtoull(line_end + 1, NULL, 10),
                       counts);
    }
}

/* What L0 knows of its own machine NODE, which runs as VM. */
static IrekoExitEdge *
outermost_edge(const IrekoCapture *capture, const char *name)
{
    bool kvm = g_strcmp0(capture->lab->accel, "kvm") == 0;
    IrekoExitEdge *edge =
        edge_new(name, "", kvm ? "KVM's statistics, by QEMU's query-stats" : "QEMU's 'info jit'");
    g_autoptr(GError) why = NULL;
    edge->counted = ireko_vm_count(capture->vm, ireko_deadline_in_ms(COUNT_MS), &why);
    if (edge->counted == NULL)
        edge->unknown = g_strdup(why->message);
    else if (!kvm)
        edge->unknown = g_strdup("TCG counts no exits: it plays the CPU with its SVM in software, "
                                 "so that no control is handed to a hypervisor of this host");
    else
        edge->unknown =
            g_strdup("by reason only the kernel of this host knows: see 'perf kvm stat'");
    return edge;
}

/* ---- the whole ---- */

/* Adds a source for each layer from NODES on to WANTED, and for that one where it runs guests. */
static void
add_sources(GPtrArray *sources,
            const IrekoHome *home,
            const IrekoCapture *capture,
            const IrekoExitsOrder *order,
            int stop_fd)
{
    g_auto(GStrv) segments = g_strsplit(capture->node->path, "/", -1);
    const GPtrArray *nodes = capture->lab->nodes;
    for (size_t i = 0; segments[i] != NULL; i++) {
        const IrekoNode *node = NULL;
        for (guint k = 0; k < nodes->len; k++) {
            const IrekoNode *one = g_ptr_array_index(nodes, k);
            node = strcmp(one->name, segments[i]) == 0 ? one : node;
        }
        if (node == NULL || node->guests->len == 0)
            return;
        g_ptr_array_add(sources, source_new(home, capture->lab->name, node, order, stop_fd));
        nodes = node->guests;
    }
}

static int
compare_edges(const void *a, const void *b)
{
    const IrekoExitEdge *x = *(IrekoExitEdge *const *)a, *y = *(IrekoExitEdge *const *)b;
    return strcmp(x->path, y->path);
}

/* One round; false where it is over. */
static bool
tell_round(const IrekoExitsOrder *order,
           const IrekoCapture *capture,
           const GPtrArray *sources,
           bool first)
{
    unsigned patience = first ? BEGIN_SECONDS : BEGIN_SECONDS / 2;
    IrekoDeadline deadline = ireko_patience(patience, BEGIN_PACE) + (int64_t)order->every_ms * 1000;
    for (guint i = 0; i < sources->len; i++) {
        if (!next_line(g_ptr_array_index(sources, i), deadline))
            return false;
    }
    g_autoptr(GPtrArray) edges = g_ptr_array_new_with_free_func(free_edge);
    g_autofree char *outermost = g_strndup(capture->node->path, strcspn(capture->node->path, "/"));
    g_ptr_array_add(edges, outermost_edge(capture, outermost));
    for (guint i = 0; i < sources->len; i++)
        add_edges(edges, g_ptr_array_index(sources, i), order->each);
    for (guint i = 0; i < edges->len; i++) {
        const IrekoExitEdge *edge = g_ptr_array_index(edges, i);
        g_ptr_array_sort(edge->reasons, compare_reasons);
    }
    g_ptr_array_sort(edges, compare_edges);
    return order->report(order->data, edges);
}

bool
ireko_see_exits(const IrekoHome *home, const IrekoExitsOrder *wanted, GError **error)
{
    g_auto(IrekoCapture) capture = IREKO_CAPTURE_NONE;
    if (!ireko_capture_find(&capture, home, wanted->path, error))
        return false;
    IrekoExitsOrder chosen = *wanted;
    const IrekoExitsOrder *order = &chosen;
    if (chosen.every_ms == 0)
        chosen.every_ms = chosen.rounds > 0                           ? ONCE_MS
                          : g_strcmp0(capture.lab->accel, "kvm") == 0 ? WATCH_KVM_MS
                                                                      : WATCH_TCG_MS;
    IREKO_AUTOFD stop_fd = eventfd(0, EFD_CLOEXEC);
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(source_free);
    add_sources(sources, home, &capture, order, stop_fd);
    for (unsigned round = 0; order->rounds == 0 || round < order->rounds; round++) {
        if (!tell_round(order, &capture, sources, round == 0))
            break;
    }
    (void)eventfd_write(stop_fd, 1);
    g_ptr_array_set_size(sources, 0); /* waits for their ends */
    return true;
}

/* ---- as JSON ---- */

static json_t *
counted_to_json(GHashTable *counted)
{
    json_t *object = json_object();
    GHashTableIter iter;
    void *key = NULL, *value = NULL;
    g_hash_table_iter_init(&iter, counted);
    while (g_hash_table_iter_next(&iter, &key, &value))
        (void)json_object_set_new(object, key,
                                  json_integer((json_int_t) * (const uint64_t *)value));
    return object;
}

static json_t *
edge_to_json(const IrekoExitEdge *edge)
{
    json_t *reasons = json_array();
    for (guint i = 0; i < edge->reasons->len; i++) {
        const IrekoExitReason *reason = g_ptr_array_index(edge->reasons, i);
        (void)json_array_append_new(
            reasons, json_pack("{s:I,s:s,s:s?,s:I,s:I,s:I}", "code", (json_int_t)reason->code,
                               "name", reason->name, "meaning", reason->meaning, "exits",
                               (json_int_t)reason->exits, "inner", (json_int_t)reason->inner,
                               "reflected", (json_int_t)reason->reflected));
    }
    return json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:f,s:o,s:o}", "path", edge->path, "layer",
                     edge->layer, "source", edge->source, "assist", edge->assist, "unknown",
                     edge->unknown, "seconds", edge->seconds, "reasons", reasons, "counted",
                     edge->counted != NULL ? counted_to_json(edge->counted) : json_null());
}

char *
ireko_exits_to_json(const char *path, const GPtrArray *edges)
{
    json_t *list = json_array();
    for (guint i = 0; i < edges->len; i++)
        (void)json_array_append_new(list, edge_to_json(g_ptr_array_index(edges, i)));
    g_autoptr(json_t) document =
        json_pack("{s:s,s:s,s:o}", "schema", "ireko.exits/1", "path", path, "edges", list);
    char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    char *copy = g_strdup(text);
    free(text);
    return copy;
}
