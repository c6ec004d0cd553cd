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

G_END_DECLS
