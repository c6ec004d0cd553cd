/* lab/clone/identity-text.c - orders and answers as words (identity.h).
 *
 * No printf, no scanf, no list of pointers, nothing zeroed or grown by malloc (g_new0): what an
 * agent calls here TCG translates in every clone, at every layer. */
#include <string.h>

#include <ireko/report.h>

#include "base/text.h"
#include "lab/clone/identity.h"

#define NOTHING        "-"
#define INSIDE         "in"
#define PATH_MAX_LEN   ((size_t)65 * IREKO_PATH_DEPTH_MAX)
#define ID_MAX         ((size_t)64)
#define UUID_LEN       ((size_t)36)
#define MACHINE_ID_LEN ((size_t)32)
#define NUMBER_MAX     ((size_t)16) /* hex digits of 64 bits */

/* ---- written ---- */

/* TEXT as the rest of a word; whatever would end the word becomes a question mark. */
static void
put_text(GString *out, const char *text)
{
    for (; *text != '\0'; text++)
        g_string_append_c(out, g_ascii_isgraph(*text) && *text != ',' ? *text : '?');
}

static void
put_word(GString *out, const char *text)
{
    g_string_append_c(out, ' ');
    put_text(out, text != NULL && *text != '\0' ? text : NOTHING);
}

static void
put_number(GString *out, char before, uint64_t number)
{
    char digits[NUMBER_MAX + 1];
    size_t at = NUMBER_MAX;
    digits[at] = '\0';
    do
        digits[--at] = "0123456789abcdef"[number & 0xf];
    while ((number >>= 4) != 0);
    g_string_append_c(out, before);
    g_string_append(out, digits + at);
}

static void
put_machine(GString *out, const IrekoIdentity *identity)
{
    put_word(out, identity->path);
    put_word(out, identity->host);
    put_word(out, identity->uuid);
    put_word(out, identity->machine_id);
    put_word(out, identity->boot_id);
}

static void
put_mac(GString *out, const char *mac)
{
    g_string_append_c(out, '/');
    put_text(out, mac);
}

static void
put_cards(GString *out, const GPtrArray *cards, bool ordered)
{
    for (unsigned i = 0; i < cards->len; i++) {
        const IrekoCard *card = cards->pdata[i];
        put_number(out, i > 0 ? ',' : ' ', card->index);
        put_mac(out, card->mac);
        if (!ordered)
            continue;
        put_number(out, '/', card->address);
        put_number(out, '/', card->prefix);
        put_number(out, '/', card->gateway);
    }
    if (cards->len == 0)
        put_word(out, NOTHING);
}

static void
put_order(GString *out, const IrekoIdentity *identity)
{
    put_machine(out, identity);
    g_string_append_c(out, ' ');
    for (size_t i = 0; i < sizeof identity->seed; i++)
        g_string_append_printf(out, "%02x", identity->seed[i]);
    put_number(out, ' ', identity->nonce);
    put_cards(out, identity->cards, true);
    put_word(out, identity->uplinks != NULL ? "+" : NOTHING);
    for (unsigned i = 0; identity->uplinks != NULL && i < identity->uplinks->len; i++) {
        int uplink = g_array_index(identity->uplinks, int, i);
        if (i > 0)
            g_string_append_c(out, ',');
        if (uplink == IREKO_BRIDGE_INSIDE)
            g_string_append(out, INSIDE);
        else
            g_string_append_printf(out, "%x", (unsigned)uplink);
    }
}

char *
ireko_identity_order_to_text(const GPtrArray *order)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < order->len; i++)
        put_order(out, order->pdata[i]);
    return g_string_free(out, FALSE);
}

char *
ireko_identity_order_at(int64_t time_us, const char *words)
{
    GString *out = g_string_sized_new(NUMBER_MAX + 2 + strlen(words));
    put_number(out, ' ', (uint64_t)time_us);
    g_string_append(out, words);
    return g_string_free(out, FALSE);
}

void
ireko_identity_answer_to_text(const IrekoIdentity *identity, GString *text)
{
    put_machine(text, identity);
    put_number(text, ' ', (uint64_t)identity->time_us);
    put_number(text, ' ', ireko_identity_nonce(identity->nonce));
    put_cards(text, identity->cards, false);
    put_word(text, identity->interfaces != NULL ? "+" : NOTHING);
    for (unsigned i = 0; identity->interfaces != NULL && i < identity->interfaces->len; i++) {
        const IrekoInterface *one = &g_array_index(identity->interfaces, IrekoInterface, i);
        if (i > 0)
            g_string_append_c(text, ',');
        put_text(text, one->name);
        put_number(text, '/', one->card);
        put_mac(text, one->mac);
        put_number(text, '/', one->address);
        put_number(text, '/', one->prefix);
    }
}

/* ---- read ---- */

typedef struct {
    char *rest;      /* not read yet; NULL: nothing is left */
    const char *bad; /* what could not be read, the first of it */
} Reader;

static void
refuse(Reader *reader, const char *what)
{
    if (reader->bad == NULL)
        reader->bad = what;
}

/* The next word, up to END; "" where there is none. */
static char *
take(Reader *reader, const char *end, const char *what)
{
    static char none[] = "";
    char *word = reader->rest != NULL ? strsep(&reader->rest, end) : none;
    if (*word == '\0')
        refuse(reader, what);
    return word;
}

/* A word of LEN bytes at most; NULL where it is nothing. */
static char *
take_text(Reader *reader, const char *what, size_t len)
{
    const char *word = take(reader, " ", what);
    if (strlen(word) > len)
        refuse(reader, what);
    return strcmp(word, NOTHING) == 0 ? NULL : g_strdup(word);
}

static uint64_t
take_number(Reader *reader, const char *end, const char *what, uint64_t most)
{
    uint64_t number = 0;
    const char *word = take(reader, end, what);
    if (strlen(word) > NUMBER_MAX || !ireko_text_parse_unsigned(word, 16, 0, most, &number))
        refuse(reader, what);
    return number;
}

static void
take_mac(Reader *reader, const char *what, char mac[IREKO_MAC_TEXT])
{
    uint8_t bytes[IREKO_MAC_BYTES] = {0};
    if (!ireko_mac_parse(take(reader, "/", what), bytes))
        refuse(reader, what);
    ireko_mac_print(bytes, mac);
}

/* One of a list, which has to be used up by now. */
static void
end_item(Reader *reader, const Reader *item, const char *what)
{
    if (item->bad != NULL || item->rest != NULL)
        refuse(reader, what);
}

static void
take_cards(Reader *reader, IrekoIdentity *identity, bool ordered)
{
    Reader list = {take(reader, " ", "cards"), NULL};
    if (strcmp(list.rest, NOTHING) == 0)
        return;
    while (list.rest != NULL && reader->bad == NULL) {
        Reader item = {take(&list, ",", "cards"), NULL};
        IrekoCard *card = ireko_card_new(0, IREKO_CARD_NONE, NULL);
        g_ptr_array_add(identity->cards, card);
        card->index = (unsigned)take_number(&item, "/", "cards", IREKO_NET_CARDS_MAX - 1);
        take_mac(&item, "cards", card->mac);
        if (ordered) {
            card->address = (uint32_t)take_number(&item, "/", "cards", UINT32_MAX);
            card->prefix = (unsigned)take_number(&item, "/", "cards", 32);
            card->gateway = (uint32_t)take_number(&item, "/", "cards", UINT32_MAX);
        }
        end_item(reader, &item, "cards");
        if (identity->cards->len > IREKO_NET_CARDS_MAX)
            refuse(reader, "cards");
    }
}

/* Whether there is a "+"; what stands behind it goes to RET_LIST. */
static bool
take_network(Reader *reader, Reader *ret_list)
{
    char *word = take(reader, " ", "network");
    bool there = *word == '+';
    if (!there && strcmp(word, NOTHING) != 0)
        refuse(reader, "network");
    *ret_list = (Reader){there && word[1] != '\0' ? word + 1 : NULL, NULL};
    return there;
}

static void
take_uplinks(Reader *reader, IrekoIdentity *identity)
{
    Reader list;
    if (!take_network(reader, &list))
        return;
    identity->uplinks = g_array_new(FALSE, FALSE, sizeof(int));
    while (list.rest != NULL && reader->bad == NULL) {
        const char *word = take(&list, ",", "network");
        uint64_t number = 0;
        bool inside = strcmp(word, INSIDE) == 0;
        if (!inside && !ireko_text_parse_unsigned(word, 16, 0, IREKO_NET_CARDS_MAX - 1, &number))
            refuse(reader, "network");
        int uplink = inside ? IREKO_BRIDGE_INSIDE : (int)number;
        g_array_append_val(identity->uplinks, uplink);
        if (identity->uplinks->len > IREKO_NET_CARDS_MAX + 1)
            refuse(reader, "network");
    }
}

static void
take_interfaces(Reader *reader, IrekoIdentity *identity)
{
    Reader list;
    if (!take_network(reader, &list))
        return;
    identity->interfaces = g_array_new(FALSE, FALSE, sizeof(IrekoInterface));
    while (list.rest != NULL && reader->bad == NULL) {
        Reader item = {take(&list, ",", "network"), NULL};
        IrekoInterface one = {0};
        if (g_strlcpy(one.name, take(&item, "/", "network"), sizeof one.name) >= sizeof one.name)
            refuse(reader, "network");
        one.card = (unsigned)take_number(&item, "/", "network", IREKO_NET_CARDS_MAX - 1);
        take_mac(&item, "network", one.mac);
        one.address = (uint32_t)take_number(&item, "/", "network", UINT32_MAX);
        one.prefix = (unsigned)take_number(&item, "/", "network", 32);
        end_item(reader, &item, "network");
        g_array_append_val(identity->interfaces, one);
        if (identity->interfaces->len > IREKO_NET_CARDS_MAX)
            refuse(reader, "network");
    }
}

static void
take_machine(Reader *reader, IrekoIdentity *identity)
{
    identity->path = take_text(reader, "path", PATH_MAX_LEN);
    identity->host = take_text(reader, "host", PATH_MAX_LEN);
    identity->uuid = take_text(reader, "uuid", ID_MAX);
    identity->machine_id = take_text(reader, "machine_id", ID_MAX);
    identity->boot_id = take_text(reader, "boot_id", ID_MAX);
}

static void
take_seed(Reader *reader, uint8_t seed[IREKO_IDENTITY_SEED_BYTES])
{
    const char *word = take(reader, " ", "seed");
    if (strlen(word) != (size_t)2 * IREKO_IDENTITY_SEED_BYTES) {
        refuse(reader, "seed");
        return;
    }
    for (size_t i = 0; i < (size_t)2 * IREKO_IDENTITY_SEED_BYTES; i++) {
        int digit = g_ascii_xdigit_value(word[i]);
        if (digit < 0)
            refuse(reader, "seed");
        seed[i / 2] = (uint8_t)((unsigned)seed[i / 2] << 4 | ((unsigned)digit & 0xf));
    }
}

static bool
end_reading(const Reader *reader, GError **error)
{
    if (reader->bad == NULL)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "identity: '%s' cannot be read",
                reader->bad);
    return false;
}

/* TEXT, which begins with a space, as what take() takes apart; free the copy. */
static Reader
begin_reading(const char *text, char **ret_copy)
{
    *ret_copy = g_strdup(text);
    return (Reader){**ret_copy == ' ' ? *ret_copy + 1 : NULL, NULL};
}

static void
check_id(Reader *reader, const char *what, const char *id, size_t len)
{
    if (id == NULL || strlen(id) != len)
        refuse(reader, what);
    for (const char *c = id; c != NULL && *c != '\0'; c++) {
        if (*c != '-' && (!g_ascii_isxdigit(*c) || g_ascii_isupper(*c)))
            refuse(reader, what);
    }
}

/* An order has all of it, but for two that go together. */
static void
check_machine(Reader *reader, const IrekoIdentity *identity)
{
    if (identity->path == NULL || !ireko_text_is_path(identity->path, IREKO_PATH_DEPTH_MAX))
        refuse(reader, "path");
    if (identity->host == NULL)
        refuse(reader, "host");
    check_id(reader, "uuid", identity->uuid, UUID_LEN);
    if (identity->machine_id == NULL && identity->boot_id == NULL)
        return;
    check_id(reader, "machine_id", identity->machine_id, MACHINE_ID_LEN);
    check_id(reader, "boot_id", identity->boot_id, UUID_LEN);
}

IrekoIdentity *
ireko_identity_order_from_text(const char *text, const char **ret_guests, GError **error)
{
    g_autofree char *copy = NULL;
    Reader reader = begin_reading(text, &copy);
    g_autoptr(IrekoIdentity) identity = ireko_identity_new();
    identity->time_us = (int64_t)take_number(&reader, " ", "time_us", INT64_MAX);
    take_machine(&reader, identity);
    take_seed(&reader, identity->seed);
    identity->nonce =
        (uint32_t)take_number(&reader, " ", "nonce", IREKO_IDENTITY_NONCE_MODULUS - 1);
    take_cards(&reader, identity, true);
    take_uplinks(&reader, identity);
    check_machine(&reader, identity);
    *ret_guests = reader.rest != NULL ? text + (reader.rest - copy) - 1 : text + strlen(text);
    return end_reading(&reader, error) ? g_steal_pointer(&identity) : NULL;
}

GPtrArray *
ireko_identity_answer_from_text(const char *text, GError **error)
{
    g_autofree char *copy = NULL;
    Reader reader = begin_reading(text, &copy);
    g_autoptr(GPtrArray) answer = ireko_identities_new();
    while (reader.rest != NULL && reader.bad == NULL && answer->len < IREKO_TREE_MACHINES_MAX) {
        IrekoIdentity *identity = ireko_identity_new();
        g_ptr_array_add(answer, identity);
        take_machine(&reader, identity);
        identity->time_us = (int64_t)take_number(&reader, " ", "time_us", INT64_MAX);
        identity->nonce = (uint32_t)take_number(&reader, " ", "nonce", UINT32_MAX);
        take_cards(&reader, identity, false);
        take_interfaces(&reader, identity);
    }
    return end_reading(&reader, error) ? g_steal_pointer(&answer) : NULL;
}
