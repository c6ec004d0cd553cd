/* host/survey.h - what `check` reads beyond the facts of a layer: registers, parameters, devices,
 * limits, and who else wants the CPU. Read through the same source as the facts. */
#pragma once

#include "host/facts.h"

G_BEGIN_DECLS

typedef struct {
    uint32_t index;
    IrekoRead read; /* NO: the CPU has no such register */
    uint64_t value;
} IrekoMsr;

typedef struct {
    char *path;          /* "/dev/kvm" */
    IrekoRead there;     /* a node of that name */
    int open_errno;      /* 0: may be opened for reading and writing; -1: not known */
    unsigned mode;       /* permission bits */
    char *owner, *group; /* names, or numbers where there is no name; NULL: not known */
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
    GPtrArray *msrs;      /* IrekoMsr of Intel's 3ah and 480h-491h, of AMD's c0010010h, c0010114h
                           * and c0010131h; none for a CPU without them */
    char *msr_evidence;   /* why they could not be read, or NULL */
    char *dmi_vendor, *dmi_product, *bios_vendor; /* no serials */
    char *container; /* kind: "docker", "podman", "lxc", "wsl" ...; NULL: none seen */
    char *container_evidence;
    GPtrArray *above_all; /* char *: every sign of a layer above and its kind, the weightiest first:
                           * "kvm: CPUID 40000000h signature 'KVMKVMKVM'" ... */
    char *cloud;          /* "aws", "gcp", "azure", "digitalocean" ... by DMI; or NULL */
    char *xen;            /* "dom0", "pv" or "hvm" on Xen; else NULL */
    bool ireko_machine;   /* runs in a nest of ireko: a virtio port bears its agent's name */
    IrekoRead sev_guest, tdx_guest;   /* this machine is a confidential guest */
    char *confidential;               /* "sev", "sev-es", "sev-snp", "tdx"; NULL: none seen */
    IrekoRead user_namespace, chroot; /* we are in one */
    IrekoRead module_vmx, module_svm; /* kvm_intel, kvm_amd loaded or built in */
    IrekoRead module_kvm, module_pvm; /* kvm_pvm: KVM without VMX and SVM, guests in ring 3 */
    IrekoRead kvm_registered;         /* a module has registered /dev/kvm, node or not */
    char *others; /* who holds VMX or SVM: "vboxdrv", "xen", "hyperv" ...; or NULL */
    IrekoDevice kvm, vhost_net, tun, sev; /* what the trial of KVM came to is in the facts */
    IrekoRead nested_state;               /* KVM_CAP_NESTED_STATE: as in the facts */
    IrekoRead iommu;
    char *iommu_evidence;
    unsigned cgroup_version;  /* 0 unknown */
    char *cgroup_controllers; /* blank-separated */
    char *namespaces; /* blank-separated names in /proc/self/ns: "ipc mnt net pid user uts"; or NULL
                       */
    IrekoRead fuse;   /* /sys/fs/fuse/connections */
    int64_t cgroup_memory_max, cgroup_pids_max; /* -1: no limit or unknown */
    int64_t cgroup_cpu_percent;                 /* 150: one and a half CPUs; -1: no limit */
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
 * left empty, unless a record says what it was. */
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

/* The same for registers: InstLatx64's dumps may hold "MSR 0000003A: 0000-0000-0000-0005". */
int
ireko_cpuid_dump_msr(void *dump, uint32_t index, uint64_t *ret_value);

/* A recorded host as a source: the folder ROOT with proc, sys and etc as they stand on the host,
 * and beside them what no file of the kernel says, each of which may be missing:
 *
 *     cpuid   a CPUID dump
 *     msr     lines "INDEX VALUE" in hexadecimal ("3a 5"); "INDEX no": the CPU has no such register
 *     disks   what facts are of disks, as JSON; else they are read from sys/block
 *     probe   lines "KEY VALUE", # begins a comment:
 *         arch x86_64
 *         root yes                           who recorded it was root
 *         /dev/kvm 0660 root kvm EACCES      mode, owner, group, and what became of opening it:
 *                                            ok, or an errno's name; "none" alone: no such node
 *         /dev/vhost-net, /dev/net/tun, /dev/sev  the same
 *         kvm.trial ok EVIDENCE              a VM was made and a vCPU ran
 *         kvm.trial held-by-other EVIDENCE   or a stable word for what is in the way
 *         kvm.nested-state yes               KVM_CAP_NESTED_STATE
 *         msr EACCES                         why /dev/cpu/0/msr could not be read
 *         container docker EVIDENCE          else from the files that containers leave; "none"
 *         chroot no
 *         user-namespace no                  else from proc/self/uid_map
 *         namespaces ipc mnt net ...         else from proc/self/ns
 *         memory.installed BYTES             else from sys/firmware/memmap
 *         disk.free BYTES
 *         qemu NAME 7.2.22 kvm tcg svm npt   its program, version, accelerators, and what its
 *                                            TCG offers
 *         limit.nofile 1024                  or "none"; also limit.memlock (bytes)
 *         ireko-machine no                   else from sys/class/virtio-ports
 *         cgroup.version 2                   else from proc/self/cgroup and sys/fs/cgroup; so also
 *         cgroup.controllers cpu memory ...  cgroup.memory, cgroup.pids, cgroup.cpu-percent: a
 *                                            number or "none"
 *
 * What a key does not say is unknown. It is read as a stranger's: no link leads out of ROOT. */
typedef struct IrekoRecorded IrekoRecorded;

IrekoRecorded *
ireko_recorded_open(const char *root, GError **error);

/* A host of which there is a CPUID dump alone, the file PATH. */
IrekoRecorded *
ireko_recorded_open_cpuid(const char *path, GError **error);

/* Lives as long as RECORDED. */
const IrekoHostSource *
ireko_recorded_source(const IrekoRecorded *recorded);

void
ireko_recorded_free(IrekoRecorded *recorded); /* NULL is fine */

/* Writes what SOURCE, this machine, shows into the new folder DIR as such a recorded host; without
 * serial numbers, addresses and names. FACTS and SURVEY are of the same source. IREKO_ERROR_STATE
 * where DIR is there and not empty; after any error nothing of it is left. */
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
