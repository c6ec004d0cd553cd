/* vmx/vsan.c - which disks a vSAN takes as what. */
#include <ireko/vsan.h>

bool
ireko_vsan_is_host(const char *guest_os, bool vhv)
{
    g_autofree char *low = g_ascii_strdown(guest_os != NULL ? guest_os : "", -1);
    return vhv || g_str_has_prefix(low, "vmkernel") || g_str_has_prefix(low, "winhyperv");
}

void
ireko_vsan_assign(IrekoVsanDisk *disks, size_t count)
{
    size_t flash = 0, smallest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!disks[i].flash)
            continue;
        if (flash == 0 || (disks[i].bytes > 0 && disks[i].bytes < disks[smallest].bytes))
            smallest = i;
        flash++;
    }
    for (size_t i = 0; i < count; i++) {
        bool cache = disks[i].flash && (flash < count || i == smallest);
        disks[i].role = cache ? IREKO_VSAN_CACHE : IREKO_VSAN_CAPACITY;
    }
}
