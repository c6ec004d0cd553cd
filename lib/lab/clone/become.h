/* lab/clone/become.h - this machine, a guest of a built-in image, becomes another one. Private to
 * lib/lab.
 */
#pragma once

#include "lab/clone/identity.h"

G_BEGIN_DECLS

#define IREKO_BECOME_PATH "/run/ireko/path" /* says what its path in the nest is */

/* Takes on IDENTITY; an IrekoBecome. */
bool
ireko_become(IrekoIdentity *identity, GError **error);

/* Has the kernel read anew what each disk says of itself: serial number, name. */
void
ireko_become_rescan(void);

/* Gives a machine that has just booted, and is PATH in its nest, its machine-id, and opens what
 * ireko_become changes: to be called before it, once. */
void
ireko_become_born(const char *path);

G_END_DECLS
