/* ireko/image.h - the built-in guest images, made from Debian packages on the user's machine.
 *
 * An image is a folder of three files: vmlinux (PVH entry), initrd (uncompressed cpio), root.erofs
 * (read-only disk, handed down from layer to layer unchanged). "kvm-host" is a guest hypervisor
 * (KVM, QEMU, ireko; it carries "linux"); "linux" is a leaf guest. They are kept under a hash of
 * their inputs, in IREKO_HOME/images, and are new or absent, never half made. */
#pragma once

#include <stdbool.h>

#include <ireko/error.h>

G_BEGIN_DECLS

typedef struct {
    char *name;   /* "kvm-host", "linux" */
    char *kernel; /* paths */
    char *initrd;
    char *root;
    char *cmdline; /* kernel parameters that the image wants */
    char *hash;    /* of its inputs, hex */
} IrekoImage;

/* Called as a build goes on: STEP says in words what is being done; DONE of TOTAL (TOTAL 0: not
 * counted). */
typedef void (*IrekoImageProgress)(void *data, const char *step, unsigned done, unsigned total);

typedef struct {
    const char *home;    /* folder that holds "images" */
    const char *program; /* the ireko that goes inside: this program */
    bool fresh;          /* look for newer Debian packages */
    bool dry_run;        /* say what would be done, by PROGRESS, and do nothing */
    int cancel_fd;       /* -1: none */
    IrekoImageProgress progress;
    void *data;
} IrekoImageBuild;

/* Builds what is not there yet. Milliseconds when nothing is to do. IREKO_ERROR_NOT_FOUND names a
 * missing program and its package; IREKO_ERROR_CANCELLED leaves nothing half made. */
bool
ireko_image_build(const IrekoImageBuild *build, GError **error);

/* Whether there is an image called NAME; IREKO_ERROR_NOT_FOUND says which names there are. */
bool
ireko_image_is_known(const char *name, GError **error);

/* The image NAME below HOME (or, inside a layer, the one handed down). IREKO_ERROR_NOT_FOUND says
 * how to build it, or which names there are. */
IrekoImage *
ireko_image_find(const char *home, const char *name, GError **error);

/* Every image below HOME: IrekoImage, free with g_ptr_array_unref. */
GPtrArray *
ireko_image_list(const char *home);

void
ireko_image_free(IrekoImage *image); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoImage, ireko_image_free)

G_END_DECLS
