/* tests/unit/test-hosts.c - each recorded host of tests/hosts comes to the verdict beside it.
 *
 * A host's file `expect` has lines "KEY VALUE": verdict, cause, levels, above, link (the first
 * broken one), and fix (a word of it, where it matters). Together the hosts cover every cause and
 * every kind of layer above that is to be told. */
#include <string.h>

#include "base/file.h"
#include "host/judge.h"

#define EXPECT_MAX ((size_t)4 << 10)
#define DUMPS      "dumps" /* CPUID dumps alone */

static char *
host_path(const char *name)
{
    return g_build_filename(IREKO_HOSTS, name, NULL);
}

static IrekoVerdict *
judge(const IrekoRecorded *recorded)
{
    g_autoptr(GError) error = NULL;
    const IrekoHostSource *source = ireko_recorded_source(recorded);
    IrekoFacts *facts = ireko_facts_read(source, &error);
    g_assert_no_error(error);
    return ireko_verdict_new(facts, ireko_survey_read(source, facts));
}

static IrekoVerdict *
judge_host(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = host_path(name);
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open(path, &error);
    g_assert_no_error(error);
    return judge(recorded);
}

/* KEY's value in a host's `expect`; NULL where it has no such line; free with g_free. */
static char *
expected(const char *name, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(IREKO_HOSTS, name, "expect", NULL);
    g_autofree char *text = ireko_file_read(-1, path, EXPECT_MAX, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 2);
        if (words[0] != NULL && strcmp(words[0], key) == 0)
            return g_strdup(words[1]);
    }
    return NULL;
}

static const char *
first_broken(const IrekoVerdict *verdict)
{
    for (guint i = 0; i < verdict->links->len; i++) {
        const IrekoLink *link = verdict->links->pdata[i];
        if (link->state == IREKO_LINK_BROKEN)
            return link->name;
    }
    return "-";
}

static void
test_host(const void *data)
{
    const char *name = data;
    g_autoptr(IrekoVerdict) verdict = judge_host(name);
    g_autofree char *levels = g_strdup_printf("%d", verdict->levels_below);
    const struct {
        const char *key, *got;
    } rows[] = {
        {"verdict", verdict->word},
        {"cause", verdict->cause != NULL ? verdict->cause : "-"},
        {"levels", levels},
        {"above", verdict->facts->above},
        {"link", first_broken(verdict)},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *want = expected(name, rows[i].key);
        if (g_strcmp0(want, rows[i].got) != 0)
            g_error("%s: %s is '%s', expected '%s'", name, rows[i].key, rows[i].got, want);
    }
    g_autofree char *fix = expected(name, "fix");
    const IrekoFinding *first = verdict->findings->len > 0 ? verdict->findings->pdata[0] : NULL;
    if (fix != NULL && (first == NULL || strstr(first->fix, fix) == NULL))
        g_error("%s: '%s' is not in the fix: %s", name, fix, first != NULL ? first->fix : "none");

    const IrekoCheckStyle style = {.width = 80, .utf8 = true};
    g_autofree char *text = ireko_verdict_to_text(verdict, &style);
    g_autofree char *json = ireko_verdict_to_json(verdict);
    g_assert_true(verdict->cause == NULL || strstr(text, verdict->cause) != NULL);
    g_assert_nonnull(strstr(json, "ireko.check/1"));
}

static GPtrArray *
host_names(void)
{
    g_autoptr(GDir) folder = g_dir_open(IREKO_HOSTS, 0, NULL);
    GPtrArray *names = g_ptr_array_new();
    for (const char *entry; folder != NULL && (entry = g_dir_read_name(folder)) != NULL;) {
        g_autofree char *path = host_path(entry);
        if (g_file_test(path, G_FILE_TEST_IS_DIR) && strcmp(entry, DUMPS) != 0)
            g_ptr_array_add(names, g_strdup(entry));
    }
    return names;
}

static bool
any_host_expects(const GPtrArray *names, const char *key, const char *value)
{
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *got = expected(names->pdata[i], key);
        if (g_strcmp0(got, value) == 0)
            return true;
    }
    return false;
}

static const char *const kinds[] = {
    "none",  "kvm",       "vmware", "hyperv", "xen",  "virtualbox",  "qemu-tcg", "bochs",
    "bhyve", "parallels", "acrn",   "pvm",    "qemu", "firecracker", "unknown",
};

static void
test_coverage(const void *data)
{
    const GPtrArray *names = data;
    g_assert_cmpuint(names->len, >=, 30);
    for (const char *const *cause = ireko_causes(); *cause != NULL; cause++) {
        if (!any_host_expects(names, "cause", *cause))
            g_error("no host has the cause %s", *cause);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!any_host_expects(names, "above", kinds[i]))
            g_error("no host is below %s", kinds[i]);
    }
}

static const struct {
    const char *file, *hv, *above;
    const char *cause;
} dumps[] = {
    {"intel.instlatx64", "vmx", "none", "unknown"},
    {"intel.cpuid-r", "vmx", "none", "unknown"},
    {"amd.instlatx64", "svm", "none", "unknown"},
    {"amd.cpuid-r", "svm", "none", "unknown"},
    {"no-vmx.cpuid-r", "none", "none", "cpu-lacks"},
    {"vmware-hidden.instlatx64", "none", "vmware", "vhv-off"},
    {"intel-locked.instlatx64", "vmx", "none", "firmware-off"},
};

static void
test_dump(const void *data)
{
    size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(IREKO_HOSTS, DUMPS, dumps[i].file, NULL);
    g_autoptr(IrekoRecorded) recorded = ireko_recorded_open_cpuid(path, &error);
    g_assert_no_error(error);
    g_autoptr(IrekoVerdict) verdict = judge(recorded);
    g_assert_cmpstr(ireko_hv_name(verdict->facts->hv), ==, dumps[i].hv);
    g_assert_cmpstr(verdict->facts->above, ==, dumps[i].above);
    g_assert_cmpstr(verdict->cause, ==, dumps[i].cause);
    g_assert_cmpstr(verdict->word, ==, "none");
    g_assert_cmpint(verdict->levels_below, ==, -1);
}

static void
test_a_dump_in_both_formats_comes_to_the_same(void)
{
    g_autofree char *a = g_build_filename(IREKO_HOSTS, DUMPS, "amd.cpuid-r", NULL);
    g_autofree char *b = g_build_filename(IREKO_HOSTS, DUMPS, "amd.instlatx64", NULL);
    g_autoptr(IrekoRecorded) one = ireko_recorded_open_cpuid(a, NULL);
    g_autoptr(IrekoRecorded) other = ireko_recorded_open_cpuid(b, NULL);
    g_autoptr(IrekoVerdict) first = judge(one);
    g_autoptr(IrekoVerdict) second = judge(other);
    g_autofree char *first_text = ireko_verdict_to_json(first);
    g_autofree char *second_text = ireko_verdict_to_json(second);
    g_assert_cmpstr(first_text, ==, second_text);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    GPtrArray *names = host_names();
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_strconcat("/hosts/", (char *)names->pdata[i], NULL);
        g_test_add_data_func(path, names->pdata[i], test_host);
    }
    g_test_add_data_func("/hosts/every cause and every layer above has one", names, test_coverage);
    for (size_t i = 0; i < G_N_ELEMENTS(dumps); i++) {
        g_autofree char *path = g_strconcat("/dumps/", dumps[i].file, NULL);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_dump);
    }
    g_test_add_func("/dumps/both formats come to the same",
                    test_a_dump_in_both_formats_comes_to_the_same);
    int status = g_test_run();
    g_ptr_array_set_free_func(names, g_free);
    g_ptr_array_unref(names);
    return status;
}
