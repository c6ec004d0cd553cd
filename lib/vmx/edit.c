/* vmx/edit.c - a .vmx is changed and every other byte stays.
 *
 * A value is changed where it stands, between its quotes or without: a value that had no quotes
 * gets none, since what would need them (a blank, #) can be escaped, so setting the old value again
 * gives the old bytes. That holds for every value that was spelled as VMware's writer spells it.
 * For any other ("|41" for A, a value without quotes that was emptied meanwhile) the document from
 * before the last edit on disk is looked at: a key that gets the value it had there gets its line
 * from there. A value that is already what it should be is not touched at all. Without quotes, an
 * emptied value leaves nothing but blanks behind: the next one goes where the blanks behind '=' are
 * as many as those before it.
 *
 * A new line copies its neighbour: its indentation, the blanks around '=', its line end. Value and
 * quotes are as VMware's writer has them. A file without a final newline stays without: the new
 * last line has none, and to remove the last line takes the end of the one before. So to add a key
 * and to remove it gives the same bytes.
 *
 * One change costs one pass over the bytes and the table of lines; what must read the lines anew
 * (an edit at the BOM, a lone CR that comes to stand before a LF) does. */
#include <string.h>

#include "vmx/document.h"
#include "vmx/place.h"
#include "vmx/value.h"

#define LINES_NAMED 8 /* of a key that stands many times */

/* Puts TEXT in the place of OLD_LEN bytes at AT. The table of lines is as before. */
static bool
splice(IrekoVmx *doc, size_t at, size_t old_len, const GString *text, GError **error)
{
    size_t len = doc->len - old_len + text->len;
    if (len > IREKO_VMX_BYTES_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "the .vmx would have %zu bytes, more than the %zu that are read", len,
                    IREKO_VMX_BYTES_MAX);
        return false;
    }
    if (len > doc->len)
        doc->bytes = g_realloc(doc->bytes, len + 1);
    memmove(doc->bytes + at + text->len, doc->bytes + at + old_len, doc->len - at - old_len + 1);
    memcpy(doc->bytes + at, text->str, text->len);
    doc->len = len;
    return true;
}

/* ---- the value of an entry ---- */

/* The line end of the line [START, END), or NULL where it has none. */
static const char *
end_of_line(const IrekoVmx *doc, size_t start, size_t end)
{
    if (end == start || (doc->bytes[end - 1] != '\n' && doc->bytes[end - 1] != '\r'))
        return NULL;
    if (doc->bytes[end - 1] == '\r')
        return "\r";
    return end - start >= 2 && doc->bytes[end - 2] == '\r' ? "\r\n" : "\n";
}

/* Where a value begins that is not there: "x = # c". */
static const char *
place_of_nothing(const IrekoVmxEntry *entry)
{
    const char *equals = entry->name + entry->name_len;
    size_t blanks = 0;
    for (; *equals != '='; equals++)
        blanks++;
    return MIN(equals + 1 + blanks, entry->raw);
}

/* The table of lines behind entry INDEX, which had OLD_LEN bytes where NEW_LEN are now. */
static void
move_lines(IrekoVmx *doc, size_t index, size_t old_len, size_t new_len)
{
    for (size_t i = index + 1; i < doc->count; i++)
        doc->lines[i].start += (uint32_t)(new_len - old_len); /* or less: it wraps */
}

/* The line of entry INDEX without its end; adds what it is besides its value and blanks to
 * RET_FRAME. */
static GString *
line_of(const IrekoVmx *doc, size_t index, GString *ret_frame)
{
    size_t start = doc->lines[index].start, end = ireko_vmx_line_end(doc, start);
    const char *line_end = end_of_line(doc, start, end);
    end -= line_end == NULL ? 0 : strlen(line_end);
    IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
    for (const char *at = doc->bytes + start; at < doc->bytes + end; at++) {
        bool in_value = at >= entry.raw && at < entry.raw + entry.raw_len;
        if (!in_value && *at != ' ' && *at != '\t')
            g_string_append_c(ret_frame, *at);
    }
    return g_string_new_len(doc->bytes + start, (gssize)(end - start));
}

/* Where KEY, entry INDEX, had VALUE before the last edit, and its line differs in nothing else,
 * makes it the line that it was. */
static bool
set_back(IrekoVmx *doc, size_t index, const char *key, const char *value)
{
    const IrekoVmx *before = doc->before;
    size_t then = before == NULL ? 0 : ireko_vmx_find(before, key, 0);
    if (before == NULL || then == before->count || g_strcmp0(before->charset, doc->charset) != 0)
        return false;
    g_autofree char *had = ireko_vmx_entry_value(before, then);
    if (strcmp(had, value) != 0)
        return false;
    g_autoptr(GString) frame_then = g_string_new(NULL), frame = g_string_new(NULL);
    g_autoptr(GString) line_then = line_of(before, then, frame_then);
    g_autoptr(GString) line = line_of(doc, index, frame);
    if (!g_string_equal(frame_then, frame) ||
        !splice(doc, doc->lines[index].start, line->len, line_then, NULL))
        return false;
    move_lines(doc, index, line->len, line_then->len);
    return true;
}

static bool
change_value(IrekoVmx *doc, size_t index, const char *value, GError **error)
{
    IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
    bool quoted = entry.raw[-1] == '"'; /* else '=' or a blank is there */
    g_autofree char *raw = ireko_vmx_encode(value, quoted, doc->charset, error);
    if (raw == NULL)
        return false;
    g_assert(entry.name != NULL); /* found by its name */
    const char *place = entry.raw_len == 0 && !quoted ? place_of_nothing(&entry) : entry.raw;
    g_autoptr(GString) text = g_string_new(raw);
    if (!splice(doc, (size_t)(place - doc->bytes), entry.raw_len, text, error))
        return false;
    move_lines(doc, index, entry.raw_len, text->len);
    return true;
}

/* ---- a new line ---- */

/* How the last whole line before BEFORE ends; "\n" where there is none. */
static const char *
usual_end(const IrekoVmx *doc, size_t before)
{
    size_t end = before;
    while (end > 0 && doc->bytes[end - 1] != '\n' && doc->bytes[end - 1] != '\r')
        end--;
    return end == 0 ? "\n" : end_of_line(doc, end >= 2 ? end - 2 : 0, end);
}

static void
append_like(GString *text, const IrekoVmx *doc, size_t like, const char *key, const char *raw)
{
    if (like == doc->count) {
        g_string_append_printf(text, "%s = \"%s\"", key, raw);
        return;
    }
    IrekoVmxEntry entry = ireko_vmx_entry(doc, like);
    const char *start = doc->bytes + doc->lines[like].start;
    const char *name_end = entry.name + entry.name_len;
    const char *equals = name_end;
    while (*equals != '=')
        equals++;
    const char *value = entry.raw[-1] == '"' ? entry.raw - 1 : entry.raw;
    if (entry.raw_len == 0 && *value != '"')
        value = place_of_nothing(&entry);
    g_string_append_len(text, start, entry.name - start);
    g_string_append(text, key);
    g_string_append_len(text, name_end, value - name_end);
    g_string_append_printf(text, "\"%s\"", raw);
}

/* The last entry that is one, whose style a line at the end of the file has. */
static size_t
last_named(const IrekoVmx *doc)
{
    for (size_t i = doc->count; i > 0; i--) {
        if (ireko_vmx_entry(doc, i - 1).name != NULL)
            return i - 1;
    }
    return doc->count;
}

/* Where the line of .encoding goes: first, but behind #!. */
static size_t
head_of(const IrekoVmx *doc)
{
    size_t at = ireko_vmx_bom_len(doc);
    bool shebang = doc->len - at >= 2 && memcmp(doc->bytes + at, "#!", 2) == 0;
    return shebang ? ireko_vmx_line_end(doc, at) : at;
}

static bool
is_encoding(const char *name, size_t len)
{
    return len == strlen(IREKO_VMX_ENCODING) &&
           g_ascii_strncasecmp(name, IREKO_VMX_ENCODING, len) == 0;
}

static bool
add_line(IrekoVmx *doc, const char *key, const char *value, GError **error)
{
    g_autofree char *raw = ireko_vmx_encode(value, true, doc->charset, error);
    if (raw == NULL)
        return false;
    size_t at = doc->len, like = ireko_vmx_place(doc, key);
    if (is_encoding(key, strlen(key))) {
        at = head_of(doc);
        like = doc->count;
    } else if (like < doc->count) {
        at = ireko_vmx_line_end(doc, doc->lines[like].start);
    } else {
        like = last_named(doc);
    }

    bool bare = at == ireko_vmx_bom_len(doc);
    const char *end = bare ? NULL : end_of_line(doc, 0, at);
    g_autoptr(GString) text = g_string_new(NULL);
    if (end == NULL && !bare)
        g_string_append(text, usual_end(doc, at));
    append_like(text, doc, like, key, raw);
    if (end != NULL)
        g_string_append(text, end);
    else if (bare)
        g_string_append(text, at < doc->len ? usual_end(doc, ireko_vmx_line_end(doc, at)) : "\n");

    if (!splice(doc, at, 0, text, error))
        return false;
    ireko_vmx_scan(doc);
    return true;
}

/* ---- setting ---- */

static bool
check_once(const IrekoVmx *doc, size_t first, const char *key, GError **error)
{
    size_t count = 1;
    g_autoptr(GString) lines = g_string_new(NULL);
    g_string_append_printf(lines, "%u", doc->lines[first].number);
    for (size_t i = ireko_vmx_find(doc, key, first + 1); i < doc->count;
         i = ireko_vmx_find(doc, key, i + 1)) {
        if (++count <= LINES_NAMED)
            g_string_append_printf(lines, ", %u", doc->lines[i].number);
    }
    if (count == 1)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' stands %zu times (lines %s%s): remove all but the one that is meant", key,
                count, lines->str, count > LINES_NAMED ? " ..." : "");
    return false;
}

/* Whether the bytes mean the same in every encoding of the list. */
static bool
is_plain(const IrekoVmx *doc)
{
    for (const char *at = doc->bytes; at < doc->bytes + doc->len; at++) {
        if ((*at & 0x80) != 0 || (*at == '|' && g_ascii_xdigit_value(at[1]) >= 8))
            return false;
    }
    return true;
}

static bool
check_encoding(const IrekoVmx *doc, const char *value, GError **error)
{
    if (!ireko_vmx_knows_encoding(value)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "'%s' is not an encoding that a .vmx has here: UTF-8, windows-1252, "
                    "Shift_JIS, GBK and their like",
                    value);
        return false;
    }
    g_autofree char *now = ireko_vmx_get(doc, IREKO_VMX_ENCODING, NULL);
    bool same = (now == NULL || ireko_vmx_knows_encoding(now)) &&
                g_strcmp0(ireko_vmx_charset(value), doc->charset) == 0;
    if (same || is_plain(doc))
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "the file has letters outside ASCII, which '%s' would make into others than '%s' "
                "does: convert the file first (iconv)",
                value, now == NULL ? "UTF-8" : now);
    return false;
}

/* Letters outside ASCII need an encoding that is known. */
static bool
check_letters(const IrekoVmx *doc, const char *value, GError **error)
{
    g_autofree char *now = ireko_vmx_get(doc, IREKO_VMX_ENCODING, NULL);
    if (now == NULL || ireko_vmx_knows_encoding(now) || g_str_is_ascii(value))
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "'%s' has letters outside ASCII, and the file's encoding '%s' is not known here",
                value, now);
    return false;
}

/* What the grammar allows, in ASCII, and without the quotes that no key is meant to have. */
static bool
check_key(const char *key, GError **error)
{
    size_t len = 0;
    while (g_ascii_isgraph(key[len]) && strchr("#=\"", key[len]) == NULL)
        len++;
    if (len > 0 && key[len] == '\0')
        return true;
    g_set_error(
        error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
        "'%s' cannot be a key: a key is letters, digits, dots and the like, without blanks, "
        "quotes, # and =, as in scsi0:1.present",
        key);
    return false;
}

bool
ireko_vmx_set(IrekoVmx *doc, const char *key, const char *value, GError **error)
{
    size_t index = ireko_vmx_find(doc, key, 0);
    bool is_new = index == doc->count;
    if (is_new ? !check_key(key, error) : !check_once(doc, index, key, error))
        return false;
    g_autofree char *now = is_new ? NULL : ireko_vmx_entry_value(doc, index);
    bool encoding = is_encoding(key, strlen(key));
    if (g_strcmp0(now, value) == 0 || (!is_new && !encoding && set_back(doc, index, key, value)))
        return true;
    if (!check_letters(doc, value, error))
        return false;

    if (encoding && !check_encoding(doc, value, error))
        return false;
    if (is_new ? !add_line(doc, key, value, error) : !change_value(doc, index, value, error))
        return false;
    if (encoding)
        doc->charset = ireko_vmx_charset(value);
    return true;
}

/* ---- removing ---- */

/* Where the cut of the line [START, END) begins: the last of a file without a final newline takes
 * the end of the line before it along. KEPT is how many bytes before it will stay. */
static size_t
begin_of_cut(const IrekoVmx *doc, size_t kept, size_t start, size_t end)
{
    size_t bom = ireko_vmx_bom_len(doc);
    if (end < doc->len || end_of_line(doc, start, end) != NULL || kept <= bom)
        return kept;
    const char *before = end_of_line(doc, bom, kept);
    return kept - (before == NULL ? 0 : strlen(before));
}

/* One pass from the first to the last, however many they are. */
void
ireko_vmx_remove_many(IrekoVmx *doc, const size_t *indices, size_t count)
{
    if (count == 0)
        return;
    size_t out = doc->lines[indices[0]].start, in = out;
    for (size_t i = 0; i < count; i++) {
        g_assert(indices[i] < doc->count && (i == 0 || indices[i - 1] < indices[i]));
        size_t start = doc->lines[indices[i]].start, end = ireko_vmx_line_end(doc, start);
        memmove(doc->bytes + out, doc->bytes + in, start - in);
        out = begin_of_cut(doc, out + start - in, start, end);
        in = end;
    }
    memmove(doc->bytes + out, doc->bytes + in, doc->len - in + 1);
    doc->len -= in - out;
    ireko_vmx_scan(doc);
}

void
ireko_vmx_remove(IrekoVmx *doc, size_t index)
{
    ireko_vmx_remove_many(doc, &index, 1);
}

size_t
ireko_vmx_unset(IrekoVmx *doc, const char *key)
{
    g_autoptr(GArray) indices = g_array_new(FALSE, FALSE, sizeof(size_t));
    for (size_t i = ireko_vmx_find(doc, key, 0); i < doc->count;
         i = ireko_vmx_find(doc, key, i + 1))
        g_array_append_val(indices, i);
    size_t count = indices->len;
    ireko_vmx_remove_many(doc, (const size_t *)(const void *)indices->data, count);
    return count;
}
