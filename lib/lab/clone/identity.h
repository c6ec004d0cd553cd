/* lab/clone/identity.h - what makes a clone a machine of its own, at every layer inside it.
 *
 * The order goes from L0 to the agent of the clone, which takes on what is its own and hands each
 * guest its part, all at once; what comes back was read inside:
 *
 *     {"path":P,"host":NAME,"uuid":U,"machine_id":M,"boot_id":B,"seed":HEX,"nonce":N,"time_us":T,
 *      "cards":[{"index":0,"mac":A}],"network":ORDER,"guests":[{"name":NAME, ... the same of the
 * guest}]}
 *
 * ORDER gives its cards their addresses (lab/network/netorder.h), and "network" of the answer is
 * what comes of that. The answer is the same without seed and name, its nonce another one that only
 * whoever runs can tell, and time_us the clock of the machine after it was set. Without machine_id
 * and boot_id the machine is to stay who it is: it takes clock and seed alone, and says who that
 * is. */
#pragma once

#include "lab/tree.h"

G_BEGIN_DECLS

#define IREKO_IDENTITY_SEED_BYTES 32

/* ---- on L0 ---- */

/* What NODE, of the lab ID, is to be, and its guests; new secrets each time. STAYS: it is that
 * already. A new reference. */
json_t *
ireko_identity_order(const IrekoNode *node, const char *id, bool stays);

/* Whether ANSWER says that every machine of ORDER is what it was to be, and runs.
 * IREKO_ERROR_REMOTE names the machine and what it is instead. CLOCK_US: how far a clock may be
 * off. */
bool
ireko_identity_check(const json_t *order, const json_t *answer, int64_t clock_us, GError **error);

/* ---- inside ---- */

/* A card is found by its number. */
typedef struct {
    unsigned index;
    char *mac;
} IrekoIdentityCard;

typedef struct {
    char *path, *host, *uuid;
    char *machine_id, *boot_id; /* NULL in an order: the machine stays who it is */
    uint8_t seed[IREKO_IDENTITY_SEED_BYTES];
    int64_t time_us;  /* since 1970 */
    GPtrArray *cards; /* IrekoIdentityCard */
} IrekoIdentity;

void
ireko_identity_free(IrekoIdentity *identity); /* NULL is fine */

/* Makes this machine the one that IDENTITY says, and puts what it then reads back in its place; the
 * seed is used up. One that is to stay who it is has its clock and random numbers changed alone. */
typedef bool (*IrekoBecome)(IrekoIdentity *identity, GError **error);

/* Does what ORDER, which may be anything, asks for: of this machine by BE, of its guests, which
 * have their folders in FOLDER, by their agents. Returns the answer, a new reference. BE NULL: only
 * reads the order. LINES, NULL at first, are the talks with the guests' agents, which are left open
 * for the next order: a clone finds those that were open when its template was frozen. */
json_t *
ireko_identity_adopt(
    const json_t *order, IrekoBecome be, const char *folder, GHashTable **lines, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoIdentity, ireko_identity_free)

G_END_DECLS
