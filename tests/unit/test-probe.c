/* Frames that prove a lab's network: the plan, the frames, who saw what, and which hop ate one. */
#include <string.h>

#include "lab/network/hops.h"
#include "lan/probe.h"

static IrekoProbePlan *
plan_of(unsigned cards, unsigned networks)
{
    GPtrArray *list = g_ptr_array_new();
    for (unsigned i = 0; i < cards; i++) {
        char mac[IREKO_MAC_TEXT];
        const uint8_t bytes[] = {0, 0x0c, 0x29, 0, (uint8_t)(i >> 8), (uint8_t)i};
        ireko_mac_print(bytes, mac);
        g_autofree char *path = g_strdup_printf("m%u", i);
        g_ptr_array_add(list, ireko_probe_card_new(path, 0, i % networks, mac));
    }
    return ireko_probe_plan_new(12345, list);
}

static const struct {
    const char *name;
    unsigned cards, networks, frames;
} plans[] = {
    {"nobody has nothing to send", 0, 1, 0},
    {"one alone has nobody to send to", 1, 1, 0},
    {"two send one to all and three to each other", 2, 1, 2 * (1 + 3)},
    {"two on two networks have nobody", 2, 2, 0},
    {"four on two networks are two pairs", 4, 2, 2 * 2 * (1 + 3)},
    {"64 send to each of the others", 64, 1, 64 * (1 + 3 * 63)},
    {"65 send to those 1, 2, 4 ... 64 further", 65, 1, 65 * (1 + 3 * 7)},
    {"2560, the most of a lab, send 94720 frames", 2560, 1, 2560 * (1 + 3 * 12)},
};

static void
test_plan(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(IrekoProbePlan) plan = plan_of(plans[i].cards, plans[i].networks);
    g_assert_cmpuint(plan->frames->len, ==, plans[i].frames);
    for (unsigned n = 0; n < plan->frames->len; n++) {
        const IrekoProbe *frame = &g_array_index(plan->frames, IrekoProbe, n);
        g_assert_false(ireko_probe_is_for(plan, n, frame->from));
    }
    json_t *json = ireko_probe_plan_to_json(plan);
    g_autoptr(IrekoProbePlan) again = ireko_probe_plan_from_json(json, NULL);
    json_decref(json);
    g_assert_nonnull(again);
    g_assert_cmpmem(again->frames->data, again->frames->len * sizeof(IrekoProbe),
                    plan->frames->data, plan->frames->len * sizeof(IrekoProbe));
}

static void
test_frames(void)
{
    g_autoptr(IrekoProbePlan) plan = plan_of(3, 1);
    g_autoptr(IrekoProbePlan) other = NULL;
    uint8_t frame[IREKO_PROBE_MTU];
    for (unsigned n = 0; n < plan->frames->len; n++) {
        const IrekoProbe *probe = &g_array_index(plan->frames, IrekoProbe, n);
        const IrekoProbeCard *from = g_ptr_array_index(plan->cards, probe->from);
        size_t len = ireko_probe_write(plan, n, frame);
        g_assert_cmpint(ireko_probe_read(plan, frame, len), ==, (int)n);
        g_assert_cmpuint(len, ==, probe->kind == IREKO_PROBE_FULL ? 1514 : 60);
        bool own = memcmp(frame + 6, from->mac, 6) == 0;
        g_assert_true(own == (probe->kind != IREKO_PROBE_FOREIGN));
        g_assert_true((frame[0] == 0xff) == (probe->kind == IREKO_PROBE_BROADCAST));
        for (size_t cut = 0; cut < len; cut++)
            g_assert_cmpint(ireko_probe_read(plan, frame, cut), ==, -1);
        for (size_t at = 12; at < len; at++) { /* addresses are the switches' business */
            frame[at] ^= 1;
            int got = ireko_probe_read(plan, frame, len);
            g_assert_true(got != (int)n);
            frame[at] ^= 1;
        }
    }
    other = plan_of(3, 1);
    other->token = 54321;
    size_t len = ireko_probe_write(other, 0, frame);
    g_assert_cmpint(ireko_probe_read(plan, frame, len), ==, -1);
}

static void
test_log(void)
{
    g_autoptr(IrekoProbePlan) plan = plan_of(3, 1);
    g_autoptr(IrekoProbeLog) log = ireko_probe_log_new(plan);
    ireko_probe_log_add(log, "ethernet0", true, 7);
    ireko_probe_log_add(log, "leaf ethernet1", false, plan->frames->len - 1);
    json_t *json = ireko_probe_log_to_json(log);
    g_autoptr(IrekoProbeLog) again = ireko_probe_log_from_json(plan, json, NULL);
    g_assert_nonnull(again);
    g_assert_true(ireko_probe_log_has(again, "ethernet0", true, 7));
    g_assert_false(ireko_probe_log_has(again, "ethernet0", false, 7));
    g_assert_false(ireko_probe_log_has(again, "ethernet0", true, 6));
    g_assert_true(ireko_probe_log_has(again, "leaf ethernet1", false, plan->frames->len - 1));
    g_autoptr(IrekoProbePlan) larger = plan_of(9, 1);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_probe_log_from_json(larger, json, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    json_decref(json);
}

/* ---- hops ---- */

#define VMX "ethernet0.present = \"TRUE\"\nethernet0.connectionType = \"hostonly\"\n"

static IrekoNode *
add_machine(GPtrArray *nodes, const IrekoNode *host, const char *name)
{
    g_autoptr(GBytes) vmx = g_bytes_new_static(VMX, strlen(VMX));
    IrekoNode *node = ireko_node_new(host != NULL ? host->path : "",
                                     host != NULL ? host->level + 1 : 1, name, "x.vmx", vmx, NULL);
    g_assert_nonnull(node);
    IrekoCard *card = ireko_card_new(0, IREKO_CARD_NET, "hostonly");
    card->uplink = host != NULL ? 0 : -1;
    g_ptr_array_add(node->cards, card);
    g_ptr_array_add(nodes, node);
    return node;
}

/* a { inner { deep }, other }, b { leaf }: six machines, each with a card on one network. */
static GPtrArray *
nest_of(void)
{
    GPtrArray *nodes = ireko_nodes_new();
    IrekoNode *a = add_machine(nodes, NULL, "a");
    IrekoNode *inner = add_machine(a->guests, a, "inner");
    (void)add_machine(inner->guests, inner, "deep");
    (void)add_machine(a->guests, a, "other");
    IrekoNode *b = add_machine(nodes, NULL, "b");
    (void)add_machine(b->guests, b, "leaf");
    return nodes;
}

/* Interfaces that saw the frame, in order: "PATH|LABEL|out". */
static const struct {
    const char *name, *from, *to;
    const char *way[12];
} ways[] = {
    {"from a guest's guest to another host's guest",
     "a/inner/deep",
     "b/leaf",
     {"a/inner/deep|ethernet0|out", "a/inner|deep ethernet0|in", "a/inner|ethernet0|out",
      "a|inner ethernet0|in", "a|ethernet0|out", "b|ethernet0|in", "b|leaf ethernet0|out",
      "b/leaf|ethernet0|in"}},
    {"from a host to another's guest",
     "a",
     "b/leaf",
     {"a|bridge 0|out", "a|ethernet0|out", "b|ethernet0|in", "b|leaf ethernet0|out",
      "b/leaf|ethernet0|in"}},
    {"from a host to its guest's guest",
     "a",
     "a/inner/deep",
     {"a|bridge 0|out", "a|inner ethernet0|out", "a/inner|ethernet0|in",
      "a/inner|deep ethernet0|out", "a/inner/deep|ethernet0|in"}},
    {"from a guest's guest to its host's host",
     "a/inner/deep",
     "a",
     {"a/inner/deep|ethernet0|out", "a/inner|deep ethernet0|in", "a/inner|ethernet0|out",
      "a|inner ethernet0|in", "a|bridge 0|in"}},
    {"between two guests of a host",
     "a/inner",
     "a/other",
     {"a/inner|bridge 0|out", "a/inner|ethernet0|out", "a|inner ethernet0|in",
      "a|other ethernet0|out", "a/other|ethernet0|in"}},
    {"from a guest's guest to its host's neighbour",
     "a/inner/deep",
     "a/other",
     {"a/inner/deep|ethernet0|out", "a/inner|deep ethernet0|in", "a/inner|ethernet0|out",
      "a|inner ethernet0|in", "a|other ethernet0|out", "a/other|ethernet0|in"}},
};

static const char *const members[] = {"a", "a/inner", "a/inner/deep", "a/other", "b", "b/leaf"};

static IrekoProbePlan *
plan_of_nest(void)
{
    GPtrArray *cards = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        IrekoProbeCard *card = ireko_probe_card_new(members[i], 0, 0, "00:0c:29:00:00:01");
        card->bridged = i == 0 || i == 1 || i == 4;
        g_ptr_array_add(cards, card);
    }
    return ireko_probe_plan_new(1, cards);
}

static unsigned
number_of(const IrekoProbePlan *plan, const char *from, const char *to, unsigned *ret_to)
{
    for (unsigned i = 0; i < plan->frames->len; i++) {
        const IrekoProbe *frame = &g_array_index(plan->frames, IrekoProbe, i);
        *ret_to = frame->to;
        if (frame->kind == IREKO_PROBE_UNICAST && strcmp(members[frame->from], from) == 0 &&
            strcmp(members[frame->to], to) == 0)
            return i;
    }
    g_assert_not_reached();
}

static void
free_log(void *log)
{
    ireko_probe_log_free(log);
}

static void
see(GHashTable *told, const IrekoProbePlan *plan, const char *where, unsigned number)
{
    g_auto(GStrv) parts = g_strsplit(where, "|", 3);
    IrekoProbeLog *log = g_hash_table_lookup(told, parts[0]);
    if (log == NULL) {
        log = ireko_probe_log_new(plan);
        g_hash_table_insert(told, g_strdup(parts[0]), log);
    }
    ireko_probe_log_add(log, parts[1], strcmp(parts[2], "out") == 0, number);
}

/* Between the interfaces SEEN and MISSING: what the words must name. */
static char *
eater_of(const char *seen, const char *missing)
{
    g_auto(GStrv) a = g_strsplit(seen, "|", 3);
    g_auto(GStrv) b = g_strsplit(missing, "|", 3);
    if (strcmp(a[0], b[0]) == 0)
        return g_strdup_printf("the bridge in %s ate it", a[0]);
    if (strchr(a[1], ' ') == NULL && strchr(b[1], ' ') == NULL)
        return g_strdup("the lab's switch 'hostonly' ate it");
    return g_strdup_printf("it was lost in the card of %s, between it and %s",
                           strlen(a[0]) > strlen(b[0]) ? a[0] : b[0],
                           strlen(a[0]) > strlen(b[0]) ? b[0] : a[0]);
}

/* Wherever the frame ends, that place is named. */
static void
test_way(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(GPtrArray) nodes = nest_of();
    g_autoptr(IrekoProbePlan) plan = plan_of_nest();
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_log);
    unsigned to = 0, number = number_of(plan, ways[i].from, ways[i].to, &to);
    g_autofree char *nothing = ireko_hops_explain(nodes, plan, told, number, to);
    g_autofree char *unsent = g_strdup_printf("%s did not send it", ways[i].from);
    g_assert_cmpstr(nothing, ==, unsent);
    for (unsigned k = 0; ways[i].way[k + 1] != NULL; k++) {
        see(told, plan, ways[i].way[k], number);
        g_autofree char *said = ireko_hops_explain(nodes, plan, told, number, to);
        g_autofree char *eater = eater_of(ways[i].way[k], ways[i].way[k + 1]);
        g_assert_true(g_str_has_suffix(said, eater));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(plans); i++) {
        g_autofree char *name = g_strconcat("/plan/", plans[i].name, NULL);
        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_plan);
    }
    g_test_add_func("/frames/are read as they were written, and no others", test_frames);
    g_test_add_func("/log/comes back from JSON, for the same plan", test_log);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree char *name = g_strconcat("/hops/", ways[i].name, NULL);
        g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_way);
    }
    return g_test_run();
}
