/* ireko/finding.h - one thing that is wrong, or worth knowing: what `check`, `lint` and `convert`
 * say. */
#pragma once

#include <stdbool.h>

#include <ireko/error.h>

G_BEGIN_DECLS

typedef enum { IREKO_SEVERITY_INFO, IREKO_SEVERITY_WARNING, IREKO_SEVERITY_ERROR } IrekoSeverity;

/* "info", "warning", "error". */
const char *
ireko_severity_name(IrekoSeverity severity);

/* Texts are safe to print, one line each, lower case, without a full stop. */
typedef struct {
    char *code; /* a stable word: "firmware-off", "vhv-hardware-version" */
    IrekoSeverity severity;
    char *file;     /* the .vmx it is about, or NULL */
    unsigned line;  /* in it, from 1; 0: the whole file */
    char *what;     /* what is so, and what follows from it */
    char *evidence; /* what was read, where; or NULL */
    char *fix;      /* what to do, or NULL; a remark needs none */
    char *source;   /* who says so: manual and section, key reference, URL; or NULL */
    bool can_fix;   /* `ireko vmx lint --fix` can do it */
} IrekoFinding;

/* An empty one of CODE; every other text is to be set with g_strdup and the like. */
IrekoFinding *
ireko_finding_new(const char *code, IrekoSeverity severity);

void
ireko_finding_free(IrekoFinding *finding); /* NULL is fine */

/* A list that owns its findings; free with g_ptr_array_unref. */
GPtrArray *
ireko_findings_new(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoFinding, ireko_finding_free)

G_END_DECLS
