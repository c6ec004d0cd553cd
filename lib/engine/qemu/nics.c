/* engine/qemu/nics.c - network cards and what they are plugged into.
 *
 * A card that is on a network of the lab has a descriptor: inside a hypervisor a tap, on L0 a port
 * of the lab's switch (lan/switch.h). QEMU cannot give a card another end, nor does it come back to
 * a switch that died. So on L0 there is a hub of two ports between: what is behind it can be taken
 * away and put there anew while the machine runs, and the guest notices nothing but lost frames. */
#include "engine/qemu/nics.h"

#include <stdio.h>

#include "base/jsonl.h"
#include "engine/process.h"
#include "engine/qemu/argv.h"
#include "machine/address.h"
#include "qmp/qmp.h"

#define LINK_NAME "link" /* of the descriptor while QEMU is given it */

G_STATIC_ASSERT(IREKO_PROCESS_LINKS == IREKO_NET_CARDS_MAX);
G_STATIC_ASSERT(IREKO_MACHINE_NICS_MAX == IREKO_NET_CARDS_MAX);

const char *
ireko_qemu_nic_model(IrekoNicModel model)
{
    static const char *const models[] = {
        [IREKO_NIC_VLANCE] = "pcnet",
        [IREKO_NIC_E1000] = "e1000",
        [IREKO_NIC_E1000E] = "e1000e",
        [IREKO_NIC_VMXNET3] = "vmxnet3",
    };
    return models[model];
}

static void
add_user(GPtrArray *argv, const IrekoNic *nic, const IrekoCard *card)
{
    if (card == NULL) {
        ireko_qemu_add(argv, "-netdev", "user,id=net%u", nic->index);
        return;
    }
    uint32_t mask = ~0u << (32 - card->prefix);
    g_autofree char *net = ireko_address_print(card->address & mask);
    g_autofree char *host = ireko_address_print(card->gateway);
    g_autofree char *dns = ireko_address_print(card->gateway + 1);
    g_autofree char *own = ireko_address_print(card->address);
    ireko_qemu_add(argv, "-netdev", "user,id=net%u,net=%s/%u,host=%s,dns=%s,dhcpstart=%s,ipv6=off",
                   nic->index, net, card->prefix, host, dns, own);
}

/* A hub of its own joins the card to nothing else, and the guest still finds one with a link. */
static void
add_hub(GPtrArray *argv, unsigned index)
{
    ireko_qemu_add(argv, "-netdev", "hubport,id=net%u,hubid=%u", index, index);
}

static void
add_link(GPtrArray *argv, const IrekoSpec *spec, unsigned index)
{
    int fd = IREKO_PROCESS_FD_LINK + (int)index;
    if (spec->taps) {
        ireko_qemu_add(argv, "-netdev", "tap,id=net%u,fd=%d", index, fd);
        return;
    }
    ireko_qemu_add(argv, "-netdev", "dgram,id=link%u,local.type=fd,local.str=%d", index, fd);
    ireko_qemu_add(argv, "-netdev", "hubport,id=plug%u,hubid=%u,netdev=link%u", index, index,
                   index);
    add_hub(argv, index);
}

void
ireko_qemu_add_nic(GPtrArray *argv, const IrekoSpec *spec, unsigned number)
{
    const IrekoNic *nic = g_ptr_array_index(spec->machine->nics, number);
    const IrekoCard *card = ireko_card_find(spec->cards, nic->index);
    g_autofree char *name = g_strdup_printf("ethernet%u", nic->index);
    bool frozen = spec->from != NULL && spec->from->macs != NULL;
    g_autofree char *mac =
        frozen ? g_strdup(spec->from->macs[number]) : ireko_spec_mac(spec, number);
    bool nat = card != NULL ? card->link == IREKO_CARD_NAT
                            : nic->connection == IREKO_CONNECT_NAT && nic->start_connected;
    if (nat)
        add_user(argv, nic, card);
    else if (card != NULL && card->link == IREKO_CARD_NET)
        add_link(argv, spec, nic->index);
    else
        add_hub(argv, nic->index);
    /* Not as JSON: with a card given so, QEMU 7.2 and qboot never start the kernel. No ROM: nobody
     * waits for a network boot. */
    ireko_qemu_add(argv, "-device", "%s,id=%s,addr=0x%x,netdev=net%u,mac=%s,romfile=",
                   ireko_qemu_nic_model(nic->model), name, IREKO_SLOT_ETHERNET + nic->index,
                   nic->index, mac);
}

/* ---- of a machine that runs ---- */

/* What is not there any more need not be taken away. */
static void
take_away(IrekoQmp *qmp, const char *kind, unsigned index, IrekoDeadline deadline)
{
    g_autofree char *id = g_strdup_printf("%s%u", kind, index);
    g_autoptr(json_t) arguments = json_pack("{s:s}", "id", id);
    g_autoptr(json_t) done = ireko_qmp_execute(qmp, "netdev_del", arguments, deadline, NULL);
}

bool
ireko_qemu_relink(
    int control_fd, unsigned index, int link_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    if (qmp == NULL)
        return false;
    take_away(qmp, "plug", index, deadline);
    take_away(qmp, "link", index, deadline);
    if (!ireko_qmp_give_fd(qmp, LINK_NAME, link_fd, deadline, error))
        return false;

    g_autofree char *link = g_strdup_printf("link%u", index);
    g_autofree char *plug = g_strdup_printf("plug%u", index);
    g_autoptr(json_t) end = json_pack("{s:s,s:s,s:{s:s,s:s}}", "type", "dgram", "id", link, "local",
                                      "type", "fd", "str", LINK_NAME);
    g_autoptr(json_t) port = json_pack("{s:s,s:s,s:i,s:s}", "type", "hubport", "id", plug, "hubid",
                                       (int)index, "netdev", link);
    g_autoptr(json_t) linked = ireko_qmp_execute(qmp, "netdev_add", end, deadline, error);
    g_autoptr(json_t) plugged =
        linked != NULL ? ireko_qmp_execute(qmp, "netdev_add", port, deadline, error) : NULL;
    return plugged != NULL;
}
