/* lab/clone/warm.c - spares for the next `up` of a lab: made as `up` would begin its machines. */
#include <ireko/template.h>

#include "base/text.h"
#include "lab/clone/spare.h"
#include "lab/clone/template.h"
#include "lab/network/network.h"
#include "lab/record.h"

/* What is made for the machines of one lab. */
typedef struct {
    const IrekoLab *lab;
    const IrekoLabRun *run;
    IrekoLayer layer;
    IrekoFacts *facts;
    IrekoTemplates *templates;
    char *folder;
    GArray *clones;    /* IrekoClone, in the order of the machines */
    GPtrArray *spares; /* IrekoSpares of each */
} Warm;

static void
warm_clear(Warm *warm)
{
    ireko_templates_free(warm->templates);
    ireko_facts_free(warm->facts);
    g_free(warm->folder);
    g_clear_pointer(&warm->clones, g_array_unref);
    g_clear_pointer(&warm->spares, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Warm, warm_clear)

static void
free_spares(void *data)
{
    IrekoSpares *spares = data;
    g_free(spares->path);
    g_free(spares);
}

/* As `up` would see this layer. */
static bool
prepare(Warm *warm, const IrekoHome *home, GError **error)
{
    const IrekoLab *lab = warm->lab;
    IrekoAccel accel = IREKO_ACCEL_TCG;
    warm->facts = ireko_facts_here(error);
    if (warm->facts == NULL || !ireko_layer_accel(warm->facts, warm->run->accel, &accel, error) ||
        !ireko_network_plan(home, lab, error))
        return false;
    warm->folder = ireko_record_run_folder(home, lab->name);
    warm->layer = (IrekoLayer){
        .engine = ireko_engine_chosen(),
        .path = "",
        .facts = warm->facts,
        .accel = accel,
        .images = home->cache,
        .folder = warm->folder,
        .id = lab->name,
        .pace = 1,
        .clones = lab->nodes->len,
        .start = true,
        .cancel_fd = warm->run->cancel_fd,
    };
    warm->templates =
        ireko_templates_new(&warm->layer, lab->nodes, home->cache, warm->run->program);
    warm->clones = g_array_new(FALSE, FALSE, sizeof(IrekoClone));
    warm->spares = g_ptr_array_new_with_free_func(free_spares);
    return true;
}

/* NODE's machine as a clone of its template. */
static bool
add_clone(Warm *warm, const IrekoNode *node, GError **error)
{
    const IrekoVault *vault = NULL;
    g_autofree char *words = NULL;
    IrekoTemplateUse use = ireko_templates_take(warm->templates, node, NULL, NULL, &vault, &words);
    if (use == IREKO_TEMPLATE_MAKE)
        ireko_templates_settle(warm->templates, node);
    if (vault == NULL) {
        const char *none = ireko_templates_limit() == 0
                               ? IREKO_TEMPLATES_SIZE_VAR " is 0: there are no templates"
                               : "it has no template yet ('ireko up' makes one of it)";
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "'%s' can have no spare: %s",
                    node->path, words != NULL ? words : none);
        return false;
    }
    const IrekoClone clone = ireko_clone_of_template(&warm->layer, node, vault, NULL);
    g_array_append_val(warm->clones, clone);
    return true;
}

/* What is there, and how many are missing. */
static unsigned
count(Warm *warm, unsigned wanted, bool end)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < warm->clones->len; i++) {
        const IrekoClone *clone = &g_array_index(warm->clones, IrekoClone, i);
        IrekoSpares *spares = g_new0(IrekoSpares, 1);
        spares->path = g_strdup(clone->node->path);
        spares->ready = ireko_spares_fit(clone, end);
        spares->made = wanted > spares->ready ? wanted - spares->ready : 0;
        missing += spares->made;
        g_ptr_array_add(warm->spares, spares);
    }
    return missing;
}

static bool
check_memory(const Warm *warm, GError **error)
{
    uint64_t wanted = 0, room = warm->facts->available_bytes;
    for (unsigned i = 0; i < warm->clones->len; i++)
        wanted += ireko_template_own_bytes(g_array_index(warm->clones, IrekoClone, i).node) *
                  ((const IrekoSpares *)warm->spares->pdata[i])->made;
    if (wanted <= room)
        return true;
    g_autofree char *wants = ireko_text_size(wanted), *has = ireko_text_size(room);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                "the spares would take %s, and %s are available: ask for fewer", wants, has);
    return false;
}

static bool
make(const Warm *warm, unsigned missing, GError **error)
{
    unsigned done = 0;
    for (unsigned i = 0; i < warm->clones->len; i++) {
        const IrekoClone *clone = &g_array_index(warm->clones, IrekoClone, i);
        IrekoSpares *spares = warm->spares->pdata[i];
        for (unsigned k = 0; k < spares->made; k++, spares->ready++, done++) {
            g_autofree char *step = g_strdup_printf("making a spare of %s (%u of %u)",
                                                    clone->node->path, k + 1, spares->made);
            if (warm->run->progress != NULL)
                warm->run->progress(warm->run->data, step, done, missing);
            if (!ireko_spare_make(clone, error)) {
                g_prefix_error(error, "no spare of '%s' could be made: ", clone->node->path);
                return false;
            }
        }
    }
    return true;
}

GPtrArray *
ireko_template_warm(const IrekoHome *home,
                    const IrekoLab *lab,
                    const IrekoLabRun *run,
                    unsigned wanted,
                    bool dry_run,
                    GError **error)
{
    g_auto(Warm) warm = {.lab = lab, .run = run};
    if (!prepare(&warm, home, error))
        return NULL;
    for (unsigned i = 0; i < lab->nodes->len; i++) {
        if (!add_clone(&warm, lab->nodes->pdata[i], error))
            return NULL;
    }
    IREKO_AUTOFD lock = dry_run ? -1 : ireko_spares_lock(home, lab->name, error);
    if (!dry_run && lock < 0)
        return NULL;
    if (!dry_run && !ireko_spares_end(home, lab->name, lab->nodes, NULL, error))
        return NULL;
    unsigned missing = count(&warm, wanted, !dry_run);
    bool made = check_memory(&warm, error) && (dry_run || make(&warm, missing, error));
    if (!made && !dry_run)
        ireko_spares_tidy(home, lab->name);
    return made ? g_steal_pointer(&warm.spares) : NULL;
}

char **
ireko_template_warm_labs(const IrekoHome *home)
{
    ireko_spares_sweep_empty(home);
    return ireko_spares_labs(home);
}

unsigned
ireko_template_spares(const IrekoHome *home, const char *name)
{
    return ireko_spares_count(home, name, NULL, NULL);
}

int
ireko_template_cool(const IrekoHome *home, const char *name, bool dry_run, GError **error)
{
    if (dry_run)
        return (int)ireko_spares_there(home, name);
    unsigned ended = 0;
    IREKO_AUTOFD lock = ireko_spares_lock(home, name, error);
    if (lock < 0 || !ireko_spares_end(home, name, NULL, &ended, error))
        return -1;
    ireko_spares_tidy(home, name);
    g_autofree char *templates = g_build_filename(home->cache, IREKO_TEMPLATES_FOLDER, NULL);
    ireko_vault_sweep(templates); /* of one that was discarded they may have been the last users */
    return (int)ended;
}
