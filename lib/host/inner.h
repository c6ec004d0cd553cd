/* host/inner.h - what a layer inside this one says of itself when it is asked for its check.
 *
 * The same object is an entry of "layers" of ireko.check/1 and what agents send:
 *
 *     {"path":P, "level":N, "message":null, ...the layer's own ireko.check/1}
 *     {"path":P, "level":N, "message":"why it did not answer", "verdict":null}
 *
 * and, only among agents, that it is asked and will be told of:
 *
 *     {"path":P, "level":N, "asked":true, "message":null, "verdict":null}
 *
 * The layer is not trusted: what is kept of its words is safe to print and of bounded size. */
#pragma once

#include <jansson.h>

#include "host/verdict.h"

G_BEGIN_DECLS

typedef struct {
    char *lab; /* of its outermost machine; NULL inside a layer, where nobody knows */
    char *path;
    unsigned level;
    bool asked;     /* nothing is known of it yet: all below is nothing */
    char *message;  /* why nothing is known of it; NULL where it answered */
    json_t *check;  /* what it said: ireko.check/1; NULL where it did not answer */
    char *word;     /* its verdict ... */
    char *cause;    /* ... and first broken link, or NULL */
    char *link;     /* which link that is, or NULL */
    char *evidence; /* of that link, or NULL */
    int levels_below;
} IrekoInner;

/* The layer PATH, which said nothing of itself: MESSAGE says why. */
IrekoInner *
ireko_inner_silent(const char *path, const char *message);

/* The layer PATH, of which nothing is known yet. */
IrekoInner *
ireko_inner_asked(const char *path);

/* The layer PATH that judged itself so. */
IrekoInner *
ireko_inner_of(const char *path, const IrekoVerdict *verdict);

/* What stands in OBJECT, which may be anything; IREKO_ERROR_REMOTE for what is no layer. */
IrekoInner *
ireko_inner_from_json(const json_t *object, GError **error);

/* The object above, with "lab" where it is known; a new reference. */
json_t *
ireko_inner_to_json(const IrekoInner *inner);

void
ireko_inner_free(IrekoInner *inner); /* NULL is fine */

/* Adds INNER, which belongs to VERDICT from here, where it stands in the tree of its lab. */
void
ireko_verdict_add_inner(IrekoVerdict *verdict, IrekoInner *inner);

/* VERDICT as ireko.check/1; a new reference. */
json_t *
ireko_verdict_json(const IrekoVerdict *verdict);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoInner, ireko_inner_free)

G_END_DECLS
