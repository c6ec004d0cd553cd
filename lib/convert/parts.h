/* convert/parts.h - what the targets share: the account of every key, and writers that hold any
 * text. Private to convert. */
#pragma once

#include <stdbool.h>

#include <ireko/convert.h>

#include "machine/machine.h"

G_BEGIN_DECLS

/* ---- the account ----
 *
 * A target says what becomes of a key in the same breath as it writes the words that carry it, so
 * that the account cannot part from the text. What it says of a key that the .vmx does not have is
 * forgotten; what it says nothing of is settled at the end by reasons.c. */

typedef struct {
    const IrekoVmx *doc;
    const IrekoMachine *machine;
    GPtrArray *rows;   /* IrekoConverted, for each entry of the document */
    GHashTable *first; /* key in lower case -> its row that counts */
} Account;

typedef enum { CARRIED, APPROXIMATED, DROPPED } Outcome;

/* What became of DEVICE.ATTR (DEVICE is NULL where the key has no dot to part it at). The last word
 * counts. */
void
ireko_account_say(Account *account,
                  const char *device,
                  const char *attr,
                  Outcome outcome,
                  const char *format,
                  ...) G_GNUC_PRINTF(5, 6);

/* The same of each of ATTRS, names parted by blanks. */
void
ireko_account_say_each(
    Account *account, const char *device, const char *attrs, Outcome outcome, const char *how);

/* The value of DEVICE.ATTR, or NULL. Lives as long as the account. */
const char *
ireko_account_get(const Account *account, const char *device, const char *attr);

/* Whether DEVICE.ATTR is TRUE; FALLBACK where it is absent or neither TRUE nor FALSE. */
bool
ireko_account_flag(const Account *account, const char *device, const char *attr, bool fallback);

/* The path of FILE, which the .vmx names: beside the .vmx unless it is absolute. Free with g_free.
 */
char *
ireko_account_path(const Account *account, const char *file);

/* What is behind a disk by the name of its file: "vmdk", "raw", "qcow2" ... Nobody has looked. */
const char *
ireko_account_format(const char *file);

/* Says for each key that has no word yet why it is dropped, or that it asks for nothing. */
void
ireko_account_settle(Account *account);

/* ---- the targets ---- */

char *
ireko_convert_to_libvirt(Account *account);

/* NULL: what QEMU cannot give, as ireko_qemu_argv says. */
char *
ireko_convert_to_qemu(Account *account, GError **error);

char *
ireko_convert_to_virtualbox(Account *account);

G_END_DECLS
