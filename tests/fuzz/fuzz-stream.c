/* Fuzz target: whatever a state stream says, it is read or there is an error in words; and what was
 * read is within the limits. */
#include <glib.h>
#include <string.h>

#include "xray/stream.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoStream) stream = ireko_stream_read(data, size, &error);
    if (stream == NULL) {
        g_assert_true(error != NULL && error->domain == IREKO_ERROR);
        return 0;
    }
    g_assert_no_error(error);
    g_assert_null(strchr(ireko_stream_machine(stream), 0x1b));
    g_assert_cmpuint(ireko_stream_vcpus(stream), <=, IREKO_STREAM_VCPUS_MAX);
    g_assert_cmpuint(ireko_stream_blocks(stream), <=, IREKO_STREAM_BLOCKS_MAX);
    for (size_t i = 0; i < ireko_stream_vcpus(stream); i++) {
        const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, i);
        g_assert_cmpuint(vcpu->image_bytes, <=, IREKO_STREAM_IMAGE_MAX);
        for (size_t at = 0; at < vcpu->image_bytes; at++)
            g_assert_true(vcpu->image[at] <= UINT8_MAX);
    }
    for (size_t i = 0; i < ireko_stream_blocks(stream); i++)
        g_assert_null(strchr(ireko_stream_block(stream, i)->name, 0x1b));
    return 0;
}
