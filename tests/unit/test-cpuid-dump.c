/* CPUID dumps: both formats, several processors, registers, hostile text. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "host/survey.h"

typedef struct {
    uint32_t leaf, subleaf;
    bool there;
    uint32_t eax, edx;
} Want;

static const struct {
    const char *label;
    const char *text;
    Want wants[5]; /* up to one of all zeros */
} rows[] = {
    {"what cpuid -r prints is read",
     "CPU:\n"
     "   0x00000000 0x00: eax=0x0000000d ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n"
     "   0x0000000d 0x01: eax=0x00000007 ebx=0x00000980 ecx=0x00000000 edx=0x00000002\n"
     "   0x80000001 0x00: eax=0x00b00f21 ebx=0x40000000 ecx=0x440001f1 edx=0x25d3fbff\n",
     {{0, 0, true, 0xd, 0x69746e65},
      {0xd, 1, true, 7, 2},
      {0xd, 0, false, 0, 0},
      {0x80000001, 0, true, 0xb00f21, 0x25d3fbff},
      {0x80000002, 0, false, 0, 0}}},
    {"the first of several processors counts",
     "CPU 0:\n"
     "   0x00000001 0x00: eax=0x00000001 ebx=0x00000000 ecx=0x00000000 edx=0x00000001\n"
     "CPU 1:\n"
     "   0x00000001 0x00: eax=0x00000002 ebx=0x00000000 ecx=0x00000000 edx=0x00000002\n"
     "   0x00000007 0x00: eax=0x00000002 ebx=0x00000000 ecx=0x00000000 edx=0x00000002\n",
     {{1, 0, true, 1, 1}, {7, 0, false, 0, 0}}},
    {"an older cpuid -r does not print sub-leaf 0",
     "   0x00000001: eax=0x00000003 ebx=0x00000000 ecx=0x00000000 edx=0x00000004\n",
     {{1, 0, true, 3, 4}}},
    {"InstLatx64's dump is read, in capitals and with its remarks",
     "------[ Logical CPU #0 ]------\r\n"
     "allcpu: Package 0 / Core 0 / Thread 0: Valid\r\n"
     "CPUID 00000000: 00000016-756E6547-6C65746E-49656E69 [GenuineIntel]\r\n"
     "CPUID 00000004: 1C004121-01C0003F-0000003F-00000000 [SL 00]\r\n"
     "CPUID 00000004: 1C03C163-03C0003F-00003FFF-00000006 [SL 03]\r\n"
     "------[ Logical CPU #1 ]------\r\n"
     "CPUID 00000000: 00000017-756E6547-6C65746E-49656E69 [GenuineIntel]\r\n"
     "CPUID 00000005: 00000040-00000040-00000003-00142120\r\n",
     {{0, 0, true, 0x16, 0x49656e69},
      {4, 0, true, 0x1c004121, 0},
      {4, 3, true, 0x1c03c163, 6},
      {4, 1, false, 0, 0},
      {5, 0, false, 0, 0}}},
    {"InstLatx64's older dumps do not number sub-leaves: the order does",
     "CPUID 00000000: 0000000b-756e6547-6c65746e-49656e69\n"
     "CPUID 00000004: 00000001-00000000-00000000-00000000\n"
     "CPUID 00000004: 00000002-00000000-00000000-00000000\n"
     "CPUID 00000005: 00000003-00000000-00000000-00000000\n",
     {{4, 0, true, 1, 0}, {4, 1, true, 2, 0}, {4, 2, false, 0, 0}, {5, 0, true, 3, 0}}},
    {"lines that are cut or not hexadecimal are passed over",
     "CPUID 00000001: 00000001-00000000-00000000\n"
     "CPUID 00000002: 00000001-00000000-0000000g-00000000\n"
     "CPUID 000000003: 00000001-00000000-00000000-00000000\n"
     "   0x00000004 0x00: eax=0x00000001 ebx=0x00000000 edx=0x00000000 ecx=0x00000000\n"
     "CPUID 00000005: 00000005-00000000-00000000-00000000",
     {{1, 0, false, 0, 0},
      {2, 0, false, 0, 0},
      {3, 0, false, 0, 0},
      {4, 0, false, 0, 0},
      {5, 0, true, 5, 0}}},
};

static void
test_formats(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoCpuidDump) dump =
            ireko_cpuid_dump_parse(rows[i].text, strlen(rows[i].text), &error);
        g_assert_no_error(error);
        for (size_t j = 0; j < G_N_ELEMENTS(rows[i].wants); j++) {
            const Want *want = &rows[i].wants[j];
            if (want->leaf == 0 && !want->there)
                break;
            uint32_t regs[4] = {0};
            g_assert_cmpint(ireko_cpuid_dump_ask(dump, want->leaf, want->subleaf, regs), ==,
                            want->there);
            g_assert_cmphex(regs[0], ==, want->eax);
            g_assert_cmphex(regs[3], ==, want->edx);
        }
    }
}

static void
test_registers(void)
{
    static const char text[] = "CPUID 00000001: 00000001-00000000-00000000-00000000\n"
                               "------[ MSR Registers ]------\n"
                               "MSR 0000003A: 0000-0000-0000-0005 [locked]\n"
                               "MSR 00000480: 00DA-0400-0000-0013\n"
                               "MSR 00000300: < FAILED >\n"
                               "MSR 00000301: 0000-0000-0000\n"
                               "MSR 00000302: 0000-0000-0000-0000-0000\n";
    g_autoptr(IrekoCpuidDump) dump = ireko_cpuid_dump_parse(text, strlen(text), NULL);
    uint64_t value = 0;
    g_assert_cmpint(ireko_cpuid_dump_msr(dump, 0x3a, &value), ==, 0);
    g_assert_cmphex(value, ==, 5);
    g_assert_cmpint(ireko_cpuid_dump_msr(dump, 0x480, &value), ==, 0);
    g_assert_cmphex(value, ==, 0x00da040000000013);
    for (uint32_t index = 0x300; index <= 0x302; index++)
        g_assert_cmpint(ireko_cpuid_dump_msr(dump, index, &value), ==, EIO);

    static const char bare[] = "CPUID 00000001: 00000001-00000000-00000000-00000000\n";
    g_autoptr(IrekoCpuidDump) without = ireko_cpuid_dump_parse(bare, strlen(bare), NULL);
    g_assert_cmpint(ireko_cpuid_dump_msr(without, 0x3a, &value), ==, ENODATA);
}

static void
test_no_leaf_is_an_error(void)
{
    static const char *const texts[] = {"", "CPU:\n", "vendor_id: GenuineIntel\n",
                                        "MSR 0000003A: 0000-0000-0000-0005\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_cpuid_dump_parse(texts[i], strlen(texts[i]), &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    }
}

/* A dump that is all one line, all one leaf or all different ones costs no more than its bytes. */
static void
test_hostile_dumps_are_cheap(void)
{
    g_autofree char *line = g_strnfill(1 << 20, 'A');
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_cpuid_dump_parse(line, 1 << 20, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    g_clear_error(&error);

    g_autoptr(GString) many = g_string_new(NULL);
    for (unsigned i = 1; i <= 40000; i++)
        g_string_append_printf(many, "CPUID %08X: %08X-00000000-00000000-00000000\n", i % 7, i);
    gint64 start = g_get_monotonic_time();
    g_autoptr(IrekoCpuidDump) dump = ireko_cpuid_dump_parse(many->str, many->len, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_get_monotonic_time() - start, <, G_USEC_PER_SEC);

    g_autofree char *huge = g_strnfill(IREKO_CPUID_DUMP_MAX + 1, '\n');
    g_assert_null(ireko_cpuid_dump_parse(huge, IREKO_CPUID_DUMP_MAX + 1, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpuid-dump/formats", test_formats);
    g_test_add_func("/cpuid-dump/registers", test_registers);
    g_test_add_func("/cpuid-dump/no-leaf-is-an-error", test_no_leaf_is_an_error);
    g_test_add_func("/cpuid-dump/hostile-dumps-are-cheap", test_hostile_dumps_are_cheap);
    return g_test_run();
}
