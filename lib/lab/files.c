/* lab/files.c - the .vmx files of labs: which they are, what is wrong with them together, which of
 * them are of machines that run. */
#include <stdlib.h>
#include <string.h>

#include <ireko/lint.h>

#include "lab/labfile.h"
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

static void
free_document(void *doc)
{
    ireko_vmx_free(doc);
}

/* The copies that "count" makes stand one after the other, and are one machine here. What a lab
 * requires, it requires of its outermost machines. */
static void
add_machines(const GPtrArray *nodes, unsigned requires, GPtrArray *docs, GArray *machines)
{
    const char *last = NULL;
    for (unsigned i = 0; i < nodes->len; i++) {
        const IrekoNode *node = nodes->pdata[i];
        if (g_strcmp0(node->machine->file, last) == 0) {
            g_array_index(machines, IrekoLintMachine, machines->len - 1).copies++;
            continue;
        }
        last = node->machine->file;
        size_t len = 0;
        const char *bytes = g_bytes_get_data(node->vmx, &len);
        IrekoVmx *doc = ireko_vmx_parse(bytes, len, NULL); /* it was one when the lab was read */
        IrekoLintMachine machine = {.doc = doc,
                                    .file = node->machine->file,
                                    .copies = 1,
                                    .level = node->level,
                                    .has_guests = node->guests->len > 0,
                                    .vsan = (requires & IREKO_REQUIRES_VSAN) != 0};
        g_ptr_array_add(docs, doc);
        g_array_append_val(machines, machine);
    }
    for (unsigned i = 0; i < nodes->len; i++)
        add_machines(((const IrekoNode *)nodes->pdata[i])->guests, 0, docs, machines);
}

GPtrArray *
ireko_lab_lint(const IrekoLab *lab)
{
    g_autoptr(GPtrArray) docs = g_ptr_array_new_with_free_func(free_document);
    g_autoptr(GArray) machines = g_array_new(FALSE, FALSE, sizeof(IrekoLintMachine));
    add_machines(lab->nodes, lab->requires, docs, machines);
    return ireko_lint_lab((const IrekoLintMachine *)(void *)machines->data, machines->len);
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
