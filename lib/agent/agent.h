/* agent/agent.h - talking with the ireko inside a machine.
 *
 * The talk runs over a virtio-serial port, as JSON objects one a line. It begins with a
 * handshake - {"hello":2,"nonce":N,"hello-to":P} answered by
 * {"hello":2,"nonce":N,"version":V,"path":P}, P the machine's path - and then holds one request at
 * a time:
 *
 *     {"op":"facts"}                      {"facts":{...}}
 *     {"op":"run","spec":{...}}           {"report":{...}} ... {"done":true}
 *     {"op":"network","order":{...}}      {"network":{...}}
 *     {"op":"check","within_ms":N}        {"layer":{...}} ... {"done":true}
 *     {"op":"exec","argv":[...]}          {"out":BASE64}, {"err":BASE64} ... {"exit":N}
 *         while it runs: {"in":BASE64}, {"eof":true}
 *     {"op":"merge"}                      {"done":true}
 *     {"op":"stop"}                       {"done":true}, then the machine powers itself off
 *     {"op":"end","guest":NAME,"ms":N}    {"done":true} once the guest is gone; it has N ms to go
 *                                         by itself
 *     {"op":"relay","to":NAME}            {"done":true}, then bytes to and from the agent of a
 * guest
 *     {"op":"console","of":NAME}          {"done":true}, then bytes to and from a guest's console
 *
 *     identity ORDER                      identity ANSWER    words, not JSON (lab/clone/identity.h)
 *
 * or {"error":{"code":C,"message":M}}. A relay knows nothing of what it carries, so a talk goes
 * through any number of layers and each layer's agent is the same - with one exception: a machine
 * that has not noticed the end of a talk (a port whose host hangs up and comes back at once looks
 * as if nothing had been) still carries bytes when the next one begins, and must not pass on a
 * hello that is for itself. Both sides distrust the other: lines, counts and times are limited. */
#pragma once

#include <jansson.h>

#include <ireko/error.h>

#include "base/jsonl.h"

G_BEGIN_DECLS

#define IREKO_AGENT_PROTOCOL 2
#define IREKO_AGENT_CHUNK    ((size_t)32 << 10) /* bytes of a piece of exec's input and output */
#define IREKO_AGENT_ARGV_MAX 1024
#define IREKO_AGENT_WAIT_MAX ((int64_t)24 * 3600 * 1000) /* ms that a guest may take to end */
#define IREKO_AGENT_CHECK_MS 600000                      /* the longest that a check may be given */

/* ---- host side: one talk ---- */

typedef struct IrekoAgent IrekoAgent;

/* Begins a talk over FD, which it owns from here: says hello until DEADLINE (the agent may not have
 * started yet) and checks protocol and, where PATH is not NULL, that the machine there has this
 * path. IREKO_ERROR_UNSUPPORTED where the agent speaks another protocol. */
IrekoAgent *
ireko_agent_hello(int fd, const char *path, IrekoDeadline deadline, int cancel_fd, GError **error);

/* A talk over FD, which it owns from here, that the machine there is in the middle of: it was
 * frozen in it, and waits for the next request. */
IrekoAgent *
ireko_agent_go_on(int fd, int cancel_fd);

void
ireko_agent_free(IrekoAgent *agent); /* ends the talk; NULL is fine */

/* The facts of the machine, as lib/host wrote them; a new reference. */
json_t *
ireko_agent_facts(IrekoAgent *agent, IrekoDeadline deadline, GError **error);

/* Has the machine do what ORDER says about its network (lab/network/netorder.h,
 * lab/network/exchange.h) and returns what it answers, a new reference. */
json_t *
ireko_agent_network(IrekoAgent *agent, const json_t *order, IrekoDeadline deadline, GError **error);

/* Called for each report (or layer); what it points to lives until it returns. */
typedef void (*IrekoAgentReportFunc)(void *data, const json_t *report);

/* Has the machine, a clone, become the one that ORDER describes (lab/clone/identity.h), with all
 * its guests; returns the words of what was read back inside each, free with g_free. */
char *
ireko_agent_identity(IrekoAgent *agent, const char *order, IrekoDeadline deadline, GError **error);

/* Has the machine keep pages of its guests that hold the same as one (lab/clone/merge.h). */
bool
ireko_agent_merge(IrekoAgent *agent, IrekoDeadline deadline, GError **error);

/* Has the machine check itself and the layers inside it (host/inner.h); it is told to be done
 * WITHIN_MS. False where it was not by DEADLINE: FUNC has had what came. */
bool
ireko_agent_check(IrekoAgent *agent,
                  int64_t within_ms,
                  IrekoDeadline deadline,
                  IrekoAgentReportFunc func,
                  void *data,
                  GError **error);

/* Has the machine run the guests that SPEC describes (lib/lab's); returns when every one is
 * settled. SILENCE_MS is how long it may say nothing. */
bool
ireko_agent_run(IrekoAgent *agent,
                const json_t *spec,
                int64_t silence_ms,
                IrekoAgentReportFunc func,
                void *data,
                GError **error);

/* Runs ARGV there with this process's standard input, output and error given as FDS (fds[0] may be
 * -1). Returns its exit status, 128 + N where signal N ended it, or -1 with an error. */
int
ireko_agent_exec(IrekoAgent *agent, const char *const *argv, const int fds[3], GError **error);

/* Asks the machine to power itself off. */
bool
ireko_agent_stop(IrekoAgent *agent, IrekoDeadline deadline, GError **error);

/* Has the machine end its guest NAME, which gets WAIT_MS to shut down by itself, and returns when
 * it is gone. */
bool
ireko_agent_end(IrekoAgent *agent, const char *name, int64_t wait_ms, GError **error);

/* Goes on to the agent of the guest NAME of this machine, whose path is PATH; AGENT is used up. */
IrekoAgent *
ireko_agent_relay(
    IrekoAgent *agent, const char *name, const char *path, IrekoDeadline deadline, GError **error);

/* Turns the talk into the console of the guest NAME; AGENT is used up. Returns a descriptor, -1
 * with an error. */
int
ireko_agent_console(IrekoAgent *agent, const char *name, IrekoDeadline deadline, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoAgent, ireko_agent_free)

/* ---- guest side ---- */

/* What a machine does when it is asked; each is called on the thread of the talk, with a CANCEL_FD
 * that becomes readable when the host hangs up. */
typedef struct {
    const char *version;
    const char *(*path)(void *data); /* the machine's, now; a text that stays where it is */
    json_t *(*facts)(void *data, GError **error);
    /* Does what ORDER says and returns what is to be answered. NULL: the machine has no say. */
    json_t *(*network)(void *data, const json_t *order, int cancel_fd, GError **error);
    /* Becomes the machine that ORDER describes, and so do its guests; returns the words for what
     * it is then, freed with g_free. HELD, NULL at first, is what this talk holds on to until it is
     * over. */
    char *(*identity)(void *data, const char *order, void **held, GError **error);
    /* Does what a new identity has left for later: before any other request is obeyed, and when a
     * talk is over. Lets go of HELD, which may be NULL. NULL: there is nothing to do. */
    void (*settle)(void *data, void *held);
    /* Keeps pages of its guests that hold the same as one. */
    void (*merge)(void *data);
    /* Checks itself and the layers inside, all within WITHIN_MS; EMIT as below. */
    bool (*check)(void *data,
                  int64_t within_ms,
                  int cancel_fd,
                  void (*emit)(void *emit_data, json_t *layer),
                  void *emit_data,
                  GError **error);
    /* Runs the guests of SPEC; hands each report (stolen) to EMIT(EMIT_DATA), from any thread. */
    bool (*run)(void *data,
                const json_t *spec,
                int cancel_fd,
                void (*emit)(void *emit_data, json_t *report),
                void *emit_data,
                GError **error);
    /* Connects to CHANNEL ("agent" or "console") of the guest NAME; a descriptor or -1. RET_HOLD
     * may be set to another that is closed after it. */
    int (*connect)(
        void *data, const char *name, const char *channel, int *ret_hold, GError **error);
    bool (*stop)(void *data, GError **error);
    /* Ends the guest NAME, which has WAIT_MS to go by itself. */
    bool (*end)(void *data, const char *name, int64_t wait_ms, GError **error);
    void *data;
} IrekoAgentHandlers;

/* Holds one talk over FD, until the other side hangs up. FD stays the caller's. */
void
ireko_agent_serve_talk(int fd, const IrekoAgentHandlers *handlers);

/* Serves every port of the machine below ROOT ("/" but in tests) that is named
 * PREFIX.N, each on a thread, for ever. False where there is none. */
bool
ireko_agent_serve_ports(const char *prefix, const IrekoAgentHandlers *handlers, GError **error);

/* ---- both ---- */

/* Carries bytes between A and B until either hangs up, CANCEL_FD (-1: none) is readable, or what
 * comes from A holds the text UNTIL (NULL: none). */
void
ireko_agent_splice(int a, int b, int cancel_fd, const char *until);

G_END_DECLS
