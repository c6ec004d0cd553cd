/* lab/down.c - a lab ended, and all that was made for it removed.
 *
 * What runs is found by the machines' folders, not by the record, so a lab with a damaged record,
 * or one whose `up` was killed anywhere, goes as well. The inner machines end with the one around
 * them. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <ireko/lab.h>

#include "agent/agent.h"
#include "base/file.h"
#include "lab/drives.h"
#include "lab/layer.h"
#include "lab/record.h"

#define POWER_SECONDS                                                                              \
    30 /* for a user's own system to shut down after its power button, times pace */
#define STOP_SECONDS                                                                               \
    10 /* for a built-in image that has a user's disk to write it back, times pace */
#define END_SECONDS   10 /* for QEMU to flush and go, before it is killed */
#define LOOK_EVERY_MS 50

/* Whether NODE has a disk of the user's that it may write to. */
static bool
has_users_disk(const IrekoNode *node)
{
    g_autoptr(GPtrArray) drives = ireko_drives_prepare(node, NULL, NULL);
    for (unsigned i = 0; drives != NULL && i < drives->len; i++) {
        const IrekoDrive *drive = drives->pdata[i];
        if (!drive->read_only && drive->disk->create_bytes == 0)
            return true;
    }
    return false;
}

static void
wait_for_end(IrekoVm *vm, IrekoDeadline deadline, int cancel_fd)
{
    while (ireko_vm_is_alive(vm) && g_get_monotonic_time() < deadline) {
        g_autoptr(GError) why = NULL;
        IrekoDeadline look = MIN(deadline, ireko_deadline_in_ms(LOOK_EVERY_MS));
        (void)ireko_fd_wait(-1, 0, look, cancel_fd, &why);
        if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_CANCELLED))
            return;
    }
}

/* Has a machine write a user's disk back before it ends; it is ended all the same where it does
 * not. */
static void
shut_down(const IrekoNode *node, IrekoVm *vm, const char *folder, unsigned pace, int cancel_fd)
{
    if (!has_users_disk(node))
        return;
    if (node->machine->image == NULL) {
        if (ireko_vm_press_power(vm, NULL))
            wait_for_end(vm, ireko_patience(POWER_SECONDS, pace), cancel_fd);
        return;
    }
    IREKO_AUTOFD hold = -1;
    IrekoDeadline deadline = ireko_patience(STOP_SECONDS, pace);
    int fd = ireko_port_connect(ireko_engine_chosen(), folder, &hold, NULL);
    g_autoptr(IrekoAgent) agent =
        fd < 0 ? NULL : ireko_agent_hello(fd, node->path, deadline, cancel_fd, NULL);
    if (agent != NULL && ireko_agent_stop(agent, deadline, NULL))
        wait_for_end(vm, deadline, cancel_fd);
}

static const IrekoNode *
find_root(const IrekoLab *lab, const char *name)
{
    for (unsigned i = 0; lab != NULL && i < lab->nodes->len; i++) {
        const IrekoNode *node = lab->nodes->pdata[i];
        if (strcmp(node->name, name) == 0)
            return node;
    }
    return NULL;
}

static bool
end_machine(const char *folder,
            const IrekoNode *node,
            unsigned pace,
            const IrekoLabRun *run,
            GError **error)
{
    g_autoptr(IrekoVm) vm = ireko_vm_attach(ireko_engine_chosen(), folder, NULL);
    if (vm == NULL)
        return true;
    if (node != NULL)
        shut_down(node, vm, folder, pace, run->cancel_fd);
    return ireko_vm_end(vm, ireko_patience(END_SECONDS, 1), error);
}

bool
ireko_lab_down(const IrekoHome *home, const char *name, const IrekoLabRun *run, GError **error)
{
    IREKO_AUTOFD lock = ireko_record_lock(home, name, error);
    if (lock < 0)
        return false;
    g_autoptr(IrekoLab) lab = ireko_record_read(home, name, NULL);
    IrekoAccel accel =
        lab != NULL && strcmp(lab->accel, "kvm") == 0 ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    g_autofree char *run_folder = ireko_record_run_folder(home, name);
    g_auto(GStrv) alive = ireko_record_alive(home, name);
    for (size_t i = 0; alive[i] != NULL; i++) {
        g_autofree char *folder = g_build_filename(run_folder, alive[i], NULL);
        g_autofree char *step = g_strdup_printf("ending %s", alive[i]);
        if (run->progress != NULL)
            run->progress(run->data, step, (unsigned)i, g_strv_length(alive));
        unsigned pace = ireko_layer_pace(accel, 1, 0);
        if (!end_machine(folder, find_root(lab, alive[i]), pace, run, error))
            return false;
    }
    return ireko_record_remove(home, name, error);
}
