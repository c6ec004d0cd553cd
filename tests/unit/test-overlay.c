/* A disk and the overlay over it become one disk; an overlay that is not as it was made, none. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "lab/clone/overlay.h"
#include "lab/made.h"

#define CLUSTER    65536
#define DISK_BYTES ((uint64_t)4 * CLUSTER + 512) /* the last cluster is cut */
#define L1_AT      (3 * CLUSTER)
#define L2_AT      (4 * CLUSTER)
#define DATA_AT    (5 * CLUSTER)
#define COMPRESSED (UINT64_C(1) << 62)
#define FAR        (UINT64_C(1) << 40)

typedef struct {
    const char *label;
    uint64_t l1;         /* what the table's first entry is set to */
    uint64_t entries[6]; /* of the L2 table */
    unsigned at;         /* a byte of the header that is changed; 0: none */
    const char *wrong;   /* what is said of it; NULL: it is good */
    char want[6];        /* the first byte of each cluster; below is 'b' */
} Case;

static const Case cases[] = {
    {.label = "nothing written leaves what is below", .want = "bbbbb"},
    {.label = "a cluster that was written", .l1 = L2_AT, .entries = {0, DATA_AT}, .want = "bxbbb"},
    {.label = "the last one, which is cut",
     .l1 = L2_AT,
     .entries = {0, 0, 0, 0, DATA_AT},
     .want = "bbbbx"},
    {.label = "zeros that were written", .l1 = L2_AT, .entries = {0, 0, 1}, .want = "bb\0bb"},
    {.label = "one cluster at two places",
     .l1 = L2_AT,
     .entries = {DATA_AT, DATA_AT},
     .wrong = "led to twice"},
    {.label = "flags of QEMU's are not part of a place",
     .l1 = L2_AT | UINT64_C(1) << 63,
     .entries = {DATA_AT | UINT64_C(1) << 63},
     .want = "xbbbb"},
    {.label = "what is behind the end of the disk is nobody's",
     .l1 = L2_AT,
     .entries = {0, DATA_AT, 0, 0, 0, FAR},
     .want = "bxbbb"},
    {.label = "a table beyond the end", .l1 = FAR, .wrong = "beyond its end"},
    {.label = "a cluster beyond the end", .l1 = L2_AT, .entries = {FAR}, .wrong = "beyond its end"},
    {.label = "a compressed cluster",
     .l1 = L2_AT,
     .entries = {COMPRESSED | DATA_AT},
     .wrong = "compressed"},
    {.label = "another magic", .at = 1, .wrong = "its header"},
    {.label = "another version", .at = 7, .wrong = "its header"},
    {.label = "other clusters", .at = 23, .wrong = "its header"},
    {.label = "another size", .at = 30, .wrong = "its header"},
    {.label = "encrypted", .at = 35, .wrong = "its header"},
    {.label = "data in another file (an incompatible feature)", .at = 79, .wrong = "its header"},
};

static void
put_numbers(int fd, const uint64_t *numbers, size_t count, off_t at)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t raw = GUINT64_TO_BE(numbers[i]);
        g_assert_cmpint(pwrite(fd, &raw, sizeof raw, at + (off_t)(8 * i)), ==, sizeof raw);
    }
}

/* The overlay of the case C in FOLDER: a descriptor. */
static int
make_overlay(const Case *c, const char *folder)
{
    static const char data[CLUSTER] = "x";
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    char device[] = "scsi0:1";
    const IrekoDisk disk = {.device = device, .create_bytes = DISK_BYTES};
    g_assert_true(ireko_made_overlay(&disk, folder, &path, &error));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    put_numbers(fd, &c->l1, 1, L1_AT);
    if (c->l1 != 0) {
        g_assert_cmpint(ftruncate(fd, DATA_AT), ==, 0);
        put_numbers(fd, c->entries, G_N_ELEMENTS(c->entries), L2_AT);
        g_assert_cmpint(pwrite(fd, data, 100, DATA_AT), ==, 100); /* the rest was never written */
    }
    char byte = 0;
    if (c->at != 0) {
        g_assert_cmpint(pread(fd, &byte, 1, c->at), ==, 1);
        byte ^= 4;
        g_assert_cmpint(pwrite(fd, &byte, 1, c->at), ==, 1);
    }
    return fd;
}

static void
test_put(const void *data)
{
    const Case *c = data;
    g_autofree char *folder = g_dir_make_tmp("ireko-overlay-XXXXXX", NULL);
    IREKO_AUTOFD from_fd = make_overlay(c, folder);
    g_autofree char *path = g_build_filename(folder, "disk", NULL);
    IREKO_AUTOFD to_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_autofree char *below = g_malloc(DISK_BYTES);
    memset(below, 'b', DISK_BYTES);
    g_assert_cmpint(pwrite(to_fd, below, DISK_BYTES, 0), ==, (ssize_t)DISK_BYTES);

    g_autoptr(GError) error = NULL;
    bool put = ireko_overlay_put(from_fd, to_fd, DISK_BYTES, &error);
    if (c->wrong != NULL) {
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        g_assert_nonnull(strstr(error->message, c->wrong));
    } else {
        g_assert_no_error(error);
        g_assert_true(put);
        g_assert_cmpint(lseek(to_fd, 0, SEEK_END), ==, (off_t)DISK_BYTES);
    }
    for (size_t i = 0; put && i < 5; i++) {
        char byte = '?';
        g_assert_cmpint(pread(to_fd, &byte, 1, (off_t)(i * CLUSTER)), ==, 1);
        g_assert_cmpint(byte, ==, c->want[i]);
        if (byte == 0) /* and takes no room */
            g_assert_cmpint(lseek(to_fd, (off_t)(i * CLUSTER), SEEK_HOLE), ==, i * CLUSTER);
    }
    g_assert_true(ireko_file_remove_tree(folder, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strconcat("/overlay/", cases[i].label, NULL);
        g_test_add_data_func(name, &cases[i], test_put);
    }
    return g_test_run();
}
