/* convert/virtualbox.c - a machine as the VBoxManage commands that make it, for a shell.
 *
 * The words are those of VirtualBox 7.1's manual (man_VBoxManage-createvm, -modifyvm, -storagectl,
 * -storageattach, -modifynvram). Commands name the machine by the variable vm, and stop at the
 * first that fails, so that half a machine is noticed.
 *
 * The chipset is PIIX3, VirtualBox's own choice and nearest to VMware's 440BX, but for machines
 * that it has no room for: an IOMMU, more than 8 cards, two storage controllers of a kind. Those
 * get the ICH9, and the account says so. */
#include "convert/virtualbox.h"

#include <string.h>

#include "convert/extras.h"
#include "convert/shell.h"
#include "convert/xml.h"

#define PIIX3_CARDS 8
#define MIB         (1u << 20)
#define VRAM_MAX    (256 * MIB)

void
ireko_box_begin(Box *b, const char *command)
{
    g_string_append_printf(b->out, "VBoxManage %s \"$vm\"", command);
}

void
ireko_box_end(Box *b)
{
    g_string_append_c(b->out, '\n');
}

void
ireko_box_set(Box *b, const char *device, const char *attr, const char *option, const char *value)
{
    ireko_shell_option(b->out, option, value, NULL);
    if (attr != NULL)
        ireko_account_say(b->account, device, attr, CARRIED, "%s %s", option, value);
}

/* ---- the guest's name ---- */

/* VMware's words for a guest and VirtualBox's (VBoxManage list ostypes); the first that a guestOS
 * begins with. */
static const struct {
    const char *vmware, *virtualbox;
} guests[] = {
    {"windows11", "Windows11"},
    {"windows2022", "Windows2022"},
    {"windows2019srvnext", "Windows2022"},
    {"windows2019", "Windows2019"},
    {"windows9srv", "Windows2016"},
    {"windows9", "Windows10"},
    {"windows8srv", "Windows2012"},
    {"windows8", "Windows8"},
    {"windows7srv", "Windows2008"},
    {"windows7", "Windows7"},
    {"winxp", "WindowsXP"},
    {"debian", "Debian"},
    {"ubuntu", "Ubuntu"},
    {"fedora", "Fedora"},
    {"rhel", "RedHat"},
    {"centos", "RedHat"},
    {"opensuse", "OpenSUSE"},
    {"sles", "SUSE_LE"},
    {"oraclelinux", "Oracle"},
    {"asianux", "Linux"},
    {"other3xlinux", "Linux26"},
    {"other4xlinux", "Linux26"},
    {"other5xlinux", "Linux26"},
    {"other6xlinux", "Linux26"},
    {"otherlinux", "Linux"},
    {"freebsd", "FreeBSD"},
};

static const char *
has_only_64_bits(const char *type)
{
    static const char *const types[] = {"Windows11", "Windows2022", "Windows2019", "Windows2016",
                                        "Windows2012"};
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(type, types[i]) == 0)
            return "_64";
    }
    return NULL;
}

/* ESXi is a system of 64 bits whatever its name ends in. */
static char *
guest_type(const char *guest_os)
{
    g_autofree char *lower = g_ascii_strdown(guest_os != NULL ? guest_os : "other-64", -1);
    const char *type = "Other";
    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        if (!g_str_has_prefix(lower, guests[i].vmware))
            continue;
        type = guests[i].virtualbox;
        break;
    }
    bool wide = g_str_has_suffix(lower, "-64") || g_str_has_prefix(lower, "vmkernel") ||
                has_only_64_bits(type) != NULL;
    return g_strconcat(type, wide ? "_64" : "", NULL);
}

/* ---- who it is ---- */

static void
append_name(Box *b)
{
    const char *shown = b->machine->display_name;
    bool changed = false;
    g_autofree char *name = ireko_xml_sayable(
        shown != NULL && *shown != '\0' ? shown : b->machine->name, true, &changed);
    g_autofree char *word = ireko_shell_word(name);
    g_string_append_printf(b->out, "vm=%s\n", word);
    ireko_account_say(b->account, NULL, "displayName", changed ? APPROXIMATED : CARRIED,
                      changed ? "createvm --name; control characters became U+FFFD"
                              : "createvm --name");
}

static void
append_create(Box *b)
{
    g_autofree char *type = guest_type(b->machine->guest_os);
    g_string_append(b->out, "VBoxManage createvm --name \"$vm\"");
    ireko_shell_option(b->out, "--platform-architecture", "x86", NULL);
    ireko_shell_option(b->out, "--ostype", type, NULL);
    ireko_shell_option(b->out, "--register", NULL);
    ireko_box_end(b);
    bool named = !g_str_has_prefix(type, "Other");
    ireko_account_say(b->account, NULL, "guestOS", named ? CARRIED : APPROXIMATED, "--ostype %s",
                      type);
}

static void
set_identity(Box *b)
{
    const char *annotation = ireko_account_get(b->account, NULL, "annotation");
    bool changed = false;
    if (b->machine->uuid != NULL)
        ireko_box_set(b, "uuid", "bios", "--hardware-uuid", b->machine->uuid);
    if (annotation == NULL)
        return;
    g_autofree char *text = ireko_xml_sayable(annotation, false, &changed);
    ireko_shell_option(b->out, "--description", text, NULL);
    ireko_account_say(b->account, NULL, "annotation", changed ? APPROXIMATED : CARRIED,
                      changed ? "--description; control characters became U+FFFD"
                              : "--description");
}

/* ---- processors and memory ---- */

static void
set_number(Box *b, const char *device, const char *attr, const char *option, unsigned value)
{
    g_autofree char *text = g_strdup_printf("%u", value);
    ireko_box_set(b, device, attr, option, text);
}

static void
set_memory(Box *b)
{
    set_number(b, NULL, "memsize", "--memory", b->machine->memory_mib);
    if (!ireko_account_flag(b->account, "sched.mem.pshare", "enable", true))
        ireko_box_set(b, "sched.mem.pshare", "enable", "--page-fusion", "off");
    else
        ireko_account_say(b->account, "sched.mem.pshare", "enable", DROPPED,
                          "VirtualBox's page fusion needs its additions in the guest");
}

static void
set_cpus(Box *b)
{
    const IrekoMachine *m = b->machine;
    set_number(b, NULL, "numvcpus", "--cpus", m->vcpus);
    ireko_account_say(b->account, "cpuid", "coresPerSocket", DROPPED,
                      "VirtualBox has no word for sockets");
    ireko_box_set(b, "vhv", "enable", "--nested-hw-virt", m->vhv ? "on" : "off");
    if (m->vhv) /* github.com/laravel/homestead/issues/1579 quotes its manual */
        ireko_account_say(b->account, "vhv", "enable", APPROXIMATED,
                          "--nested-hw-virt on; the guest gets no nested paging, which ESXi wants "
                          "(field report)");
    if (m->hypervisor_hidden)
        ireko_box_set(b, "hypervisor.cpuid", "v0", "--paravirt-provider", "none");
    else
        ireko_account_say(b->account, "hypervisor.cpuid", "v0", CARRIED,
                          "the guest sees a hypervisor: VirtualBox, where it saw VMware");
}

/* ---- the board ---- */

static bool
wants_iommu(const Box *b)
{
    return ireko_account_flag(b->account, "vvtd", "enable", false);
}

static void
set_board(Box *b)
{
    const char *hpet = ireko_account_get(b->account, "hpet0", "present");
    ireko_shell_option(b->out, "--chipset", b->ich9 ? "ich9" : "piix3", NULL);
    ireko_shell_option(b->out, "--ioapic", "on", NULL);
    ireko_shell_option(b->out, "--rtc-use-utc", "on", NULL);
    ireko_box_set(b, NULL, "firmware", "--firmware", b->machine->efi ? "efi64" : "bios");
    ireko_account_say(b->account, NULL, "nvram", DROPPED,
                      b->machine->efi ? "VirtualBox makes fresh EFI variables"
                                      : "it holds VMware's BIOS settings");
    if (hpet != NULL)
        ireko_box_set(b, "hpet0", "present", "--x86-hpet",
                      ireko_account_flag(b->account, "hpet0", "present", true) ? "on" : "off");
    /* disks boot before CD-ROMs, as in VMware's BIOS */
    ireko_shell_option(b->out, "--boot1", "disk", NULL);
    ireko_shell_option(b->out, "--boot2", "dvd", NULL);
    ireko_shell_option(b->out, "--boot3", "none", NULL);
    ireko_shell_option(b->out, "--boot4", "none", NULL);
    if (!wants_iommu(b))
        return;
    ireko_box_set(b, "vvtd", "enable", "--iommu", "automatic");
    ireko_account_say(b->account, "vvtd", "enable", APPROXIMATED,
                      "--iommu automatic, on the ICH9 chipset, where VMware has the 440BX");
}

static void
append_secure_boot(Box *b)
{
    static const char *const steps[] = {"inituefivarstore", "enrollmssignatures", "enrollorclpk",
                                        "secureboot --enable"};
    if (!b->machine->efi)
        return;
    bool wanted = ireko_account_flag(b->account, "uefi", "secureBoot.enabled", false);
    for (size_t i = 0; wanted && i < G_N_ELEMENTS(steps); i++) {
        ireko_box_begin(b, "modifynvram");
        g_string_append_printf(b->out, " %s\n", steps[i]);
    }
    ireko_account_say(b->account, "uefi", "secureBoot.enabled", CARRIED,
                      wanted ? "modifynvram secureboot --enable, with Microsoft's keys"
                             : "secure boot is off");
}

/* ---- display, USB, sound ---- */

static void
set_display(Box *b)
{
    bool shown = ireko_account_flag(b->account, "svga", "present", true);
    unsigned vram = ireko_extra_vram(b->account, VRAM_MAX);
    ireko_box_set(b, "svga", "present", "--graphicscontroller", shown ? "vmsvga" : "none");
    if (vram != 0)
        set_number(b, "svga", "vramSize", "--vram", vram / MIB);
    else
        ireko_account_say(b->account, "svga", "vramSize", DROPPED,
                          "must be bytes, from 1 MiB to 256 MiB");
}

/* VirtualBox shows screens by RDP, or by VNC, with an extension pack each. */
static void
set_remote(Box *b)
{
    const IrekoMachine *m = b->machine;
    if (!m->vnc)
        return;
    ireko_shell_option(b->out, "--vrde", "on", NULL);
    ireko_shell_option(b->out, "--vrde-address", "127.0.0.1", NULL);
    if (m->vnc_port != 0)
        set_number(b, "RemoteDisplay.vnc", "port", "--vrde-port", m->vnc_port);
    ireko_account_say(b->account, "RemoteDisplay.vnc", "enabled", APPROXIMATED,
                      "--vrde on, on 127.0.0.1: VNC needs the extension pack of that name");
    if (m->vnc_password == NULL)
        return;
    g_autofree char *property = g_strconcat("VNCPassword=", m->vnc_password, NULL);
    ireko_shell_option(b->out, "--vrde-property", property, NULL);
    ireko_account_say(b->account, "RemoteDisplay.vnc", "password", CARRIED,
                      "--vrde-property VNCPassword");
}

static void
set_usb(Box *b)
{
    static const struct {
        const char *device, *option;
    } rows[] = {{"usb", "--usb-ohci"}, {"ehci", "--usb-ehci"}, {"usb_xhci", "--usb-xhci"}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (ireko_account_flag(b->account, rows[i].device, "present", false))
            ireko_box_set(b, rows[i].device, "present", rows[i].option, "on");
    }
}

static void
set_sound(Box *b)
{
    static const char *const models[] = {
        [SOUND_ES1371] = "ac97", [SOUND_HDA] = "hda", [SOUND_SB16] = "sb16"};
    Sound sound = ireko_extra_sound(b->account);
    if (sound == SOUND_NONE)
        return;
    ireko_box_set(b, "sound", "virtualDev", "--audio-controller", models[sound]);
    if (sound == SOUND_ES1371)
        ireko_account_say(b->account, "sound", "virtualDev", APPROXIMATED,
                          "--audio-controller ac97, where VMware has an ES1371");
    ireko_box_set(b, "sound", "present", "--audio-enabled", "on");
}

/* ---- shared folders ---- */

static void
append_folder(Box *b, unsigned number)
{
    g_autofree char *device = g_strdup_printf("sharedFolder%u", number);
    Folder folder = {0};
    if (!ireko_extra_folder(b->account, device, &folder))
        return;
    g_autofree char *host = ireko_account_path(b->account, folder.path);
    ireko_box_begin(b, "sharedfolder add");
    ireko_box_set(b, device, "guestName", "--name", folder.name);
    ireko_box_set(b, device, "hostPath", "--hostpath", host);
    if (!folder.writable)
        ireko_shell_option(b->out, "--readonly", NULL);
    ireko_box_end(b);
    ireko_extra_say_folder(b->account, device, &folder,
                           "sharedfolder add: the guest needs VirtualBox's additions");
}

/* ---- the whole ---- */

static bool
needs_ich9(const Box *b)
{
    bool many = false;
    for (unsigned i = 0; i < b->machine->nics->len; i++) {
        const IrekoNic *nic = g_ptr_array_index(b->machine->nics, i);
        many |= nic->index >= PIIX3_CARDS;
    }
    return many || wants_iommu(b) || ireko_box_disks_need_ich9(b->machine);
}

static void
append_settings(Box *b)
{
    ireko_box_begin(b, "modifyvm");
    set_identity(b);
    set_memory(b);
    set_cpus(b);
    set_board(b);
    set_display(b);
    set_remote(b);
    set_usb(b);
    set_sound(b);
    ireko_box_cards(b);
    ireko_box_ports(b);
    ireko_box_end(b);
}

char *
ireko_convert_to_virtualbox(Account *account)
{
    Box b = {.account = account, .machine = account->machine, .out = g_string_new(NULL)};
    b.ich9 = needs_ich9(&b);
    g_string_append(b.out, "# For VirtualBox 7.1 or newer.\nset -eu\n");
    append_name(&b);
    append_create(&b);
    append_settings(&b);
    append_secure_boot(&b);
    ireko_box_disks(&b);
    for (unsigned n = 0; n < IREKO_FOLDERS; n++)
        append_folder(&b, n);
    ireko_account_say(account, NULL, ".encoding", CARRIED, "the commands are UTF-8");
    return g_string_free(b.out, FALSE);
}
