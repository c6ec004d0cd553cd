/* lab/clone/identity.c - the identity of clones: ordered, handed on, checked.
 *
 * Addresses and UUID are the machine's own for ever (engine/identity.c), the rest is new each time:
 * two clones that began as one state would else draw the same random numbers. That the answer comes
 * from the machine now, and not from its memory, is seen by the nonce. */
#include "lab/clone/identity.h"

#include <string.h>
#include <sys/random.h>

#include <ireko/report.h>

#include "agent/agent.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/engine.h"
#include "lab/layer.h"
#include "lab/network/netorder.h"

#define PATH_MAX_LEN  ((size_t)65 * IREKO_PATH_DEPTH_MAX)
#define ID_DIGITS     ((size_t)2 * IREKO_IDENTITY_SEED_BYTES)
#define ADOPT_MS      60000 /* for a guest to answer: L0 does not wait longer */
#define NONCE_FACTOR  48271 /* what a nonce becomes: a step of MINSTD */
#define NONCE_MODULUS 2147483647

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
    g_free(identity);
}

static void
free_card(void *data)
{
    IrekoIdentityCard *card = data;
    g_free(card->mac);
    g_free(card);
}

/* ---- the order ---- */

/* COUNT random bytes as hex digits. */
static char *
random_hex(size_t count)
{
    uint8_t bytes[IREKO_IDENTITY_SEED_BYTES];
    g_assert(count <= sizeof bytes);
    while (getrandom(bytes, count, 0) != (ssize_t)count) /* only a signal can be in the way */
        continue;
    GString *text = g_string_new(NULL);
    for (size_t i = 0; i < count; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

/* A random UUID (RFC 9562, version 4). */
static char *
random_uuid(void)
{
    g_autofree char *d = random_hex(16);
    return g_strdup_printf("%.8s-%.4s-4%.3s-a%.3s-%.12s", d, d + 8, d + 13, d + 17, d + 20);
}

static json_t *
cards_of(const IrekoSpec *spec)
{
    json_t *cards = json_array();
    for (unsigned i = 0; i < spec->machine->nics->len; i++) {
        const IrekoNic *nic = spec->machine->nics->pdata[i];
        g_autofree char *mac = ireko_spec_mac(spec, i);
        g_autofree char *lower = g_ascii_strdown(mac, -1);
        json_array_append_new(cards,
                              json_pack("{s:i,s:s}", "index", (int)nic->index, "mac", lower));
    }
    return cards;
}

json_t *
ireko_identity_order(const IrekoNode *node, const char *id, bool stays)
{
    g_autofree char *whole = g_strconcat(id, "/", node->path, NULL);
    const IrekoSpec spec = {.machine = node->machine, .id = whole, .cards = node->cards};
    g_autofree char *host = ireko_node_host_name(node), *uuid = ireko_spec_uuid(&spec);
    g_autofree char *machine_id = stays ? NULL : random_hex(16);
    g_autofree char *boot_id = stays ? NULL : random_uuid();
    g_autofree char *seed = random_hex(IREKO_IDENTITY_SEED_BYTES);
    json_t *network = stays || node->cards->len == 0 ? NULL : ireko_netorder_cards(node, true);
    json_t *guests = json_array();
    for (unsigned i = 0; i < node->guests->len; i++)
        json_array_append_new(guests, ireko_identity_order(node->guests->pdata[i], id, stays));
    return json_pack("{s:s,s:s,s:s,s:s,s:s*,s:s*,s:s,s:i,s:I,s:o,s:o*,s:o}", "name", node->name,
                     "path", node->path, "host", host, "uuid", uuid, "machine_id", machine_id,
                     "boot_id", boot_id, "seed", seed, "nonce",
                     (int)(g_random_int() % NONCE_MODULUS), "time_us",
                     (json_int_t)g_get_real_time(), "cards", cards_of(&spec), "network", network,
                     "guests", guests);
}

static json_int_t
next_nonce(json_int_t nonce)
{
    return (nonce + 1) * NONCE_FACTOR % NONCE_MODULUS;
}

/* ---- the check ---- */

static bool
differs(
    const json_t *order, const char *what, const json_t *wanted, const json_t *got, GError **error)
{
    char *want = json_dumps(wanted, JSON_ENCODE_ANY | JSON_COMPACT);
    char *have = got != NULL ? json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    g_autofree char *shown = ireko_text_shown(have != NULL ? have : "nothing");
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                "'%s' did not become a machine of its own: %s is %s and should be %s",
                json_string_value(json_object_get(order, "path")), what, shown,
                want != NULL ? want : "");
    free(want);
    free(have);
    return true;
}

static const json_t *
find_guest(const json_t *guests, const char *path)
{
    size_t i;
    const json_t *guest;
    json_array_foreach(guests, i, guest)
    {
        if (g_strcmp0(json_string_value(json_object_get(guest, "path")), path) == 0)
            return guest;
    }
    return NULL;
}

bool
ireko_identity_check(const json_t *order, const json_t *answer, int64_t clock_us, GError **error)
{
    static const char *const fields[] = {"path", "host", "uuid", "machine_id", "boot_id", "cards"};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        const json_t *wanted = json_object_get(order, fields[i]);
        const json_t *got = json_object_get(answer, fields[i]);
        if (wanted != NULL && !json_equal(wanted, got))
            return !differs(order, fields[i], wanted, got, error);
    }
    g_autoptr(json_t) nonce =
        json_integer(next_nonce(json_integer_value(json_object_get(order, "nonce"))));
    const json_t *time = json_object_get(answer, "time_us");
    const json_t *asked = json_object_get(order, "time_us");
    if (!json_equal(nonce, json_object_get(answer, "nonce")))
        return !differs(order, "nonce", nonce, json_object_get(answer, "nonce"), error);
    if (!json_is_integer(time) || json_integer_value(time) < json_integer_value(asked) - clock_us ||
        json_integer_value(time) > g_get_real_time() + clock_us)
        return !differs(order, "time_us", json_object_get(order, "time_us"), time, error);
    size_t i;
    const json_t *guest;
    json_array_foreach(json_object_get(order, "guests"), i, guest)
    {
        const char *path = json_string_value(json_object_get(guest, "path"));
        const json_t *found = find_guest(json_object_get(answer, "guests"), path);
        if (!ireko_identity_check(guest, found, clock_us, error))
            return false;
    }
    return true;
}

/* ---- inside ---- */

static bool
read_seed(const char *text, uint8_t seed[IREKO_IDENTITY_SEED_BYTES])
{
    if (text == NULL || strlen(text) != ID_DIGITS)
        return false;
    for (size_t i = 0; i < ID_DIGITS; i++) {
        int digit = g_ascii_xdigit_value(text[i]);
        if (digit < 0)
            return false;
        seed[i / 2] = (uint8_t)(seed[i / 2] << 4 | digit);
    }
    return true;
}

/* A text of COUNT of hex digits and hyphens. */
static char *
take_id(IrekoJsonReader *reader, const char *key, size_t count)
{
    char *text = ireko_json_text(reader, key, ID_DIGITS);
    if (text != NULL && (strlen(text) != count || strspn(text, "0123456789abcdef-") != count))
        ireko_json_reader_fail(reader, key, "hex digits");
    return text;
}

static void
take_cards(IrekoJsonReader *reader, IrekoIdentity *identity)
{
    const json_t *cards = ireko_json_list(reader, "cards", IREKO_MACHINE_NICS_MAX);
    for (size_t i = 0; i < json_array_size(cards); i++) {
        const json_t *object = json_array_get(cards, i);
        const json_t *index = json_object_get(object, "index");
        const char *mac = json_string_value(json_object_get(object, "mac"));
        uint8_t bytes[IREKO_MAC_BYTES];
        if (!json_is_integer(index) || json_integer_value(index) < 0 ||
            json_integer_value(index) >= IREKO_MACHINE_NICS_MAX || !ireko_mac_parse(mac, bytes)) {
            ireko_json_reader_fail(reader, "cards", "numbers and addresses of cards");
            return;
        }
        IrekoIdentityCard *card = g_new0(IrekoIdentityCard, 1);
        card->index = (unsigned)json_integer_value(index);
        card->mac = g_strdup(mac);
        g_ptr_array_add(identity->cards, card);
    }
}

static IrekoIdentity *
identity_from_json(const json_t *order, json_int_t *ret_nonce, GError **error)
{
    g_autoptr(IrekoIdentity) identity = g_new0(IrekoIdentity, 1);
    identity->cards = g_ptr_array_new_with_free_func(free_card);
    IrekoJsonReader reader = ireko_json_reader(order, "identity");
    identity->path = ireko_json_text(&reader, "path", PATH_MAX_LEN);
    identity->host = ireko_json_text(&reader, "host", PATH_MAX_LEN);
    identity->uuid = take_id(&reader, "uuid", 36);
    bool stays =
        json_object_get(order, "machine_id") == NULL && json_object_get(order, "boot_id") == NULL;
    identity->machine_id = stays ? NULL : take_id(&reader, "machine_id", 32);
    identity->boot_id = stays ? NULL : take_id(&reader, "boot_id", 36);
    g_autofree char *seed = take_id(&reader, "seed", ID_DIGITS);
    if (!read_seed(seed, identity->seed))
        ireko_json_reader_fail(&reader, "seed", "hex digits");
    *ret_nonce = (json_int_t)ireko_json_count(&reader, "nonce", NONCE_MODULUS);
    identity->time_us = (int64_t)ireko_json_count(&reader, "time_us", INT64_MAX);
    take_cards(&reader, identity);
    return ireko_json_reader_end(&reader, error) ? g_steal_pointer(&identity) : NULL;
}

static json_t *
identity_to_json(const IrekoIdentity *identity, json_int_t nonce)
{
    json_t *cards = json_array();
    for (unsigned i = 0; i < identity->cards->len; i++) {
        const IrekoIdentityCard *card = identity->cards->pdata[i];
        json_array_append_new(cards,
                              json_pack("{s:i,s:s}", "index", (int)card->index, "mac", card->mac));
    }
    return json_pack("{s:s,s:s,s:s,s:s*,s:s*,s:I,s:I,s:o}", "path", identity->path, "host",
                     identity->host, "uuid", identity->uuid, "machine_id", identity->machine_id,
                     "boot_id", identity->boot_id, "nonce", next_nonce(nonce), "time_us",
                     (json_int_t)identity->time_us, "cards", cards);
}

/* A talk with the agent of a guest, and the channel that it holds. */
typedef struct {
    IrekoAgent *agent;
    int hold;
} Line;

static void
free_line(void *data)
{
    Line *line = data;
    if (line == NULL)
        return;
    ireko_agent_free(line->agent);
    ireko_fd_close(&line->hold);
    g_free(line);
}

/* A guest that is handed its part. */
typedef struct {
    const json_t *order;
    const char *folder; /* of all guests */
    Line *line;         /* NULL: none is open */
    json_t *answer;     /* or NULL with */
    GError *error;
} Guest;

static const char *
name_of(const Guest *guest)
{
    const char *name = json_string_value(json_object_get(guest->order, "name"));
    return name != NULL && ireko_text_is_name(name) ? name : NULL;
}

static Line *
open_line(const Guest *guest, IrekoDeadline deadline, GError **error)
{
    if (name_of(guest) == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "that is not the name of a machine");
        return NULL;
    }
    g_autofree char *folder = g_build_filename(guest->folder, name_of(guest), NULL);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(ireko_engine_chosen(), folder, &hold, error);
    IrekoAgent *agent = fd >= 0 ? ireko_agent_hello(fd, NULL, deadline, -1, error) : NULL;
    if (agent == NULL)
        return NULL;
    Line *line = g_new(Line, 1);
    *line = (Line){.agent = agent, .hold = ireko_fd_steal(&hold)};
    return line;
}

static json_t *
hand_on(Guest *guest, GError **error)
{
    IrekoDeadline deadline = ireko_deadline_in_ms(ADOPT_MS);
    if (guest->line == NULL)
        guest->line = open_line(guest, deadline, error);
    if (guest->line == NULL)
        return NULL;
    g_autoptr(json_t) order = json_copy((json_t *)(uintptr_t)guest->order);
    json_object_set_new(order, "time_us", json_integer((json_int_t)g_get_real_time()));
    return ireko_agent_identity(guest->line->agent, order, deadline, error);
}

static void *
run_guest(void *data)
{
    Guest *guest = data;
    guest->answer = hand_on(guest, &guest->error);
    return NULL;
}

/* The line to GUEST is its own until it has answered: a name may come twice. */
static void
take_line(GHashTable *lines, Guest *guest)
{
    const char *name = name_of(guest);
    void *key = NULL, *line = NULL;
    if (name != NULL && g_hash_table_steal_extended(lines, name, &key, &line))
        guest->line = line;
    g_free(key);
}

/* One that did not answer is no longer to be trusted. */
static void
keep_line(GHashTable *lines, Guest *guest)
{
    Line *line = g_steal_pointer(&guest->line);
    if (line != NULL && guest->answer != NULL)
        g_hash_table_replace(lines, g_strdup(name_of(guest)), line);
    else
        free_line(line);
}

/* Hands each of ORDERS to its guest, at once, the last one without a thread of its own: most hosts
 * have one guest. The answers, or NULL. */
static json_t *
hand_all_on(const json_t *orders, const char *folder, GHashTable *lines, GError **error)
{
    size_t count = MIN(json_array_size(orders), IREKO_TREE_MACHINES_MAX);
    g_autofree Guest *guests = g_new0(Guest, MAX(count, 1));
    g_autofree GThread **threads = g_new0(GThread *, MAX(count, 1));
    for (size_t i = 0; i < count; i++) {
        guests[i] = (Guest){.order = json_array_get(orders, i), .folder = folder};
        take_line(lines, &guests[i]);
        if (i + 1 < count)
            threads[i] = g_thread_new("identity", run_guest, &guests[i]);
        else
            (void)run_guest(&guests[i]);
    }
    json_t *answers = json_array();
    GError *first = NULL;
    for (size_t i = 0; i < count; i++) {
        if (threads[i] != NULL)
            (void)g_thread_join(threads[i]);
        keep_line(lines, &guests[i]);
        if (guests[i].answer != NULL)
            json_array_append_new(answers, guests[i].answer);
        else if (first == NULL)
            first = g_steal_pointer(&guests[i].error);
        g_clear_error(&guests[i].error);
    }
    if (first == NULL)
        return answers;
    json_decref(answers);
    g_propagate_error(error, first);
    return NULL;
}

json_t *
ireko_identity_adopt(
    const json_t *order, IrekoBecome be, const char *folder, GHashTable **lines, GError **error)
{
    json_int_t nonce = 0;
    g_autoptr(IrekoIdentity) identity = identity_from_json(order, &nonce, error);
    if (identity == NULL || (be != NULL && !be(identity, error)))
        return NULL;
    g_autoptr(json_t) answer = identity_to_json(identity, nonce);
    if (be != NULL && *lines == NULL)
        *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_line);
    json_t *guests = be != NULL
                         ? hand_all_on(json_object_get(order, "guests"), folder, *lines, error)
                         : json_array();
    if (guests == NULL)
        return NULL;
    json_object_set_new(answer, "guests", guests);
    return g_steal_pointer(&answer);
}
