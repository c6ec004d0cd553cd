/* tests/unit/test-inner.c - what layers inside say of themselves, and liars among them. */
#include <string.h>

#include <ireko/report.h>

#include "base/json.h"
#include "host/inner.h"
#include "host/judge.h"

#define CHECK "\"verdict\":\"hardware\""

static const struct {
    const char *label, *json;
    const char *error; /* NULL: it is one */
    const char *word, *cause, *link, *evidence;
    int levels;
} rows[] = {
    {"a layer that runs nests",
     "{\"path\":\"a/b\",\"verdict\":\"hardware\",\"cause\":null,\"levels_below\":2,\"links\":[]}",
     NULL, "hardware", NULL, NULL, NULL, 2},
    {"the first broken link is named",
     "{\"path\":\"a\",\"verdict\":\"none\",\"cause\":\"vhv-off\",\"levels_below\":0,\"links\":["
     "{\"link\":\"cpu\",\"state\":\"ok\",\"evidence\":\"x\"},"
     "{\"link\":\"module\",\"state\":\"broken\",\"evidence\":\"y\"},"
     "{\"link\":\"probe\",\"state\":\"broken\",\"evidence\":\"z\"}]}",
     NULL, "none", "vhv-off", "module", "y", 0},
    {"a layer that says hardly anything", "{\"path\":\"a\",\"verdict\":\"none\"}", NULL, "none",
     NULL, NULL, NULL, 0},
    {"a number of levels that no nest has", "{\"path\":\"a\"," CHECK ",\"levels_below\":123456789}",
     NULL, "hardware", NULL, NULL, NULL, 16},
    {"a link without a name is passed over",
     "{\"path\":\"a\"," CHECK ",\"links\":[{\"state\":\"broken\"},7]}", NULL, "hardware", NULL,
     NULL, NULL, 0},
    {"escapes lose their power",
     "{\"path\":\"a\"," CHECK ",\"links\":[{\"link\":\"cpu\",\"state\":\"broken\","
     "\"evidence\":\"\\u001b[2J\\nx\\u009b\"}]}",
     NULL, "hardware", NULL, "cpu", "\\x1b[2J x\\xc2\\x9b", 0},
    {"no path", "{" CHECK "}", "field 'path'", NULL, NULL, NULL, NULL, 0},
    {"a path that leaves its folder", "{\"path\":\"a/../b\"," CHECK "}", "field 'path'", NULL, NULL,
     NULL, NULL, 0},
    {"seventeen levels", "{\"path\":\"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a\"," CHECK "}",
     "field 'path'", NULL, NULL, NULL, NULL, 0},
    {"a verdict of its own", "{\"path\":\"a\",\"verdict\":\"excellent\"}", "field 'verdict'", NULL,
     NULL, NULL, NULL, 0},
    {"no verdict", "{\"path\":\"a\"}", "field 'verdict'", NULL, NULL, NULL, NULL, 0},
    {"a cause of its own", "{\"path\":\"a\"," CHECK ",\"cause\":\"magic\"}", "field 'cause'", NULL,
     NULL, NULL, NULL, 0},
    {"a list", "[]", "not an object", NULL, NULL, NULL, NULL, 0},
    {"nine levels of lists", "{\"path\":\"a\"," CHECK ",\"x\":[[[[[[[[[]]]]]]]]]}", "deeper than",
     NULL, NULL, NULL, NULL, 0},
};

static IrekoInner *
take(const char *text, GError **error)
{
    json_t *object = json_loads(text, 0, NULL);
    g_assert_nonnull(object);
    IrekoInner *inner = ireko_inner_from_json(object, error);
    json_decref(object);
    return inner;
}

static void
test_a_layer_is_taken_or_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoInner) inner = take(rows[i].json, &error);
        if (rows[i].error != NULL) {
            g_assert_null(inner);
            g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
            g_assert_nonnull(strstr(error->message, rows[i].error));
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpstr(inner->word, ==, rows[i].word);
        g_assert_cmpstr(inner->cause, ==, rows[i].cause);
        g_assert_cmpstr(inner->link, ==, rows[i].link);
        g_assert_cmpstr(inner->evidence, ==, rows[i].evidence);
        g_assert_cmpint(inner->levels_below, ==, rows[i].levels);
    }
}

static void
test_what_is_passed_on_is_the_same(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoInner) first =
        take("{\"path\":\"a/b\",\"level\":9,\"lab\":\"other\",\"schema\":\"ireko.check/1\"," CHECK
             ",\"layers\":[1],\"no word\":1,\"cpu\":{\"features\":[\"fpu\\n\"],\"cores\":4}}",
             &error);
    g_assert_no_error(error);
    json_t *one = ireko_inner_to_json(first);
    g_autoptr(IrekoInner) second = ireko_inner_from_json(one, &error);
    g_assert_no_error(error);
    json_t *two = ireko_inner_to_json(second);
    g_assert_true(json_equal(one, two));
    g_autofree char *text = json_dumps(one, JSON_COMPACT | JSON_SORT_KEYS);
    g_assert_cmpstr(text, ==,
                    "{\"cpu\":{\"cores\":4,\"features\":[\"fpu \"]},\"level\":2,\"message\":null,"
                    "\"path\":\"a/b\",\"schema\":\"ireko.check/1\",\"verdict\":\"hardware\"}");
    json_decref(one);
    json_decref(two);
}

static void
test_a_layer_that_is_asked_says_nothing_yet(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoInner) inner = take("{\"path\":\"a/b\",\"asked\":true," CHECK "}", &error);
    g_assert_no_error(error);
    g_assert_true(inner->asked);
    g_assert_null(inner->word);
    json_t *object = ireko_inner_to_json(inner);
    g_autofree char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    g_assert_cmpstr(text, ==,
                    "{\"asked\":true,\"level\":2,\"message\":null,\"path\":\"a/b\","
                    "\"verdict\":null}");
    g_autoptr(IrekoInner) told = take("{\"path\":\"a/b\",\"asked\":false," CHECK "}", &error);
    g_assert_no_error(error);
    g_assert_false(told->asked);
    g_assert_cmpstr(told->word, ==, "hardware");
}

static void
test_a_layer_too_long_is_refused(void)
{
    g_autofree char *filler = g_strnfill(256 << 10, 'x');
    g_autofree char *text = g_strdup_printf("{\"path\":\"a\"," CHECK ",\"filler\":\"%s\"}", filler);
    g_autoptr(GError) error = NULL;
    g_assert_null(take(text, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
}

/* A verdict on a host of which nothing is known, with the layers PATHS inside. */
static IrekoVerdict *
with_layers(const char *const *paths)
{
    IrekoFacts *facts = g_new0(IrekoFacts, 1);
    facts->hv_features = g_ptr_array_new();
    facts->cpu_features = g_ptr_array_new();
    facts->kernel_hides = g_ptr_array_new();
    facts->kvm_params = g_ptr_array_new();
    facts->disks = g_ptr_array_new();
    IrekoSurvey *survey = g_new0(IrekoSurvey, 1);
    survey->cpu_flags = g_ptr_array_new();
    survey->msrs = g_ptr_array_new();
    survey->above_all = g_ptr_array_new();
    survey->vulnerabilities = g_ptr_array_new();
    IrekoVerdict *verdict = ireko_verdict_new(facts, survey);
    for (size_t i = 0; paths[i] != NULL; i++) {
        g_auto(GStrv) parts = g_strsplit(paths[i], ":", 2);
        IrekoInner *inner = ireko_inner_silent(parts[1], "no\nanswer\x1b");
        inner->lab = g_strdup(parts[0]);
        ireko_verdict_add_inner(verdict, inner);
    }
    return verdict;
}

static void
test_layers_stand_as_in_the_tree(void)
{
    g_autoptr(IrekoVerdict) verdict = with_layers((const char *const[]){
        "two:a", "one:b/x", "one:a-1", "one:b", "one:a/c/d", "one:a", "one:b-2", "one:a/c", NULL});
    json_t *object = ireko_verdict_json(verdict);
    const json_t *layers = json_object_get(object, "layers");
    g_autoptr(GString) order = g_string_new(NULL);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        g_assert_true(json_is_null(json_object_get(layer, "verdict")));
        g_assert_cmpstr(json_string_value(json_object_get(layer, "message")), ==, "no answer\\x1b");
        g_string_append_printf(order, "%s:%s ", json_string_value(json_object_get(layer, "lab")),
                               json_string_value(json_object_get(layer, "path")));
    }
    g_assert_cmpstr(order->str, ==, "one:a one:a/c one:a/c/d one:a-1 one:b one:b/x one:b-2 two:a ");
    json_decref(object);
}

static void
test_a_lab_is_named_where_there_are_two(void)
{
    const IrekoCheckStyle style = {.width = 80};
    g_autoptr(IrekoVerdict) one = with_layers((const char *const[]){"one:a", "one:a/b", NULL});
    g_autofree char *text = ireko_verdict_to_text(one, &style);
    g_assert_nonnull(strstr(text,
                            "\nThe layers inside\n  ? a\n      did not answer: no answer\\x1b\n"
                            "  ? a/b\n"));
    g_autoptr(IrekoVerdict) two = with_layers((const char *const[]){"one:a", "two:a", NULL});
    g_autofree char *longer = ireko_verdict_to_text(two, &style);
    g_assert_nonnull(strstr(longer, "  ? one:a\n"));
    g_assert_nonnull(strstr(longer, "  ? two:a\n"));
    g_autoptr(IrekoVerdict) none = with_layers((const char *const[]){NULL});
    g_autofree char *shorter = ireko_verdict_to_text(none, &style);
    g_assert_null(strstr(shorter, "inside\n"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inner/a-layer-is-taken-or-refused", test_a_layer_is_taken_or_refused);
    g_test_add_func("/inner/what-is-passed-on-is-the-same", test_what_is_passed_on_is_the_same);
    g_test_add_func("/inner/a-layer-that-is-asked-says-nothing-yet",
                    test_a_layer_that_is_asked_says_nothing_yet);
    g_test_add_func("/inner/a-layer-too-long-is-refused", test_a_layer_too_long_is_refused);
    g_test_add_func("/inner/layers-stand-as-in-the-tree", test_layers_stand_as_in_the_tree);
    g_test_add_func("/inner/a-lab-is-named-where-there-are-two",
                    test_a_lab_is_named_where_there_are_two);
    return g_test_run();
}
