/* lab/down.c - a lab ended, and all that was made for it removed.
 *
 * What runs is found by the machines' folders, not by the record, so a lab with a damaged record,
 * or one whose `up` was killed anywhere, goes as well. The inner machines end with the one around
 * them. */
#include <string.h>

#include <ireko/lab.h>

#include "base/file.h"
#include "lab/clone/snapshot.h"
#include "lab/clone/spare.h"
#include "lab/clone/template.h"
#include "lab/drives.h"
#include "lab/end.h"
#include "lab/layer.h"
#include "lab/record.h"

#define POWER_SECONDS                                                                              \
    30 /* for a user's own system to shut down after its power button, times pace */
#define STOP_SECONDS                                                                               \
    10 /* for a built-in image that has a user's disk to write it back, times pace */

/* Whether NODE has a disk of the user's that it may write to. */
static bool
has_users_disk(const IrekoNode *node)
{
    g_autoptr(GPtrArray) drives = ireko_drives_prepare(node, NULL, NULL);
    for (unsigned i = 0; drives != NULL && i < drives->len; i++) {
        const IrekoDrive *drive = drives->pdata[i];
        if (!drive->read_only && !drive->made)
            return true;
    }
    return false;
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

/* How NODE's machine is ended (NULL: the record does not say which it is): in good order where it
 * may have something to write to a user's disk. */
static IrekoEnding
ending_of(const IrekoNode *node, unsigned pace, int cancel_fd)
{
    IrekoEnding ending = {.cancel_fd = cancel_fd};
    if (node == NULL || !has_users_disk(node))
        return ending;
    ending.path = node->path;
    ending.by_power = node->machine->image == NULL;
    ending.until = ireko_patience(ending.by_power ? POWER_SECONDS : STOP_SECONDS, pace);
    return ending;
}

bool
ireko_machines_end(const IrekoHome *home, const char *name, const IrekoLabRun *run, GError **error)
{
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
        const IrekoEnding ending =
            ending_of(find_root(lab, alive[i]), ireko_layer_pace(accel, 1, 0), run->cancel_fd);
        if (!ireko_machine_end(folder, &ending, error))
            return false;
    }
    return true;
}

bool
ireko_lab_down(const IrekoHome *home, const char *name, const IrekoLabRun *run, GError **error)
{
    IREKO_AUTOFD lock = ireko_record_lock(home, name, error);
    if (lock < 0 || !ireko_machines_end(home, name, run, error))
        return false;
    /* templates are nobody's, but one that is half made was of this lab, as like as not */
    g_autofree char *templates = g_build_filename(home->cache, IREKO_TEMPLATES_FOLDER, NULL);
    ireko_vault_sweep(templates);
    ireko_snapshots_sweep(home, name);
    ireko_spares_sweep(home, name);
    if (run->fresh && ireko_snapshots_any(home, name))
        return ireko_record_clear_run(home, name, error);
    return ireko_record_remove(home, name, error);
}
