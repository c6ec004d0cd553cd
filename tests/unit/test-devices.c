/* Streams of devices alone, read by the description of another moment: made from a recorded one. */
#include <glib.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "xray/stream.h"

#define FOOTER_BYTES ((size_t)5)
#define NPT                                                                                        \
    "\5\x0b"                                                                                       \
    "cpu/svn_npt"                                                                                  \
    "\0\0\0\1" /* of 8 + 4 bytes */
#define NPT_BYTES (sizeof NPT - 1 + 12)
#define RIP       0x531febu

static GByteArray *
recorded(void)
{
    char *text = NULL;
    gsize len = 0;
    g_assert_true(g_file_get_contents(IREKO_STREAMS "/in-guest", &text, &len, NULL));
    return g_byte_array_new_take((uint8_t *)text, len);
}

/* Where the LEN bytes WHAT are, which are there once. */
static guint
place_of(const GByteArray *bytes, const void *what, size_t len)
{
    const uint8_t *at = memmem(bytes->data, bytes->len, what, len);
    g_assert_nonnull(at);
    return (guint)(at - bytes->data);
}

static void
insert(GByteArray *bytes, guint at, const void *what, size_t len)
{
    guint behind = bytes->len - at;
    g_byte_array_set_size(bytes, bytes->len + (guint)len);
    memmove(bytes->data + at + len, bytes->data + at, behind);
    memcpy(bytes->data + at, what, len);
}

/* What QEMU writes of the devices alone: all full sections, the first of which is the timer's. */
static GByteArray *
devices(void)
{
    GByteArray *bytes = recorded();
    guint first = place_of(bytes, "\5timer", 6) - 5, end = place_of(bytes, "{\"", 2) - 5;
    g_byte_array_set_size(bytes, end);
    g_byte_array_remove_range(bytes, 8, first - 8);
    return bytes;
}

/* The recorded stream as it would be had the vCPU run no guest then: nothing is said of one. */
static GByteArray *
another_moment(void)
{
    GByteArray *bytes = recorded();
    g_byte_array_remove_range(bytes, place_of(bytes, NPT, sizeof NPT - 1), NPT_BYTES);
    guint text = place_of(bytes, "{\"", 2);
    json_t *all = json_loadb((const char *)bytes->data + text, bytes->len - text, 0, NULL);
    size_t i, k;
    json_t *device, *part;
    json_array_foreach(json_object_get(all, "devices"), i, device)
    {
        json_t *parts = json_object_get(device, "subsections");
        json_array_foreach(parts, k, part)
        {
            if (strcmp(json_string_value(json_object_get(part, "vmsd_name")), "cpu/svn_npt") == 0)
                (void)json_array_remove(parts, k--);
        }
    }
    char *changed = json_dumps(all, JSON_COMPACT);
    uint32_t len = GUINT32_TO_BE((uint32_t)strlen(changed));
    g_byte_array_set_size(bytes, text - 4);
    g_byte_array_append(bytes, (const uint8_t *)&len, 4);
    g_byte_array_append(bytes, (const uint8_t *)changed, (guint)strlen(changed));
    free(changed);
    json_decref(all);
    return bytes;
}

static IrekoStream *
read_by(const GByteArray *now, const GByteArray *described, GError **error)
{
    return ireko_stream_read_devices(now->data, now->len, described->data, described->len, error);
}

static void
check(const IrekoStream *stream)
{
    g_assert_nonnull(stream);
    g_assert_cmpstr(ireko_stream_machine(stream), ==, "pc-i440fx-7.2");
    g_assert_cmpuint(ireko_stream_vcpus(stream), ==, 1);
    const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, 0);
    g_assert_true(vcpu->guest_mode);
    g_assert_cmphex(vcpu->control_gpa, ==, 0x19840000);
    g_assert_cmphex(vcpu->hsave_gpa, ==, 0x66a1000);
    g_assert_cmphex(vcpu->rip, ==, RIP);
    g_assert_cmphex(vcpu->cr3, ==, 0x6892000);
    g_assert_cmphex(vcpu->pkru, ==, 0x55555554);
}

static void
test_same(void)
{
    g_autoptr(GByteArray) now = devices(), described = recorded();
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoStream) stream = read_by(now, described, &error);
    g_assert_no_error(error);
    check(stream);
    g_assert_true(ireko_stream_vcpu(stream, 0)->nested_paging);
}

static void
test_registers_are_of_now(void)
{
    static const uint8_t rip[] = {0, 0, 0, 0, 0, 0x53, 0x1f, 0xeb};
    g_autoptr(GByteArray) now = devices(), described = recorded();
    now->data[place_of(now, rip, sizeof rip) + 7] = 0x77;
    g_autoptr(IrekoStream) stream = read_by(now, described, NULL);
    g_assert_cmphex(ireko_stream_vcpu(stream, 0)->rip, ==, (RIP & ~0xffu) | 0x77);
}

static void
test_more_to_say(void)
{
    g_autoptr(GByteArray) now = devices(), described = another_moment();
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoStream) stream = read_by(now, described, &error);
    g_assert_no_error(error);
    check(stream);
    g_assert_false(ireko_stream_vcpu(stream, 0)->nested_paging);
}

static void
test_less_to_say(void)
{
    g_autoptr(GByteArray) now = devices(), described = recorded();
    g_byte_array_remove_range(now, place_of(now, NPT, sizeof NPT - 1), NPT_BYTES);
    g_autoptr(IrekoStream) stream = read_by(now, described, NULL);
    check(stream);
    g_assert_false(ireko_stream_vcpu(stream, 0)->nested_paging);
}

/* ---- what cannot be trusted ---- */

static void
refuse(GByteArray *now, IrekoError code, const char *words)
{
    g_autoptr(GByteArray) owned = now, described = recorded();
    g_autoptr(GError) error = NULL;
    g_assert_null(read_by(owned, described, &error));
    g_assert_error(error, IREKO_ERROR, (int)code);
    g_assert_nonnull(strstr(error->message, words));
}

/* Subsections that a vCPU on KVM has while it runs a guest; the VMCS may have been made since,
 * within a nested state that was described without. */
static const char *const of_guests_on_kvm[] = {"cpu/nested_state",
                                               "cpu/kvm_nested_state/vmx/vmcs12"};

static void
test_nested_state_nobody_described(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(of_guests_on_kvm); i++) {
        const char *name = of_guests_on_kvm[i];
        g_test_message("%s", name);
        g_autoptr(GString) section = g_string_new("\5");
        g_string_append_c(section, (char)strlen(name));
        g_string_append(section, name);
        g_string_append_len(section, "\0\0\0\1whatever", 12);
        GByteArray *now = devices();
        insert(now, place_of(now, NPT, sizeof NPT - 1) + NPT_BYTES, section->str, section->len);
        refuse(now, IREKO_ERROR_STATE, "did not say");
    }
}

static void
test_forged_header(void)
{
    static const char forged[] = "\4\0\0\0\7\3"
                                 "cpu"
                                 "\0\0\0\0\0\0\0\x0c";
    GByteArray *now = devices();
    insert(now, place_of(now, "\5timer", 6) + 14, forged, sizeof forged - 1);
    refuse(now, IREKO_ERROR_SYNTAX, "twice");
}

static void
test_missing(void)
{
    GByteArray *now = devices();
    now->data[place_of(now, "\3cpu\0\0\0\0", 8) + 1] = 'd';
    refuse(now, IREKO_ERROR_SYNTAX, "missing");
}

static void
test_no_footer(void)
{
    GByteArray *now = devices();
    guint footer = place_of(now, NPT, sizeof NPT - 1) + NPT_BYTES;
    g_byte_array_remove_range(now, footer, FOOTER_BYTES);
    refuse(now, IREKO_ERROR_STATE, "did not say");
}

static void
test_other_version(void)
{
    GByteArray *now = devices();
    now->data[7] = 2; /* its version */
    refuse(now, IREKO_ERROR_UNSUPPORTED, "not of version 3");
}

static void
test_cut(void)
{
    g_autoptr(GByteArray) now = devices(), described = recorded();
    guint end = place_of(now, NPT, sizeof NPT - 1) + NPT_BYTES + FOOTER_BYTES;
    for (size_t cut = 0; cut < end; cut += cut < 64 || cut + 64 > end ? 1 : 53) {
        g_autofree uint8_t *part = g_memdup2(now->data, cut); /* so that a read past it is seen */
        g_autoptr(GError) error = NULL;
        g_assert_null(
            ireko_stream_read_devices(part, cut, described->data, described->len, &error));
        g_assert_nonnull(error);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/devices/are-read-by-a-whole-stream", test_same);
    g_test_add_func("/devices/registers-are-of-now", test_registers_are_of_now);
    g_test_add_func("/devices/what-nobody-described-is-passed-over", test_more_to_say);
    g_test_add_func("/devices/what-is-not-there-now-is-not-looked-for", test_less_to_say);
    g_test_add_func("/devices/what-kvm-says-of-a-guest-and-nobody-described-is-refused",
                    test_nested_state_nobody_described);
    g_test_add_func("/devices/a-section-forged-by-a-guest-is-refused", test_forged_header);
    g_test_add_func("/devices/a-vcpu-that-is-missing-is-refused", test_missing);
    g_test_add_func("/devices/a-section-without-its-end-is-refused", test_no_footer);
    g_test_add_func("/devices/a-stream-of-another-version-is-refused", test_other_version);
    g_test_add_func("/devices/a-stream-cut-anywhere-is-an-error", test_cut);
    return g_test_run();
}
