/* machine/keys.h - the keys of a .vmx that a machine carries, and where their values are kept until
 * it is built. Private to machine. */
#pragma once

#include <ireko/book.h>

#include "machine/machine.h"

G_BEGIN_DECLS

/* What a taken key belongs to. */
typedef enum {
    SCOPE_MACHINE,
    SCOPE_CONTROLLER, /* BUS and one number */
    SCOPE_DISK,       /* BUS and two numbers */
    SCOPE_NIC,
    SCOPE_SERIAL,
} Scope;

typedef enum {
    MACHINE_NUMVCPUS,
    MACHINE_CORES_PER_SOCKET,
    MACHINE_MEMSIZE,
    MACHINE_HW_VERSION,
    MACHINE_DISPLAY_NAME,
    MACHINE_GUEST_OS,
    MACHINE_IMAGE,
    MACHINE_UUID,
    MACHINE_VHV,
    MACHINE_CPUID_V0,
    MACHINE_FIRMWARE,
    MACHINE_SVGA,
    MACHINE_VNC,
    MACHINE_VNC_PORT,
    MACHINE_VNC_PASSWORD,
    MACHINE_ATTRS,
} MachineAttr;

typedef enum { CONTROLLER_PRESENT, CONTROLLER_MODEL, CONTROLLER_ATTRS } ControllerAttr;

typedef enum {
    DISK_PRESENT,
    DISK_FILE,
    DISK_TYPE,
    DISK_MODE,
    DISK_SSD,
    DISK_SIZE,
    DISK_CONNECTED,
    DISK_AUTODETECT,
    DISK_CLIENT,
    DISK_ATTRS,
} DiskAttr;

typedef enum {
    NIC_PRESENT,
    NIC_MODEL,
    NIC_CONNECTION,
    NIC_CONNECTED,
    NIC_ADDRESS_TYPE,
    NIC_ADDRESS,
    NIC_GENERATED,
    NIC_VNET,
    NIC_NETWORK,
    NIC_ATTRS,
} NicAttr;

typedef enum {
    SERIAL_PRESENT,
    SERIAL_TYPE,
    SERIAL_FILE,
    SERIAL_CONNECTED,
    SERIAL_ATTRS
} SerialAttr;

typedef struct {
    const char *pattern; /* as in the key book */
    Scope scope;
    IrekoBus bus;
    unsigned attr;
} KeyPlace;

/* Where the value of KEY is kept, or NULL for one that a machine does not carry. */
const KeyPlace *
ireko_key_place(const IrekoKey *key);

/* The pattern of the INDEXth place, or NULL behind the last. */
const char *
ireko_key_place_pattern(size_t index);

G_END_DECLS
