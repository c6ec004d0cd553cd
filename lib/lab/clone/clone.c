/* lab/clone/clone.c - a machine that begins as a frozen one.
 *
 * How long that takes under TCG is how much different code its machines run until all have
 * answered, since the new process translates it anew (docs/design/boot.md). So a machine is frozen
 * in the middle of a talk, in which it has just done what a clone will be asked to, with a talk
 * from each layer to the next: a clone finds all of them open and goes on, and no layer has to meet
 * the next one first. */
#include "lab/clone/clone.h"

#include "base/jsonl.h"
#include "lab/clone/began.h"
#include "lab/clone/freeze.h"
#include "lab/clone/identity.h"

#define START_SECONDS    10 /* for QEMU to load the state, times the pace */
#define IDENTITY_SECONDS 10 /* for every layer inside, times the pace */
#define END_SECONDS      5
#define CLOCK_SECONDS    2  /* how far the clock of a clone may be off, times the pace */
#define JUMPS            4  /* of that clock: half of the threads end with each */
#define AHEAD_SECONDS    60 /* of a rehearsal's clock: more than a thread of QEMU's waits by it */

static IrekoDeadline
deadline_of(const IrekoClone *clone)
{
    return ireko_patience(IDENTITY_SECONDS, clone->pace);
}

/* Begins a talk with CLONE's machine over FD, or where that is -1 over a channel that it connects:
 * RET_HOLD as of ireko_port_connect. */
static IrekoAgent *
meet(const IrekoClone *clone, int fd, int *ret_hold, GError **error)
{
    const IrekoLayer *layer = clone->layer;
    if (fd < 0)
        fd = ireko_port_connect(layer->engine, clone->folder, ret_hold, error);
    return fd >= 0 ? ireko_agent_hello(fd, NULL, deadline_of(clone), layer->cancel_fd, error)
                   : NULL;
}

/* Tells CLONE's machine, and those inside it, at TIME_US what ORDER says; the words that they
 * answer. */
static char *
tell(const IrekoClone *clone,
     IrekoAgent *agent,
     const GPtrArray *order,
     int64_t time_us,
     GError **error)
{
    g_autofree char *words = ireko_identity_order_to_text(order);
    g_autofree char *text = ireko_identity_order_at(time_us, words);
    return ireko_agent_identity(agent, text, deadline_of(clone), error);
}

/* Tells CLONE's machine, and those inside it, who they are to be, and looks whether that is who
 * they say they are then. */
static bool
identify(const IrekoClone *clone, IrekoAgent *agent, GPtrArray **ret_answer, GError **error)
{
    g_autoptr(GPtrArray) order = ireko_identity_order(clone->node, clone->layer->id, clone->same);
    g_autofree char *words = tell(clone, agent, order, g_get_real_time(), error);
    g_autoptr(GPtrArray) answer =
        words != NULL ? ireko_identity_answer_from_text(words, error) : NULL;
    int64_t clock_us =
        (int64_t)(ireko_patience_seconds(CLOCK_SECONDS, clone->pace) * G_USEC_PER_SEC);
    if (answer == NULL || !ireko_identity_check(order, answer, clock_us, error))
        return false;
    if (ret_answer != NULL)
        *ret_answer = g_steal_pointer(&answer);
    return true;
}

/* ---- before the template is frozen ---- */

/* The clock of a clone jumps by the age of its template. In a layer the threads of its QEMU that
 * have nothing to do wait by that clock, and end: here, and not in each clone. One that ends wakes
 * another, which begins to wait anew, so that half of them are left: each jump goes further, past
 * what those wait for. */
static bool
jump(const IrekoClone *clone, IrekoAgent *agent, GError **error)
{
    g_autoptr(GPtrArray) order = ireko_identity_order(clone->node, clone->layer->id, clone->same);
    for (int64_t i = 1; i <= JUMPS; i++) {
        int64_t then_us = g_get_real_time() + i * AHEAD_SECONDS * G_USEC_PER_SEC;
        g_autofree char *words = tell(clone, agent, order, then_us, error);
        if (words == NULL)
            return false;
    }
    return true;
}

/* Whether machines inside have pages that are worth merging (lab/clone/merge.c): the code of one is
 * found again in another, and what they began with is not merged yet. */
static bool
is_merged(const IrekoClone *clone)
{
    return clone->vault == NULL && clone->layer->accel == IREKO_ACCEL_TCG &&
           ireko_nodes_count(clone->node->guests) > 1;
}

/* Pages are merged first, so that those that a clone writes to are its own again by the end of the
 * rehearsal. The clock jumps after a first one: what is read from disks for the first time has
 * threads wait by the clock, and they would by one that is ahead. */
IrekoAgent *
ireko_clone_rehearse(const IrekoClone *clone, int *ret_hold, GError **error)
{
    g_autoptr(IrekoAgent) agent = meet(clone, -1, ret_hold, error);
    if (agent == NULL ||
        (is_merged(clone) && !ireko_agent_merge(agent, deadline_of(clone), error)) ||
        !identify(clone, agent, NULL, error) || !jump(clone, agent, error) ||
        !identify(clone, agent, NULL, error))
        return NULL;
    return g_steal_pointer(&agent);
}

/* ---- a clone ---- */

IrekoClone
ireko_clone_of_template(const IrekoLayer *layer,
                        const IrekoNode *node,
                        const IrekoVault *vault,
                        const char *folder)
{
    return (IrekoClone){
        .layer = layer,
        .node = node,
        .folder = folder,
        .vault = vault,
        .prefix = "",
        .about = json_object_get(ireko_vault_about(vault), "machine"),
        .pace = ireko_layer_pace(layer->accel, layer->pace, layer->level),
    };
}

bool
ireko_clone_become(const IrekoClone *clone, int fd, GPtrArray **ret_answer, GError **error)
{
    IREKO_AUTOFD hold = -1;
    /* What was frozen was in the middle of the talk with us; a snapshot was in one with anybody. */
    g_autoptr(IrekoAgent) agent = fd >= 0 && !clone->same
                                      ? ireko_agent_go_on(fd, clone->layer->cancel_fd)
                                      : meet(clone, fd, &hold, error);
    return agent != NULL && identify(clone, agent, ret_answer, error);
}

IrekoVm *
ireko_clone_start(const IrekoClone *clone, GPtrArray **ret_answer, GError **error)
{
    const IrekoLayer *layer = clone->layer;
    g_auto(IrekoThaw) thaw = {.vault = clone->vault,
                              .prefix = clone->prefix,
                              .about = clone->about,
                              .origin = clone->same ? IREKO_ORIGIN_SNAPSHOT : IREKO_ORIGIN_CLONE};
    IrekoStart start = {0};
    if (!ireko_thawing_set(clone->folder, error) ||
        !ireko_thaw_prepare(layer, clone->node, clone->folder, &thaw, &start, error))
        return NULL;
    IREKO_AUTOFD hold = ireko_port_hold(clone->folder, 0);
    IREKO_AUTOFD fd = -1;
    start.spec.ret_agent_fd = hold >= 0 ? &fd : NULL;
    g_autoptr(IrekoVm) vm =
        ireko_vm_start(layer->engine, &start.spec, clone->folder,
                       ireko_patience(START_SECONDS, clone->pace), layer->cancel_fd, error);
    ireko_start_clear(&start);
    if (vm != NULL && !ireko_clone_become(clone, ireko_fd_steal(&fd), ret_answer, error)) {
        (void)ireko_vm_end(vm, ireko_patience(END_SECONDS, 1), NULL);
        g_clear_pointer(&vm, ireko_vm_free);
    }
    if (vm != NULL)
        ireko_thawing_clear(clone->folder);
    return g_steal_pointer(&vm);
}
