/* lab/made.h - disks that ireko makes, in a machine's own folder: they end with the machine. */
#pragma once

#include "machine/machine.h"

G_BEGIN_DECLS

/* The file in FOLDER that DISK is, or is to be, made as: stores the path that QEMU is to be given
 * (free with g_free) and its format (not to be freed). False with IREKO_ERROR_UNSUPPORTED where its
 * fileName asks for a format that ireko makes no disks of. */
bool
ireko_made_place(const IrekoDisk *disk,
                 const char *folder,
                 char **ret_path,
                 const char **ret_format,
                 GError **error);

/* Makes DISK in FOLDER, thin, at the size that it asks for; one that is there keeps its bytes. */
bool
ireko_made_create(const IrekoDisk *disk, const char *folder, GError **error);

#define IREKO_MADE_OVERLAY_FORMAT "qcow2"

/* Makes an empty overlay of DISK's size in FOLDER, in place of one that is there: RET_PATH, free
 * with g_free. What it lies over, it does not know: that is told to QEMU. */
bool
ireko_made_overlay(const IrekoDisk *disk, const char *folder, char **ret_path, GError **error);

/* The path of such an overlay; free with g_free. */
char *
ireko_made_overlay_path(const IrekoDisk *disk, const char *folder);

/* Whether it is there and something was written to it. */
bool
ireko_made_overlay_is_written(const IrekoDisk *disk, const char *folder);

/* The size that DISK is made with: what is asked for, in whole sectors of 512 bytes. */
uint64_t
ireko_made_bytes(const IrekoDisk *disk);

G_END_DECLS
