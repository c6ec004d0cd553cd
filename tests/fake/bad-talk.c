/* bad-talk.c - an agent that does everything wrong. */
#include "bad-talk.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/jsonl.h"

#define CHUNK 4096

static void
babble(int fd, const char *own_path)
{
    (void)own_path;
    while (send(fd, "{\"once\": \"upon a time\"}\n(", 25, MSG_NOSIGNAL) > 0)
        continue;
}

static void
drone(int fd, const char *own_path)
{
    (void)own_path;
    while (send(fd, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, MSG_NOSIGNAL) > 0)
        continue;
}

static void
hear_only(int fd, const char *own_path)
{
    (void)own_path;
    char bytes[CHUNK];
    while (recv(fd, bytes, sizeof bytes, 0) > 0)
        continue;
}

/* Answers the hello on FD with PROTOCOL, as JSON that is otherwise right. */
static void
answer_hello(int fd, int protocol, const char *own_path)
{
    g_autoptr(IrekoJsonl) channel = ireko_jsonl_new(dup(fd), -1);
    g_autoptr(json_t) hello = ireko_jsonl_receive(channel, IREKO_NO_DEADLINE, NULL);
    g_autoptr(json_t) answer =
        json_pack("{s:i,s:O?,s:s,s:s}", "hello", protocol, "nonce", json_object_get(hello, "nonce"),
                  "version", "fake", "path", own_path);
    (void)ireko_jsonl_send(channel, answer, IREKO_NO_DEADLINE, NULL);
}

static void
speak_wrong_protocol(int fd, const char *own_path)
{
    answer_hello(fd, IREKO_AGENT_PROTOCOL + 1, own_path);
    hear_only(fd, own_path);
}

static void
die(int fd, const char *own_path)
{
    (void)own_path;
    (void)fd;
    (void)fputs("fake guest: dies as it was told\n", stderr);
    _exit(1);
}

static void
die_after_hello(int fd, const char *own_path)
{
    answer_hello(fd, IREKO_AGENT_PROTOCOL, own_path);
    die(fd, own_path);
}

static const struct {
    const char *fault;
    void (*talk)(int fd, const char *own_path);
} talks[] = {
    {"silent", hear_only}, {"die-before-hello", die}, {"die-after-hello", die_after_hello},
    {"babble", babble},    {"endless-line", drone},   {"wrong-protocol", speak_wrong_protocol},
};

bool
bad_talk(const char *fault, int fd, const char *own_path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(talks); i++) {
        if (strcmp(talks[i].fault, fault) == 0) {
            talks[i].talk(fd, own_path);
            return true;
        }
    }
    return false;
}
