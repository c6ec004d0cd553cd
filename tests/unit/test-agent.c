/* Agent: both sides of a talk over a socketpair, a relay through two layers, peers that lie. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"

#define PATIENCE_MS 10000

/* A layer of the test: answers as "a"; its guest "b" is another such layer on a thread. */
typedef struct {
    IrekoAgentHandlers handlers;
    const char *path;
    bool stopped;
    unsigned let_go; /* of what its talks held, the last time */
} Layer;

static json_t *
give_facts(void *data, GError **error)
{
    const Layer *layer = data;
    (void)error;
    return json_pack("{s:s,s:i}", "seen-by", layer->path, "let-go", (int)layer->let_go);
}

static const char *
tell_path(void *data)
{
    return ((const Layer *)data)->path;
}

/* Is whatever it is told to be, from then on. Its talk holds how often it was told so. */
static char *
become(void *data, const char *order, void **held, GError **error)
{
    Layer *layer = data;
    *held = GUINT_TO_POINTER(GPOINTER_TO_UINT(*held) + 1);
    if (strcmp(order, " nobody") == 0) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "no path");
        return NULL;
    }
    layer->path = g_intern_string(order + 1);
    return g_strdup(order);
}

static void
let_go(void *data, void *held)
{
    ((Layer *)data)->let_go = GPOINTER_TO_UINT(held);
}

static bool
run_two(void *data,
        const json_t *spec,
        int cancel_fd,
        void (*emit)(void *emit_data, json_t *report),
        void *emit_data,
        GError **error)
{
    (void)data;
    if (json_is_true(json_object_get(spec, "hang"))) {
        struct pollfd host = {.fd = cancel_fd, .events = POLLIN};
        (void)poll(&host, 1, PATIENCE_MS);
        return ireko_fd_wait(cancel_fd, 0, 0, cancel_fd, error);
    }
    if (json_object_get(spec, "refuse") != NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE, "no\x1b[31m");
        return false;
    }
    emit(emit_data, json_pack("{s:s}", "path", "a/b"));
    emit(emit_data, json_pack("{s:s}", "path", "a/c"));
    return true;
}

/* Tells how long it was given, of itself and of a layer inside; then hangs for as long as asked. */
static bool
check_two(void *data,
          int64_t within_ms,
          int cancel_fd,
          void (*emit)(void *emit_data, json_t *layer),
          void *emit_data,
          GError **error)
{
    (void)data, (void)error;
    g_autofree char *path = g_strdup_printf("a/%d", (int)within_ms);
    emit(emit_data, json_pack("{s:s}", "path", "a"));
    emit(emit_data, json_pack("{s:s}", "path", path));
    struct pollfd host = {.fd = cancel_fd, .events = POLLIN};
    (void)poll(&host, 1, within_ms == 1 ? PATIENCE_MS : 0);
    return true;
}

static bool
stop_now(void *data, GError **error)
{
    Layer *layer = data;
    (void)error;
    layer->stopped = true;
    return true;
}

static bool
end_guest(void *data, const char *name, int64_t wait_ms, GError **error)
{
    (void)data;
    if (strcmp(name, "b") == 0 && wait_ms == 70)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "no '%s'", name);
    return false;
}

static int
start_layer(const char *path, Layer **ret_layer);

static int
connect_guest(void *data, const char *name, const char *channel, int *ret_hold, GError **error)
{
    (void)data, (void)ret_hold;
    if (g_strcmp0(name, "b") != 0) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "no guest '%s'", name);
        return -1;
    }
    if (g_strcmp0(channel, "agent") == 0)
        return start_layer("a/b", NULL);
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_assert_cmpint(write(ends[1], "login: ", 7), ==, 7);
    (void)close(ends[1]);
    return ends[0];
}

typedef struct {
    int fd;
    Layer *layer;
} Served;

static void *
serve(void *data)
{
    g_autofree Served *served = data;
    struct pollfd other = {.fd = served->fd};
    do
        ireko_agent_serve_talk(served->fd, &served->layer->handlers);
    while (poll(&other, 1, 0) == 0);
    (void)close(served->fd);
    g_free(served->layer);
    return NULL;
}

/* Serves talks on a thread; returns the host's end. */
static int
start_layer(const char *path, Layer **ret_layer)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    Layer *layer = g_new0(Layer, 1);
    layer->path = path;
    layer->handlers = (IrekoAgentHandlers){.version = "1",
                                           .path = tell_path,
                                           .facts = give_facts,
                                           .identity = become,
                                           .settle = let_go,
                                           .check = check_two,
                                           .run = run_two,
                                           .connect = connect_guest,
                                           .stop = stop_now,
                                           .end = end_guest,
                                           .data = layer};
    Served *served = g_new(Served, 1);
    *served = (Served){.fd = ends[1], .layer = layer};
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); /* as ports and connections are */
    (void)fcntl(ends[1], F_SETFL, O_NONBLOCK);
    g_thread_unref(g_thread_new("layer", serve, served));
    if (ret_layer != NULL)
        *ret_layer = layer;
    return ends[0];
}

static IrekoAgent *
talk_to_a(void)
{
    g_autoptr(GError) error = NULL;
    IrekoAgent *agent = ireko_agent_hello(start_layer("a", NULL), "a",
                                          ireko_deadline_in_ms(PATIENCE_MS), -1, &error);
    g_assert_no_error(error);
    return agent;
}

static int
let_go_by(IrekoAgent *agent)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) facts = ireko_agent_facts(agent, ireko_deadline_in_ms(PATIENCE_MS), &error);
    g_assert_no_error(error);
    return (int)json_integer_value(json_object_get(facts, "let-go"));
}

static void
test_what_an_identity_holds_stays_until_something_else_is_asked(void)
{
    g_autoptr(IrekoAgent) agent = talk_to_a();
    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *is =
            ireko_agent_identity(agent, " a", ireko_deadline_in_ms(PATIENCE_MS), &error);
        g_assert_no_error(error);
        g_assert_cmpstr(is, ==, " a");
    }
    g_assert_cmpint(let_go_by(agent), ==, 2);
    g_assert_cmpint(let_go_by(agent), ==, 0);
}

static void
count_report(void *data, const json_t *report)
{
    g_string_append(data, json_string_value(json_object_get(report, "path")));
}

static void
test_facts_and_reports_arrive(void)
{
    g_autoptr(IrekoAgent) agent = talk_to_a();
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) facts = ireko_agent_facts(agent, ireko_deadline_in_ms(PATIENCE_MS), &error);
    g_assert_cmpstr(json_string_value(json_object_get(facts, "seen-by")), ==, "a");

    g_autoptr(GString) paths = g_string_new(NULL);
    g_autoptr(json_t) spec = json_object();
    g_assert_true(ireko_agent_run(agent, spec, PATIENCE_MS, count_report, paths, &error));
    g_assert_cmpstr(paths->str, ==, "a/ba/c");
}

static void
test_layers_arrive_though_one_hangs(void)
{
    g_autoptr(IrekoAgent) agent = talk_to_a();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) paths = g_string_new(NULL);
    g_assert_true(ireko_agent_check(agent, 7, ireko_deadline_in_ms(PATIENCE_MS), count_report,
                                    paths, &error));
    g_assert_cmpstr(paths->str, ==, "aa/7");
    g_string_truncate(paths, 0);
    g_assert_false(
        ireko_agent_check(agent, 1, ireko_deadline_in_ms(100), count_report, paths, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT);
    g_assert_cmpstr(paths->str, ==, "aa/1");
}

static void
test_an_error_keeps_its_code_and_loses_its_escapes(void)
{
    g_autoptr(IrekoAgent) agent = talk_to_a();
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) spec = json_pack("{s:b}", "refuse", 1);
    g_assert_false(ireko_agent_run(agent, spec, PATIENCE_MS, count_report, NULL, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
    g_assert_cmpstr(error->message, ==, "no\\x1b[31m");
}

static void
test_a_relay_reaches_the_layer_inside(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoAgent) inner =
        ireko_agent_relay(talk_to_a(), "b", "a/b", ireko_deadline_in_ms(PATIENCE_MS), &error);
    g_assert_no_error(error);
    g_autoptr(json_t) facts = ireko_agent_facts(inner, ireko_deadline_in_ms(PATIENCE_MS), &error);
    g_assert_cmpstr(json_string_value(json_object_get(facts, "seen-by")), ==, "a/b");
}

static void
test_the_wrong_machine_is_noticed(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(
        ireko_agent_relay(talk_to_a(), "b", "a/x", ireko_deadline_in_ms(PATIENCE_MS), &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_clear_error(&error);
    g_assert_null(
        ireko_agent_relay(talk_to_a(), "nobody", "a/x", ireko_deadline_in_ms(PATIENCE_MS), &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
}

static void
test_a_guest_is_ended_with_its_time_to_go(void)
{
    g_autoptr(IrekoAgent) agent = talk_to_a();
    g_autoptr(GError) error = NULL;
    g_assert_true(ireko_agent_end(agent, "b", 70, &error));
    g_assert_no_error(error);
    g_assert_false(ireko_agent_end(agent, "x", 70, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(ireko_agent_end(agent, "b", -1, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
}

static void
test_a_console_is_bytes(void)
{
    g_autoptr(GError) error = NULL;
    IREKO_AUTOFD fd =
        ireko_agent_console(talk_to_a(), "b", ireko_deadline_in_ms(PATIENCE_MS), &error);
    g_assert_no_error(error);
    char text[8] = "";
    for (size_t len = 0; len < 7;) {
        g_assert_true(ireko_fd_wait(fd, POLLIN, ireko_deadline_in_ms(PATIENCE_MS), -1, NULL));
        ssize_t n = read(fd, text + len, 7 - len);
        g_assert_cmpint(n, >, 0);
        len += (size_t)n;
    }
    g_assert_cmpstr(text, ==, "login: ");
}

/* Runs ARGV through a talk with INPUT; returns its output. */
static char *
exec_there(const char *const *argv, const char *input, int *ret_status)
{
    int in[2], out[2];
    g_assert_cmpint(pipe(in), ==, 0);
    g_assert_cmpint(pipe(out), ==, 0);
    g_assert_cmpint(write(in[1], input, strlen(input)), ==, (ssize_t)strlen(input));
    (void)close(in[1]);

    g_autoptr(IrekoAgent) agent = talk_to_a();
    g_autoptr(GError) error = NULL;
    *ret_status = ireko_agent_exec(agent, argv, (const int[]){in[0], out[1], out[1]}, &error);
    (void)close(out[1]);
    char text[256] = "";
    g_assert_cmpint(read(out[0], text, sizeof text - 1), >=, 0);
    (void)close(in[0]), (void)close(out[0]);
    return error != NULL ? g_strdup(error->message) : g_strdup(text);
}

static void
test_a_command_has_its_streams_and_status(void)
{
    static const struct {
        const char *argv[4];
        const char *input, *output;
        int status;
    } rows[] = {
        {{"cat"}, "hello", "hello", 0},
        {{"sh", "-c", "echo gone >&2; exit 7"}, "", "gone\n", 7},
        {{"sh", "-c", "kill -9 $$"}, "", "", 137},
        {{"true"}, "never read", "", 0},
        {{"no-such-program"}, "", "no-such-program: cannot be run there: not found\n", 127},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int status = -1;
        g_autofree char *output = exec_there(rows[i].argv, rows[i].input, &status);
        g_assert_cmpstr(output, ==, rows[i].output);
        g_assert_cmpint(status, ==, rows[i].status);
    }
}

/* A peer that says BYTES whatever it is asked, then hangs up. */
static void
test_a_lying_agent_is_an_error(void)
{
    static const struct {
        const char *bytes;
        IrekoError code;
    } rows[] = {
        {"", IREKO_ERROR_REMOTE},
        {"\x1b]0;evil\n", IREKO_ERROR_REMOTE},
        {"{\"hello\":99,\"nonce\":1}\n", IREKO_ERROR_REMOTE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int ends[2];
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        size_t len = strlen(rows[i].bytes);
        g_assert_cmpint(write(ends[1], rows[i].bytes, len), ==, (ssize_t)len);
        (void)shutdown(ends[1], SHUT_WR);
        g_autoptr(GError) error = NULL;
        g_assert_null(
            ireko_agent_hello(ends[0], NULL, ireko_deadline_in_ms(PATIENCE_MS), -1, &error));
        g_assert_error(error, IREKO_ERROR, (int)rows[i].code);
        (void)close(ends[1]);
    }
}

static void
test_a_silent_agent_is_given_up_at_the_deadline(void)
{
    int ends[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_agent_hello(ends[0], NULL, ireko_deadline_in_ms(20), -1, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT);
    (void)close(ends[1]);
}

static void
test_a_talk_that_broke_off_does_not_disturb_the_next(void)
{
    int fd = start_layer("a", NULL);
    g_assert_cmpint(write(fd, "{\"op\":\"fa", 9), ==, 9); /* half a request of an earlier host */
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoAgent) agent =
        ireko_agent_hello(fd, "a", ireko_deadline_in_ms(PATIENCE_MS), -1, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) facts = ireko_agent_facts(agent, ireko_deadline_in_ms(PATIENCE_MS), &error);
    g_assert_no_error(error);
}

/* A port whose host hangs up and comes back at once looks to the guest as if nothing had been. */
static void
test_a_talk_begins_where_a_relay_goes_on_unaware(void)
{
    g_autoptr(GError) error = NULL;
    int fd = start_layer("a", NULL);
    IREKO_AUTOFD again = dup(fd);
    IrekoDeadline deadline = ireko_deadline_in_ms(PATIENCE_MS);
    g_autoptr(IrekoAgent) first = ireko_agent_relay(
        ireko_agent_hello(fd, "a", deadline, -1, &error), "b", "a/b", deadline, &error);
    g_assert_no_error(error);
    g_clear_pointer(&first, ireko_agent_free);

    g_autoptr(IrekoAgent) second =
        ireko_agent_hello(ireko_fd_steal(&again), "a", deadline, -1, &error);
    g_assert_no_error(error);
    g_assert_nonnull(second);
}

int
main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as every program that links lib/agent does */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/facts-and-reports-arrive", test_facts_and_reports_arrive);
    g_test_add_func("/agent/what-an-identity-holds-stays-until-something-else-is-asked",
                    test_what_an_identity_holds_stays_until_something_else_is_asked);
    g_test_add_func("/agent/layers-arrive-though-one-hangs", test_layers_arrive_though_one_hangs);
    g_test_add_func("/agent/an-error-keeps-its-code-and-loses-its-escapes",
                    test_an_error_keeps_its_code_and_loses_its_escapes);
    g_test_add_func("/agent/a-relay-reaches-the-layer-inside",
                    test_a_relay_reaches_the_layer_inside);
    g_test_add_func("/agent/the-wrong-machine-is-noticed", test_the_wrong_machine_is_noticed);
    g_test_add_func("/agent/a-guest-is-ended-with-its-time-to-go",
                    test_a_guest_is_ended_with_its_time_to_go);
    g_test_add_func("/agent/a-console-is-bytes", test_a_console_is_bytes);
    g_test_add_func("/agent/a-command-has-its-streams-and-status",
                    test_a_command_has_its_streams_and_status);
    g_test_add_func("/agent/a-lying-agent-is-an-error", test_a_lying_agent_is_an_error);
    g_test_add_func("/agent/a-silent-agent-is-given-up-at-the-deadline",
                    test_a_silent_agent_is_given_up_at_the_deadline);
    g_test_add_func("/agent/a-talk-that-broke-off-does-not-disturb-the-next",
                    test_a_talk_that_broke_off_does_not_disturb_the_next);
    g_test_add_func("/agent/a-talk-begins-where-a-relay-goes-on-unaware",
                    test_a_talk_begins_where_a_relay_goes_on_unaware);
    return g_test_run();
}
