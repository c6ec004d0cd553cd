/* ireko/template.h - the templates that `up` keeps: hosts frozen with their guests running inside,
 * which the next `up` of the same definition begins with. They are a cache, like images. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ireko/lab.h>

G_BEGIN_DECLS

typedef struct {
    char *key;         /* a hash over everything that shaped it, in hex */
    char *lab, *name;  /* of the host that it was, in the lab it was made in; NULL: damaged */
    char *file;        /* its .vmx */
    char *accel;       /* "tcg", "kvm" */
    unsigned machines; /* the host and all inside it */
    uint64_t bytes;    /* on the disk */
    int64_t used_unix; /* when it was last used, in seconds since 1970 */
    bool in_use;       /* a clone of it runs, or one is just being made */
    unsigned spares;   /* clones of it that stand ready; they use it too */
    char *damage; /* what is wrong with its list of files; NULL: nothing. The next `up` that would
                   * use it looks at the files too */
} IrekoTemplate;

/* The templates of HOME, the one used last first: IrekoTemplate; free with g_ptr_array_unref. */
GPtrArray *
ireko_template_list(const IrekoHome *home);

/* The bytes that all of them together may take: IREKO_TEMPLATES_SIZE, or its default. */
uint64_t
ireko_template_limit(void);

/* The template whose key begins with START: its key, free with g_free. NULL with
 * IREKO_ERROR_NOT_FOUND where there is none, IREKO_ERROR_SYNTAX where there are several. */
char *
ireko_template_find(const IrekoHome *home, const char *start, GError **error);

/* Removes the template KEY. IREKO_ERROR_STATE where it is in use. */
bool
ireko_template_remove(const IrekoHome *home, const char *key, GError **error);

/* ---- spares: clones that are made beforehand and stand still until `up` takes them ---- */

#define IREKO_SPARES_MAX 64 /* for one machine of a lab */

/* Those for one machine of a lab. */
typedef struct {
    char *path;
    unsigned ready, made; /* how many stand ready; how many of them were made just now */
} IrekoSpares;

/* Has COUNT (1 to IREKO_SPARES_MAX) spares stand ready for each machine of LAB's first layer, for
 * its next `up`: makes those that are missing, of the templates that LAB's machines have, and ends
 * those that fit no more. With DRY_RUN nothing is done, and "made" is what would be. RUN's accel,
 * program, cancel_fd and progress count. Returns IrekoSpares in the order of the machines; free
 * with g_ptr_array_unref. IREKO_ERROR_NOT_FOUND where a machine has no template, or can have none;
 * IREKO_ERROR_TOO_LARGE where this host has no memory for them; what was made before another error
 * stays ready. */
GPtrArray *
ireko_template_warm(const IrekoHome *home,
                    const IrekoLab *lab,
                    const IrekoLabRun *run,
                    unsigned count,
                    bool dry_run,
                    GError **error);

/* Names of the labs that have spares to be ended; free with g_strfreev. */
char **
ireko_template_warm_labs(const IrekoHome *home);

/* How many spares stand ready for the lab NAME; NULL: for any. */
unsigned
ireko_template_spares(const IrekoHome *home, const char *name);

/* Ends the spares of the lab NAME, those that died among them; their number, or -1 with an error.
 * With DRY_RUN they stay. */
int
ireko_template_cool(const IrekoHome *home, const char *name, bool dry_run, GError **error);

G_END_DECLS
