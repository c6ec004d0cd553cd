/* lan/pool.c - subnets that nobody here uses yet.
 *
 * The lab's networks are apart from this host's, but whoever is inside a machine with a way out
 * must not find a name of the outside world behind a card of the lab. So what any route of the host
 * leads to is left alone. */
#include <stdio.h>
#include <string.h>

#include "lan/lan.h"

#define ROUTE_UP     0x1u /* RTF_UP, linux/route.h */
#define PREFIX_LEAST 8    /* a shorter one is a default route in halves, not a network */
#define ROUTES_MAX   65536

/* RFC 1918, section 3: the largest first. */
static const IrekoSubnet blocks[] = {
    {0x0a000000u, 8},
    {0xac100000u, 12},
    {0xc0a80000u, 16},
};

static uint32_t
mask_of(unsigned prefix)
{
    return prefix == 0 ? 0 : ~0u << (32 - prefix);
}

static bool
overlap(const IrekoSubnet *a, const IrekoSubnet *b)
{
    uint32_t mask = mask_of(MIN(a->prefix, b->prefix));
    return (a->base & mask) == (b->base & mask);
}

/* "eth0 0002A8C0 00000000 0001 0 0 0 00FFFFFF ...": destination and mask in the host's byte order
 * of what is big-endian on the wire. */
static void
take_route(const char *line, GArray *used)
{
    unsigned destination = 0, gateway = 0, flags = 0, mask = 0;
    if (sscanf(line, "%*s %8x %8x %4x %*s %*s %*s %8x", &destination, &gateway, &flags, &mask) != 4)
        return;
    IrekoSubnet route = {.base = GUINT32_FROM_BE(destination)};
    for (uint32_t bits = GUINT32_FROM_BE(mask); (bits & 0x80000000u) != 0; bits <<= 1)
        route.prefix++;
    if ((flags & ROUTE_UP) != 0 && route.prefix >= PREFIX_LEAST && used->len < ROUTES_MAX)
        g_array_append_val(used, route);
}

void
ireko_routes_parse(const char *text, GArray *used)
{
    const char *line = strchr(text, '\n'); /* behind the heading */
    while (line != NULL) {
        take_route(line + 1, used);
        line = strchr(line + 1, '\n');
    }
}

static bool
is_free(const GArray *used, const IrekoSubnet *subnet)
{
    for (unsigned i = 0; i < used->len; i++) {
        if (overlap(subnet, &g_array_index(used, IrekoSubnet, i)))
            return false;
    }
    return true;
}

bool
ireko_pool_take(GArray *used, const char *key, IrekoSubnet *ret_subnet)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
    unsigned from = 0;
    (void)sscanf(hash, "%6x", &from);
    for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++) {
        uint32_t count = 1u << (IREKO_SUBNET_PREFIX - blocks[i].prefix);
        for (uint32_t n = 0; n < count; n++) {
            uint32_t at = (from + n) % count;
            IrekoSubnet subnet = {blocks[i].base + (at << (32 - IREKO_SUBNET_PREFIX)),
                                  IREKO_SUBNET_PREFIX};
            if (!is_free(used, &subnet))
                continue;
            g_array_append_val(used, subnet);
            *ret_subnet = subnet;
            return true;
        }
    }
    return false;
}
