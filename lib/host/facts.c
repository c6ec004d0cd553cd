/* host/facts.c - the facts of a layer, put together from their topics. */
#include "host/facts.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/parts.h"

#define CPUINFO_HEAD_MAX                                                                           \
    ((size_t)16 << 10) /* the first processor; the file grows with their number */

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
    facts->kvm_params = g_ptr_array_new_with_free_func(g_free);
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
    if (!ireko_host_exists(source->root_fd, "proc")) {
        g_set_error_literal(
            error, IREKO_ERROR, IREKO_ERROR_IO,
            "cannot read this machine: there is no folder 'proc' (is /proc mounted?)");
        return NULL;
    }

    g_autoptr(IrekoFacts) facts = ireko_facts_new();
    g_autofree char *cpuinfo =
        ireko_host_head(source->root_fd, "proc/cpuinfo", CPUINFO_HEAD_MAX, NULL);
    ireko_host_read_cpu(source, cpuinfo, facts);
    ireko_host_read_system(source, facts);
    ireko_host_read_kvm(source, cpuinfo, facts);
    ireko_host_read_disks(source, facts);
    return g_steal_pointer(&facts);
}

/* __get_cpuid_count refuses the hypervisor's range: it is beyond the highest basic leaf. A CPU
 * without a hypervisor answers there with the data of its highest basic leaf, hence the bit. */
static bool
cpuid_here(void *data, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    (void)data;
    uint32_t max[4], base = leaf & 0xc0000000u;
    if (base == 0x40000000u) {
        __cpuid(1, max[0], max[1], max[2], max[3]);
        if ((max[2] & (1u << 31)) == 0)
            return false;
        base = leaf & 0xffffff00u;
    }
    __cpuid(base, max[0], max[1], max[2], max[3]);
    if (base < 0x40000000u || base >= 0x80000000u) {
        if (max[0] < leaf)
            return false;
    }
    __cpuid_count(leaf, subleaf, regs[0], regs[1], regs[2], regs[3]);
    return true;
}

IrekoFacts *
ireko_facts_here(GError **error)
{
    IREKO_AUTOFD root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open '/'");
        return NULL;
    }
    IrekoHostSource source = {.root_fd = root_fd, .cpuid = cpuid_here, .probe = true};
    return ireko_facts_read(&source, error);
}
