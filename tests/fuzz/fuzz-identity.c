/* Fuzz target: whatever the machines inside a clone answer, they are known or there is an error in
 * words, and what is told of them is safe to print; said once more it is the same. */
#include <stdint.h>
#include <string.h>

#include "lab/clone/identity.h"

#define CLOCK_US G_USEC_PER_SEC

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_words(const GError *error)
{
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_null(strpbrk(error->message, "\n\r\x1b"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) answer = ireko_identity_answer_from_text(text, &error);
    g_assert_true((answer == NULL) == (error != NULL));
    if (answer == NULL) {
        check_words(error);
        return 0;
    }
    g_autoptr(GString) said = g_string_new(NULL);
    for (unsigned i = 0; i < answer->len; i++)
        ireko_identity_answer_to_text(answer->pdata[i], said);
    g_autoptr(GPtrArray) again = ireko_identity_answer_from_text(said->str, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->len, ==, answer->len);
    if (answer->len > 0 && !ireko_identity_check(again, answer, CLOCK_US, &error))
        check_words(error);
    return 0;
}
