/* image/packages.h - the Debian packages that images are made of: which, fetched, unpacked.
 * Needs no root and touches nothing of the system's package state. */
#pragma once

#include <stdbool.h>

#include <ireko/image.h>

G_BEGIN_DECLS

#define IMAGE_PACKAGES_MAX 1000

/* The names that a build asks for, NULL behind the last; part of its hash. */
extern const char *const image_package_names[];

typedef struct {
    char *name, *version;
    char *file; /* its name in the folder of packages */
} ImagePackage;

void
image_package_free(ImagePackage *package);

/* The package of the apt line "'URI' FILE SIZE HASH", or NULL where it is another line or one of a
 * package that the images need nothing of. */
ImagePackage *
image_package_from_uri_line(const char *line);

/* What image_package_names come to today with all they depend on (ImagePackage). SCRATCH is a
 * folder for apt's own files. */
GPtrArray *
image_packages_resolve(const IrekoImageBuild *build, const char *scratch, GError **error);

/* Fetches PACKAGES into FOLDER; apt checks signatures, and keeps what is there and whole. */
bool
image_packages_fetch(const IrekoImageBuild *build,
                     GPtrArray *packages,
                     const char *folder,
                     GError **error);

/* Unpacks PACKAGES of FOLDER into the folder TREE. */
bool
image_packages_unpack(const IrekoImageBuild *build,
                      GPtrArray *packages,
                      const char *folder,
                      const char *tree,
                      GError **error);

G_END_DECLS
