/* host/record.c - writes this machine as a recorded host, which another can look at.
 *
 * Nothing is copied as a whole. What goes into the folder is what the reader looks for: the facts
 * and the survey, which hold no secret, put back where they were read; and of the files that signs
 * of a layer above are read from, the fields that it compares. So serial numbers, UUIDs, asset
 * tags, addresses, host names, command lines, environments and the paths of control groups have no
 * way in; leaf 3 of CPUID, the serial number of a Pentium III, is left out.
 *
 * The folder is made beside its place and renamed into it: it is there whole or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "host/parts.h"

#define LEAVES_MAX    0x40u /* of each range that are asked for */
#define SUBLEAVES_MAX 16u
#define XSAVE_LEAF    0xdu /* has one sub-leaf for each state */
#define XSAVE_MAX     64u
#define SERIAL_LEAF   3u
#define ACPI_HEAD     16 /* bytes: signature, length, revision, OEM id */
#define SMBIOS_HEAD   20 /* bytes of the BIOS table: its characteristics, no text */
#define SYSINFO_MAX   ((size_t)8 << 10)

typedef struct {
    int root_fd; /* of the machine */
    int dir_fd;  /* of the record */
    const IrekoHostSource *source;
    const IrekoFacts *facts;
    const IrekoSurvey *survey;
    GError *error; /* the first failure */
} Record;

/* ---- files ---- */

static bool
make_parents(Record *record, const char *path)
{
    g_autofree char *part = g_strdup(path);
    for (char *slash = strchr(part, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(record->dir_fd, part, 0777) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return true;
}

static void
put_bytes(Record *record, const char *path, const void *data, size_t len)
{
    if (record->error != NULL)
        return;
    IREKO_AUTOFD fd = !make_parents(record, path)
                          ? -1
                          : openat(record->dir_fd, path,
                                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        ireko_error_from_errno(&record->error, errno, "cannot make '%s' in the record", path);
    else if (!ireko_fd_write_all(fd, data, len, IREKO_NO_DEADLINE, -1, &record->error))
        g_prefix_error(&record->error, "'%s' in the record: ", path);
}

/* One line; NULL writes nothing. */
static void
put_line(Record *record, const char *path, const char *text)
{
    if (text == NULL)
        return;
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    put_bytes(record, path, line, strlen(line));
}

static void
put_folder(Record *record, const char *path)
{
    g_autofree char *inside = g_strconcat(path, "/", NULL);
    if (record->error == NULL && !make_parents(record, inside))
        ireko_error_from_errno(&record->error, errno, "cannot make '%s' in the record", path);
}

static void
put_if_there(Record *record, const char *path)
{
    if (ireko_host_exists(record->root_fd, path))
        put_folder(record, path);
}

static void
copy_line(Record *record, const char *path)
{
    g_autofree char *line = ireko_host_line(record->root_fd, path);
    put_line(record, path, line);
}

static void
copy_head(Record *record, const char *path, size_t max)
{
    size_t len = 0;
    g_autofree char *head = ireko_host_head(record->root_fd, path, max, &len);
    if (head != NULL)
        put_bytes(record, path, head, len);
}

/* ---- CPUID and registers ---- */

static bool
has_subleaves(uint32_t leaf)
{
    static const uint32_t leaves[] = {4,    7,    0xb,  XSAVE_LEAF, 0xf,        0x10,
                                      0x12, 0x14, 0x17, 0x18,       0x1d,       0x1f,
                                      0x20, 0x23, 0x24, 0x8000001d, 0x80000020, 0x80000026};
    for (size_t i = 0; i < G_N_ELEMENTS(leaves); i++) {
        if (leaves[i] == leaf)
            return true;
    }
    return false;
}

static void
add_leaf(const IrekoHostSource *source, uint32_t leaf, GString *out)
{
    uint32_t end = leaf == XSAVE_LEAF ? XSAVE_MAX : has_subleaves(leaf) ? SUBLEAVES_MAX : 1;
    for (uint32_t subleaf = 0; subleaf < end; subleaf++) {
        uint32_t regs[4] = {0};
        if (!source->cpuid(source->data, leaf, subleaf, regs))
            continue;
        bool empty =
            (regs[0] | regs[1] | regs[3]) == 0; /* ECX echoes the question here and there */
        if (subleaf == 0 || !empty)
            g_string_append_printf(out,
                                   "   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x "
                                   "edx=0x%08x\n",
                                   leaf, subleaf, regs[0], regs[1], regs[2], regs[3]);
    }
}

/* The leaves from BASE, whose EAX says which is the last. */
static void
add_range(const IrekoHostSource *source, uint32_t base, GString *out)
{
    uint32_t regs[4] = {0};
    if (!source->cpuid(source->data, base, 0, regs))
        return;
    uint32_t last = regs[0] >= base && regs[0] < base + LEAVES_MAX ? regs[0] : base;
    if (regs[0] >= base + LEAVES_MAX && regs[0] < base + 0x100)
        last = base + LEAVES_MAX - 1;
    for (uint32_t leaf = base; leaf <= last; leaf++) {
        if (leaf != SERIAL_LEAF)
            add_leaf(source, leaf, out);
    }
}

static void
write_cpuid(Record *record)
{
    static const uint32_t bases[] = {0, 0x40000000, 0x40000100, 0x40000200, 0x80000000, 0xc0000000};
    if (record->source->cpuid == NULL)
        return;
    g_autoptr(GString) out = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(bases); i++)
        add_range(record->source, bases[i], out);
    if (out->len == 0)
        return;
    g_string_prepend(out, "CPU:\n");
    put_bytes(record, "cpuid", out->str, out->len);
}

static void
write_msrs(Record *record)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (guint i = 0; i < record->survey->msrs->len; i++) {
        const IrekoMsr *msr = g_ptr_array_index(record->survey->msrs, i);
        if (msr->read == IREKO_READ_YES)
            g_string_append_printf(out, "%x %" G_GINT64_MODIFIER "x\n", msr->index, msr->value);
        else if (msr->read == IREKO_READ_NO)
            g_string_append_printf(out, "%x no\n", msr->index);
    }
    if (out->len > 0)
        put_bytes(record, "msr", out->str, out->len);
}

/* ---- what no file says ---- */

static const char *
yes_or_no(IrekoRead read)
{
    switch (read) {
    case IREKO_READ_YES:
        return "yes";
    case IREKO_READ_NO:
        return "no";
    case IREKO_READ_DENIED:
        return "denied";
    case IREKO_READ_UNKNOWN:
        return NULL;
    }
    return NULL;
}

static void
tell(GString *out, const char *key, const char *value)
{
    if (value != NULL && *value != '\0')
        g_string_append_printf(out, "%s %s\n", key, value);
}

static void
tell_number(GString *out, const char *key, int64_t value)
{
    g_autofree char *text = value < 0 ? g_strdup("none") : g_strdup_printf("%" PRId64, value);
    tell(out, key, text);
}

static void
tell_device(GString *out, const IrekoDevice *device)
{
    if (device->there == IREKO_READ_NO)
        tell(out, device->path, "none");
    if (device->there == IREKO_READ_DENIED)
        tell(out, device->path, "denied");
    if (device->there != IREKO_READ_YES || device->owner == NULL)
        return;
    g_autofree char *opened =
        device->open_errno < 0 ? g_strdup("-") : ireko_host_errno_name(device->open_errno);
    g_autofree char *value =
        g_strdup_printf("%04o %s %s %s", device->mode, device->owner, device->group, opened);
    tell(out, device->path, value);
}

static void
tell_trial(GString *out, const IrekoFacts *facts)
{
    const IrekoKvmFact *kvm = &facts->kvm;
    if (kvm->open_errno != 0)
        return; /* it could not be opened, and that is told already */
    g_autofree char *value = g_strdup_printf("%s %s", kvm->usable ? "ok" : kvm->cause,
                                             kvm->evidence != NULL ? kvm->evidence : "");
    tell(out, "kvm.trial", value);
    tell(out, "kvm.nested-state", yes_or_no(kvm->nested_state));
}

static void
tell_limits(GString *out, const IrekoSurvey *survey)
{
    tell_number(out, "limit.nofile", survey->open_files_max);
    tell_number(out, "limit.memlock", survey->memlock_max_bytes);
    tell_number(out, "disk.free", (int64_t)MIN(survey->disk_free_bytes, (uint64_t)G_MAXINT64));
    tell_number(out, "cgroup.version", survey->cgroup_version);
    tell(out, "cgroup.controllers", survey->cgroup_controllers);
    tell_number(out, "cgroup.memory", survey->cgroup_memory_max);
    tell_number(out, "cgroup.pids", survey->cgroup_pids_max);
    tell_number(out, "cgroup.cpu-percent", survey->cgroup_cpu_percent);
    g_autofree char *qemu = ireko_host_tell_of_qemu(&survey->qemu);
    tell(out, "qemu", qemu);
}

static void
write_probe(Record *record)
{
    const IrekoSurvey *survey = record->survey;
    g_autoptr(GString) out = g_string_new("# recorded by ireko check --record\n");
    tell(out, "arch", survey->arch);
    tell(out, "root", survey->is_root ? "yes" : "no");
    tell_device(out, &survey->kvm);
    tell_device(out, &survey->vhost_net);
    tell_device(out, &survey->tun);
    tell_device(out, &survey->sev);
    tell_trial(out, record->facts);

    uint64_t value = 0;
    const IrekoMsr *first = survey->msrs->len > 0 ? g_ptr_array_index(survey->msrs, 0) : NULL;
    int errnum = first != NULL ? ireko_host_msr(record->source, first->index, &value) : 0;
    g_autofree char *why = ireko_host_errno_name(errnum);
    if (errnum != 0 && errnum != EIO)
        tell(out, "msr", why);

    g_autofree char *container =
        survey->container != NULL
            ? g_strdup_printf("%s %s", survey->container, survey->container_evidence)
            : g_strdup("none");
    tell(out, "container", container);
    tell(out, "chroot", yes_or_no(survey->chroot));
    tell(out, "user-namespace", yes_or_no(survey->user_namespace));
    tell(out, "namespaces", survey->namespaces);
    tell(out, "ireko-machine", survey->ireko_machine ? "yes" : "no");
    tell_number(out, "memory.installed",
                (int64_t)MIN(record->facts->installed_bytes, (uint64_t)G_MAXINT64));
    tell_limits(out, survey);
    put_bytes(record, "probe", out->str, out->len);
}

static void
write_disks(Record *record)
{
    json_t *object =
        json_pack("{s:o}", "disks", ireko_host_disks_to_json(record->facts->disks, false));
    char *text = json_dumps(object, JSON_COMPACT);
    put_line(record, "disks", text);
    free(text);
    json_decref(object);
}

/* ---- what files say ---- */

static void
write_cpuinfo(Record *record)
{
    static const char *const fields[] = {
        "processor", "vendor_id", "vendor",          "arch",     "cpu family",
        "family",    "model",     "model name",      "stepping", "flags",
        "vmx flags", "bugs",      "features",        "Features", "isa",
        "cpu",       "platform",  "CPU implementer", "CPU part",
    };
    g_autofree char *cpuinfo =
        ireko_host_head(record->root_fd, "proc/cpuinfo", IREKO_HOST_CPUINFO_MAX, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    for (size_t i = 0; cpuinfo != NULL && i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *value = ireko_host_cpuinfo(cpuinfo, fields[i]);
        if (value != NULL)
            g_string_append_printf(out, "%s\t: %s\n", fields[i], value);
    }
    if (out->len > 0)
        put_bytes(record, "proc/cpuinfo", out->str, out->len);
}

static void
write_memory(Record *record)
{
    const IrekoFacts *facts = record->facts;
    const IrekoSurvey *survey = record->survey;
    uint64_t page_kib = 64; /* the least there is does: only products are read */
    g_autofree char *text = g_strdup_printf(
        "MemTotal: %" PRIu64 " kB\nMemAvailable: %" PRIu64 " kB\nHugePages_Total: %" PRIu64
        "\nHugePages_Free: %" PRIu64 "\nHugepagesize: %" PRIu64 " kB",
        facts->memory_bytes >> 10, facts->available_bytes >> 10,
        survey->huge_page_pool_bytes / (page_kib << 10),
        survey->huge_page_free_bytes / (page_kib << 10), page_kib);
    put_line(record, "proc/meminfo", text);

    if (survey->ksm_run < 0)
        return;
    g_autofree char *run = g_strdup_printf("%d", survey->ksm_run);
    g_autofree char *shared =
        g_strdup_printf("%" PRIu64, survey->ksm_shared_bytes / IREKO_HOST_PAGE_BYTES);
    g_autofree char *sharing =
        g_strdup_printf("%" PRIu64, survey->ksm_sharing_bytes / IREKO_HOST_PAGE_BYTES);
    put_line(record, "sys/kernel/mm/ksm/run", run);
    put_line(record, "sys/kernel/mm/ksm/pages_shared", shared);
    put_line(record, "sys/kernel/mm/ksm/pages_sharing", sharing);
}

/* "kvm_amd.nested=1" */
static void
write_params(Record *record)
{
    for (guint i = 0; i < record->facts->kvm_params->len; i++) {
        g_auto(GStrv) parts =
            g_strsplit_set(g_ptr_array_index(record->facts->kvm_params, i), ".=", 3);
        g_autofree char *path = g_strdup_printf("sys/module/%s/parameters/%s", parts[0], parts[1]);
        put_line(record, path, parts[2]);
    }
}

static void
write_kernel(Record *record)
{
    const IrekoSurvey *survey = record->survey;
    put_line(record, "proc/sys/kernel/osrelease", record->facts->kernel);
    put_line(record, "sys/devices/system/clocksource/clocksource0/current_clocksource",
             survey->clock_source);
    g_autofree char *distribution =
        survey->distribution != NULL ? g_strdup_printf("PRETTY_NAME=\"%s\"", survey->distribution)
                                     : NULL;
    put_line(record, "etc/os-release", distribution);
    g_autofree char *huge =
        survey->huge_pages != NULL ? g_strdup_printf("[%s]", survey->huge_pages) : NULL;
    put_line(record, "sys/kernel/mm/transparent_hugepage/enabled", huge);
    g_autofree char *online =
        record->facts->cpus > 0 ? g_strdup_printf("0-%u", record->facts->cpus - 1) : NULL;
    put_line(record, "sys/devices/system/cpu/online", online);
    for (guint i = 0; i < survey->vulnerabilities->len; i++) {
        g_auto(GStrv) parts = g_strsplit(g_ptr_array_index(survey->vulnerabilities, i), ": ", 2);
        g_autofree char *path =
            g_strdup_printf("sys/devices/system/cpu/vulnerabilities/%s", parts[0]);
        put_line(record, path, parts[1]);
    }
}

/* Whose being there is all that is asked. */
static void
write_presence(Record *record)
{
    static const char *const paths[] = {
        "proc",
        "proc/xen",
        "proc/device-tree/ibm,partition-name",
        "proc/device-tree/hmc-managed?",
        "sys/module",
        "sys/module/kvm",
        "sys/module/kvm_amd",
        "sys/module/kvm_intel",
        "sys/module/kvm_pvm",
        "sys/module/vboxdrv",
        "sys/module/vmmon",
        "sys/module/acrn",
        "sys/module/jailhouse",
        "sys/class/misc/kvm",
        "sys/devices/virtual/misc/kvm",
        "sys/bus/xen",
        "sys/bus/xen-backend",
        "sys/fs",
        "sys/fs/fuse/connections",
        "sys/firmware/acpi/tables",
        "sys/firmware/acpi/tables/DMAR",
        "sys/firmware/acpi/tables/IVRS",
        "dev/mshv",
        "dev/acrn_hsm",
        "dev/HAX",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
        put_if_there(record, paths[i]);
    g_autoptr(GPtrArray) units = ireko_host_list(record->root_fd, "sys/class/iommu", 1);
    g_autoptr(GPtrArray) groups = ireko_host_list(record->root_fd, "sys/kernel/iommu_groups", 1);
    if (units->len > 0)
        put_folder(record, "sys/class/iommu/unit");
    if (groups->len > 0)
        put_folder(record, "sys/kernel/iommu_groups/0");
}

static void
write_dmi(Record *record)
{
    IrekoDmi dmi = ireko_host_read_dmi(record->root_fd);
    put_line(record, "sys/class/dmi/id/sys_vendor", dmi.sys_vendor);
    put_line(record, "sys/class/dmi/id/product_name", dmi.product_name);
    put_line(record, "sys/class/dmi/id/product_version", dmi.product_version);
    put_line(record, "sys/class/dmi/id/board_vendor", dmi.board_vendor);
    put_line(record, "sys/class/dmi/id/bios_vendor", dmi.bios_vendor);
    put_line(record, "sys/class/dmi/id/bios_version", dmi.bios_version);
    put_line(record, "sys/class/dmi/id/chassis_asset_tag", dmi.chassis_asset_tag);
    ireko_host_clear_dmi(&dmi);
    copy_head(record, "sys/firmware/dmi/entries/0-0/raw", SMBIOS_HEAD);
    copy_head(record, "sys/firmware/acpi/tables/FACP", ACPI_HEAD);
}

/* s390's has the names of partition and guest in it. */
static void
write_sysinfo(Record *record)
{
    g_autofree char *text = ireko_host_head(record->root_fd, "proc/sysinfo", SYSINFO_MAX, NULL);
    if (text == NULL)
        return;
    if (strstr(text, "Control Program:") != NULL)
        put_line(record, "proc/sysinfo",
                 strstr(text, "KVM/Linux") != NULL ? "VM00 Control Program: KVM/Linux"
                                                   : "VM00 Control Program: z/VM");
    else if (strstr(text, "LPAR Number:") != NULL)
        put_line(record, "proc/sysinfo", "LPAR Number: 0");
}

static void
write_signs(Record *record)
{
    copy_line(record, "sys/hypervisor/type");
    copy_line(record, "sys/hypervisor/guest_type");
    copy_line(record, "sys/hypervisor/properties/features");
    copy_line(record, "proc/xen/capabilities");
    copy_line(record, "proc/device-tree/hypervisor/compatible");
    copy_line(record, "proc/device-tree/compatible");
    g_autoptr(GPtrArray) names = ireko_host_list(record->root_fd, "proc/device-tree", 256);
    for (guint i = 0; i < names->len; i++) {
        if (strstr(g_ptr_array_index(names, i), "fw-cfg") != NULL)
            put_folder(record, "proc/device-tree/fw-cfg");
    }
    write_dmi(record);
    write_sysinfo(record);
}

/* ---- the folder ---- */

static bool
write_all(Record *record, GError **error)
{
    write_presence(record);
    write_cpuid(record);
    write_msrs(record);
    write_probe(record);
    write_disks(record);
    write_cpuinfo(record);
    write_memory(record);
    write_params(record);
    write_kernel(record);
    write_signs(record);
    if (record->error == NULL)
        return true;
    g_propagate_error(error, g_steal_pointer(&record->error));
    return false;
}

static bool
is_taken(const char *dir)
{
    g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
    struct stat st;
    return folder != NULL ? g_dir_read_name(folder) != NULL : lstat(dir, &st) == 0;
}

static bool
refuse(const char *dir, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' is there already: name a new folder for the record", dir);
    return false;
}

bool
ireko_record_host(const IrekoHostSource *source,
                  const IrekoFacts *facts,
                  const IrekoSurvey *survey,
                  const char *dir,
                  GError **error)
{
    if (is_taken(dir))
        return refuse(dir, error);
    g_autofree char *absolute = g_canonicalize_filename(dir, NULL); /* no slash at its end */
    g_autofree char *temporary = g_strconcat(absolute, ".XXXXXX", NULL);
    if (g_mkdtemp(temporary) == NULL) {
        ireko_error_from_errno(error, errno, "cannot make a folder beside '%s'", dir);
        return false;
    }

    Record record = {
        .root_fd = source->root_fd, .source = source, .facts = facts, .survey = survey};
    IREKO_AUTOFD dir_fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    record.dir_fd = dir_fd;
    bool done = write_all(&record, error);
    if (done && (fchmod(dir_fd, 0755) != 0 || rename(temporary, absolute) != 0)) {
        done = errno == ENOTEMPTY || errno == EEXIST ? refuse(dir, error) : false;
        if (error != NULL && *error == NULL)
            ireko_error_from_errno(error, errno, "cannot make the folder '%s'", dir);
    }
    if (!done)
        (void)ireko_file_remove_tree(temporary, NULL);
    return done;
}
