/* base/text.c - text from outside. */
#include "base/text.h"

#include <string.h>

#define NAME_MAX_LEN 64
#define DECIMAL      10
#define SHOWN_MAX    60 /* bytes of a wrong value that an error repeats */

static bool
is_control(gunichar c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
}

char *
ireko_text_safe(const char *text, size_t len)
{
    size_t left = len == (size_t)-1 ? strlen(text) : len;
    GString *out = g_string_sized_new(left);
    while (left > 0) {
        gunichar c = g_utf8_get_char_validated(text, (gssize)left);
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;
        size_t n = valid && c != 0 ? (size_t)g_unichar_to_utf8(c, NULL) : 1;
        if (valid && !is_control(c)) {
            g_string_append_len(out, text, (gssize)n);
        } else {
            for (size_t i = 0; i < n; i++)
                g_string_append_printf(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
        }
        text += n;
        left -= n;
    }
    return g_string_free(out, FALSE);
}

char *
ireko_text_shown(const char *text)
{
    const char *end = NULL;
    size_t len = strlen(text);
    (void)g_utf8_validate(text, (gssize)MIN(len, SHOWN_MAX), &end);
    size_t whole = (size_t)(end - text);
    g_autofree char *safe = ireko_text_safe(text, whole);
    g_strdelimit(safe, "\n\t", ' ');
    return g_strconcat(safe, whole < len ? "..." : "", NULL);
}

bool
ireko_text_parse_bool(const char *text, bool *ret_value)
{
    static const char *const words[] = {"FALSE", "TRUE", "no", "yes", "0", "1"};
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(text, words[i]) == 0) {
            *ret_value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

bool
ireko_text_parse_unsigned(
    const char *text, unsigned base, uint64_t least, uint64_t most, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        int digit = g_ascii_xdigit_value(*text);
        if (digit < 0 || (unsigned)digit >= base || value > (UINT64_MAX - (unsigned)digit) / base)
            return false;
        value = value * base + (unsigned)digit;
    }
    if (value < least || value > most)
        return false;
    *ret_value = value;
    return true;
}

bool
ireko_text_parse_signed(const char *text, int64_t least, int64_t most, int64_t *ret_value)
{
    bool below = *text == '-';
    uint64_t size = 0, size_max = (uint64_t)INT64_MAX + below;
    if (!ireko_text_parse_unsigned(text + (below || *text == '+'), DECIMAL, 0, size_max, &size))
        return false;
    int64_t value = below && size > 0 ? -(int64_t)(size - 1) - 1 : (int64_t)size;
    if (value < least || value > most)
        return false;
    *ret_value = value;
    return true;
}

/* The exponent of 1024 that UNIT stands for, or -1. */
static int
unit_power(const char *unit)
{
    static const char letters[] = "KMGT";
    if (*unit == '\0' || g_ascii_strcasecmp(unit, "B") == 0)
        return 0;
    const char *letter = strchr(letters, g_ascii_toupper(*unit));
    if (letter == NULL)
        return -1;
    bool known = unit[1] == '\0' || g_ascii_strcasecmp(unit + 1, "B") == 0 ||
                 g_ascii_strcasecmp(unit + 1, "iB") == 0;
    return known ? (int)(letter - letters) + 1 : -1;
}

bool
ireko_text_parse_size(const char *text, uint64_t *ret_bytes)
{
    size_t digits = strspn(text, "0123456789");
    g_autofree char *number = g_strndup(text, digits);
    uint64_t value = 0;
    if (!ireko_text_parse_unsigned(number, 10, 0, G_MAXUINT64, &value))
        return false;

    const char *unit = text + digits;
    unit += strspn(unit, " ");
    int power = unit_power(unit);
    if (power < 0 || value > (G_MAXUINT64 >> (10 * power)))
        return false;
    *ret_bytes = value << (10 * power);
    return true;
}

char *
ireko_text_size(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    bool whole = value == (double)(uint64_t)value || value >= 100;
    return g_strdup_printf(whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

char *
ireko_text_copy(const char *text, size_t len)
{
    char *copy = g_malloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static bool
is_name(const char *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_LEN || *name == '.' || *name == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(name[i]) && strchr("._-", name[i]) == NULL)
            return false;
    }
    return true;
}

bool
ireko_text_is_name(const char *name)
{
    return is_name(name, strlen(name));
}

bool
ireko_text_is_path(const char *path, unsigned most)
{
    const char *name = path;
    for (unsigned count = 1; count <= most; count++) {
        const char *end = strchrnul(name, '/');
        if (!is_name(name, (size_t)(end - name)))
            return false;
        if (*end == '\0')
            return true;
        name = end + 1;
    }
    return false;
}

/* Only what is near the diagonal is looked at, and two rows full of LIMIT are the end of it. */
unsigned
ireko_text_distance(const char *a, const char *b, unsigned limit)
{
    unsigned rows[3][IREKO_TEXT_NEAR_MAX + 2];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_len = strlen(a), b_len = strlen(b);
    for (unsigned k = 0; k <= b_len + 1; k++)
        rows[0][k] = rows[2][k] = limit, last[k] = MIN(k, limit);
    unsigned least_before = 0;
    for (size_t i = 1; i <= a_len; i++) {
        size_t from = i > limit ? i - limit : 1, to = MIN(i + limit, b_len);
        row[from - 1] = from == 1 ? MIN((unsigned)i, limit) : limit;
        unsigned least = row[from - 1];
        for (size_t k = from; k <= to; k++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[k - 1]);
            row[k] = MIN(MIN(last[k], row[k - 1]) + 1, last[k - 1] + (x != y));
            if (i > 1 && k > 1 && x == g_ascii_tolower(b[k - 2]) && y == g_ascii_tolower(a[i - 2]))
                row[k] = MIN(row[k], before[k - 2] + 1);
            row[k] = MIN(row[k], limit);
            least = MIN(least, row[k]);
        }
        if (to < b_len)
            row[to + 1] = limit;
        if (least == limit && least_before == limit)
            return limit;
        least_before = least;
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_len];
}
