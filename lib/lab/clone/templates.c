/* lab/clone/templates.c - the templates that there are: listed, removed. */
#include <string.h>

#include <ireko/template.h>
#include <ireko/text.h>

#include "lab/clone/spare.h"
#include "lab/clone/template.h"
#include "vault/vault.h"

static char *
store_of(const IrekoHome *home)
{
    return g_build_filename(home->cache, IREKO_TEMPLATES_FOLDER, NULL);
}

static void
free_template(void *data)
{
    IrekoTemplate *template = data;
    g_free(template->key);
    g_free(template->lab);
    g_free(template->name);
    g_free(template->file);
    g_free(template->accel);
    g_free(template->damage);
    g_free(template);
}

/* The text KEY of ABOUT, safe to print. */
static char *
text_of(const json_t *about, const char *key)
{
    const char *text = json_string_value(json_object_get(about, key));
    return text != NULL ? ireko_text_safe(text, (size_t)-1) : NULL;
}

static IrekoTemplate *
template_of(const IrekoHome *home, const IrekoVaultEntry *entry)
{
    IrekoTemplate *template = g_new0(IrekoTemplate, 1);
    json_int_t machines = json_integer_value(json_object_get(entry->about, "machines"));
    template->key = g_strdup(entry->name);
    template->lab = text_of(entry->about, "lab");
    template->name = text_of(entry->about, "name");
    template->file = text_of(entry->about, "file");
    template->accel = text_of(entry->about, "accel");
    template->machines = (unsigned)CLAMP(machines, 0, IREKO_TREE_MACHINES_MAX);
    template->bytes = entry->bytes;
    template->used_unix = entry->used_unix;
    template->in_use = entry->in_use;
    template->spares = ireko_spares_count(home, NULL, entry->name,
                                          json_string_value(json_object_get(entry->about, "made")));
    template->damage = g_strdup(entry->damage);
    return template;
}

GPtrArray *
ireko_template_list(const IrekoHome *home)
{
    g_autofree char *store = store_of(home);
    ireko_vault_sweep(store);
    g_autoptr(GPtrArray) entries = ireko_vault_list(store);
    GPtrArray *templates = g_ptr_array_new_with_free_func(free_template);
    for (unsigned i = 0; i < entries->len; i++)
        g_ptr_array_add(templates, template_of(home, entries->pdata[i]));
    return templates;
}

uint64_t
ireko_template_limit(void)
{
    return ireko_templates_limit();
}

char *
ireko_template_find(const IrekoHome *home, const char *start, GError **error)
{
    g_autoptr(GPtrArray) templates = ireko_template_list(home);
    g_autofree char *found = NULL;
    for (unsigned i = 0; i < templates->len; i++) {
        const IrekoTemplate *template = templates->pdata[i];
        if (!g_str_has_prefix(template->key, start))
            continue;
        if (found != NULL) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                        "several templates begin with '%s': write more of the key", start);
            return NULL;
        }
        found = g_strdup(template->key);
    }
    if (found == NULL)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "there is no template '%s': 'ireko template list' shows those that are", start);
    return g_steal_pointer(&found);
}

bool
ireko_template_remove(const IrekoHome *home, const char *key, GError **error)
{
    g_autofree char *store = store_of(home);
    g_autoptr(GError) why = NULL;
    if (ireko_vault_remove(store, key, &why))
        return true;
    if (g_error_matches(why, IREKO_ERROR, IREKO_ERROR_STATE))
        g_set_error(
            error, IREKO_ERROR, IREKO_ERROR_STATE,
            "the template %.12s is in use: a clone of it runs ('ireko ps'), or stands ready "
            "('ireko template cool')",
            key);
    else
        g_propagate_error(error, g_steal_pointer(&why));
    return false;
}
