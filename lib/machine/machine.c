/* machine/machine.c - from the document to the machine. */
#include "machine/machine.h"

#include <string.h>

#include "base/text.h"
#include "machine/builder.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define NAME_LENGTH     ((size_t)64) /* as ireko_text_is_name has it */

#define MEMORY_DEFAULT_MIB 32 /* VMware's */
#define MEMORY_STEP_MIB    4
#define HW_VERSION_MAX     99
#define HW_VERSION_VHV     9
#define PORT_MAX           65535
#define UUID_DIGITS        32
#define SUGGESTIONS_MAX    64 /* unknown keys that are looked at for typing errors */

static void
note_free(void *data)
{
    IrekoKeyNote *note = data;
    g_free(note->key);
    g_free(note->reason);
    g_free(note);
}

static void
builder_free(Builder *b)
{
    Field *sets[] = {b->fields, &b->controllers[0][0][0], &b->disks[0][0][0][0], &b->nics[0][0],
                     &b->serials[0][0]};
    size_t counts[] = {sizeof b->fields, sizeof b->controllers, sizeof b->disks, sizeof b->nics,
                       sizeof b->serials};
    for (size_t set = 0; set < G_N_ELEMENTS(sets); set++) {
        for (size_t i = 0; i < counts[set] / sizeof(Field); i++)
            g_free(sets[set][i].value);
    }
    ireko_machine_free(b->machine);
    g_free(b);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Builder, builder_free)

/* Where the value of a taken key is kept, or NULL where VMware has no such device. */
static Field *
place_of(Builder *b, const KeyPlace *at, const unsigned n[IREKO_KEY_NUMBERS_MAX])
{
    static const struct {
        unsigned controllers, units;
    } limits[BUSES] = {
        [IREKO_BUS_SCSI] = {4, 65},
        [IREKO_BUS_SATA] = {4, 30},
        [IREKO_BUS_IDE] = {2, 2},
        [IREKO_BUS_NVME] = {4, 15},
    };
    switch (at->scope) {
    case SCOPE_MACHINE:
        return &b->fields[at->attr];
    case SCOPE_CONTROLLER:
        return n[0] < limits[at->bus].controllers ? &b->controllers[at->bus][n[0]][at->attr] : NULL;
    case SCOPE_DISK:
        return n[0] < limits[at->bus].controllers && n[1] < limits[at->bus].units
                   ? &b->disks[at->bus][n[0]][n[1]][at->attr]
                   : NULL;
    case SCOPE_NIC:
        return n[0] < IREKO_MACHINE_NICS_MAX ? &b->nics[n[0]][at->attr] : NULL;
    case SCOPE_SERIAL:
        return n[0] < IREKO_MACHINE_SERIALS_MAX ? &b->serials[n[0]][at->attr] : NULL;
    }
    g_assert_not_reached();
}

static bool
take(Builder *b, const KeyPlace *at, const unsigned *numbers, Field *field, GError **error)
{
    Field *place = place_of(b, at, numbers);
    if (place != NULL) {
        place->value = g_steal_pointer(&field->value);
        place->note = field->note;
        return true;
    }
    /* "present" is 0 in every scope that has numbers */
    if (at->attr == 0 && ireko_field_is_true(field->value)) {
        ireko_field_fail(b, field, IREKO_ERROR_UNSUPPORTED, error,
                         "a machine has no device of that number");
        return false;
    }
    ireko_field_note(field, IREKO_KEY_UNSUPPORTED, "a machine has no device of that number");
    return true;
}

static void
note_unknown(const Field *field, const char *key, unsigned *suggestions_left)
{
    g_autofree char *known = NULL;
    if (*suggestions_left > 0) {
        (*suggestions_left)--;
        known = ireko_book_suggest(key);
    }
    if (known != NULL)
        ireko_field_note(field, IREKO_KEY_UNKNOWN, "did you mean '%s'?", known);
    else
        ireko_field_note(field, IREKO_KEY_UNKNOWN, "ireko does not know this key");
}

/* Finds the place of a key that counts, and says what becomes of it. */
static bool
apply(Builder *b, Field *field, unsigned *suggestions_left, GError **error)
{
    unsigned numbers[IREKO_KEY_NUMBERS_MAX] = {0};
    const IrekoKey *key = ireko_book_match(field->note->key, numbers);
    if (key == NULL) {
        note_unknown(field, field->note->key, suggestions_left);
        return true;
    }
    const KeyPlace *place = ireko_key_place(key);
    if (place != NULL)
        return take(b, place, numbers, field, error);
    if (key->carry == IREKO_BOOKKEEPING ||
        (key->carry == IREKO_UNLESS_OFF && !ireko_field_is_true(field->value)))
        field->note->status = IREKO_KEY_BOOKKEEPING;
    else
        ireko_field_note(field, IREKO_KEY_UNSUPPORTED, "%s", key->qemu);
    return true;
}

typedef struct {
    const IrekoVmx *doc;
    GPtrArray *notes;
} DuplicateScan;

static void
note_duplicate(void *data, size_t first, size_t again)
{
    DuplicateScan *scan = data;
    Field field = {.note = g_ptr_array_index(scan->notes, again)};
    ireko_field_note(&field, IREKO_KEY_DUPLICATE, "line %u has it already, and that one counts",
                     ireko_vmx_entry(scan->doc, first).line);
}

/* One note for each entry; the keys that repeat and the malformed lines are marked. */
static void
add_notes(Builder *b, const IrekoVmx *doc)
{
    GPtrArray *notes = b->machine->notes;
    for (size_t i = 0; i < ireko_vmx_count(doc); i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        bool malformed = entry.name == NULL;
        IrekoKeyNote *note = g_new0(IrekoKeyNote, 1);
        note->key = malformed ? ireko_text_safe(entry.raw, entry.raw_len)
                              : ireko_text_safe(entry.name, entry.name_len);
        note->line = entry.line;
        note->status = malformed ? IREKO_KEY_MALFORMED : IREKO_KEY_HONOURED;
        note->reason = malformed ? g_strdup("not of the form name = \"value\"") : NULL;
        g_ptr_array_add(notes, note);
    }
    DuplicateScan scan = {.doc = doc, .notes = notes};
    ireko_vmx_duplicates(doc, note_duplicate, &scan);
}

static bool
read_keys(Builder *b, const IrekoVmx *doc, GError **error)
{
    if (ireko_vmx_count(doc) > IREKO_MACHINE_KEYS_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "%s: has %zu keys, more than the %d that a machine can have", b->machine->file,
                    ireko_vmx_count(doc), IREKO_MACHINE_KEYS_MAX);
        return false;
    }
    add_notes(b, doc);
    unsigned suggestions_left = SUGGESTIONS_MAX;
    for (size_t i = 0; i < b->machine->notes->len; i++) {
        Field field = {.note = g_ptr_array_index(b->machine->notes, i)};
        if (field.note->status != IREKO_KEY_HONOURED)
            continue;
        field.value = ireko_vmx_entry_value(doc, i);
        bool ok = apply(b, &field, &suggestions_left, error);
        g_free(field.value);
        if (!ok)
            return false;
    }
    return true;
}

static bool
build_cpus(Builder *b, GError **error)
{
    IrekoMachine *m = b->machine;
    const Field *vcpus = &b->fields[MACHINE_NUMVCPUS];
    const Field *cores = &b->fields[MACHINE_CORES_PER_SOCKET];
    Range range = {.min = 1, .max = IREKO_MACHINE_VCPUS_MAX, .fallback = 1};
    if (!ireko_field_uint(b, vcpus, range, &m->vcpus, error) ||
        !ireko_field_uint(b, cores, range, &m->cores_per_socket, error))
        return false;
    if (m->vcpus % m->cores_per_socket != 0) {
        ireko_field_fail(b, cores, IREKO_ERROR_SYNTAX, error,
                         "%u CPUs cannot stand in sockets of %u", m->vcpus, m->cores_per_socket);
        return false;
    }
    m->vcpus_line = vcpus->note != NULL ? vcpus->note->line : 0;
    return true;
}

static bool
build_memory(Builder *b, GError **error)
{
    IrekoMachine *m = b->machine;
    const Field *field = &b->fields[MACHINE_MEMSIZE];
    Range range = {MEMORY_STEP_MIB, IREKO_MACHINE_MEMORY_MAX, MEMORY_DEFAULT_MIB};
    if (!ireko_field_uint(b, field, range, &m->memory_mib, error))
        return false;
    if (m->memory_mib % MEMORY_STEP_MIB != 0) {
        ireko_field_fail(b, field, IREKO_ERROR_SYNTAX, error, "must be a multiple of %d (MB)",
                         MEMORY_STEP_MIB);
        return false;
    }
    m->memory_line = field->note != NULL ? field->note->line : 0;
    return true;
}

static bool
build_virtualisation(Builder *b, GError **error)
{
    IrekoMachine *m = b->machine;
    const Field *vhv = &b->fields[MACHINE_VHV];
    Range range = {.min = 1, .max = HW_VERSION_MAX, .fallback = 0};
    bool shown = true;
    if (!ireko_field_uint(b, &b->fields[MACHINE_HW_VERSION], range, &m->hw_version, error) ||
        !ireko_field_bool(b, vhv, false, &m->vhv, error) ||
        !ireko_field_bool(b, &b->fields[MACHINE_CPUID_V0], true, &shown, error))
        return false;
    m->hypervisor_hidden = !shown;
    m->vhv_line = vhv->note != NULL ? vhv->note->line : 0;
    if (m->vhv && m->hw_version != 0 && m->hw_version < HW_VERSION_VHV)
        ireko_field_note(vhv, IREKO_KEY_HONOURED,
                         "VMware's products ignore it below virtualHW.version %d; here it is %u",
                         HW_VERSION_VHV, m->hw_version);
    return true;
}

/* VMware writes "56 4d ... 0a-1b ..."; any grouping of 32 digits will do. */
static char *
parse_uuid(const char *text)
{
    static const size_t dashes[] = {8, 12, 16, 20};
    g_autoptr(GString) out = g_string_new(NULL);
    size_t digits = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '-')
            continue;
        if (!g_ascii_isxdigit(*text) || digits == UUID_DIGITS)
            return NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(dashes); i++) {
            if (digits == dashes[i])
                g_string_append_c(out, '-');
        }
        g_string_append_c(out, g_ascii_tolower(*text));
        digits++;
    }
    return digits == UUID_DIGITS ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

static bool
build_identity(Builder *b, GError **error)
{
    IrekoMachine *m = b->machine;
    const Field *image = &b->fields[MACHINE_IMAGE], *uuid = &b->fields[MACHINE_UUID];
    m->display_name = g_strdup(b->fields[MACHINE_DISPLAY_NAME].value);
    m->guest_os = g_strdup(b->fields[MACHINE_GUEST_OS].value);
    if (image->value != NULL && !ireko_text_is_name(image->value)) {
        ireko_field_fail(b, image, IREKO_ERROR_SYNTAX, error,
                         "must be the name of a built-in image, as in kvm-host or linux");
        return false;
    }
    m->image = g_strdup(image->value);
    if (uuid->value == NULL)
        return true;
    m->uuid = parse_uuid(uuid->value);
    if (m->uuid == NULL)
        ireko_field_fail(b, uuid, IREKO_ERROR_SYNTAX, error, "must have 32 hexadecimal digits");
    return m->uuid != NULL;
}

static bool
build_firmware(Builder *b, GError **error)
{
    static const char *const choices[] = {"bios", "efi", NULL};
    const Field *field = &b->fields[MACHINE_FIRMWARE];
    unsigned index = 0;
    if (field->value != NULL && !ireko_field_choice(b, field, choices, &index, error))
        return false;
    b->machine->efi = index == 1;
    return true;
}

static bool
build_display(Builder *b, GError **error)
{
    IrekoMachine *m = b->machine;
    const Field *port = &b->fields[MACHINE_VNC_PORT];
    Range range = {.min = 1, .max = PORT_MAX, .fallback = 0};
    if (!ireko_field_bool(b, &b->fields[MACHINE_SVGA], m->image == NULL, &m->svga, error) ||
        !ireko_field_bool(b, &b->fields[MACHINE_VNC], false, &m->vnc, error) ||
        !ireko_field_uint(b, port, range, &m->vnc_port, error))
        return false;
    m->vnc_password = g_strdup(b->fields[MACHINE_VNC_PASSWORD].value);
    return true;
}

/* The file's name without its folder and ".vmx"; it names sockets, folders and paths in the nest,
 * so what cannot stand there ("Windows 10 x64.vmx") becomes a hyphen. */
static bool
name_machine(IrekoMachine *m, GError **error)
{
    static const char ending[] = ".vmx";
    g_autofree char *name = g_path_get_basename(m->file);
    size_t len = strlen(name), ending_len = strlen(ending);
    if (len > ending_len && g_ascii_strcasecmp(name + len - ending_len, ending) == 0)
        name[len - ending_len] = '\0';
    (void)g_strcanon(name, NAME_CHARACTERS, '-');
    name[MIN(strlen(name), NAME_LENGTH)] = '\0';
    char *start = name + strspn(name, "-.");
    if (!ireko_text_is_name(start)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "%s: a machine is named after its file, and nothing of this name can be one: "
                    "rename the file",
                    m->file);
        return false;
    }
    m->name = g_strdup(start);
    return true;
}

IrekoMachine *
ireko_machine_from_vmx(const IrekoVmx *doc, const char *file, GError **error)
{
    g_autoptr(Builder) b = g_new0(Builder, 1);
    b->machine = g_new0(IrekoMachine, 1);
    b->machine->file = g_strdup(file);
    b->machine->notes = g_ptr_array_new_with_free_func(note_free);
    bool ok = name_machine(b->machine, error) && read_keys(b, doc, error) &&
              build_identity(b, error) && build_cpus(b, error) && build_memory(b, error) &&
              build_virtualisation(b, error) && build_firmware(b, error) &&
              build_display(b, error) && ireko_build_disks(b, error) &&
              ireko_build_nics(b, error) && ireko_build_serials(b, error);
    return ok ? g_steal_pointer(&b->machine) : NULL;
}

static void
array_free(GPtrArray *array)
{
    if (array != NULL)
        g_ptr_array_unref(array);
}

void
ireko_machine_free(IrekoMachine *machine)
{
    if (machine == NULL)
        return;
    g_free(machine->file);
    g_free(machine->name);
    g_free(machine->display_name);
    g_free(machine->guest_os);
    g_free(machine->image);
    g_free(machine->uuid);
    g_free(machine->vnc_password);
    array_free(machine->disks);
    array_free(machine->nics);
    array_free(machine->serials);
    array_free(machine->notes);
    g_free(machine);
}

const IrekoDisk *
ireko_machine_boot_disk(const IrekoMachine *machine)
{
    const IrekoDisk *first_cdrom = NULL;
    for (size_t i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (!disk->cdrom)
            return disk;
        if (first_cdrom == NULL)
            first_cdrom = disk;
    }
    return first_cdrom;
}
