/* vmx/lint-lab.c - rules that need every machine of a lab.
 *
 * vSAN is meant where two or more ESXi hosts stand beside each other and one of them has a disk
 * that says it is an SSD: then each needs one for the cache and another disk for the capacity. */
#include <string.h>

#include "base/text.h"
#include "vmx/lint-rule.h"

#define HOSTS_MIN     3
#define VSAN_BASE_MB  5426
#define VSAN_GROUP_MB 636
#define VSAN_DISK_MB  70
#define VSAN_CACHE_MB 8  /* for each GB of a hybrid group's SSD */
#define VSAN_FLASH_MB 14 /* the same where all disks are SSDs */
#define HARDWARE_SSD  8

typedef struct {
    const Lint *lint;
    unsigned level, copies;
    unsigned ssds, capacity; /* disks but the first, which it boots from: SSDs, and others */
    uint64_t ssd_bytes, least_bytes; /* of all SSDs, of the smallest; 0 unknown */
    unsigned line;                   /* of guestOS */
} Host;

static bool
says_ssd(const Lint *lint, const LintDevice *disk)
{
    g_autofree char *value = ireko_lint_device_value(lint, disk, "virtualSSD", NULL);
    bool on = false;
    return strcmp(disk->bus, "nvme") == 0 ||
           (value != NULL && ireko_text_parse_bool(value, &on) && on);
}

/* Notes DISK as one that vSAN may take. Of several SSDs and no other disk the smallest is the
 * cache; beside other disks every SSD is. */
static void
note_disk(Host *host, const LintDevice *disk)
{
    g_autofree char *key =
        g_strdup_printf("ireko.%s%u:%u.size", disk->bus, disk->number, disk->unit);
    g_autofree char *size = ireko_lint_value(host->lint, key, NULL);
    uint64_t bytes = 0;
    if (!says_ssd(host->lint, disk)) {
        host->capacity++;
        return;
    }
    host->ssds++;
    if (size != NULL && ireko_text_parse_size(size, &bytes)) {
        host->ssd_bytes += bytes;
        host->least_bytes = host->least_bytes > 0 ? MIN(host->least_bytes, bytes) : bytes;
    }
}

static Host
host_of(const Lint *lint, const IrekoLintMachine *machine)
{
    Host host = {.lint = lint, .level = machine->level, .copies = MAX(machine->copies, 1)};
    g_autofree char *os = ireko_lint_value(lint, "guestOS", &host.line);
    bool boots = true;
    for (unsigned i = 0; i < lint->disks->len; i++) {
        const LintDevice *disk = &g_array_index(lint->disks, LintDevice, i);
        if (ireko_lint_is_cdrom(lint, disk))
            continue;
        if (!boots)
            note_disk(&host, disk);
        boots = false;
    }
    return host;
}

/* The ESXi hosts at LEVEL, if vSAN is meant there; free with g_array_unref. */
static GArray *
vsan_hosts(const Lint *lab, unsigned level)
{
    g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(Host));
    unsigned count = 0, ssds = 0;
    for (size_t i = 0; i < lab->count; i++) {
        if (!lab->lints[i]->is_esxi || lab->machines[i].level != level)
            continue;
        Host host = host_of(lab->lints[i], &lab->machines[i]);
        count += host.copies;
        ssds += host.ssds;
        g_array_append_val(hosts, host);
    }
    return count >= 2 && ssds > 0 ? g_steal_pointer(&hosts) : NULL;
}

static unsigned
deepest(const Lint *lab)
{
    unsigned level = 0;
    for (size_t i = 0; i < lab->count; i++)
        level = MAX(level, lab->machines[i].level);
    return level;
}

typedef void (*HostCheck)(Lint *lab, const Rule *rule, const Host *host);

static void
each_host(Lint *lab, const Rule *rule, HostCheck check)
{
    for (unsigned level = 1; level <= deepest(lab); level++) {
        g_autoptr(GArray) hosts = vsan_hosts(lab, level);
        for (unsigned i = 0; hosts != NULL && i < hosts->len; i++) {
            const Host *host = &g_array_index(hosts, Host, i);
            lab->file = host->lint->file;
            check(lab, rule, host);
        }
    }
}

static void
check_three(Lint *lab, const Rule *rule)
{
    for (unsigned level = 1; level <= deepest(lab); level++) {
        g_autoptr(GArray) hosts = vsan_hosts(lab, level);
        unsigned count = 0;
        for (unsigned i = 0; hosts != NULL && i < hosts->len; i++)
            count += g_array_index(hosts, Host, i).copies;
        if (count == 0 || count >= HOSTS_MIN)
            continue;
        const Host *host = &g_array_index(hosts, Host, 0);
        lab->file = host->lint->file;
        ireko_lint_say(lab, rule, host->line, "%u hosts at level %u", count, level)->fix =
            g_strdup("add hosts, or count: 3 in lab.yaml");
    }
}

static void
host_flash(Lint *lab, const Rule *rule, const Host *host)
{
    if (host->ssds == 0)
        ireko_lint_say(lab, rule, host->line, "no disk of it says that it is an SSD")->fix =
            g_strdup_printf("ireko vmx ssd %s DISK", host->lint->file);
    else if (host->lint->hardware > 0 && host->lint->hardware < HARDWARE_SSD)
        ireko_lint_say(lab, rule, host->line, "virtualHW.version %u tells a guest of no SSD",
                       host->lint->hardware)
            ->fix = g_strdup("upgrade the hardware to 8 or later");
}

static void
check_flash(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_flash);
}

static void
host_capacity(Lint *lab, const Rule *rule, const Host *host)
{
    if (host->ssds > 0 && host->capacity == 0 && host->ssds < 2)
        ireko_lint_say(lab, rule, host->line,
                       "one SSD and no other disk than the one it boots from")
            ->fix = g_strdup("add a disk for the capacity");
}

static void
check_capacity(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_capacity);
}

static void
host_memory(Lint *lab, const Rule *rule, const Host *host)
{
    unsigned line = 0;
    g_autofree char *memory = ireko_lint_value(host->lint, "memsize", &line);
    uint64_t mb = 0;
    bool all_flash = host->capacity == 0 && host->ssds > 1;
    uint64_t cache_mb = all_flash ? VSAN_FLASH_MB * (host->least_bytes >> 30)
                                  : VSAN_CACHE_MB * (host->ssd_bytes >> 30);
    unsigned capacity = all_flash ? host->ssds - 1 : host->capacity;
    uint64_t needs = VSAN_BASE_MB + VSAN_GROUP_MB + cache_mb + VSAN_DISK_MB * (uint64_t)capacity;
    if (host->ssds > 0 && memory != NULL &&
        ireko_text_parse_unsigned(memory, 10, 0, G_MAXUINT32, &mb) && mb < needs)
        ireko_lint_say(lab, rule, line, "memsize is %s, vSAN alone takes %" G_GUINT64_FORMAT " MB",
                       memory, (guint64)needs)
            ->fix = g_strdup_printf("memsize = \"%" G_GUINT64_FORMAT "\" or more",
                                    (guint64)(needs + 3) / 4 * 4);
}

static void
check_memory(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_memory);
}

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

#define VSAN_DOCS "VMware docs, vSAN 6.5, Hardware Requirements (GUID-C0818534)"
#define VSAN_SIGN "two or more ESXi hosts side by side, one with an SSD"

const Rule ireko_rules_lab[] = {
    {"vsan-three-hosts", IREKO_SEVERITY_ERROR, "vSAN needs three hosts", VSAN_SIGN ", and no third",
     VSAN_DOCS, check_three},
    {"vsan-no-ssd", IREKO_SEVERITY_WARNING, "vSAN finds no flash device for its cache",
     VSAN_SIGN ", and this one without, or with a hardware version below 8",
     VSAN_DOCS "; packer pull request 2309", check_flash},
    {"vsan-no-capacity", IREKO_SEVERITY_ERROR, "vSAN finds no device for its capacity",
     VSAN_SIGN ", and this one without another disk", VSAN_DOCS, check_capacity},
    {"vsan-memory", IREKO_SEVERITY_WARNING, "vSAN takes more memory than the machine has",
     VSAN_SIGN
     "; 5426 MB, 636, 8 (all SSDs: 14) for each GB of cache, 70 for each disk of capacity",
     "field report: cloudmaster.co.in, vSAN memory consumption in ESXi 6.5.0d and 6.0 U3",
     check_memory},
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
