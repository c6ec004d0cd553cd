/* engine/qemu/count.c - see count.h.
 *
 * KVM's own statistics come by query-stats, which QEMU has from 7.1 on. TCG has none: it plays
 * every instruction of a guest and its hypervisor alike, and no control changes hands that could be
 * counted. What `info jit` tells is what nesting costs it: translations that it had to forget. */
#include "engine/qemu/count.h"

#include <string.h>

#include "base/jsonl.h"
#include "base/text.h"

#define COUNTS_MAX     1024 /* of names */
#define NAME_BYTES_MAX 64
#define VCPUS_MAX      4096

static void
add(GHashTable *counts, const char *name, uint64_t value)
{
    uint64_t *old = g_hash_table_lookup(counts, name);
    if (old != NULL) {
        *old += value;
    } else if (g_hash_table_size(counts) < COUNTS_MAX && strlen(name) <= NAME_BYTES_MAX) {
        uint64_t *fresh = g_new(uint64_t, 1);
        *fresh = value;
        (void)g_hash_table_insert(counts, g_strdup(name), fresh);
    }
}

void
ireko_qemu_read_jit(const char *text, GHashTable *counts)
{
    g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        size_t letters = strspn(lines[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ");
        uint64_t value = 0;
        const char *digits = lines[i] + letters;
        if (letters == 0 || !ireko_text_parse_unsigned(digits, 10, 0, UINT64_MAX, &value))
            continue;
        g_autofree char *name = g_ascii_strdown(lines[i], (gssize)letters);
        add(counts, g_strdelimit(g_strchomp(name), " ", '_'), value);
    }
}

void
ireko_qemu_read_stats(const json_t *answer, GHashTable *counts)
{
    for (size_t i = 0; i < json_array_size(answer); i++) {
        const json_t *stats = json_object_get(json_array_get(answer, i), "stats");
        for (size_t k = 0; k < json_array_size(stats); k++) {
            const json_t *one = json_array_get(stats, k);
            const char *name = json_string_value(json_object_get(one, "name"));
            const json_t *value = json_object_get(one, "value");
            if (name != NULL && json_is_integer(value) && json_integer_value(value) >= 0)
                add(counts, name, (uint64_t)json_integer_value(value));
        }
    }
}

/* What the command of QEMU's monitor for people LINE printed; free with g_free. */
static char *
ask_monitor(IrekoQmp *qmp, const char *line, IrekoDeadline deadline, GError **error)
{
    g_autoptr(json_t) arguments = json_pack("{s:s}", "command-line", line);
    g_autoptr(json_t) answer =
        ireko_qmp_execute(qmp, "human-monitor-command", arguments, deadline, error);
    if (answer == NULL)
        return NULL;
    /* Its lines end as a terminal's do. */
    const char *text = json_string_value(answer);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\r\n", -1);
    g_autofree char *joined = g_strjoinv("\n", lines);
    return ireko_text_safe(joined, (size_t)-1);
}

static bool
is_kvm(IrekoQmp *qmp, IrekoDeadline deadline)
{
    g_autoptr(json_t) answer = ireko_qmp_execute(qmp, "query-kvm", NULL, deadline, NULL);
    return json_is_true(json_object_get(answer, "enabled"));
}

GHashTable *
ireko_qemu_count(int control_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    if (qmp == NULL)
        return NULL;
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (is_kvm(qmp, deadline)) {
        g_autoptr(json_t) arguments = json_pack("{s:s}", "target", "vcpu");
        g_autoptr(json_t) answer =
            ireko_qmp_execute(qmp, "query-stats", arguments, deadline, error);
        if (answer == NULL)
            return NULL;
        ireko_qemu_read_stats(answer, counts);
        return g_steal_pointer(&counts);
    }
    g_autofree char *text = ask_monitor(qmp, "info jit", deadline, error);
    if (text == NULL)
        return NULL;
    ireko_qemu_read_jit(text, counts);
    return g_steal_pointer(&counts);
}

/* The hex number behind NAME in TEXT, which ends at END. */
static bool
take_register(const char *text, const char *end, const char *name, uint64_t *ret_value)
{
    const char *at = g_strstr_len(text, end - text, name);
    if (at == NULL)
        return false;
    at += strlen(name);
    g_autofree char *digits = g_strndup(at, strspn(at, "0123456789abcdef"));
    return ireko_text_parse_unsigned(digits, 16, 0, UINT64_MAX, ret_value);
}

/* "CS =0010 0000000000000000 ffffffff 00af9b00": its base. */
static bool
take_cs_base(const char *text, const char *end, uint64_t *ret_base)
{
    const char *at = g_strstr_len(text, end - text, "CS =");
    at = at != NULL ? strchr(at + strlen("CS ="), ' ') : NULL;
    if (at == NULL)
        return false;
    g_autofree char *digits = g_strndup(at + 1, strspn(at + 1, "0123456789abcdef"));
    return ireko_text_parse_unsigned(digits, 16, 0, UINT64_MAX, ret_base);
}

GArray *
ireko_qemu_read_registers(const char *text)
{
    GArray *found = g_array_new(FALSE, TRUE, sizeof(IrekoRegisters));
    for (const char *at = strstr(text, "CPU#"); at != NULL && found->len < VCPUS_MAX;) {
        const char *next = strstr(at + 1, "CPU#");
        const char *end = next != NULL ? next : at + strlen(at);
        IrekoRegisters one = {.vcpu = (unsigned)g_ascii_strtoull(at + strlen("CPU#"), NULL, 10)};
        if ((take_register(at, end, "RIP=", &one.rip) ||
             take_register(at, end, "EIP=", &one.rip)) &&
            take_register(at, end, "CR0=", &one.cr0) && take_register(at, end, "CR3=", &one.cr3) &&
            take_register(at, end, "CR4=", &one.cr4) &&
            take_register(at, end, "EFER=", &one.efer) && take_cs_base(at, end, &one.cs_base))
            g_array_append_val(found, one);
        at = next;
    }
    return found;
}

GArray *
ireko_qemu_registers(int control_fd, IrekoDeadline deadline, GError **error)
{
    g_autoptr(IrekoQmp) qmp = ireko_qmp_open(control_fd, -1, deadline, error);
    g_autofree char *text =
        qmp != NULL ? ask_monitor(qmp, "info registers -a", deadline, error) : NULL;
    return text != NULL ? ireko_qemu_read_registers(text) : NULL;
}
