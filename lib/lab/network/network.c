/* lab/network/network.c - the lab's network on L0. */
#include "lab/network/network.h"

#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "lab/network/cards.h"
#include "lab/network/switches.h"

#define ROUTES_MAX     ((size_t)16 << 20) /* bytes of /proc/net/route */
#define RELINK_SECONDS 5
#define SELF           "/proc/self/exe"

/* What the cards of NODE take. */
static bool
add_used(void *data, const IrekoNode *node)
{
    for (unsigned i = 0; i < node->cards->len; i++) {
        const IrekoCard *card = node->cards->pdata[i];
        IrekoSubnet subnet = {card->address, card->prefix};
        if (card->address != 0)
            g_array_append_val((GArray *)data, subnet);
    }
    return true;
}

/* The subnets of the labs on record but NAME: whoever is in two of them can tell them apart. */
static void
add_labs(const IrekoHome *home, const char *name, GArray *used)
{
    g_auto(GStrv) names = ireko_lab_names(home);
    for (size_t i = 0; names[i] != NULL; i++) {
        g_autoptr(IrekoLab) other =
            strcmp(names[i], name) != 0 ? ireko_record_read(home, names[i], NULL) : NULL;
        if (other != NULL)
            (void)ireko_nodes_each(other->nodes, add_used, used);
    }
}

bool
ireko_network_plan(const IrekoHome *home, const IrekoLab *lab, GError **error)
{
    g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(IrekoSubnet));
    g_autofree char *routes = ireko_file_read(AT_FDCWD, "/proc/net/route", ROUTES_MAX, NULL, NULL);
    if (routes != NULL)
        ireko_routes_parse(routes, used);
    add_labs(home, lab->name, used);
    return ireko_cards_plan(lab->nodes, lab->name, used, error);
}

bool
ireko_network_start(const IrekoHome *home, const IrekoLab *lab, const char *program, GError **error)
{
    g_autofree char *folder = ireko_record_run_folder(home, lab->name);
    g_autofree char *self = program == NULL ? g_file_read_link(SELF, error) : g_strdup(program);
    return self != NULL && ireko_switches_start(folder, self, lab->name, lab->nodes, error);
}

int
ireko_network_link(const IrekoLayer *layer,
                   const IrekoNode *node,
                   const IrekoCard *card,
                   GError **error)
{
    return ireko_switch_plug(layer->folder, card->network, node->path, card->index, error);
}

static bool
plug(const IrekoLayer *layer,
     const IrekoNode *node,
     const IrekoCard *card,
     IrekoVm *vm,
     GError **error)
{
    IREKO_AUTOFD fd = layer->link(layer, node, card, error);
    return fd >= 0 &&
           ireko_vm_relink(vm, card->index, fd, ireko_patience(RELINK_SECONDS, 1), error);
}

bool
ireko_network_plug(const IrekoLayer *layer, const IrekoNode *node, IrekoVm *vm, GError **error)
{
    for (unsigned i = 0; i < node->cards->len; i++) {
        const IrekoCard *card = node->cards->pdata[i];
        if (card->link == IREKO_CARD_NET && !plug(layer, node, card, vm, error))
            return false;
    }
    return true;
}

void
ireko_network_mend(const IrekoLayer *layer, const IrekoNode *node, IrekoVm *vm)
{
    for (unsigned i = 0; i < node->cards->len; i++) {
        const IrekoCard *card = node->cards->pdata[i];
        if (card->link != IREKO_CARD_NET)
            continue;
        g_autoptr(json_t) status = ireko_switch_status(layer->folder, card->network, NULL);
        if (status != NULL && ireko_switch_port(status, node->path, card->index) == NULL)
            (void)plug(layer, node, card, vm, NULL);
    }
}

static void
check_link(const IrekoLayer *layer,
           const IrekoNode *node,
           const IrekoCard *card,
           IrekoReport *report)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *device = g_strdup_printf("ethernet%u", card->index);
    g_autoptr(json_t) status = ireko_switch_status(layer->folder, card->network, &error);
    const json_t *port = ireko_switch_port(status, node->path, card->index);
    g_autofree char *evidence =
        port != NULL     ? g_strdup_printf("a port of the lab's switch: %" JSON_INTEGER_FORMAT
                                           " frames came by it, %" JSON_INTEGER_FORMAT " went",
                                           json_integer_value(json_object_get(port, "received")),
                                           json_integer_value(json_object_get(port, "sent")))
        : status != NULL ? g_strdup("the lab's switch has no port of it")
                         : g_strdup_printf("the lab's switch does not run: %s", error->message);
    IrekoCheck *check = ireko_nest_link_check(device, card->network, port != NULL, evidence);
    if (port == NULL)
        check->fix =
            g_strdup_printf("'ireko up %s' starts the switch and plugs the machines in", layer->id);
    g_ptr_array_add(report->checks, check);
}

void
ireko_network_check(const IrekoLayer *layer, const IrekoNode *node, IrekoReport *report)
{
    for (unsigned i = 0; i < node->cards->len; i++) {
        const IrekoCard *card = node->cards->pdata[i];
        if (card->link == IREKO_CARD_NET)
            check_link(layer, node, card, report);
    }
}

/* The address that whoever has MAC gave itself, or NULL. */
static const char *
find_said(const json_t *status, const char *mac)
{
    size_t i;
    const json_t *seen;
    json_array_foreach(json_object_get(status, "seen"), i, seen)
    {
        if (g_strcmp0(json_string_value(json_object_get(seen, "mac")), mac) == 0)
            return json_string_value(json_object_get(seen, "address"));
    }
    return NULL;
}

void
ireko_network_listen(const IrekoLayer *layer, const IrekoNode *node, IrekoReport *report)
{
    for (unsigned i = 0; i < MIN(node->cards->len, report->addresses->len); i++) {
        const IrekoCard *card = node->cards->pdata[i];
        IrekoAddress *address = report->addresses->pdata[i];
        g_autoptr(json_t) status = card->link == IREKO_CARD_NET
                                       ? ireko_switch_status(layer->folder, card->network, NULL)
                                       : NULL;
        const char *said = find_said(status, card->mac);
        if (said == NULL)
            continue;
        g_free(address->address);
        g_free(address->by);
        address->address = g_strdup(said);
        address->by = g_strdup("arp");
    }
}
