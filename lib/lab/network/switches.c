/* lab/network/switches.c - the lab's switches, started, found, plugged into, asked, ended. */
#include "lab/network/switches.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ireko/lab.h>

#include "base/file.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "engine/process.h"
#include "lab/network/cards.h"
#include "lan/switch.h"

#define NET_FOLDER ".net" /* no machine is called so */
#define PORTS      "ports"
#define END_MS     5000
#define STATUS_MS  2000
#define PLUG_MS    5000
#define HASH_SHOWN 16

/* The folder of a switch. A network may be called what no folder can be called. */
static char *
folder_of(const char *folder, const char *network)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, network, -1);
    g_autofree char *hashed = g_strdup_printf("by-hash.%.*s", HASH_SHOWN, hash);
    return g_build_filename(folder, NET_FOLDER, ireko_text_is_name(network) ? network : hashed,
                            NULL);
}

static int
open_folder(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        ireko_error_from_errno(error, errno, "cannot open the folder of a switch '%s'", path);
    return fd;
}

/* ---- starting ---- */

static bool
start_switch(const char *path, const char *program, const char *title, GError **error)
{
    IREKO_AUTOFD dir_fd = ireko_file_make_folder(path, error) ? open_folder(path, error) : -1;
    if (dir_fd < 0)
        return false;
    g_autoptr(IrekoProcess) running = ireko_process_attach(dir_fd, NULL);
    if (running != NULL)
        return true;
    IREKO_AUTOFD lock_fd = ireko_process_claim(dir_fd, error);
    IREKO_AUTOFD ports_fd = lock_fd < 0 ? -1 : ireko_fd_listen_packets_at(dir_fd, PORTS, error);
    if (ports_fd < 0)
        return false;
    int links[IREKO_PROCESS_LINKS] = {ports_fd, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    const IrekoProcessGift gift = {.ram_fd = -1, .state_fd = -1, .link_fds = links};
    g_autofree char *verb = g_strdup("switch");
    g_autofree char *name = g_strdup(title);
    g_autofree char *file = g_strdup(program);
    char *argv[] = {file, verb, name, NULL};
    g_autoptr(IrekoProcess) process =
        ireko_process_start(argv, path, dir_fd, ireko_fd_steal(&lock_fd), &gift, error);
    return process != NULL;
}

bool
ireko_switches_start(const char *folder,
                     const char *program,
                     const char *lab,
                     const GPtrArray *nodes,
                     GError **error)
{
    g_autoptr(GPtrArray) networks = ireko_cards_networks(nodes);
    for (unsigned i = 0; i < networks->len; i++) {
        const char *network = networks->pdata[i];
        g_autofree char *path = folder_of(folder, network);
        g_autofree char *title = g_strconcat(lab, "/", network, NULL);
        if (!start_switch(path, program, title, error)) {
            g_prefix_error(error, "the switch of the network '%s': ", network);
            return false;
        }
    }
    return true;
}

/* The process that ireko_switches_start starts. */
bool
ireko_lab_serve_switch(GError **error)
{
    GError *why = NULL;
    ireko_switch_serve(IREKO_PROCESS_FD_LINK, IREKO_PROCESS_FD_CONTROL, &why);
    g_propagate_error(error, why);
    return false;
}

/* ---- of one that runs ---- */

static char *
label_of(const char *path, unsigned index)
{
    return g_strdup_printf("%s ethernet%u", path, index);
}

int
ireko_switch_plug(
    const char *folder, const char *network, const char *path, unsigned index, GError **error)
{
    g_autofree char *where = folder_of(folder, network);
    g_autofree char *label = label_of(path, index);
    IREKO_AUTOFD dir_fd = open_folder(where, error);
    IREKO_AUTOFD fd = dir_fd < 0 ? -1 : ireko_fd_connect_packets_at(dir_fd, PORTS, error);
    if (fd < 0) {
        g_prefix_error(error, "the switch of the network '%s': ", network);
        return -1;
    }
    char answer[sizeof IREKO_SWITCH_ANSWER];
    if (send(fd, label, strlen(label), MSG_NOSIGNAL) == (ssize_t)strlen(label) &&
        ireko_fd_wait(fd, POLLIN, ireko_deadline_in_ms(PLUG_MS), -1, NULL) &&
        recv(fd, answer, sizeof answer, 0) == (ssize_t)strlen(IREKO_SWITCH_ANSWER))
        return ireko_fd_steal(&fd);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "the switch of the network '%s' does not answer", network);
    return -1;
}

json_t *
ireko_switch_status(const char *folder, const char *network, GError **error)
{
    g_autofree char *where = folder_of(folder, network);
    IREKO_AUTOFD dir_fd = open_folder(where, error);
    int fd = dir_fd < 0 ? -1 : ireko_fd_connect_at(dir_fd, "qmp", error);
    if (fd < 0)
        return NULL;
    IrekoJsonl *channel = ireko_jsonl_new(fd, -1);
    json_t *status = ireko_jsonl_receive(channel, ireko_deadline_in_ms(STATUS_MS), error);
    ireko_jsonl_free(channel);
    return status;
}

const json_t *
ireko_switch_port(const json_t *status, const char *path, unsigned index)
{
    g_autofree char *label = label_of(path, index);
    size_t i;
    const json_t *port;
    json_array_foreach(json_object_get(status, "ports"), i, port)
    {
        if (g_strcmp0(json_string_value(json_object_get(port, "label")), label) == 0)
            return port;
    }
    return NULL;
}

/* ---- ending ---- */

static bool
end_switch(const char *path, GError **error)
{
    IREKO_AUTOFD dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(IrekoProcess) process = dir_fd < 0 ? NULL : ireko_process_attach(dir_fd, NULL);
    return process == NULL || (ireko_process_signal(process, SIGKILL, error) &&
                               ireko_process_wait(process, ireko_deadline_in_ms(END_MS), error));
}

bool
ireko_switches_end(const char *folder, GError **error)
{
    g_autofree char *net = g_build_filename(folder, NET_FOLDER, NULL);
    g_autoptr(GDir) dir = g_dir_open(net, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(net, name, NULL);
        if (!end_switch(path, error)) {
            g_prefix_error(error, "the switch '%s': ", path);
            return false;
        }
    }
    return true;
}
