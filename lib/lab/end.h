/* lab/end.h - one machine of this layer ended, in good order where it is asked for. Private to
 * lib/lab. */
#pragma once

#include <ireko/lab.h>

#include "base/fd.h"

G_BEGIN_DECLS

typedef struct {
    const char *path;    /* of the machine in its nest */
    bool by_power;       /* its power button is pressed; else its agent is asked */
    IrekoDeadline until; /* when it is ended all the same; 0: at once, unasked */
    int cancel_fd;       /* readable: it is ended now */
} IrekoEnding;

/* Ends the machine that runs in FOLDER, and those inside it with it; returns when its process is
 * gone. True where none runs there. */
bool
ireko_machine_end(const char *folder, const IrekoEnding *ending, GError **error);

/* Ends every machine of the lab NAME that runs, those that may have something to write to a user's
 * disk in good order; what was made for them stays (lab/down.c). */
bool
ireko_machines_end(const IrekoHome *home, const char *name, const IrekoLabRun *run, GError **error);

G_END_DECLS
