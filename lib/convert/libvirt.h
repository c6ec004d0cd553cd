/* convert/libvirt.h - the parts of a libvirt domain. Private to convert. */
#pragma once

#include "convert/parts.h"
#include "convert/xml.h"

G_BEGIN_DECLS

typedef struct {
    Account *account;
    const IrekoMachine *machine;
    Xml *xml;
    bool q35; /* the board: secure boot and an IOMMU are not to be had on the 440BX */
} Domain;

void
ireko_libvirt_disks(Domain *domain);

/* Everything else inside <devices>. */
void
ireko_libvirt_cards(Domain *domain);
void
ireko_libvirt_ports(Domain *domain);
void
ireko_libvirt_displays(Domain *domain);

/* The path of the file that DEVICE.ATTR names as VALUE, absolute, as libvirt wants it; says so
 * where XML has no way to write it. Free with g_free. */
char *
ireko_libvirt_path(Domain *domain, const char *device, const char *attr, const char *value);

G_END_DECLS
