/* xray/stream-vcpu.c - a vCPU out of the state of QEMU's device "cpu" (target/i386/machine.c).
 *
 * Where QEMU's TCG emulates SVM, vCPU and VMCB are its own: hflags has HF_GUEST while a guest of
 * the machine runs, and vm_vmcb is where VMRUN last pointed. On KVM the vCPU's nested state
 * (Linux, Documentation/virt/kvm/api.rst, KVM_GET_NESTED_STATE) comes along as a subsection, with
 * the VMCB or VMCS while a guest of the machine runs. */
#include "xray/stream-parts.h"

#define HFLAGS_GUEST      (UINT64_C(1) << 21) /* QEMU, target/i386/cpu.h: HF_GUEST_MASK */
#define NESTED_GUEST_MODE 0x1u                /* KVM_STATE_NESTED_GUEST_MODE */
#define NESTED_FORMAT_VMX 0
#define NESTED_FORMAT_SVM 1
#define NO_ADDRESS        UINT64_MAX /* KVM's word for none */

static const struct {
    const char *name;
    unsigned index;
    size_t offset; /* in IrekoVcpu, of a uint64_t */
    bool is_needed;
} numbers[] = {
    {"env.eip", 0, G_STRUCT_OFFSET(IrekoVcpu, rip), true},
    {"env.eflags", 0, G_STRUCT_OFFSET(IrekoVcpu, rflags), true},
    {"env.cr[0]", 0, G_STRUCT_OFFSET(IrekoVcpu, cr0), true},
    {"env.cr[2]", 0, G_STRUCT_OFFSET(IrekoVcpu, cr2), true},
    {"env.cr[3]", 0, G_STRUCT_OFFSET(IrekoVcpu, cr3), true},
    {"env.cr[4]", 0, G_STRUCT_OFFSET(IrekoVcpu, cr4), true},
    {"env.efer", 0, G_STRUCT_OFFSET(IrekoVcpu, efer), false}, /* not in a 32-bit QEMU */
    {"env.xcr0", 0, G_STRUCT_OFFSET(IrekoVcpu, xcr0), false},
    {"env.vm_vmcb", 0, G_STRUCT_OFFSET(IrekoVcpu, control_gpa), false},
    {"env.vm_hsave", 0, G_STRUCT_OFFSET(IrekoVcpu, hsave_gpa), false},
};

static const struct {
    const char *name;
    unsigned index;
    size_t offset; /* in IrekoVcpu, of an IrekoSegment */
} segments[] = {
    {"env.segs", 0, G_STRUCT_OFFSET(IrekoVcpu, segs[0])},
    {"env.segs", 1, G_STRUCT_OFFSET(IrekoVcpu, segs[1])},
    {"env.segs", 2, G_STRUCT_OFFSET(IrekoVcpu, segs[2])},
    {"env.segs", 3, G_STRUCT_OFFSET(IrekoVcpu, segs[3])},
    {"env.segs", 4, G_STRUCT_OFFSET(IrekoVcpu, segs[4])},
    {"env.segs", 5, G_STRUCT_OFFSET(IrekoVcpu, segs[5])},
    {"env.ldt", 0, G_STRUCT_OFFSET(IrekoVcpu, ldt)},
    {"env.tr", 0, G_STRUCT_OFFSET(IrekoVcpu, tr)},
    {"env.gdt", 0, G_STRUCT_OFFSET(IrekoVcpu, gdt)},
    {"env.idt", 0, G_STRUCT_OFFSET(IrekoVcpu, idt)},
};

static bool
lacks(const char *name, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                "the state stream's description has no '%s' of a vCPU", name);
    return false;
}

static bool
read_numbers(const IrekoStreamPiece *cpu, IrekoVcpu *vcpu, GError **error)
{
    for (unsigned i = 0; i < IREKO_REGS; i++) {
        /* a 32-bit QEMU has eight */
        if (!ireko_stream_number(cpu, "env.regs", i, &vcpu->regs[i]) && i <= IREKO_REG_RDI)
            return lacks("env.regs", error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        uint64_t *value = G_STRUCT_MEMBER_P(vcpu, numbers[i].offset);
        if (!ireko_stream_number(cpu, numbers[i].name, numbers[i].index, value) &&
            numbers[i].is_needed)
            return lacks(numbers[i].name, error);
    }
    return true;
}

static bool
read_segments(const IrekoStreamPiece *cpu, IrekoVcpu *vcpu, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(segments); i++) {
        IrekoStreamPiece piece;
        uint64_t selector = 0, base = 0, limit = 0, flags = 0;
        if (!ireko_stream_field(cpu, segments[i].name, segments[i].index, &piece) ||
            !ireko_stream_number(&piece, "selector", 0, &selector) ||
            !ireko_stream_number(&piece, "base", 0, &base) ||
            !ireko_stream_number(&piece, "limit", 0, &limit) ||
            !ireko_stream_number(&piece, "flags", 0, &flags))
            return lacks(segments[i].name, error);
        IrekoSegment *segment = G_STRUCT_MEMBER_P(vcpu, segments[i].offset);
        *segment = (IrekoSegment){.selector = (uint32_t)selector,
                                  .base = base,
                                  .limit = (uint32_t)limit,
                                  .flags = (uint32_t)flags};
    }
    return true;
}

/* Keeps the control block NAME of NESTED, an array of bytes. */
static void
keep_image(const IrekoStreamPiece *nested, const char *name, IrekoVcpu *vcpu, GPtrArray *images)
{
    IrekoStreamPiece first, last;
    unsigned top = IREKO_STREAM_IMAGE_MAX - 1;
    if (!ireko_stream_field(nested, name, 0, &first))
        return;
    if (first.len == 1) { /* described byte by byte, or as one buffer */
        if (!ireko_stream_field(nested, name, top, &last) || last.at != first.at + top)
            return;
        first.len = IREKO_STREAM_IMAGE_MAX;
    }
    vcpu->image_bytes = MIN(first.len, IREKO_STREAM_IMAGE_MAX);
    uint8_t *image = g_memdup2(first.at, vcpu->image_bytes);
    g_ptr_array_add(images, image);
    vcpu->image = image;
}

static void
read_nested_svm(const IrekoStreamPiece *state, IrekoVcpu *vcpu, GPtrArray *images)
{
    IrekoStreamPiece svm;
    if (!vcpu->guest_mode || !ireko_stream_subsection(state, "cpu/kvm_nested_state/svm", &svm) ||
        !ireko_stream_number(&svm, "hdr.svm.vmcb_pa", 0, &vcpu->control_gpa))
        return;
    vcpu->nested = IREKO_NESTED_SVM;
    keep_image(&svm, "data.svm[0].vmcb12", vcpu, images);
}

static void
read_nested_vmx(const IrekoStreamPiece *state, IrekoVcpu *vcpu, GPtrArray *images)
{
    IrekoStreamPiece vmx, vmcs;
    uint64_t vmxon = NO_ADDRESS, control = NO_ADDRESS;
    if (!ireko_stream_subsection(state, "cpu/kvm_nested_state/vmx", &vmx) ||
        !ireko_stream_number(&vmx, "hdr.vmx.vmxon_pa", 0, &vmxon) ||
        !ireko_stream_number(&vmx, "hdr.vmx.vmcs12_pa", 0, &control) || vmxon == NO_ADDRESS)
        return;
    vcpu->vmxon_gpa = vmxon;
    if (control == NO_ADDRESS)
        return;
    vcpu->nested = IREKO_NESTED_VMX;
    vcpu->control_gpa = control;
    if (ireko_stream_subsection(&vmx, "cpu/kvm_nested_state/vmx/vmcs12", &vmcs))
        keep_image(&vmcs, "data.vmx[0].vmcs12", vcpu, images);
}

static void
read_nested(const IrekoStreamPiece *cpu, IrekoVcpu *vcpu, GPtrArray *images)
{
    IrekoStreamPiece nested, state;
    uint64_t flags = 0, format = 0;
    if (!ireko_stream_subsection(cpu, "cpu/nested_state", &nested) ||
        !ireko_stream_field(&nested, "env.nested_state", 0, &state) ||
        !ireko_stream_number(&state, "flags", 0, &flags) ||
        !ireko_stream_number(&state, "format", 0, &format))
        return;
    vcpu->guest_mode = (flags & NESTED_GUEST_MODE) != 0;
    if (format == NESTED_FORMAT_SVM)
        read_nested_svm(&state, vcpu, images);
    else if (format == NESTED_FORMAT_VMX)
        read_nested_vmx(&state, vcpu, images);
}

bool
ireko_stream_read_vcpu(const IrekoStreamPiece *cpu,
                       IrekoVcpu *vcpu,
                       GPtrArray *images,
                       GError **error)
{
    IrekoStreamPiece part;
    uint64_t hflags = 0, pkru = 0;
    if (!read_numbers(cpu, vcpu, error) || !read_segments(cpu, vcpu, error))
        return false;
    if (!ireko_stream_number(cpu, "env.hflags", 0, &hflags))
        return lacks("env.hflags", error);
    vcpu->guest_mode = (hflags & HFLAGS_GUEST) != 0;
    vcpu->nested = vcpu->control_gpa != 0 ? IREKO_NESTED_SVM : IREKO_NESTED_NONE;
    vcpu->nested_paging = ireko_stream_subsection(cpu, "cpu/svn_npt", &part) &&
                          ireko_stream_number(&part, "env.nested_cr3", 0, &vcpu->nested_cr3);
    if (ireko_stream_subsection(cpu, "cpu/pkru", &part) &&
        ireko_stream_number(&part, "env.pkru", 0, &pkru))
        vcpu->pkru = (uint32_t)pkru;
    read_nested(cpu, vcpu, images);
    return true;
}
