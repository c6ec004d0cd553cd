/* vmx/book.c - the key book: entries by key, spelling, what was meant, what is allowed.
 *
 * A key finds its entry by its form: lower case, and % for each number. Patterns have forms too, so
 * that one look into a hash table answers for the whole key, and one for each of its beginnings up
 * to a dot for the patterns that end in a star, the longest first. So it does not matter how many
 * entries there are, nor what a file with a hundred thousand keys calls them. */
#include <limits.h>
#include <string.h>

#include <ireko/book.h>

#include "base/text.h"
#include "vmx/book-text.h"

#define FORM_MAX         ((size_t)128) /* of a longer key only the beginning is looked for */
#define STAR_DOTS_MAX    4             /* in a pattern with a star */
#define SUGGEST_DISTANCE 2
#define UUID_DIGITS      32
#define MAC_TEXT_LEN     17

extern const char ireko_book_text[], ireko_book_text_end[];

typedef struct {
    const IrekoKey *keys;
    size_t count;
    GHashTable *by_form; /* form to IrekoKey; of the same form the last */
    size_t *before;      /* for each entry, 1 + the one before it of the same form, or 0 */
} Book;

/* Writes the form of TEXT, where "%u" stands for a number if PATTERN. False where it is cut. */
static bool
make_form(const char *text, bool pattern, char form[FORM_MAX + 1])
{
    size_t len = 0;
    while (*text != '\0' && len < FORM_MAX) {
        if (g_ascii_isdigit(*text)) {
            text += strspn(text, "0123456789");
            form[len++] = '%';
        } else if (pattern && *text == '%') {
            text += strlen("%u");
            form[len++] = '%';
        } else {
            form[len++] = g_ascii_tolower(*text++);
        }
    }
    form[len] = '\0';
    return *text == '\0';
}

static const Book *
book(void)
{
    static Book the_book;
    static gsize once = 0;
    if (!g_once_init_enter(&once))
        return &the_book;

    size_t len = (size_t)(ireko_book_text_end - ireko_book_text);
    GArray *keys = ireko_book_read(g_strndup(ireko_book_text, len));
    the_book.count = keys->len;
    the_book.keys = (const IrekoKey *)(void *)g_array_free(keys, FALSE);
    the_book.by_form = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    the_book.before = g_new0(size_t, the_book.count);
    for (size_t i = 0; i < the_book.count; i++) {
        char form[FORM_MAX + 1];
        (void)make_form(the_book.keys[i].pattern, true, form);
        const IrekoKey *same = g_hash_table_lookup(the_book.by_form, form);
        the_book.before[i] = same != NULL ? (size_t)(same - the_book.keys) + 1 : 0;
        g_hash_table_replace(the_book.by_form, g_strdup(form),
                             (void *)(uintptr_t)&the_book.keys[i]);
    }
    g_once_init_leave(&once, 1);
    return &the_book;
}

/* The number at *AT, which is moved behind it; UINT_MAX where it does not fit. */
static unsigned
read_number(const char **at)
{
    guint64 value = 0;
    for (; g_ascii_isdigit(**at); (*at)++)
        value = MIN(value * 10 + (guint64)(**at - '0'), UINT_MAX);
    return (unsigned)value;
}

static bool
fits(const char *pattern, const char *key, unsigned numbers[IREKO_KEY_NUMBERS_MAX])
{
    for (size_t n = 0; *pattern != '\0'; pattern++) {
        if (*pattern == '*')
            return *key != '\0';
        if (*pattern != '%') {
            if (g_ascii_tolower(*pattern) != g_ascii_tolower(*key))
                return false;
            key++;
            continue;
        }
        bool one_name = *key != '0' || !g_ascii_isdigit(key[1]); /* not scsi00 for scsi0 */
        if (!g_ascii_isdigit(*key) || !one_name || n == IREKO_KEY_NUMBERS_MAX)
            return false;
        numbers[n++] = read_number(&key);
        pattern++; /* the u of %u */
    }
    return *key == '\0';
}

/* The entry of FORM that fits KEY. */
static const IrekoKey *
look_up(const char *form, const char *key, unsigned numbers[IREKO_KEY_NUMBERS_MAX])
{
    const Book *b = book();
    const IrekoKey *entry = g_hash_table_lookup(b->by_form, form);
    while (entry != NULL && !fits(entry->pattern, key, numbers)) {
        size_t before = b->before[entry - b->keys];
        entry = before > 0 ? &b->keys[before - 1] : NULL;
    }
    return entry;
}

const IrekoKey *
ireko_book_match(const char *key, unsigned numbers[IREKO_KEY_NUMBERS_MAX])
{
    char form[FORM_MAX + 2]; /* and a star */
    const IrekoKey *entry = make_form(key, false, form) ? look_up(form, key, numbers) : NULL;
    size_t dots[STAR_DOTS_MAX], count = 0;
    for (const char *dot = strchr(form, '.'); dot != NULL && count < STAR_DOTS_MAX;
         dot = strchr(dot + 1, '.'))
        dots[count++] = (size_t)(dot - form);
    while (entry == NULL && count > 0) {
        size_t star = dots[--count] + 1;
        form[star] = '*';
        form[star + 1] = '\0';
        entry = look_up(form, key, numbers);
    }
    return entry;
}

const IrekoKey *
ireko_book_find(const char *key)
{
    unsigned numbers[IREKO_KEY_NUMBERS_MAX];
    return ireko_book_match(key, numbers);
}

const IrekoKey *
ireko_book_keys(size_t *ret_count)
{
    *ret_count = book()->count;
    return book()->keys;
}

const char *
ireko_key_type_name(IrekoKeyType type)
{
    static const char *const names[] = {
        [IREKO_TYPE_STRING] = "string",   [IREKO_TYPE_BOOL] = "bool",
        [IREKO_TYPE_INTEGER] = "integer", [IREKO_TYPE_WORD] = "word",
        [IREKO_TYPE_PATH] = "path",       [IREKO_TYPE_MAC] = "mac",
        [IREKO_TYPE_UUID] = "uuid",
    };
    return names[type];
}

/* PATTERN with the numbers that stand in KEY, or NULL where it cannot be what KEY meant. */
static char *
fill_in(const char *pattern, const char *key)
{
    GString *out = g_string_new(NULL);
    for (; *pattern != '\0' && *pattern != '*'; pattern++) {
        if (*pattern != '%') {
            g_string_append_c(out, *pattern);
            continue;
        }
        key += strcspn(key, "0123456789");
        size_t digits = strspn(key, "0123456789"), noughts = strspn(key, "0");
        if (digits == 0)
            break;
        noughts = MIN(noughts, digits - 1); /* nought itself stays */
        g_string_append_len(out, key + noughts, (gssize)(digits - noughts));
        key += digits;
        pattern++;
    }
    return g_string_free(out, *pattern != '\0');
}

char *
ireko_book_spell(const char *key)
{
    const IrekoKey *entry = ireko_book_find(key);
    char *spelt = entry != NULL ? fill_in(entry->pattern, key) : NULL;
    return spelt != NULL ? spelt : g_strdup(key);
}

char *
ireko_book_suggest(const char *key)
{
    size_t len = strlen(key);
    if (len > IREKO_TEXT_NEAR_MAX)
        return NULL;

    const Book *b = book();
    unsigned nearest = MIN(SUGGEST_DISTANCE, (unsigned)len / 4) + 1;
    g_autofree char *best = NULL;
    for (size_t i = 0; i < b->count; i++) {
        g_autofree char *name = b->keys[i].invented ? NULL : fill_in(b->keys[i].pattern, key);
        if (name == NULL || strlen(name) > MIN(len + SUGGEST_DISTANCE, IREKO_TEXT_NEAR_MAX) ||
            strlen(name) + SUGGEST_DISTANCE < len)
            continue;
        unsigned d = ireko_text_distance(key, name, nearest);
        if (d < nearest) {
            nearest = d;
            g_free(best);
            best = g_steal_pointer(&name);
        }
    }
    return g_steal_pointer(&best);
}

static bool
is_one_of(const char *text, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++) {
        if (g_ascii_strcasecmp(text, *words) == 0)
            return true;
    }
    return false;
}

static bool
is_integer(const IrekoKey *entry, const char *text)
{
    int64_t value = 0;
    return is_one_of(text, entry->values) ||
           (ireko_text_parse_signed(text, entry->least, entry->most, &value) &&
            value % entry->step == 0);
}

static bool
is_mac(const char *text)
{
    if (strlen(text) != MAC_TEXT_LEN)
        return false;
    for (size_t i = 0; i < MAC_TEXT_LEN; i++) {
        if (i % 3 == 2 ? strchr(":-", text[i]) == NULL : !g_ascii_isxdigit(text[i]))
            return false;
    }
    return true;
}

/* Products leave it empty until they have one. */
static bool
is_uuid(const char *text)
{
    size_t digits = 0;
    for (; *text != '\0'; text++) {
        if (!g_ascii_isxdigit(*text) && strchr(" -", *text) == NULL)
            return false;
        digits += g_ascii_isxdigit(*text);
    }
    return digits == UUID_DIGITS || digits == 0;
}

bool
ireko_key_allows(const IrekoKey *key, const char *value)
{
    bool any = false;
    switch (key->type) {
    case IREKO_TYPE_BOOL:
        return ireko_text_parse_bool(value, &any) || is_one_of(value, key->values);
    case IREKO_TYPE_INTEGER:
        return is_integer(key, value);
    case IREKO_TYPE_WORD:
        return is_one_of(value, key->values);
    case IREKO_TYPE_MAC:
        return is_mac(value);
    case IREKO_TYPE_UUID:
        return is_uuid(value);
    case IREKO_TYPE_STRING:
    case IREKO_TYPE_PATH:
        return true;
    }
    g_assert_not_reached();
}

static void
add_range(GString *text, const IrekoKey *entry)
{
    g_string_append(text, entry->step > 1 ? "a multiple of " : "a number");
    if (entry->step > 1)
        g_string_append_printf(text, "%ld", entry->step);
    if (entry->least != LONG_MIN && entry->most != LONG_MAX)
        g_string_append_printf(text, " from %ld to %ld", entry->least, entry->most);
    else if (entry->least != LONG_MIN)
        g_string_append_printf(text, ", %ld or more", entry->least);
}

/* What a value of ENTRY must be, after "must be"; free with g_free. */
static char *
allowed(const IrekoKey *entry)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (entry->type == IREKO_TYPE_BOOL)
        g_string_append(text, "TRUE or FALSE");
    else if (entry->type == IREKO_TYPE_INTEGER)
        add_range(text, entry);
    else if (entry->type == IREKO_TYPE_MAC)
        g_string_append(text, "the address of one card, as in 00:50:56:00:00:01");
    else if (entry->type == IREKO_TYPE_UUID)
        g_string_append(text, "32 hexadecimal digits");
    if (entry->values != NULL) {
        g_autofree char *list = g_strjoinv(", ", (char **)(uintptr_t)entry->values);
        g_string_append_printf(text, "%s%s", text->len > 0 ? ", or " : "one of ", list);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
set_unknown_error(GError **error, const char *key)
{
    g_autofree char *shown = ireko_text_shown(key), *meant = ireko_book_suggest(key);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "'%s' is not in the key book%s%s%s",
                shown, meant != NULL ? ": did you mean '" : "", meant != NULL ? meant : "",
                meant != NULL ? "'?" : "");
}

static void
set_invented_error(GError **error, const char *key, const IrekoKey *entry)
{
    g_autofree char *shown = ireko_text_shown(key);
    g_autofree char *meant = entry->instead != NULL ? fill_in(entry->instead, key) : NULL;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "'%s': %s%s%s%s", shown, entry->what,
                meant != NULL ? "; did you mean '" : "", meant != NULL ? meant : "",
                meant != NULL ? "'?" : "");
}

bool
ireko_book_check(const char *key, const char *value, GError **error)
{
    const IrekoKey *entry = ireko_book_find(key);
    if (entry == NULL) {
        set_unknown_error(error, key);
        return false;
    }
    if (entry->invented) {
        set_invented_error(error, key, entry);
        return false;
    }
    if (ireko_key_allows(entry, value))
        return true;
    g_autofree char *key_shown = ireko_text_shown(key), *value_shown = ireko_text_shown(value);
    g_autofree char *must = allowed(entry);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "%s = '%s': must be %s", key_shown,
                value_shown, must);
    return false;
}
