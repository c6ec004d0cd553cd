/* lab/task.h - between layer.c and obtain.c: one machine on its way from nothing to its proof. */
#pragma once

#include "lab/clone/template.h"
#include "lab/layer.h"
#include "lab/tail.h"

#define IREKO_START_SECONDS 10 /* for QEMU to answer, times the pace */
#define IREKO_END_SECONDS   5

typedef struct {
    const IrekoLayer *layer;
    GMutex lock; /* reports go out one at a time */
} IrekoLayerRun;

typedef struct {
    IrekoLayerRun *run;
    const IrekoNode *node;
    IrekoReport *report;
    char *folder;
    IrekoTail *tail; /* of its console, until all is settled; or NULL */
    unsigned pace;
    IrekoTemplateUse use;
    const char *origin;      /* of one that goes on from a vault, it and all inside it; else NULL */
    GHashTable *good;        /* path -> IrekoReport of machines inside that hold their promises */
    GPtrArray *answer;       /* IrekoIdentity: what a clone told of who it is; else NULL */
    const IrekoVault *vault; /* that it is a clone of */
    int64_t began_us;        /* when its process was started; 0: it was found running */
} IrekoTask;

/* layer.c: reports the machine to be in STATE, with MESSAGE (NULL: what it had). */
void
ireko_task_settle(IrekoTask *task, IrekoState state, const char *message);

void
ireko_report_set_origin(IrekoReport *report, const char *origin);

/* obtain.c: the machine's process, one that runs or a new one. NULL where its fate is settled. */
IrekoVm *
ireko_task_obtain(IrekoTask *task);

/* obtain.c: keeps what was booted and is proven, it and all inside it, as a template, where that is
 * its part. VM NULL: it does not run. */
void
ireko_task_keep(IrekoTask *task, IrekoVm *vm);
