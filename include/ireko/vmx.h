/* ireko/vmx.h - a .vmx file as a document: every byte kept, keys found whatever their case.
 *
 * The grammar is VMware's own (open-vm-tools lib/dict/dictll.c): a line is name = value # comment;
 * a value is quoted or has no blanks; |XX is an escaped byte; whatever else a line holds is kept as
 * it stands. A document is bytes: it has an encoding only as far as its .encoding key says so. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_VMX_BYTES_MAX ((size_t)64 << 20) /* the longest file that is read */

typedef struct IrekoVmx IrekoVmx;

/* One line that has a name, or that has neither a name nor only a comment. Pointers live as long as
 * the document and are not NUL-terminated. */
typedef struct {
    const char *name; /* as written; NULL for a malformed line */
    size_t name_len;
    const char *raw; /* the value as written, without its quotes; a malformed line: all of it */
    size_t raw_len;
    unsigned line; /* from 1 */
} IrekoVmxEntry;

/* Takes any LEN bytes: no text is too broken to be kept. Returns a new document (free with
 * ireko_vmx_free), or NULL with IREKO_ERROR_TOO_LARGE. It prints back byte for byte. */
IrekoVmx *
ireko_vmx_parse(const char *bytes, size_t len, GError **error);

/* Reads the file PATH. Besides what parse says: IREKO_ERROR_NOT_FOUND, IREKO_ERROR_IO; and
 * IREKO_ERROR_SYNTAX where it is really something else (a disk, an OVF, a .vmxf, an archive, a
 * binary; the text says which) or is encrypted (encryption.data). */
IrekoVmx *
ireko_vmx_load(const char *path, GError **error);

void
ireko_vmx_free(IrekoVmx *doc); /* NULL is fine */

/* The document's bytes; free with g_free. */
char *
ireko_vmx_print(const IrekoVmx *doc, size_t *ret_len);

size_t
ireko_vmx_count(const IrekoVmx *doc);

/* Entry INDEX of the document, in the order of the file. */
IrekoVmxEntry
ireko_vmx_entry(const IrekoVmx *doc, size_t index);

/* The decoded value of KEY (any case; where a key stands twice the first counts), as UTF-8 (bytes
 * are converted as .encoding says; what cannot be becomes U+FFFD), or NULL where it is not there.
 * Stores its line (from 1) in RET_LINE unless that is NULL. Free with g_free. */
char *
ireko_vmx_get(const IrekoVmx *doc, const char *key, unsigned *ret_line);

/* Like get, for one entry; NULL for a malformed line. */
char *
ireko_vmx_entry_value(const IrekoVmx *doc, size_t index);

/* Called for each entry whose key has stood before; FIRST is the index of the one that counts. */
typedef void (*IrekoVmxDuplicateFunc)(void *data, size_t first, size_t again);

void
ireko_vmx_duplicates(const IrekoVmx *doc, IrekoVmxDuplicateFunc func, void *data);

/* Gives KEY the VALUE (UTF-8): changes the bytes of its value and nothing else, in the quotes or
 * without that it has (then with |20 for a blank), and nothing at all where it has that value.
 * Where KEY is absent, a line is added beside its siblings, as the file writes its lines. Entries
 * of the document are to be fetched anew. IREKO_ERROR_SYNTAX for a key that cannot be one and for a
 * value that is not UTF-8; IREKO_ERROR_UNSUPPORTED for a value that the file's encoding does not
 * have, and for an .encoding that would give the file's bytes another meaning; IREKO_ERROR_STATE
 * where KEY stands twice (the text names the lines); IREKO_ERROR_TOO_LARGE. */
bool
ireko_vmx_set(IrekoVmx *doc, const char *key, const char *value, GError **error);

/* Removes the lines of KEY, with their comments. Returns how many that were. */
size_t
ireko_vmx_unset(IrekoVmx *doc, const char *key);

/* Removes the line of entry INDEX alone. */
void
ireko_vmx_remove(IrekoVmx *doc, size_t index);

/* Removes the lines of the COUNT entries INDICES, which ascend; costs no more than to remove one.
 */
void
ireko_vmx_remove_many(IrekoVmx *doc, const size_t *indices, size_t count);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVmx, ireko_vmx_free)

G_END_DECLS
