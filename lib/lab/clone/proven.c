/* lab/clone/proven.c - what was proven of a host when its template was made, and holds of its
 * clones. */
#include "lab/clone/proven.h"

#include <string.h>

#include "base/jsonl.h"
#include "lab/clone/began.h"
#include "lab/clone/identity.h"
#include "lab/network/netorder.h"

#define BY_TEMPLATE "; proven when its template was made"

json_t *
ireko_proven_keep(const IrekoReport *self, GHashTable *inside)
{
    json_t *kept = json_array();
    json_array_append_new(kept, ireko_report_to_json(self));
    GHashTableIter iter;
    void *report = NULL;
    g_hash_table_iter_init(&iter, inside);
    while (g_hash_table_iter_next(&iter, NULL, &report))
        json_array_append_new(kept, ireko_report_to_json(report));
    return kept;
}

/* A recall as it goes on. */
typedef struct {
    const IrekoNode *top;
    const json_t *kept;
    const char *path; /* of TOP's template */
    double seconds;
    const GPtrArray *answer; /* IrekoIdentity, a machine first, then those inside it */
    GPtrArray *reports;
} Recall;

/* What was kept of the machine that NODE is a clone of; NULL where nothing that can be read. */
static IrekoReport *
find_kept(const Recall *recall, const IrekoNode *node)
{
    const char *below = node->path + strlen(recall->top->path);
    g_autofree char *then = g_strconcat(recall->path, below, NULL);
    size_t i;
    const json_t *object;
    json_array_foreach(recall->kept, i, object)
    {
        if (g_strcmp0(json_string_value(json_object_get(object, "path")), then) == 0)
            return ireko_report_from_json(object, NULL);
    }
    return NULL;
}

/* Takes away what is each machine's own, and says of the rest where it comes from. */
static void
mark_checks(IrekoReport *report)
{
    for (unsigned i = report->checks->len; i-- > 0;) {
        IrekoCheck *check = report->checks->pdata[i];
        if (g_str_has_prefix(check->what, "net.")) {
            g_ptr_array_remove_index(report->checks, i);
            continue;
        }
        char *evidence =
            g_strconcat(check->evidence != NULL ? check->evidence : "", BY_TEMPLATE, NULL);
        g_free(check->evidence);
        check->evidence = evidence;
    }
}

static bool
recall_node(Recall *recall, const IrekoNode *node)
{
    IrekoReport *report = find_kept(recall, node);
    if (report == NULL || recall->reports->len >= recall->answer->len)
        return false;
    const IrekoIdentity *is = recall->answer->pdata[recall->reports->len];
    g_ptr_array_add(recall->reports, report);
    g_free(report->path);
    report->path = g_strdup(node->path);
    g_free(report->origin);
    report->origin = g_strdup(IREKO_ORIGIN_CLONE);
    g_clear_pointer(&report->message, g_free);
    report->state = IREKO_STATE_RUNNING;
    report->ready_seconds = report->proven_seconds = recall->seconds;
    mark_checks(report);
    g_autoptr(json_t) interfaces = ireko_netorder_interfaces(is->interfaces);
    if (node->cards->len > 0)
        ireko_nest_prove_cards(report, node->cards, interfaces, NULL);
    for (unsigned i = 0; i < node->guests->len; i++) {
        if (!recall_node(recall, node->guests->pdata[i]))
            return false;
    }
    return true;
}

static void
free_report(void *report)
{
    ireko_report_free(report);
}

GPtrArray *
ireko_proven_recall(const IrekoNode *node,
                    const json_t *kept,
                    const char *path,
                    const GPtrArray *answer,
                    double seconds)
{
    g_autoptr(GPtrArray) reports = g_ptr_array_new_with_free_func(free_report);
    Recall recall = {.top = node,
                     .kept = kept,
                     .path = path,
                     .seconds = seconds,
                     .answer = answer,
                     .reports = reports};
    if (path == NULL || !recall_node(&recall, node))
        return NULL;
    return g_steal_pointer(&reports);
}
