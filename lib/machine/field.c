/* machine/field.c - values of a .vmx: read with an error that a person can act on. */
#include <stdarg.h>

#include "base/text.h"
#include "machine/builder.h"

void
ireko_field_fail(
    const Builder *b, const Field *field, IrekoError code, GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);

    g_autofree char *value = ireko_text_shown(field->value);
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

bool
ireko_field_is_true(const char *text)
{
    bool yes = false;
    return ireko_text_parse_bool(text, &yes) && yes;
}

bool
ireko_field_bool(
    const Builder *b, const Field *field, bool fallback, bool *ret_value, GError **error)
{
    if (field->value == NULL) {
        *ret_value = fallback;
        return true;
    }
    bool ok = ireko_text_parse_bool(field->value, ret_value);
    if (!ok)
        ireko_field_fail(b, field, IREKO_ERROR_SYNTAX, error, "must be TRUE or FALSE");
    return ok;
}

bool
ireko_field_uint(
    const Builder *b, const Field *field, Range range, unsigned *ret_value, GError **error)
{
    if (field->value == NULL) {
        *ret_value = range.fallback;
        return true;
    }
    uint64_t value = 0;
    if (!ireko_text_parse_unsigned(field->value, 10, range.min, range.max, &value)) {
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
