/* vmx/document.h - what the files of vmx know of a document. Private to vmx. */
#pragma once

#include <ireko/vmx.h>

/* Like ireko_vmx_parse, and takes BYTES (from g_malloc, a NUL behind its LEN bytes) over. */
IrekoVmx *
ireko_vmx_take(char *bytes, size_t len, GError **error);
