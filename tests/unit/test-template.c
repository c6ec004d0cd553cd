/* Templates: what has a part in a key and what has not; orders of identities and their answers. */
#include <string.h>

#include <ireko/error.h>

#include "base/jsonl.h"
#include "lab/clone/freeze.h"
#include "lab/clone/identity.h"
#include "lab/clone/template.h"

#define CLOCK_US (2 * G_TIME_SPAN_SECOND)

static const char hypervisor[] = "ireko.image = \"kvm-host\"\nmemsize = \"1024\"\n"
                                 "vhv.enable = \"TRUE\"\nuuid.bios = \"56 4d 1e 5a 2c 61 40 0d-9f "
                                 "3e 65 73 78 69 30 31\"\nethernet0.present = \"TRUE\"\n"
                                 "ethernet0.addressType = \"static\"\n"
                                 "ethernet0.address = \"00:50:56:00:01:01\"\n";
static const char leaf[] = "ireko.image = \"linux\"\nmemsize = \"128\"\n";

static IrekoNode *
node_of(const char *above, unsigned level, const char *name, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    g_autofree char *file = g_strdup_printf("/lab/%s.vmx", name);
    IrekoNode *node = ireko_node_new(above, level, name, file, bytes, &error);
    g_assert_no_error(error);
    return node;
}

/* A host with a guest inside. */
static IrekoNode *
host_of(const char *name, const char *guest, const char *host_text, const char *guest_text)
{
    IrekoNode *host = node_of("", 1, name, host_text);
    g_ptr_array_add(host->guests, node_of(name, 2, guest, guest_text));
    return host;
}

/* ---- keys ---- */

typedef struct {
    const char *label;
    bool same; /* as the first row's */
    const char *name, *guest, *host_text, *guest_text;
    IrekoAccel accel;
    const char *engine, *program, *cpu, *feature, *kernel;
} Row;

#define PLAIN "esxi01", "linux", hypervisor, leaf
#define TCG   IREKO_ACCEL_TCG

static const Row rows[] = {
    {"the first", true, PLAIN, TCG, "qemu 1", "aa", "EPYC", "avx", "6.1"},
    {"the host has another name", true, "esxi02", "linux", hypervisor, leaf, TCG, "qemu 1", "aa",
     "EPYC", "avx", "6.1"},
    {"another kernel, under TCG", true, PLAIN, TCG, "qemu 1", "aa", "EPYC", "avx", "6.2"},
    {"the guest has another name", false, "esxi01", "other", hypervisor, leaf, TCG, "qemu 1", "aa",
     "EPYC", "avx", "6.1"},
    {"a guest's .vmx differs", false, "esxi01", "linux", hypervisor, "ireko.image = \"linux\"\n",
     TCG, "qemu 1", "aa", "EPYC", "avx", "6.1"},
    {"the host's .vmx differs", false, "esxi01", "linux", leaf, leaf, TCG, "qemu 1", "aa", "EPYC",
     "avx", "6.1"},
    {"another accelerator", false, PLAIN, IREKO_ACCEL_KVM, "qemu 1", "aa", "EPYC", "avx", "6.1"},
    {"another QEMU", false, PLAIN, TCG, "qemu 2", "aa", "EPYC", "avx", "6.1"},
    {"another ireko", false, PLAIN, TCG, "qemu 1", "ab", "EPYC", "avx", "6.1"},
    {"another CPU", false, PLAIN, TCG, "qemu 1", "aa", "Xeon", "avx", "6.1"},
    {"another feature of the CPU", false, PLAIN, TCG, "qemu 1", "aa", "EPYC", "avx2", "6.1"},
};

static char *
key_of(const Row *row)
{
    g_autoptr(IrekoNode) node = host_of(row->name, row->guest, row->host_text, row->guest_text);
    g_autoptr(GPtrArray) features = g_ptr_array_new();
    g_ptr_array_add(features, (void *)(uintptr_t)row->feature);
    IrekoFacts facts = {.cpu_vendor = (char *)(uintptr_t) "AuthenticAMD",
                        .cpu_model = (char *)(uintptr_t)row->cpu,
                        .cpu_features = features,
                        .kernel = (char *)(uintptr_t)row->kernel};
    const IrekoTemplateHost host = {.facts = &facts,
                                    .accel = row->accel,
                                    .engine = row->engine,
                                    .program = row->program,
                                    .images = "/nowhere"};
    return ireko_template_key(node, &host);
}

static void
check_keys(void)
{
    g_autofree char *first = key_of(&rows[0]);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_assert_cmpuint(strlen(first), ==, 32);
    for (size_t i = 1; i < G_N_ELEMENTS(rows); i++) {
        char *key = key_of(&rows[i]);
        if ((strcmp(key, first) == 0) != rows[i].same)
            g_error("%s: %s and %s", rows[i].label, first, key);
        bool is_new = g_hash_table_add(seen, key);
        g_assert_true(is_new || rows[i].same);
    }
}

/* A kernel keeps a part of the state under KVM. */
static void
check_kvm_kernel(void)
{
    Row row = rows[0];
    row.accel = IREKO_ACCEL_KVM;
    g_autofree char *one = key_of(&row);
    row.kernel = "6.2";
    g_autofree char *other = key_of(&row);
    g_assert_cmpstr(one, !=, other);
}

static void
check_obstacles(void)
{
    IrekoFacts amd = {.cpu_vendor = (char *)(uintptr_t) "AuthenticAMD"};
    IrekoFacts intel = {.cpu_vendor = (char *)(uintptr_t) "GenuineIntel"};
    g_autoptr(IrekoNode) host = host_of("a", "b", hypervisor, leaf);
    g_autoptr(IrekoNode) alone = node_of("", 1, "a", hypervisor);
    g_autoptr(IrekoNode) own = node_of("", 1, "a", "memsize = \"64\"\n");
    const struct {
        const IrekoNode *node;
        const IrekoFacts *facts;
        IrekoAccel accel;
        const char *why;
    } cases[] = {
        {host, &amd, IREKO_ACCEL_TCG, NULL},
        {host, &amd, IREKO_ACCEL_KVM, "undefined"},
        {host, &intel, IREKO_ACCEL_KVM, NULL},
        {alone, &amd, IREKO_ACCEL_KVM, NULL},
        {own, &amd, IREKO_ACCEL_TCG, "system of your own"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *why = ireko_freeze_obstacle(cases[i].node, cases[i].facts, cases[i].accel);
        g_assert_cmpint(why != NULL, ==, cases[i].why != NULL);
        g_assert_true(why == NULL || strstr(why, cases[i].why) != NULL);
    }
}

/* ---- identities ---- */

/* What the machines that ORDER is for answer, each as if it were the only one inside. */
static char *
answer_to(const GPtrArray *order)
{
    g_autofree char *words = ireko_identity_order_to_text(order);
    g_autoptr(GString) answer = g_string_new(NULL);
    const char *rest = words;
    for (unsigned i = 0; i < order->len; i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = ireko_identity_order_at(g_get_real_time(), rest);
        const char *guests = NULL;
        g_autoptr(IrekoIdentity) identity = ireko_identity_order_from_text(text, &guests, &error);
        g_assert_no_error(error);
        ireko_identity_answer_to_text(identity, answer);
        rest += strlen(rest) - strlen(guests);
    }
    g_assert_cmpstr(rest, ==, "");
    return g_string_free(g_steal_pointer(&answer), FALSE);
}

static GPtrArray *
identities_in(const char *answer)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *identities = ireko_identity_answer_from_text(answer, &error);
    g_assert_no_error(error);
    return identities;
}

static void
lie_about(IrekoIdentity *identity, const char *field)
{
    char **const texts[] = {&identity->path, &identity->host, &identity->uuid,
                            &identity->machine_id, &identity->boot_id};
    static const char *const names[] = {"path", "host", "uuid", "machine ID", "boot ID"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(field, names[i]) != 0)
            continue;
        g_free(*texts[i]);
        *texts[i] = g_strdup("other");
    }
    if (strcmp(field, "clock") == 0)
        identity->time_us -= 2 * CLOCK_US;
    if (strcmp(field, "clock ahead") == 0)
        identity->time_us += 2 * CLOCK_US;
    if (strcmp(field, "nonce") == 0)
        identity->nonce--;
    if (strcmp(field, "cards") == 0)
        g_ptr_array_add(identity->cards, ireko_card_new(3, IREKO_CARD_NONE, NULL));
}

static void
check_order_is_kept(void)
{
    g_autoptr(IrekoNode) node = host_of("a", "b", hypervisor, leaf);
    g_autoptr(GPtrArray) order = ireko_identity_order(node, "lab", false);
    g_autofree char *answer = answer_to(order);
    g_autoptr(GPtrArray) is = identities_in(answer);
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_identity_check(order, is, CLOCK_US, &error));
    g_assert_no_error(error);
    const IrekoIdentity *host = order->pdata[0];
    g_assert_cmpstr(host->uuid, ==, "564d1e5a-2c61-400d-9f3e-657378693031");

    static const char *const fields[] = {"path",  "host",        "uuid",  "machine ID", "boot ID",
                                         "clock", "clock ahead", "nonce", "cards"};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        for (unsigned inner = 0; inner < 2; inner++) {
            g_test_message("%s %u", fields[i], inner);
            g_autoptr(GPtrArray) lie = identities_in(answer);
            lie_about(lie->pdata[inner], fields[i]);
            g_assert_false(ireko_identity_check(order, lie, CLOCK_US, &error));
            g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
            g_assert_nonnull(strstr(error->message, inner ? "'a/b' did" : "'a' did"));
            g_clear_error(&error);
        }
    }
    g_ptr_array_set_size(is, 1);
    g_assert_false(ireko_identity_check(order, is, CLOCK_US, &error));
    g_assert_nonnull(strstr(error->message, "'a/b' did"));
}

/* The answer to an earlier order is none to this one. */
static void
check_replay(void)
{
    g_autoptr(IrekoNode) node = host_of("a", "b", hypervisor, leaf);
    g_autoptr(GPtrArray) before = ireko_identity_order(node, "lab", false);
    g_autoptr(GPtrArray) order = ireko_identity_order(node, "lab", false);
    g_autofree char *answer = answer_to(before);
    g_autoptr(GPtrArray) is = identities_in(answer);
    g_assert_false(ireko_identity_check(order, is, CLOCK_US, NULL));
}

static IrekoIdentity *
order_of_copy(const char *name)
{
    g_autoptr(IrekoNode) node = node_of("", 1, name, hypervisor);
    ireko_node_be_copy(node);
    g_autoptr(GPtrArray) order = ireko_identity_order(node, "lab", false);
    return g_ptr_array_steal_index(order, 0);
}

static void
check_copies(void)
{
    g_autoptr(IrekoIdentity) one = order_of_copy("a-1");
    g_autoptr(IrekoIdentity) two = order_of_copy("a-2");
    g_assert_cmpstr(one->path, !=, two->path);
    g_assert_cmpstr(one->host, !=, two->host);
    g_assert_cmpstr(one->uuid, !=, two->uuid);
    g_assert_cmpstr(one->machine_id, !=, two->machine_id);
    g_assert_cmpstr(one->boot_id, !=, two->boot_id);
    g_assert_cmpint(memcmp(one->seed, two->seed, sizeof one->seed), !=, 0);
    const IrekoCard *first = one->cards->pdata[0], *second = two->cards->pdata[0];
    g_assert_cmpstr(first->mac, !=, second->mac);
}

#define SEED "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define UUID "564d1e5a-2c61-400d-9f3e-657378693031"
#define ID   "0123456789abcdef0123456789abcdef"
#define OWN  " a h " UUID " " ID " " UUID " " SEED " 7 "

/* All that an order says arrives, and all that is answered. */
static void
check_words(void)
{
    g_autoptr(GError) error = NULL;
    const char *guests = NULL;
    static const char text[] =
        " 5f" OWN "0/00:50:56:00:01:01/a709000f/14/a7090002,9/00:50:56:00:01:02/0/0/0 +0,in a/b x";
    g_autoptr(IrekoIdentity) identity = ireko_identity_order_from_text(text, &guests, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(guests, ==, " a/b x");
    g_assert_cmpint(identity->time_us, ==, 0x5f);
    g_assert_cmpint(identity->seed[31], ==, 0x1f);
    const IrekoCard *first = identity->cards->pdata[0], *last = identity->cards->pdata[1];
    g_assert_cmphex(first->address, ==, 0xa709000f);
    g_assert_cmphex(first->gateway, ==, 0xa7090002);
    g_assert_cmpint(first->prefix, ==, 20);
    g_assert_cmpint(last->index, ==, 9);
    g_assert_cmpint(g_array_index(identity->uplinks, int, 0), ==, 0);
    g_assert_cmpint(g_array_index(identity->uplinks, int, 1), ==, IREKO_BRIDGE_INSIDE);

    const IrekoInterface one = {0, "br0", "00:50:56:00:01:01", 0xa709000f, 20};
    identity->interfaces = g_array_new(FALSE, FALSE, sizeof one);
    g_array_append_val(identity->interfaces, one);
    g_free(identity->host);
    identity->host = g_strdup("two words,\n");
    g_autoptr(GString) answer = g_string_new(NULL);
    ireko_identity_answer_to_text(identity, answer);
    g_assert_cmpstr(answer->str, ==,
                    " a two?words?? " UUID " " ID " " UUID " 5f 5e478 "
                    "0/00:50:56:00:01:01,9/00:50:56:00:01:02 +br0/0/00:50:56:00:01:01/a709000f/14");
    g_autoptr(GPtrArray) is = identities_in(answer->str);
    const IrekoIdentity *told = is->pdata[0];
    g_assert_nonnull(told->interfaces);
    const IrekoInterface *read = &g_array_index(told->interfaces, IrekoInterface, 0);
    g_assert_cmpstr(read->name, ==, one.name);
    g_assert_cmpstr(read->mac, ==, one.mac);
    g_assert_cmphex(read->address, ==, one.address);
    g_assert_cmpint(read->prefix, ==, one.prefix);
}

static void
check_orders_are_read(void)
{
    static const char *const broken[] = {
        "",
        " ",
        " 1",
        " 1 a h",
        "1" OWN "- -",
        " g" OWN "- -",
        " 1  a h " UUID,
        " 1 a//b h " UUID " - - " SEED " 7 - -",
        " 1 - h " UUID " - - " SEED " 7 - -",
        " 1 a - " UUID " - - " SEED " 7 - -",
        " 1 a h - - - " SEED " 7 - -",
        " 1 a h " ID " - - " SEED " 7 - -",
        " 1 a h 564D1E5A-2c61-400d-9f3e-657378693032 - - " SEED " 7 - -",
        " 1 a h 564d1e5a-2c61-400d-9f3e-65737869303g - - " SEED " 7 - -",
        " 1 a h " UUID " " ID " - " SEED " 7 - -",
        " 1 a h " UUID " - " UUID " " SEED " 7 - -",
        " 1 a h " UUID " " UUID " " UUID " " SEED " 7 - -",
        " 1 a h " UUID " - - " ID " 7 - -",
        " 1 a h " UUID " - - g" SEED " 7 - -",
        " 1 a h " UUID " - - " SEED " 7fffffff - -",
        " 1 a h " UUID " - - " SEED " -7 - -",
        " 1" OWN "-",
        " 1" OWN "- ",
        " 1" OWN "- x",
        " 1" OWN "- +a",
        " 1" OWN "- +0,,",
        " 1" OWN "- +out",
        " 1" OWN "1 -",
        " 1" OWN "a/00:50:56:00:01:01/0/0/0 -",
        " 1" OWN "0/00:50:56:00:01/0/0/0 -",
        " 1" OWN "0/00:50:56:00:01:0g/0/0/0 -",
        " 1" OWN "0/00:50:56:00:01:01/0/21/0 -",
        " 1" OWN "0/00:50:56:00:01:01/0/0 -",
        " 1" OWN "0/00:50:56:00:01:01/0/0/0/0 -",
        " 1" OWN "0/00:50:56:00:01:01/0/0/0, -",
        " 1" OWN "0/00:50:56:00:01:01/100000000/0/0 -",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_test_message("'%s'", broken[i]);
        g_autoptr(GError) error = NULL;
        const char *guests = NULL;
        g_assert_null(ireko_identity_order_from_text(broken[i], &guests, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    }
}

/* Words for guests that are not this machine's are handed to nobody. */
static void
check_whose_words(void)
{
    static const char *const broken[] = {" a/b",
                                         " b/c 2 3 4 5 6 7 8 9",
                                         " a 2 3 4 5 6 7 8 9",
                                         " a/b/c 2 3 4 5 6 7 8 9",
                                         " a/.. 2 3 4 5 6 7 8 9",
                                         " a/ 2 3 4 5 6 7 8 9",
                                         " a/b 2 3 4 5 6 7 8 9 a/b/c 2",
                                         "x"};
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_test_message("'%s'", broken[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) answer = g_string_new(NULL);
        GHashTable *lines = NULL;
        g_assert_false(ireko_identity_hand_on(broken[i], "a", "/nowhere", &lines, answer, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        g_hash_table_unref(lines);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/template/what-shapes-a-host-has-a-part-in-its-key", check_keys);
    g_test_add_func("/template/under-kvm-the-kernel-has-a-part-too", check_kvm_kernel);
    g_test_add_func("/template/what-cannot-be-frozen-is-said-beforehand", check_obstacles);
    g_test_add_func("/identity/an-answer-is-what-was-ordered-at-every-layer", check_order_is_kept);
    g_test_add_func("/identity/an-earlier-answer-is-none", check_replay);
    g_test_add_func("/identity/copies-share-nothing", check_copies);
    g_test_add_func("/identity/all-that-is-ordered-and-answered-arrives", check_words);
    g_test_add_func("/identity/an-order-is-read-with-care", check_orders_are_read);
    g_test_add_func("/identity/words-for-others-are-handed-to-nobody", check_whose_words);
    return g_test_run();
}
