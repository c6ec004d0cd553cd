/* Fuzz target: whatever stands in the files of a recorded host, it makes facts and a survey, and
 * what is recorded of it is read back as it was recorded. An input is files one after another, each
 * begun by a line "@PATH"; PATH is one of those that are read. */
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "host/survey.h"

#define FILES_MAX 24

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Short names of what is read; anything else goes nowhere. */
static const char *const paths[] = {
    "cpuid",
    "msr",
    "probe",
    "disks",
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/self/cgroup",
    "proc/self/status",
    "proc/self/uid_map",
    "proc/1/environ",
    "proc/sys/kernel/osrelease",
    "proc/sysinfo",
    "proc/xen/capabilities",
    "proc/device-tree/compatible",
    "etc/os-release",
    "run/systemd/container",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/chassis_asset_tag",
    "sys/class/virtio-ports/p/name",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/vulnerabilities/hole",
    "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "sys/firmware/acpi/tables/FACP",
    "sys/firmware/dmi/entries/0-0/raw",
    "sys/fs/cgroup/cgroup.controllers",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/cpu.max",
    "sys/hypervisor/type",
    "sys/hypervisor/properties/features",
    "sys/kernel/mm/ksm/run",
    "sys/kernel/mm/transparent_hugepage/enabled",
    "sys/module/kvm_intel/parameters/nested",
    "sys/block/sda/size",
};

static bool
is_known(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        if (strcmp(paths[i], path) == 0)
            return true;
    }
    return false;
}

static void
put(const char *root, const char *path, const char *text, size_t len)
{
    if (!is_known(path))
        return;
    g_autofree char *whole = g_build_filename(root, path, NULL);
    g_autofree char *folder = g_path_get_dirname(whole);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    IREKO_AUTOFD fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_true(fd >= 0 && ireko_fd_write_all(fd, text, len, IREKO_NO_DEADLINE, -1, NULL));
}

/* Makes the files of DATA in ROOT. */
static void
unfold(const char *root, const char *data, size_t size)
{
    const char *end = data + size;
    for (unsigned i = 0; i < FILES_MAX && data < end && *data == '@'; i++) {
        const char *line_end = memchr(data, '\n', (size_t)(end - data));
        if (line_end == NULL)
            return;
        g_autofree char *path = g_strndup(data + 1, (size_t)(line_end - data) - 1);
        const char *text = line_end + 1;
        const char *next = memmem(text, (size_t)(end - text), "\n@", 2);
        size_t len = next != NULL ? (size_t)(next + 1 - text) : (size_t)(end - text);
        put(root, path, text, len);
        data = text + len;
    }
}

static char *
describe(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    json_t *json = ireko_facts_to_json(facts);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(json, &error);
    g_assert_no_error(error);
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    char *out = g_strdup_printf("%s %s %s %s %s %" G_GINT64_FORMAT " %u", text, survey->container,
                                survey->cloud, survey->confidential, survey->distribution,
                                survey->cgroup_memory_max, survey->above_all->len);
    free(text);
    return out;
}

/* How the host RECORDED is; it is recorded as NEXT, unless that is NULL. */
static char *
look_at(IrekoRecorded *recorded, const char *next)
{
    g_autoptr(GError) error = NULL;
    const IrekoHostSource *source = ireko_recorded_source(recorded);
    g_autoptr(IrekoFacts) facts = ireko_facts_read(source, &error);
    g_assert_no_error(error);
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(source, facts);
    if (next != NULL && !ireko_record_host(source, facts, survey, next, &error))
        g_error("%s", error->message);
    return describe(facts, survey);
}

/* A stranger's host need not be one that can be (a leaf beyond the last); a record of it is. */
static void
read_back(const char *root, IrekoRecorded *stranger)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *first = g_build_filename(root, "first", NULL);
    g_autofree char *second = g_build_filename(root, "second", NULL);
    g_free(look_at(stranger, first));
    g_autoptr(IrekoRecorded) own = ireko_recorded_open(first, &error);
    g_assert_no_error(error);
    g_autofree char *before = look_at(own, second);
    g_autoptr(IrekoRecorded) copy = ireko_recorded_open(second, &error);
    g_assert_no_error(error);
    g_autofree char *after = look_at(copy, NULL);
    g_assert_cmpstr(before, ==, after);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    const char *folder = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : "/tmp";
    g_autofree char *root = g_build_filename(folder, "ireko-fuzz-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(root));
    g_autofree char *proc = g_build_filename(root, "proc", NULL);
    g_assert_cmpint(g_mkdir_with_parents(proc, 0700), ==, 0);
    unfold(root, (const char *)data, size);
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(root, &error);
    if (recorded != NULL)
        read_back(root, recorded);
    else
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    g_assert_true(ireko_file_remove_tree(root, NULL));
    return 0;
}
