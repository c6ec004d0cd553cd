/* convert/xml.c - XML, indented by two blanks as libvirt writes its own. */
#include "convert/xml.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define INDENT 2

struct Xml {
    GString *out;
    GPtrArray *open;   /* names of the elements around, static strings */
    GPtrArray *values; /* put together by format */
};

Xml *
ireko_xml_new(void)
{
    Xml *xml = g_new0(Xml, 1);
    xml->out = g_string_new(NULL);
    xml->open = g_ptr_array_new();
    xml->values = g_ptr_array_new_with_free_func(g_free);
    return xml;
}

void
ireko_xml_free(Xml *xml)
{
    if (xml == NULL)
        return;
    g_string_free(xml->out, TRUE);
    g_ptr_array_unref(xml->open);
    g_ptr_array_unref(xml->values);
    g_free(xml);
}

static bool
is_sayable(gunichar c, bool one_line)
{
    if (c == '\t' || c == '\n' || c == '\r')
        return !one_line;
    return c >= 0x20 && c != 0xfffe && c != 0xffff; /* surrogates are no UTF-8 */
}

char *
ireko_xml_sayable(const char *text, bool one_line, bool *ret_changed)
{
    GString *out = g_string_new(NULL);
    bool changed = false;
    for (; *text != '\0'; text += g_utf8_skip[(unsigned char)*text]) {
        gunichar c = g_utf8_get_char(text);
        bool sayable = is_sayable(c, one_line);
        changed |= !sayable;
        g_string_append_unichar(out, sayable ? c : 0xfffd);
    }
    if (ret_changed != NULL)
        *ret_changed = changed;
    return g_string_free(out, FALSE);
}

/* A reader makes a blank of a line end in an attribute and a line feed of a carriage return
 * anywhere (XML 1.0, 2.11 and 3.3.3), unless they are written by number. */
static void
append_escaped(GString *out, const char *text, bool attribute)
{
    g_autofree char *sayable = ireko_xml_sayable(text, false, NULL);
    g_autofree char *escaped = g_markup_escape_text(sayable, -1);
    for (const char *at = escaped; *at != '\0'; at++) {
        bool by_number = *at == '\r' || (attribute && (*at == '\n' || *at == '\t'));
        if (by_number)
            g_string_append_printf(out, "&#%d;", *at);
        else
            g_string_append_c(out, *at);
    }
}

static void
indent(Xml *xml)
{
    g_string_append_printf(xml->out, "%*s", (int)xml->open->len * INDENT, "");
}

static void
append_tag(Xml *xml, const char *name, va_list attributes)
{
    indent(xml);
    g_string_append_printf(xml->out, "<%s", name);
    for (;;) {
        const char *attribute = va_arg(attributes, const char *);
        if (attribute == NULL)
            break;
        const char *value = va_arg(attributes, const char *);
        if (value == NULL)
            continue;
        g_string_append_printf(xml->out, " %s='", attribute);
        append_escaped(xml->out, value, true);
        g_string_append_c(xml->out, '\'');
    }
}

void
ireko_xml_open(Xml *xml, const char *name, ...)
{
    va_list attributes;
    va_start(attributes, name);
    append_tag(xml, name, attributes);
    va_end(attributes);
    g_string_append(xml->out, ">\n");
    g_ptr_array_add(xml->open, (char *)(uintptr_t)name);
}

void
ireko_xml_close(Xml *xml)
{
    const char *name = g_ptr_array_steal_index(xml->open, xml->open->len - 1);
    indent(xml);
    g_string_append_printf(xml->out, "</%s>\n", name);
}

void
ireko_xml_leaf(Xml *xml, const char *name, ...)
{
    va_list attributes;
    va_start(attributes, name);
    append_tag(xml, name, attributes);
    va_end(attributes);
    g_string_append(xml->out, "/>\n");
}

void
ireko_xml_text(Xml *xml, const char *name, const char *text, ...)
{
    va_list attributes;
    va_start(attributes, text);
    append_tag(xml, name, attributes);
    va_end(attributes);
    g_string_append_c(xml->out, '>');
    append_escaped(xml->out, text, false);
    g_string_append_printf(xml->out, "</%s>\n", name);
}

const char *
ireko_xml_format(Xml *xml, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *value = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(xml->values, value);
    return value;
}

char *
ireko_xml_end(Xml *xml)
{
    g_assert(xml->open->len == 0);
    char *text = g_strdup(xml->out->str);
    ireko_xml_free(xml);
    return text;
}
