/* Fuzz target: whatever a state stream says, it is read or there is an error in words; what was
 * read is within the limits, and read as devices alone it is the same. */
#include <glib.h>
#include <string.h>

#include "xray/stream.h"

/* A whole stream is one of devices, too, as one reads it that looks for its vCPUs: what both find
 * is the same. */
static void
read_as_devices(const uint8_t *data, size_t size, const IrekoStream *stream)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoStream) devices = ireko_stream_read_devices(data, size, data, size, &error);
    g_assert_true((devices != NULL) != (error != NULL));
    if (devices == NULL)
        return;
    g_assert_cmpuint(ireko_stream_vcpus(devices), <=, IREKO_STREAM_VCPUS_MAX);
    for (size_t i = 0; i < ireko_stream_vcpus(stream) && i < ireko_stream_vcpus(devices); i++) {
        const IrekoVcpu *one = ireko_stream_vcpu(stream, i), *other = ireko_stream_vcpu(devices, i);
        if (one->number == other->number)
            g_assert_cmphex(one->cr3, ==, other->cr3);
    }
}

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
    read_as_devices(data, size, stream);
    return 0;
}
