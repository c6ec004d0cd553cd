/* lab/end.c - one machine of this layer ended, in good order where it is asked for. */
#include "lab/end.h"

#include "agent/agent.h"
#include "lab/layer.h"

#define END_SECONDS   10 /* for QEMU to flush and go, before it is killed */
#define LOOK_EVERY_MS 50

static void
wait_for_end(IrekoVm *vm, const IrekoEnding *ending)
{
    while (ireko_vm_is_alive(vm) && g_get_monotonic_time() < ending->until) {
        g_autoptr(GError) why = NULL;
        IrekoDeadline look = MIN(ending->until, ireko_deadline_in_ms(LOOK_EVERY_MS));
        (void)ireko_fd_wait(-1, 0, look, ending->cancel_fd, &why);
        if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_CANCELLED))
            return;
    }
}

/* Whether the system in the machine knows that it is to shut down. */
static bool
ask(IrekoVm *vm, const char *folder, const IrekoEnding *ending)
{
    if (ending->by_power)
        return ireko_vm_press_power(vm, NULL);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(ireko_engine_chosen(), folder, &hold, NULL);
    g_autoptr(IrekoAgent) agent =
        fd < 0 ? NULL : ireko_agent_hello(fd, ending->path, ending->until, ending->cancel_fd, NULL);
    return agent != NULL && ireko_agent_stop(agent, ending->until, NULL);
}

bool
ireko_machine_end(const char *folder, const IrekoEnding *ending, GError **error)
{
    g_autoptr(IrekoVm) vm = ireko_vm_attach(ireko_engine_chosen(), folder, NULL);
    if (vm == NULL)
        return true;
    if (ending->until != 0 && ask(vm, folder, ending))
        wait_for_end(vm, ending);
    return ireko_vm_end(vm, ireko_patience(END_SECONDS, 1), error);
}
