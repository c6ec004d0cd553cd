/* host/parts.h - the topics that facts are read by, and how they read files. Inside lib/host only.
 */
#pragma once

#include "host/survey.h"

#define IREKO_HOST_LINE_MAX 512 /* longest first line of a small file of /proc or /sys */
#define IREKO_HOST_CPUINFO_MAX                                                                     \
    ((size_t)16 << 10)              /* the first processor; the file grows with their number */
#define IREKO_HOST_PAGE_BYTES 4096u /* that KSM counts in; x86's */
#define IREKO_HOST_PARAMS_MAX 128   /* parameters of a module */

/* Opens PATH below ROOT_FD for reading, with FLAGS besides; no link leads out of that folder. -1
 * with errno. */
int
ireko_host_open(int root_fd, const char *path, int flags);

/* The names in the folder PATH, sorted, without those that begin with a dot; at most MAX. Never
 * NULL; char *. */
GPtrArray *
ireko_host_list(int root_fd, const char *path, size_t max);

/* What the record of SOURCE says of KEY, or NULL. */
const char *
ireko_host_told(const IrekoHostSource *source, const char *key);

/* The same for a number; "none" is -1. Returns false where nothing is said. */
bool
ireko_host_told_number(const IrekoHostSource *source, const char *key, int64_t *ret_value);

/* The same for "yes", "no" and "denied". */
IrekoRead
ireko_host_told_yes(const IrekoHostSource *source, const char *key);

/* "EACCES" and back; a number where it has no name here. NAME "ok" is 0; -1: it is none. */
char *
ireko_host_errno_name(int errnum);
int
ireko_host_errno_of(const char *name);

/* At most the first MAX bytes of PATH below ROOT_FD, with a NUL behind them; NULL where it cannot
 * be read. RET_LEN may be NULL. Free with g_free. */
char *
ireko_host_head(int root_fd, const char *path, size_t max, size_t *ret_len);

/* The first line of PATH, stripped and safe to print; NULL where it cannot be read. */
char *
ireko_host_line(int root_fd, const char *path);

/* The first line of PATH as a decimal number, or FALLBACK. */
int64_t
ireko_host_number(int root_fd, const char *path, int64_t fallback);

/* The last segment of the symbolic link PATH, such as a driver's name; or NULL. */
char *
ireko_host_link_name(int root_fd, const char *path);

bool
ireko_host_exists(int root_fd, const char *path);

/* The value of FIELD of the first processor in /proc/cpuinfo's TEXT (NULL is fine); or NULL. */
char *
ireko_host_cpuinfo(const char *text, const char *field);

/* Whether the blank-separated WORDS (NULL is fine) hold WORD. */
bool
ireko_host_has_word(const char *words, const char *word);

/* CPUINFO is the head of /proc/cpuinfo, or NULL. */
void
ireko_host_read_cpu(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts);

/* FLAGS are the kernel's, or NULL. */
void
ireko_host_read_features(const IrekoHostSource *source, const char *flags, IrekoFacts *facts);

/* Needs the facts of the CPU and of the layer above. */
void
ireko_host_read_kvm(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts);

/* What DMI says, without serial numbers; NULL where it says nothing. */
typedef struct {
    char *sys_vendor, *product_name, *product_version, *board_vendor, *bios_vendor, *bios_version;
    char *chassis_asset_tag; /* only where it is one that names a cloud */
} IrekoDmi;

IrekoDmi
ireko_host_read_dmi(int root_fd);

void
ireko_host_clear_dmi(IrekoDmi *dmi);

/* "aws", "gcp" ...; or NULL. */
const char *
ireko_host_cloud(const IrekoDmi *dmi);

/* Sets what is above in FACTS; adds each sign to SIGNS (char *; may be NULL) as above_all wants it.
 */
void
ireko_host_read_above(const IrekoHostSource *source,
                      const char *cpuinfo,
                      IrekoFacts *facts,
                      GPtrArray *signs);

/* Reads the register INDEX, wherever SOURCE has it: 0 or an errno. */
int
ireko_host_msr(const IrekoHostSource *source, uint32_t index, uint64_t *ret_value);

/* Adds what VMX offers, by its capability registers, to FEATURES under the kernel's names; false
 * where they cannot be read. */
bool
ireko_host_vmx_features(const IrekoHostSource *source, GPtrArray *features);

/* The kind of container that we are in, or NULL; EVIDENCE (free with g_free) may be NULL. */
char *
ireko_host_container(const IrekoHostSource *source, char **ret_evidence);

/* Who holds VMX or SVM besides KVM, blank-separated; or NULL. */
char *
ireko_host_others(const IrekoHostSource *source);

/* Whether this is Xen's control domain. */
bool
ireko_host_is_xen_dom0(int root_fd);

/* The node PATH, "/dev/kvm", and whether we may open it. */
void
ireko_host_device(const IrekoHostSource *source, const char *path, IrekoDevice *ret_device);

void
ireko_host_survey_cpu(const IrekoHostSource *source, const IrekoFacts *facts, IrekoSurvey *survey);

void
ireko_host_survey_kernel(const IrekoHostSource *source, IrekoSurvey *survey);

void
ireko_host_survey_limits(const IrekoHostSource *source, IrekoSurvey *survey);

/* What the record of SOURCE says of QEMU; it stays empty where that is nothing. */
void
ireko_host_hear_of_qemu(const IrekoHostSource *source, IrekoQemuFact *qemu);

/* The same as a record says it; NULL where too little is known; free with g_free. */
char *
ireko_host_tell_of_qemu(const IrekoQemuFact *qemu);

void
ireko_host_read_disks(const IrekoHostSource *source, IrekoFacts *facts);

/* The disks of FACTS as JSON, and back. IDENTITY: with what tells one disk from all others. */
json_t *
ireko_host_disks_to_json(const GPtrArray *disks, bool identity);
bool
ireko_host_disks_from_json(const json_t *list, IrekoFacts *facts, GError **error);

void
ireko_host_read_system(const IrekoHostSource *source, IrekoFacts *facts);

/* What running a vCPU came to. */
typedef struct {
    bool usable;
    const char *cause;      /* where it is not usable */
    char *evidence;         /* free with g_free */
    IrekoRead nested_state; /* KVM_CAP_NESTED_STATE */
} IrekoKvmTrial;

/* Makes a VM on KVM_FD (/dev/kvm) and runs a vCPU to HLT, in a bounded time. */
IrekoKvmTrial
ireko_host_try_kvm(int kvm_fd);

/* Takes the first of the two samples that ireko_tsc_khz needs, which then waits the less. */
void
ireko_host_begin_tsc(void);

void
ireko_disk_fact_free(IrekoDiskFact *disk); /* NULL is fine */

/* An empty IrekoFacts with its lists. */
IrekoFacts *
ireko_facts_new(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoDiskFact, ireko_disk_fact_free)
