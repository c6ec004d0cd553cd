/* lab/requires.c - what a lab requires of its machines.
 *
 * Of the files it is the rules of lint that are asked, so that `up` and `ireko vmx lint` cannot say
 * two things. */
#include "lab/requires.h"

#include <string.h>

#include <ireko/finding.h>
#include <ireko/vsan.h>

#include "lab/labfile.h"
#include "lab/record.h"
#include "nest/nest.h"

#define VSAN_RULES "vsan-" /* how the codes of the rules about it begin */

static bool
is_in_the_way(const IrekoFinding *finding)
{
    return finding->severity == IREKO_SEVERITY_ERROR && g_str_has_prefix(finding->code, VSAN_RULES);
}

/* The machines of L0 that FILE describes: "esxi-1, esxi-2". Free with g_free. */
static char *
names_of(const IrekoLab *lab, const char *file)
{
    GString *names = g_string_new(NULL);
    for (unsigned i = 0; i < lab->nodes->len; i++) {
        const IrekoNode *node = lab->nodes->pdata[i];
        if (g_strcmp0(node->machine->file, file) == 0)
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", node->name);
    }
    return g_string_free(names, FALSE);
}

static void
say(const IrekoLab *lab, const IrekoFinding *first, unsigned more, GError **error)
{
    g_autofree char *names = names_of(lab, first->file);
    g_autofree char *line = first->line > 0 ? g_strdup_printf(":%u", first->line) : g_strdup("");
    g_autofree char *rest =
        more > 0 ? g_strdup_printf("; %u more: 'ireko vmx lint %s'", more, lab->source)
                 : g_strdup("");
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "%s%s: %s is not ready for vSAN, which the lab requires: %s (%s): %s%s",
                first->file, line, names, first->what, first->evidence, first->fix, rest);
}

bool
ireko_requires_check(const IrekoLab *lab, GError **error)
{
    if ((lab->requires & IREKO_REQUIRES_VSAN) == 0)
        return true;
    g_autoptr(GPtrArray) findings = ireko_lab_lint(lab);
    const IrekoFinding *first = NULL;
    unsigned more = 0;
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        if (!is_in_the_way(finding))
            continue;
        more += first != NULL;
        first = first != NULL ? first : finding;
    }
    if (first != NULL)
        say(lab, first, more, error);
    return first == NULL;
}

static void
free_report(void *report)
{
    ireko_report_free(report);
}

GPtrArray *
ireko_requires_prove(const IrekoLab *lab, GHashTable *inside, GHashTable *reports)
{
    GPtrArray *proven = g_ptr_array_new_with_free_func(free_report);
    if ((lab->requires & IREKO_REQUIRES_VSAN) == 0)
        return proven;
    g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(IrekoVsanHost));
    for (unsigned i = 0; i < lab->nodes->len; i++) {
        const IrekoNode *node = lab->nodes->pdata[i];
        const IrekoReport *report = g_hash_table_lookup(reports, node->path);
        if (report == NULL || !ireko_vsan_is_host(node->machine->guest_os, node->machine->vhv))
            continue;
        IrekoVsanHost host = {.machine = node->machine,
                              .facts = g_hash_table_lookup(inside, node->path),
                              .report = ireko_report_copy(report)};
        g_ptr_array_add(proven, host.report);
        g_array_append_val(hosts, host);
    }
    ireko_nest_prove_vsan((const IrekoVsanHost *)(void *)hosts->data, hosts->len);
    return proven;
}
