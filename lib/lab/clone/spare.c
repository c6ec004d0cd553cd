/* lab/clone/spare.c - clones that were made beforehand.
 *
 * What a clone's time goes into is its process: QEMU is loaded, and its TCG translates once more
 * all that the machines inside run until they have answered (docs/design/boot.md). A spare has that
 * behind it. It began as any clone does and was told who it is, then once more in a talk of its
 * own, as it will be told, and in the middle of that it was stopped. Whoever takes it is connected
 * before it goes on, so that its agent never learns that the talk broke off, nor do those further
 * in: it is told once more, with new secrets and the right time, and runs nothing that is not
 * translated. */
#include "lab/clone/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "lab/clone/began.h"
#include "lab/network/netorder.h"
#include "lab/network/network.h"

#define SPARES       ".spares" /* no lab is called so */
#define NEW          ".new-"
#define SHAPE        "spare.json"
#define SHAPE_MAX    ((size_t)1 << 20)
#define HALT_SECONDS 5 /* times the pace */
#define END_SECONDS  5
#define LOCK_TRIES   100 /* against one who removes what was just locked */

static char *
lab_folder(const char *run, const char *lab)
{
    return g_build_filename(run, SPARES, lab, NULL);
}

/* Of the spares that CLONE could be. */
static char *
machine_folder(const IrekoClone *clone)
{
    g_autofree char *run = g_path_get_dirname(clone->layer->folder);
    g_autofree char *lab = lab_folder(run, clone->layer->id);
    return g_build_filename(lab, clone->node->name, NULL);
}

/* Names in FOLDER of what is half made, with HALF, or else of the rest; none where it is a link to
 * elsewhere, from where nothing is to be removed. Free with g_strfreev. */
static char **
names_in(const char *folder, bool half)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    bool link = g_file_test(folder, G_FILE_TEST_IS_SYMLINK);
    g_autoptr(GDir) dir = link ? NULL : g_dir_open(folder, 0, NULL);
    for (const char *entry; dir != NULL && (entry = g_dir_read_name(dir)) != NULL;) {
        if (half ? g_str_has_prefix(entry, NEW) : ireko_text_is_name(entry))
            g_strv_builder_add(names, entry);
    }
    return g_strv_builder_end(names);
}

/* ---- what a spare fits ---- */

/* The template is this one and no other of the same key; the cards have the addresses that QEMU was
 * started with, where it translates them. */
static json_t *
shape_of(const IrekoClone *clone)
{
    const json_t *about = ireko_vault_about(clone->vault);
    return json_pack("{s:s,s:O?,s:o}", "template", ireko_vault_name(clone->vault), "made",
                     json_object_get(about, "made"), "network",
                     ireko_netorder_cards(clone->node, true));
}

static bool
write_shape(const IrekoClone *clone, const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, SHAPE, NULL);
    g_autoptr(json_t) shape = shape_of(clone);
    char *text = json_dumps(shape, JSON_COMPACT);
    bool written = ireko_file_replace(path, text, strlen(text), 0600, error);
    free(text);
    return written;
}

static json_t *
read_shape(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, SHAPE, NULL);
    size_t len = 0;
    bool file = g_file_test(path, G_FILE_TEST_IS_REGULAR); /* nobody waits for a writer */
    g_autofree char *text = file ? ireko_file_read(AT_FDCWD, path, SHAPE_MAX, &len, NULL) : NULL;
    return text != NULL ? ireko_jsonl_decode(text, len, NULL) : NULL;
}

static bool
is_alive(const char *folder)
{
    g_autoptr(IrekoVm) vm = ireko_vm_attach(ireko_engine_chosen(), folder, NULL);
    return vm != NULL;
}

static bool
fits(const char *folder, const json_t *shape)
{
    g_autoptr(json_t) own = read_shape(folder);
    return own != NULL && json_equal(own, shape) && is_alive(folder);
}

/* ---- ended ---- */

static bool
end_at(const char *folder, GError **error)
{
    g_autoptr(IrekoVm) vm = ireko_vm_attach(ireko_engine_chosen(), folder, NULL);
    return (vm == NULL || ireko_vm_end(vm, ireko_patience(END_SECONDS, 1), error)) &&
           ireko_file_remove_tree(folder, error);
}

/* Ends the spare NAME in FOLDER, a machine's, and counts it - unless `up`, which has no lock, takes
 * it first: of two renames one finds it. */
static bool
end_ready(const char *folder, const char *name, unsigned *ret_ended, GError **error)
{
    g_autofree char *ready = g_build_filename(folder, name, NULL);
    g_autofree char *half = g_strdup_printf("%s/" NEW "%s", folder, name);
    if (rename(ready, half) == 0) {
        if (ret_ended != NULL)
            ++*ret_ended;
        return end_at(half, error);
    }
    if (errno != ENOENT)
        ireko_error_from_errno(error, errno, "cannot rename '%s'", ready);
    return errno == ENOENT;
}

/* Ends what is in FOLDER, a machine's; with ALL, not only what is half made. */
static bool
end_in(const char *folder, bool all, unsigned *ret_ended, GError **error)
{
    g_auto(GStrv) half = names_in(folder, true), ready = names_in(folder, false);
    for (size_t i = 0; half[i] != NULL; i++) {
        g_autofree char *path = g_build_filename(folder, half[i], NULL);
        if (!end_at(path, error))
            return false;
    }
    for (size_t i = 0; all && ready[i] != NULL; i++) {
        if (!end_ready(folder, ready[i], ret_ended, error))
            return false;
    }
    return true;
}

static bool
is_kept(const GPtrArray *nodes, const char *name)
{
    for (unsigned i = 0; nodes != NULL && i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        if (strcmp(node->name, name) == 0)
            return true;
    }
    return false;
}

/* The same, in FOLDER, a lab's, for every machine that is none of KEPT. */
static bool
end_all(const char *folder, const GPtrArray *kept, bool all, unsigned *ret_ended, GError **error)
{
    g_auto(GStrv) machines = names_in(folder, false);
    for (size_t i = 0; machines[i] != NULL; i++) {
        g_autofree char *machine = g_build_filename(folder, machines[i], NULL);
        if (!is_kept(kept, machines[i]) && !end_in(machine, all, ret_ended, error))
            return false;
    }
    return true;
}

int
ireko_spares_lock(const IrekoHome *home, const char *lab, GError **error)
{
    g_autofree char *folder = lab_folder(home->run, lab);
    for (unsigned i = 0; i < LOCK_TRIES; i++) {
        if (!ireko_file_make_folder(folder, error))
            return -1;
        IREKO_AUTOFD fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        struct stat own, there;
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0) {
            ireko_error_from_errno(error, errno, "cannot open the folder '%s'", folder);
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0)
            break;
        if (fstat(fd, &own) == 0 && stat(folder, &there) == 0 && own.st_ino == there.st_ino)
            return end_all(folder, NULL, false, NULL, error) ? ireko_fd_steal(&fd) : -1;
    }
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "another ireko is at work on the spares of the lab '%s': wait for it, or end it",
                lab);
    return -1;
}

void
ireko_spares_tidy(const IrekoHome *home, const char *lab)
{
    g_autofree char *folder = lab_folder(home->run, lab);
    g_autofree char *all = g_path_get_dirname(folder);
    g_auto(GStrv) machines = names_in(folder, false);
    for (size_t i = 0; machines[i] != NULL; i++) {
        g_autofree char *machine = g_build_filename(folder, machines[i], NULL);
        (void)rmdir(machine);
    }
    (void)rmdir(folder);
    (void)rmdir(all);
}

bool
ireko_spares_end(const IrekoHome *home,
                 const char *lab,
                 const GPtrArray *kept,
                 unsigned *ret_ended,
                 GError **error)
{
    g_autofree char *folder = lab_folder(home->run, lab);
    return end_all(folder, kept, true, ret_ended, error);
}

void
ireko_spares_sweep(const IrekoHome *home, const char *lab)
{
    g_autofree char *folder = lab_folder(home->run, lab);
    IREKO_AUTOFD lock =
        g_file_test(folder, G_FILE_TEST_IS_DIR) ? ireko_spares_lock(home, lab, NULL) : -1;
    if (lock >= 0)
        ireko_spares_tidy(home, lab);
}

/* ---- counted ---- */

/* What is in the folders of the machines in FOLDER, a lab's: half made, with HALF, or the rest. */
static unsigned
count_in(const char *folder, bool half)
{
    g_auto(GStrv) machines = names_in(folder, false);
    unsigned count = 0;
    for (size_t i = 0; machines[i] != NULL; i++) {
        g_autofree char *machine = g_build_filename(folder, machines[i], NULL);
        g_auto(GStrv) names = names_in(machine, half);
        count += g_strv_length(names);
    }
    return count;
}

unsigned
ireko_spares_there(const IrekoHome *home, const char *lab)
{
    g_autofree char *folder = lab_folder(home->run, lab);
    return count_in(folder, false);
}

/* Labs that have a folder, and any spare in it, or (EMPTY) none. */
static char **
labs_of(const IrekoHome *home, bool empty)
{
    g_autofree char *all = g_build_filename(home->run, SPARES, NULL);
    g_auto(GStrv) labs = names_in(all, false);
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    for (size_t i = 0; labs[i] != NULL; i++) {
        g_autofree char *folder = g_build_filename(all, labs[i], NULL);
        if ((count_in(folder, false) + count_in(folder, true) == 0) == empty)
            g_strv_builder_add(found, labs[i]);
    }
    return g_strv_builder_end(found);
}

char **
ireko_spares_labs(const IrekoHome *home)
{
    return labs_of(home, false);
}

void
ireko_spares_sweep_empty(const IrekoHome *home)
{
    g_autofree char *all = g_build_filename(home->run, SPARES, NULL);
    g_auto(GStrv) labs = labs_of(home, true);
    for (size_t i = 0; labs[i] != NULL; i++)
        ireko_spares_sweep(home, labs[i]);
    (void)rmdir(all);
}

static bool
is_of_template(const char *folder, const char *key, const char *made)
{
    g_autoptr(json_t) shape = read_shape(folder);
    return g_strcmp0(json_string_value(json_object_get(shape, "template")), key) == 0 &&
           g_strcmp0(json_string_value(json_object_get(shape, "made")), made) == 0;
}

static unsigned
count_of_lab(const IrekoHome *home, const char *lab, const char *key, const char *made)
{
    g_autofree char *folder = lab_folder(home->run, lab);
    g_auto(GStrv) machines = names_in(folder, false);
    unsigned count = 0;
    for (size_t i = 0; machines[i] != NULL; i++) {
        g_autofree char *machine = g_build_filename(folder, machines[i], NULL);
        g_auto(GStrv) ready = names_in(machine, false);
        for (size_t k = 0; ready[k] != NULL; k++) {
            g_autofree char *path = g_build_filename(machine, ready[k], NULL);
            count += is_alive(path) && (key == NULL || is_of_template(path, key, made));
        }
    }
    return count;
}

unsigned
ireko_spares_count(const IrekoHome *home, const char *lab, const char *key, const char *made)
{
    if (lab != NULL)
        return count_of_lab(home, lab, key, made);
    g_auto(GStrv) labs = ireko_spares_labs(home);
    unsigned count = 0;
    for (size_t i = 0; labs[i] != NULL; i++)
        count += count_of_lab(home, labs[i], key, made);
    return count;
}

/* ---- made ---- */

/* What a spare's cards are plugged into until it is taken: nothing. */
static int
plug_nowhere(const IrekoLayer *layer, const IrekoNode *node, const IrekoCard *card, GError **error)
{
    (void)layer, (void)node, (void)card;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a socket for a network card");
        return -1;
    }
    (void)close(ends[1]);
    return ends[0];
}

/* Brings OWN's machine to where it waits: in the middle of a talk, which is broken off only when it
 * stands still. */
static bool
make_ready(const IrekoClone *own, IrekoVm *vm, GError **error)
{
    IREKO_AUTOFD hold = -1;
    g_autoptr(IrekoAgent) talk = ireko_clone_rehearse(own, &hold, error);
    return talk != NULL && ireko_thawing_set(own->folder, error) &&
           ireko_vm_halt(vm, ireko_patience(HALT_SECONDS, own->pace), error) &&
           write_shape(own, own->folder, error);
}

bool
ireko_spare_make(const IrekoClone *clone, GError **error)
{
    g_autofree char *folder = machine_folder(clone);
    g_autofree char *name = g_strdup_printf("%08x", g_random_int());
    g_autofree char *ready = g_build_filename(folder, name, NULL);
    g_autofree char *half = g_strdup_printf("%s/" NEW "%s", folder, name);
    IrekoLayer layer = *clone->layer;
    layer.link = plug_nowhere;
    IrekoClone own = *clone;
    own.layer = &layer;
    own.folder = half;
    if (g_file_test(folder, G_FILE_TEST_IS_SYMLINK)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE, "'%s' is a symbolic link: remove it",
                    folder);
        return false;
    }
    if (!ireko_file_make_folder(half, error))
        return false;
    g_autoptr(IrekoVm) vm = ireko_clone_start(&own, NULL, error);
    bool made = vm != NULL && make_ready(&own, vm, error);
    if (made && rename(half, ready) != 0) {
        ireko_error_from_errno(error, errno, "cannot rename '%s'", half);
        made = false;
    }
    if (!made)
        (void)end_at(half, NULL);
    return made;
}

unsigned
ireko_spares_fit(const IrekoClone *clone, bool end)
{
    g_autofree char *folder = machine_folder(clone);
    g_autoptr(json_t) shape = shape_of(clone);
    g_auto(GStrv) names = names_in(folder, false);
    unsigned count = 0;
    for (size_t i = 0; names[i] != NULL; i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        bool fit = fits(path, shape);
        count += fit;
        if (!fit && end)
            (void)end_ready(folder, names[i], NULL, NULL);
    }
    return count;
}

/* ---- taken ---- */

/* CLONE's machine, which stands still in its folder, goes on. */
static IrekoVm *
go_on(const IrekoClone *clone, GPtrArray **ret_answer, GError **error)
{
    const IrekoLayer *layer = clone->layer;
    g_autoptr(IrekoVm) vm = ireko_vm_attach(layer->engine, clone->folder, error);
    if (vm == NULL)
        return NULL;
    IREKO_AUTOFD hold = -1;
    IREKO_AUTOFD fd = ireko_network_plug(layer, clone->node, vm, error)
                          ? ireko_port_connect(layer->engine, clone->folder, &hold, error)
                          : -1;
    if (fd < 0 || !ireko_vm_unfreeze(vm, ireko_patience(HALT_SECONDS, clone->pace), error) ||
        !ireko_clone_become(clone, ireko_fd_steal(&fd), ret_answer, error))
        return NULL;
    g_autofree char *shape = g_build_filename(clone->folder, SHAPE, NULL);
    (void)unlink(shape);
    ireko_thawing_clear(clone->folder);
    return g_steal_pointer(&vm);
}

IrekoVm *
ireko_spare_take(const IrekoClone *clone, GPtrArray **ret_answer, GError **error)
{
    g_autofree char *folder = machine_folder(clone);
    g_auto(GStrv) names = names_in(folder, false);
    g_autoptr(json_t) shape = names[0] != NULL ? shape_of(clone) : NULL;
    for (size_t i = 0; names[i] != NULL; i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        if (!fits(path, shape) || !ireko_file_remove_tree(clone->folder, NULL) ||
            rename(path, clone->folder) != 0)
            continue;
        IrekoVm *vm = go_on(clone, ret_answer, error);
        if (vm != NULL)
            return vm;
        (void)end_at(clone->folder, NULL);
        break;
    }
    (void)ireko_file_make_folder(clone->folder, NULL); /* whoever begins one says what is wrong */
    return NULL;
}
