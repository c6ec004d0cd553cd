/* vmx/value.c - from the bytes of a value to text.
 *
 * Escapes are undone on bytes, before the conversion: 0x7c is also the second byte of some
 * Shift_JIS characters, and VMware's writer escapes it there as anywhere.
 * The encodings are a closed list of those in which ASCII bytes mean ASCII: the name comes from the
 * file, and iconv would load a module for whatever it says. Windows says "Shift_JIS" and writes
 * code page 932, in which 0x5c is a backslash (in paths!); iconv's own SJIS has a yen sign there.
 */
#include "vmx/value.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static const struct {
    const char *name, *charset;
} charsets[] = {
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1252", "CP1252"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"windows-1257", "CP1257"},
    {"windows-1258", "CP1258"},
    {"windows-874", "CP874"},
    {"Shift_JIS", "CP932"},
    {"windows-31j", "CP932"},
    {"windows-932", "CP932"},
    {"EUC-JP", "EUC-JP"},
    {"GBK", "GBK"},
    {"GB2312", "GBK"},
    {"windows-936", "GBK"},
    {"GB18030", "GB18030"},
    {"Big5", "BIG5"},
    {"windows-950", "BIG5"},
    {"EUC-KR", "CP949"},
    {"windows-949", "CP949"},
    {"KOI8-R", "KOI8-R"},
    {"KOI8-U", "KOI8-U"},
    {"ISO-8859-1", "ISO-8859-1"},
    {"ISO-8859-2", "ISO-8859-2"},
    {"ISO-8859-5", "ISO-8859-5"},
    {"ISO-8859-7", "ISO-8859-7"},
    {"ISO-8859-9", "ISO-8859-9"},
    {"ISO-8859-15", "ISO-8859-15"},
};

const char *
ireko_vmx_charset(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(charsets); i++) {
        if (g_ascii_strcasecmp(charsets[i].name, name) == 0)
            return charsets[i].charset;
    }
    return NULL;
}

/* VMware's automaton: a byte that ends an unfinished escape does not begin another, so "||22" and
 * "|2|22" stay as they are. */
static char *
unescape(const char *raw, size_t raw_len)
{
    char *text = g_malloc(raw_len + 1);
    size_t out = 0;
    for (size_t i = 0; i < raw_len; i++) {
        text[out++] = raw[i];
        if (raw[i] != '|' || i + 1 == raw_len)
            continue;
        int high = g_ascii_xdigit_value(raw[i + 1]);
        int low = high >= 0 && i + 2 < raw_len ? g_ascii_xdigit_value(raw[i + 2]) : -1;
        if (low >= 0) {
            text[out - 1] = (char)(high << 4 | low);
            i += 2;
            continue;
        }
        size_t literal = high >= 0 && i + 2 < raw_len ? 2 : 1;
        memcpy(text + out, raw + i + 1, literal);
        out += literal;
        i += literal;
    }
    text[out] = '\0';
    return text;
}

static bool
is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80)
            return false;
    }
    return true;
}

static char *
convert(const char *text, const char *charset)
{
    GIConv converter = g_iconv_open("UTF-8", charset);
    if (converter == (GIConv)-1) /* no such module here: a small system */
        return g_utf8_make_valid(text, -1);

    GString *out = g_string_new(NULL);
    g_autofree char *input = g_strdup(text); /* iconv wants it writable */
    char *in = input;
    gsize in_left = strlen(text);
    while (in_left > 0) {
        char piece[256], *to = piece;
        gsize room = sizeof piece;
        gsize result = g_iconv(converter, &in, &in_left, &to, &room);
        int why = errno;
        g_string_append_len(out, piece, to - piece);
        if (result == (gsize)-1 && why != E2BIG) {
            g_string_append(out, REPLACEMENT);
            in++;
            in_left--;
        }
    }
    (void)g_iconv_close(converter);
    return g_string_free(out, FALSE);
}

char *
ireko_vmx_decode(const char *raw, size_t raw_len, const char *charset)
{
    g_autofree char *text = unescape(raw, raw_len);
    if (is_ascii(text))
        return g_steal_pointer(&text);
    return charset == NULL ? g_utf8_make_valid(text, -1) : convert(text, charset);
}
