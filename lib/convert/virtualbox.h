/* convert/virtualbox.h - the parts of the VBoxManage commands. Private to convert. */
#pragma once

#include "convert/parts.h"

G_BEGIN_DECLS

typedef struct {
    Account *account;
    const IrekoMachine *machine;
    GString *out;
    bool ich9; /* the chipset; else PIIX3, which has one controller of a kind, 8 cards, no IOMMU */
} Box;

/* Begins "VBoxManage COMMAND "$vm""; options follow, and then a line end. */
void
ireko_box_begin(Box *box, const char *command);
void
ireko_box_end(Box *box);

/* OPTION with NUMBER at its end ("--nic1"), and a value; says of DEVICE.ATTR that it is carried so.
 */
void
ireko_box_set(
    Box *box, const char *device, const char *attr, const char *option, const char *value);

/* Whether the disks alone need the ICH9 chipset. */
bool
ireko_box_disks_need_ich9(const IrekoMachine *machine);

/* Controllers and what is attached to them. */
void
ireko_box_disks(Box *box);

/* The options of network cards and of ports, inside modifyvm. */
void
ireko_box_cards(Box *box);
void
ireko_box_ports(Box *box);

G_END_DECLS
