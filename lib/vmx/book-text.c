/* vmx/book-text.c - from keys.book to entries.
 *
 * The file has the form of GLib's key files: a group for each pattern, "name = value" in it, # for
 * comments. GKeyFile itself takes six times as long to read it, and the book is opened
 * by every ireko that reads a .vmx, at every layer of a nest. Texts are not copied: an entry points
 * into the text, whose lines are cut in place.
 *
 * "[{scsi,sata}%u.present]" is two groups with the same lines. */
#include "vmx/book-text.h"

#include <limits.h>
#include <string.h>

#include "base/text.h"

/* Ends the program: LINE of the book, which is part of it, is wrong. */
static void G_GNUC_NORETURN
bad_line(unsigned line, const char *what)
{
    g_error("keys.book:%u: %s", line, what);
}

static unsigned
word_of(const char *text, const char *const *words, unsigned count, unsigned line)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
    }
    bad_line(line, "no such word");
}

static long
number_of(const char *text, unsigned line)
{
    int64_t value = 0;
    if (!ireko_text_parse_signed(text, LONG_MIN, LONG_MAX, &value))
        bad_line(line, "not a number");
    return (long)value;
}

typedef enum {
    FIELD_TYPE,
    FIELD_VALUES,
    FIELD_LEAST,
    FIELD_MOST,
    FIELD_STEP,
    FIELD_DEFAULT,
    FIELD_SINCE,
    FIELD_PRODUCTS,
    FIELD_WHAT,
    FIELD_NESTING,
    FIELD_CARRY,
    FIELD_QEMU,
    FIELD_SOURCE,
    FIELD_INVENTED,
    FIELD_INSTEAD,
    FIELDS,
} BookField;

static void
set_field(IrekoKey *key, BookField field, char *text, unsigned line)
{
    static const char *const types[] = {"string", "bool", "integer", "word", "path", "mac", "uuid"};
    static const char *const carries[] = {"carried", "approximated", "dropped", "unless-off",
                                          "bookkeeping"};
    switch (field) {
    case FIELD_TYPE:
        key->type = word_of(text, types, G_N_ELEMENTS(types), line);
        break;
    case FIELD_VALUES:
        key->values = (const char *const *)g_strsplit(text, ", ", -1);
        break;
    case FIELD_LEAST:
        key->least = number_of(text, line);
        break;
    case FIELD_MOST:
        key->most = number_of(text, line);
        break;
    case FIELD_STEP:
        key->step = number_of(text, line);
        break;
    case FIELD_DEFAULT:
        key->fallback = text;
        break;
    case FIELD_SINCE:
        key->since = (unsigned)number_of(text, line);
        break;
    case FIELD_PRODUCTS:
        key->products = text;
        break;
    case FIELD_WHAT:
        key->what = text;
        break;
    case FIELD_NESTING:
        key->nesting = text;
        break;
    case FIELD_CARRY:
        key->carry = word_of(text, carries, G_N_ELEMENTS(carries), line);
        break;
    case FIELD_QEMU:
        key->qemu = text;
        break;
    case FIELD_SOURCE:
        key->source = text;
        break;
    case FIELD_INVENTED:
        key->invented = strcmp(text, "yes") == 0;
        break;
    case FIELD_INSTEAD:
        key->instead = text;
        break;
    case FIELDS:
        g_assert_not_reached();
    }
}

static void
read_field(IrekoKey *key, char *text, unsigned line)
{
    static const char *const names[FIELDS] = {
        "type", "values",  "least", "most", "step",   "default",  "since",   "products",
        "what", "nesting", "carry", "qemu", "source", "invented", "instead",
    };
    char *equals = strstr(text, " = ");
    if (equals == NULL)
        bad_line(line, "not of the form 'name = value'");
    *equals = '\0';
    set_field(key, word_of(text, names, FIELDS, line), equals + strlen(" = "), line);
}

/* Adds KEY, once for each of the words in the braces of its pattern. */
static void
add_group(GArray *keys, const IrekoKey *key)
{
    const char *open = strchr(key->pattern, '{');
    if (open == NULL) {
        g_array_append_val(keys, *key);
        return;
    }
    const char *close = strchr(open, '}');
    g_autofree char *list = g_strndup(open + 1, (size_t)(close - open - 1));
    g_auto(GStrv) words = g_strsplit(list, ",", -1);
    for (size_t i = 0; words[i] != NULL; i++) {
        IrekoKey one = *key;
        one.pattern = g_strdup_printf("%.*s%s%s", (int)(open - key->pattern), key->pattern,
                                      words[i], close + 1);
        g_array_append_val(keys, one);
    }
}

static char *
read_group(char *text, unsigned line)
{
    size_t len = strlen(text);
    const char *open = strchr(text, '{');
    if (text[len - 1] != ']' || (open != NULL && strchr(open, '}') == NULL))
        bad_line(line, "not of the form '[pattern]'");
    if (open != NULL && strchr(open + 1, '{') != NULL)
        bad_line(line, "a pattern has one pair of braces");
    text[len - 1] = '\0';
    return text + 1;
}

GArray *
ireko_book_read(char *text)
{
    GArray *keys = g_array_new(FALSE, FALSE, sizeof(IrekoKey));
    IrekoKey key = {0};
    char *next = text;
    for (unsigned line = 1; next != NULL; line++) {
        char *at = next;
        next = strchr(at, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (*at == '\0' || *at == '#')
            continue;
        if (*at != '[') {
            read_field(&key, at, line);
            continue;
        }
        if (key.pattern != NULL)
            add_group(keys, &key);
        key = (IrekoKey){.least = LONG_MIN, .most = LONG_MAX, .step = 1};
        key.pattern = read_group(at, line);
    }
    add_group(keys, &key);
    return keys;
}
