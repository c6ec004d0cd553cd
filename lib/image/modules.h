/* image/modules.h - kernel modules: which ones the images carry, in which order they are loaded,
 * for which devices. Writes the driver lists that guest/init.c reads. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct ImageModules ImageModules;

/* The modules below FOLDER (a package's lib/modules, any depth). */
ImageModules *
image_modules_open(const char *folder, GError **error);

void
image_modules_free(ImageModules *modules); /* NULL is fine */

/* The driver list NAME ("early": before the root disk is there; "drivers": after; "late": when the
 * agent runs already; "mount": when the kernel asks for them), as text for the init. Adds to FILES
 * (a set of char *, owned by it) the modules that it names. HYPERVISOR: with the modules of KVM. */
char *
image_modules_list(
    ImageModules *modules, const char *name, bool hypervisor, GHashTable *files, GError **error);

/* The module file FILE as the init loads it: not compressed, without its signature. */
GBytes *
image_modules_read(ImageModules *modules, const char *file, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageModules, image_modules_free)

G_END_DECLS
