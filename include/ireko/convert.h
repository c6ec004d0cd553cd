/* ireko/convert.h - a .vmx said in the words of another program, with an account of every key. */
#pragma once

#include <ireko/vmx.h>

G_BEGIN_DECLS

typedef enum {
    IREKO_AS_QEMU,       /* a command line of qemu-system-x86_64, for a shell */
    IREKO_AS_LIBVIRT,    /* a domain: XML that libvirt's schema accepts */
    IREKO_AS_VIRTUALBOX, /* VBoxManage commands, for a shell */
} IrekoTarget;

/* Whether NAME ("qemu", "libvirt", "virtualbox") is a target. */
bool
ireko_target_from_name(const char *name, IrekoTarget *ret_target);

/* What became of one line of the .vmx. */
typedef struct {
    char *key; /* as written, safe to print; of a malformed line the whole line */
    unsigned line;
    char *value;         /* decoded, as UTF-8, not made safe to print; NULL for a malformed line */
    const char *outcome; /* "carried", "approximated", "dropped" */
    char *how;           /* the words that carry it, or why it is dropped; safe, one line */
} IrekoConverted;

/* DOC, which is FILE, as TARGET: the text (free with g_free), NULL where the machine cannot be
 * made. RET_ROWS (may be NULL): an IrekoConverted for each line that is an assignment, in the order
 * of the file; free with g_ptr_array_unref. */
char *
ireko_convert(const IrekoVmx *doc,
              const char *file,
              IrekoTarget target,
              GPtrArray **ret_rows,
              GError **error);

G_END_DECLS
