/* vmx/place.h - where a new key goes. Private to vmx. */
#pragma once

#include "vmx/document.h"

/* The index of the entry behind whose line a person would add KEY; the count of entries where KEY
 * goes to the end of the file. */
size_t
ireko_vmx_place(const IrekoVmx *doc, const char *key);
