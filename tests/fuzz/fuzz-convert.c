/* Fuzz target: any document is said in the words of each target, or is an error in words; every
 * line has a word in the account; a domain is XML whatever the names in it, and a script holds no
 * control character that the shell was not quoted against. */
#include <stdint.h>
#include <string.h>

#include <ireko/convert.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_account(const IrekoVmx *doc, const GPtrArray *rows)
{
    g_assert_cmpuint(rows->len, ==, ireko_vmx_count(doc));
    for (size_t i = 0; i < rows->len; i++) {
        const IrekoConverted *row = g_ptr_array_index(rows, i);
        g_assert_true(row->outcome != NULL && row->how != NULL && *row->how != '\0');
        g_assert_true(g_utf8_validate(row->how, -1, NULL));
        g_assert_null(strpbrk(row->how, "\n\r\x1b"));
    }
}

static void
check_xml(const char *text)
{
    static const GMarkupParser nothing = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GMarkupParseContext) context =
        g_markup_parse_context_new(&nothing, (GMarkupParseFlags)0, NULL, NULL);
    g_assert_true(g_markup_parse_context_parse(context, text, -1, &error) &&
                  g_markup_parse_context_end_parse(context, &error));
    for (; *text != '\0'; text++)
        g_assert_true((unsigned char)*text >= 0x20 || *text == '\n' || *text == '\t');
}

/* The shell's own words: a line goes on, or it is a command that is written here. */
static void
check_script(const char *text)
{
    g_autoptr(GError) error = NULL;
    const char *command = strchr(text, '\n'); /* behind the comment */
    g_auto(GStrv) words = NULL;
    g_assert_true(g_shell_parse_argv(command, NULL, &words, &error));
    g_assert_true(g_utf8_validate(text, -1, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const IrekoTarget targets[] = {IREKO_AS_QEMU, IREKO_AS_LIBVIRT, IREKO_AS_VIRTUALBOX};
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse((const char *)data, size, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) rows = NULL;
        g_autofree char *text = ireko_convert(doc, "/lab/fuzz.vmx", targets[i], &rows, &error);
        g_assert_true((text != NULL) == (error == NULL));
        if (text == NULL)
            continue;
        check_account(doc, rows);
        if (targets[i] == IREKO_AS_LIBVIRT)
            check_xml(text);
        else
            check_script(text);
    }
    return 0;
}
