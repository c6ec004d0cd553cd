/* host/features.c - what the CPU can, by name, so that two layers can be compared.
 *
 * The names are those of Linux's /proc/cpuinfo, the bits those of CPUID (Intel SDM vol. 2A, CPUID;
 * AMD APM vol. 3, appendix E). A feature that CPUID has and the kernel does not list was taken by
 * the kernel: it does not know it, was told not to use it, or found it locked. Only what a guest
 * hypervisor and its guests may miss is named; bits that say how something is done are not. */
#include <string.h>

#include "host/parts.h"

enum { EAX, EBX, ECX, EDX };

typedef struct {
    uint32_t leaf, subleaf;
    unsigned reg;
    const char *names[32]; /* by bit; NULL: not named */
} Word;

static const Word words[] = {
    {1,
     0,
     EDX,
     {[0] = "fpu",
      [4] = "tsc",
      [6] = "pae",
      [8] = "cx8",
      [9] = "apic",
      [11] = "sep",
      [12] = "mtrr",
      [13] = "pge",
      [14] = "mca",
      [15] = "cmov",
      [16] = "pat",
      [19] = "clflush",
      [23] = "mmx",
      [24] = "fxsr",
      [25] = "sse",
      [26] = "sse2"}},
    {1, 0, ECX, {[0] = "pni",     [1] = "pclmulqdq",  [3] = "monitor", [5] = "vmx",
                 [6] = "smx",     [9] = "ssse3",      [12] = "fma",    [13] = "cx16",
                 [17] = "pcid",   [18] = "dca",       [19] = "sse4_1", [20] = "sse4_2",
                 [21] = "x2apic", [22] = "movbe",     [23] = "popcnt", [24] = "tsc_deadline_timer",
                 [25] = "aes",    [26] = "xsave",     [28] = "avx",    [29] = "f16c",
                 [30] = "rdrand", [31] = "hypervisor"}},
    {7, 0, EBX, {[0] = "fsgsbase",    [1] = "tsc_adjust",  [3] = "bmi1",      [4] = "hle",
                 [5] = "avx2",        [7] = "smep",        [8] = "bmi2",      [9] = "erms",
                 [10] = "invpcid",    [11] = "rtm",        [14] = "mpx",      [16] = "avx512f",
                 [17] = "avx512dq",   [18] = "rdseed",     [19] = "adx",      [20] = "smap",
                 [21] = "avx512ifma", [23] = "clflushopt", [24] = "clwb",     [25] = "intel_pt",
                 [28] = "avx512cd",   [29] = "sha_ni",     [30] = "avx512bw", [31] = "avx512vl"}},
    {7,
     0,
     ECX,
     {[1] = "avx512vbmi",
      [2] = "umip",
      [3] = "pku",
      [5] = "waitpkg",
      [6] = "avx512_vbmi2",
      [8] = "gfni",
      [9] = "vaes",
      [10] = "vpclmulqdq",
      [11] = "avx512_vnni",
      [12] = "avx512_bitalg",
      [14] = "avx512_vpopcntdq",
      [16] = "la57",
      [22] = "rdpid",
      [25] = "cldemote",
      [27] = "movdiri",
      [28] = "movdir64b"}},
    {7,
     0,
     EDX,
     {[4] = "fsrm",
      [8] = "avx512_vp2intersect",
      [14] = "serialize",
      [22] = "amx_bf16",
      [23] = "avx512_fp16",
      [24] = "amx_tile",
      [25] = "amx_int8"}},
    {7, 1, EAX, {[4] = "avx_vnni", [5] = "avx512_bf16"}},
    {0xd, 1, EAX, {[0] = "xsaveopt", [1] = "xsavec", [3] = "xsaves"}},
    {0x80000001,
     0,
     ECX,
     {[0] = "lahf_lm",
      [2] = "svm",
      [5] = "abm",
      [6] = "sse4a",
      [7] = "misalignsse",
      [8] = "3dnowprefetch",
      [9] = "osvw",
      [10] = "ibs",
      [11] = "xop",
      [12] = "skinit",
      [16] = "fma4",
      [21] = "tbm",
      [22] = "topoext",
      [29] = "mwaitx"}},
    {0x80000001,
     0,
     EDX,
     {[11] = "syscall",
      [20] = "nx",
      [22] = "mmxext",
      [25] = "fxsr_opt",
      [26] = "pdpe1gb",
      [27] = "rdtscp",
      [29] = "lm",
      [30] = "3dnowext",
      [31] = "3dnow"}},
    {0x80000007, 0, EDX, {[8] = "nonstop_tsc"}},
    {0x80000008, 0, EBX, {[0] = "clzero", [2] = "xsaveerptr"}},
};

static void
read_word(const IrekoHostSource *source, const Word *word, const char *flags, IrekoFacts *facts)
{
    uint32_t regs[4] = {0};
    if (source->cpuid == NULL || !source->cpuid(source->data, word->leaf, word->subleaf, regs))
        return;
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = word->names[bit];
        if (name == NULL || (regs[word->reg] >> bit & 1) == 0)
            continue;
        g_ptr_array_add(facts->cpu_features, g_strdup(name));
        if (flags != NULL && !ireko_host_has_word(flags, name))
            g_ptr_array_add(facts->kernel_hides, g_strdup(name));
    }
}

void
ireko_host_read_features(const IrekoHostSource *source, const char *flags, IrekoFacts *facts)
{
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        read_word(source, &words[i], flags, facts);
}
