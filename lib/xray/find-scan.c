/* xray/find-scan.c - every page of RAM looked at for the form of a control block.
 *
 * Control blocks begin pages, so of each page its first two cache lines are read, and of few any
 * more. What that costs is the way to memory: pages ahead are asked for early, so that many of
 * them are on the way at once. */
#include <string.h>

#include "xray/find-parts.h"

#define AHEAD 16 /* pages */

/* Whether a vCPU of the outermost machine runs what is at AT, or ran it last. */
static bool
is_run(const IrekoFindings *findings, IrekoGpa at, const IrekoControl *control)
{
    IrekoNested kind = control->kind == IREKO_CONTROL_VMCB ? IREKO_NESTED_SVM : IREKO_NESTED_VMX;
    for (size_t i = 0; i < findings->n_vcpus; i++) {
        if (findings->vcpus[i].control_gpa == at.at && findings->vcpus[i].nested == kind)
            return true;
    }
    return false;
}

static void
add(IrekoFindings *findings, IrekoGpa at, const void *page)
{
    IrekoControl control;
    if (!ireko_control_read(page, &control))
        return;
    bool ran = is_run(findings, at, &control);
    if (findings->founds->len >= IREKO_FIND_CONTROLS_MAX && !ran) {
        findings->cut = true;
        return;
    }
    IrekoFound found = {.control = control,
                        .trust = ran ? IREKO_FIND_RUN : IREKO_FIND_UNCONFIRMED,
                        .gpa = at,
                        .owner = IREKO_FIND_OUTERMOST,
                        .at = at.at,
                        .guest = IREKO_FIND_OUTERMOST};
    g_array_append_val(findings->founds, found);
}

/* The control block at AT as a KVM keeps it apart while it is in use: what is in memory then may be
 * old. NULL where it does not. */
static const uint8_t *
kept_apart(const IrekoFindings *findings, IrekoGpa at)
{
    for (size_t i = 0; i < findings->n_vcpus; i++) {
        const IrekoVcpu *vcpu = &findings->vcpus[i];
        if (vcpu->control_gpa == at.at && vcpu->image_bytes == IREKO_PAGE_BYTES)
            return vcpu->image;
    }
    return NULL;
}

/* The processes that the vCPUs ran guests for. */
static void
add_processes(IrekoFindings *findings)
{
    for (size_t i = 0; i < findings->n_vcpus; i++) {
        IrekoPutAway away;
        if (ireko_find_put_away(findings->memory, &findings->vcpus[i], &away))
            ireko_find_add_process(findings, &away);
    }
}

/* The same where the vCPUs are not known: from the page at AT, where VMRUN may have put it. */
static void
look_for_process(IrekoFindings *findings, IrekoGpa at)
{
    const IrekoMemory *memory = findings->memory;
    uint8_t page[IREKO_PAGE_BYTES];
    IrekoPutAway away;
    if (memory->read(memory->data, at, page, sizeof page) && ireko_vmcb_maybe_host(page) &&
        ireko_vmcb_read_host(page, &away))
        ireko_find_add_process(findings, &away);
}

/* The page at AT, copied, since it may change while it is judged. */
static void
look_closer(IrekoFindings *findings, IrekoGpa at)
{
    const IrekoMemory *memory = findings->memory;
    const uint8_t *kept = kept_apart(findings, at);
    uint8_t page[IREKO_PAGE_BYTES];
    if (kept != NULL)
        add(findings, at, kept);
    else if (memory->read(memory->data, at, page, sizeof page))
        add(findings, at, page);
}

static void
scan_window(IrekoFindings *findings, IrekoGpa start, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len; at += IREKO_PAGE_BYTES) {
        const uint8_t *ahead = bytes + at + (size_t)AHEAD * IREKO_PAGE_BYTES;
        if (at + (size_t)AHEAD * IREKO_PAGE_BYTES < len) {
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + IREKO_CONTROL_LINES / 2);
        }
        if (ireko_control_maybe(bytes + at))
            look_closer(findings, (IrekoGpa){start.at + at});
        else if (findings->n_vcpus == 0 && ireko_vmcb_maybe_host(bytes + at))
            look_for_process(findings, (IrekoGpa){start.at + at});
    }
}

static void
scan_pages(IrekoFindings *findings, IrekoGpa start, size_t len)
{
    const IrekoMemory *memory = findings->memory;
    for (size_t at = 0; at < len; at += IREKO_PAGE_BYTES) {
        uint8_t lines[IREKO_CONTROL_LINES];
        IrekoGpa page = {start.at + at};
        if (memory->read(memory->data, page, lines, sizeof lines) && ireko_control_maybe(lines))
            look_closer(findings, page);
    }
}

/* All of what is in a row from AT on, at most LEFT bytes; returns how many. */
static uint64_t
scan_row(IrekoFindings *findings, IrekoGpa at, uint64_t left)
{
    const IrekoMemory *memory = findings->memory;
    size_t len = 0;
    const uint8_t *bytes = memory->window != NULL ? memory->window(memory->data, at, &len) : NULL;
    if (memory->window == NULL) {
        scan_pages(findings, at, left);
        return left;
    }
    len = MIN(len, left) & ~(size_t)(IREKO_PAGE_BYTES - 1);
    if (bytes == NULL || len == 0)
        return IREKO_PAGE_BYTES;
    scan_window(findings, at, bytes, len);
    return len;
}

void
ireko_find_scan(IrekoFindings *findings)
{
    add_processes(findings);
    for (size_t i = 0; i < findings->map->n; i++) {
        const IrekoRamRange *range = &findings->map->ranges[i];
        for (uint64_t done = 0; done < range->bytes;)
            done += scan_row(findings, (IrekoGpa){range->start.at + done}, range->bytes - done);
    }
}
