/* xray/stream.h - what a machine's state stream says of its vCPUs and its memory.
 *
 * QEMU's migration stream (docs/devel/migration.rst), version 3, is read by the description that it
 * carries at its end, so no layout of one version of QEMU is known here; only names are. A stranger
 * may have written it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_STREAM_VCPUS_MAX  4096
#define IREKO_STREAM_BLOCKS_MAX 1024
#define IREKO_STREAM_IMAGE_MAX  4096 /* bytes of a control block that a stream carries */

typedef struct IrekoStream IrekoStream;

/* Of regs[]: the order in which instructions number them. */
enum {
    IREKO_REG_RAX,
    IREKO_REG_RCX,
    IREKO_REG_RDX,
    IREKO_REG_RBX,
    IREKO_REG_RSP,
    IREKO_REG_RBP,
    IREKO_REG_RSI,
    IREKO_REG_RDI, /* and r8 to r15 */
    IREKO_REGS = 16
};

enum {
    IREKO_SEG_ES,
    IREKO_SEG_CS,
    IREKO_SEG_SS,
    IREKO_SEG_DS,
    IREKO_SEG_FS,
    IREKO_SEG_GS,
    IREKO_SEGS
};

#define IREKO_SEG_FLAG_LONG (1u << 21) /* CS: 64-bit code */
#define IREKO_SEG_FLAG_32   (1u << 22) /* CS: 32-bit code, where not 64-bit */

typedef struct {
    uint32_t selector;
    uint32_t
        flags; /* as in the high word of a descriptor: type from bit 8, DPL from 13, P 15 ... */
    uint32_t limit;
    uint64_t base;
} IrekoSegment;

typedef enum {
    IREKO_NESTED_NONE, /* the vCPU has run no guest of the machine, or nobody says */
    IREKO_NESTED_SVM,  /* control_gpa is a VMCB */
    IREKO_NESTED_VMX,  /* control_gpa is a VMCS */
} IrekoNested;

/* A vCPU as it stood. In guest mode, while it runs a guest of the machine, all the registers are
 * that guest's; what the machine goes on with was put away: by SVM under TCG into its memory, at
 * hsave_gpa; by KVM into the image (control.h reads both). */
typedef struct {
    uint32_t number;
    bool halted;
    uint64_t regs[IREKO_REGS];
    uint64_t rip;
    uint64_t rflags;
    IrekoSegment segs[IREKO_SEGS];
    IrekoSegment ldt, tr, gdt, idt;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint32_t pkru;

    bool guest_mode;
    IrekoNested nested;
    uint64_t
        control_gpa; /* of the control block that it runs, or ran last; in the machine's memory */
    uint64_t hsave_gpa; /* VM_HSAVE_PA, 0: none */
    uint64_t vmxon_gpa; /* VMX: where VMXON was given */
    bool nested_paging; /* in guest mode, with SVM: nested_cr3 is used */
    uint64_t nested_cr3;
    const uint8_t
        *image;         /* a KVM below it keeps the control block apart: its bytes; the stream's */
    size_t image_bytes; /* VMCB as in memory; VMCS in KVM's own layout (vmcs.h) */
} IrekoVcpu;

/* A piece of the machine's memory: RAM, a ROM, video memory ... */
typedef struct {
    char *name; /* "pc.ram"; safe to print */
    uint64_t bytes;
    bool has_address; /* only a stream without memory has it (x-ignore-shared) */
    uint64_t address; /* in what it is part of: 0 where it is mapped in several places */
} IrekoStreamBlock;

/* Reads the LEN bytes of a whole stream, which may go away afterwards. IREKO_ERROR_SYNTAX where it
 * is none or is damaged, IREKO_ERROR_UNSUPPORTED where it is of a kind that cannot be read (no
 * description, an older version), IREKO_ERROR_TOO_LARGE over a limit. */
IrekoStream *
ireko_stream_read(const void *data, size_t len, GError **error);

/* Reads the LEN bytes of a stream of devices alone, which has neither memory nor a description, by
 * the one of DESCRIBED, a whole stream of the same machine from another moment. Machine and blocks
 * are that one's. IREKO_ERROR_STATE where a vCPU has more to say now than that description tells
 * of: at another moment it may not. */
IrekoStream *
ireko_stream_read_devices(
    const void *data, size_t len, const void *described, size_t described_len, GError **error);

void
ireko_stream_free(IrekoStream *stream); /* NULL is fine */

/* The machine type that QEMU gave it, "pc-i440fx-7.2"; safe to print. Never NULL. */
const char *
ireko_stream_machine(const IrekoStream *stream);

size_t
ireko_stream_vcpus(const IrekoStream *stream);

/* The vCPU at INDEX, in the order of their numbers; the stream's. */
const IrekoVcpu *
ireko_stream_vcpu(const IrekoStream *stream, size_t index);

size_t
ireko_stream_blocks(const IrekoStream *stream);

const IrekoStreamBlock *
ireko_stream_block(const IrekoStream *stream, size_t index);

/* Bytes of the block NAME, 0 where there is none. */
uint64_t
ireko_stream_block_bytes(const IrekoStream *stream, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoStream, ireko_stream_free)

G_END_DECLS
