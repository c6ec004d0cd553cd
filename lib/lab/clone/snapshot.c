/* lab/clone/snapshot.c - a whole lab frozen as one consistent point.
 *
 * Every machine of L0 is frozen by a thread of its own, and none goes on before all of them stand.
 * So no machine's state can hold the effect of a message that another one sent after it was itself
 * saved: until the last one stands nobody who was saved sends anything. What is under way between
 * them at that moment - frames in sockets, in a switch - is in no state, and lost, as it is on any
 * network; their protocols send it again. The machines inside need no care: they stand with the one
 * around them.
 *
 * All that is known to be in the way is asked for before the first machine is stopped. */
#include "lab/clone/snapshot.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "lab/clone/began.h"
#include "lab/clone/freeze.h"
#include "lab/drives.h"

#define FREEZE_SECONDS                                                                             \
    60 /* for the state, the memory and the disks to be written, times the pace */
#define ASK_SECONDS  5
#define MEET_LOOK_MS 50
#define SPARE_BYTES  ((uint64_t)64 << 20) /* that stay free on the disk */

typedef struct Taking Taking;

/* A machine of L0 that is being saved. */
typedef struct {
    Taking *taking;
    const IrekoNode *node;
    IrekoVm *vm;
    char *folder;
    uint64_t bytes; /* that it will take, about */
    json_t *about;  /* what came of it; or NULL with */
    GError *error;
    GThread *thread;
} Subject;

struct Taking {
    const IrekoHome *home;
    const IrekoLabRun *run;
    IrekoLab *lab;
    json_t *record;
    IrekoFacts *facts;
    IrekoAccel accel;
    GPtrArray *subjects;
    IrekoVaultWriter *writer;
    GMutex lock;
    GCond changed;
    unsigned standing;
    bool broken;      /* one of them cannot be saved: all go on */
    int64_t since_us; /* when the first one stood */
};

static void
free_subject(void *data)
{
    Subject *subject = data;
    ireko_vm_free(subject->vm);
    g_free(subject->folder);
    json_decref(subject->about);
    g_clear_error(&subject->error);
    g_free(subject);
}

static void
taking_clear(Taking *taking)
{
    ireko_lab_free(taking->lab);
    json_decref(taking->record);
    ireko_facts_free(taking->facts);
    g_clear_pointer(&taking->subjects, g_ptr_array_unref);
    ireko_vault_writer_free(taking->writer);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Taking, taking_clear)

/* ---- what is in the way ---- */

static void
add_reason(GString *reasons, const Subject *subject, const char *why)
{
    g_string_append_printf(reasons, "%s%s: %s", reasons->len > 0 ? "; " : "", subject->node->path,
                           why);
}

/* What SUBJECT's memory and disks take now. */
static uint64_t
bytes_of(const Subject *subject)
{
    struct stat st;
    uint64_t bytes = (uint64_t)subject->node->machine->memory_mib << 20;
    g_auto(IrekoRamFiles) ram = {.file_fd = -1, .process_fd = -1, .pages_fd = -1};
    if (ireko_vm_open_ram(subject->vm, &ram, NULL) && ram.process_fd < 0 &&
        fstat(ram.file_fd, &st) == 0)
        bytes = (uint64_t)st.st_blocks * 512; /* stat(2): always units of 512 */
    g_autoptr(GPtrArray) drives = ireko_drives_prepare(subject->node, NULL, NULL);
    for (unsigned i = 0; drives != NULL && i < drives->len; i++) {
        const IrekoDrive *drive = drives->pdata[i];
        g_autofree char *name = drive->path != NULL ? g_path_get_basename(drive->path) : NULL;
        g_autofree char *path = name != NULL ? g_build_filename(subject->folder, name, NULL) : NULL;
        if (path != NULL && stat(path, &st) == 0)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    return bytes;
}

static bool
look_at(Taking *taking, Subject *subject, GString *reasons)
{
    g_autoptr(GError) why = NULL;
    subject->vm = ireko_vm_attach(ireko_engine_chosen(), subject->folder, NULL);
    if (subject->vm == NULL || ireko_is_thawing(subject->folder) ||
        ireko_vm_is_freezing(subject->vm)) {
        add_reason(reasons, subject,
                   subject->vm == NULL ? "does not run: 'ireko up' first"
                                       : "an earlier ireko ended in the midst of it: 'ireko up' "
                                         "first");
        return false;
    }
    g_autofree char *obstacle = ireko_freeze_obstacle(subject->node, taking->facts, taking->accel);
    if (obstacle != NULL)
        add_reason(reasons, subject, obstacle);
    else if (!ireko_vm_check_freeze(subject->vm, ireko_patience(ASK_SECONDS, 1), &why))
        add_reason(reasons, subject, why->message);
    subject->bytes = bytes_of(subject);
    return true;
}

/* Whether the file system of the lab's folder has room for all of it. */
static bool
has_room(const Taking *taking, GError **error)
{
    uint64_t need = SPARE_BYTES;
    struct statvfs fs;
    for (unsigned i = 0; i < taking->subjects->len; i++)
        need += ((const Subject *)taking->subjects->pdata[i])->bytes;
    g_autofree char *labs = g_build_filename(taking->home->state, "labs", NULL);
    uint64_t free_bytes =
        statvfs(labs, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : UINT64_MAX;
    if (free_bytes >= need)
        return true;
    g_autofree char *needed = ireko_text_size(need), *there = ireko_text_size(free_bytes);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                "it takes up to %s, and %s has %s free: make room, or move IREKO_HOME", needed,
                labs, there);
    return false;
}

static bool
check_name(const IrekoHome *home, const char *lab, const char *name, GError **error)
{
    g_autofree char *store = ireko_snapshot_store(home, lab);
    g_autofree char *path = g_build_filename(store, name, NULL);
    if (!ireko_text_is_name(name)) {
        g_set_error(
            error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
            "'%s' is no name for a snapshot: letters, digits, '-', '_' and '.', at most 64, "
            "a letter or digit first",
            name);
        return false;
    }
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' has a snapshot '%s' already: 'ireko snapshot remove %s %s' removes it", lab,
                name, lab, name);
    return false;
}

/* Reads what there is to save, and checks that it can be. */
static bool
prepare(Taking *taking, const char *lab, const char *name, GError **error)
{
    taking->subjects = g_ptr_array_new_with_free_func(free_subject);
    taking->record = ireko_record_document(taking->home, lab, error);
    taking->lab = taking->record != NULL ? ireko_record_parse(taking->record, lab, error) : NULL;
    if (taking->lab == NULL || !check_name(taking->home, lab, name, error))
        return false;
    taking->facts = ireko_facts_here(error);
    if (taking->facts == NULL)
        return false;
    taking->accel = strcmp(taking->lab->accel, "kvm") == 0 ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    g_autofree char *run_folder = ireko_record_run_folder(taking->home, lab);
    g_autoptr(GString) reasons = g_string_new(NULL);
    bool all_run = true;
    for (unsigned i = 0; i < taking->lab->nodes->len; i++) {
        Subject *subject = g_new0(Subject, 1);
        subject->taking = taking;
        subject->node = taking->lab->nodes->pdata[i];
        subject->folder = g_build_filename(run_folder, subject->node->name, NULL);
        g_ptr_array_add(taking->subjects, subject);
        all_run = look_at(taking, subject, reasons) && all_run;
    }
    if (reasons->len == 0)
        return has_room(taking, error);
    g_set_error_literal(error, IREKO_ERROR, all_run ? IREKO_ERROR_UNSUPPORTED : IREKO_ERROR_STATE,
                        reasons->str);
    return false;
}

/* ---- all at once ---- */

static bool
is_cancelled(const Taking *taking)
{
    struct pollfd cancel = {.fd = taking->run->cancel_fd, .events = POLLIN};
    return poll(&cancel, 1, 0) > 0;
}

/* A machine stands: waits until all do. */
static bool
meet(void *data, GError **error)
{
    Taking *taking = data;
    g_mutex_lock(&taking->lock);
    if (taking->standing++ == 0)
        taking->since_us = g_get_monotonic_time();
    g_cond_broadcast(&taking->changed);
    while (taking->standing < taking->subjects->len && !taking->broken && !is_cancelled(taking))
        (void)g_cond_wait_until(&taking->changed, &taking->lock,
                                g_get_monotonic_time() + MEET_LOOK_MS * G_TIME_SPAN_MILLISECOND);
    bool all = taking->standing == taking->subjects->len;
    g_mutex_unlock(&taking->lock);
    if (!all)
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_CANCELLED,
                            "interrupted: every machine goes on, and no snapshot is kept");
    return all;
}

static void *
freeze(void *data)
{
    Subject *subject = data;
    Taking *taking = subject->taking;
    g_autofree char *prefix = g_strconcat(subject->node->name, "/", NULL);
    g_autofree char *id = g_strconcat(taking->lab->name, "/", subject->node->path, NULL);
    const IrekoFreezeOrder order = {.engine = ireko_engine_chosen(),
                                    .node = subject->node,
                                    .vm = subject->vm,
                                    .folder = subject->folder,
                                    .id = id,
                                    .prefix = prefix,
                                    .stands = meet,
                                    .data = taking};
    unsigned pace = ireko_layer_pace(taking->accel, 1, 0);
    subject->about = ireko_freeze_machine(&order, taking->writer,
                                          ireko_patience(FREEZE_SECONDS, pace), &subject->error);
    if (subject->about == NULL) {
        g_mutex_lock(&taking->lock);
        taking->broken = true;
        g_cond_broadcast(&taking->changed);
        g_mutex_unlock(&taking->lock);
    }
    return NULL;
}

/* Of those that could not be saved the first that was not merely given up for another's sake. */
static bool
judge(const Taking *taking, GError **error)
{
    const Subject *first = NULL;
    for (unsigned i = 0; i < taking->subjects->len; i++) {
        const Subject *subject = taking->subjects->pdata[i];
        if (subject->error != NULL &&
            (first == NULL || g_error_matches(first->error, IREKO_ERROR, IREKO_ERROR_CANCELLED)))
            first = subject;
    }
    if (first == NULL)
        return true;
    g_propagate_error(error, g_error_copy(first->error));
    g_prefix_error(error, "%s: ", first->node->path);
    return false;
}

static bool
freeze_all(Taking *taking, GError **error)
{
    g_mutex_init(&taking->lock);
    g_cond_init(&taking->changed);
    for (unsigned i = 0; i < taking->subjects->len; i++) {
        Subject *subject = taking->subjects->pdata[i];
        subject->thread = g_thread_new("snapshot", freeze, subject);
    }
    for (unsigned i = 0; i < taking->subjects->len; i++)
        (void)g_thread_join(((Subject *)taking->subjects->pdata[i])->thread);
    g_mutex_clear(&taking->lock);
    g_cond_clear(&taking->changed);
    return judge(taking, error);
}

/* ---- what is kept beside ---- */

static bool
add_image(void *data, const IrekoNode *node)
{
    const IrekoHome *home = ((void **)data)[0];
    json_t *images = ((void **)data)[1];
    const char *name = node->machine->image;
    g_autoptr(IrekoImage) image = name != NULL ? ireko_image_find(home->cache, name, NULL) : NULL;
    if (image != NULL)
        (void)json_object_set_new(images, name, json_string(image->hash));
    return true;
}

json_t *
ireko_snapshot_host(const IrekoHome *home,
                    const GPtrArray *nodes,
                    const IrekoFacts *facts,
                    IrekoAccel accel)
{
    g_autofree char *engine = ireko_engine_identity(ireko_engine_chosen());
    g_autofree char *cpu = accel == IREKO_ACCEL_KVM
                               ? g_strdup_printf("%s %s", facts->cpu_vendor, facts->cpu_model)
                               : NULL;
    json_t *images = json_object();
    void *data[] = {(void *)(uintptr_t)home, images};
    (void)ireko_nodes_each(nodes, add_image, data);
    return json_pack("{s:s?,s:s?,s:o}", "engine", engine, "cpu", cpu, "images", images);
}

static json_t *
about(const Taking *taking, double still_seconds)
{
    json_t *about =
        ireko_snapshot_host(taking->home, taking->lab->nodes, taking->facts, taking->accel);
    json_t *nest = ireko_record_read_nest(taking->home, taking->lab->name);
    json_t *machines = json_object();
    for (unsigned i = 0; i < taking->subjects->len; i++) {
        const Subject *subject = taking->subjects->pdata[i];
        (void)json_object_set(machines, subject->node->name, subject->about);
    }
    (void)json_object_set_new(about, "schema", json_string(IREKO_SNAPSHOT_SCHEMA));
    (void)json_object_set_new(about, "made",
                              json_integer((json_int_t)(g_get_real_time() / G_USEC_PER_SEC)));
    (void)json_object_set_new(about, "still_seconds", json_real(still_seconds));
    (void)json_object_set(about, "record", taking->record);
    (void)json_object_set_new(about, "nest", nest != NULL ? nest : json_null());
    (void)json_object_set_new(about, "machines", machines);
    return about;
}

static void
progress(const IrekoLabRun *run, const char *step)
{
    if (run->progress != NULL)
        run->progress(run->data, step, 0, 0);
}

static bool
fits(const Taking *taking, GError **error)
{
    char *text = json_dumps(taking->record, JSON_COMPACT);
    size_t len = strlen(text);
    free(text);
    if (len <= IREKO_SNAPSHOT_RECORD_MAX)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                "the lab's record has %zu bytes, and a snapshot keeps at most %zu", len,
                IREKO_SNAPSHOT_RECORD_MAX);
    return false;
}

static IrekoSnapshot *
find(const IrekoHome *home, const char *lab, const char *name)
{
    g_autoptr(GPtrArray) all = ireko_snapshot_list(home, lab);
    for (unsigned i = 0; i < all->len; i++) {
        if (strcmp(((const IrekoSnapshot *)all->pdata[i])->name, name) == 0)
            return g_ptr_array_steal_index(all, i);
    }
    return NULL;
}

IrekoSnapshot *
ireko_snapshot_take(const IrekoHome *home,
                    const char *lab,
                    const char *name,
                    const IrekoLabRun *run,
                    GError **error)
{
    IREKO_AUTOFD lock = ireko_record_lock(home, lab, error);
    g_auto(Taking) taking = {.home = home, .run = run};
    if (lock < 0 || !prepare(&taking, lab, name, error) || !fits(&taking, error))
        return NULL;
    g_autofree char *store = ireko_snapshot_store(home, lab);
    ireko_vault_sweep(store);
    taking.writer = ireko_vault_begin(store, name, error);
    if (taking.writer == NULL)
        return NULL;
    progress(run, "every machine stands still while it is saved");
    if (!freeze_all(&taking, error))
        return NULL;
    double still_seconds = (double)(g_get_monotonic_time() - taking.since_us) / G_USEC_PER_SEC;
    progress(run, "every machine runs again; what was saved is written to the disk");
    if (!ireko_vault_commit(taking.writer, about(&taking, still_seconds), error))
        return NULL;
    return find(home, lab, name);
}

char *
ireko_snapshot_plan(const IrekoHome *home, const char *lab, const char *name, GError **error)
{
    g_auto(Taking) taking = {.home = home};
    if (!prepare(&taking, lab, name, error))
        return NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < taking.subjects->len; i++) {
        const Subject *subject = taking.subjects->pdata[i];
        g_autofree char *size = ireko_text_size(subject->bytes);
        g_string_append_printf(text, "save %s, up to %s\n", subject->node->path, size);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
