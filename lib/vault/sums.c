/* vault/sums.c - checksums of files.
 *
 * The chunks of a file are dealt out to a few threads by a counter; each reads into a buffer of its
 * own. Reading is what costs (XXH3 is faster than the copy out of the page cache), and holes are
 * passed over without being read. A mapping would fault once a page, which is slower still. */
#include "vault/sums.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define THREADS_MAX 8
#define ALONE_BELOW 16 /* chunks: not worth a thread */

typedef struct {
    int fd;
    const VaultFile *file;
    uint64_t *sums; /* to be filled, or NULL: to be compared with the file's */
    size_t next;    /* chunk; atomic */
    size_t bad;     /* the first chunk that differs; atomic; SIZE_MAX: none */
    int failed;     /* errno; atomic */
} Work;

static bool
is_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* Whether no byte from OFFSET to END is stored. */
static bool
is_hole(int fd, uint64_t offset, uint64_t end)
{
    off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
    return data < 0 ? errno == ENXIO : (uint64_t)data >= end;
}

/* The checksum of LEN bytes at OFFSET; false with errno. */
static bool
sum_chunk(int fd, uint8_t *buffer, uint64_t offset, size_t len, uint64_t *ret_sum)
{
    *ret_sum = 0;
    if (is_hole(fd, offset, offset + len))
        return true;
    for (size_t have = 0; have < len;) {
        ssize_t n = pread(fd, buffer + have, len - have, (off_t)(offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? EIO : errno; /* shorter than its size was */
            return false;
        }
        have += (size_t)n;
    }
    if (!is_zero(buffer, len))
        *ret_sum = XXH3_64bits(buffer, len);
    return true;
}

static void
note_bad(Work *work, size_t chunk)
{
    size_t seen = __atomic_load_n(&work->bad, __ATOMIC_RELAXED);
    while (chunk < seen && !__atomic_compare_exchange_n(&work->bad, &seen, chunk, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}

static void *
take_chunks(void *data)
{
    Work *work = data;
    g_autofree uint8_t *buffer = g_malloc(IREKO_VAULT_CHUNK);
    for (;;) {
        size_t i = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
        if (i >= work->file->count || __atomic_load_n(&work->failed, __ATOMIC_RELAXED) != 0)
            return NULL;
        uint64_t offset = i * IREKO_VAULT_CHUNK, sum = 0;
        size_t len = (size_t)MIN(IREKO_VAULT_CHUNK, work->file->bytes - offset);
        if (!sum_chunk(work->fd, buffer, offset, len, &sum))
            __atomic_store_n(&work->failed, errno, __ATOMIC_RELAXED);
        else if (work->sums != NULL)
            work->sums[i] = sum;
        else if (sum != work->file->sums[i])
            note_bad(work, i);
    }
}

static bool
run(Work *work, GError **error)
{
    GThread *threads[THREADS_MAX];
    unsigned count = work->file->count < ALONE_BELOW ? 0 : MIN(g_get_num_processors(), THREADS_MAX);
    work->bad = SIZE_MAX;
    for (unsigned i = 0; i < count; i++)
        threads[i] = g_thread_new("sums", take_chunks, work);
    if (count == 0)
        (void)take_chunks(work);
    for (unsigned i = 0; i < count; i++)
        (void)g_thread_join(threads[i]);
    if (work->failed == 0)
        return true;
    ireko_error_from_errno(error, work->failed, "cannot read '%s'", work->file->name);
    return false;
}

bool
vault_sum_file(int fd, VaultFile *file, GError **error)
{
    file->count = vault_chunks(file->bytes);
    g_free(file->sums);
    file->sums = g_new0(uint64_t, MAX(file->count, 1));
    Work work = {.fd = fd, .file = file, .sums = file->sums};
    return run(&work, error);
}

bool
vault_compare_file(int fd, const VaultFile *file, GError **error)
{
    Work work = {.fd = fd, .file = file};
    if (!run(&work, error))
        return false;
    if (work.bad == SIZE_MAX)
        return true;
    uint64_t offset = work.bad * IREKO_VAULT_CHUNK;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "'%s' is damaged: not as written between byte %" G_GUINT64_FORMAT
                " and %" G_GUINT64_FORMAT,
                file->name, offset, MIN(offset + IREKO_VAULT_CHUNK, file->bytes) - 1);
    return false;
}
