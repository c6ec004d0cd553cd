/* lab/clone/clone.c - a machine that begins as a frozen one. */
#include "lab/clone/clone.h"

#include "agent/agent.h"
#include "base/jsonl.h"
#include "lab/clone/began.h"
#include "lab/clone/freeze.h"
#include "lab/clone/identity.h"

#define START_SECONDS    10 /* for QEMU to load the state, times the pace */
#define IDENTITY_SECONDS 10 /* for every layer inside, times the pace */
#define END_SECONDS      5
#define CLOCK_SECONDS    2 /* how far the clock of a clone may be off, times the pace */

bool
ireko_clone_identify(const IrekoClone *clone, json_t **ret_answer, GError **error)
{
    const IrekoLayer *layer = clone->layer;
    IrekoDeadline deadline = ireko_patience(IDENTITY_SECONDS, clone->pace);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(layer->engine, clone->folder, &hold, error);
    g_autoptr(IrekoAgent) agent =
        fd >= 0 ? ireko_agent_hello(fd, NULL, deadline, layer->cancel_fd, error) : NULL;
    if (agent == NULL)
        return false;
    g_autoptr(json_t) order = ireko_identity_order(clone->node, layer->id, clone->same);
    g_autoptr(json_t) answer = ireko_agent_identity(agent, order, deadline, error);
    int64_t clock_us =
        (int64_t)(ireko_patience_seconds(CLOCK_SECONDS, clone->pace) * G_USEC_PER_SEC);
    if (answer == NULL || !ireko_identity_check(order, answer, clock_us, error))
        return false;
    if (ret_answer != NULL)
        *ret_answer = g_steal_pointer(&answer);
    return true;
}

IrekoVm *
ireko_clone_start(const IrekoClone *clone, json_t **ret_answer, GError **error)
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
    g_autoptr(IrekoVm) vm =
        ireko_vm_start(layer->engine, &start.spec, clone->folder,
                       ireko_patience(START_SECONDS, clone->pace), layer->cancel_fd, error);
    ireko_start_clear(&start);
    if (vm != NULL && !ireko_clone_identify(clone, ret_answer, error)) {
        (void)ireko_vm_end(vm, ireko_patience(END_SECONDS, 1), NULL);
        g_clear_pointer(&vm, ireko_vm_free);
    }
    if (vm != NULL)
        ireko_thawing_clear(clone->folder);
    return g_steal_pointer(&vm);
}
