/* machine/keys.c - the keys of a .vmx as a table.
 *
 * Each key has one row: whether the machine carries it, and if not, why. Rows are tried in order
 * and the first that fits counts, so a special key stands above the pattern that covers its kin.
 * What the keys mean: VMware's documentation where there is some, else what its products write. */
#include "machine/keys.h"

#include <limits.h>
#include <string.h>

#define SUGGEST_DISTANCE 2
#define SUGGEST_LEN_MAX  64 /* longer keys are no typing errors */

#define TAKE(pattern, scope, bus, attr)                                                            \
    {                                                                                              \
        pattern, RULE_TAKEN, NULL, scope, bus, attr                                                \
    }
#define MACHINE(pattern, attr) TAKE(pattern, SCOPE_MACHINE, 0, attr)
#define NIC(name, attr)        TAKE("ethernet%u." name, SCOPE_NIC, 0, attr)
#define SERIAL(name, attr)     TAKE("serial%u." name, SCOPE_SERIAL, 0, attr)
#define BOOKKEEPING(pattern)                                                                       \
    {                                                                                              \
        pattern, RULE_BOOKKEEPING, NULL, 0, 0, 0                                                   \
    }
#define UNSUPPORTED(pattern, reason)                                                               \
    {                                                                                              \
        pattern, RULE_UNSUPPORTED, reason, 0, 0, 0                                                 \
    }
#define UNLESS_OFF(pattern, reason)                                                                \
    {                                                                                              \
        pattern, RULE_UNLESS_OFF, reason, 0, 0, 0                                                  \
    }

#define BUS(name, bus)                                                                             \
    TAKE(name "%u.present", SCOPE_CONTROLLER, bus, CONTROLLER_PRESENT),                            \
        TAKE(name "%u:%u.present", SCOPE_DISK, bus, DISK_PRESENT),                                 \
        TAKE(name "%u:%u.fileName", SCOPE_DISK, bus, DISK_FILE),                                   \
        TAKE(name "%u:%u.deviceType", SCOPE_DISK, bus, DISK_TYPE),                                 \
        TAKE(name "%u:%u.mode", SCOPE_DISK, bus, DISK_MODE),                                       \
        TAKE(name "%u:%u.virtualSSD", SCOPE_DISK, bus, DISK_SSD),                                  \
        TAKE(name "%u:%u.startConnected", SCOPE_DISK, bus, DISK_CONNECTED),                        \
        TAKE(name "%u:%u.autodetect", SCOPE_DISK, bus, DISK_AUTODETECT),                           \
        TAKE(name "%u:%u.clientDevice", SCOPE_DISK, bus, DISK_CLIENT),                             \
        TAKE("ireko." name "%u:%u.size", SCOPE_DISK, bus, DISK_SIZE),                              \
        BOOKKEEPING(name "%u:%u.redo"), BOOKKEEPING(name "%u:%u.allowGuestConnectionControl"),     \
        BOOKKEEPING(name "%u:%u.exclusive"), BOOKKEEPING(name "%u:%u.pciSlotNumber"),              \
        BOOKKEEPING(name "%u.pciSlotNumber"), BOOKKEEPING(name "%u.sasWWID"),                      \
        UNLESS_OFF(name "%u:%u.writeThrough", "ireko chooses the caching of disks"),               \
        UNLESS_OFF(name "%u:%u.digestEnabled", "VMware's disk digests have no counterpart"),       \
        UNSUPPORTED(name "%u:%u.shared", "ireko shares no disk between machines"),                 \
        UNSUPPORTED(name "%u:%u.sharing", "ireko shares no disk between machines"),                \
        UNSUPPORTED(name "%u.sharedBus", "ireko shares no disk between machines"),                 \
        UNSUPPORTED(name "%u:%u.ctkEnabled", "changed blocks are not tracked"),                    \
        UNSUPPORTED(name "%u:%u.throughputCap", "disks have no limits of throughput")

#define NO_USB    "ireko gives no USB controller"
#define NO_SOUND  "ireko gives no sound card"
#define NO_MASK   "ireko gives the whole CPU of the layer above; CPUID masks are not carried"
#define NO_SHARES "ireko gives all of memsize and numvcpus, without shares and reservations"
#define NO_FOLDER "ireko has no shared folders"

static const KeyRule rules[] = {
    MACHINE("numvcpus", MACHINE_NUMVCPUS),
    MACHINE("cpuid.coresPerSocket", MACHINE_CORES_PER_SOCKET),
    MACHINE("memsize", MACHINE_MEMSIZE),
    MACHINE("virtualHW.version", MACHINE_HW_VERSION),
    MACHINE("displayName", MACHINE_DISPLAY_NAME),
    MACHINE("guestOS", MACHINE_GUEST_OS),
    MACHINE("uuid.bios", MACHINE_UUID),
    MACHINE("vhv.enable", MACHINE_VHV),
    MACHINE("hypervisor.cpuid.v0", MACHINE_CPUID_V0),
    MACHINE("firmware", MACHINE_FIRMWARE),
    MACHINE("svga.present", MACHINE_SVGA),
    MACHINE("RemoteDisplay.vnc.enabled", MACHINE_VNC),
    MACHINE("RemoteDisplay.vnc.port", MACHINE_VNC_PORT),
    MACHINE("RemoteDisplay.vnc.password", MACHINE_VNC_PASSWORD),
    MACHINE("ireko.image", MACHINE_IMAGE),

    TAKE("scsi%u.virtualDev", SCOPE_CONTROLLER, IREKO_BUS_SCSI, CONTROLLER_MODEL),
    BUS("scsi", IREKO_BUS_SCSI),
    BUS("sata", IREKO_BUS_SATA),
    BUS("ide", IREKO_BUS_IDE),
    BUS("nvme", IREKO_BUS_NVME),

    NIC("present", NIC_PRESENT),
    NIC("virtualDev", NIC_MODEL),
    NIC("connectionType", NIC_CONNECTION),
    NIC("startConnected", NIC_CONNECTED),
    NIC("addressType", NIC_ADDRESS_TYPE),
    NIC("address", NIC_ADDRESS),
    NIC("generatedAddress", NIC_GENERATED),
    BOOKKEEPING("ethernet%u.generatedAddressOffset"),
    BOOKKEEPING("ethernet%u.pciSlotNumber"),
    BOOKKEEPING("ethernet%u.checkMACAddress"),
    BOOKKEEPING("ethernet%u.displayName"),
    BOOKKEEPING("ethernet%u.uptCompatibility"),
    BOOKKEEPING("ethernet%u.allowGuestConnectionControl"),
    UNLESS_OFF("ethernet%u.linkStatePropagation.enable", "a card's link is always up"),
    UNLESS_OFF("ethernet%u.wakeOnPcktRcv", "cards do not wake a machine"),
    UNSUPPORTED("ethernet%u.noPromisc", "there is no lab network yet: cards that are not NAT lead nowhere"),
    UNSUPPORTED("ethernet%u.vnet", "there is no lab network yet: cards that are not NAT lead nowhere"),
    UNSUPPORTED("ethernet%u.networkName", "there is no lab network yet: cards that are not NAT lead nowhere"),
    UNSUPPORTED("ethernet%u.dvs.*", "ireko has no distributed switch"),
    UNSUPPORTED("ethernet%u.filter%u.*", "network filters live in ESXi"),
    UNSUPPORTED("ethernet%u.features", "ireko chooses the features of a card"),
    UNSUPPORTED("ethernet%u.promiscuousMode",
                "no VMware product reads it: promiscuous mode is a setting of the port group"),

    SERIAL("present", SERIAL_PRESENT),
    SERIAL("fileType", SERIAL_TYPE),
    SERIAL("fileName", SERIAL_FILE),
    SERIAL("startConnected", SERIAL_CONNECTED),
    BOOKKEEPING("serial%u.yieldOnMsrRead"),
    BOOKKEEPING("serial%u.autodetect"),
    UNSUPPORTED("serial%u.pipe.endPoint", "ireko is always the server of a pipe"),
    UNSUPPORTED("serial%u.network.endPoint", "ireko is always the server of a port"),
    UNSUPPORTED("serial%u.vspc", "ireko knows no virtual serial port concentrator"),
    UNLESS_OFF("serial%u.tryNoRxLoss", "a serial port is as reliable as its file"),

    UNSUPPORTED("vhv.allow",
                "it belongs in a host's /etc/vmware/config; in a .vmx it is vhv.enable"),
    UNLESS_OFF("vhv.allowPassthru", "ireko passes no PCI device through"),
    UNLESS_OFF("vvtd.enable", "ireko gives no virtual IOMMU"),
    UNLESS_OFF("vpmc.enable", "ireko gives no virtual performance counters"),
    UNSUPPORTED("vpmc.freezeMode", "ireko gives no virtual performance counters"),
    UNLESS_OFF("vbs.enable", "virtualisation-based security needs vvtd.enable"),
    UNSUPPORTED("vmx.allowNested", "obsolete since 2010: write vhv.enable"),
    UNSUPPORTED("monitor_control.vt32", "obsolete since 2010: write vhv.enable"),
    UNSUPPORTED("monitor.virtual_mmu", "ireko uses nested paging wherever there is any"),
    UNSUPPORTED("monitor.virtual_exec", "ireko's --accel chooses"),
    UNSUPPORTED("monitor.*", "it steers VMware's own monitor"),
    UNSUPPORTED("monitor_control.*", "it steers VMware's own monitor"),
    UNSUPPORTED("featMask.*", NO_MASK),
    UNSUPPORTED("featureCompat.*", NO_MASK),
    UNSUPPORTED("guestCPUID.*", NO_MASK),
    UNSUPPORTED("hostCPUID.*", NO_MASK),
    UNSUPPORTED("userCPUID.*", NO_MASK),
    UNSUPPORTED("evcCompatibilityMode", NO_MASK),
    UNSUPPORTED("cpuid.brandstring", NO_MASK),
    UNSUPPORTED("cpuid.numSMT", "a core has one thread"),
    UNSUPPORTED("cpuid.%u.*", NO_MASK),
    UNSUPPORTED("numa.*", "ireko gives one NUMA node"),
    UNLESS_OFF("vcpu.hotadd", "CPUs are not added while a machine runs"),
    UNLESS_OFF("mem.hotadd", "memory is not added while a machine runs"),
    BOOKKEEPING("sched.cpu.units"),
    BOOKKEEPING("sched.swap.derivedName"),
    UNSUPPORTED("sched.*", NO_SHARES),
    UNSUPPORTED("MemTrimRate", "memory is left as the host manages it"),
    UNSUPPORTED("mainMem.*", "ireko chooses where memory is kept"),
    UNSUPPORTED("prefvmx.*", "it belongs in a product's preferences, not in a .vmx"),
    UNLESS_OFF("uefi.secureBoot.enabled", "ireko's firmware does not check signatures"),
    UNSUPPORTED("bios.*", "ireko's firmware has its own boot order"),
    UNSUPPORTED("efi.*", "ireko's firmware has its own boot order"),
    UNSUPPORTED("chipset.*", "the chipset is VMware's usual one, an Intel 440BX"),
    UNSUPPORTED("rtc.*", "the clock is the host's"),
    UNLESS_OFF("SMBIOS.reflectHost", "the host's SMBIOS is not handed to guests"),
    UNSUPPORTED("smbios.*", "SMBIOS texts are not carried"),
    UNLESS_OFF("disk.EnableUUID", "disks carry no VMware serial number"),
    UNLESS_OFF("mce.enable", "machine checks are not handed to guests"),
    UNLESS_OFF("ulm.disableMitigations", "ireko leaves the host's mitigations alone"),

    BOOKKEEPING("svga.guestBackedPrimaryAware"),
    UNSUPPORTED("svga.*", "ireko's display has its own memory size"),
    UNLESS_OFF("mks.enable3d", "ireko's display is 2D"),
    UNSUPPORTED("RemoteDisplay.vnc.*", "only enabled, port and password are known"),
    BOOKKEEPING("RemoteDisplay.maxConnections"),
    UNLESS_OFF("floppy%u.present", "ireko gives no floppy drive"),
    BOOKKEEPING("floppy%u.*"),
    UNLESS_OFF("parallel%u.present", "ireko gives no parallel port"),
    BOOKKEEPING("parallel%u.*"),
    UNLESS_OFF("usb.present", NO_USB),
    UNLESS_OFF("ehci.present", NO_USB),
    UNLESS_OFF("usb_xhci.present", NO_USB),
    BOOKKEEPING("usb.*"),
    BOOKKEEPING("usb:%u.*"),
    BOOKKEEPING("ehci.*"),
    BOOKKEEPING("ehci:%u.*"),
    BOOKKEEPING("usb_xhci.*"),
    BOOKKEEPING("usb_xhci:%u.*"),
    UNLESS_OFF("sound.present", NO_SOUND),
    BOOKKEEPING("sound.*"),
    UNLESS_OFF("sharedFolder%u.present", NO_FOLDER),
    BOOKKEEPING("sharedFolder%u.*"),
    BOOKKEEPING("sharedFolder.*"),
    UNLESS_OFF("pciPassthru%u.present", "ireko passes no PCI device through"),
    BOOKKEEPING("pciPassthru%u.*"),
    UNSUPPORTED("guestinfo.*", "ireko does not hand it to the guest"),
    UNLESS_OFF("tools.syncTime", "the guest keeps its own time"),
    BOOKKEEPING("time.*"),

    BOOKKEEPING(".encoding"),
    BOOKKEEPING("config.version"),
    BOOKKEEPING("virtualHW.productCompatibility"),
    BOOKKEEPING("pciBridge%u.*"),
    BOOKKEEPING("vmci%u.*"),
    BOOKKEEPING("hpet%u.present"),
    BOOKKEEPING("tools.*"),
    BOOKKEEPING("toolScripts.*"),
    BOOKKEEPING("powerType.*"),
    BOOKKEEPING("extendedConfigFile"),
    BOOKKEEPING("nvram"),
    BOOKKEEPING("uuid.location"),
    BOOKKEEPING("uuid.action"),
    BOOKKEEPING("vc.uuid"),
    BOOKKEEPING("vm.genid"),
    BOOKKEEPING("vm.genidX"),
    BOOKKEEPING("vm.createDate"),
    BOOKKEEPING("annotation"),
    BOOKKEEPING("monitor.phys_bits_used"),
    BOOKKEEPING("cleanShutdown"),
    BOOKKEEPING("softPowerOff"),
    BOOKKEEPING("replay.*"),
    BOOKKEEPING("migrate.*"),
    BOOKKEEPING("migration.*"),
    BOOKKEEPING("checkpoint.*"),
    BOOKKEEPING("vmotion.*"),
    BOOKKEEPING("snapshot.*"),
    BOOKKEEPING("isolation.*"),
    BOOKKEEPING("msg.autoAnswer"),
    BOOKKEEPING("gui.*"),
    BOOKKEEPING("unity.*"),
    BOOKKEEPING("workingDir"),
    BOOKKEEPING("log.*"),
    BOOKKEEPING("logging"),
    BOOKKEEPING("debugStub.*"),
    BOOKKEEPING("guestOS.*"),
    BOOKKEEPING("policy.*"),
    BOOKKEEPING("proxyApps.*"),
    BOOKKEEPING("viv.*"),
    BOOKKEEPING("vmxstats.*"),
    BOOKKEEPING("vmx.*"),
    BOOKKEEPING("cryptoState"),
    BOOKKEEPING("ide%u.*"),
    BOOKKEEPING("nvme%u.subnqnUUID"),
    BOOKKEEPING("virtualHW.*"),
    BOOKKEEPING("priority.*"),
    BOOKKEEPING("answer.*"),
    BOOKKEEPING("hgfs.*"),
    BOOKKEEPING("ftcpt.*"),
    BOOKKEEPING("ftEncryptionMode"),
    BOOKKEEPING("migrateEncryptionMode"),
    BOOKKEEPING("sensor.location"),
};

/* The number at *AT, which is moved behind it; UINT_MAX where it does not fit. */
static unsigned
read_number(const char **at)
{
    guint64 value = 0;
    for (; g_ascii_isdigit(**at); (*at)++)
        value = MIN(value * 10 + (guint64)(**at - '0'), UINT_MAX);
    return (unsigned)value;
}

static bool
fits(const char *pattern, const char *key, unsigned numbers[KEY_NUMBERS_MAX])
{
    for (size_t n = 0; *pattern != '\0'; pattern++) {
        if (*pattern == '*')
            return *key != '\0';
        if (*pattern != '%') {
            if (g_ascii_tolower(*pattern) != g_ascii_tolower(*key))
                return false;
            key++;
            continue;
        }
        if (!g_ascii_isdigit(*key) || n == KEY_NUMBERS_MAX)
            return false;
        numbers[n++] = read_number(&key);
        pattern++; /* the u of %u */
    }
    return *key == '\0';
}

const KeyRule *
ireko_key_rule(const char *key, unsigned numbers[KEY_NUMBERS_MAX])
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (fits(rules[i].pattern, key, numbers))
            return &rules[i];
    }
    return NULL;
}

/* PATTERN with the numbers that stand in KEY, or NULL where it cannot be what KEY meant. */
static char *
fill_in(const char *pattern, const char *key)
{
    GString *out = g_string_new(NULL);
    for (; *pattern != '\0' && *pattern != '*'; pattern++) {
        if (*pattern != '%') {
            g_string_append_c(out, *pattern);
            continue;
        }
        key += strcspn(key, "0123456789");
        size_t digits = strspn(key, "0123456789");
        g_string_append_len(out, key, (gssize)digits);
        if (digits == 0)
            break;
        key += digits;
        pattern++;
    }
    return g_string_free(out, *pattern != '\0');
}

/* The edit distance of A and B without regard to case, each of at most SUGGEST_LEN_MAX bytes;
 * where neighbours have changed places that counts once. */
static unsigned
distance(const char *a, const char *b)
{
    unsigned rows[3][SUGGEST_LEN_MAX + 1] = {0};
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_len = strlen(a), b_len = strlen(b);
    for (unsigned k = 0; k <= b_len; k++)
        last[k] = k;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_len; k++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[k - 1]);
            row[k] = MIN(MIN(last[k], row[k - 1]) + 1, last[k - 1] + (x != y));
            if (i > 1 && k > 1 && x == g_ascii_tolower(b[k - 2]) && y == g_ascii_tolower(a[i - 2]))
                row[k] = MIN(row[k], before[k - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_len];
}

char *
ireko_key_suggest(const char *key)
{
    size_t len = strlen(key);
    if (len > SUGGEST_LEN_MAX)
        return NULL;

    unsigned nearest = MIN(SUGGEST_DISTANCE, (unsigned)len / 4) + 1;
    g_autofree char *best = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        g_autofree char *name = fill_in(rules[i].pattern, key);
        if (name == NULL || strlen(name) > MIN(len + SUGGEST_DISTANCE, SUGGEST_LEN_MAX) ||
            strlen(name) + SUGGEST_DISTANCE < len)
            continue;
        unsigned d = distance(key, name);
        if (d < nearest) {
            nearest = d;
            g_free(best);
            best = g_steal_pointer(&name);
        }
    }
    return g_steal_pointer(&best);
}
