/* lab/clone/template.h - the templates of machines of L0: which one fits, when one is made. Private
 * to lib/lab.
 *
 *     CACHE/templates/KEY/     a vault (vault/vault.h); KEY is a hash over everything that shaped
 * it
 *
 * Machines with the same key are a group: where there is no template for it, the first to ask boots
 * and is frozen once it is proven, and the others wait for that. */
#pragma once

#include "lab/layer.h"
#include "vault/vault.h"

G_BEGIN_DECLS

#define IREKO_TEMPLATES_FOLDER   "templates"
#define IREKO_TEMPLATES_SIZE_VAR "IREKO_TEMPLATES_SIZE" /* what all may take: "20G"; "0": none */
#define IREKO_TEMPLATES_SIZE_MIB 16384                  /* where it says nothing */

/* What shaped a machine besides its definition. */
typedef struct {
    const IrekoFacts *facts;
    IrekoAccel accel;
    const char *engine;  /* ireko_engine_identity */
    const char *program; /* ireko_file_identity of this ireko, whose bytes the images' hash has */
    const char *images;  /* folder that holds "images" */
} IrekoTemplateHost;

/* The key of NODE's template, as hex digits: free with g_free. */
char *
ireko_template_key(const IrekoNode *node, const IrekoTemplateHost *host);

/* What a clone of NODE's template is expected to have of this host's memory for itself: an
 * estimate. */
uint64_t
ireko_template_own_bytes(const IrekoNode *node);

/* The bytes that all templates together may take. */
uint64_t
ireko_templates_limit(void);

typedef struct IrekoTemplates IrekoTemplates;

/* For the machines NODES, which LAYER, L0, is to run; all outlive it. PROGRAM is this ireko. */
IrekoTemplates *
ireko_templates_new(const IrekoLayer *layer,
                    const GPtrArray *nodes,
                    const char *cache,
                    const char *program);

void
ireko_templates_free(IrekoTemplates *templates); /* NULL is fine */

/* Whether there is a template for every machine: then the engine was there when they were made, and
 * is the same. */
bool
ireko_templates_are_there(const IrekoTemplates *templates);

/* What the machines together are expected to take of this host's memory, where clones share what
 * they do not write: an estimate. */
uint64_t
ireko_templates_expected(const IrekoTemplates *templates);

typedef enum {
    IREKO_TEMPLATE_NONE,  /* boot */
    IREKO_TEMPLATE_MAKE,  /* boot, and call ireko_templates_make or _settle after the proof */
    IREKO_TEMPLATE_CLONE, /* be a clone of RET_VAULT */
} IrekoTemplateUse;

/* What NODE is to do. Waits where another machine of its group is on the way to become the
 * template; WAITING(DATA) is called where that takes a while. RET_WORDS, free with g_free: why it
 * boots although it might be a clone, or NULL. */
IrekoTemplateUse
ireko_templates_take(IrekoTemplates *templates,
                     const IrekoNode *node,
                     void (*waiting)(void *data),
                     void *data,
                     const IrekoVault **ret_vault,
                     char **ret_words);

/* NODE, which runs as VM in FOLDER and is proven (PROVEN, stolen: lab/clone/proven.h), becomes its
 * group's template. Returns in words what came of it; free with g_free. */
char *
ireko_templates_make(IrekoTemplates *templates,
                     const IrekoNode *node,
                     IrekoVm *vm,
                     const char *folder,
                     json_t *proven);

/* Around the start of a clone: waits until fewer are being started than this host has room for. All
 * at once, none would be done before the last. */
void
ireko_templates_enter(IrekoTemplates *templates);

/* ANSWERED: NODE, the clone, came up. */
void
ireko_templates_leave(IrekoTemplates *templates, const IrekoNode *node, bool answered);

/* NODE, which was to become a template, did not. */
void
ireko_templates_settle(IrekoTemplates *templates, const IrekoNode *node);

/* A clone did not come up from NODE's template: WHY. One that cannot be loaded, or whose clone
 * answers nothing where none has yet, is removed, and nobody is a clone of it any more. */
void
ireko_templates_reject(IrekoTemplates *templates, const IrekoNode *node, const GError *why);

G_END_DECLS
