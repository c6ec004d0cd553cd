/* lab/clone/freeze.c - a machine of L0 frozen into a vault, and gone on from there.
 *
 * While the machine stands its state is written, its memory copied and its disks; all that belongs
 * together is of one moment. The memory of a machine that was booted is in a file, and is left out
 * of the state. That of a clone is half in its template's file and half its own: it goes through
 * the state.
 *
 * A clone maps the memory privately, and each of its disks is an overlay, empty at first. So it
 * writes to files of its own alone. Where it is frozen in its turn, overlay and what it lies over
 * become one disk again: what is frozen needs no other vault. */
#include "lab/clone/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/jsonl.h"
#include "lab/clone/began.h"
#include "lab/clone/overlay.h"
#include "lab/drives.h"
#include "lab/made.h"
#include "xray/stream.h"

/* What TCG keeps of translated code is each clone's own, and a third of what it has for itself:
 * where there are many, they have no more than they use to come up and what follows it. That was
 * some 28,000 blocks of 330 bytes for a host with one guest, and twice as many where this has one
 * in its turn; with less, 8 MiB, QEMU 7.2 translated again and again: 32 such hosts took 10.5 s
 * instead of 7.5. */
#define JIT_MIB  10 /* for each machine inside */
#define JIT_FROM 8  /* clones */

static const char *const formats[] = {"raw", "qcow2"}; /* of disks that ireko makes */

/* ---- what is in the way ---- */

static bool
is_own(const IrekoDrive *drive)
{
    return drive->path == NULL || drive->made;
}

char *
ireko_freeze_obstacle(const IrekoNode *node, const IrekoFacts *facts, IrekoAccel accel)
{
    if (node->machine->image == NULL)
        return g_strdup("it boots a system of your own: nobody inside could set its clock and give "
                        "it random numbers and an identity of its own");
    if (accel == IREKO_ACCEL_KVM && node->guests->len > 0 &&
        g_strcmp0(facts->cpu_vendor, "AuthenticAMD") == 0)
        return g_strdup("its guests run on AMD's SVM, and Linux calls saving a machine whose "
                        "guests run undefined there (Documentation/virt/kvm/x86/"
                        "running-nested-guests.rst)");
    g_autoptr(GPtrArray) drives = ireko_drives_prepare(node, NULL, NULL);
    for (unsigned i = 0; drives != NULL && i < drives->len; i++) {
        const IrekoDrive *drive = drives->pdata[i];
        if (!is_own(drive))
            return g_strdup_printf("its disk %s is a file of your own (%s)", drive->disk->device,
                                   drive->path);
    }
    return NULL;
}

/* ---- names ---- */

static char *
file_name(const char *prefix, const char *device, const char *suffix)
{
    g_autofree char *plain = g_strdelimit(g_strdup(device), ":", '-');
    return g_strconcat(prefix, plain, suffix, NULL);
}

static char *
plain_name(const char *prefix, const char *name)
{
    return g_strconcat(prefix, name, NULL);
}

/* ---- freezing ---- */

typedef struct {
    const IrekoFreezeOrder *order;
    int state_fd;
    IrekoVaultWriter *writer;
    GPtrArray *drives;
    json_t *began; /* what the machine went on from; NULL: it booted */
    bool with_ram; /* in the state */
} Freezing;

static bool
copy_ram(const Freezing *freezing, GError **error)
{
    const IrekoFreezeOrder *order = freezing->order;
    g_auto(IrekoRamFiles) files = {.file_fd = -1, .process_fd = -1, .pages_fd = -1};
    g_autofree char *name = plain_name(order->prefix, "ram");
    return ireko_vm_open_ram(order->vm, &files, error) &&
           ireko_vault_copy(freezing->writer, name, files.file_fd, 0,
                            (uint64_t)order->node->machine->memory_mib << 20, error);
}

static int
open_disk(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot open the disk '%s'", path);
    return fd;
}

/* What DEVICE lies over, as ireko_began_write has it; NULL: nothing. */
static const json_t *
find_base(const json_t *began, const char *device)
{
    size_t i;
    const json_t *disk;
    json_array_foreach(json_object_get(began, "disks"), i, disk)
    {
        if (g_strcmp0(json_string_value(json_object_get(disk, "device")), device) == 0 &&
            json_is_string(json_object_get(disk, "base")))
            return disk;
    }
    return NULL;
}

/* Puts the overlay of DISK in FOLDER and what it lies over, as BEGAN says, down as one raw disk:
 * FD.
 */
static bool
flatten(const IrekoDisk *disk, const json_t *began, const char *folder, int fd, GError **error)
{
    const json_t *base = find_base(began, disk->device);
    const char *then = json_string_value(json_object_get(base, "base"));
    g_autofree char *path = ireko_began_path(began, then, error);
    bool raw = g_strcmp0(json_string_value(json_object_get(base, "format")), formats[0]) == 0;
    g_autofree char *over = ireko_made_overlay_path(disk, folder);
    uint64_t bytes = ireko_made_bytes(disk);
    IREKO_AUTOFD base_fd = path != NULL ? open_disk(path, error) : -1;
    IREKO_AUTOFD over_fd = base_fd >= 0 ? open_disk(over, error) : -1;
    return over_fd >= 0 && ireko_vault_copy_to(fd, base_fd, 0, raw ? bytes : 0, error) &&
           (raw || ireko_overlay_put(base_fd, fd, bytes, error)) &&
           ireko_overlay_put(over_fd, fd, bytes, error);
}

static bool
copy_disk(const Freezing *freezing, const IrekoDrive *drive, GError **error)
{
    g_autofree char *name = file_name(freezing->order->prefix, drive->disk->device, ".disk");
    const json_t *base = find_base(freezing->began, drive->disk->device);
    if (base != NULL) {
        IREKO_AUTOFD to_fd = ireko_vault_create(freezing->writer, name, error);
        return to_fd >= 0 &&
               flatten(drive->disk, freezing->began, freezing->order->folder, to_fd, error);
    }
    IREKO_AUTOFD fd = open_disk(drive->path, error);
    struct stat st;
    if (fd < 0)
        return false;
    if (fstat(fd, &st) != 0) {
        ireko_error_from_errno(error, errno, "cannot look at the disk '%s'", drive->path);
        return false;
    }
    return ireko_vault_copy(freezing->writer, name, fd, 0, (uint64_t)st.st_size, error);
}

/* Whether a vCPU of STREAM was in the middle of a guest of its machine, as far as QEMU can tell of
 * its own: what a KVM keeps of that is in the stream, and goes on. */
static bool
is_in_a_guest(const IrekoStream *stream)
{
    for (size_t i = 0; i < ireko_stream_vcpus(stream); i++) {
        const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, i);
        if (vcpu->guest_mode && vcpu->image == NULL)
            return true;
    }
    return false;
}

/* QEMU does not load a vCPU that runs a guest without a KVM's word on it (cpu_post_load in its
 * target/i386/machine.c, 7.2), and TCG has none. So the machine is stopped until its hypervisor is
 * at work itself, or idle. A state that cannot be read here may be loaded there. */
static bool
can_go_on(void *data)
{
    const Freezing *freezing = data;
    struct stat st;
    if (fstat(freezing->state_fd, &st) != 0 || st.st_size == 0)
        return true;
    size_t len = (size_t)st.st_size;
    void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, freezing->state_fd, 0);
    if (bytes == MAP_FAILED)
        return true;
    g_autoptr(IrekoStream) stream = ireko_stream_read(bytes, len, NULL);
    (void)munmap(bytes, len);
    if (stream == NULL || !is_in_a_guest(stream))
        return true;
    return ftruncate(freezing->state_fd, 0) != 0 || lseek(freezing->state_fd, 0, SEEK_SET) != 0;
}

/* While the machine stands still. */
static bool
copy_all(void *data, GError **error)
{
    const Freezing *freezing = data;
    const IrekoFreezeOrder *order = freezing->order;
    if (order->stands != NULL && !order->stands(order->data, error))
        return false;
    if (!freezing->with_ram && !copy_ram(freezing, error))
        return false;
    for (unsigned i = 0; i < freezing->drives->len; i++) {
        const IrekoDrive *drive = freezing->drives->pdata[i];
        if (drive->path != NULL && !copy_disk(freezing, drive, error))
            return false;
    }
    return true;
}

static json_t *
describe(const Freezing *freezing)
{
    const IrekoFreezeOrder *order = freezing->order;
    const IrekoSpec spec = {
        .machine = order->node->machine, .id = order->id, .cards = order->node->cards};
    json_t *macs = json_deep_copy(json_object_get(freezing->began, "macs"));
    json_t *disks = json_array();
    bool booted = macs == NULL;
    macs = booted ? json_array() : macs;
    for (unsigned i = 0; booted && i < spec.machine->nics->len; i++) {
        g_autofree char *mac = ireko_spec_mac(&spec, i);
        json_array_append_new(macs, json_string(mac));
    }
    for (unsigned i = 0; i < freezing->drives->len; i++) {
        const IrekoDrive *drive = freezing->drives->pdata[i];
        const json_t *base = find_base(freezing->began, drive->disk->device);
        if (drive->path != NULL)
            json_array_append_new(disks,
                                  json_pack("{s:s,s:s}", "device", drive->disk->device, "format",
                                            base != NULL ? formats[0] : drive->format));
    }
    return json_pack("{s:s,s:b,s:o,s:o}", "path", order->node->path, "ram", !freezing->with_ram,
                     "macs", macs, "disks", disks);
}

/* Whether its memory goes through its state: that of a clone is not in one file. */
static bool
is_ram_apart(IrekoVm *vm)
{
    g_auto(IrekoRamFiles) files = {.file_fd = -1, .process_fd = -1, .pages_fd = -1};
    return !ireko_vm_open_ram(vm, &files, NULL) || files.process_fd >= 0;
}

static bool
freeze_into(Freezing *freezing, IrekoDeadline deadline, GError **error)
{
    const IrekoFreezeOrder *order = freezing->order;
    freezing->with_ram = is_ram_apart(order->vm);
    g_autofree char *state = plain_name(order->prefix, "state");
    IREKO_AUTOFD state_fd = ireko_vault_create(freezing->writer, state, error);
    if (state_fd < 0)
        return false;
    freezing->state_fd = state_fd;
    const IrekoFreeze freeze = {
        .state_fd = state_fd,
        .with_ram = freezing->with_ram,
        .end = order->end,
        .fits = can_go_on,
        .still = copy_all,
        .data = freezing,
    };
    return ireko_vm_freeze(order->vm, &freeze, deadline, error);
}

json_t *
ireko_freeze_machine(const IrekoFreezeOrder *order,
                     IrekoVaultWriter *writer,
                     IrekoDeadline deadline,
                     GError **error)
{
    g_autoptr(json_t) began = ireko_began_read(order->folder);
    /* the disks of one that went on from a vault are its overlays: none is made */
    g_autoptr(GPtrArray) drives =
        ireko_drives_prepare(order->node, began != NULL ? NULL : order->folder, error);
    if (drives == NULL)
        return NULL;
    Freezing freezing = {.order = order, .writer = writer, .drives = drives, .began = began};
    return freeze_into(&freezing, deadline, error) ? describe(&freezing) : NULL;
}

/* ---- going on ---- */

void
ireko_thaw_clear(IrekoThaw *thaw)
{
    if (thaw->macs == NULL)
        return;
    ireko_fd_close(&thaw->frozen.ram_fd);
    ireko_fd_close(&thaw->frozen.state_fd);
    g_clear_pointer(&thaw->macs, g_ptr_array_unref);
}

static bool
mismatch(const char *what, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "what was frozen is another machine: its %s differ", what);
    return false;
}

static bool
take_macs(IrekoThaw *thaw, const IrekoNode *node, GError **error)
{
    const json_t *macs = json_object_get(thaw->about, "macs");
    if (json_array_size(macs) != node->machine->nics->len)
        return mismatch("cards", error);
    for (size_t i = 0; i < json_array_size(macs); i++) {
        const char *mac = json_string_value(json_array_get(macs, i));
        if (mac == NULL || strlen(mac) != strlen("00:00:00:00:00:00") ||
            strspn(mac, "0123456789abcdefABCDEF:") != strlen(mac))
            return mismatch("cards", error);
        g_ptr_array_add(thaw->macs, g_strdup(mac));
    }
    g_ptr_array_add(thaw->macs, NULL);
    thaw->frozen.macs = (const char *const *)thaw->macs->pdata;
    return true;
}

/* The format on record of DEVICE, as one of ours; NULL where there is none. */
static const char *
recorded_format(const json_t *about, const char *device)
{
    size_t i;
    const json_t *disk;
    json_array_foreach(json_object_get(about, "disks"), i, disk)
    {
        const char *format = json_string_value(json_object_get(disk, "format"));
        if (g_strcmp0(json_string_value(json_object_get(disk, "device")), device) != 0)
            continue;
        for (size_t k = 0; format != NULL && k < G_N_ELEMENTS(formats); k++) {
            if (strcmp(formats[k], format) == 0)
                return formats[k];
        }
    }
    return NULL;
}

/* Has DRIVE written over the vault's disk, into a file of FOLDER; BEGAN is told. */
static bool
lay_over(
    const IrekoThaw *thaw, IrekoDrive *drive, const char *folder, json_t *began, GError **error)
{
    drive->base_format = recorded_format(thaw->about, drive->disk->device);
    if (drive->base_format == NULL)
        return mismatch("disks", error);
    g_autofree char *disk = file_name(thaw->prefix, drive->disk->device, ".disk");
    g_clear_pointer(&drive->path, g_free);
    drive->base = ireko_vault_path(thaw->vault, disk);
    drive->format = IREKO_MADE_OVERLAY_FORMAT;
    json_array_append_new(json_object_get(began, "disks"),
                          json_pack("{s:s,s:s,s:s}", "device", drive->disk->device, "base",
                                    drive->base, "format", drive->base_format));
    return ireko_made_overlay(drive->disk, folder, &drive->path, error);
}

/* Opens it; BEGAN is told of the state where the memory will be pages over a file. */
static bool
open_frozen(IrekoThaw *thaw, json_t *began, GError **error)
{
    g_autofree char *ram = plain_name(thaw->prefix, "ram");
    g_autofree char *state = plain_name(thaw->prefix, "state");
    thaw->frozen.state_fd = ireko_vault_open_file(thaw->vault, state, error);
    if (thaw->frozen.state_fd < 0 || !json_is_true(json_object_get(thaw->about, "ram")))
        return thaw->frozen.state_fd >= 0;
    thaw->frozen.ram_fd = ireko_vault_open_file(thaw->vault, ram, error);
    g_autofree char *path = ireko_vault_path(thaw->vault, state);
    (void)json_object_set_new(began, "state", json_string(path));
    return thaw->frozen.ram_fd >= 0;
}

bool
ireko_thaw_prepare(const IrekoLayer *layer,
                   const IrekoNode *node,
                   const char *folder,
                   IrekoThaw *thaw,
                   IrekoStart *ret_start,
                   GError **error)
{
    thaw->frozen = (IrekoFrozen){.ram_fd = -1, .state_fd = -1};
    thaw->macs = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *vault = ireko_vault_path(thaw->vault, ""),
                    *mark = ireko_vault_mark(thaw->vault);
    g_autoptr(json_t) began =
        json_pack("{s:s,s:O,s:s,s:s?,s:[]}", "origin", thaw->origin, "macs",
                  json_object_get(thaw->about, "macs"), "vault", vault, "mark", mark, "disks");
    if (!take_macs(thaw, node, error) || !open_frozen(thaw, began, error) ||
        !ireko_layer_prepare(layer, node, NULL, ret_start, error))
        return false;
    ret_start->spec.from = &thaw->frozen;
    if (layer->clones >= JIT_FROM)
        ret_start->spec.jit_mib = JIT_MIB * MAX(ireko_nodes_count(node->guests), 1);
    bool ready = ireko_start_plug(ret_start, layer, node, error);
    for (unsigned i = 0; ready && i < ret_start->drives->len; i++) {
        IrekoDrive *drive = ret_start->drives->pdata[i];
        ready = drive->path == NULL || lay_over(thaw, drive, folder, began, error);
    }
    if (ready && ireko_began_write(folder, began, error))
        return true;
    ireko_start_clear(ret_start);
    return false;
}

/* ---- on its own again ---- */

/* The disk DISK of FOLDER, which lay over another as BEGAN says, as ireko makes one. */
static bool
detach(const IrekoDisk *disk, const json_t *began, const char *folder, GError **error)
{
    g_autofree char *path = NULL;
    const char *format = NULL;
    if (!ireko_made_place(disk, folder, &path, &format, error))
        return false;
    (void)unlink(path); /* of one who died over this, or of a machine before */
    if (!ireko_made_create(disk, folder, error))
        return false;
    if (strcmp(format, formats[0]) != 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "its disk %s lies over that of another machine, and is a %s: only a raw disk "
                    "or a .vmdk can be put down as one",
                    disk->device, format);
        return false;
    }
    IREKO_AUTOFD fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot open the disk '%s'", path);
    return fd >= 0 && flatten(disk, began, folder, fd, error);
}

bool
ireko_thaw_detach(const IrekoNode *node, const char *folder, GError **error)
{
    g_autoptr(json_t) began = ireko_began_read(folder);
    for (unsigned i = 0; i < node->machine->disks->len; i++) {
        const IrekoDisk *disk = node->machine->disks->pdata[i];
        if (find_base(began, disk->device) != NULL && !detach(disk, began, folder, error))
            return false;
    }
    ireko_began_forget(folder);
    return true;
}

/* Whether DISK is there, as one that ireko made. */
static bool
is_made(const IrekoDisk *disk, const char *folder)
{
    g_autofree char *path = NULL;
    const char *format = NULL;
    return disk->create_bytes > 0 && ireko_made_place(disk, folder, &path, &format, NULL) &&
           g_file_test(path, G_FILE_TEST_EXISTS);
}

/* Of one that goes on from a template, what it has not written is there for every clone. */
bool
ireko_thaw_is_needless(const IrekoNode *node, const char *folder)
{
    g_autoptr(json_t) began = ireko_began_read(folder);
    const char *origin = json_string_value(json_object_get(began, "origin"));
    bool saved = g_strcmp0(origin, IREKO_ORIGIN_SNAPSHOT) == 0;
    if (began != NULL && ireko_is_thawing(folder))
        return false; /* it never was itself */
    for (unsigned i = 0; i < node->machine->disks->len; i++) {
        const IrekoDisk *disk = node->machine->disks->pdata[i];
        bool over = find_base(began, disk->device) != NULL;
        if (over ? saved || ireko_made_overlay_is_written(disk, folder)
                 : began == NULL && is_made(disk, folder))
            return true;
    }
    return false;
}
