/* ireko/check.h - will nesting work here, and if not, what is the first thing to change?
 *
 * From the CPU to a vCPU that ran, link by link; the first broken link is the cause. The same on
 * this machine, inside every layer, and for a recorded host. */
#pragma once

#include <stdbool.h>

#include <ireko/finding.h>

G_BEGIN_DECLS

/* What to look at; all NULL: this machine. */
typedef struct {
    const char *root;  /* a recorded host: the folder that ireko_check_record made */
    const char *cpuid; /* a CPUID dump alone: `cpuid -r`, or InstLatx64's text */
    const char *cache; /* folder where what QEMU can is kept from one call to the next; or NULL */
} IrekoCheckOrder;

typedef enum {
    IREKO_LINK_OK,
    IREKO_LINK_BROKEN,  /* and so nothing behind it can work */
    IREKO_LINK_UNKNOWN, /* could not be read: EVIDENCE says why */
    IREKO_LINK_SKIPPED, /* behind a broken one, or not of this CPU */
} IrekoLinkState;

/* "ok", "broken", "unknown", "skipped". */
const char *
ireko_link_state_name(IrekoLinkState state);

typedef struct {
    const char *name; /* "cpu", "firmware", "module", "nested", "device", "permission", "probe" */
    IrekoLinkState state;
    char *evidence; /* what was read, and where */
} IrekoLink;

typedef struct IrekoVerdict IrekoVerdict;

/* NULL with an error only where there is nothing to look at: no such folder, no dump in the file.
 */
IrekoVerdict *
ireko_check(const IrekoCheckOrder *order, GError **error);

void
ireko_verdict_free(IrekoVerdict *verdict); /* NULL is fine */

/* "hardware": nests run on KVM; "software": on QEMU's TCG alone; "none". */
const char *
ireko_verdict_word(const IrekoVerdict *verdict);

/* The stable word for the first broken link, or NULL. */
const char *
ireko_verdict_cause(const IrekoVerdict *verdict);

/* What this machine promises to the levels below: 0: no guest runs here; 1: guests run and see no
 * assistance; 2: guests see assistance, so that guests of theirs run on KVM, and what stands deeper
 * is theirs to promise; -1: cannot be told. */
int
ireko_verdict_levels_below(const IrekoVerdict *verdict);

/* IrekoLink, in order; IrekoFinding, the first broken link's first. Owned by VERDICT. */
const GPtrArray *
ireko_verdict_links(const IrekoVerdict *verdict);
const GPtrArray *
ireko_verdict_findings(const IrekoVerdict *verdict);

typedef struct {
    unsigned width; /* columns; 0: any number */
    bool colour;
    bool utf8; /* what the terminal can print */
} IrekoCheckStyle;

/* In words, for a person; free with g_free. */
char *
ireko_verdict_to_text(const IrekoVerdict *verdict, const IrekoCheckStyle *style);

/* Schema ireko.check/1; free with g_free. */
char *
ireko_verdict_to_json(const IrekoVerdict *verdict);

/* Writes the present host to the new folder DIR, for `--root`: no serial number, no address, no
 * name. CACHE as in the order. IREKO_ERROR_STATE where DIR is there and is not empty. */
bool
ireko_check_record(const char *dir, const char *cache, GError **error);

/* The page of CAUSE: what it is, and the fix for each platform; NULL for a word that is no cause.
 */
const char *
ireko_cause_page(const char *cause);

/* Every cause, ended by NULL. */
const char *const *
ireko_causes(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVerdict, ireko_verdict_free)

G_END_DECLS
