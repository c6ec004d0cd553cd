/* lab/network/frames.c - frames between every pair of machines of a lab, sent and judged.
 *
 * Three orders go to all machines at once (lab/network/exchange.h): all listen; all send to
 * everyone, which teaches every switch on the way who is where; then all send to each other. Frames
 * may be lost on any network, so what did not come is sent once more before it is called lost. */
#include "lab/network/frames.h"

#include <string.h>

#include <ireko/report.h>

#include "base/jsonl.h"
#include "base/text.h"
#include "lab/layer.h"
#include "lab/network/cards.h"
#include "lab/network/exchange.h"
#include "lab/network/hops.h"
#include "lab/network/switches.h"
#include "nest/nest.h"

#define WITHIN_SECONDS 5   /* for all machines to answer, times the pace of the innermost */
#define WAIT_MS        100 /* for a frame that does not come, times that pace */
#define EVIDENCE_MAX   ((size_t)900)

static const char *const checks[] = {
    [IREKO_PROBE_BROADCAST] = "net.broadcast",
    [IREKO_PROBE_UNICAST] = "net.unicast",
    [IREKO_PROBE_FOREIGN] = "net.foreign-mac",
    [IREKO_PROBE_FULL] = "net.mtu",
};

typedef struct {
    const IrekoFrames *frames;
    GHashTable *reports;
    IrekoProbePlan *plan;
    IrekoTold *told;
    GHashTable *silent; /* path -> why */
    GHashTable *faults; /* network -> what is wrong with its switch */
    unsigned pace;      /* of the innermost */
} Proof;

static void
proof_clear(Proof *proof)
{
    ireko_probe_plan_free(proof->plan);
    g_clear_pointer(&proof->told, g_hash_table_unref);
    g_clear_pointer(&proof->silent, g_hash_table_unref);
    g_clear_pointer(&proof->faults, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Proof, proof_clear)

/* ---- who takes part ---- */

typedef struct {
    GPtrArray *cards;     /* IrekoProbeCard */
    GHashTable *networks; /* name -> number + 1 */
    GHashTable *reports;
    unsigned depth;
} Gathering;

static bool
is_bridged(const IrekoNode *node, unsigned index)
{
    for (unsigned i = 0; i < node->guests->len; i++) {
        const IrekoNode *guest = node->guests->pdata[i];
        for (unsigned k = 0; k < guest->cards->len; k++) {
            const IrekoCard *card = guest->cards->pdata[k];
            if (card->link == IREKO_CARD_NET && card->uplink == (int)index)
                return true;
        }
    }
    return false;
}

static unsigned
number_of(GHashTable *networks, const char *name)
{
    unsigned number = GPOINTER_TO_UINT(g_hash_table_lookup(networks, name));
    if (number == 0) {
        number = g_hash_table_size(networks) + 1;
        g_hash_table_insert(networks, (void *)(uintptr_t)name, GUINT_TO_POINTER(number));
    }
    return number - 1;
}

/* Adds the cards of NODES whose machines run and have agents, and of the guests of those. */
static void
gather(Gathering *all, const GPtrArray *nodes)
{
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        const IrekoReport *report = g_hash_table_lookup(all->reports, node->path);
        if (report == NULL || report->state != IREKO_STATE_RUNNING || node->machine->image == NULL)
            continue;
        all->depth = MAX(all->depth, node->level);
        for (unsigned k = 0; k < node->cards->len; k++) {
            const IrekoCard *card = node->cards->pdata[k];
            if (card->link != IREKO_CARD_NET || all->cards->len >= IREKO_PROBE_CARDS_MAX)
                continue;
            IrekoProbeCard *probe = ireko_probe_card_new(
                node->path, card->index, number_of(all->networks, card->network), card->mac);
            probe->bridged = is_bridged(node, card->index);
            g_ptr_array_add(all->cards, probe);
        }
        gather(all, node->guests);
    }
}

/* ---- the exchange ---- */

static bool
has_agent(void *data, const char *name)
{
    const Proof *proof = data;
    for (unsigned i = 0; i < proof->plan->cards->len; i++) {
        const IrekoProbeCard *card = g_ptr_array_index(proof->plan->cards, i);
        if (g_str_has_prefix(card->path, name) && strchr("/", card->path[strlen(name)]) != NULL)
            return true;
    }
    return false;
}

static void
take_told(const Proof *proof, const json_t *answer)
{
    const char *path;
    json_t *value;
    json_object_foreach(json_object_get(answer, "seen"), path, value)
    {
        IrekoProbeLog *log = ireko_probe_log_from_json(proof->plan, value, NULL);
        if (log != NULL)
            g_hash_table_replace(proof->told, g_strdup(path), log);
    }
    json_object_foreach(json_object_get(answer, "silent"), path, value)
    {
        const char *why = json_string_value(value);
        g_hash_table_remove(proof->told, path);
        g_hash_table_replace(
            proof->silent, g_strdup(path),
            ireko_text_safe(why != NULL ? why : "it does not say why", (size_t)-1));
    }
}

/* Has all machines do WHAT; SET (may be NULL) are the frames. */
static void
order(Proof *proof, const char *what, const uint8_t *set)
{
    const IrekoFrames *frames = proof->frames;
    const IrekoGuests guests = {.engine = frames->engine,
                                .folder = frames->folder,
                                .path = "",
                                .cancel_fd = frames->cancel_fd,
                                .has_agent = has_agent,
                                .data = proof};
    g_autofree char *text = set != NULL ? ireko_probe_set_to_text(proof->plan, set) : NULL;
    double within = ireko_patience_seconds(WITHIN_SECONDS, proof->pace);
    double wait = ireko_patience_seconds(1, proof->pace) * WAIT_MS;
    g_autoptr(json_t) told =
        json_pack("{s:s,s:I,s:I,s:I}", "do", what, "token", (json_int_t)proof->plan->token,
                  "within_ms", (json_int_t)(within * 1000), "wait_ms", (json_int_t)wait);
    if (text != NULL)
        (void)json_object_set_new(told, "frames", json_string(text));
    else
        (void)json_object_set_new(told, "plan", ireko_probe_plan_to_json(proof->plan));
    g_autoptr(json_t) answer = ireko_exchange_ask(&guests, told);
    if (set != NULL)
        take_told(proof, answer);
}

static bool
has_come(const Proof *proof, unsigned number, unsigned to)
{
    const IrekoProbeCard *card = g_ptr_array_index(proof->plan->cards, to);
    const IrekoProbeLog *log = g_hash_table_lookup(proof->told, card->path);
    g_autofree char *top = ireko_probe_top(card);
    return log != NULL && ireko_probe_log_has(log, top, false, number);
}

/* The frames of which KINDS (a bit each) has the kind; or, LOST, that have not come everywhere. */
static uint8_t *
choose(const Proof *proof, unsigned kinds, bool lost, bool *ret_any)
{
    uint8_t *set = ireko_probe_set_new(proof->plan);
    *ret_any = false;
    for (unsigned i = 0; i < proof->plan->frames->len; i++) {
        const IrekoProbe *frame = &g_array_index(proof->plan->frames, IrekoProbe, i);
        bool wanted = (kinds >> frame->kind & 1) != 0 && !lost;
        for (unsigned k = 0; lost && !wanted && k < proof->plan->cards->len; k++)
            wanted = ireko_probe_is_for(proof->plan, i, k) && !has_come(proof, i, k);
        if (wanted)
            ireko_probe_set_add(set, i);
        *ret_any |= wanted;
    }
    return set;
}

static void
exchange(Proof *proof)
{
    bool any = false;
    g_autofree uint8_t *to_all = choose(proof, 1u << IREKO_PROBE_BROADCAST, false, &any);
    g_autofree uint8_t *to_each = choose(proof, ~(1u << IREKO_PROBE_BROADCAST), false, &any);
    order(proof, "listen", NULL);
    order(proof, "send", to_all);
    order(proof, "send", to_each);
    g_autofree uint8_t *lost = choose(proof, 0, true, &any);
    if (any)
        order(proof, "send", lost);
    order(proof, "end", NULL);
}

/* ---- the switches ---- */

/* What is wrong with the switch of NETWORK, or NULL; free with g_free. */
static char *
fault_of(const Proof *proof, const char *network)
{
    g_autoptr(json_t) status = ireko_switch_status(proof->frames->folder, network, NULL);
    if (status == NULL)
        return g_strdup_printf("the lab's switch '%s' does not run", network);
    for (unsigned i = 0; i < proof->frames->nodes->len; i++) {
        const IrekoNode *node = proof->frames->nodes->pdata[i];
        const IrekoReport *report = g_hash_table_lookup(proof->reports, node->path);
        for (unsigned k = 0; k < node->cards->len; k++) {
            const IrekoCard *card = node->cards->pdata[k];
            if (report != NULL && report->state == IREKO_STATE_RUNNING &&
                g_strcmp0(card->network, network) == 0 &&
                ireko_switch_port(status, node->path, card->index) == NULL)
                return g_strdup_printf("ethernet%u of %s is not plugged into the lab's switch '%s'",
                                       card->index, node->path, network);
        }
    }
    return NULL;
}

static void
look_at_switches(const Proof *proof)
{
    g_autoptr(GPtrArray) networks = ireko_cards_networks(proof->frames->nodes);
    for (unsigned i = 0; i < networks->len; i++) {
        char *fault = fault_of(proof, networks->pdata[i]);
        if (fault != NULL)
            g_hash_table_insert(proof->faults, g_strdup(networks->pdata[i]), fault);
    }
}

static const IrekoNode *
find_node(const GPtrArray *nodes, const char *path)
{
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        const IrekoNode *found =
            strcmp(node->path, path) == 0 ? node : find_node(node->guests, path);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* What is wrong with the switch of CARD's network, or NULL. */
static const char *
find_fault(const Proof *proof, const IrekoProbeCard *card)
{
    const IrekoNode *node = find_node(proof->frames->nodes, card->path);
    const IrekoCard *given = node != NULL ? ireko_card_find(node->cards, card->index) : NULL;
    return given != NULL ? g_hash_table_lookup(proof->faults, given->network) : NULL;
}

/* ---- the judgement ---- */

/* What came of the frames of one kind for one card. */
typedef struct {
    unsigned promised, seen;
    GString *lost; /* which were, in words */
} Outcome;

static void
add_lost(const Proof *proof, Outcome *outcome, unsigned number, unsigned to)
{
    const IrekoProbe *frame = &g_array_index(proof->plan->frames, IrekoProbe, number);
    const IrekoProbeCard *from = g_ptr_array_index(proof->plan->cards, frame->from);
    if (outcome->lost->len > EVIDENCE_MAX)
        return;
    g_autofree char *why =
        ireko_hops_explain(proof->frames->nodes, proof->plan, proof->told, number, to);
    g_string_append_printf(outcome->lost, "%sfrom %s: %s", outcome->lost->len > 0 ? "; " : "",
                           from->path, why);
}

static void
count(const Proof *proof, IrekoProbeKind kind, unsigned to, Outcome *outcome)
{
    for (unsigned i = 0; i < proof->plan->frames->len; i++) {
        const IrekoProbe *frame = &g_array_index(proof->plan->frames, IrekoProbe, i);
        const IrekoProbeCard *from = g_ptr_array_index(proof->plan->cards, frame->from);
        if (frame->kind != kind || !ireko_probe_is_for(proof->plan, i, to) ||
            g_hash_table_lookup(proof->told, from->path) == NULL)
            continue; /* nobody says that it was sent */
        outcome->promised++;
        if (has_come(proof, i, to))
            outcome->seen++;
        else
            add_lost(proof, outcome, i, to);
    }
}

static IrekoCheck *
judge(const Proof *proof, IrekoProbeKind kind, unsigned to)
{
    const IrekoProbeCard *card = g_ptr_array_index(proof->plan->cards, to);
    g_autofree char *device = g_strdup_printf("ethernet%u", card->index);
    const char *silent = g_hash_table_lookup(proof->silent, card->path);
    Outcome outcome = {.lost = g_string_new(NULL)};
    g_autoptr(GString) lost = outcome.lost;
    count(proof, kind, to, &outcome);
    if (outcome.promised == 0)
        return NULL;
    g_autofree char *promised = g_strdup_printf("%u", outcome.promised);
    if (g_hash_table_lookup(proof->told, card->path) == NULL)
        return ireko_nest_frames_check(checks[kind], device, promised, NULL,
                                       silent != NULL ? silent : "it told nothing");
    g_autofree char *seen = g_strdup_printf("%u", outcome.seen);
    g_autofree char *all = g_strdup_printf("from %u cards on its network", outcome.promised);
    const char *fault = lost->len > 0 ? find_fault(proof, card) : NULL;
    if (fault != NULL) {
        g_string_prepend(lost, "; ");
        g_string_prepend(lost, fault);
    }
    IrekoCheck *check = ireko_nest_frames_check(checks[kind], device, promised, seen,
                                                lost->len > 0 ? lost->str : all);
    if (fault != NULL)
        check->fix = g_strdup_printf("'ireko up %s' starts the switch and plugs the machines in",
                                     proof->frames->lab);
    return check;
}

/* A card that nobody asked about: it runs the user's own system. */
static void
add_unasked(const Proof *proof, GPtrArray *changed)
{
    for (unsigned i = 0; i < proof->frames->nodes->len; i++) {
        const IrekoNode *node = proof->frames->nodes->pdata[i];
        IrekoReport *report = g_hash_table_lookup(proof->reports, node->path);
        if (report == NULL || report->state != IREKO_STATE_RUNNING || node->machine->image != NULL)
            continue;
        for (unsigned k = 0; k < node->cards->len; k++) {
            const IrekoCard *card = node->cards->pdata[k];
            g_autofree char *device = g_strdup_printf("ethernet%u", card->index);
            if (card->link != IREKO_CARD_NET)
                continue;
            g_ptr_array_add(report->checks,
                            ireko_nest_frames_check("net.unicast", device, "true", NULL,
                                                    "no agent inside: no frames were tried"));
            if (!g_ptr_array_find(changed, node->path, NULL))
                g_ptr_array_add(changed, node->path);
        }
    }
}

static void
judge_all(const Proof *proof, GPtrArray *changed)
{
    for (unsigned to = 0; to < proof->plan->cards->len; to++) {
        const IrekoProbeCard *card = g_ptr_array_index(proof->plan->cards, to);
        IrekoReport *report = g_hash_table_lookup(proof->reports, card->path);
        bool any = false;
        for (int kind = 0; kind < IREKO_PROBE_KINDS; kind++) {
            IrekoCheck *check = judge(proof, (IrekoProbeKind)kind, to);
            if (check != NULL)
                g_ptr_array_add(report->checks, check);
            any |= check != NULL;
        }
        if (any && !g_ptr_array_find_with_equal_func(changed, report->path, g_str_equal, NULL))
            g_ptr_array_add(changed, report->path);
    }
}

static void
free_log(void *log)
{
    ireko_probe_log_free(log);
}

GPtrArray *
ireko_frames_prove(const IrekoFrames *frames, GHashTable *reports)
{
    g_autoptr(GHashTable) networks = g_hash_table_new(g_str_hash, g_str_equal);
    Gathering all = {.cards = g_ptr_array_new(), .networks = networks, .reports = reports};
    gather(&all, frames->nodes);
    g_auto(Proof) proof = {
        .frames = frames,
        .reports = reports,
        .plan = ireko_probe_plan_new((uint64_t)g_random_int() << 31 ^ g_random_int(), all.cards),
        .told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_log),
        .silent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .faults = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .pace = frames->pace,
    };
    for (unsigned level = 1; level < all.depth; level++)
        proof.pace = ireko_layer_pace(IREKO_ACCEL_KVM, proof.pace, level);
    GPtrArray *changed = g_ptr_array_new();
    if (proof.plan->frames->len > 0) {
        look_at_switches(&proof);
        exchange(&proof);
        judge_all(&proof, changed);
    }
    add_unasked(&proof, changed);
    return changed;
}
