/* vmx/lint-lab.c - rules that need every machine of a lab. */
#include <string.h>

#include "base/text.h"
#include "vmx/lint-rule.h"

/* Says RULE of the machine INDEX where another has its value of KEY, or where it is there more than
 * once; SEEN has the values, and which file each is in. */
static void
note_value(Lint *lab, const Rule *rule, size_t index, const char *key, GHashTable *seen)
{
    const Lint *lint = lab->lints[index];
    unsigned line = 0, copies = lab->machines[index].copies;
    g_autofree char *value = ireko_lint_value(lint, key, &line);
    if (value == NULL || *value == '\0')
        return;
    g_autofree char *low = g_ascii_strdown(value, -1);
    const char *other = g_hash_table_lookup(seen, low);
    lab->file = lint->file;
    if (copies > 1)
        ireko_lint_say(lab, rule, line, "%s is '%s', and there are %u of it", key, value, copies)
            ->fix = g_strdup("remove the line");
    else if (other != NULL)
        ireko_lint_say(lab, rule, line, "%s is '%s', as in %s", key, value, other)->fix =
            g_strdup("remove the line, or give it a value of its own");
    g_hash_table_insert(seen, g_steal_pointer(&low), (void *)(uintptr_t)lint->file);
}

static GHashTable *
values_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void
check_uuid(Lint *lab, const Rule *rule)
{
    g_autoptr(GHashTable) seen = values_new();
    for (size_t i = 0; i < lab->count; i++)
        note_value(lab, rule, i, "uuid.bios", seen);
}

static void
check_mac(Lint *lab, const Rule *rule)
{
    g_autoptr(GHashTable) seen = values_new();
    for (size_t i = 0; i < lab->count; i++) {
        const GArray *nics = lab->lints[i]->nics;
        for (unsigned k = 0; k < nics->len; k++) {
            g_autofree char *key =
                g_strdup_printf("ethernet%u.address", g_array_index(nics, LintDevice, k).number);
            note_value(lab, rule, i, key, seen);
        }
    }
}

static void
check_salts(Lint *lab, const Rule *rule)
{
    g_autofree char *first = NULL;
    for (size_t i = 0; i < lab->count; i++) {
        unsigned line = 0;
        g_autofree char *salt = ireko_lint_value(lab->lints[i], "sched.mem.pshare.salt", &line);
        if (salt != NULL && first == NULL)
            first = g_strdup(salt);
        lab->file = lab->lints[i]->file;
        if (salt != NULL && strcmp(salt, first) != 0)
            ireko_lint_say(lab, rule, line, "'%s' here, '%s' elsewhere", salt, first)->fix =
                g_strdup("give machines that may share pages the same salt");
    }
}

typedef struct {
    unsigned hosts;
    const Lint *last; /* a host with two cards in the group is one host */
} Group;

/* Counts the host of CARD in the port group of the card; says RULE once for each group. */
static void
note_port_group(Lint *lab, const Rule *rule, size_t index, const LintDevice *card, GHashTable *seen)
{
    const Lint *lint = lab->lints[index];
    unsigned line = 0;
    g_autofree char *name = ireko_lint_device_value(lint, card, "networkName", &line);
    if (name == NULL || *name == '\0')
        return;
    g_autofree char *key = g_strdup_printf("%u/%s", lab->machines[index].level, name);
    Group *group = g_hash_table_lookup(seen, key);
    if (group == NULL) {
        group = g_new0(Group, 1);
        g_hash_table_insert(seen, g_steal_pointer(&key), group);
    }
    if (group->last == lint)
        return;
    unsigned before = group->hosts;
    group->hosts += MAX(lab->machines[index].copies, 1);
    group->last = lint;
    lab->file = lint->file;
    if (before < 2 && group->hosts >= 2)
        ireko_lint_say(lab, rule, line, "%u virtual hosts on '%s'", group->hosts, name)->fix =
            g_strdup("use MAC learning (vSphere 6.7), not promiscuous mode");
}

static void
check_promiscuous(Lint *lab, const Rule *rule)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (size_t i = 0; i < lab->count; i++) {
        const GArray *nics = lab->lints[i]->nics;
        for (unsigned k = 0; lab->lints[i]->is_esxi && k < nics->len; k++)
            note_port_group(lab, rule, i, &g_array_index(nics, LintDevice, k), seen);
    }
}

/* Of a guestOS that is a hypervisor's the rule of the file says it. */
static void
check_guests(Lint *lab, const Rule *rule)
{
    for (size_t i = 0; i < lab->count; i++) {
        const Lint *lint = lab->lints[i];
        if (!lab->machines[i].has_guests || lint->has_vhv || lint->is_hypervisor)
            continue;
        lab->file = lint->file;
        ireko_lint_say(lab, rule, lint->vhv_line, "vhv.enable is %s",
                       lint->vhv_line > 0 ? "FALSE" : "absent")
            ->fix = g_strdup("set vhv.enable to TRUE");
    }
}

const Rule ireko_rules_lab[] = {
    {"same-uuid", IREKO_SEVERITY_ERROR, "two machines of a lab have the same identity",
     "uuid.bios has the same value in two machines, or stands in one with count above 1",
     "SMBIOS specification, System UUID", check_uuid},
    {"same-mac", IREKO_SEVERITY_ERROR, "two cards of a lab have the same address",
     "ethernetN.address has the same value twice, or stands in a machine with count above 1",
     "IEEE 802", check_mac},
    {"salts-differ", IREKO_SEVERITY_INFO, "machines with different salts share no pages",
     "sched.mem.pshare.salt differs between machines of a lab", "VMware KB 2080735", check_salts},
    {"promiscuous-copies", IREKO_SEVERITY_WARNING,
     "in promiscuous mode every frame is copied to every one of these hosts",
     "two or more ESXi hosts on the same port group (ethernetN.networkName)",
     "http://www.virtuallyghetto.com/2014/08/new-vmware-fling-to-improve-networkcpu-performance-"
     "when-using-promiscuous-mode-for-nested-esxi.html",
     check_promiscuous},
    {"guests-without-vhv", IREKO_SEVERITY_WARNING,
     "the machine has guests in the lab and hands them no assistance",
     "a machine with guests in lab.yaml, its guestOS not a hypervisor's, vhv.enable not TRUE",
     "VMware, Running Nested VMs (DOC-8970)", check_guests},
    {NULL, IREKO_SEVERITY_INFO, NULL, NULL, NULL, NULL},
};
