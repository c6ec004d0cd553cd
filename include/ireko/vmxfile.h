/* ireko/vmxfile.h - a .vmx on disk, changed safely: at any moment the file is exactly the old or
 * exactly the new one, and one generation back is kept for undo.
 *
 * The file is written beside itself, synced and exchanged; mode, owner, extended attributes and a
 * symbolic link to it stay. The old file stays beside it as NAME.undo. Who edits holds a lock, and
 * what somebody else wrote meanwhile, with or without one, is never lost. Different files may be
 * edited by several threads at once. */
#pragma once

#include <ireko/vmx.h>

G_BEGIN_DECLS

typedef struct IrekoVmxFile IrekoVmxFile;

/* Opens the .vmx PATH for an edit. Besides what ireko_vmx_load says: IREKO_ERROR_IO where it may
 * not be written to; IREKO_ERROR_STATE where VMware has the machine open (NAME.lck is beside it) or
 * suspended it (a .vmss is beside it, or checkpoint.vmState names one), where another edit goes on
 * for longer than a second, where the file has a second name (hard link). Where checkpoint.vmState
 * names a file that is gone, it opens, and a save that leaves that line says so instead. */
IrekoVmxFile *
ireko_vmxfile_open(const char *path, GError **error);

/* The document of PATH as an edit would find it, to see what one would do: nothing is locked, and
 * a machine that runs is no reason. NULL as ireko_vmx_load; free with ireko_vmx_free. */
IrekoVmx *
ireko_vmxfile_preview(const char *path, GError **error);

/* Its document, to be changed. A key that is set back to the value that it had before the last save
 * gets back the bytes that it had there. */
IrekoVmx *
ireko_vmxfile_document(IrekoVmxFile *file);

/* Writes the document. Nothing is written where nothing changed. IREKO_ERROR_STATE where somebody
 * changed the file since it was opened: then theirs stands. IREKO_ERROR_SYNTAX where it would be no
 * .vmx any more. IREKO_ERROR_IO also where owner or attributes cannot be kept. */
bool
ireko_vmxfile_save(IrekoVmxFile *file, GError **error);

/* Puts back the bytes from before the last save; a second undo takes the first back. What was set
 * in the document and not saved is given up. IREKO_ERROR_NOT_FOUND where nothing is kept;
 * IREKO_ERROR_STATE where something else changed the file since the last save. */
bool
ireko_vmxfile_undo(IrekoVmxFile *file, GError **error);

/* The bytes that undo would put back, for a preview; free with g_free. NULL as undo. */
char *
ireko_vmxfile_before(IrekoVmxFile *file, size_t *ret_len, GError **error);

void
ireko_vmxfile_free(IrekoVmxFile *file); /* NULL is fine; gives up what was not saved */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoVmxFile, ireko_vmxfile_free)

G_END_DECLS
