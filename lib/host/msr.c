/* host/msr.c - model-specific registers: whether the firmware locked assistance off, and what VMX
 * offers.
 *
 * They are read through the msr module's /dev/cpu/0/msr, never written, and the module is never
 * loaded: without it, or without root, they stay unknown. Registers and bits: Intel SDM vol. 3,
 * appendix A (VMX capability reporting: the upper half of a control register is what may be 1), and
 * vol. 4, table 2-2 (IA32_FEATURE_CONTROL); AMD APM vol. 2, 15.30.1 (VM_CR), and SEV_STATUS in
 * 15.34.10. Names of features are those that Linux prints as "vmx flags".
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/parts.h"

#define PINBASED   0x481u
#define PROCBASED  0x482u
#define PROCBASED2 0x48bu
#define EPT_VPID   0x48cu
#define MAY_BE_1   32 /* first bit of the upper half */

static const struct {
    uint32_t msr;
    unsigned bit;
    const char *name;
} vmx_features[] = {
    {PINBASED, MAY_BE_1 + 5, "vnmi"},
    {PINBASED, MAY_BE_1 + 6, "preemption_timer"},
    {PINBASED, MAY_BE_1 + 7, "posted_intr"},
    {EPT_VPID, 32, "invvpid"},
    {EPT_VPID, 0, "ept_x_only"},
    {EPT_VPID, 21, "ept_ad"},
    {EPT_VPID, 17, "ept_1gb"},
    {PROCBASED, MAY_BE_1 + 3, "tsc_offset"},
    {PROCBASED, MAY_BE_1 + 21, "vtpr"},
    {PROCBASED, MAY_BE_1 + 27, "mtf"},
    {PROCBASED2, MAY_BE_1 + 0, "vapic"},
    {PROCBASED2, MAY_BE_1 + 1, "ept"},
    {PROCBASED2, MAY_BE_1 + 5, "vpid"},
    {PROCBASED2, MAY_BE_1 + 7, "unrestricted_guest"},
    {PROCBASED2, MAY_BE_1 + 8, "vapic_reg"},
    {PROCBASED2, MAY_BE_1 + 9, "vid"},
    {PROCBASED2, MAY_BE_1 + 10, "ple"},
    {PROCBASED2, MAY_BE_1 + 14, "shadow_vmcs"},
    {PROCBASED2, MAY_BE_1 + 17, "pml"},
    {PROCBASED2, MAY_BE_1 + 22, "ept_mode_based_exec"},
    {PROCBASED2, MAY_BE_1 + 25, "tsc_scaling"},
};

int
ireko_host_msr(const IrekoHostSource *source, uint32_t index, uint64_t *ret_value)
{
    if (source->msr != NULL)
        return source->msr(source->data, index, ret_value);
    if (!source->probe)
        return ENODATA;
    IREKO_AUTOFD fd = ireko_host_open(source->root_fd, "dev/cpu/0/msr", 0);
    if (fd < 0)
        return errno;
    uint64_t value = 0;
    ssize_t n = pread(fd, &value, sizeof value, (off_t)index);
    if (n != (ssize_t)sizeof value)
        return n < 0 ? errno : EIO;
    *ret_value = value;
    return 0;
}

bool
ireko_host_vmx_features(const IrekoHostSource *source, GPtrArray *features)
{
    uint64_t value = 0;
    uint32_t held = 0;
    if (ireko_host_msr(source, PINBASED, &value) != 0)
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(vmx_features); i++) {
        if (held != vmx_features[i].msr) {
            held = vmx_features[i].msr;
            value = 0; /* a register that is not there offers nothing */
            (void)ireko_host_msr(source, held, &value);
        }
        if ((value >> vmx_features[i].bit & 1) != 0)
            g_ptr_array_add(features, g_strdup(vmx_features[i].name));
    }
    return true;
}
