/* lab/labfile.c - lab.yaml, by libcyaml: the schema below is the file's whole grammar. */
#include "lab/labfile.h"

#include <cyaml/cyaml.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define UNEXPECTED_KEY "Unexpected key: "
#define REQUIRES       "requires"
#define REQUIRES_MAX   16

#define WORDS_SHOWN ((size_t)80) /* bytes of libcyaml's words, which repeat a key of any length */

typedef struct Entry Entry;
struct Entry {
    char *vmx;
    unsigned count; /* 0: not said */
    Entry *guests;
    unsigned guests_count;
};

typedef struct {
    char *name;
    char **requires;
    unsigned requires_count;
    Entry *machines;
    unsigned machines_count;
} LabFile;

#define ENTRY_FIELDS 4 /* declared before it is filled: a machine has guests that are machines */
static const cyaml_schema_field_t entry_fields[ENTRY_FIELDS];

static const cyaml_schema_value_t entry_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, Entry, entry_fields),
};

static const cyaml_schema_field_t entry_fields[ENTRY_FIELDS] = {
    CYAML_FIELD_STRING_PTR("vmx", CYAML_FLAG_POINTER, Entry, vmx, 1, 4096),
    CYAML_FIELD_UINT("count", CYAML_FLAG_OPTIONAL, Entry, count),
    CYAML_FIELD_SEQUENCE("guests",
                         CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                         Entry,
                         guests,
                         &entry_schema,
                         0,
                         IREKO_TREE_MACHINES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t word_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, 4096),
};

static const cyaml_schema_field_t lab_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, LabFile, name, 1, 64),
    CYAML_FIELD_SEQUENCE(REQUIRES,
                         CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                         LabFile,
                         requires,
                         &word_schema,
                         0,
                         REQUIRES_MAX),
    CYAML_FIELD_SEQUENCE("machines",
                         CYAML_FLAG_POINTER,
                         LabFile,
                         machines,
                         &entry_schema,
                         1,
                         IREKO_TREE_MACHINES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t lab_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, LabFile, lab_fields),
};

/* libcyaml says what is wrong, then a backtrace whose first place is the innermost. */
static void
collect_words(cyaml_log_t level, void *data, const char *format, va_list args) G_GNUC_PRINTF(3, 0);

static void
collect_words(cyaml_log_t level, void *data, const char *format, va_list args)
{
    (void)level;
    g_string_append_vprintf(data, format, args);
}

/* libcyaml names the mapping that holds an unexpected key: goes on from LINE of TEXT to the key. */
static unsigned
line_of_key(const char *text, unsigned line, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned count = g_strv_length(lines);
    for (unsigned i = MAX(line, 1); i <= count; i++) {
        const char *at = lines[i - 1] + strspn(lines[i - 1], " \t-'\"");
        if (g_str_has_prefix(at, key))
            return i;
    }
    return line;
}

/* "PATH:LINE: what is wrong" from libcyaml's words about TEXT. */
static void
set_error(const char *path, const char *text, cyaml_err_t code, const char *words, GError **error)
{
    const char *place = strstr(words, "line: ");
    unsigned line = 0;
    if (place != NULL)
        (void)sscanf(place, "line: %9u", &line);
    g_auto(GStrv) lines = g_strsplit(words, "\n", 2);
    const char *what = lines[0] != NULL ? lines[0] : "";
    if (g_str_has_prefix(what, "Load: "))
        what += strlen("Load: ");
    if (*what == '\0' || g_str_has_prefix(what, "Backtrace"))
        what = cyaml_strerror(code);
    if (g_str_has_prefix(what, UNEXPECTED_KEY))
        line = line_of_key(text, line, what + strlen(UNEXPECTED_KEY));
    g_autofree char *safe = ireko_text_safe(what, MIN(strlen(what), WORDS_SHOWN));
    *safe = g_ascii_tolower(*safe);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                line > 0 ? "%s:%u: %s (a lab file has name, requires, machines; a machine has vmx, "
                           "count, guests)"
                         : "%s:%u: %s",
                path, MAX(line, 1), safe);
}

static LabFile *
parse(const char *text, size_t len, const char *path, GError **error)
{
    g_autoptr(GString) words = g_string_new(NULL);
    g_autofree char *readable = g_strndup(text, len);
    const cyaml_config_t config = {
        .log_fn = collect_words,
        .log_ctx = words,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
    void *data = NULL;
    cyaml_err_t code =
        cyaml_load_data((const uint8_t *)text, len, &config, &lab_schema, &data, NULL);
    if (code == CYAML_OK && data != NULL)
        return data;
    set_error(path, readable, code, words->str, error);
    return NULL;
}

static void
free_lab_file(LabFile *file)
{
    const cyaml_config_t config = {.mem_fn = cyaml_mem};
    (void)cyaml_free(&config, &lab_schema, file, 0);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LabFile, free_lab_file)

/* Reading the machines of one lab file. */
typedef struct {
    const char *path;   /* of the lab file */
    const char *folder; /* that "vmx" is relative to */
    unsigned left;      /* machines that the lab may still have */
} Loader;

static IrekoNode *
load_machine(const char *vmx_path, const char *name, const IrekoNode *parent, GError **error)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(vmx_path, error);
    if (doc == NULL)
        return NULL;
    size_t len = 0;
    char *bytes = ireko_vmx_print(doc, &len);
    g_autoptr(GBytes) vmx = g_bytes_new_take(bytes, len);
    if (len > IREKO_TREE_VMX_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "%s: a .vmx of a lab may have %zu bytes", vmx_path, IREKO_TREE_VMX_MAX);
        return NULL;
    }
    const char *above = parent != NULL ? parent->path : "";
    return ireko_node_new(above, parent != NULL ? parent->level + 1 : 1, name, vmx_path, vmx,
                          error);
}

static bool
add_entries(Loader *loader,
            GPtrArray *nodes,
            const Entry *entries,
            unsigned count,
            const IrekoNode *parent,
            GError **error);

/* ENTRY's machine number N (0: the only one), with its guests. */
static bool
add_one(Loader *loader,
        GPtrArray *nodes,
        const Entry *entry,
        unsigned n,
        const IrekoNode *parent,
        GError **error)
{
    if (loader->left-- == 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "%s: a lab may have %d machines",
                    loader->path, IREKO_TREE_MACHINES_MAX);
        return false;
    }
    g_autofree char *vmx_path = g_path_is_absolute(entry->vmx)
                                    ? g_strdup(entry->vmx)
                                    : g_build_filename(loader->folder, entry->vmx, NULL);
    g_autofree char *name = NULL;
    if (n > 0) {
        g_autofree char *base = g_path_get_basename(vmx_path);
        int stem =
            (int)(g_str_has_suffix(base, ".vmx") ? strlen(base) - strlen(".vmx") : strlen(base));
        name = g_strdup_printf("%.*s-%u", stem, base, n);
    }
    g_autoptr(IrekoNode) node = load_machine(vmx_path, name, parent, error);
    if (node != NULL && (n > 0 || (parent != NULL && parent->copy)))
        ireko_node_be_copy(node);
    if (node == NULL ||
        !add_entries(loader, node->guests, entry->guests, entry->guests_count, node, error))
        return false;
    g_ptr_array_add(nodes, g_steal_pointer(&node));
    return true;
}

static bool
add_entries(Loader *loader,
            GPtrArray *nodes,
            const Entry *entries,
            unsigned count,
            const IrekoNode *parent,
            GError **error)
{
    for (unsigned i = 0; i < count; i++) {
        const Entry *entry = &entries[i];
        if (entry->count > IREKO_LABFILE_COUNT_MAX) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                        "%s: count of '%s' is %u, and may be 1 to %d", loader->path, entry->vmx,
                        entry->count, IREKO_LABFILE_COUNT_MAX);
            return false;
        }
        for (unsigned n = 1; n <= MAX(entry->count, 1); n++) {
            if (!add_one(loader, nodes, entry, entry->count > 1 ? n : 0, parent, error))
                return false;
        }
    }
    return true;
}

const char *const ireko_requirements[] = {"vsan", NULL};

unsigned
ireko_requirement(const char *word)
{
    for (unsigned i = 0; ireko_requirements[i] != NULL; i++) {
        if (strcmp(word, ireko_requirements[i]) == 0)
            return 1u << i;
    }
    return 0;
}

/* Gathers what FILE, whose TEXT is of PATH, requires. */
static bool
gather_requirements(
    const LabFile *file, const char *text, const char *path, unsigned *ret_requires, GError **error)
{
    unsigned all = 0;
    for (unsigned i = 0; i < file->requires_count; i++) {
        unsigned one = ireko_requirement(file->requires[i]);
        if (one == 0) {
            g_autofree char *shown = ireko_text_shown(file->requires[i]);
            g_autofree char *known = g_strjoinv(", ", (char **)(uintptr_t)ireko_requirements);
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                        "%s:%u: a lab cannot require '%s': ireko knows %s", path,
                        MAX(line_of_key(text, 0, REQUIRES), 1), shown, known);
            return false;
        }
        all |= one;
    }
    *ret_requires = all;
    return true;
}

bool
ireko_labfile_check(const char *text, size_t len, const char *path, GError **error)
{
    g_autoptr(LabFile) file = parse(text, len, path, error);
    if (file == NULL)
        return false;
    g_autofree char *readable = g_strndup(text, len);
    unsigned all = 0;
    if (!gather_requirements(file, readable, path, &all, error))
        return false;
    if (ireko_text_is_name(file->name))
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "%s: the name of a lab is 1 to 64 of A-Z a-z 0-9 . _ -, not starting with . or -",
                path);
    return false;
}

bool
ireko_labfile_load(const char *path,
                   char **ret_name,
                   unsigned *ret_requires,
                   GPtrArray **ret_nodes,
                   GError **error)
{
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, IREKO_LABFILE_MAX, &len, error);
    if (text == NULL || !ireko_labfile_check(text, len, path, error))
        return false;
    g_autoptr(LabFile) file = parse(text, len, path, error);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autoptr(GPtrArray) nodes = ireko_nodes_new();
    Loader loader = {.path = path, .folder = folder, .left = IREKO_TREE_MACHINES_MAX};
    unsigned all = 0;
    if (file == NULL || !gather_requirements(file, text, path, &all, error) ||
        !add_entries(&loader, nodes, file->machines, file->machines_count, NULL, error))
        return false;
    if (!ireko_nodes_check_names(nodes, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    *ret_name = g_strdup(file->name);
    *ret_requires = all;
    *ret_nodes = g_steal_pointer(&nodes);
    return true;
}

IrekoNode *
ireko_labfile_machine(const char *vmx_path, GError **error)
{
    return load_machine(vmx_path, NULL, NULL, error);
}
