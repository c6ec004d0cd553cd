/* vmx/vmx.c - a .vmx as a document.
 *
 * The document is its bytes and a table of the lines that carry something: an offset and a line
 * number, 8 bytes. All else about a line (where its name ends, whether its value is quoted) is read
 * again from the bytes when it is asked for: that costs less than to keep it, and one function
 * answers for both. What is between the lines of the table (comments, blank lines, the BOM) is in
 * the bytes and nowhere else, so nothing has to be written back and nothing can get lost; a line is
 * changed by changing its bytes and moving the offsets behind it.
 *
 * The grammar is that of VMware's DictLL_UnmarshalLine, which sees a line as a C string: a NUL ends
 * what it reads, not the line. Lines end as in its StdIO_ReadNextLine: LF, CRLF or a lone CR. */
#include <string.h>
#include <sys/mman.h>

#include "vmx/document.h"
#include "vmx/value.h"

#define HUGE_PAGE      ((size_t)2 << 20)
#define USUAL_LINE_LEN 24 /* bytes; the first guess at how many lines there are */

enum {
    ENDS_NAME = 1 << 0,
    ENDS_PLAIN = 1 << 1,
    ENDS_QUOTED = 1 << 2,
    ENDS_LINE = 1 << 3,
};

static const uint8_t byte_class[256] = {
    ['\0'] = ENDS_NAME | ENDS_PLAIN | ENDS_QUOTED,
    ['\n'] = ENDS_NAME | ENDS_PLAIN | ENDS_QUOTED | ENDS_LINE,
    ['\r'] = ENDS_NAME | ENDS_PLAIN | ENDS_QUOTED | ENDS_LINE,
    [' '] = ENDS_NAME | ENDS_PLAIN,
    ['\t'] = ENDS_NAME | ENDS_PLAIN,
    ['#'] = ENDS_NAME | ENDS_PLAIN,
    ['='] = ENDS_NAME,
    ['"'] = ENDS_QUOTED,
};

static inline bool
is_class(char byte, unsigned class)
{
    return (byte_class[(unsigned char)byte] & class) != 0;
}

static inline const char *
skip_until(const char *at, unsigned class)
{
    while (!is_class(*at, class))
        at++;
    return at;
}

static inline const char *
skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

/* Reads "name = value # comment" at AT; returns where the reading ended, or NULL where the line is
 * not of that form. ENTRY is filled only then. */
static inline const char *
scan_assignment(const char *at, IrekoVmxEntry *entry)
{
    const char *name = at;
    const char *name_end = skip_until(name, ENDS_NAME);
    at = skip_blanks(name_end);
    if (name == name_end || *at != '=')
        return NULL;

    at = skip_blanks(at + 1);
    bool quoted = *at == '"';
    const char *raw = quoted ? at + 1 : at;
    const char *raw_end = skip_until(raw, quoted ? ENDS_QUOTED : ENDS_PLAIN);
    if (quoted && *raw_end != '"')
        return NULL;

    at = skip_blanks(quoted ? raw_end + 1 : raw_end);
    if (*at != '\0' && *at != '#' && !is_class(*at, ENDS_LINE))
        return NULL;
    entry->name = name;
    entry->name_len = (size_t)(name_end - name);
    entry->raw = raw;
    entry->raw_len = (size_t)(raw_end - raw);
    return at;
}

/* Reads the line that begins at offset START. Returns the offset of the next one; *RET_CARRIES says
 * whether the line is an entry, and ENTRY is filled if so (all but its number). */
static inline size_t
scan_line(const char *bytes, size_t len, size_t start, IrekoVmxEntry *entry, bool *ret_carries)
{
    const char *begin = bytes + start, *end = bytes + len;
    const char *text = skip_blanks(begin);
    const char *read = scan_assignment(text, entry);
    const char *at = read != NULL ? read : text;
    while (at < end && !is_class(*at, ENDS_LINE))
        at++;

    *ret_carries = read != NULL || (text < at && *text != '#');
    if (read == NULL && *ret_carries)
        *entry = (IrekoVmxEntry){.raw = begin, .raw_len = (size_t)(at - begin)};
    if (at < end)
        at += at[0] == '\r' && at[1] == '\n' ? 2 : 1;
    return (size_t)(at - bytes);
}

size_t
ireko_vmx_line_end(const IrekoVmx *doc, size_t start)
{
    IrekoVmxEntry entry;
    bool carries = false;
    return scan_line(doc->bytes, doc->len, start, &entry, &carries);
}

/* Memory for LEN bytes, to be freed with g_free. In a nested guest a page fault costs more than to
 * copy the page, and to fault 64 MB in by 4 KB takes longer than to parse them. */
static void *
allocate(size_t len)
{
    char *memory = g_malloc(len);
    size_t skip = -(uintptr_t)memory % HUGE_PAGE;
    if (len >= skip + HUGE_PAGE)
        (void)madvise(memory + skip, (len - skip) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return memory;
}

static void
add_line(IrekoVmx *doc, size_t *room, IrekoVmxLine line)
{
    if (doc->count == *room) {
        *room = *room * 2 + 1;
        doc->lines = g_renew(IrekoVmxLine, doc->lines, *room);
    }
    doc->lines[doc->count++] = line;
}

size_t
ireko_vmx_find(const IrekoVmx *doc, const char *key, size_t from)
{
    size_t key_len = strlen(key);
    char lower = g_ascii_tolower(*key), upper = g_ascii_toupper(*key);
    for (size_t i = from; i < doc->count; i++) {
        const char *name = skip_blanks(doc->bytes + doc->lines[i].start);
        if ((*name != lower && *name != upper) || g_ascii_strncasecmp(name, key, key_len) != 0 ||
            !is_class(name[key_len], ENDS_NAME))
            continue;
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        if (entry.name != NULL && entry.name_len == key_len)
            return i;
    }
    return doc->count;
}

void
ireko_vmx_scan(IrekoVmx *doc)
{
    g_free(doc->lines);
    doc->count = 0;
    size_t room = doc->len / USUAL_LINE_LEN + 1;
    doc->lines = allocate(room * sizeof(IrekoVmxLine));
    size_t at = ireko_vmx_bom_len(doc);
    for (uint32_t number = 1; at < doc->len; number++) {
        IrekoVmxLine line = {.start = (uint32_t)at, .number = number};
        IrekoVmxEntry entry;
        bool carries = false;
        at = scan_line(doc->bytes, doc->len, at, &entry, &carries);
        if (carries)
            add_line(doc, &room, line);
    }

    g_autofree char *encoding = ireko_vmx_get(doc, IREKO_VMX_ENCODING, NULL);
    doc->charset = encoding == NULL ? NULL : ireko_vmx_charset(encoding);
}

size_t
ireko_vmx_bom_len(const IrekoVmx *doc)
{
    return doc->len >= BOM_LEN && memcmp(doc->bytes, "\xef\xbb\xbf", BOM_LEN) == 0 ? BOM_LEN : 0;
}

IrekoVmx *
ireko_vmx_take(char *bytes, size_t len, GError **error)
{
    g_autofree char *owned = bytes;
    if (len > IREKO_VMX_BYTES_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "a .vmx of %zu bytes is longer than the %zu that are read", len,
                    IREKO_VMX_BYTES_MAX);
        return NULL;
    }

    g_autoptr(IrekoVmx) doc = g_new0(IrekoVmx, 1);
    doc->bytes = g_steal_pointer(&owned);
    doc->len = len;
    ireko_vmx_scan(doc);
    return g_steal_pointer(&doc);
}

IrekoVmx *
ireko_vmx_parse(const char *bytes, size_t len, GError **error)
{
    bool fits = len <= IREKO_VMX_BYTES_MAX; /* else take says so, before a byte is read */
    char *copy = allocate(fits ? len + 1 : 1);
    if (fits && len > 0)
        memcpy(copy, bytes, len);
    copy[fits ? len : 0] = '\0';
    return ireko_vmx_take(copy, len, error);
}

void
ireko_vmx_free(IrekoVmx *doc)
{
    if (doc == NULL)
        return;
    ireko_vmx_free(doc->before);
    g_free(doc->lines);
    g_free(doc->bytes);
    g_free(doc);
}

char *
ireko_vmx_print(const IrekoVmx *doc, size_t *ret_len)
{
    *ret_len = doc->len;
    char *copy = allocate(doc->len + 1);
    memcpy(copy, doc->bytes, doc->len + 1);
    return copy;
}

size_t
ireko_vmx_count(const IrekoVmx *doc)
{
    return doc->count;
}

IrekoVmxEntry
ireko_vmx_entry(const IrekoVmx *doc, size_t index)
{
    g_assert(index < doc->count); /* the caller counts */
    IrekoVmxLine line = doc->lines[index];
    IrekoVmxEntry entry = {0};
    bool carries = false;
    (void)scan_line(doc->bytes, doc->len, line.start, &entry, &carries);
    entry.line = line.number;
    return entry;
}

char *
ireko_vmx_get(const IrekoVmx *doc, const char *key, unsigned *ret_line)
{
    size_t index = ireko_vmx_find(doc, key, 0);
    if (index == doc->count)
        return NULL;
    if (ret_line != NULL)
        *ret_line = doc->lines[index].number;
    return ireko_vmx_entry_value(doc, index);
}

char *
ireko_vmx_entry_value(const IrekoVmx *doc, size_t index)
{
    IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
    return entry.name == NULL ? NULL : ireko_vmx_decode(entry.raw, entry.raw_len, doc->charset);
}

int
ireko_vmx_compare_names(const IrekoVmxName *a, const IrekoVmxName *b)
{
    int order = g_ascii_strncasecmp(a->text, b->text, MIN(a->len, b->len));
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Names first, the order of the file among the same. */
static int
compare_entries(const void *left, const void *right, void *data)
{
    const IrekoVmxName *a = left, *b = right;
    (void)data;
    int order = ireko_vmx_compare_names(a, b);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

/* Sorts instead of hashing, and reads each line once: no file can make it slow. */
IrekoVmxName *
ireko_vmx_names(const IrekoVmx *doc, size_t *ret_named)
{
    size_t named = 0;
    IrekoVmxName *names = g_new(IrekoVmxName, doc->count + 1);
    for (size_t i = 0; i < doc->count; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        if (entry.name != NULL)
            names[named++] = (IrekoVmxName){entry.name, (uint32_t)entry.name_len, (uint32_t)i};
    }
    g_qsort_with_data(names, (int)named, sizeof *names, compare_entries, NULL);
    *ret_named = named;
    return names;
}

void
ireko_vmx_duplicates(const IrekoVmx *doc, IrekoVmxDuplicateFunc func, void *data)
{
    size_t count = ireko_vmx_count(doc), named = 0;
    g_autofree IrekoVmxName *sorted = ireko_vmx_names(doc, &named);
    g_autofree uint32_t *first = g_new(uint32_t, count + 1);
    for (size_t i = 0; i < count; i++)
        first[i] = (uint32_t)i;

    for (size_t i = 1; i < named; i++) {
        if (ireko_vmx_compare_names(&sorted[i - 1], &sorted[i]) == 0)
            first[sorted[i].index] = first[sorted[i - 1].index];
    }
    for (size_t i = 0; i < count; i++) {
        if (first[i] != i)
            func(data, first[i], i);
    }
}
