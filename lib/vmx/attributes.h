/* vmx/attributes.h - what a file has besides its bytes, given to another. Private to vmx. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Gives the new file TO owner, mode and extended attributes (access lists are some) of FROM, and no
 * others. PATH names FROM in messages. */
bool
ireko_attributes_copy(int from,
                      const struct stat *from_st,
                      int to,
                      const struct stat *to_st,
                      const char *path,
                      GError **error);
