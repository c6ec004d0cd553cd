/* lab/network/hops.c - the way of a frame through the layers of a nest.
 *
 * A frame leaves its machine by the card, comes into the machine around by the tap of that card,
 * leaves that one by the card that leads on, and so on to the machine in which both ends are, or to
 * the lab's switch; from there the same way inwards. Each machine on the way tells which of its
 * interfaces the frame passed, in which direction. So the last place that saw it and the first that
 * should have and did not have what ate it between them. */
#include "lab/network/hops.h"

#include <string.h>

typedef struct {
    const IrekoNode *node; /* whose interface it is */
    char *label;
    bool out;
    const IrekoNode *guest; /* it is this one's tap; or NULL */
} Hop;

/* A machine and a card of it that a frame passes, with the machine around it. */
typedef struct {
    const IrekoNode *node, *host; /* HOST NULL: on L0 */
    unsigned index;
} Stage;

static void
free_hop(void *data)
{
    Hop *hop = data;
    g_free(hop->label);
    g_free(hop);
}

static const IrekoNode *
find_node(const GPtrArray *nodes, const char *path, const IrekoNode **ret_host)
{
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        size_t len = strlen(node->path);
        if (strcmp(node->path, path) == 0)
            return node;
        if (strncmp(node->path, path, len) == 0 && path[len] == '/') {
            *ret_host = node;
            return find_node(node->guests, path, ret_host);
        }
    }
    return NULL;
}

/* The stages from CARD's machine outwards, as far as its frames can get. */
static GArray *
stages_of(const GPtrArray *nodes, const IrekoProbeCard *card)
{
    GArray *stages = g_array_new(FALSE, FALSE, sizeof(Stage));
    g_autofree char *path = g_strdup(card->path);
    unsigned index = card->index;
    while (path != NULL) {
        Stage stage = {.index = index};
        stage.node = find_node(nodes, path, &stage.host);
        if (stage.node == NULL)
            break;
        g_array_append_val(stages, stage);
        const IrekoCard *given = ireko_card_find(stage.node->cards, index);
        g_free(path);
        bool goes_on = stage.host != NULL && given != NULL && given->uplink >= 0;
        path = goes_on ? g_strdup(stage.host->path) : NULL;
        index = goes_on ? (unsigned)given->uplink : 0;
    }
    return stages;
}

static void
add(GPtrArray *way, const IrekoNode *node, char *label, bool out, const IrekoNode *guest)
{
    Hop *hop = g_new0(Hop, 1);
    *hop = (Hop){.node = node, .label = label, .out = out, .guest = guest};
    g_ptr_array_add(way, hop);
}

static void
add_card(GPtrArray *way, const Stage *stage, bool out)
{
    add(way, stage->node, g_strdup_printf("ethernet%u", stage->index), out, NULL);
}

static void
add_tap(GPtrArray *way, const Stage *stage, bool out)
{
    if (stage->host != NULL)
        add(way, stage->host, g_strdup_printf("%s ethernet%u", stage->node->name, stage->index),
            out, stage->node);
}

/* From the first of STAGES to the one LAST, and into the machine around that one. */
static void
add_outwards(GPtrArray *way, const GArray *stages, unsigned last)
{
    for (unsigned i = 0; i <= last; i++) {
        const Stage *stage = &g_array_index(stages, Stage, i);
        add_card(way, stage, true);
        add_tap(way, stage, false);
    }
}

/* From the machine around the one LAST of STAGES to the first. */
static void
add_inwards(GPtrArray *way, const GArray *stages, unsigned last)
{
    for (unsigned i = last + 1; i-- > 0;) {
        const Stage *stage = &g_array_index(stages, Stage, i);
        add_tap(way, stage, true);
        add_card(way, stage, false);
    }
}

/* The first stage of STAGES whose machine is inside HOST; -1: none is. */
static int
find_inside(const GArray *stages, const IrekoNode *host)
{
    for (unsigned i = 0; i < stages->len; i++) {
        if (g_array_index(stages, Stage, i).host == host)
            return (int)i;
    }
    return -1;
}

/* Both ends meet in the machine (or on L0) around a stage of each. */
static void
add_meeting(GPtrArray *way, const GArray *out, const GArray *in)
{
    for (unsigned i = 0; i < out->len; i++) {
        int inner = find_inside(in, g_array_index(out, Stage, i).host);
        if (inner < 0)
            continue;
        add_outwards(way, out, i);
        add_inwards(way, in, (unsigned)inner);
        return;
    }
}

static void
add_top(GPtrArray *way, const IrekoProbeCard *card, const GArray *stages, bool out)
{
    if (card->bridged && stages->len > 0)
        add(way, g_array_index(stages, Stage, 0).node, ireko_probe_top(card), out, NULL);
}

/* The way from FROM to TO: Hop, in order. */
static GPtrArray *
way_of(const GPtrArray *nodes, const IrekoProbeCard *from, const IrekoProbeCard *to)
{
    GPtrArray *way = g_ptr_array_new_with_free_func(free_hop);
    g_autoptr(GArray) out = stages_of(nodes, from);
    g_autoptr(GArray) in = stages_of(nodes, to);
    if (out->len == 0 || in->len == 0)
        return way;
    int below = find_inside(in, g_array_index(out, Stage, 0).node);
    int above = find_inside(out, g_array_index(in, Stage, 0).node);
    add_top(way, from, out, true);
    if (below >= 0) /* TO is inside FROM */
        add_inwards(way, in, (unsigned)below);
    else if (above >= 0) /* FROM is inside TO */
        add_outwards(way, out, (unsigned)above);
    else
        add_meeting(way, out, in);
    add_top(way, to, in, false);
    return way;
}

/* ---- in words ---- */

static char *
place_of(const Hop *hop)
{
    if (hop->guest != NULL)
        return g_strdup_printf("the port of %s in %s", hop->label, hop->node->path);
    return g_strdup_printf("%s of %s", hop->label, hop->node->path);
}

static char *
eater_between(const Hop *seen, const Hop *missing, const char *network)
{
    if (seen->node == missing->node)
        return g_strdup_printf("the bridge in %s ate it", seen->node->path);
    if (seen->guest == NULL && missing->guest == NULL)
        return g_strdup_printf("the lab's switch '%s' ate it", network);
    const IrekoNode *inner = seen->guest != NULL ? missing->node : seen->node;
    return g_strdup_printf("it was lost in the card of %s, between it and %s", inner->path,
                           seen->guest != NULL ? seen->node->path : missing->node->path);
}

static bool
was_seen(IrekoTold *told, const Hop *hop, unsigned number)
{
    const IrekoProbeLog *log = g_hash_table_lookup(told, hop->node->path);
    return log != NULL && ireko_probe_log_has(log, hop->label, hop->out, number);
}

static const char *
network_of(const GPtrArray *nodes, const IrekoProbeCard *card)
{
    const IrekoNode *host = NULL;
    const IrekoNode *node = find_node(nodes, card->path, &host);
    const IrekoCard *given = node != NULL ? ireko_card_find(node->cards, card->index) : NULL;
    return given != NULL && given->network != NULL ? given->network : "";
}

char *
ireko_hops_explain(const GPtrArray *nodes,
                   const IrekoProbePlan *plan,
                   IrekoTold *told,
                   unsigned number,
                   unsigned to)
{
    const IrekoProbe *frame = &g_array_index(plan->frames, IrekoProbe, number);
    const IrekoProbeCard *sender = g_ptr_array_index(plan->cards, frame->from);
    const IrekoProbeCard *receiver = g_ptr_array_index(plan->cards, to);
    g_autoptr(GPtrArray) way = way_of(nodes, sender, receiver);
    unsigned next = way->len; /* behind the last that saw it */
    while (next > 0 && !was_seen(told, way->pdata[next - 1], number))
        next--;
    if (next == 0)
        return g_strdup_printf("%s did not send it", sender->path);
    g_autofree char *seen = place_of(way->pdata[next - 1]);
    if (next == way->len)
        return g_strdup_printf("seen at %s, too late", seen);
    g_autofree char *missing = place_of(way->pdata[next]);
    g_autofree char *eater =
        eater_between(way->pdata[next - 1], way->pdata[next], network_of(nodes, receiver));
    return g_strdup_printf("seen at %s, not at %s: %s", seen, missing, eater);
}
