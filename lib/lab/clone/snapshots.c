/* lab/clone/snapshots.c - the snapshots that a lab has: listed, removed, brought back. */
#include <string.h>

#include "base/text.h"
#include "lab/clone/freeze.h"
#include "lab/clone/snapshot.h"
#include "lab/end.h"

#define SNAPSHOTS_FOLDER "snapshots"

char *
ireko_snapshot_store(const IrekoHome *home, const char *lab)
{
    return g_build_filename(home->state, "labs", lab, SNAPSHOTS_FOLDER, NULL);
}

void
ireko_snapshot_free(IrekoSnapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    g_free(snapshot->lab);
    g_free(snapshot->name);
    g_free(snapshot->accel);
    g_free(snapshot->damage);
    g_free(snapshot);
}

/* ---- the list ---- */

/* The lab as ABOUT has it on record; NULL with an error. */
static IrekoLab *
lab_of(const json_t *about, const char *lab, GError **error)
{
    const char *schema = json_string_value(json_object_get(about, "schema"));
    const json_t *record = json_object_get(about, "record");
    if (g_strcmp0(schema, IREKO_SNAPSHOT_SCHEMA) == 0 && json_is_object(record))
        return ireko_record_parse(record, lab, error);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "it is no snapshot of this ireko (schema '%s' wanted)", IREKO_SNAPSHOT_SCHEMA);
    return NULL;
}

static IrekoSnapshot *
snapshot_of(const IrekoVaultEntry *entry, const char *lab, const IrekoLab *now)
{
    IrekoSnapshot *snapshot = g_new0(IrekoSnapshot, 1);
    snapshot->lab = g_strdup(lab);
    snapshot->name = g_strdup(entry->name);
    snapshot->bytes = entry->bytes;
    snapshot->in_use = entry->in_use;
    snapshot->damage = g_strdup(entry->damage);
    g_autoptr(GError) why = NULL;
    g_autoptr(IrekoLab) then = entry->about != NULL ? lab_of(entry->about, lab, &why) : NULL;
    if (then == NULL) {
        if (snapshot->damage == NULL)
            snapshot->damage = g_strdup(why != NULL ? why->message : "it says nothing of itself");
        return snapshot;
    }
    snapshot->made_unix = json_integer_value(json_object_get(entry->about, "made"));
    snapshot->still_seconds = json_number_value(json_object_get(entry->about, "still_seconds"));
    snapshot->accel = g_strdup(then->accel);
    snapshot->machines = ireko_nodes_count(then->nodes);
    snapshot->changed = now != NULL && !ireko_nodes_equal(now->nodes, then->nodes);
    return snapshot;
}

static int
compare_made(const void *a, const void *b)
{
    const IrekoSnapshot *x = *(IrekoSnapshot *const *)a, *y = *(IrekoSnapshot *const *)b;
    if (x->made_unix != y->made_unix)
        return x->made_unix < y->made_unix ? 1 : -1;
    return strcmp(x->name, y->name);
}

GPtrArray *
ireko_snapshot_list(const IrekoHome *home, const char *lab)
{
    g_autofree char *store = ireko_snapshot_store(home, lab);
    g_autoptr(GPtrArray) entries = ireko_vault_list(store);
    g_autoptr(IrekoLab) now = ireko_record_read(home, lab, NULL);
    GPtrArray *snapshots =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ireko_snapshot_free);
    for (unsigned i = 0; i < entries->len; i++)
        g_ptr_array_add(snapshots, snapshot_of(entries->pdata[i], lab, now));
    g_ptr_array_sort(snapshots, compare_made);
    return snapshots;
}

void
ireko_snapshots_sweep(const IrekoHome *home, const char *lab)
{
    g_autofree char *store = ireko_snapshot_store(home, lab);
    ireko_vault_sweep(store);
}

bool
ireko_snapshots_any(const IrekoHome *home, const char *lab)
{
    g_autofree char *store = ireko_snapshot_store(home, lab);
    g_autoptr(GDir) dir = g_dir_open(store, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        if (ireko_text_is_name(name))
            return true;
    }
    return false;
}

static bool
not_found(const char *lab, const char *name, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "'%s' has no snapshot '%s': 'ireko snapshot list %s' shows those that it has", lab,
                name, lab);
    return false;
}

bool
ireko_snapshot_remove(const IrekoHome *home, const char *lab, const char *name, GError **error)
{
    IREKO_AUTOFD lock = ireko_record_lock(home, lab, error);
    if (lock < 0)
        return false;
    g_autofree char *store = ireko_snapshot_store(home, lab);
    g_autoptr(GError) why = NULL;
    ireko_vault_sweep(store);
    if (ireko_vault_remove(store, name, &why))
        return true;
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND))
        return not_found(lab, name, error);
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_STATE))
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                    "the machines of '%s' go on from its snapshot '%s', and read their memory and "
                    "disks from it: restore another one first, or end the lab",
                    lab, name);
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

/* ---- bringing back ---- */

static bool
is_other(const char *what, const char *then, const char *now, GError **error)
{
    if (g_strcmp0(then, now) == 0)
        return false;
    g_set_error(
        error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
        "it was taken with another %s ('%s'; here is '%s'), on which its machines cannot go "
        "on",
        what, then != NULL ? then : "none", now != NULL ? now : "none");
    return true;
}

/* Whether what runs machines here is what ran them then. */
static bool
check_host(const IrekoHome *home, const json_t *about, const IrekoLab *lab, GError **error)
{
    g_autoptr(IrekoFacts) facts = ireko_facts_here(error);
    if (facts == NULL)
        return false;
    IrekoAccel accel = strcmp(lab->accel, "kvm") == 0 ? IREKO_ACCEL_KVM : IREKO_ACCEL_TCG;
    if (accel == IREKO_ACCEL_KVM && !facts->kvm.usable) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "it was taken on KVM, which does not work here now (%s: %s)", facts->kvm.cause,
                    facts->kvm.evidence);
        return false;
    }
    g_autoptr(json_t) here = ireko_snapshot_host(home, lab->nodes, facts, accel);
    static const struct {
        const char *key, *what;
    } texts[] = {{"engine", "QEMU"}, {"cpu", "CPU"}};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (is_other(texts[i].what, json_string_value(json_object_get(about, texts[i].key)),
                     json_string_value(json_object_get(here, texts[i].key)), error))
            return false;
    }
    const char *name;
    json_t *hash;
    json_object_foreach(json_object_get(about, "images"), name, hash)
    {
        const json_t *now = json_object_get(json_object_get(here, "images"), name);
        g_autofree char *what = g_strdup_printf("guest image '%s'", name);
        if (is_other(what, json_string_value(hash), json_string_value(now), error))
            return false;
    }
    return true;
}

/* Opens NAME of LAB and checks all of it; RET_LAB is the lab that it is of. */
static IrekoVault *
open_whole(
    const IrekoHome *home, const char *lab, const char *name, IrekoLab **ret_lab, GError **error)
{
    g_autofree char *store = ireko_snapshot_store(home, lab);
    g_autoptr(GError) why = NULL;
    g_autoptr(IrekoVault) vault =
        ireko_text_is_name(name) ? ireko_vault_open(store, name, &why) : NULL;
    if (vault == NULL &&
        (why == NULL || g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND))) {
        (void)not_found(lab, name, error);
        return NULL;
    }
    bool whole = vault != NULL && ireko_vault_check(vault, &why);
    g_autoptr(IrekoLab) then = whole ? lab_of(ireko_vault_about(vault), lab, &why) : NULL;
    if (then != NULL && check_host(home, ireko_vault_about(vault), then, &why)) {
        *ret_lab = g_steal_pointer(&then);
        return g_steal_pointer(&vault);
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&why),
                               "the snapshot '%s' cannot be brought back: ", name);
    return NULL;
}

IrekoLab *
ireko_snapshot_lab(const IrekoHome *home, const char *lab, const char *name, GError **error)
{
    g_autofree char *store = ireko_snapshot_store(home, lab);
    if (!ireko_text_is_name(name)) {
        (void)not_found(lab, name, error);
        return NULL;
    }
    g_autoptr(IrekoVault) vault = ireko_vault_open(store, name, error);
    return vault != NULL ? lab_of(ireko_vault_about(vault), lab, error) : NULL;
}

bool
ireko_snapshot_check(const IrekoHome *home, const char *lab, const char *name, GError **error)
{
    g_autoptr(IrekoLab) then = NULL;
    g_autoptr(IrekoVault) vault = open_whole(home, lab, name, &then, error);
    return vault != NULL;
}

IrekoNest *
ireko_snapshot_restore(const IrekoHome *home,
                       const char *lab,
                       const char *name,
                       const IrekoLabRun *run,
                       GError **error)
{
    IREKO_AUTOFD lock = ireko_record_lock(home, lab, error);
    if (lock < 0)
        return NULL;
    ireko_snapshots_sweep(home, lab);
    if (run->progress != NULL)
        run->progress(run->data, "checking what was saved", 0, 0);
    g_autoptr(IrekoLab) then = NULL;
    g_autoptr(IrekoVault) vault = open_whole(home, lab, name, &then, error);
    /* The record last: until then it is the one of what runs, or of nothing. */
    if (vault == NULL || !ireko_machines_end(home, lab, run, error) ||
        !ireko_record_clear_run(home, lab, error) ||
        !ireko_record_put(home, lab, json_object_get(ireko_vault_about(vault), "record"), error))
        return NULL;
    return ireko_lab_resume(home, then, vault, run, error);
}
