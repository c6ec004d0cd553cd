/* ireko/error.h - the one error domain. A code says what a caller can do about it; the text says
 * what a person can. Texts are lower case, without a full stop, and name got and expected. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define IREKO_ERROR (ireko_error_quark())

typedef enum {
    IREKO_ERROR_SYNTAX,      /* the input is malformed: mend the input */
    IREKO_ERROR_NOT_FOUND,   /* a named thing is not there */
    IREKO_ERROR_UNSUPPORTED, /* understood, and cannot be done here */
    IREKO_ERROR_TOO_LARGE,   /* over a named limit, or does not fit */
    IREKO_ERROR_STATE,       /* not in this state: running, locked, not started ... */
    IREKO_ERROR_REMOTE,      /* a peer (QEMU, an agent) answered with an error or with nonsense */
    IREKO_ERROR_IO,          /* the operating system said no */
    IREKO_ERROR_TIMEOUT,     /* a deadline passed */
    IREKO_ERROR_CANCELLED,   /* the user asked to stop */
} IrekoError;

GQuark
ireko_error_quark(void);

/* Sets ERROR from errno value ERRNUM: IREKO_ERROR_NOT_FOUND for ENOENT, else IREKO_ERROR_IO. The
 * text is FORMAT, then ": " and the system's text. */
void
ireko_error_from_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

G_END_DECLS
