/* lab/network/network.h - the lab's network on L0: planned, plugged in, mended. Private to lib/lab.
 */
#pragma once

#include "lab/layer.h"
#include "lab/record.h"

G_BEGIN_DECLS

/* Gives the cards of LAB what lab/network/cards.h says, apart from what this host's routes lead to
 * and from the other labs on record. */
bool
ireko_network_plan(const IrekoHome *home, const IrekoLab *lab, GError **error);

/* Starts the switches of the networks that LAB's outermost machines are on. */
bool
ireko_network_start(const IrekoHome *home,
                    const IrekoLab *lab,
                    const char *program,
                    GError **error);

/* As IrekoLayer.link, on L0: a port of the lab's switch. */
int
ireko_network_link(const IrekoLayer *layer,
                   const IrekoNode *node,
                   const IrekoCard *card,
                   GError **error);

/* Plugs the cards of the machine NODE, VM, which go nowhere yet, into the lab's switches. */
bool
ireko_network_plug(const IrekoLayer *layer, const IrekoNode *node, IrekoVm *vm, GError **error);

/* Plugs the cards of the running machine NODE, VM, in again where the switch knows nothing of them:
 * it is another one than when the machine started. */
void
ireko_network_mend(const IrekoLayer *layer, const IrekoNode *node, IrekoVm *vm);

/* Looks whether the cards of the running machine NODE are plugged into the lab's switches: appends
 * a check net.link for each to REPORT. */
void
ireko_network_check(const IrekoLayer *layer, const IrekoNode *node, IrekoReport *report);

/* Takes into REPORT what the machine NODE, a user's own system, said of its addresses by ARP. */
void
ireko_network_listen(const IrekoLayer *layer, const IrekoNode *node, IrekoReport *report);

G_END_DECLS
