/* vmx/load.c - a file that is a .vmx, or the word for what it is.
 *
 * The grammar accepts anything, so the question "is this a .vmx?" is asked apart: by the first
 * bytes of the file, then by whether one line in it is of the form name = value. Only the head of a
 * file is read before that is known: a disk of many GB is a common mistake. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmx/document.h"

#define HEAD_BYTES ((size_t)36 << 10) /* reaches an ISO 9660 descriptor, at 32 KiB */

typedef struct {
    const char *what, *instead;
} Kind;

#define NAME_IT   "give the .vmx of the machine that uses it"
#define UNPACK_IT "unpack it and give the .vmx inside"
#define OVFTOOL   "make a .vmx of it with VMware's ovftool first"

static const struct {
    size_t at;
    const char *magic;
    size_t magic_len;
    Kind kind;
} magics[] = {
#define MAGIC(text) (text), sizeof(text) - 1
    {0, MAGIC("KDMV"), {"a VMware disk (.vmdk)", NAME_IT}},
    {0, MAGIC("COWD"), {"a VMware disk (.vmdk)", NAME_IT}},
    {0, MAGIC("\x0d\x60\xba\xca"), {"a VMware disk (.vmdk)", NAME_IT}}, /* sesparse */
    {0, MAGIC("MRVN"), {"a VMware firmware store (.nvram)", NAME_IT}},
    {0, MAGIC("\xd0\xbe\xd2\xbe"), {"a VMware suspend state (.vmss, .vmsn)", NAME_IT}},
    {0, MAGIC("\xd1\xba\xd1\xba"), {"a VMware suspend state (.vmss, .vmsn)", NAME_IT}},
    {0, MAGIC("\xd2\xbe\xd2\xbe"), {"a VMware suspend state (.vmss, .vmsn)", NAME_IT}},
    {0, MAGIC("QFI\xfb"), {"a QEMU disk (qcow2)", NAME_IT}},
    {0, MAGIC("<<< "), {"a VirtualBox disk (.vdi)", NAME_IT}},
    {0, MAGIC("vhdxfile"), {"a Hyper-V disk (.vhdx)", NAME_IT}},
    {0, MAGIC("conectix"), {"a Hyper-V disk (.vhd)", NAME_IT}},
    {0, MAGIC("hsqs"), {"a squashfs image", NAME_IT}},
    {1024, MAGIC("\xe2\xe1\xf5\xe0"), {"an erofs image", NAME_IT}},
    {0x8001, MAGIC("CD001"), {"a CD image (.iso)", NAME_IT}},
    {510, MAGIC("\x55\xaa"), {"a disk image", NAME_IT}},
    {257, MAGIC("ustar"), {"a tar archive or an OVA", "unpack it; " OVFTOOL " if it has an .ovf"}},
    {0, MAGIC("PK\x03\x04"), {"a zip archive", UNPACK_IT}},
    {0, MAGIC("\x1f\x8b"), {"a gzip archive", UNPACK_IT}},
    {0,
     MAGIC("\xfd"
           "7zXZ"),
     {"an xz archive", UNPACK_IT}},
    {0, MAGIC("\x28\xb5\x2f\xfd"), {"a zstd archive", UNPACK_IT}},
    {0, MAGIC("BZh"), {"a bzip2 archive", UNPACK_IT}},
    {0, MAGIC("7z\xbc\xaf"), {"a 7z archive", UNPACK_IT}},
    {0, MAGIC("Rar!"), {"a rar archive", UNPACK_IT}},
    {0, MAGIC("%PDF-"), {"a PDF document", "give a .vmx file"}},
    {0, MAGIC("\x89PNG"), {"a picture", "give a .vmx file"}},
    {0,
     MAGIC("\x7f"
           "ELF"),
     {"a program (ELF)", "give a .vmx file"}},
    {0, MAGIC("MZ\x90"), {"a Windows program", "give a .vmx file"}},
    {0, MAGIC("\xff\xfe"), {"UTF-16 text", "save it as UTF-8"}},
    {0, MAGIC("\xfe\xff"), {"UTF-16 text", "save it as UTF-8"}},
#undef MAGIC
};

/* Looked for in the head of a file that begins with '<'; the first that is there counts. */
static const struct {
    const char *word;
    Kind kind;
} xml_words[] = {
    {"<Foundry", {"VMware's second file of a machine (.vmxf)", "give the .vmx beside it"}},
    {"<VirtualBox", {"a VirtualBox machine (.vbox)", "export it to OVF; " OVFTOOL}},
    {"<domain", {"a libvirt machine", "give a .vmx file"}},
    {"envelope", {"an OVF description", OVFTOOL}},
    {"<", {"an XML file", "give a .vmx file"}},
};

static bool
contains(const char *text, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    for (size_t i = 0; i + word_len <= len; i++) {
        if (g_ascii_strncasecmp(text + i, word, word_len) == 0)
            return true;
    }
    return false;
}

/* UTF-16 of plain text without a byte order mark: every other byte is NUL. */
static bool
is_bare_utf16(const char *head, size_t len)
{
    if (len < 4)
        return false;
    bool little = head[0] != 0 && head[1] == 0 && head[2] != 0 && head[3] == 0;
    bool big = head[0] == 0 && head[1] != 0 && head[2] == 0 && head[3] != 0;
    return little || big;
}

static const Kind *
kind_of_text(const char *head, size_t len)
{
    static const Kind descriptor = {"a VMware disk descriptor (.vmdk)", NAME_IT};
    static const char mark[] = "# Disk DescriptorFile";

    if (len >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0)
        head += 3, len -= 3;
    while (len > 0 && g_ascii_isspace(*head))
        head++, len--;
    if (len >= sizeof mark - 1 && g_ascii_strncasecmp(head, mark, sizeof mark - 1) == 0)
        return &descriptor;
    for (size_t i = 0; len > 0 && *head == '<' && i < G_N_ELEMENTS(xml_words); i++) {
        if (contains(head, len, xml_words[i].word))
            return &xml_words[i].kind;
    }
    return NULL;
}

/* What a file is that begins with HEAD, or NULL where it may be a .vmx. */
static const Kind *
kind_of(const char *head, size_t len)
{
    static const Kind utf16 = {"UTF-16 text", "save it as UTF-8"};
    static const Kind binary = {"a binary file", "give a .vmx file"};
    static const Kind empty = {"empty", "give a .vmx file"};

    if (len == 0)
        return &empty;
    bool is_binary = memchr(head, '\0', len) != NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(magics); i++) {
        size_t end = magics[i].at + magics[i].magic_len;
        if (!is_binary && magics[i].at > 0)
            continue; /* a word that stands there by chance in a text */
        if (end <= len && memcmp(head + magics[i].at, magics[i].magic, magics[i].magic_len) == 0)
            return &magics[i].kind;
    }
    if (is_bare_utf16(head, len))
        return &utf16;
    return is_binary ? &binary : kind_of_text(head, len);
}

static void
set_kind_error(GError **error, const char *path, const Kind *kind)
{
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "'%s' is %s, not a .vmx: %s", path,
                kind->what, kind->instead);
}

static bool
check_head(const char *head, size_t len, const char *path, GError **error)
{
    const Kind *kind = kind_of(head, MIN(len, HEAD_BYTES));
    if (kind != NULL)
        set_kind_error(error, path, kind);
    return kind == NULL;
}

/* A dictionary whose keys are all of snapshots is a .vmsd; one without a key is no dictionary. */
static bool
check_keys(const IrekoVmx *doc, const char *path, GError **error)
{
    static const Kind vmsd = {"a list of snapshots (.vmsd)", "give the .vmx beside it"};
    static const char prefix[] = "snapshot";
    bool has_snapshots = false;
    for (size_t i = 0; i < ireko_vmx_count(doc); i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        if (entry.name == NULL || *entry.name == '.')
            continue;
        if (entry.name_len < sizeof prefix - 1 ||
            g_ascii_strncasecmp(entry.name, prefix, sizeof prefix - 1) != 0)
            return true;
        has_snapshots = true;
    }
    if (has_snapshots)
        set_kind_error(error, path, &vmsd);
    else
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "'%s' is not a .vmx: no line in it is of the form name = \"value\"", path);
    return false;
}

static bool
check_clear(const IrekoVmx *doc, const char *path, GError **error)
{
    static const char *const keys[] = {"encryption.data", "encryption.keySafe"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        unsigned line = 0;
        g_autofree char *value = ireko_vmx_get(doc, keys[i], &line);
        if (value == NULL)
            continue;
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "%s:%u: the machine is encrypted (%s): remove the encryption in VMware first "
                    "(its settings, Options, Access Control)",
                    path, line, keys[i]);
        return false;
    }
    return true;
}

ssize_t
ireko_vmx_read_up_to(int fd, char *bytes, size_t have, size_t len)
{
    for (unsigned interrupted = 0; have < len;) {
        ssize_t n = pread(fd, bytes + have, len - have, (off_t)have);
        if (n < 0 && errno == EINTR && interrupted++ < IREKO_VMX_EINTR_MAX)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* A file that is longer than its head is read on only where its head may be that of a .vmx. */
static char *
read_vmx(int fd, const char *path, const struct stat *st, size_t *ret_len, GError **error)
{
    size_t size = (size_t)MAX(st->st_size, 0); /* 0 is also what files of /proc say */
    size_t room = size > 0 && size < HEAD_BYTES ? size + 1 : HEAD_BYTES;
    g_autofree char *bytes = g_malloc(room + 1);
    ssize_t len = ireko_vmx_read_up_to(fd, bytes, 0, room);
    if (len >= 0 && !check_head(bytes, (size_t)len, path, error))
        return NULL;
    while (len == (ssize_t)room && room <= IREKO_VMX_BYTES_MAX) {
        room = MIN(MAX(size + 1, room * 2), IREKO_VMX_BYTES_MAX + 1);
        bytes = g_realloc(bytes, room + 1);
        len = ireko_vmx_read_up_to(fd, bytes, (size_t)len, room);
    }
    if (len < 0) {
        ireko_error_from_errno(error, errno, "cannot read '%s'", path);
        return NULL;
    }
    if (len == (ssize_t)room) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "'%s' is longer than %zu bytes, the most that is read of a .vmx", path,
                    IREKO_VMX_BYTES_MAX);
        return NULL;
    }
    bytes[len] = '\0';
    *ret_len = (size_t)len;
    return g_steal_pointer(&bytes);
}

IrekoVmx *
ireko_vmx_load_fd(int fd, const char *path, const struct stat *st, GError **error)
{
    static const Kind folder = {"a folder", "give the .vmx file inside"};
    static const Kind special = {"a device, pipe or socket", "give a .vmx file"};

    if (!S_ISREG(st->st_mode)) {
        set_kind_error(error, path, S_ISDIR(st->st_mode) ? &folder : &special);
        return NULL;
    }
    size_t len = 0;
    char *bytes = read_vmx(fd, path, st, &len, error);
    if (bytes == NULL)
        return NULL;
    g_autoptr(IrekoVmx) doc = ireko_vmx_take(bytes, len, error);
    if (doc == NULL || !check_keys(doc, path, error) || !check_clear(doc, path, error))
        return NULL;
    return g_steal_pointer(&doc);
}

bool
ireko_vmx_check(const IrekoVmx *doc, const char *path, GError **error)
{
    return check_head(doc->bytes, doc->len, path, error) && check_keys(doc, path, error) &&
           check_clear(doc, path, error);
}

/* O_NONBLOCK: to open a pipe must not wait for its writer. */
IrekoVmx *
ireko_vmx_load(const char *path, GError **error)
{
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    return ireko_vmx_load_fd(fd, path, &st, error);
}
