/* host/survey-kernel.c - what the running kernel shows: its modules, its IOMMU, how it shares
 * memory, what it knows of the processor's holes, and what it keeps apart for us. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

#define VULNERABILITIES_MAX 128
#define OS_RELEASE_MAX      ((size_t)8 << 10)
#define MEMINFO_MAX         ((size_t)8 << 10)
#define PORTS_MAX           256
#define NAMESPACES_MAX      32
#define AGENT_PORT          "org.ireko.agent" /* of engine.h: how a machine's channels are named */

static IrekoRead
read_module(int root_fd, const char *name)
{
    g_autofree char *path = g_strdup_printf("sys/module/%s", name);
    if (ireko_host_exists(root_fd, path))
        return IREKO_READ_YES;
    return ireko_host_exists(root_fd, "sys/module") ? IREKO_READ_NO : IREKO_READ_UNKNOWN;
}

static void
read_modules(int root_fd, IrekoSurvey *survey)
{
    survey->module_kvm = read_module(root_fd, "kvm");
    survey->module_vmx = read_module(root_fd, "kvm_intel");
    survey->module_svm = read_module(root_fd, "kvm_amd");
    survey->module_pvm = read_module(root_fd, "kvm_pvm");
    bool registered = ireko_host_exists(root_fd, "sys/class/misc/kvm") ||
                      ireko_host_exists(root_fd, "sys/devices/virtual/misc/kvm");
    survey->kvm_registered = registered                                 ? IREKO_READ_YES
                             : survey->module_kvm == IREKO_READ_UNKNOWN ? IREKO_READ_UNKNOWN
                                                                        : IREKO_READ_NO;
}

/* An IOMMU works where the kernel has put devices into groups; a table alone is one that the kernel
 * was told not to use. */
static void
read_iommu(int root_fd, IrekoSurvey *survey)
{
    g_autoptr(GPtrArray) units = ireko_host_list(root_fd, "sys/class/iommu", 1);
    g_autoptr(GPtrArray) groups = ireko_host_list(root_fd, "sys/kernel/iommu_groups", 1);
    const char *table = ireko_host_exists(root_fd, "sys/firmware/acpi/tables/DMAR")   ? "DMAR"
                        : ireko_host_exists(root_fd, "sys/firmware/acpi/tables/IVRS") ? "IVRS"
                                                                                      : NULL;
    if (groups->len > 0) {
        survey->iommu = IREKO_READ_YES;
        survey->iommu_evidence = g_strdup("/sys/kernel/iommu_groups has groups");
    } else if (units->len > 0 || table != NULL) {
        survey->iommu = IREKO_READ_NO;
        survey->iommu_evidence =
            g_strdup_printf("%s is there, /sys/kernel/iommu_groups is empty",
                            table != NULL ? table : "a unit in /sys/class/iommu");
    } else if (ireko_host_exists(root_fd, "sys/firmware/acpi/tables")) {
        survey->iommu = IREKO_READ_NO;
        survey->iommu_evidence = g_strdup("neither of the ACPI tables DMAR and IVRS");
    } else {
        survey->iommu_evidence = g_strdup("no /sys/firmware/acpi/tables to look in");
    }
}

static void
read_ksm(int root_fd, uint64_t page_bytes, IrekoSurvey *survey)
{
    int64_t run = ireko_host_number(root_fd, "sys/kernel/mm/ksm/run", -1);
    int64_t shared = ireko_host_number(root_fd, "sys/kernel/mm/ksm/pages_shared", 0);
    int64_t sharing = ireko_host_number(root_fd, "sys/kernel/mm/ksm/pages_sharing", 0);
    survey->ksm_run = run >= 0 && run <= 2 ? (int)run : -1;
    survey->ksm_shared_bytes = shared > 0 ? (uint64_t)shared * page_bytes : 0;
    survey->ksm_sharing_bytes = sharing > 0 ? (uint64_t)sharing * page_bytes : 0;
}

/* "always [madvise] never": the word chosen. */
static char *
chosen(const char *line)
{
    const char *open = line != NULL ? strchr(line, '[') : NULL;
    const char *close = open != NULL ? strchr(open, ']') : NULL;
    return close != NULL ? g_strndup(open + 1, (size_t)(close - open - 1)) : NULL;
}

static uint64_t
meminfo_number(const char *text, const char *field)
{
    const char *at = text != NULL ? strstr(text, field) : NULL;
    return at != NULL ? g_ascii_strtoull(at + strlen(field), NULL, 10) : 0;
}

static uint64_t
product(uint64_t count, uint64_t bytes)
{
    guint64 out = 0;
    return g_uint64_checked_mul(&out, count, bytes) ? out : 0;
}

static void
read_huge_pages(int root_fd, IrekoSurvey *survey)
{
    g_autofree char *line = ireko_host_line(root_fd, "sys/kernel/mm/transparent_hugepage/enabled");
    survey->huge_pages = chosen(line);
    g_autofree char *text = ireko_host_head(root_fd, "proc/meminfo", MEMINFO_MAX, NULL);
    uint64_t bytes = product(meminfo_number(text, "Hugepagesize:"), 1024);
    survey->huge_page_pool_bytes = product(meminfo_number(text, "HugePages_Total:"), bytes);
    survey->huge_page_free_bytes = product(meminfo_number(text, "HugePages_Free:"), bytes);
}

/* PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" */
static void
read_distribution(int root_fd, IrekoSurvey *survey)
{
    static const char key[] = "PRETTY_NAME=";
    g_autofree char *text = ireko_host_head(root_fd, "etc/os-release", OS_RELEASE_MAX, NULL);
    if (text == NULL)
        text = ireko_host_head(root_fd, "usr/lib/os-release", OS_RELEASE_MAX, NULL);
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        if (g_str_has_prefix(line, key)) {
            g_autofree char *value = g_strndup(line + strlen(key), len - strlen(key));
            g_strdelimit(value, "\"'\\\t\r\x1b", ' ');
            survey->distribution = ireko_text_safe(g_strstrip(value), (size_t)-1);
            return;
        }
        line += len + (line[len] == '\n');
    }
}

static void
read_vulnerabilities(int root_fd, IrekoSurvey *survey)
{
    IREKO_AUTOFD fd =
        ireko_host_open(root_fd, "sys/devices/system/cpu/vulnerabilities", O_DIRECTORY);
    if (fd < 0)
        return;
    g_autoptr(GPtrArray) names = ireko_host_list(fd, ".", VULNERABILITIES_MAX);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *line = ireko_host_line(fd, name);
        if (line != NULL && ireko_text_is_name(name))
            g_ptr_array_add(survey->vulnerabilities, g_strdup_printf("%s: %s", name, line));
    }
}

static bool
read_ireko_machine(const IrekoHostSource *source)
{
    IrekoRead told = ireko_host_told_yes(source, "ireko-machine");
    if (told != IREKO_READ_UNKNOWN)
        return told == IREKO_READ_YES;
    g_autoptr(GPtrArray) ports =
        ireko_host_list(source->root_fd, "sys/class/virtio-ports", PORTS_MAX);
    for (guint i = 0; i < ports->len; i++) {
        g_autofree char *path = g_strdup_printf("sys/class/virtio-ports/%s/name",
                                                (const char *)g_ptr_array_index(ports, i));
        g_autofree char *name = ireko_host_line(source->root_fd, path);
        if (name != NULL && g_str_has_prefix(name, AGENT_PORT))
            return true;
    }
    return false;
}

/* ---- what is kept apart ---- */

static char *
read_namespaces(const IrekoHostSource *source)
{
    const char *told = ireko_host_told(source, "namespaces");
    if (told != NULL)
        return g_strdup(told);
    g_autoptr(GPtrArray) names = ireko_host_list(source->root_fd, "proc/self/ns", NAMESPACES_MAX);
    if (names->len == 0)
        return NULL;
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

/* The first namespace maps every number to itself. */
static IrekoRead
read_user_namespace(const IrekoHostSource *source)
{
    IrekoRead told = ireko_host_told_yes(source, "user-namespace");
    g_autofree char *line = ireko_host_line(source->root_fd, "proc/self/uid_map");
    if (told != IREKO_READ_UNKNOWN || line == NULL)
        return told;
    char *at = line;
    bool whole = g_ascii_strtoull(at, &at, 10) == 0 && g_ascii_strtoull(at, &at, 10) == 0 &&
                 g_ascii_strtoull(at, &at, 10) == UINT32_MAX;
    return whole ? IREKO_READ_NO : IREKO_READ_YES;
}

static IrekoRead
read_chroot(const IrekoHostSource *source)
{
    struct stat first, here;
    if (!source->probe)
        return ireko_host_told_yes(source, "chroot");
    if (fstatat(source->root_fd, "proc/1/root", &first, 0) != 0)
        return errno == EACCES || errno == EPERM ? IREKO_READ_DENIED : IREKO_READ_UNKNOWN;
    if (fstat(source->root_fd, &here) != 0)
        return IREKO_READ_UNKNOWN;
    return first.st_dev == here.st_dev && first.st_ino == here.st_ino ? IREKO_READ_NO
                                                                      : IREKO_READ_YES;
}

void
ireko_host_survey_kernel(const IrekoHostSource *source, IrekoSurvey *survey)
{
    int root_fd = source->root_fd;
    read_modules(root_fd, survey);
    read_iommu(root_fd, survey);
    read_ksm(root_fd, IREKO_HOST_PAGE_BYTES, survey);
    read_huge_pages(root_fd, survey);
    read_distribution(root_fd, survey);
    read_vulnerabilities(root_fd, survey);
    survey->clock_source =
        ireko_host_line(root_fd, "sys/devices/system/clocksource/clocksource0/current_clocksource");
    survey->ireko_machine = read_ireko_machine(source);
    survey->namespaces = read_namespaces(source);
    survey->user_namespace = read_user_namespace(source);
    survey->chroot = read_chroot(source);
    bool proc = ireko_host_exists(root_fd, "sys/fs");
    survey->fuse = ireko_host_exists(root_fd, "sys/fs/fuse/connections") ? IREKO_READ_YES
                   : proc                                                ? IREKO_READ_NO
                                                                         : IREKO_READ_UNKNOWN;
}
