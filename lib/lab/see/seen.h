/* lab/see/seen.h - the parts of <ireko/see.h>'s IrekoSeen made. Private to lib/lab. */
#pragma once

#include <ireko/see.h>

G_BEGIN_DECLS

IrekoSeen *
ireko_seen_new(void);

IrekoSeeVcpu *
ireko_see_vcpu_new(unsigned number, const char *mode);

IrekoSeeWalk *
ireko_see_walk_new(const char *what, uint64_t address);

/* The flags of STEP in letters, from its kind and its entry: of x86's own tables and AMD's nested
 * ones present, writable, user's, accessed, dirty, global, no-execute; of Intel's nested ones
 * readable, writable, executable, accessed, dirty. */
void
ireko_see_step_flags(IrekoSeeStep *step);

/* Notes in NOW what is not as it was BEFORE, walk by walk: the same was asked both times. */
void
ireko_seen_compare(IrekoSeen *now, const IrekoSeen *before);

/* LEN bytes at ADDRESS as instructions of BITS (64, 32, 16), char *; free with g_ptr_array_unref.
 * What is none ends it. */
GPtrArray *
ireko_seen_disassemble(const uint8_t *bytes, size_t len, uint64_t address, unsigned bits);

G_END_DECLS
