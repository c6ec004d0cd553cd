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

/* What the rounds of one kind come to, value by value. */
typedef struct {
    GArray *hdd, *ssd, *file, *ratio, *self, *share;
} Values;

static void
clear_values(Values *values)
{
    GArray *const all[] = {values->hdd,   values->ssd,  values->file,
                           values->ratio, values->self, values->share};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_array_unref(all[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Values, clear_values)

static GArray *
new_values(void)
{
    return g_array_new(FALSE, FALSE, sizeof(double));
}

/* The samples of KIND in SAMPLES, in their order; free with g_array_unref. */
static GArray *
pick(const GArray *samples, unsigned kind)
{
    GArray *picked = g_array_new(FALSE, FALSE, sizeof(IrekoBenchSample));
    for (guint i = 0; i < samples->len; i++) {
        const IrekoBenchSample *one = &g_array_index(samples, IrekoBenchSample, i);
        if (one->kind == kind)
            g_array_append_vals(picked, one, 1);
    }
    return picked;
}

static void
add(GArray *values, double value)
{
    g_array_append_val(values, value);
}

/* Takes one round: three samples of a DISK and three of a FILE. False where they are not these. */
static bool
take_round(Values *values, const IrekoBenchSample *disk, const IrekoBenchSample *file)
{
    bool ssd_between = disk[1].ssd == 1;
    if (disk[0].ssd != (ssd_between ? 0 : 1) || disk[2].ssd != disk[0].ssd ||
        disk[1].ssd != (ssd_between ? 1 : 0))
        return false;
    double here = 0, around = (disk[0].per_second + disk[2].per_second) / 2;
    for (unsigned i = 0; i < IREKO_BENCH_OF_KIND; i++) {
        if (file[i].ssd != -1)
            return false;
        here += file[i].per_second / IREKO_BENCH_OF_KIND;
        add(values->file, file[i].per_second);
        add(disk[i].ssd == 1 ? values->ssd : values->hdd, disk[i].per_second);
    }
    double hdd = ssd_between ? around : disk[1].per_second;
    double ssd = ssd_between ? disk[1].per_second : around;
    add(values->ratio, ssd / hdd);
    add(values->self, disk[2].per_second / disk[0].per_second);
    add(values->share, ssd / here);
    return true;
}

static bool
sum_kind(const GArray *disk, const GArray *file, IrekoBenchRow *row)
{
    g_auto(Values) values = {new_values(), new_values(), new_values(),
                             new_values(), new_values(), new_values()};
    bool good = disk->len > 0 && disk->len == file->len && disk->len % IREKO_BENCH_OF_KIND == 0;
    for (guint i = 0; good && i < disk->len; i += IREKO_BENCH_OF_KIND)
        good = take_round(&values, &g_array_index(disk, IrekoBenchSample, i),
                          &g_array_index(file, IrekoBenchSample, i));
    if (!good)
        return false;
    row->hdd = range_of(values.hdd);
    row->ssd = range_of(values.ssd);
    row->file = range_of(values.file);
    row->ratio = range_of(values.ratio);
    row->self = range_of(values.self);
    row->share = range_of(values.share);
    return true;
}

bool
ireko_bench_sum(const GArray *disk,
                const GArray *file,
                IrekoBenchRow ret_rows[IREKO_BENCH_KINDS],
                GError **error)
{
    IrekoBenchRow rows[IREKO_BENCH_KINDS];
    for (unsigned kind = 0; kind < IREKO_BENCH_KINDS; kind++) {
        g_autoptr(GArray) of_disk = pick(disk, kind), of_file = pick(file, kind);
        rows[kind] = (IrekoBenchRow){.kind = kinds[kind]};
        if (!sum_kind(of_disk, of_file, &rows[kind])) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                        "the samples of %s are no rounds: %u of the disk, %u of a file",
                        kinds[kind], of_disk->len, of_file->len);
            return false;
        }
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
        const struct {
            const char *name;
            IrekoBenchRange range;
        } ranges[] = {
            {"hdd", row->hdd},     {"ssd", row->ssd},   {"ssd_over_hdd", row->ratio},
            {"itself", row->self}, {"file", row->file}, {"ssd_over_file", row->share},
        };
        json_t *object = json_pack("{s:s}", "kind", row->kind);
        for (size_t k = 0; k < G_N_ELEMENTS(ranges); k++)
            json_object_set_new(object, ranges[k].name, range_json(ranges[k].range));
        json_array_append_new(rows, object);
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
