/* vmx/lint.c - the rules of lint, run over a document.
 *
 * A document is read once into a table of its entries sorted by name, and lists of its disks and
 * cards; every rule is a row that asks these. So the cost is that of sorting, whatever the file: a
 * hash would have keys that collide. What a file cannot show (a setting of the host around) a rule
 * says as a remark where the file shows that the setting matters. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "vmx/lint-rule.h"

#define FINDINGS_MAX 10000 /* of one file; of more the worst are said, and how many are not */

static const Rule *const tables[] = {ireko_rules_format, ireko_rules_nest, ireko_rules_host};

/* ---- reading ---- */

/* The index of KEY's first entry, or -1. */
static ssize_t
find(const Lint *lint, const char *key)
{
    const IrekoVmxName wanted = {.text = key, .len = (uint32_t)strlen(key)};
    size_t low = 0, high = lint->named;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ireko_vmx_compare_names(&lint->names[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < lint->named && ireko_vmx_compare_names(&lint->names[low], &wanted) == 0;
    return found ? (ssize_t)lint->names[low].index : -1;
}

char *
ireko_lint_value(const Lint *lint, const char *key, unsigned *ret_line)
{
    ssize_t index = find(lint, key);
    if (index < 0)
        return NULL;
    if (ret_line != NULL)
        *ret_line = ireko_vmx_entry(lint->doc, (size_t)index).line;
    return ireko_vmx_entry_value(lint->doc, (size_t)index);
}

bool
ireko_lint_is(const Lint *lint, const char *key, const char *word, unsigned *ret_line)
{
    g_autofree char *value = ireko_lint_value(lint, key, ret_line);
    return value != NULL && g_ascii_strcasecmp(value, word) == 0;
}

bool
ireko_lint_on(const Lint *lint, const char *key, bool fallback, unsigned *ret_line)
{
    g_autofree char *value = ireko_lint_value(lint, key, ret_line);
    bool on = false;
    return value != NULL && ireko_text_parse_bool(value, &on) ? on : fallback;
}

char *
ireko_lint_device_value(const Lint *lint,
                        const LintDevice *device,
                        const char *what,
                        unsigned *ret_line)
{
    bool is_nic = strcmp(device->bus, "ethernet") == 0;
    g_autofree char *key =
        is_nic ? g_strdup_printf("ethernet%u.%s", device->number, what)
               : g_strdup_printf("%s%u:%u.%s", device->bus, device->number, device->unit, what);
    return ireko_lint_value(lint, key, ret_line);
}

bool
ireko_lint_is_cdrom(const Lint *lint, const LintDevice *device)
{
    g_autofree char *type = ireko_lint_device_value(lint, device, "deviceType", NULL);
    return type != NULL && strstr(type, "cdrom") != NULL;
}

unsigned
ireko_lint_with_prefix(const Lint *lint, const char *prefix, const char *but)
{
    size_t len = strlen(prefix);
    for (size_t i = 0; i < lint->named; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        if (entry.name_len < len || g_ascii_strncasecmp(entry.name, prefix, len) != 0)
            continue;
        if (but == NULL || entry.name_len != strlen(but) ||
            g_ascii_strncasecmp(entry.name, but, entry.name_len) != 0)
            return entry.line;
    }
    return 0;
}

/* Notes the device that NAME, "scsi0:1.present" or "ethernet0.present", says is there. */
static void
note_device(Lint *lint, const IrekoVmxEntry *entry, bool on)
{
    static const char *const buses[] = {"scsi", "sata", "ide", "nvme"};
    g_autofree char *name = g_ascii_strdown(entry->name, (gssize)entry->name_len);
    LintDevice device = {.line = entry->line};
    char end = 0;
    if (!on)
        return;
    if (sscanf(name, "ethernet%3u.presen%c", &device.number, &end) == 2 && end == 't') {
        (void)g_strlcpy(device.bus, "ethernet", sizeof device.bus);
        g_array_append_val(lint->nics, device);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(buses); i++) {
        size_t len = strlen(buses[i]);
        if (strncmp(name, buses[i], len) == 0 &&
            sscanf(name + len, "%3u:%3u.presen%c", &device.number, &device.unit, &end) == 3 &&
            end == 't') {
            (void)g_strlcpy(device.bus, buses[i], sizeof device.bus);
            g_array_append_val(lint->disks, device);
        }
    }
}

static void
note_devices(Lint *lint)
{
    static const char ending[] = ".present";
    for (size_t i = 0; i < lint->named; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(lint->doc, lint->names[i].index);
        size_t len = sizeof ending - 1;
        if (entry.name_len <= len || entry.name_len > 32 ||
            g_ascii_strncasecmp(entry.name + entry.name_len - len, ending, len) != 0)
            continue;
        g_autofree char *value = ireko_vmx_entry_value(lint->doc, lint->names[i].index);
        bool on = false;
        note_device(lint, &entry, ireko_text_parse_bool(value, &on) && on);
    }
}

/* Asks the book once for all rules: that is the dearest of what they ask for. */
static void
find_keys(Lint *lint)
{
    lint->keys = g_new(const IrekoKey *, lint->named + 1);
    for (size_t i = 0; i < lint->named; i++) {
        g_autofree char *name = g_strndup(lint->names[i].text, lint->names[i].len);
        lint->keys[i] = ireko_book_find(name);
    }
}

static void
lint_free(Lint *lint)
{
    g_free(lint->names);
    g_free(lint->keys);
    g_free(lint->guest_os);
    g_clear_pointer(&lint->disks, g_array_unref);
    g_clear_pointer(&lint->nics, g_array_unref);
    g_clear_pointer(&lint->findings, g_ptr_array_unref);
    g_free(lint);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lint, lint_free)

static Lint *
lint_new(const IrekoVmx *doc, const char *file)
{
    Lint *lint = g_new0(Lint, 1);
    lint->doc = doc;
    lint->file = file;
    lint->findings = ireko_findings_new();
    lint->disks = g_array_new(FALSE, FALSE, sizeof(LintDevice));
    lint->nics = g_array_new(FALSE, FALSE, sizeof(LintDevice));
    lint->names = ireko_vmx_names(doc, &lint->named);
    find_keys(lint);
    note_devices(lint);

    g_autofree char *version = ireko_lint_value(lint, "virtualHW.version", NULL);
    uint64_t number = 0;
    if (version != NULL && ireko_text_parse_unsigned(version, 10, 0, 999, &number))
        lint->hardware = (unsigned)number;
    g_autofree char *os = ireko_lint_value(lint, "guestOS", NULL);
    lint->guest_os = g_ascii_strdown(os != NULL ? os : "", -1);
    g_autofree char *image = ireko_lint_value(lint, "ireko.image", NULL);
    lint->is_esxi = g_str_has_prefix(lint->guest_os, "vmkernel") && image == NULL;
    lint->is_hypervisor = g_str_has_prefix(lint->guest_os, "vmkernel") ||
                          g_str_has_prefix(lint->guest_os, "winhyperv");
    lint->has_vhv = ireko_lint_on(lint, "vhv.enable", false, &lint->vhv_line);
    return lint;
}

/* ---- speaking ---- */

static char *
one_line(const char *text)
{
    return g_strdelimit(ireko_text_safe(text, (size_t)-1), "\n\t", ' ');
}

/* By file and line; among the same the worst first. */
static int
compare_findings(const void *left, const void *right)
{
    const IrekoFinding *a = *(const IrekoFinding *const *)left;
    const IrekoFinding *b = *(const IrekoFinding *const *)right;
    int order = g_strcmp0(a->file, b->file);
    if (order == 0)
        order = (a->line > b->line) - (a->line < b->line);
    if (order == 0)
        order = (a->severity < b->severity) - (a->severity > b->severity);
    return order != 0 ? order : strcmp(a->code, b->code);
}

static int
compare_by_severity(const void *left, const void *right)
{
    const IrekoFinding *a = *(const IrekoFinding *const *)left;
    const IrekoFinding *b = *(const IrekoFinding *const *)right;
    int order = (a->severity < b->severity) - (a->severity > b->severity);
    return order != 0 ? order : compare_findings(left, right);
}

/* Keeps the worst COUNT findings. */
static void
keep_worst(Lint *lint, unsigned count)
{
    if (lint->findings->len <= count)
        return;
    g_ptr_array_sort(lint->findings, compare_by_severity);
    lint->left_out += lint->findings->len - count;
    g_ptr_array_set_size(lint->findings, (int)count);
}

IrekoFinding *
ireko_lint_say(Lint *lint, const Rule *rule, unsigned line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *evidence = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (lint->findings->len >= 2 * FINDINGS_MAX)
        keep_worst(lint, FINDINGS_MAX); /* now and then, not at each: that would sort each time */
    IrekoFinding *finding = ireko_finding_new(rule->code, rule->severity);
    finding->file = g_strdup(lint->file);
    finding->line = line;
    finding->what = g_strdup(rule->what);
    finding->evidence = one_line(evidence);
    finding->source = g_strdup(rule->source);
    g_ptr_array_add(lint->findings, finding);
    return finding;
}

const Rule *
ireko_lint_find_rule(const char *code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const Rule *rule = tables[i]; rule->code != NULL; rule++) {
            if (strcmp(rule->code, code) == 0)
                return rule;
        }
    }
    g_assert_not_reached();
}

static GPtrArray *
finish(Lint *lint)
{
    keep_worst(lint, FINDINGS_MAX);
    g_ptr_array_sort(lint->findings, compare_findings);
    if (lint->left_out > 0)
        (void)ireko_lint_say(lint, ireko_lint_find_rule("too-many-findings"), 0,
                             "%u others, none worse than what is said", lint->left_out);
    return g_steal_pointer(&lint->findings);
}

static void
run(Lint *lint, const Rule *rules)
{
    for (const Rule *rule = rules; rule->code != NULL; rule++) {
        if (rule->check != NULL)
            rule->check(lint, rule);
    }
}

GPtrArray *
ireko_lint(const IrekoVmx *doc, const char *file)
{
    g_autoptr(Lint) lint = lint_new(doc, file);
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        run(lint, tables[i]);
    return finish(lint);
}

static void
free_lint(void *lint)
{
    lint_free(lint);
}

GPtrArray *
ireko_lint_lab(const IrekoLintMachine *machines, size_t count)
{
    g_autoptr(GPtrArray) lints = g_ptr_array_new_with_free_func(free_lint);
    for (size_t i = 0; i < count; i++)
        g_ptr_array_add(lints, lint_new(machines[i].doc, machines[i].file));
    g_autoptr(Lint) lab = g_new0(Lint, 1);
    lab->findings = ireko_findings_new();
    lab->machines = machines;
    lab->lints = (const Lint *const *)lints->pdata;
    lab->count = count;
    run(lab, ireko_rules_vsan);
    run(lab, ireko_rules_lab);
    return finish(lab);
}

GPtrArray *
ireko_lint_rules(void)
{
    const Rule *const all[] = {ireko_rules_format, ireko_rules_nest, ireko_rules_host,
                               ireko_rules_vsan, ireko_rules_lab};
    GPtrArray *list = ireko_findings_new();
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        for (const Rule *rule = all[i]; rule->code != NULL; rule++) {
            IrekoFinding *finding = ireko_finding_new(rule->code, rule->severity);
            finding->what = g_strdup(rule->what);
            finding->evidence = g_strdup(rule->when);
            finding->source = g_strdup(rule->source);
            g_ptr_array_add(list, finding);
        }
    }
    return list;
}
