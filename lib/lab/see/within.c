/* lab/see/within.c - see within.h.
 *
 * Which guest is a machine? The findings are a tree: each guest after the guest whose hypervisor
 * runs it. It is gone down along the path. Where a layer has one guest and the lab says one, these
 * are the same. Where it has several, a guest is the machine whose path its own kernel was started
 * with: the parameter ireko.path, which stands in its memory as long as it runs. A guest can write
 * there what it likes: it can make itself unknown, or be taken for another that the same lab has
 * inside the same hypervisor, if that one hides; what the evidence says is shown with each answer.
 *
 * What a vCPU of it holds is in the control block that the hypervisor around made for it, as of its
 * last exit. Two things are newer: the registers of the outermost vCPU, while it runs just that
 * guest; and, for a guest of a guest, the block by which the outermost hypervisor really runs it
 * (KVM's vmcb02), if that is the one that ran last. */
#include "lab/see/within.h"

#include <string.h>

#include "lab/record.h"
#include "lab/see/seen.h"
#include "xray/map.h"

#define EFER_LMA       (UINT64_C(1) << 10)
#define CR0_PE         (UINT64_C(1) << 0)
#define PATH_OPTION    "ireko.path="
#define PATH_BYTES_MAX 1024 /* bytes of a path that is looked at */
#define NAME_OPTION    "ireko.name="
#define NAME_BYTES_MAX 1024 /* bytes of a name before it */

static void
free_within(void *data)
{
    IrekoWithin *within = data;
    g_free(within->evidence);
    g_free(within);
}

static unsigned
bits_of(const IrekoPagingState *state)
{
    if ((state->efer & EFER_LMA) != 0)
        return 64;
    return (state->cr0 & CR0_PE) != 0 ? 32 : 16;
}

static IrekoWithin *
within_new(
    unsigned number, size_t guest, const IrekoPagingState *state, uint64_t rip, uint64_t base)
{
    IrekoWithin *within = g_new0(IrekoWithin, 1);
    within->number = number;
    within->guest = guest;
    within->state = *state;
    within->rip = rip;
    within->code_bits = bits_of(state);
    within->cs_base = within->code_bits == 64 ? 0 : base;
    return within;
}

static IrekoWithin *
from_registers(const IrekoVcpu *vcpu, unsigned number, size_t guest)
{
    const IrekoPagingState state = {
        .cr0 = vcpu->cr0, .cr3 = vcpu->cr3, .cr4 = vcpu->cr4, .efer = vcpu->efer};
    return within_new(number, guest, &state, vcpu->rip, vcpu->segs[IREKO_SEG_CS].base);
}

/* ---- the outermost machine ---- */

/* What VCPU put away for the guest that it runs, and in words where. NULL: not known. */
static char *
find_put_away(const IrekoMemory *memory, const IrekoVcpu *vcpu, IrekoPutAway *ret_away)
{
    if (!ireko_find_put_away(memory, vcpu, ret_away))
        return NULL;
    if (vcpu->image_bytes == IREKO_PAGE_BYTES)
        return g_strdup("its registers as KVM keeps them apart");
    return g_strdup_printf(
        "its registers where VMRUN put them, at L1 physical 0x%" G_GINT64_MODIFIER "x",
        vcpu->hsave_gpa);
}

/* Its own vCPU: while it runs a guest its registers are put away. */
static IrekoWithin *
outermost_vcpu(const IrekoMemory *memory, const IrekoVcpu *vcpu)
{
    if (!vcpu->guest_mode) {
        IrekoWithin *within = from_registers(vcpu, vcpu->number, IREKO_FIND_OUTERMOST);
        within->evidence = g_strdup("its registers, in the state that QEMU wrote");
        return within;
    }
    IrekoPutAway away;
    g_autofree char *where = find_put_away(memory, vcpu, &away);
    if (where == NULL)
        return NULL;
    IrekoWithin *within =
        within_new(vcpu->number, IREKO_FIND_OUTERMOST, &away.state, away.rip, away.cs_base);
    within->evidence = g_strconcat(where, ": it runs a guest just now", NULL);
    return within;
}

/* Whether WITHIN's next instruction is where its page tables say. Those of a guest's hardly ever
 * lead anywhere in the memory of the machine around it. */
static bool
leads_to_code(const IrekoSource *source, const IrekoWithin *within)
{
    g_autoptr(IrekoChain) chain = ireko_within_chain(source, within->guest);
    IrekoTable own = ireko_table_own(&within->state);
    IrekoWay way;
    return ireko_chain_gva(chain, &own, (IrekoGva){within->cs_base + within->rip}, 0, NULL, &way);
}

/* Whether these registers may be those of a guest that the vCPU runs just now, which QEMU does not
 * say: some guest has the same page tables. */
static bool
may_be_a_guests(const IrekoSource *source, const IrekoRegisters *registers)
{
    size_t n = 0;
    const IrekoFound *controls =
        source->findings != NULL ? ireko_findings_controls(source->findings, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (controls[i].control.state.cr3 == registers->cr3)
            return true;
    }
    return false;
}

static void
add_running(const IrekoSource *source, GPtrArray *found)
{
    for (guint i = 0; i < source->registers->len; i++) {
        const IrekoRegisters *one = &g_array_index(source->registers, IrekoRegisters, i);
        if (may_be_a_guests(source, one))
            continue;
        const IrekoPagingState state = {
            .cr0 = one->cr0, .cr3 = one->cr3, .cr4 = one->cr4, .efer = one->efer};
        IrekoWithin *within =
            within_new(one->vcpu, IREKO_FIND_OUTERMOST, &state, one->rip, one->cs_base);
        within->evidence = g_strdup("its registers, by QEMU's 'info registers' while it ran");
        if (leads_to_code(source, within))
            g_ptr_array_add(found, within);
        else
            free_within(within);
    }
}

static GPtrArray *
outermost_vcpus(const IrekoSource *source)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(free_within);
    if (source->registers != NULL)
        add_running(source, found);
    for (size_t i = 0; source->stream != NULL && i < ireko_stream_vcpus(source->stream); i++) {
        IrekoWithin *within = outermost_vcpu(source->memory, ireko_stream_vcpu(source->stream, i));
        if (within != NULL)
            g_ptr_array_add(found, within);
    }
    return found;
}

/* ---- what is inside it ---- */

/* The vCPUs of STREAM (NULL: none), one behind the other. */
static GArray *
vcpus_of(const IrekoStream *stream)
{
    GArray *vcpus = g_array_new(FALSE, FALSE, sizeof(IrekoVcpu));
    for (size_t i = 0; stream != NULL && i < ireko_stream_vcpus(stream); i++)
        g_array_append_vals(vcpus, ireko_stream_vcpu(stream, i), 1);
    return vcpus;
}

IrekoFindings *
ireko_within_find(const IrekoCapture *capture, const IrekoMemory *whole)
{
    g_autoptr(GArray) vcpus = vcpus_of(capture->stream);
    return ireko_find(whole, &capture->map, (const IrekoVcpu *)(const void *)vcpus->data,
                      vcpus->len);
}

/* ---- which guest it is ---- */

/* What the kernel parameter says, in all of a guest's memory. */
typedef struct {
    const IrekoMemory *memory;
    const IrekoNode *node;
    const IrekoNode *parent;
    uint64_t at; /* physical, in the guest: where it was found first */
    bool own, other;
} Claim;

/* Judges the text behind PATH_OPTION, LEN bytes or more: the path of NODE, or of a machine beside
 * it or around it. What is inside it has a longer one, which its own hypervisor writes. */
static void
judge_claim(Claim *claim, const char *text, size_t len, uint64_t at)
{
    size_t n = 0;
    while (n < len && n < PATH_BYTES_MAX &&
           (g_ascii_isalnum(text[n]) || strchr("._-/", text[n]) != NULL) && text[n] != '\0')
        n++;
    g_autofree char *path = g_strndup(text, n);
    if (strcmp(path, claim->node->path) == 0) {
        if (!claim->own)
            claim->at = at;
        claim->own = true;
        return;
    }
    bool around = n > 0 && strncmp(claim->node->path, path, n) == 0 && claim->node->path[n] == '/';
    claim->other = claim->other || around;
    for (guint i = 0; claim->parent != NULL && i < claim->parent->guests->len; i++) {
        const IrekoNode *beside = g_ptr_array_index(claim->parent->guests, i);
        claim->other = claim->other || (beside != claim->node && strcmp(beside->path, path) == 0);
    }
}

/* Whether the parameter AT, in what begins at WINDOW, stands behind the name, as in every copy of
 * what a kernel was started with. Where a string was only passed through, on a stack, there may be
 * the beginning of one: of a path that would be the one of the machine around. */
static bool
stands_behind_name(const char *window, const char *at)
{
    const char *end = at > window ? at - 1 : window;
    const char *from = end - MIN((size_t)(end - window), NAME_BYTES_MAX);
    const char *word = end;
    while (word > from && word[-1] != ' ' && word[-1] != '\0')
        word--;
    size_t len = strlen(NAME_OPTION);
    return (*end == ' ' || *end == '\0') && (size_t)(end - word) > len &&
           memcmp(word, NAME_OPTION, len) == 0;
}

static bool
look_for_claims(void *data, const IrekoRun *run)
{
    Claim *claim = data;
    for (uint64_t done = 0; run->cause == IREKO_CAUSE_NONE && done < run->bytes;) {
        size_t len = 0;
        const char *window = (const char *)claim->memory->window(
            claim->memory->data, (IrekoGpa){run->gpa.at + done}, &len);
        if (window == NULL || len == 0)
            break;
        len = (size_t)MIN(len, run->bytes - done);
        const char *end = window + len;
        for (const char *at = window;
             (at = memmem(at, (size_t)(end - at), PATH_OPTION, strlen(PATH_OPTION))) != NULL;) {
            bool whole = stands_behind_name(window, at);
            at += strlen(PATH_OPTION);
            if (whole)
                judge_claim(claim, at, (size_t)(end - at),
                            run->start + done + (uint64_t)(at - window));
        }
        done += len;
    }
    return true;
}

/* Whether the memory of GUEST says that it is NODE, a guest of PARENT. */
static bool
claims(const IrekoSource *source,
       size_t guest,
       const IrekoNode *node,
       const IrekoNode *parent,
       uint64_t *ret_at)
{
    size_t n = 0;
    const IrekoGuest *guests = ireko_findings_guests(source->findings, &n);
    IrekoMemory memory;
    if (!ireko_capture_scan(source->capture, &memory, NULL))
        return false;
    g_autoptr(IrekoChain) builder = ireko_within_chain(source, guests[guest].parent);
    Claim claim = {.memory = &memory, .node = node, .parent = parent};
    IrekoMapEnd end;
    if (builder != NULL)
        (void)ireko_map(builder, &guests[guest].nested, look_for_claims, &claim, &end);
    *ret_at = claim.at;
    return claim.own && !claim.other;
}

/* Whether a vCPU of GUEST was confirmed to lead to its code. */
static bool
is_confirmed(const IrekoFindings *findings, size_t guest)
{
    size_t n = 0;
    const IrekoFound *controls = ireko_findings_controls(findings, &n);
    for (size_t i = 0; i < n; i++) {
        if (controls[i].guest == guest && controls[i].trust != IREKO_FIND_UNCONFIRMED)
            return true;
    }
    return false;
}

/* The guests just inside PARENT that were confirmed: size_t. */
static GArray *
guests_inside(const IrekoFindings *findings, size_t parent)
{
    size_t n = 0;
    const IrekoGuest *guests = ireko_findings_guests(findings, &n);
    GArray *inside = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (size_t i = 0; i < n; i++) {
        if (guests[i].parent == parent && is_confirmed(findings, i))
            g_array_append_val(inside, i);
    }
    return inside;
}

/* Which of the guests inside PARENT_GUEST is NODE. */
static bool
choose_guest(const IrekoSource *source,
             size_t parent_guest,
             const IrekoNode *node,
             const IrekoNode *parent,
             size_t *ret_guest,
             char **ret_evidence)
{
    g_autoptr(GArray) inside = guests_inside(source->findings, parent_guest);
    if (inside->len == 1 && parent->guests->len == 1) {
        *ret_guest = g_array_index(inside, size_t, 0);
        *ret_evidence = g_strdup_printf("the one guest found in %s, and the one that the lab has "
                                        "there",
                                        parent->path);
        return true;
    }
    unsigned found = 0;
    uint64_t at = 0;
    for (guint i = 0; i < inside->len; i++) {
        size_t guest = g_array_index(inside, size_t, i);
        if (!claims(source, guest, node, parent, &at))
            continue;
        *ret_guest = guest;
        g_free(*ret_evidence);
        *ret_evidence =
            g_strdup_printf("of %u guests found in %s the one whose memory has its "
                            "kernel's parameter " PATH_OPTION "%s, at 0x%" G_GINT64_MODIFIER "x",
                            inside->len, parent->path, node->path, at);
        found++;
    }
    return found == 1;
}

/* The node on the way to NODE that is LEVEL deep. */
static const IrekoNode *
node_at(const IrekoSource *source, const IrekoNode *node, unsigned level)
{
    const GPtrArray *nodes = source->capture->lab->nodes;
    const IrekoNode *found = NULL;
    g_auto(GStrv) segments = g_strsplit(node->path, "/", -1);
    for (unsigned i = 0; i < level; i++) {
        found = NULL;
        for (guint k = 0; k < nodes->len; k++) {
            const IrekoNode *one = g_ptr_array_index(nodes, k);
            found = strcmp(one->name, segments[i]) == 0 ? one : found;
        }
        if (found == NULL)
            return NULL;
        nodes = found->guests;
    }
    return found;
}

bool
ireko_within_guest(const IrekoSource *source,
                   const IrekoNode *node,
                   size_t *ret_guest,
                   char **ret_evidence,
                   GError **error)
{
    size_t guest = IREKO_FIND_OUTERMOST;
    g_autofree char *evidence = NULL;
    for (unsigned level = 2; level <= node->level; level++) {
        const IrekoNode *parent = node_at(source, node, level - 1);
        const IrekoNode *one = node_at(source, node, level);
        g_clear_pointer(&evidence, g_free);
        if (source->findings != NULL && choose_guest(source, guest, one, parent, &guest, &evidence))
            continue;
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "no guest of '%s' can be told to be '%s': does it run? 'ireko ps' asks it, and "
                    "'ireko see %s --find' shows what was found",
                    parent->path, one->path, parent->path);
        return false;
    }
    *ret_guest = guest;
    *ret_evidence = g_steal_pointer(&evidence);
    return true;
}

/* ---- its vCPUs ---- */

/* The outermost vCPU that ran the control block at GPA last, or runs it; NULL where none did. */
static const IrekoVcpu *
runner_of(const IrekoSource *source, IrekoGpa gpa)
{
    for (size_t i = 0; source->stream != NULL && i < ireko_stream_vcpus(source->stream); i++) {
        const IrekoVcpu *vcpu = ireko_stream_vcpu(source->stream, i);
        if (vcpu->nested != IREKO_NESTED_NONE && vcpu->control_gpa == gpa.at)
            return vcpu;
    }
    return NULL;
}

/* The block FOUND as it is now; false where it is another by now. */
static bool
read_again(const IrekoSource *source, const IrekoFound *found, IrekoControl *ret_control)
{
    const IrekoMemory *memory = source->memory;
    uint8_t page[IREKO_PAGE_BYTES];
    return memory->read(memory->data, found->gpa, page, sizeof page) &&
           ireko_control_read(page, ret_control) && ret_control->kind == found->control.kind &&
           ret_control->nested_root == found->control.nested_root;
}

static const char *
block_words(const IrekoFound *found)
{
    bool vmcb = found->control.kind == IREKO_CONTROL_VMCB;
    if (found->shadow)
        return vmcb ? "the VMCB by which the outermost hypervisor runs it (vmcb02)"
                    : "the VMCS by which the outermost hypervisor runs it (vmcs02)";
    return vmcb ? "its VMCB" : "its VMCS";
}

/* The vCPU that the block FOUND keeps. */
static IrekoWithin *
from_block(const IrekoSource *source, const IrekoFound *found, unsigned number)
{
    const IrekoVcpu *runner = runner_of(source, found->gpa);
    IrekoControl control;
    if (!read_again(source, found, &control))
        return NULL;
    bool runs = runner != NULL && runner->guest_mode;
    IrekoWithin *within =
        runs ? from_registers(runner, number, found->guest)
             : within_new(number, found->guest, &control.state, control.rip, control.cs_base);
    within->evidence = g_strdup_printf("%s, at L1 physical 0x%" G_GINT64_MODIFIER "x%s",
                                       block_words(found), found->gpa.at,
                                       runs             ? "; it runs just now"
                                       : runner != NULL ? "; it ran last"
                                                        : "");
    return within;
}

/* Of the blocks of GUEST's vCPUs the one that shadows FOUND and ran last; else FOUND. */
static const IrekoFound *
newest_of(const IrekoSource *source, const IrekoFound *controls, size_t n, const IrekoFound *found)
{
    for (size_t i = 0; i < n; i++) {
        bool same = controls[i].guest == found->guest && controls[i].shadow &&
                    controls[i].control.tr_base == found->control.tr_base;
        if (same && runner_of(source, controls[i].gpa) != NULL)
            return &controls[i];
    }
    return found;
}

GPtrArray *
ireko_within_vcpus(const IrekoSource *source, size_t guest, const char *evidence, GError **error)
{
    g_autoptr(GPtrArray) found = guest == IREKO_FIND_OUTERMOST
                                     ? outermost_vcpus(source)
                                     : g_ptr_array_new_with_free_func(free_within);
    size_t n = 0;
    const IrekoFound *controls =
        guest != IREKO_FIND_OUTERMOST ? ireko_findings_controls(source->findings, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (controls[i].guest != guest || controls[i].shadow ||
            controls[i].trust == IREKO_FIND_UNCONFIRMED)
            continue;
        IrekoWithin *within =
            from_block(source, newest_of(source, controls, n, &controls[i]), found->len);
        if (within != NULL)
            g_ptr_array_add(found, within);
    }
    for (guint i = 0; evidence != NULL && i < found->len; i++) {
        IrekoWithin *within = g_ptr_array_index(found, i);
        char *whole = g_strdup_printf("%s; %s", within->evidence, evidence);
        g_free(within->evidence);
        within->evidence = whole;
    }
    if (found->len > 0)
        return g_steal_pointer(&found);
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "no vCPU of it was found whose registers can be had");
    return NULL;
}

/* ---- the tables around it ---- */

IrekoAround
ireko_within_around(const IrekoFindings *findings, size_t guest)
{
    IrekoAround around = {0};
    size_t n = 0;
    const IrekoGuest *guests = findings != NULL ? ireko_findings_guests(findings, &n) : NULL;
    while (guest < n && around.n < IREKO_CHAIN_NESTED_MAX) {
        size_t builder = guests[guest].parent;
        bool ept = guests[guest].nested.paging == IREKO_PAGING_EPT4 ||
                   guests[guest].nested.paging == IREKO_PAGING_EPT5;
        around.layers[around.n] = builder < n ? guests[builder].depth + 1 : 1;
        around.kinds[around.n++] = ept ? "ept" : "npt";
        guest = builder;
    }
    return around;
}

IrekoChain *
ireko_within_chain(const IrekoSource *source, size_t guest)
{
    IrekoTable nested[IREKO_CHAIN_NESTED_MAX];
    size_t n = 0, count = 0;
    const IrekoGuest *guests =
        source->findings != NULL ? ireko_findings_guests(source->findings, &count) : NULL;
    while (guest < count && n < IREKO_CHAIN_NESTED_MAX) {
        nested[n++] = guests[guest].nested;
        guest = guests[guest].parent;
    }
    return ireko_chain_new(source->memory, &source->capture->map, nested, n);
}
