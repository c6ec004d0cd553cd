/* bench/bench.h - the loop that measures, and what its samples come to. */
#pragma once

#include <stddef.h>

#include <ireko/bench.h>

G_BEGIN_DECLS

#define IREKO_BENCH_TEXT_MAX    ((size_t)16 << 10) /* bytes of a round's samples */
#define IREKO_BENCH_REGION_MAX  ((size_t)16 << 20) /* bytes of a disk that are read and written */
#define IREKO_BENCH_SAMPLES_MAX 64                 /* of a round */
#define IREKO_BENCH_OF_KIND     3                  /* samples of a kind in a round */
#define IREKO_BENCH_SAMPLE_MS   120

typedef struct {
    unsigned kind; /* of IREKO_BENCH_KINDS */
    int ssd;       /* 1: as an SSD, 0: as one that rotates, -1: there is no flag */
    double per_second;
} IrekoBenchSample;

typedef struct {
    const char *path;   /* a block device that nobody has in use, or a file */
    const char *flag;   /* its queue/rotational; NULL: there is none */
    unsigned number;    /* of the round: odd ones begin the other way round */
    unsigned sample_ms; /* how long one sample takes, at least */
} IrekoBenchRound;

/* Measures one round: IrekoBenchSample, free with g_array_unref. What is written is what was read
 * there before. IREKO_ERROR_STATE where somebody has the disk in use. */
GArray *
ireko_bench_round(const IrekoBenchRound *round, GError **error);

/* A round's samples as text, a JSON object a line. */
char *
ireko_bench_samples_to_text(const GArray *samples);

/* Reads what to_text wrote, from a peer that may lie: IREKO_ERROR_REMOTE. */
GArray *
ireko_bench_samples_from_text(const char *text, size_t len, GError **error);

/* What the samples of all rounds come to, those of the DISK and of a FILE, each in the order in
 * which they were measured. IREKO_ERROR_REMOTE where one is missing or out of order. */
bool
ireko_bench_sum(const GArray *disk,
                const GArray *file,
                IrekoBenchRow ret_rows[IREKO_BENCH_KINDS],
                GError **error);

G_END_DECLS
