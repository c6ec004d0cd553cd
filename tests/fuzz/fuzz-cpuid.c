/* Fuzz target: whatever a CPUID dump says, it is a dump or an error in words, and what it answers
 * for the leaves that are looked at makes facts and a survey. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "host/survey.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoCpuidDump) dump = ireko_cpuid_dump_parse((const char *)data, size, &error);
    if (dump == NULL) {
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        return 0;
    }
    IrekoHostSource source = {
        .root_fd = -1, .cpuid = ireko_cpuid_dump_ask, .msr = ireko_cpuid_dump_msr, .data = dump};
    g_autoptr(IrekoFacts) facts = ireko_facts_read(&source, &error);
    g_assert_no_error(error);
    g_assert_nonnull(facts->above);
    g_assert_null(strpbrk(facts->above_evidence, "\n\r\x1b"));
    g_autoptr(IrekoSurvey) survey = ireko_survey_read(&source, facts);
    g_assert_nonnull(survey->arch);

    json_t *json = ireko_facts_to_json(facts); /* what this side writes the other side takes */
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(json, &error);
    g_assert_no_error(error);
    json_decref(json);
    return 0;
}
