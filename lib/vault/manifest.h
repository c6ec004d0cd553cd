/* vault/manifest.h - the list of a vault's files, as text; pure. Private to lib/vault. */
#pragma once

#include "vault/vault.h"

#define VAULT_MANIFEST "manifest.json"
#define VAULT_CHECKED  ".checked"
#define VAULT_NEW      ".new-"
#define VAULT_OLD      ".old-"

typedef struct {
    char *name;
    uint64_t bytes;
    uint64_t *sums; /* XXH3-64 of each chunk; 0 of one that is all zeros */
    size_t count;
} VaultFile;

typedef struct {
    GPtrArray *files; /* VaultFile */
    json_t *about;
} VaultManifest;

VaultManifest *
vault_manifest_new(void);

void
vault_manifest_free(VaultManifest *manifest); /* NULL is fine */

/* What the files below FOLDER take on the disk (store.c). */
uint64_t
vault_folder_bytes(const char *folder);

/* What stays of FOLDER when it is renamed (store.c); NULL where it is gone. Free with g_free. */
char *
vault_folder_mark(const char *folder);

/* How many checksums a file of BYTES has. */
size_t
vault_chunks(uint64_t bytes);

/* Whether NAME can be a file of a vault: one or two names with a slash between. */
bool
vault_is_file_name(const char *name);

/* The text of MANIFEST; free with g_free. */
char *
vault_manifest_to_text(const VaultManifest *manifest, size_t *ret_len);

/* Reads LEN bytes of TEXT. IREKO_ERROR_SYNTAX where it is not what to_text wrote, to the last bit.
 */
VaultManifest *
vault_manifest_from_text(const char *text, size_t len, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VaultManifest, vault_manifest_free)
