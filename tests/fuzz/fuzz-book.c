/* Fuzz target: the key book has an answer in words for any key and value. A line: key, LF, value.
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include <ireko/book.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *key = g_strndup((const char *)data, size);
    char *end = strchr(key, '\n');
    const char *value = end != NULL ? end + 1 : "";
    if (end != NULL)
        *end = '\0';

    unsigned numbers[IREKO_KEY_NUMBERS_MAX];
    const IrekoKey *entry = ireko_book_match(key, numbers);
    g_autofree char *spelt = ireko_book_spell(key);
    g_assert_cmpint(g_ascii_strcasecmp(spelt, key), ==, 0); /* another case, and nothing else */
    g_assert_true(ireko_book_find(spelt) == entry);

    g_autofree char *meant = ireko_book_suggest(key);
    g_assert_true(meant == NULL || !ireko_book_find(meant)->invented);

    g_autoptr(GError) error = NULL;
    bool ok = ireko_book_check(key, value, &error);
    g_assert_true(ok == (error == NULL));
    if (!ok) {
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_assert_null(strpbrk(error->message, "\n\r\x1b"));
        g_assert_true((error->code == IREKO_ERROR_NOT_FOUND) == (entry == NULL));
    }
    return 0;
}
