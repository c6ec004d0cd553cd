/* ireko/bench.h - how fast a machine's disk answers, as an SSD and as a disk that rotates. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_BENCH_KINDS      4 /* reads and writes, in sequence and at random */
#define IREKO_BENCH_ROUNDS_MAX 100
#define IREKO_BENCH_REQUEST    4096 /* bytes of each request; there is one at a time */

/* Requests per second, or a ratio of them. */
typedef struct {
    double median, least, most;
} IrekoBenchRange;

typedef struct {
    const char *kind;      /* "seq-read", "seq-write", "random-read", "random-write" */
    IrekoBenchRange hdd;   /* the disk while it is taken for one that rotates */
    IrekoBenchRange ssd;   /* the same disk, as an SSD */
    IrekoBenchRange ratio; /* ssd over hdd, round by round */
    IrekoBenchRange self;  /* the disk over itself, taken for the same, in the same rounds: what a
                            * ratio differs from 1 where there is no difference */
    IrekoBenchRange file;  /* a file of the outermost layer, without a machine in between */
    IrekoBenchRange share; /* ssd over file, round by round */
} IrekoBenchRow;

typedef struct {
    char *path;   /* of the machine */
    char *device; /* "scsi0:1" */
    char *name;   /* inside it: "sdb" */
    char *accel;  /* of the machine: "tcg", "kvm" */
    char *outer;  /* of the outermost one around it */
    bool ssd;     /* what its .vmx says */
    uint64_t bytes;
    unsigned rounds;
    IrekoBenchRow rows[IREKO_BENCH_KINDS];
} IrekoDiskBench;

void
ireko_disk_bench_free(IrekoDiskBench *bench); /* NULL is fine */

/* Schema ireko.bench/1; free with g_free. */
char *
ireko_disk_bench_to_text(const IrekoDiskBench *bench);

/* One round, inside the machine whose disk PATH is: prints its samples, for who asked for it. FLAG
 * is the disk's queue/rotational, which is as it was afterwards. NUMBER says which way round. */
bool
ireko_bench_print_round(const char *path, const char *flag, unsigned number, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoDiskBench, ireko_disk_bench_free)

G_END_DECLS
