/* host/facts.h - what a layer offers, seen from inside it.
 *
 * The same code runs on L0 and in the agent of every layer. Reading goes through a root folder and
 * a CPUID function, so that a recorded host can stand in; the probe of /dev/kvm is real or absent.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_FACTS_DISKS_MAX 256

/* What one thing read came to. */
typedef enum {
    IREKO_READ_UNKNOWN, /* not looked at, or of a recorded host that does not say */
    IREKO_READ_YES,
    IREKO_READ_NO,
    IREKO_READ_DENIED, /* it is there and may not be read: root would know */
} IrekoRead;

typedef enum { IREKO_HV_NONE, IREKO_HV_SVM, IREKO_HV_VMX } IrekoHv;

/* "none", "svm", "vmx". */
const char *
ireko_hv_name(IrekoHv hv);

typedef struct {
    char *name;   /* kernel name: "sda" */
    char *device; /* the .vmx's name where it can be told from the address: "scsi0:1"; or NULL */
    char *controller; /* driver of its controller: "vmw_pvscsi", "ahci", "nvme" ...; or NULL */
    uint64_t bytes;
    bool cdrom;
    int rotational;    /* /sys/block/X/queue/rotational: 0, 1, or -1 unknown */
    int rotation_rate; /* VPD page B1h bytes 4-5, or ATA IDENTIFY word 217 (1: not rotating);
                        * -1 unknown */
    char *vpd_b1;      /* the first 8 bytes of VPD page B1h in hex, or NULL */
    char *serial; /* VPD page 80h, or NVMe's own; NULL where it says none. Of these two a record
                   * (host/record.c) holds neither */
    char *wwn;    /* as the kernel names it out of VPD page 83h: "naa.5000c29...", "eui..." */
} IrekoDiskFact;

typedef struct {
    bool usable;            /* opened, a VM made, and a vCPU ran to HLT */
    char *cause;            /* a stable word of the contract where not usable, else NULL */
    char *evidence;         /* what was done, and how it answered */
    int open_errno;         /* of opening /dev/kvm: 0: opened; -1: not known */
    IrekoRead nested_state; /* KVM_CAP_NESTED_STATE. These two are not told to other layers */
} IrekoKvmFact;

typedef struct {
    char *cpu_vendor; /* "AuthenticAMD" */
    char *cpu_model;  /* brand string, trimmed */
    IrekoHv hv;       /* SVM: 80000001h ECX bit 2 (AMD APM vol. 3, E.4.2); VMX: 1 ECX bit 5 (SDM) */
    bool nested_paging;      /* NPT: 8000000Ah EDX bit 0; EPT: IA32_VMX_PROCBASED_CTLS2, else the
                              * module's parameter */
    GPtrArray *hv_features;  /* char *: "npt", "vgif", "nrip-save" ...; "ept", "vpid" ... */
    char *hv_evidence;       /* the leaves read, in words */
    GPtrArray *cpu_features; /* char *: what CPUID shows, by the kernel's names (host/features.c) */
    GPtrArray *kernel_hides; /* char *: those of them that the kernel does not list */
    char *above;             /* kind of the layer above: "none", "kvm", "qemu-tcg", "vmware" ...
                              * (host/above.c has them all) */
    char *above_evidence;
    IrekoKvmFact kvm;
    GPtrArray *kvm_params;    /* char *: "kvm_amd.nested=1" ... */
    unsigned cpus;            /* online */
    uint64_t memory_bytes;    /* all that the kernel has (MemTotal) */
    uint64_t installed_bytes; /* what the firmware gave: /sys/firmware/memmap, or 0 unknown */
    uint64_t available_bytes; /* MemAvailable */
    char *kernel;             /* release */
    GPtrArray *disks;         /* IrekoDiskFact */
} IrekoFacts;

/* Where facts are read from: this machine, or a recorded one (host/survey.h). DATA goes to each
 * function; any of them may be NULL. */
typedef struct {
    int root_fd; /* folder that holds proc, sys and dev; -1: there is none */
    /* Fills REGS with EAX, EBX, ECX, EDX of LEAF/SUBLEAF; false where there is no such leaf. */
    bool (*cpuid)(void *data, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
    /* Reads the model-specific register INDEX: 0, or why not, as an errno: EIO where the CPU has no
     * such register. NULL: through root_fd's dev/cpu/0/msr. */
    int (*msr)(void *data, uint32_t index, uint64_t *ret_value);
    /* What the record says of KEY; NULL where it says nothing. */
    const char *(*told)(void *data, const char *key);
    void *data;
    bool probe; /* try devices, ask disks and the kernel; false for a recorded host */
} IrekoHostSource;

/* This machine. The folder is open from here: close RET_SOURCE's root_fd. */
bool
ireko_host_here(IrekoHostSource *ret_source, GError **error);

/* Reads the facts of SOURCE; what cannot be read is unknown, not an error. NULL only with
 * IREKO_ERROR_IO where there is a root folder without /proc. */
IrekoFacts *
ireko_facts_read(const IrekoHostSource *source, GError **error);

/* The machine that this program runs on. */
IrekoFacts *
ireko_facts_here(GError **error);

/* How fast this machine's time stamp counter counts, in kHz; 0 where it has none. Takes at
 * least 20 ms from the first ireko_facts_here on. */
unsigned
ireko_tsc_khz(void);

void
ireko_facts_free(IrekoFacts *facts); /* NULL is fine */

/* One JSON object; a new reference. */
json_t *
ireko_facts_to_json(const IrekoFacts *facts);

/* Reads what to_json wrote. It comes from a guest: anything missing, of another type or over a
 * limit is IREKO_ERROR_REMOTE. */
IrekoFacts *
ireko_facts_from_json(const json_t *object, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoFacts, ireko_facts_free)

G_END_DECLS
