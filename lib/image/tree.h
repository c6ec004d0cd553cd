/* image/tree.h - file trees of the images: the pool of files taken from packages, and the root
 * trees put together from it by hard links. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define IMAGE_LIBRARIES "usr/lib/x86_64-linux-gnu" /* every library of a tree, by its soname */

typedef struct ImageLibraries ImageLibraries;

/* The libraries of an unpacked tree or of a pool. */
ImageLibraries *
image_libraries_open(const char *tree);

void
image_libraries_free(ImageLibraries *libraries); /* NULL is fine */

/* Links the file FROM to ROOT/NAME, making folders as needed; it may be there. */
bool
image_tree_link(const char *from, const char *root, const char *name, GError **error);

/* Links what the ELF file PATH needs, and what that needs, into ROOT. IREKO_ERROR_NOT_FOUND names a
 * library that is not among LIBRARIES. */
bool
image_tree_add_needed(ImageLibraries *libraries,
                      const char *path,
                      const char *root,
                      GError **error);

/* Takes what the images can use of the unpacked packages in TREE into the new folder POOL. */
bool
image_tree_make_pool(const char *tree, const char *pool, GError **error);

/* Makes ROOT a root tree without ireko: folders, links, accounts, busybox of POOL; and QEMU where
 * it is to be a HYPERVISOR. */
bool
image_tree_make_root(const char *pool, const char *root, bool hypervisor, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageLibraries, image_libraries_free)

G_END_DECLS
