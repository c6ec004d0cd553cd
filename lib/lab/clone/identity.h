/* lab/clone/identity.h - what makes a clone a machine of its own, at every layer inside it.
 *
 * The order goes from L0 to the agent of the clone, which takes on what is its own and hands each
 * guest its part, all at once; what comes back was read inside. Both are words with a space before
 * each: how long a clone takes is how much different code its layers run, and to read and write
 * JSON was a third of what an agent ran (docs/design/boot.md).
 *
 *     order   TIME, then for each machine  PATH HOST UUID MACHINE BOOT SEED NONCE CARDS NET
 *     answer        for each machine       PATH HOST UUID MACHINE BOOT TIME NONCE CARDS NET
 *
 * a machine first, then those inside it. Numbers are hex, TIME in microseconds since 1970, "-" is
 * nothing. CARDS is INDEX/MAC/ADDRESS/PREFIX/GATEWAY, each behind a comma from the next, of an
 * answer INDEX/MAC. NET "-" leaves the network alone; else it is "+" and, of an order, the uplinks
 * of the bridges to make ("in" for the one that leads nowhere), of an answer
 * INTERFACE/INDEX/MAC/ADDRESS/PREFIX as they are then. Without MACHINE and BOOT a machine is to
 * stay who it is: it takes clock and seed alone, and says who that is. The nonce of an answer is
 * another one, that only whoever runs can tell. */
#pragma once

#include "lab/network/interfaces.h"
#include "lab/tree.h"

G_BEGIN_DECLS

#define IREKO_IDENTITY_SEED_BYTES    32
#define IREKO_IDENTITY_NONCE_MODULUS 2147483647
#define IREKO_IDENTITY_WORDS         9 /* of each machine */

typedef struct {
    char *path, *host, *uuid;
    char *machine_id, *boot_id;              /* NULL in an order: the machine stays who it is */
    uint8_t seed[IREKO_IDENTITY_SEED_BYTES]; /* of an order */
    int64_t time_us;                         /* since 1970 */
    uint32_t nonce;
    GPtrArray *cards;   /* IrekoCard; of an answer without addresses */
    GArray *uplinks;    /* int; NULL in an order: its network is left alone */
    GArray *interfaces; /* IrekoInterface; NULL in an answer: its network was left alone */
} IrekoIdentity;

IrekoIdentity *
ireko_identity_new(void);

/* An empty list of IrekoIdentity, which frees them. */
GPtrArray *
ireko_identities_new(void);

void
ireko_identity_free(IrekoIdentity *identity); /* NULL is fine */

/* What an answer makes of the NONCE of its order. */
uint32_t
ireko_identity_nonce(uint32_t nonce);

/* ---- on L0 ---- */

/* What NODE, of the lab ID, is to be, and its guests, each behind the machine around it
 * (IrekoIdentity); new secrets each time. STAYS: they are that already. */
GPtrArray *
ireko_identity_order(const IrekoNode *node, const char *id, bool stays);

/* Whether ANSWER says that every machine of ORDER is what it was to be, and runs.
 * IREKO_ERROR_REMOTE names the machine and what it is instead. CLOCK_US: how far a clock may be
 * off. */
bool
ireko_identity_check(const GPtrArray *order,
                     const GPtrArray *answer,
                     int64_t clock_us,
                     GError **error);

/* ---- as text; pure ---- */

/* The words of ORDER but for the time; free with g_free. */
char *
ireko_identity_order_to_text(const GPtrArray *order);

/* The same, WORDS, as an order given at TIME_US; free with g_free. */
char *
ireko_identity_order_at(int64_t time_us, const char *words);

/* Reads an answer, from a machine that may lie: IREKO_ERROR_REMOTE. */
GPtrArray *
ireko_identity_answer_from_text(const char *text, GError **error);

/* Reads the order TEXT, which may be anything, as far as it is about the machine itself.
 * RET_GUESTS is set to the rest of TEXT: the words for its guests. */
IrekoIdentity *
ireko_identity_order_from_text(const char *text, const char **ret_guests, GError **error);

/* Appends the words of an answer; IDENTITY->nonce is the order's. */
void
ireko_identity_answer_to_text(const IrekoIdentity *identity, GString *text);

/* ---- inside ---- */

/* Makes this machine the one that IDENTITY says, but for its network, and puts what it then reads
 * back in its place; the seed is used up. One that is to stay who it is has its clock and random
 * numbers changed alone. */
typedef bool (*IrekoBecome)(IrekoIdentity *identity, GError **error);

/* Hands WORDS, of an order, to the guests of the machine that is PATH now, which have
 * their folders in FOLDER, all at once; appends what they answer to ANSWER. LINES, NULL at first,
 * are the talks with the guests' agents, which are left open for the next order: a clone finds
 * those that were open when its template was frozen. */
bool
ireko_identity_hand_on(const char *words,
                       const char *path,
                       const char *folder,
                       GHashTable **lines,
                       GString *answer,
                       GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoIdentity, ireko_identity_free)

G_END_DECLS
