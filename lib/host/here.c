/* host/here.c - the machine that this program runs on, as a source of facts. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "host/facts.h"
#include "host/parts.h"

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

bool
ireko_host_here(IrekoHostSource *ret_source, GError **error)
{
    int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open '/'");
        return false;
    }
    *ret_source = (IrekoHostSource){.root_fd = root_fd, .cpuid = cpuid_here, .probe = true};
    return true;
}

IrekoFacts *
ireko_facts_here(GError **error)
{
    IrekoHostSource source;
    ireko_host_begin_tsc();
    if (!ireko_host_here(&source, error))
        return NULL;
    IrekoFacts *facts = ireko_facts_read(&source, error);
    ireko_fd_close(&source.root_fd);
    return facts;
}
