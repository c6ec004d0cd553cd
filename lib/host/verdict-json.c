/* host/verdict-json.c - a verdict as ireko.check/1. */
#include <string.h>

#include "base/json.h"
#include "host/inner.h"
#include "host/judge.h"

#define TEXT_MAX ((size_t)4 << 10)

static json_t *
text(const char *value)
{
    return ireko_json_clipped(value, TEXT_MAX);
}

static json_t *
texts(const GPtrArray *values)
{
    json_t *list = json_array();
    for (guint i = 0; values != NULL && i < values->len; i++)
        (void)json_array_append_new(list, text(values->pdata[i]));
    return list;
}

static json_t *
words(char *const *values)
{
    json_t *list = json_array();
    for (size_t i = 0; values != NULL && values[i] != NULL; i++)
        (void)json_array_append_new(list, text(values[i]));
    return list;
}

/* yes, no, or null where it is not known. */
static json_t *
read_json(IrekoRead read)
{
    return read == IREKO_READ_YES  ? json_true()
           : read == IREKO_READ_NO ? json_false()
                                   : json_null();
}

static json_t *
bytes(uint64_t value)
{
    return value != 0 ? json_integer((json_int_t)value) : json_null();
}

static json_t *
limit(int64_t value)
{
    return value >= 0 ? json_integer((json_int_t)value) : json_null();
}

static json_t *
links_json(const IrekoVerdict *verdict)
{
    json_t *list = json_array();
    for (guint i = 0; i < verdict->links->len; i++) {
        const IrekoLink *link = verdict->links->pdata[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "link", link->name, "state",
                                                    ireko_link_state_name(link->state), "evidence",
                                                    text(link->evidence)));
    }
    return list;
}

static json_t *
findings_json(const IrekoVerdict *verdict)
{
    json_t *list = json_array();
    for (guint i = 0; i < verdict->findings->len; i++) {
        const IrekoFinding *finding = verdict->findings->pdata[i];
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "code", finding->code, "severity",
                            ireko_severity_name(finding->severity), "what", text(finding->what),
                            "evidence", text(finding->evidence), "fix", text(finding->fix),
                            "source", text(finding->source)));
    }
    return list;
}

static json_t *
cpu_json(const IrekoFacts *facts)
{
    return json_pack("{s:o, s:o, s:s, s:b, s:o, s:o, s:o}", "vendor", text(facts->cpu_vendor),
                     "model", text(facts->cpu_model), "hv", ireko_hv_name(facts->hv),
                     "nested_paging", facts->nested_paging, "features", texts(facts->hv_features),
                     "parameters", texts(facts->kvm_params), "evidence", text(facts->hv_evidence));
}

static json_t *
above_json(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o}", "kind", facts->above != NULL ? facts->above : "unknown",
        "evidence", text(facts->above_evidence), "signs", texts(survey->above_all), "cloud",
        text(survey->cloud), "xen", text(survey->xen), "container", text(survey->container));
    (void)json_object_set_new(object, "confidential", text(survey->confidential));
    (void)json_object_set_new(object, "sev_guest", read_json(survey->sev_guest));
    (void)json_object_set_new(object, "tdx_guest", read_json(survey->tdx_guest));
    (void)json_object_set_new(object, "ireko_machine", json_boolean(survey->ireko_machine));
    return object;
}

static json_t *
accelerators_json(const IrekoVerdict *verdict)
{
    const IrekoFacts *facts = verdict->facts;
    const IrekoQemuFact *qemu = &verdict->survey->qemu;
    bool tcg = qemu->path != NULL && qemu->has_tcg;
    return json_pack("{s:{s:b, s:o, s:o, s:o}, s:{s:b, s:s, s:o, s:o}}", "kvm", "usable",
                     facts->kvm.usable, "cause", text(verdict->kvm_cause), "evidence",
                     text(facts->kvm.evidence), "nested_state",
                     read_json(verdict->survey->nested_state), "tcg", "usable", tcg, "hv",
                     ireko_verdict_tcg_nests(verdict) ? "svm" : "none", "nested_paging",
                     read_json(qemu->tcg_npt), "evidence", text(qemu->evidence));
}

static json_t *
fix_json(const IrekoVerdict *verdict)
{
    const IrekoRemedy *remedy = verdict->remedy;
    if (remedy == NULL)
        return json_null();
    return json_pack("{s:o, s:o, s:o}", "what", text(remedy->text), "commands",
                     words(remedy->commands), "needs", words(remedy->needs));
}

static json_t *
device_json(const char *path, const IrekoDevice *device)
{
    json_t *object = json_pack("{s:s, s:o}", "path", path, "there", read_json(device->there));
    bool tried = device->open_errno >= 0;
    (void)json_object_set_new(object, "opens",
                              tried ? json_boolean(device->open_errno == 0) : json_null());
    (void)json_object_set_new(object, "error",
                              text(device->open_errno > 0 ? g_strerror(device->open_errno) : NULL));
    return object;
}

static json_t *
devices_json(const IrekoSurvey *survey)
{
    return json_pack("[o, o, o, o]", device_json("/dev/kvm", &survey->kvm),
                     device_json("/dev/vhost-net", &survey->vhost_net),
                     device_json("/dev/net/tun", &survey->tun),
                     device_json("/dev/sev", &survey->sev));
}

static json_t *
memory_json(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "bytes",
                     bytes(facts->memory_bytes), "available_bytes", bytes(facts->available_bytes),
                     "cgroup_max_bytes", limit(survey->cgroup_memory_max), "memlock_max_bytes",
                     limit(survey->memlock_max_bytes), "ksm_run", survey->ksm_run,
                     "ksm_shared_bytes", json_integer((json_int_t)survey->ksm_shared_bytes),
                     "ksm_sharing_bytes", json_integer((json_int_t)survey->ksm_sharing_bytes),
                     "transparent_huge_pages", text(survey->huge_pages), "huge_page_pool_bytes",
                     json_integer((json_int_t)survey->huge_page_pool_bytes), "disk_free_bytes",
                     bytes(survey->disk_free_bytes));
}

static json_t *
msrs_json(const IrekoSurvey *survey)
{
    json_t *object = json_object();
    for (guint i = 0; survey->msrs != NULL && i < survey->msrs->len; i++) {
        const IrekoMsr *msr = survey->msrs->pdata[i];
        g_autofree char *name = g_strdup_printf("%xh", msr->index);
        g_autofree char *value = g_strdup_printf("%" G_GINT64_MODIFIER "x", msr->value);
        if (msr->read == IREKO_READ_YES)
            (void)json_object_set_new(object, name, json_string(value));
    }
    return object;
}

static json_t *
host_json(const IrekoFacts *facts, const IrekoSurvey *survey)
{
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:b, s:b, s:i}", "arch", text(survey->arch), "kernel",
                  text(facts->kernel), "distribution", text(survey->distribution), "recorded",
                  survey->is_recorded, "root", survey->is_root, "cpus", (int)facts->cpus);
    json_t *more = json_pack(
        "{s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:{s:o, s:o}, s:{s:i, s:o, s:o}, s:o, s:o, s:o}", "dmi",
        "vendor", text(survey->dmi_vendor), "product", text(survey->dmi_product), "bios",
        text(survey->bios_vendor), "devices", devices_json(survey), "memory",
        memory_json(facts, survey), "msrs", msrs_json(survey), "iommu", "there",
        read_json(survey->iommu), "evidence", text(survey->iommu_evidence), "cgroups", "version",
        (int)survey->cgroup_version, "controllers", text(survey->cgroup_controllers), "pids_max",
        limit(survey->cgroup_pids_max), "namespaces", text(survey->namespaces), "fuse",
        read_json(survey->fuse), "vulnerabilities", texts(survey->vulnerabilities));
    (void)json_object_update_new(object, more);
    (void)json_object_set_new(object, "open_files_max", limit(survey->open_files_max));
    (void)json_object_set_new(
        object, "modules",
        json_pack("{s:o, s:o, s:o, s:o}", "kvm", read_json(survey->module_kvm), "kvm_intel",
                  read_json(survey->module_vmx), "kvm_amd", read_json(survey->module_svm),
                  "kvm_pvm", read_json(survey->module_pvm)));
    (void)json_object_set_new(object, "chroot", read_json(survey->chroot));
    (void)json_object_set_new(object, "user_namespace", read_json(survey->user_namespace));
    (void)json_object_set_new(object, "clock_source", text(survey->clock_source));
    (void)json_object_set_new(object, "other_hypervisors", text(survey->others));
    (void)json_object_set_new(object, "container_evidence", text(survey->container_evidence));
    return object;
}

static json_t *
qemu_json(const IrekoQemuFact *qemu)
{
    return json_pack("{s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "path", text(qemu->path), "version",
                     text(qemu->version), "kvm", qemu->has_kvm, "tcg", qemu->has_tcg, "tcg_svm",
                     read_json(qemu->tcg_svm), "tcg_npt", read_json(qemu->tcg_npt), "tcg_vmx",
                     read_json(qemu->tcg_vmx));
}

static json_t *
layers_json(const IrekoVerdict *verdict)
{
    json_t *list = json_array();
    for (guint i = 0; i < verdict->inner->len; i++)
        (void)json_array_append_new(list, ireko_inner_to_json(verdict->inner->pdata[i]));
    return list;
}

json_t *
ireko_verdict_json(const IrekoVerdict *verdict)
{
    const IrekoFacts *facts = verdict->facts;
    const IrekoSurvey *survey = verdict->survey;
    return json_pack("{s:s, s:s, s:o, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "schema", "ireko.check/1", "verdict", verdict->word, "cause",
                     text(verdict->cause), "levels_below", verdict->levels_below, "levels_why",
                     verdict->levels_why, "links", links_json(verdict), "cpu", cpu_json(facts),
                     "above", above_json(facts, survey), "accelerators", accelerators_json(verdict),
                     "fix", fix_json(verdict), "findings", findings_json(verdict), "unread",
                     texts(verdict->unread), "qemu", qemu_json(&survey->qemu), "host",
                     host_json(facts, survey), "layers", layers_json(verdict));
}

char *
ireko_verdict_to_json(const IrekoVerdict *verdict)
{
    json_t *object = ireko_verdict_json(verdict);
    char *dumped = json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    char *result = g_strdup(dumped);
    free(dumped);
    return result;
}
