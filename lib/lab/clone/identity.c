/* lab/clone/identity.c - the identity of clones: ordered, checked.
 *
 * Addresses and UUID are the machine's own for ever (engine/identity.c), the rest is new each time:
 * two clones that began as one state would else draw the same random numbers. That the answer comes
 * from the machine now, and not from its memory, is seen by the nonce. */
#include "lab/clone/identity.h"

#include <string.h>
#include <sys/random.h>

#include "base/text.h"
#include "engine/engine.h"
#include "lab/network/netorder.h"

#define NONCE_FACTOR 48271 /* a step of MINSTD */

static void
free_card(void *card)
{
    ireko_card_free(card);
}

IrekoIdentity *
ireko_identity_new(void)
{
    IrekoIdentity *identity = g_new(IrekoIdentity, 1);
    *identity = (IrekoIdentity){.cards = g_ptr_array_new_with_free_func(free_card)};
    return identity;
}

void
ireko_identity_free(IrekoIdentity *identity)
{
    if (identity == NULL)
        return;
    g_free(identity->path);
    g_free(identity->host);
    g_free(identity->uuid);
    g_free(identity->machine_id);
    g_free(identity->boot_id);
    g_clear_pointer(&identity->cards, g_ptr_array_unref);
    g_clear_pointer(&identity->uplinks, g_array_unref);
    g_clear_pointer(&identity->interfaces, g_array_unref);
    g_free(identity);
}

uint32_t
ireko_identity_nonce(uint32_t nonce)
{
    return (uint32_t)(((uint64_t)nonce + 1) * NONCE_FACTOR % IREKO_IDENTITY_NONCE_MODULUS);
}

static void
free_identity(void *identity)
{
    ireko_identity_free(identity);
}

GPtrArray *
ireko_identities_new(void)
{
    return g_ptr_array_new_with_free_func(free_identity);
}

/* ---- the order ---- */

static void
draw(void *bytes, size_t count)
{
    while (getrandom(bytes, count, 0) != (ssize_t)count) /* only a signal can be in the way */
        continue;
}

/* 16 random bytes as hex digits. */
static char *
random_hex(void)
{
    uint8_t bytes[16];
    draw(bytes, sizeof bytes);
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < sizeof bytes; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* A random UUID (RFC 9562, version 4). */
static char *
random_uuid(void)
{
    g_autofree char *d = random_hex();
    return g_strdup_printf("%.8s-%.4s-4%.3s-a%.3s-%.12s", d, d + 8, d + 13, d + 17, d + 20);
}

/* The cards of SPEC's machine, with their addresses where NODE, it, has been given any. */
static void
add_cards(IrekoIdentity *identity, const IrekoSpec *spec, const IrekoNode *node)
{
    for (unsigned i = 0; i < spec->machine->nics->len; i++) {
        const IrekoNic *nic = spec->machine->nics->pdata[i];
        const IrekoCard *given = ireko_card_find(node->cards, nic->index);
        IrekoCard *card = ireko_card_new(nic->index, IREKO_CARD_NONE, NULL);
        g_autofree char *mac = ireko_spec_mac(spec, i);
        g_autofree char *lower = g_ascii_strdown(mac, -1);
        (void)g_strlcpy(card->mac, lower, sizeof card->mac);
        card->address = given != NULL ? given->address : 0;
        card->prefix = given != NULL ? given->prefix : 0;
        card->gateway = given != NULL ? given->gateway : 0;
        g_ptr_array_add(identity->cards, card);
    }
}

static void
add_order(GPtrArray *order, const IrekoNode *node, const char *id, bool stays)
{
    g_autofree char *whole = g_strconcat(id, "/", node->path, NULL);
    const IrekoSpec spec = {.machine = node->machine, .id = whole, .cards = node->cards};
    IrekoIdentity *identity = ireko_identity_new();
    g_ptr_array_add(order, identity);
    identity->path = g_strdup(node->path);
    identity->host = ireko_node_host_name(node);
    identity->uuid = ireko_spec_uuid(&spec);
    identity->machine_id = stays ? NULL : random_hex();
    identity->boot_id = stays ? NULL : random_uuid();
    draw(identity->seed, sizeof identity->seed);
    identity->nonce = (uint32_t)(g_random_int() % IREKO_IDENTITY_NONCE_MODULUS);
    identity->time_us = g_get_real_time();
    if (!stays && node->cards->len > 0)
        identity->uplinks = ireko_netorder_uplinks(node);
    add_cards(identity, &spec, node);
    for (unsigned i = 0; i < node->guests->len; i++)
        add_order(order, node->guests->pdata[i], id, stays);
}

GPtrArray *
ireko_identity_order(const IrekoNode *node, const char *id, bool stays)
{
    GPtrArray *order = ireko_identities_new();
    add_order(order, node, id, stays);
    return order;
}

/* ---- the check ---- */

/* Says that the machine of ORDER has HAVE (NULL: nothing) where WHAT should be WANT; false. */
static bool
differs(const IrekoIdentity *order,
        const char *what,
        const char *want,
        const char *have,
        GError **error)
{
    g_autofree char *shown = ireko_text_shown(have != NULL ? have : "nothing");
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                "'%s' did not become a machine of its own: its %s is %s and should be %s",
                order->path, what, shown, want);
    return false;
}

/* The numbers and addresses of its cards, for people. */
static char *
cards_text(const IrekoIdentity *identity)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < identity->cards->len; i++) {
        const IrekoCard *card = identity->cards->pdata[i];
        g_string_append_printf(text, "%sethernet%u %s", i > 0 ? ", " : "", card->index, card->mac);
    }
    return g_string_free(text, FALSE);
}

static bool
check_time(const IrekoIdentity *order, const IrekoIdentity *is, int64_t clock_us, GError **error)
{
    if (is->time_us >= order->time_us - clock_us && is->time_us <= g_get_real_time() + clock_us)
        return true;
    g_autofree char *want = g_strdup_printf("%" G_GINT64_FORMAT " us", order->time_us);
    g_autofree char *have = g_strdup_printf("%" G_GINT64_FORMAT " us", is->time_us);
    return differs(order, "clock", want, have, error);
}

static bool
check_one(const IrekoIdentity *order, const IrekoIdentity *is, int64_t clock_us, GError **error)
{
    g_autofree char *cards = cards_text(order), *cards_now = cards_text(is);
    g_autofree char *nonce = g_strdup_printf("%x", ireko_identity_nonce(order->nonce));
    g_autofree char *nonce_now = g_strdup_printf("%x", is->nonce);
    const struct {
        const char *what, *want, *have;
    } fields[] = {
        {"path", order->path, is->path},
        {"host name", order->host, is->host},
        {"UUID", order->uuid, is->uuid},
        {"machine ID", order->machine_id, is->machine_id},
        {"boot ID", order->boot_id, is->boot_id},
        {"list of cards", cards, cards_now},
        {"nonce", nonce, nonce_now},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (fields[i].want != NULL && g_strcmp0(fields[i].want, fields[i].have) != 0)
            return differs(order, fields[i].what, fields[i].want, fields[i].have, error);
    }
    return check_time(order, is, clock_us, error);
}

bool
ireko_identity_check(const GPtrArray *order,
                     const GPtrArray *answer,
                     int64_t clock_us,
                     GError **error)
{
    for (unsigned i = 0; i < order->len; i++) {
        const IrekoIdentity *wanted = order->pdata[i];
        if (i >= answer->len)
            return differs(wanted, "path", wanted->path, NULL, error);
        if (!check_one(wanted, answer->pdata[i], clock_us, error))
            return false;
    }
    return true;
}
