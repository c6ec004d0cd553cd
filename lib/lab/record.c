/* lab/record.c - what was started, on disk before it starts. */
#include "lab/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "lab/inside.h"
#include "lab/labfile.h"
#include "lab/layer.h"
#include "lab/network/switches.h"
#include "nest/nest.h"

#define RECORD_SCHEMA "ireko.record/1"
#define RECORD_MAX    ((size_t)128 << 20)

static char *
lab_folder(const IrekoHome *home, const char *name)
{
    return g_build_filename(home->state, "labs", name, NULL);
}

char *
ireko_record_run_folder(const IrekoHome *home, const char *name)
{
    return g_build_filename(home->run, name, NULL);
}

int
ireko_record_lock(const IrekoHome *home, const char *name, GError **error)
{
    g_autofree char *folder = lab_folder(home, name);
    g_autofree char *path = g_build_filename(folder, "lock", NULL);
    for (;;) {
        if (!ireko_file_make_folder(folder, error))
            return -1;
        IREKO_AUTOFD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == ENOENT)
            continue; /* a `down` removed the folder between the two calls */
        if (fd < 0) {
            ireko_error_from_errno(error, errno, "cannot open '%s'", path);
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "another ireko is at work on the lab '%s': wait for it, or end it", name);
            return -1;
        }
        struct stat st;
        if (fstat(fd, &st) == 0 && st.st_nlink > 0) /* not the lock of a lab that was removed */
            return ireko_fd_steal(&fd);
    }
}

static bool
write_json(const char *path, const json_t *document, GError **error)
{
    char *text = json_dumps(document, JSON_INDENT(1));
    if (text == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "'%s' would not be UTF-8", path);
        return false;
    }
    bool written = ireko_file_replace(path, text, strlen(text), 0600, error);
    free(text);
    return written;
}

static json_t *
requires_to_json(unsigned all)
{
    json_t *words = json_array();
    for (unsigned i = 0; ireko_requirements[i] != NULL; i++) {
        if ((all & 1u << i) != 0)
            (void)json_array_append_new(words, json_string(ireko_requirements[i]));
    }
    return words;
}

static unsigned
requires_from_json(const json_t *words)
{
    unsigned all = 0;
    size_t i;
    const json_t *word;
    json_array_foreach(words, i, word)
    {
        if (json_is_string(word))
            all |= ireko_requirement(json_string_value(word));
    }
    return all;
}

bool
ireko_record_write(const IrekoHome *home, const IrekoLab *lab, GError **error)
{
    g_autofree char *folder = lab_folder(home, lab->name);
    g_autofree char *path = g_build_filename(folder, "record.json", NULL);
    g_autofree char *here = g_get_current_dir();
    g_autoptr(json_t) document = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "schema", RECORD_SCHEMA, "name", lab->name, "source",
        lab->source, "folder", lab->folder != NULL ? lab->folder : here, "accel", lab->accel,
        "requires", requires_to_json(lab->requires), "machines", ireko_nodes_to_json(lab->nodes));
    return write_json(path, document, error);
}

static json_t *
read_json(const IrekoHome *home, const char *name, const char *file, GError **error)
{
    g_autofree char *path = g_build_filename(home->state, "labs", name, file, NULL);
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, RECORD_MAX, &len, error);
    if (text == NULL)
        return NULL;
    json_error_t why;
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (document == NULL) {
        g_autofree char *words = ireko_text_safe(why.text, (size_t)-1);
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "%s:%d: damaged (%s): 'ireko down %s' removes the lab", path, why.line, words,
                    name);
    }
    return document;
}

json_t *
ireko_record_document(const IrekoHome *home, const char *name, GError **error)
{
    return read_json(home, name, "record.json", error);
}

bool
ireko_record_put(const IrekoHome *home, const char *name, const json_t *document, GError **error)
{
    g_autofree char *folder = lab_folder(home, name);
    g_autofree char *path = g_build_filename(folder, "record.json", NULL);
    return write_json(path, document, error);
}

IrekoLab *
ireko_record_read(const IrekoHome *home, const char *name, GError **error)
{
    g_autoptr(json_t) document = ireko_record_document(home, name, error);
    return document != NULL ? ireko_record_parse(document, name, error) : NULL;
}

IrekoLab *
ireko_record_parse(const json_t *document, const char *name, GError **error)
{
    const char *schema = NULL, *source = NULL, *folder = "/", *accel = NULL;
    json_t *machines = NULL;
    if (json_unpack((json_t *)(uintptr_t)document, "{s:s,s:s,s?s,s:s,s:o}", "schema", &schema,
                    "source", &source, "folder", &folder, "accel", &accel, "machines",
                    &machines) != 0 ||
        strcmp(schema, RECORD_SCHEMA) != 0) {
        g_set_error(
            error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
            "the record of the lab '%s' is not of this ireko (schema '%s' wanted): 'ireko down "
            "%s' removes the lab",
            name, RECORD_SCHEMA, name);
        return NULL;
    }
    g_autoptr(IrekoLab) lab = g_new0(IrekoLab, 1);
    lab->name = g_strdup(name);
    lab->source = g_strdup(source);
    lab->folder = g_strdup(folder);
    lab->accel = g_strdup(accel);
    lab->requires = requires_from_json(json_object_get(document, "requires"));
    lab->nodes = ireko_nodes_from_json(machines, "", 1, error);
    if (lab->nodes == NULL)
        g_prefix_error(error,
                       "the record of the lab '%s' is damaged ('ireko down %s' removes it): ", name,
                       name);
    return lab->nodes != NULL ? g_steal_pointer(&lab) : NULL;
}

void
ireko_record_write_nest(const IrekoHome *home, const IrekoNest *nest)
{
    g_autofree char *path = g_build_filename(home->state, "labs", nest->lab, "nest.json", NULL);
    g_autofree char *text = ireko_nest_to_text(nest);
    (void)ireko_file_put(path, text, strlen(text), 0600, NULL);
}

void
ireko_record_update_nest(const IrekoHome *home, const IrekoNest *part)
{
    g_autoptr(json_t) kept = ireko_record_read_nest(home, part->lab);
    json_t *machines = json_object_get(kept, "machines");
    for (unsigned i = 0; i < part->reports->len; i++) {
        const IrekoReport *report = part->reports->pdata[i];
        size_t at;
        json_t *machine;
        json_array_foreach(machines, at, machine)
        {
            if (g_strcmp0(json_string_value(json_object_get(machine, "path")), report->path) == 0)
                (void)json_array_set_new(machines, at, ireko_report_to_json(report));
        }
    }
    g_autofree char *path = g_build_filename(home->state, "labs", part->lab, "nest.json", NULL);
    (void)(machines != NULL && write_json(path, kept, NULL));
}

json_t *
ireko_record_read_nest(const IrekoHome *home, const char *name)
{
    return read_json(home, name, "nest.json", NULL);
}

bool
ireko_record_clear_run(const IrekoHome *home, const char *name, GError **error)
{
    g_autofree char *run = ireko_record_run_folder(home, name);
    return ireko_switches_end(run, error) && ireko_file_remove_tree(run, error);
}

bool
ireko_record_remove(const IrekoHome *home, const char *name, GError **error)
{
    g_autofree char *state = lab_folder(home, name);
    return ireko_record_clear_run(home, name, error) && ireko_file_remove_tree(state, error);
}

char **
ireko_record_alive(const IrekoHome *home, const char *name)
{
    g_autofree char *run = ireko_record_run_folder(home, name);
    return ireko_inside_alive(ireko_engine_chosen(), run);
}

bool
ireko_nodes_equal(const GPtrArray *a, const GPtrArray *b)
{
    if (a->len != b->len)
        return false;
    for (unsigned i = 0; i < a->len; i++) {
        const IrekoNode *x = a->pdata[i], *y = b->pdata[i];
        if (strcmp(x->name, y->name) != 0 || !g_bytes_equal(x->vmx, y->vmx) ||
            !ireko_nodes_equal(x->guests, y->guests))
            return false;
    }
    return true;
}
