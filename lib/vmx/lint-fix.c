/* vmx/lint-fix.c - what has one right answer, mended in one pass.
 *
 * Each line of the document is kept as it is, left out, or has its name or its value's quotes
 * changed; all else stays byte for byte. One pass over the bytes, however many lines change. */
#include <string.h>

#include <ireko/book.h>

#include "vmx/lint-rule.h"

bool
ireko_lint_is_quoted(const IrekoVmxEntry *entry)
{
    const char *before = entry->raw - 1;
    return *before == '"' && before > entry->name + entry->name_len;
}

/* virtualSSD bare: packer's users found that it has to be (github.com/hashicorp/packer, 2309). */
bool
ireko_lint_can_quote(const IrekoVmxEntry *entry)
{
    static const char ssd[] = ".virtualSSD";
    size_t len = sizeof ssd - 1;
    bool is_ssd = entry->name_len > len &&
                  g_ascii_strncasecmp(entry->name + entry->name_len - len, ssd, len) == 0;
    return !is_ssd;
}

bool
ireko_lint_says_same(const IrekoVmx *doc, size_t one, size_t other)
{
    g_autofree char *a = ireko_vmx_entry_value(doc, one);
    g_autofree char *b = ireko_vmx_entry_value(doc, other);
    return strcmp(a, b) == 0;
}

/* vhv.allow is a key of a host's file that nothing reads here: another name for it would not mend a
 * line, it would give the machine nesting that it does not have. */
const char *
ireko_lint_instead(const IrekoVmx *doc, const char *name)
{
    const IrekoKey *key = ireko_book_find(name);
    if (key == NULL || !key->invented || key->instead == NULL ||
        strchr(key->instead, '%') != NULL || g_ascii_strcasecmp(key->pattern, "vhv.allow") == 0)
        return NULL;
    g_autofree char *now = ireko_vmx_get(doc, key->instead, NULL);
    return now == NULL ? key->instead
                       : NULL; /* else which of the two is meant is not ours to say */
}

typedef struct {
    const IrekoVmx *doc;
    GString *out;
    size_t from; /* bytes before it are in OUT, or left out */
    unsigned mended;
    const char *taken; /* a name that has been given to a line; no second line gets it */
} Pass;

static void
keep_up_to(Pass *pass, const char *at)
{
    size_t end = (size_t)(at - pass->doc->bytes);
    g_string_append_len(pass->out, pass->doc->bytes + pass->from, (gssize)(end - pass->from));
    pass->from = end;
}

static void
rename_entry(Pass *pass, const IrekoVmxEntry *entry)
{
    g_autofree char *name = g_strndup(entry->name, entry->name_len);
    const char *instead = ireko_lint_instead(pass->doc, name);
    if (instead == NULL || g_strcmp0(pass->taken, instead) == 0)
        return;
    keep_up_to(pass, entry->name);
    g_string_append(pass->out, instead);
    pass->from += entry->name_len;
    pass->taken = instead;
    pass->mended++;
}

static void
quote_entry(Pass *pass, const IrekoVmxEntry *entry)
{
    if (ireko_lint_is_quoted(entry) || !ireko_lint_can_quote(entry))
        return;
    const char *end = entry->raw + entry->raw_len;
    keep_up_to(pass, entry->raw);
    g_string_append_c(pass->out, '"');
    for (const char *at = entry->raw; (at = memchr(at, '"', (size_t)(end - at))) != NULL; at++) {
        keep_up_to(pass, at);
        g_string_append(pass->out, "|22");
        pass->from++;
    }
    keep_up_to(pass, end);
    g_string_append_c(pass->out, '"');
    pass->mended++;
}

/* Leaves out the line of entry INDEX. The last line of a file without a final newline takes the end
 * of the line before it along. */
static void
drop_entry(Pass *pass, size_t index)
{
    size_t start = pass->doc->lines[index].start, end = ireko_vmx_line_end(pass->doc, start);
    keep_up_to(pass, pass->doc->bytes + start);
    pass->from = end;
    pass->mended++;
    char last = pass->doc->bytes[end - 1];
    if (end < pass->doc->len || last == '\n' || last == '\r')
        return;
    for (size_t ends = 0; ends < 2 && pass->out->len > 0; ends++) {
        last = pass->out->str[pass->out->len - 1];
        if (last != '\n' && !(last == '\r'))
            break;
        g_string_truncate(pass->out, pass->out->len - 1);
        if (last == '\r')
            break;
    }
}

/* Which entries say again what the one before of their name says. */
static bool *
find_repeated(const IrekoVmx *doc)
{
    size_t named = 0;
    g_autofree IrekoVmxName *names = ireko_vmx_names(doc, &named);
    bool *repeated = g_new0(bool, doc->count + 1);
    for (size_t i = 1; i < named; i++)
        repeated[names[i].index] = ireko_vmx_compare_names(&names[i - 1], &names[i]) == 0 &&
                                   ireko_lint_says_same(doc, names[i - 1].index, names[i].index);
    return repeated;
}

unsigned
ireko_lint_fix(IrekoVmx *doc, const char *file)
{
    (void)file;
    g_autofree bool *repeated = find_repeated(doc);
    Pass pass = {.doc = doc, .out = g_string_sized_new(doc->len + doc->len / 8)};
    for (size_t i = 0; i < doc->count; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        if (repeated[i]) {
            drop_entry(&pass, i);
        } else if (entry.name != NULL) {
            rename_entry(&pass, &entry);
            quote_entry(&pass, &entry);
        }
    }
    keep_up_to(&pass, doc->bytes + doc->len);
    if (pass.mended > 0 && pass.out->len <= IREKO_VMX_BYTES_MAX) {
        g_free(doc->bytes);
        doc->len = pass.out->len;
        doc->bytes = g_string_free(pass.out, FALSE);
        ireko_vmx_scan(doc);
        return pass.mended;
    }
    (void)g_string_free(pass.out, TRUE);
    return 0;
}
