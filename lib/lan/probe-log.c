/* lan/probe-log.c - which frame of an exchange passed which interface. */
#include <string.h>

#include <ireko/text.h>

#include "base/json.h"
#include "lan/probe.h"

#define LABEL_MAX      128
#define INTERFACES_MAX 512 /* of one machine: the taps of 256 guests, its cards, bridges */

typedef struct {
    uint8_t *in, *out; /* a bit a frame */
} Passed;

struct IrekoProbeLog {
    const IrekoProbePlan *plan;
    GHashTable *interfaces; /* label -> Passed */
};

static size_t
bytes_of(const IrekoProbePlan *plan)
{
    return (plan->frames->len + 7) / 8;
}

uint8_t *
ireko_probe_set_new(const IrekoProbePlan *plan)
{
    return g_malloc0(bytes_of(plan) + 1);
}

char *
ireko_probe_set_to_text(const IrekoProbePlan *plan, const uint8_t *set)
{
    return g_base64_encode(set, bytes_of(plan));
}

uint8_t *
ireko_probe_set_from_text(const IrekoProbePlan *plan, const char *text, GError **error)
{
    gsize len = 0;
    g_autofree uint8_t *set = text != NULL ? g_base64_decode(text, &len) : NULL;
    if (set == NULL || len != bytes_of(plan)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                            "a set of frames is not of this plan");
        return NULL;
    }
    uint8_t *whole = ireko_probe_set_new(plan);
    memcpy(whole, set, len);
    return whole;
}

static void
free_passed(void *data)
{
    Passed *passed = data;
    g_free(passed->in);
    g_free(passed->out);
    g_free(passed);
}

IrekoProbeLog *
ireko_probe_log_new(const IrekoProbePlan *plan)
{
    IrekoProbeLog *log = g_new0(IrekoProbeLog, 1);
    log->plan = plan;
    log->interfaces = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_passed);
    return log;
}

void
ireko_probe_log_free(IrekoProbeLog *log)
{
    if (log == NULL)
        return;
    g_hash_table_unref(log->interfaces);
    g_free(log);
}

void
ireko_probe_log_add(IrekoProbeLog *log, const char *label, bool out, unsigned number)
{
    Passed *passed = g_hash_table_lookup(log->interfaces, label);
    if (passed == NULL) {
        if (g_hash_table_size(log->interfaces) >= INTERFACES_MAX)
            return;
        passed = g_new0(Passed, 1);
        passed->in = ireko_probe_set_new(log->plan);
        passed->out = ireko_probe_set_new(log->plan);
        g_hash_table_insert(log->interfaces, g_strdup(label), passed);
    }
    ireko_probe_set_add(out ? passed->out : passed->in, number);
}

bool
ireko_probe_log_has(const IrekoProbeLog *log, const char *label, bool out, unsigned number)
{
    const Passed *passed = g_hash_table_lookup(log->interfaces, label);
    return passed != NULL && ireko_probe_set_has(out ? passed->out : passed->in, number);
}

json_t *
ireko_probe_log_to_json(const IrekoProbeLog *log)
{
    json_t *object = json_object();
    GHashTableIter each;
    gpointer label = NULL, value = NULL;
    g_hash_table_iter_init(&each, log->interfaces);
    while (g_hash_table_iter_next(&each, &label, &value)) {
        const Passed *passed = value;
        g_autofree char *in = ireko_probe_set_to_text(log->plan, passed->in);
        g_autofree char *out = ireko_probe_set_to_text(log->plan, passed->out);
        g_autofree char *safe = ireko_text_safe(label, strnlen(label, LABEL_MAX));
        (void)json_object_set_new(object, safe, json_pack("{s:s,s:s}", "in", in, "out", out));
    }
    return object;
}

static Passed *
passed_from_json(const IrekoProbePlan *plan, const json_t *object, GError **error)
{
    Passed *passed = g_new0(Passed, 1);
    const char *in = json_string_value(json_object_get(object, "in"));
    const char *out = json_string_value(json_object_get(object, "out"));
    passed->in = ireko_probe_set_from_text(plan, in, error);
    passed->out = passed->in != NULL ? ireko_probe_set_from_text(plan, out, error) : NULL;
    if (passed->out != NULL)
        return passed;
    free_passed(passed);
    return NULL;
}

IrekoProbeLog *
ireko_probe_log_from_json(const IrekoProbePlan *plan, const json_t *object, GError **error)
{
    if (!json_is_object(object) || json_object_size(object) > INTERFACES_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                    "a machine tells of up to %d interfaces, as an object", INTERFACES_MAX);
        return NULL;
    }
    g_autoptr(IrekoProbeLog) log = ireko_probe_log_new(plan);
    void *iter = json_object_iter((json_t *)(uintptr_t)object);
    for (; iter != NULL; iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
        Passed *passed = passed_from_json(plan, json_object_iter_value(iter), error);
        if (passed == NULL)
            return NULL;
        const char *key = json_object_iter_key(iter);
        g_hash_table_replace(log->interfaces, ireko_text_safe(key, strnlen(key, LABEL_MAX)),
                             passed);
    }
    return g_steal_pointer(&log);
}
