/* Fuzz target: any document is a machine within the limits, or an error in words. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "machine/machine.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse((const char *)data, size, NULL);
    g_autoptr(IrekoMachine) m = ireko_machine_from_vmx(doc, "fuzz.vmx", &error);
    if (m == NULL) {
        g_assert_true(error != NULL && g_utf8_validate(error->message, -1, NULL));
        g_assert_null(strpbrk(error->message, "\n\r\x1b"));
        return 0;
    }
    g_assert_cmpuint(m->notes->len, ==, ireko_vmx_count(doc));
    g_assert_true(m->vcpus >= 1 && m->vcpus <= IREKO_MACHINE_VCPUS_MAX);
    g_assert_true(m->memory_mib >= 4 && m->memory_mib <= IREKO_MACHINE_MEMORY_MAX);
    g_assert_cmpuint(m->disks->len, <=, IREKO_MACHINE_DISKS_MAX);
    for (size_t i = 0; i < m->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(m->disks, i);
        g_assert_true(disk->cdrom || (disk->file != NULL && *disk->file != '\0'));
        g_assert_false(disk->cdrom && disk->ssd);
    }
    return 0;
}
