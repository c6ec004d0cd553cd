/* xray/disasm.c - bytes as instructions, by Zydis, which is built to take any bytes there are. */
#include "xray/disasm.h"

#include <Zydis/Zydis.h>
#include <dlfcn.h>
#include <stdbool.h>

#include <ireko/error.h>

typedef ZyanStatus (*DisassembleFunc)(ZydisMachineMode mode,
                                      ZyanU64 address,
                                      const void *bytes,
                                      ZyanUSize len,
                                      ZydisDisassembledInstruction *ret_instruction);

struct IrekoDisasm {
    void *library;
    DisassembleFunc disassemble;
};

IrekoDisasm *
ireko_disasm_open(GError **error)
{
    g_autofree char *name =
        g_strdup_printf("libZydis.so.%u.%u", (unsigned)ZYDIS_VERSION_MAJOR(ZYDIS_VERSION),
                        (unsigned)ZYDIS_VERSION_MINOR(ZYDIS_VERSION));
    g_autoptr(IrekoDisasm) disasm = g_new0(IrekoDisasm, 1);
    disasm->library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (disasm->library != NULL)
        *(void **)&disasm->disassemble = dlsym(disasm->library, "ZydisDisassembleIntel");
    if (disasm->disassemble == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "cannot disassemble: %s (Debian's package is libzydis4.0)", dlerror());
        return NULL;
    }
    return g_steal_pointer(&disasm);
}

void
ireko_disasm_close(IrekoDisasm *disasm)
{
    if (disasm == NULL)
        return;
    if (disasm->library != NULL)
        (void)dlclose(disasm->library);
    g_free(disasm);
}

bool
ireko_disasm_read(const IrekoDisasm *disasm,
                  unsigned bits,
                  IrekoGva address,
                  const uint8_t *bytes,
                  size_t len,
                  IrekoInstruction *ret_instruction)
{
    ZydisDisassembledInstruction found;
    ZydisMachineMode mode = bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                            : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                         : ZYDIS_MACHINE_MODE_REAL_16;
    if (!ZYAN_SUCCESS(disasm->disassemble(mode, address.at, bytes, len, &found)))
        return false;
    (void)g_strlcpy(ret_instruction->text, found.text, sizeof ret_instruction->text);
    ret_instruction->bytes = found.info.length;
    return true;
}
