/* lab/start.c - what one machine of a layer is started from, and how its agent is reached. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/drives.h"
#include "lab/layer.h"
#include "lab/spec.h"

/* Booting under TCG takes some six times as long as on bare KVM; each further layer about twice as
 * long as the one around it (estimates, on the generous side). */
#define TCG_PACE   6
#define LAYER_PACE 2

#define TCG_MODEL "QEMU TCG CPU" /* its brand string, which every layer inside has from there */

#define WAKES_HZ 4 /* what was lost comes so late; each costs as much as a tick of the timer */

#define PATIENCE_LEAST 0.001
#define PATIENCE_MOST  1000

const IrekoEngine *
ireko_engine_chosen(void)
{
    return g_strcmp0(g_getenv("IREKO_ENGINE"), "fake") == 0 ? &ireko_engine_fake
                                                            : &ireko_engine_qemu;
}

bool
ireko_layer_accel(const IrekoFacts *facts,
                  const char *wanted,
                  IrekoAccel *ret_accel,
                  GError **error)
{
    bool usable = facts->kvm.usable;
    bool kvm = wanted != NULL ? strcmp(wanted, "kvm") == 0 : usable;
    *ret_accel = kvm ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    if (usable || !kvm)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "KVM does not work here (%s: %s): leave --accel away to run in software",
                facts->kvm.cause, facts->kvm.evidence);
    return false;
}

unsigned
ireko_layer_pace(IrekoAccel accel, unsigned outer, unsigned level)
{
    if (accel == IREKO_ACCEL_TCG)
        return outer * TCG_PACE;
    return level == 0 ? outer : outer * LAYER_PACE;
}

/* IREKO_PATIENCE stretches every wait for a machine: "3" on a crowded host, "0.1" in tests. */
static double
patience(void)
{
    const char *text = g_getenv("IREKO_PATIENCE");
    double stretch = text != NULL ? g_ascii_strtod(text, NULL) : 1;
    return stretch >= PATIENCE_LEAST && stretch <= PATIENCE_MOST ? stretch : 1;
}

double
ireko_patience_seconds(unsigned seconds, unsigned pace)
{
    return (double)seconds * pace * patience();
}

unsigned
ireko_patience_inside(unsigned pace)
{
    return (unsigned)MIN(pace * MAX(patience(), 1), IREKO_SPEC_PACE_MAX);
}

IrekoDeadline
ireko_patience(unsigned seconds, unsigned pace)
{
    return ireko_deadline_in_ms((int64_t)(ireko_patience_seconds(seconds, pace) * 1000));
}

void
ireko_start_clear(IrekoStart *start)
{
    g_clear_pointer(&start->drives, g_ptr_array_unref);
    g_clear_pointer(&start->cmdline, g_free);
    g_clear_pointer(&start->id, g_free);
    g_clear_pointer(&start->image, ireko_image_free);
    for (unsigned i = 0; start->spec.cards != NULL && i < IREKO_NET_CARDS_MAX; i++)
        ireko_fd_close(&start->spec.link_fds[i]);
    start->spec.cards = NULL;
}

/* On L0 the root is a file; inside a layer it is the disk that the layer itself booted from. */
static const char *
format_of_root(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? "host_device" : "raw";
}

/* An engine that boots no images is content with the name of one. */
static IrekoImage *
find_image(const IrekoLayer *layer, const char *name, GError **error)
{
    if (ireko_engine_boots_images(layer->engine))
        return ireko_image_find(layer->images, name, error);
    IrekoImage *image = g_new0(IrekoImage, 1);
    image->name = g_strdup(name);
    image->kernel = g_strdup(name);
    image->initrd = g_strdup(name);
    image->root = g_strdup(name);
    image->cmdline = g_strdup("");
    image->hash = g_strdup("");
    return image;
}

/* What a machine that runs under TCG is told besides. Now and then QEMU loses the mark that an
 * interrupt is pending (docs/design/boot.md): the machine then sleeps until another device
 * interrupts it, so one does WAKES_HZ times a second. */
static char *
tcg_parameters(const IrekoLayer *layer)
{
    if (layer->accel != IREKO_ACCEL_TCG)
        return g_strdup("");
    return g_strdup_printf(" highres=off ireko.wakes=%d", WAKES_HZ);
}

/* Under TCG the kernel gets its clock wrong on a busy host (host/tsc.c); on KVM, kvmclock tells it.
 */
void
ireko_start_clock(IrekoStart *start, const IrekoLayer *layer)
{
    if (start->cmdline == NULL || layer->accel != IREKO_ACCEL_TCG)
        return;
    unsigned khz = ireko_tsc_khz();
    if (khz == 0)
        return;
    char *with = g_strdup_printf("%s tsc_early_khz=%u", start->cmdline, khz);
    g_free(start->cmdline);
    start->boot.cmdline = start->cmdline = with;
}

static bool
prepare_boot(IrekoStart *start, const IrekoLayer *layer, const IrekoNode *node, GError **error)
{
    if (node->machine->image == NULL)
        return true;
    start->image = find_image(layer, node->machine->image, error);
    if (start->image == NULL) {
        g_prefix_error(error, "%s: ", node->machine->file);
        return false;
    }
    g_autofree char *tcg = tcg_parameters(layer);
    g_autofree char *host = ireko_node_host_name(node);
    start->cmdline = g_strdup_printf("%s%s ireko.name=%s ireko.path=%s", start->image->cmdline, tcg,
                                     host, node->path);
    start->boot = (IrekoBoot){.kernel = start->image->kernel,
                              .initrd = start->image->initrd,
                              .root = start->image->root,
                              .root_format = format_of_root(start->image->root),
                              .cmdline = start->cmdline};
    return true;
}

bool
ireko_start_plug(IrekoStart *start, const IrekoLayer *layer, const IrekoNode *node, GError **error)
{
    for (unsigned i = 0; layer->link != NULL && i < node->cards->len; i++) {
        const IrekoCard *card = node->cards->pdata[i];
        if (card->link != IREKO_CARD_NET)
            continue;
        int fd = layer->link(layer, node, card, error);
        if (fd < 0)
            return false;
        start->spec.link_fds[card->index] = fd;
    }
    return true;
}

bool
ireko_layer_prepare(const IrekoLayer *layer,
                    const IrekoNode *node,
                    const char *folder,
                    IrekoStart *ret_start,
                    GError **error)
{
    *ret_start = (IrekoStart){.id = g_strconcat(layer->id, "/", node->path, NULL)};
    ret_start->drives = ireko_drives_prepare(node, folder, error);
    if (ret_start->drives == NULL || !prepare_boot(ret_start, layer, node, error)) {
        ireko_start_clear(ret_start);
        return false;
    }
    bool kvm = layer->accel == IREKO_ACCEL_KVM;
    const char *model = layer->facts->cpu_model;
    ret_start->spec = (IrekoSpec){
        .machine = node->machine,
        .id = ret_start->id,
        .kvm = kvm,
        .emulated = kvm && model != NULL && g_str_has_prefix(model, TCG_MODEL),
        .offer = ireko_nest_offer(layer->facts, layer->accel),
        .boot = ret_start->image != NULL ? &ret_start->boot : NULL,
        .drives = ret_start->drives,
        .drop_root = geteuid() == 0,
        .open_ram = layer->level == 0,
        .cards = node->cards,
        .taps = layer->level > 0,
    };
    for (unsigned i = 0; i < IREKO_NET_CARDS_MAX; i++)
        ret_start->spec.link_fds[i] = -1;
    if (folder == NULL || ireko_start_plug(ret_start, layer, node, error))
        return true;
    ireko_start_clear(ret_start);
    return false;
}

int
ireko_port_hold(const char *folder, unsigned number)
{
    g_autofree char *name = g_strdup_printf("agent.%u.lock", number);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? ireko_fd_steal(&fd) : -1;
}

int
ireko_port_connect(const IrekoEngine *engine, const char *folder, int *ret_hold, GError **error)
{
    g_autoptr(IrekoVm) vm = ireko_vm_attach(engine, folder, error);
    if (vm == NULL)
        return -1;
    for (unsigned i = 0; i < IREKO_ENGINE_AGENT_PORTS; i++) {
        IREKO_AUTOFD hold = ireko_port_hold(folder, i);
        if (hold < 0)
            continue;
        g_autofree char *channel = g_strdup_printf("agent.%u", i);
        int fd = ireko_vm_connect(vm, channel, error);
        if (fd >= 0)
            *ret_hold = ireko_fd_steal(&hold);
        return fd;
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "all %d channels to the agent are in use: end another 'ireko exec' or 'console'",
                IREKO_ENGINE_AGENT_PORTS);
    return -1;
}
