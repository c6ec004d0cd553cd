/* lab/layer.h - one layer runs its machines: the same code on L0 and in the agent of every layer.
 */
#pragma once

#include <ireko/image.h>

#include "engine/engine.h"
#include "lab/tree.h"
#include "nest/nest.h"

G_BEGIN_DECLS

/* The layer that runs machines. */
typedef struct IrekoLayer {
    const IrekoEngine *engine;
    const char *path;         /* of the machine that this layer is; "" on L0 */
    unsigned level;           /* 0 on L0 */
    const IrekoMachine *self; /* the machine that this layer is; NULL on L0 */
    const IrekoFacts *facts;
    IrekoAccel accel;
    const char *images; /* folder that holds "images", or NULL */
    const char *folder; /* where each machine has its folder */
    const char *id;     /* of the lab, for process lists */
    /* Opens what CARD of NODE is plugged into: a descriptor for the machine; -1 with an error.
     * NULL: nothing is. */
    int (*link)(const struct IrekoLayer *layer,
                const IrekoNode *node,
                const IrekoCard *card,
                GError **error);
    unsigned pace;   /* how much longer than on bare KVM things may take here */
    unsigned clones; /* on L0, how many machines may come to run as clones side by side */
    bool start;      /* start what does not run; else only ask */
    struct IrekoTemplates *templates;  /* on L0, what machines may be clones of; NULL: all boot */
    const struct IrekoVault *snapshot; /* on L0, what all machines go on from; NULL: none */
    int cancel_fd;
    /* Each time more is known of a machine, of this layer or one inside; one call at a time. */
    void (*report)(void *data, const IrekoReport *report);
    /* The facts from inside NODE, a machine of this layer; they are the callee's. One call at a
     * time, before the report that it runs. NULL: not asked for. */
    void (*take_facts)(void *data, const IrekoNode *node, IrekoFacts *facts);
    void *data;
} IrekoLayer;

/* Starts (or finds) the machines NODES, proves each and has each run its guests; returns when the
 * fate of every one was reported. */
void
ireko_layer_run(const IrekoLayer *layer, const GPtrArray *nodes);

/* What one machine is started from; free the parts with ireko_start_clear. */
typedef struct {
    char *id;
    GPtrArray *drives;
    char *cmdline;
    IrekoImage *image; /* NULL: boots from its disks */
    IrekoBoot boot;
    IrekoSpec spec;
} IrekoStart;

/* Puts together how LAYER would start NODE. FOLDER is the machine's, where disks are made; NULL: a
 * plan that makes nothing. */
bool
ireko_layer_prepare(const IrekoLayer *layer,
                    const IrekoNode *node,
                    const char *folder,
                    IrekoStart *ret_start,
                    GError **error);

void
ireko_start_clear(IrekoStart *start);

/* Has a machine that boots told how fast the clock of this host counts. That takes 20 ms from this
 * program's start on: one that goes on from where it was knows it. */
void
ireko_start_clock(IrekoStart *start, const IrekoLayer *layer);

/* Plugs the cards of NODE in; ireko_layer_prepare with a folder does it too. */
bool
ireko_start_plug(IrekoStart *start, const IrekoLayer *layer, const IrekoNode *node, GError **error);

/* What runs the machines of a layer of FACTS: as WANTED ("kvm", "tcg"), else (NULL) KVM where it
 * works. IREKO_ERROR_UNSUPPORTED where KVM is wanted and does not. */
bool
ireko_layer_accel(const IrekoFacts *facts,
                  const char *wanted,
                  IrekoAccel *ret_accel,
                  GError **error);

/* The pace of a machine run under ACCEL by a layer whose own pace is OUTER. */
unsigned
ireko_layer_pace(IrekoAccel accel, unsigned outer, unsigned level);

/* Begins a talk with the agent of the machine that runs in FOLDER on the first free channel.
 * RET_HOLD is an fd that keeps the channel ours: close it after the talk. -1 with IREKO_ERROR_STATE
 * where all are taken. */
int
ireko_port_connect(const IrekoEngine *engine, const char *folder, int *ret_hold, GError **error);

/* Keeps channel NUMBER of the machine in FOLDER for a talk of ours: close what is returned after
 * that. -1: somebody has it. */
int
ireko_port_hold(const char *folder, unsigned number);

/* SECONDS times PACE, stretched as the environment says (IREKO_PATIENCE). */
double
ireko_patience_seconds(unsigned seconds, unsigned pace);

/* ... from now. */
IrekoDeadline
ireko_patience(unsigned seconds, unsigned pace);

/* PACE as a layer inside is told it, which does not have that environment; not shorter than PACE,
 * and at most IREKO_SPEC_PACE_MAX. */
unsigned
ireko_patience_inside(unsigned pace);

/* The engine that this process uses: QEMU; where IREKO_ENGINE=fake is in the environment (tests),
 * the fake one. */
const IrekoEngine *
ireko_engine_chosen(void);

G_END_DECLS
