/* cli/cmd-vmx-batch.c - the same for many files.
 *
 * To edit a file is to wait for the disk four times over, so many files are worked on at a time: a
 * journal then commits many at once. Which is done first is left to chance; what is printed is not:
 * each file's words appear whole, in the order of the command line. */
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "vmx.h"

#define THREADS 64
#define KEPT_BYTES                                                                                 \
    (16 << 20)          /* of freed memory, for the next file: else each takes its own anew        \
                         */
#define SHOWN_FROM  100 /* files: fewer are done before anybody looks */
#define PROGRESS_MS 100

typedef struct {
    char *const *files;
    int count;
    VmxJob job;
    const void *data;
    VmxResult *results;
    bool *done;
    int taken; /* atomic: files that a thread has begun with */
    GMutex lock;
    GCond one_done;
} Batch;

static void
do_one(const Batch *batch, int i)
{
    VmxResult *result = &batch->results[i];
    result->out = g_string_new(NULL);
    result->err = g_string_new(NULL);
    batch->job(batch->files[i], batch->data, result);
}

static void *
work(void *data)
{
    Batch *batch = data;
    for (int i; (i = g_atomic_int_add(&batch->taken, 1)) < batch->count;) {
        do_one(batch, i);
        g_mutex_lock(&batch->lock);
        batch->done[i] = true;
        g_cond_signal(&batch->one_done);
        g_mutex_unlock(&batch->lock);
    }
    return NULL;
}

/* Waits for file I; says meanwhile how far it is. */
static void
await(Batch *batch, int i, bool live)
{
    g_mutex_lock(&batch->lock);
    while (!batch->done[i]) {
        int64_t until = g_get_monotonic_time() + PROGRESS_MS * G_TIME_SPAN_MILLISECOND;
        if (!g_cond_wait_until(&batch->one_done, &batch->lock, until) && live)
            (void)fprintf(stderr, "\r\033[K%d of %d files", i, batch->count);
    }
    g_mutex_unlock(&batch->lock);
}

/* Prints what came of one file and adds it up. */
static void
hand_over(VmxResult *result, VmxResult *sum, json_t *rows, bool live)
{
    if (live && result->out->len + result->err->len > 0)
        (void)fputs("\r\033[K", stderr);
    (void)fwrite(result->out->str, 1, result->out->len, stdout);
    (void)fwrite(result->err->str, 1, result->err->len, stderr);
    if (rows != NULL && result->json != NULL)
        json_array_append(rows, result->json);
    json_decref(result->json);
    (void)g_string_free(result->out, TRUE);
    (void)g_string_free(result->err, TRUE);
    sum->failed |= result->failed;
    sum->changed += result->changed;
    sum->fixed += result->fixed;
    sum->can_fix += result->can_fix;
    for (size_t i = 0; i < G_N_ELEMENTS(sum->found); i++)
        sum->found[i] += result->found[i];
}

static void
run_threads(Batch *batch, VmxResult *sum, json_t *rows)
{
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    GThread *threads[THREADS];
    int started = MIN(batch->count, THREADS);
    g_autofree bool *done = g_new0(bool, (size_t)batch->count);
    bool live = batch->count >= SHOWN_FROM && cli_is_terminal(STDERR_FILENO);
    batch->done = done;
    g_mutex_init(&batch->lock);
    g_cond_init(&batch->one_done);
    for (int i = 0; i < started; i++)
        threads[i] = g_thread_new("vmx", work, batch);
    for (int i = 0; i < batch->count; i++) {
        await(batch, i, live);
        hand_over(&batch->results[i], sum, rows, live);
    }
    for (int i = 0; i < started; i++)
        (void)g_thread_join(threads[i]);
    if (live)
        (void)fputs("\r\033[K", stderr);
    g_mutex_clear(&batch->lock);
    g_cond_clear(&batch->one_done);
}

VmxResult
vmx_each(char *const *files, size_t count, VmxJob job, const void *data, json_t *rows)
{
    VmxResult sum = {0};
    g_autofree VmxResult *results = g_new0(VmxResult, count);
    Batch batch = {
        .files = files, .count = (int)count, .job = job, .data = data, .results = results};
    if (count > 1) {
        run_threads(&batch, &sum, rows);
    } else if (count == 1) {
        do_one(&batch, 0);
        hand_over(&results[0], &sum, rows, false);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "ireko vmx: standard output cannot be written\n");
        sum.failed = true;
    }
    return sum;
}

json_t *
vmx_row(const char *file)
{
    g_autofree char *name = vmx_line(vmx_name(file));
    return json_pack("{s:s}", "file", name);
}

void
vmx_fail(VmxResult *result, const char *file, const GError *why)
{
    g_autofree char *safe = vmx_line(why->message);
    g_string_append_printf(result->err, "ireko vmx: %s\n", safe);
    result->failed = true;
    if (result->json == NULL)
        result->json = vmx_row(file);
    json_object_set_new(result->json, "error", json_string(safe));
}
