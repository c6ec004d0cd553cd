/* Features of the CPU that did not arrive in a machine, and who took them. */
#include <glib.h>
#include <string.h>

#include "nest/nest.h"

typedef struct {
    const char *label;
    const char *outer, *outer_hides; /* features, blank-separated */
    const char *inner, *inner_hides;
    const char *outer_parts, *inner_parts; /* of SVM */
    IrekoHv outer_hv, inner_hv;
    IrekoAccel accel;
    bool no_vhv, hides_hypervisor;
    const char *want; /* "name:by", blank-separated, in order */
} Row;

static const Row rows[] = {
    {.label = "all arrives", .outer = "sse avx", .inner = "avx sse", .want = ""},
    {.label = "more inside than outside is no loss",
     .outer = "sse",
     .inner = "sse svm",
     .want = ""},
    {.label = "what QEMU's emulator has not is its own, what people ask for first comes first",
     .outer = "avx512bw cldemote avx la57",
     .inner = "sse",
     .accel = IREKO_ACCEL_TCG,
     .want = "avx:tcg la57:tcg avx512bw:tcg cldemote:tcg"},
    {.label = "on KVM it was the model of CPU",
     .outer = "sse avx2",
     .inner = "sse",
     .want = "avx2:cpu-model"},
    {.label = "assistance that the .vmx does not give was taken by the .vmx",
     .outer = "sse svm",
     .inner = "sse",
     .no_vhv = true,
     .accel = IREKO_ACCEL_TCG,
     .want = "svm:vhv.enable"},
    {.label = "assistance that the .vmx gives and that does not arrive was not",
     .outer = "sse vmx",
     .inner = "sse",
     .want = "vmx:cpu-model"},
    {.label = "a hypervisor that hides itself by the .vmx",
     .outer = "sse hypervisor",
     .inner = "sse",
     .hides_hypervisor = true,
     .want = "hypervisor:hypervisor.cpuid.v0"},
    {.label = "what the guest's kernel does not list was taken by it",
     .outer = "sse la57",
     .inner = "sse la57",
     .inner_hides = "la57",
     .want = "la57:kernel"},
    {.label = "assistance that it found locked was taken by the firmware",
     .outer = "sse svm",
     .inner = "sse svm",
     .inner_hides = "svm",
     .want = "svm:firmware"},
    {.label = "what the kernel outside does not list cannot be lost",
     .outer = "sse la57",
     .outer_hides = "la57",
     .inner = "sse",
     .want = ""},
    {.label = "parts of assistance are compared where it is the same",
     .outer = "svm",
     .inner = "svm",
     .outer_hv = IREKO_HV_SVM,
     .inner_hv = IREKO_HV_SVM,
     .outer_parts = "avic npt nrip-save",
     .inner_parts = "npt",
     .want = "nrip-save:cpu-model avic:cpu-model"},
    {.label = "parts of assistance that is not there are no loss of their own",
     .outer = "svm",
     .inner = "sse",
     .outer_hv = IREKO_HV_SVM,
     .outer_parts = "npt avic",
     .no_vhv = true,
     .want = "svm:vhv.enable"},
    {.label = "where nobody inside could tell nothing is lost",
     .outer = "sse svm",
     .inner = "",
     .want = ""},
};

static json_t *
words(const char *text)
{
    json_t *list = json_array();
    g_auto(GStrv) parts = g_strsplit(text != NULL ? text : "", " ", -1);
    for (size_t i = 0; parts[i] != NULL; i++) {
        if (*parts[i] != '\0')
            (void)json_array_append_new(list, json_string(parts[i]));
    }
    return list;
}

/* Facts as a layer tells them. */
static IrekoFacts *
facts_of(const char *features, const char *hides, const char *parts, IrekoHv hv)
{
    json_t *object = json_pack(
        "{s:{s:s, s:b, s:o, s:o, s:o}, s:{s:s}, s:{s:b}, s:{s:i, s:i, s:i}, s:i, s:[]}", "cpu",
        "hv", ireko_hv_name(hv), "nested_paging", 1, "features", words(parts), "cpuid",
        words(features), "kernel_hides", words(hides), "above", "kind", "none", "kvm", "usable", 1,
        "memory", "total_bytes", 0, "installed_bytes", 0, "available_bytes", 0, "cpus", 1, "disks");
    g_autoptr(GError) error = NULL;
    IrekoFacts *facts = ireko_facts_from_json(object, &error);
    g_assert_no_error(error);
    json_decref(object);
    return facts;
}

static char *
losses_of(const IrekoReport *report)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (guint i = 0; i < report->lost->len; i++) {
        const IrekoLoss *loss = g_ptr_array_index(report->lost, i);
        g_string_append_printf(out, "%s%s:%s", i == 0 ? "" : " ", loss->name, loss->by);
    }
    return g_strdup(out->str);
}

static void
test_losses(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Row *row = &rows[i];
        g_test_message("%s", row->label);
        IrekoMachine machine = {.vhv = !row->no_vhv, .hypervisor_hidden = row->hides_hypervisor};
        g_autoptr(IrekoFacts) outer =
            facts_of(row->outer, row->outer_hides, row->outer_parts, row->outer_hv);
        g_autoptr(IrekoFacts) inner =
            facts_of(row->inner, row->inner_hides, row->inner_parts, row->inner_hv);
        g_autoptr(IrekoReport) report = ireko_report_new("esxi01", 1);
        ireko_nest_compare_cpus(report, &machine, outer, row->accel, inner);
        g_autofree char *losses = losses_of(report);
        g_assert_cmpstr(losses, ==, row->want);

        ireko_nest_compare_cpus(report, &machine, outer, row->accel,
                                inner); /* once more, not twice */
        g_autofree char *again = losses_of(report);
        g_assert_cmpstr(again, ==, row->want);
    }
}

static void
test_losses_are_told_from_layer_to_layer(void)
{
    IrekoMachine machine = {.vhv = true};
    g_autoptr(IrekoFacts) outer = facts_of("svm avx la57", NULL, NULL, IREKO_HV_NONE);
    g_autoptr(IrekoFacts) inner = facts_of("sse", NULL, NULL, IREKO_HV_NONE);
    g_autoptr(IrekoReport) report = ireko_report_new("esxi01", 1);
    ireko_nest_compare_cpus(report, &machine, outer, IREKO_ACCEL_TCG, inner);
    g_autoptr(IrekoReport) copy = ireko_report_copy(report);
    json_t *json = ireko_report_to_json(copy);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoReport) back = ireko_report_from_json(json, &error);
    g_assert_no_error(error);
    g_autofree char *losses = losses_of(back);
    g_assert_cmpstr(losses, ==, "svm:tcg avx:tcg la57:tcg");

    (void)json_object_set_new(json_array_get(json_object_get(json, "features_lost"), 0), "name",
                              json_string("\x1b[31m"));
    g_assert_null(ireko_report_from_json(json, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    json_decref(json);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lost/by-whom", test_losses);
    g_test_add_func("/lost/from-layer-to-layer", test_losses_are_told_from_layer_to_layer);
    return g_test_run();
}
