/* lab/clone/freeze.h - a machine of L0 frozen into a vault, with whatever runs inside it, and gone
 * on from there: what templates are made of. Private to lib/lab.
 *
 *     PREFIX ram            its memory; not where that is in the state
 *     PREFIX state          its vCPUs and devices
 *     PREFIX scsi0-1.disk   a disk that ireko made, as it was at that moment */
#pragma once

#include "lab/layer.h"
#include "vault/vault.h"

G_BEGIN_DECLS

/* Why NODE's machine, run under ACCEL by a host with FACTS, cannot be frozen; NULL where nothing is
 * known to be in its way. Free with g_free. */
char *
ireko_freeze_obstacle(const IrekoNode *node, const IrekoFacts *facts, IrekoAccel accel);

typedef struct {
    const IrekoEngine *engine;
    const IrekoNode *node;
    IrekoVm *vm;
    const char *folder; /* the machine's */
    const char *id;     /* of its spec */
    const char *prefix; /* of its files in the vault: "" or "esxi01/" */
    bool end;           /* it is to stay as it is; else it runs on */
    /* Called when it stands still, before anything of it is copied; NULL: nothing. */
    bool (*stands)(void *data, GError **error);
    void *data;
} IrekoFreezeOrder;

/* Freezes the machine into WRITER. Returns what is to be known of it again, an object for the
 * vault's "about"; NULL with an error: IREKO_ERROR_UNSUPPORTED where its devices cannot be saved.
 */
json_t *
ireko_freeze_machine(const IrekoFreezeOrder *order,
                     IrekoVaultWriter *writer,
                     IrekoDeadline deadline,
                     GError **error);

/* What a machine goes on from; the descriptors are closed by ireko_thaw_clear. */
typedef struct {
    const IrekoVault *vault;
    const char *prefix;
    const json_t *about; /* what ireko_freeze_machine returned */
    const char *origin;  /* "clone", "snapshot" */
    IrekoFrozen frozen;
    GPtrArray *macs; /* char *, NULL behind the last */
} IrekoThaw;

/* Puts together how LAYER would go on with NODE in FOLDER, where its overlays are made, from the
 * files PREFIX of VAULT, which ABOUT describes; all of them outlive RET_THAW and RET_START. Keeps
 * in FOLDER that it does (lab/clone/began.h). IREKO_ERROR_SYNTAX where they are not those of such a
 * machine. */
bool
ireko_thaw_prepare(const IrekoLayer *layer,
                   const IrekoNode *node,
                   const char *folder,
                   IrekoThaw *thaw,
                   IrekoStart *ret_start,
                   GError **error);

void
ireko_thaw_clear(IrekoThaw *thaw);

/* Has the disks of NODE's machine, which does not run and may have gone on from a vault in FOLDER,
 * be its own: each overlay and what it lies over become one, so that it can boot from them and the
 * vault can go. IREKO_ERROR_IO where that is gone already. */
bool
ireko_thaw_detach(const IrekoNode *node, const char *folder, GError **error);

/* Whether NODE's machine has been here before and has something on disks in FOLDER that no template
 * has: it boots from those, and loses nothing. */
bool
ireko_thaw_is_needless(const IrekoNode *node, const char *folder);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IrekoThaw, ireko_thaw_clear)

G_END_DECLS
