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

static json_t *
answer_to(const json_t *order)
{
    g_autoptr(GError) error = NULL;
    json_t *answer = ireko_identity_adopt(order, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    json_t *guests = json_array();
    size_t i;
    const json_t *guest;
    json_array_foreach(json_object_get(order, "guests"), i, guest)
        json_array_append_new(guests, answer_to(guest));
    json_object_set_new(answer, "guests", guests);
    return answer;
}

static void
check_order_is_kept(void)
{
    g_autoptr(IrekoNode) node = host_of("a", "b", hypervisor, leaf);
    g_autoptr(json_t) order = ireko_identity_order(node, "lab", false);
    g_autoptr(json_t) answer = answer_to(order);
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_identity_check(order, answer, CLOCK_US, &error));
    g_assert_no_error(error);
    g_assert_null(json_object_get(answer, "seed"));
    g_assert_cmpstr(json_string_value(json_object_get(order, "uuid")), ==,
                    "564d1e5a-2c61-400d-9f3e-657378693031");

    static const char *const fields[] = {"path",    "host",  "uuid",  "machine_id", "boot_id",
                                         "time_us", "nonce", "cards", "guests"};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        for (unsigned inner = 0; inner < 2; inner++) {
            g_autoptr(json_t) lie = json_deep_copy(answer);
            json_t *liar = inner ? json_array_get(json_object_get(lie, "guests"), 0) : lie;
            if (inner && i + 1 == G_N_ELEMENTS(fields))
                continue; /* it has none */
            json_object_set_new(liar, fields[i], json_string("other"));
            g_assert_false(ireko_identity_check(order, lie, CLOCK_US, &error));
            g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
            g_assert_nonnull(strstr(error->message, inner ? "'a/b'" : i < 8 ? "'a'" : "'a/b'"));
            g_clear_error(&error);
        }
    }
}

/* The answer to an earlier order is none to this one. */
static void
check_replay(void)
{
    g_autoptr(IrekoNode) node = host_of("a", "b", hypervisor, leaf);
    g_autoptr(json_t) before = ireko_identity_order(node, "lab", false);
    g_autoptr(json_t) order = ireko_identity_order(node, "lab", false);
    g_autoptr(json_t) answer = answer_to(before);
    g_assert_false(ireko_identity_check(order, answer, CLOCK_US, NULL));
}

static const char *
field_of(const json_t *order, const char *field)
{
    return json_string_value(json_object_get(order, field));
}

static json_t *
order_of_copy(const char *name)
{
    g_autoptr(IrekoNode) node = node_of("", 1, name, hypervisor);
    ireko_node_be_copy(node);
    return ireko_identity_order(node, "lab", false);
}

static void
check_copies(void)
{
    g_autoptr(json_t) one = order_of_copy("a-1");
    g_autoptr(json_t) two = order_of_copy("a-2");
    static const char *const fields[] = {"path", "host", "uuid", "machine_id", "boot_id", "seed"};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        g_assert_cmpstr(field_of(one, fields[i]), !=, field_of(two, fields[i]));
    g_assert_false(json_equal(json_object_get(one, "cards"), json_object_get(two, "cards")));
}

static void
check_orders_are_read(void)
{
    g_autoptr(IrekoNode) node = host_of("a", "b", hypervisor, leaf);
    g_autoptr(json_t) order = ireko_identity_order(node, "lab", false);
    static const char *const fields[] = {"path",    "host", "uuid",  "machine_id",
                                         "boot_id", "seed", "nonce", "time_us"};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autoptr(json_t) broken = json_deep_copy(order);
        json_object_set_new(broken, fields[i], json_pack("[i]", 1));
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_identity_adopt(broken, NULL, NULL, NULL, &error));
        g_assert_nonnull(error);
    }
    static const char *const cards[] = {"[1]", "[{\"index\":10,\"mac\":\"00:00:00:00:00:00\"}]",
                                        "[{\"index\":0,\"mac\":\"00:00:00:00:00\"}]",
                                        "[{\"index\":0,\"mac\":\"00:00:00:00:00:0g\"}]"};
    for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
        g_autoptr(json_t) broken = json_deep_copy(order);
        json_object_set_new(broken, "cards", json_loads(cards[i], 0, NULL));
        g_assert_null(ireko_identity_adopt(broken, NULL, NULL, NULL, NULL));
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
    g_test_add_func("/identity/an-order-is-read-with-care", check_orders_are_read);
    return g_test_run();
}
