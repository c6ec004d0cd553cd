/* lab/see/finds.c - ireko see --find: every control block in a machine's memory, and the tree of
 * guests. */
#include <stdlib.h>
#include <string.h>

#include <ireko/see.h>

#include "base/jsonl.h"
#include "base/text.h"
#include "host/exits.h"
#include "lab/record.h"
#include "lab/see/within.h"

static void
free_guest(void *data)
{
    IrekoSeeGuest *guest = data;
    g_free(guest->path);
    g_free(guest->evidence);
    g_free(guest);
}

static void
free_control(void *data)
{
    IrekoSeeControl *control = data;
    g_free(control->exit_name);
    g_free(control);
}

void
ireko_see_found_free(IrekoSeeFound *found)
{
    if (found == NULL)
        return;
    g_free(found->name);
    g_ptr_array_unref(found->guests);
    g_ptr_array_unref(found->controls);
    g_free(found);
}

/* Guests are numbered from 1 on; 0 is none, or the outermost machine. */
static unsigned
number_of(size_t guest)
{
    return guest == IREKO_FIND_OUTERMOST ? 0 : (unsigned)guest + 1;
}

static void
add_guest(IrekoSeeFound *found, const IrekoGuest *guest)
{
    IrekoSeeGuest *seen = g_new0(IrekoSeeGuest, 1);
    bool ept =
        guest->nested.paging == IREKO_PAGING_EPT4 || guest->nested.paging == IREKO_PAGING_EPT5;
    seen->number = found->guests->len + 1;
    seen->parent = number_of(guest->parent);
    seen->level = guest->depth + 1;
    seen->nested = ept ? "ept" : "npt";
    seen->root = guest->nested.root.at;
    seen->bytes = guest->bytes;
    g_ptr_array_add(found->guests, seen);
}

static void
add_control(IrekoSeeFound *found, const IrekoFound *one)
{
    static const char *const kinds[] = {[IREKO_CONTROL_VMCB] = "vmcb",
                                        [IREKO_CONTROL_VMCS12] = "vmcs12",
                                        [IREKO_CONTROL_VMCS] = "vmcs"};
    static const char *const trusts[] = {[IREKO_FIND_UNCONFIRMED] = "unconfirmed",
                                         [IREKO_FIND_CONFIRMED] = "confirmed",
                                         [IREKO_FIND_RUN] = "run"};
    IrekoSeeControl *seen = g_new0(IrekoSeeControl, 1);
    g_autofree char *meaning = NULL;
    IrekoHv hv = one->control.kind == IREKO_CONTROL_VMCB ? IREKO_HV_SVM : IREKO_HV_VMX;
    seen->kind = kinds[one->control.kind];
    seen->gpa = one->gpa.at;
    seen->owner = number_of(one->owner);
    seen->at = one->at;
    seen->guest = number_of(one->guest);
    seen->shadow = one->shadow;
    seen->trust = trusts[one->trust];
    seen->doubt = one->doubt != IREKO_DOUBT_NONE ? ireko_doubt_name(one->doubt) : NULL;
    seen->rip = one->control.rip;
    seen->cr3 = one->control.state.cr3;
    seen->asid = one->control.asid;
    seen->exit_code = one->control.exit_code;
    seen->exit_name = ireko_exits_explain(hv, (uint32_t)one->control.exit_code, &meaning);
    g_ptr_array_add(found->controls, seen);
}

/* Which of the guests is the machine NODE, and those inside it. */
static void
name_guests(IrekoSeeFound *found, const IrekoSource *source, const IrekoNode *node)
{
    size_t guest = 0;
    g_autofree char *evidence = NULL;
    if (node->level > 1 && !ireko_within_guest(source, node, &guest, &evidence, NULL))
        return;
    if (node->level > 1) {
        IrekoSeeGuest *seen = g_ptr_array_index(found->guests, guest);
        seen->path = g_strdup(node->path);
        seen->evidence = g_steal_pointer(&evidence);
    }
    for (guint i = 0; i < node->guests->len; i++)
        name_guests(found, source, g_ptr_array_index(node->guests, i));
}

static IrekoSeeFound *
found_new(IrekoSource *source)
{
    IrekoSeeFound *found = g_new0(IrekoSeeFound, 1);
    size_t n = 0;
    found->guests = g_ptr_array_new_with_free_func(free_guest);
    found->controls = g_ptr_array_new_with_free_func(free_control);
    found->bytes = source->capture->bytes;
    found->cut = ireko_findings_cut(source->findings);
    const IrekoGuest *guests = ireko_findings_guests(source->findings, &n);
    for (size_t i = 0; i < n; i++)
        add_guest(found, &guests[i]);
    const IrekoFound *controls = ireko_findings_controls(source->findings, &n);
    for (size_t i = 0; i < n; i++)
        add_control(found, &controls[i]);
    return found;
}

/* The outermost machine of PATH. */
static const IrekoNode *
outermost(const IrekoCapture *capture, const char *path)
{
    for (guint i = 0; i < capture->lab->nodes->len; i++) {
        const IrekoNode *node = g_ptr_array_index(capture->lab->nodes, i);
        size_t len = strlen(node->path);
        if (strncmp(node->path, path, len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return node;
    }
    return NULL;
}

IrekoSeeFound *
ireko_see_find(const IrekoHome *home, const IrekoSeeOrder *order, GError **error)
{
    g_auto(IrekoCapture) capture = IREKO_CAPTURE_NONE;
    if (!ireko_capture_order(&capture, home, order, error))
        return NULL;
    /* Without its state, too, all is found; only who runs it just now is not known. */
    if (ireko_capture_has_state(&capture) && !ireko_capture_take(&capture, NULL, NULL, error))
        return NULL;
    IrekoMemory memory;
    if (!ireko_capture_scan(&capture, &memory, error))
        return NULL;
    int64_t began_us = g_get_monotonic_time();
    g_autoptr(IrekoFindings) findings = ireko_within_find(&capture, &memory);
    int64_t took_us = g_get_monotonic_time() - began_us;
    IrekoSource source = {
        .capture = &capture, .memory = &memory, .stream = capture.stream, .findings = findings};
    IrekoSeeFound *found = found_new(&source);
    found->took_us = took_us;
    const IrekoNode *node = capture.node != NULL ? outermost(&capture, capture.node->path) : NULL;
    found->name = ireko_text_safe(node != NULL ? node->path : order->ram, (size_t)-1);
    if (node != NULL)
        name_guests(found, &source, node);
    return found;
}

/* ---- as JSON ---- */

static json_t *
hex(uint64_t value)
{
    return json_sprintf("0x%" G_GINT64_MODIFIER "x", value);
}

static json_t *
guest_to_json(const IrekoSeeGuest *guest)
{
    return json_pack("{s:i,s:i,s:i,s:s?,s:s?,s:s,s:o,s:I}", "number", (int)guest->number, "parent",
                     (int)guest->parent, "level", (int)guest->level, "path", guest->path,
                     "evidence", guest->evidence, "nested", guest->nested, "root", hex(guest->root),
                     "bytes", (json_int_t)guest->bytes);
}

static json_t *
control_to_json(const IrekoSeeControl *control)
{
    return json_pack("{s:s,s:o,s:i,s:o,s:i,s:b,s:s,s:s?,s:o,s:o,s:I,s:o,s:s?}", "kind",
                     control->kind, "gpa", hex(control->gpa), "owner", (int)control->owner, "at",
                     hex(control->at), "guest", (int)control->guest, "shadow", (int)control->shadow,
                     "trust", control->trust, "doubt", control->doubt, "rip", hex(control->rip),
                     "cr3", hex(control->cr3), "asid", (json_int_t)control->asid, "exit_code",
                     hex(control->exit_code), "exit_name", control->exit_name);
}

char *
ireko_see_found_to_json(const IrekoSeeFound *found)
{
    json_t *guests = json_array(), *controls = json_array();
    for (guint i = 0; i < found->guests->len; i++)
        (void)json_array_append_new(guests, guest_to_json(g_ptr_array_index(found->guests, i)));
    for (guint i = 0; i < found->controls->len; i++)
        (void)json_array_append_new(controls,
                                    control_to_json(g_ptr_array_index(found->controls, i)));
    g_autoptr(json_t) document =
        json_pack("{s:s,s:s,s:I,s:I,s:b,s:o,s:o}", "schema", "ireko.find/1", "name", found->name,
                  "ram_bytes", (json_int_t)found->bytes, "took_us", (json_int_t)found->took_us,
                  "cut", (int)found->cut, "guests", guests, "controls", controls);
    char *text = json_dumps(document, JSON_INDENT(1));
    char *copy = g_strdup(text);
    free(text);
    return copy;
}
