/* lab/clone/began.h - what a machine of L0 began with, and what is just being done with it, kept in
 * its folder for whoever comes after an ireko that died. Private to lib/lab.
 *
 *     from.json    of one that goes on from a vault; without it, it booted
 *     thawing      it goes on from a vault and has not yet been told the time, or who it is now */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_ORIGIN_CLONE    "clone"
#define IREKO_ORIGIN_SNAPSHOT "snapshot"

bool
ireko_thawing_set(const char *folder, GError **error);

void
ireko_thawing_clear(const char *folder);

bool
ireko_is_thawing(const char *folder);

/* Keeps FROM, what the machine of FOLDER, which does not run yet, goes on from:
 *     {"origin":"clone","macs":[A ...],"vault":PATH,"mark":M,
 *      "disks":[{"device":D,"base":PATH,"format":F}],"state":PATH}
 * its origin in words, the addresses that its cards were made with, the vault, the file of it that
 * each of its disks lies over, and, where its memory lies over one, too, the state that goes with
 * that. */
bool
ireko_began_write(const char *folder, const json_t *from, GError **error);

/* What was kept, a new reference; NULL: it booted. */
json_t *
ireko_began_read(const char *folder);

/* Where PATH of BEGAN is now: its vault may have been discarded, and another one made in its place.
 * Free with g_free. */
char *
ireko_began_path(const json_t *began, const char *path, GError **error);

/* Has what the machine of FOLDER goes on from be in use as long as the descriptor is open; -1 where
 * there is nothing to hold. */
int
ireko_began_hold(const char *folder);

/* Forgets all of it: the machine of FOLDER does not run and is to begin anew. */
void
ireko_began_forget(const char *folder);

G_END_DECLS
