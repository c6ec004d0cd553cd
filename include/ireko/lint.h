/* ireko/lint.h - what is wrong with a .vmx, or with the machines of a lab together: rules with
 * stable codes, each with its reason and source. */
#pragma once

#include <ireko/finding.h>
#include <ireko/vmx.h>

G_BEGIN_DECLS

/* What is wrong with DOC, which is FILE: IrekoFinding by line; free with g_ptr_array_unref. Pure,
 * and linear in the size of the document (but for sorting its keys). */
GPtrArray *
ireko_lint(const IrekoVmx *doc, const char *file);

/* Whether a VMware product has FILE, whose document DOC is, open or suspended: then a finding (free
 * with ireko_finding_free), else NULL. */
IrekoFinding *
ireko_lint_locked(const IrekoVmx *doc, const char *file);

/* Mends in DOC what has one right answer (can_fix). Returns how many findings that were. */
unsigned
ireko_lint_fix(IrekoVmx *doc, const char *file);

/* One machine of a lab, for the rules that need all of them. */
typedef struct {
    const IrekoVmx *doc;
    const char *file;
    unsigned copies; /* "count" of the lab file */
    unsigned level;  /* 1 for a machine on L0 */
    bool has_guests;
    bool vsan; /* the lab requires vSAN, of which this is a host if it is a hypervisor */
} IrekoLintMachine;

/* What is wrong with MACHINES (COUNT of them) together; each of them alone is not looked at. */
GPtrArray *
ireko_lint_lab(const IrekoLintMachine *machines, size_t count);

/* Every rule: code, severity, what, source; for the man page and its test. A list as above. */
GPtrArray *
ireko_lint_rules(void);

G_END_DECLS
