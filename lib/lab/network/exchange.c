/* lab/network/exchange.c - a layer's part in an exchange of frames. */
#include "lab/network/exchange.h"

#include <string.h>

#include <ireko/report.h>

#include "agent/agent.h"
#include "base/json.h"
#include "base/text.h"
#include "lab/inside.h"
#include "lab/layer.h"

#define WITHIN_MAX_MS     600000
#define SHARE_NUMERATOR   3 /* of a layer's time, for the layers inside it (lab/inside.c) */
#define SHARE_DENOMINATOR 4
#define BURST             16 /* frames, after which the cards' queues may empty */
#define BURST_US          2000
#define LOOK_US           2000
#define DO_MAX            16
#define WHY_MAX           1024

struct IrekoExchange {
    IrekoProbePlan *plan;
    IrekoProbeLog *log;
    GMutex lock;
    const IrekoWire *wire;
    void *listening;
};

void
ireko_exchange_free(IrekoExchange *exchange)
{
    if (exchange == NULL)
        return;
    if (exchange->listening != NULL)
        exchange->wire->end(exchange->listening);
    ireko_probe_log_free(exchange->log);
    ireko_probe_plan_free(exchange->plan);
    g_mutex_clear(&exchange->lock);
    g_free(exchange);
}

void
ireko_exchange_note(
    IrekoExchange *exchange, const char *label, bool out, const uint8_t *data, size_t len)
{
    int number = ireko_probe_read(exchange->plan, data, len);
    if (number < 0)
        return;
    g_mutex_lock(&exchange->lock);
    ireko_probe_log_add(exchange->log, label, out, (unsigned)number);
    g_mutex_unlock(&exchange->lock);
}

/* ---- this layer ---- */

static bool
begin(IrekoPart *part, const json_t *order, GError **error)
{
    ireko_exchange_free(g_steal_pointer(&part->now));
    IrekoProbePlan *plan = ireko_probe_plan_from_json(json_object_get(order, "plan"), error);
    if (plan == NULL)
        return false;
    IrekoExchange *exchange = g_new0(IrekoExchange, 1);
    g_mutex_init(&exchange->lock);
    exchange->plan = plan;
    exchange->log = ireko_probe_log_new(plan);
    exchange->wire = part->wire;
    exchange->listening = part->wire->listen(exchange, error);
    if (exchange->listening == NULL) {
        ireko_exchange_free(exchange);
        return false;
    }
    part->now = exchange;
    return true;
}

/* The card of the plan that the frame is sent from, where it is the machine PATH's, or NULL. */
static const IrekoProbeCard *
own_sender(const IrekoExchange *exchange, const char *path, unsigned number)
{
    const IrekoProbe *frame = &g_array_index(exchange->plan->frames, IrekoProbe, number);
    const IrekoProbeCard *card = g_ptr_array_index(exchange->plan->cards, frame->from);
    return strcmp(card->path, path) == 0 ? card : NULL;
}

static bool
send_own(IrekoExchange *exchange, const char *path, const uint8_t *set, GError **error)
{
    uint8_t frame[IREKO_PROBE_MTU];
    unsigned sent = 0;
    for (unsigned i = 0; i < exchange->plan->frames->len; i++) {
        const IrekoProbeCard *card =
            ireko_probe_set_has(set, i) ? own_sender(exchange, path, i) : NULL;
        if (card == NULL)
            continue;
        size_t len = ireko_probe_write(exchange->plan, i, frame);
        if (!exchange->wire->send(exchange->listening, card->index, frame, len, error))
            return false;
        if (++sent % BURST == 0)
            g_usleep(BURST_US);
    }
    return true;
}

/* Whether all of SET that are for a card of the machine PATH have come to it. */
static bool
has_all(IrekoExchange *exchange, const char *path, const uint8_t *set)
{
    const IrekoProbePlan *plan = exchange->plan;
    bool all = true;
    g_mutex_lock(&exchange->lock);
    for (unsigned k = 0; all && k < plan->cards->len; k++) {
        const IrekoProbeCard *card = g_ptr_array_index(plan->cards, k);
        if (strcmp(card->path, path) != 0)
            continue;
        g_autofree char *top = ireko_probe_top(card);
        for (unsigned i = 0; all && i < plan->frames->len; i++)
            all = !ireko_probe_set_has(set, i) || !ireko_probe_is_for(plan, i, k) ||
                  ireko_probe_log_has(exchange->log, top, false, i);
    }
    g_mutex_unlock(&exchange->lock);
    return all;
}

/* Sends, waits, and returns what passed. */
static json_t *
send_and_tell(IrekoExchange *exchange,
              const char *path,
              const json_t *order,
              IrekoDeadline until,
              GError **error)
{
    const char *text = json_string_value(json_object_get(order, "frames"));
    g_autofree uint8_t *set = ireko_probe_set_from_text(exchange->plan, text, error);
    if (set == NULL || !send_own(exchange, path, set, error))
        return NULL;
    json_int_t wait_ms = json_integer_value(json_object_get(order, "wait_ms"));
    until = MIN(until, ireko_deadline_in_ms(CLAMP(wait_ms, 0, WITHIN_MAX_MS)));
    while (!has_all(exchange, path, set) && g_get_monotonic_time() < until)
        g_usleep(LOOK_US);
    g_mutex_lock(&exchange->lock);
    json_t *log = ireko_probe_log_to_json(exchange->log);
    g_mutex_unlock(&exchange->lock);
    return log;
}

/* What this layer alone has to say to ORDER; NULL with an error where it cannot. */
static json_t *
play(IrekoPart *part,
     const char *path,
     const char *what,
     const json_t *order,
     IrekoDeadline until,
     GError **error)
{
    if (part->wire == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "this machine sends no frames");
        return NULL;
    }
    if (strcmp(what, "listen") == 0)
        return begin(part, order, error) ? json_object() : NULL;
    json_int_t token = json_integer_value(json_object_get(order, "token"));
    if (part->now == NULL || (json_int_t)part->now->plan->token != token) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_STATE,
                            "no such exchange was begun here, or another one since");
        return NULL;
    }
    if (strcmp(what, "send") == 0)
        return send_and_tell(part->now, path, order, until, error);
    ireko_exchange_free(g_steal_pointer(&part->now));
    return json_object();
}

/* ---- the guests ---- */

typedef struct {
    const IrekoGuests *guests;
    const json_t *order; /* what they are told */
    IrekoDeadline deadline;
    char *name, *path;
    json_t *seen, *silent; /* of all; under LOCK */
    GMutex *lock;
} Ask;

/* Whether PATH is the guest's own or of a layer inside it. */
static bool
is_below(const char *path, const char *own)
{
    size_t len = strlen(own);
    return strncmp(path, own, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static void
take_over(Ask *ask, const char *field, const json_t *answer, json_t *into)
{
    const json_t *object = json_object_get(answer, field);
    void *iter = json_object_iter((json_t *)(uintptr_t)object);
    for (; iter != NULL; iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
        const char *path = json_object_iter_key(iter);
        if (is_below(path, ask->path) && json_object_size(into) < IREKO_TREE_MACHINES_MAX)
            (void)json_object_set(into, path, json_object_iter_value(iter));
    }
}

static json_t *
ask_guest(const Ask *ask, GError **error)
{
    const IrekoGuests *guests = ask->guests;
    g_autofree char *folder = g_build_filename(guests->folder, ask->name, NULL);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(guests->engine, folder, &hold, error);
    g_autoptr(IrekoAgent) agent =
        fd >= 0 ? ireko_agent_hello(fd, ask->path, ask->deadline, guests->cancel_fd, error) : NULL;
    return agent != NULL ? ireko_agent_network(agent, ask->order, ask->deadline, error) : NULL;
}

static void *
run_ask(void *data)
{
    Ask *ask = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) answer = ask_guest(ask, &error);
    g_mutex_lock(ask->lock);
    take_over(ask, "seen", answer, ask->seen);
    take_over(ask, "silent", answer, ask->silent);
    if (answer == NULL)
        (void)json_object_set_new(ask->silent, ask->path,
                                  ireko_json_clipped(error->message, WHY_MAX));
    g_mutex_unlock(ask->lock);
    g_free(ask->name);
    g_free(ask->path);
    g_free(ask);
    return NULL;
}

/* All the guests, each on a thread. */
typedef struct {
    GPtrArray *threads;
    json_t *order, *seen, *silent;
    GMutex lock;
} Crowd;

static void
crowd_begin(Crowd *crowd, const IrekoGuests *guests, const json_t *order, int64_t within_ms)
{
    crowd->threads = g_ptr_array_new();
    crowd->seen = json_object();
    crowd->silent = json_object();
    crowd->order = json_copy((json_t *)(uintptr_t)order);
    (void)json_object_set_new(crowd->order, "within_ms",
                              json_integer(within_ms * SHARE_NUMERATOR / SHARE_DENOMINATOR));
    g_auto(GStrv) names = ireko_inside_alive(guests->engine, guests->folder);
    for (size_t i = 0; names[i] != NULL; i++) {
        if (guests->has_agent != NULL && !guests->has_agent(guests->data, names[i]))
            continue;
        Ask *ask = g_new0(Ask, 1);
        *ask = (Ask){.guests = guests,
                     .order = crowd->order,
                     .deadline = ireko_deadline_in_ms(within_ms),
                     .name = g_strdup(names[i]),
                     .path = *guests->path != '\0' ? g_strconcat(guests->path, "/", names[i], NULL)
                                                   : g_strdup(names[i]),
                     .seen = crowd->seen,
                     .silent = crowd->silent,
                     .lock = &crowd->lock};
        g_ptr_array_add(crowd->threads, g_thread_new("frames", run_ask, ask));
    }
}

static json_t *
crowd_end(Crowd *crowd)
{
    for (unsigned i = 0; i < crowd->threads->len; i++)
        (void)g_thread_join(crowd->threads->pdata[i]);
    g_ptr_array_unref(crowd->threads);
    json_decref(crowd->order);
    return json_pack("{s:o,s:o}", "seen", crowd->seen, "silent", crowd->silent);
}

static int64_t
time_of(const json_t *order)
{
    return CLAMP(json_integer_value(json_object_get(order, "within_ms")), 0, WITHIN_MAX_MS);
}

json_t *
ireko_exchange_ask(const IrekoGuests *guests, const json_t *order)
{
    Crowd crowd = {0};
    crowd_begin(&crowd, guests, order, time_of(order));
    return crowd_end(&crowd);
}

json_t *
ireko_exchange_obey(IrekoPart *part, const IrekoGuests *guests, const json_t *order, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(order, "order");
    g_autofree char *what = ireko_json_text(&reader, "do", DO_MAX);
    int64_t within_ms = (int64_t)ireko_json_count(&reader, "within_ms", WITHIN_MAX_MS);
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    g_mutex_lock(&part->lock);
    Crowd crowd = {0};
    g_autoptr(GError) why = NULL;
    IrekoDeadline until = ireko_deadline_in_ms(within_ms * SHARE_NUMERATOR / SHARE_DENOMINATOR);
    crowd_begin(&crowd, guests, order, within_ms);
    json_t *own = play(part, guests->path, what, order, until, &why);
    json_t *answer = crowd_end(&crowd);
    if (own != NULL)
        (void)json_object_set_new(json_object_get(answer, "seen"), guests->path, own);
    else
        (void)json_object_set_new(json_object_get(answer, "silent"), guests->path,
                                  ireko_json_clipped(why->message, WHY_MAX));
    g_mutex_unlock(&part->lock);
    return answer;
}
