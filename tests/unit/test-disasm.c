/* Bytes as instructions. */
#include "xray/disasm.h"

static const struct {
    const char *label;
    unsigned bits;
    size_t len;
    uint8_t bytes[16];
    unsigned used; /* 0: no instruction */
    const char *text;
} cases[] = {
    {"hlt", 64, 2, {0xf4, 0xc3}, 1, "hlt"},
    {"a call goes to where it goes", 64, 5, {0xe8, 0x10, 0, 0, 0}, 5, "call 0xFFFFFFFF81000015"},
    {"an access through RIP too",
     64,
     7,
     {0x48, 0x8b, 5, 0, 1, 0, 0},
     7,
     "mov rax, [0xFFFFFFFF81000107]"},
    {"vmrun", 64, 3, {0x0f, 0x01, 0xd8}, 3, "vmrun rax"},
    {"REX is INC in 32 bits", 32, 2, {0x48, 0xc3}, 1, "dec eax"},
    {"16 bits", 16, 3, {0xb8, 0x34, 0x12}, 3, "mov ax, 0x1234"},
    {"cut off", 64, 3, {0xe8, 0x10, 0}, 0, NULL},
    {"nothing", 64, 0, {0}, 0, NULL},
    {"no instruction", 64, 2, {0x06, 0x90}, 0, NULL},
    {"16 prefixes",
     64,
     16,
     {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
      0x90},
     0,
     NULL},
};

static void
test_bytes_are_read_as_the_cpu_would(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoDisasm) disasm = ireko_disasm_open(&error);
    g_assert_no_error(error);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].label);
        IrekoInstruction found;
        bool is = ireko_disasm_read(disasm, cases[i].bits, (IrekoGva){0xffffffff81000000},
                                    cases[i].bytes, cases[i].len, &found);
        g_assert_cmpint(is, ==, cases[i].used > 0);
        if (!is)
            continue;
        g_assert_cmpuint(found.bytes, ==, cases[i].used);
        g_assert_cmpstr(found.text, ==, cases[i].text);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disasm/bytes-are-read-as-the-cpu-would",
                    test_bytes_are_read_as_the_cpu_would);
    return g_test_run();
}
