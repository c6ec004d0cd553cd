/* Fuzz target: any bytes are a document, print back, and have values that are UTF-8. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include <ireko/vmx.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_duplicate(void *data, size_t first, size_t again)
{
    const IrekoVmx *doc = data;
    g_assert_cmpuint(first, <, again);
    g_assert_cmpuint(again, <, ireko_vmx_count(doc));
}

static void
check_entry(const IrekoVmx *doc, size_t i)
{
    IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
    g_autofree char *value = ireko_vmx_entry_value(doc, i);
    g_assert_true((value == NULL) == (entry.name == NULL));
    if (value == NULL)
        return;
    g_assert_true(g_utf8_validate(value, -1, NULL));
    g_autofree char *name = g_strndup(entry.name, entry.name_len);
    unsigned line = 0;
    g_autofree char *first = ireko_vmx_get(doc, name, &line);
    g_assert_true(first != NULL && line <= entry.line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse((const char *)data, size, NULL);
    size_t len = 0;
    g_autofree char *out = ireko_vmx_print(doc, &len);
    g_assert_cmpmem(out, len, data, size);
    for (size_t i = 0; i < ireko_vmx_count(doc); i++)
        check_entry(doc, i);
    ireko_vmx_duplicates(doc, check_duplicate, doc);
    return 0;
}
