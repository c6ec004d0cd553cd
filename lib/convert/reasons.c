/* convert/reasons.c - a word for every key that a target said nothing of.
 *
 * A target speaks of the keys that it carries. What is left has one of few reasons: the line does
 * not count (malformed, repeated, unknown), it asks for nothing (FALSE), it is VMware's own affair,
 * or nothing outside VMware has the thing. The table says which; its first row that fits counts. */
#include <string.h>

#include <ireko/book.h>

#include "base/text.h"
#include "convert/parts.h"

/* Longer keys are in no table: a pattern with two stars takes quadratic time. */
#define KEY_LONGEST 256

typedef struct {
    const char *pattern; /* of the key in lower case; * is any text */
    const char *reason;
} Reason;

#define OWN     "VMware's bookkeeping, without a meaning elsewhere"
#define TOOLS   "it speaks to VMware Tools in the guest"
#define GUEST   "the guest reads it through VMware's backdoor, which is not there"
#define MASK    "the guest gets the whole CPU of the host: masks are not carried"
#define MONITOR "it steers VMware's own monitor"
#define SHARES  "there is no counterpart to VMware's shares and reservations"
#define SLOT    "PCI slots are given anew"

static const Reason reasons[] = {
    {"virtualhw.version", "it says which of VMware's products may read the file"},
    {"vhv.allow", "it belongs in a host's /etc/vmware/config; in a .vmx it is vhv.enable"},
    {"vhv.*", "no PCI device is passed through"},
    {"vmx.allownested", "obsolete since 2010: write vhv.enable"},
    {"monitor_control.vt32", "obsolete since 2010: write vhv.enable"},
    {"monitor.*", MONITOR},
    {"monitor_control.*", MONITOR},
    {"featmask.*", MASK},
    {"featurecompat.*", MASK},
    {"guestcpuid.*", MASK},
    {"hostcpuid.*", MASK},
    {"usercpuid.*", MASK},
    {"evccompatibilitymode", MASK},
    {"cpuid.*", MASK},
    {"vbs.*", "virtualisation-based security is the guest's own setting: vhv, vvtd, EFI and secure "
              "boot are what it needs"},
    {"vpmc.enable", "there are no virtual performance counters"},
    {"vpmc.*", "how counters freeze is the host's affair"},
    {"vvtd.*", "no IOMMU is asked for"},
    {"numa.*", "the guest gets one NUMA node"},
    {"vcpu.hotadd", "CPUs are not added while the machine runs"},
    {"mem.hotadd", "memory is not added while the machine runs"},
    {"sched.cpu.affinity", "CPUs are not pinned"},
    {"sched.mem.pshare.*", "page sharing has no salt elsewhere"},
    {"sched.*", SHARES},
    {"memtrimrate", "the host manages freed memory"},
    {"mainmem.*", "the host manages where memory is kept"},
    {"prefvmx.*", "it belongs in a product's preferences, not in a .vmx"},
    {"mce.enable", "every CPU has machine checks"},
    {"ulm.*", "the host's mitigations stay as they are"},
    {"bios.*", "disks boot before CD-ROMs; VMware's boot order is not read"},
    {"efi.*", "the firmware keeps a boot order of its own"},
    {"uefi.*", "it takes firmware = \"efi\""},
    {"chipset.*", "the board is the usual one"},
    {"rtc.*", "the clock is the host's, in UTC"},
    {"vm.genid*", "there is no generation ID"},
    {"smbios.reflecthost", "the host's SMBIOS is not handed to guests"},
    {"smbios.*", "SMBIOS texts are not carried"},
    {"disk.enableuuid", "VMware's serial numbers are in its disks' descriptors, not in the .vmx"},

    {"*.pcislotnumber", SLOT},
    {"pcibridge*", "PCI bridges are put in where they are needed"},
    {"scsi*.saswwid", "world wide names are made anew"},
    {"*:*.digestenabled", "VMware's disk digests have no counterpart"},
    {"*:*.ctkenabled", "changed blocks are not tracked"},
    {"*.sharedbus", "a SCSI bus belongs to one machine"},
    {"*.allowguestconnectioncontrol", TOOLS},
    {"nvme*.subnqnuuid", "NVMe names are made anew"},

    {"ethernet*.checkmacaddress", "no address is refused"},
    {"ethernet*.linkstatepropagation.*", "a card's link is the machine's own"},
    {"ethernet*.wakeonpcktrcv", "cards do not wake a machine"},
    {"ethernet*.nopromisc", "promiscuous mode is the network's affair"},
    {"ethernet*.promiscuousmode",
     "no VMware product reads it: promiscuous mode is a setting of the port group"},
    {"ethernet*.vnet", "another key names the card's network"},
    {"ethernet*.networkname", "another key names the card's network"},
    {"ethernet*.dvs.*", "there is no distributed switch"},
    {"ethernet*.filter*", "network filters live in ESXi"},
    {"ethernet*.features", "the card has the features of its model"},

    {"serial*.vspc", "there is no virtual serial port concentrator"},
    {"serial*.*endpoint", "there is nothing of that kind behind the port"},
    {"serial*.trynorxloss", "a port is as reliable as what is behind it"},
    {"svga.*", "the display has one screen and no 3D"},
    {"mks.*", "the display has one screen and no 3D"},
    {"remotedisplay.vnc.*", "VNC has no such setting here"},
    {"pcipassthru*", "which device of the host that is, the .vmx says in VMware's words alone"},
    {"guestinfo.*", GUEST},
    {"tools.synctime", TOOLS},
    {"tools.*", TOOLS},
    {"toolscripts.*", TOOLS},
    {"isolation.*", TOOLS},
    {"hgfs.*", TOOLS},
    {"unity.*", TOOLS},
    {"powertype.*", TOOLS},
    {"time.*", "the guest keeps its own time"},
    {"ireko.image", "a built-in image is ireko's own: the machine boots from its disks"},
    {"ireko.*", "only ireko reads it"},
};

/* What is left over of a device that is not there. */
static bool
says_absent(const Account *account, const char *key)
{
    const char *dot = strrchr(key, '.');
    if (dot == NULL)
        return false;
    g_autofree char *device = g_strndup(key, (size_t)(dot - key));
    return !ireko_account_flag(account, device, "present", true);
}

static const char *
reason_for(const char *lower)
{
    for (size_t i = 0; strlen(lower) <= KEY_LONGEST && i < G_N_ELEMENTS(reasons); i++) {
        if (g_pattern_match_simple(reasons[i].pattern, lower))
            return reasons[i].reason;
    }
    return NULL;
}

static bool
asks_for_nothing(const char *value)
{
    bool on = true;
    return *value == '\0' || (ireko_text_parse_bool(value, &on) && !on);
}

static void
settle_row(const Account *account, IrekoConverted *row, const IrekoKeyNote *note)
{
    row->outcome = "dropped";
    if (note->status == IREKO_KEY_MALFORMED || note->status == IREKO_KEY_DUPLICATE ||
        note->status == IREKO_KEY_UNKNOWN) {
        row->how = g_strdup(note->reason);
        return;
    }
    g_autofree char *lower = g_ascii_strdown(row->key, -1);
    const char *reason = reason_for(lower);
    const IrekoKey *known = ireko_book_find(row->key);
    bool own = reason == NULL && known != NULL && known->carry == IREKO_BOOKKEEPING;
    if (says_absent(account, row->key)) {
        row->outcome = "carried";
        row->how = g_strdup("the device is not there");
    } else if (!own && asks_for_nothing(row->value)) {
        row->outcome = "carried";
        row->how = g_strdup("it is off, and nothing is asked for");
    } else {
        row->how = g_strdup(reason != NULL ? reason : own ? OWN : "there is no counterpart");
    }
}

void
ireko_account_settle(Account *account)
{
    for (size_t i = 0; i < account->rows->len; i++) {
        IrekoConverted *row = g_ptr_array_index(account->rows, i);
        if (row->outcome == NULL)
            settle_row(account, row, g_ptr_array_index(account->machine->notes, i));
    }
}
