/* host/facts.c - the facts of a layer, put together from their topics. */
#include "host/facts.h"

#include "host/parts.h"

const char *
ireko_hv_name(IrekoHv hv)
{
    switch (hv) {
    case IREKO_HV_NONE:
        return "none";
    case IREKO_HV_SVM:
        return "svm";
    case IREKO_HV_VMX:
        return "vmx";
    }
    return "none";
}

void
ireko_disk_fact_free(IrekoDiskFact *disk)
{
    if (disk == NULL)
        return;
    g_free(disk->name);
    g_free(disk->device);
    g_free(disk->controller);
    g_free(disk->vpd_b1);
    g_free(disk->serial);
    g_free(disk->wwn);
    g_free(disk);
}

static void
free_disk(void *disk)
{
    ireko_disk_fact_free(disk);
}

IrekoFacts *
ireko_facts_new(void)
{
    IrekoFacts *facts = g_new0(IrekoFacts, 1);
    facts->hv_features = g_ptr_array_new_with_free_func(g_free);
    facts->cpu_features = g_ptr_array_new_with_free_func(g_free);
    facts->kernel_hides = g_ptr_array_new_with_free_func(g_free);
    facts->kvm_params = g_ptr_array_new_with_free_func(g_free);
    facts->kvm.open_errno = -1;
    facts->disks = g_ptr_array_new_with_free_func(free_disk);
    return facts;
}

void
ireko_facts_free(IrekoFacts *facts)
{
    if (facts == NULL)
        return;
    g_free(facts->cpu_vendor);
    g_free(facts->cpu_model);
    g_ptr_array_unref(facts->hv_features);
    g_free(facts->hv_evidence);
    g_ptr_array_unref(facts->cpu_features);
    g_ptr_array_unref(facts->kernel_hides);
    g_free(facts->above);
    g_free(facts->above_evidence);
    g_free(facts->kvm.cause);
    g_free(facts->kvm.evidence);
    g_ptr_array_unref(facts->kvm_params);
    g_free(facts->kernel);
    g_ptr_array_unref(facts->disks);
    g_free(facts);
}

IrekoFacts *
ireko_facts_read(const IrekoHostSource *source, GError **error)
{
    if (source->root_fd >= 0 && !ireko_host_exists(source->root_fd, "proc")) {
        g_set_error_literal(
            error, IREKO_ERROR, IREKO_ERROR_IO,
            "cannot read this machine: there is no folder 'proc' (is /proc mounted?)");
        return NULL;
    }

    g_autoptr(IrekoFacts) facts = ireko_facts_new();
    g_autofree char *cpuinfo =
        ireko_host_head(source->root_fd, "proc/cpuinfo", IREKO_HOST_CPUINFO_MAX, NULL);
    ireko_host_read_cpu(source, cpuinfo, facts);
    ireko_host_read_system(source, facts);
    ireko_host_read_kvm(source, cpuinfo, facts);
    ireko_host_read_disks(source, facts);
    return g_steal_pointer(&facts);
}
