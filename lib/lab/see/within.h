/* lab/see/within.h - the vCPUs of a machine at any depth, found in the memory and state of the
 * outermost one around it. Private to lib/lab. */
#pragma once

#include "lab/see/capture.h"
#include "xray/find.h"

G_BEGIN_DECLS

/* What is known of the outermost machine: what all is found in. */
typedef struct {
    IrekoCapture *capture;
    const IrekoMemory *memory;     /* of it, to walk in */
    const IrekoStream *stream;     /* NULL: no state, so no outermost vCPU */
    const GArray *registers;       /* IrekoRegisters: of one that runs; NULL: none */
    const IrekoFindings *findings; /* NULL: nobody looked; then only the outermost is found */
} IrekoSource;

/* A vCPU, whatever it stands in: registers that the state carries, or a control block in memory. */
typedef struct {
    unsigned number;
    IrekoPagingState state;
    uint64_t rip, cs_base;
    unsigned code_bits; /* 64, 32, 16: how its instructions are read */
    size_t guest;       /* of the findings; IREKO_FIND_OUTERMOST */
    char *evidence;
} IrekoWithin;

/* The nested tables around a guest, the innermost first. */
typedef struct {
    size_t n;
    unsigned layers[IREKO_CHAIN_NESTED_MAX];   /* who built it */
    const char *kinds[IREKO_CHAIN_NESTED_MAX]; /* "npt", "ept" */
} IrekoAround;

/* Looks through WHOLE, all of the memory of CAPTURE, for control blocks, by what its vCPUs run where
 * its state was taken. Free with ireko_findings_free. */
IrekoFindings *
ireko_within_find(const IrekoCapture *capture, const IrekoMemory *whole);

/* The guest that the machine NODE, at level 2 or deeper, is; in RET_EVIDENCE how that is known,
 * free with g_free. False with IREKO_ERROR_STATE where none can be told to be it. */
bool
ireko_within_guest(const IrekoSource *source,
                   const IrekoNode *node,
                   size_t *ret_guest,
                   char **ret_evidence,
                   GError **error);

/* The vCPUs of GUEST of the findings, or of the outermost machine: IrekoWithin; EVIDENCE (NULL:
 * none) goes with each. Free with g_ptr_array_unref. NULL: IREKO_ERROR_STATE where it has none that
 * can be told to be its own. */
GPtrArray *
ireko_within_vcpus(const IrekoSource *source, size_t guest, const char *evidence, GError **error);

IrekoAround
ireko_within_around(const IrekoFindings *findings, size_t guest);

/* The chain of GUEST over the memory of SOURCE. */
IrekoChain *
ireko_within_chain(const IrekoSource *source, size_t guest);

G_END_DECLS
