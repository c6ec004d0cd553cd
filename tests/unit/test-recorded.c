/* Recorded hosts: what is recorded is read back as it was, holds no secret, and a folder from a
 * stranger is only ever a folder. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "host/survey.h"
#include "root.h"

#define FILES_MAX 64
#define SECRET    "hunter2" /* planted where names, serial numbers and keys stand */

/* ---- a whole host as text, to compare two ---- */

static void
add_list(GString *out, const char *name, const GPtrArray *list)
{
    for (guint i = 0; i < list->len; i++)
        g_string_append_printf(out, "%s: %s\n", name, (const char *)g_ptr_array_index(list, i));
}

static void
add_device(GString *out, const IrekoDevice *device)
{
    g_string_append_printf(out, "%s: %d %d %o %s %s\n", device->path, device->there,
                           device->open_errno, device->mode, device->owner, device->group);
}

static void
add_texts(GString *out, const IrekoSurvey *s)
{
    const char *const texts[] = {
        s->arch,
        s->msr_evidence,
        s->dmi_vendor,
        s->dmi_product,
        s->bios_vendor,
        s->container,
        s->container_evidence,
        s->cloud,
        s->xen,
        s->confidential,
        s->others,
        s->iommu_evidence,
        s->cgroup_controllers,
        s->namespaces,
        s->huge_pages,
        s->distribution,
        s->clock_source,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_string_append_printf(out, "text %zu: %s\n", i, texts[i]);
}

static void
add_numbers(GString *out, const IrekoSurvey *s)
{
    const int64_t numbers[] = {
        s->is_root,
        s->ireko_machine,
        s->sev_guest,
        s->tdx_guest,
        s->user_namespace,
        s->chroot,
        s->module_vmx,
        s->module_svm,
        s->module_kvm,
        s->module_pvm,
        s->kvm_registered,
        s->nested_state,
        s->iommu,
        s->cgroup_version,
        s->fuse,
        s->cgroup_memory_max,
        s->cgroup_pids_max,
        s->cgroup_cpu_percent,
        s->open_files_max,
        s->memlock_max_bytes,
        s->ksm_run,
        (int64_t)s->ksm_shared_bytes,
        (int64_t)s->ksm_sharing_bytes,
        (int64_t)s->huge_page_pool_bytes,
        (int64_t)s->huge_page_free_bytes,
        (int64_t)s->disk_free_bytes,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_string_append_printf(out, "number %zu: %" G_GINT64_FORMAT "\n", i, numbers[i]);
}

/* A record does not tell one disk from others, and what is compared with it must not either. */
static void
drop_identities(json_t *facts)
{
    size_t i;
    json_t *disk;
    json_array_foreach(json_object_get(facts, "disks"), i, disk)
    {
        (void)json_object_del(disk, "serial");
        (void)json_object_del(disk, "wwn");
    }
}

static char *
describe(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    g_autoptr(GString) out = g_string_new(NULL);
    json_t *json = ireko_facts_to_json(facts);
    drop_identities(json);
    char *text = json_dumps(json, JSON_INDENT(1));
    g_string_append_printf(out, "%s\nkvm: %d %d\n", text, facts->kvm.open_errno,
                           facts->kvm.nested_state);
    free(text);
    json_decref(json);
    add_texts(out, survey);
    add_numbers(out, survey);
    g_string_append_printf(out, "qemu: %s %d %d %d %d\n", survey->qemu.version,
                           survey->qemu.has_tcg, survey->qemu.tcg_svm, survey->qemu.tcg_npt,
                           survey->qemu.tcg_vmx);
    add_list(out, "flag", survey->cpu_flags);
    add_list(out, "above", survey->above_all);
    add_list(out, "hole", survey->vulnerabilities);
    add_device(out, &survey->kvm);
    add_device(out, &survey->vhost_net);
    add_device(out, &survey->tun);
    add_device(out, &survey->sev);
    for (guint i = 0; i < survey->msrs->len; i++) {
        const IrekoMsr *msr = g_ptr_array_index(survey->msrs, i);
        g_string_append_printf(out, "msr %x: %d %" G_GINT64_MODIFIER "x\n", msr->index, msr->read,
                               msr->value);
    }
    return g_strdup(out->str);
}

static char *
describe_source(const IrekoHostSource *source)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, &error);
    g_assert_no_error(error);
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(source, facts);
    return describe(facts, survey);
}

static char *
describe_record(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(path, &error);
    g_assert_no_error(error);
    return describe_source(ireko_recorded_source(recorded));
}

static void
set_qemu(IrekoSurvey *survey)
{
    survey->qemu = (IrekoQemuFact){.path = g_strdup("/opt/" SECRET "/my qemu"),
                                   .version = g_strdup("7.2.22"),
                                   .has_tcg = true,
                                   .tcg_svm = IREKO_READ_YES,
                                   .tcg_npt = IREKO_READ_YES,
                                   .tcg_vmx = IREKO_READ_NO};
}

/* Records SOURCE into DIR; returns how SOURCE was just then. */
static char *
record(const IrekoHostSource *source, const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, &error);
    g_assert_no_error(error);
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(source, facts);
    if (survey->qemu.path == NULL)
        set_qemu(survey);
    ireko_record_host(source, facts, survey, dir, &error);
    g_assert_no_error(error);
    return describe(facts, survey);
}

/* ---- there and back ---- */

static void
test_this_machine_is_read_back_as_it_was(void)
{
    IrekoHostSource source;
    g_assert_true(ireko_host_here(&source, NULL));
    Root root = root_new(NULL, 0);
    g_autofree char *dir = g_build_filename(root.path, "record", NULL);
    g_autofree char *before = record(&source, dir);
    g_autofree char *after = describe_record(dir);
    g_assert_cmpstr(before, ==, after);

    /* and a record of the record is the same again */
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(dir, NULL);
    g_autofree char *copy = g_build_filename(root.path, "copy", NULL);
    g_autofree char *same = record(ireko_recorded_source(recorded), copy);
    g_autofree char *last = describe_record(copy);
    g_assert_cmpstr(same, ==, last);
    g_assert_cmpstr(same, ==, before);
    ireko_fd_close(&source.root_fd);
    root_clear(&root);
}

#define DMI "sys/class/dmi/id/"

static const File busy_host[FILES_MAX] = {
    {"cpuid", "CPUID 00000000: 0000000D-756E6547-6C65746E-49656E69\n"
              "CPUID 00000001: 00000000-00000000-80000020-00000000\n"
              "CPUID 00000003: 11111111-22222222-33333333-44444444\n"
              "CPUID 0000000D: 00000007-00000340-00000340-00000000 [SL 00]\n"
              "CPUID 0000000D: 00000100-00000240-00000000-00000000 [SL 02]\n"
              "CPUID 40000000: 40000001-4B4D564B-564B4D56-0000004D\n"
              "CPUID 80000000: 80000004-00000000-00000000-00000000\n"
              "CPUID 80000002: 65746E49-2952286C-00000000-00000000\n"},
    {"msr", "3a 5\n480 da040000000013\n481 no\n" SECRET " 1\n"},
    {"probe", "arch x86_64\nroot yes\n/dev/kvm 0660 root kvm ok\n/dev/sev none\n"
              "/dev/net/tun 0666 root root ok\nkvm.trial held-by-other KVM_CREATE_VM: busy\n"
              "kvm.nested-state yes\nchroot no\nuser-namespace yes\nlimit.nofile 1024\n"
              "disk.free 123456789\nlimit.memlock none\n" SECRET " " SECRET "\n"},
    {"proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx hypervisor\n"
                     "vmx flags\t: ept vpid\nSerial\t\t: " SECRET "\n\nprocessor\t: 1\n"},
    {"proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 900 kB\nHugePages_Total: 4\n"
                     "HugePages_Free: 2\nHugepagesize: 2048 kB\n" SECRET ": 1 kB\n"},
    {"proc/sys/kernel/osrelease", "6.1.0-40-amd64\n"},
    {"proc/sys/kernel/hostname", SECRET "\n"},
    {"proc/cmdline", "root=UUID=" SECRET "\n"},
    {"proc/1/environ", "KEY=" SECRET},
    {"proc/self/cgroup", "0::/docker/" SECRET "/x\n"},
    {"proc/self/uid_map", "0 0 4294967295\n"},
    {"sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n"},
    {"sys/fs/cgroup/docker/" SECRET "/memory.max", "1048576\n"},
    {"etc/os-release", "PRETTY_NAME=\"Some Linux 1\"\nBUILD_ID=" SECRET "\n"},
    {"etc/hostname", SECRET "\n"},
    {"etc/machine-id", SECRET "\n"},
    {"etc/passwd", SECRET ":x:0:0::/:/bin/sh\n"},
    {DMI "sys_vendor", "Amazon EC2\n"},
    {DMI "product_name", "m7i.large\n"},
    {DMI "product_serial", SECRET "\n"},
    {DMI "product_uuid", SECRET "\n"},
    {DMI "board_asset_tag", "i-" SECRET "\n"},
    {DMI "chassis_asset_tag", SECRET "\n"},
    {DMI "chassis_serial", SECRET "\n"},
    {DMI "bios_version", "1.0\n"},
    {"sys/firmware/acpi/tables/FACP", "FACP\1\1\1\1\6fAMAZON" SECRET SECRET},
    {"sys/firmware/acpi/tables/MSDM", SECRET},
    {"sys/firmware/dmi/entries/0-0/raw", "x\x18xxxxxxxxxxxxxxxxx\x10" SECRET},
    {"sys/class/net/eth0/address", SECRET "\n"},
    {"sys/module/kvm_intel/parameters/nested", "Y\n"},
    {"sys/module/vboxdrv/x", SECRET},
    {"sys/class/misc/kvm/dev", "10:232\n"},
    {"sys/kernel/iommu_groups/17/x", ""},
    {"sys/devices/system/cpu/online", "0-3\n"},
    {"sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n"},
    {"sys/kernel/mm/ksm/run", "1\n"},
    {"sys/block/sda/size", "2048\n"},
    {"sys/block/sda/device/serial", SECRET "\n"},
    {"sys/block/sda/device/vpd_pg80", "\1\x80\1\1" SECRET},
    {"sys/block/sda/device/wwid", "naa." SECRET "\n"},
    {"sys/block/nvme0n1/device/serial", SECRET "\n"},
    {"sys/block/nvme0n1/wwid", "eui." SECRET "\n"},
    {"sys/class/virtio-ports/vport0p1/name", SECRET "\n"},
};

static void
assert_no_secret(const char *path)
{
    g_assert_null(strstr(path, SECRET));
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    if (folder == NULL) {
        g_autofree char *text = NULL;
        gsize len = 0;
        g_assert_true(g_file_get_contents(path, &text, &len, NULL));
        if (memmem(text, len, SECRET, strlen(SECRET)) != NULL)
            g_error("a secret is in '%s'", path);
        return;
    }
    for (const char *name; (name = g_dir_read_name(folder)) != NULL;) {
        g_autofree char *inside = g_build_filename(path, name, NULL);
        assert_no_secret(inside);
    }
}

static void
test_a_busy_host_keeps_its_facts_and_loses_its_secrets(void)
{
    Root root = root_new(busy_host, G_N_ELEMENTS(busy_host));
    Root out = root_new(NULL, 0);
    g_autoptr(IrekoRecorded) host = ireko_recorded_open(root.path, NULL);
    g_autofree char *dir = g_build_filename(out.path, "record/", NULL);
    g_autofree char *before = record(ireko_recorded_source(host), dir);
    g_autofree char *after = describe_record(dir);
    g_assert_cmpstr(before, ==, after);
    assert_no_secret(dir);

    g_assert_nonnull(strstr(after, "\"cause\": \"held-by-other\""));
    g_assert_nonnull(strstr(after, "VirtualBox's module is loaded"));
    g_assert_nonnull(strstr(after, "number 15: 1048576\n")); /* the limit of a group without name */
    g_autofree char *cpuid_path = g_build_filename(dir, "cpuid", NULL);
    g_autofree char *cpuid = NULL;
    g_assert_true(g_file_get_contents(cpuid_path, &cpuid, NULL, NULL));
    g_assert_null(strstr(cpuid, "0x44444444")); /* a serial number */
    g_assert_nonnull(strstr(cpuid, "0x0000000d 0x02: eax=0x00000100"));
    root_clear(&out);
    root_clear(&root);
}

/* ---- where it goes ---- */

static unsigned
count_names(const char *path)
{
    unsigned count = 0;
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    while (folder != NULL && g_dir_read_name(folder) != NULL)
        count++;
    return count;
}

static void
test_a_record_goes_into_a_new_folder(void)
{
    Root root = root_new(busy_host, G_N_ELEMENTS(busy_host));
    Root out = root_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoRecorded) host = ireko_recorded_open(root.path, NULL);
    const IrekoHostSource *source = ireko_recorded_source(host);
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, NULL);
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(source, facts);

    g_assert_false(ireko_record_host(source, facts, survey, out.path, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_clear_error(&error);
    g_autofree char *parent = g_path_get_dirname(out.path);
    g_autofree char *empty = g_build_filename(out.path, "proc", NULL); /* which is there */
    g_assert_true(ireko_record_host(source, facts, survey, empty, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(count_names(out.path), ==, 1);

    g_autofree char *nowhere = g_build_filename(out.path, "no", "folder", NULL);
    g_assert_false(ireko_record_host(source, facts, survey, nowhere, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_assert_cmpuint(count_names(out.path), ==, 1);
    root_clear(&out);
    root_clear(&root);
}

/* A failure in the middle: the facts name a parameter that cannot be a file. */
static void
test_a_record_that_fails_leaves_nothing(void)
{
    Root out = root_new(NULL, 0);
    g_autoptr(GError) error = NULL;
    IrekoHostSource source = {.root_fd = out.fd};
    g_autoptr(IrekoFacts) facts = ireko_facts_read(&source, NULL);
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(&source, facts);
    g_autofree char *longest = g_strnfill(300, 'x');
    g_ptr_array_add(facts->kvm_params, g_strdup_printf("kvm.%s=1", longest));
    g_autofree char *dir = g_build_filename(out.path, "record", NULL);
    g_assert_false(ireko_record_host(&source, facts, survey, dir, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_IO);
    g_assert_cmpuint(count_names(out.path), ==, 1);
    root_clear(&out);
}

/* ---- a stranger's folder ---- */

static const struct {
    const char *label;
    File files[4];
    IrekoError code;
} refused_rows[] = {
    {"a folder without proc", {{NULL, NULL}}, IREKO_ERROR_NOT_FOUND},
    {"a dump without a leaf", {{"cpuid", "nothing\n"}}, IREKO_ERROR_SYNTAX},
};

static void
test_what_is_no_record_is_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused_rows); i++) {
        g_test_message("%s", refused_rows[i].label);
        Root root = root_new(refused_rows[i].files, G_N_ELEMENTS(refused_rows[i].files));
        g_autofree char *proc = g_build_filename(root.path, "proc", NULL);
        if (refused_rows[i].code == IREKO_ERROR_NOT_FOUND)
            g_assert_cmpint(g_rmdir(proc), ==, 0);
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_recorded_open(root.path, &error));
        g_assert_error(error, IREKO_ERROR, (int)refused_rows[i].code);
        root_clear(&root);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_recorded_open("/nowhere/at/all", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_null(ireko_recorded_open_cpuid("/nowhere/at/all", &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
test_no_link_leads_out(void)
{
    Root outside = root_new((const File[]){{"name", "secret\n"}, {"kvm/dev", ""}}, 2);
    g_autofree char *file = g_strconcat("->", outside.path, "/name", NULL);
    g_autofree char *folder = g_strconcat("->", outside.path, NULL);
    g_autofree char *up = g_strconcat("->../../../../../../../..", outside.path, "/name", NULL);
    const File files[] = {
        {"sys/class/dmi/id/sys_vendor", file},
        {"sys/class/misc", folder},
        {"proc/sys/kernel/osrelease", up},
        {"etc/os-release", "->../usr/lib/os-release"},
        {"usr/lib/os-release", "PRETTY_NAME='its own'\n"},
    };
    Root root = root_new(files, G_N_ELEMENTS(files));
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(root.path, NULL);
    const IrekoHostSource *source = ireko_recorded_source(recorded);
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, NULL);
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(source, facts);
    g_assert_null(survey->dmi_vendor);
    g_assert_null(facts->kernel);
    g_assert_cmpint(survey->kvm_registered, !=, IREKO_READ_YES);
    g_assert_cmpstr(survey->distribution, ==, "its own"); /* inside they lead where they say */
    root_clear(&root);
    root_clear(&outside);
}

static void
test_a_pipe_does_not_hold_the_reader(void)
{
    Root root = root_new(NULL, 0);
    g_assert_cmpint(mkfifoat(root.fd, "probe", 0600), ==, 0);
    g_assert_cmpint(mkfifoat(root.fd, "proc/cpuinfo", 0600), ==, 0);
    g_autofree char *text = describe_record(root.path);
    g_assert_nonnull(text);
    root_clear(&root);
}

static const struct {
    const char *label, *probe, *cause;
} trial_rows[] = {
    {"KVM that was usable is", "/dev/kvm 0660 root kvm ok\nkvm.trial ok a vCPU ran\n", NULL},
    {"denied", "/dev/kvm 0660 root kvm EACCES\n", "device-denied"},
    {"denied by the group of a container", "/dev/kvm 0660 root kvm EPERM\ncontainer docker\n",
     "container"},
    {"busy", "/dev/kvm 0660 root kvm EBUSY\n", "device-busy"},
    {"held", "/dev/kvm 0660 root kvm ok\nkvm.trial held-by-other KVM_CREATE_VM\n", "held-by-other"},
    {"opened and never tried", "/dev/kvm 0660 root kvm ok\n", "unknown"},
    {"a word that is none", "/dev/kvm 0660 root kvm ok\nkvm.trial hacked x\n", "unknown"},
    {"no node", "/dev/kvm none\n", "device-missing"},
};

#define WITH_SVM                                                                                   \
    "CPU:\n"                                                                                       \
    "   0x00000000 0x00: eax=0x0000000d ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n"            \
    "   0x00000001 0x00: eax=0x00a00f11 ebx=0x00020800 ecx=0x7ffafb9f edx=0xbfebfbff\n"            \
    "   0x80000000 0x00: eax=0x80000001 ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n"            \
    "   0x80000001 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000004 edx=0x00000000\n"

static void
test_what_became_of_the_device_is_told(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(trial_rows); i++) {
        g_test_message("%s", trial_rows[i].label);
        g_autofree char *probe = g_strconcat("arch x86_64\n", trial_rows[i].probe, NULL);
        const File files[] = {
            {"probe", probe}, {"sys/class/misc/kvm/dev", ""}, {"cpuid", WITH_SVM}};
        Root root = root_new(files, G_N_ELEMENTS(files));
        g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(root.path, NULL);
        g_autoptr(IrekoFacts) facts = ireko_facts_read(ireko_recorded_source(recorded), NULL);
        g_assert_cmpstr(facts->kvm.cause, ==, trial_rows[i].cause);
        g_assert_cmpint(facts->kvm.usable, ==, trial_rows[i].cause == NULL);
        root_clear(&root);
    }
}

static void
test_kvm_on_a_cpu_without_assistance_is_paravirtual(void)
{
    const File files[] = {
        {"probe", "arch x86_64\n/dev/kvm 0660 root kvm ok\nkvm.trial ok a vCPU ran\n"},
        {"cpuid", "CPU:\n   0x80000000 0x00: eax=0x80000000 ebx=0x00000000 ecx=0x00000000 "
                  "edx=0x00000000\n"},
    };
    Root root = root_new(files, G_N_ELEMENTS(files));
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(root.path, NULL);
    g_autoptr(IrekoFacts) facts = ireko_facts_read(ireko_recorded_source(recorded), NULL);
    g_assert_false(facts->kvm.usable);
    g_assert_cmpstr(facts->kvm.cause, ==, "cpu-lacks");
    g_assert_nonnull(strstr(facts->kvm.evidence, "a vCPU ran"));
    g_assert_nonnull(strstr(facts->kvm.evidence, "paravirtual"));
    root_clear(&root);
}

static void
test_a_dump_alone_is_a_host(void)
{
    Root root = root_new((const File[]){{"dump", "CPUID 00000000: D-68747541-444D4163-69746E65\n"
                                                 "CPUID 00000001: 0-0-80000000-0\n"
                                                 "CPUID 80000001: 0-0-4-0\n"
                                                 "CPUID 8000000A: 1-10-0-1\n"}},
                         1);
    g_autofree char *path = g_build_filename(root.path, "dump", NULL);
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open_cpuid(path, NULL);
    const IrekoHostSource *source = ireko_recorded_source(recorded);
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, NULL);
    g_assert_nonnull(facts);
    g_assert_cmpint(facts->hv, ==, IREKO_HV_SVM);
    g_assert_cmpstr(facts->above, ==, "unknown");
    g_assert_cmpstr(facts->kvm.cause, ==, "unknown");
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(source, facts);
    g_assert_cmpstr(survey->arch, ==, "x86_64");
    g_assert_cmpint(survey->module_kvm, ==, IREKO_READ_UNKNOWN);
    root_clear(&root);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recorded/this-machine-there-and-back",
                    test_this_machine_is_read_back_as_it_was);
    g_test_add_func("/recorded/a-busy-host",
                    test_a_busy_host_keeps_its_facts_and_loses_its_secrets);
    g_test_add_func("/recorded/into-a-new-folder", test_a_record_goes_into_a_new_folder);
    g_test_add_func("/recorded/failure-leaves-nothing", test_a_record_that_fails_leaves_nothing);
    g_test_add_func("/recorded/refused", test_what_is_no_record_is_refused);
    g_test_add_func("/recorded/no-link-leads-out", test_no_link_leads_out);
    g_test_add_func("/recorded/a-pipe", test_a_pipe_does_not_hold_the_reader);
    g_test_add_func("/recorded/what-became-of-the-device", test_what_became_of_the_device_is_told);
    g_test_add_func("/recorded/a-paravirtual-kvm",
                    test_kvm_on_a_cpu_without_assistance_is_paravirtual);
    g_test_add_func("/recorded/a-dump-alone", test_a_dump_alone_is_a_host);
    return g_test_run();
}
