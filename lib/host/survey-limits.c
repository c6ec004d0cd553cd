/* host/survey-limits.c - how much of the machine we may use: control groups, resource limits, room
 * on the disk.
 *
 * A limit of a group holds for all below it, so that the least on the way up is ours. In version 2
 * there is one tree; in version 1 each controller has its own, and proc/self/cgroup names our place
 * in each. A container may see a path that its mounts do not have: then what is left of the way up
 * is read, which ends at what the mount shows as its root: the container's own group.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "host/parts.h"

#define CGROUP_MAX      ((size_t)8 << 10)
#define CGROUP_DEPTH    64
#define V1_NO_LIMIT     ((int64_t)1 << 60) /* version 1 says "no limit" as a huge number of pages */
#define CONTROLLERS_MAX 32

/* The path of our group for CONTROLLER ("" in version 2) in TEXT, proc/self/cgroup: lines
 * "9:cpu,cpuacct:/path". Free with g_free. */
static char *
group_path(const char *text, const char *controller)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        g_autofree char *copy = g_strndup(line, len);
        g_auto(GStrv) parts = g_strsplit(copy, ":", 3);
        if (g_strv_length(parts) == 3) {
            g_auto(GStrv) names = g_strsplit(parts[1], ",", CONTROLLERS_MAX);
            bool is_it = *controller == '\0'
                             ? *parts[1] == '\0'
                             : g_strv_contains((const char *const *)names, controller);
            if (is_it)
                return g_strdup(parts[2]);
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

/* The limit in the file FILE of the group PATH below MOUNT, read by READ_ONE, or -1. */
typedef int64_t (*LimitReader)(int root_fd, const char *group);

static int64_t
least(int root_fd, const char *mount, const char *path, LimitReader read_one)
{
    g_autofree char *at = g_strdup(path);
    int64_t best = -1;
    for (unsigned depth = 0; depth < CGROUP_DEPTH; depth++) {
        g_autofree char *group = g_strconcat(mount, at, NULL);
        int64_t here = read_one(root_fd, group);
        if (here >= 0 && (best < 0 || here < best))
            best = here;
        char *slash = strrchr(at, '/');
        if (slash == NULL)
            break;
        *slash = '\0';
    }
    return best;
}

static int64_t
number_in(int root_fd, const char *group, const char *file)
{
    g_autofree char *path = g_strconcat(group, "/", file, NULL);
    int64_t value = ireko_host_number(root_fd, path, -1);
    return value >= V1_NO_LIMIT ? -1 : value;
}

static int64_t
memory_v2(int root_fd, const char *group)
{
    return number_in(root_fd, group, "memory.max");
}

static int64_t
memory_v1(int root_fd, const char *group)
{
    return number_in(root_fd, group, "memory.limit_in_bytes");
}

static int64_t
pids(int root_fd, const char *group)
{
    return number_in(root_fd, group, "pids.max");
}

/* QUOTA of PERIOD microseconds, in hundredths of a CPU. */
static int64_t
percent(int64_t quota, int64_t period)
{
    return quota > 0 && period > 0 && quota < G_MAXINT64 / 100 ? quota * 100 / period : -1;
}

static int64_t
cpu_v2(int root_fd, const char *group)
{
    g_autofree char *path = g_strconcat(group, "/cpu.max", NULL);
    g_autofree char *line = ireko_host_line(root_fd, path); /* "50000 100000" or "max 100000" */
    const char *blank = line != NULL ? strchr(line, ' ') : NULL;
    if (blank == NULL || !g_ascii_isdigit(*line))
        return -1;
    return percent(g_ascii_strtoll(line, NULL, 10), g_ascii_strtoll(blank + 1, NULL, 10));
}

static int64_t
cpu_v1(int root_fd, const char *group)
{
    return percent(number_in(root_fd, group, "cpu.cfs_quota_us"),
                   number_in(root_fd, group, "cpu.cfs_period_us"));
}

static void
read_v2(int root_fd, const char *text, IrekoSurvey *survey)
{
    g_autofree char *path = group_path(text, "");
    survey->cgroup_version = 2;
    survey->cgroup_controllers = ireko_host_line(root_fd, "sys/fs/cgroup/cgroup.controllers");
    if (path == NULL)
        return;
    survey->cgroup_memory_max = least(root_fd, "sys/fs/cgroup", path, memory_v2);
    survey->cgroup_pids_max = least(root_fd, "sys/fs/cgroup", path, pids);
    survey->cgroup_cpu_percent = least(root_fd, "sys/fs/cgroup", path, cpu_v2);
}

/* All controllers that proc/self/cgroup names. */
static char *
controllers_v1(const char *text)
{
    g_autoptr(GString) all = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", CONTROLLERS_MAX);
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) parts = g_strsplit(lines[i], ":", 3);
        if (g_strv_length(parts) != 3 || *parts[1] == '\0' || g_str_has_prefix(parts[1], "name="))
            continue;
        g_strdelimit(parts[1], ",", ' ');
        g_string_append_printf(all, "%s%s", all->len > 0 ? " " : "", parts[1]);
    }
    return all->len > 0 ? ireko_text_safe(all->str, all->len) : NULL;
}

static void
read_v1(int root_fd, const char *text, IrekoSurvey *survey)
{
    g_autofree char *memory_path = group_path(text, "memory");
    g_autofree char *pids_path = group_path(text, "pids");
    g_autofree char *cpu_path = group_path(text, "cpu");
    survey->cgroup_controllers = controllers_v1(text);
    survey->cgroup_version = survey->cgroup_controllers != NULL ? 1 : 0;
    if (memory_path != NULL)
        survey->cgroup_memory_max = least(root_fd, "sys/fs/cgroup/memory", memory_path, memory_v1);
    if (pids_path != NULL)
        survey->cgroup_pids_max = least(root_fd, "sys/fs/cgroup/pids", pids_path, pids);
    if (cpu_path != NULL)
        survey->cgroup_cpu_percent = least(root_fd, "sys/fs/cgroup/cpu", cpu_path, cpu_v1);
}

static bool
hear_of_groups(const IrekoHostSource *source, IrekoSurvey *survey)
{
    int64_t version = 0;
    if (!ireko_host_told_number(source, "cgroup.version", &version))
        return false;
    survey->cgroup_version = version == 1 || version == 2 ? (unsigned)version : 0;
    survey->cgroup_controllers = g_strdup(ireko_host_told(source, "cgroup.controllers"));
    (void)ireko_host_told_number(source, "cgroup.memory", &survey->cgroup_memory_max);
    (void)ireko_host_told_number(source, "cgroup.pids", &survey->cgroup_pids_max);
    (void)ireko_host_told_number(source, "cgroup.cpu-percent", &survey->cgroup_cpu_percent);
    return true;
}

static void
read_groups(const IrekoHostSource *source, IrekoSurvey *survey)
{
    survey->cgroup_memory_max = survey->cgroup_pids_max = survey->cgroup_cpu_percent = -1;
    if (hear_of_groups(source, survey))
        return;
    g_autofree char *text = ireko_host_head(source->root_fd, "proc/self/cgroup", CGROUP_MAX, NULL);
    if (ireko_host_exists(source->root_fd, "sys/fs/cgroup/cgroup.controllers"))
        read_v2(source->root_fd, text, survey);
    else if (text != NULL)
        read_v1(source->root_fd, text, survey);
}

static int64_t
read_limit(const IrekoHostSource *source, const char *key, int resource)
{
    int64_t told = -1;
    struct rlimit limit;
    if (!source->probe) {
        (void)ireko_host_told_number(source, key, &told);
        return told;
    }
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return -1;
    return (int64_t)MIN(limit.rlim_cur, (rlim_t)G_MAXINT64);
}

/* Where ireko keeps disks and images, or the nearest folder above it that is there already. */
static uint64_t
read_disk_free(const IrekoHostSource *source)
{
    int64_t told = 0;
    if (!source->probe)
        return ireko_host_told_number(source, "disk.free", &told) ? (uint64_t)MAX(told, 0) : 0;
    const char *home = g_getenv("IREKO_HOME");
    g_autofree char *path = g_canonicalize_filename(
        home != NULL && *home != '\0' ? home : g_get_user_state_dir(), NULL);
    struct statvfs fs;
    while (statvfs(path, &fs) != 0) {
        char *slash = strrchr(path, '/');
        if (slash == NULL || slash[1] == '\0')
            return 0;
        slash[slash == path ? 1 : 0] = '\0';
    }
    guint64 bytes = 0;
    return g_uint64_checked_mul(&bytes, fs.f_bavail, fs.f_frsize) ? bytes : 0;
}

void
ireko_host_survey_limits(const IrekoHostSource *source, IrekoSurvey *survey)
{
    read_groups(source, survey);
    survey->open_files_max = read_limit(source, "limit.nofile", RLIMIT_NOFILE);
    survey->memlock_max_bytes = read_limit(source, "limit.memlock", RLIMIT_MEMLOCK);
    survey->disk_free_bytes = read_disk_free(source);
}
