/* QMP: what a message says; and a channel against a peer that follows a script. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/jsonl.h"
#include "qmp/qmp.h"

#define GREETING                                                                                   \
    ">{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, "           \
    "\"capabilities\": [\"oob\"]}}"
#define READY      GREETING, "<", ">{\"return\": {}, \"id\": 1}"
#define SCRIPT_MAX 12

/* A peer's script, a step each: ">text" says a line, "=text" says bytes, "/text" says a line byte
 * by byte, "<" hears a line, "~N" waits N ms, "#text" says text for ever, "|" waits for the other
 * side to hang up. Behind the last step it hangs up. */
typedef struct {
    int fd;
    const char *const *script;
} Peer;

static void
say(int fd, const char *text, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

static void
hear_line(int fd)
{
    char c = 0;
    while (c != '\n' && read(fd, &c, 1) == 1)
        continue;
}

static void
step(int fd, const char *s)
{
    struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
    switch (*s) {
    case '>':
        say(fd, s + 1, strlen(s + 1));
        say(fd, "\n", 1);
        return;
    case '=':
        say(fd, s + 1, strlen(s + 1));
        return;
    case '/':
        for (const char *at = s + 1; *at != '\0'; at++)
            say(fd, at, 1);
        say(fd, "\r\n", 2);
        return;
    case '<':
        hear_line(fd);
        return;
    case '~':
        g_usleep((gulong)g_ascii_strtoull(s + 1, NULL, 10) * 1000);
        return;
    case '#':
        while (poll(&gone, 1, 0) == 0)
            say(fd, s + 1, strlen(s + 1));
        return;
    case '|':
        (void)poll(&gone, 1, -1);
        return;
    default:
        g_assert_not_reached();
    }
}

static void *
play(void *data)
{
    Peer *peer = data;
    for (const char *const *s = peer->script; *s != NULL; s++)
        step(peer->fd, *s);
    ireko_fd_close(&peer->fd);
    return NULL;
}

/* Opens a channel to a peer that follows SCRIPT. */
static IrekoQmp *
open_to(Peer *peer, GThread **thread, int64_t ms, int cancel_fd, GError **error)
{
    int fds[2];
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    peer->fd = fds[1];
    *thread = g_thread_new("peer", play, peer);
    return ireko_qmp_open(fds[0], cancel_fd, ireko_deadline_in_ms(ms), error);
}

typedef struct {
    const char *label;
    const char *script[SCRIPT_MAX];
    int code;         /* of the first error: IREKO_ERROR_*, or -1: none */
    const char *says; /* part of its text */
    int64_t ms;       /* deadline; 0: long */
} Row;

/* A peer's half line of 60 bytes; said for ever it is a line without an end. */
#define BYTES_60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const Row rows[] = {
    {"a command gets its answer",
     {READY, "<", ">{\"return\": {\"status\": \"running\"}, \"id\": 2}"},
     -1,
     NULL,
     0},
    {"an answer may come byte by byte",
     {"/{\"QMP\": {}}", "<", "/{\"return\": {}, \"id\": 1}", "<",
      "/{\"return\": {\"status\": \"running\"}, \"id\": 2}"},
     -1,
     NULL,
     0},
    {"an answer may come late",
     {READY, "<", "~30", ">{\"return\": {\"status\": \"running\"}, \"id\": 2}"},
     -1,
     NULL,
     0},
    {"events before an answer are no answer",
     {READY, "<", ">{\"event\": \"STOP\"}", ">{\"event\": \"RESUME\", \"data\": {}}",
      ">{\"return\": {\"status\": \"running\"}, \"id\": 2}"},
     -1,
     NULL,
     0},
    {"an answer to an earlier command is dropped",
     {READY, "<", ">{\"return\": {}, \"id\": 1}",
      ">{\"return\": {\"status\": \"running\"}, \"id\": 2}"},
     -1,
     NULL,
     0},
    {"a refusal is told in QEMU's words",
     {READY, "<",
      ">{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": 2}"},
     IREKO_ERROR_REMOTE,
     "no such thing",
     0},
    {"a refusal without a number is about the command",
     {READY, "<", ">{\"error\": {\"class\": \"GenericError\", \"desc\": \"cannot parse\"}}"},
     IREKO_ERROR_REMOTE,
     "cannot parse",
     0},
    {"a refusal's words are made safe",
     {READY, "<", ">{\"error\": {\"class\": \"G\", \"desc\": \"a\\u001b[2Jb\"}, \"id\": 2}"},
     IREKO_ERROR_REMOTE,
     "a\\x1b[2Jb",
     0},
    {"a peer that dies before it greets", {"="}, IREKO_ERROR_REMOTE, "hung up", 0},
    {"a peer that dies in the middle of a line",
     {READY, "<", "={\"return\": {\"sta"},
     IREKO_ERROR_REMOTE,
     "hung up",
     0},
    {"a peer that dies before the command", {READY}, IREKO_ERROR_REMOTE, "", 0},
    {"a peer that greets with babble", {">SSH-2.0-OpenSSH_9.2"}, IREKO_ERROR_REMOTE, "SSH-2.0", 0},
    {"a peer that greets with an answer",
     {">{\"return\": {}, \"id\": 1}"},
     IREKO_ERROR_REMOTE,
     "greet",
     0},
    {"a peer that babbles",
     {READY, "<", ">{]"},
     IREKO_ERROR_REMOTE,
     "expected a JSON object, got '{]'",
     0},
    {"a peer that says JSON that is no QMP",
     {READY, "<", ">{\"hello\": 1}"},
     IREKO_ERROR_REMOTE,
     "expected a message of QMP",
     0},
    {"a peer that greets again", {READY, "<", GREETING}, IREKO_ERROR_REMOTE, "second greeting", 0},
    {"a peer that answers what nobody asked",
     {READY, "<", ">{\"return\": {}, \"id\": 7}"},
     IREKO_ERROR_REMOTE,
     "nobody asked",
     0},
    {"a line without an end", {READY, "<", "#" BYTES_60}, IREKO_ERROR_REMOTE, "longer than", 0},
    {"a silent peer", {READY, "<", "|"}, IREKO_ERROR_TIMEOUT, "in time", 30},
    {"a peer that never greets", {"|"}, IREKO_ERROR_TIMEOUT, "in time", 30},
    {"a peer that talks for ever and never answers",
     {READY, "<", "#{\"event\": \"STOP\"}\n"},
     IREKO_ERROR_TIMEOUT,
     "in time",
     60},
    {"a peer that sends empty lines for ever",
     {READY, "<", "#\n\n\n\n\n\n\n\n\n\n"},
     IREKO_ERROR_TIMEOUT,
     "in time",
     60},
};

static void
test_row(const void *data)
{
    const Row *row = data;
    Peer peer = {.script = row->script};
    GThread *thread = NULL;
    g_autoptr(GError) error = NULL;
    int64_t ms = row->ms != 0 ? row->ms : 10000;
    IrekoDeadline deadline = ireko_deadline_in_ms(ms);

    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, ms, -1, &error);
    g_autoptr(json_t) answer =
        qmp == NULL ? NULL : ireko_qmp_execute(qmp, "query-status", NULL, deadline, &error);
    if (row->code < 0) {
        g_assert_no_error(error);
        g_assert_cmpstr(json_string_value(json_object_get(answer, "status")), ==, "running");
    } else {
        g_assert_error(error, IREKO_ERROR, row->code);
        g_assert_nonnull(strstr(error->message, row->says));
        g_assert_null(answer);
    }
    g_clear_pointer(&qmp, ireko_qmp_free);
    g_thread_join(thread);
}

static void
test_deep_nesting_is_babble(void)
{
    g_autoptr(GString) line = g_string_new(">{\"QMP\": ");
    for (int i = 0; i < 200000; i++)
        g_string_append_c(line, '[');
    const char *script[] = {line->str, NULL};
    Peer peer = {.script = script};
    GThread *thread = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, 10000, -1, &error);
    g_assert_null(qmp);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_thread_join(thread);
}

static void
test_a_broken_channel_stays_broken(void)
{
    const char *script[] = {READY, "<", ">nonsense", ">{\"return\": {}, \"id\": 3}", "|", NULL};
    Peer peer = {.script = script};
    GThread *thread = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, 10000, -1, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 2; i++) {
        g_clear_error(&error);
        g_assert_null(ireko_qmp_execute(qmp, "stop", NULL, IREKO_NO_DEADLINE, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
        g_assert_nonnull(strstr(error->message, "nonsense"));
    }
    g_clear_error(&error);
    g_assert_null(ireko_qmp_next_event(qmp, IREKO_NO_DEADLINE, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_clear_pointer(&qmp, ireko_qmp_free);
    g_thread_join(thread);
}

static void
test_after_a_timeout_the_late_answer_is_dropped(void)
{
    const char *script[] = {READY,
                            "<",
                            "<",
                            ">{\"return\": {\"n\": 2}, \"id\": 2}",
                            ">{\"return\": {\"n\": 3}, \"id\": 3}",
                            NULL};
    Peer peer = {.script = script};
    GThread *thread = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, 10000, -1, &error);
    g_assert_no_error(error);
    g_assert_null(ireko_qmp_execute(qmp, "stop", NULL, ireko_deadline_in_ms(10), &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TIMEOUT);
    g_clear_error(&error);
    g_autoptr(json_t) answer =
        ireko_qmp_execute(qmp, "cont", NULL, ireko_deadline_in_ms(10000), &error);
    g_assert_no_error(error);
    g_assert_cmpint(json_integer_value(json_object_get(answer, "n")), ==, 3);
    g_clear_pointer(&qmp, ireko_qmp_free);
    g_thread_join(thread);
}

static void
test_a_cancelled_wait_ends(void)
{
    const char *script[] = {"|", NULL};
    Peer peer = {.script = script};
    GThread *thread = NULL;
    int cancel[2];
    g_assert_no_errno(pipe(cancel));
    g_assert_cmpint(write(cancel[1], "x", 1), ==, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, 10000, cancel[0], &error);
    g_assert_null(qmp);
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_CANCELLED);
    g_thread_join(thread);
    (void)close(cancel[0]);
    (void)close(cancel[1]);
}

static void
test_events_are_kept_in_order(void)
{
    const char *script[] = {READY,
                            "<",
                            ">{\"event\": \"STOP\"}",
                            ">{\"return\": {}, \"id\": 2}",
                            ">{\"event\": \"RESUME\"}",
                            NULL};
    Peer peer = {.script = script};
    GThread *thread = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, 10000, -1, &error);
    IrekoDeadline deadline = ireko_deadline_in_ms(10000);
    g_autoptr(json_t) answer = ireko_qmp_execute(qmp, "stop", NULL, deadline, &error);
    g_assert_no_error(error);
    static const char *const want[] = {"STOP", "RESUME"};
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        g_autoptr(json_t) event = ireko_qmp_next_event(qmp, deadline, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(json_string_value(json_object_get(event, "event")), ==, want[i]);
    }
    g_assert_null(ireko_qmp_next_event(qmp, deadline, &error)); /* it hung up */
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_clear_pointer(&qmp, ireko_qmp_free);
    g_thread_join(thread);
}

static void
test_unread_events_are_bounded(void)
{
    g_autoptr(GString) events = g_string_new("=");
    for (unsigned i = 0; i < IREKO_QMP_EVENTS_MAX + 5; i++)
        g_string_append_printf(events, "{\"event\": \"E%u\"}\n", i);
    const char *script[] = {READY, "<", events->str, ">{\"return\": {}, \"id\": 2}", NULL};
    Peer peer = {.script = script};
    GThread *thread = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoQmp) qmp = open_to(&peer, &thread, 10000, -1, &error);
    IrekoDeadline deadline = ireko_deadline_in_ms(10000);
    g_autoptr(json_t) answer = ireko_qmp_execute(qmp, "stop", NULL, deadline, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(ireko_qmp_lost_events(qmp), ==, 5);
    g_autoptr(json_t) event = ireko_qmp_next_event(qmp, deadline, &error);
    g_assert_cmpstr(json_string_value(json_object_get(event, "event")), ==, "E5");
    g_clear_pointer(&qmp, ireko_qmp_free);
    g_thread_join(thread);
}

static void
test_arguments_reach_the_peer(void)
{
    int fds[2];
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    static const char said[] =
        "{\"QMP\": {}}\n{\"return\": {}, \"id\": 1}\n{\"return\": {}, \"id\": 2}\n";
    say(fds[1], said, strlen(said));
    g_autoptr(GError) error = NULL;
    IrekoDeadline deadline = ireko_deadline_in_ms(10000);
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(fds[0], -1, deadline, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) arguments = json_pack("{s:s}", "id", "scsi0:1");
    g_autoptr(json_t) answer = ireko_qmp_execute(qmp, "eject", arguments, deadline, &error);
    g_assert_no_error(error);

    hear_line(fds[1]);
    char heard[200] = "";
    g_assert_cmpint(read(fds[1], heard, sizeof heard - 1), >, 0);
    g_assert_cmpstr(heard, ==,
                    "{\"execute\":\"eject\",\"id\":2,\"arguments\":{\"id\":\"scsi0:1\"}}\n");
    (void)close(fds[1]);
}

static void
test_what_a_message_says(void)
{
    static const struct {
        const char *text;
        int kind; /* -1: no message */
        json_int_t id;
        const char *name;
    } messages[] = {
        {"{\"QMP\": {}}", IREKO_QMP_GREETING, -1, NULL},
        {"{\"QMP\": []}", -1, 0, NULL},
        {"{\"return\": {}, \"id\": 3}", IREKO_QMP_RETURN, 3, NULL},
        {"{\"return\": [], \"id\": 3}", IREKO_QMP_RETURN, 3, NULL},
        {"{\"return\": {}}", -1, 0, NULL},
        {"{\"return\": {}, \"id\": \"3\"}", -1, 0, NULL},
        {"{\"return\": {}, \"id\": -3}", -1, 0, NULL},
        {"{\"error\": {\"class\": \"C\", \"desc\": \"d\"}}", IREKO_QMP_ERROR, -1, "C"},
        {"{\"error\": {\"class\": \"C\"}, \"id\": 1}", -1, 0, NULL},
        {"{\"error\": \"no\", \"id\": 1}", -1, 0, NULL},
        {"{\"event\": \"STOP\"}", IREKO_QMP_EVENT, -1, "STOP"},
        {"{\"event\": 1}", -1, 0, NULL},
        {"{\"event\": \"STOP\", \"data\": 1}", -1, 0, NULL},
        {"{\"event\": \"STOP\", \"return\": {}, \"id\": 1}", -1, 0, NULL},
        {"{}", -1, 0, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
        g_autoptr(json_t) object = json_loads(messages[i].text, 0, NULL);
        g_autoptr(GError) error = NULL;
        IrekoQmpMessage m = {0};
        bool ok = ireko_qmp_decode(object, &m, &error);
        g_test_message("%s", messages[i].text);
        g_assert_cmpint(ok, ==, messages[i].kind >= 0);
        if (!ok) {
            g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
            continue;
        }
        g_assert_cmpint((int)m.kind, ==, messages[i].kind);
        g_assert_cmpint(m.id, ==, messages[i].id);
        g_assert_cmpstr(m.name, ==, messages[i].name);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/qmp/%s", rows[i].label);
        g_test_add_data_func(path, &rows[i], test_row);
    }
    g_test_add_func("/qmp/deep nesting is babble", test_deep_nesting_is_babble);
    g_test_add_func("/qmp/a broken channel stays broken", test_a_broken_channel_stays_broken);
    g_test_add_func("/qmp/after a timeout the late answer is dropped",
                    test_after_a_timeout_the_late_answer_is_dropped);
    g_test_add_func("/qmp/a cancelled wait ends", test_a_cancelled_wait_ends);
    g_test_add_func("/qmp/events are kept in order", test_events_are_kept_in_order);
    g_test_add_func("/qmp/unread events are bounded", test_unread_events_are_bounded);
    g_test_add_func("/qmp/arguments reach the peer", test_arguments_reach_the_peer);
    g_test_add_func("/qmp/what a message says", test_what_a_message_says);
    return g_test_run();
}
