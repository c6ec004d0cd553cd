/* ireko/preset.h - what people come to a .vmx for, as a list of steps: a machine that runs a
 * hypervisor, a disk that says it is an SSD. Planning changes nothing. */
#pragma once

#include <ireko/vmx.h>

G_BEGIN_DECLS

typedef enum {
    IREKO_STEP_RIGHT,  /* so already */
    IREKO_STEP_CHANGE, /* BEFORE becomes AFTER */
    IREKO_STEP_ADVICE, /* a person is to decide: REASON says what */
} IrekoStepKind;

/* "right", "change", "advice". */
const char *
ireko_step_kind_name(IrekoStepKind kind);

typedef struct {
    IrekoStepKind kind;
    char *key;
    unsigned line;      /* where KEY stands; 0: nowhere */
    char *before;       /* NULL: absent */
    char *after;        /* NULL: the line goes; of a change alone */
    const char *reason; /* texts that live as long as the program */
    const char *source; /* who says so */
} IrekoStep;

/* What DOC needs to run a hypervisor of the kind that its guestOS names: IrekoStep; free with
 * g_ptr_array_unref. Stores the kind ("ESXi 7") in RET_GUEST. IREKO_ERROR_UNSUPPORTED where the
 * virtual hardware is so old that only a VMware product can bring it up to date. */
GPtrArray *
ireko_preset_nest(const IrekoVmx *doc, const char **ret_guest, GError **error);

/* What makes DISK ("scsi0:1") say that it is an SSD, or that it is not one. IREKO_ERROR_NOT_FOUND
 * names the disks there are; IREKO_ERROR_UNSUPPORTED for a drive that cannot. */
GPtrArray *
ireko_preset_ssd(const IrekoVmx *doc, const char *disk, bool ssd, GError **error);

/* Does the changes of STEPS to DOC, from which they were planned. */
bool
ireko_preset_apply(IrekoVmx *doc, const GPtrArray *steps, GError **error);

G_END_DECLS
