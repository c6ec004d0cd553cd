/* vmx/lint-format.c - rules about how a file is written: what one program takes for one thing and
 * the next for another, or throws away.
 *
 * VMware's own reader takes almost anything (open-vm-tools lib/dict/dictll.c). libvirt rejects a
 * file with an unquoted value as a whole, virt-v2v drops the line; packer and Proxmox take a
 * comment behind a value for a part of it; a key that stands twice has its first value in libvirt
 * and virt-v2v, its last in packer and Proxmox. */
#include <string.h>

#include "vmx/lint-rule.h"

#define SUGGESTIONS_MAX 64 /* keys looked at for typing errors: each is slow */
#define SHOWN_MAX       60 /* bytes of a value that a finding repeats */

static int
shown(const IrekoVmxEntry *entry)
{
    return (int)MIN(entry->raw_len, SHOWN_MAX);
}

static int
name_len(const IrekoVmxEntry *entry)
{
    return (int)MIN(entry->name_len, SHOWN_MAX);
}

static void
check_duplicates(Lint *lint, const Rule *rule)
{
    for (size_t i = 1; i < lint->named; i++) {
        if (ireko_vmx_compare_names(&lint->names[i - 1], &lint->names[i]) != 0)
            continue;
        IrekoVmxEntry a = ireko_vmx_entry(lint->doc, lint->names[i - 1].index);
        IrekoVmxEntry b = ireko_vmx_entry(lint->doc, lint->names[i].index);
        bool same = ireko_lint_says_same(lint->doc, lint->names[i - 1].index, lint->names[i].index);
        IrekoFinding *finding =
            ireko_lint_say(lint, rule, b.line, "'%.*s' stands in line %u as well, with %s value",
                           name_len(&b), b.name, a.line, same ? "the same" : "another");
        finding->fix = g_strdup(same ? "remove this line" : "remove the line that is not meant");
        finding->can_fix = same;
    }
}

static void
check_unquoted(Lint *lint, const Rule *rule)
{
    for (size_t i = 0; i < lint->named; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        if (ireko_lint_is_quoted(&entry))
            continue;
        IrekoFinding *finding =
            ireko_lint_say(lint, rule, entry.line, "%.*s = %.*s", name_len(&entry), entry.name,
                           shown(&entry), entry.raw);
        finding->can_fix = ireko_lint_can_quote(&entry);
        finding->fix = g_strdup(finding->can_fix ? "put the value in quotes"
                                                 : "put the value in quotes; left to you, since "
                                                   "some products are said to want this one bare");
    }
}

static void
check_comment(Lint *lint, const Rule *rule)
{
    for (size_t i = 0; i < lint->named; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        const char *at = entry.raw + entry.raw_len + ireko_lint_is_quoted(&entry);
        while (*at == ' ' || *at == '\t')
            at++;
        if (*at == '#')
            ireko_lint_say(lint, rule, entry.line, "behind the value of '%.*s'", name_len(&entry),
                           entry.name)
                ->fix = g_strdup("move the comment to a line of its own");
    }
}

static void
check_escape(Lint *lint, const Rule *rule)
{
    for (size_t i = 0; i < lint->named; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        const char *at = memchr(entry.raw, '|', entry.raw_len), *end = entry.raw + entry.raw_len;
        while (at != NULL && end - at > 2 && g_ascii_isxdigit(at[1]) && g_ascii_isxdigit(at[2]))
            at = memchr(at + 3, '|', (size_t)(end - at - 3));
        if (at != NULL)
            ireko_lint_say(lint, rule, entry.line, "in the value of '%.*s', byte %zu",
                           name_len(&entry), entry.name, (size_t)(at - entry.raw) + 1)
                ->fix = g_strdup("write a bar as |7C");
    }
}

static bool
is_ascii(const IrekoVmx *doc)
{
    for (size_t i = 0; i < doc->len; i++) {
        if ((doc->bytes[i] & 0x80) != 0)
            return false;
    }
    return true;
}

static void
check_encoding(Lint *lint, const Rule *rule)
{
    unsigned line = 0;
    g_autofree char *encoding = ireko_lint_value(lint, IREKO_VMX_ENCODING, &line);
    if (encoding != NULL && g_ascii_strcasecmp(encoding, "UTF-8") != 0 && !is_ascii(lint->doc))
        ireko_lint_say(lint, rule, line, ".encoding is '%s'", encoding)->fix = g_strdup(
            "convert the file with iconv and set .encoding to UTF-8, where others read it");
}

static void
check_malformed(Lint *lint, const Rule *rule)
{
    for (size_t i = 0; i < ireko_vmx_count(lint->doc); i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, i);
        if (entry.name == NULL)
            ireko_lint_say(lint, rule, entry.line, "%.*s", shown(&entry), entry.raw)->fix =
                g_strdup("write it as name = \"value\"");
    }
}

static void
check_spelling(Lint *lint, const Rule *rule)
{
    unsigned looked_at = 0;
    for (size_t i = 0; i < lint->named && looked_at < SUGGESTIONS_MAX; i++) {
        if (lint->keys[i] != NULL)
            continue;
        looked_at++;
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        g_autofree char *name = g_strndup(entry.name, entry.name_len);
        g_autofree char *meant = ireko_book_suggest(name);
        if (meant != NULL)
            ireko_lint_say(lint, rule, entry.line, "'%s'", name)->fix =
                g_strdup_printf("did you mean '%s'?", meant);
    }
}

static void
check_invented(Lint *lint, const Rule *rule)
{
    for (size_t i = 0; i < lint->named; i++) {
        const IrekoKey *key = lint->keys[i];
        if (key == NULL || !key->invented)
            continue;
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        g_autofree char *name = g_strndup(entry.name, entry.name_len);
        IrekoFinding *finding = ireko_lint_say(lint, rule, entry.line, "'%s': %s", name, key->what);
        finding->can_fix = ireko_lint_instead(lint->doc, name) != NULL;
        finding->fix = key->instead != NULL ? g_strdup_printf("write '%s'", key->instead)
                                            : g_strdup("remove the line");
    }
}

static void
check_value(Lint *lint, const Rule *rule)
{
    for (size_t i = 0; i < lint->named; i++) {
        const IrekoKey *key = lint->keys[i];
        if (key == NULL || key->invented)
            continue;
        g_autofree char *value = ireko_vmx_entry_value(lint->doc, lint->names[i].index);
        if (*value == '\0' || ireko_key_allows(key, value))
            continue;
        g_autoptr(GError) error = NULL;
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        g_autofree char *name = g_strndup(entry.name, entry.name_len);
        (void)ireko_book_check(name, value, &error); /* it has the words */
        ireko_lint_say(lint, rule, entry.line, "%s", error->message);
    }
}

const Rule ireko_rules_format[] = {
    {"duplicate-key", IREKO_SEVERITY_ERROR,
     "the key stands twice: which value counts differs from program to program",
     "a name stands in more than one line, whatever its case",
     "libvirt src/util/virconf.c, virt-v2v input/VMX.ml (first); packer "
     "builder/vmware/common/vmx.go, Proxmox ESXiPlugin.pm (last)",
     check_duplicates},
    {"unquoted-value", IREKO_SEVERITY_WARNING,
     "the value has no quotes: libvirt refuses the whole file, virt-v2v drops the line",
     "a value without quotes", "libvirt src/util/virconf.c; virt-v2v input/VMX.ml", check_unquoted},
    {"trailing-comment", IREKO_SEVERITY_WARNING,
     "packer and Proxmox take the comment for a part of the value", "a # behind a value",
     "packer builder/vmware/common/vmx.go; Proxmox ESXiPlugin.pm", check_comment},
    {"bad-escape", IREKO_SEVERITY_WARNING,
     "a bar without two hexadecimal digits stands for itself; libvirt refuses it in a name",
     "a | in a value that two hexadecimal digits do not follow",
     "open-vm-tools lib/misc/escape.c; libvirt src/vmx/vmx.c", check_escape},
    {"encoding-not-utf8", IREKO_SEVERITY_WARNING,
     "most programs but VMware's take the bytes for UTF-8 and garble names and paths",
     ".encoding is another than UTF-8, and there are letters outside ASCII",
     "libvirt src/vmx/vmx.c, the only other that converts", check_encoding},
    {"malformed-line", IREKO_SEVERITY_WARNING,
     "the line is not of the form name = value: VMware keeps it and does not read it",
     "a line that is neither empty, nor a comment, nor an assignment",
     "open-vm-tools lib/dict/dictll.c", check_malformed},
    {"misspelt-key", IREKO_SEVERITY_WARNING, "the key is not known, and is near to one that is",
     "a key that is not in the key book, by its first 64 of that kind", "the key book",
     check_spelling},
    {"invented-key", IREKO_SEVERITY_WARNING, "no VMware product reads the key in a .vmx",
     "a key that the key book has as folklore", "the key book", check_invented},
    {"too-many-findings", IREKO_SEVERITY_INFO, "more is found than is said",
     "over 10,000 findings in a file; those that are said are the worst",
     "a limit of ireko: it keeps a listing readable and memory bounded", NULL},
    {"bad-value", IREKO_SEVERITY_ERROR, "the value cannot be meant for this key",
     "a value outside what the key book has for its key", "the key book", check_value},
    {NULL, IREKO_SEVERITY_INFO, NULL, NULL, NULL, NULL},
};
