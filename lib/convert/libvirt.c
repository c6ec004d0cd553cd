/* convert/libvirt.c - a machine as a libvirt domain of type kvm.
 *
 * What libvirt's own reader of .vmx files (src/vmx/vmx.c) carries is carried here; so is what it
 * loses: nesting, virtual SSDs, EFI with secure boot, NVMe disks, USB, sound. The words are those
 * of libvirt 9.0, Debian 12's, whose schema the tests hold every domain against; what they mean:
 * libvirt.org/formatdomain.html.
 *
 * The board is "pc", the 440BX that VMware shows. Secure boot (which needs SMM) and an IOMMU exist
 * on "q35" alone; a .vmx that asks for one gets that board, and the account says so.
 *
 * Nesting is the CPU's: host-passthrough hands VT-x or AMD-V on wherever the host's KVM does, so
 * vhv.enable = "TRUE" needs no more words, and anything else takes both away, as VMware does. A
 * domain that required vmx by name would not start on an AMD host. */
#include "convert/libvirt.h"

#include <string.h>

#include "base/text.h"

#define VCPU_SHARES_NORMAL 1000 /* of a virtual CPU, VMware's; half of it is low, twice is high */

/* ---- who it is ---- */

static bool
can_be_name(const char *name)
{
    /* libvirt's QEMU driver makes files of that name, and refuses a slash */
    return name != NULL && *name != '\0' && strchr(name, '/') == NULL;
}

static void
write_name(Domain *d)
{
    const char *shown = d->machine->display_name;
    bool changed = false;
    g_autofree char *sayable = shown == NULL ? NULL : ireko_xml_sayable(shown, true, &changed);
    bool fits = can_be_name(sayable);
    ireko_xml_text(d->xml, "name", fits ? sayable : d->machine->name, NULL);
    if (!fits && sayable != NULL && *sayable != '\0')
        ireko_xml_text(d->xml, "title", sayable, NULL);
    if (changed)
        ireko_account_say(d->account, NULL, "displayName", APPROXIMATED,
                          "characters that XML cannot hold, or a name, became U+FFFD");
    else
        ireko_account_say(d->account, NULL, "displayName", CARRIED, fits ? "name" : "title");
}

/* vm.genid and vm.genidX are two signed numbers of 64 bits. What the guest reads is the first and
 * then the second; QEMU takes a GUID as text and swaps its first three fields
 * (docs/vm-generation-id-across-hypervisors.txt in virt-v2v has the experiment). */
static char *
make_genid(const char *low_text, const char *high_text)
{
    int64_t low = 0, high = 0;
    if (low_text == NULL || high_text == NULL ||
        !ireko_text_parse_signed(low_text, G_MININT64, G_MAXINT64, &low) ||
        !ireko_text_parse_signed(high_text, G_MININT64, G_MAXINT64, &high))
        return NULL;
    uint64_t a = (uint64_t)low, b = GUINT64_SWAP_LE_BE((uint64_t)high);
    return g_strdup_printf("%08x-%04x-%04x-%04x-%012" G_GINT64_MODIFIER "x", (unsigned)a,
                           (unsigned)(a >> 32) & 0xffff, (unsigned)(a >> 48), (unsigned)(b >> 48),
                           b & 0xffffffffffff);
}

static void
write_genid(Domain *d)
{
    g_autofree char *genid = make_genid(ireko_account_get(d->account, "vm", "genid"),
                                        ireko_account_get(d->account, "vm", "genidX"));
    const char *how = genid != NULL ? genid : "it takes both vm.genid and vm.genidX";
    ireko_account_say_each(d->account, "vm", "genid genidX", genid != NULL ? CARRIED : DROPPED,
                           how);
    if (genid != NULL)
        ireko_xml_text(d->xml, "genid", genid, NULL);
}

static void
write_description(Domain *d)
{
    const char *annotation = ireko_account_get(d->account, NULL, "annotation");
    bool changed = false;
    if (annotation == NULL)
        return;
    g_autofree char *sayable = ireko_xml_sayable(annotation, false, &changed);
    ireko_xml_text(d->xml, "description", sayable, NULL);
    ireko_account_say(d->account, NULL, "annotation", changed ? APPROXIMATED : CARRIED,
                      changed ? "description; characters that XML cannot hold became U+FFFD"
                              : "description");
}

static void
write_identity(Domain *d)
{
    write_name(d);
    if (d->machine->uuid != NULL)
        ireko_xml_text(d->xml, "uuid", d->machine->uuid, NULL);
    ireko_account_say(d->account, "uuid", "bios", CARRIED, "uuid");
    write_genid(d);
    write_description(d);
    ireko_account_say(d->account, NULL, ".encoding", CARRIED, "the domain is UTF-8");
}

/* ---- memory ---- */

/* The number of MB that KEY of sched.mem says; NONE where it says "unlimited" or -1 or is absent.
 */
static unsigned
read_mib(const Domain *d, const char *attr, unsigned none)
{
    uint64_t value = 0;
    const char *text = ireko_account_get(d->account, "sched.mem", attr);
    if (text == NULL || !ireko_text_parse_unsigned(text, 10, 0, UINT_MAX, &value))
        return none;
    return (unsigned)value;
}

/* VMware's reservation (sched.mem.min; ESXi writes minsize). QEMU can lock all of its memory or
 * none. */
static bool
wants_locked(Domain *d)
{
    static const char *const attrs[] = {"min", "minsize"};
    bool locked = false;
    for (size_t i = 0; i < G_N_ELEMENTS(attrs); i++) {
        unsigned mib = read_mib(d, attrs[i], 0);
        if (mib == 0)
            ireko_account_say(d->account, "sched.mem", attrs[i], CARRIED, "nothing is reserved");
        else if (mib < d->machine->memory_mib)
            ireko_account_say(d->account, "sched.mem", attrs[i], DROPPED,
                              "QEMU locks all of its memory or none: %u of %u MB is neither", mib,
                              d->machine->memory_mib);
        else
            ireko_account_say(d->account, "sched.mem", attrs[i], APPROXIMATED,
                              "memoryBacking/locked: the memory is never swapped out");
        locked |= mib >= d->machine->memory_mib;
    }
    ireko_account_say(d->account, "sched.mem", "pin", locked ? CARRIED : DROPPED,
                      locked ? "memoryBacking/locked" : "memory is locked where all is reserved");
    return locked;
}

static void
write_backing(Domain *d)
{
    bool shared = ireko_account_flag(d->account, "sched.mem.pshare", "enable", true);
    bool locked = wants_locked(d);
    ireko_account_say(d->account, "sched.mem.pshare", "enable", CARRIED,
                      shared ? "KSM may merge pages, as it may by default"
                             : "memoryBacking/nosharepages");
    if (shared && !locked)
        return;
    ireko_xml_open(d->xml, "memoryBacking", NULL);
    if (!shared)
        ireko_xml_leaf(d->xml, "nosharepages", NULL);
    if (locked)
        ireko_xml_leaf(d->xml, "locked", NULL);
    ireko_xml_close(d->xml);
}

/* A hard limit below the guest's own memory would have the kernel kill it; VMware swaps. */
static void
write_limit(Domain *d)
{
    unsigned mib = read_mib(d, "max", d->machine->memory_mib);
    if (mib >= d->machine->memory_mib) {
        ireko_account_say(d->account, "sched.mem", "max", CARRIED, "no limit below memsize");
        return;
    }
    ireko_xml_open(d->xml, "memtune", NULL);
    ireko_xml_text(d->xml, "soft_limit", ireko_xml_format(d->xml, "%u", mib), "unit", "MiB", NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, "sched.mem", "max", APPROXIMATED,
                      "memtune/soft_limit %u MiB: enforced where the host runs short", mib);
}

static void
write_memory(Domain *d)
{
    const char *mib = ireko_xml_format(d->xml, "%u", d->machine->memory_mib);
    ireko_xml_text(d->xml, "memory", mib, "unit", "MiB", NULL);
    ireko_xml_text(d->xml, "currentMemory", mib, "unit", "MiB", NULL);
    ireko_account_say(d->account, NULL, "memsize", CARRIED, "memory %s MiB", mib);
    write_backing(d);
    write_limit(d);
}

/* ---- processors ---- */

/* "0,1,2" as cpuset has it, or NULL for "all" and for what is not a list of numbers. */
static const char *
affinity_of(Domain *d)
{
    const char *list = ireko_account_get(d->account, "sched.cpu", "affinity");
    bool any = list == NULL || g_ascii_strcasecmp(list, "all") == 0;
    bool fits = !any && g_regex_match_simple("^[0-9]{1,4}(,[0-9]{1,4})*\\z", list, 0, 0);
    if (any)
        ireko_account_say(d->account, "sched.cpu", "affinity", CARRIED, "every CPU of the host");
    else if (fits)
        ireko_account_say(d->account, "sched.cpu", "affinity", CARRIED, "vcpu cpuset='%s'", list);
    else
        ireko_account_say(d->account, "sched.cpu", "affinity", DROPPED,
                          "must be \"all\" or numbers of CPUs, as in 0,1");
    return fits ? list : NULL;
}

static unsigned
shares_of(const Domain *d)
{
    static const struct {
        const char *word;
        unsigned permille;
    } words[] = {{"low", 500}, {"normal", 1000}, {"high", 2000}};
    const char *text = ireko_account_get(d->account, "sched.cpu", "shares");
    uint64_t number = 0;
    for (size_t i = 0; text != NULL && i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(text, words[i].word) == 0)
            return d->machine->vcpus * VCPU_SHARES_NORMAL / 1000 * words[i].permille;
    }
    if (text == NULL || !ireko_text_parse_unsigned(text, 10, 1, UINT_MAX, &number))
        return 0;
    return (unsigned)number;
}

static void
write_vcpus(Domain *d)
{
    const char *count = ireko_xml_format(d->xml, "%u", d->machine->vcpus);
    ireko_xml_text(d->xml, "vcpu", count, "placement", "static", "cpuset", affinity_of(d), NULL);
    ireko_account_say(d->account, NULL, "numvcpus", CARRIED, "vcpu %s", count);

    unsigned shares = shares_of(d);
    if (shares == 0) {
        ireko_account_say(d->account, "sched.cpu", "shares", DROPPED,
                          "must be low, normal, high or a number");
        return;
    }
    ireko_xml_open(d->xml, "cputune", NULL);
    ireko_xml_text(d->xml, "shares", ireko_xml_format(d->xml, "%u", shares), NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, "sched.cpu", "shares", APPROXIMATED,
                      "cputune/shares %u: a weight among the host's domains", shares);
}

static void
say_nesting(Domain *d)
{
    ireko_account_say(d->account, "vhv", "enable", CARRIED,
                      d->machine->vhv ? "cpu host-passthrough: the guest gets the host's vmx or "
                                        "svm, where kvm_intel or kvm_amd has nested=1"
                                      : "feature policy='disable' for vmx and svm");
    ireko_account_say(d->account, "hypervisor.cpuid", "v0", CARRIED,
                      d->machine->hypervisor_hidden
                          ? "feature policy='disable' name='hypervisor', kvm/hidden"
                          : "the guest sees a hypervisor: KVM, where it saw VMware");
}

static void
write_cpu(Domain *d)
{
    const IrekoMachine *m = d->machine;
    ireko_xml_open(d->xml, "cpu", "mode", "host-passthrough", "check", "none", "migratable", "on",
                   NULL);
    ireko_xml_leaf(d->xml, "topology", "sockets",
                   ireko_xml_format(d->xml, "%u", m->vcpus / m->cores_per_socket), "dies", "1",
                   "cores", ireko_xml_format(d->xml, "%u", m->cores_per_socket), "threads", "1",
                   NULL);
    ireko_account_say(d->account, "cpuid", "coresPerSocket", CARRIED, "topology cores='%u'",
                      m->cores_per_socket);
    if (!m->vhv) {
        ireko_xml_leaf(d->xml, "feature", "policy", "disable", "name", "vmx", NULL);
        ireko_xml_leaf(d->xml, "feature", "policy", "disable", "name", "svm", NULL);
    }
    if (m->hypervisor_hidden)
        ireko_xml_leaf(d->xml, "feature", "policy", "disable", "name", "hypervisor", NULL);
    ireko_xml_close(d->xml);
    say_nesting(d);
}

/* ---- the board ---- */

static bool
wants_secure_boot(const Domain *d)
{
    return d->machine->efi && ireko_account_flag(d->account, "uefi", "secureBoot.enabled", false);
}

static bool
wants_iommu(const Domain *d)
{
    return ireko_account_flag(d->account, "vvtd", "enable", false);
}

static void
say_board(Domain *d, bool secure_boot)
{
    static const char instead[] = " on a q35 board, where VMware has the 440BX";
    ireko_account_say(d->account, NULL, "firmware", CARRIED, "os firmware='%s'",
                      d->machine->efi ? "efi" : "bios");
    if (d->machine->efi)
        ireko_account_say(d->account, "uefi", "secureBoot.enabled", CARRIED, "%s%s",
                          secure_boot ? "os/firmware secure-boot with enrolled keys, SMM,"
                                      : "os/firmware secure-boot enabled='no'",
                          secure_boot ? instead : "");
    ireko_account_say(d->account, "vvtd", "enable", wants_iommu(d) ? APPROXIMATED : CARRIED, "%s%s",
                      wants_iommu(d) ? "iommu model='intel'" : "no IOMMU",
                      wants_iommu(d) ? instead : "");
    ireko_account_say(d->account, NULL, "nvram", d->machine->efi ? APPROXIMATED : DROPPED,
                      d->machine->efi ? "libvirt makes fresh EFI variables; VMware's cannot be read"
                                      : "it holds VMware's BIOS settings");
    ireko_account_say(d->account, NULL, "guestOS", APPROXIMATED,
                      "os arch='x86_64', which runs 32-bit guests too; a domain does not name its "
                      "guest");
    ireko_account_say(d->account, "SMBIOS", "reflectHost", CARRIED, "os/smbios mode='%s'",
                      ireko_account_flag(d->account, "SMBIOS", "reflectHost", false) ? "host"
                                                                                     : "emulate");
}

static void
write_os(Domain *d)
{
    bool secure_boot = wants_secure_boot(d);
    ireko_xml_open(d->xml, "os", "firmware", d->machine->efi ? "efi" : NULL, NULL);
    ireko_xml_text(d->xml, "type", "hvm", "arch", "x86_64", "machine", d->q35 ? "q35" : "pc", NULL);
    if (d->machine->efi) {
        const char *enabled = secure_boot ? "yes" : "no";
        ireko_xml_open(d->xml, "firmware", NULL);
        ireko_xml_leaf(d->xml, "feature", "enabled", enabled, "name", "secure-boot", NULL);
        if (secure_boot)
            ireko_xml_leaf(d->xml, "feature", "enabled", enabled, "name", "enrolled-keys", NULL);
        ireko_xml_close(d->xml);
    }
    if (ireko_account_flag(d->account, "SMBIOS", "reflectHost", false))
        ireko_xml_leaf(d->xml, "smbios", "mode", "host", NULL);
    ireko_xml_close(d->xml);
    say_board(d, secure_boot);
}

static void
write_features(Domain *d)
{
    ireko_xml_open(d->xml, "features", NULL);
    ireko_xml_leaf(d->xml, "acpi", NULL);
    ireko_xml_leaf(d->xml, "apic", NULL);
    if (d->machine->hypervisor_hidden) {
        ireko_xml_open(d->xml, "kvm", NULL);
        ireko_xml_leaf(d->xml, "hidden", "state", "on", NULL);
        ireko_xml_close(d->xml);
    }
    if (ireko_account_get(d->account, "vpmc", "enable") != NULL) {
        bool on = ireko_account_flag(d->account, "vpmc", "enable", false);
        ireko_xml_leaf(d->xml, "pmu", "state", on ? "on" : "off", NULL);
        ireko_account_say(d->account, "vpmc", "enable", CARRIED, "pmu state='%s'",
                          on ? "on" : "off");
    }
    /* VMware's own tools, in a guest that was installed there, look for its backdoor port */
    ireko_xml_leaf(d->xml, "vmport", "state", "on", NULL);
    if (wants_secure_boot(d))
        ireko_xml_leaf(d->xml, "smm", "state", "on", NULL);
    if (wants_iommu(d))
        ireko_xml_leaf(d->xml, "ioapic", "driver", "qemu", NULL); /* it remaps interrupts */
    ireko_xml_close(d->xml);
}

static void
write_clock(Domain *d)
{
    if (ireko_account_get(d->account, "hpet0", "present") == NULL) {
        ireko_xml_leaf(d->xml, "clock", "offset", "utc", NULL);
        return;
    }
    const char *present = ireko_account_flag(d->account, "hpet0", "present", true) ? "yes" : "no";
    ireko_xml_open(d->xml, "clock", "offset", "utc", NULL);
    ireko_xml_leaf(d->xml, "timer", "name", "hpet", "present", present, NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, "hpet0", "present", CARRIED, "timer name='hpet' present='%s'",
                      present);
}

/* ---- the whole ---- */

static void
write_devices(Domain *d)
{
    ireko_xml_open(d->xml, "devices", NULL);
    ireko_libvirt_disks(d);
    ireko_libvirt_cards(d);
    ireko_libvirt_ports(d);
    ireko_libvirt_displays(d);
    if (wants_iommu(d)) {
        ireko_xml_open(d->xml, "iommu", "model", "intel", NULL);
        ireko_xml_leaf(d->xml, "driver", "intremap", "on", "caching_mode", "on", NULL);
        ireko_xml_close(d->xml);
    }
    /* libvirt would put in one of its own, which VMware has not */
    ireko_xml_leaf(d->xml, "memballoon", "model", "none", NULL);
    ireko_xml_close(d->xml);
}

char *
ireko_libvirt_path(Domain *d, const char *device, const char *attr, const char *value)
{
    g_autofree char *path = ireko_account_path(d->account, value);
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    bool changed = false;
    g_autofree char *sayable = ireko_xml_sayable(absolute, true, &changed);
    if (changed)
        ireko_account_say(d->account, device, attr, APPROXIMATED,
                          "XML cannot hold this name: rename the file and correct the domain");
    else
        ireko_account_say(d->account, device, attr, CARRIED, "source '%s'", sayable);
    return g_steal_pointer(&sayable);
}

char *
ireko_convert_to_libvirt(Account *account)
{
    g_autoptr(Xml) xml = ireko_xml_new();
    Domain d = {.account = account, .machine = account->machine, .xml = xml};
    d.q35 = wants_secure_boot(&d) || wants_iommu(&d);
    ireko_xml_open(xml, "domain", "type", "kvm", NULL);
    write_identity(&d);
    write_memory(&d);
    write_vcpus(&d);
    write_os(&d);
    write_features(&d);
    write_cpu(&d);
    write_clock(&d);
    ireko_xml_text(xml, "on_poweroff", "destroy", NULL);
    ireko_xml_text(xml, "on_reboot", "restart", NULL);
    ireko_xml_text(xml, "on_crash", "destroy", NULL);
    write_devices(&d);
    ireko_xml_close(xml);
    return ireko_xml_end(g_steal_pointer(&xml));
}
