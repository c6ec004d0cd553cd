/* ireko/vmxfile.h - a .vmx on disk, changed safely: at any moment the file is exactly the old or
 * exactly the new one, and one generation back is kept for undo.
 *
 * The file is written beside itself, synced and exchanged; mode, owner, extended attributes and a
 * symbolic link to it stay. Who edits holds a lock, and what somebody else wrote meanwhile, with or
 * without one, is never lost. */
#pragma once

#include <ireko/vmx.h>

G_BEGIN_DECLS

typedef struct IrekoVmxFile IrekoVmxFile;

/* Opens the .vmx PATH for an edit. Besides what ireko_vmx_load says: IREKO_ERROR_STATE where the
 * machine runs (a .lck beside it that is held) or is suspended (a .vmss beside it, or
 * checkpoint.vmState in it), where another edit is going on, where the file has a second name (hard
 * link). WHAT is said to be busy in messages. */
IrekoVmxFile *
ireko_vmxfile_open(const char *path, GError **error);

/* Its document, to be changed. */
IrekoVmx *
ireko_vmxfile_document(IrekoVmxFile *file);

/* Writes the document. Nothing is written where nothing changed. IREKO_ERROR_STATE where somebody
 * changed the file since it was opened: then theirs stands. */
bool
ireko_vmxfile_save(IrekoVmxFile *file, GError **error);

/* Puts back the bytes from before the last save; a second undo takes the first back.
 * IREKO_ERROR_NOT_FOUND where nothing is kept. */
bool
ireko_vmxfile_undo(IrekoVmxFile *file, GError **error);

/* The bytes that undo would put back, for a preview; free with g_free. NULL as undo. */
char *
ireko_vmxfile_before(IrekoVmxFile *file, size_t *ret_len, GError **error);

void
ireko_vmxfile_free(IrekoVmxFile *file); /* NULL is fine; gives up what was not saved */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVmxFile, ireko_vmxfile_free)

G_END_DECLS
