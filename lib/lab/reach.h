/* lab/reach.h - what a machine at any depth is asked by its path. Private to lib/lab. */
#pragma once

#include <ireko/lab.h>

#include "host/facts.h"

G_BEGIN_DECLS

/* What the agent of the machine WHERE sees. */
IrekoFacts *
ireko_reach_facts(const IrekoHome *home, const char *where, int cancel_fd, GError **error);

G_END_DECLS
