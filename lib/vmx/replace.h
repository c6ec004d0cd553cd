/* vmx/replace.h - the bytes of a locked .vmx replaced, the old ones kept. Private to vmx. */
#pragma once

#include <sys/stat.h>

#include <ireko/vmxfile.h>

struct IrekoVmxFile {
    char *path;                               /* what messages call it */
    int folder, fd;                           /* the file's folder; the file, locked */
    char *name;                               /* in the folder: behind the symbolic links */
    char *fresh, *next, *kept, *stamp, *undo; /* names beside it; replace.c says what they are */
    struct stat st;
    char *bytes; /* as they are on disk */
    size_t len;
    IrekoVmx *doc;
    GError *stale; /* it names a suspended state that is gone: why no other edit is allowed */
};

/* Replaces the file's bytes. Where it fails, the message says whether they are the old ones, as
 * they are unless it says otherwise. */
bool
ireko_replace(IrekoVmxFile *file, const char *bytes, size_t len, GError **error);

/* What the last replacement replaced; free with g_free. IREKO_ERROR_NOT_FOUND where there was none,
 * IREKO_ERROR_STATE where somebody changed the file since. */
char *
ireko_replaced(IrekoVmxFile *file, size_t *ret_len, GError **error);

/* The same as a document; NULL where there is none. It changes nothing, and sweeps up nothing. */
IrekoVmx *
ireko_replaced_document(const IrekoVmxFile *file);
