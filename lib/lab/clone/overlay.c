/* lab/clone/overlay.c - a disk that lies over another one, put down as one.
 *
 * The overlay is a qcow2 (QEMU's docs/interop/qcow2.txt) that lab/made.h made and QEMU wrote to: of
 * version 3, in clusters of 64 KiB, not compressed, not encrypted. Its L1 table leads to L2 tables,
 * and these to clusters of the disk: what they do not lead to is as it is below. The process that
 * writes it serves a guest and is not trusted: each number is held against the file and the size of
 * the disk, and nothing in it names another file for us. A cluster of the file stands for one of
 * the disk, so no more are put down than the file has, and zeros take no room: a small overlay
 * makes no large disk. */
#include "lab/clone/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAGIC   UINT32_C(0x514649fb) /* "QFI", fbh */
#define BITS    16u
#define CLUSTER ((uint64_t)1 << BITS)
#define ENTRIES (CLUSTER / 8) /* of an L2 table */
#define HEADER  104u
#define FIRST   4 /* clusters at least: of the header, the refcounts in two levels, the L1 table */
#define MAY_DIFFER                                                                                 \
    UINT64_C(3) /* incompatible features that change nothing for us: dirty, corrupt */

#define OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define COMPRESSED  (UINT64_C(1) << 62)
#define ALL_ZEROS   UINT64_C(1)

typedef struct {
    int from_fd, to_fd;
    uint64_t bytes; /* of the disk */
    uint64_t left;  /* clusters of the file that may still be led to */
    uint64_t table[ENTRIES];
    uint8_t cluster[CLUSTER];
} Overlay;

static bool
damaged(const char *what, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "its overlay is damaged: %s", what);
    return false;
}

static bool
read_at(int fd, void *to, size_t len, uint64_t at, GError **error)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = at > INT64_MAX - len
                        ? 0
                        : pread(fd, (uint8_t *)to + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            ireko_error_from_errno(error, errno, "cannot read an overlay");
            return false;
        }
        if (n == 0)
            return damaged("it leads beyond its end", error);
        done += (size_t)n;
    }
    return true;
}

/* Counts a cluster that is led to. */
static bool
spend_cluster(Overlay *overlay, GError **error)
{
    if (overlay->left == 0)
        return damaged("one of its clusters is led to twice", error);
    overlay->left--;
    return true;
}

/* Reads the cluster AT: what is behind the end of the file was never written, and is zeros. */
static bool
read_cluster(Overlay *overlay, uint64_t at, GError **error)
{
    memset(overlay->cluster, 0, CLUSTER);
    off_t end = lseek(overlay->from_fd, 0, SEEK_END);
    if (end < 0 || at >= (uint64_t)end)
        return damaged("it leads beyond its end", error);
    return read_at(overlay->from_fd, overlay->cluster, (size_t)MIN(CLUSTER, (uint64_t)end - at), at,
                   error);
}

static uint64_t
number_at(const uint8_t *bytes, unsigned width)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* Where the L1 table stands. */
static bool
read_header(const Overlay *overlay, uint64_t *ret_l1, GError **error)
{
    uint8_t head[HEADER];
    if (!read_at(overlay->from_fd, head, sizeof head, 0, error))
        return false;
    uint64_t spanned = number_at(head + 36, 4) * ENTRIES * CLUSTER;
    if (number_at(head, 4) != MAGIC || number_at(head + 4, 4) != 3 ||
        number_at(head + 20, 4) != BITS || number_at(head + 24, 8) != overlay->bytes ||
        number_at(head + 32, 4) != 0 || (number_at(head + 72, 8) & ~MAY_DIFFER) != 0 ||
        spanned < overlay->bytes)
        return damaged("its header is not the one it was made with", error);
    *ret_l1 = number_at(head + 40, 8);
    return true;
}

/* Whether LEN bytes AT of the disk are zeros now without having been written. */
static bool
punch(const Overlay *overlay, uint64_t at, uint64_t len)
{
    return overlay->cluster[0] == 0 &&
           memcmp(overlay->cluster, overlay->cluster + 1, (size_t)len - 1) == 0 &&
           fallocate(overlay->to_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                     (off_t)len) == 0;
}

static bool
write_at(const Overlay *overlay, uint64_t at, GError **error)
{
    uint64_t len = MIN(CLUSTER, overlay->bytes - at);
    if (punch(overlay, at, len))
        return true;
    for (uint64_t done = 0; done < len;) {
        ssize_t n = pwrite(overlay->to_fd, overlay->cluster + done, (size_t)(len - done),
                           (off_t)(at + done));
        if (n < 0 && errno != EINTR) {
            ireko_error_from_errno(error, errno, "cannot write the disk");
            return false;
        }
        done += n > 0 ? (uint64_t)n : 0;
    }
    return true;
}

/* Puts the cluster of ENTRY down AT its place of the disk. */
static bool
put_cluster(Overlay *overlay, uint64_t entry, uint64_t at, GError **error)
{
    if ((entry & COMPRESSED) != 0)
        return damaged("a cluster is compressed", error);
    if ((entry & ALL_ZEROS) != 0)
        memset(overlay->cluster, 0, CLUSTER);
    else if ((entry & OFFSET_MASK) == 0)
        return true;
    else if (!spend_cluster(overlay, error) || !read_cluster(overlay, entry & OFFSET_MASK, error))
        return false;
    return write_at(overlay, at, error);
}

/* Puts down what the L2 table AT leads to; the disk's bytes begin at START there. What it says of
 * clusters behind the disk's end is nobody's, and not looked at. */
static bool
put_table(Overlay *overlay, uint64_t at, uint64_t start, GError **error)
{
    if (!spend_cluster(overlay, error) ||
        !read_at(overlay->from_fd, overlay->table, sizeof overlay->table, at, error))
        return false;
    for (uint64_t i = 0; i < ENTRIES && start + i * CLUSTER < overlay->bytes; i++) {
        if (!put_cluster(overlay, GUINT64_FROM_BE(overlay->table[i]), start + i * CLUSTER, error))
            return false;
    }
    return true;
}

bool
ireko_overlay_put(int from_fd, int to_fd, uint64_t bytes, GError **error)
{
    g_autofree Overlay *overlay = g_new(Overlay, 1);
    overlay->from_fd = from_fd;
    overlay->to_fd = to_fd;
    overlay->bytes = bytes;
    off_t end = lseek(from_fd, 0, SEEK_END);
    uint64_t clusters = end > 0 ? ((uint64_t)end + CLUSTER - 1) / CLUSTER : 0;
    overlay->left = clusters - MIN(clusters, FIRST);
    uint64_t l1 = 0;
    if (ftruncate(to_fd, (off_t)bytes) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a disk of %llu bytes",
                               (unsigned long long)bytes);
        return false;
    }
    if (!read_header(overlay, &l1, error))
        return false;
    for (uint64_t i = 0; i * ENTRIES * CLUSTER < bytes; i++) {
        uint8_t raw[8];
        if (l1 > INT64_MAX - i * 8)
            return damaged("it leads beyond its end", error);
        if (!read_at(from_fd, raw, sizeof raw, l1 + i * 8, error))
            return false;
        uint64_t table = number_at(raw, 8) & OFFSET_MASK;
        if (table != 0 && !put_table(overlay, table, i * ENTRIES * CLUSTER, error))
            return false;
    }
    return true;
}
