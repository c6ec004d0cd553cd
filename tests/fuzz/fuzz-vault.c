/* Fuzz target: any line is the list of a vault's files, once its checksum is right, or an error;
 * what was read is written and read again as the same. Without the checksum nothing is read. */
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <xxhash.h>

#include <ireko/error.h>

#include "vault/manifest.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > LINE_MAX_BYTES)
        return -1;
    g_autoptr(VaultManifest) raw = vault_manifest_from_text((const char *)data, size, NULL);
    XXH128_hash_t hash = XXH3_128bits(data, size);
    g_autoptr(GString) text = g_string_new_len((const char *)data, (gssize)size);
    g_string_append_printf(text, "\n%016llx%016llx\n", (unsigned long long)hash.high64,
                           (unsigned long long)hash.low64);
    g_autoptr(GError) error = NULL;
    g_autoptr(VaultManifest) manifest = vault_manifest_from_text(text->str, text->len, &error);
    if (manifest == NULL) {
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
        return 0;
    }
    size_t len = 0;
    g_autofree char *printed = vault_manifest_to_text(manifest, &len);
    g_autoptr(VaultManifest) again = vault_manifest_from_text(printed, len, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->files->len, ==, manifest->files->len);
    g_assert_true(json_equal(again->about, manifest->about));
    return 0;
}
