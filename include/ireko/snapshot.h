/* ireko/snapshot.h - a whole lab, frozen as it was at one moment, and brought back.
 *
 * Snapshots are part of a lab: they are kept beside its record and go with it (ireko_lab_down). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ireko/lab.h>

G_BEGIN_DECLS

typedef struct {
    char *lab, *name;
    int64_t made_unix;    /* seconds since 1970 */
    char *accel;          /* "tcg", "kvm"; NULL: damaged */
    unsigned machines;    /* at every layer */
    uint64_t bytes;       /* on the disk */
    double still_seconds; /* that the lab stood still for it */
    bool in_use;          /* machines of the lab go on from it */
    bool changed;         /* the lab on record has another definition by now */
    char *damage;         /* what is wrong with its list of files; NULL: nothing */
} IrekoSnapshot;

void
ireko_snapshot_free(IrekoSnapshot *snapshot); /* NULL is fine */

/* Takes the snapshot NAME of the lab on record as LAB: every machine of L0 stops, and none goes on
 * before all of them stand. Everything that is known to be in the way is told before the first one
 * is stopped, as IREKO_ERROR_UNSUPPORTED; IREKO_ERROR_STATE where one does not run, or the name is
 * taken. Whatever happens, all go on. */
IrekoSnapshot *
ireko_snapshot_take(const IrekoHome *home,
                    const char *lab,
                    const char *name,
                    const IrekoLabRun *run,
                    GError **error);

/* What that would save, a line a machine, with the same errors; free with g_free. */
char *
ireko_snapshot_plan(const IrekoHome *home, const char *lab, const char *name, GError **error);

/* The snapshots of LAB, the newest first: IrekoSnapshot; free with g_ptr_array_unref. */
GPtrArray *
ireko_snapshot_list(const IrekoHome *home, const char *lab);

/* IREKO_ERROR_NOT_FOUND; IREKO_ERROR_STATE where machines of the lab go on from it. */
bool
ireko_snapshot_remove(const IrekoHome *home, const char *lab, const char *name, GError **error);

/* The lab as it was defined in NAME, or NULL with an error. */
IrekoLab *
ireko_snapshot_lab(const IrekoHome *home, const char *lab, const char *name, GError **error);

/* Whether NAME can be brought back here: all of its files are as they were written, and what runs
 * machines is as it was. IREKO_ERROR_NOT_FOUND, IREKO_ERROR_SYNTAX where it is damaged,
 * IREKO_ERROR_UNSUPPORTED with what is another one. */
bool
ireko_snapshot_check(const IrekoHome *home, const char *lab, const char *name, GError **error);

/* After that check ends the machines of LAB that run, puts its record back as it was, has every
 * machine go on as it was in NAME, with its clock set and new random numbers at every layer, and
 * proves it. The snapshot stays. */
IrekoNest *
ireko_snapshot_restore(const IrekoHome *home,
                       const char *lab,
                       const char *name,
                       const IrekoLabRun *run,
                       GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoSnapshot, ireko_snapshot_free)

G_END_DECLS
