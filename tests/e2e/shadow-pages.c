/* tests/e2e/shadow-pages.c - two ways from a guest of a guest to the outermost machine's memory.
 *
 *     shadow-pages MEMORY-FILE
 *
 * A processor has one nested table, so the outermost hypervisor merges those of the hypervisors
 * inside it into one and runs their guests by that (KVM's vmcb02). Where this shadow maps a page,
 * the tables that it was merged from lead to the same page, or somebody is wrong. For each shadow
 * that is found in the memory file, every page of the guest is taken both ways; printed are how
 * many come to the same page, to another, and are not in the shadow, which is filled as the guest
 * touches pages.
 *
 * The machine may run: what changes in between comes to another page. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xray/find.h"
#include "xray/map.h"

typedef struct {
    int fd;
    IrekoRamMap map;
} File;

typedef struct {
    IrekoChain *shadow;
    uint64_t same, other, absent;
} Compared;

/* By pread(2): a hole that is read through a mapping is filled. */
static bool
read_file(void *data, IrekoGpa at, void *ret_bytes, size_t len)
{
    const File *file = data;
    IrekoOffset offset;
    return ireko_ram_map_row(&file->map, at, &offset) >= len &&
           pread(file->fd, ret_bytes, len, (off_t)offset.at) == (ssize_t)len;
}

static bool
compare_run(void *data, const IrekoRun *run)
{
    Compared *compared = data;
    for (uint64_t done = 0; run->cause == IREKO_CAUSE_NONE && done < run->bytes;
         done += IREKO_PAGE_BYTES) {
        IrekoWay way;
        if (!ireko_chain_npa(compared->shadow, (IrekoNpa){run->start + done}, 0, NULL, &way))
            compared->absent++;
        else if (way.gpa.at == run->gpa.at + done)
            compared->same++;
        else
            compared->other++;
    }
    return true;
}

/* The way by the guest's own hypervisors against the one by the shadow that CONTROL names. */
static Compared
compare(const IrekoMemory *memory,
        const IrekoRamMap *map,
        const IrekoFindings *findings,
        const IrekoFound *control)
{
    size_t n = 0;
    const IrekoGuest *guests = ireko_findings_guests(findings, &n);
    const IrekoGuest *guest = &guests[control->guest];
    IrekoTable table = guests[0].nested; /* of the same hypervisor, so of the same form */
    table.root.at = control->control.nested_root & table.table_mask;
    g_autoptr(IrekoChain) shadow = ireko_chain_new(memory, map, &table, 1);
    g_autoptr(IrekoChain) builder = ireko_findings_chain(findings, guest->parent);
    Compared compared = {.shadow = shadow};
    IrekoMapEnd end;
    (void)ireko_map(builder, &guest->nested, compare_run, &compared, &end);
    return compared;
}

int
main(int argc, char **argv)
{
    File file = {.fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1};
    struct stat st;
    if (file.fd < 0 || fstat(file.fd, &st) != 0) {
        perror("shadow-pages MEMORY-FILE");
        return 2;
    }
    file.map = ireko_ram_map_pc((uint64_t)st.st_size);
    IrekoMemory memory = {.read = read_file, .data = &file};
    g_autoptr(IrekoFindings) findings = ireko_find(&memory, &file.map, NULL, 0);
    size_t n = 0;
    const IrekoFound *controls = ireko_findings_controls(findings, &n);
    for (size_t i = 0; i < n; i++) {
        if (!controls[i].shadow || controls[i].guest == IREKO_FIND_OUTERMOST)
            continue;
        Compared compared = compare(&memory, &file.map, findings, &controls[i]);
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", compared.same, compared.other,
               compared.absent);
    }
    return 0;
}
