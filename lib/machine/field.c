/* machine/field.c - values of a .vmx: read with an error that a person can act on. */
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "machine/builder.h"

#define SHOWN_MAX 60 /* bytes of a wrong value that an error repeats */

/* VALUE as an error shows it: one line, safe, cut. */
static char *
shown(const char *value)
{
    const char *end = NULL;
    size_t len = strlen(value);
    (void)g_utf8_validate(value, (gssize)MIN(len, SHOWN_MAX), &end);
    size_t whole = (size_t)(end - value);
    g_autofree char *safe = ireko_text_safe(value, whole);
    g_strdelimit(safe, "\n\t", ' ');
    return g_strconcat(safe, whole < len ? "..." : "", NULL);
}

void
ireko_field_fail(
    const Builder *b, const Field *field, IrekoError code, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);

    g_autofree char *value = shown(field->value);
    g_set_error(error, IREKO_ERROR, (int)code, "%s:%u: %s = '%s': %s", b->machine->file,
                field->note->line, field->note->key, value, text);
}

void
ireko_field_note(const Field *field, IrekoKeyStatus status, const char *format, ...)
{
    if (field->note == NULL)
        return;
    va_list args;
    va_start(args, format);
    g_free(field->note->reason);
    field->note->reason = g_strdup_vprintf(format, args);
    va_end(args);
    field->note->status = status;
}

static bool
is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (g_ascii_strcasecmp(text, *words) == 0)
            return true;
    }
    return false;
}

bool
ireko_field_is_true(const char *text)
{
    static const char *const words[] = {"TRUE", "yes", "1", NULL};
    return is_one_of(text, words);
}

bool
ireko_field_bool(
    const Builder *b, const Field *field, bool fallback, bool *ret_value, GError **error)
{
    static const char *const no_words[] = {"FALSE", "no", "0", NULL};
    if (field->value == NULL) {
        *ret_value = fallback;
        return true;
    }
    bool yes = ireko_field_is_true(field->value);
    if (!yes && !is_one_of(field->value, no_words)) {
        ireko_field_fail(b, field, IREKO_ERROR_SYNTAX, error, "must be TRUE or FALSE");
        return false;
    }
    *ret_value = yes;
    return true;
}

bool
ireko_field_uint(
    const Builder *b, const Field *field, Range range, unsigned *ret_value, GError **error)
{
    if (field->value == NULL) {
        *ret_value = range.fallback;
        return true;
    }
    guint64 value = 0;
    if (!g_ascii_string_to_unsigned(field->value, 10, range.min, range.max, &value, NULL)) {
        ireko_field_fail(b, field, IREKO_ERROR_SYNTAX, error, "must be a number from %u to %u",
                         range.min, range.max);
        return false;
    }
    *ret_value = (unsigned)value;
    return true;
}

bool
ireko_field_choice(const Builder *b,
                   const Field *field,
                   const char *const *choices,
                   unsigned *ret_index,
                   GError **error)
{
    for (unsigned i = 0; choices[i] != NULL; i++) {
        if (g_ascii_strcasecmp(field->value, choices[i]) == 0) {
            *ret_index = i;
            return true;
        }
    }
    g_autofree char *list = g_strjoinv(", ", (char **)(uintptr_t)choices);
    ireko_field_fail(b, field, IREKO_ERROR_UNSUPPORTED, error, "ireko has no such thing; it has %s",
                     list);
    return false;
}

bool
ireko_field_present(
    const Builder *b, const Field *fields, unsigned count, bool *ret_present, GError **error)
{
    if (!ireko_field_bool(b, &fields[0], false, ret_present, error))
        return false;
    for (unsigned i = 1; fields[0].note == NULL && i < count; i++)
        ireko_field_note(&fields[i], IREKO_KEY_UNSUPPORTED,
                         "no line says that the device is present, so there is none");
    return true;
}
