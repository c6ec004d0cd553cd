/* host/exits.h - why, and how often, the guests of this layer hand control outwards: counted by its
 * own kernel, where KVM's tracepoints are. Also what each reason means. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ireko/error.h>

#include "host/facts.h"

G_BEGIN_DECLS

#define IREKO_EXITS_ROWS_MAX 4096 /* of one histogram: threads times reasons */

/* What KVM counted of one vCPU and one reason. */
typedef struct {
    int thread;         /* the vCPU's, in this layer */
    uint32_t reason;    /* SVM's exit code, VMX's basic exit reason */
    uint64_t exits;     /* all that came to this layer's KVM */
    uint64_t inner;     /* of them: of a guest of the guest */
    uint64_t reflected; /* handed inwards, to the hypervisor in the guest */
} IrekoExitRow;

typedef struct IrekoExitCount IrekoExitCount; /* a count that goes on in the kernel */

/* Begins to count, in a tracing instance of its own, which goes when this process ends, however it
 * does. ROOT_FD is the folder that holds sys. IREKO_ERROR_UNSUPPORTED where the kernel has no KVM
 * or no histograms; IREKO_ERROR_IO where it may not be asked (root may). */
IrekoExitCount *
ireko_exits_begin(int root_fd, GError **error);

/* What was counted since the beginning: IrekoExitRow, by thread and reason; free with
 * g_array_unref. */
GArray *
ireko_exits_read(IrekoExitCount *count, GError **error);

void
ireko_exits_end(IrekoExitCount *count); /* NULL is fine */

/* Which of a row a histogram counts. */
typedef enum { IREKO_EXITS_ALL, IREKO_EXITS_INNER, IREKO_EXITS_REFLECTED } IrekoExitColumn;

/* Adds the histogram TEXT, as the kernel prints it, to ROWS; pure. A line that is none of its rows
 * is passed over; false with IREKO_ERROR_TOO_LARGE over the limit. */
bool
ireko_exits_parse(const char *text, IrekoExitColumn column, GArray *rows, GError **error);

/* The name of REASON of HV and, in RET_MEANING, a sentence without a full stop; NULL for one that
 * is not in the book. Free both with g_free. */
char *
ireko_exits_explain(IrekoHv hv, uint32_t reason, char **ret_meaning);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoExitCount, ireko_exits_end)

G_END_DECLS
