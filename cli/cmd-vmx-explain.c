/* cli/cmd-vmx-explain.c - ireko vmx explain: the key book. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmx.h"

#define LABEL_WIDTH 11
#define MARGIN      "             " /* two blanks and the label */

/* What may stand as the value of KEY, in words; free with g_free. */
static char *
values_of(const IrekoKey *key)
{
    g_autofree char *words =
        key->values != NULL ? g_strjoinv(", ", (char **)(uintptr_t)key->values) : NULL;
    switch (key->type) {
    case IREKO_TYPE_BOOL:
        return g_strdup(words != NULL ? words : "TRUE or FALSE");
    case IREKO_TYPE_INTEGER: {
        g_autofree char *step =
            key->step > 1 ? g_strdup_printf(", a multiple of %ld", key->step) : g_strdup("");
        return g_strdup_printf("a whole number, %ld to %ld%s%s%s", key->least, key->most, step,
                               words != NULL ? "; or " : "", words != NULL ? words : "");
    }
    case IREKO_TYPE_WORD:
        return g_strdup(words != NULL ? words : "a word");
    case IREKO_TYPE_PATH:
        return g_strdup("the name of a file");
    case IREKO_TYPE_MAC:
        return g_strdup("a MAC address, such as 00:50:56:00:01:01");
    case IREKO_TYPE_UUID:
        return g_strdup("a UUID: 16 bytes in hexadecimal");
    case IREKO_TYPE_STRING:
        return g_strdup(words != NULL ? words : "text");
    }
    return NULL;
}

static const char *
carry_name(IrekoCarry carry)
{
    static const char *const names[] = {[IREKO_CARRIED] = "carried",
                                        [IREKO_APPROXIMATED] = "approximated",
                                        [IREKO_DROPPED] = "dropped",
                                        [IREKO_UNLESS_OFF] = "dropped, unless it is off",
                                        [IREKO_BOOKKEEPING] = "not needed"};
    return names[carry];
}

static void
print_field(const char *label, const char *text, unsigned width)
{
    if (text == NULL || *text == '\0')
        return;
    g_autofree char *first = g_strdup_printf("  %-*s", LABEL_WIDTH, label);
    g_autofree char *lines = cli_wrap(text, width, first, MARGIN);
    (void)fputs(lines, stdout);
}

static void
print_key(const char *asked, const IrekoKey *key, unsigned width)
{
    g_autofree char *name = ireko_book_spell(asked);
    g_autofree char *safe = vmx_line(name);
    g_autofree char *values = values_of(key);
    g_autofree char *since =
        key->since > 0 ? g_strdup_printf("hardware version %u", key->since) : NULL;
    g_autofree char *qemu =
        g_strconcat(carry_name(key->carry), key->qemu != NULL ? ": " : "", key->qemu, NULL);
    (void)printf("%s%s\n", safe, key->invented ? ": no product of VMware's reads it" : "");
    print_field("means", key->what, width);
    print_field("write", key->instead, width);
    if (!key->invented)
        print_field("values", values, width);
    print_field("absent", key->fallback, width);
    print_field("since", since, width);
    print_field("products", key->products, width);
    print_field("in a nest", key->nesting, width);
    print_field("on QEMU", qemu, width);
    print_field("source", key->source, width);
}

static json_t *
key_to_json(const char *asked, const IrekoKey *key)
{
    g_autofree char *name = ireko_book_spell(asked);
    g_autofree char *safe = vmx_line(name);
    json_t *row =
        json_pack("{s:s,s:s,s:s,s:s?,s:s?,s:s?,s:s?,s:s,s:s?,s:s?,s:b,s:s?}", "key", safe,
                  "pattern", key->pattern, "type", ireko_key_type_name(key->type), "default",
                  key->fallback, "products", key->products, "what", key->what, "nesting",
                  key->nesting, "outcome", carry_name(key->carry), "qemu", key->qemu, "source",
                  key->source, "invented", key->invented, "instead", key->instead);
    json_t *words = json_array();
    for (size_t i = 0; key->values != NULL && key->values[i] != NULL; i++)
        json_array_append_new(words, json_string(key->values[i]));
    json_object_set_new(row, "values", words);
    json_object_set_new(row, "since", key->since > 0 ? json_integer(key->since) : json_null());
    if (key->type == IREKO_TYPE_INTEGER) {
        json_object_set_new(row, "least", json_integer(key->least));
        json_object_set_new(row, "most", json_integer(key->most));
        json_object_set_new(row, "step", json_integer(key->step));
    }
    return row;
}

/* "scsiN:M.present" for the pattern "scsi%u:%u.present"; free with g_free. */
static char *
readable(const char *pattern)
{
    GString *name = g_string_new(pattern);
    (void)g_string_replace(name, "%u", "N", 1);
    (void)g_string_replace(name, "%u", "M", 1);
    return g_string_free(name, FALSE);
}

static void
print_all(unsigned width)
{
    size_t count = 0;
    const IrekoKey *keys = ireko_book_keys(&count);
    for (size_t i = 0; i < count; i++) {
        g_autofree char *name = readable(keys[i].pattern);
        g_autofree char *line =
            g_strdup_printf("%-32s %s", name, keys[i].what != NULL ? keys[i].what : "");
        if (width > 0 && g_utf8_strlen(line, -1) > (long)width)
            *g_utf8_offset_to_pointer(line, (long)width) = '\0';
        (void)puts(g_strchomp(line));
    }
}

/* The entry that ASKED means: a key as it stands in a file, or as the list of all calls it. */
static const IrekoKey *
find_asked(const char *asked)
{
    const IrekoKey *key = ireko_book_find(asked);
    size_t count = 0;
    const IrekoKey *keys = ireko_book_keys(&count);
    for (size_t i = 0; key == NULL && i < count; i++) {
        g_autofree char *name = readable(keys[i].pattern);
        if (g_ascii_strcasecmp(name, asked) == 0 || strcmp(keys[i].pattern, asked) == 0)
            key = &keys[i];
    }
    return key;
}

static bool
explain_one(const char *asked, json_t *rows, bool first, unsigned width)
{
    const IrekoKey *key = find_asked(asked);
    if (key == NULL) {
        g_autofree char *meant = ireko_book_suggest(asked);
        g_autofree char *safe = vmx_line(asked);
        g_printerr("ireko vmx: the key book does not know '%s'%s%s%s\n", safe,
                   meant != NULL ? ": did you mean '" : ": 'ireko vmx explain' lists what it knows",
                   meant != NULL ? meant : "", meant != NULL ? "'?" : "");
        return false;
    }
    if (rows != NULL) {
        json_array_append_new(rows, key_to_json(asked, key));
        return true;
    }
    if (!first)
        (void)putchar('\n');
    print_key(asked, key, width);
    return true;
}

int
vmx_explain(int argc, char **argv, GError **error)
{
    gboolean json = FALSE;
    const GOptionEntry entries[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "as ireko.vmx.keys/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){0, G_MAXINT}, &status, error))
        return status;
    json_t *rows = json ? json_array() : NULL;
    status = EXIT_DONE;
    unsigned width = cli_width(STDOUT_FILENO);
    size_t count = 0;
    const IrekoKey *keys = argc == 1 ? ireko_book_keys(&count) : NULL;
    for (size_t i = 0; json && i < count; i++)
        json_array_append_new(rows, key_to_json(keys[i].pattern, &keys[i]));
    if (argc == 1 && !json)
        print_all(width);
    for (int i = 1; i < argc; i++) {
        if (!explain_one(argv[i], rows, i == 1, width))
            status = EXIT_NO;
    }
    if (json)
        cli_print_json(json_pack("{s:s,s:o}", "schema", "ireko.vmx.keys/1", "keys", rows));
    return status;
}
