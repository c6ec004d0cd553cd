/* vmx/document.h - what the files of vmx know of a document. Private to vmx. */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include <ireko/vmx.h>

#define IREKO_VMX_ENCODING  ".encoding"
#define IREKO_VMX_EINTR_MAX 100         /* times in a row that a call is tried again */
#define BOM_LEN             ((size_t)3) /* of the mark of UTF-8 */

G_STATIC_ASSERT(IREKO_VMX_BYTES_MAX < UINT32_MAX); /* offsets and line numbers fit a line */

typedef struct {
    uint32_t start; /* its offset, behind the BOM */
    uint32_t number;
} IrekoVmxLine;

struct IrekoVmx {
    char *bytes; /* a NUL behind them stops every scan */
    size_t len;
    IrekoVmxLine *lines; /* those that are entries */
    size_t count;        /* of lines */
    const char *charset; /* for iconv; NULL: UTF-8 */
    IrekoVmx *before;    /* as it was before the last edit on disk; or NULL */
};

/* Like ireko_vmx_parse, and takes BYTES (from g_malloc, a NUL behind its LEN bytes) over. */
IrekoVmx *
ireko_vmx_take(char *bytes, size_t len, GError **error);

/* Like ireko_vmx_load, of the open file FD, which messages call PATH and of which ST is known. */
IrekoVmx *
ireko_vmx_load_fd(int fd, const char *path, const struct stat *st, GError **error);

/* Whether the document, as it is now, could be loaded from PATH. */
bool
ireko_vmx_check(const IrekoVmx *doc, const char *path, GError **error);

/* BYTES has HAVE of the bytes of FD: reads until it has LEN or the file ends. Returns how many it
 * has, or -1 with errno. */
ssize_t
ireko_vmx_read_up_to(int fd, char *bytes, size_t have, size_t len);

/* Reads the table of lines and the encoding from the bytes, anew. */
void
ireko_vmx_scan(IrekoVmx *doc);

/* The index of the first entry of KEY (any case) that is not before FROM, or the count. */
size_t
ireko_vmx_find(const IrekoVmx *doc, const char *key, size_t from);

/* The offset behind the line that begins at START, its end included. */
size_t
ireko_vmx_line_end(const IrekoVmx *doc, size_t start);

/* How many bytes the mark of UTF-8 takes at the begin: 3 or 0. */
size_t
ireko_vmx_bom_len(const IrekoVmx *doc);

/* The name of entry INDEX, in the document's bytes. */
typedef struct {
    const char *text;
    uint32_t len, index;
} IrekoVmxName;

/* In the order of their letters, whatever their case. */
int
ireko_vmx_compare_names(const IrekoVmxName *a, const IrekoVmxName *b);

/* The names of DOC, sorted so, and those that are the same by their place; RET_NAMED of them. Free
 * with g_free. */
IrekoVmxName *
ireko_vmx_names(const IrekoVmx *doc, size_t *ret_named);
