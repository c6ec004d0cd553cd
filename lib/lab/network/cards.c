/* lab/network/cards.c - who is joined to what, and under which addresses.
 *
 * A card on L0 is on the network that its .vmx names. Inside a hypervisor a guest's card is bridged
 * to a card of that hypervisor: to the one that asked for a network of the same name, else to its
 * first on any network, as a port group leads to the uplink of its virtual switch; then it is on
 * that one's network, whatever it is called inside. Where the hypervisor has none, its guests are
 * joined with each other and with it alone.
 *
 * NAT is what it is at VMware's: the layer that runs the machine translates addresses, each layer
 * again. So each level has subnets of its own for it. */
#include "lab/network/cards.h"

#include <stdio.h>
#include <string.h>

#define MAC_DIGITS 6
#define VMWARE_OUI "00:0c:29" /* of the addresses that VMware makes up */
#define FIRST_HOST 16         /* what is below stays free for what a user puts there */
#define NAT_HOST   2          /* QEMU's user network: the way out */
#define NAT_GUEST  15         /* ... and its guest */

typedef struct {
    IrekoSubnet subnet;
    uint32_t next_host;
} Network;

typedef struct {
    const char *lab;
    GArray *used;         /* IrekoSubnet */
    GHashTable *networks; /* name -> Network */
    GHashTable *macs;     /* those that were given, as a set */
    GError **error;
} Plan;

/* The network that NIC asks for; NULL: NAT. VMware's numbers have meanings. */
static const char *
wanted_network(const IrekoNic *nic)
{
    const char *vnet = nic->connection == IREKO_CONNECT_CUSTOM ? nic->vnet : NULL;
    if (nic->connection == IREKO_CONNECT_NAT || g_strcmp0(vnet, "vmnet8") == 0)
        return NULL;
    if (g_strcmp0(vnet, "vmnet1") == 0 ||
        (nic->connection == IREKO_CONNECT_HOSTONLY && nic->network == NULL))
        return "hostonly";
    if (vnet != NULL && strcmp(vnet, "vmnet0") != 0)
        return vnet;
    if (nic->network != NULL)
        return nic->network;
    return nic->connection == IREKO_CONNECT_CUSTOM && vnet == NULL ? "custom" : "bridged";
}

static const IrekoNic *
find_nic(const IrekoMachine *machine, unsigned index)
{
    for (unsigned i = 0; i < machine->nics->len; i++) {
        const IrekoNic *nic = machine->nics->pdata[i];
        if (nic->index == index)
            return nic;
    }
    return NULL;
}

/* The card of HOST that a guest's card for the network WANTED is bridged to, or NULL. */
static const IrekoCard *
find_uplink(const IrekoNode *host, const char *wanted)
{
    const IrekoCard *first = NULL;
    for (unsigned i = 0; i < host->cards->len; i++) {
        const IrekoCard *card = host->cards->pdata[i];
        if (card->link != IREKO_CARD_NET)
            continue;
        if (g_strcmp0(wanted_network(find_nic(host->machine, card->index)), wanted) == 0)
            return card;
        if (first == NULL)
            first = card;
    }
    return first;
}

static void
join(IrekoCard *card, const IrekoNode *host, const char *wanted)
{
    const IrekoCard *uplink = host != NULL ? find_uplink(host, wanted) : NULL;
    card->link = IREKO_CARD_NET;
    if (uplink != NULL) {
        card->network = g_strdup(uplink->network);
        card->uplink = (int)uplink->index;
    } else {
        card->network = host != NULL ? g_strdup_printf("in %s", host->path) : g_strdup(wanted);
    }
}

static Network *
obtain_network(const Plan *plan, const char *name)
{
    Network *network = g_hash_table_lookup(plan->networks, name);
    if (network != NULL)
        return network;
    g_autofree char *key = g_strconcat(plan->lab, "/", name, NULL);
    Network made = {.next_host = FIRST_HOST};
    if (!ireko_pool_take(plan->used, key, &made.subnet)) {
        g_set_error_literal(plan->error, IREKO_ERROR, IREKO_ERROR_STATE,
                            "no private subnet is left for the lab's networks: the routes of this "
                            "host lead to all of 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16");
        return NULL;
    }
    network = g_memdup2(&made, sizeof made);
    g_hash_table_insert(plan->networks, g_strdup(name), network);
    return network;
}

static bool
address_nat(const Plan *plan, IrekoCard *card, unsigned level, unsigned nth)
{
    g_autofree char *name = g_strdup_printf("nat %u.%u", level, nth);
    const Network *network = obtain_network(plan, name);
    if (network == NULL)
        return false;
    card->prefix = network->subnet.prefix;
    card->address = network->subnet.base + NAT_GUEST;
    card->gateway = network->subnet.base + NAT_HOST;
    return true;
}

static bool
address_net(const Plan *plan, IrekoCard *card)
{
    Network *network = obtain_network(plan, card->network);
    if (network == NULL)
        return false;
    g_assert(network->next_host < IREKO_SUBNET_HOSTS); /* a lab has 2560 cards at most */
    card->prefix = network->subnet.prefix;
    card->address = network->subnet.base + network->next_host++;
    return true;
}

/* The .vmx's address, or where it has none or another card has it already, one that is made up. */
static void
give_mac(const Plan *plan, IrekoCard *card, const IrekoNode *node, const char *own)
{
    const char *mac = own;
    g_autofree char *made = NULL;
    for (unsigned n = 0; mac == NULL || g_hash_table_contains(plan->macs, mac); n++) {
        g_autofree char *whole =
            n == 0 ? g_strdup_printf("%s/%s/ethernet%u", plan->lab, node->path, card->index)
                   : g_strdup_printf("%s/%s/ethernet%u/%u", plan->lab, node->path, card->index, n);
        g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, whole, -1);
        g_free(made);
        made = g_strdup_printf(VMWARE_OUI ":%.2s:%.2s:%.2s", hash, hash + 2, hash + 4);
        mac = made;
    }
    g_hash_table_add(plan->macs, g_strdup(mac));
    (void)g_strlcpy(card->mac, mac, sizeof card->mac);
}

static bool
plan_node(const Plan *plan, const IrekoNode *node, const IrekoNode *host)
{
    unsigned nats = 0;
    g_ptr_array_set_size(node->cards, 0);
    for (unsigned i = 0; i < node->machine->nics->len; i++) {
        const IrekoNic *nic = node->machine->nics->pdata[i];
        IrekoCard *card = ireko_card_new(nic->index, IREKO_CARD_NONE, NULL);
        g_ptr_array_add(node->cards, card);
        give_mac(plan, card, node, nic->mac);
        const char *wanted = wanted_network(nic);
        if (!nic->start_connected)
            continue;
        if (wanted == NULL)
            card->link = IREKO_CARD_NAT;
        else
            join(card, host, wanted);
        if (wanted == NULL ? !address_nat(plan, card, node->level, nats++)
                           : !address_net(plan, card))
            return false;
    }
    for (unsigned i = 0; i < node->guests->len; i++) {
        if (!plan_node(plan, node->guests->pdata[i], node))
            return false;
    }
    return true;
}

bool
ireko_cards_plan(const GPtrArray *nodes, const char *lab, GArray *used, GError **error)
{
    g_autoptr(GHashTable) networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) macs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const Plan plan = {
        .lab = lab, .used = used, .networks = networks, .macs = macs, .error = error};
    for (unsigned i = 0; i < nodes->len; i++) {
        if (!plan_node(&plan, nodes->pdata[i], NULL))
            return false;
    }
    return true;
}

void
ireko_cards_copy(const GPtrArray *to, const GPtrArray *from)
{
    for (unsigned i = 0; i < MIN(to->len, from->len); i++) {
        IrekoNode *node = to->pdata[i];
        const IrekoNode *model = from->pdata[i];
        g_ptr_array_unref(node->cards);
        node->cards = g_ptr_array_ref(model->cards);
        ireko_cards_copy(node->guests, model->guests);
    }
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *
ireko_cards_networks(const GPtrArray *nodes)
{
    GPtrArray *networks = g_ptr_array_new();
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        for (unsigned k = 0; k < node->cards->len; k++) {
            const IrekoCard *card = node->cards->pdata[k];
            if (card->link == IREKO_CARD_NET &&
                !g_ptr_array_find_with_equal_func(networks, card->network, g_str_equal, NULL))
                g_ptr_array_add(networks, card->network);
        }
    }
    g_ptr_array_sort(networks, compare_names);
    return networks;
}
