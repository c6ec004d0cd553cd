/* machine/ports.c - network cards and serial ports. */
#include <string.h>

#include "machine/builder.h"

#define MAC_TEXT_LEN     17 /* 00:0c:29:00:00:01 */
#define NETWORK_NAME_MAX 64 /* bytes: of a network's name; ESXi's port groups have fewer */

static void
nic_free(void *data)
{
    IrekoNic *nic = data;
    g_free(nic->mac);
    g_free(nic->vnet);
    g_free(nic->network);
    g_free(nic);
}

static void
serial_free(void *data)
{
    IrekoSerial *serial = data;
    g_free(serial->kind);
    g_free(serial->file);
    g_free(serial);
}

/* TEXT in lower case with colons, or NULL where it is not the address of one card. */
static char *
parse_mac(const char *text)
{
    if (strlen(text) != MAC_TEXT_LEN)
        return NULL;
    for (size_t i = 0; i < MAC_TEXT_LEN; i++) {
        bool separator = i % 3 == 2;
        if (separator ? strchr(":-", text[i]) == NULL : !g_ascii_isxdigit(text[i]))
            return NULL;
    }
    if ((g_ascii_xdigit_value(text[1]) & 1) != 0)
        return NULL; /* a group address */
    return g_strdelimit(g_ascii_strdown(text, -1), "-", ':');
}

/* "generated" and "vpx" addresses stand in generatedAddress, others in address. */
static bool
read_mac(const Builder *b, const Field *fields, char **ret_mac, GError **error)
{
    const Field *type = &fields[NIC_ADDRESS_TYPE];
    const Field *first = &fields[NIC_ADDRESS], *second = &fields[NIC_GENERATED];
    if (type->value != NULL && g_ascii_strcasecmp(type->value, "static") != 0) {
        first = &fields[NIC_GENERATED];
        second = &fields[NIC_ADDRESS];
    }
    const Field *field = first->value != NULL ? first : second;
    if (field->value == NULL)
        return true;
    *ret_mac = parse_mac(field->value);
    if (*ret_mac == NULL)
        ireko_field_fail(b, field, IREKO_ERROR_SYNTAX, error,
                         "must be the address of one card, as in 00:50:56:00:00:01");
    return *ret_mac != NULL;
}

/* The network that the card asks for by name: one word per product. */
static bool
read_network(const Builder *b, const Field *fields, IrekoNic *nic, GError **error)
{
    const Field *vnet = &fields[NIC_VNET], *group = &fields[NIC_NETWORK];
    const Field *named[] = {vnet, group};
    for (size_t i = 0; i < G_N_ELEMENTS(named); i++) {
        if (named[i]->value != NULL && strlen(named[i]->value) > NETWORK_NAME_MAX) {
            ireko_field_fail(b, named[i], IREKO_ERROR_TOO_LARGE, error, "has more than %d bytes",
                             NETWORK_NAME_MAX);
            return false;
        }
    }
    if (vnet->value != NULL && *vnet->value != '\0') {
        g_autofree char *base = g_path_get_basename(vnet->value); /* "/dev/vmnet2" on Linux */
        nic->vnet = g_ascii_strdown(base, -1);
    }
    if (group->value != NULL && *group->value != '\0')
        nic->network = g_strdup(group->value);
    return true;
}

static bool
read_nic(Builder *b, const Field *fields, IrekoNic *nic, GError **error)
{
    static const char *const models[] = {
        [IREKO_NIC_VLANCE] = "vlance",
        [IREKO_NIC_E1000] = "e1000",
        [IREKO_NIC_E1000E] = "e1000e",
        [IREKO_NIC_VMXNET3] = "vmxnet3",
        NULL,
    };
    static const char *const connections[] = {
        [IREKO_CONNECT_BRIDGED] = "bridged",
        [IREKO_CONNECT_NAT] = "nat",
        [IREKO_CONNECT_HOSTONLY] = "hostonly",
        [IREKO_CONNECT_CUSTOM] = "custom",
        NULL,
    };
    unsigned model = IREKO_NIC_VLANCE, connection = IREKO_CONNECT_BRIDGED;
    const Field *model_field = &fields[NIC_MODEL], *connection_field = &fields[NIC_CONNECTION];
    if (model_field->value != NULL && !ireko_field_choice(b, model_field, models, &model, error))
        return false;
    if (connection_field->value != NULL &&
        !ireko_field_choice(b, connection_field, connections, &connection, error))
        return false;
    nic->model = (IrekoNicModel)model;
    nic->connection = (IrekoConnection)connection;
    return ireko_field_bool(b, &fields[NIC_CONNECTED], true, &nic->start_connected, error) &&
           read_network(b, fields, nic, error) && read_mac(b, fields, &nic->mac, error);
}

bool
ireko_build_nics(Builder *b, GError **error)
{
    b->machine->nics = g_ptr_array_new_with_free_func(nic_free);
    for (unsigned i = 0; i < IREKO_MACHINE_NICS_MAX; i++) {
        bool present = false;
        if (!ireko_field_present(b, b->nics[i], NIC_ATTRS, &present, error))
            return false;
        if (!present)
            continue;
        IrekoNic *nic = g_new0(IrekoNic, 1);
        g_ptr_array_add(b->machine->nics, nic);
        nic->index = i;
        if (!read_nic(b, b->nics[i], nic, error))
            return false;
    }
    return true;
}

static bool
read_serial(Builder *b, const Field *fields, IrekoSerial *serial, GError **error)
{
    static const char *const kinds[] = {"file", "pipe", "network", "device", "thinprint", NULL};
    enum { THINPRINT = 4 };
    const Field *type = &fields[SERIAL_TYPE], *file = &fields[SERIAL_FILE];
    unsigned kind = 0;
    bool connected = false;
    if (!ireko_field_bool(b, &fields[SERIAL_CONNECTED], true, &connected, error))
        return false;
    if (type->value == NULL)
        return true;
    if (!ireko_field_choice(b, type, kinds, &kind, error))
        return false;
    if (kind == THINPRINT) {
        ireko_field_note(type, IREKO_KEY_UNSUPPORTED,
                         "ireko does not print: the port is not connected");
    } else if (connected) {
        serial->kind = g_strdup(kinds[kind]);
        serial->file = g_strdup(file->value);
    }
    return true;
}

bool
ireko_build_serials(Builder *b, GError **error)
{
    b->machine->serials = g_ptr_array_new_with_free_func(serial_free);
    for (unsigned i = 0; i < IREKO_MACHINE_SERIALS_MAX; i++) {
        bool present = false;
        if (!ireko_field_present(b, b->serials[i], SERIAL_ATTRS, &present, error))
            return false;
        if (!present)
            continue;
        IrekoSerial *serial = g_new0(IrekoSerial, 1);
        g_ptr_array_add(b->machine->serials, serial);
        serial->index = i;
        if (!read_serial(b, b->serials[i], serial, error))
            return false;
    }
    return true;
}
