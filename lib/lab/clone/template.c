/* lab/clone/template.c - the templates of machines of L0. */
#include "lab/clone/template.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "lab/clone/clone.h"
#include "lab/clone/freeze.h"
#include "lab/clone/spare.h"

/* For the state, the memory and the disks to be written, times the pace. */
#define FREEZE_SECONDS 60
/* In which the kernels inside end what the rehearsal left them to do, that no clone has to. */
#define SETTLE_US      (200 * G_TIME_SPAN_MILLISECOND)
#define WAIT_MS        100
#define STARTS_PER_CPU 2 /* one waits for its process while another runs */
#define TURN_US        (50 * G_TIME_SPAN_MILLISECOND)

/* What a clone has of its own: QEMU, the code that TCG made of its guests, the pages that they
 * write while they idle; and how much of its memory a host has touched that has booted. As
 * measured, with room (docs/benchmarks.md). */
#define CLONE_BYTES       ((uint64_t)64 << 20)
#define CLONE_INNER_BYTES ((uint64_t)16 << 20) /* for each machine inside it */
#define TOUCHED_PART      3

/* Machines with one key. */
typedef struct {
    char *key;
    unsigned count;         /* of machines */
    const IrekoNode *maker; /* the first of the lab's, which is given a moment to ask first */
    char *words;            /* why there is no template, where nobody is to make one; or NULL */
    IrekoVault *vault;
    enum { UNKNOWN, MAKING, READY, NONE } state;
    bool answered; /* a clone of it did */
} Group;

struct IrekoTemplates {
    const IrekoLayer *layer;
    char *store;
    unsigned starting; /* clones */
    GMutex lock;
    GCond changed;
    GHashTable *groups; /* key -> Group */
    GHashTable *of;     /* IrekoNode -> Group, of another table */
};

/* ---- the key ---- */

uint64_t
ireko_templates_limit(void)
{
    uint64_t bytes = (uint64_t)IREKO_TEMPLATES_SIZE_MIB << 20;
    const char *text = g_getenv(IREKO_TEMPLATES_SIZE_VAR);
    if (text != NULL)
        (void)ireko_text_parse_size(text, &bytes);
    return bytes;
}

typedef struct {
    GString *text;
    const IrekoTemplateHost *host;
    const IrekoNode *top;
} Shape;

static void
add(GString *text, const char *what, const char *value)
{
    g_string_append_printf(text, "%s=%zu:%s\n", what, value != NULL ? strlen(value) : 0,
                           value != NULL ? value : "");
}

static void
add_list(GString *text, const char *what, const GPtrArray *list)
{
    for (unsigned i = 0; list != NULL && i < list->len; i++)
        add(text, what, list->pdata[i]);
}

/* A machine of the tree: its .vmx byte for byte, its image, where it stands. */
static bool
add_node(void *data, const IrekoNode *node)
{
    Shape *shape = data;
    size_t len = 0;
    const void *bytes = g_bytes_get_data(node->vmx, &len);
    XXH128_hash_t hash = XXH3_128bits(bytes, len);
    g_string_append_printf(shape->text, "level=%u vmx=%016llx%016llx\n",
                           node->level - shape->top->level, (unsigned long long)hash.high64,
                           (unsigned long long)hash.low64);
    if (node != shape->top)
        add(shape->text, "name", node->name);
    if (node->machine->image == NULL)
        return true;
    g_autoptr(IrekoImage) image = ireko_image_find(shape->host->images, node->machine->image, NULL);
    add(shape->text, node->machine->image, image != NULL ? image->hash : NULL);
    return true;
}

char *
ireko_template_key(const IrekoNode *node, const IrekoTemplateHost *host)
{
    g_autoptr(GString) text = g_string_new("ireko.template/1\n");
    Shape shape = {.text = text, .host = host, .top = node};
    const IrekoFacts *facts = host->facts;
    add(text, "ireko", host->program);
    add(text, "engine", host->engine);
    add(text, "accel", ireko_accel_name(host->accel));
    add(text, "vendor", facts->cpu_vendor);
    add(text, "cpu", facts->cpu_model);
    add_list(text, "feature", facts->cpu_features);
    add_list(text, "hv", facts->hv_features);
    if (host->accel == IREKO_ACCEL_KVM) /* part of the state is what the kernel has of it */
        add(text, "kernel", facts->kernel);
    (void)add_node(&shape, node);
    (void)ireko_nodes_each(node->guests, add_node, &shape);
    XXH128_hash_t hash = XXH3_128bits(text->str, text->len);
    return g_strdup_printf("%016llx%016llx", (unsigned long long)hash.high64,
                           (unsigned long long)hash.low64);
}

/* ---- groups ---- */

static void
free_group(void *data)
{
    Group *group = data;
    ireko_vault_free(group->vault);
    g_free(group->words);
    g_free(group->key);
    g_free(group);
}

IrekoTemplates *
ireko_templates_new(const IrekoLayer *layer,
                    const GPtrArray *nodes,
                    const char *cache,
                    const char *program)
{
    IrekoTemplates *templates = g_new0(IrekoTemplates, 1);
    g_mutex_init(&templates->lock);
    g_cond_init(&templates->changed);
    templates->layer = layer;
    templates->store = g_build_filename(cache, IREKO_TEMPLATES_FOLDER, NULL);
    templates->groups = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, free_group);
    templates->of = g_hash_table_new(NULL, NULL);
    ireko_vault_sweep(templates->store);
    g_autofree char *engine = ireko_engine_identity(layer->engine);
    g_autofree char *self = program != NULL ? ireko_file_identity(program) : NULL;
    const IrekoTemplateHost host = {.facts = layer->facts,
                                    .accel = layer->accel,
                                    .engine = engine,
                                    .program = self,
                                    .images = layer->images};
    for (unsigned i = 0; i < nodes->len; i++) {
        IrekoNode *node = nodes->pdata[i];
        g_autofree char *key = ireko_template_key(node, &host);
        Group *group = g_hash_table_lookup(templates->groups, key);
        if (group == NULL) {
            group = g_new0(Group, 1);
            group->key = g_steal_pointer(&key);
            group->maker = node;
            group->words = ireko_freeze_obstacle(node, layer->facts, layer->accel);
            g_hash_table_insert(templates->groups, group->key, group);
        }
        group->count++;
        g_hash_table_insert(templates->of, node, group);
    }
    return templates;
}

void
ireko_templates_free(IrekoTemplates *templates)
{
    if (templates == NULL)
        return;
    g_hash_table_unref(templates->of);
    g_hash_table_unref(templates->groups);
    ireko_vault_sweep(templates->store); /* what was discarded while we had it open */
    g_free(templates->store);
    g_mutex_clear(&templates->lock);
    g_cond_clear(&templates->changed);
    g_free(templates);
}

uint64_t
ireko_template_own_bytes(const IrekoNode *node)
{
    return CLONE_BYTES + ireko_nodes_count(node->guests) * CLONE_INNER_BYTES;
}

/* How many of GROUP's machines, clones of VAULT, stand ready: what they write they have by now. */
static unsigned
ready_of(const IrekoTemplates *templates, const Group *group, const IrekoVault *vault)
{
    unsigned ready = 0;
    GHashTableIter iter;
    void *node = NULL, *of = NULL;
    g_hash_table_iter_init(&iter, templates->of);
    while (g_hash_table_iter_next(&iter, &node, &of)) {
        const IrekoClone clone = ireko_clone_of_template(templates->layer, node, vault, NULL);
        ready += of == group && ireko_spares_fit(&clone, false) > 0;
    }
    return ready;
}

/* What GROUP's machines will take: all of their memory where they boot; as clones what they share,
 * once, and what each writes. */
static uint64_t
expected_of(const IrekoTemplates *templates, const Group *group)
{
    g_autoptr(GPtrArray) self = g_ptr_array_new();
    g_ptr_array_add(self, (void *)(uintptr_t)group->maker);
    uint64_t whole = ireko_nodes_promised(self);
    uint64_t own = ireko_template_own_bytes(group->maker);
    if (group->words != NULL || ireko_templates_limit() == 0)
        return whole * group->count;
    g_autoptr(IrekoVault) vault = ireko_vault_open(templates->store, group->key, NULL);
    if (vault != NULL)
        return MIN(ireko_vault_bytes(vault) +
                       own * (group->count - ready_of(templates, group, vault)),
                   whole * group->count);
    uint64_t clones = whole / TOUCHED_PART + own * (group->count - 1);
    return whole + (group->count > 1 ? MIN(clones, whole * (group->count - 1)) : 0);
}

bool
ireko_templates_are_there(const IrekoTemplates *templates)
{
    GHashTableIter iter;
    void *group = NULL;
    g_hash_table_iter_init(&iter, templates->groups);
    while (g_hash_table_iter_next(&iter, NULL, &group)) {
        g_autofree char *path =
            g_build_filename(templates->store, ((const Group *)group)->key, NULL);
        if (!g_file_test(path, G_FILE_TEST_IS_DIR))
            return false;
    }
    return true;
}

uint64_t
ireko_templates_expected(const IrekoTemplates *templates)
{
    uint64_t sum = 0;
    GHashTableIter iter;
    void *group = NULL;
    g_hash_table_iter_init(&iter, templates->groups);
    while (g_hash_table_iter_next(&iter, NULL, &group))
        sum += expected_of(templates, group);
    return sum;
}

static void
set_state(IrekoTemplates *templates, Group *group, int state)
{
    g_mutex_lock(&templates->lock);
    group->state = state;
    g_cond_broadcast(&templates->changed);
    g_mutex_unlock(&templates->lock);
}

/* Opens GROUP's template where there is a good one. RET_WORDS says what was wrong with a bad one,
 * which is removed. */
static bool
open_template(const IrekoTemplates *templates, Group *group, char **ret_words)
{
    g_autoptr(GError) why = NULL;
    group->vault = ireko_vault_open(templates->store, group->key, &why);
    if (group->vault != NULL && ireko_vault_check(group->vault, &why))
        return true;
    g_clear_pointer(&group->vault, ireko_vault_free);
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND))
        return false;
    ireko_vault_discard(templates->store, group->key);
    *ret_words = g_strdup_printf("its template %.12s is not used: %s", group->key, why->message);
    return false;
}

/* The first of GROUP that asks: opens the template, or is the one that makes it. */
static IrekoTemplateUse
find_out(IrekoTemplates *templates, Group *group, char **ret_words)
{
    if (group->words != NULL || ireko_templates_limit() == 0) {
        *ret_words =
            group->words != NULL ? g_strdup_printf("not from a template: %s", group->words) : NULL;
        set_state(templates, group, NONE);
        return IREKO_TEMPLATE_NONE;
    }
    if (!open_template(templates, group, ret_words))
        return IREKO_TEMPLATE_MAKE;
    set_state(templates, group, READY);
    return IREKO_TEMPLATE_CLONE;
}

static bool
is_cancelled(const IrekoTemplates *templates)
{
    struct pollfd cancel = {.fd = templates->layer->cancel_fd, .events = POLLIN};
    return poll(&cancel, 1, 0) > 0;
}

/* Waits, with the lock, until GROUP's template is made or nobody makes it. */
static void
await_maker(IrekoTemplates *templates, const Group *group, void (*waiting)(void *data), void *data)
{
    for (unsigned i = 0; group->state == MAKING && !is_cancelled(templates); i++) {
        if (i == 1) {
            g_mutex_unlock(&templates->lock);
            waiting(data);
            g_mutex_lock(&templates->lock);
        }
        (void)g_cond_wait_until(&templates->changed, &templates->lock,
                                g_get_monotonic_time() + WAIT_MS * G_TIME_SPAN_MILLISECOND);
    }
}

IrekoTemplateUse
ireko_templates_take(IrekoTemplates *templates,
                     const IrekoNode *node,
                     void (*waiting)(void *data),
                     void *data,
                     const IrekoVault **ret_vault,
                     char **ret_words)
{
    Group *group = g_hash_table_lookup(templates->of, node);
    *ret_words = NULL;
    g_mutex_lock(&templates->lock);
    int64_t turn = g_get_monotonic_time() + TURN_US; /* the maker may be running already */
    while (group->maker != node && group->state == UNKNOWN &&
           g_cond_wait_until(&templates->changed, &templates->lock, turn))
        continue;
    bool first = group->state == UNKNOWN;
    if (first) {
        group->state = MAKING;
        g_cond_broadcast(&templates->changed);
    }
    if (!first)
        await_maker(templates, group, waiting, data);
    bool ready = group->state == READY;
    g_mutex_unlock(&templates->lock);
    IrekoTemplateUse use = first   ? find_out(templates, group, ret_words)
                           : ready ? IREKO_TEMPLATE_CLONE
                                   : IREKO_TEMPLATE_NONE;
    *ret_vault = use == IREKO_TEMPLATE_CLONE ? group->vault : NULL;
    return use;
}

void
ireko_templates_enter(IrekoTemplates *templates)
{
    unsigned most = STARTS_PER_CPU * g_get_num_processors();
    g_mutex_lock(&templates->lock);
    while (templates->starting >= most)
        g_cond_wait(&templates->changed, &templates->lock);
    templates->starting++;
    g_mutex_unlock(&templates->lock);
}

void
ireko_templates_leave(IrekoTemplates *templates, const IrekoNode *node, bool answered)
{
    Group *group = g_hash_table_lookup(templates->of, node);
    g_mutex_lock(&templates->lock);
    templates->starting--;
    group->answered = group->answered || answered;
    g_cond_broadcast(&templates->changed);
    g_mutex_unlock(&templates->lock);
}

void
ireko_templates_settle(IrekoTemplates *templates, const IrekoNode *node)
{
    set_state(templates, g_hash_table_lookup(templates->of, node), NONE);
}

void
ireko_templates_reject(IrekoTemplates *templates, const IrekoNode *node, const GError *why)
{
    Group *group = g_hash_table_lookup(templates->of, node);
    g_mutex_lock(&templates->lock);
    bool slow = group->answered && g_error_matches(why, IREKO_ERROR, IREKO_ERROR_TIMEOUT);
    g_mutex_unlock(&templates->lock);
    if (slow || g_error_matches(why, IREKO_ERROR, IREKO_ERROR_CANCELLED) ||
        g_error_matches(why, IREKO_ERROR, IREKO_ERROR_TOO_LARGE))
        return; /* nothing is wrong with it */
    set_state(templates, group, NONE);
    ireko_vault_discard(templates->store, group->key);
}

/* ---- making one ---- */

static json_t *
about_template(const IrekoTemplates *templates,
               const IrekoNode *node,
               json_t *machine,
               json_t *proven)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *made = g_date_time_format_iso8601(now);
    g_autoptr(GPtrArray) self = g_ptr_array_new();
    g_ptr_array_add(self, (void *)(uintptr_t)node);
    return json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:o,s:O}", "lab", templates->layer->id, "name",
                     node->name, "file", node->machine->file, "machines",
                     (int)ireko_nodes_count(self), "accel",
                     ireko_accel_name(templates->layer->accel), "made", made, "machine", machine,
                     "proven", proven);
}

/* Has the machine do once what each of its clones will do first, as who it is already: a clone then
 * finds in memory what that takes, and what cannot be done is found out here. */
static IrekoAgent *
rehearse(const IrekoTemplates *templates,
         const IrekoFreezeOrder *order,
         int *ret_hold,
         GError **error)
{
    const IrekoLayer *layer = templates->layer;
    const IrekoClone self = {.layer = layer,
                             .node = order->node,
                             .folder = order->folder,
                             .pace = ireko_layer_pace(layer->accel, 1, 0)};
    return ireko_clone_rehearse(&self, ret_hold, error);
}

static bool
make(const IrekoTemplates *templates,
     const Group *group,
     const IrekoFreezeOrder *order,
     json_t *proven,
     GError **error)
{
    g_autoptr(IrekoVaultWriter) writer = ireko_vault_begin(templates->store, group->key, error);
    IREKO_AUTOFD hold = -1;
    g_autoptr(IrekoAgent) talk = writer != NULL ? rehearse(templates, order, &hold, error)
                                                : NULL; /* open until it is frozen */
    if (talk == NULL)
        return false;
    if (templates->layer->accel == IREKO_ACCEL_TCG)
        g_usleep(SETTLE_US);
    unsigned pace = ireko_layer_pace(templates->layer->accel, 1, 0);
    json_t *machine =
        ireko_freeze_machine(order, writer, ireko_patience(FREEZE_SECONDS, pace), error);
    return machine != NULL &&
           ireko_vault_commit(writer, about_template(templates, order->node, machine, proven),
                              error);
}

char *
ireko_templates_make(IrekoTemplates *templates,
                     const IrekoNode *node,
                     IrekoVm *vm,
                     const char *folder,
                     json_t *proven)
{
    g_autoptr(json_t) owned = proven;
    Group *group = g_hash_table_lookup(templates->of, node);
    g_autofree char *id = g_strconcat(templates->layer->id, "/", node->path, NULL);
    const IrekoFreezeOrder order = {.engine = templates->layer->engine,
                                    .node = node,
                                    .vm = vm,
                                    .folder = folder,
                                    .id = id,
                                    .prefix = ""};
    int64_t began_us = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    g_autofree char *words = NULL;
    bool made =
        make(templates, group, &order, owned, &error) && open_template(templates, group, &words);
    double seconds = (double)(g_get_monotonic_time() - began_us) / G_USEC_PER_SEC;
    if (made)
        (void)ireko_vault_evict(templates->store, ireko_templates_limit(), group->key);
    set_state(templates, group, made ? READY : NONE);
    if (!made)
        return g_strdup_printf("no template was made of it: %s",
                               error != NULL ? error->message : words);
    g_autofree char *size = ireko_text_size(ireko_vault_bytes(group->vault));
    return g_strdup_printf("kept as a template (%s, %.1f s)", size, seconds);
}
