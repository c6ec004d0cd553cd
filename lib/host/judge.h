/* host/judge.h - the parts of a verdict, and of the pages of its causes. Inside lib/host only. */
#pragma once

#include "host/verdict.h"

/* One way to mend a cause: a section of the cause's page. */
typedef struct {
    char **keys;  /* whom it is for: "here", "kvm", "vmware", "aws" ... */
    char **needs; /* "root", "reboot", "power-cycle", "owner" */
    char *text;   /* first paragraph, on one line */
    char **commands;
} IrekoRemedy;

/* The first section of CAUSE's page for one of KEYS, in their order; NULL where there is none. */
const IrekoRemedy *
ireko_cause_remedy(const char *cause, const char *const *keys);

/* One line that says what CAUSE is. */
const char *
ireko_cause_summary(const char *cause);

/* "a reboot" for "reboot". */
const char *
ireko_need_words(const char *need);

/* Adds WORDS and a line end to TEXT, whose last line is INDENT columns wide: lines are broken
 * before WIDTH, and further ones begin at INDENT. */
void
ireko_append_wrapped(GString *text, size_t indent, size_t width, const char *words);

struct IrekoVerdict {
    IrekoFacts *facts;
    IrekoSurvey *survey;
    GPtrArray *links;          /* IrekoLink */
    const char *word;          /* "hardware", "software", "none" */
    const char *cause;         /* of the first broken link, or NULL */
    const char *kvm_cause;     /* why KVM runs no guest; NULL where it does */
    const IrekoRemedy *remedy; /* of CAUSE, on this platform; NULL without a cause */
    int levels_below;
    char *levels_why;
    GPtrArray *unread;   /* char *: what could not be read, and why */
    GPtrArray *findings; /* IrekoFinding */
    GPtrArray *inner;    /* IrekoInner: the layers inside, where they were asked */
};

/* Fills links, cause and kvm_cause. */
void
ireko_verdict_judge_links(IrekoVerdict *verdict);

/* Fills unread and findings; needs all else. */
void
ireko_verdict_find(IrekoVerdict *verdict);

/* What the kernel says of its own holes. RELEASE as uname -r; free with ireko_finding_free. */
IrekoFinding *
ireko_verdict_kernel_holes(const char *release, const char *distribution, bool hands_on);

/* Whether the QEMU that was found emulates SVM. */
bool
ireko_verdict_tcg_nests(const IrekoVerdict *verdict);

/* The value of the module parameter NAME ("kvm_intel.nested"), or NULL. */
const char *
ireko_verdict_param(const IrekoFacts *facts, const char *name);

/* A parameter that says yes: Y or 1. */
bool
ireko_verdict_is_on(const char *value);
