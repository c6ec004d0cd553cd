/* image/cpio.h - an initrd in memory: a cpio archive in the "newc" form, uncompressed. */
#pragma once

#include <glib.h>
#include <stddef.h>

G_BEGIN_DECLS

/* Appends an entry to ARCHIVE. NAME has no leading slash. */
void
image_cpio_add_folder(GByteArray *archive, const char *name);

void
image_cpio_add_file(
    GByteArray *archive, const char *name, unsigned mode, const void *data, size_t len);

void
image_cpio_add_device(GByteArray *archive, const char *name, unsigned major, unsigned minor);

void
image_cpio_end(GByteArray *archive);

G_END_DECLS
