/* convert/libvirt-devices.c - network cards, ports, displays, USB, sound and shared folders of a
 * libvirt domain. */
#include <string.h>

#include "convert/extras.h"
#include "convert/libvirt.h"
#include "engine/qemu/argv.h"

#define NETWORK    "^[^/[:cntrl:]]+\\z"       /* the name of a libvirt network */
#define BRIDGE     "^[[:alnum:]_.-]{1,15}\\z" /* of a network device (IFNAMSIZ) */
#define VNC_SECRET ((size_t)8)                /* bytes of a password that RFB takes */
#define VRAM_MAX   (1u << 30)

/* ---- network cards ---- */

/* The name of a network that the .vmx has for the card, where FITS is what such a name looks like;
 * else FALLBACK. */
static const char *
network_of(Domain *d, const char *device, const char *attr, const char *fits, const char *fallback)
{
    const char *name = ireko_account_get(d->account, device, attr);
    bool usable = name != NULL && g_regex_match_simple(fits, name, 0, 0);
    ireko_account_say(d->account, device, attr, usable ? APPROXIMATED : DROPPED,
                      usable ? "source '%s': it has to be on the host"
                             : "no name for it on this host: edit source '%s'",
                      usable ? name : fallback);
    return usable ? name : fallback;
}

typedef struct {
    const char *type, *attr, *name; /* of <interface>, and of its <source>, which may be NULL */
} Network;

static Network
network_for(Domain *d, const IrekoNic *nic, const char *device)
{
    switch (nic->connection) {
    case IREKO_CONNECT_NAT:
        return (Network){"user", NULL, NULL};
    case IREKO_CONNECT_HOSTONLY:
        return (Network){"network", "network",
                         network_of(d, device, "networkName", NETWORK, "hostonly")};
    case IREKO_CONNECT_CUSTOM:
        return (Network){"network", "network", network_of(d, device, "vnet", NETWORK, "vmnet0")};
    case IREKO_CONNECT_BRIDGED:
        return (Network){"bridge", "bridge", network_of(d, device, "networkName", BRIDGE, "br0")};
    }
    g_assert_not_reached();
}

static void
say_card(Domain *d, const IrekoNic *nic, const char *device, const Network *network)
{
    Account *account = d->account;
    ireko_account_say(account, device, "present", CARRIED, "interface");
    ireko_account_say(account, device, "virtualDev", CARRIED, "model type='%s'",
                      ireko_qemu_nic_model(nic->model));
    if (network->name == NULL)
        ireko_account_say(account, device, "connectionType", CARRIED, "interface type='user'");
    else
        ireko_account_say(account, device, "connectionType", APPROXIMATED,
                          "interface type='%s', '%s': it has to be on the host", network->type,
                          network->name);
    ireko_account_say(account, device, "startConnected", CARRIED, "link state='%s'",
                      nic->start_connected ? "up" : "down");
    ireko_extra_say_mac(account, device, nic->mac, "mac address");
}

void
ireko_libvirt_cards(Domain *d)
{
    for (unsigned i = 0; i < d->machine->nics->len; i++) {
        const IrekoNic *nic = g_ptr_array_index(d->machine->nics, i);
        const char *device = ireko_xml_format(d->xml, "ethernet%u", nic->index);
        Network network = network_for(d, nic, device);
        ireko_xml_open(d->xml, "interface", "type", network.type, NULL);
        if (nic->mac != NULL)
            ireko_xml_leaf(d->xml, "mac", "address", nic->mac, NULL);
        if (network.name != NULL)
            ireko_xml_leaf(d->xml, "source", network.attr, network.name, NULL);
        ireko_xml_leaf(d->xml, "model", "type", ireko_qemu_nic_model(nic->model), NULL);
        if (!nic->start_connected)
            ireko_xml_leaf(d->xml, "link", "state", "down", NULL);
        ireko_xml_close(d->xml);
        say_card(d, nic, device, &network);
    }
}

/* ---- serial and parallel ports ---- */

/* <serial type='tcp'>; false where the .vmx does not say a port. */
static bool
write_tcp(Domain *d, const char *device, const char *file)
{
    Remote remote = {0};
    if (file == NULL || !ireko_extra_remote(file, &remote))
        return false;
    bool client = ireko_extra_is_client(d->account, device, "network.endPoint");
    const char *fallback = client ? "127.0.0.1" : "0.0.0.0";
    const char *mode = client ? "connect" : "bind";
    g_autofree char *named = remote.host;
    g_autofree char *host = ireko_xml_sayable(named != NULL ? named : fallback, true, NULL);
    ireko_xml_open(d->xml, "serial", "type", "tcp", NULL);
    ireko_xml_leaf(d->xml, "source", "mode", mode, "host", host, "service",
                   ireko_xml_format(d->xml, "%u", remote.port), NULL);
    ireko_xml_leaf(d->xml, "protocol", "type", remote.telnet ? "telnet" : "raw", NULL);
    ireko_account_say(d->account, device, "fileName", CARRIED, "source host='%s' service='%u'",
                      host, remote.port);
    ireko_account_say(d->account, device, "network.endPoint", CARRIED, "source mode='%s'", mode);
    return true;
}

static void
write_pipe(Domain *d, const char *device, const char *file)
{
    bool client = ireko_extra_is_client(d->account, device, "pipe.endPoint");
    const char *mode = client ? "connect" : "bind";
    g_autofree char *path = ireko_libvirt_path(d, device, "fileName", file);
    ireko_xml_open(d->xml, "serial", "type", "unix", NULL);
    ireko_xml_leaf(d->xml, "source", "mode", mode, "path", path, NULL);
    ireko_account_say(d->account, device, "pipe.endPoint", CARRIED, "source mode='%s'", mode);
}

/* Opens <serial> with what is behind the port; whether it is what the .vmx asks for. */
static bool
write_backend(Domain *d, const IrekoSerial *serial, const char *device)
{
    const char *kind = serial->kind != NULL ? serial->kind : "";
    bool named = serial->file != NULL && *serial->file != '\0';
    if (strcmp(kind, "network") == 0 && write_tcp(d, device, serial->file))
        return true;
    if (strcmp(kind, "pipe") == 0 && named) {
        write_pipe(d, device, serial->file);
        return true;
    }
    bool device_named = named && *serial->file == '/' && strcmp(kind, "device") == 0;
    if ((strcmp(kind, "file") == 0 && named) || device_named) {
        g_autofree char *path = ireko_libvirt_path(d, device, "fileName", serial->file);
        ireko_xml_open(d->xml, "serial", "type", device_named ? "dev" : "file", NULL);
        ireko_xml_leaf(d->xml, "source", "path", path, "append", device_named ? NULL : "on", NULL);
        return true;
    }
    ireko_xml_open(d->xml, "serial", "type", "null", NULL);
    return serial->kind == NULL;
}

static void
write_serial(Domain *d, const IrekoSerial *serial)
{
    const char *device = ireko_xml_format(d->xml, "serial%u", serial->index);
    bool whole = write_backend(d, serial, device);
    ireko_xml_leaf(d->xml, "target", "port", ireko_xml_format(d->xml, "%u", serial->index), NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, device, "present", CARRIED, "serial, port %u", serial->index);
    ireko_account_say(d->account, device, "startConnected", CARRIED,
                      serial->kind != NULL ? "what is behind the port is connected"
                                           : "serial type='null'");
    ireko_account_say(d->account, device, "fileType", whole ? CARRIED : DROPPED,
                      whole ? "serial type" : "serial type='null': libvirt cannot have it so");
}

static void
write_parallel(Domain *d, unsigned number)
{
    const char *device = ireko_xml_format(d->xml, "parallel%u", number);
    const char *file = NULL;
    if (!ireko_extra_parallel(d->account, device, &file))
        return;
    bool host = file != NULL && g_str_has_prefix(file, "/dev/");
    ireko_xml_open(d->xml, "parallel", "type", file == NULL ? "null" : host ? "dev" : "file", NULL);
    if (file != NULL) {
        g_autofree char *path = ireko_libvirt_path(d, device, "fileName", file);
        ireko_xml_leaf(d->xml, "source", "path", path, NULL);
    }
    ireko_xml_leaf(d->xml, "target", "port", ireko_xml_format(d->xml, "%u", number), NULL);
    ireko_xml_close(d->xml);
    ireko_account_say_each(d->account, device, "present fileType startConnected", CARRIED,
                           "parallel");
}

/* ---- USB, sound ---- */

static void
write_usb(Domain *d)
{
    static const struct {
        const char *device, *model;
    } rows[] = {{"usb", "piix3-uhci"}, {"ehci", "ehci"}, {"usb_xhci", "qemu-xhci"}};
    unsigned index = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (!ireko_account_flag(d->account, rows[i].device, "present", false))
            continue;
        ireko_xml_leaf(d->xml, "controller", "type", "usb", "index",
                       ireko_xml_format(d->xml, "%u", index++), "model", rows[i].model, NULL);
        ireko_account_say(d->account, rows[i].device, "present", CARRIED,
                          "controller type='usb' model='%s'", rows[i].model);
    }
    if (index == 0) /* else libvirt puts one in */
        ireko_xml_leaf(d->xml, "controller", "type", "usb", "index", "0", "model", "none", NULL);
}

static void
write_sound(Domain *d)
{
    static const char *const models[] = {
        [SOUND_ES1371] = "es1370", [SOUND_HDA] = "ich6", [SOUND_SB16] = "sb16"};
    Sound sound = ireko_extra_sound(d->account);
    if (sound == SOUND_NONE)
        return;
    bool near = sound == SOUND_ES1371;
    ireko_xml_leaf(d->xml, "sound", "model", models[sound], NULL);
    ireko_account_say(d->account, "sound", "present", CARRIED, "sound model='%s'", models[sound]);
    ireko_account_say(d->account, "sound", "virtualDev", near ? APPROXIMATED : CARRIED,
                      near ? "sound model='%s', the ES1371's sibling" : "sound model='%s'",
                      models[sound]);
}

void
ireko_libvirt_ports(Domain *d)
{
    write_usb(d);
    for (unsigned i = 0; i < d->machine->serials->len; i++)
        write_serial(d, g_ptr_array_index(d->machine->serials, i));
    for (unsigned n = 0; n < IREKO_PARALLELS; n++)
        write_parallel(d, n);
    write_sound(d);
}

/* ---- display ---- */

static const char *
vnc_password(Domain *d)
{
    const char *password = d->machine->vnc_password;
    bool changed = false;
    if (password == NULL)
        return NULL;
    g_autofree char *sayable = ireko_xml_sayable(password, true, &changed);
    size_t whole = strlen(sayable), len = MIN(whole, VNC_SECRET);
    while (len > 0 && ((unsigned char)sayable[len] & 0xc0) == 0x80)
        len--; /* not inside a character */
    bool cut = len < whole;
    ireko_account_say(d->account, "RemoteDisplay.vnc", "password",
                      cut || changed ? APPROXIMATED : CARRIED,
                      cut       ? "graphics passwd, cut to the 8 bytes that VNC has"
                      : changed ? "graphics passwd; what XML cannot hold became U+FFFD"
                                : "graphics passwd");
    return ireko_xml_format(d->xml, "%.*s", (int)len, sayable);
}

static const char *
vnc_keymap(Domain *d)
{
    const char *map = ireko_account_get(d->account, "RemoteDisplay.vnc", "keyMap");
    if (map == NULL)
        map = ireko_account_get(d->account, "RemoteDisplay.vnc", "keymap");
    bool fits = map != NULL && g_regex_match_simple("^[a-zA-Z0-9_-]+\\z", map, 0, 0);
    ireko_account_say(d->account, "RemoteDisplay.vnc", "keyMap", fits ? CARRIED : DROPPED,
                      fits ? "graphics keymap" : "no name of a keymap");
    return fits ? map : NULL;
}

/* VMware's VNC listens everywhere unless the .vmx names an address. Here it listens on loopback:
 * who opens a screen to the network should know. */
static void
write_vnc(Domain *d)
{
    const IrekoMachine *m = d->machine;
    const char *ip = ireko_account_get(d->account, "RemoteDisplay.vnc", "ip");
    bool fits = ip != NULL && g_hostname_is_ip_address(ip);
    ireko_xml_open(d->xml, "graphics", "type", "vnc", "port",
                   m->vnc_port != 0 ? ireko_xml_format(d->xml, "%u", m->vnc_port) : NULL,
                   "autoport", m->vnc_port != 0 ? "no" : "yes", "keymap", vnc_keymap(d), "passwd",
                   vnc_password(d), NULL);
    ireko_xml_leaf(d->xml, "listen", "type", "address", "address", fits ? ip : "127.0.0.1", NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, "RemoteDisplay.vnc", "enabled", fits ? CARRIED : APPROXIMATED,
                      fits ? "graphics type='vnc'"
                           : "graphics type='vnc' on 127.0.0.1; VMware's listens on every address");
    ireko_account_say(d->account, "RemoteDisplay.vnc", "ip", fits ? CARRIED : DROPPED,
                      fits ? "listen address" : "must be an IP address");
    ireko_account_say(d->account, "RemoteDisplay.vnc", "port", CARRIED, "graphics port='%u'",
                      m->vnc_port);
}

static void
write_video(Domain *d)
{
    unsigned vram = ireko_extra_vram(d->account, VRAM_MAX);
    ireko_xml_open(d->xml, "video", NULL);
    ireko_xml_leaf(d->xml, "model", "type", "vmvga", "vram",
                   vram != 0 ? ireko_xml_format(d->xml, "%u", vram / 1024) : NULL, "heads", "1",
                   "primary", "yes", NULL);
    ireko_xml_close(d->xml);
    ireko_account_say(d->account, "svga", "present", CARRIED, "video model type='vmvga'");
    ireko_account_say(d->account, "svga", "vramSize", vram != 0 ? CARRIED : DROPPED,
                      vram != 0 ? "video model vram" : "must be bytes, from 1 MiB to 1 GiB");
}

/* The screen is always there in VMware's own window; a socket of its own is what virt-viewer finds.
 */
static void
write_screen(Domain *d)
{
    bool shown = ireko_account_flag(d->account, "svga", "present", true);
    if (!shown && !d->machine->vnc) {
        ireko_xml_open(d->xml, "video", NULL);
        ireko_xml_leaf(d->xml, "model", "type", "none", NULL);
        ireko_xml_close(d->xml);
        return;
    }
    if (d->machine->vnc) {
        write_vnc(d);
    } else {
        ireko_xml_open(d->xml, "graphics", "type", "vnc", NULL);
        ireko_xml_leaf(d->xml, "listen", "type", "socket", NULL);
        ireko_xml_close(d->xml);
    }
    write_video(d);
}

/* ---- shared folders ---- */

static void
write_folder(Domain *d, unsigned number)
{
    const char *device = ireko_xml_format(d->xml, "sharedFolder%u", number);
    Folder folder = {0};
    if (!ireko_extra_folder(d->account, device, &folder))
        return;
    g_autofree char *host = ireko_libvirt_path(d, device, "hostPath", folder.path);
    g_autofree char *tag = ireko_xml_sayable(folder.name, true, NULL);
    ireko_xml_open(d->xml, "filesystem", "type", "mount", "accessmode", "mapped", NULL);
    ireko_xml_leaf(d->xml, "source", "dir", host, NULL);
    ireko_xml_leaf(d->xml, "target", "dir", tag, NULL);
    if (!folder.writable)
        ireko_xml_leaf(d->xml, "readonly", NULL);
    ireko_xml_close(d->xml);
    ireko_extra_say_folder(d->account, device, &folder,
                           "filesystem: 9p, where the guest has VMware's hgfs");
    ireko_account_say(d->account, device, "guestName", CARRIED, "target dir='%s'", tag);
}

void
ireko_libvirt_displays(Domain *d)
{
    write_screen(d);
    for (unsigned n = 0; n < IREKO_FOLDERS; n++)
        write_folder(d, n);
}
