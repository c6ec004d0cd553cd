/* lab/drives.h - the files behind a machine's disks: a user's own, or made for the machine. */
#pragma once

#include "engine/engine.h"
#include "lab/tree.h"

G_BEGIN_DECLS

/* The drives of NODE's machine (IrekoDrive). Files are looked for beside its .vmx; what is missing
 * and has a size (ireko.X:Y.size) is made in FOLDER (lab/made.h); FOLDER NULL makes nothing and
 * names where it would be. A disk whose place a built-in image takes is left out. Errors name
 * FILE:LINE: IREKO_ERROR_NOT_FOUND, IREKO_ERROR_SYNTAX for a file that is not what its name says,
 * IREKO_ERROR_UNSUPPORTED for a user's file inside a nest, where it is out of reach. */
GPtrArray *
ireko_drives_prepare(const IrekoNode *node, const char *folder, GError **error);

G_END_DECLS
