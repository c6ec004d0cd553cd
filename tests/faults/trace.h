/* trace.h - runs a job in a child and lets one of its system calls fail, or kills it there. */
#pragma once

#include <stdbool.h>

typedef enum {
    FAULT_NONE,        /* only counts */
    FAULT_ERRNO,       /* the call is not made and says ERRNUM */
    FAULT_SHORT,       /* a read or a write does half of what it is asked for */
    FAULT_KILL_BEFORE, /* SIGKILL instead of the call */
    FAULT_KILL_AFTER,  /* SIGKILL when the call is done */
    FAULT_MEDDLE,      /* MEDDLE runs before the call, in this process */
} FaultKind;

typedef struct {
    FaultKind kind;
    int errnum;
    unsigned at;           /* the call, from 1 */
    bool persistent;       /* all calls from there on, not this one alone */
    bool no_exchange;      /* the filesystem has no RENAME_EXCHANGE, nor symbolic links */
    bool kill_on_exchange; /* SIGKILL when renameat2 is done, whatever else is said */
    void (*meddle)(void *data);
    void *data;
} Fault;

/* What a job says of itself; it is shared with the child. */
typedef struct {
    bool ok;
    char message[1024];
} Told;

typedef struct {
    unsigned calls; /* that the job made */
    bool hit;       /* the fault was applied */
    bool killed;
    Told told;
} Run;

/* Whether a child can be traced here. */
bool
trace_works(void);

/* Runs JOB with DATA in a child. A child that ends otherwise than by returning from JOB or by the
 * fault's SIGKILL ends this program. */
Run
trace_run(void (*job)(void *data, Told *told), void *data, const Fault *fault);
