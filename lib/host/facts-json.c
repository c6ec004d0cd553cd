/* host/facts-json.c - facts as one JSON object, and back from a layer that may lie. */
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "host/parts.h"

#define TEXT_MAX         1024 /* bytes of any text */
#define WORD_MAX         32   /* of a stable word or a feature's name */
#define NAME_MAX_BYTES   64
#define IDENTITY_MAX     256 /* bytes of a disk's serial number or WWN: a VPD page has no more */
#define FEATURES_MAX     64
#define CPU_FEATURES_MAX 256
#define PARAMS_MAX       128
#define CPUS_MAX         65536
#define BYTES_MAX        ((uint64_t)INT64_MAX)

static json_t *
text_or_null(const char *text)
{
    return ireko_json_clipped(text, TEXT_MAX);
}

static json_t *
count_or_null(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

static json_t *
bytes_json(uint64_t bytes)
{
    return json_integer((json_int_t)MIN(bytes, BYTES_MAX));
}

static json_t *
texts_json(const GPtrArray *texts)
{
    json_t *list = json_array();
    for (guint i = 0; i < texts->len; i++)
        (void)json_array_append_new(list, text_or_null(g_ptr_array_index(texts, i)));
    return list;
}

json_t *
ireko_host_disks_to_json(const GPtrArray *disks, bool identity)
{
    json_t *list = json_array();
    for (guint i = 0; i < disks->len; i++) {
        const IrekoDiskFact *disk = g_ptr_array_index(disks, i);
        json_t *object = json_pack(
            "{s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "name", text_or_null(disk->name), "device",
            text_or_null(disk->device), "controller", text_or_null(disk->controller), "bytes",
            bytes_json(disk->bytes), "cdrom", (int)disk->cdrom, "rotational",
            count_or_null(disk->rotational), "rotation_rate", count_or_null(disk->rotation_rate),
            "vpd_b1", text_or_null(disk->vpd_b1));
        if (identity) {
            (void)json_object_set_new(object, "serial",
                                      ireko_json_clipped(disk->serial, IDENTITY_MAX));
            (void)json_object_set_new(object, "wwn", ireko_json_clipped(disk->wwn, IDENTITY_MAX));
        }
        (void)json_array_append_new(list, object);
    }
    return list;
}

json_t *
ireko_facts_to_json(const IrekoFacts *facts)
{
    json_t *cpu = json_pack(
        "{s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o}", "vendor", text_or_null(facts->cpu_vendor),
        "model", text_or_null(facts->cpu_model), "hv", ireko_hv_name(facts->hv), "nested_paging",
        (int)facts->nested_paging, "features", texts_json(facts->hv_features), "evidence",
        text_or_null(facts->hv_evidence), "cpuid", texts_json(facts->cpu_features), "kernel_hides",
        texts_json(facts->kernel_hides));
    json_t *above = json_pack("{s:o, s:o}", "kind", text_or_null(facts->above), "evidence",
                              text_or_null(facts->above_evidence));
    json_t *kvm =
        json_pack("{s:b, s:o, s:o, s:o}", "usable", (int)facts->kvm.usable, "cause",
                  text_or_null(facts->kvm.cause), "evidence", text_or_null(facts->kvm.evidence),
                  "params", texts_json(facts->kvm_params));
    json_t *memory = json_pack("{s:o, s:o, s:o}", "total_bytes", bytes_json(facts->memory_bytes),
                               "installed_bytes", bytes_json(facts->installed_bytes),
                               "available_bytes", bytes_json(facts->available_bytes));
    return json_pack("{s:o, s:o, s:o, s:o, s:i, s:o, s:o}", "cpu", cpu, "above", above, "kvm", kvm,
                     "memory", memory, "cpus", (int)facts->cpus, "kernel",
                     text_or_null(facts->kernel), "disks",
                     ireko_host_disks_to_json(facts->disks, true));
}

/* A stable word is compared and shown as it is, so it must look like one. */
static char *
word_or_null(IrekoJsonReader *reader, const char *key)
{
    char *word = ireko_json_text_or_null(reader, key, WORD_MAX);
    if (word == NULL ||
        (*word != '\0' && word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0'))
        return word;
    ireko_json_reader_fail(reader, key, "a word");
    g_free(word);
    return NULL;
}

static IrekoHv
take_hv(IrekoJsonReader *reader)
{
    g_autofree char *name = ireko_json_text(reader, "hv", WORD_MAX);
    for (int hv = IREKO_HV_NONE; hv <= IREKO_HV_VMX; hv++) {
        if (g_strcmp0(name, ireko_hv_name((IrekoHv)hv)) == 0)
            return (IrekoHv)hv;
    }
    ireko_json_reader_fail(reader, "hv", "none, svm or vmx");
    return IREKO_HV_NONE;
}

static bool
take_cpu(const json_t *object, IrekoFacts *facts, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "facts of the CPU");
    facts->cpu_vendor = ireko_json_text_or_null(&reader, "vendor", TEXT_MAX);
    facts->cpu_model = ireko_json_text_or_null(&reader, "model", TEXT_MAX);
    facts->hv = take_hv(&reader);
    facts->nested_paging = ireko_json_bool(&reader, "nested_paging");
    g_ptr_array_unref(facts->hv_features);
    facts->hv_features = ireko_json_texts(&reader, "features", FEATURES_MAX, WORD_MAX);
    facts->hv_evidence = ireko_json_text_or_null(&reader, "evidence", TEXT_MAX);
    g_ptr_array_unref(facts->cpu_features);
    facts->cpu_features = ireko_json_texts(&reader, "cpuid", CPU_FEATURES_MAX, WORD_MAX);
    g_ptr_array_unref(facts->kernel_hides);
    facts->kernel_hides = ireko_json_texts(&reader, "kernel_hides", CPU_FEATURES_MAX, WORD_MAX);
    return ireko_json_reader_end(&reader, error);
}

static bool
take_above(const json_t *object, IrekoFacts *facts, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "facts of the layer above");
    facts->above = word_or_null(&reader, "kind");
    if (facts->above == NULL)
        ireko_json_reader_fail(&reader, "kind", "there");
    facts->above_evidence = ireko_json_text_or_null(&reader, "evidence", TEXT_MAX);
    return ireko_json_reader_end(&reader, error);
}

static bool
take_kvm(const json_t *object, IrekoFacts *facts, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "facts of KVM");
    facts->kvm.usable = ireko_json_bool(&reader, "usable");
    facts->kvm.cause = word_or_null(&reader, "cause");
    if (facts->kvm.usable != (facts->kvm.cause == NULL))
        ireko_json_reader_fail(&reader, "cause", "there exactly where KVM is not usable");
    facts->kvm.evidence = ireko_json_text_or_null(&reader, "evidence", TEXT_MAX);
    g_ptr_array_unref(facts->kvm_params);
    facts->kvm_params = ireko_json_texts(&reader, "params", PARAMS_MAX, TEXT_MAX);
    return ireko_json_reader_end(&reader, error);
}

static bool
take_memory(const json_t *object, IrekoFacts *facts, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "facts of the memory");
    facts->memory_bytes = ireko_json_count(&reader, "total_bytes", BYTES_MAX);
    facts->installed_bytes = ireko_json_count(&reader, "installed_bytes", BYTES_MAX);
    facts->available_bytes = ireko_json_count(&reader, "available_bytes", BYTES_MAX);
    return ireko_json_reader_end(&reader, error);
}

static IrekoDiskFact *
take_disk(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "facts of a disk");
    g_autoptr(IrekoDiskFact) disk = g_new0(IrekoDiskFact, 1);
    disk->name = ireko_json_text(&reader, "name", NAME_MAX_BYTES);
    if (disk->name != NULL && !ireko_text_is_name(disk->name))
        ireko_json_reader_fail(&reader, "name", "a device's name");
    disk->device = ireko_json_text_or_null(&reader, "device", WORD_MAX);
    disk->controller = ireko_json_text_or_null(&reader, "controller", TEXT_MAX);
    disk->bytes = ireko_json_count(&reader, "bytes", BYTES_MAX);
    disk->cdrom = ireko_json_bool(&reader, "cdrom");
    disk->rotational = (int)ireko_json_count_or_null(&reader, "rotational", 1);
    disk->rotation_rate = (int)ireko_json_count_or_null(&reader, "rotation_rate", UINT16_MAX);
    disk->vpd_b1 = ireko_json_text_or_null(&reader, "vpd_b1", WORD_MAX);
    disk->serial = ireko_json_text_or_null(&reader, "serial", IDENTITY_MAX);
    disk->wwn = ireko_json_text_or_null(&reader, "wwn", IDENTITY_MAX);
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    return g_steal_pointer(&disk);
}

bool
ireko_host_disks_from_json(const json_t *list, IrekoFacts *facts, GError **error)
{
    if (json_array_size(list) > IREKO_FACTS_DISKS_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE, "more than %d disks",
                    IREKO_FACTS_DISKS_MAX);
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        IrekoDiskFact *disk = take_disk(json_array_get(list, i), error);
        if (disk == NULL)
            return false;
        g_ptr_array_add(facts->disks, disk);
    }
    return true;
}

IrekoFacts *
ireko_facts_from_json(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "facts");
    const json_t *cpu = ireko_json_object(&reader, "cpu");
    const json_t *above = ireko_json_object(&reader, "above");
    const json_t *kvm = ireko_json_object(&reader, "kvm");
    const json_t *memory = ireko_json_object(&reader, "memory");
    const json_t *disks = ireko_json_list(&reader, "disks", IREKO_FACTS_DISKS_MAX);
    g_autoptr(IrekoFacts) facts = ireko_facts_new();
    facts->cpus = (unsigned)ireko_json_count(&reader, "cpus", CPUS_MAX);
    facts->kernel = ireko_json_text_or_null(&reader, "kernel", TEXT_MAX);
    if (!ireko_json_reader_end(&reader, error) || !take_cpu(cpu, facts, error) ||
        !take_above(above, facts, error) || !take_kvm(kvm, facts, error) ||
        !take_memory(memory, facts, error) || !ireko_host_disks_from_json(disks, facts, error))
        return NULL;
    return g_steal_pointer(&facts);
}
