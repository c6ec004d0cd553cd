/* host/system.c - memory, processors, kernel, module parameters. */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

#define MEMINFO_MAX      ((size_t)4 << 10) /* its first lines are enough */
#define CPULIST_CPUS_MAX 65536
#define MEMMAP_MAX       1024 /* ranges of the firmware's map that are read */

/* The kB value of FIELD in TEXT, as bytes; 0 where it is not there. */
static uint64_t
meminfo_bytes(const char *text, const char *field)
{
    const char *line = strstr(text, field);
    if (line == NULL)
        return 0;
    const char *digits = line + strlen(field);
    digits += strspn(digits, " \t");
    g_autofree char *number = g_strndup(digits, strspn(digits, "0123456789"));
    uint64_t kib = 0;
    if (!ireko_text_parse_unsigned(number, 10, 0, G_MAXUINT64 >> 10, &kib))
        return 0;
    return kib << 10;
}

static void
read_meminfo(int root_fd, IrekoFacts *facts)
{
    g_autofree char *text = ireko_host_head(root_fd, "proc/meminfo", MEMINFO_MAX, NULL);
    if (text == NULL)
        return;
    facts->memory_bytes = meminfo_bytes(text, "MemTotal:");
    facts->available_bytes = meminfo_bytes(text, "MemAvailable:");
}

static bool
hex_at(int root_fd, unsigned index, const char *name, uint64_t *ret_value)
{
    g_autofree char *path = g_strdup_printf("sys/firmware/memmap/%u/%s", index, name);
    g_autofree char *line = ireko_host_line(root_fd, path);
    uint64_t value = 0;
    if (line == NULL || !g_str_has_prefix(line, "0x") ||
        !ireko_text_parse_unsigned(line + 2, 16, 0, G_MAXUINT64, &value))
        return false;
    *ret_value = value;
    return true;
}

/* What the firmware gave as RAM: the kernel's image and tables are still in it, so it says what was
 * installed better than MemTotal does. */
static uint64_t
installed_bytes(int root_fd)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < MEMMAP_MAX; i++) {
        g_autofree char *path = g_strdup_printf("sys/firmware/memmap/%u/type", i);
        g_autofree char *type = ireko_host_line(root_fd, path);
        if (type == NULL)
            break;
        uint64_t start = 0, end = 0;
        if (strcmp(type, "System RAM") == 0 && hex_at(root_fd, i, "start", &start) &&
            hex_at(root_fd, i, "end", &end) && end >= start)
            sum += end - start + 1;
    }
    return sum;
}

/* The number of processors in a list such as "0-3,6"; 0 where it is none. */
static unsigned
count_cpulist(const char *list)
{
    uint64_t count = 0;
    g_auto(GStrv) ranges = g_strsplit(list, ",", -1);
    for (size_t i = 0; ranges[i] != NULL; i++) {
        char *dash = strchr(ranges[i], '-');
        const char *last_text = dash != NULL ? dash + 1 : ranges[i];
        uint64_t first = 0, last = 0;
        if (!ireko_text_parse_unsigned(last_text, 10, 0, CPULIST_CPUS_MAX - 1, &last))
            return 0;
        if (dash != NULL)
            *dash = '\0';
        if (!ireko_text_parse_unsigned(ranges[i], 10, 0, last, &first))
            return 0;
        count += last - first + 1;
    }
    return (unsigned)MIN(count, (uint64_t)CPULIST_CPUS_MAX);
}

static void
read_params(int root_fd, const char *module, IrekoFacts *facts)
{
    g_autofree char *folder = g_strdup_printf("sys/module/%s/parameters", module);
    IREKO_AUTOFD fd = ireko_host_open(root_fd, folder, O_DIRECTORY);
    if (fd < 0)
        return;
    g_autoptr(GPtrArray) names = ireko_host_list(fd, ".", IREKO_HOST_PARAMS_MAX);
    for (guint i = 0; i < names->len && facts->kvm_params->len < IREKO_HOST_PARAMS_MAX; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *value = ireko_host_line(fd, name);
        if (value != NULL)
            g_ptr_array_add(facts->kvm_params, g_strdup_printf("%s.%s=%s", module, name, value));
    }
}

static int
compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
ireko_host_read_system(const IrekoHostSource *source, IrekoFacts *facts)
{
    int root_fd = source->root_fd;
    read_meminfo(root_fd, facts);
    int64_t told = 0;
    facts->installed_bytes = ireko_host_told_number(source, "memory.installed", &told)
                                 ? (uint64_t)MAX(told, 0)
                                 : installed_bytes(root_fd);

    g_autofree char *online = ireko_host_line(root_fd, "sys/devices/system/cpu/online");
    facts->cpus = online != NULL ? count_cpulist(online) : 0;
    facts->kernel = ireko_host_line(root_fd, "proc/sys/kernel/osrelease");

    static const char *const modules[] = {"kvm", "kvm_amd", "kvm_intel", "kvm_pvm"};
    for (size_t i = 0; i < G_N_ELEMENTS(modules); i++)
        read_params(root_fd, modules[i], facts);
    g_ptr_array_sort(facts->kvm_params, compare_texts);
}
