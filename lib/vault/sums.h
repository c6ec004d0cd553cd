/* vault/sums.h - checksums of files, by as many threads as there are CPUs. Private to lib/vault. */
#pragma once

#include "vault/manifest.h"

/* Fills the checksums of FILE from FD. */
bool
vault_sum_file(int fd, VaultFile *file, GError **error);

/* Compares FD with the checksums of FILE. IREKO_ERROR_SYNTAX says where it differs. */
bool
vault_compare_file(int fd, const VaultFile *file, GError **error);
