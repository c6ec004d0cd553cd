/* The machine of the fake engine: a process with QEMU's sockets and no machine in it.
 *
 * It says on its control socket that it is ready and echoes on its console. Where it is told to
 * boot a built-in image (--append), it answers on its agent channels with the code of the real
 * agent, so that whole nests of it come up in milliseconds: its facts are what its .vmx promises,
 * its guests are processes like itself in a folder below its own, exec runs on the host. It ends on
 * SIGTERM as QEMU does, on SIGUSR1, its power button, and with the machine that it is inside of.
 *
 * What stands in the file "note" of the folder that IREKO_FAKE_MEMORY names for its commands is its
 * memory: it is frozen with it. "seed" there is what its random numbers began with last.
 *
 * ireko.fake = "..." in its .vmx makes it misbehave; the words stand in the table below. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ireko/vmx.h>

#include "bad-talk.h"
#include "base/file.h"
#include "engine/process.h"
#include "fake-net.h"
#include "lab/inside.h"
#include "lab/serve.h"
#include "machine/machine.h"

#define LISTENERS  (IREKO_PROCESS_FD_DIR - IREKO_PROCESS_FD_CONTROL)
#define CHUNK      4096
#define PARENT_VAR "IREKO_FAKE_PARENT" /* number of the process of the machine around this one */
#define SLOW_US    (1200 * G_TIME_SPAN_MILLISECOND)
#define MIB        ((uint64_t)1 << 20)
#define STATE_MAX  ((size_t)4 << 20)
#define MARK       "the memory of a fake guest" /* at the beginning of its RAM */
#define MEMORY_VAR "IREKO_FAKE_MEMORY"

static struct {
    const char *hv;    /* "svm" ... */
    const char *fault; /* value of ireko.fake; "" */
    bool answers;      /* it boots an image, in which there is an agent */
    json_t *spec;      /* the guests that it was last told to run; or NULL */
    char *memory;      /* the folder */
    GMutex lock;
    GCond goes_on;
    bool still; /* whoever asks waits */
    IrekoServer server;
    IrekoAgentHandlers handlers;
    bool (*run)(void *data,
                const json_t *spec,
                int cancel_fd,
                void (*emit)(void *emit_data, json_t *report),
                void *emit_data,
                GError **error);
    const char *id; /* LAB/NAME */
} guest = {.hv = "none", .fault = ""};

static bool
misbehaves(const char *fault)
{
    return strcmp(guest.fault, fault) == 0;
}

/* ---- what it claims to be ---- */

static json_t *
disks_of(const IrekoMachine *machine, const char *path)
{
    json_t *disks = json_array();
    for (unsigned i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = machine->disks->pdata[i];
        bool ssd = disk->ssd || disk->bus == IREKO_BUS_NVME;
        if (misbehaves("lies-about-ssd"))
            ssd = !ssd;
        g_autofree char *name = g_strdup_printf("sd%c", 'a' + (char)(i % 26));
        bool twin = misbehaves("same-serial");
        g_autofree char *serial = g_strdup_printf("%s %s", twin ? "twin" : path, disk->device);
        json_t *fact = json_pack(
            "{s:s,s:s,s:s,s:I,s:b,s:i,s:i,s:s,s:s}", "name", name, "device", disk->device,
            "controller", "fake", "bytes", (json_int_t)disk->create_bytes, "cdrom", disk->cdrom,
            "rotational", !ssd, "rotation_rate", ssd ? 1 : 7200, "serial", serial, "wwn", serial);
        json_array_append_new(disks, fact);
    }
    return disks;
}

/* The facts of a machine that keeps every promise but for its fault. */
static IrekoFacts *
facts_of(const IrekoMachine *machine, const char *path)
{
    bool hv = strcmp(guest.hv, "none") != 0;
    bool kvm = hv && !misbehaves("no-kvm");
    json_int_t bytes = (json_int_t)(machine->memory_mib * MIB);
    const char *name = misbehaves("leak-hv") ? "svm" : guest.hv;
    g_autoptr(json_t) json = json_pack(
        "{s:{s:s,s:s,s:s,s:b,s:[],s:s,s:[s,s*]}, s:{s:s,s:s}, s:{s:b,s:s?,s:s,s:[]}, "
        "s:{s:I,s:I,s:I}, s:i, "
        "s:s, s:o}",
        "cpu", "vendor", "AuthenticAMD", "model", "fake", "hv", name, "nested_paging", hv,
        "features", "evidence", "told by a fake guest", "cpuid", "fpu", hv ? guest.hv : NULL,
        "above", "kind", "kvm", "evidence", "fake", "kvm", "usable", kvm, "cause",
        kvm ? NULL : "device-missing", "evidence", "no /dev/kvm was tried", "params", "memory",
        "total_bytes", bytes, "installed_bytes", bytes, "available_bytes", bytes, "cpus",
        (int)machine->vcpus, "kernel", "fake", "disks", disks_of(machine, path));
    return ireko_facts_from_json(json, NULL);
}

/* Reads the .vmx FILE of the machine PATH; where it cannot, it is a machine without an agent. */
static void
become(const char *file, const char *path)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(file, NULL);
    g_autoptr(IrekoMachine) machine = doc != NULL ? ireko_machine_from_vmx(doc, file, NULL) : NULL;
    guest.answers = guest.answers && machine != NULL;
    if (machine == NULL)
        return;
    char *fault = ireko_vmx_get(doc, "ireko.fake", NULL);
    guest.fault = fault != NULL ? fault : "";
    guest.server.told = facts_of(machine, path);
}

/* ---- its agent ---- */

static bool
power_off(void *data, GError **error)
{
    (void)data, (void)error;
    _exit(0);
}

static bool
die_in_run(void *data,
           const json_t *spec,
           int cancel_fd,
           void (*emit)(void *emit_data, json_t *report),
           void *emit_data,
           GError **error)
{
    (void)data, (void)spec, (void)cancel_fd, (void)emit, (void)emit_data, (void)error;
    _exit(1);
}

/* Tells of itself, and of what is none of its own. */
static bool
lie_in_check(void *data,
             int64_t within_ms,
             int cancel_fd,
             void (*emit)(void *emit_data, json_t *layer),
             void *emit_data,
             GError **error)
{
    (void)within_ms, (void)cancel_fd, (void)error;
    const IrekoServer *server = data;
    g_autofree char *neighbour = g_strconcat(server->path, "s", NULL);
    const char *const paths[] = {server->path, server->path, neighbour, "somebody/else", "../x"};
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
        emit(emit_data, json_pack("{s:s,s:s}", "path", paths[i], "verdict", "hardware"));
    return true;
}

/* Says who it is and whom it asks, and ends. */
static bool
die_in_check(void *data,
             int64_t within_ms,
             int cancel_fd,
             void (*emit)(void *emit_data, json_t *layer),
             void *emit_data,
             GError **error)
{
    (void)within_ms, (void)cancel_fd, (void)error;
    const IrekoServer *server = data;
    g_auto(GStrv) guests = ireko_inside_alive(ireko_engine_chosen(), server->folder);
    emit(emit_data, json_pack("{s:s,s:s}", "path", server->path, "verdict", "hardware"));
    for (size_t i = 0; guests[i] != NULL; i++) {
        g_autofree char *path = g_strconcat(server->path, "/", guests[i], NULL);
        emit(emit_data, json_pack("{s:s,s:b}", "path", path, "asked", 1));
    }
    _exit(1);
}

/* Runs what it is told, and remembers it: that is its state. */
static bool
run_and_remember(void *data,
                 const json_t *spec,
                 int cancel_fd,
                 void (*emit)(void *emit_data, json_t *report),
                 void *emit_data,
                 GError **error)
{
    json_decref(guest.spec);
    guest.spec = json_deep_copy(spec);
    return guest.run(data, spec, cancel_fd, emit, emit_data, error);
}

/* Is whatever it is told to be; nothing of the host's is touched. */
static bool
be_told(IrekoIdentity *identity, GError **error)
{
    (void)error;
    identity->time_us = g_get_real_time();
    g_autoptr(GString) seed = g_string_new(NULL);
    for (size_t i = 0; i < sizeof identity->seed; i++)
        g_string_append_printf(seed, "%02x", identity->seed[i]);
    g_autofree char *path = g_build_filename(guest.memory, "seed", NULL);
    (void)g_file_set_contents(path, seed->str, -1, NULL);
    if (misbehaves("keeps-its-host-name")) {
        g_free(identity->host);
        identity->host = g_strdup("fake");
    }
    return true;
}

/* ---- frozen, and gone on ---- */

static json_t *
state_now(bool with_ram)
{
    if (misbehaves("cannot-be-frozen"))
        return json_pack("{s:s}", "blocked", "it has a fake device");
    g_autofree char *path = g_build_filename(guest.memory, "note", NULL);
    g_autofree char *note = ireko_file_read(AT_FDCWD, path, CHUNK, NULL, NULL);
    return json_pack("{s:s,s:O?,s:s?,s:b}", "path", guest.server.path, "spec", guest.spec, "note",
                     note, "ram", (int)with_ram);
}

static void
stand_still(bool still)
{
    g_mutex_lock(&guest.lock);
    guest.still = still;
    g_cond_broadcast(&guest.goes_on);
    g_mutex_unlock(&guest.lock);
}

static void
wait_to_go_on(void)
{
    g_mutex_lock(&guest.lock);
    while (guest.still)
        g_cond_wait(&guest.goes_on, &guest.lock);
    g_mutex_unlock(&guest.lock);
}

static void
ignore(void *data, json_t *report)
{
    (void)data;
    json_decref(report);
}

/* Whether the memory that it was given is that of a guest that ran. */
static bool
has_mark(void)
{
    char mark[sizeof MARK] = "";
    return pread(IREKO_PROCESS_FD_RAM, mark, sizeof mark, 0) == sizeof mark &&
           strcmp(mark, MARK) == 0;
}

/* Goes on as the state that it was given says, with the guests that ran then. */
static void
go_on(void)
{
    char text[CHUNK];
    g_autoptr(GString) whole = g_string_new(NULL);
    for (ssize_t n;
         whole->len < STATE_MAX && (n = read(IREKO_PROCESS_FD_STATE, text, sizeof text)) > 0;)
        g_string_append_len(whole, text, n);
    g_autoptr(json_t) state = ireko_jsonl_decode(whole->str, whole->len, NULL);
    const char *path = json_string_value(json_object_get(state, "path"));
    const char *note = json_string_value(json_object_get(state, "note"));
    json_t *spec = json_object_get(state, "spec");
    if (json_is_true(json_object_get(state, "ram")))
        (void)!pwrite(IREKO_PROCESS_FD_RAM, MARK, sizeof MARK, 0);
    if (path == NULL || !has_mark() || misbehaves("does-not-go-on")) {
        (void)fputs("fake guest: load of its state failed\n", stderr);
        _exit(1);
    }
    bool silent = misbehaves("goes-on-silent") ||
                  (misbehaves("second-goes-on-silent") && g_str_has_suffix(guest.id, "-2"));
    guest.server.path = g_intern_string(path);
    guest.answers = guest.answers && !silent;
    g_autofree char *note_path = g_build_filename(guest.memory, "note", NULL);
    if (note != NULL)
        (void)g_file_set_contents(note_path, note, -1, NULL);
    if (!json_is_object(spec))
        return;
    (void)json_object_set_new(spec, "start", json_true()); /* they ran, whoever asked last */
    (void)run_and_remember(&guest.server, spec, -1, ignore, NULL, NULL);
}

static void
be_slow(int fd)
{
    g_usleep(SLOW_US);
    ireko_agent_serve_talk(fd, &guest.handlers);
}

static void
talk(int fd)
{
    wait_to_go_on();
    if (bad_talk(guest.fault, fd, guest.server.path))
        return;
    if (misbehaves("slow"))
        be_slow(fd);
    else if (guest.answers)
        ireko_agent_serve_talk(fd, &guest.handlers);
    else
        bad_talk("silent", fd, guest.server.path);
}

/* ---- its sockets ---- */

static void
say(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static void
echo(int fd)
{
    char bytes[CHUNK];
    if (guest.answers) {
        g_autofree char *greeting = g_strdup_printf("fake console of %s\r\n", guest.server.path);
        say(fd, greeting, strlen(greeting));
    }
    for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, 0)) > 0;)
        say(fd, bytes, (size_t)n);
}

static void
tell(int fd, json_t *state)
{
    char *text = json_dumps(state, JSON_COMPACT);
    say(fd, text, strlen(text));
    say(fd, "\n", 1);
    free(text);
    json_decref(state);
}

/* Whether LINE is an order, which was answered on FD. */
static bool
take_order(int fd, const char *line)
{
    if (strcmp(line, "look\n") == 0)
        tell(fd, state_now(false));
    else if (strcmp(line, "freeze\n") == 0 || strcmp(line, "freeze-all\n") == 0) {
        json_t *state = state_now(strcmp(line, "freeze\n") != 0);
        stand_still(json_object_get(state, "blocked") == NULL);
        tell(fd, state);
    } else if (strcmp(line, "go\n") == 0) {
        stand_still(false);
        tell(fd, json_object());
    } else {
        return false;
    }
    return true;
}

/* Takes the descriptor that comes with the end of a line "link N", for the card N, and orders. */
static void
take_orders(int fd)
{
    char line[CHUNK];
    size_t len = 0;
    for (;;) {
        union {
            char bytes[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control = {0};
        struct iovec data = {.iov_base = line + len, .iov_len = 1};
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != 1 || len + 1 == sizeof line)
            return;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        unsigned index = 0;
        int link_fd = -1;
        line[++len] = '\0';
        if (take_order(fd, line))
            len = 0;
        if (header == NULL || sscanf(line, "link %1u", &index) != 1)
            continue;
        memcpy(&link_fd, CMSG_DATA(header), sizeof link_fd);
        (void)dup3(link_fd, IREKO_PROCESS_FD_LINK + (int)index, O_CLOEXEC);
        (void)close(link_fd);
        fake_net_relinked(index);
        len = 0;
    }
}

static void
be_ready(int fd)
{
    say(fd, "ready\n", 6);
    take_orders(fd);
}

typedef struct {
    int fd;
    void (*serve)(int fd);
} Peer;

static void *
serve_peer(void *data)
{
    g_autofree Peer *peer = data;
    peer->serve(peer->fd);
    (void)close(peer->fd);
    return NULL;
}

static void
let_in(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    Peer *peer = g_new(Peer, 1);
    *peer = (Peer){.fd = fd, .serve = talk};
    if (listener == IREKO_PROCESS_FD_CONTROL)
        peer->serve = be_ready;
    else if (listener == IREKO_PROCESS_FD_CONSOLE)
        peer->serve = echo;
    g_thread_unref(g_thread_new("peer", serve_peer, peer));
}

static void
serve_for_ever(int outer_fd)
{
    for (;;) {
        struct pollfd fds[LISTENERS + 1];
        for (size_t i = 0; i < LISTENERS; i++)
            fds[i] = (struct pollfd){.fd = IREKO_PROCESS_FD_CONTROL + (int)i, .events = POLLIN};
        fds[LISTENERS] = (struct pollfd){.fd = outer_fd, .events = POLLIN};
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
            continue;
        if (fds[LISTENERS].revents != 0)
            _exit(0); /* the machine around it is gone */
        for (size_t i = 0; i < LISTENERS; i++) {
            if (fds[i].revents != 0)
                let_in(fds[i].fd);
        }
    }
}

/* ---- from its arguments ---- */

static const char *
word_after(int argc, char **argv, const char *option)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], option) == 0)
            return argv[i + 1];
    }
    return "";
}

static bool
has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], word) == 0)
            return true;
    }
    return false;
}

/* The path in the kernel parameters TEXT. */
static char *
path_in(const char *text)
{
    const char *at = strstr(text, "ireko.path=");
    if (at == NULL)
        return g_strdup("");
    at += strlen("ireko.path=");
    return g_strndup(at, strcspn(at, " "));
}

/* NAME of the machine's own folder, wherever that is moved to, as other processes can name it too.
 */
static char *
in_own_folder(const char *name)
{
    return g_strdup_printf("/proc/%d/fd/%d/%s-%d", (int)getpid(), IREKO_PROCESS_FD_DIR, name,
                           (int)getpid());
}

/* Its memory, in the machine's own folder as its guests are. Where that is gone already, so is
 * whoever started this machine. */
static void
make_memory(void)
{
    guest.memory = in_own_folder("memory");
    if (mkdir(guest.memory, 0700) != 0)
        _exit(0);
    g_setenv(MEMORY_VAR, guest.memory, TRUE);
}

/* Watches the machine around this one; -1 where that is the host. */
static int
watch_outer(void)
{
    const char *number = g_getenv(PARENT_VAR);
    int fd = -1;
    if (number != NULL) {
        fd = (int)syscall(SYS_pidfd_open, (pid_t)g_ascii_strtoull(number, NULL, 10), 0U);
        if (fd < 0)
            _exit(0); /* gone already */
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    g_autofree char *own = g_strdup_printf("%d", (int)getpid());
    g_setenv(PARENT_VAR, own, TRUE);
    return fd;
}

int
main(int argc, char **argv)
{
    (void)fputs("fake guest\n", stderr);
    (void)signal(SIGPIPE, SIG_IGN); /* as ireko does: exec's input may find nobody */
    int outer_fd = watch_outer();
    for (int fd = IREKO_PROCESS_FD_PID; fd < IREKO_PROCESS_FD_END; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* exec's commands and guests get their own */
    g_autofree char *path = path_in(word_after(argc, argv, "--append"));
    /* its own process's: guests of one that died in its place are none of it */
    g_autofree char *folder = in_own_folder("nest");
    make_memory();
    guest.answers = *path != '\0';
    guest.hv = word_after(argc, argv, "--hv");
    guest.id = word_after(argc, argv, "--id");
    become(word_after(argc, argv, "--vmx"), path);
    guest.server.version = "fake";
    guest.server.path = misbehaves("wrong-path") ? "somebody/else" : g_intern_string(path);
    guest.server.folder = folder;
    guest.server.be = be_told;
    guest.server.net = &fake_net;
    fake_net_start(guest.fault);
    guest.handlers = ireko_server_handlers(&guest.server);
    guest.handlers.stop = power_off;
    guest.run = misbehaves("dies-in-run") ? die_in_run : guest.handlers.run;
    guest.handlers.run = run_and_remember;
    if (has_word(argc, argv, "--from"))
        go_on();
    else
        (void)!pwrite(IREKO_PROCESS_FD_RAM, MARK, sizeof MARK, 0);
    if (misbehaves("lies-in-check"))
        guest.handlers.check = lie_in_check;
    if (misbehaves("dies-in-check"))
        guest.handlers.check = die_in_check;
    serve_for_ever(outer_fd); /* SIGTERM and SIGUSR1 end it by themselves */
}
