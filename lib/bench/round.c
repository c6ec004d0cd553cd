/* bench/round.c - one round of requests to a disk, or to a file.
 *
 * A request is 4 KiB, there is one at a time, and of a block device none goes through the page
 * cache of the layer that asks (O_DIRECT): what is measured is the way to the disk and back. Each
 * kind is measured three times, as a disk that rotates, as an SSD, as a disk that rotates, or the
 * other way round: the two around are as far from the one between as from each other, so that a
 * machine that grows slower or faster meanwhile favours neither, and they show how far two
 * measurements of the same differ.
 *
 * What is written is what stood there: the region is read first, and written back once as a whole,
 * so that no thin disk has to find room while it is measured. A disk that is mounted, or that
 * somebody holds, is refused by the kernel (O_EXCL). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "bench/bench.h"

#define NS_IN_MS     UINT64_C(1000000)
#define OPS_BETWEEN  8 /* requests between two looks at the clock */
#define REGION_MIN   ((size_t)1 << 20)
#define PIECE        ((size_t)1 << 20) /* of the region as a whole */
#define RANDOM_FIRST UINT64_C(0x9e3779b97f4a7c15)
#define FLAG_MAX     16

typedef struct {
    int fd;
    uint8_t *bytes; /* of the region; aligned for O_DIRECT */
    size_t len, next;
    uint64_t random;
} Region;

static void
clear_region(Region *region)
{
    ireko_fd_close(&region->fd);
    free(region->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Region, clear_region)

static uint64_t
now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * 1000 * 1000 + (uint64_t)now.tv_nsec;
}

/* One transfer of the LEN bytes at AT, all or an errno. */
static int
transfer(const Region *region, bool write, size_t at, size_t len, uint8_t *into)
{
    for (size_t done = 0; done < len;) {
        ssize_t n =
            write ? pwrite(region->fd, region->bytes + at + done, len - done, (off_t)(at + done))
                  : pread(region->fd, into + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        done += (size_t)n;
    }
    return 0;
}

static bool
open_region(Region *region, const char *path, GError **error)
{
    struct stat st;
    bool block = stat(path, &st) == 0 && S_ISBLK(st.st_mode);
    region->fd = open(path, O_RDWR | O_CLOEXEC | (block ? O_DIRECT | O_EXCL : 0));
    uint64_t size = 0;
    if (region->fd < 0 || fstat(region->fd, &st) != 0 ||
        (block && ioctl(region->fd, BLKGETSIZE64, &size) != 0)) {
        if (errno == EBUSY)
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "'%s' is in use there: unmount it first", path);
        else
            ireko_error_from_errno(error, errno, "cannot open '%s'", path);
        return false;
    }
    size = block ? size : (uint64_t)st.st_size;
    region->len = (size_t)(MIN(size, IREKO_BENCH_REGION_MAX) / PIECE * PIECE);
    if (region->len < REGION_MIN ||
        posix_memalign((void **)&region->bytes, IREKO_BENCH_REQUEST, region->len) != 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "'%s' is too small to be measured, or there is no memory", path);
        return false;
    }
    return true;
}

/* Reads the region, and writes it back. */
static int
prepare(Region *region)
{
    int failed = 0;
    for (size_t at = 0; at < region->len && failed == 0; at += PIECE)
        failed = transfer(region, false, at, PIECE, region->bytes + at);
    for (size_t at = 0; at < region->len && failed == 0; at += PIECE)
        failed = transfer(region, true, at, PIECE, NULL);
    return failed;
}

static size_t
next_at(Region *region, bool random)
{
    size_t blocks = region->len / IREKO_BENCH_REQUEST;
    if (!random) {
        region->next = (region->next + 1) % blocks;
        return region->next * IREKO_BENCH_REQUEST;
    }
    region->random ^= region->random << 13; /* xorshift64 */
    region->random ^= region->random >> 7;
    region->random ^= region->random << 17;
    return (size_t)(region->random % blocks) * IREKO_BENCH_REQUEST;
}

/* Requests per second of KIND, over MS at least; below 0 an errno. */
static double
sample(Region *region, unsigned kind, unsigned ms)
{
    bool write = kind % 2 == 1, random = kind >= 2;
    static _Alignas(IREKO_BENCH_REQUEST) uint8_t read_into[IREKO_BENCH_REQUEST];
    uint64_t begin = now_ns(), end, count = 0;
    do {
        for (unsigned i = 0; i < OPS_BETWEEN; i++) {
            int failed =
                transfer(region, write, next_at(region, random), IREKO_BENCH_REQUEST, read_into);
            if (failed != 0)
                return -failed;
        }
        count += OPS_BETWEEN;
        end = now_ns();
    } while (end - begin < ms * NS_IN_MS || end == begin);
    return (double)count * 1e9 / (double)(end - begin);
}

/* Says in FLAG (may be NULL) that the disk is an SSD, or that it rotates. */
static bool
set_flag(const char *flag, const char *value, GError **error)
{
    IREKO_AUTOFD fd = flag != NULL ? open(flag, O_WRONLY | O_CLOEXEC) : -1;
    if (flag == NULL || (fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value)))
        return true;
    ireko_error_from_errno(error, errno, "cannot write '%s'", flag);
    return false;
}

static bool
add_sample(const IrekoBenchRound *round,
           Region *region,
           unsigned kind,
           int ssd,
           GArray *samples,
           GError **error)
{
    if (!set_flag(round->flag, ssd == 1 ? "0" : "1", error))
        return false;
    IrekoBenchSample one = {
        .kind = kind, .ssd = ssd, .per_second = sample(region, kind, round->sample_ms)};
    if (one.per_second < 0) {
        ireko_error_from_errno(error, (int)-one.per_second, "'%s' failed", round->path);
        return false;
    }
    g_array_append_val(samples, one);
    return true;
}

static bool
measure(const IrekoBenchRound *round, Region *region, GArray *samples, GError **error)
{
    for (unsigned kind = 0; kind < IREKO_BENCH_KINDS; kind++) {
        int around = (int)((round->number + kind) % 2);
        for (unsigned i = 0; i < IREKO_BENCH_OF_KIND; i++) {
            int ssd = round->flag == NULL ? -1 : i == 1 ? 1 - around : around;
            if (!add_sample(round, region, kind, ssd, samples, error))
                return false;
        }
    }
    return true;
}

GArray *
ireko_bench_round(const IrekoBenchRound *round, GError **error)
{
    g_auto(Region) region = {.fd = -1, .random = RANDOM_FIRST};
    g_autofree char *before =
        round->flag != NULL ? ireko_file_read(AT_FDCWD, round->flag, FLAG_MAX, NULL, error) : NULL;
    if ((round->flag != NULL && before == NULL) || !open_region(&region, round->path, error))
        return NULL;
    int failed = prepare(&region);
    if (failed != 0) {
        ireko_error_from_errno(error, failed, "'%s' failed", round->path);
        return NULL;
    }
    g_autoptr(GArray) samples = g_array_new(FALSE, FALSE, sizeof(IrekoBenchSample));
    bool done = measure(round, &region, samples, error);
    done = set_flag(round->flag, before, done ? error : NULL) && done;
    return done ? g_steal_pointer(&samples) : NULL;
}

bool
ireko_bench_print_round(const char *path, const char *flag, unsigned number, GError **error)
{
    const IrekoBenchRound round = {
        .path = path, .flag = flag, .number = number, .sample_ms = IREKO_BENCH_SAMPLE_MS};
    g_autoptr(GArray) samples = ireko_bench_round(&round, error);
    if (samples == NULL)
        return false;
    g_autofree char *text = ireko_bench_samples_to_text(samples);
    return ireko_fd_write_all(STDOUT_FILENO, text, strlen(text), IREKO_NO_DEADLINE, -1, error);
}
