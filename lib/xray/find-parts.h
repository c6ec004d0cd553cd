/* xray/find-parts.h - between the files that find control blocks. */
#pragma once

#include <glib.h>

#include "xray/backing.h"
#include "xray/find.h"
#include "xray/map.h"

#define IREKO_FIND_SAMPLES       64
#define IREKO_FIND_PROCESSES_MAX 256

struct IrekoFindings {
    const IrekoMemory *memory;
    const IrekoRamMap *map;
    const IrekoVcpu *vcpus; /* only while it looks */
    size_t n_vcpus;
    GArray *founds; /* IrekoFound, by gpa */
    GArray *guests; /* IrekoGuest */
    uint64_t ram_pages;
    uint64_t budget;         /* tables and runs that may still be looked at */
    uint64_t backing_budget; /* the same for processes that have guests' memory */
    GArray *processes;       /* IrekoTable: of those that ran guests */
    GPtrArray *backings;     /* IrekoBacking: what the guests' nested tables point to */
    bool cut;
};

/* A page of a guest, where it is in RAM. */
typedef struct {
    uint64_t at;
    IrekoGpa gpa;
} IrekoFindSample;

/* The machine that one nested table of one owner makes. */
typedef struct {
    IrekoTable table;
    size_t guest;    /* its index, .._OUTERMOST before it has one */
    uint64_t bytes;  /* of RAM that it maps */
    uint64_t *pages; /* a bit for each page of RAM that it maps */
    GArray *inside;  /* IrekoFindInside: control blocks in what it maps */
    IrekoFindSample samples[IREKO_FIND_SAMPLES];
    size_t n_samples;
    bool is_valid, is_void; /* some member is its owner's own; none is */
    size_t within;          /* of a shadow: the group whose guest it is a part of; else SIZE_MAX */
} IrekoFindGroup;

typedef struct {
    size_t found;
    uint64_t at; /* in the group's guest */
} IrekoFindInside;

/* A control block as one owner may have it. */
typedef struct {
    size_t found;
    uint64_t at;
    size_t group;           /* SIZE_MAX: its tables lead nowhere */
    IrekoDoubt doubt;       /* why, then */
    bool is_valid, is_void; /* it is the owner's own; it is in the memory of a guest */
} IrekoFindMember;

/* All that looks like a control block in one machine's memory. */
typedef struct {
    IrekoFindings *findings;
    size_t owner;
    IrekoChain *chain; /* of the owner */
    GArray *members;   /* IrekoFindMember */
    GPtrArray *groups; /* IrekoFindGroup */
} IrekoFindLayer;

static inline IrekoFound *
ireko_find_found(const IrekoFindings *findings, size_t index)
{
    return &g_array_index(findings->founds, IrekoFound, index);
}

static inline IrekoFindMember *
ireko_find_member(const IrekoFindLayer *layer, size_t index)
{
    return &g_array_index(layer->members, IrekoFindMember, index);
}

/* The chain of the machine that TABLE, in the memory of OWNER, makes; TABLE NULL: of OWNER itself.
 * NULL where it is too deep. */
IrekoChain *
ireko_find_chain(const IrekoFindings *findings, const IrekoTable *table, size_t owner);

/* Fills FOUNDS from all of RAM. */
void
ireko_find_scan(IrekoFindings *findings);

/* Adds the process that went on where AWAY says, unless it is there. */
void
ireko_find_add_process(IrekoFindings *findings, const IrekoPutAway *away);

/* Adds those that have the kernel of one that is there. */
void
ireko_find_add_siblings(IrekoFindings *findings);

/* What the process that runs the guest of GROUP has, which was gone through; NULL where that is not
 * known. The findings'. */
const IrekoBacking *
ireko_find_backing(IrekoFindLayer *layer, const IrekoFindGroup *group);

/* Tells for each member whether its tables lead to its guest, and makes the groups. */
void
ireko_find_confirm(IrekoFindLayer *layer);

/* Tells which members are the owner's own, and which are a guest's. */
void
ireko_find_judge(IrekoFindLayer *layer);

/* Tells which groups are shadows of guests of guests. */
void
ireko_find_shadows(IrekoFindLayer *layer);

/* Whether GUEST is the machine of which GROUP is a shadow. */
bool
ireko_find_is_same(const IrekoFindings *findings, const IrekoFindGroup *group, size_t guest);

/* Tells of control blocks that are one virtual CPU. */
void
ireko_find_twins(IrekoFindings *findings);
