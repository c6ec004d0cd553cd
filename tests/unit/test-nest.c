/* Nest: what is promised, what is seen, and every way in which a promise can be broken. */
#include <glib.h>
#include <string.h>

#include "nest/nest.h"

/* What differs from a nest in which all is well: KVM on AMD outside, hardware assistance asked for,
 * handed on and used; 2 CPUs, 1024 MiB; all zero is that. */
typedef struct {
    IrekoAccel accel;
    bool no_vhv, has_guests, blind;
    unsigned vhv_line;
    const char *outer_param, *outer_cause, *outer_vendor, *outer_above;
    bool outer_without_hv, outer_without_npt, outer_vmx;
    bool inner_without_hv, inner_vmx, inner_without_npt;
    const char *inner_cause;
    unsigned inner_cpus;
    bool inner_without_cpus;
    uint64_t installed_kib, total_kib;
} Scene;

#define TOTAL_KIB ((uint64_t)1000 << 10)

static void
add_disk(IrekoMachine *machine, const char *device, IrekoBus bus, bool ssd, bool cdrom)
{
    IrekoDisk *disk = g_new0(IrekoDisk, 1);
    disk->device = g_strdup(device);
    disk->bus = bus;
    disk->ssd = ssd;
    disk->cdrom = cdrom;
    g_ptr_array_add(machine->disks, disk);
}

static void
free_disk(void *data)
{
    IrekoDisk *disk = data;
    g_free(disk->device);
    g_free(disk);
}

static void
machine_init(IrekoMachine *machine, const Scene *scene)
{
    static char file[] = "esxi01.vmx", name[] = "esxi01";
    *machine = (IrekoMachine){
        .file = file,
        .name = name,
        .vcpus = 2,
        .memory_mib = 1024,
        .vhv = !scene->no_vhv,
        .vhv_line = scene->vhv_line,
        .disks = g_ptr_array_new_with_free_func(free_disk),
    };
}

static IrekoFacts *
facts_of(const char *json)
{
    g_autoptr(GError) error = NULL;
    json_error_t where;
    json_t *object = json_loads(json, 0, &where);
    g_assert_nonnull(object);
    IrekoFacts *facts = ireko_facts_from_json(object, &error);
    g_assert_no_error(error);
    json_decref(object);
    return facts;
}

static const char good_facts[] =
    "{\"cpu\":{\"vendor\":\"AuthenticAMD\",\"hv\":\"svm\",\"nested_paging\":true,\"evidence\":"
    "\"CPUID words\"},\"above\":{\"kind\":\"none\"},\"kvm\":{\"usable\":true,\"evidence\":\"ran\"},"
    "\"memory\":{\"total_bytes\":0,\"installed_bytes\":0,\"available_bytes\":0},\"cpus\":2,"
    "\"disks\":[]}";

static void
set_text(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

static IrekoFacts *
outer_of(const Scene *scene)
{
    IrekoFacts *facts = facts_of(good_facts);
    if (scene->outer_vmx)
        facts->hv = IREKO_HV_VMX;
    if (scene->outer_without_hv)
        facts->hv = IREKO_HV_NONE;
    facts->nested_paging = !scene->outer_without_npt && !scene->outer_without_hv;
    if (scene->outer_param != NULL)
        g_ptr_array_add(facts->kvm_params, g_strdup(scene->outer_param));
    if (scene->outer_cause != NULL) {
        facts->kvm.usable = false;
        set_text(&facts->kvm.cause, scene->outer_cause);
    }
    if (scene->outer_vendor != NULL)
        set_text(&facts->cpu_vendor, scene->outer_vendor);
    if (scene->outer_above != NULL)
        set_text(&facts->above, scene->outer_above);
    return facts;
}

static IrekoFacts *
inner_of(const Scene *scene)
{
    if (scene->blind)
        return NULL;
    IrekoFacts *facts = facts_of(good_facts);
    facts->hv = scene->inner_without_hv ? IREKO_HV_NONE
                : scene->inner_vmx      ? IREKO_HV_VMX
                                        : IREKO_HV_SVM;
    facts->nested_paging = !scene->inner_without_hv && !scene->inner_without_npt;
    if (scene->inner_cause != NULL) {
        facts->kvm.usable = false;
        set_text(&facts->kvm.cause, scene->inner_cause);
    }
    if (scene->inner_cpus > 0 || scene->inner_without_cpus)
        facts->cpus = scene->inner_cpus;
    facts->installed_bytes = scene->installed_kib << 10;
    facts->memory_bytes = (scene->total_kib > 0 ? scene->total_kib : TOTAL_KIB) << 10;
    return facts;
}

static const IrekoCheck *
find_check(const IrekoReport *report, const char *what, const char *device)
{
    for (guint i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = g_ptr_array_index(report->checks, i);
        if (strcmp(check->what, what) == 0 && g_strcmp0(check->device, device) == 0)
            return check;
    }
    return NULL;
}

/* The proof of SCENE; the machine has no disks. */
static IrekoReport *
prove(const Scene *scene)
{
    IrekoMachine machine;
    machine_init(&machine, scene);
    g_autoptr(IrekoFacts) outer = outer_of(scene);
    g_autoptr(IrekoFacts) inner = inner_of(scene);
    IrekoReport *report = ireko_report_new("esxi01", 1);
    report->state = IREKO_STATE_RUNNING;
    ireko_nest_prove(report, &machine, outer, scene->accel, inner, scene->has_guests);
    g_ptr_array_unref(machine.disks);
    return report;
}

static const struct {
    const char *label;
    Scene scene;
    const char *what, *promised, *seen;
    const char *cause; /* NULL: the check is ok */
    const char *fix;
} rows[] = {
    {"assistance promised and seen", {0}, "hv", "svm", "svm", NULL, NULL},
    {"TCG offers SVM whatever the host is",
     {.accel = IREKO_ACCEL_TCG, .outer_without_hv = true, .outer_cause = "cpu-lacks"},
     "hv",
     "svm",
     "svm",
     NULL,
     NULL},
    {"VMX is handed on as VMX",
     {.outer_vmx = true, .inner_vmx = true},
     "hv",
     "vmx",
     "vmx",
     NULL,
     NULL},
    {"another kind than the promised one is no kept promise",
     {.inner_vmx = true},
     "hv",
     "svm",
     "vmx",
     "unknown",
     NULL},
    {"offered and not seen was hidden on the way",
     {.inner_without_hv = true, .inner_cause = "cpu-lacks"},
     "hv",
     "svm",
     "none",
     "hidden-by-host",
     NULL},
    {"the same under TCG",
     {.accel = IREKO_ACCEL_TCG, .inner_without_hv = true},
     "hv",
     "svm",
     "none",
     "hidden-by-host",
     NULL},
    {"a module told not to nest cannot offer",
     {.outer_param = "kvm_amd.nested=0", .inner_without_hv = true},
     "hv",
     "svm",
     "none",
     "nested-off",
     "load kvm_amd with nested=1 in the layer that runs this machine"},
    {"nor can Intel's",
     {.outer_vmx = true, .outer_param = "kvm_intel.nested=N", .inner_without_hv = true},
     "hv",
     "vmx",
     "none",
     "nested-off",
     "load kvm_intel with nested=1 in the layer that runs this machine"},
    {"nested=1 is not off",
     {.outer_param = "kvm_amd.nested=1", .inner_without_hv = true},
     "hv",
     "svm",
     "none",
     "hidden-by-host",
     NULL},
    {"a CPU without assistance has none to offer",
     {.outer_without_hv = true, .inner_without_hv = true},
     "hv",
     "svm",
     "none",
     "cpu-lacks",
     NULL},
    {"what an Intel CPU would have offered is VMX",
     {.outer_without_hv = true, .outer_vendor = "GenuineIntel", .inner_without_hv = true},
     "hv",
     "vmx",
     "none",
     "cpu-lacks",
     NULL},
    {"a layer that had it hidden says so for its guests",
     {.outer_without_hv = true, .outer_above = "vmware", .inner_without_hv = true},
     "hv",
     "svm",
     "none",
     "hidden-by-host",
     NULL},
    {"the outer layer's own cause goes first",
     {.outer_without_hv = true, .outer_cause = "firmware-off", .inner_without_hv = true},
     "hv",
     "svm",
     "none",
     "firmware-off",
     NULL},
    {"not asked for and not seen is as promised",
     {.no_vhv = true, .inner_without_hv = true},
     "hv",
     "none",
     "none",
     NULL,
     NULL},
    {"not asked for and seen is a leak", {.no_vhv = true}, "hv", "none", "svm", "unknown", NULL},
    {"guests need what the .vmx takes away, on its line",
     {.no_vhv = true, .vhv_line = 7, .has_guests = true, .inner_without_hv = true},
     "hv",
     "none",
     "none",
     "vhv-off",
     "set vhv.enable = \"TRUE\" in esxi01.vmx:7"},
    {"guests need what the .vmx does not mention",
     {.no_vhv = true, .has_guests = true, .inner_without_hv = true},
     "hv",
     "none",
     "none",
     "vhv-off",
     "add vhv.enable = \"TRUE\" to esxi01.vmx"},
    {"nobody inside: assistance is unknown", {.blind = true}, "hv", "svm", NULL, "unknown", NULL},

    {"nested paging promised and seen", {0}, "npt", "true", "true", NULL, NULL},
    {"nested paging that is missing was hidden",
     {.inner_without_npt = true},
     "npt",
     "true",
     "false",
     "hidden-by-host",
     NULL},
    {"nested paging that the outer layer lacks is not promised",
     {.outer_without_npt = true, .inner_without_npt = true},
     "npt",
     "false",
     "false",
     NULL,
     NULL},
    {"TCG has nested paging of its own",
     {.accel = IREKO_ACCEL_TCG, .outer_without_hv = true, .inner_without_npt = true},
     "npt",
     "true",
     "false",
     "hidden-by-host",
     NULL},
    {"without assistance nested paging has its cause",
     {.outer_param = "kvm_amd.nested=0", .inner_without_hv = true},
     "npt",
     "true",
     "false",
     "nested-off",
     NULL},
    {"nested paging that nobody promised",
     {.outer_without_npt = true},
     "npt",
     "false",
     "true",
     "unknown",
     NULL},
    {"nobody inside: nested paging is unknown",
     {.blind = true},
     "npt",
     "true",
     NULL,
     "unknown",
     NULL},

    {"KVM inside ran a vCPU", {0}, "kvm", "true", "true", NULL, NULL},
    {"KVM inside that does not run has its own cause",
     {.inner_cause = "module-missing"},
     "kvm",
     "true",
     "false",
     "module-missing",
     NULL},
    {"KVM without assistance has the cause of that",
     {.outer_param = "kvm_amd.nested=0", .inner_without_hv = true, .inner_cause = "hidden-by-host"},
     "kvm",
     "true",
     "false",
     "nested-off",
     NULL},
    {"nobody inside: KVM is unknown", {.blind = true}, "kvm", "true", NULL, "unknown", NULL},

    {"CPUs as promised", {0}, "cpus", "2", "2", NULL, NULL},
    {"a CPU too few", {.inner_cpus = 1}, "cpus", "2", "1", "unknown", NULL},
    {"a CPU too many", {.inner_cpus = 3}, "cpus", "2", "3", "unknown", NULL},
    {"CPUs that could not be counted",
     {.inner_without_cpus = true},
     "cpus",
     "2",
     NULL,
     "unknown",
     NULL},
    {"nobody inside: CPUs are unknown", {.blind = true}, "cpus", "2", NULL, "unknown", NULL},

    {"memory but for what the firmware keeps",
     {.installed_kib = 1024 * 1024 - 513},
     "memory",
     "1024",
     "1024",
     NULL,
     NULL},
    {"memory but for what OVMF keeps",
     {.installed_kib = 1008 * 1024},
     "memory",
     "1024",
     "1008",
     NULL,
     NULL},
    {"memory that is missing",
     {.installed_kib = 1007 * 1024},
     "memory",
     "1024",
     "1007",
     "unknown",
     NULL},
    {"memory that nobody promised",
     {.installed_kib = 1024 * 1024 + 1},
     "memory",
     "1024",
     "1025",
     "unknown",
     NULL},
    {"MemTotal lacks what the kernel keeps", {0}, "memory", "1024", "1000", NULL, NULL},
    {"MemTotal at the end of its tolerance",
     {.total_kib = 909 * 1024},
     "memory",
     "1024",
     "909",
     NULL,
     NULL},
    {"MemTotal beyond its tolerance",
     {.total_kib = 908 * 1024},
     "memory",
     "1024",
     "908",
     "unknown",
     NULL},
    {"nobody inside: memory is unknown", {.blind = true}, "memory", "1024", NULL, "unknown", NULL},
};

static void
test_promises_and_proofs(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(IrekoReport) report = prove(&rows[i].scene);
        const IrekoCheck *check = find_check(report, rows[i].what, NULL);
        g_assert_nonnull(check);
        g_assert_cmpstr(check->promised, ==, rows[i].promised);
        g_assert_cmpstr(check->seen, ==, rows[i].seen);
        g_assert_cmpstr(check->cause, ==, rows[i].cause);
        g_assert_cmpint(check->ok, ==, rows[i].cause == NULL);
        g_assert_cmpstr(check->fix, ==, rows[i].fix);
        g_assert_cmpint(check->evidence != NULL, ==, rows[i].seen != NULL);
    }
}

static void
test_checks_come_in_order(void)
{
    static const Scene with = {0}, without = {.no_vhv = true, .inner_without_hv = true};
    static const char *const long_order[] = {"hv", "npt", "kvm", "cpus", "memory"};
    static const char *const short_order[] = {"hv", "cpus", "memory"};

    g_autoptr(IrekoReport) all = prove(&with);
    g_assert_cmpuint(all->checks->len, ==, G_N_ELEMENTS(long_order));
    for (guint i = 0; i < all->checks->len; i++)
        g_assert_cmpstr(((IrekoCheck *)g_ptr_array_index(all->checks, i))->what, ==, long_order[i]);

    g_autoptr(IrekoReport) few = prove(&without);
    g_assert_cmpuint(few->checks->len, ==, G_N_ELEMENTS(short_order));
    for (guint i = 0; i < few->checks->len; i++)
        g_assert_cmpstr(((IrekoCheck *)g_ptr_array_index(few->checks, i))->what, ==,
                        short_order[i]);
}

static const struct {
    const char *label;
    IrekoBus bus;
    bool ssd;
    bool missing;
    int rotational, rotation_rate;
    const char *vpd_b1;
    const char *promised, *seen, *cause, *evidence;
} disk_rows[] = {
    {.label = "an SSD is seen as one, by the disk's words and the kernel's",
     .ssd = true,
     .rotational = 0,
     .rotation_rate = 1,
     .vpd_b1 = "00 b1 00 3c 00 01 00 00",
     .promised = "true",
     .seen = "true",
     .evidence = "sda: rotational 0, B1h 00b1003c0001"},
    {.label = "a disk that is not marked rotates",
     .rotational = 1,
     .rotation_rate = 0,
     .vpd_b1 = "00 b1 00 3c 00 00 00 00",
     .promised = "false",
     .seen = "false",
     .evidence = "sda: rotational 1, B1h 00b1003c0000"},
    {.label = "an SSD that is seen as a rotating disk",
     .ssd = true,
     .rotational = 1,
     .rotation_rate = 0,
     .promised = "true",
     .seen = "false",
     .cause = "unknown",
     .evidence = "sda: rotational 1, rotation rate 0"},
    {.label = "a disk that nobody marked and that is seen as an SSD",
     .rotational = 0,
     .rotation_rate = 1,
     .promised = "false",
     .seen = "true",
     .cause = "unknown",
     .evidence = "sda: rotational 0, rotation rate 1"},
    {.label = "the kernel says rotating, the disk says SSD: a failure that names both",
     .rotational = 1,
     .rotation_rate = 1,
     .promised = "false",
     .seen = "false",
     .cause = "unknown",
     .evidence = "sda: rotational 1, rotation rate 1; the kernel says rotating, the disk's own "
                 "rotation rate 1 says SSD"},
    {.label = "the kernel says SSD, the disk turns: a failure that names both",
     .ssd = true,
     .rotational = 0,
     .rotation_rate = 7200,
     .promised = "true",
     .seen = "true",
     .cause = "unknown",
     .evidence = "sda: rotational 0, rotation rate 7200; the kernel says SSD, the disk's own "
                 "rotation rate 7200 says rotating"},
    {.label = "a reserved rotation rate contradicts nobody",
     .ssd = true,
     .rotational = 0,
     .rotation_rate = 1024,
     .promised = "true",
     .seen = "true",
     .evidence = "sda: rotational 0, rotation rate 1024"},
    {.label = "NVMe is an SSD whatever the .vmx says",
     .bus = IREKO_BUS_NVME,
     .rotational = 0,
     .rotation_rate = -1,
     .promised = "true",
     .seen = "true",
     .evidence = "sda: rotational 0"},
    {.label = "where the kernel does not say, the disk does",
     .ssd = true,
     .rotational = -1,
     .rotation_rate = 1,
     .promised = "true",
     .seen = "true",
     .evidence = "sda: rotational unknown, rotation rate 1"},
    {.label = "where nobody says, it is unknown",
     .ssd = true,
     .rotational = -1,
     .rotation_rate = -1,
     .promised = "true",
     .cause = "unknown",
     .evidence = "sda: rotational unknown"},
    {.label = "a disk that is not there fails the machine",
     .ssd = true,
     .missing = true,
     .promised = "true",
     .cause = "device-missing",
     .evidence = "no such disk seen"},
};

static void
test_disks(void)
{
    static const Scene scene = {0};
    for (size_t i = 0; i < G_N_ELEMENTS(disk_rows); i++) {
        g_test_message("%s", disk_rows[i].label);
        IrekoMachine machine;
        machine_init(&machine, &scene);
        add_disk(&machine, "ide1:0", IREKO_BUS_IDE, false, true);
        add_disk(&machine, "scsi0:1", disk_rows[i].bus, disk_rows[i].ssd, false);

        g_autoptr(IrekoFacts) inner = inner_of(&scene);
        IrekoDiskFact fact = {.rotational = disk_rows[i].rotational,
                              .rotation_rate = disk_rows[i].rotation_rate};
        fact.name = g_strdup("sda");
        fact.device = g_strdup(disk_rows[i].missing ? "scsi0:2" : "scsi0:1");
        fact.vpd_b1 = g_strdup(disk_rows[i].vpd_b1);
        g_ptr_array_add(inner->disks, g_memdup2(&fact, sizeof fact));

        g_autoptr(IrekoReport) report = ireko_report_new("esxi01", 1);
        report->state = IREKO_STATE_RUNNING;
        g_autoptr(IrekoFacts) outer = outer_of(&scene);
        ireko_nest_prove(report, &machine, outer, IREKO_ACCEL_KVM, inner, false);
        g_assert_null(find_check(report, "disk.ssd", "ide1:0"));
        const IrekoCheck *check = find_check(report, "disk.ssd", "scsi0:1");
        g_assert_cmpstr(check->promised, ==, disk_rows[i].promised);
        g_assert_cmpstr(check->seen, ==, disk_rows[i].seen);
        g_assert_cmpstr(check->cause, ==, disk_rows[i].cause);
        g_assert_cmpint(check->ok, ==, disk_rows[i].cause == NULL);
        g_assert_cmpstr(check->evidence, ==, disk_rows[i].evidence);
        bool broken = check->seen != NULL ? disk_rows[i].cause != NULL : disk_rows[i].missing;
        g_assert_cmpint(ireko_report_ok(report), ==, !broken);
        g_ptr_array_unref(machine.disks);
    }
}

static void
test_a_report_is_ok_when_nothing_is_broken(void)
{
    static const struct {
        const char *label;
        Scene scene;
        bool ok;
    } cases[] = {
        {"every promise kept", {0}, true},
        {"nobody inside: unknown is not broken", {.blind = true}, true},
        {"one promise broken", {.inner_cpus = 1}, false},
        {"guests without assistance",
         {.no_vhv = true, .has_guests = true, .inner_without_hv = true},
         false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].label);
        g_autoptr(IrekoReport) report = prove(&cases[i].scene);
        g_assert_cmpint(ireko_report_ok(report), ==, cases[i].ok);
        report->state = IREKO_STATE_PROVING;
        g_assert_false(ireko_report_ok(report));
    }
}

static void
test_offers(void)
{
    static const Scene amd = {0}, off = {.outer_param = "kvm_amd.nested=N"},
                       on = {.outer_param = "kvm_amd.nested=1"}, none = {.outer_without_hv = true},
                       intel = {.outer_vmx = true};
    static const struct {
        const char *label;
        const Scene *scene;
        IrekoAccel accel;
        IrekoHv want;
    } cases[] = {
        {"KVM hands on its own", &amd, IREKO_ACCEL_KVM, IREKO_HV_SVM},
        {"KVM hands on VMX", &intel, IREKO_ACCEL_KVM, IREKO_HV_VMX},
        {"KVM told not to hands on nothing", &off, IREKO_ACCEL_KVM, IREKO_HV_NONE},
        {"KVM told to hands on", &on, IREKO_ACCEL_KVM, IREKO_HV_SVM},
        {"KVM without hardware has nothing", &none, IREKO_ACCEL_KVM, IREKO_HV_NONE},
        {"TCG always has SVM", &none, IREKO_ACCEL_TCG, IREKO_HV_SVM},
        {"TCG has no VMX", &intel, IREKO_ACCEL_TCG, IREKO_HV_SVM},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].label);
        g_autoptr(IrekoFacts) facts = outer_of(cases[i].scene);
        g_assert_cmpint(ireko_nest_offer(facts, cases[i].accel), ==, cases[i].want);
    }
}

static const struct {
    const char *label;
    unsigned level;
    bool has_layer;
    Scene scene;
    const char *cause, *fix; /* cause NULL: guests can run */
} guests_rows[] = {
    {"L0 can always run a machine, in software",
     0,
     false,
     {.outer_cause = "cpu-lacks"},
     NULL,
     NULL},
    {"a layer whose KVM runs can", 1, true, {0}, NULL, NULL},
    {"a layer without assistance that its .vmx takes away",
     1,
     true,
     {.no_vhv = true, .vhv_line = 4, .outer_cause = "hidden-by-host"},
     "vhv-off",
     "set vhv.enable = \"TRUE\" in esxi01.vmx:4"},
    {"a layer without assistance that its .vmx does not mention",
     2,
     true,
     {.no_vhv = true, .outer_cause = "hidden-by-host"},
     "vhv-off",
     "add vhv.enable = \"TRUE\" to esxi01.vmx"},
    {"a layer that asks for assistance and did not get it",
     1,
     true,
     {.outer_cause = "hidden-by-host"},
     "hidden-by-host",
     NULL},
    {"a layer whose .vmx is not known",
     1,
     false,
     {.outer_cause = "module-missing"},
     "module-missing",
     NULL},
};

static void
test_who_can_run_guests(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(guests_rows); i++) {
        g_test_message("%s", guests_rows[i].label);
        IrekoMachine machine;
        machine_init(&machine, &guests_rows[i].scene);
        g_autoptr(IrekoFacts) facts = outer_of(&guests_rows[i].scene);
        g_autoptr(IrekoCheck) check = ireko_nest_check_guests(
            facts, guests_rows[i].level, guests_rows[i].has_layer ? &machine : NULL);
        g_ptr_array_unref(machine.disks);
        if (guests_rows[i].cause == NULL) {
            g_assert_null(check);
            continue;
        }
        g_assert_cmpstr(check->what, ==, "guests");
        g_assert_cmpstr(check->promised, ==, "true");
        g_assert_cmpstr(check->seen, ==, "false");
        g_assert_false(check->ok);
        g_assert_cmpstr(check->cause, ==, guests_rows[i].cause);
        g_assert_cmpstr(check->fix, ==, guests_rows[i].fix);
        g_assert_cmpstr(check->evidence, ==, "ran");
    }
}

static const char good_report[] =
    "{\"path\":\"esxi01/esxi02\",\"level\":2,\"state\":\"running\",\"origin\":\"boot\","
    "\"accel\":\"kvm\",\"ready_seconds\":9.5,\"proven_seconds\":null,\"message\":null,"
    "\"console\":\"a\\nb\",\"checks\":["
    "{\"what\":\"hv\",\"promised\":\"svm\",\"seen\":\"svm\",\"ok\":true,\"evidence\":\"e\","
    "\"cause\":null,\"fix\":null},"
    "{\"what\":\"cpus\",\"promised\":2,\"seen\":1,\"ok\":false,\"evidence\":null,"
    "\"cause\":\"unknown\",\"fix\":\"f\"},"
    "{\"what\":\"disk.ssd\",\"device\":\"scsi0:1\",\"promised\":true,\"seen\":null,\"ok\":false,"
    "\"evidence\":null,\"cause\":\"unknown\",\"fix\":null}],"
    "\"features_lost\":[{\"name\":\"svm\",\"by\":\"vhv.enable\"}],"
    "\"addresses\":[{\"card\":\"ethernet0\",\"network\":\"hostonly\","
    "\"mac\":\"00:0c:29:01:02:03\",\"address\":\"10.1.2.3/20\",\"by\":\"agent\"}]}";

static void
test_a_report_is_the_contract_s_json(void)
{
    json_t *object = json_loads(good_report, 0, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoReport) report = ireko_report_from_json(object, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(report->path, ==, "esxi01/esxi02");
    g_assert_cmpuint(report->level, ==, 2);
    g_assert_cmpint(report->state, ==, IREKO_STATE_RUNNING);
    g_assert_true(report->ready_seconds > 9.4 && report->ready_seconds < 9.6);
    g_assert_true(report->proven_seconds < 0);
    g_assert_cmpstr(report->console, ==, "a\nb");
    g_assert_cmpstr(find_check(report, "cpus", NULL)->seen, ==, "1");
    g_assert_cmpstr(find_check(report, "disk.ssd", "scsi0:1")->promised, ==, "true");
    g_assert_null(find_check(report, "disk.ssd", "scsi0:1")->seen);

    g_autoptr(IrekoReport) copy = ireko_report_copy(report);
    json_t *again = ireko_report_to_json(copy);
    g_assert_true(json_equal(object, again));
    json_decref(object);
    json_decref(again);
}

static void
test_values_are_carried_as_what_they_mean(void)
{
    static const struct {
        const char *value, *json;
    } cases[] = {
        {"true", "true"},     {"false", "false"},
        {NULL, "null"},       {"0", "0"},
        {"1024", "1024"},     {"999999999999999999", "999999999999999999"},
        {"007", "\"007\""},   {"-1", "\"-1\""},
        {"", "\"\""},         {"9999999999999999999999", "\"9999999999999999999999\""},
        {"True", "\"True\""}, {"svm", "\"svm\""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(IrekoReport) report = ireko_report_new("a", 1);
        IrekoCheck *check = g_new0(IrekoCheck, 1);
        check->what = g_strdup("cpus");
        check->seen = g_strdup(cases[i].value);
        check->ok = true;
        g_ptr_array_add(report->checks, check);
        json_t *object = ireko_report_to_json(report);
        const json_t *seen =
            json_object_get(json_array_get(json_object_get(object, "checks"), 0), "seen");
        g_autofree char *text = json_dumps(seen, JSON_ENCODE_ANY);
        g_assert_cmpstr(text, ==, cases[i].json);

        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoReport) back = ireko_report_from_json(object, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(find_check(back, "cpus", NULL)->seen, ==, cases[i].value);
        json_decref(object);
    }
}

/* One field of a good report, or of its first check, is replaced. */
static const struct {
    const char *label;
    bool of_check;
    const char *key, *json;
} hostile_rows[] = {
    {"a path that leaves", false, "path", "\"esxi01/../../etc\""},
    {"a path that is empty", false, "path", "\"\""},
    {"a path that is absolute", false, "path", "\"/esxi01\""},
    {"a path that is too deep", false, "path", "\"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a\""},
    {"no path", false, "path", "null"},
    {"a level beyond every nest", false, "level", "17"},
    {"a negative level", false, "level", "-1"},
    {"a state that nobody has", false, "state", "\"happy\""},
    {"a state that is a number", false, "state", "3"},
    {"an accelerator that is no word", false, "accel", "\"k v m\""},
    {"an origin that is no word", false, "origin", "\"\\u001b[2J\""},
    {"seconds below 0", false, "ready_seconds", "-2"},
    {"seconds as a text", false, "proven_seconds", "\"9\""},
    {"seconds beyond a life", false, "proven_seconds", "1e300"},
    {"checks that are no list", false, "checks", "{}"},
    {"a check that is a number", false, "checks", "[1]"},
    {"a message that is a list", false, "message", "[]"},
    {"a check of nothing", true, "what", "null"},
    {"a check of a thing with blanks", true, "what", "\"a b\""},
    {"a device that is a path", true, "device", "\"../x\""},
    {"an ok that is a number", true, "ok", "1"},
    {"a check that is ok and has a cause", true, "cause", "\"unknown\""},
    {"a check that is not ok and has none", true, "ok", "false"},
    {"a cause that is no word", true, "cause", "\"Oh no\""},
    {"a value that is a list", true, "seen", "[1]"},
    {"a value that is a fraction", true, "seen", "1.5"},
    {"a fix that is an object", true, "fix", "{}"},
};

static void
expect_refused(const json_t *object)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_report_from_json(object, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
}

static void
test_a_report_from_a_liar_is_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hostile_rows); i++) {
        g_test_message("%s", hostile_rows[i].label);
        json_t *object = json_loads(good_report, 0, NULL);
        json_t *at = hostile_rows[i].of_check ? json_array_get(json_object_get(object, "checks"), 0)
                                              : object;
        json_t *value = json_loads(hostile_rows[i].json, JSON_DECODE_ANY, NULL);
        g_assert_cmpint(json_object_set_new(at, hostile_rows[i].key, value), ==, 0);
        expect_refused(object);
        json_decref(object);
    }
    expect_refused(NULL);

    json_t *object = json_loads(good_report, 0, NULL);
    json_t *checks = json_object_get(object, "checks");
    for (size_t i = 0; i < IREKO_REPORT_CHECKS_MAX; i++)
        g_assert_cmpint(json_array_append(checks, json_array_get(checks, 0)), ==, 0);
    expect_refused(object);
    json_decref(object);

    object = json_loads(good_report, 0, NULL);
    g_autofree char *flood = g_strnfill((gsize)1 << 17, 'x');
    g_assert_cmpint(json_object_set_new(object, "console", json_string(flood)), ==, 0);
    expect_refused(object);
    json_decref(object);
}

static void
test_what_a_report_says_is_safe_to_print(void)
{
    json_t *object = json_loads(good_report, 0, NULL);
    json_t *check = json_array_get(json_object_get(object, "checks"), 0);
    (void)json_object_set_new(check, "evidence", json_string("\x1b]0;x\nok"));
    (void)json_object_set_new(check, "seen", json_string("\x1b[2J"));
    (void)json_object_set_new(object, "console", json_string("one\n\x1b[1mtwo"));
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoReport) report = ireko_report_from_json(object, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(find_check(report, "hv", NULL)->evidence, ==, "\\x1b]0;x ok");
    g_assert_cmpstr(find_check(report, "hv", NULL)->seen, ==, "\\x1b[2J");
    g_assert_cmpstr(report->console, ==, "one\n\\x1b[1mtwo");
    json_decref(object);
}

static void
test_what_this_side_writes_the_other_side_takes(void)
{
    g_autoptr(IrekoReport) report = ireko_report_new("a", 1);
    report->message = g_strnfill(100000, 'm');
    GString *console = g_string_new("\xff\x1b");
    for (size_t i = 0; i < 50000; i++)
        g_string_append(console, "\xc3\xa9"); /* two bytes: the cut must not split one */
    report->console = g_string_free(console, FALSE);
    json_t *object = ireko_report_to_json(report);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoReport) back = ireko_report_from_json(object, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(report->message, back->message));
    g_assert_true(g_str_has_prefix(back->console, "\\xff\\x1b\xc3\xa9"));
    g_assert_true(g_utf8_validate(back->console, -1, NULL));
    json_decref(object);
}

static void
test_states_have_names(void)
{
    for (int state = IREKO_STATE_DEFINED; state <= IREKO_STATE_STOPPED; state++)
        g_assert_nonnull(ireko_state_name((IrekoState)state));
    g_assert_cmpstr(ireko_state_name(IREKO_STATE_NOT_STARTED), ==, "not-started");
    g_assert_cmpstr(ireko_state_name(IREKO_STATE_STOPPED), ==, "stopped");
    g_assert_cmpstr(ireko_accel_name(IREKO_ACCEL_KVM), ==, "kvm");
    g_assert_cmpstr(ireko_accel_name(IREKO_ACCEL_TCG), ==, "tcg");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nest/promises-and-proofs", test_promises_and_proofs);
    g_test_add_func("/nest/checks-come-in-order", test_checks_come_in_order);
    g_test_add_func("/nest/disks", test_disks);
    g_test_add_func("/nest/ok-when-nothing-is-broken", test_a_report_is_ok_when_nothing_is_broken);
    g_test_add_func("/nest/offers", test_offers);
    g_test_add_func("/nest/who-can-run-guests", test_who_can_run_guests);
    g_test_add_func("/report/contract-json", test_a_report_is_the_contract_s_json);
    g_test_add_func("/report/values-as-what-they-mean", test_values_are_carried_as_what_they_mean);
    g_test_add_func("/report/a-liar-is-refused", test_a_report_from_a_liar_is_refused);
    g_test_add_func("/report/safe-to-print", test_what_a_report_says_is_safe_to_print);
    g_test_add_func("/report/written-is-taken", test_what_this_side_writes_the_other_side_takes);
    g_test_add_func("/report/states-have-names", test_states_have_names);
    return g_test_run();
}
