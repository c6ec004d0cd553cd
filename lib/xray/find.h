/* xray/find.h - every control block in a machine's memory, found by its form alone, and the tree of
 * guests that they make, however deep. No agent is asked, and no hypervisor need be known. */
#pragma once

#include "xray/chain.h"
#include "xray/control.h"
#include "xray/stream.h"

#define IREKO_FIND_CONTROLS_MAX 4096 /* pages that look like one, in all of the memory */
#define IREKO_FIND_GUESTS_MAX   256
#define IREKO_FIND_OUTERMOST    SIZE_MAX /* in place of a guest: the machine whose RAM is held */

/* How far a find can be trusted. */
typedef enum {
    IREKO_FIND_UNCONFIRMED, /* it has the form; DOUBT says what speaks against it */
    IREKO_FIND_CONFIRMED,   /* its guest is there: the tables lead to its code, all in RAM */
    IREKO_FIND_RUN,         /* besides, a vCPU of the machine ran it last, or runs it */
} IrekoFindTrust;

/* What speaks against a control block. The words are stable (ireko_doubt_name). */
typedef enum {
    IREKO_DOUBT_NONE,
    IREKO_DOUBT_TABLE_EMPTY,  /* its nested table maps nothing: the guest has ended, or not begun */
    IREKO_DOUBT_TABLE_BROKEN, /* its nested table is none: not in RAM, reserved bits, too large */
    IREKO_DOUBT_NO_CODE,      /* neither its RIP nor its descriptor tables lead anywhere */
    IREKO_DOUBT_GIVEN_AWAY,   /* the page is given to the guest that it runs itself: a copy */
    IREKO_DOUBT_MUTUAL,       /* it and another each give the other's page to its guest */
    IREKO_DOUBT_UNPAIRED, /* a part of a guest's memory, and nothing in that guest makes it one */
    IREKO_DOUBT_LAYOUT,   /* a processor's own VMCS: of it only the nested table is known */
    IREKO_DOUBT_TWIN,     /* another has the same virtual CPU: one of them is a copy */
    IREKO_DOUBT_DEPTH,    /* further in than is looked, or one guest too many */
} IrekoDoubt;

typedef struct {
    IrekoControl control;
    IrekoGpa gpa; /* of its page, in the outermost machine */
    size_t owner; /* the guest that it lies in, whose hypervisor made it, or .._OUTERMOST */
    uint64_t at;  /* of its page, in the physical memory of the owner */
    size_t guest; /* that it runs; .._OUTERMOST: none is known */
    bool shadow;  /* the owner runs a guest of one of its guests by it (KVM's vmcb02, vmcs02) */
    IrekoFindTrust trust;
    IrekoDoubt doubt;
} IrekoFound;

/* A guest's machine: those control blocks that share a nested table are its virtual CPUs. */
typedef struct {
    size_t parent;     /* the guest whose hypervisor runs it, or .._OUTERMOST */
    unsigned depth;    /* 1: a guest of the machine itself */
    IrekoTable nested; /* its physical addresses to the parent's */
    uint64_t bytes;    /* of RAM that it maps */
} IrekoGuest;

typedef struct IrekoFindings IrekoFindings;

/* What VCPU put away in MEMORY for the guest that it runs, or ran last. A KVM below keeps it by
 * itself; it is TCG that puts it into the machine's memory. False where that is not known. */
bool
ireko_find_put_away(const IrekoMemory *memory, const IrekoVcpu *vcpu, IrekoPutAway *ret_away);

/* Looks through all of MEMORY, of which MAP is the map. VCPUS, N of them, may be NULL: what ran is
 * then not known. MEMORY and MAP must outlive the findings; what changes meanwhile may hide a
 * find, or leave it unconfirmed. */
IrekoFindings *
ireko_find(const IrekoMemory *memory, const IrekoRamMap *map, const IrekoVcpu *vcpus, size_t n);

void
ireko_findings_free(IrekoFindings *findings); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoFindings, ireko_findings_free)

/* The control blocks, in ascending order of GPA; the findings'. */
const IrekoFound *
ireko_findings_controls(const IrekoFindings *findings, size_t *ret_n);

/* The guests, each after its parent; the findings'. */
const IrekoGuest *
ireko_findings_guests(const IrekoFindings *findings, size_t *ret_n);

/* Whether a limit ended it early. */
bool
ireko_findings_cut(const IrekoFindings *findings);

/* The chain of GUEST: its addresses to the outermost's RAM. Free with ireko_chain_free. */
IrekoChain *
ireko_findings_chain(const IrekoFindings *findings, size_t guest);

/* "table-empty", "no-code", ... */
const char *
ireko_doubt_name(IrekoDoubt doubt);
