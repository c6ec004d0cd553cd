/* qmp/codec.c - what one object of QEMU says. */
#include "base/text.h"
#include "qmp/qmp.h"

#define SHOWN_OF_BABBLE ((size_t)80) /* bytes of a message that its error repeats */

static bool
babble(const json_t *object, GError **error)
{
    char *text = json_dumps(object, JSON_COMPACT);
    g_autofree char *shown = ireko_text_safe(text != NULL ? text : "",
                                             text != NULL ? strnlen(text, SHOWN_OF_BABBLE) : 0);
    free(text);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "expected a message of QMP, got '%s'",
                shown);
    return false;
}

/* Every command carries an id that is a whole number; other ids answer nobody. */
static json_int_t
id_of(const json_t *object)
{
    const json_t *id = json_object_get(object, "id");
    return json_is_integer(id) && json_integer_value(id) >= 0 ? json_integer_value(id) : -1;
}

static bool
is_complete(const IrekoQmpMessage *m)
{
    switch (m->kind) {
    case IREKO_QMP_GREETING:
        return json_is_object(m->data);
    case IREKO_QMP_RETURN:
        return m->id >= 0;
    case IREKO_QMP_ERROR:
        return m->name != NULL && m->text != NULL;
    case IREKO_QMP_EVENT:
        return m->name != NULL && (m->data == NULL || json_is_object(m->data));
    }
    return false;
}

bool
ireko_qmp_decode(const json_t *object, IrekoQmpMessage *ret_message, GError **error)
{
    static const struct {
        const char *member;
        IrekoQmpKind kind;
    } kinds[] = {
        {"QMP", IREKO_QMP_GREETING},
        {"return", IREKO_QMP_RETURN},
        {"error", IREKO_QMP_ERROR},
        {"event", IREKO_QMP_EVENT},
    };
    IrekoQmpMessage m = {.id = id_of(object)};
    unsigned found = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        json_t *value = json_object_get(object, kinds[i].member);
        if (value == NULL)
            continue;
        found++;
        m.kind = kinds[i].kind;
        m.data = value;
    }
    if (found != 1)
        return babble(object, error);

    if (m.kind == IREKO_QMP_ERROR) {
        m.name = json_string_value(json_object_get(m.data, "class"));
        m.text = json_string_value(json_object_get(m.data, "desc"));
    } else if (m.kind == IREKO_QMP_EVENT) {
        m.name = json_string_value(m.data);
        m.data = json_object_get(object, "data");
    }
    if (!is_complete(&m))
        return babble(object, error);
    *ret_message = m;
    return true;
}
