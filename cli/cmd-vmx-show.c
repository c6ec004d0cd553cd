/* cli/cmd-vmx-show.c - ireko vmx show, get. */
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ireko/convert.h>
#include <ireko/text.h>

#include "vmx.h"

enum { COLUMN_KEY, COLUMN_VALUE, COLUMN_LINE, COLUMN_QEMU };

#define MARGIN          "      "
#define VALUE_SHOWN     20 /* columns, on a terminal */
#define DOTS            "..."
#define SUGGESTIONS_MAX 100 /* each looks through the whole key book */
#define MASKED          "(not shown: 'ireko vmx get' prints it)"

/* What keys are about, by their beginning; the first that fits counts. */
static const struct {
    const char *topic, *prefixes;
} topics[] = {
    {"machine",
     ".encoding config. virtualhw. displayname guestos firmware uuid. ireko.image annotation nvram "
     "uefi. bios. efi. smbios. chipset. extendedconfigfile"},
    {"processor and memory",
     "numvcpus cpuid. memsize vhv. hypervisor. vvtd. vpmc. vbs. monitor featmask. featurecompat. "
     "sched. mem mainmem. vcpu. numa. ulm. mce."},
    {"disks", "scsi sata ide nvme floppy disk. ireko.scsi ireko.sata ireko.ide ireko.nvme"},
    {"network", "ethernet"},
    {"ports and display", "serial parallel svga. remotedisplay. mks. usb ehci sound."},
};
#define OTHERS "for VMware's products alone"

/* One line of the file, as it is shown. */
typedef struct {
    const char *topic;
    char *key;   /* NULL: the line is malformed */
    char *value; /* masked where it is a secret */
    unsigned line;
    const IrekoKey *known; /* NULL: not in the book */
    char *outcome, *how;   /* what became of it on QEMU; HOW may be NULL */
} Row;

static void
free_row(void *data)
{
    Row *row = data;
    g_free(row->key);
    g_free(row->value);
    g_free(row->outcome);
    g_free(row->how);
    g_free(row);
}

static const char *
topic_of(const char *key, const IrekoKey *known)
{
    if (known != NULL && known->carry == IREKO_BOOKKEEPING && *key != '.')
        return OTHERS;
    g_autofree char *lower = g_ascii_strdown(key, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(topics); i++) {
        g_auto(GStrv) prefixes = g_strsplit(topics[i].prefixes, " ", -1);
        for (size_t k = 0; prefixes[k] != NULL; k++) {
            if (g_str_has_prefix(lower, prefixes[k]))
                return topics[i].topic;
        }
    }
    return OTHERS;
}

static bool
is_secret(const char *key)
{
    return g_ascii_strcasecmp(key, "RemoteDisplay.vnc.password") == 0 ||
           g_ascii_strcasecmp(key, "RemoteDisplay.vnc.key") == 0;
}

/* What the book says of a key that was not converted. */
static void
take_from_book(Row *row, unsigned *suggestions)
{
    static const char *const words[] = {[IREKO_CARRIED] = "carried",
                                        [IREKO_APPROXIMATED] = "approximated",
                                        [IREKO_DROPPED] = "dropped",
                                        [IREKO_UNLESS_OFF] = "dropped",
                                        [IREKO_BOOKKEEPING] = "not needed"};
    if (row->known == NULL) {
        g_autofree char *meant = *suggestions > 0    ? (*suggestions)--,
                        ireko_book_suggest(row->key) : NULL;
        row->outcome = g_strdup("unknown");
        row->how = meant != NULL ? g_strdup_printf("did you mean %s?", meant) : NULL;
        return;
    }
    bool off =
        row->known->carry == IREKO_UNLESS_OFF && g_ascii_strcasecmp(row->value, "FALSE") == 0;
    row->outcome = g_strdup(off ? "not needed" : words[row->known->carry]);
    row->how = g_strdup(row->known->qemu);
}

static Row *
new_row(const IrekoVmx *doc, size_t i)
{
    Row *row = g_new0(Row, 1);
    IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
    row->line = entry.line;
    if (entry.name == NULL) {
        row->topic = OTHERS;
        row->value = ireko_text_safe(entry.raw, entry.raw_len);
        row->outcome = g_strdup("malformed");
        row->how = g_strdup("a line is name = \"value\"");
        return row;
    }
    g_autofree char *value = ireko_vmx_entry_value(doc, i);
    row->key = ireko_text_safe(entry.name, entry.name_len);
    row->known = ireko_book_find(row->key);
    row->topic = topic_of(row->key, row->known);
    row->value = is_secret(row->key) ? g_strdup(MASKED) : vmx_line(value);
    return row;
}

/* What a bare QEMU has no use for, and what ireko does with it stands in the book: its own keys,
 * and the products' bookkeeping. */
static bool
is_for_ireko(const Row *row)
{
    return row->known != NULL && (row->known->carry == IREKO_BOOKKEEPING ||
                                  g_str_has_prefix(row->known->pattern, "ireko."));
}

/* Every entry of DOC with what became of it on QEMU. Where the machine cannot be made, RET_WHY says
 * why, and the rows have what the book says. */
static GPtrArray *
rows_of(const IrekoVmx *doc, const char *file, char **ret_why)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(free_row);
    unsigned suggestions = SUGGESTIONS_MAX;
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) converted = NULL;
    g_autofree char *text = ireko_convert(doc, vmx_name(file), IREKO_AS_QEMU, &converted, &why);
    for (size_t i = 0; i < ireko_vmx_count(doc); i++)
        g_ptr_array_add(rows, new_row(doc, i));
    for (unsigned i = 0, k = 0; i < rows->len; i++) {
        Row *row = rows->pdata[i];
        while (converted != NULL && k < converted->len &&
               ((const IrekoConverted *)converted->pdata[k])->line < row->line)
            k++;
        const IrekoConverted *found =
            text != NULL && k < converted->len ? converted->pdata[k] : NULL;
        if (found != NULL && found->line == row->line && row->outcome == NULL &&
            !is_for_ireko(row)) {
            row->outcome = g_strdup(found->outcome);
            row->how = g_strdup(found->how);
        } else if (row->outcome == NULL) {
            take_from_book(row, &suggestions);
        }
    }
    *ret_why = text == NULL && why != NULL ? vmx_line(why->message) : NULL;
    return rows;
}

/* Every topic that ROWS have, in order. */
static const char *
next_topic(const char *last)
{
    if (last == NULL)
        return topics[0].topic;
    for (size_t i = 0; i < G_N_ELEMENTS(topics); i++) {
        if (last == topics[i].topic)
            return i + 1 < G_N_ELEMENTS(topics) ? topics[i + 1].topic : OTHERS;
    }
    return NULL;
}

static char *
qemu_words(const Row *row)
{
    return row->how == NULL || *row->how == '\0'
               ? g_strdup(row->outcome)
               : g_strdup_printf("%s: %s", row->outcome, row->how);
}

/* VALUE, cut where it would take the room of what is told of it; free with g_free. */
static char *
clipped(const char *value, bool cut)
{
    if (!cut || g_utf8_strlen(value, -1) <= VALUE_SHOWN)
        return g_strdup(value);
    g_autofree char *begin = g_utf8_substring(value, 0, VALUE_SHOWN - strlen(DOTS));
    return g_strconcat(begin, DOTS, NULL);
}

static void
add_row(struct libscols_table *table,
        struct libscols_line *parent,
        const Row *row,
        unsigned width,
        unsigned used)
{
    struct libscols_line *line = scols_table_new_line(table, parent);
    g_autofree char *value = clipped(row->value, width > 0);
    g_autofree char *number = g_strdup_printf("%u", row->line);
    g_autofree char *words = qemu_words(row);
    g_autofree char *qemu = cli_table_words(words, width, used);
    (void)scols_line_set_data(line, COLUMN_KEY, row->key != NULL ? row->key : "?");
    (void)scols_line_set_data(line, COLUMN_VALUE, value);
    (void)scols_line_set_data(line, COLUMN_LINE, number);
    (void)scols_line_set_data(line, COLUMN_QEMU, qemu);
    bool lost = strcmp(row->outcome, "dropped") == 0 || strcmp(row->outcome, "unknown") == 0 ||
                strcmp(row->outcome, "malformed") == 0;
    if (lost)
        (void)scols_cell_set_color(scols_line_get_cell(line, COLUMN_QEMU), "yellow");
}

/* How many columns stand before the last one. */
static unsigned
used_columns(const GPtrArray *rows)
{
    long key = 0, value = 0;
    for (unsigned i = 0; i < rows->len; i++) {
        const Row *row = rows->pdata[i];
        key = MAX(key, g_utf8_strlen(row->key != NULL ? row->key : "?", -1));
        value = MAX(value, MIN(g_utf8_strlen(row->value, -1), VALUE_SHOWN));
    }
    return (unsigned)(key + value +
                      (long)strlen("|- "
                                   " "
                                   "LINE "));
}

static void
print_table(const GPtrArray *rows, unsigned width)
{
    struct libscols_table *table = cli_table_new(width > 0, width);
    unsigned used = used_columns(rows);
    cli_table_add_text(table, "KEY", SCOLS_FL_TREE);
    cli_table_add_text(table, "VALUE", 0);
    (void)scols_table_new_column(table, "LINE", 0, SCOLS_FL_RIGHT);
    cli_table_add_words(table, "ON QEMU", width);
    for (const char *topic = next_topic(NULL); topic != NULL; topic = next_topic(topic)) {
        struct libscols_line *head = NULL;
        for (unsigned i = 0; i < rows->len; i++) {
            const Row *row = rows->pdata[i];
            if (row->topic != topic)
                continue;
            if (head == NULL) {
                head = scols_table_new_line(table, NULL);
                (void)scols_line_set_data(head, COLUMN_KEY, topic);
                (void)scols_cell_set_color(scols_line_get_cell(head, COLUMN_KEY), "bold");
            }
            add_row(table, head, row, width, used);
        }
    }
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    (void)puts(text);
}

static void
print_wrapped(const char *label, const char *text, unsigned width)
{
    if (text == NULL || *text == '\0')
        return;
    g_autofree char *first = g_strconcat(MARGIN, label, NULL);
    g_autofree char *lines = cli_wrap(text, width, first, MARGIN);
    (void)fputs(lines, stdout);
}

static void
print_explained(const GPtrArray *rows, unsigned width)
{
    for (const char *topic = next_topic(NULL); topic != NULL; topic = next_topic(topic)) {
        bool any = false;
        for (unsigned i = 0; i < rows->len; i++) {
            const Row *row = rows->pdata[i];
            if (row->topic != topic)
                continue;
            if (!any)
                (void)printf("%s:\n", topic);
            if (row->key != NULL)
                (void)printf("%4u  %s = \"%s\"\n", row->line, row->key, row->value);
            else
                (void)printf("%4u  %s\n", row->line, row->value);
            any = true;
            g_autofree char *qemu = qemu_words(row);
            if (row->known != NULL) {
                print_wrapped("", row->known->what, width);
                print_wrapped("In a nest: ", row->known->nesting, width);
            }
            print_wrapped("On QEMU: ", qemu, width);
        }
    }
}

static void
print_json(const char *file, const GPtrArray *rows, const char *why)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < rows->len; i++) {
        const Row *row = rows->pdata[i];
        const IrekoKey *known = row->known;
        json_array_append_new(
            list,
            json_pack("{s:i,s:s?,s:s,s:s,s:s?,s:s,s:s?,s:s?}", "line", (int)row->line, "key",
                      row->key, "value", row->value, "topic", row->topic, "type",
                      known != NULL ? ireko_key_type_name(known->type) : NULL, "outcome",
                      row->outcome, "how", row->how, "what", known != NULL ? known->what : NULL));
    }
    json_t *document = vmx_row(file);
    json_object_set_new(document, "schema", json_string("ireko.vmx/1"));
    json_object_set_new(document, "runs", json_boolean(why == NULL));
    json_object_set_new(document, "why_not", why != NULL ? json_string(why) : json_null());
    json_object_set_new(document, "entries", list);
    cli_print_json(document);
}

static json_t *
account_to_json(const GPtrArray *rows)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < rows->len; i++) {
        const IrekoConverted *row = rows->pdata[i];
        const char *shown = row->value != NULL && is_secret(row->key) ? MASKED : row->value;
        g_autofree char *value = shown != NULL ? vmx_line(shown) : NULL;
        json_array_append_new(list, json_pack("{s:i,s:s,s:s?,s:s,s:s?}", "line", (int)row->line,
                                              "key", row->key, "value", value, "outcome",
                                              row->outcome, "how", row->how));
    }
    return list;
}

/* What became of each key, on standard error: standard output has the text. */
static void
print_account(const GPtrArray *rows)
{
    unsigned width = cli_width(STDERR_FILENO);
    struct libscols_table *table = cli_table_new(width > 0, width);
    (void)scols_table_new_column(table, "LINE", 0, SCOLS_FL_RIGHT);
    cli_table_add_text(table, "KEY", 0);
    (void)scols_table_new_column(table, "BECAME OF IT", 0, 0);
    cli_table_add_words(table, "HOW, OR WHY NOT", width);
    size_t key = 0;
    for (unsigned i = 0; i < rows->len; i++)
        key = MAX(key, strlen(((const IrekoConverted *)rows->pdata[i])->key));
    unsigned used = (unsigned)(key + strlen("LINE "
                                            " "
                                            "BECAME OF IT "));
    for (unsigned i = 0; i < rows->len; i++) {
        const IrekoConverted *row = rows->pdata[i];
        struct libscols_line *line = scols_table_new_line(table, NULL);
        g_autofree char *number = g_strdup_printf("%u", row->line);
        (void)scols_line_set_data(line, 0, number);
        (void)scols_line_set_data(line, 1, row->key);
        (void)scols_line_set_data(line, 2, row->outcome);
        g_autofree char *how = cli_table_words(row->how != NULL ? row->how : "", width, used);
        (void)scols_line_set_data(line, 3, how);
        if (strcmp(row->outcome, "carried") != 0)
            (void)scols_cell_set_color(scols_line_get_cell(line, 2), "yellow");
    }
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    g_printerr("%s\n", text);
}

/* The text for another program, and what became of each key. */
static int
show_as(const IrekoVmx *doc, const char *file, const char *as, bool json, GError **error)
{
    IrekoTarget target;
    if (!ireko_target_from_name(as, &target)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "--as is qemu, libvirt or virtualbox, not '%s'", as);
        return EXIT_USAGE;
    }
    g_autoptr(GPtrArray) rows = NULL;
    g_autofree char *text = ireko_convert(doc, vmx_name(file), target, &rows, error);
    if (text == NULL)
        return EXIT_NO;
    if (json) {
        json_t *document = vmx_row(file);
        json_object_set_new(document, "schema", json_string("ireko.convert/1"));
        json_object_set_new(document, "as", json_string(as));
        json_object_set_new(document, "text", json_string(text));
        json_object_set_new(document, "entries", account_to_json(rows));
        cli_print_json(document);
        return EXIT_DONE;
    }
    (void)fputs(text, stdout);
    (void)fflush(stdout);
    print_account(rows);
    return EXIT_DONE;
}

int
vmx_show(int argc, char **argv, GError **error)
{
    gboolean explain = FALSE, json = FALSE;
    g_autofree char *as = NULL;
    const GOptionEntry entries[] = {
        {"explain", 0, 0, G_OPTION_ARG_NONE, &explain, "say what each key means", NULL},
        {"as", 0, 0, G_OPTION_ARG_STRING, &as, "the machine for qemu, libvirt or virtualbox",
         "WHAT"},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "as ireko.vmx/1; with --as ireko.convert/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        return status;
    g_autoptr(IrekoVmx) doc = vmx_read(argv[1], error);
    if (doc == NULL)
        return EXIT_NO;
    if (as != NULL)
        return show_as(doc, argv[1], as, json, error);
    g_autofree char *why = NULL;
    g_autoptr(GPtrArray) rows = rows_of(doc, argv[1], &why);
    if (json)
        print_json(argv[1], rows, why);
    else if (explain)
        print_explained(rows, cli_width(STDOUT_FILENO));
    else
        print_table(rows, cli_width(STDOUT_FILENO));
    if (!json && why != NULL)
        g_printerr("ireko vmx: note: this machine cannot run on QEMU: %s\n", why);
    return EXIT_DONE;
}

/* ---- get ---- */

static void
print_value(const char *value)
{
    g_autofree char *safe =
        cli_is_terminal(STDOUT_FILENO) ? ireko_text_safe(value, (size_t)-1) : g_strdup(value);
    (void)puts(safe);
}

/* Says that KEY is not in FILE, and what that means or was meant. */
static void
say_absent(const char *key, const char *file)
{
    const IrekoKey *known = ireko_book_find(key);
    g_autofree char *meant = known == NULL ? ireko_book_suggest(key) : NULL;
    g_autofree char *more = known != NULL && known->fallback != NULL
                                ? g_strdup_printf("; absent it means %s", known->fallback)
                            : meant != NULL ? g_strdup_printf(": did you mean '%s'?", meant)
                                            : g_strdup("");
    g_autofree char *safe = vmx_line(key);
    g_printerr("ireko vmx: there is no '%s' in %s%s\n", safe, vmx_name(file), more);
}

int
vmx_get(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "as ireko.vmx.values/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){2, G_MAXINT}, &status, error))
        return status;
    g_autoptr(IrekoVmx) doc = vmx_read(argv[1], error);
    if (doc == NULL)
        return EXIT_NO;
    status = EXIT_DONE;
    json_t *values = json_object();
    for (int i = 2; i < argc; i++) {
        g_autofree char *value = ireko_vmx_get(doc, argv[i], NULL);
        json_object_set_new(values, argv[i], value != NULL ? json_string(value) : json_null());
        if (value == NULL)
            status = EXIT_NO;
        if (value != NULL && !json)
            print_value(value);
        if (value == NULL && !json)
            say_absent(argv[i], argv[1]);
    }
    if (json) {
        json_t *document = vmx_row(argv[1]);
        json_object_set_new(document, "schema", json_string("ireko.vmx.values/1"));
        json_object_set(document, "values", values);
        cli_print_json(document);
    }
    json_decref(values);
    return status;
}
