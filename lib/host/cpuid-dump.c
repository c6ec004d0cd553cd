/* host/cpuid-dump.c - CPUID as somebody else saw it.
 *
 * Two text formats, line by line; what is neither is passed over, so that a dump may stand in the
 * middle of a report:
 *
 *     cpuid -r       0x00000004 0x01: eax=0x1c004122 ebx=0x01c0003f ecx=0x0000003f edx=0x00000000
 *     InstLatx64     CPUID 00000004: 1C004122-01C0003F-0000003F-00000000 [SL 01]
 *                    MSR 0000003A: 0000-0000-0000-0005
 *
 * InstLatx64's older dumps do not number sub-leaves: a leaf that follows itself is its next one.
 * The first processor counts. It ends where `cpuid -r` says "CPU 1:", or where leaf 0 comes again;
 * registers are listed behind all processors and are taken wherever they stand.
 *
 * Limits: LEAVES_MAX leaves and MSRS_MAX registers; what is more is passed over. Reading is one
 * walk over the text, since a leaf is only compared with the one before it; asking is a walk over
 * the leaves.
 */
#include <errno.h>
#include <string.h>

#include "host/survey.h"

#define LEAVES_MAX 1024
#define MSRS_MAX   1024
#define MSR_DIGITS 16

typedef struct {
    uint32_t leaf, subleaf, regs[4];
} Leaf;

typedef struct {
    uint32_t index;
    uint64_t value;
} Register;

struct IrekoCpuidDump {
    GArray *leaves;    /* Leaf */
    GArray *registers; /* Register */
    bool whole;        /* the first processor has ended */
};

static void
skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

static bool
take_text(const char **at, const char *text)
{
    if (!g_str_has_prefix(*at, text))
        return false;
    *at += strlen(text);
    return true;
}

/* One to DIGITS hexadecimal digits. */
static bool
take_hex(const char **at, unsigned digits, uint64_t *ret_value)
{
    uint64_t value = 0;
    unsigned n = 0;
    for (; n < digits && g_ascii_isxdigit((*at)[n]); n++)
        value = value << 4 | (uint64_t)g_ascii_xdigit_value((*at)[n]);
    if (n == 0 || g_ascii_isxdigit((*at)[n]))
        return false;
    *at += n;
    *ret_value = value;
    return true;
}

static bool
take_word(const char **at, uint32_t *ret_value)
{
    uint64_t value = 0;
    if (!take_hex(at, 8, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

/* "0x00000004 0x01: eax=0x1c004122 ebx=..." */
static bool
take_cpuid_r(const char *line, Leaf *leaf)
{
    static const char *const names[] = {"eax=0x", "ebx=0x", "ecx=0x", "edx=0x"};
    const char *at = line;
    if (!take_text(&at, "0x") || !take_word(&at, &leaf->leaf))
        return false;
    skip_blanks(&at);
    leaf->subleaf = 0; /* older versions do not print it for leaves without */
    if (take_text(&at, "0x") && !take_word(&at, &leaf->subleaf))
        return false;
    if (!take_text(&at, ":"))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        skip_blanks(&at);
        if (!take_text(&at, names[i]) || !take_word(&at, &leaf->regs[i]))
            return false;
    }
    return true;
}

/* "CPUID 00000004: 1C004122-01C0003F-0000003F-00000000 [SL 01]"; RET_NUMBERED: the last part is
 * there. */
static bool
take_instlat(const char *line, Leaf *leaf, bool *ret_numbered)
{
    const char *at = line;
    if (!take_text(&at, "CPUID ") || !take_word(&at, &leaf->leaf) || !take_text(&at, ":"))
        return false;
    skip_blanks(&at);
    for (size_t i = 0; i < 4; i++) {
        if ((i > 0 && !take_text(&at, "-")) || !take_word(&at, &leaf->regs[i]))
            return false;
    }
    skip_blanks(&at);
    leaf->subleaf = 0;
    *ret_numbered = take_text(&at, "[SL ") && take_word(&at, &leaf->subleaf);
    return true;
}

static void
add_leaf(IrekoCpuidDump *dump, Leaf leaf, bool numbered)
{
    GArray *leaves = dump->leaves;
    const Leaf *last = leaves->len > 0 ? &g_array_index(leaves, Leaf, leaves->len - 1) : NULL;
    if (leaf.leaf == 0 && leaf.subleaf == 0 && last != NULL)
        dump->whole = true; /* the next processor begins */
    if (dump->whole || leaves->len >= LEAVES_MAX)
        return;
    if (!numbered && last != NULL && last->leaf == leaf.leaf)
        leaf.subleaf = last->subleaf + 1;
    g_array_append_val(leaves, leaf);
}

/* "MSR 0000003A: 0000-0000-0000-0005 [...]" */
static void
take_register(IrekoCpuidDump *dump, const char *line)
{
    const char *at = line;
    Register reg = {0, 0};
    unsigned digits = 0;
    if (!take_text(&at, "MSR ") || !take_word(&at, &reg.index) || !take_text(&at, ":"))
        return;
    skip_blanks(&at);
    for (; g_ascii_isxdigit(*at) || (*at == '-' && digits > 0); at++) {
        if (*at == '-')
            continue;
        if (++digits > MSR_DIGITS)
            return;
        reg.value = reg.value << 4 | (uint64_t)g_ascii_xdigit_value(*at);
    }
    if (digits == MSR_DIGITS && dump->registers->len < MSRS_MAX)
        g_array_append_val(dump->registers, reg);
}

static void
take_line(IrekoCpuidDump *dump, const char *line)
{
    Leaf leaf = {0, 0, {0}};
    bool numbered = true;
    skip_blanks(&line);
    if (g_str_has_prefix(line, "CPU ") && dump->leaves->len > 0)
        dump->whole = true; /* "CPU 1:" */
    else if (take_cpuid_r(line, &leaf) || take_instlat(line, &leaf, &numbered))
        add_leaf(dump, leaf, numbered);
    else
        take_register(dump, line);
}

IrekoCpuidDump *
ireko_cpuid_dump_parse(const char *text, size_t len, GError **error)
{
    if (len > IREKO_CPUID_DUMP_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "the CPUID dump is longer than %zu bytes", IREKO_CPUID_DUMP_MAX);
        return NULL;
    }
    g_autoptr(IrekoCpuidDump) dump = g_new0(IrekoCpuidDump, 1);
    dump->leaves = g_array_new(FALSE, FALSE, sizeof(Leaf));
    dump->registers = g_array_new(FALSE, FALSE, sizeof(Register));

    char line[128]; /* what is longer is no line of a dump; its beginning is enough to see that */
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end != NULL ? (size_t)(end - text) - at : len - at;
        size_t kept = MIN(sizeof line - 1, line_len);
        memcpy(line, text + at, kept);
        line[kept] = '\0';
        take_line(dump, line);
        at += line_len + 1;
    }
    if (dump->leaves->len == 0) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "no CPUID leaf in it: expected the output of 'cpuid -r' or a dump of "
                            "InstLatx64");
        return NULL;
    }
    return g_steal_pointer(&dump);
}

void
ireko_cpuid_dump_free(IrekoCpuidDump *dump)
{
    if (dump == NULL)
        return;
    g_array_unref(dump->leaves);
    g_array_unref(dump->registers);
    g_free(dump);
}

bool
ireko_cpuid_dump_ask(void *data, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    const IrekoCpuidDump *dump = data;
    for (guint i = 0; i < dump->leaves->len; i++) {
        const Leaf *at = &g_array_index(dump->leaves, Leaf, i);
        if (at->leaf == leaf && at->subleaf == subleaf) {
            memcpy(regs, at->regs, sizeof at->regs);
            return true;
        }
    }
    return false;
}

int
ireko_cpuid_dump_msr(void *data, uint32_t index, uint64_t *ret_value)
{
    const IrekoCpuidDump *dump = data;
    for (guint i = 0; i < dump->registers->len; i++) {
        const Register *at = &g_array_index(dump->registers, Register, i);
        if (at->index == index) {
            *ret_value = at->value;
            return 0;
        }
    }
    return dump->registers->len > 0 ? EIO : ENODATA;
}
