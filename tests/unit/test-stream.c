/* State streams: made here field by field, recorded from a QEMU, and damaged. */
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "xray/stream.h"

/* ---- a stream that is made here ---- */

typedef struct {
    GByteArray *bytes;
    GString *devices; /* their descriptions */
    GString *fields;  /* those of the device that is being made */
    unsigned sections;
} Maker;

static void
put(Maker *maker, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        g_byte_array_append(maker->bytes, &byte, 1);
    }
}

static void
put_text(Maker *maker, const char *text, unsigned length_bytes)
{
    put(maker, strlen(text), length_bytes);
    g_byte_array_append(maker->bytes, (const uint8_t *)text, (guint)strlen(text));
}

static void
comma(GString *list)
{
    if (list->len > 0 && list->str[list->len - 1] != '[')
        g_string_append_c(list, ',');
}

static void
field(Maker *maker, const char *name, uint64_t value, unsigned bytes)
{
    comma(maker->fields);
    g_string_append_printf(maker->fields, "{\"name\":\"%s\",\"type\":\"uint\",\"size\":%u}", name,
                           bytes);
    put(maker, value, bytes);
}

static void
begin(Maker *maker)
{
    *maker = (Maker){
        .bytes = g_byte_array_new(), .devices = g_string_new("["), .fields = g_string_new("")};
    g_byte_array_append(maker->bytes, (const uint8_t *)"QEVM", 4);
    put(maker, 3, 4);
    put(maker, 7, 1);
    put_text(maker, "pc-made", 4);
}

static void
begin_device(Maker *maker, const char *name, uint32_t instance)
{
    put(maker, 4, 1);
    put(maker, ++maker->sections, 4);
    put_text(maker, name, 1);
    put(maker, instance, 4);
    put(maker, 1, 4);
    comma(maker->devices);
    g_string_append_printf(maker->devices,
                           "{\"name\":\"%s\",\"instance_id\":%u,\"version\":1,\"fields\":[", name,
                           instance);
    g_string_truncate(maker->fields, 0);
}

/* MORE: further members of its description, or NULL. */
static void
end_device(Maker *maker, const char *more)
{
    g_string_append_printf(maker->devices, "%s]%s}", maker->fields->str, more != NULL ? more : "");
    put(maker, 0x7e, 1);
    put(maker, maker->sections, 4);
}

static GByteArray *
end(Maker *maker)
{
    g_autofree char *text =
        g_strdup_printf("{\"page_size\":4096,\"devices\":%s]}", maker->devices->str);
    put(maker, 0, 1);
    put(maker, 6, 1);
    put_text(maker, text, 4);
    g_string_free(maker->devices, TRUE);
    g_string_free(maker->fields, TRUE);
    return maker->bytes;
}

/* ---- a vCPU, in more orders than one ---- */

static void
put_regs(Maker *maker, bool one_by_one)
{
    for (unsigned i = 0; i < IREKO_REGS; i++) {
        if (one_by_one || i == 0) {
            comma(maker->fields);
            g_string_append_printf(maker->fields, "{\"name\":\"env.regs\",\"%s\":%u,\"size\":8}",
                                   one_by_one ? "index" : "array_len", one_by_one ? i : IREKO_REGS);
        }
        put(maker, 0x1000 + i, 8);
    }
}

#define SEGMENT_DESC                                                                               \
    "\"size\":20,\"struct\":{\"fields\":[{\"name\":\"selector\",\"size\":4},"                      \
    "{\"name\":\"base\",\"size\":8},{\"name\":\"limit\",\"size\":4},{\"name\":\"flags\",\"size\":" \
    "4}]}}"

static void
put_segments(Maker *maker, const char *name, unsigned count, uint64_t first)
{
    comma(maker->fields);
    g_string_append_printf(maker->fields, "{\"name\":\"%s\",\"array_len\":%u," SEGMENT_DESC, name,
                           count);
    for (unsigned i = 0; i < count; i++) {
        put(maker, first + i, 4);
        put(maker, 0x100000 * (first + i), 8);
        put(maker, 0xffff, 4);
        put(maker, 0xa09b00, 4);
    }
}

static void
put_tables(Maker *maker)
{
    put_segments(maker, "env.segs", 6, 0x10);
    put_segments(maker, "env.ldt", 1, 0x20);
    put_segments(maker, "env.tr", 1, 0x30);
    put_segments(maker, "env.gdt", 1, 0x40);
    put_segments(maker, "env.idt", 1, 0x50);
}

static void
put_control(Maker *maker, uint64_t hflags)
{
    field(maker, "env.cr[4]", 0x6f0, 8);
    field(maker, "env.hflags", hflags, 4);
    field(maker, "env.cr[0]", 0x80000011, 8);
    field(maker, "env.new_thing", 0x7777, 2);
    field(maker, "env.cr[3]", 0x123000, 8);
    field(maker, "env.cr[2]", 0xdead, 8);
    field(maker, "env.efer", 0x1500, 8);
    field(maker, "env.eip", 0xffffffff81000000, 8);
    field(maker, "env.eflags", 0x246, 8);
}

static void
put_vcpu(Maker *maker, uint32_t number, bool other_order, uint64_t hflags)
{
    begin_device(maker, "cpu_common", number);
    field(maker, "halted", number == 0, 4);
    end_device(maker, NULL);
    begin_device(maker, "cpu", number);
    if (other_order)
        put_control(maker, hflags);
    put_regs(maker, other_order);
    put_tables(maker);
    if (!other_order)
        put_control(maker, hflags);
}

static void
check_vcpu(const IrekoVcpu *vcpu)
{
    for (unsigned i = 0; i < IREKO_REGS; i++)
        g_assert_cmphex(vcpu->regs[i], ==, 0x1000 + i);
    g_assert_cmphex(vcpu->rip, ==, 0xffffffff81000000);
    g_assert_cmphex(vcpu->rflags, ==, 0x246);
    g_assert_cmphex(vcpu->cr0, ==, 0x80000011);
    g_assert_cmphex(vcpu->cr2, ==, 0xdead);
    g_assert_cmphex(vcpu->cr3, ==, 0x123000);
    g_assert_cmphex(vcpu->cr4, ==, 0x6f0);
    g_assert_cmphex(vcpu->efer, ==, 0x1500);
    g_assert_cmphex(vcpu->segs[IREKO_SEG_GS].selector, ==, 0x15);
    g_assert_cmphex(vcpu->segs[IREKO_SEG_CS].base, ==, 0x1100000);
    g_assert_cmphex(vcpu->segs[IREKO_SEG_CS].flags & IREKO_SEG_FLAG_LONG, !=, 0);
    g_assert_cmphex(vcpu->ldt.selector, ==, 0x20);
    g_assert_cmphex(vcpu->tr.selector, ==, 0x30);
    g_assert_cmphex(vcpu->gdt.base, ==, 0x4000000);
    g_assert_cmphex(vcpu->idt.limit, ==, 0xffff);
}

static IrekoStream *
read_made(Maker *maker)
{
    g_autoptr(GByteArray) bytes = end(maker);
    g_autoptr(GError) error = NULL;
    IrekoStream *stream = ireko_stream_read(bytes->data, bytes->len, &error);
    g_assert_no_error(error);
    return stream;
}

static void
test_description(void)
{
    Maker maker;
    begin(&maker);
    put_vcpu(&maker, 1, true, 0);
    end_device(&maker, NULL);
    begin_device(&maker, "what/ever", 7);
    field(&maker, "data", 0, 8);
    end_device(&maker, NULL);
    put_vcpu(&maker, 0, false, 0);
    end_device(&maker, NULL);
    g_autoptr(IrekoStream) stream = read_made(&maker);
    g_assert_cmpstr(ireko_stream_machine(stream), ==, "pc-made");
    g_assert_cmpuint(ireko_stream_vcpus(stream), ==, 2);
    for (uint32_t i = 0; i < 2; i++) {
        const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, i);
        g_assert_cmpuint(vcpu->number, ==, i);
        g_assert_cmpint(vcpu->halted, ==, i == 0);
        g_assert_false(vcpu->guest_mode);
        g_assert_cmpint(vcpu->nested, ==, IREKO_NESTED_NONE);
        check_vcpu(vcpu);
    }
}

/* ---- what KVM keeps of a machine's guest ---- */

#define NESTED_DESC                                                                                \
    ",\"subsections\":[{\"vmsd_name\":\"cpu/nested_state\",\"fields\":[{\"name\":"                 \
    "\"env.nested_state\",\"size\":%u,\"struct\":{\"fields\":[{\"name\":\"flags\",\"size\":2},"    \
    "{\"name\":\"format\",\"size\":2},{\"name\":\"size\",\"size\":4}],\"subsections\":[%s]}}]}]"
#define SVM_DESC                                                                                   \
    "{\"vmsd_name\":\"cpu/kvm_nested_state/svm\",\"fields\":[{\"name\":\"hdr.svm.vmcb_pa\","       \
    "\"size\":8},{\"name\":\"data.svm[0].vmcb12\",\"array_len\":4096,\"size\":1}]}"
#define VMX_DESC                                                                                   \
    "{\"vmsd_name\":\"cpu/kvm_nested_state/vmx\",\"fields\":[{\"name\":\"hdr.vmx.vmxon_pa\","      \
    "\"size\":8},{\"name\":\"hdr.vmx.vmcs12_pa\",\"size\":8},{\"name\":\"hdr.vmx.smm.flags\","     \
    "\"size\":2}],\"subsections\":[{\"vmsd_name\":\"cpu/kvm_nested_state/vmx/vmcs12\",\"fields\":" \
    "[{\"name\":\"data.vmx[0].vmcs12\",\"array_len\":4096,\"size\":1}]}]}"

static void
put_subsection(Maker *maker, const char *name)
{
    put(maker, 5, 1);
    put_text(maker, name, 1);
    put(maker, 1, 4);
}

static void
put_image(Maker *maker)
{
    for (unsigned i = 0; i < 4096; i++)
        put(maker, i * 7, 1);
}

static void
check_image(const IrekoVcpu *vcpu)
{
    g_assert_cmpuint(vcpu->image_bytes, ==, 4096);
    for (unsigned i = 0; i < 4096; i++)
        g_assert_cmpuint(vcpu->image[i], ==, (uint8_t)(i * 7));
}

static void
put_nested(Maker *maker, uint64_t flags, uint64_t format, const char *inner)
{
    put_vcpu(maker, 0, false, 0);
    put_subsection(maker, "cpu/nested_state");
    guint before = maker->bytes->len;
    put(maker, flags, 2);
    put(maker, format, 2);
    put(maker, 128 + 4096, 4);
    if (format == 1) {
        put_subsection(maker, "cpu/kvm_nested_state/svm");
        put(maker, 0x5000, 8);
    } else {
        put_subsection(maker, "cpu/kvm_nested_state/vmx");
        put(maker, 0x6000, 8);
        put(maker, 0x7000, 8);
        put(maker, 0, 2);
        put_subsection(maker, "cpu/kvm_nested_state/vmx/vmcs12");
    }
    put_image(maker);
    g_autofree char *more = g_strdup_printf(NESTED_DESC, maker->bytes->len - before, inner);
    end_device(maker, more);
}

static void
test_kvm_svm(void)
{
    Maker maker;
    begin(&maker);
    put_nested(&maker, 1, 1, SVM_DESC);
    g_autoptr(IrekoStream) stream = read_made(&maker);
    const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, 0);
    check_vcpu(vcpu);
    g_assert_true(vcpu->guest_mode);
    g_assert_cmpint(vcpu->nested, ==, IREKO_NESTED_SVM);
    g_assert_cmphex(vcpu->control_gpa, ==, 0x5000);
    check_image(vcpu);
}

static void
test_kvm_vmx(void)
{
    Maker maker;
    begin(&maker);
    put_nested(&maker, 0, 0, VMX_DESC);
    g_autoptr(IrekoStream) stream = read_made(&maker);
    const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, 0);
    g_assert_false(vcpu->guest_mode);
    g_assert_cmpint(vcpu->nested, ==, IREKO_NESTED_VMX);
    g_assert_cmphex(vcpu->vmxon_gpa, ==, 0x6000);
    g_assert_cmphex(vcpu->control_gpa, ==, 0x7000);
    check_image(vcpu);
}

/* ---- memory ---- */

static void
test_memory(void)
{
    Maker maker;
    begin(&maker);
    put(&maker, 1, 1);
    put(&maker, 2, 4);
    put_text(&maker, "ram", 1);
    put(&maker, 0, 4);
    put(&maker, 4, 4);
    put(&maker, 0x5000 | 4, 8); /* two blocks */
    put_text(&maker, "pc.ram", 1);
    put(&maker, 0x4000, 8);
    put_text(&maker, "rom\033", 1);
    put(&maker, 0x1000, 8);
    put(&maker, 0x10, 8);
    put(&maker, 3, 1); /* its end: two pages, one of zeroes */
    put(&maker, 2, 4);
    put(&maker, 0x1000 | 8, 8);
    put_text(&maker, "pc.ram", 1);
    for (unsigned i = 0; i < 512; i++)
        put(&maker, 0x0600000000000000, 8);
    put(&maker, 0x2000 | 0x20 | 2, 8);
    put(&maker, 0, 1);
    put(&maker, 0x10, 8);
    put_vcpu(&maker, 0, true, 0);
    end_device(&maker, NULL);
    g_autoptr(IrekoStream) stream = read_made(&maker);
    g_assert_cmpuint(ireko_stream_blocks(stream), ==, 2);
    g_assert_cmphex(ireko_stream_block_bytes(stream, "pc.ram"), ==, 0x4000);
    g_assert_cmphex(ireko_stream_block_bytes(stream, "none"), ==, 0);
    g_assert_false(ireko_stream_block(stream, 0)->has_address);
    g_assert_null(strchr(ireko_stream_block(stream, 1)->name, 0x1b));
    check_vcpu(ireko_stream_vcpu(stream, 0));
}

/* ---- recorded from QEMU 7.2, TCG ---- */

static GBytes *
recorded(void)
{
    char *text = NULL;
    gsize len = 0;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(IREKO_STREAMS "/in-guest", &text, &len, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(text, len);
}

static void
test_recorded(void)
{
    g_autoptr(GBytes) bytes = recorded();
    gsize len = 0;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoStream) stream = ireko_stream_read(data, len, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(ireko_stream_machine(stream), ==, "pc-i440fx-7.2");
    g_assert_cmphex(ireko_stream_block_bytes(stream, "ram"), ==, 0x80000000);
    g_assert_cmpuint(ireko_stream_vcpus(stream), ==, 1);
    const IrekoVcpu *vcpu = ireko_stream_vcpu(stream, 0); /* it ran a program in L3 */
    g_assert_true(vcpu->guest_mode);
    g_assert_cmpint(vcpu->nested, ==, IREKO_NESTED_SVM);
    g_assert_cmphex(vcpu->control_gpa, ==, 0x19840000);
    g_assert_cmphex(vcpu->hsave_gpa, ==, 0x66a1000);
    g_assert_true(vcpu->nested_paging);
    g_assert_cmphex(vcpu->nested_cr3, ==, 0x14c55000);
    g_assert_cmphex(vcpu->rip, ==, 0x531feb);
    g_assert_cmphex(vcpu->regs[IREKO_REG_RSP], ==, 0x7ffe8248f220);
    g_assert_cmphex(vcpu->cr3, ==, 0x6892000);
    g_assert_cmphex(vcpu->cr4, ==, 0x310ef0);
    g_assert_cmphex(vcpu->segs[IREKO_SEG_CS].selector, ==, 0x33);
    g_assert_cmphex(vcpu->segs[IREKO_SEG_CS].flags & IREKO_SEG_FLAG_LONG, !=, 0);
    g_assert_cmphex(vcpu->xcr0, ==, 0x21f);
    g_assert_cmphex(vcpu->pkru, ==, 0x55555554);
}

/* ---- damage ---- */

static void
test_cut(void)
{
    g_autoptr(GBytes) bytes = recorded();
    gsize len = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    for (size_t cut = 0; cut < len; cut += cut < 64 || cut + 64 > len ? 1 : 211) {
        g_autofree uint8_t *short_data = g_memdup2(data, cut); /* so that a read past it is seen */
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_stream_read(short_data, cut, &error));
        g_assert_nonnull(error);
    }
}

static void
test_flipped(void)
{
    g_autoptr(GBytes) bytes = recorded();
    gsize len = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    for (size_t at = 0; at < len; at += 97) {
        copy[at] ^= (uint8_t)(1u << (at % 8));
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoStream) stream = ireko_stream_read(copy, len, &error);
        g_assert_true((stream != NULL) != (error != NULL));
        copy[at] = data[at];
    }
}

static const struct {
    const char *label, *devices;
    IrekoError code;
} descriptions[] = {
    {"no-devices", "[]", IREKO_ERROR_SYNTAX},
    {"no-list", "{}", IREKO_ERROR_SYNTAX},
    {"a-device-twice", "[{\"name\":\"cpu\",\"fields\":[]},{\"name\":\"cpu\",\"fields\":[]}]",
     IREKO_ERROR_SYNTAX},
    {"another-version", "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":2,\"fields\":[]}]",
     IREKO_ERROR_SYNTAX},
    {"no-name", "[{\"fields\":[]}]", IREKO_ERROR_SYNTAX},
    {"device-not-described", "[{\"name\":\"other\",\"fields\":[]}]", IREKO_ERROR_SYNTAX},
    {"a-field-without-size",
     "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":1,\"fields\":[{\"name\":\"a\"}]}]",
     IREKO_ERROR_SYNTAX},
    {"a-negative-size",
     "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":1,\"fields\":[{\"name\":\"a\",\"size\":-1}]}"
     "]",
     IREKO_ERROR_SYNTAX},
    {"a-size-that-wraps",
     "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":1,\"fields\":[{\"name\":\"a\",\"size\":"
     "9223372036854775807,\"array_len\":9223372036854775807}]}]",
     IREKO_ERROR_SYNTAX},
    {"sizes-that-wrap",
     "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":1,\"fields\":[{\"name\":\"a\",\"size\":"
     "9223372036854775807},"
     "{\"name\":\"b\",\"size\":9223372036854775807},{\"name\":\"c\",\"size\":2}]}]",
     IREKO_ERROR_SYNTAX},
    {"more-than-there-is",
     "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":1,\"fields\":[{\"name\":\"a\",\"size\":"
     "100000}]}]",
     IREKO_ERROR_SYNTAX},
    {"no-register",
     "[{\"name\":\"cpu\",\"instance_id\":0,\"version\":1,\"fields\":[{\"name\":\"a\",\"size\":8}]}"
     "]",
     IREKO_ERROR_SYNTAX},
    {"no-json", "[{]", IREKO_ERROR_SYNTAX},
};

static void
test_described(gconstpointer data)
{
    size_t row = GPOINTER_TO_SIZE(data);
    Maker maker;
    begin(&maker);
    begin_device(&maker, "cpu", 0);
    put(&maker, 0, 8);
    end_device(&maker, NULL);
    g_string_assign(maker.devices, descriptions[row].devices);
    g_string_truncate(maker.devices, maker.devices->len - 1); /* end() adds the bracket */
    g_autoptr(GByteArray) bytes = end(&maker);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_stream_read(bytes->data, bytes->len, &error));
    g_assert_error(error, IREKO_ERROR, (int)descriptions[row].code);
}

static void
test_early_end(void)
{
    Maker maker;
    begin(&maker);
    put_vcpu(&maker, 0, true, 0);
    end_device(&maker, NULL);
    put(&maker, 0, 1); /* the end, and then one more device */
    put_vcpu(&maker, 1, true, 0);
    end_device(&maker, NULL);
    g_autoptr(GByteArray) bytes = end(&maker);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_stream_read(bytes->data, bytes->len, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
}

static void
test_deep(void)
{
    Maker maker;
    begin(&maker);
    begin_device(&maker, "cpu", 0);
    g_autoptr(GString) more = g_string_new("");
    for (unsigned i = 0; i < 1000; i++)
        g_string_append(more, ",\"subsections\":[{\"vmsd_name\":\"x\",\"fields\":[]");
    for (unsigned i = 0; i < 1000; i++)
        g_string_append(more, "}]");
    end_device(&maker, more->str);
    g_autoptr(GByteArray) bytes = end(&maker);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_stream_read(bytes->data, bytes->len, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
}

static void
test_foreign(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        IrekoError code;
    } rows[] = {
        {"", 0, IREKO_ERROR_SYNTAX},
        {"QEVM", 4, IREKO_ERROR_UNSUPPORTED},
        {"QEVM\0\0\0\3\0", 9, IREKO_ERROR_UNSUPPORTED}, /* no description */
        {"QFI\xfb\0\0\0\3", 8, IREKO_ERROR_SYNTAX},
        {"QEVM\0\0\0\2\0\6\0\0\0\x1f{\"devices\":[{\"name\":\"a\"}]}    ", 45,
         IREKO_ERROR_UNSUPPORTED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_stream_read(rows[i].bytes, rows[i].len, &error));
        g_assert_error(error, IREKO_ERROR, (int)rows[i].code);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/vcpus-are-read-by-the-description", test_description);
    g_test_add_func("/stream/kvm-gives-the-vmcb-of-a-guest-that-runs", test_kvm_svm);
    g_test_add_func("/stream/kvm-gives-the-vmcs-of-a-guest", test_kvm_vmx);
    g_test_add_func("/stream/memory-is-listed-and-passed-over", test_memory);
    g_test_add_func("/stream/a-recorded-one-says-what-ran", test_recorded);
    g_test_add_func("/stream/a-stream-cut-anywhere-is-an-error", test_cut);
    g_test_add_func("/stream/a-bit-flipped-is-an-error-or-another-value", test_flipped);
    g_test_add_func("/stream/an-end-before-the-end-is-an-error", test_early_end);
    g_test_add_func("/stream/subsections-have-a-depth", test_deep);
    g_test_add_func("/stream/what-is-none-is-told", test_foreign);
    for (size_t i = 0; i < G_N_ELEMENTS(descriptions); i++) {
        g_autofree char *path =
            g_strdup_printf("/stream/a-wrong-description-is-an-error/%s", descriptions[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_described);
    }
    return g_test_run();
}
