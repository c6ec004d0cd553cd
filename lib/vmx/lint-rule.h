/* vmx/lint-rule.h - what a rule of lint looks at, and how it speaks. Private to vmx. */
#pragma once

#include <ireko/book.h>
#include <ireko/lint.h>

#include "vmx/document.h"

typedef struct Lint Lint;
typedef struct Rule Rule;

struct Rule {
    const char *code;
    IrekoSeverity severity;
    const char *what; /* what is wrong, and what follows from it */
    const char *when; /* what in a file or a lab shows it */
    const char *source;
    void (*check)(Lint *lint, const Rule *rule); /* NULL: asked elsewhere */
};

/* A disk, card or bridge that is present. */
typedef struct {
    char bus[9];     /* "scsi", "ethernet" ... in lower case */
    unsigned number; /* of scsiN, ethernetN */
    unsigned unit;   /* of scsiN:M */
    unsigned line;
} LintDevice;

struct Lint {
    const IrekoVmx *doc;
    const char *file;
    IrekoVmxName *names; /* sorted */
    const IrekoKey **keys; /* what the key book says of each name; NULL: nothing */
    size_t named;
    GArray *disks; /* LintDevice, those that are present */
    GArray *nics;
    GPtrArray *findings;
    unsigned left_out;  /* findings that were too many to be kept */
    unsigned hardware;  /* virtualHW.version; 0 unknown */
    char *guest_os;     /* in lower case, "" where there is none */
    bool is_esxi;       /* guestOS is an ESXi's, and no built-in image takes its place */
    bool is_hypervisor; /* guestOS is an ESXi's or a Hyper-V's */
    bool has_vhv;
    unsigned vhv_line;
    /* The same for rules of a lab, which have no document. */
    const IrekoLintMachine *machines;
    const Lint *const *lints; /* of MACHINES */
    size_t count;
};

extern const Rule ireko_rules_format[], ireko_rules_nest[], ireko_rules_host[], ireko_rules_vsan[],
    ireko_rules_lab[];

/* The decoded value of KEY, or NULL; its line in RET_LINE unless that is NULL. Free with g_free. */
char *
ireko_lint_value(const Lint *lint, const char *key, unsigned *ret_line);

/* Whether KEY is there and has the value WORD, without case. */
bool
ireko_lint_is(const Lint *lint, const char *key, const char *word, unsigned *ret_line);

/* Whether KEY says yes; FALLBACK where it is absent or says neither. */
bool
ireko_lint_on(const Lint *lint, const char *key, bool fallback, unsigned *ret_line);

/* Whether the attribute WHAT of DEVICE ("scsi0:1" and "virtualSSD") has the value WORD. */
char *
ireko_lint_device_value(const Lint *lint,
                        const LintDevice *device,
                        const char *what,
                        unsigned *ret_line);

/* Whether DEVICE is a CD-ROM drive by its deviceType. */
bool
ireko_lint_is_cdrom(const Lint *lint, const LintDevice *device);

/* The first entry whose key begins with PREFIX and, where BUT is not NULL, is not BUT; its line, or
 * 0. */
unsigned
ireko_lint_with_prefix(const Lint *lint, const char *prefix, const char *but);

/* Adds a finding of RULE at LINE of the file; FORMAT is what is so here; the rule's own words
 * follow in its reason. */
IrekoFinding *
ireko_lint_say(Lint *lint, const Rule *rule, unsigned line, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/* The rule of a file with CODE, which there is. */
const Rule *
ireko_lint_find_rule(const char *code);

/* ---- what can be mended (lint-fix.c) ---- */

bool
ireko_lint_is_quoted(const IrekoVmxEntry *entry);

/* Whether the value of an entry without quotes can be given some. */
bool
ireko_lint_can_quote(const IrekoVmxEntry *entry);

/* Whether two entries have the same value. */
bool
ireko_lint_says_same(const IrekoVmx *doc, size_t one, size_t other);

/* The key that a line with the folklore key NAME is to have, or NULL where that is not clear. */
const char *
ireko_lint_instead(const IrekoVmx *doc, const char *name);
