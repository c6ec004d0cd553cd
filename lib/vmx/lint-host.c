/* vmx/lint-host.c - rules about what the host around has to be set to. A file cannot show those
 * settings, so these are remarks, made where the file shows that they matter: a port group that
 * rejects forged transmits breaks the nest, and one that accepts them looks the same from here. An
 * error would stand on every right setup and fail it in a script. What the file itself forbids is a
 * warning or an error. */
#include <string.h>

#include "base/text.h"
#include "vmx/lint-rule.h"

#define HARDWARE_67 14

static char *
nic_value(const Lint *lint, unsigned index, const char *what, unsigned *ret_line)
{
    const LintDevice *nic = &g_array_index(lint->nics, LintDevice, index);
    return ireko_lint_device_value(lint, nic, what, ret_line);
}

static void
check_port_group(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < lint->nics->len && lint->is_esxi && lint->has_vhv; i++) {
        unsigned line = 0;
        g_autofree char *group = nic_value(lint, i, "networkName", &line);
        if (group != NULL && *group != '\0')
            ireko_lint_say(lint, rule, line, "port group '%s'", group)->fix =
                g_strdup("allow promiscuous mode and forged transmits on it, or MAC learning");
    }
}

static void
check_card(Lint *lint, const Rule *rule)
{
    static const char *const keys[] = {"noPromisc", "noForgedSrcAddr"};
    for (unsigned i = 0; i < lint->nics->len && lint->has_vhv; i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(keys); k++) {
            unsigned line = 0;
            bool forbidden = false;
            g_autofree char *value = nic_value(lint, i, keys[k], &line);
            if (value != NULL && ireko_text_parse_bool(value, &forbidden) && forbidden)
                ireko_lint_say(lint, rule, line, "%s is TRUE", keys[k])->fix =
                    g_strdup_printf("%s = \"FALSE\", or remove the line", keys[k]);
        }
    }
}

static void
check_distributed(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < lint->nics->len && lint->is_esxi && lint->has_vhv; i++) {
        unsigned line = 0;
        g_autofree char *port = nic_value(lint, i, "dvs.portgroupId", &line);
        if (port != NULL && (lint->hardware == 0 || lint->hardware >= HARDWARE_67))
            ireko_lint_say(lint, rule, line, "distributed port group '%s'", port)->fix =
                g_strdup("macManagementPolicy with MAC learning, by ReconfigureDVPortgroup_Task");
    }
}

static void
check_filter(Lint *lint, const Rule *rule)
{
    unsigned with = 0, lacking = 0, first = 0;
    for (unsigned i = 0; i < lint->nics->len; i++) {
        unsigned line = 0;
        g_autofree char *filter = nic_value(lint, i, "filter4.name", &line);
        if (filter != NULL)
            with++, first = first > 0 ? first : line;
        else
            lacking++;
    }
    if (with > 0 && lacking > 0)
        ireko_lint_say(lint, rule, first, "%u of %u cards have the filter", with, with + lacking)
            ->fix = g_strdup("give every card filter4.name and filter4.onFailure");
    else if (with > 0 && lint->hardware >= HARDWARE_67)
        ireko_lint_say(lint, rule, first, "virtualHW.version %u", lint->hardware)->fix =
            g_strdup("use the switch's own MAC learning, and remove the filter");
}

static void
check_vmnet(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < lint->nics->len && lint->has_vhv; i++) {
        unsigned line = 0;
        g_autofree char *net = nic_value(lint, i, "vnet", &line);
        if (net != NULL && g_str_has_prefix(net, "/dev/vmnet"))
            ireko_lint_say(lint, rule, line, "'%s'", net)->fix =
                g_strdup_printf("chmod a+rw %s on the host, if you trust who uses it", net);
    }
}

static void
check_evc(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    if (lint->is_esxi && ireko_lint_on(lint, "evcCompatibilityMode", false, &line))
        ireko_lint_say(lint, rule, line, "evcCompatibilityMode is TRUE")->fix =
            g_strdup("take the virtual host out of the EVC cluster");
}

/* A path of Windows: the product that wrote the file ran there. */
static void
check_windows(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < lint->disks->len && lint->has_vhv; i++) {
        unsigned line = 0;
        const LintDevice *disk = &g_array_index(lint->disks, LintDevice, i);
        g_autofree char *path = ireko_lint_device_value(lint, disk, "fileName", &line);
        if (path != NULL && g_ascii_isalpha(path[0]) && path[1] == ':' && path[2] == '\\') {
            ireko_lint_say(lint, rule, line, "'%s'", path)->fix =
                g_strdup("where Workstation says so: bcdedit /set hypervisorlaunchtype off, memory "
                         "integrity off, and restart Windows");
            return;
        }
    }
}

static void
check_support(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < lint->nics->len && lint->is_esxi && lint->has_vhv; i++) {
        unsigned line = 0;
        g_autofree char *id = nic_value(lint, i, "dvs.switchId", &line);
        if (id != NULL) {
            (void)ireko_lint_say(lint, rule, line, "a virtual ESXi on a distributed switch");
            return;
        }
    }
}

static char *
salt(const Lint *lint, unsigned *ret_line)
{
    return ireko_lint_value(lint, "sched.mem.pshare.salt", ret_line);
}

static void
check_sharing(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    g_autofree char *value = salt(lint, NULL);
    if (value == NULL && ireko_lint_on(lint, "sched.mem.pshare.enable", false, &line))
        ireko_lint_say(lint, rule, line, "sharing is on, and there is no sched.mem.pshare.salt")
            ->fix = g_strdup("give the machines that may share the same sched.mem.pshare.salt, or "
                             "set Mem.ShareForceSalting to 0 on a lab host");
}

static void
check_large_pages(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    g_autofree char *value = salt(lint, &line);
    if (value != NULL)
        ireko_lint_say(lint, rule, line, "a salt is set")->fix =
            g_strdup("set Mem.AllocGuestLargePage to 0 on a lab host");
}

static void
check_pinned(Lint *lint, const Rule *rule)
{
    static const char *const keys[] = {"sched.mem.min", "sched.mem.minSize"};
    unsigned line = 0;
    g_autofree char *value = salt(lint, NULL);
    if (value == NULL)
        return;
    if (!ireko_lint_on(lint, "sched.mem.pshare.enable", true, &line))
        ireko_lint_say(lint, rule, line, "a salt is set, and sched.mem.pshare.enable is FALSE")
            ->fix = g_strdup("remove the one or the other");
    g_autofree char *memory = ireko_lint_value(lint, "memsize", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *pinned = ireko_lint_value(lint, keys[i], &line);
        if (pinned != NULL && g_strcmp0(pinned, memory) == 0)
            ireko_lint_say(lint, rule, line, "%s is all of memsize", keys[i])->fix =
                g_strdup("reserve less, or remove the salt");
    }
}

/* Whether a word in TEXT, without case, begins with BEGIN; "Maxence" is no Xen. */
static bool
has_word(const char *text, const char *begin)
{
    for (const char *at = text; *at != '\0'; at++) {
        bool first = at == text || !g_ascii_isalpha(at[-1]);
        if (first && g_ascii_strncasecmp(at, begin, strlen(begin)) == 0)
            return true;
    }
    return false;
}

static void
check_xen(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    g_autofree char *name = ireko_lint_value(lint, "displayName", &line);
    if (lint->has_vhv && name != NULL && (has_word(name, "xen") || has_word(name, "xcp")))
        (void)ireko_lint_say(lint, rule, line, "the machine is called '%s'", name);
}

static void
check_virtualbox(Lint *lint, const Rule *rule)
{
    for (unsigned i = 0; i < lint->disks->len && lint->is_esxi; i++) {
        unsigned line = 0;
        const LintDevice *disk = &g_array_index(lint->disks, LintDevice, i);
        g_autofree char *path = ireko_lint_device_value(lint, disk, "fileName", &line);
        g_autofree char *low = g_ascii_strdown(path != NULL ? path : "", -1);
        if (g_str_has_suffix(low, ".vdi"))
            ireko_lint_say(lint, rule, line, "'%s' is a disk of VirtualBox", path)->fix =
                g_strdup("run it on ESXi, Workstation, or KVM");
    }
}

const Rule ireko_rules_host[] = {
    {"port-group-for-nested", IREKO_SEVERITY_INFO,
     "a virtual switch learns no MAC addresses: the guests of a virtual ESXi have no network "
     "unless "
     "its port group accepts promiscuous mode and forged transmits, or MAC learning",
     "an ESXi with vhv.enable and ethernetN.networkName",
     "https://williamlam.com/tag/virtual-switch; vSphere 6.0 Security, page 113", check_port_group},
    {"card-forbids-nested", IREKO_SEVERITY_WARNING,
     "the card may not listen to addresses of others, or send with them: the guests of a virtual "
     "host have no network through it",
     "vhv.enable and ethernetN.noPromisc or noForgedSrcAddr TRUE",
     "field report; Workstation's REST interface has both by these names", check_card},
    {"mac-learning", IREKO_SEVERITY_INFO,
     "from vSphere 6.7 a distributed switch learns MAC addresses itself, which spares promiscuous "
     "mode",
     "an ESXi with vhv.enable and ethernetN.dvs.portgroupId, hardware version 14 or later",
     "https://www.virtuallyghetto.com/2018/04/native-mac-learning-in-vsphere-6-7-removes-the-need-"
     "for-promiscuous-mode-for-nested-esxi.html",
     check_distributed},
    {"maclearn-filter", IREKO_SEVERITY_WARNING,
     "the MAC-learning filter works card by card, and is superseded from vSphere 6.7 on",
     "ethernetN.filter4.name on some cards and not on others, or with hardware version 14 or later",
     "https://flings.vmware.com/esxi-mac-learning-dvfilter", check_filter},
    {"vmnet-permission", IREKO_SEVERITY_WARNING,
     "on Linux VMware needs write access to the network's device for promiscuous mode; without it "
     "the guests of a virtual host have no network",
     "vhv.enable and ethernetN.vnet = /dev/vmnetN", "VMware Server 2 User's Guide, page 248",
     check_vmnet},
    {"esxi-in-evc", IREKO_SEVERITY_ERROR, "virtual ESXi hosts are not supported in EVC clusters",
     "an ESXi with evcCompatibilityMode TRUE",
     "vSphere 6.5.1, vCenter Server and Host Management, EVC Requirements for Hosts", check_evc},
    {"windows-host-vbs", IREKO_SEVERITY_INFO,
     "on a Windows host with Hyper-V, VBS or memory integrity VMware hands no assistance on",
     "vhv.enable and a disk with a path of Windows",
     "VMware Workstation 17 docs, Host VBS Mode (GUID-778DD0ED)", check_windows},
    {"nested-unsupported", IREKO_SEVERITY_INFO,
     "VMware does not support nested ESXi in production; the vSAN Witness Appliance is the one "
     "exception",
     "an ESXi with vhv.enable on a distributed switch (ethernetN.dvs.switchId)",
     "VMware KB 2009916", check_support},
    {"sharing-without-salt", IREKO_SEVERITY_INFO,
     "ESXi shares no pages between machines without a common salt, since 2014",
     "sched.mem.pshare.enable is TRUE and there is no sched.mem.pshare.salt",
     "VMware KB 2080735; http://frankdenneman.nl/2015/02/02/new-tps-management-capabilities/",
     check_sharing},
    {"sharing-large-pages", IREKO_SEVERITY_INFO,
     "ESXi backs guests with large pages, which are not shared until memory is short",
     "there is a sched.mem.pshare.salt", "field report: recipes for labs", check_large_pages},
    {"sharing-pinned", IREKO_SEVERITY_WARNING,
     "memory that is reserved, or not to be shared, contradicts the salt",
     "sched.mem.pshare.salt with sched.mem.pshare.enable FALSE, or all of memsize reserved",
     "derived: ESXi's resource management has reserved pages apart", check_pinned},
    {"xen-nested", IREKO_SEVERITY_INFO,
     "Xen calls nested HVM experimental and gives no security support for it",
     "vhv.enable and a word in displayName that begins with xen or xcp",
     "J. Beulich, xen-devel, 2021", check_xen},
    {"virtualbox-no-ept", IREKO_SEVERITY_ERROR,
     "VirtualBox hands no nested paging on, which ESXi needs",
     "an ESXi with a disk of VirtualBox (.vdi)",
     "field report: https://github.com/laravel/homestead/issues/1579", check_virtualbox},
    {"file-locked", IREKO_SEVERITY_WARNING,
     "VMware has the machine open: at its power-off it overwrites what is edited meanwhile",
     "a .lck beside the file, or a suspended machine; said by `ireko vmx lint FILE`",
     "field report: seen with Workstation", NULL},
    {NULL, IREKO_SEVERITY_INFO, NULL, NULL, NULL, NULL},
};
