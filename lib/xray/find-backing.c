/* xray/find-backing.c - which process of the outermost machine has a guest's memory.
 *
 * The nested table of a guest leaves out what the hypervisor moved and the guest has not touched
 * since (backing.c). The rest is in the page tables of the process that runs the guest, and these
 * were loaded when a vCPU ran the guest: they are in what VMRUN put away. Where the vCPUs are not
 * known the pages where it is put are found by their form, as control blocks are. That is the
 * process of the guest that ran last. The others have the same kernel, and so the same upper half
 * of their top-level table (Linux: pgd_ctor, arch/x86/mm/pgtable.c): all pages with it are looked
 * at.
 *
 * Such a process has the guest's memory in a row, from some address on. So that address is voted
 * for by samples of the nested table, and then every page that the nested table does map has to be
 * where the process has it; what both say where both say something, the process may say alone
 * between the first such page and the last. Who would forge that for pages of others has to know
 * where all its own pages are in RAM, which no hypervisor tells its guests.
 *
 * Below 1 MiB nothing is filled in: there a PC has other things than the RAM that lies behind. */
#include <string.h>

#include "xray/backing.h"
#include "xray/find-parts.h"

#define ENTRIES     512
#define LOW_MEMORY  ((uint64_t)1 << 20)
#define HALF        ((uint64_t)1 << 32) /* devices are below: RAM goes on elsewhere in the process */
#define USERS_END   ((uint64_t)1 << 47)
#define PAGES_LEAST 16
#define AGREE_LEAST 0.99 /* of the pages: a machine may run while it is looked at */

bool
ireko_find_put_away(const IrekoMemory *memory, const IrekoVcpu *vcpu, IrekoPutAway *ret_away)
{
    uint8_t block[IREKO_PAGE_BYTES];
    bool svm = vcpu->nested == IREKO_NESTED_SVM;
    if (vcpu->image_bytes == sizeof block)
        return (svm ? ireko_vmcb_read_host : ireko_vmcs_read_host)(vcpu->image, ret_away);
    return svm && vcpu->hsave_gpa != 0 &&
           memory->read(memory->data, (IrekoGpa){vcpu->hsave_gpa}, block, sizeof block) &&
           ireko_vmcb_read_host(block, ret_away);
}

static void
add_table(IrekoFindings *findings, const IrekoTable *process)
{
    for (guint i = 0; i < findings->processes->len; i++) {
        if (g_array_index(findings->processes, IrekoTable, i).root.at == process->root.at)
            return;
    }
    if (process->width > 32 && findings->processes->len < IREKO_FIND_PROCESSES_MAX)
        g_array_append_vals(findings->processes, process, 1);
}

void
ireko_find_add_process(IrekoFindings *findings, const IrekoPutAway *away)
{
    IrekoTable process = ireko_table_own(&away->state);
    add_table(findings, &process);
}

/* The upper half of a top-level table, which is the kernel's. */
typedef struct {
    IrekoTable table;
    uint64_t entries[ENTRIES / 2];
} Kernel;

static bool
read_kernel(const IrekoMemory *memory, const IrekoTable *process, Kernel *ret_kernel)
{
    ret_kernel->table = *process;
    IrekoGpa half = {process->root.at + sizeof ret_kernel->entries};
    return memory->read(memory->data, half, ret_kernel->entries, sizeof ret_kernel->entries) &&
           ret_kernel->entries[ENTRIES / 2 - 1] != 0;
}

/* Those among the pages at BYTES, LEN long, which are at START. */
static void
add_siblings_in(
    IrekoFindings *findings, const Kernel *kernel, IrekoGpa start, const uint8_t *bytes, size_t len)
{
    const size_t half = sizeof kernel->entries, last = sizeof *kernel->entries;
    const uint64_t *needed = &kernel->entries[ENTRIES / 2 - 1];
    for (size_t at = 0; at + IREKO_PAGE_BYTES <= len; at += IREKO_PAGE_BYTES) {
        if (memcmp(bytes + at + 2 * half - last, needed, last) == 0 &&
            memcmp(bytes + at + half, kernel->entries, half) == 0) {
            IrekoTable sibling = kernel->table;
            sibling.root.at = start.at + at;
            add_table(findings, &sibling);
        }
    }
}

static void
add_siblings(IrekoFindings *findings, const Kernel *kernel)
{
    const IrekoMemory *memory = findings->memory;
    for (size_t i = 0; i < findings->map->n; i++) {
        const IrekoRamRange *range = &findings->map->ranges[i];
        for (uint64_t done = 0; done < range->bytes;) {
            size_t len = 0;
            IrekoGpa at = {range->start.at + done};
            const uint8_t *bytes = memory->window(memory->data, at, &len);
            len = (size_t)MIN(len, range->bytes - done);
            if (bytes != NULL)
                add_siblings_in(findings, kernel, at, bytes, len);
            done += bytes != NULL && len >= IREKO_PAGE_BYTES ? len - len % IREKO_PAGE_BYTES
                                                             : IREKO_PAGE_BYTES;
        }
    }
}

void
ireko_find_add_siblings(IrekoFindings *findings)
{
    Kernel kernel, last = {0};
    guint known = findings->processes->len;
    for (guint i = 0; findings->memory->window != NULL && i < known; i++) {
        IrekoTable process = g_array_index(findings->processes, IrekoTable, i);
        if (!read_kernel(findings->memory, &process, &kernel) ||
            memcmp(kernel.entries, last.entries, sizeof kernel.entries) == 0)
            continue;
        add_siblings(findings, &kernel);
        last = kernel;
    }
}

/* ---- where a process has it ---- */

typedef struct {
    IrekoFindings *findings;
    const IrekoFindGroup *group;
    GHashTable
        *votes[IREKO_BACKING_SPANS]; /* address in the process of 0 in the guest -> how many */
} Vote;

static bool
spend(IrekoFindings *findings, uint64_t cost)
{
    findings->backing_budget -= MIN(findings->backing_budget, cost);
    return findings->backing_budget > 0;
}

/* Votes for each sample that RUN, of the process, is a page of. */
static bool
vote(void *data, const IrekoRun *run)
{
    Vote *vote = data;
    if (run->start >= USERS_END || !spend(vote->findings, 1))
        return false;
    if (run->cause != IREKO_CAUSE_NONE || (run->rights & IREKO_RIGHT_USER) == 0)
        return true;
    for (size_t i = 0; i < vote->group->n_samples; i++) {
        const IrekoFindSample *sample = &vote->group->samples[i];
        uint64_t far = sample->gpa.at - run->gpa.at;
        if (far >= run->bytes || sample->at < LOW_MEMORY)
            continue;
        GHashTable *votes = vote->votes[sample->at >= HALF];
        gpointer zero = GSIZE_TO_POINTER(run->start + far - sample->at);
        size_t n = GPOINTER_TO_SIZE(g_hash_table_lookup(votes, zero));
        g_hash_table_insert(votes, zero, GSIZE_TO_POINTER(n + 1));
    }
    return true;
}

/* The address that most samples are for; false where none is for any. */
static bool
elected(GHashTable *votes, uint64_t *ret_zero)
{
    GHashTableIter iter;
    gpointer zero, n;
    size_t most = 0;
    g_hash_table_iter_init(&iter, votes);
    while (g_hash_table_iter_next(&iter, &zero, &n)) {
        if (GPOINTER_TO_SIZE(n) <= most)
            continue;
        most = GPOINTER_TO_SIZE(n);
        *ret_zero = GPOINTER_TO_SIZE(zero);
    }
    return most > 0;
}

typedef struct {
    IrekoFindLayer *layer;
    IrekoMemory memory;
    IrekoBacking whole; /* with the one span that is tried, as long as may be */
    uint64_t first, end, same, all;
} Trial;

static bool
try_run(void *data, const IrekoRun *run)
{
    Trial *trial = data;
    const IrekoBackingSpan *span = &trial->whole.spans[0];
    const IrekoWalkOrder order = {0};
    if (run->cause != IREKO_CAUSE_NONE)
        return true;
    for (uint64_t done = 0; done < run->bytes; done += IREKO_PAGE_BYTES) {
        IrekoWalk walk;
        uint64_t at = run->start + done;
        if (at - span->start >= span->bytes)
            continue;
        if (!spend(trial->layer->findings, 1))
            return false;
        bool there = ireko_backing_walk(&trial->whole, &trial->memory, at, &order, &walk);
        bool same = there && walk.at.at == run->gpa.at + done;
        trial->all++;
        trial->same += same;
        if (same)
            trial->first = MIN(trial->first, at);
        if (same)
            trial->end = at + IREKO_PAGE_BYTES;
    }
    return true;
}

/* Adds to BACKING the span of guest memory, whose address 0 the process has at ZERO, in the half
 * of that number, if all that the nested table of GROUP says agrees. */
static void
add_span(IrekoFindLayer *layer,
         const IrekoFindGroup *group,
         uint64_t zero,
         unsigned half,
         IrekoBacking *backing)
{
    uint64_t start = half == 0 ? LOW_MEMORY : HALF;
    IrekoBackingSpan most = {
        .start = start, .bytes = half == 0 ? HALF - start : USERS_END - start, .to = zero + start};
    Trial trial = {.layer = layer,
                   .memory = *layer->findings->memory,
                   .whole = {.process = backing->process, .spans = {most}, .n = 1},
                   .first = UINT64_MAX};
    IrekoMapEnd end;
    if (!ireko_map(layer->chain, &group->table, try_run, &trial, &end) || end.cut ||
        trial.same < PAGES_LEAST || (double)trial.same < AGREE_LEAST * (double)trial.all)
        return;
    backing->spans[backing->n++] = (IrekoBackingSpan){
        .start = trial.first, .bytes = trial.end - trial.first, .to = zero + trial.first};
}

/* Whether PROCESS has the memory of GROUP's guest, and where. */
static bool
learn(IrekoFindLayer *layer,
      const IrekoFindGroup *group,
      const IrekoTable *process,
      IrekoBacking *ret_backing)
{
    Vote ballot = {.findings = layer->findings, .group = group};
    IrekoMapEnd end;
    *ret_backing = (IrekoBacking){.process = *process};
    for (unsigned half = 0; half < IREKO_BACKING_SPANS; half++)
        ballot.votes[half] = g_hash_table_new(NULL, NULL);
    (void)ireko_map(layer->chain, process, vote, &ballot, &end);
    bool more = spend(layer->findings, end.tables);
    for (unsigned half = 0; half < IREKO_BACKING_SPANS; half++) {
        uint64_t zero = 0;
        if (more && elected(ballot.votes[half], &zero))
            add_span(layer, group, zero, half, ret_backing);
        g_hash_table_unref(ballot.votes[half]);
    }
    return ret_backing->n > 0;
}

const IrekoBacking *
ireko_find_backing(IrekoFindLayer *layer, const IrekoFindGroup *group)
{
    IrekoFindings *findings = layer->findings;
    IrekoBacking backing;
    if (layer->owner != IREKO_FIND_OUTERMOST)
        return NULL;
    for (guint i = 0; i < findings->processes->len && findings->backing_budget > 0; i++) {
        if (!learn(layer, group, &g_array_index(findings->processes, IrekoTable, i), &backing))
            continue;
        IrekoBacking *kept = g_memdup2(&backing, sizeof backing);
        g_ptr_array_add(findings->backings, kept);
        return kept;
    }
    return NULL;
}
