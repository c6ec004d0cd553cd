/* nest/lost.c - which features of the CPU did not arrive in a machine, and who took them.
 *
 * What the layer outside has is what its CPUID shows and its kernel lists. What the machine has is
 * the same from inside. A feature that is missing inside was taken by the first of these that it
 * passed:
 *
 *     vhv.enable, hypervisor.cpuid.v0     the machine's own .vmx
 *     tcg                                 QEMU's emulator, which makes a CPU of its own
 *     cpu-model                           KVM, or the model of CPU that QEMU was given
 *     firmware                            CPUID inside has it, the guest's kernel found it locked
 *     kernel                              CPUID inside has it, the guest's kernel does not list it
 *
 * The parts of SVM or VMX are compared only where the machine has the same assistance: to a guest
 * without it they are not a loss of their own.
 */
#include <string.h>

#include "nest/parts.h"

/* What people ask for first. */
static const char *const important[] = {
    "svm",
    "vmx",
    "npt",
    "ept",
    "nrip-save",
    "decodeassists",
    "vgif",
    "v-vmsave-vmload",
    "avic",
    "vpid",
    "unrestricted_guest",
    "shadow_vmcs",
    "ept_ad",
    "hypervisor",
    "lm",
    "nx",
    "aes",
    "avx",
    "avx2",
    "avx512f",
    "fma",
    "bmi2",
    "rdrand",
    "rdseed",
    "x2apic",
    "pcid",
    "invpcid",
    "tsc_deadline_timer",
    "nonstop_tsc",
    "pdpe1gb",
    "xsave",
    "xsaves",
    "la57",
    "smap",
    "smep",
};

static bool
holds(const GPtrArray *names, const char *name)
{
    for (guint i = 0; i < names->len; i++) {
        if (strcmp(g_ptr_array_index(names, i), name) == 0)
            return true;
    }
    return false;
}

static bool
has(const IrekoFacts *facts, const char *name)
{
    return holds(facts->cpu_features, name) && !holds(facts->kernel_hides, name);
}

static const char *
taker(const IrekoMachine *machine, IrekoAccel accel, const IrekoFacts *inner, const char *name)
{
    bool assistance = strcmp(name, "svm") == 0 || strcmp(name, "vmx") == 0;
    if (holds(inner->kernel_hides, name))
        return assistance ? "firmware" : "kernel";
    if (assistance && !machine->vhv)
        return "vhv.enable";
    if (strcmp(name, "hypervisor") == 0 && machine->hypervisor_hidden)
        return "hypervisor.cpuid.v0";
    return accel == IREKO_ACCEL_TCG ? "tcg" : "cpu-model";
}

static int
rank(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(important); i++) {
        if (strcmp(important[i], name) == 0)
            return (int)i;
    }
    return G_N_ELEMENTS(important);
}

static int
compare_ranks(const void *a, const void *b)
{
    const IrekoLoss *const *x = a, *const *y = b;
    return rank((*x)->name) - rank((*y)->name);
}

static void
lose(IrekoReport *report, const char *name, const char *by)
{
    if (report->lost->len < IREKO_REPORT_LOST_MAX)
        g_ptr_array_add(report->lost, ireko_loss_new(name, by));
}

void
ireko_nest_compare_cpus(IrekoReport *report,
                        const IrekoMachine *machine,
                        const IrekoFacts *outer,
                        IrekoAccel accel,
                        const IrekoFacts *inner)
{
    g_ptr_array_set_size(report->lost, 0);
    if (inner->cpu_features->len == 0)
        return; /* nobody inside could tell */
    for (guint i = 0; i < outer->cpu_features->len; i++) {
        const char *name = g_ptr_array_index(outer->cpu_features, i);
        if (has(outer, name) && !has(inner, name))
            lose(report, name, taker(machine, accel, inner, name));
    }
    for (guint i = 0; outer->hv == inner->hv && i < outer->hv_features->len; i++) {
        const char *name = g_ptr_array_index(outer->hv_features, i);
        if (!holds(inner->hv_features, name))
            lose(report, name, taker(machine, accel, inner, name));
    }
    g_ptr_array_sort(report->lost, compare_ranks);
}
