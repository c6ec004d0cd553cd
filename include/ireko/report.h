/* ireko/report.h - what is known of one machine of a nest: the unit that layers tell each other,
 * that `up` fills its tree with, and that "machines" of ireko.nest/1 is made of. */
#pragma once

#include <stdbool.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_PATH_DEPTH_MAX    16
#define IREKO_REPORT_CHECKS_MAX 1024
#define IREKO_REPORT_LOST_MAX   256
#define IREKO_REPORT_CARDS_MAX  10

/* A thing promised to a machine and what was seen of it from inside. Texts come from the layer that
 * was asked; they are safe to print. */
typedef struct {
    char *what;     /* "hv", "npt", "kvm", "cpus", "memory", "disk.ssd", "disk.bus", "guests"; where
                     * the lab requires vSAN also "vsan.hosts", "vsan.cache", "vsan.capacity",
                     * "disk.size", "disk.serial", "disk.wwn"; of a card "net.link",
                     * "net.address", "net.broadcast", "net.unicast", "net.foreign-mac", "net.mtu" */
    char *device;   /* "scsi0:1", "ethernet0", or NULL */
    char *promised; /* "svm", "true", "2" ... JSON carries true, false and whole numbers as such */
    char *seen;     /* NULL: unknown, nobody inside could tell */
    bool ok;
    char *evidence; /* what was read, where; or NULL */
    char *cause;    /* a stable word where not ok, else NULL */
    char *fix;      /* what to change, with file and line; or NULL */
} IrekoCheck;

/* A feature of the CPU that the layer outside has and the machine does not see. */
typedef struct {
    char *name; /* as in /proc/cpuinfo: "svm", "avx512f"; or a part of SVM or VMX: "nrip-save" */
    char *by; /* who took it: "vhv.enable", "hypervisor.cpuid.v0" (of its .vmx), "tcg", "cpu-model",
               * "firmware", "kernel" */
} IrekoLoss;

/* A card of the machine and its addresses. */
typedef struct {
    char *card;    /* "ethernet0" */
    char *network; /* of the lab: "hostonly"; "nat"; NULL: not connected */
    char *mac;
    char *address; /* "10.1.2.3/20"; NULL: not known, or none */
    char *by;      /* how that is known: "agent": read inside; "assigned": given, and not read back;
                    * "arp": the machine said so to others; "unknown": the user's own system */
} IrekoAddress;

typedef enum {
    IREKO_STATE_DEFINED,     /* not begun */
    IREKO_STATE_STARTING,    /* its process runs, nothing heard from inside */
    IREKO_STATE_PROVING,     /* its agent answers */
    IREKO_STATE_RUNNING,     /* every answer is in; the checks say whether promises held */
    IREKO_STATE_NOT_STARTED, /* held back: the layer that would run it cannot */
    IREKO_STATE_FAILED,      /* died, or did not answer: MESSAGE says so */
    IREKO_STATE_STOPPED,     /* was recorded and does not run */
} IrekoState;

/* "running", "not-started" ... */
const char *
ireko_state_name(IrekoState state);

typedef struct {
    char *path;     /* "esxi01/esxi02" */
    unsigned level; /* 1 for a machine on L0 */
    IrekoState state;
    char *origin;          /* "boot" */
    char *accel;           /* "tcg", "kvm"; NULL before it is known */
    double ready_seconds;  /* from the start of its process to its agent's hello; below 0 unknown */
    double proven_seconds; /* ... to the end of its proof; below 0 unknown */
    char *message;         /* why it failed or was not started; or NULL */
    char *console;         /* its last console lines where its agent did not answer; or NULL */
    GPtrArray *checks;     /* IrekoCheck */
    GPtrArray *lost;       /* IrekoLoss, what people ask for first */
    GPtrArray *addresses;  /* IrekoAddress */
} IrekoReport;

IrekoReport *
ireko_report_new(const char *path, unsigned level);

IrekoReport *
ireko_report_copy(const IrekoReport *report);

void
ireko_report_free(IrekoReport *report); /* NULL is fine */

/* Whether the machine runs and no check of it is broken. A check whose seen is NULL with the cause
 * "unknown" is neither kept nor broken: nobody inside could tell. Its ok is false, since nothing
 * was proven, and it does not fail the machine. */
bool
ireko_report_ok(const IrekoReport *report);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoReport, ireko_report_free)

G_END_DECLS
