/* host/container.c - are we in a container, and of which kind?
 *
 * As systemd-detect-virt and virt-what look: what the manager told the first process is best, files
 * that it left come next, and the names of control groups last, since a group of that name may also
 * hold an ordinary process. A container that hides all of it is not found.
 */
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

#define ENVIRON_MAX ((size_t)16 << 10)
#define CGROUP_MAX  ((size_t)8 << 10)
#define STATUS_MAX  ((size_t)4 << 10)
#define KIND_MAX    32

static const struct {
    const char *part; /* of a path in proc/self/cgroup */
    const char *kind;
} groups[] = {
    {"/docker/", "docker"},
    {"/docker-", "docker"},
    {"/libpod-", "podman"},
    {"/lxc/", "lxc"},
    {"/lxc.payload", "lxc"},
    {"/kubepods", "kubernetes"},
    {"/cri-containerd", "kubernetes"},
    {"/buildkit/", "docker"},
};

/* Files that a container has, and whether their first line names the kind. */
static const struct {
    const char *path;
    const char *kind; /* NULL: the line says it */
} files[] = {
    {"run/host/container-manager", NULL},
    {"run/systemd/container", NULL},
    {"run/.containerenv", "podman"}, /* before docker's: either may be left in an image */
    {".dockerenv", "docker"},
    {".dockerinit", "docker"},
};

static char *
found(char *kind, char **ret_evidence, const char *format, const char *what)
{
    if (ret_evidence != NULL) {
        g_autoptr(GString) text = g_string_new(format);
        (void)g_string_replace(text, "%s", what, 1);
        *ret_evidence = g_strdup(text->str);
    }
    return kind;
}

/* A kind as a manager names it: one word, or "other". */
static char *
kind_of(const char *name)
{
    size_t len = strlen(name);
    bool word =
        len > 0 && len <= KIND_MAX &&
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789")] ==
            '\0';
    return g_strdup(word ? name : "other");
}

static char *
from_kernel(int root_fd, char **ret_evidence)
{
    if (ireko_host_exists(root_fd, "proc/vz") && !ireko_host_exists(root_fd, "proc/bc"))
        return found(g_strdup("openvz"), ret_evidence, "%s", "/proc/vz without /proc/bc");
    g_autofree char *release = ireko_host_line(root_fd, "proc/sys/kernel/osrelease");
    if (release != NULL && (strstr(release, "Microsoft") != NULL || strstr(release, "WSL") != NULL))
        return found(g_strdup("wsl"), ret_evidence, "kernel release '%s'", release);
    g_autofree char *status = ireko_host_head(root_fd, "proc/self/status", STATUS_MAX, NULL);
    const char *context = status != NULL ? strstr(status, "\nVxID:") : NULL;
    if (context != NULL && strtol(context + strlen("\nVxID:"), NULL, 10) != 0)
        return found(g_strdup("linux-vserver"), ret_evidence, "%s", "/proc/self/status: VxID");
    return NULL;
}

/* The environment of the first process; root alone may read it. */
static char *
from_environment(int root_fd, char **ret_evidence)
{
    size_t len = 0;
    g_autofree char *text = ireko_host_head(root_fd, "proc/1/environ", ENVIRON_MAX, &len);
    static const char name[] = "container=";
    for (const char *at = text; at != NULL && at < text + len; at += strlen(at) + 1) {
        if (g_str_has_prefix(at, name) && at[strlen(name)] != '\0') {
            g_autofree char *line = g_strndup(at, strcspn(at, "\n"));
            return found(kind_of(line + strlen(name)), ret_evidence, "%s",
                         "the environment of process 1: container");
        }
    }
    return NULL;
}

static char *
from_files(int root_fd, char **ret_evidence)
{
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (!ireko_host_exists(root_fd, files[i].path))
            continue;
        g_autofree char *line =
            files[i].kind == NULL ? ireko_host_line(root_fd, files[i].path) : NULL;
        return found(files[i].kind != NULL ? g_strdup(files[i].kind)
                                           : kind_of(line != NULL ? line : ""),
                     ret_evidence, "/%s is there", files[i].path);
    }
    return NULL;
}

static char *
from_groups(int root_fd, char **ret_evidence)
{
    g_autofree char *text = ireko_host_head(root_fd, "proc/self/cgroup", CGROUP_MAX, NULL);
    for (size_t i = 0; text != NULL && i < G_N_ELEMENTS(groups); i++) {
        if (strstr(text, groups[i].part) != NULL)
            return found(g_strdup(groups[i].kind), ret_evidence, "/proc/self/cgroup: a group '%s'",
                         groups[i].part);
    }
    return NULL;
}

/* "docker /.dockerenv is there" */
static char *
from_record(const char *told, char **ret_evidence)
{
    size_t len = strcspn(told, " ");
    g_autofree char *kind = g_strndup(told, len);
    if (strcmp(kind, "none") == 0)
        return NULL;
    return found(kind_of(kind), ret_evidence, "%s",
                 told[len] == ' ' ? told + len + 1 : "the record");
}

char *
ireko_host_container(const IrekoHostSource *source, char **ret_evidence)
{
    const char *told = ireko_host_told(source, "container");
    if (told != NULL)
        return from_record(told, ret_evidence);
    char *kind = from_kernel(source->root_fd, ret_evidence);
    if (kind == NULL)
        kind = from_environment(source->root_fd, ret_evidence);
    if (kind == NULL)
        kind = from_files(source->root_fd, ret_evidence);
    return kind != NULL ? kind : from_groups(source->root_fd, ret_evidence);
}
