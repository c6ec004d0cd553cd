/* image/store.h - the folder that holds the images, as files.
 *
 *     images/current            link to the newest HASH
 *     images/HASH/NAME/         vmlinux, initrd, root.erofs, manifest.json
 *     images/.base-HASH/        what the packages gave: vmlinux, modules/, pool/, versions
 *     images/packages/          packages as fetched
 *     images/.lock              held by the one that builds
 *     images/.new-...           under construction; of a dead builder when nobody holds the lock
 *
 * Inside a layer the same folder, without the dotted entries, is IMAGE_STORE_HANDED_DOWN. */
#pragma once

#include <stdbool.h>

#include <ireko/image.h>

G_BEGIN_DECLS

#define IMAGE_STORE_HANDED_DOWN "/usr/lib/ireko/images"
#define IMAGE_CURRENT           "current"
#define IMAGE_NEW_PREFIX        ".new-"
#define IMAGE_BASE_PREFIX       ".base-"

extern const char *const image_names[]; /* NULL behind the last */

/* Writes IMAGE's manifest into FOLDER; PACKAGES are lines "name version". */
bool
image_manifest_write(const IrekoImage *image,
                     const char *packages,
                     const char *folder,
                     GError **error);

/* The image in FOLDER; NULL where it is not whole. */
IrekoImage *
image_open(const char *folder, GError **error);

/* Removes what builders that died left in STORE; the caller holds the lock. */
void
image_store_sweep(const char *store);

/* Removes all images of STORE but the current and the one before it, and every base but BASE. */
void
image_store_prune(const char *store, const char *base);

G_END_DECLS
