/* lab/clone.h - a machine of L0 that begins as a frozen one and is then given an identity of its
 * own. Private to lib/lab. */
#pragma once

#include "lab/layer.h"
#include "vault/vault.h"

G_BEGIN_DECLS

typedef struct {
    const IrekoLayer *layer;
    const IrekoNode *node;
    const char *folder; /* the machine's, which is there */
    const IrekoVault *vault;
    const char *prefix; /* of its files */
    const json_t *about;
    unsigned pace;
} IrekoClone;

/* Starts it; returns when every machine inside has the identity that is its own, and proved it.
 * NULL with an error: nothing runs then. */
IrekoVm *
ireko_clone_start(const IrekoClone *clone, GError **error);

G_END_DECLS
