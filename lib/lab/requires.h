/* lab/requires.h - what a lab requires of its machines: asked of its files before anything starts,
 * and of the machines when they are up. Private to lib/lab. */
#pragma once

#include <ireko/lab.h>

G_BEGIN_DECLS

/* Whether the files of LAB are ready for what it requires; else IREKO_ERROR_UNSUPPORTED with the
 * first thing that is wrong, the host, the line and the fix. */
bool
ireko_requires_check(const IrekoLab *lab, GError **error);

/* What LAB requires, proven of its machines when all was asked: INSIDE has their facts, REPORTS
 * what is known of each, both by path. Returns the reports (IrekoReport) that are to take the place
 * of the old ones; free with g_ptr_array_unref. */
GPtrArray *
ireko_requires_prove(const IrekoLab *lab, GHashTable *inside, GHashTable *reports);

G_END_DECLS
