/* bench-find - how long it takes to find every control block in 1 GiB.
 *
 *     bench-find FILE
 *
 * FILE becomes the RAM of a machine, 1 GiB, in which L2 has 512 MiB and L3 in it 128 MiB, all of it
 * in pages of 4 KiB in no order, with the control blocks of KVM's hypervisors: of L2, of L3 in L2's
 * memory, and its shadow; all that no table is in is noise. "ready" is printed; then, for each line
 * that is read, all is found once, and the milliseconds are printed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/guests.h"
#include "xray/find.h"

#define MIB      ((uint64_t)1 << 20)
#define RAM      (1024 * MIB)
#define L2_BYTES (512 * MIB)
#define L3_BYTES (128 * MIB)
#define CONTROLS 3
#define GUESTS   2

static uint8_t *
map_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)RAM) < 0)
        g_error("'%s': %s", path, g_strerror(errno));
    void *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ram == MAP_FAILED)
        g_error("map '%s': %s", path, g_strerror(errno));
    (void)close(fd);
    return ram;
}

static void
fill_with_noise(uint8_t *ram)
{
    uint64_t state = 1;
    for (uint64_t at = 0; at < RAM; at += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(ram + at, &state, sizeof state);
    }
}

/* A guest of MACHINE with BYTES of memory, all of it given. */
static Guest
guest_new(Machine *machine, uint64_t bytes)
{
    Guest guest = {.machine = machine_new_inside(machine, IREKO_PAGING_4, bytes),
                   .paging = IREKO_PAGING_4};
    for (uint64_t at = 0; at < bytes; at += PAGE)
        (void)machine_outermost(guest.machine, at);
    guest.own = table_new(guest.machine, IREKO_PAGING_4, false);
    static const uint64_t addresses[] = {CODE, GDT, IDT};
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
        table_map(guest.machine, &guest.own, addresses[i], machine_take(guest.machine), 1, T_ALL);
    return guest;
}

static void
build(Machine *l1)
{
    Guest l2 = guest_new(l1, L2_BYTES), l3 = guest_new(l2.machine, L3_BYTES);
    IrekoTable shadow = table_new(l1, IREKO_PAGING_4, true);
    for (uint64_t at = 0; at < L3_BYTES; at += PAGE)
        table_map(l1, &shadow, at, machine_outermost(l3.machine, at), 1, T_ALL);
    put_vmcb(l1, machine_take(l1), &l2, l2.machine->nested.root.at, 0);
    put_vmcb(l1, machine_take(l1), &l3, shadow.root.at, 1);
    put_vmcb(l2.machine, machine_take(l2.machine), &l3, l3.machine->nested.root.at, 1);
}

static double
find_once(const IrekoMemory *memory, const IrekoRamMap *map)
{
    size_t controls = 0, guests = 0;
    gint64 began = g_get_monotonic_time();
    g_autoptr(IrekoFindings) findings = ireko_find(memory, map, NULL, 0);
    gint64 ended = g_get_monotonic_time();
    (void)ireko_findings_controls(findings, &controls);
    (void)ireko_findings_guests(findings, &guests);
    if (controls != CONTROLS || guests != GUESTS)
        g_error("%zu control blocks and %zu guests were found, not %d and %d", controls, guests,
                CONTROLS, GUESTS);
    return (double)(ended - began) / 1000;
}

int
main(int argc, char **argv)
{
    char line[64];
    if (argc != 2)
        return 2;
    GRand *random = g_rand_new_with_seed(1);
    Machine *l1 = machine_new(0, random);
    l1->bytes = RAM;
    l1->ram = map_file(argv[1]);
    fill_with_noise(l1->ram);
    build(l1);
    IrekoRam ram;
    machine_ram(l1, &ram);
    IrekoMemory memory = ireko_ram_memory(&ram);
    puts("ready");
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        printf("%.2f\n", find_once(&memory, &ram.map));
        (void)fflush(stdout);
    }
    return 0;
}
