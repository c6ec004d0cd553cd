/* vmx/lint-vsan.c - what a vSAN of a lab's hosts would stumble over.
 *
 * vSAN is meant where the lab says so (requires: [vsan]): then its outermost hypervisors are the
 * hosts, and what is missing is an error. It is also taken to be meant where two or more ESXi hosts
 * stand beside each other and one of them has a disk that says it is an SSD; that is a guess, and
 * only the rules that cannot be wrong about it are asked.
 *
 * The memory is what ESXi itself takes for vSAN (VMware KB 2113954, its figures as of 6.5.0d). A
 * built-in image that stands where ESXi would takes none of it: there it is a remark. */
#include <string.h>

#include <ireko/vsan.h>

#include "base/text.h"
#include "vmx/lint-rule.h"

#define VSAN_BASE_MB  5426
#define VSAN_GROUP_MB 636
#define VSAN_DISK_MB  70
#define VSAN_CACHE_MB 8  /* for each GB of a hybrid group's SSD */
#define VSAN_FLASH_MB 14 /* the same where all disks are SSDs */
#define HARDWARE_SSD  8

typedef struct {
    const Lint *lint;
    unsigned copies;
    bool required, stand_in; /* the lab says vSAN; a built-in image boots in ESXi's place */
    GArray *devices;         /* LintDevice: disks but the first, which it boots from */
    GArray *disks;           /* IrekoVsanDisk, the same in the same order */
    unsigned caches, capacity;
    unsigned line; /* of guestOS */
} Host;

static void
clear_host(void *data)
{
    Host *host = data;
    g_array_unref(host->devices);
    g_array_unref(host->disks);
}

/* In the order in which a machine boots from them. */
static int
compare_devices(const void *left, const void *right)
{
    static const char buses[] = "scsi sata ide nvme";
    const LintDevice *a = left, *b = right;
    const char *a_bus = strstr(buses, a->bus), *b_bus = strstr(buses, b->bus);
    if (a_bus != b_bus)
        return a_bus < b_bus ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return (a->unit > b->unit) - (a->unit < b->unit);
}

static bool
says_ssd(const Lint *lint, const LintDevice *disk, unsigned *ret_line)
{
    g_autofree char *value = ireko_lint_device_value(lint, disk, "virtualSSD", ret_line);
    bool on = false;
    return strcmp(disk->bus, "nvme") == 0 ||
           (value != NULL && ireko_text_parse_bool(value, &on) && on);
}

static char *
size_of(const Lint *lint, const LintDevice *disk, unsigned *ret_line)
{
    g_autofree char *key =
        g_strdup_printf("ireko.%s%u:%u.size", disk->bus, disk->number, disk->unit);
    return ireko_lint_value(lint, key, ret_line);
}

static char *
device_name(const LintDevice *disk)
{
    return g_strdup_printf("%s%u:%u", disk->bus, disk->number, disk->unit);
}

/* The line where DISK is described. */
static unsigned
line_of(const Lint *lint, const LintDevice *disk)
{
    unsigned line = disk->line;
    g_free(ireko_lint_device_value(lint, disk, "fileName", &line));
    return line;
}

static void
note_disks(Host *host)
{
    const Lint *lint = host->lint;
    for (unsigned i = 0; i < lint->disks->len; i++) {
        const LintDevice *disk = &g_array_index(lint->disks, LintDevice, i);
        if (!ireko_lint_is_cdrom(lint, disk))
            g_array_append_vals(host->devices, disk, 1);
    }
    g_array_sort(host->devices, compare_devices);
    if (host->devices->len > 0)
        g_array_remove_index(host->devices, 0);
    for (unsigned i = 0; i < host->devices->len; i++) {
        const LintDevice *disk = &g_array_index(host->devices, LintDevice, i);
        g_autofree char *size = size_of(lint, disk, NULL);
        IrekoVsanDisk as = {.flash = says_ssd(lint, disk, NULL)};
        if (size == NULL || !ireko_text_parse_size(size, &as.bytes))
            as.bytes = 0;
        g_array_append_val(host->disks, as);
    }
    IrekoVsanDisk *disks = (IrekoVsanDisk *)(void *)host->disks->data;
    ireko_vsan_assign(disks, host->disks->len);
    for (unsigned i = 0; i < host->disks->len; i++)
        *(disks[i].role == IREKO_VSAN_CACHE ? &host->caches : &host->capacity) += 1;
}

static Host
host_of(const Lint *lint, const IrekoLintMachine *machine)
{
    Host host = {.lint = lint,
                 .copies = MAX(machine->copies, 1),
                 .required = machine->vsan,
                 .devices = g_array_new(FALSE, FALSE, sizeof(LintDevice)),
                 .disks = g_array_new(FALSE, FALSE, sizeof(IrekoVsanDisk))};
    g_free(ireko_lint_value(lint, "guestOS", &host.line));
    g_autofree char *image = ireko_lint_value(lint, "ireko.image", NULL);
    host.stand_in = image != NULL;
    note_disks(&host);
    return host;
}

/* The machines that LAB requires vSAN of; it may have none that could. */
static bool
is_required(const Lint *lab)
{
    for (size_t i = 0; i < lab->count; i++) {
        if (lab->machines[i].vsan)
            return true;
    }
    return false;
}

static bool
is_host(const Lint *lab, size_t index, unsigned level)
{
    const Lint *lint = lab->lints[index];
    if (lab->machines[index].level != level)
        return false;
    return lab->machines[index].vsan ? ireko_vsan_is_host(lint->guest_os, lint->has_vhv)
                                     : lint->is_esxi;
}

/* The hosts at LEVEL, if vSAN is meant there; free with g_array_unref. */
static GArray *
vsan_hosts(const Lint *lab, unsigned level)
{
    g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(Host));
    g_array_set_clear_func(hosts, clear_host);
    bool required = level == 1 && is_required(lab);
    unsigned count = 0, flash = 0;
    for (size_t i = 0; i < lab->count; i++) {
        if (!is_host(lab, i, level) || lab->machines[i].vsan != required)
            continue;
        Host host = host_of(lab->lints[i], &lab->machines[i]);
        count += host.copies;
        flash += host.caches;
        g_array_append_val(hosts, host);
    }
    return required || (count >= 2 && flash > 0) ? g_steal_pointer(&hosts) : NULL;
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

/* What a lab requires it cannot do without. */
static IrekoFinding *
weigh(IrekoFinding *finding, const Host *host)
{
    if (host->required)
        finding->severity = IREKO_SEVERITY_ERROR;
    return finding;
}

static void
check_three(Lint *lab, const Rule *rule)
{
    for (unsigned level = 1; level <= deepest(lab); level++) {
        g_autoptr(GArray) hosts = vsan_hosts(lab, level);
        unsigned count = 0, line = 0;
        for (unsigned i = 0; hosts != NULL && i < hosts->len; i++)
            count += g_array_index(hosts, Host, i).copies;
        if (hosts == NULL || count >= IREKO_VSAN_HOSTS_MIN)
            continue;
        if (hosts->len > 0)
            line = g_array_index(hosts, Host, 0).line;
        lab->file =
            hosts->len > 0 ? g_array_index(hosts, Host, 0).lint->file : lab->machines[0].file;
        ireko_lint_say(lab, rule, line, "%u host%s at level %u", count, count == 1 ? "" : "s",
                       level)
            ->fix = g_strdup("add hosts, or count: 3 in lab.yaml");
    }
}

/* The disk that is to be the cache where none says that it is an SSD: the smallest. */
static const LintDevice *
would_be_cache(const Host *host)
{
    unsigned at = 0;
    for (unsigned i = 1; i < host->disks->len; i++) {
        uint64_t bytes = g_array_index(host->disks, IrekoVsanDisk, i).bytes;
        if (bytes > 0 && bytes < g_array_index(host->disks, IrekoVsanDisk, at).bytes)
            at = i;
    }
    return host->devices->len > 0 ? &g_array_index(host->devices, LintDevice, at) : NULL;
}

static void
host_flash(Lint *lab, const Rule *rule, const Host *host)
{
    const LintDevice *disk = would_be_cache(host);
    if (host->caches == 0 && disk == NULL) {
        weigh(ireko_lint_say(lab, rule, host->line, "it has no disk but the one it boots from"),
              host)
            ->fix = g_strdup("add an SSD for the cache, and a disk for the capacity");
    } else if (host->caches == 0) {
        g_autofree char *name = device_name(disk);
        unsigned line = line_of(host->lint, disk);
        (void)says_ssd(host->lint, disk, &line);
        weigh(
            ireko_lint_say(lab, rule, line, "no disk of it says that it is an SSD; %s could", name),
            host)
            ->fix = g_strdup_printf("ireko vmx ssd %s %s", host->lint->file, name);
    } else if (host->lint->hardware > 0 && host->lint->hardware < HARDWARE_SSD) {
        weigh(ireko_lint_say(lab, rule, host->line, "virtualHW.version %u tells a guest of no SSD",
                             host->lint->hardware),
              host)
            ->fix = g_strdup("upgrade the hardware to 8 or later");
    }
}

static void
check_flash(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_flash);
}

static void
host_capacity(Lint *lab, const Rule *rule, const Host *host)
{
    if (host->caches > 0 && host->capacity == 0)
        ireko_lint_say(lab, rule, host->line,
                       "one SSD and no other disk than the one it boots from")
            ->fix = g_strdup("add a disk for the capacity");
}

static void
check_capacity(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_capacity);
}

/* The first cache of HOST with BYTES, or NULL. */
static const LintDevice *
cache_of_size(const Host *host, uint64_t bytes)
{
    for (unsigned i = 0; i < host->disks->len; i++) {
        const IrekoVsanDisk *disk = &g_array_index(host->disks, IrekoVsanDisk, i);
        if (disk->role == IREKO_VSAN_CACHE && disk->bytes == bytes)
            return &g_array_index(host->devices, LintDevice, i);
    }
    return NULL;
}

static void
host_sizes(Lint *lab, const Rule *rule, const Host *host)
{
    for (unsigned i = 0; host->required && i < host->disks->len; i++) {
        const IrekoVsanDisk *disk = &g_array_index(host->disks, IrekoVsanDisk, i);
        const LintDevice *device = &g_array_index(host->devices, LintDevice, i);
        const LintDevice *cache = disk->role == IREKO_VSAN_CAPACITY && disk->bytes > 0
                                      ? cache_of_size(host, disk->bytes)
                                      : NULL;
        if (cache == NULL)
            continue;
        unsigned line = 0;
        g_autofree char *size = size_of(host->lint, device, &line);
        g_autofree char *name = device_name(device), *other = device_name(cache);
        ireko_lint_say(lab, rule, line, "%s has %s, as the cache %s", name, size, other)->fix =
            g_strdup("give the disk for the capacity another size, a larger one");
    }
}

static void
check_sizes(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_sizes);
}

/* What keeps vSAN from a disk on the controller of DEVICE, or NULL. */
static char *
bad_controller(const Lint *lint, const LintDevice *device, unsigned *ret_line)
{
    if (strcmp(device->bus, "ide") == 0)
        return g_strdup("IDE");
    if (strcmp(device->bus, "scsi") != 0)
        return NULL;
    g_autofree char *key = g_strdup_printf("scsi%u.virtualDev", device->number);
    g_autofree char *model = ireko_lint_value(lint, key, ret_line);
    bool good = model != NULL && (g_ascii_strcasecmp(model, "pvscsi") == 0 ||
                                  g_ascii_strcasecmp(model, "lsisas1068") == 0);
    return good ? NULL : g_strdup(model != NULL ? model : "lsilogic, as virtualDev is absent");
}

static void
host_controllers(Lint *lab, const Rule *rule, const Host *host)
{
    for (unsigned i = 0; host->required && i < host->devices->len; i++) {
        const LintDevice *device = &g_array_index(host->devices, LintDevice, i);
        unsigned line = line_of(host->lint, device);
        g_autofree char *model = bad_controller(host->lint, device, &line);
        g_autofree char *name = device_name(device);
        if (model != NULL)
            ireko_lint_say(lab, rule, line, "%s is on %s", name, model)->fix =
                g_strdup("pvscsi, lsisas1068, SATA or NVMe instead");
    }
}

static void
check_controllers(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_controllers);
}

/* MB that vSAN takes in HOST. */
static uint64_t
memory_mb(const Host *host)
{
    bool all_flash = true;
    uint64_t cache_gb = 0;
    for (unsigned i = 0; i < host->disks->len; i++) {
        const IrekoVsanDisk *disk = &g_array_index(host->disks, IrekoVsanDisk, i);
        all_flash = all_flash && disk->flash;
        if (disk->role == IREKO_VSAN_CACHE)
            cache_gb += disk->bytes >> 30;
    }
    return VSAN_BASE_MB + VSAN_GROUP_MB + (all_flash ? VSAN_FLASH_MB : VSAN_CACHE_MB) * cache_gb +
           VSAN_DISK_MB * (uint64_t)host->capacity;
}

static void
host_memory(Lint *lab, const Rule *rule, const Host *host)
{
    unsigned line = host->line;
    g_autofree char *memory = ireko_lint_value(host->lint, "memsize", &line);
    uint64_t mb = 0, needs = memory_mb(host);
    if (host->caches == 0 || memory == NULL ||
        !ireko_text_parse_unsigned(memory, 10, 0, G_MAXUINT32, &mb) || mb >= needs)
        return;
    IrekoFinding *finding =
        weigh(ireko_lint_say(lab, rule, line,
                             "memsize is %s, vSAN alone takes %" G_GUINT64_FORMAT " MB%s", memory,
                             (guint64)needs,
                             host->stand_in ? " of ESXi; not of the image in its place" : ""),
              host);
    if (host->stand_in)
        finding->severity = IREKO_SEVERITY_INFO;
    finding->fix = g_strdup_printf("memsize = \"%" G_GUINT64_FORMAT "\" or more",
                                   (guint64)(needs + 3) / 4 * 4);
}

static void
check_memory(Lint *lab, const Rule *rule)
{
    each_host(lab, rule, host_memory);
}

/* ---- the network ---- */

/* The virtual network that CARD names, "vmnet2"; NULL where it names none, as for another
 * CONNECTION than custom. */
static char *
vnet_of(const Lint *lint, const LintDevice *card, const char *connection)
{
    g_autofree char *vnet = ireko_lint_device_value(lint, card, "vnet", NULL);
    if (vnet == NULL || *vnet == '\0' || strcmp(connection, "custom") != 0)
        return NULL;
    g_autofree char *base = g_path_get_basename(vnet); /* "/dev/vmnet2" on Linux */
    return g_ascii_strdown(base, -1);
}

/* The network of the lab that CARD is on, or NULL: NAT leads out, each machine by itself. VMware's
 * numbers have meanings. */
static char *
network_of(const Lint *lint, const LintDevice *card)
{
    static const char *const groups[] = {"networkName", "dvs.portgroupId"};
    g_autofree char *type = ireko_lint_device_value(lint, card, "connectionType", NULL);
    g_autofree char *connection = g_ascii_strdown(type != NULL ? type : "bridged", -1);
    g_autofree char *vnet = vnet_of(lint, card, connection);
    if (strcmp(connection, "nat") == 0 || g_strcmp0(vnet, "vmnet8") == 0)
        return NULL;
    if (g_strcmp0(vnet, "vmnet1") == 0)
        return g_strdup("hostonly");
    if (vnet != NULL && strcmp(vnet, "vmnet0") != 0)
        return g_steal_pointer(&vnet);
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        char *name = ireko_lint_device_value(lint, card, groups[i], NULL);
        if (name != NULL && *name != '\0')
            return name;
        g_free(name);
    }
    return g_strdup(vnet != NULL ? "bridged" : connection);
}

/* The networks of HOST; free with g_hash_table_unref. */
static GHashTable *
networks_of(const Host *host)
{
    GHashTable *networks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < host->lint->nics->len; i++) {
        char *name = network_of(host->lint, &g_array_index(host->lint->nics, LintDevice, i));
        if (name != NULL)
            g_hash_table_add(networks, name);
    }
    return networks;
}

/* The network that most of HOSTS are on, the first of them by name; NULL where none is on any. Free
 * with g_free. */
static char *
common_network(const GArray *hosts)
{
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const char *best = NULL;
    size_t most = 0;
    for (unsigned i = 0; i < hosts->len; i++) {
        const Host *host = &g_array_index(hosts, Host, i);
        g_autoptr(GHashTable) networks = networks_of(host);
        GHashTableIter iter;
        void *name;
        g_hash_table_iter_init(&iter, networks);
        while (g_hash_table_iter_next(&iter, &name, NULL)) {
            size_t count = GPOINTER_TO_SIZE(g_hash_table_lookup(counts, name)) + host->copies;
            g_hash_table_insert(counts, g_strdup(name), GSIZE_TO_POINTER(count));
        }
    }
    GHashTableIter iter;
    void *name, *count;
    g_hash_table_iter_init(&iter, counts);
    while (g_hash_table_iter_next(&iter, &name, &count)) {
        size_t hosts_on = GPOINTER_TO_SIZE(count);
        if (hosts_on > most || (hosts_on == most && strcmp(name, best) < 0)) {
            most = hosts_on;
            best = name;
        }
    }
    return g_strdup(best);
}

static void
check_network(Lint *lab, const Rule *rule)
{
    g_autoptr(GArray) hosts = is_required(lab) ? vsan_hosts(lab, 1) : NULL;
    if (hosts == NULL)
        return;
    g_autofree char *common = common_network(hosts);
    for (unsigned i = 0; i < hosts->len; i++) {
        const Host *host = &g_array_index(hosts, Host, i);
        g_autoptr(GHashTable) networks = networks_of(host);
        if (common != NULL && g_hash_table_contains(networks, common))
            continue;
        unsigned line = host->line;
        if (host->lint->nics->len > 0) {
            const LintDevice *card = &g_array_index(host->lint->nics, LintDevice, 0);
            line = card->line;
            g_free(ireko_lint_device_value(host->lint, card, "connectionType", &line));
        }
        lab->file = host->lint->file;
        ireko_lint_say(lab, rule, line, "no card of it is on %s%s%s",
                       common != NULL ? "'" : "a network of the lab", common != NULL ? common : "",
                       common != NULL ? "', where others are" : "")
            ->fix = g_strdup("give it a card whose connectionType is hostonly, or custom with the "
                             "vnet of the others");
    }
}

#define VSAN_DOCS    "VMware docs, vSAN 6.5, Hardware Requirements (GUID-C0818534)"
#define VSAN_DEVICES "VMware docs, vSAN 6.7, Hardware Requirements (GUID-4B738A10)"
#define VSAN_SIGN                                                                                  \
    "a lab that requires vsan; or two or more ESXi hosts side by side, one with an SSD"
#define VSAN_REQUIRED "a lab that requires vsan"

const Rule ireko_rules_vsan[] = {
    {"vsan-three-hosts", IREKO_SEVERITY_ERROR, "vSAN needs three hosts", VSAN_SIGN ", and no third",
     VSAN_DOCS, check_three},
    {"vsan-no-ssd", IREKO_SEVERITY_WARNING, "vSAN finds no flash device for its cache",
     VSAN_SIGN ", and this one without, or with a hardware version below 8; an error where the lab "
               "requires it",
     VSAN_DOCS "; packer pull request 2309", check_flash},
    {"vsan-no-capacity", IREKO_SEVERITY_ERROR, "vSAN finds no device for its capacity",
     VSAN_SIGN ", and this one without another disk", VSAN_DOCS, check_capacity},
    {"vsan-same-size", IREKO_SEVERITY_ERROR,
     "what claims a host's disks by their size cannot tell cache from capacity",
     VSAN_REQUIRED ", and a cache and a disk of capacity with the same ireko.X:Y.size",
     "field report: https://github.com/rutgerblom/SDDC.Lab/issues/484", check_sizes},
    {"vsan-controller", IREKO_SEVERITY_ERROR, "vSAN takes no disk on this controller",
     VSAN_REQUIRED ", and a disk on IDE, or on a SCSI controller that is neither pvscsi nor "
                   "lsisas1068",
     VSAN_DEVICES, check_controllers},
    {"vsan-memory", IREKO_SEVERITY_WARNING, "vSAN takes more memory than the machine has",
     VSAN_SIGN "; 5426 MB, 636, 8 (all SSDs: 14) for each GB of cache, 70 for each disk of "
               "capacity; an error "
               "where the lab requires it, a remark where a built-in image takes ESXi's place",
     "VMware KB 2113954, by cloudmaster.co.in, vSAN memory consumption in ESXi 6.5.0d and 6.0 U3",
     check_memory},
    {"vsan-network", IREKO_SEVERITY_ERROR, "the hosts of a vSAN do not reach each other",
     VSAN_REQUIRED
     ", and a host without a card on the network (networkName, dvs.portgroupId, vnet, "
     "else connectionType; not nat) that most are on",
     VSAN_DEVICES, check_network},
    {NULL, IREKO_SEVERITY_INFO, NULL, NULL, NULL, NULL},
};
