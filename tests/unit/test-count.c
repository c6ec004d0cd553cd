/* What QEMU counts: the words of `info jit`, the answer of query-stats. */
#include "base/jsonl.h"
#include "engine/qemu/count.h"

static GHashTable *
counts_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static uint64_t
value_of(GHashTable *counts, const char *name)
{
    const uint64_t *value = g_hash_table_lookup(counts, name);
    g_assert_nonnull(value);
    return *value;
}

static void
reads_info_jit(void)
{
    static const char text[] = "Translation buffer state:\r\n"
                               "gen code size       263382275/1073736704\r\n"
                               "TB count            478165\r\n"
                               "TB hash avg chain   1.035 buckets. Histogram: 1|...|3\r\n"
                               "\r\nStatistics:\r\n"
                               "TLB full flushes    0\r\n"
                               "TLB partial flushes 1392365\r\n"
                               "[TCG profiler not compiled]\r\n";
    g_autoptr(GHashTable) counts = counts_new();
    ireko_qemu_read_jit(text, counts);
    g_assert_cmpuint(value_of(counts, "tb_count"), ==, 478165);
    g_assert_cmpuint(value_of(counts, "tlb_full_flushes"), ==, 0);
    g_assert_cmpuint(value_of(counts, "tlb_partial_flushes"), ==, 1392365);
    g_assert_cmpuint(g_hash_table_size(counts), ==, 3);
}

static void
adds_statistics_of_vcpus(void)
{
    g_autoptr(json_t) answer = json_loads(
        "[{\"provider\":\"kvm\",\"qom-path\":\"/machine/unattached/device[0]\",\"stats\":["
        "{\"name\":\"exits\",\"value\":10},{\"name\":\"hist\",\"value\":[1,2]},"
        "{\"name\":\"guest_mode\",\"value\":true},{\"name\":\"below\",\"value\":-1}]},"
        "{\"provider\":\"kvm\",\"stats\":[{\"name\":\"exits\",\"value\":5}]}, 7, null]",
        0, NULL);
    g_autoptr(GHashTable) counts = counts_new();
    ireko_qemu_read_stats(answer, counts);
    g_assert_cmpuint(value_of(counts, "exits"), ==, 15);
    g_assert_cmpuint(g_hash_table_size(counts), ==, 1);
}

static void
reads_registers(void)
{
    static const char text[] =
        "\r\nCPU#0\r\nRAX=000000000001ad40 RBX=0000000000000000\r\n"
        "RIP=ffffffff81a592eb RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
        "CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"
        "CR0=80050033 CR2=00007f8754a3dd30 CR3=000000000604e000 CR4=00750ef0\r\n"
        "EFER=0000000000001d01\r\n"
        "\r\nCPU#1\r\nEIP=0000fff0 EFL=00000002\r\n"
        "CS =f000 ffff0000 0000ffff 00009b00\r\n"
        "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\r\nEFER=0000000000000000\r\n"
        "\r\nCPU#2\r\nRIP=1 (the rest is cut off)";
    g_autoptr(GArray) found = ireko_qemu_read_registers(text);
    g_assert_cmpuint(found->len, ==, 2);
    const IrekoRegisters *first = &g_array_index(found, IrekoRegisters, 0),
                         *second = &g_array_index(found, IrekoRegisters, 1);
    g_assert_cmphex(first->rip, ==, 0xffffffff81a592eb);
    g_assert_cmphex(first->cr3, ==, 0x604e000);
    g_assert_cmphex(first->efer, ==, 0x1d01);
    g_assert_cmpuint(second->vcpu, ==, 1);
    g_assert_cmphex(second->cs_base, ==, 0xffff0000);
    g_assert_cmphex(second->rip, ==, 0xfff0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/count/the numbers of 'info jit' are read", reads_info_jit);
    g_test_add_func("/count/statistics of all vCPUs are added", adds_statistics_of_vcpus);
    g_test_add_func("/count/registers are read, of a vCPU that is told whole", reads_registers);
    return g_test_run();
}
