/* machine/builder.h - a machine while it is read from its .vmx. Private to machine.
 *
 * First every key is put into its place by the table of keys; only then are the values read, device
 * by device, so that a device's keys may stand in any order and those of absent ones do not matter.
 */
#pragma once

#include "machine/keys.h"

G_BEGIN_DECLS

#define BUSES           4
#define CONTROLLERS_MAX 4
#define UNITS_MAX       65 /* pvscsi has 0 to 64 */

/* The value of a key and the note on it; both NULL where the .vmx does not have the key. */
typedef struct {
    char *value;
    IrekoKeyNote *note;
} Field;

typedef struct {
    IrekoMachine *machine;
    Field fields[MACHINE_ATTRS];
    Field controllers[BUSES][CONTROLLERS_MAX][CONTROLLER_ATTRS];
    Field disks[BUSES][CONTROLLERS_MAX][UNITS_MAX][DISK_ATTRS];
    Field nics[IREKO_MACHINE_NICS_MAX][NIC_ATTRS];
    Field serials[IREKO_MACHINE_SERIALS_MAX][SERIAL_ATTRS];
} Builder;

/* TRUE, yes, 1 / FALSE, no, 0, whatever their case. */
bool
ireko_field_is_true(const char *text);

/* Readers of a field: FALLBACK where the key is absent; false with an error that names file, line,
 * what was got and what is allowed. */
bool
ireko_field_bool(
    const Builder *b, const Field *field, bool fallback, bool *ret_value, GError **error);

typedef struct {
    unsigned min, max, fallback;
} Range;

bool
ireko_field_uint(
    const Builder *b, const Field *field, Range range, unsigned *ret_value, GError **error);

/* One of the CHOICES (up to NULL), whatever its case; its index. */
bool
ireko_field_choice(const Builder *b,
                   const Field *field,
                   const char *const *choices,
                   unsigned *ret_index,
                   GError **error);

/* Sets "FILE:LINE: KEY = 'VALUE': " and the text. */
void
ireko_field_fail(
    const Builder *b, const Field *field, IrekoError code, GError **error, const char *format, ...)
    G_GNUC_PRINTF(5, 6);

/* Changes what is said of FIELD's key, where there is one. */
void
ireko_field_note(const Field *field, IrekoKeyStatus status, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Whether the device of FIELDS, whose first is its "present", is there; where nothing says so the
 * other fields are noted as without effect. */
bool
ireko_field_present(
    const Builder *b, const Field *fields, unsigned count, bool *ret_present, GError **error);

bool
ireko_build_disks(Builder *b, GError **error);

bool
ireko_build_nics(Builder *b, GError **error);

bool
ireko_build_serials(Builder *b, GError **error);

G_END_DECLS
