/* lab/see/seen.c - what was seen, made, freed and told as JSON. */
#include "lab/see/seen.h"

#include <string.h>

#include "base/jsonl.h"

static void
free_walk(void *data)
{
    IrekoSeeWalk *walk = data;
    g_array_unref(walk->chain);
    g_array_unref(walk->steps);
    g_clear_pointer(&walk->bytes, g_bytes_unref);
    g_clear_pointer(&walk->code, g_ptr_array_unref);
    g_free(walk->moved);
    g_free(walk);
}

static void
free_vcpu(void *data)
{
    IrekoSeeVcpu *vcpu = data;
    g_free(vcpu->evidence);
    g_ptr_array_unref(vcpu->walks);
    g_free(vcpu);
}

IrekoSeeWalk *
ireko_see_walk_new(const char *what, uint64_t address)
{
    IrekoSeeWalk *walk = g_new0(IrekoSeeWalk, 1);
    walk->what = what;
    walk->address = address;
    walk->chain = g_array_new(FALSE, TRUE, sizeof(IrekoSeePlace));
    walk->steps = g_array_new(FALSE, TRUE, sizeof(IrekoSeeStep));
    return walk;
}

IrekoSeeVcpu *
ireko_see_vcpu_new(unsigned number, const char *mode)
{
    IrekoSeeVcpu *vcpu = g_new0(IrekoSeeVcpu, 1);
    vcpu->vcpu = number;
    vcpu->mode = mode;
    vcpu->walks = g_ptr_array_new_with_free_func(free_walk);
    return vcpu;
}

IrekoSeen *
ireko_seen_new(void)
{
    IrekoSeen *seen = g_new0(IrekoSeen, 1);
    seen->vcpus = g_ptr_array_new_with_free_func(free_vcpu);
    seen->still_us = -1;
    return seen;
}

void
ireko_seen_free(IrekoSeen *seen)
{
    if (seen == NULL)
        return;
    g_free(seen->path);
    g_free(seen->accel);
    g_free(seen->ram_file);
    g_ptr_array_unref(seen->vcpus);
    g_free(seen);
}

void
ireko_see_step_flags(IrekoSeeStep *step)
{
    static const struct {
        unsigned bit;
        const char *letter;
    } x86[] = {{0, "P"}, {1, "W"}, {2, "U"}, {5, "A"}, {6, "D"}, {8, "G"}, {63, "NX"}},
      ept[] = {{0, "R"}, {1, "W"}, {2, "X"}, {8, "A"}, {9, "D"}};
    bool is_ept = strcmp(step->kind, "ept") == 0;
    size_t n = is_ept ? G_N_ELEMENTS(ept) : G_N_ELEMENTS(x86);
    step->flags[0] = '\0';
    for (size_t i = 0; i < n && !step->unread; i++) {
        unsigned bit = is_ept ? ept[i].bit : x86[i].bit;
        /* Dirty and global are of entries that map a page. */
        bool means = step->page_bytes > 0 || (bit != 6 && bit != (is_ept ? 9 : 8));
        bool set = means && (step->raw >> bit & 1) != 0;
        const char *letter = is_ept ? ept[i].letter : x86[i].letter;
        (void)g_strlcat(step->flags, i > 0 ? " " : "", sizeof step->flags);
        (void)g_strlcat(step->flags, set ? letter : "-", sizeof step->flags);
    }
}

/* ---- as JSON ---- */

/* JSON's numbers end at 2^53: addresses are texts. */
static json_t *
hex(uint64_t value)
{
    return json_sprintf("0x%" G_GINT64_MODIFIER "x", value);
}

static json_t *
chain_to_json(const GArray *chain)
{
    json_t *list = json_array();
    for (guint i = 0; i < chain->len; i++) {
        const IrekoSeePlace *place = &g_array_index(chain, IrekoSeePlace, i);
        (void)json_array_append_new(list, json_pack("{s:i,s:s,s:o}", "layer", (int)place->layer,
                                                    "space", place->space, "at", hex(place->at)));
    }
    return list;
}

static json_t *
steps_to_json(const GArray *steps)
{
    json_t *list = json_array();
    for (guint i = 0; i < steps->len; i++) {
        const IrekoSeeStep *step = &g_array_index(steps, IrekoSeeStep, i);
        (void)json_array_append_new(
            list,
            json_pack("{s:i,s:s,s:s,s:o,s:o,s:s,s:I,s:b}", "layer", (int)step->layer, "kind",
                      step->kind, "table", step->table, "entry_at", hex(step->entry_at), "raw",
                      step->unread ? json_null() : hex(step->raw), "flags", step->flags,
                      "page_bytes", (json_int_t)step->page_bytes, "last", (int)step->last));
    }
    return list;
}

static json_t *
bytes_to_json(GBytes *bytes)
{
    if (bytes == NULL)
        return json_null();
    size_t len = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", data[i]);
    return json_string(text->str);
}

static json_t *
texts_to_json(const GPtrArray *texts)
{
    json_t *list = json_array();
    for (guint i = 0; texts != NULL && i < texts->len; i++)
        (void)json_array_append_new(list, json_string(g_ptr_array_index(texts, i)));
    return list;
}

static json_t *
walk_to_json(const IrekoSeeWalk *walk)
{
    json_t *object = json_pack(
        "{s:o,s:s,s:b,s:s?,s:o,s:o,s:o,s:I,s:o,s:s?}", "address", hex(walk->address), "what",
        walk->what, "ok", (int)walk->ok, "cause", walk->cause, "chain", chain_to_json(walk->chain),
        "steps", steps_to_json(walk->steps), "bytes", bytes_to_json(walk->bytes), "page_bytes",
        (json_int_t)walk->page_bytes, "code", texts_to_json(walk->code), "moved", walk->moved);
    if (!walk->ok)
        (void)json_object_update_new(object, json_pack("{s:{s:i,s:s?}}", "denied", "layer",
                                                       (int)walk->denied_layer, "table",
                                                       walk->denied_table));
    return object;
}

static json_t *
vcpu_to_json(const IrekoSeeVcpu *vcpu)
{
    json_t *walks = json_array();
    for (guint i = 0; i < vcpu->walks->len; i++)
        (void)json_array_append_new(walks, walk_to_json(g_ptr_array_index(vcpu->walks, i)));
    return json_pack("{s:i,s:s,s:s?,s:o}", "vcpu", (int)vcpu->vcpu, "mode", vcpu->mode, "evidence",
                     vcpu->evidence, "walks", walks);
}

char *
ireko_seen_to_json(const IrekoSeen *seen)
{
    json_t *vcpus = json_array();
    for (guint i = 0; i < seen->vcpus->len; i++)
        (void)json_array_append_new(vcpus, vcpu_to_json(g_ptr_array_index(seen->vcpus, i)));
    g_autoptr(json_t) document =
        json_pack("{s:s,s:s?,s:i,s:s?,s:s?,s:o,s:o,s:o}", "schema", "ireko.see/1", "path",
                  seen->path, "level", (int)seen->level, "accel", seen->accel, "ram_file",
                  seen->ram_file, "ram_base", hex(seen->ram_base), "still_us",
                  seen->still_us >= 0 ? json_integer((json_int_t)seen->still_us) : json_null(),
                  "vcpus", vcpus);
    char *text = json_dumps(document, JSON_INDENT(1));
    char *copy = g_strdup(text);
    free(text);
    return copy;
}
