/* xray/disasm.h - bytes as instructions, by Zydis.
 *
 * The library is loaded where it is asked for and not at the start of a program, most of whose runs
 * disassemble nothing; inside a guest it may be missing. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xray/address.h"

#define IREKO_INSTRUCTION_BYTES_MAX 15

typedef struct IrekoDisasm IrekoDisasm;

/* NULL with IREKO_ERROR_UNSUPPORTED where the library cannot be loaded. */
IrekoDisasm *
ireko_disasm_open(GError **error);

void
ireko_disasm_close(IrekoDisasm *disasm); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoDisasm, ireko_disasm_close)

typedef struct {
    char text[96]; /* Intel's syntax, in ASCII */
    uint8_t bytes;
} IrekoInstruction;

/* Reads the instruction that begins BYTES, of which there are LEN, and stands at ADDRESS in code of
 * BITS: 16, 32 or 64. False where none does, or it goes on behind LEN. */
bool
ireko_disasm_read(const IrekoDisasm *disasm,
                  unsigned bits,
                  IrekoGva address,
                  const uint8_t *bytes,
                  size_t len,
                  IrekoInstruction *ret_instruction);
