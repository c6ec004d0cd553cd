/* host/tsc.c - how fast the time stamp counter of this machine counts.
 *
 * Under TCG a guest's TSC is this machine's own. A Linux guest measures it against the emulated PIT
 * in its first milliseconds, and where the host is busy it gets that wrong: 99.9 MHz for 2096 MHz
 * was seen, and then time in the guest runs twenty times too fast and every timeout of a nest
 * passes at once. So it is measured here, where a slice of time that is lost does no harm, and
 * handed in.
 *
 * A sample is the TSC read between two readings of the clock; of several the one with the shortest
 * gap counts. Two samples a baseline apart, each off by a microsecond at most, are good for 0.01 %.
 */
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "host/facts.h"
#include "host/parts.h"

#ifdef __x86_64__
#include <x86intrin.h>

#define BASELINE_US 20000
#define TRIES       16

typedef struct {
    uint64_t ticks;
    int64_t ns;
} Sample;

static Sample first;

static int64_t
clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static Sample
take_sample(void)
{
    Sample best = {0};
    int64_t best_gap = INT64_MAX;
    for (unsigned i = 0; i < TRIES; i++) {
        int64_t before = clock_ns();
        uint64_t ticks = __rdtsc();
        int64_t gap = clock_ns() - before;
        if (gap < best_gap) {
            best_gap = gap;
            best = (Sample){ticks, before + gap / 2};
        }
    }
    return best;
}

void
ireko_host_begin_tsc(void)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        first = take_sample();
        g_once_init_leave(&once, 1);
    }
}

unsigned
ireko_tsc_khz(void)
{
    static gsize once;
    static unsigned khz;
    if (g_once_init_enter(&once)) {
        ireko_host_begin_tsc();
        int64_t left_us = BASELINE_US - (clock_ns() - first.ns) / 1000;
        if (left_us > 0)
            (void)usleep((useconds_t)left_us);
        Sample last = take_sample();
        if (last.ns > first.ns && last.ticks > first.ticks)
            khz =
                (unsigned)((double)(last.ticks - first.ticks) * 1e6 / (double)(last.ns - first.ns));
        g_once_init_leave(&once, 1);
    }
    return khz;
}
#else
void
ireko_host_begin_tsc(void)
{
}

unsigned
ireko_tsc_khz(void)
{
    return 0;
}
#endif
