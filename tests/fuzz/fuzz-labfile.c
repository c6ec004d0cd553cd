/* Fuzz target: any bytes are a lab file or an error that names the file, on one line. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "lab/labfile.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > IREKO_LABFILE_MAX)
        return -1;
    g_autoptr(GError) error = NULL;
    if (ireko_labfile_check((const char *)data, size, "fuzz/lab.yaml", &error)) {
        g_assert_no_error(error);
        return 0;
    }
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_true(g_str_has_prefix(error->message, "fuzz/lab.yaml:"));
    g_assert_null(strpbrk(error->message, "\n\r\x1b"));
    return 0;
}
