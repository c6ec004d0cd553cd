/* vmx/value.c - from the bytes of a value to text, and back.
 *
 * Escapes are undone on bytes, before the conversion: 0x7c is also the second byte of some
 * Shift_JIS characters, and VMware's writer escapes it there as anywhere.
 * The encodings are a closed list of those in which ASCII bytes mean ASCII: the name comes from the
 * file, and iconv would load a module for whatever it says. Windows says "Shift_JIS" and writes
 * code page 932, in which 0x5c is a backslash (in paths!); iconv's own SJIS has a yen sign there.
 */
#include "vmx/value.h"

#include <errno.h>
#include <string.h>

#include <ireko/error.h>

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

bool
ireko_vmx_knows_encoding(const char *name)
{
    return g_ascii_strcasecmp(name, "UTF-8") == 0 || ireko_vmx_charset(name) != NULL;
}

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

/* Converts what it can of the *LEFT bytes at *IN; true when that was all. */
static bool
pump(GIConv converter, char **in, gsize *left, GString *out)
{
    bool flushing = false; /* glibc keeps a CP1258 letter back: an accent may follow */
    for (;;) {
        char piece[256], *to = piece;
        gsize room = sizeof piece;
        gsize result = g_iconv(converter, flushing ? NULL : in, left, &to, &room);
        int why = errno;
        g_string_append_len(out, piece, to - piece);
        if (result == (gsize)-1 && why != E2BIG)
            return false;
        if (result != (gsize)-1 && flushing)
            return true;
        flushing = flushing || result != (gsize)-1;
    }
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
    while (!pump(converter, &in, &in_left, out)) {
        g_string_append(out, REPLACEMENT);
        in++;
        in_left--;
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

static char *
convert_back(const char *value, const char *charset, GError **error)
{
    GIConv converter = g_iconv_open(charset, "UTF-8");
    if (converter == (GIConv)-1) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "this system cannot write the file's encoding, %s: iconv has no such module",
                    charset);
        return NULL;
    }
    GString *out = g_string_new(NULL);
    g_autofree char *input = g_strdup(value); /* iconv wants it writable */
    char *in = input;
    gsize in_left = strlen(value);
    bool all = pump(converter, &in, &in_left, out);
    (void)g_iconv_close(converter);
    g_autofree char *bytes = g_string_free(out, FALSE);
    g_autofree char *again = convert(bytes, charset);
    if (all && strcmp(again, value) == 0)
        return g_steal_pointer(&bytes);

    if (all) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "the file's encoding, %s, makes another text of '%s', namely '%s'", charset,
                    value, again);
        return NULL;
    }
    gunichar letter = g_utf8_get_char(in);
    g_autofree char *text = g_ucs4_to_utf8(&letter, 1, NULL, NULL, NULL);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "the file's encoding, %s, has no '%s' (U+%04X): write the value without it",
                charset, text, letter);
    return NULL;
}

/* VMware's writer escapes these, and a tab not. Without quotes, blanks and # would end the value.
 */
static bool
is_escaped(unsigned char byte, bool quoted)
{
    if (byte == '\t' || byte == ' ' || byte == '#')
        return !quoted;
    return byte < ' ' || byte == '"' || byte == '|' || byte == 0x7f;
}

char *
ireko_vmx_encode(const char *value, bool quoted, const char *charset, GError **error)
{
    if (!g_utf8_validate(value, -1, NULL)) {
        g_set_error_literal(
            error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
            "the value is not UTF-8: give it as UTF-8 whatever the file's encoding");
        return NULL;
    }
    g_autofree char *bytes =
        charset == NULL || is_ascii(value) ? g_strdup(value) : convert_back(value, charset, error);
    if (bytes == NULL)
        return NULL;

    GString *raw = g_string_sized_new(strlen(bytes));
    for (const char *at = bytes; *at != '\0'; at++) {
        if (is_escaped((unsigned char)*at, quoted))
            g_string_append_printf(raw, "|%02X", (unsigned char)*at);
        else
            g_string_append_c(raw, *at);
    }
    return g_string_free(raw, FALSE);
}
