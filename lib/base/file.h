/* base/file.h - whole files: bounded reading, atomic replacement, removal of a tree. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* Reads the file PATH (relative to DIR_FD; AT_FDCWD for the working folder) of at most MAX bytes;
 * it may be a file of /proc or /sys whose size is not known. Returns its bytes with a NUL behind
 * them (free with g_free) and their count, or NULL: IREKO_ERROR_NOT_FOUND, IREKO_ERROR_TOO_LARGE,
 * IREKO_ERROR_IO. The text names PATH. */
char *
ireko_file_read(int dir_fd, const char *path, size_t max, size_t *ret_len, GError **error);

/* Replaces the file PATH by LEN bytes: written beside it, synced, renamed, folder synced. After a
 * crash at any moment PATH has the old bytes or the new ones. A new file has the mode MODE. */
bool
ireko_file_replace(const char *path, const void *data, size_t len, unsigned mode, GError **error);

/* The same without waiting for the disk: after a crash of this host PATH may have neither. For what
 * can be asked again. */
bool
ireko_file_put(const char *path, const void *data, size_t len, unsigned mode, GError **error);

/* What changes when another file comes to be PATH, or when it is written: where it is, its size,
 * time and inode. Free with g_free; NULL where it cannot be looked at. */
char *
ireko_file_identity(const char *path);

/* Removes PATH and, where it is a folder, all below it; follows no symbolic link. It is no error
 * when PATH is not there. */
bool
ireko_file_remove_tree(const char *path, GError **error);

/* Makes the folder PATH and those above it with mode 0700; it may be there. */
bool
ireko_file_make_folder(const char *path, GError **error);
