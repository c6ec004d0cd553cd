/* image/base.h - what the packages gave, unpacked and thinned out, kept under a hash of the package
 * names: a new ireko alone does not need it made again. */
#pragma once

#include <stdbool.h>

#include <ireko/image.h>

G_BEGIN_DECLS

/* Parts of a base's folder. */
#define IMAGE_BASE_KERNEL   "vmlinux"
#define IMAGE_BASE_MODULES  "modules" /* *.ko and the driver lists */
#define IMAGE_BASE_POOL     "pool"
#define IMAGE_BASE_VERSIONS "versions" /* lines "name version" */

/* Driver lists, in modules/: the init's "drivers" of a leaf is "drivers-leaf" here. */
#define IMAGE_LIST_EARLY   "early"
#define IMAGE_LIST_DRIVERS "drivers"
#define IMAGE_LIST_LEAF    "drivers-leaf"
#define IMAGE_LIST_LATE    "late"
#define IMAGE_LIST_MOUNT   "mount"
#define IMAGE_LIST_NETWORK "network"

/* Makes the base STORE/NAME unless it is there. BUILD says whether to look for newer packages: then
 * it is made anew where there are. The caller holds the store's lock. RET_CHANGED: it was made. */
bool
image_base_make(const IrekoImageBuild *build,
                const char *store,
                const char *name,
                bool *ret_changed,
                GError **error);

G_END_DECLS
