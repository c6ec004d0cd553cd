/* Fuzz target: whatever a host says to an agent, the talk ends with it. The input is all that the
 * host says before it hangs up; no command is run, since one in the input would be. */
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "lab/clone/identity.h"
#include "lab/spec.h"

#define INPUT_MAX ((size_t)64 << 10) /* fits the socket's buffer */

static const char *
tell_path(void *data)
{
    (void)data;
    return "a/b";
}

static char *
become_nobody(void *data, const char *order, void **held, GError **error)
{
    (void)data, (void)held;
    const char *guests = NULL;
    g_autoptr(IrekoIdentity) identity = ireko_identity_order_from_text(order, &guests, error);
    if (identity == NULL)
        return NULL;
    g_autoptr(GString) answer = g_string_new(NULL);
    ireko_identity_answer_to_text(identity, answer);
    GHashTable *lines = NULL;
    (void)ireko_identity_hand_on(guests, identity->path, "/nowhere", &lines, answer, error);
    g_clear_pointer(&lines, g_hash_table_unref);
    return error == NULL || *error == NULL ? g_strdup(answer->str) : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *
give_facts(void *data, GError **error)
{
    (void)data, (void)error;
    return json_object();
}

/* Reads what it is to run, and runs nothing. */
static bool
read_spec(void *data,
          const json_t *object,
          int cancel_fd,
          void (*emit)(void *emit_data, json_t *report),
          void *emit_data,
          GError **error)
{
    (void)data, (void)cancel_fd;
    g_autoptr(IrekoLayerSpec) spec = ireko_spec_from_json(object, error);
    if (spec == NULL)
        return false;
    g_assert_nonnull(spec->self->machine);
    emit(emit_data, ireko_spec_to_json(spec->self, spec->id, spec->pace, spec->start));
    return true;
}

static void
merge_nothing(void *data)
{
    (void)data;
}

static bool
check_nothing(void *data,
              int64_t within_ms,
              int cancel_fd,
              void (*emit)(void *emit_data, json_t *layer),
              void *emit_data,
              GError **error)
{
    (void)data, (void)cancel_fd, (void)error;
    g_assert_true(within_ms >= 0 && within_ms <= IREKO_AGENT_CHECK_MS);
    emit(emit_data, json_object());
    return true;
}

static int
connect_nobody(void *data, const char *name, const char *channel, int *ret_hold, GError **error)
{
    (void)data, (void)name, (void)channel, (void)ret_hold;
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "nobody");
    return -1;
}

static bool
stop_never(void *data, GError **error)
{
    (void)data;
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "no");
    return false;
}

static bool
end_nobody(void *data, const char *name, int64_t wait_ms, GError **error)
{
    (void)data, (void)name;
    g_assert_cmpint(wait_ms, >=, 0);
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "nobody");
    return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const IrekoAgentHandlers handlers = {
        .version = "fuzz",
        .path = tell_path,
        .facts = give_facts,
        .identity = become_nobody,
        .merge = merge_nothing,
        .check = check_nothing,
        .run = read_spec,
        .connect = connect_nobody,
        .stop = stop_never,
        .end = end_nobody,
    };
    int fds[2];
    if (size > INPUT_MAX || memmem(data, size, "exec", 4) != NULL ||
        memmem(data, size, "\\u", 2) != NULL || /* "exec" in other words */
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    g_assert_cmpint(send(fds[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL), ==, (ssize_t)size);
    (void)close(fds[1]); /* nobody reads the answers: they fail at once */
    ireko_agent_serve_talk(fds[0], &handlers);
    (void)close(fds[0]);
    return 0;
}
