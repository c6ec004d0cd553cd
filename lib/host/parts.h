/* host/parts.h - the topics that facts are read by, and how they read files. Inside lib/host only.
 */
#pragma once

#include "host/facts.h"

#define IREKO_HOST_LINE_MAX 512 /* longest first line of a small file of /proc or /sys */

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

/* Needs the facts of the CPU and of the layer above. */
void
ireko_host_read_kvm(const IrekoHostSource *source, const char *cpuinfo, IrekoFacts *facts);

void
ireko_host_read_disks(const IrekoHostSource *source, IrekoFacts *facts);

void
ireko_host_read_system(const IrekoHostSource *source, IrekoFacts *facts);

/* What running a vCPU came to. */
typedef struct {
    bool usable;
    const char *cause; /* where it is not usable */
    char *evidence;    /* free with g_free */
} IrekoKvmTrial;

/* Makes a VM on KVM_FD (/dev/kvm) and runs a vCPU to HLT, in a bounded time. */
IrekoKvmTrial
ireko_host_try_kvm(int kvm_fd);

void
ireko_disk_fact_free(IrekoDiskFact *disk); /* NULL is fine */

/* An empty IrekoFacts with its lists. */
IrekoFacts *
ireko_facts_new(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoDiskFact, ireko_disk_fact_free)
