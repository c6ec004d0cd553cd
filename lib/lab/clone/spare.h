/* lab/clone/spare.h - spares: clones that were made beforehand and stand still until `up` takes
 * them. Private to lib/lab.
 *
 *     RUN/.spares/LAB/MACHINE/NAME/     a machine's folder (engine/engine.h) with the mark that it
 *                                       is about to go on (lab/clone/began.h), and
 *         spare.json                    what it fits: the template, the cards
 *     RUN/.spares/LAB/MACHINE/.new-...  not so far yet: nobody takes it
 *
 * A spare is taken by a rename to where the machine has its folder, so one of two gets it. From
 * then on it is a clone that has not been told yet who it is, and what is done with one whose `up`
 * was killed is done with it. Whoever makes or ends spares has the lock of RUN/.spares/LAB. */
#pragma once

#include <ireko/lab.h>

#include "lab/clone/clone.h"

G_BEGIN_DECLS

/* The spares of the lab LAB, for a change: a descriptor to be closed; -1 with IREKO_ERROR_STATE
 * where another ireko has them. What one that died left half made is gone then. */
int
ireko_spares_lock(const IrekoHome *home, const char *lab, GError **error);

/* Makes one that CLONE, whose folder is not looked at, could be, with the lock. Where it fails
 * nothing is left of it. */
bool
ireko_spare_make(const IrekoClone *clone, GError **error);

/* How many there are that CLONE could be, its folder as above; with END, with the lock, those that
 * it could not be any more - of another template, with other addresses, dead - are ended and
 * removed. */
unsigned
ireko_spares_fit(const IrekoClone *clone, bool end);

/* Takes one into CLONE's folder, which is there and may hold what a dead machine left, and has it
 * be that machine, as ireko_clone_start does. NULL without an error: there is none that fits. NULL
 * with one: it did not become that machine, and is gone. The folder is there, and empty then. */
IrekoVm *
ireko_spare_take(const IrekoClone *clone, GPtrArray **ret_answer, GError **error);

/* Ends those of LAB, with the lock, whose machine is none of KEPT (IrekoNode), and removes them;
 * KEPT may be NULL: no machine is. Adds their number to RET_ENDED; NULL: not asked for. */
bool
ireko_spares_end(const IrekoHome *home,
                 const char *lab,
                 const GPtrArray *kept,
                 unsigned *ret_ended,
                 GError **error);

/* How many that would be, without KEPT; those that died are among them. */
unsigned
ireko_spares_there(const IrekoHome *home, const char *lab);

/* Removes folders of LAB's that are empty, with the lock. */
void
ireko_spares_tidy(const IrekoHome *home, const char *lab);

/* Does that and removes what one that died left half made, where nobody has the lock. */
void
ireko_spares_sweep(const IrekoHome *home, const char *lab);

/* Does that for labs that have none: a cool that was killed may have left their folders. */
void
ireko_spares_sweep_empty(const IrekoHome *home);

/* Labs that have spares, ready, half made or dead; free with g_strfreev. */
char **
ireko_spares_labs(const IrekoHome *home);

/* How many stand ready: of LAB (NULL: of every lab), of the template KEY (NULL: of any) that was
 * MADE then. */
unsigned
ireko_spares_count(const IrekoHome *home, const char *lab, const char *key, const char *made);

G_END_DECLS
