/* base/jsonl.h - JSON objects, one a line, over a descriptor whose other end is not trusted.
 *
 * Both QMP and the agent's protocol are this. A line has a length limit, an object a depth limit,
 * every wait a deadline; what is not one JSON object a line is IREKO_ERROR_REMOTE, and the channel
 * cannot be used after that. */
#pragma once

#include <jansson.h>

#include "base/fd.h"

#define IREKO_JSONL_LINE_MAX ((size_t)4 << 20) /* bytes of a line */

typedef struct IrekoJsonl IrekoJsonl;

/* A channel over FD, which it owns from here and makes non-blocking. CANCEL_FD (-1: none) stays the
 * caller's: while it is readable, every wait ends with IREKO_ERROR_CANCELLED. */
IrekoJsonl *
ireko_jsonl_new(int fd, int cancel_fd);

void
ireko_jsonl_free(IrekoJsonl *channel); /* closes the descriptor; NULL is fine */

/* The descriptor, still the channel's: to wait for it beside others. */
int
ireko_jsonl_fd(const IrekoJsonl *channel);

/* Sends OBJECT as one line, whole or not at all as far as this side can tell. */
bool
ireko_jsonl_send(IrekoJsonl *channel, const json_t *object, IrekoDeadline deadline, GError **error);

/* The next object; a new reference. NULL: IREKO_ERROR_TIMEOUT, IREKO_ERROR_CANCELLED, and
 * IREKO_ERROR_REMOTE where the peer hung up or babbled. */
json_t *
ireko_jsonl_receive(IrekoJsonl *channel, IrekoDeadline deadline, GError **error);

/* The same for a line that may be anything but blank, without its line end: what is sent is BEGIN
 * and REST; free with g_free what is received. */
bool
ireko_jsonl_send_line(IrekoJsonl *channel,
                      const char *begin,
                      const char *rest,
                      IrekoDeadline deadline,
                      GError **error);

char *
ireko_jsonl_receive_line(IrekoJsonl *channel, IrekoDeadline deadline, GError **error);

/* Whether a whole line is here already, so that receive would not wait. */
bool
ireko_jsonl_pending(const IrekoJsonl *channel);

/* The descriptor, which is the caller's from here, for a talk that goes on as bytes; the channel is
 * only to be freed after that. What was already read behind the last object is lost. */
int
ireko_jsonl_steal(IrekoJsonl *channel);

/* Reads one line of LEN bytes, without its line end, as one JSON object; pure. */
json_t *
ireko_jsonl_decode(const char *line, size_t len, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoJsonl, ireko_jsonl_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)
