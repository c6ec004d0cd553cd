/* vault/manifest.c - the list of a vault's files, as text.
 *
 * One line of JSON, and behind it, on a line of its own, the 32 hex digits of the line's XXH3-128.
 * The checksums of a file stand in one text, 16 hex digits each: a memory of 64 GiB has 65536. They
 * tell damage from what was written; against somebody who means harm and may write there, nothing
 * in the same folder could help. */
#include "vault/manifest.h"

#include <string.h>
#include <xxhash.h>

#include "base/jsonl.h"
#include "base/text.h"

#define SCHEMA     "ireko.vault/1"
#define SUM_DIGITS 16
#define TAIL_LEN   ((size_t)2 * SUM_DIGITS + 2) /* line end, 32 digits, line end */

static void
free_file(void *data)
{
    VaultFile *file = data;
    g_free(file->name);
    g_free(file->sums);
    g_free(file);
}

VaultManifest *
vault_manifest_new(void)
{
    VaultManifest *manifest = g_new0(VaultManifest, 1);
    manifest->files = g_ptr_array_new_with_free_func(free_file);
    return manifest;
}

void
vault_manifest_free(VaultManifest *manifest)
{
    if (manifest == NULL)
        return;
    g_ptr_array_unref(manifest->files);
    json_decref(manifest->about);
    g_free(manifest);
}

size_t
vault_chunks(uint64_t bytes)
{
    return (size_t)(bytes / IREKO_VAULT_CHUNK + (bytes % IREKO_VAULT_CHUNK != 0));
}

bool
vault_is_file_name(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", 3);
    unsigned count = g_strv_length(parts);
    if (strcmp(name, VAULT_MANIFEST) == 0 || count < 1 || count > 2)
        return false;
    return ireko_text_is_name(parts[0]) && (count == 1 || ireko_text_is_name(parts[1]));
}

/* ---- to text ---- */

static void
hash_text(const char *text, size_t len, char ret_digits[2 * SUM_DIGITS + 1])
{
    XXH128_hash_t hash = XXH3_128bits(text, len);
    (void)g_snprintf(ret_digits, 2 * SUM_DIGITS + 1,
                     "%016" G_GINT64_MODIFIER "x%016" G_GINT64_MODIFIER "x", (guint64)hash.high64,
                     (guint64)hash.low64);
}

static json_t *
file_to_json(const VaultFile *file)
{
    static const char digits[] = "0123456789abcdef";
    g_autofree char *sums = g_malloc(file->count * SUM_DIGITS + 1);
    char *at = sums;
    for (size_t i = 0; i < file->count; i++) {
        for (int shift = 60; shift >= 0; shift -= 4)
            *at++ = digits[file->sums[i] >> shift & 0xf];
    }
    *at = '\0';
    return json_pack("{s:s,s:I,s:s}", "name", file->name, "bytes", (json_int_t)file->bytes, "sums",
                     sums);
}

char *
vault_manifest_to_text(const VaultManifest *manifest, size_t *ret_len)
{
    json_t *files = json_array();
    for (unsigned i = 0; i < manifest->files->len; i++)
        json_array_append_new(files, file_to_json(manifest->files->pdata[i]));
    g_autoptr(json_t) object =
        json_pack("{s:s,s:O,s:o}", "schema", SCHEMA, "about", manifest->about, "files", files);
    char *line = json_dumps(object, JSON_COMPACT);
    char hash[2 * SUM_DIGITS + 1];
    hash_text(line, strlen(line), hash);
    char *text = g_strdup_printf("%s\n%s\n", line, hash);
    free(line);
    *ret_len = strlen(text);
    return text;
}

/* ---- from text ---- */

static bool
refuse(const char *why, GError **error)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, VAULT_MANIFEST " is damaged: %s", why);
    return false;
}

/* Reads COUNT checksums; false where TEXT is anything else. */
static bool
read_sums(const char *text, VaultFile *file)
{
    if (strlen(text) != file->count * SUM_DIGITS)
        return false;
    file->sums = g_new0(uint64_t, MAX(file->count, 1));
    for (size_t i = 0; i < file->count * SUM_DIGITS; i++) {
        int digit = g_ascii_xdigit_value(text[i]);
        if (digit < 0)
            return false;
        file->sums[i / SUM_DIGITS] = file->sums[i / SUM_DIGITS] << 4 | (uint64_t)digit;
    }
    return true;
}

static bool
file_from_json(VaultManifest *manifest, json_t *object, GError **error)
{
    const char *name = NULL, *sums = NULL;
    json_int_t bytes = -1;
    if (json_unpack(object, "{s:s,s:I,s:s}", "name", &name, "bytes", &bytes, "sums", &sums) != 0 ||
        bytes < 0 || (uint64_t)bytes > IREKO_VAULT_FILE_MAX || !vault_is_file_name(name))
        return refuse("a file in it has no name, size or checksums that can be", error);
    VaultFile *file = g_new0(VaultFile, 1);
    file->name = g_strdup(name);
    file->bytes = (uint64_t)bytes;
    file->count = vault_chunks(file->bytes);
    g_ptr_array_add(manifest->files, file);
    return read_sums(sums, file) ||
           refuse("the checksums of a file are not as many as it has", error);
}

static VaultManifest *
from_json(json_t *object, GError **error)
{
    g_autoptr(VaultManifest) manifest = vault_manifest_new();
    const char *schema = NULL;
    json_t *files = NULL;
    if (json_unpack(object, "{s:s,s:O,s:o}", "schema", &schema, "about", &manifest->about, "files",
                    &files) != 0 ||
        strcmp(schema, SCHEMA) != 0 || !json_is_object(manifest->about) || !json_is_array(files) ||
        json_array_size(files) > IREKO_VAULT_FILES_MAX) {
        (void)refuse("it is not of this ireko", error);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(files); i++) {
        if (!file_from_json(manifest, json_array_get(files, i), error))
            return NULL;
    }
    return g_steal_pointer(&manifest);
}

VaultManifest *
vault_manifest_from_text(const char *text, size_t len, GError **error)
{
    char hash[2 * SUM_DIGITS + 1] = "";
    size_t line_len = len > TAIL_LEN ? len - TAIL_LEN : 0;
    if (line_len > 0)
        hash_text(text, line_len, hash);
    if (line_len == 0 || text[line_len] != '\n' || text[len - 1] != '\n' ||
        memcmp(text + line_len + 1, hash, (size_t)2 * SUM_DIGITS) != 0) {
        (void)refuse("it does not match its own checksum", error);
        return NULL;
    }
    g_autoptr(json_t) object = ireko_jsonl_decode(text, line_len, NULL);
    if (object == NULL) {
        (void)refuse("it is no JSON object", error);
        return NULL;
    }
    return from_json(object, error);
}
