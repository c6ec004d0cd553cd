/* host/devices.c - device nodes, who may open them, and who else wants the CPU's assistance.
 *
 * A node is told by its mode, owner and group, since that is what a person changes; and by what
 * opening it came to. /dev/kvm is opened in earnest elsewhere; of the others access(2) is asked,
 * because to open a node may make the kernel load the module behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "host/parts.h"

#define ACCOUNTS_MAX ((size_t)256 << 10) /* of etc/group that is searched */

/* The name of account ID in the file PATH ("name:x:ID:..."), or the number. */
static char *
account_name(int root_fd, const char *path, unsigned id)
{
    if (id == 0)
        return g_strdup("root");
    g_autofree char *text = ireko_host_head(root_fd, path, ACCOUNTS_MAX, NULL);
    g_autofree char *wanted = g_strdup_printf(":%u:", id);
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        const char *first = memchr(line, ':', len);
        const char *second = first != NULL ? strpbrk(first + 1, ":\n") : NULL;
        if (second != NULL && g_str_has_prefix(second, wanted)) {
            g_autofree char *name = g_strndup(line, (size_t)(first - line));
            return g_strdup(name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_-")] == '\0'
                                ? name
                                : wanted);
        }
        line += len + (line[len] == '\n');
    }
    return g_strdup_printf("%u", id);
}

/* "0660 root kvm EACCES", "none", or "denied" where its folder may not be read */
static void
take_told(const char *told, IrekoDevice *device)
{
    if (strcmp(told, "none") == 0) {
        device->there = IREKO_READ_NO;
        device->open_errno = ENOENT;
        return;
    }
    if (strcmp(told, "denied") == 0) {
        device->there = IREKO_READ_DENIED;
        device->open_errno = EACCES;
        return;
    }
    g_auto(GStrv) words = g_strsplit(told, " ", 4);
    device->there = IREKO_READ_YES;
    if (g_strv_length(words) != 4)
        return;
    uint64_t mode = 0;
    (void)ireko_text_parse_unsigned(words[0], 8, 0, 07777, &mode);
    device->mode = (unsigned)mode;
    device->owner = g_strdup(words[1]);
    device->group = g_strdup(words[2]);
    device->open_errno = ireko_host_errno_of(words[3]);
}

void
ireko_host_device(const IrekoHostSource *source, const char *path, IrekoDevice *ret_device)
{
    *ret_device = (IrekoDevice){.path = g_strdup(path), .open_errno = -1};
    const char *told = ireko_host_told(source, path);
    if (told != NULL) {
        take_told(told, ret_device);
        return;
    }
    const char *inside = path + 1; /* below the root folder */
    struct stat st;
    IREKO_AUTOFD fd = ireko_host_open(source->root_fd, inside, O_PATH);
    if (fd < 0 || fstat(fd, &st) != 0) {
        bool absent = errno == ENOENT && source->probe;
        ret_device->there = absent            ? IREKO_READ_NO
                            : errno == EACCES ? IREKO_READ_DENIED
                                              : IREKO_READ_UNKNOWN;
        ret_device->open_errno = source->probe ? errno : -1;
        return;
    }
    ret_device->there = IREKO_READ_YES;
    if (!source->probe)
        return; /* a file that stands for the node: its mode says nothing */
    ret_device->mode = st.st_mode & 07777;
    ret_device->owner = account_name(source->root_fd, "etc/passwd", st.st_uid);
    ret_device->group = account_name(source->root_fd, "etc/group", st.st_gid);
    bool may = faccessat(source->root_fd, inside, R_OK | W_OK, AT_EACCESS) == 0;
    ret_device->open_errno = may ? 0 : errno;
}

/* ---- who else ---- */

static const struct {
    const char *path; /* it is there while that hypervisor is */
    const char *who;
} holders[] = {
    {"sys/module/vboxdrv", "vboxdrv"},
    {"sys/module/vmmon", "vmmon"},
    {"dev/mshv", "hyperv"},
    {"dev/acrn_hsm", "acrn"},
    {"sys/module/acrn", "acrn"},
    {"sys/module/jailhouse", "jailhouse"},
    {"dev/HAX", "haxm"},
};

/* Dom0: Xen itself has the CPU. XENFEAT_dom0 is bit 11 of the features, which are hexadecimal. */
bool
ireko_host_is_xen_dom0(int root_fd)
{
    g_autofree char *features = ireko_host_line(root_fd, "sys/hypervisor/properties/features");
    if (features != NULL)
        return (g_ascii_strtoull(features, NULL, 16) >> 11 & 1) != 0;
    g_autofree char *line = ireko_host_line(root_fd, "proc/xen/capabilities");
    return line != NULL && strstr(line, "control_d") != NULL;
}

/* The root partition of Hyper-V: it may make partitions (TLFS, leaf 40000003h EBX bit 0). */
static bool
is_hyperv_root(const IrekoHostSource *source)
{
    uint32_t regs[4] = {0};
    if (source->cpuid == NULL || !source->cpuid(source->data, 0x40000000u, 0, regs) ||
        memcmp(&regs[1], "Microsoft Hv", 12) != 0)
        return false;
    return source->cpuid(source->data, 0x40000003u, 0, regs) && (regs[1] & 1) != 0;
}

char *
ireko_host_others(const IrekoHostSource *source)
{
    g_autoptr(GString) all = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(holders); i++) {
        if (ireko_host_exists(source->root_fd, holders[i].path) &&
            !ireko_host_has_word(all->str, holders[i].who))
            g_string_append_printf(all, "%s ", holders[i].who);
    }
    if (ireko_host_is_xen_dom0(source->root_fd))
        g_string_append(all, "xen ");
    if (is_hyperv_root(source) && !ireko_host_has_word(all->str, "hyperv"))
        g_string_append(all, "hyperv ");
    if (all->len == 0)
        return NULL;
    g_string_truncate(all, all->len - 1);
    return g_strdup(all->str);
}
