/* lab/files.c - the .vmx files of labs: which they are, and which of them are of machines that run. */
#include <stdlib.h>
#include <string.h>

#include "lab/record.h"

static bool
add_file(void *data, const IrekoNode *node)
{
    GPtrArray *files = data;
    if (!g_ptr_array_find_with_equal_func(files, node->machine->file, g_str_equal, NULL))
        g_ptr_array_add(files, g_strdup(node->machine->file));
    return true;
}

char **
ireko_lab_files(const IrekoLab *lab)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    (void)ireko_nodes_each(lab->nodes, add_file, files);
    g_ptr_array_add(files, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&files), FALSE);
}

typedef struct {
    GHashTable *files;
    const IrekoLab *lab;
} Running;

/* Notes the file of NODE, wherever links lead. */
static bool
note_file(void *data, const IrekoNode *node)
{
    Running *running = data;
    g_autofree char *path = g_canonicalize_filename(node->machine->file, running->lab->folder);
    char *real = realpath(path, NULL);
    if (real != NULL)
        g_hash_table_replace(running->files, g_strdup(real), g_strdup(running->lab->name));
    free(real);
    return true;
}

GHashTable *
ireko_lab_running_files(const IrekoHome *home)
{
    GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) names = ireko_lab_names(home);
    for (size_t i = 0; names[i] != NULL; i++) {
        g_auto(GStrv) alive = ireko_record_alive(home, names[i]);
        g_autoptr(IrekoLab) lab = *alive != NULL ? ireko_record_read(home, names[i], NULL) : NULL;
        Running running = {files, lab};
        for (unsigned k = 0; lab != NULL && k < lab->nodes->len; k++) {
            const IrekoNode *node = lab->nodes->pdata[k];
            if (!g_strv_contains((const char *const *)alive, node->name))
                continue;
            (void)note_file(&running, node);
            (void)ireko_nodes_each(node->guests, note_file, &running);
        }
    }
    return files;
}
