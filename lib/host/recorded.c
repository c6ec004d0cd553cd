/* host/recorded.c - a recorded host: a folder that stands in for a machine.
 *
 * What files of the kernel say stands at the same place below the folder, and is read by the same
 * code. What no file says - CPUID, registers, what became of opening a device - stands beside them
 * in the files that survey.h describes, and comes to that code through the functions of its source.
 * A folder from elsewhere is a stranger's: every file has a limit, no link leads out (host/read.c),
 * and a text that cannot be read says nothing. Only a folder that holds none of it is an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "host/parts.h"

#define PROBE_MAX ((size_t)64 << 10)
#define MSR_MAX   ((size_t)64 << 10)
#define KEYS_MAX  1024
#define MSRS_MAX  1024

typedef struct {
    uint32_t index;
    bool there;
    uint64_t value;
} Register;

struct IrekoRecorded {
    IrekoHostSource source;
    IrekoCpuidDump *dump; /* or NULL */
    GArray *registers;    /* Register */
    GHashTable *probe;    /* char * to char * */
};

static bool
ask_cpuid(void *data, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    const IrekoRecorded *recorded = data;
    return ireko_cpuid_dump_ask(recorded->dump, leaf, subleaf, regs);
}

static const char *
tell(void *data, const char *key)
{
    const IrekoRecorded *recorded = data;
    return g_hash_table_lookup(recorded->probe, key);
}

static int
ask_msr(void *data, uint32_t index, uint64_t *ret_value)
{
    const IrekoRecorded *recorded = data;
    for (guint i = 0; i < recorded->registers->len; i++) {
        const Register *at = &g_array_index(recorded->registers, Register, i);
        if (at->index != index)
            continue;
        if (at->there)
            *ret_value = at->value;
        return at->there ? 0 : EIO;
    }
    if (recorded->dump != NULL && ireko_cpuid_dump_msr(recorded->dump, index, ret_value) == 0)
        return 0;
    const char *told = tell(data, "msr");
    int errnum = told != NULL ? ireko_host_errno_of(told) : -1;
    if (errnum > 0)
        return errnum;
    return recorded->registers->len > 0 ? EIO : ENODATA;
}

/* "3a 5", "480 no" */
static void
take_register(IrekoRecorded *recorded, const char *key, const char *value)
{
    uint64_t index = 0, number = 0;
    Register reg = {0};
    if (recorded->registers->len >= MSRS_MAX ||
        !ireko_text_parse_unsigned(key, 16, 0, G_MAXUINT32, &index))
        return;
    reg.index = (uint32_t)index;
    reg.there = strcmp(value, "no") != 0;
    if (reg.there && !ireko_text_parse_unsigned(value, 16, 0, G_MAXUINT64, &number))
        return;
    reg.value = number;
    g_array_append_val(recorded->registers, reg);
}

static void
take_key(IrekoRecorded *recorded, const char *key, const char *value)
{
    if (g_hash_table_size(recorded->probe) < KEYS_MAX)
        g_hash_table_replace(recorded->probe, g_strdup(key), ireko_text_safe(value, (size_t)-1));
}

/* Gives each line "KEY VALUE" of the file NAME to TAKE. */
static void
read_pairs(IrekoRecorded *recorded,
           const char *name,
           size_t max,
           void (*take)(IrekoRecorded *recorded, const char *key, const char *value))
{
    g_autofree char *text = ireko_host_head(recorded->source.root_fd, name, max, NULL);
    for (char *line = text; line != NULL && *line != '\0';) {
        size_t len = strcspn(line, "\n");
        char *next = line + len + (line[len] == '\n');
        line[len] = '\0';
        line = g_strstrip(line);
        size_t key_len = strcspn(line, " \t");
        if (*line != '#' && line[key_len] != '\0') {
            line[key_len] = '\0';
            take(recorded, line, g_strchug(line + key_len + 1));
        }
        line = next;
    }
}

static IrekoRecorded *
recorded_new(void)
{
    IrekoRecorded *recorded = g_new0(IrekoRecorded, 1);
    recorded->registers = g_array_new(FALSE, FALSE, sizeof(Register));
    recorded->probe = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    recorded->source =
        (IrekoHostSource){.root_fd = -1, .msr = ask_msr, .told = tell, .data = recorded};
    return recorded;
}

/* Reads the CPUID dump TEXT, of the file NAME; NULL is no dump. */
static bool
take_dump(IrekoRecorded *recorded, const char *name, const char *text, size_t len, GError **error)
{
    if (text == NULL)
        return true;
    recorded->dump = ireko_cpuid_dump_parse(text, len, error);
    if (recorded->dump == NULL) {
        g_prefix_error(error, "'%s': ", name);
        return false;
    }
    recorded->source.cpuid = ask_cpuid;
    return true;
}

IrekoRecorded *
ireko_recorded_open(const char *root, GError **error)
{
    g_autoptr(IrekoRecorded) recorded = recorded_new();
    recorded->source.root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (recorded->source.root_fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open the recorded host '%s'", root);
        return NULL;
    }
    if (!ireko_host_exists(recorded->source.root_fd, "proc")) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                    "'%s' is no recorded host: there is no folder 'proc' in it "
                    "('ireko check --record DIR' makes one)",
                    root);
        return NULL;
    }
    size_t len = 0;
    g_autofree char *name = g_build_filename(root, "cpuid", NULL);
    g_autofree char *text =
        ireko_host_head(recorded->source.root_fd, "cpuid", IREKO_CPUID_DUMP_MAX, &len);
    if (!take_dump(recorded, name, text, len, error))
        return NULL;
    read_pairs(recorded, "msr", MSR_MAX, take_register);
    read_pairs(recorded, "probe", PROBE_MAX, take_key);
    return g_steal_pointer(&recorded);
}

IrekoRecorded *
ireko_recorded_open_cpuid(const char *path, GError **error)
{
    g_autoptr(IrekoRecorded) recorded = recorded_new();
    size_t len = 0;
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, IREKO_CPUID_DUMP_MAX, &len, error);
    if (text == NULL || !take_dump(recorded, path, text, len, error))
        return NULL;
    take_key(recorded, "arch", "x86_64");
    return g_steal_pointer(&recorded);
}

const IrekoHostSource *
ireko_recorded_source(const IrekoRecorded *recorded)
{
    return &recorded->source;
}

void
ireko_recorded_free(IrekoRecorded *recorded)
{
    if (recorded == NULL)
        return;
    ireko_fd_close(&recorded->source.root_fd);
    ireko_cpuid_dump_free(recorded->dump);
    g_array_unref(recorded->registers);
    g_hash_table_unref(recorded->probe);
    g_free(recorded);
}
