/* host/inner.c - the checks of the layers inside, as they come in. */
#include "host/inner.h"

#include <string.h>

#include <ireko/report.h>

#include "base/json.h"
#include "base/text.h"
#include "host/judge.h"

#define CHECK_MAX   ((size_t)256 << 10) /* bytes of a layer's check as JSON: some 10 KiB usually */
#define CHECK_DEPTH 8
#define TEXT_MAX    ((size_t)4 << 10)
#define WORD_MAX    32
#define PATH_BYTES  (IREKO_PATH_DEPTH_MAX * 65)
#define LINKS_MAX   32
#define LEVELS_MAX  16

void
ireko_inner_free(IrekoInner *inner)
{
    if (inner == NULL)
        return;
    g_free(inner->lab);
    g_free(inner->path);
    g_free(inner->message);
    json_decref(inner->check);
    g_free(inner->word);
    g_free(inner->cause);
    g_free(inner->link);
    g_free(inner->evidence);
    g_free(inner);
}

static unsigned
level_of(const char *path)
{
    unsigned level = 1;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        level++;
    return level;
}

static IrekoInner *
inner_new(const char *path)
{
    IrekoInner *inner = g_new0(IrekoInner, 1);
    inner->path = g_strdup(path);
    inner->level = level_of(path);
    inner->levels_below = -1;
    return inner;
}

IrekoInner *
ireko_inner_silent(const char *path, const char *message)
{
    IrekoInner *inner = inner_new(path);
    g_autofree char *safe = ireko_text_safe(message, (size_t)-1);
    inner->message = g_strdelimit(g_steal_pointer(&safe), "\n\t", ' ');
    return inner;
}

IrekoInner *
ireko_inner_asked(const char *path)
{
    IrekoInner *inner = inner_new(path);
    inner->asked = true;
    return inner;
}

/* The first broken link of the check. */
static void
take_link(IrekoInner *inner, const json_t *links)
{
    for (size_t i = 0; i < json_array_size(links) && inner->link == NULL; i++) {
        IrekoJsonReader reader = ireko_json_reader(json_array_get(links, i), "link");
        g_autofree char *state = ireko_json_text(&reader, "state", WORD_MAX);
        g_autofree char *name = ireko_json_text(&reader, "link", WORD_MAX);
        g_autofree char *evidence = ireko_json_text_or_null(&reader, "evidence", TEXT_MAX);
        if (!ireko_json_reader_end(&reader, NULL) ||
            strcmp(state, ireko_link_state_name(IREKO_LINK_BROKEN)) != 0)
            continue;
        inner->link = g_steal_pointer(&name);
        inner->evidence = g_steal_pointer(&evidence);
    }
}

/* What is looked at of the check, which is safe already. */
static bool
take_check(IrekoInner *inner, GError **error)
{
    static const char *const words[] = {"hardware", "software", "none", NULL};
    IrekoJsonReader reader = ireko_json_reader(inner->check, "check of a layer");
    inner->word = ireko_json_text(&reader, "verdict", WORD_MAX);
    if (inner->word != NULL && !g_strv_contains(words, inner->word))
        ireko_json_reader_fail(&reader, "verdict", "a verdict");
    inner->cause = ireko_json_text_or_null(&reader, "cause", WORD_MAX);
    if (inner->cause != NULL && ireko_cause_page(inner->cause) == NULL)
        ireko_json_reader_fail(&reader, "cause", "a cause");
    json_int_t levels = json_integer_value(json_object_get(inner->check, "levels_below"));
    inner->levels_below = (int)CLAMP(levels, -1, LEVELS_MAX);
    take_link(inner, ireko_json_list(&reader, "links", LINKS_MAX));
    return ireko_json_reader_end(&reader, error);
}

/* Keeps what CHECK says beside the path: its own "layers" come one by one. */
static bool
keep_check(IrekoInner *inner, const json_t *check, GError **error)
{
    static const char *const not_its_own[] = {"lab", "path", "level", "asked", "message", "layers"};
    inner->check = ireko_json_safe(check, CHECK_DEPTH);
    for (size_t i = 0; i < G_N_ELEMENTS(not_its_own); i++)
        (void)json_object_del(inner->check, not_its_own[i]);
    if (inner->check != NULL && json_dumpb(inner->check, NULL, 0, JSON_COMPACT) <= CHECK_MAX)
        return take_check(inner, error);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE,
                "check of a layer: deeper than %d or longer than %zu bytes", CHECK_DEPTH,
                CHECK_MAX);
    return false;
}

IrekoInner *
ireko_inner_of(const char *path, const IrekoVerdict *verdict)
{
    g_autoptr(IrekoInner) inner = inner_new(path);
    json_t *check = ireko_verdict_json(verdict);
    g_autoptr(GError) why = NULL;
    bool kept = keep_check(inner, check, &why);
    json_decref(check);
    return kept ? g_steal_pointer(&inner) : ireko_inner_silent(path, why->message);
}

IrekoInner *
ireko_inner_from_json(const json_t *object, GError **error)
{
    IrekoJsonReader reader = ireko_json_reader(object, "layer");
    g_autofree char *path = ireko_json_text(&reader, "path", PATH_BYTES);
    if (path != NULL && !ireko_text_is_path(path, IREKO_PATH_DEPTH_MAX))
        ireko_json_reader_fail(&reader, "path", "a machine's path");
    g_autofree char *message = ireko_json_text_or_null(&reader, "message", TEXT_MAX);
    if (!ireko_json_reader_end(&reader, error))
        return NULL;
    if (message != NULL)
        return ireko_inner_silent(path, message);
    if (json_is_true(json_object_get(object, "asked")))
        return ireko_inner_asked(path);
    g_autoptr(IrekoInner) inner = inner_new(path);
    return keep_check(inner, object, error) ? g_steal_pointer(&inner) : NULL;
}

json_t *
ireko_inner_to_json(const IrekoInner *inner)
{
    json_t *object = json_pack("{s:s*, s:s, s:i, s:s?}", "lab", inner->lab, "path", inner->path,
                               "level", (int)inner->level, "message", inner->message);
    if (inner->asked)
        (void)json_object_set_new(object, "asked", json_true());
    if (inner->check != NULL)
        (void)json_object_update(object, inner->check);
    else
        (void)json_object_set_new(object, "verdict", json_null());
    return object;
}

/* A machine before its guests, and these before its neighbours. */
static int
compare_paths(const char *a, const char *b)
{
    while (*a == *b && *a != '\0')
        a++, b++;
    int x = *a == '/' ? 1 : (unsigned char)*a, y = *b == '/' ? 1 : (unsigned char)*b;
    return x - y;
}

static int
compare(const void *a, const void *b)
{
    const IrekoInner *x = *(const IrekoInner *const *)a, *y = *(const IrekoInner *const *)b;
    int labs = g_strcmp0(x->lab, y->lab);
    return labs != 0 ? labs : compare_paths(x->path, y->path);
}

void
ireko_verdict_add_inner(IrekoVerdict *verdict, IrekoInner *inner)
{
    g_ptr_array_add(verdict->inner, inner);
    g_ptr_array_sort(verdict->inner, compare);
}
