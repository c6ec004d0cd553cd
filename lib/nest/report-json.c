/* nest/report-json.c - a report as one entry of "machines" of ireko.nest/1, and back.
 *
 * A check's values are texts here and are carried as what they mean: true, false, whole numbers.
 * Only a number that is written as JSON writes it becomes one, so that it comes back the same.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "nest/parts.h"

#define TEXT_MAX       1024 /* bytes of a text */
#define MESSAGE_MAX    4096
#define CONSOLE_MAX    ((size_t)64 << 10)
#define WORD_MAX       32
#define PATH_MAX_BYTES (IREKO_PATH_DEPTH_MAX * 65) /* a segment has 64 bytes at most */
#define DIGITS_MAX     18                          /* of a number that any JSON reader can hold */
#define SECONDS_MAX    1e9

static json_t *
text_or_null(const char *text)
{
    return ireko_json_clipped(text, TEXT_MAX);
}

static bool
is_whole_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= DIGITS_MAX && text[digits] == '\0' &&
           (text[0] != '0' || digits == 1);
}

static json_t *
value_json(const char *value)
{
    if (value == NULL)
        return json_null();
    if (strcmp(value, "true") == 0)
        return json_true();
    if (strcmp(value, "false") == 0)
        return json_false();
    if (is_whole_number(value))
        return json_integer((json_int_t)g_ascii_strtoull(value, NULL, 10));
    return text_or_null(value);
}

static json_t *
seconds_json(double seconds)
{
    return seconds >= 0 ? json_real(seconds) : json_null();
}

static json_t *
check_json(const IrekoCheck *check)
{
    json_t *object = json_pack("{s:o}", "what", text_or_null(check->what));
    if (check->device != NULL)
        (void)json_object_set_new(object, "device", text_or_null(check->device));
    (void)json_object_set_new(object, "promised", value_json(check->promised));
    (void)json_object_set_new(object, "seen", value_json(check->seen));
    (void)json_object_set_new(object, "ok", json_boolean(check->ok));
    (void)json_object_set_new(object, "evidence", text_or_null(check->evidence));
    (void)json_object_set_new(object, "cause", text_or_null(check->cause));
    (void)json_object_set_new(object, "fix", text_or_null(check->fix));
    return object;
}

static json_t *
lost_json(const GPtrArray *lost)
{
    json_t *list = json_array();
    for (guint i = 0; i < lost->len; i++) {
        const IrekoLoss *loss = g_ptr_array_index(lost, i);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s}", "name", loss->name, "by", loss->by));
    }
    return list;
}

json_t *
ireko_report_to_json(const IrekoReport *report)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "path", text_or_null(report->path));
    (void)json_object_set_new(object, "level", json_integer(report->level));
    (void)json_object_set_new(object, "state", json_string(ireko_state_name(report->state)));
    (void)json_object_set_new(object, "origin", text_or_null(report->origin));
    (void)json_object_set_new(object, "accel", text_or_null(report->accel));
    (void)json_object_set_new(object, "ready_seconds", seconds_json(report->ready_seconds));
    (void)json_object_set_new(object, "proven_seconds", seconds_json(report->proven_seconds));
    (void)json_object_set_new(object, "message", ireko_json_clipped(report->message, MESSAGE_MAX));
    (void)json_object_set_new(object, "console", ireko_json_clipped(report->console, CONSOLE_MAX));

    json_t *checks = json_array();
    for (guint i = 0; i < report->checks->len; i++)
        (void)json_array_append_new(checks, check_json(g_ptr_array_index(report->checks, i)));
    (void)json_object_set_new(object, "checks", checks);
    (void)json_object_set_new(object, "features_lost", lost_json(report->lost));
    (void)json_object_set_new(object, "addresses", ireko_addresses_to_json(report->addresses));
    return object;
}

/* A text, or what true, false and numbers are as texts; NULL where the field is null or absent. */
static char *
take_value(IrekoJsonReader *reader, const char *key)
{
    const json_t *value = json_object_get(reader->object, key);
    if (json_is_boolean(value))
        return g_strdup(ireko_bool_name(json_is_true(value)));
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return ireko_json_text_or_null(reader, key, TEXT_MAX);
}

static char *
take_word_or_null(IrekoJsonReader *reader, const char *key, const char *allowed)
{
    char *word = ireko_json_text_or_null(reader, key, WORD_MAX);
    if (word == NULL || (*word != '\0' && word[strspn(word, allowed)] == '\0'))
        return word;
    ireko_json_reader_fail(reader, key, "a word");
    g_free(word);
    return NULL;
}

static double
take_seconds(IrekoJsonReader *reader, const char *key)
{
    const json_t *value = json_object_get(reader->object, key);
    if (value == NULL || json_is_null(value))
        return -1;
    double seconds = json_is_number(value) ? json_number_value(value) : -1;
    if (isfinite(seconds) && seconds >= 0 && seconds <= SECONDS_MAX)
        return seconds;
    ireko_json_reader_fail(reader, key, "a number of seconds");
    return -1;
}

static IrekoState
take_state(IrekoJsonReader *reader)
{
    g_autofree char *name = ireko_json_text(reader, "state", WORD_MAX);
    for (int state = IREKO_STATE_DEFINED; state <= IREKO_STATE_STOPPED; state++) {
        if (g_strcmp0(name, ireko_state_name((IrekoState)state)) == 0)
            return (IrekoState)state;
    }
    ireko_json_reader_fail(reader, "state", "a state");
    return IREKO_STATE_FAILED;
}

static IrekoCheck *
take_check(const json_t *object, GError **error)
{
    static const char cause_letters[] = "abcdefghijklmnopqrstuvwxyz-";
    static const char what_letters[] = "abcdefghijklmnopqrstuvwxyz.-_";
    static const char device_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789:";
    IrekoJsonReader reader = ireko_json_reader(object, "check");
    g_autoptr(IrekoCheck) check = g_new0(IrekoCheck, 1);
    check->what = take_word_or_null(&reader, "what", what_letters);
    if (check->what == NULL)
        ireko_json_reader_fail(&reader, "what", "there");
    check->device = take_word_or_null(&reader, "device", device_letters);
    check->promised = take_value(&reader, "promised");
    check->seen = take_value(&reader, "seen");
    check->ok = ireko_json_bool(&reader, "ok");
    check->evidence = ireko_json_text_or_null(&reader, "evidence", TEXT_MAX);
    check->cause = take_word_or_null(&reader, "cause", cause_letters);
    if (check->ok != (check->cause == NULL))
        ireko_json_reader_fail(&reader, "cause", "there exactly where the check is not ok");
    check->fix = ireko_json_text_or_null(&reader, "fix", TEXT_MAX);
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    return g_steal_pointer(&check);
}

static bool
take_checks(const json_t *list, IrekoReport *report, GError **error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        IrekoCheck *check = take_check(json_array_get(list, i), error);
        if (check == NULL)
            return false;
        g_ptr_array_add(report->checks, check);
    }
    return true;
}

static bool
take_lost(const json_t *list, IrekoReport *report, GError **error)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    for (size_t i = 0; i < json_array_size(list); i++) {
        IrekoJsonReader reader = ireko_json_reader(json_array_get(list, i), "lost feature");
        g_autofree char *name = take_word_or_null(&reader, "name", letters);
        g_autofree char *by = take_word_or_null(&reader, "by", letters);
        if (name == NULL || by == NULL)
            ireko_json_reader_fail(&reader, name == NULL ? "name" : "by", "there");
        if (!ireko_json_reader_end(&reader, error))
            return false;
        g_ptr_array_add(report->lost, ireko_loss_new(name, by));
    }
    return true;
}

IrekoReport *
ireko_report_from_json(const json_t *object, GError **error)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
    IrekoJsonReader reader = ireko_json_reader(object, "report");
    g_autofree char *path = ireko_json_text(&reader, "path", PATH_MAX_BYTES);
    if (path != NULL && !ireko_text_is_path(path, IREKO_PATH_DEPTH_MAX))
        ireko_json_reader_fail(&reader, "path", "a machine's path");
    unsigned level = (unsigned)ireko_json_count(&reader, "level", IREKO_PATH_DEPTH_MAX);

    g_autoptr(IrekoReport) report = ireko_report_new(path, level);
    report->state = take_state(&reader);
    g_free(report->origin);
    report->origin = take_word_or_null(&reader, "origin", letters);
    report->accel = take_word_or_null(&reader, "accel", letters);
    report->ready_seconds = take_seconds(&reader, "ready_seconds");
    report->proven_seconds = take_seconds(&reader, "proven_seconds");
    report->message = ireko_json_lines_or_null(&reader, "message", MESSAGE_MAX);
    report->console = ireko_json_lines_or_null(&reader, "console", CONSOLE_MAX);
    const json_t *checks = ireko_json_list(&reader, "checks", IREKO_REPORT_CHECKS_MAX);
    const json_t *lost = ireko_json_list(&reader, "features_lost", IREKO_REPORT_LOST_MAX);
    const json_t *addresses = ireko_json_list(&reader, "addresses", IREKO_REPORT_CARDS_MAX);
    if (!ireko_json_reader_end(&reader, error) || !take_checks(checks, report, error) ||
        !take_lost(lost, report, error) ||
        !ireko_addresses_take(report->addresses, addresses, error))
        return NULL;
    return g_steal_pointer(&report);
}
