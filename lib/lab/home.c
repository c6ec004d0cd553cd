/* lab/home.c - where ireko keeps things, and which labs there are. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "lab/labfile.h"
#include "lab/layer.h"
#include "lab/record.h"

#define LAB_FILE "lab.yaml"

IrekoHome *
ireko_home_new(void)
{
    IrekoHome *home = g_new0(IrekoHome, 1);
    const char *own = g_getenv("IREKO_HOME");
    if (own != NULL && *own != '\0') {
        g_autofree char *absolute = g_canonicalize_filename(own, NULL);
        home->state = g_strdup(absolute);
        home->run = g_build_filename(absolute, "run", NULL);
        home->cache = g_strdup(absolute);
        return home;
    }
    home->state = g_build_filename(g_get_user_state_dir(), "ireko", NULL);
    home->cache = g_build_filename(g_get_user_cache_dir(), "ireko", NULL);
    home->run = g_getenv("XDG_RUNTIME_DIR") != NULL
                    ? g_build_filename(g_get_user_runtime_dir(), "ireko", NULL)
                    : g_build_filename(home->state, "run", NULL);
    return home;
}

void
ireko_home_free(IrekoHome *home)
{
    if (home == NULL)
        return;
    g_free(home->state);
    g_free(home->run);
    g_free(home->cache);
    g_free(home);
}

void
ireko_lab_free(IrekoLab *lab)
{
    if (lab == NULL)
        return;
    g_free(lab->name);
    g_free(lab->source);
    g_free(lab->folder);
    g_free(lab->accel);
    g_clear_pointer(&lab->nodes, g_ptr_array_unref);
    g_free(lab);
}

const char *
ireko_lab_name(const IrekoLab *lab)
{
    return lab->name;
}

/* The lab of a single .vmx. */
static bool
load_single(IrekoLab *lab, const char *vmx_path, GError **error)
{
    IrekoNode *node = ireko_labfile_machine(vmx_path, error);
    if (node == NULL)
        return false;
    lab->nodes = ireko_nodes_new();
    g_ptr_array_add(lab->nodes, node);
    lab->name = g_strconcat("run-", node->name, NULL);
    return true;
}

/* The file that WHERE means; free with g_free. */
static char *
definition_of(const char *where)
{
    return g_file_test(where, G_FILE_TEST_IS_DIR) ? g_build_filename(where, LAB_FILE, NULL)
                                                  : g_strdup(where);
}

IrekoLab *
ireko_lab_load(const IrekoHome *home, const char *where, GError **error)
{
    (void)home;
    g_autofree char *path = definition_of(where);
    g_autoptr(IrekoLab) lab = g_new0(IrekoLab, 1);
    lab->source = g_canonicalize_filename(path, NULL);
    bool loaded = g_str_has_suffix(path, ".vmx")
                      ? load_single(lab, path, error)
                      : ireko_labfile_load(path, &lab->name, &lab->requires, &lab->nodes, error);
    return loaded ? g_steal_pointer(&lab) : NULL;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **
ireko_lab_names(const IrekoHome *home)
{
    g_autofree char *labs = g_build_filename(home->state, "labs", NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GDir) folder = g_dir_open(labs, 0, NULL);
    for (const char *entry; folder != NULL && (entry = g_dir_read_name(folder)) != NULL;) {
        if (ireko_text_is_name(entry))
            g_ptr_array_add(names, g_strdup(entry));
    }
    if (names->len > 0)
        qsort(names->pdata, names->len, sizeof names->pdata[0], compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

IrekoLab *
ireko_lab_recorded(const IrekoHome *home, const char *where, GError **error)
{
    g_auto(GStrv) names = ireko_lab_names(home);
    if (g_strv_contains((const char *const *)names, where)) {
        GError *why = NULL;
        IrekoLab *lab = ireko_record_read(home, where, &why);
        if (lab != NULL)
            return lab;
        if (!g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND)) {
            g_propagate_error(error, why);
            return NULL;
        }
        g_clear_error(&why); /* an `up` has only just begun there, or was ended so early */
    }

    g_autofree char *path = definition_of(where);
    g_autofree char *source = g_canonicalize_filename(path, NULL);
    for (size_t i = 0; names[i] != NULL; i++) {
        g_autoptr(IrekoLab) lab = ireko_record_read(home, names[i], NULL);
        if (lab != NULL && strcmp(lab->source, source) == 0)
            return g_steal_pointer(&lab);
    }
    g_set_error(
        error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
        "no lab '%s' is on record here: 'ireko ps' lists those that are, 'ireko up' starts one",
        where);
    return NULL;
}

/* Leaves of NODES what is on the way to the machine SEGMENTS, or in it; whether that is there. */
static bool
keep_way(GPtrArray *nodes, char **segments)
{
    for (unsigned i = nodes->len; i > 0; i--) {
        const IrekoNode *node = nodes->pdata[i - 1];
        if (strcmp(node->name, segments[0]) != 0)
            g_ptr_array_remove_index(nodes, i - 1);
    }
    if (nodes->len == 0 || segments[1] == NULL)
        return nodes->len > 0;
    return keep_way(((const IrekoNode *)nodes->pdata[0])->guests, segments + 1);
}

IrekoLab *
ireko_lab_of_machine(const IrekoHome *home, const char *where, GError **error)
{
    const char *colon = strchr(where, ':');
    g_autofree char *wanted = colon != NULL ? g_strndup(where, (size_t)(colon - where)) : NULL;
    const char *path = colon != NULL ? colon + 1 : where;
    g_auto(GStrv) segments = g_strsplit(path, "/", IREKO_PATH_DEPTH_MAX + 1);
    g_auto(GStrv) names = ireko_lab_names(home);
    g_autoptr(IrekoLab) found = NULL;
    for (size_t i = 0; names[i] != NULL && segments[0] != NULL; i++) {
        if (wanted != NULL && strcmp(wanted, names[i]) != 0)
            continue;
        g_autoptr(IrekoLab) lab = ireko_record_read(home, names[i], NULL);
        if (lab == NULL || !keep_way(lab->nodes, segments))
            continue;
        if (found != NULL) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "the labs '%s' and '%s' both have '%s': say '%s:%s'", found->name,
                        lab->name, path, found->name, path);
            return NULL;
        }
        found = g_steal_pointer(&lab);
        found->requires = 0; /* that is of the whole lab, not of a part */
    }
    if (found == NULL)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "no lab on record has the machine '%s': 'ireko ps' lists what there is", where);
    return g_steal_pointer(&found);
}

static bool
add_notes(void *data, const IrekoNode *node)
{
    GPtrArray *lines = data;
    for (unsigned i = 0; i < node->machine->notes->len; i++) {
        const IrekoKeyNote *note = node->machine->notes->pdata[i];
        if (note->reason == NULL)
            continue;
        g_autofree char *line = g_strdup_printf("%s:%u: %s: %s", node->machine->file, note->line,
                                                note->key, note->reason);
        g_autofree char *safe = ireko_text_safe(line, (size_t)-1);
        if (!g_ptr_array_find_with_equal_func(lines, safe, g_str_equal, NULL))
            g_ptr_array_add(lines, g_steal_pointer(&safe));
    }
    return true;
}

char **
ireko_lab_notes(const IrekoLab *lab)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    (void)ireko_nodes_each(lab->nodes, add_notes, lines);
    g_ptr_array_add(lines, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&lines), FALSE);
}
