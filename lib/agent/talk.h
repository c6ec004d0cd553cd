/* agent/talk.h - the pieces of the agent's protocol that both sides use. Private to lib/agent. */
#pragma once

#include "agent/agent.h"

#define TALK_DEADLINE_MS 60000 /* for one message to leave: the other side is stuck after that */

#define TALK_IDENTITY "identity" /* a line of it has the words behind this, each behind a space */

/* {"error":{"code":...,"message":...}} of ERROR; a new reference. */
json_t *
talk_error_message(const GError *error);

/* The GError that such a message stands for. */
void
talk_error_from_message(const json_t *message, GError **error);

/* The end of the line of a hello to the machine PATH: no other line holds it. Free with g_free. */
char *
talk_hello_mark(const char *path);

/* {NAME: base64 of LEN bytes}; a new reference. */
json_t *
talk_bytes_message(const char *name, const void *data, size_t len);

/* The bytes of a message made by talk_bytes_message, or NULL; free with g_free. */
uint8_t *
talk_bytes_of(const json_t *message, const char *name, size_t *ret_len);

/* Runs ARGV on behalf of CHANNEL's talk until it ends or the host hangs up (exec.c). */
bool
talk_exec(IrekoJsonl *channel, const json_t *argv, GError **error);
