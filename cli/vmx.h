/* cli/vmx.h - what the sub-verbs of `ireko vmx` share. */
#pragma once

#include <ireko/book.h>
#include <ireko/finding.h>
#include <ireko/vmx.h>

#include "cli.h"

/* All sub-verbs, named "vmx show" and so on, ended by one without a name; in the order of help. */
extern const Command vmx_commands[];

int
vmx_show(int argc, char **argv, GError **error);
int
vmx_get(int argc, char **argv, GError **error);
int
vmx_set(int argc, char **argv, GError **error);
int
vmx_unset(int argc, char **argv, GError **error);
int
vmx_lint(int argc, char **argv, GError **error);
int
vmx_explain(int argc, char **argv, GError **error);
int
vmx_undo(int argc, char **argv, GError **error);
int
vmx_nest(int argc, char **argv, GError **error);
int
vmx_ssd(int argc, char **argv, GError **error);

/* Reads FILE; "-" is standard input. */
IrekoVmx *
vmx_read(const char *file, GError **error);

/* FILE as it is called in words. */
const char *
vmx_name(const char *file);

/* TEXT as one line that is safe to print; free with g_free. */
char *
vmx_line(const char *text);

/* ---- cmd-vmx-batch.c: the same for many files, a few at a time ---- */

/* What became of one file. */
typedef struct {
    GString *out;      /* for standard output */
    GString *err;      /* for standard error */
    json_t *json;      /* a row of the answer, or NULL */
    bool failed;       /* it could not be done, or the answer is no */
    unsigned changed;  /* 1 where the file is another one now */
    unsigned found[3]; /* findings, by severity */
    unsigned fixed, can_fix;
} VmxResult;

/* Does what is to be done with FILE; several at a time. */
typedef void (*VmxJob)(const char *file, const void *data, VmxResult *result);

/* Runs JOB for each of FILES, COUNT of them, and prints what comes of them in their order, and on a
 * terminal how far it is. Their rows go to ROWS unless that is NULL. Returns the sums; of texts,
 * none. */
VmxResult
vmx_each(char *const *files, size_t count, VmxJob job, const void *data, json_t *rows);

/* A row of the answer that names FILE, to be completed. */
json_t *
vmx_row(const char *file);

/* Notes that FILE failed, and why. */
void
vmx_fail(VmxResult *result, const char *file, const GError *why);

/* ---- cmd-vmx-edit.c ---- */

/* How to edit. */
typedef struct {
    bool dry_run;        /* print a diff instead */
    GHashTable *running; /* of vmx_running */
} VmxEdit;

/* The .vmx files that machines of ireko run from, by their real path: the names of the labs. */
GHashTable *
vmx_running(void);

/* Changes DOC, which is FILE, and says in RESULT what it did. */
typedef bool (*VmxChange)(
    IrekoVmx *doc, const char *file, const void *data, VmxResult *result, GError **error);

/* Does CHANGE to FILE, or shows what it would do. The text of "-" goes to RESULT's output. */
bool
vmx_edit(const char *file,
         const VmxEdit *edit,
         VmxChange change,
         const void *data,
         VmxResult *result,
         GError **error);

/* Where the words of a change to FILE go, other than its text or diff. */
GString *
vmx_words(const char *file, const VmxEdit *edit, VmxResult *result);

/* ---- cmd-vmx-lint.c ---- */

/* FINDINGS (IrekoFinding) as text, broken at WIDTH; those below LEAST are left out. */
void
vmx_findings_to_text(GString *out, const GPtrArray *findings, IrekoSeverity least, unsigned width);
