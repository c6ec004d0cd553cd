/* lab/clone/become.h - this machine, a guest of a built-in image, becomes another one. Private to
 * lib/lab.
 */
#pragma once

#include "lab/clone/identity.h"

G_BEGIN_DECLS

#define IREKO_BECOME_PATH "/run/ireko/path" /* the path in the nest, where it was told */

/* Takes on IDENTITY; an IrekoBecome. */
bool
ireko_become(IrekoIdentity *identity, GError **error);

/* Has the kernel read anew what each disk says of itself: serial number, name. */
void
ireko_become_rescan(void);

/* Gives a machine that has just booted its machine-id. */
void
ireko_become_born(void);

G_END_DECLS
