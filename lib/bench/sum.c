/* bench/sum.c - samples as text, and what they come to. Pure. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonl.h"
#include "bench/bench.h"

#define WORD_MAX       32
#define PER_SECOND_MIN 1e-3
#define PER_SECOND_MAX 1e9

static const char *const kinds[IREKO_BENCH_KINDS] = {"seq-read", "seq-write", "random-read",
                                                     "random-write"};

/* ---- as text ---- */

char *
ireko_bench_samples_to_text(const GArray *samples)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < samples->len; i++) {
        const IrekoBenchSample *one = &g_array_index(samples, IrekoBenchSample, i);
        g_autoptr(json_t) object = json_pack("{s:s,s:o,s:f}", "kind", kinds[one->kind], "ssd",
                                             one->ssd < 0 ? json_null() : json_boolean(one->ssd),
                                             "per_second", one->per_second);
        char *line = json_dumps(object, JSON_COMPACT);
        g_string_append_printf(text, "%s\n", line);
        free(line);
    }
    return g_string_free(text, FALSE);
}

static bool
take_sample(const json_t *object, GArray *samples, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "sample");
    IrekoBenchSample one = {.kind = 0};
    g_autofree char *kind = ireko_json_text(&reader, "kind", WORD_MAX);
    while (one.kind < IREKO_BENCH_KINDS && g_strcmp0(kind, kinds[one.kind]) != 0)
        one.kind++;
    if (one.kind == IREKO_BENCH_KINDS)
        ireko_json_reader_fail(&reader, "kind", "one that there is");
    const json_t *ssd = json_object_get(object, "ssd");
    one.ssd = json_is_boolean(ssd) ? json_is_true(ssd) : -1;
    one.per_second = json_number_value(json_object_get(object, "per_second"));
    if (!(one.per_second >= PER_SECOND_MIN && one.per_second <= PER_SECOND_MAX))
        ireko_json_reader_fail(&reader, "per_second", "a number of requests a second");
    g_array_append_val(samples, one);
    return ireko_json_reader_end(&reader, error);
}

GArray *
ireko_bench_samples_from_text(const char *text, size_t len, GError **error)
{
    g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(IrekoBenchSample));
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - text) - at : len - at;
        g_autoptr(json_t) object = ireko_jsonl_decode(text + at, line, error);
        if (object == NULL || !take_sample(object, samples, error))
            return NULL;
        if (samples->len > IREKO_BENCH_SAMPLES_MAX) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "more than %d samples",
                        IREKO_BENCH_SAMPLES_MAX);
            return NULL;
        }
        at += line + 1;
    }
    return g_steal_pointer(&samples);
}

/* ---- summed up ---- */

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static IrekoBenchRange
range_of(const GArray *values)
{
    guint n = values->len;
    g_autofree double *sorted = g_new(double, n);
    memcpy(sorted, values->data, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    return (IrekoBenchRange){.median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
                             .least = sorted[0],
                             .most = sorted[n - 1]};
}

/* The values of KIND and SSD in SAMPLES, in their order; free with g_array_unref. */
static GArray *
pick(const GArray *samples, unsigned kind, int ssd)
{
    GArray *values = g_array_new(FALSE, FALSE, sizeof(double));
    for (guint i = 0; i < samples->len; i++) {
        const IrekoBenchSample *one = &g_array_index(samples, IrekoBenchSample, i);
        if (one->kind == kind && one->ssd == ssd)
            g_array_append_val(values, one->per_second);
    }
    return values;
}

static IrekoBenchRange
ratio_of(const GArray *over, const GArray *under)
{
    g_autoptr(GArray) ratios = g_array_new(FALSE, FALSE, sizeof(double));
    for (guint i = 0; i < over->len; i++) {
        double ratio = g_array_index(over, double, i) / g_array_index(under, double, i);
        g_array_append_val(ratios, ratio);
    }
    return range_of(ratios);
}

bool
ireko_bench_sum(const GArray *disk,
                const GArray *file,
                IrekoBenchRow ret_rows[IREKO_BENCH_KINDS],
                GError **error)
{
    IrekoBenchRow rows[IREKO_BENCH_KINDS];
    for (unsigned kind = 0; kind < IREKO_BENCH_KINDS; kind++) {
        g_autoptr(GArray) hdd = pick(disk, kind, 0), ssd = pick(disk, kind, 1),
                          plain = pick(file, kind, -1);
        if (hdd->len == 0 || hdd->len != ssd->len || hdd->len != plain->len) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                        "samples of %s: %u as an SSD, %u as a disk that rotates, %u of a file",
                        kinds[kind], ssd->len, hdd->len, plain->len);
            return false;
        }
        rows[kind] = (IrekoBenchRow){.kind = kinds[kind],
                                     .hdd = range_of(hdd),
                                     .ssd = range_of(ssd),
                                     .ratio = ratio_of(ssd, hdd),
                                     .file = range_of(plain),
                                     .share = ratio_of(ssd, plain)};
    }
    memcpy(ret_rows, rows, sizeof rows);
    return true;
}

static json_t *
range_json(IrekoBenchRange range)
{
    return json_pack("{s:f,s:f,s:f}", "median", range.median, "least", range.least, "most",
                     range.most);
}

char *
ireko_disk_bench_to_text(const IrekoDiskBench *bench)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < IREKO_BENCH_KINDS; i++) {
        const IrekoBenchRow *row = &bench->rows[i];
        json_array_append_new(rows, json_pack("{s:s,s:o,s:o,s:o,s:o,s:o}", "kind", row->kind, "hdd",
                                              range_json(row->hdd), "ssd", range_json(row->ssd),
                                              "ssd_over_hdd", range_json(row->ratio), "file",
                                              range_json(row->file), "ssd_over_file",
                                              range_json(row->share)));
    }
    g_autoptr(json_t) object =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:I,s:i,s:i,s:o}", "schema", "ireko.bench/1",
                  "what", "disk", "path", bench->path, "accel", bench->accel, "outermost_accel",
                  bench->outer, "device", bench->device, "name", bench->name, "ssd",
                  (int)bench->ssd, "bytes", (json_int_t)bench->bytes, "request_bytes",
                  IREKO_BENCH_REQUEST, "rounds", (int)bench->rounds, "results", rows);
    char *text = json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    char *copy = g_strdup(text);
    free(text);
    return copy;
}

void
ireko_disk_bench_free(IrekoDiskBench *bench)
{
    if (bench == NULL)
        return;
    g_free(bench->path);
    g_free(bench->device);
    g_free(bench->name);
    g_free(bench->accel);
    g_free(bench->outer);
    g_free(bench);
}
