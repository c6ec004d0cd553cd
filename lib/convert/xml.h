/* convert/xml.h - a writer of XML 1.0 that holds any text. Private to convert. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef struct Xml Xml;

Xml *
ireko_xml_new(void);

/* Opens the element NAME. Then attributes, each a name and a value, up to NULL; one whose value is
 * NULL is left out. */
void
ireko_xml_open(Xml *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;

void
ireko_xml_close(Xml *xml);

/* The same for an element without content. */
void
ireko_xml_leaf(Xml *xml, const char *name, ...) G_GNUC_NULL_TERMINATED;

/* An element of TEXT alone; attributes as above. */
void
ireko_xml_text(Xml *xml, const char *name, const char *text, ...) G_GNUC_NULL_TERMINATED;

/* A value put together; lives as long as XML. */
const char *
ireko_xml_format(Xml *xml, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The document; every element is closed. Frees XML. Free with g_free. */
char *
ireko_xml_end(Xml *xml);

void
ireko_xml_free(Xml *xml); /* NULL is fine */

/* TEXT, which is UTF-8, with U+FFFD in the place of each character that XML 1.0 has no way to say,
 * escaped or not (section 2.2: control characters and U+FFFE, U+FFFF), and where ONE_LINE is set of
 * tabs and line ends too. RET_CHANGED may be NULL. Free with g_free. */
char *
ireko_xml_sayable(const char *text, bool one_line, bool *ret_changed);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Xml, ireko_xml_free)

G_END_DECLS
