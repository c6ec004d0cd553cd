/* engine/engine.h - what runs a machine. One small table of operations per engine; callers use the
 * functions below, never a table.
 *
 * A machine that runs has a folder (mode 0700) of its own with
 *     pid                    a copy of /proc/PID/stat, written by the process itself before it is
 *                            QEMU; it holds flock(2) on it as long as it lives: that lock, and
 *                            nothing else, says whether the machine runs
 *     qmp                    the engine's control socket
 *     console                its first serial port, a socket
 *     agent.0 ... agent.3    channels to its agent, sockets; one talk at a time on each
 *     log                    what the process wrote to stderr
 *     freezing               while somebody freezes it; of one that died, it may stand still
 * so that a later ireko finds everything that an earlier one started, however that one ended. */
#pragma once

#include <stdbool.h>

#include "base/fd.h"
#include "host/survey.h"
#include "lan/lan.h"
#include "machine/machine.h"

G_BEGIN_DECLS

#define IREKO_ENGINE_AGENT_PORTS 4
#define IREKO_ENGINE_PORT_NAME   "org.ireko.agent" /* of the virtio-serial ports: NAME.0 ... */

/* What boots instead of the machine's first disk. Paths. */
typedef struct {
    const char *kernel; /* vmlinux with a PVH entry */
    const char *initrd;
    const char *root;        /* read-only disk image; goes where the boot disk would be */
    const char *root_format; /* "raw", or "host_device" where it was handed down as a disk */
    const char *cmdline;     /* kernel parameters that the image wants */
} IrekoBoot;

/* A disk of the machine and the file that is really behind it. */
typedef struct {
    const IrekoDisk *disk;
    char *path;
    const char *format; /* of QEMU's block layer: "raw", "vmdk", "qcow2" ... or "host_device" */
    bool read_only;
    bool made;  /* by ireko, for this machine: nobody misses what is in it */
    char *base; /* what PATH, a qcow2, is written over: read and never written; NULL: nothing */
    const char *base_format;
} IrekoDrive;

void
ireko_drive_free(IrekoDrive *drive);

/* A machine as it was at one moment. Descriptors, the caller's. */
typedef struct {
    int ram_fd;   /* its memory; -1: that is in the state */
    int state_fd; /* its vCPUs and devices: QEMU's migration stream */
    /* The addresses that its cards were made with, in the order of the machine's; NULL behind the
     * last. They are part of the state: what the guest goes by is changed from inside. */
    const char *const *macs;
} IrekoFrozen;

typedef struct {
    const IrekoMachine *machine;
    const char *id;         /* unique on this layer, shown in process lists: "workshop/esxi01" */
    bool kvm;               /* else TCG */
    bool emulated;          /* on KVM, and the CPU under it is TCG's */
    IrekoHv offer;          /* what vhv.enable = TRUE gives here */
    const IrekoBoot *boot;  /* NULL: boots from its disks */
    GPtrArray *drives;      /* IrekoDrive; the boot image is not among them */
    bool drop_root;         /* ireko runs as root: the process gives that up */
    bool open_ram;          /* its memory is a file, for ireko_vm_open_ram */
    const GPtrArray *cards; /* IrekoCard, one for each of the machine's; NULL: nobody plans a
                             * network, and only NAT leads out */
    bool taps;              /* a card on a network has a tap of this layer, else a port of the
                             * lab's switch; either way */
    int link_fds[IREKO_NET_CARDS_MAX]; /* ... this; by the card's index, -1: none */
    unsigned jit_mib;        /* what TCG may keep of translated code; 0: as much as QEMU likes */
    const IrekoFrozen *from; /* goes on as this one was, with memory of its own, which is written
                              * into pages of its own; NULL: boots */
    int *ret_agent_fd; /* gets a connection to its channel agent.0 that is there before its state
                        * is loaded: one that was open when it was frozen never closed, for its
                        * guest. NULL: none is wanted */
} IrekoSpec;

typedef struct IrekoVm IrekoVm; /* a machine that was started, by this ireko or an earlier one */

typedef struct IrekoEngine IrekoEngine; /* one table of operations, const */

extern const IrekoEngine ireko_engine_qemu;
extern const IrekoEngine ireko_engine_fake;

/* Whether the engine is there and new enough; IREKO_ERROR_NOT_FOUND or IREKO_ERROR_UNSUPPORTED with
 * what to install. RET_VERSION (free with g_free) may be NULL. */
bool
ireko_engine_probe(const IrekoEngine *engine, char **ret_version, GError **error);

/* Asks the QEMU of this machine what it can; what it does not say is unknown. The answer is kept in
 * the folder CACHE (NULL: nowhere) until QEMU changes. The texts of RET_FACT are the caller's. */
void
ireko_engine_survey_qemu(const char *cache, IrekoQemuFact *ret_fact);

/* Whether machines boot the files of a built-in image; else its name alone is enough. */
bool
ireko_engine_boots_images(const IrekoEngine *engine);

/* A text that changes when the program that runs the machines is another one; free with g_free;
 * NULL where there is none. */
char *
ireko_engine_identity(const IrekoEngine *engine);

/* The address of the machine's card NUMBER (of its nics): what the lab gave it, the .vmx's, or one
 * that is always the same for this card of this machine and no other. Free with g_free. */
char *
ireko_spec_mac(const IrekoSpec *spec, unsigned number);

/* The machine's UUID, as 8-4-4-4-12: the .vmx's, or one that is its own. Free with g_free. */
char *
ireko_spec_uuid(const IrekoSpec *spec);

/* A name of COUNT hex digits that is always the same for this PART of this machine and no other. */
char *
ireko_spec_name(const IrekoSpec *spec, const char *part, unsigned count);

/* The command line that start would use, for people and for golden tests; NULL with an error where
 * the machine cannot be carried. Free with g_strfreev. */
char **
ireko_engine_plan(const IrekoEngine *engine, const IrekoSpec *spec, GError **error);

/* Starts SPEC in the folder DIR, which is there. Returns when its control channel has answered and
 * its vCPUs run, by DEADLINE; or NULL, and nothing is left. IREKO_ERROR_STATE where a machine of
 * DIR runs already or a disk is held by another; IREKO_ERROR_REMOTE with the process's own words.
 */
IrekoVm *
ireko_vm_start(const IrekoEngine *engine,
               const IrekoSpec *spec,
               const char *dir,
               IrekoDeadline deadline,
               int cancel_fd,
               GError **error);

/* The machine that runs in DIR; NULL with IREKO_ERROR_NOT_FOUND where none does. */
IrekoVm *
ireko_vm_attach(const IrekoEngine *engine, const char *dir, GError **error);

void
ireko_vm_free(IrekoVm *vm); /* forgets it; it runs on. NULL is fine */

bool
ireko_vm_is_alive(IrekoVm *vm);

/* Connects to "console" or "agent.N"; the fd is the caller's, -1 with an error. */
int
ireko_vm_connect(IrekoVm *vm, const char *channel, GError **error);

/* A machine's memory, to be read: the byte at address A of its RAM stands at BASE + A of the file
 * PATH (A counts RAM alone: what lies above a PC's hole follows on what lies below it). */
typedef struct {
    char *path;
    uint64_t base;
    int file_fd;    /* the file that the machine has mapped, from offset 0 on */
    int process_fd; /* where it has pages of its own over that file: its process's memory, PATH; */
    int pages_fd;   /* ... and its pagemap; both -1 where it has none */
} IrekoRamFiles;

/* IREKO_ERROR_UNSUPPORTED where it was started without. */
bool
ireko_vm_open_ram(IrekoVm *vm, IrekoRamFiles *ret_files, GError **error);

void
ireko_ram_files_clear(IrekoRamFiles *files);

/* What is done with a machine that stands still for a moment. */
typedef struct {
    int state_fd;  /* gets its vCPUs and devices */
    bool with_ram; /* and its memory: for one whose memory is not shared with a file */
    bool devices;  /* these alone, and no description of them (xray/stream.h): of any machine, to be
                    * looked at; nothing goes on from it */
    bool end;      /* it stays as it is, to be ended; else it runs on */
    /* Whether the state that was written just now is one to go on from, or to be looked at. Where
     * not it has emptied state_fd; the machine runs on for a moment and is stopped again, until the
     * deadline. NULL: from any. */
    bool (*fits)(void *data);
    /* Called meanwhile; NULL: nothing more. False ends the whole with its error. */
    bool (*still)(void *data, GError **error);
    void *data;
    int64_t *ret_still_us; /* how long it stood still, as this side saw it; NULL: not asked for */
} IrekoFreeze;

/* Stops the machine, writes its state and lets it run on, also where something fails.
 * IREKO_ERROR_UNSUPPORTED, before it is stopped, where a device of it cannot be saved. */
bool
ireko_vm_freeze(IrekoVm *vm, const IrekoFreeze *freeze, IrekoDeadline deadline, GError **error);

/* Whether ireko_vm_freeze could be asked for: IREKO_ERROR_UNSUPPORTED with each reason against it.
 * The machine runs on meanwhile. */
bool
ireko_vm_check_freeze(IrekoVm *vm, IrekoDeadline deadline, GError **error);

/* Whether somebody is freezing it, or died over it: then it stands still until ireko_vm_unfreeze.
 */
bool
ireko_vm_is_freezing(IrekoVm *vm);

/* Stops it: it stands still until ireko_vm_unfreeze. IREKO_ERROR_UNSUPPORTED where its engine
 * cannot.
 */
bool
ireko_vm_halt(IrekoVm *vm, IrekoDeadline deadline, GError **error);

/* Lets it run, where it stands still. */
bool
ireko_vm_unfreeze(IrekoVm *vm, IrekoDeadline deadline, GError **error);

/* Plugs the card INDEX, which is on a network of the lab, into LINK_FD (the caller's): its switch
 * is another one than when it started. */
bool
ireko_vm_relink(IrekoVm *vm, unsigned index, int link_fd, IrekoDeadline deadline, GError **error);

/* What the engine itself counts of the machine while it runs, summed over its vCPUs: names of the
 * engine's own, char * to uint64_t *; free with g_hash_table_unref. Of KVM its statistics ("exits",
 * "io_exits", "nested_run" ...), of TCG what it had to forget ("tlb_full_flushes" ...). */
GHashTable *
ireko_vm_count(IrekoVm *vm, IrekoDeadline deadline, GError **error);

/* What decides where a vCPU is. */
typedef struct {
    unsigned vcpu;
    uint64_t rip, cs_base, cr0, cr3, cr4, efer;
} IrekoRegisters;

/* The registers of each vCPU of a machine that runs on meanwhile: IrekoRegisters; free with
 * g_array_unref. They are the guest's while the vCPU runs a guest of the machine, and RIP is as of
 * the last time that the engine wrote it down. */
GArray *
ireko_vm_registers(IrekoVm *vm, IrekoDeadline deadline, GError **error);

/* Asks the guest to shut down, as its power button would. Does not wait. */
bool
ireko_vm_press_power(IrekoVm *vm, GError **error);

/* Ends the machine now and returns when its process is gone. Images are flushed where the process
 * still answers by DEADLINE; it is killed then. */
bool
ireko_vm_end(IrekoVm *vm, IrekoDeadline deadline, GError **error);

/* The last lines of the process's log, for messages; never NULL; free with g_free. */
char *
ireko_vm_log_tail(const char *dir);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVm, ireko_vm_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IrekoRamFiles, ireko_ram_files_clear)

G_END_DECLS
