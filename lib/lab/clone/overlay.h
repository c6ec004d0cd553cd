/* lab/clone/overlay.h - a disk that lies over another one, put down as one. Private to lib/lab. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

/* Writes into TO_FD, which has what is below and is made BYTES long, all that the qcow2 FROM_FD, a
 * disk of BYTES made by lab/made.h, has of its own. Whoever runs on that disk may have written
 * anything into it: IREKO_ERROR_SYNTAX where it is not as it was made. */
bool
ireko_overlay_put(int from_fd, int to_fd, uint64_t bytes, GError **error);

G_END_DECLS
