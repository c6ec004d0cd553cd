/* lab/clone/clone.h - a machine of L0 that begins as a frozen one, and is told the time and who it
 * is. Private to lib/lab. */
#pragma once

#include "agent/agent.h"
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
    bool same; /* it goes on as who it was; else it is given an identity of its own */
    unsigned pace;
} IrekoClone;

/* NODE's machine of LAYER, L0, in FOLDER as a clone of the template VAULT; all of them outlive it.
 */
IrekoClone
ireko_clone_of_template(const IrekoLayer *layer,
                        const IrekoNode *node,
                        const IrekoVault *vault,
                        const char *folder);

/* Starts it; returns when every machine inside has the clock set, new random numbers and the
 * identity that is to be its own, and proved it. NULL with an error: nothing runs then. While it is
 * not so far, its folder is marked (lab/clone/began.h). RET_ANSWER is what the machines told
 * (IrekoIdentity, lab/clone/identity.h), a new reference; NULL: not asked for. */
IrekoVm *
ireko_clone_start(const IrekoClone *clone, GPtrArray **ret_answer, GError **error);

/* The last part of that, of CLONE's machine that runs already. FD is a channel to its agent that
 * was open before it went on; -1: none was. */
bool
ireko_clone_become(const IrekoClone *clone, int fd, GPtrArray **ret_answer, GError **error);

/* Has CLONE's machine, which runs, and those inside it do what a clone is asked to, as who they are
 * already. Returns the talk, with RET_HOLD as of ireko_port_connect: as long as it is open, so are
 * those inside, and what is frozen meanwhile makes clones that go on with them. */
IrekoAgent *
ireko_clone_rehearse(const IrekoClone *clone, int *ret_hold, GError **error);

G_END_DECLS
