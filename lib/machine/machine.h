/* machine/machine.h - the machine that a .vmx describes, without regard to who runs it.
 *
 * Pure: a document in, a machine out, and for every key of the document a note that says what
 * became of it. Nothing is dropped silently. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ireko/vmx.h>

G_BEGIN_DECLS

#define IREKO_MACHINE_DISKS_MAX   256
#define IREKO_MACHINE_NICS_MAX    10
#define IREKO_MACHINE_VCPUS_MAX   128
#define IREKO_MACHINE_SERIALS_MAX 4
#define IREKO_MACHINE_MEMORY_MAX  (24u << 20)          /* MiB: 24 TiB, ESXi 8's largest machine */
#define IREKO_MACHINE_DISK_MIN    ((uint64_t)1 << 20)  /* bytes that ireko.X:Y.size can ask for */
#define IREKO_MACHINE_DISK_MAX    ((uint64_t)62 << 40) /* ... and VMware can */
#define IREKO_MACHINE_KEYS_MAX    16384 /* entries of a .vmx that describes a machine */

typedef enum { IREKO_BUS_SCSI, IREKO_BUS_SATA, IREKO_BUS_IDE, IREKO_BUS_NVME } IrekoBus;

typedef enum {
    IREKO_SCSI_LSILOGIC, /* VMware's default */
    IREKO_SCSI_PVSCSI,
    IREKO_SCSI_LSISAS1068,
} IrekoScsiModel;

typedef enum {
    IREKO_NIC_VLANCE, /* VMware's default */
    IREKO_NIC_E1000,
    IREKO_NIC_E1000E,
    IREKO_NIC_VMXNET3,
} IrekoNicModel;

typedef enum {
    IREKO_CONNECT_BRIDGED, /* VMware's default */
    IREKO_CONNECT_NAT,
    IREKO_CONNECT_HOSTONLY,
    IREKO_CONNECT_CUSTOM,
} IrekoConnection;

typedef struct {
    char *device; /* "scsi0:1", "ide1:0" ... in lower case */
    IrekoBus bus;
    unsigned controller, unit;
    IrekoScsiModel scsi_model; /* of its controller, for IREKO_BUS_SCSI */
    bool cdrom;
    char *file;            /* as the .vmx says it; NULL for an empty drive */
    bool ssd;              /* virtualSSD; always so on NVMe */
    bool nonpersistent;    /* mode = "independent-nonpersistent": writes are dropped */
    uint64_t create_bytes; /* ireko.X:Y.size: made at this size where missing; 0: must be there */
    unsigned line;         /* of its fileName, or of its present line */
} IrekoDisk;

typedef struct {
    unsigned index; /* N of ethernetN */
    IrekoNicModel model;
    IrekoConnection connection;
    char *mac;     /* "00:50:56:..." where the .vmx has one, or NULL */
    char *vnet;    /* of a custom connection: "vmnet2", without a folder; or NULL */
    char *network; /* networkName: the port group, of ESXi; or NULL */
    bool start_connected;
} IrekoNic;

typedef struct {
    unsigned index; /* N of serialN */
    char *kind;     /* fileType: "file", "pipe", "network", "device"; NULL: not connected */
    char *file;     /* fileName */
} IrekoSerial;

typedef enum {
    IREKO_KEY_HONOURED,    /* the machine carries it */
    IREKO_KEY_BOOKKEEPING, /* known, and means nothing outside VMware's products */
    IREKO_KEY_UNSUPPORTED, /* known, and not carried: REASON says why */
    IREKO_KEY_UNKNOWN,     /* not in any list: a typing error, or newer than ireko */
    IREKO_KEY_MALFORMED,   /* the line is not of the form name = value */
    IREKO_KEY_DUPLICATE,   /* stands for the second time and does not count */
} IrekoKeyStatus;

typedef struct {
    char *key; /* as written; of a malformed line the whole line */
    unsigned line;
    IrekoKeyStatus status;
    char *reason; /* why; a remark on an honoured key, or NULL; NULL for bookkeeping */
} IrekoKeyNote;

typedef struct {
    char *file;         /* the .vmx, as the user named it */
    char *name;         /* of the file, without ".vmx": the machine's segment in a path */
    char *display_name; /* displayName, or NULL */
    char *guest_os;     /* guestOS, or NULL */
    char *image;        /* ireko.image: a built-in image boots instead of the first disk; or NULL */
    char *uuid;         /* uuid.bios as 8-4-4-4-12, or NULL */
    unsigned hw_version; /* virtualHW.version; 0 where absent */
    unsigned vcpus, vcpus_line;
    unsigned cores_per_socket;
    unsigned memory_mib, memory_line; /* memsize; 32 where absent, as in VMware */
    bool vhv;                         /* vhv.enable; absent is FALSE */
    unsigned vhv_line;                /* 0 where absent */
    bool hypervisor_hidden;           /* hypervisor.cpuid.v0 = FALSE */
    bool efi;
    bool svga; /* svga.present; absent TRUE, but FALSE with ireko.image: those speak by serial port
                */
    bool vnc;
    unsigned vnc_port; /* 0: a unix socket */
    char *vnc_password;
    bool has_pvscsi, has_nvme; /* named controllers without a disk are made all the same */
    GPtrArray *disks;          /* IrekoDisk, by bus, controller, unit */
    GPtrArray *nics;           /* IrekoNic */
    GPtrArray *serials;        /* IrekoSerial */
    GPtrArray *notes;          /* IrekoKeyNote, in the order of the file */
} IrekoMachine;

/* Reads what DOC describes; FILE is its path, for messages. Returns a new machine (free with
 * ireko_machine_free), or NULL: IREKO_ERROR_SYNTAX for a value that cannot be meant (file:line,
 * what was got, what is allowed), IREKO_ERROR_UNSUPPORTED for a device that cannot be given (a
 * virtualDev that nobody knows, buslogic, virtualSSD on a CD-ROM), IREKO_ERROR_TOO_LARGE over a
 * limit above. */
IrekoMachine *
ireko_machine_from_vmx(const IrekoVmx *doc, const char *file, GError **error);

void
ireko_machine_free(IrekoMachine *machine); /* NULL is fine */

/* The disk that the machine boots from: the first that is not a CD-ROM, else the first CD-ROM, or
 * NULL. */
const IrekoDisk *
ireko_machine_boot_disk(const IrekoMachine *machine);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoMachine, ireko_machine_free)

G_END_DECLS
