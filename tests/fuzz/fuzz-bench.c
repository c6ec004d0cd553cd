/* Fuzz target: what a machine says of its disk's speed is samples that come back the same, or an
 * error; whatever they are, they are summed up or refused. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "bench/bench.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > IREKO_BENCH_TEXT_MAX)
        return -1;
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) samples = ireko_bench_samples_from_text((const char *)data, size, &error);
    if (samples == NULL) {
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
        return 0;
    }
    g_autofree char *text = ireko_bench_samples_to_text(samples);
    g_autoptr(GArray) again = ireko_bench_samples_from_text(text, strlen(text), NULL);
    g_assert_cmpuint(again->len, ==, samples->len);
    IrekoBenchRow rows[IREKO_BENCH_KINDS];
    if (ireko_bench_sum(samples, samples, rows, NULL))
        g_assert_true(rows[0].hdd.least <= rows[0].hdd.median &&
                      rows[0].hdd.median <= rows[0].hdd.most);
    return 0;
}
