/* convert/virtualbox-devices.c - network cards, serial and parallel ports as options of VBoxManage
 * modifyvm. */
#include <string.h>

#include "convert/extras.h"
#include "convert/shell.h"
#include "convert/virtualbox.h"

#define PARALLELS 2 /* of VirtualBox */

/* ---- network cards ---- */

/* VMware's E1000 is the 82545EM as well. VirtualBox has neither its successor nor VMXNET3. */
static const struct {
    const char *name;
    bool near;
} card_models[] = {
    [IREKO_NIC_VLANCE] = {"Am79C970A", false},
    [IREKO_NIC_E1000] = {"82545EM", false},
    [IREKO_NIC_E1000E] = {"82545EM", true},
    [IREKO_NIC_VMXNET3] = {"82545EM", true},
};

/* OPTION with the number of the card: "--nic-type1". */
static void
set_of_card(Box *b, const IrekoNic *nic, const char *option, const char *value)
{
    g_autofree char *numbered = g_strdup_printf("%s%u", option, nic->index + 1);
    ireko_shell_option(b->out, numbered, value, NULL);
}

typedef struct {
    const char *kind, *option, *name; /* of --nicN, and what names its network */
} Network;

static Network
network_for(const Box *b, const IrekoNic *nic, const char *device)
{
    const char *vnet = ireko_account_get(b->account, device, "vnet");
    switch (nic->connection) {
    case IREKO_CONNECT_NAT:
        return (Network){"nat", NULL, NULL};
    case IREKO_CONNECT_HOSTONLY:
        return (Network){"hostonly", "--host-only-adapter", "vboxnet0"};
    case IREKO_CONNECT_CUSTOM:
        return (Network){"intnet", "--intnet", vnet != NULL && *vnet != '\0' ? vnet : "vmnet0"};
    case IREKO_CONNECT_BRIDGED:
        return (Network){"bridged", "--bridge-adapter", "eth0"};
    }
    g_assert_not_reached();
}

static void
say_network(Box *b, const IrekoNic *nic, const char *device, const Network *network)
{
    const char *passes = b->machine->vhv ? ", open to the addresses of the guests inside" : "";
    if (network->name == NULL)
        ireko_account_say(b->account, device, "connectionType", CARRIED, "--nic%u nat",
                          nic->index + 1);
    else
        ireko_account_say(b->account, device, "connectionType", APPROXIMATED,
                          "--nic%u %s %s%u %s%s: name what the host has", nic->index + 1,
                          network->kind, network->option, nic->index + 1, network->name, passes);
    ireko_account_say(b->account, device, "networkName", DROPPED,
                      "no name for it on this host: --nic%u names one", nic->index + 1);
    if (nic->connection == IREKO_CONNECT_CUSTOM)
        ireko_account_say(b->account, device, "vnet", APPROXIMATED,
                          "an internal network of that name, which the host is not in");
}

static void
say_card(Box *b, const IrekoNic *nic, const char *device)
{
    Account *account = b->account;
    bool near = card_models[nic->model].near;
    ireko_account_say(account, device, "present", CARRIED, "--nic%u", nic->index + 1);
    ireko_account_say(account, device, "virtualDev", near ? APPROXIMATED : CARRIED,
                      near ? "--nic-type%u %s: VirtualBox has no such card" : "--nic-type%u %s",
                      nic->index + 1, card_models[nic->model].name);
    ireko_account_say(account, device, "startConnected", CARRIED, "--cable-connected%u %s",
                      nic->index + 1, nic->start_connected ? "on" : "off");
    ireko_extra_say_mac(account, device, nic->mac, "--mac-address");
}

void
ireko_box_cards(Box *b)
{
    for (unsigned i = 0; i < b->machine->nics->len; i++) {
        const IrekoNic *nic = g_ptr_array_index(b->machine->nics, i);
        g_autofree char *device = g_strdup_printf("ethernet%u", nic->index);
        Network network = network_for(b, nic, device);
        set_of_card(b, nic, "--nic", network.kind);
        if (network.name != NULL)
            set_of_card(b, nic, network.option, network.name);
        if (network.name != NULL && b->machine->vhv)
            set_of_card(b, nic, "--nic-promisc", "allow-all");
        set_of_card(b, nic, "--nic-type", card_models[nic->model].name);
        if (nic->mac != NULL) {
            g_auto(GStrv) bytes = g_strsplit(nic->mac, ":", -1);
            g_autofree char *digits = g_strjoinv("", bytes);
            set_of_card(b, nic, "--mac-address", digits);
        }
        set_of_card(b, nic, "--cable-connected", nic->start_connected ? "on" : "off");
        say_card(b, nic, device);
        say_network(b, nic, device, &network);
    }
}

/* ---- serial and parallel ports ---- */

static bool
set_network_port(Box *b, const char *mode, const IrekoSerial *serial, const char *device)
{
    Remote remote = {0};
    if (serial->file == NULL || !ireko_extra_remote(serial->file, &remote))
        return false;
    g_autofree char *host = remote.host != NULL ? remote.host : g_strdup("127.0.0.1");
    bool client = ireko_extra_is_client(b->account, device, "network.endPoint");
    g_autofree char *to = g_strdup_printf("%s:%u", host, remote.port);
    g_autofree char *port = g_strdup_printf("%u", remote.port);
    ireko_shell_option(b->out, mode, client ? "tcpclient" : "tcpserver", client ? to : port, NULL);
    ireko_account_say(b->account, device, "fileName", remote.telnet ? APPROXIMATED : CARRIED,
                      remote.telnet ? "%s %s: bytes as they are, not telnet" : "%s %s", mode,
                      client ? to : port);
    ireko_account_say(b->account, device, "network.endPoint", CARRIED, "%s",
                      client ? "tcpclient" : "tcpserver");
    return true;
}

/* Whether what is behind the port is what the .vmx asks for. */
static bool
set_backend(Box *b, const char *mode, const IrekoSerial *serial, const char *device)
{
    const char *kind = serial->kind != NULL ? serial->kind : "";
    bool named = serial->file != NULL && *serial->file != '\0';
    if (strcmp(kind, "network") == 0 && set_network_port(b, mode, serial, device))
        return true;
    g_autofree char *path = named ? ireko_account_path(b->account, serial->file) : NULL;
    bool pipe = named && strcmp(kind, "pipe") == 0, file = named && strcmp(kind, "file") == 0;
    bool host = named && strcmp(kind, "device") == 0;
    bool client = pipe && ireko_extra_is_client(b->account, device, "pipe.endPoint");
    if (pipe)
        ireko_shell_option(b->out, mode, client ? "client" : "server", path, NULL);
    else if (file)
        ireko_shell_option(b->out, mode, "file", path, NULL);
    else
        ireko_shell_option(b->out, mode, host ? path : "disconnected", NULL);
    if (pipe)
        ireko_account_say(b->account, device, "pipe.endPoint", CARRIED, "%s",
                          client ? "client" : "server");
    if (pipe || file || host)
        ireko_account_say(b->account, device, "fileName", CARRIED, "%s", mode);
    return pipe || file || host || serial->kind == NULL;
}

static void
set_serial(Box *b, const IrekoSerial *serial)
{
    /* COM1 to COM4 of every PC */
    static const struct {
        const char *base, *irq;
    } places[IREKO_MACHINE_SERIALS_MAX] = {
        {"0x3F8", "4"}, {"0x2F8", "3"}, {"0x3E8", "4"}, {"0x2E8", "3"}};
    g_autofree char *device = g_strdup_printf("serial%u", serial->index);
    g_autofree char *port = g_strdup_printf("--uart%u", serial->index + 1);
    g_autofree char *mode = g_strdup_printf("--uart-mode%u", serial->index + 1);
    ireko_shell_option(b->out, port, places[serial->index].base, places[serial->index].irq, NULL);
    bool whole = set_backend(b, mode, serial, device);
    ireko_account_say(b->account, device, "present", CARRIED, "%s", port);
    ireko_account_say(b->account, device, "startConnected", CARRIED, "%s", mode);
    ireko_account_say(b->account, device, "fileType", whole ? CARRIED : DROPPED,
                      whole ? "%s" : "%s disconnected: VirtualBox cannot have it so", mode);
}

static void
set_parallel(Box *b, unsigned number)
{
    static const struct {
        const char *base, *irq;
    } places[PARALLELS] = {{"0x378", "7"}, {"0x278", "5"}};
    g_autofree char *device = g_strdup_printf("parallel%u", number);
    const char *file = NULL;
    if (!ireko_extra_parallel(b->account, device, &file))
        return;
    g_autofree char *port = g_strdup_printf("--lpt%u", number + 1);
    g_autofree char *mode = g_strdup_printf("--lpt-mode%u", number + 1);
    bool host = file != NULL && g_str_has_prefix(file, "/dev/");
    ireko_shell_option(b->out, port, places[number].base, places[number].irq, NULL);
    if (host)
        ireko_shell_option(b->out, mode, file, NULL);
    ireko_account_say(b->account, device, "present", CARRIED, "%s", port);
    ireko_account_say_each(b->account, device, "fileType fileName startConnected",
                           host ? CARRIED : DROPPED,
                           host ? mode : "VirtualBox joins it to a device of the host alone");
}

void
ireko_box_ports(Box *b)
{
    for (unsigned i = 0; i < b->machine->serials->len; i++)
        set_serial(b, g_ptr_array_index(b->machine->serials, i));
    for (unsigned n = 0; n < PARALLELS; n++)
        set_parallel(b, n);
}
