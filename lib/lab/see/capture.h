/* lab/see/capture.h - a machine of L0 to be looked into: its memory, mapped read-only, and its
 * state at one moment. Private to lib/lab. */
#pragma once

#include <ireko/see.h>

#include "base/fd.h"
#include "engine/engine.h"
#include "lab/tree.h"
#include "xray/memory.h"
#include "xray/stream.h"

G_BEGIN_DECLS

#define IREKO_CAPTURE_STATE_MAX ((size_t)64 << 20) /* bytes of a state; a PC's is some 300 KiB */

typedef struct {
    IrekoLab *lab;         /* as it is on record, whole; NULL of a saved one */
    const IrekoNode *node; /* of LAB: the machine that was asked for */
    IrekoVm *vm;           /* the outermost machine around it; NULL of a saved one */
    char *folder;          /* of that */
    IrekoRamFiles files;   /* of its memory, */
    uint64_t bytes;        /* which has so many */
    IrekoRamMap map;       /* where they stand */
    IrekoMemory memory;    /* as it is now, for walks */
    void *mapped;          /* all of it, for those who look through it; NULL before */
    GArray *extents;       /* Extent: what of the file there is, where that is known */
    GBytes *began;         /* the state that one with pages of its own began with; NULL: unknown */
    IrekoStream *stream;   /* its state; NULL before it was taken */
    int64_t still_us;      /* how long the machine stood still for it */
} IrekoCapture;

#define IREKO_CAPTURE_NONE                                                                         \
    (IrekoCapture)                                                                                 \
    {                                                                                              \
        .files = {.file_fd = -1, .process_fd = -1, .pages_fd = -1 }                                \
    }

/* Finds the machine WHERE ("esxi01/esxi02" or "LAB:...") and the outermost one around it, which
 * runs. */
bool
ireko_capture_find(IrekoCapture *capture, const IrekoHome *home, const char *where, GError **error);

/* A machine that was saved: STATE (NULL: none) and RAM are files. */
bool
ireko_capture_open(IrekoCapture *capture, const char *state, const char *ram, GError **error);

/* Opens what ORDER names: a machine that was saved, or the one that runs outermost around its PATH:
 * IREKO_ERROR_UNSUPPORTED where its memory is in no file. CAPTURE stays where it is from here on.
 */
bool
ireko_capture_order(IrekoCapture *capture,
                    const IrekoHome *home,
                    const IrekoSeeOrder *order,
                    GError **error);

/* Whether its state is there, or can be taken: of a clone whose beginning is gone it cannot, of a
 * saved machine it may not have been saved. */
bool
ireko_capture_has_state(const IrekoCapture *capture);

/* Takes the state. The machine stands still while QEMU writes it and while LOOK(DATA) (NULL:
 * nobody) looks at it: then state and memory are of one moment. */
bool
ireko_capture_take(IrekoCapture *capture,
                   bool (*look)(void *data, GError **error),
                   void *data,
                   GError **error);

/* The whole memory, to be looked through: it has windows. What is there is as of now, and a page
 * that the guest touches for the first time later is not. It is the capture's. */
bool
ireko_capture_scan(IrekoCapture *capture, IrekoMemory *ret_memory, GError **error);

/* Of the memory as the last scan found it: how much of it there is, and how much of that is pages
 * with nothing but zeros. Bytes. */
void
ireko_capture_measure(const IrekoCapture *capture, uint64_t *ret_there, uint64_t *ret_zero);

void
ireko_capture_clear(IrekoCapture *capture);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IrekoCapture, ireko_capture_clear)

G_END_DECLS
