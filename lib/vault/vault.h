/* vault/vault.h - folders of files that are written once and read for a long time: the memory,
 * state and disks of frozen machines.
 *
 *     STORE/NAME/manifest.json   every file with its size and checksums, and a checksum of itself
 *     STORE/NAME/FILE ...        FILE may be in a folder: "esxi01/ram"
 *     STORE/NAME/.checked        what the files were when they were last found right (check.c)
 *     STORE/.new-...             being written, by a process that holds a lock on it
 *
 * A vault is new or absent, never half made: it is written under another name, synced, renamed.
 * What is damaged in it - a bit, a length, a file that is gone, the manifest - is found before it
 * is used, as IREKO_ERROR_SYNTAX with the place. A vault that is open, or of which a file is open
 * by ireko_vault_open_file in any process, a machine's included, is in use and never removed. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <ireko/error.h>

G_BEGIN_DECLS

#define IREKO_VAULT_FILES_MAX    4096
#define IREKO_VAULT_FILE_MAX     ((uint64_t)1 << 44) /* bytes of one file */
#define IREKO_VAULT_MANIFEST_MAX ((size_t)32 << 20)
#define IREKO_VAULT_CHUNK        ((uint64_t)1 << 20) /* bytes that one checksum is of */

/* ---- writing ---- */

typedef struct IrekoVaultWriter IrekoVaultWriter;

/* Begins the vault NAME of STORE, whose folder is made where it is not there. */
IrekoVaultWriter *
ireko_vault_begin(const char *store, const char *name, GError **error);

/* Gives up what was not committed, and removes it; NULL is fine. */
void
ireko_vault_writer_free(IrekoVaultWriter *writer);

/* From any thread: a new file of the vault, to be written to; the descriptor is the caller's, -1
 * with an error. */
int
ireko_vault_create(IrekoVaultWriter *writer, const char *file, GError **error);

/* The path of FILE, for another program to make it. Free with g_free. */
char *
ireko_vault_add_path(IrekoVaultWriter *writer, const char *file, GError **error);

/* Copies LEN bytes of FROM_FD that begin at OFFSET into the new FILE. What is a hole or zeros there
 * takes no room here. */
bool
ireko_vault_copy(IrekoVaultWriter *writer,
                 const char *file,
                 int from_fd,
                 uint64_t offset,
                 uint64_t len,
                 GError **error);

/* The same, into TO_FD, which ireko_vault_create gave. */
bool
ireko_vault_copy_to(int to_fd, int from_fd, uint64_t offset, uint64_t len, GError **error);

/* Makes the checksums, writes ABOUT (stolen; an object that is the caller's affair) into the
 * manifest and gives the vault its name, in place of one that is there and not in use:
 * IREKO_ERROR_STATE where that one is. */
bool
ireko_vault_commit(IrekoVaultWriter *writer, json_t *about, GError **error);

/* ---- reading ---- */

typedef struct IrekoVault IrekoVault;

/* Opens the vault NAME of STORE and reads its manifest, no other file. IREKO_ERROR_NOT_FOUND,
 * IREKO_ERROR_SYNTAX. */
IrekoVault *
ireko_vault_open(const char *store, const char *name, GError **error);

void
ireko_vault_free(IrekoVault *vault); /* NULL is fine */

const char *
ireko_vault_name(const IrekoVault *vault);

const json_t *
ireko_vault_about(const IrekoVault *vault);

/* Compares every file with the manifest: all of it, where it is not known since this host was
 * started that nobody has written to it since it was right. */
bool
ireko_vault_check(IrekoVault *vault, GError **error);

/* Opens FILE to be read. The vault is in use as long as anybody has the descriptor. */
int
ireko_vault_open_file(const IrekoVault *vault, const char *file, GError **error);

/* What it takes on the disk. */
uint64_t
ireko_vault_bytes(const IrekoVault *vault);

/* The path of FILE; free with g_free. */
char *
ireko_vault_path(const IrekoVault *vault, const char *file);

/* ---- found again ---- */

/* What tells VAULT's folder from any that has its name later; free with g_free. NULL where it is
 * gone. */
char *
ireko_vault_mark(const IrekoVault *vault);

/* Where the vault with MARK is, which was in FOLDER: there, or discarded since. Free with g_free;
 * NULL with IREKO_ERROR_NOT_FOUND. */
char *
ireko_vault_find(const char *folder, const char *mark, GError **error);

/* Has the vault in FOLDER be in use as long as the descriptor is open; -1: it cannot. */
int
ireko_vault_hold(const char *folder);

/* ---- many ---- */

typedef struct {
    char *name;
    uint64_t bytes;    /* on the disk */
    int64_t used_unix; /* seconds since 1970 */
    bool in_use;
    char *damage; /* why the manifest cannot be read; else NULL */
    json_t *about;
} IrekoVaultEntry;

/* The vaults of STORE, the one used last first: IrekoVaultEntry; free with g_ptr_array_unref. */
GPtrArray *
ireko_vault_list(const char *store);

/* Removes the vault NAME. IREKO_ERROR_STATE where it is in use, IREKO_ERROR_NOT_FOUND. */
bool
ireko_vault_remove(const char *store, const char *name, GError **error);

/* Removes the vault NAME, or where it is in use, has nobody find it again: it goes when the last
 * that uses it has gone and somebody sweeps. */
void
ireko_vault_discard(const char *store, const char *name);

/* Removes what writers that died left in STORE. */
void
ireko_vault_sweep(const char *store);

/* Removes vaults of STORE, the one used longest ago first, until they take at most LIMIT bytes;
 * neither KEEP (or NULL) nor what is in use. Returns how many were removed. */
unsigned
ireko_vault_evict(const char *store, uint64_t limit, const char *keep);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVaultWriter, ireko_vault_writer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVault, ireko_vault_free)

G_END_DECLS
