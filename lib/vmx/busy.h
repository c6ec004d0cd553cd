/* vmx/busy.h - whether VMware holds a machine. Private to vmx. */
#pragma once

#include <ireko/vmx.h>

typedef enum {
    IREKO_BUSY_NO,
    IREKO_BUSY_STALE, /* its .vmx says that it is suspended, and its state is gone */
    IREKO_BUSY_YES,   /* open in VMware, or suspended; or nobody can tell */
} IrekoBusy;

/* Whether the machine of DOC, the file NAME in FOLDER, is open in VMware or suspended; then with
 * IREKO_ERROR_STATE. PATH names it in messages. */
IrekoBusy
ireko_busy_check(
    int folder, const char *name, const char *path, const IrekoVmx *doc, GError **error);

/* Whether DOC says that its machine is suspended. */
bool
ireko_busy_is_suspended(const IrekoVmx *doc);
