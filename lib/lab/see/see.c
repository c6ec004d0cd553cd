/* lab/see/see.c - ireko see: the way of an address of a machine at any depth.
 *
 * The outermost machine stands still while QEMU writes its state down and while the addresses are
 * walked, which takes microseconds: so tables and registers are of one moment. What is asked for
 * with --no-pause is read twice instead, and what was not the same is told. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <ireko/see.h>
#include <ireko/text.h>

#include "lab/record.h"
#include "lab/see/capture.h"
#include "lab/see/seen.h"
#include "lab/see/within.h"
#include "xray/chain.h"

#define BYTES_SHOWN   16 /* at the end of a walk: an instruction or more */
#define ASK_MS        10000
#define LOOKS         50 /* at a vCPU that may run a guest just then */
#define LOOK_AGAIN_US 5000

typedef struct {
    IrekoSource source;
    const IrekoSeeOrder *order;
    IrekoSeen *seen;
    bool known; /* which guest it is: */
    size_t guest;
    char *evidence;
} Look;

static void
look_clear(Look *look)
{
    g_clear_pointer(&look->evidence, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

static void
add_place(IrekoSeeWalk *walk, unsigned layer, const char *space, uint64_t at)
{
    const IrekoSeePlace place = {.layer = layer, .space = space, .at = at};
    g_array_append_val(walk->chain, place);
}

/* Adds STEPS. On the way of the address itself are all entries of the machine's own table, and of
 * each table around those behind the last of the table inside it; the others lead to tables. */
static void
add_steps(IrekoSeeWalk *walk, const IrekoAround *around, unsigned level, const GArray *steps)
{
    guint from = 0;
    for (guint i = 0; i < steps->len; i++) {
        const IrekoStep *step = &g_array_index(steps, IrekoStep, i);
        IrekoSeeStep seen = {
            .layer = step->table == 0 ? level : around->layers[step->table - 1],
            .kind = step->table == 0 ? "own"
                    : step->backing  ? "process"
                                     : around->kinds[step->table - 1],
            .table = ireko_level_name(step->level),
            .entry_at = step->entry_at.at,
            .raw = step->raw,
            .page_bytes = step->page_bytes,
            .unread = step->unread,
        };
        ireko_see_step_flags(&seen);
        g_array_append_val(walk->steps, seen);
    }
    for (size_t table = 0; table <= around->n; table++) {
        guint end = from;
        for (guint i = from; i < steps->len; i++) {
            if (g_array_index(steps, IrekoStep, i).table != table)
                continue;
            g_array_index(walk->steps, IrekoSeeStep, i).last = true;
            end = i + 1;
        }
        from = end;
    }
}

/* The bytes at ADDRESS, which begins at WAY's offset; as many as stand in its page. */
static void
take_bytes(IrekoSeeWalk *walk,
           const IrekoMemory *memory,
           const IrekoWay *way,
           const IrekoWithin *inside)
{
    uint64_t page = way->page_bytes > 0 ? way->page_bytes : IREKO_PAGE_BYTES;
    size_t len = (size_t)MIN(BYTES_SHOWN, page - walk->address % page);
    uint8_t bytes[BYTES_SHOWN];
    if (!memory->read(memory->data, way->gpa, bytes, len))
        return;
    walk->bytes = g_bytes_new(bytes, len);
    if (strcmp(walk->what, "rip") == 0)
        walk->code = ireko_seen_disassemble(bytes, len, walk->address, inside->code_bits);
}

/* What a vCPU's addresses go through. */
typedef struct {
    const IrekoWithin *within;
    IrekoAround around;
    IrekoChain *chain;
    IrekoTable own;
} Eyes;

static IrekoSeeWalk *
walk_one(const Look *look, const Eyes *eyes, const char *what, uint64_t at)
{
    unsigned level = look->seen->level;
    const IrekoAround *around = &eyes->around;
    IrekoSeeWalk *walk = ireko_see_walk_new(what, at);
    g_autoptr(GArray) steps = g_array_new(FALSE, TRUE, sizeof(IrekoStep));
    IrekoWay way;
    walk->ok = ireko_chain_gva(eyes->chain, &eyes->own, (IrekoGva){at}, 0, steps, &way);
    add_place(walk, level, "gva", at);
    for (unsigned i = 0; i < way.known; i++)
        add_place(walk, i == 0 ? level : around->layers[i - 1], "gpa", way.physical[i]);
    add_steps(walk, around, level, steps);
    walk->page_bytes = way.page_bytes;
    if (walk->ok) {
        add_place(walk, 0, "offset", way.offset.at);
        take_bytes(walk, &look->source.capture->memory, &way, eyes->within);
        return walk;
    }
    walk->cause = ireko_cause_name(way.cause);
    walk->denied_layer = way.table == 0 ? level : around->layers[way.table - 1];
    walk->denied_table = way.level > 0 ? ireko_level_name(way.level) : NULL;
    return walk;
}

static const char *
mode_of(const IrekoPagingState *state)
{
    IrekoTable own = ireko_table_own(state);
    switch (own.paging) {
    case IREKO_PAGING_NONE:
        return "real";
    case IREKO_PAGING_32:
        return "32bit";
    case IREKO_PAGING_PAE:
        return "pae";
    case IREKO_PAGING_4:
        return "long4";
    case IREKO_PAGING_5:
        return "long5";
    case IREKO_PAGING_EPT4:
    case IREKO_PAGING_EPT5:
        break;
    }
    return "unknown";
}

static void
look_through(const Look *look, const IrekoWithin *within)
{
    g_autoptr(IrekoChain) chain = ireko_within_chain(&look->source, within->guest);
    const Eyes eyes = {.within = within,
                       .around = ireko_within_around(look->source.findings, within->guest),
                       .chain = chain,
                       .own = ireko_table_own(&within->state)};
    IrekoSeeVcpu *vcpu = ireko_see_vcpu_new(within->number, mode_of(&within->state));
    vcpu->evidence = g_strdup(within->evidence);
    g_ptr_array_add(look->seen->vcpus, vcpu);
    if (look->order->n == 0)
        g_ptr_array_add(vcpu->walks, walk_one(look, &eyes, "rip", within->cs_base + within->rip));
    for (size_t i = 0; i < look->order->n; i++)
        g_ptr_array_add(vcpu->walks, walk_one(look, &eyes, "address", look->order->addresses[i]));
}

/* Looks through all of the memory for control blocks; NULL with an error. */
static IrekoFindings *
find_all(IrekoCapture *capture, GError **error)
{
    IrekoMemory whole;
    return ireko_capture_scan(capture, &whole, error) ? ireko_within_find(capture, &whole) : NULL;
}

/* Finds out which guest is meant. */
static bool
identify(Look *look, GError **error)
{
    const IrekoNode *node = look->source.capture->node;
    g_clear_pointer(&look->evidence, g_free);
    look->guest = IREKO_FIND_OUTERMOST;
    if (look->order->guest == 0) {
        look->known = node == NULL ||
                      ireko_within_guest(&look->source, node, &look->guest, &look->evidence, error);
        return look->known;
    }
    size_t n = 0, guest = look->order->guest - 1;
    const IrekoGuest *guests = ireko_findings_guests(look->source.findings, &n);
    look->known = guest < n;
    if (look->known) {
        look->guest = guest;
        look->seen->level = guests[guest].depth + 1;
    } else {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "there is no guest %u, but %zu: --find shows them", look->order->guest, n);
    }
    return look->known;
}

static GPtrArray *
vcpus_of(const Look *look, GError **error)
{
    return ireko_within_vcpus(&look->source, look->guest, look->evidence, error);
}

/* While the machine stands still. What was found while it ran is looked for again only where it
 * does not hold now. */
static bool
look_now(void *data, GError **error)
{
    Look *look = data;
    IrekoCapture *capture = look->source.capture;
    look->source.stream = capture->stream;
    g_autoptr(GPtrArray) found = look->known ? vcpus_of(look, NULL) : NULL;
    g_autoptr(IrekoFindings) again = found == NULL ? find_all(capture, error) : NULL;
    if (found == NULL && again != NULL) {
        look->source.findings = again;
        found = identify(look, error) ? vcpus_of(look, error) : NULL;
    }
    for (guint i = 0; found != NULL && i < found->len; i++)
        look_through(look, g_ptr_array_index(found, i));
    return found != NULL;
}

static IrekoSeen *
seen_of(const IrekoCapture *capture)
{
    IrekoSeen *seen = ireko_seen_new();
    seen->path = capture->node != NULL ? g_strdup(capture->node->path) : NULL;
    seen->level = capture->node != NULL ? capture->node->level : 1;
    seen->accel = capture->lab != NULL ? g_strdup(capture->lab->accel) : NULL;
    seen->ram_file = ireko_text_safe(capture->files.path, (size_t)-1);
    seen->ram_base = capture->files.base;
    return seen;
}

/* One reading of a machine that runs on. A vCPU of the outermost machine may run a guest just when
 * it is asked: then all are asked again, at the end to have those that can be had. */
static IrekoSeen *
look_running(IrekoCapture *capture, const IrekoSeeOrder *order, GError **error)
{
    g_autoptr(IrekoSeen) seen = seen_of(capture);
    g_auto(Look) look = {
        .source = {.capture = capture, .memory = &capture->memory}, .order = order, .seen = seen};
    g_autoptr(IrekoFindings) findings = find_all(capture, error);
    look.source.findings = findings;
    if (findings == NULL || !identify(&look, error))
        return NULL;
    for (unsigned i = 0; i < LOOKS; i++) {
        g_autoptr(GArray) registers =
            ireko_vm_registers(capture->vm, ireko_deadline_in_ms(ASK_MS), error);
        if (registers == NULL)
            return NULL;
        look.source.registers = registers;
        bool last = i + 1 == LOOKS;
        g_autoptr(GPtrArray) found = vcpus_of(&look, last ? error : NULL);
        if (found != NULL && look.guest == IREKO_FIND_OUTERMOST && found->len < registers->len &&
            !last)
            g_clear_pointer(&found, g_ptr_array_unref);
        for (guint k = 0; found != NULL && k < found->len; k++)
            look_through(&look, g_ptr_array_index(found, k));
        if (found != NULL)
            return g_steal_pointer(&seen);
        g_usleep(LOOK_AGAIN_US);
    }
    return NULL;
}

static IrekoSeen *
look_twice(IrekoCapture *capture, const IrekoSeeOrder *order, GError **error)
{
    g_autoptr(IrekoSeen) before = look_running(capture, order, error);
    g_autoptr(IrekoSeen) now = before != NULL ? look_running(capture, order, error) : NULL;
    if (now != NULL)
        ireko_seen_compare(now, before);
    return g_steal_pointer(&now);
}

static IrekoSeen *
look_once(IrekoCapture *capture, const IrekoSeeOrder *order, GError **error)
{
    g_autoptr(IrekoSeen) seen = seen_of(capture);
    g_auto(Look) look = {
        .source = {.capture = capture, .memory = &capture->memory}, .order = order, .seen = seen};
    /* A guest that has a number is one of those that the state tells, too: as for --find. */
    bool inside = seen->level > 1 && order->guest == 0;
    g_autoptr(IrekoFindings) findings = inside ? find_all(capture, error) : NULL;
    if (inside && findings == NULL)
        return NULL;
    look.source.findings = findings;
    if (order->guest == 0)
        (void)identify(&look, NULL); /* if not now, then while it stands still */
    if (!ireko_capture_take(capture, look_now, &look, error))
        return NULL;
    seen->still_us = capture->vm != NULL ? capture->still_us : -1;
    return g_steal_pointer(&seen);
}

IrekoSeen *
ireko_see(const IrekoHome *home, const IrekoSeeOrder *order, GError **error)
{
    g_auto(IrekoCapture) capture = IREKO_CAPTURE_NONE;
    if (!ireko_capture_order(&capture, home, order, error))
        return NULL;
    return capture.vm != NULL && order->no_pause ? look_twice(&capture, order, error)
                                                 : look_once(&capture, order, error);
}
