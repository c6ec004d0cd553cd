/* lab/labfile.h - reading a lab.yaml (ireko-lab(5)) and the .vmx files that it names. */
#pragma once

#include "lab/tree.h"

G_BEGIN_DECLS

#define IREKO_LABFILE_MAX       ((size_t)1 << 20) /* bytes */
#define IREKO_LABFILE_COUNT_MAX 64                /* of "count" */

/* What a lab can require of its machines: a set of bits, each with its word. */
#define IREKO_REQUIRES_VSAN 1u
extern const char *const ireko_requirements[]; /* by bit; NULL at the end */

/* The bit of WORD; 0 where there is none. */
unsigned
ireko_requirement(const char *word);

/* Reads the lab file PATH. Stores its name (free with g_free), what it requires, and its machines.
 * Errors: "PATH:LINE: ...". */
bool
ireko_labfile_load(const char *path,
                   char **ret_name,
                   unsigned *ret_requires,
                   GPtrArray **ret_nodes,
                   GError **error);

/* The text part alone, for fuzzing: reads LEN bytes as PATH's; opens no .vmx. */
bool
ireko_labfile_check(const char *text, size_t len, const char *path, GError **error);

/* One machine from a .vmx file, below nobody. */
IrekoNode *
ireko_labfile_machine(const char *vmx_path, GError **error);

G_END_DECLS
