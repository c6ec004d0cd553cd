/* Fuzz target: any document can be linted; what --fix mends is mended for good, is no longer found,
 * and makes no new finding of those that it mends. */
#include <stdint.h>

#include <ireko/lint.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
count_fixable(const IrekoVmx *doc)
{
    g_autoptr(GPtrArray) findings = ireko_lint(doc, "fuzz.vmx");
    unsigned count = 0;
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        g_assert_true(g_utf8_validate(finding->evidence, -1, NULL));
        count += finding->can_fix;
    }
    return count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse((const char *)data, size, NULL);
    unsigned fixable = count_fixable(doc), mended = 0;
    for (unsigned round = 0; round < 8; round++) {
        unsigned now = ireko_lint_fix(doc, "fuzz.vmx");
        mended += now;
        if (now == 0)
            break;
        g_assert_cmpuint(round, <, 7);
    }
    g_assert_true(fixable == 0 || mended > 0);
    g_assert_cmpuint(count_fixable(doc), ==, 0);

    const IrekoLintMachine machines[] = {
        {.doc = doc,
         .file = "a.vmx",
         .copies = 2,
         .level = 1,
         .has_guests = true,
         .vsan = size % 2 == 0},
        {.doc = doc, .file = "b.vmx", .copies = 1, .level = 2},
    };
    g_autoptr(GPtrArray) together = ireko_lint_lab(machines, G_N_ELEMENTS(machines));
    g_assert_nonnull(together);
    return 0;
}
