/* image/elffile.h - the little of an ELF file that a build reads: libraries it needs, kernel module
 * information, whether a kernel has a PVH entry. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

G_BEGIN_DECLS

/* The sonames that the program or library PATH needs (char *), by which it finds them. NULL with
 * IREKO_ERROR_SYNTAX where it is no 64-bit x86 ELF file. */
GPtrArray *
image_elf_needed(const char *path, GError **error);

/* Every value of KEY in the .modinfo of the kernel module in LEN bytes at DATA ("alias"; char *).
 */
GPtrArray *
image_elf_modinfo(const void *data, size_t len, const char *key);

/* Whether the kernel in LEN bytes at DATA is an ELF file with a PVH entry. */
bool
image_elf_has_pvh(const void *data, size_t len);

/* The length of the kernel module in LEN bytes at DATA without the signature behind it. */
size_t
image_elf_unsigned_len(const void *data, size_t len);

G_END_DECLS
