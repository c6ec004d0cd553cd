/* qmp/qmp.h - QEMU's control channel (QMP): commands, answers, events.
 *
 * The peer is not trusted: an answer that is none, an answer to a question that was not asked and a
 * peer that hangs up are IREKO_ERROR_REMOTE, and nothing more can be asked on that channel. A
 * command that QEMU refuses is IREKO_ERROR_REMOTE too, but the channel stays good, and so it does
 * after IREKO_ERROR_TIMEOUT and IREKO_ERROR_CANCELLED while waiting: the late answer is dropped. */
#pragma once

#include <jansson.h>

#include <ireko/error.h>

#include "base/fd.h"

G_BEGIN_DECLS

#define IREKO_QMP_EVENTS_MAX 256 /* kept until somebody asks for them; the oldest go first */

typedef enum {
    IREKO_QMP_GREETING, /* DATA: the "QMP" member */
    IREKO_QMP_RETURN,   /* DATA: what was returned */
    IREKO_QMP_ERROR,    /* NAME: its class; TEXT: in words; ID -1 where QEMU could not tell */
    IREKO_QMP_EVENT,    /* NAME: of the event; DATA: its data or NULL */
} IrekoQmpKind;

/* One message of QEMU; all pointers belong to its object. */
typedef struct {
    IrekoQmpKind kind;
    json_int_t id; /* of the command that it answers; -1: none */
    const char *name;
    const char *text;
    json_t *data;
} IrekoQmpMessage;

/* What OBJECT says; pure. False with IREKO_ERROR_REMOTE where it is no message of QMP. */
bool
ireko_qmp_decode(const json_t *object, IrekoQmpMessage *ret_message, GError **error);

typedef struct IrekoQmp IrekoQmp;

/* Waits on FD, which it owns from here, for the greeting and takes the channel into command mode.
 * CANCEL_FD (-1: none) stays the caller's; while it is readable every wait ends. */
IrekoQmp *
ireko_qmp_open(int fd, int cancel_fd, IrekoDeadline deadline, GError **error);

void
ireko_qmp_free(IrekoQmp *qmp); /* closes the channel; NULL is fine */

/* Runs COMMAND with ARGUMENTS (NULL: none; stays the caller's) and returns what it returned, a new
 * reference. Events that come meanwhile are kept. */
json_t *
ireko_qmp_execute(
    IrekoQmp *qmp, const char *command, json_t *arguments, IrekoDeadline deadline, GError **error);

/* Gives QEMU the descriptor FD, which stays the caller's, under NAME: "fd:NAME" in later commands.
 */
bool
ireko_qmp_give_fd(IrekoQmp *qmp, const char *name, int fd, IrekoDeadline deadline, GError **error);

/* Gives QEMU the descriptor FD, which stays the caller's, as a file that it can open as FD was opened
 * as long as this channel is there: returns its path. Free with g_free. */
char *
ireko_qmp_give_path(IrekoQmp *qmp, int fd, IrekoDeadline deadline, GError **error);

/* The next event that was not yet given out, a new reference to the whole message. */
json_t *
ireko_qmp_next_event(IrekoQmp *qmp, IrekoDeadline deadline, GError **error);

/* How many events were dropped because nobody asked for them. */
unsigned
ireko_qmp_lost_events(const IrekoQmp *qmp);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoQmp, ireko_qmp_free)

G_END_DECLS
