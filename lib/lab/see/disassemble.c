/* lab/see/disassemble.c - what stands at the end of a way, as instructions. */
#include "lab/see/seen.h"
#include "xray/disasm.h"

#define LINES_MAX 4

GPtrArray *
ireko_seen_disassemble(const uint8_t *bytes, size_t len, uint64_t address, unsigned bits)
{
    g_autoptr(IrekoDisasm) disasm = ireko_disasm_open(NULL);
    if (disasm == NULL)
        return NULL; /* the bytes are shown all the same */
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    IrekoInstruction instruction;
    for (size_t at = 0; at < len && lines->len < LINES_MAX; at += instruction.bytes) {
        if (!ireko_disasm_read(disasm, bits, (IrekoGva){address + at}, bytes + at, len - at,
                               &instruction))
            break;
        g_ptr_array_add(lines, g_strdup(instruction.text));
    }
    return lines;
}
