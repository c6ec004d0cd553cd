/* machine/keys.c - the keys of a .vmx that a machine carries: where the value of each is kept.
 *
 * What any other key means, and why it is not carried, stands in the key book; a key here has its
 * entry there too, under the same pattern. */
#include "machine/keys.h"

#define TAKE(pattern, scope, bus, attr)                                                            \
    {                                                                                              \
        pattern, scope, bus, attr                                                                  \
    }
#define MACHINE(pattern, attr) TAKE(pattern, SCOPE_MACHINE, 0, attr)
#define NIC(name, attr)        TAKE("ethernet%u." name, SCOPE_NIC, 0, attr)
#define SERIAL(name, attr)     TAKE("serial%u." name, SCOPE_SERIAL, 0, attr)

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
        TAKE("ireko." name "%u:%u.size", SCOPE_DISK, bus, DISK_SIZE)

static const KeyPlace places[] = {
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
    NIC("vnet", NIC_VNET),
    NIC("networkName", NIC_NETWORK),
    SERIAL("present", SERIAL_PRESENT),
    SERIAL("fileType", SERIAL_TYPE),
    SERIAL("fileName", SERIAL_FILE),
    SERIAL("startConnected", SERIAL_CONNECTED),
};

const KeyPlace *
ireko_key_place(const IrekoKey *key)
{
    static GHashTable *by_pattern;
    static gsize once = 0;
    if (g_once_init_enter(&once)) {
        by_pattern = g_hash_table_new(g_str_hash, g_str_equal);
        for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
            g_hash_table_insert(by_pattern, (char *)(uintptr_t)places[i].pattern,
                                (void *)(uintptr_t)&places[i]);
        g_once_init_leave(&once, 1);
    }
    return g_hash_table_lookup(by_pattern, key->pattern);
}

const char *
ireko_key_place_pattern(size_t index)
{
    return index < G_N_ELEMENTS(places) ? places[index].pattern : NULL;
}
