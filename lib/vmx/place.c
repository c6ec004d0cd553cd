/* vmx/place.c - where a new key goes: beside its siblings, as a person would put it.
 *
 * Every entry is asked how near it is to the new key, and the nearest one (the last of them) gets
 * the new line behind it:
 *   1. it shares the first parts between dots: scsi0:1.virtualSSD goes behind scsi0:1.present, and
 *      RemoteDisplay.vnc.port rather behind RemoteDisplay.vnc.enabled than RemoteDisplay.depth;
 *   2. it is a device of the same controller (scsi0:1 beside scsi0:0), then of the same kind
 *      (ethernet1 beside ethernet0), the nearest lower number first;
 *   3. it is of the same family: vhv.enable beside the CPUs and the memory.
 * Else the key goes to the end of the file. One pass over the entries. */
#include "vmx/place.h"

#include <string.h>

#define NUMBER_MAX 0xffff

/* "scsi0:1" is kind "scsi", number 0, unit 1; what is not written is 0. */
typedef struct {
    size_t kind_len;
    unsigned number, unit;
    bool has_number;
} Device;

/* The first part of the keys that a person looks for together; '.' in front: not looked for, but at
 * home there. */
static const char *const cpu_family[] = {
    "numvcpus", "cpuid", "memsize", ".vhv",      ".vpmc",          ".vvtd", ".hypervisor",
    ".monitor", ".vcpu", ".mce",    ".featMask", ".featureCompat", ".ulm",
};

static size_t
part_len(const char *name, size_t len)
{
    const char *dot = memchr(name, '.', len);
    return dot == NULL ? len : (size_t)(dot - name);
}

static bool
is_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && g_ascii_strncasecmp(a, b, a_len) == 0;
}

/* How many parts A and B begin with in common. */
static unsigned
shared_parts(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned shared = 0;
    for (;;) {
        size_t a_part = part_len(a, a_len), b_part = part_len(b, b_len);
        if (a_part == 0 || !is_same(a, a_part, b, b_part))
            return shared;
        shared++;
        if (a_part == a_len || b_part == b_len)
            return shared;
        a += a_part + 1, a_len -= a_part + 1;
        b += b_part + 1, b_len -= b_part + 1;
    }
}

static unsigned
read_number(const char *text, size_t len, size_t *at)
{
    unsigned number = 0;
    for (; *at < len && g_ascii_isdigit(text[*at]); (*at)++)
        number = MIN(number * 10 + (unsigned)(text[*at] - '0'), NUMBER_MAX);
    return number;
}

static Device
read_device(const char *name, size_t len)
{
    Device device = {0};
    size_t at = 0;
    len = part_len(name, len);
    while (at < len && !g_ascii_isdigit(name[at]) && name[at] != ':')
        at++;
    device.kind_len = at;
    device.has_number = at < len;
    device.number = read_number(name, len, &at);
    if (at < len && name[at] == ':') {
        at++;
        device.unit = read_number(name, len, &at);
    }
    return device;
}

static bool
is_of_cpu_family(const char *name, size_t len, bool looked_for)
{
    len = part_len(name, len);
    for (size_t i = 0; i < G_N_ELEMENTS(cpu_family); i++) {
        bool at_home_only = *cpu_family[i] == '.';
        const char *word = cpu_family[i] + (at_home_only ? 1 : 0);
        if (is_same(name, len, word, strlen(word)))
            return !looked_for || !at_home_only;
    }
    return false;
}

/* Greater is nearer; 0 is a stranger. */
static uint64_t
nearness(const IrekoVmxEntry *entry, const char *key, size_t key_len, const Device *wanted)
{
    unsigned shared = shared_parts(entry->name, entry->name_len, key, key_len);
    if (shared > 0)
        return (uint64_t)4 << 40 | shared;

    Device device = read_device(entry->name, entry->name_len);
    if ((device.has_number || wanted->has_number) &&
        is_same(entry->name, device.kind_len, key, wanted->kind_len)) {
        uint64_t kind = device.number == wanted->number ? 3 : 2;
        uint64_t place = (uint64_t)device.number << 16 | device.unit;
        uint64_t wanted_place = (uint64_t)wanted->number << 16 | wanted->unit;
        return kind << 40 | (place <= wanted_place ? place + 1 : 0);
    }
    bool family = is_of_cpu_family(key, key_len, false);
    return family && is_of_cpu_family(entry->name, entry->name_len, true) ? 1 : 0;
}

size_t
ireko_vmx_place(const IrekoVmx *doc, const char *key)
{
    size_t key_len = strlen(key), best = doc->count;
    Device wanted = read_device(key, key_len);
    uint64_t best_nearness = 1;
    for (size_t i = 0; i < doc->count; i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        uint64_t near = entry.name == NULL ? 0 : nearness(&entry, key, key_len, &wanted);
        if (near >= best_nearness) {
            best = i;
            best_nearness = near;
        }
    }
    return best;
}
