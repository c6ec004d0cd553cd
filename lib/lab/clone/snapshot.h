/* lab/clone/snapshot.h - what snapshots are kept as. Private to lib/lab.
 *
 *     STATE/labs/LAB/snapshots/NAME/     a vault (vault/vault.h): of each machine of L0 what
 *                                        lab/clone/freeze.h says, as MACHINE/ram and so on; its
 * "about":
 *
 *     {"schema":"ireko.snapshot/1","made":SECONDS,"still_seconds":S,"engine":IDENTITY,"cpu":TEXT,
 *      "images":{NAME:HASH},"record":{the lab's record.json},"nest":{its nest.json},
 *      "machines":{MACHINE:{what ireko_freeze_machine returned}}} */
#pragma once

#include <ireko/snapshot.h>

#include "lab/layer.h"
#include "lab/record.h"
#include "vault/vault.h"

G_BEGIN_DECLS

#define IREKO_SNAPSHOT_SCHEMA     "ireko.snapshot/1"
#define IREKO_SNAPSHOT_RECORD_MAX ((size_t)16 << 20) /* bytes of a record that is kept in one */

/* The folder of the snapshots of LAB; free with g_free. */
char *
ireko_snapshot_store(const IrekoHome *home, const char *lab);

/* Removes what an ireko that died left there half made; the caller has the lab's lock. */
void
ireko_snapshots_sweep(const IrekoHome *home, const char *lab);

bool
ireko_snapshots_any(const IrekoHome *home, const char *lab);

/* What of this host a machine's state depends on, besides its own definition, for the machines
 * NODES: an object with "engine", "cpu" (on KVM) and "images". */
json_t *
ireko_snapshot_host(const IrekoHome *home,
                    const GPtrArray *nodes,
                    const IrekoFacts *facts,
                    IrekoAccel accel);

/* In up.c: has every machine of LAB, of which none runs and whose lock the caller holds, go on from
 * VAULT, and proves it. */
IrekoNest *
ireko_lab_resume(const IrekoHome *home,
                 IrekoLab *lab,
                 const IrekoVault *vault,
                 const IrekoLabRun *run,
                 GError **error);

G_END_DECLS
