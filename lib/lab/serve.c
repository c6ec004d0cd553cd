/* lab/serve.c - the agent: what this layer does when the one around it asks. */
#include "lab/serve.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <ireko/lab.h>

#include "base/file.h"
#include "base/text.h"
#include "lab/clone/become.h"
#include "lab/clone/merge.h"
#include "lab/end.h"
#include "lab/inside.h"
#include "lab/layer.h"
#include "lab/network/interfaces.h"
#include "lab/network/netorder.h"
#include "lab/network/packets.h"
#include "lab/spec.h"

#define CMDLINE_MAX ((size_t)64 << 10)
#define PATH_OPTION "ireko.path="

/* Facts that talks go on with while others read them anew: counted. */
typedef struct {
    IrekoFacts *read;
    const IrekoFacts *facts; /* READ, or what was told to the server */
} Facts;

static void
clear_facts(void *data)
{
    Facts *facts = data;
    ireko_facts_free(facts->read);
}

static void
facts_release(Facts *facts)
{
    if (facts != NULL)
        g_atomic_rc_box_release_full(facts, clear_facts);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Facts, facts_release)

/* What this machine offers, as it is now, or (not ANEW) as it was when it was last read; NULL with
 * an error. */
static Facts *
facts_of(IrekoServer *server, bool anew, GError **error)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->lock);
    if (server->facts == NULL || anew) {
        IrekoFacts *read = server->told == NULL ? ireko_facts_here(error) : NULL;
        if (server->told == NULL && read == NULL)
            return NULL;
        facts_release(server->facts);
        Facts *facts = g_atomic_rc_box_new0(Facts);
        facts->read = read;
        facts->facts = read != NULL ? read : server->told;
        server->facts = facts;
    }
    return g_atomic_rc_box_acquire(server->facts);
}

/* Where the path stands, as clang wants it for the atomic functions: they take no const. */
static char **
path_place(const IrekoServer *server)
{
    return (char **)(uintptr_t)&server->path;
}

static const char *
path_of(const IrekoServer *server)
{
    return g_atomic_pointer_get(path_place(server));
}

static const char *
tell_path(void *data)
{
    return path_of(data);
}

/* An order about the layer's network: one of an exchange of frames, or about its cards. */
static json_t *
obey_network(void *data, const json_t *order, int cancel_fd, GError **error)
{
    IrekoServer *server = data;
    if (server->net == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "this machine leaves its network alone");
        return NULL;
    }
    if (json_object_get(order, "do") == NULL)
        return ireko_netorder_obey(order, server->net->cards, error);
    const IrekoGuests guests = {.engine = ireko_engine_chosen(),
                                .folder = server->folder,
                                .path = path_of(server),
                                .cancel_fd = cancel_fd};
    server->part.wire = server->net->wire;
    return ireko_exchange_obey(&server->part, &guests, order, error);
}

static json_t *
give_facts(void *data, GError **error)
{
    g_autoptr(Facts) facts = facts_of(data, true, error);
    return facts != NULL ? ireko_facts_to_json(facts->facts) : NULL;
}

typedef struct {
    void (*emit)(void *data, json_t *object);
    void *data;
} Outlet;

static void
send_layer(void *data, IrekoInner *inner)
{
    const Outlet *outlet = data;
    g_autoptr(IrekoInner) owned = inner;
    outlet->emit(outlet->data, ireko_inner_to_json(owned));
}

static void *
ask_inside(void *data)
{
    ireko_inside_ask(data);
    return NULL;
}

/* The layers inside are asked while this one looks at itself, which takes time that is theirs. */
static bool
check_layers(void *data,
             int64_t within_ms,
             int cancel_fd,
             void (*emit)(void *emit_data, json_t *layer),
             void *emit_data,
             GError **error)
{
    const IrekoServer *server = data;
    Outlet outlet = {.emit = emit, .data = emit_data};
    IrekoInside inside = {
        .engine = ireko_engine_chosen(),
        .folder = server->folder,
        .path = path_of(server),
        .until = ireko_deadline_in_ms(within_ms),
        .cancel_fd = cancel_fd,
        .take = send_layer,
        .data = &outlet,
    };
    GThread *asking = g_thread_new("inside", ask_inside, &inside);
    const IrekoCheckOrder order = {.cache = server->folder};
    g_autoptr(IrekoVerdict) verdict = ireko_check(&order, error);
    if (verdict != NULL)
        send_layer(&outlet, ireko_inner_of(inside.path, verdict));
    (void)g_thread_join(asking);
    return verdict != NULL;
}

static void
send_report(void *data, const IrekoReport *report)
{
    const Outlet *outlet = data;
    outlet->emit(outlet->data, ireko_report_to_json(report));
}

static bool
run_guests(void *data,
           const json_t *object,
           int cancel_fd,
           void (*emit)(void *emit_data, json_t *report),
           void *emit_data,
           GError **error)
{
    IrekoServer *server = data;
    g_autoptr(IrekoLayerSpec) spec = ireko_spec_from_json(object, error);
    g_autoptr(Facts) facts = spec != NULL ? facts_of(server, false, error) : NULL;
    if (facts == NULL)
        return false;
    Outlet outlet = {.emit = emit, .data = emit_data};
    const IrekoLayer layer = {
        .engine = ireko_engine_chosen(),
        .path = spec->self->path,
        .level = spec->self->level,
        .self = spec->self->machine,
        .facts = facts->facts,
        .accel = IREKO_ACCEL_KVM,
        .folder = server->folder,
        .link = server->net != NULL ? server->net->link : NULL,
        .id = spec->id,
        .pace = spec->pace,
        .start = spec->start,
        .cancel_fd = cancel_fd,
        .report = send_report,
        .data = &outlet,
    };
    if (spec->start)
        g_mutex_lock(&server->starting);
    ireko_layer_run(&layer, spec->self->guests);
    if (spec->start)
        g_mutex_unlock(&server->starting);
    return true;
}

/* The folder of the guest NAME; free with g_free. */
static char *
guest_folder(const IrekoServer *server, const char *name, GError **error)
{
    if (ireko_text_is_name(name))
        return g_build_filename(server->folder, name, NULL);
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                        "that is not the name of a machine");
    return NULL;
}

static int
connect_guest(void *data, const char *name, const char *channel, int *ret_hold, GError **error)
{
    g_autofree char *folder = guest_folder(data, name, error);
    if (folder == NULL)
        return -1;
    const IrekoEngine *engine = ireko_engine_chosen();
    if (strcmp(channel, "agent") == 0)
        return ireko_port_connect(engine, folder, ret_hold, error);
    g_autoptr(IrekoVm) vm = ireko_vm_attach(engine, folder, error);
    return vm != NULL ? ireko_vm_connect(vm, channel, error) : -1;
}

static bool
end_guest(void *data, const char *name, int64_t wait_ms, GError **error)
{
    const IrekoServer *server = data;
    g_autofree char *folder = guest_folder(server, name, error);
    g_autofree char *path = g_strdup_printf("%s/%s", path_of(server), name);
    const IrekoEnding ending = {
        .path = path, .until = ireko_deadline_in_ms(wait_ms), .cancel_fd = -1};
    g_autoptr(IrekoVm) vm =
        folder != NULL ? ireko_vm_attach(ireko_engine_chosen(), folder, error) : NULL;
    return vm != NULL && ireko_machine_end(folder, &ending, error);
}

static void
set_unsettled(IrekoServer *server)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->settling);
    server->unsettled = true;
}

/* From here on this layer is another machine: its path, and facts that may differ. What was said of
 * the one before is left where it is, since a talk may be about it. */
static char *
take_identity(void *data, const char *order, void **held, GError **error)
{
    IrekoServer *server = data;
    const char *guests = NULL;
    g_autoptr(IrekoIdentity) identity = ireko_identity_order_from_text(order, &guests, error);
    if (identity == NULL)
        return NULL;
    const char *path = g_intern_string(identity->path); /* the one that it is to be */
    bool stays = identity->machine_id == NULL;
    g_autoptr(GString) inside = g_string_sized_new(strlen(guests) + 1);
    if (!server->be(identity, error) ||
        !ireko_identity_hand_on(guests, path, server->folder, (GHashTable **)held, inside, error))
        return NULL;
    if (identity->uplinks != NULL && server->net != NULL)
        identity->interfaces = server->net->cards(identity->cards, identity->uplinks, true, NULL);
    g_autoptr(GString) answer = g_string_sized_new(strlen(order) + 1); /* as long, about */
    ireko_identity_answer_to_text(identity, answer);
    g_string_append_len(answer, inside->str, (gssize)inside->len);
    g_atomic_pointer_set(path_place(server), (char *)(uintptr_t)path);
    if (!stays && strchr(path, '/') == NULL)
        set_unsettled(server); /* a guest's disks are still the ones they were */
    return g_string_free(g_steal_pointer(&answer), FALSE);
}

/* Whoever is to see this machine next finds its disks as they are, and need not wait for that to
 * hear who it is. */
static void
settle(void *data, void *held)
{
    IrekoServer *server = data;
    GHashTable *lines = held;
    g_clear_pointer(&lines, g_hash_table_unref);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&server->settling);
    if (server->unsettled && server->rescan != NULL)
        server->rescan();
    server->unsettled = false;
}

static void
merge_pages(void *data)
{
    const IrekoServer *server = data;
    if (server->merge != NULL)
        server->merge();
}

static bool
power_off(void *data, GError **error)
{
    (void)data;
    sync();
    if (kill(1, SIGTERM) == 0)
        return true;
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_IO, "cannot tell init to power off");
    return false;
}

char *
ireko_serve_own_path(void)
{
    char *given = ireko_file_read(AT_FDCWD, IREKO_BECOME_PATH, CMDLINE_MAX, NULL, NULL);
    if (given != NULL)
        return g_strchomp(given);
    g_autofree char *line = ireko_file_read(AT_FDCWD, "/proc/cmdline", CMDLINE_MAX, NULL, NULL);
    g_auto(GStrv) words = g_strsplit(line != NULL ? g_strstrip(line) : "", " ", -1);
    for (size_t i = 0; words[i] != NULL; i++) {
        if (g_str_has_prefix(words[i], PATH_OPTION))
            return g_strdup(words[i] + strlen(PATH_OPTION));
    }
    return g_strdup("");
}

IrekoAgentHandlers
ireko_server_handlers(IrekoServer *server)
{
    return (IrekoAgentHandlers){
        .version = server->version,
        .path = tell_path,
        .facts = give_facts,
        .identity = take_identity,
        .settle = settle,
        .merge = merge_pages,
        .network = obey_network,
        .check = check_layers,
        .run = run_guests,
        .connect = connect_guest,
        .stop = power_off,
        .end = end_guest,
        .data = server,
    };
}

static int
link_guest(const IrekoLayer *layer, const IrekoNode *node, const IrekoCard *card, GError **error)
{
    (void)layer;
    return ireko_interfaces_tap(node->name, card, error);
}

static const IrekoServerNet own_net = {
    .link = link_guest,
    .cards = ireko_netorder_set,
    .wire = &ireko_wire_packets,
};

bool
ireko_lab_serve_agent(const char *version, GError **error)
{
    g_autofree char *path = ireko_serve_own_path();
    IrekoServer server = {.version = version,
                          .path = g_intern_string(path),
                          .folder = IREKO_SERVE_FOLDER,
                          .be = ireko_become,
                          .rescan = ireko_become_rescan,
                          .merge = ireko_merge_pages,
                          .net = &own_net};
    ireko_become_born(path);
    const IrekoAgentHandlers handlers = ireko_server_handlers(&server);
    return ireko_agent_serve_ports(IREKO_ENGINE_PORT_NAME, &handlers, error);
}
