/* tests/e2e/guest-pages.c - runs inside a machine: pages that know where they are.
 *
 *     guest-pages SMALL LARGE [rest]
 *
 * maps SMALL pages of 4 KiB and LARGE of 2 MiB, fills each with words that no other has, and prints
 * for each "SIZE VIRTUAL PHYSICAL WORD" in hex, the physical address as /proc/self/pagemap has it;
 * then "ready". It computes until its standard input ends, so that a vCPU has its page tables
 * loaded, and counts rounds of that, which it prints at its end. */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALL   4096
#define LARGE   ((size_t)2 << 20)
#define MARK    UINT64_C(0x6972656b00000000)
#define ROUND   100000
#define REST_US 100
#define PRESENT (UINT64_C(1) << 63)
#define FRAME   ((UINT64_C(1) << 55) - 1)
#define POOL    "/proc/sys/vm/nr_hugepages"

static volatile uint64_t work;

static uint64_t
physical_of(int pagemap, const void *page)
{
    uint64_t entry = 0;
    off_t at = (off_t)((uintptr_t)page / SMALL * sizeof entry);
    if (pread(pagemap, &entry, sizeof entry, at) != sizeof entry || (entry & PRESENT) == 0)
        exit(3);
    return (entry & FRAME) * SMALL;
}

static void
make(int pagemap, size_t size, size_t count, int flags)
{
    if (count == 0)
        return;
    uint8_t *pages = mmap(NULL, size * count, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (pages == MAP_FAILED) {
        perror("guest-pages: mmap");
        exit(2);
    }
    if (size == SMALL)
        (void)madvise(pages, size * count, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < count; i++) {
        uint64_t *words = (uint64_t *)(void *)(pages + i * size);
        uint64_t word = MARK | (size == SMALL ? 0 : UINT64_C(1) << 20) | i;
        for (size_t k = 0; k < size / sizeof word; k++)
            words[k] = word + (k * sizeof word / SMALL << 21);
    }
    (void)mlock(pages, size * count);
    for (size_t i = 0; i < count; i++) {
        const uint64_t *words = (const uint64_t *)(const void *)(pages + i * size);
        printf("%zx %llx %llx %llx\n", size, (unsigned long long)(uintptr_t)words,
               (unsigned long long)physical_of(pagemap, words), (unsigned long long)words[0]);
    }
}

int
main(int argc, char **argv)
{
    size_t small = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t large = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    int pool = large > 0 ? open(POOL, O_WRONLY) : -1;
    if (pool >= 0)
        (void)dprintf(pool, "%zu\n", large);
    make(pagemap, SMALL, small, 0);
    make(pagemap, LARGE, large, MAP_HUGETLB);
    (void)puts("ready");
    (void)fflush(stdout);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned long rounds = 0;
    for (char asked = 0;;) {
        for (unsigned i = 0; i < ROUND; i++)
            work = work * 3 + i;
        rounds++;
        if (argc > 3)
            (void)usleep(REST_US);
        if (poll(&input, 1, 0) == 0)
            continue;
        ssize_t n = read(STDIN_FILENO, &asked, 1);
        printf("rounds %lu\n", rounds);
        (void)fflush(stdout);
        if (n <= 0)
            break;
    }
    return 0;
}
