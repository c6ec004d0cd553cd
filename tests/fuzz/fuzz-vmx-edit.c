/* Fuzz target: edits in a row. The first line of the input says which (two letters each: what, and
 * to which), the rest is the document. Every byte outside the line that is edited stays, and what
 * the document knows of itself is what a fresh look at its bytes gives. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "vmx/document.h"

#define EDITS_MAX 24

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    char *text;
    size_t len;
} Text;

static const char *const values[] = {
    "",          "x",          "TRUE",         "a b",      "# c",
    "\"|\"",     "\t\n\r\x7f", "\xe5\x85\xa5", "\xc3\xa9", "windows-1252",
    "Shift_JIS", "UTF-8",      "\xff",
};

static const char *const keys[] = {
    "a", "numvcpus", "vhv.enable", "scsi0:1.virtualSSD", "ethernet1.present", ".encoding", "b c",
};

static Text
print(const IrekoVmx *doc)
{
    Text text = {0};
    text.text = ireko_vmx_print(doc, &text.len);
    return text;
}

static void
assert_fresh(const IrekoVmx *doc, const Text *now)
{
    g_autoptr(IrekoVmx) fresh = ireko_vmx_parse(now->text, now->len, NULL);
    g_assert_cmpuint(ireko_vmx_count(doc), ==, ireko_vmx_count(fresh));
    for (size_t i = 0; i < ireko_vmx_count(doc); i++) {
        IrekoVmxEntry a = ireko_vmx_entry(doc, i), b = ireko_vmx_entry(fresh, i);
        g_assert_cmpuint(a.line, ==, b.line);
        g_assert_cmpmem(a.name, a.name_len, b.name, b.name_len);
        g_assert_cmpmem(a.raw, a.raw_len, b.raw, b.raw_len);
    }
    g_autofree char *value = ireko_vmx_get(doc, "a", NULL);
    g_autofree char *fresh_value = ireko_vmx_get(fresh, "a", NULL);
    g_assert_cmpstr(value, ==, fresh_value); /* in the same encoding */
}

/* How many bytes A and B have in common at the begin and, apart from those, at the end. */
static size_t
common(const Text *a, const Text *b)
{
    size_t len = MIN(a->len, b->len), front = 0, back = 0;
    while (front < len && a->text[front] == b->text[front])
        front++;
    while (back < len - front && a->text[a->len - 1 - back] == b->text[b->len - 1 - back])
        back++;
    return front + back;
}

/* Whether SHORTER is LONGER with some bytes, all in one place, taken out. */
static bool
is_cut_of(const Text *shorter, const Text *longer)
{
    return shorter->len <= longer->len && common(shorter, longer) == shorter->len;
}

/* Only the value of entry INDEX differs. */
static void
assert_value_changed(const Text *before, const Text *now, const IrekoVmx *doc, size_t index)
{
    g_autoptr(IrekoVmx) old = ireko_vmx_parse(before->text, before->len, NULL);
    g_assert_cmpuint(ireko_vmx_count(old), ==, ireko_vmx_count(doc));
    for (size_t i = 0; i < ireko_vmx_count(old); i++) {
        IrekoVmxEntry a = ireko_vmx_entry(old, i), b = ireko_vmx_entry(doc, i);
        g_assert_cmpmem(a.name, a.name_len, b.name, b.name_len);
        if (i != index)
            g_assert_cmpmem(a.raw, a.raw_len, b.raw, b.raw_len);
        else
            g_assert_cmpuint(before->len - a.raw_len, ==, now->len - b.raw_len);
    }
    size_t replaced = ireko_vmx_entry(old, index).raw_len;
    g_assert_cmpuint(common(before, now) + replaced, >=, before->len);
}

/* A value that VMware's writer would spell as it is. */
static bool
is_usual(const IrekoVmxEntry *entry)
{
    for (size_t i = 0; i < entry->raw_len; i++) {
        if (!g_ascii_isprint(entry->raw[i]) || strchr("|\"", entry->raw[i]) != NULL)
            return false;
    }
    return entry->raw_len > 0;
}

/* Setting another value and the old one again; then once more, with the bytes of before at hand. */
static void
check_back(IrekoVmx *doc, const char *key, const char *old, const Text *before, bool usual)
{
    g_autoptr(IrekoVmx) other = ireko_vmx_parse(before->text, before->len, NULL);
    other->before = ireko_vmx_parse(before->text, before->len, NULL);
    if (ireko_vmx_set(other, key, strcmp(old, "x") == 0 ? "" : "x", NULL)) {
        g_assert_true(ireko_vmx_set(other, key, old, NULL));
        Text exact = print(other);
        g_assert_cmpmem(exact.text, exact.len, before->text, before->len);
        assert_fresh(other, &exact);
        g_free(exact.text);
    }
    if (!ireko_vmx_set(doc, key, old, NULL))
        return; /* U+FFFD, in an encoding that does not have it */
    Text back = print(doc);
    if (usual)
        g_assert_cmpmem(back.text, back.len, before->text, before->len);
    assert_fresh(doc, &back);
    g_free(back.text);
}

static void
check_set(IrekoVmx *doc, const char *key, size_t index, const char *value, bool back)
{
    Text before = print(doc);
    size_t count = ireko_vmx_count(doc);
    g_autofree char *old = ireko_vmx_get(doc, key, NULL);
    bool usual = old != NULL && index < count && *value != '\0';
    if (usual) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
        usual = is_usual(&entry);
    }
    g_autoptr(GError) error = NULL;
    bool done = ireko_vmx_set(doc, key, value, &error);
    Text now = print(doc);
    assert_fresh(doc, &now);
    g_autofree char *got = ireko_vmx_get(doc, key, NULL);
    if (!done) {
        g_assert_nonnull(error);
        g_assert_cmpmem(now.text, now.len, before.text, before.len);
    } else {
        g_assert_cmpstr(got, ==, value);
    }
    if (done && old == NULL) {
        g_assert_true(is_cut_of(&before, &now));
        g_assert_cmpuint(ireko_vmx_count(doc), ==, count + 1);
        if (back) {
            g_assert_cmpuint(ireko_vmx_unset(doc, key), ==, 1);
            Text undone = print(doc);
            g_assert_cmpmem(undone.text, undone.len, before.text, before.len);
            g_free(undone.text);
        }
    } else if (done) {
        if (index < count)
            assert_value_changed(&before, &now, doc, index);
        if (back && strcmp(key, ".encoding") != 0)
            check_back(doc, key, old, &before, usual);
    }
    g_free(before.text);
    g_free(now.text);
}

static void
check_removal(IrekoVmx *doc, char what, size_t index)
{
    Text before = print(doc);
    size_t count = ireko_vmx_count(doc);
    IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
    g_autofree char *name = entry.name == NULL ? NULL : g_strndup(entry.name, entry.name_len);
    size_t removed = 1;
    if (what == 'r' || name == NULL)
        ireko_vmx_remove(doc, index);
    else
        removed = ireko_vmx_unset(doc, name);
    Text now = print(doc);
    assert_fresh(doc, &now);
    g_assert_true(removed != 1 || is_cut_of(&now, &before));
    /* a BOM that comes to the begin may make a blank line of an entry */
    g_assert_cmpuint(ireko_vmx_count(doc), <=, count - removed);
    g_assert_cmpuint(ireko_vmx_count(doc) + 1, >=, count - removed);
    g_free(before.text);
    g_free(now.text);
}

static void
edit(IrekoVmx *doc, char what, unsigned char which)
{
    size_t count = ireko_vmx_count(doc);
    const char *value = values[which % G_N_ELEMENTS(values)];
    if (what == 'n' || what == 'N') {
        check_set(doc, keys[which % G_N_ELEMENTS(keys)], count, value, what == 'n');
        return;
    }
    if (count == 0)
        return;
    size_t index = which % count;
    if (what == 'r' || what == 'u') {
        check_removal(doc, what, index);
        return;
    }
    IrekoVmxEntry entry = ireko_vmx_entry(doc, index);
    if (entry.name == NULL)
        return;
    g_autofree char *name = g_strndup(entry.name, entry.name_len);
    check_set(doc, name, index, value, what == 's');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\n', size);
    if (end == NULL)
        return 0;
    const char *rest = (const char *)end + 1;
    size_t edits = MIN((size_t)(end - data) / 2, EDITS_MAX);
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(rest, size - (size_t)(end + 1 - data), NULL);
    for (size_t i = 0; i < edits; i++)
        edit(doc, (char)data[2 * i], data[2 * i + 1]);
    return 0;
}
