/* ireko/see.h - what each layer of a running nest really sees, from the outside.
 *
 * A machine is looked at through the memory of the outermost machine around it, and through what
 * its vCPUs hold; the guests do not take part, and stand still only while QEMU writes down the
 * state. What KVM counts is told by the layers themselves, through their agents. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ireko/lab.h>

G_BEGIN_DECLS

/* ---- addresses: where a byte of a machine really is ---- */

/* The same byte, as one layer names it. */
typedef struct {
    unsigned layer;    /* 0: this host */
    const char *space; /* "gva": virtual; "gpa": physical; "offset": in the memory file */
    uint64_t at;
} IrekoSeePlace;

/* An entry of a page table that was read. */
typedef struct {
    unsigned layer;    /* whose memory the table is in: who built it */
    const char *kind;  /* "own": of the machine itself; "npt", "ept": for a guest;
                          "process": of the one that has what those do not map */
    const char *table; /* "pml5", "pml4", "pdpt", "pd", "pt" */
    uint64_t entry_at; /* physical, in that layer */
    uint64_t raw;
    uint64_t page_bytes; /* it maps a page of this size; 0: it names a table, or nothing */
    bool unread;         /* no memory there: RAW is nothing */
    char flags[32];      /* what RAW allows and remembers: "P W - A D - NX" */
    bool last;           /* on the way of the address itself, not of a table on that way */
} IrekoSeeStep;

typedef struct {
    uint64_t address;
    const char *what; /* "rip", "address" */
    bool ok;
    const char *cause;     /* a stable word where not ok, else NULL */
    unsigned denied_layer; /* whose table ended it, where not ok */
    const char *denied_table;
    uint64_t page_bytes; /* the smallest page on the way; 0: no paging anywhere */
    GArray *chain;       /* IrekoSeePlace, from the asked address outwards, as far as it is known */
    GArray *steps;       /* IrekoSeeStep, in the order in which hardware takes them */
    GBytes *bytes;       /* what is there; NULL where not ok */
    GPtrArray *code;     /* char *: the same as instructions; NULL where nothing takes it apart */
    char *moved;         /* of two readings: what was not the same; or NULL */
} IrekoSeeWalk;

typedef struct {
    unsigned vcpu;
    const char *mode; /* "real", "32bit", "pae", "long4", "long5" */
    char *evidence;   /* how it was known to be this machine's */
    GPtrArray *walks; /* IrekoSeeWalk */
} IrekoSeeVcpu;

/* A machine as it was seen at one moment. */
typedef struct {
    char *path; /* NULL of a saved machine */
    unsigned level;
    char *accel; /* "tcg", "kvm"; NULL of a saved machine */
    char *ram_file;
    uint64_t ram_base;
    int64_t still_us; /* how long the outermost machine stood still; -1: it did not */
    GPtrArray *vcpus; /* IrekoSeeVcpu */
} IrekoSeen;

void
ireko_seen_free(IrekoSeen *seen); /* NULL is fine */

#define IREKO_SEE_ADDRESSES_MAX 4096

typedef struct {
    const char *path;          /* of a running machine, or NULL */
    const char *state, *ram;   /* of a saved one: files */
    const uint64_t *addresses; /* N of them; 0: each vCPU's RIP */
    size_t n;
    bool no_pause;  /* read while it runs, twice */
    unsigned guest; /* of the outermost machine: this one of its guests, as ireko_see_find
                     * numbers them; 0: the machine PATH, or the outermost one */
} IrekoSeeOrder;

/* Looks at a machine. IREKO_ERROR_NOT_FOUND where it is not there, IREKO_ERROR_STATE where it does
 * not run, or where no guest of the layer around can be told to be it. */
IrekoSeen *
ireko_see(const IrekoHome *home, const IrekoSeeOrder *order, GError **error);

/* Schema ireko.see/1; free with g_free. */
char *
ireko_seen_to_json(const IrekoSeen *seen);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoSeen, ireko_seen_free)

/* ---- control blocks: found by their form alone ---- */

/* A guest of the outermost machine, or of a guest of it. */
typedef struct {
    unsigned number;    /* from 1 on */
    unsigned parent;    /* the guest whose hypervisor runs it; 0: the outermost machine's */
    unsigned level;     /* 2: a guest of the outermost machine */
    char *path;         /* of the lab's machine that it was told to be; or NULL */
    char *evidence;     /* how */
    const char *nested; /* of its nested table: "npt", "ept" */
    uint64_t root;
    uint64_t bytes; /* that the table maps to memory */
} IrekoSeeGuest;

typedef struct {
    const char *kind;  /* "vmcb", "vmcs12": a VMCS as KVM keeps it for its guests, "vmcs" */
    uint64_t gpa;      /* in the outermost machine */
    unsigned owner;    /* the guest that it lies in; 0: the outermost machine */
    uint64_t at;       /* physical, there */
    unsigned guest;    /* that it runs; 0: none is known */
    bool shadow;       /* its owner runs a guest of one of its guests by it */
    const char *trust; /* "unconfirmed", "confirmed": it leads to its guest's code; "run": besides,
                        * a vCPU of the machine ran it last, or runs it */
    const char *doubt; /* what speaks against it; NULL: nothing */
    uint64_t rip, cr3;
    uint32_t asid;      /* of a VMCS its VPID */
    uint64_t exit_code; /* of its last exit */
    char *exit_name;    /* or NULL */
} IrekoSeeControl;

typedef struct {
    char *name;          /* of the outermost machine, or of the file */
    uint64_t bytes;      /* of memory that were looked through */
    int64_t took_us;     /* that looking took */
    bool cut;            /* a limit ended it early */
    GPtrArray *guests;   /* IrekoSeeGuest, each after its parent */
    GPtrArray *controls; /* IrekoSeeControl, by address */
} IrekoSeeFound;

void
ireko_see_found_free(IrekoSeeFound *found); /* NULL is fine */

/* Looks through all of the outermost machine's memory. Of a saved machine the state may be absent.
 */
IrekoSeeFound *
ireko_see_find(const IrekoHome *home, const IrekoSeeOrder *order, GError **error);

/* Schema ireko.find/1; free with g_free. */
char *
ireko_see_found_to_json(const IrekoSeeFound *found);

/* ---- memory: whose it is ---- */

/* Pages in a row that lead somewhere in a row. */
typedef struct {
    uint64_t start; /* physical, in the machine */
    uint64_t bytes;
    uint64_t page_bytes; /* as the layer around maps them */
    uint64_t to;         /* physical, in the layer around */
    uint64_t offset;     /* in the memory file of the outermost machine */
    bool accessed, dirty;
    const char *cause; /* why they lead to no memory; NULL where they do */
} IrekoBoxRun;

/* A machine's memory, as the layer around it gives it. Bytes. */
typedef struct {
    char
        *path; /* of a saved machine the file of its memory, and "guest N" as --find numbers them */
    unsigned level;
    uint64_t ram;   /* that it was promised; 0: nobody says, of a saved machine's guest */
    uint64_t taken; /* memory of the outermost machine that stands behind it, or that it has
                     * touched where it is the outermost */
    uint64_t small, large, huge; /* mapped in pages of 4 KiB, of 2 (or 4) MiB, of 1 GiB */
    uint64_t accessed, dirty;    /* of what is mapped; as tables say it */
    uint64_t zero;               /* of what is taken, pages with nothing but zeros */
    uint64_t elsewhere;          /* mapped to where no memory is: devices */
    GArray *runs;  /* IrekoBoxRun, in ascending order; NULL of the outermost machine */
    char *unknown; /* why nothing of this is known; or NULL */
} IrekoBox;

void
ireko_box_free(IrekoBox *box); /* NULL is fine */

/* The machines on the way to the one of ORDER, that one, and those inside it; of a saved machine
 * that one, and the guests found in it: IrekoBox, in the order of the tree; free with
 * g_ptr_array_unref. */
GPtrArray *
ireko_see_map(const IrekoHome *home, const IrekoSeeOrder *order, GError **error);

/* Schema ireko.map/1; free with g_free. */
char *
ireko_map_to_json(const char *path, const GPtrArray *boxes);

/* ---- CPU: what each layer has of it ---- */

typedef struct {
    char *path; /* "" for L0 */
    unsigned level;
    char *vendor, *model;
    const char *assist;  /* "svm", "vmx", "none" */
    GPtrArray *features; /* char *, as in /proc/cpuinfo: what CPUID shows and the kernel lists */
    GPtrArray *assist_parts; /* char *: "npt", "nrip-save" ... */
    GPtrArray *lost;         /* IrekoLoss: the layer around has it, this one has not */
    GPtrArray *gained;       /* char *: the other way round */
} IrekoCpuLayer;

void
ireko_cpu_layer_free(IrekoCpuLayer *layer); /* NULL is fine */

/* L0 and every machine on the way to PATH, each asked from inside: IrekoCpuLayer, from L0 inwards;
 * free with g_ptr_array_unref. */
GPtrArray *
ireko_see_cpus(const IrekoHome *home, const char *path, int cancel_fd, GError **error);

/* Schema ireko.cpus/1; free with g_free. */
char *
ireko_cpus_to_json(const char *path, const GPtrArray *layers);

/* ---- exits: why each layer hands control to the layer around it ---- */

/* One reason. */
typedef struct {
    uint32_t code;      /* SVM's exit code, VMX's basic exit reason */
    char *name;         /* as KVM calls it; its number where it is not known */
    char *meaning;      /* a sentence without a full stop; or NULL */
    uint64_t exits;     /* all of them */
    uint64_t inner;     /* of these, from a guest of the guest */
    uint64_t reflected; /* handed inwards, to the hypervisor in the guest */
} IrekoExitReason;

/* What one machine handed to the layer around it. */
typedef struct {
    char *path;         /* of the machine */
    char *layer;        /* of the machine that runs it; "" for L0 */
    char *source;       /* where this was read: "kvm tracepoints in esxi01", "QEMU's query-stats" */
    char *assist;       /* "svm", "vmx"; NULL where nobody knows */
    char *unknown;      /* why there are no reasons; or NULL */
    double seconds;     /* that were counted */
    GPtrArray *reasons; /* IrekoExitReason, the most frequent first */
    GHashTable *counted; /* what the engine around it counts by itself: char * to uint64_t *;
                          * or NULL */
} IrekoExitEdge;

void
ireko_exit_edge_free(IrekoExitEdge *edge); /* NULL is fine */

typedef struct {
    const char *path;  /* "esxi01/esxi02" or "LAB:..." */
    unsigned every_ms; /* how often it is told; 0: as often as costs the guests little */
    unsigned rounds;   /* how often; 0: until CANCEL_FD */
    bool each; /* a round tells what was counted since the one before, not since the start */
    int cancel_fd;
    /* Gets the edges (IrekoExitEdge), from L0 inwards, of all layers around the machine and of its
     * own guests; false ends it. */
    bool (*report)(void *data, const GPtrArray *edges);
    void *data;
} IrekoExitsOrder;

/* Counts for as long as ORDER says. */
bool
ireko_see_exits(const IrekoHome *home, const IrekoExitsOrder *order, GError **error);

/* Schema ireko.exits/1, one object on a line; free with g_free. */
char *
ireko_exits_to_json(const char *path, const GPtrArray *edges);

/* What runs inside each layer for that: writes a line to OUT_FD after FIRST_MS, and then each
 * EVERY_MS, until CANCEL_FD or until nobody reads. */
bool
ireko_see_serve_exits(
    unsigned first_ms, unsigned every_ms, int out_fd, int cancel_fd, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoSeeFound, ireko_see_found_free)

G_END_DECLS
