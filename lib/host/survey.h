/* host/survey.h - what `check` reads beyond the facts of a layer: registers, parameters, devices,
 * limits, and who else wants the CPU. Read through the same source as the facts. */
#pragma once

#include "host/facts.h"

G_BEGIN_DECLS

/* What one thing read came to. */
typedef enum {
    IREKO_READ_UNKNOWN, /* not looked at, or of a recorded host that does not say */
    IREKO_READ_YES,
    IREKO_READ_NO,
    IREKO_READ_DENIED, /* it is there and may not be read: root would know */
} IrekoRead;

typedef struct {
    uint32_t index;
    IrekoRead read; /* NO: the CPU has no such register */
    uint64_t value;
} IrekoMsr;

typedef struct {
    char *path;      /* "/dev/kvm" */
    IrekoRead there; /* a node of that name */
    int open_errno;  /* 0: opened; -1: not tried */
    unsigned mode;   /* permission bits */
    char *owner, *group;
} IrekoDevice;

/* What the QEMU of this machine can; filled by who may run it. */
typedef struct {
    char *path;    /* NULL: none found */
    char *version; /* "7.2.22" */
    bool has_kvm, has_tcg;
    IrekoRead tcg_svm, tcg_npt, tcg_vmx; /* of `-cpu max` */
    char *evidence;                      /* what was asked, or why it could not be */
} IrekoQemuFact;

typedef struct {
    char *arch;           /* "x86_64", "ia64", "aarch64": uname, or what /proc/cpuinfo shows */
    bool is_recorded;     /* not this machine */
    bool is_root;         /* we read as root */
    GPtrArray *cpu_flags; /* char *: "flags" of /proc/cpuinfo, all of them */
    GPtrArray *msrs;      /* IrekoMsr of 3ah, 480h-491h, c0010114h, c0010015h ... */
    char *msr_evidence;   /* why none could be read, or NULL */
    char *dmi_vendor, *dmi_product, *bios_vendor; /* no serials */
    char *container; /* kind: "docker", "podman", "lxc", "wsl" ...; NULL: none seen */
    char *container_evidence;
    GPtrArray
        *above_all;     /* char *: every sign of a layer above, "CPUID 40000000h: KVMKVMKVM" ... */
    char *cloud;        /* "aws", "gcp", "azure", "digitalocean" ... by DMI; or NULL */
    char *xen;          /* "dom0", "pv" or "hvm" on Xen; else NULL */
    bool ireko_machine; /* runs in a nest of ireko: a virtio port bears its agent's name */
    IrekoRead sev_guest, tdx_guest;   /* this machine is a confidential guest */
    IrekoRead module_vmx, module_svm; /* kvm_intel, kvm_amd loaded or built in */
    IrekoRead module_kvm;
    char *others; /* who holds VMX or SVM: "vboxdrv", "xen", "hyperv" ...; or NULL */
    IrekoDevice kvm, vhost_net, tun, sev;
    IrekoRead nested_state; /* KVM_CAP_NESTED_STATE */
    IrekoRead iommu;
    char *iommu_evidence;
    unsigned cgroup_version;  /* 0 unknown */
    char *cgroup_controllers; /* blank-separated */
    char *namespaces; /* blank-separated names in /proc/self/ns: "ipc mnt net pid user uts"; or NULL
                       */
    IrekoRead fuse;   /* /sys/fs/fuse/connections */
    int64_t cgroup_memory_max, cgroup_pids_max; /* -1: no limit or unknown */
    int64_t open_files_max, memlock_max_bytes;  /* RLIMIT; -1: none */
    int ksm_run;                                /* /sys/kernel/mm/ksm/run; -1 unknown */
    uint64_t ksm_shared_bytes, ksm_sharing_bytes;
    char *huge_pages; /* transparent_hugepage/enabled: the word chosen; or NULL */
    uint64_t huge_page_pool_bytes, huge_page_free_bytes;
    uint64_t disk_free_bytes;   /* where images and disks would be; 0 unknown */
    char *distribution;         /* PRETTY_NAME of os-release */
    GPtrArray *vulnerabilities; /* char *: "spectre_v2: Mitigation: ..." */
    char *clock_source;
    IrekoQemuFact qemu;
} IrekoSurvey;

/* Reads SOURCE; what cannot be read is unknown. FACTS are those of the same source. Its qemu is
 * left empty. */
IrekoSurvey *
ireko_survey_read(const IrekoHostSource *source, const IrekoFacts *facts);

void
ireko_survey_free(IrekoSurvey *survey); /* NULL is fine */

/* The MSR INDEX of SURVEY, or NULL. */
const IrekoMsr *
ireko_survey_msr(const IrekoSurvey *survey, uint32_t index);

/* A CPUID dump, in the format of `cpuid -r` or of InstLatx64. */
typedef struct IrekoCpuidDump IrekoCpuidDump;

#define IREKO_CPUID_DUMP_MAX ((size_t)4 << 20) /* bytes of a dump that is read */

/* IREKO_ERROR_SYNTAX where TEXT holds no leaf. The first processor of a dump counts. */
IrekoCpuidDump *
ireko_cpuid_dump_parse(const char *text, size_t len, GError **error);

void
ireko_cpuid_dump_free(IrekoCpuidDump *dump); /* NULL is fine */

/* Fits IrekoHostSource.cpuid, with a dump as DATA. */
bool
ireko_cpuid_dump_ask(void *dump, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);

/* A recorded host as a source: the folder ROOT with proc and sys, and beside them what no file of
 * the kernel says: `cpuid` (a dump), `msr` (lines "INDEX VALUE", hexadecimal), `probe` (what became
 * of opening devices, making a VM and running a vCPU; the file says how). Owned by SOURCE's data:
 * free with ireko_recorded_free. */
typedef struct IrekoRecorded IrekoRecorded;

IrekoRecorded *
ireko_recorded_open(const char *root, GError **error);

const IrekoHostSource *
ireko_recorded_source(const IrekoRecorded *recorded);

void
ireko_recorded_free(IrekoRecorded *recorded); /* NULL is fine */

/* Writes what SOURCE, this machine, shows into the new folder DIR as such a recorded host; without
 * serial numbers, addresses and names. FACTS and SURVEY are of the same source. */
bool
ireko_record_host(const IrekoHostSource *source,
                  const IrekoFacts *facts,
                  const IrekoSurvey *survey,
                  const char *dir,
                  GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoSurvey, ireko_survey_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoCpuidDump, ireko_cpuid_dump_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoRecorded, ireko_recorded_free)

G_END_DECLS
