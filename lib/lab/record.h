/* lab/record.h - what was started, on disk before it starts. Private to lib/lab.
 *
 *     STATE/labs/NAME/lock         flock(2): one ireko changes a lab at a time
 *     STATE/labs/NAME/record.json  the definition that runs: machines with their .vmx, accelerator
 *     STATE/labs/NAME/nest.json    the nest as `up` last found it
 *     RUN/NAME/MACHINE/            a machine's folder (engine/engine.h)
 *
 * Both files are replaced whole; where one cannot be read, the folders still say what runs. */
#pragma once

#include <ireko/lab.h>

#include "base/jsonl.h"
#include "lab/tree.h"

G_BEGIN_DECLS

struct IrekoLab {
    char *name;
    char *source;      /* absolute path of the lab.yaml or the .vmx */
    char *folder;      /* that the machines' file names are relative to, where it is on record */
    char *accel;       /* of the outermost machines, where it is on record; else NULL */
    unsigned requires; /* what it requires (lab/labfile.h) */
    GPtrArray *nodes;
};

/* Locks the lab NAME for a change; the lock ends with the fd. IREKO_ERROR_STATE where another ireko
 * has it. */
int
ireko_record_lock(const IrekoHome *home, const char *name, GError **error);

bool
ireko_record_write(const IrekoHome *home, const IrekoLab *lab, GError **error);

/* The lab on record as NAME, or NULL. */
IrekoLab *
ireko_record_read(const IrekoHome *home, const char *name, GError **error);

/* The record as it is kept, a new reference; what PARSE reads and PUT writes. */
json_t *
ireko_record_document(const IrekoHome *home, const char *name, GError **error);

IrekoLab *
ireko_record_parse(const json_t *document, const char *name, GError **error);

bool
ireko_record_put(const IrekoHome *home, const char *name, const json_t *document, GError **error);

/* Keeps NEST beside the record; a failure is of no consequence. */
void
ireko_record_write_nest(const IrekoHome *home, const IrekoNest *nest);

/* The same for a part of the lab: what is kept of its other machines stays. */
void
ireko_record_update_nest(const IrekoHome *home, const IrekoNest *part);

/* What was kept, as JSON, or NULL; a new reference. */
json_t *
ireko_record_read_nest(const IrekoHome *home, const char *name);

/* Ends the switches of the lab NAME, of which no machine runs, and removes what is in its folder.
 */
bool
ireko_record_clear_run(const IrekoHome *home, const char *name, GError **error);

/* Does that and removes the record of NAME. */
bool
ireko_record_remove(const IrekoHome *home, const char *name, GError **error);

/* The folder of the machines of the lab NAME; free with g_free. */
char *
ireko_record_run_folder(const IrekoHome *home, const char *name);

/* Names of the machines of the lab NAME that run now, found by their folders. */
char **
ireko_record_alive(const IrekoHome *home, const char *name);

/* Whether two definitions are the same: names, order, and every byte of every .vmx. */
bool
ireko_nodes_equal(const GPtrArray *a, const GPtrArray *b);

G_END_DECLS
