/* machine/keys.h - the keys of a .vmx: a table of patterns, and where the values of those that the
 * machine carries are kept until it is built. Private to machine. */
#pragma once

#include "machine/machine.h"

G_BEGIN_DECLS

#define KEY_NUMBERS_MAX 2 /* "scsi0:1.present" has two */

typedef enum {
    RULE_TAKEN,       /* kept for the machine, at SCOPE and ATTR */
    RULE_BOOKKEEPING, /* means nothing outside VMware */
    RULE_UNSUPPORTED, /* REASON says why */
    RULE_UNLESS_OFF,  /* not carried, REASON, but where it is FALSE: then nothing is asked for */
} RuleKind;

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
    const char *pattern; /* %u is a number, a last * is any rest */
    RuleKind kind;
    const char *reason;
    Scope scope;
    IrekoBus bus;
    unsigned attr;
} KeyRule;

/* The rule for KEY, whatever its case, or NULL. The numbers in it go to NUMBERS; one that does not
 * fit is UINT_MAX. */
const KeyRule *
ireko_key_rule(const char *key, unsigned numbers[KEY_NUMBERS_MAX]);

/* A known key that KEY is likely to be a typing error of, or NULL. Free with g_free. */
char *
ireko_key_suggest(const char *key);

G_END_DECLS
