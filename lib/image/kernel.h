/* image/kernel.h - the uncompressed kernel inside a bzImage. */
#pragma once

#include <stdbool.h>

#include <ireko/image.h>

G_BEGIN_DECLS

/* Writes the vmlinux inside the bzImage PATH to the new file TO. IREKO_ERROR_UNSUPPORTED where it
 * is packed otherwise than by xz, or has no PVH entry to boot by. */
bool
image_kernel_unpack(const IrekoImageBuild *build, const char *path, const char *to, GError **error);

G_END_DECLS
