/* host/survey.c - what `check` reads beyond the facts, put together from its topics.
 *
 * Nothing here is an error: what is not there is NO, what may not be read is DENIED, and the rest
 * is unknown. No process is started, no module loaded, no name asked of a directory service; a
 * survey is some two hundred small reads and takes a few milliseconds.
 */
#include "host/survey.h"

#include <string.h>

#include "host/parts.h"

static void
free_msr(void *data)
{
    g_free(data);
}

static void
clear_device(IrekoDevice *device)
{
    g_free(device->path);
    g_free(device->owner);
    g_free(device->group);
}

static void
clear_qemu(IrekoQemuFact *qemu)
{
    g_free(qemu->path);
    g_free(qemu->version);
    g_free(qemu->evidence);
}

void
ireko_survey_free(IrekoSurvey *survey)
{
    if (survey == NULL)
        return;
    g_free(survey->arch);
    g_ptr_array_unref(survey->cpu_flags);
    g_ptr_array_unref(survey->msrs);
    g_free(survey->msr_evidence);
    g_free(survey->dmi_vendor);
    g_free(survey->dmi_product);
    g_free(survey->bios_vendor);
    g_free(survey->container);
    g_free(survey->container_evidence);
    g_ptr_array_unref(survey->above_all);
    g_free(survey->cloud);
    g_free(survey->xen);
    g_free(survey->confidential);
    g_free(survey->others);
    clear_device(&survey->kvm);
    clear_device(&survey->vhost_net);
    clear_device(&survey->tun);
    clear_device(&survey->sev);
    g_free(survey->iommu_evidence);
    g_free(survey->cgroup_controllers);
    g_free(survey->namespaces);
    g_free(survey->huge_pages);
    g_free(survey->distribution);
    g_ptr_array_unref(survey->vulnerabilities);
    g_free(survey->clock_source);
    clear_qemu(&survey->qemu);
    g_free(survey);
}

static IrekoSurvey *
survey_new(void)
{
    IrekoSurvey *survey = g_new0(IrekoSurvey, 1);
    survey->cpu_flags = g_ptr_array_new_with_free_func(g_free);
    survey->msrs = g_ptr_array_new_with_free_func(free_msr);
    survey->above_all = g_ptr_array_new_with_free_func(g_free);
    survey->vulnerabilities = g_ptr_array_new_with_free_func(g_free);
    return survey;
}

const IrekoMsr *
ireko_survey_msr(const IrekoSurvey *survey, uint32_t index)
{
    for (guint i = 0; i < survey->msrs->len; i++) {
        const IrekoMsr *msr = g_ptr_array_index(survey->msrs, i);
        if (msr->index == index)
            return msr;
    }
    return NULL;
}

/* What opening /dev/kvm really came to is in the facts already. */
static void
survey_devices(const IrekoHostSource *source, const IrekoFacts *facts, IrekoSurvey *survey)
{
    ireko_host_device(source, "/dev/kvm", &survey->kvm);
    ireko_host_device(source, "/dev/vhost-net", &survey->vhost_net);
    ireko_host_device(source, "/dev/net/tun", &survey->tun);
    ireko_host_device(source, "/dev/sev", &survey->sev);
    if (facts->kvm.open_errno >= 0)
        survey->kvm.open_errno = facts->kvm.open_errno;
    survey->nested_state = facts->kvm.nested_state;
    survey->others = ireko_host_others(source);
}

static void
survey_firmware(const IrekoHostSource *source, IrekoSurvey *survey)
{
    IrekoDmi dmi = ireko_host_read_dmi(source->root_fd);
    survey->cloud = g_strdup(ireko_host_cloud(&dmi));
    survey->dmi_vendor = g_steal_pointer(&dmi.sys_vendor);
    survey->dmi_product = g_steal_pointer(&dmi.product_name);
    survey->bios_vendor = g_steal_pointer(&dmi.bios_vendor);
    ireko_host_clear_dmi(&dmi);
}

IrekoSurvey *
ireko_survey_read(const IrekoHostSource *source, const IrekoFacts *facts)
{
    IrekoSurvey *survey = survey_new();
    survey->is_recorded = !source->probe;
    ireko_host_survey_cpu(source, facts, survey);
    survey_firmware(source, survey);
    survey_devices(source, facts, survey);
    survey->container = ireko_host_container(source, &survey->container_evidence);
    ireko_host_survey_kernel(source, survey);
    ireko_host_survey_limits(source, survey);
    ireko_host_hear_of_qemu(source, &survey->qemu);
    return survey;
}
