/* cli/cmd-vmx-edit.c - ireko vmx set, unset, undo; and what every edit goes through. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ireko/lint.h>
#include <ireko/text.h>
#include <ireko/vmxfile.h>

#include "vmx.h"

#define SAID_MAX   20 /* files of which each change is said; of more, how many there were */
#define VALUE_SAID 60 /* letters of a value that is said; the file has it whole */
#define INSIST     " (--force writes it all the same)"

GHashTable *
vmx_running(void)
{
    g_autoptr(IrekoHome) home = ireko_home_new();
    return ireko_lab_running_files(home);
}

GString *
vmx_words(const char *file, const VmxEdit *edit, VmxResult *result)
{
    return edit->dry_run || strcmp(file, "-") == 0 ? result->err : result->out;
}

static GBytes *
bytes_of(const IrekoVmx *doc)
{
    size_t len = 0;
    char *text = ireko_vmx_print(doc, &len);
    return g_bytes_new_take(text, len);
}

/* What a terminal gets is made safe; a pipe gets what patch(1) can apply. */
static void
add_diff(GString *out, const char *file, GBytes *before, GBytes *after)
{
    size_t len = 0;
    g_autofree char *diff = ireko_text_diff(file, before, after, &len);
    if (!cli_is_terminal(STDOUT_FILENO)) {
        g_string_append_len(out, diff, (gssize)len);
        return;
    }
    g_autofree char *safe = ireko_text_safe(diff, len);
    g_string_append(out, safe);
}

/* A file that a machine of ireko's was started from is its running machine's. */
static bool
check_not_running(const char *file, const VmxEdit *edit, GError **error)
{
    if (g_hash_table_size(edit->running) == 0)
        return true;
    char *path = realpath(file, NULL);
    const char *lab = path != NULL ? g_hash_table_lookup(edit->running, path) : NULL;
    free(path);
    if (lab == NULL)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' is the .vmx of a machine that runs, in the lab '%s': 'ireko down %s' ends it",
                file, lab, lab);
    return false;
}

/* Changes DOC and says whether it is another one now. */
static bool
change_document(IrekoVmx *doc,
                const char *file,
                VmxChange change,
                const void *data,
                VmxResult *result,
                GError **error)
{
    g_autoptr(GBytes) before = bytes_of(doc);
    if (!change(doc, file, data, result, error))
        return false;
    g_autoptr(GBytes) after = bytes_of(doc);
    result->changed = g_bytes_equal(before, after) ? 0 : 1;
    return true;
}

/* Changes what is read, and writes to standard output the text, or what would change. */
static bool
edit_to_output(const char *file,
               const VmxEdit *edit,
               VmxChange change,
               const void *data,
               VmxResult *result,
               GError **error)
{
    g_autoptr(IrekoVmx) doc =
        strcmp(file, "-") == 0 ? vmx_read(file, error) : ireko_vmxfile_preview(file, error);
    if (doc == NULL)
        return false;
    g_autoptr(GBytes) before = bytes_of(doc);
    if (!change_document(doc, file, change, data, result, error))
        return false;
    g_autoptr(GBytes) after = bytes_of(doc);
    if (edit->dry_run)
        add_diff(result->out, vmx_name(file), before, after);
    else
        g_string_append_len(result->out, g_bytes_get_data(after, NULL),
                            (gssize)g_bytes_get_size(after));
    return true;
}

bool
vmx_edit(const char *file,
         const VmxEdit *edit,
         VmxChange change,
         const void *data,
         VmxResult *result,
         GError **error)
{
    if (edit->dry_run || strcmp(file, "-") == 0)
        return edit_to_output(file, edit, change, data, result, error);
    if (!check_not_running(file, edit, error))
        return false;
    g_autoptr(IrekoVmxFile) open = ireko_vmxfile_open(file, error);
    return open != NULL &&
           change_document(ireko_vmxfile_document(open), file, change, data, result, error) &&
           (!result->changed || ireko_vmxfile_save(open, error));
}

/* ---- set, unset ---- */

typedef struct {
    VmxEdit edit;
    bool force, quiet;
    char **keys;   /* as the book spells them; ended by NULL */
    char **values; /* of set; NULL for unset */
} Keys;

static void
free_keys(Keys *keys)
{
    g_clear_pointer(&keys->edit.running, g_hash_table_unref);
    g_clear_pointer(&keys->keys, g_strfreev);
    g_clear_pointer(&keys->values, g_strfreev);
}

/* Of a dry run the diff says what would change. */
static bool
is_said(const Keys *keys, const char *before, const char *after)
{
    return !keys->quiet && (!keys->edit.dry_run || g_strcmp0(before, after) == 0);
}

/* VALUE as words repeat it: its begin will do. NULL for NULL; free with g_free. */
static char *
begin_of(const char *value)
{
    if (value == NULL || g_utf8_strlen(value, -1) <= VALUE_SAID)
        return g_strdup(value);
    g_autofree char *begin = g_utf8_substring(value, 0, VALUE_SAID);
    return g_strconcat(begin, "...", NULL);
}

/* Says that KEY of FILE was OLD and is NEW; NULL: absent. */
static void
say_change(GString *out, const char *file, const char *key, const char *old, const char *new)
{
    bool same = g_strcmp0(old, new) == 0;
    g_autofree char *before = begin_of(old), *after = begin_of(new);
    g_autofree char *line =
        after == NULL    ? g_strdup_printf("%s: %s: %s", file, key,
                                        before != NULL ? "removed, was" : "not there")
        : before == NULL ? g_strdup_printf("%s: %s = \"%s\", new", file, key, after)
        : same           ? g_strdup_printf("%s: %s = \"%s\" already", file, key, after)
                         : g_strdup_printf("%s: %s = \"%s\", was", file, key, after);
    g_autofree char *was = before != NULL && !same ? g_strdup_printf(" \"%s\"", before) : NULL;
    g_autofree char *whole = g_strconcat(line, was, NULL);
    g_autofree char *safe = vmx_line(whole);
    g_string_append_printf(out, "%s\n", safe);
}

/* How many more findings of each code AFTER has than BEFORE. */
static GHashTable *
count_more(const GPtrArray *before, const GPtrArray *after)
{
    GHashTable *more = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < before->len + after->len; i++) {
        bool old = i < before->len;
        const IrekoFinding *finding = old ? before->pdata[i] : after->pdata[i - before->len];
        int count = GPOINTER_TO_INT(g_hash_table_lookup(more, finding->code));
        g_hash_table_insert(more, finding->code, GINT_TO_POINTER(count + (old ? -1 : 1)));
    }
    return more;
}

static char *
in_words(const IrekoFinding *finding)
{
    return g_strconcat(finding->code, "\n", finding->what, "\n", finding->evidence, NULL);
}

/* The findings of AFTER that are more than BEFORE had: one that an edit did not mend but changed is
 * not. They stay AFTER's. */
static GPtrArray *
find_new(const GPtrArray *before, const GPtrArray *after)
{
    g_autoptr(GHashTable) more = count_more(before, after);
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (unsigned i = 0; i < before->len; i++)
        g_hash_table_add(known, in_words(before->pdata[i]));
    GPtrArray *found = g_ptr_array_new();
    for (unsigned i = 0; i < after->len; i++) {
        IrekoFinding *finding = after->pdata[i];
        int left = GPOINTER_TO_INT(g_hash_table_lookup(more, finding->code));
        g_autofree char *words = in_words(finding);
        if (left <= 0 || g_hash_table_contains(known, words))
            continue;
        g_hash_table_insert(more, finding->code, GINT_TO_POINTER(left - 1));
        g_ptr_array_add(found, finding);
    }
    return found;
}

/* Whether DOC, which was the LEN bytes WAS, has no error that it had not before. One that comes by
 * insisting is said. */
static bool
check_no_worse(const IrekoVmx *doc,
               const char *file,
               const char *was,
               size_t len,
               const Keys *keys,
               VmxResult *result,
               GError **error)
{
    g_autoptr(GPtrArray) after = ireko_lint(doc, vmx_name(file));
    if (after->len == 0)
        return true;
    g_autoptr(IrekoVmx) old = ireko_vmx_parse(was, len, error);
    if (old == NULL)
        return false;
    g_autoptr(GPtrArray) before = ireko_lint(old, vmx_name(file));
    g_autoptr(GPtrArray) found = find_new(before, after);
    for (unsigned i = 0; i < found->len; i++) {
        const IrekoFinding *finding = found->pdata[i];
        if (finding->severity == IREKO_SEVERITY_ERROR && !keys->force) {
            g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                        "%s: that would be an error: %s%s%s [%s]" INSIST, vmx_name(file),
                        finding->what, finding->fix != NULL ? ": " : "",
                        finding->fix != NULL ? finding->fix : "", finding->code);
            return false;
        }
        if (finding->severity != IREKO_SEVERITY_INFO && !keys->quiet)
            g_string_append_printf(result->err, "%s: now %s: %s [%s]\n", vmx_name(file),
                                   ireko_severity_name(finding->severity), finding->what,
                                   finding->code);
    }
    return true;
}

static bool
set_keys(IrekoVmx *doc, const char *file, const void *data, VmxResult *result, GError **error)
{
    const Keys *keys = data;
    size_t len = 0;
    g_autofree char *bytes = ireko_vmx_print(doc, &len);
    for (size_t i = 0; keys->keys[i] != NULL; i++) {
        g_autofree char *was = ireko_vmx_get(doc, keys->keys[i], NULL);
        if (!ireko_vmx_set(doc, keys->keys[i], keys->values[i], error)) {
            g_prefix_error(error, "%s: ", vmx_name(file));
            return false;
        }
        if (is_said(keys, was, keys->values[i]))
            say_change(result->err, vmx_name(file), keys->keys[i], was, keys->values[i]);
    }
    return check_no_worse(doc, file, bytes, len, keys, result, error);
}

static bool
unset_keys(IrekoVmx *doc, const char *file, const void *data, VmxResult *result, GError **error)
{
    (void)error;
    const Keys *keys = data;
    for (size_t i = 0; keys->keys[i] != NULL; i++) {
        g_autofree char *was = ireko_vmx_get(doc, keys->keys[i], NULL);
        (void)ireko_vmx_unset(doc, keys->keys[i]);
        if (is_said(keys, was, NULL))
            say_change(result->err, vmx_name(file), keys->keys[i], was, NULL);
    }
    return true;
}

static void
edit_keys(const char *file, const void *data, VmxResult *result)
{
    const Keys *keys = data;
    g_autoptr(GError) why = NULL;
    if (vmx_edit(file, &keys->edit, keys->values != NULL ? set_keys : unset_keys, keys, result,
                 &why))
        return;
    result->changed = 0;
    g_string_truncate(result->err, 0); /* it was not done after all */
    vmx_fail(result, file, why);
}

/* Whether VALUE may be written for KEY; a remark goes to standard error. */
static bool
check_value(const char *key, const char *value, bool force, GError **error)
{
    g_autoptr(GError) why = NULL;
    if (ireko_book_check(key, value, &why))
        return true;
    g_autofree char *meant = ireko_book_suggest(key);
    bool unknown = g_error_matches(why, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_autofree char *fault =
        !unknown        ? g_strdup(why->message)
        : meant != NULL ? g_strdup_printf("there is no key '%s': did you mean '%s'?", key, meant)
                        : g_strdup_printf("'%s' is not in the key book: no advice on it", key);
    if (!force && (!unknown || meant != NULL)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "%s" INSIST, fault);
        return false;
    }
    g_autofree char *safe = vmx_line(fault);
    g_printerr("ireko vmx: note: %s\n", safe);
    return true;
}

/* A word with a = is an assignment, unless a / stands before it. */
static bool
is_assignment(const char *word)
{
    const char *sign = strchr(word, '='), *slash = strchr(word, '/');
    return sign != NULL && sign > word && (slash == NULL || slash > sign);
}

/* Takes WORDS apart: files stay, keys and values go to KEYS. Returns how many files there are. */
static int
take_assignments(char **words, int count, Keys *keys, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);
    int files = 0;
    for (int i = 0; i < count; i++) {
        if (!is_assignment(words[i])) {
            words[files++] = words[i];
            continue;
        }
        const char *sign = strchr(words[i], '=');
        g_autofree char *key = g_strndup(words[i], (size_t)(sign - words[i]));
        if (!check_value(key, sign + 1, keys->force, error))
            return -1;
        g_ptr_array_add(names, ireko_book_spell(key));
        g_ptr_array_add(values, g_strdup(sign + 1));
    }
    g_ptr_array_add(names, NULL);
    g_ptr_array_add(values, NULL);
    keys->keys = (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
    keys->values = (char **)g_ptr_array_free(g_steal_pointer(&values), FALSE);
    return files;
}

static int
run_keys(char **files, int count, Keys *keys)
{
    keys->edit.running = vmx_running();
    keys->quiet = count > SAID_MAX;
    VmxResult sum = vmx_each(files, (size_t)count, edit_keys, keys, NULL);
    if (keys->quiet)
        g_printerr("%u of %d files %s\n", sum.changed, count,
                   keys->edit.dry_run ? "would change" : "changed");
    return sum.failed ? EXIT_NO : EXIT_DONE;
}

int
vmx_set(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE, force = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "print what would change, as a diff", NULL},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, "also what is likely to be an error", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){2, G_MAXINT}, &status, error))
        return status;
    __attribute__((cleanup(free_keys))) Keys keys = {.edit = {.dry_run = dry_run}, .force = force};
    int files = take_assignments(argv + 1, argc - 1, &keys, error);
    if (files < 0)
        return EXIT_NO;
    if (files == 0 || *keys.keys == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "usage: ireko vmx set FILE... KEY=VALUE...: there is no %s",
                    files == 0 ? "FILE" : "KEY=VALUE");
        return EXIT_USAGE;
    }
    return run_keys(argv + 1, files, &keys);
}

int
vmx_unset(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "print what would change, as a diff", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){2, G_MAXINT}, &status, error))
        return status;
    int files = 1;
    while (1 + files < argc &&
           (g_str_has_suffix(argv[1 + files], ".vmx") || strchr(argv[1 + files], '/') != NULL))
        files++;
    if (1 + files == argc) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "usage: ireko vmx unset FILE... KEY...: there is no KEY");
        return EXIT_USAGE;
    }
    __attribute__((cleanup(free_keys))) Keys keys = {.edit = {.dry_run = dry_run}};
    keys.keys = g_strdupv(argv + 1 + files);
    return run_keys(argv + 1, files, &keys);
}

/* ---- undo ---- */

static bool
undo(const char *file, const VmxEdit *edit, VmxResult *result, GError **error)
{
    if (!check_not_running(file, edit, error))
        return false;
    g_autoptr(IrekoVmxFile) open = ireko_vmxfile_open(file, error);
    if (open == NULL)
        return false;
    if (!edit->dry_run) {
        if (ireko_vmxfile_undo(open, error))
            g_string_append_printf(result->err, "%s: the last edit is taken back\n", file);
        return *error == NULL;
    }
    size_t len = 0;
    char *text = ireko_vmxfile_before(open, &len, error);
    if (text == NULL)
        return false;
    g_autoptr(GBytes) now = bytes_of(ireko_vmxfile_document(open));
    g_autoptr(GBytes) then = g_bytes_new_take(text, len);
    add_diff(result->out, file, now, then);
    return true;
}

static void
undo_file(const char *file, const void *data, VmxResult *result)
{
    const VmxEdit *edit = data;
    g_autoptr(GError) why = NULL;
    if (!undo(file, edit, result, &why))
        vmx_fail(result, file, why);
}

int
vmx_undo(int argc, char **argv, GError **error)
{
    gboolean dry_run = FALSE;
    const GOptionEntry entries[] = {
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "print what would change, as a diff", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, G_MAXINT}, &status, error))
        return status;
    g_autoptr(GHashTable) running = vmx_running();
    VmxEdit edit = {.dry_run = dry_run, .running = running};
    VmxResult sum = vmx_each(argv + 1, (size_t)argc - 1, undo_file, &edit, NULL);
    return sum.failed ? EXIT_NO : EXIT_DONE;
}
