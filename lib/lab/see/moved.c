/* lab/see/moved.c - two readings of a machine that ran on: what was not the same. */
#include <string.h>

#include "lab/see/seen.h"

#define MOVED_SHOWN 3 /* entries that are told one by one */

static void
add(GString *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
add(GString *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_string_append(text, text->len > 0 ? "; " : "");
    g_string_append_vprintf(text, format, args);
    va_end(args);
}

static void
compare_steps(GString *text, const GArray *now, const GArray *before)
{
    unsigned moved = 0;
    for (guint i = 0; i < MIN(now->len, before->len); i++) {
        const IrekoSeeStep *a = &g_array_index(now, IrekoSeeStep, i),
                           *b = &g_array_index(before, IrekoSeeStep, i);
        if (a->entry_at == b->entry_at && a->raw == b->raw)
            continue;
        if (++moved <= MOVED_SHOWN)
            add(text,
                "L%u %s: 0x%" G_GINT64_MODIFIER "x at 0x%" G_GINT64_MODIFIER
                "x, then 0x%" G_GINT64_MODIFIER "x at 0x%" G_GINT64_MODIFIER "x",
                a->layer, a->table, b->raw, b->entry_at, a->raw, a->entry_at);
    }
    if (moved > MOVED_SHOWN)
        add(text, "%u more entries", moved - MOVED_SHOWN);
    if (now->len != before->len)
        add(text, "%u entries, then %u", before->len, now->len);
}

static void
compare_walks(IrekoSeeWalk *now, const IrekoSeeWalk *before)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (now->address != before->address)
        add(text, "the address: 0x%" G_GINT64_MODIFIER "x, then 0x%" G_GINT64_MODIFIER "x",
            before->address, now->address);
    else
        compare_steps(text, now->steps, before->steps);
    bool both = now->bytes != NULL && before->bytes != NULL;
    if (now->address == before->address && both && !g_bytes_equal(now->bytes, before->bytes))
        add(text, "the bytes at its end");
    if (text->len > 0)
        now->moved = g_strdup(text->str);
}

static const IrekoSeeVcpu *
vcpu_numbered(const IrekoSeen *seen, unsigned number)
{
    for (guint i = 0; i < seen->vcpus->len; i++) {
        const IrekoSeeVcpu *vcpu = g_ptr_array_index(seen->vcpus, i);
        if (vcpu->vcpu == number)
            return vcpu;
    }
    return NULL;
}

void
ireko_seen_compare(IrekoSeen *now, const IrekoSeen *before)
{
    for (guint i = 0; i < now->vcpus->len; i++) {
        const IrekoSeeVcpu *a = g_ptr_array_index(now->vcpus, i);
        const IrekoSeeVcpu *b = vcpu_numbered(before, a->vcpu);
        for (guint k = 0; b != NULL && k < MIN(a->walks->len, b->walks->len); k++)
            compare_walks(g_ptr_array_index(a->walks, k), g_ptr_array_index(b->walks, k));
    }
}
