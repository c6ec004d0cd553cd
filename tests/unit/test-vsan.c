/* vSAN: which disk is what, and whether hosts are ready for it together, by what was seen inside.
 */
#include <glib.h>
#include <string.h>

#include <ireko/vsan.h>

#include "nest/nest.h"

/* ---- roles ---- */

static void
test_roles(void)
{
    static const struct {
        const char *label;
        IrekoVsanDisk disks[4];
        size_t count;
        const char *want; /* k: cache, d: capacity */
    } rows[] = {
        {"an SSD beside a disk", {{.flash = true, .bytes = 9}, {.bytes = 1}}, 2, "kd"},
        {"two SSDs beside a disk", {{.flash = true}, {.bytes = 1}, {.flash = true}}, 3, "kdk"},
        {"of SSDs the smallest",
         {{.flash = true, .bytes = 9}, {.flash = true, .bytes = 2}, {.flash = true, .bytes = 3}},
         3,
         "dkd"},
        {"of SSDs alike the first",
         {{.flash = true, .bytes = 9}, {.flash = true, .bytes = 9}},
         2,
         "kd"},
        {"of SSDs without a size the first", {{.flash = true}, {.flash = true}}, 2, "kd"},
        {"one SSD", {{.flash = true}}, 1, "k"},
        {"disks alone", {{.bytes = 1}, {.bytes = 2}}, 2, "dd"},
        {"nothing", {{.bytes = 0}}, 0, ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        IrekoVsanDisk disks[4];
        memcpy(disks, rows[i].disks, sizeof disks);
        ireko_vsan_assign(disks, rows[i].count);
        g_autoptr(GString) roles = g_string_new(NULL);
        for (size_t k = 0; k < rows[i].count; k++)
            g_string_append_c(roles, disks[k].role == IREKO_VSAN_CACHE ? 'k' : 'd');
        g_test_message("%s", rows[i].label);
        g_assert_cmpstr(roles->str, ==, rows[i].want);
    }
}

static void
test_hosts(void)
{
    g_assert_true(ireko_vsan_is_host("VMkernel65", false));
    g_assert_true(ireko_vsan_is_host("winHyperV", false));
    g_assert_true(ireko_vsan_is_host(NULL, true));
    g_assert_false(ireko_vsan_is_host("debian12-64", false));
    g_assert_false(ireko_vsan_is_host(NULL, false));
}

/* ---- the proof ---- */

#define HOSTS 3
#define MIB   ((uint64_t)1 << 20)

/* What is other than it should be in the second of three hosts. */
typedef struct {
    bool blind, failed;          /* nobody tells; it does not run */
    bool spins, flash;           /* the cache says that it turns; the capacity that it does not */
    bool gone;                   /* the cache is not seen */
    bool short_cache, alike;     /* the cache is smaller; the capacity is as large as the cache */
    const char *serial, *wwn;    /* of its cache; "" none, NULL its own */
    bool capacity_is_first_boot; /* the capacity has the serial number of the first host's boot disk
                                  */
    unsigned count;              /* of hosts; 0: three */
} Fault;

static void
free_disk(void *data)
{
    IrekoDisk *disk = data;
    g_free(disk->device);
    g_free(disk);
}

static IrekoMachine *
machine_new(unsigned number)
{
    IrekoMachine *machine = g_new0(IrekoMachine, 1);
    machine->name = g_strdup_printf("esxi-%u", number);
    machine->file = g_strdup_printf("esxi-%u.vmx", number);
    machine->vcpus = 1;
    machine->memory_mib = 512;
    machine->vhv = true;
    machine->disks = g_ptr_array_new_with_free_func(free_disk);
    for (unsigned unit = 0; unit < 3; unit++) {
        IrekoDisk *disk = g_new0(IrekoDisk, 1);
        disk->device = g_strdup_printf("scsi0:%u", unit);
        disk->unit = unit;
        disk->ssd = unit == 1;
        disk->create_bytes = unit * 64 * MIB + (unit == 1 ? 0 : 1);
        disk->line = 20 + unit;
        g_ptr_array_add(machine->disks, disk);
    }
    return machine;
}

static void
machine_free(IrekoMachine *machine)
{
    g_ptr_array_unref(machine->disks);
    g_free(machine->name);
    g_free(machine->file);
    g_free(machine);
}

static json_t *
disk_json(unsigned number, unsigned unit, const Fault *fault)
{
    bool is_ssd = unit == 1 ? !fault->spins : unit == 2 && fault->flash;
    g_autofree char *device = g_strdup_printf("scsi0:%u", unit);
    g_autofree char *name = g_strdup_printf("sd%c", 'a' + (int)unit);
    g_autofree char *own = g_strdup_printf("id-%u-%u", number, unit);
    const char *serial = unit == 1 && fault->serial != NULL ? fault->serial : own;
    const char *wwn = unit == 1 && fault->wwn != NULL ? fault->wwn : own;
    if (unit == 2 && fault->capacity_is_first_boot)
        serial = "id-1-0";
    uint64_t bytes = unit == 1                   ? 64 * MIB - (fault->short_cache ? 512 : 0)
                     : unit == 2 && fault->alike ? 64 * MIB
                                                 : unit * 64 * MIB + 512;
    return json_pack("{s:s,s:s,s:I,s:b,s:i,s:i,s:s?,s:s?}", "name", name, "device", device, "bytes",
                     (json_int_t)bytes, "cdrom", 0, "rotational", !is_ssd, "rotation_rate",
                     is_ssd ? 1 : 7200, "serial", *serial != '\0' ? serial : NULL, "wwn",
                     *wwn != '\0' ? wwn : NULL);
}

static IrekoFacts *
facts_new(unsigned number, const Fault *fault)
{
    json_t *disks = json_array();
    for (unsigned unit = 0; unit < 3; unit++) {
        if (unit != 1 || !fault->gone)
            json_array_append_new(disks, disk_json(number, unit, fault));
    }
    json_t *json = json_pack("{s:{s:s,s:s,s:b},s:{s:s},s:{s:b},s:{s:i,s:i,s:i},s:i,s:o}", "cpu",
                             "vendor", "AuthenticAMD", "hv", "svm", "nested_paging", 1, "above",
                             "kind", "none", "kvm", "usable", 1, "memory", "total_bytes", 0,
                             "installed_bytes", 0, "available_bytes", 0, "cpus", 1, "disks", disks);
    g_autoptr(GError) error = NULL;
    IrekoFacts *facts = ireko_facts_from_json(json, &error);
    g_assert_no_error(error);
    json_decref(json);
    return facts;
}

/* Of the checks that REPORT got for vSAN those that do not hold: each names line and evidence. */
static void
append_broken(GString *out, const IrekoReport *report, guint before)
{
    g_autofree char *file = g_strdup_printf("%s.vmx:2", report->path);
    for (guint i = before; i < report->checks->len; i++) {
        const IrekoCheck *check = g_ptr_array_index(report->checks, i);
        if (check->ok)
            continue;
        g_string_append_printf(out, "%s%s %s %s %s", out->len > 0 ? "; " : "",
                               report->path + strlen("esxi-"), check->what,
                               check->seen != NULL ? check->seen : "?", check->cause);
        bool told = check->seen != NULL && check->device != NULL;
        g_assert_true(!told || (check->fix != NULL && g_str_has_prefix(check->fix, file)));
        g_assert_true(!told || check->evidence != NULL);
    }
}

/* The checks that do not hold, in short. */
static char *
broken(const Fault *fault)
{
    static const Fault none = {.blind = false};
    unsigned count = fault->count > 0 ? fault->count : HOSTS;
    IrekoVsanHost hosts[HOSTS];
    guint before[HOSTS];
    for (unsigned i = 0; i < count; i++) {
        const Fault *own = i == 1 ? fault : &none;
        g_autofree char *path = g_strdup_printf("esxi-%u", i + 1);
        hosts[i] =
            (IrekoVsanHost){.machine = machine_new(i + 1),
                            .facts = own->blind || own->failed ? NULL : facts_new(i + 1, own),
                            .report = ireko_report_new(path, 1)};
        hosts[i].report->state = own->failed ? IREKO_STATE_FAILED : IREKO_STATE_RUNNING;
        g_autoptr(IrekoFacts) outer = facts_new(9, &none);
        if (!own->failed)
            ireko_nest_prove(hosts[i].report, hosts[i].machine, outer, IREKO_ACCEL_TCG,
                             hosts[i].facts, false);
        before[i] = hosts[i].report->checks->len;
    }
    ireko_nest_prove_vsan(hosts, count);
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < count; i++) {
        append_broken(out, hosts[i].report, before[i]);
        machine_free((IrekoMachine *)(uintptr_t)hosts[i].machine);
        ireko_facts_free((IrekoFacts *)(uintptr_t)hosts[i].facts);
        ireko_report_free(hosts[i].report);
    }
    return g_string_free(out, FALSE);
}

static void
test_proof(void)
{
    static const struct {
        const char *label;
        Fault fault;
        const char *want; /* host, check, seen, cause */
    } rows[] = {
        {"three hosts that are ready", {.blind = false}, ""},
        {"two hosts that are ready", {.count = 2}, "1 vsan.hosts 2 too-few-hosts"},
        {"a cache that turns",
         {.spins = true},
         "1 vsan.hosts 2 too-few-hosts; 2 vsan.cache hdd unknown"},
        {"a capacity that does not",
         {.flash = true},
         "1 vsan.hosts 2 too-few-hosts; 2 vsan.capacity ssd unknown"},
        {"a cache that is not seen",
         {.gone = true},
         "1 vsan.hosts 2 too-few-hosts; 2 vsan.cache nothing device-missing; 2 disk.size ? "
         "unknown; "
         "2 disk.serial ? unknown; 2 disk.wwn ? unknown"},
        {"a cache of another size",
         {.short_cache = true},
         "1 vsan.hosts 2 too-few-hosts; 2 disk.size 67108352 unknown"},
        {"a capacity as large as the cache",
         {.alike = true},
         "1 vsan.hosts 2 too-few-hosts; 2 vsan.capacity hdd same-size; "
         "2 disk.size 67108864 unknown"},
        {"a serial number of another host's disk",
         {.serial = "id-3-1"},
         "1 vsan.hosts 1 too-few-hosts; 2 disk.serial shared same-identity; "
         "3 disk.serial shared same-identity"},
        {"a serial number of its own host's disk",
         {.serial = "id-2-2"},
         "1 vsan.hosts 2 too-few-hosts; 2 disk.serial shared same-identity; "
         "2 disk.serial shared same-identity"},
        {"a serial number of a disk that another host boots from",
         {.capacity_is_first_boot = true},
         "1 vsan.hosts 2 too-few-hosts; 2 disk.serial shared same-identity"},
        {"a WWN of another host's disk",
         {.wwn = "id-1-1"},
         "1 disk.wwn shared same-identity; 1 vsan.hosts 1 too-few-hosts; "
         "2 disk.wwn shared same-identity"},
        {"no serial number",
         {.serial = ""},
         "1 vsan.hosts 2 too-few-hosts; 2 disk.serial none same-identity"},
        {"no WWN", {.wwn = ""}, "1 vsan.hosts 2 too-few-hosts; 2 disk.wwn none same-identity"},
        {"a host that does not run", {.failed = true}, "1 vsan.hosts 2 too-few-hosts"},
        {"a host that runs a system of its own",
         {.blind = true},
         "1 vsan.hosts ? unknown; 2 vsan.cache ? unknown; 2 disk.size ? unknown; "
         "2 disk.serial ? unknown; 2 disk.wwn ? unknown; 2 vsan.capacity ? unknown; "
         "2 disk.size ? unknown; 2 disk.serial ? unknown; 2 disk.wwn ? unknown"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autofree char *found = broken(&rows[i].fault);
        g_assert_cmpstr(found, ==, rows[i].want);
    }
    ireko_nest_prove_vsan(NULL, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vsan/an-SSD-is-the-cache-and-another-disk-the-capacity", test_roles);
    g_test_add_func("/vsan/a-hypervisor-is-a-host", test_hosts);
    g_test_add_func("/vsan/what-a-host-lacks-is-said-where-it-is-described", test_proof);
    return g_test_run();
}
