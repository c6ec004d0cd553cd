/* engine/identity.c - what makes a machine this one and no other: addresses, UUID, names of disks.
 *
 * What the .vmx does not say is a hash of the machine's id, so that it is the same every time and
 * no other machine of any lab has it. */
#include <string.h>

#include "engine/engine.h"

#define MAC_DIGITS  6
#define VMWARE_OUI  "00:0c:29" /* of the addresses that VMware makes up */
#define UUID_DIGITS 32

char *
ireko_spec_name(const IrekoSpec *spec, const char *part, unsigned count)
{
    g_autofree char *whole = g_strdup_printf("%s/%s", spec->id, part);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, whole, -1);
    return g_strndup(hash, count);
}

char *
ireko_spec_mac(const IrekoSpec *spec, unsigned number)
{
    const IrekoNic *nic = g_ptr_array_index(spec->machine->nics, number);
    const IrekoCard *card = ireko_card_find(spec->cards, nic->index);
    if (card != NULL)
        return g_strdup(card->mac);
    if (nic->mac != NULL)
        return g_strdup(nic->mac);
    g_autofree char *part = g_strdup_printf("ethernet%u", nic->index);
    g_autofree char *digits = ireko_spec_name(spec, part, MAC_DIGITS);
    return g_strdup_printf(VMWARE_OUI ":%.2s:%.2s:%.2s", digits, digits + 2, digits + 4);
}

/* Version 8: made as its maker sees fit (RFC 9562, section 5.8). */
char *
ireko_spec_uuid(const IrekoSpec *spec)
{
    if (spec->machine->uuid != NULL)
        return g_strdup(spec->machine->uuid);
    g_autofree char *d = ireko_spec_name(spec, "uuid", UUID_DIGITS);
    return g_strdup_printf("%.8s-%.4s-8%.3s-8%.3s-%.12s", d, d + 8, d + 13, d + 17, d + 20);
}
