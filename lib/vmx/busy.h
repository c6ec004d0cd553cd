/* vmx/busy.h - whether VMware holds a machine. Private to vmx. */
#pragma once

#include <ireko/vmx.h>

/* Whether the machine of DOC, the file NAME in FOLDER, is neither open in VMware nor suspended;
 * else IREKO_ERROR_STATE. PATH names it in messages. */
bool
ireko_busy_check(
    int folder, const char *name, const char *path, const IrekoVmx *doc, GError **error);
