/* image/cpio.c - the newc form: a header of 13 eight-digit hex numbers, the name, the data, each
 * padded to 4 bytes. Times, owners and inode numbers are fixed, so that one input gives one
 * archive. */
#include "image/cpio.h"

#include <string.h>
#include <sys/stat.h>

#define TRAILER "TRAILER!!!"

typedef struct {
    const char *name;
    unsigned mode, major, minor;
    const void *data;
    size_t len;
} Entry;

static void
pad(GByteArray *archive)
{
    static const guint8 zeros[4] = {0};
    g_byte_array_append(archive, zeros, (guint)(-archive->len & 3u));
}

static void
add(GByteArray *archive, const Entry *entry)
{
    size_t name_len = strlen(entry->name) + 1;
    g_autofree char *header =
        g_strdup_printf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
                        0u, /* inode; with 1 link nobody compares it */
                        entry->mode, 0u, 0u, 1u, 0u, (unsigned)entry->len, 0u, 0u, entry->major,
                        entry->minor, (unsigned)name_len, 0u);
    g_byte_array_append(archive, (const guint8 *)header, (guint)strlen(header));
    g_byte_array_append(archive, (const guint8 *)entry->name, (guint)name_len);
    pad(archive);
    if (entry->len > 0)
        g_byte_array_append(archive, entry->data, (guint)entry->len);
    pad(archive);
}

void
image_cpio_add_folder(GByteArray *archive, const char *name)
{
    add(archive, &(Entry){.name = name, .mode = S_IFDIR | 0755});
}

void
image_cpio_add_file(
    GByteArray *archive, const char *name, unsigned mode, const void *data, size_t len)
{
    add(archive, &(Entry){.name = name, .mode = S_IFREG | mode, .data = data, .len = len});
}

void
image_cpio_add_device(GByteArray *archive, const char *name, unsigned major, unsigned minor)
{
    add(archive, &(Entry){.name = name, .mode = S_IFCHR | 0600, .major = major, .minor = minor});
}

void
image_cpio_end(GByteArray *archive)
{
    add(archive, &(Entry){.name = TRAILER});
}
