/* lab/clone/merge.c - pages of guests that hold the same become one page of this machine.
 *
 * TCG finds what it has translated by the physical page of its machine that the code stands in, and
 * the address that it runs at. A guest and the guest inside it run the same kernel and the same
 * agent at the same addresses (norandmaps: image/build.c), but from pages of their own, and so a
 * clone would translate all of it twice. Linux's KSM makes one page of them until somebody writes
 * to it; QEMU offers it the memory of guests by itself.
 *
 * KSM merges a page that it found unchanged the second time: after two rounds there is nothing more
 * to do (mm/ksm.c of Linux; Documentation/admin-guide/mm/ksm.rst). */
#include "lab/clone/merge.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"

#define KSM_FOLDER "/sys/kernel/mm/ksm/"
#define NUMBER_MAX ((size_t)64)
#define ROUNDS     2
#define BATCH      "2000" /* pages until it looks whether to go on */
#define MERGE_US   ((int64_t)20 * G_USEC_PER_SEC)
#define POLL_US    20000

static bool
set(const char *path, const char *value)
{
    IREKO_AUTOFD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

static uint64_t
rounds_done(void)
{
    g_autofree char *text =
        ireko_file_read(AT_FDCWD, KSM_FOLDER "full_scans", NUMBER_MAX, NULL, NULL);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

void
ireko_merge_pages(void)
{
    uint64_t until = rounds_done() + ROUNDS;
    int64_t end_us = g_get_monotonic_time() + MERGE_US;
    if (!set(KSM_FOLDER "pages_to_scan", BATCH) || !set(KSM_FOLDER "sleep_millisecs", "0") ||
        !set(KSM_FOLDER "run", "1"))
        return;
    while (rounds_done() < until && g_get_monotonic_time() < end_us)
        g_usleep(POLL_US);
    (void)set(KSM_FOLDER "run", "0"); /* what is one stays one */
}
