/* lab/nestdoc.c - a nest as ireko.nest/1. */
#include <jansson.h>
#include <stdlib.h>

#include <ireko/lab.h>

#include "nest/nest.h"

#define NEST_SCHEMA "ireko.nest/1"

void
ireko_nest_free(IrekoNest *nest)
{
    if (nest == NULL)
        return;
    g_free(nest->lab);
    g_free(nest->accel);
    g_clear_pointer(&nest->reports, g_ptr_array_unref);
    g_free(nest);
}

static void
add_machines(json_t *machines, const IrekoNest *nest, bool with_lab)
{
    for (unsigned i = 0; i < nest->reports->len; i++) {
        json_t *machine = ireko_report_to_json(nest->reports->pdata[i]);
        if (with_lab)
            json_object_set_new(machine, "lab", json_string(nest->lab));
        json_array_append_new(machines, machine);
    }
}

static json_t *
document_of(const char *lab, const char *accel, unsigned depth, bool ok, double seconds)
{
    return json_pack("{s:s,s:s?,s:s?,s:i,s:b,s:f}", "schema", NEST_SCHEMA, "lab", lab, "accel",
                     accel, "depth", (int)depth, "ok", ok, "seconds", seconds);
}

/* The text of DOCUMENT (stolen), real numbers with the digits that mean something. */
static char *
print(json_t *document)
{
    char *text = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(document);
    char *copy = g_strdup(text);
    free(text);
    return copy;
}

char *
ireko_nest_to_text(const IrekoNest *nest)
{
    json_t *document = document_of(nest->lab, nest->accel, nest->depth, nest->ok, nest->seconds);
    json_t *machines = json_array();
    add_machines(machines, nest, false);
    json_object_set_new(document, "machines", machines);
    return print(document);
}

char *
ireko_nests_to_text(const GPtrArray *nests)
{
    const IrekoNest *only = nests->len == 1 ? nests->pdata[0] : NULL;
    unsigned depth = 0;
    bool ok = true;
    double seconds = 0;
    json_t *machines = json_array();
    json_t *labs = json_array();
    for (unsigned i = 0; i < nests->len; i++) {
        const IrekoNest *nest = nests->pdata[i];
        depth = MAX(depth, nest->depth);
        ok = ok && nest->ok;
        seconds += nest->seconds;
        json_array_append_new(labs, json_string(nest->lab));
        add_machines(machines, nest, true);
    }
    json_t *document = document_of(only != NULL ? only->lab : NULL,
                                   only != NULL ? only->accel : NULL, depth, ok, seconds);
    json_object_set_new(document, "labs", labs);
    json_object_set_new(document, "machines", machines);
    return print(document);
}
