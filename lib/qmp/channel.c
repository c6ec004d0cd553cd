/* qmp/channel.c - asking QEMU and hearing its events.
 *
 * Every command has a number of its own. While one is waited for, events are put by, answers to
 * earlier numbers (whose asker gave up) are dropped, and anything else means that this is not QEMU
 * or that QEMU is out of its mind: the channel is given up, and the error of that moment is what
 * each later call says too. A deadline is looked at before every message, so that a peer that talks
 * all the time without answering is no way around it. */
#include "base/jsonl.h"
#include "base/text.h"
#include "qmp/qmp.h"

struct IrekoQmp {
    IrekoJsonl *lines;
    json_int_t last_id;
    GQueue events; /* json_t */
    unsigned lost;
    GError *broken; /* why nothing more can be asked */
};

void
ireko_qmp_free(IrekoQmp *qmp)
{
    if (qmp == NULL)
        return;
    ireko_jsonl_free(qmp->lines);
    g_queue_clear_full(&qmp->events, (GDestroyNotify)json_decref);
    g_clear_error(&qmp->broken);
    g_free(qmp);
}

unsigned
ireko_qmp_lost_events(const IrekoQmp *qmp)
{
    return qmp->lost;
}

/* Takes over WHY, which ends the channel. */
static void
give_up(IrekoQmp *qmp, GError *why, GError **error)
{
    g_clear_error(&qmp->broken);
    qmp->broken = why;
    if (error != NULL)
        *error = g_error_copy(why);
}

static bool
is_usable(const IrekoQmp *qmp, GError **error)
{
    if (qmp->broken == NULL)
        return true;
    if (error != NULL)
        *error = g_error_copy(qmp->broken);
    return false;
}

static void
keep_event(IrekoQmp *qmp, json_t *object)
{
    if (qmp->events.length == IREKO_QMP_EVENTS_MAX) {
        json_decref(g_queue_pop_head(&qmp->events));
        qmp->lost++;
    }
    g_queue_push_tail(&qmp->events, json_incref(object));
}

/* The next message, its object in RET_OBJECT. */
static bool
next_message(IrekoQmp *qmp,
             IrekoDeadline deadline,
             json_t **ret_object,
             IrekoQmpMessage *ret_message,
             GError **error)
{
    if (g_get_monotonic_time() >= deadline) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT, "QEMU did not answer in time");
        return false;
    }
    GError *bad = NULL;
    g_autoptr(json_t) object = ireko_jsonl_receive(qmp->lines, deadline, &bad);
    if (object != NULL && ireko_qmp_decode(object, ret_message, &bad)) {
        *ret_object = g_steal_pointer(&object);
        return true;
    }
    if (g_error_matches(bad, IREKO_ERROR, IREKO_ERROR_REMOTE))
        give_up(qmp, bad, error);
    else
        g_propagate_error(error, bad);
    return false;
}

static bool
unasked(IrekoQmp *qmp, const char *what, GError **error)
{
    GError *why = g_error_new(IREKO_ERROR, IREKO_ERROR_REMOTE,
                              "the control channel gave %s that nobody asked for", what);
    give_up(qmp, why, error);
    return false;
}

/* Waits for the answer to the command with the number ID. */
static bool
await_answer(IrekoQmp *qmp,
             json_int_t id,
             IrekoDeadline deadline,
             json_t **ret_object,
             IrekoQmpMessage *ret_message,
             GError **error)
{
    for (;;) {
        g_autoptr(json_t) object = NULL;
        IrekoQmpMessage m;
        if (!next_message(qmp, deadline, &object, &m, error))
            return false;

        if (m.kind == IREKO_QMP_GREETING)
            return unasked(qmp, "a second greeting", error);
        if (m.kind != IREKO_QMP_EVENT && m.id > id)
            return unasked(qmp, "an answer", error);
        if (m.kind == IREKO_QMP_EVENT) {
            keep_event(qmp, object);
        } else if (m.id == id ||
                   m.id < 0) { /* an error without a number is about the last command */
            *ret_object = g_steal_pointer(&object);
            *ret_message = m;
            return true;
        }
    }
}

static bool
send_command(
    IrekoQmp *qmp, const char *command, json_t *arguments, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) object =
        json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)++qmp->last_id);
    if (arguments != NULL)
        json_object_set(object, "arguments", arguments);

    GError *bad = NULL;
    if (ireko_jsonl_send(qmp->lines, object, deadline, &bad))
        return true;
    g_prefix_error(&bad, "cannot ask QEMU for '%s': ", command);
    if (g_error_matches(bad, IREKO_ERROR, IREKO_ERROR_IO))
        bad->code = IREKO_ERROR_REMOTE;
    give_up(qmp, bad, error); /* half a line may be out */
    return false;
}

json_t *
ireko_qmp_execute(
    IrekoQmp *qmp, const char *command, json_t *arguments, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) object = NULL;
    IrekoQmpMessage m;
    if (!is_usable(qmp, error) || !send_command(qmp, command, arguments, deadline, error))
        return NULL;
    if (!await_answer(qmp, qmp->last_id, deadline, &object, &m, error)) {
        g_prefix_error(error, "'%s': ", command);
        return NULL;
    }
    if (m.kind == IREKO_QMP_RETURN)
        return json_incref(m.data);

    g_autofree char *words = ireko_text_safe(m.text, (size_t)-1);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "QEMU refused the command '%s': %s",
                command, words);
    return NULL;
}

/* Runs COMMAND, which takes the descriptor that is passed with it: FD. */
static json_t *
execute_with_fd(IrekoQmp *qmp,
                int fd,
                const char *command,
                json_t *arguments,
                IrekoDeadline deadline,
                GError **error)
{
    if (!is_usable(qmp, error) ||
        !ireko_fd_pass(ireko_jsonl_fd(qmp->lines), fd, deadline, -1, error))
        return NULL;
    return ireko_qmp_execute(qmp, command, arguments, deadline, error);
}

bool
ireko_qmp_give_fd(IrekoQmp *qmp, const char *name, int fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) arguments = json_pack("{s:s}", "fdname", name);
    g_autoptr(json_t) done = execute_with_fd(qmp, fd, "getfd", arguments, deadline, error);
    return done != NULL;
}

char *
ireko_qmp_give_path(IrekoQmp *qmp, int fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) set = execute_with_fd(qmp, fd, "add-fd", NULL, deadline, error);
    const json_t *id = json_object_get(set, "fdset-id");
    if (set == NULL)
        return NULL;
    if (json_is_integer(id) && json_integer_value(id) >= 0)
        return g_strdup_printf("/dev/fdset/%" JSON_INTEGER_FORMAT, json_integer_value(id));
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                        "QEMU took a file and did not say under which name");
    return NULL;
}

json_t *
ireko_qmp_next_event(IrekoQmp *qmp, IrekoDeadline deadline, GError **error)
{
    if (qmp->events.length > 0)
        return g_queue_pop_head(&qmp->events);
    if (!is_usable(qmp, error))
        return NULL;
    for (;;) {
        g_autoptr(json_t) object = NULL;
        IrekoQmpMessage m;
        if (!next_message(qmp, deadline, &object, &m, error))
            return NULL;
        if (m.kind == IREKO_QMP_EVENT)
            return g_steal_pointer(&object);
        if (m.kind == IREKO_QMP_GREETING || m.id > qmp->last_id) {
            (void)unasked(qmp, "an answer", error);
            return NULL;
        }
    }
}

IrekoQmp *
ireko_qmp_open(int fd, int cancel_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = g_new0(IrekoQmp, 1);
    qmp->lines = ireko_jsonl_new(fd, cancel_fd);
    g_queue_init(&qmp->events);

    g_autoptr(json_t) greeting = NULL;
    IrekoQmpMessage m;
    if (!next_message(qmp, deadline, &greeting, &m, error))
        return NULL;
    if (m.kind != IREKO_QMP_GREETING) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                            "the control channel did not greet as QEMU does");
        return NULL;
    }
    g_autoptr(json_t) done = ireko_qmp_execute(qmp, "qmp_capabilities", NULL, deadline, error);
    return done == NULL ? NULL : g_steal_pointer(&qmp);
}
