/* Fuzz target: whatever line an agent answers with, it is a report, facts, a layer or an error;
 * what was taken is written and read again as the same. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "base/jsonl.h"
#include "host/facts.h"
#include "host/inner.h"
#include "nest/nest.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
assert_refused(GError **error)
{
    g_assert_error(*error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_assert_true(g_utf8_validate((*error)->message, -1, NULL));
    g_assert_null(strpbrk((*error)->message, "\n\r\x1b"));
    g_clear_error(error);
}

static void
take_report(const json_t *object)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoReport) report = ireko_report_from_json(object, &error);
    if (report == NULL) {
        assert_refused(&error);
        return;
    }
    g_autoptr(json_t) first = ireko_report_to_json(report);
    g_autoptr(IrekoReport) again = ireko_report_from_json(first, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) second = ireko_report_to_json(again);
    g_assert_true(json_equal(first, second));
}

static void
take_facts(const json_t *object)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) facts = ireko_facts_from_json(object, &error);
    if (facts == NULL) {
        assert_refused(&error);
        return;
    }
    g_autoptr(json_t) first = ireko_facts_to_json(facts);
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(first, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) second = ireko_facts_to_json(again);
    g_assert_true(json_equal(first, second));
}

static void
take_layer(const json_t *object)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoInner) inner = ireko_inner_from_json(object, &error);
    if (inner == NULL) {
        assert_refused(&error);
        return;
    }
    g_autoptr(json_t) first = ireko_inner_to_json(inner);
    g_autoptr(IrekoInner) again = ireko_inner_from_json(first, &error);
    g_assert_no_error(error);
    g_autoptr(json_t) second = ireko_inner_to_json(again);
    g_assert_true(json_equal(first, second));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) message = ireko_jsonl_decode((const char *)data, size, &error);
    if (message == NULL) {
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
        return 0;
    }
    take_report(json_object_get(message, "report"));
    take_facts(json_object_get(message, "facts"));
    take_layer(json_object_get(message, "layer"));
    return 0;
}
