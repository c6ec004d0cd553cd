/* lab/clone/hand-on.c - the identities of a layer's guests: each handed its words, all at once. */
#include <string.h>

#include "agent/agent.h"
#include "base/text.h"
#include "engine/engine.h"
#include "lab/clone/identity.h"
#include "lab/layer.h"

#define ADOPT_MS 60000 /* for a guest to answer: L0 does not wait longer */

/* A talk with the agent of a guest, and the channel that it holds. */
typedef struct {
    IrekoAgent *agent;
    int hold;
    bool used; /* by a guest that has not answered yet */
} Line;

static void
free_line(void *data)
{
    Line *line = data;
    if (line == NULL)
        return;
    ireko_agent_free(line->agent);
    ireko_fd_close(&line->hold);
    g_free(line);
}

/* A guest that is handed its part. */
typedef struct {
    char *name;
    char *words;        /* for it and what is inside it */
    const char *folder; /* of all guests */
    Line *line;         /* NULL: none is open */
    bool kept;          /* the lines own it */
    char *answer;       /* or NULL with */
    GError *error;
} Guest;

static void
guest_clear(void *data)
{
    Guest *guest = data;
    g_free(guest->name);
    g_free(guest->words);
    g_free(guest->answer);
    if (!guest->kept)
        free_line(guest->line);
    g_clear_error(&guest->error);
}

static Line *
open_line(const Guest *guest, IrekoDeadline deadline, GError **error)
{
    g_autofree char *folder = g_build_filename(guest->folder, guest->name, NULL);
    IREKO_AUTOFD hold = -1;
    int fd = ireko_port_connect(ireko_engine_chosen(), folder, &hold, error);
    IrekoAgent *agent = fd >= 0 ? ireko_agent_hello(fd, NULL, deadline, -1, error) : NULL;
    if (agent == NULL)
        return NULL;
    Line *line = g_new(Line, 1);
    *line = (Line){.agent = agent, .hold = ireko_fd_steal(&hold)};
    return line;
}

static void *
run_guest(void *data)
{
    Guest *guest = data;
    IrekoDeadline deadline = ireko_deadline_in_ms(ADOPT_MS);
    if (guest->line == NULL)
        guest->line = open_line(guest, deadline, &guest->error);
    if (guest->line == NULL)
        return NULL;
    g_autofree char *order = ireko_identity_order_at(g_get_real_time(), guest->words);
    guest->answer = ireko_agent_identity(guest->line->agent, order, deadline, &guest->error);
    return NULL;
}

/* ---- whose words they are ---- */

/* Behind the words of the machine that TEXT begins with; NULL where they are not all there. */
static const char *
skip_machine(const char *text)
{
    for (unsigned i = 0; i < IREKO_IDENTITY_WORDS; i++) {
        if (*text != ' ')
            return NULL;
        text = strchrnul(text + 1, ' ');
    }
    return text;
}

/* Whether the words TEXT are of a machine inside the one whose path is the LEN bytes PATH. */
static bool
is_inside(const char *text, const char *path, size_t len)
{
    return *text == ' ' && strncmp(text + 1, path, len) == 0 && text[1 + len] == '/';
}

/* Takes the words of one guest of the machine PATH, and of what is inside it, off *AT. */
static bool
take_guest(const char **at, const char *path, Guest *guest)
{
    const char *words = *at, *own = words + 1;
    if (!is_inside(words, path, strlen(path)))
        return false;
    size_t len = (size_t)(strchrnul(own, ' ') - own);
    const char *name = own + strlen(path) + 1;
    guest->name = ireko_text_copy(name, (size_t)(own + len - name));
    const char *end = ireko_text_is_name(guest->name) ? skip_machine(words) : NULL;
    while (end != NULL && is_inside(end, own, len))
        end = skip_machine(end);
    if (end == NULL)
        return false;
    guest->words = ireko_text_copy(words, (size_t)(end - words));
    *at = end;
    return true;
}

/* The guests (Guest) that WORDS are for. */
static GArray *
guests_of(const char *words, const char *path, const char *folder, GError **error)
{
    g_autoptr(GArray) guests = g_array_new(FALSE, TRUE, sizeof(Guest));
    g_array_set_clear_func(guests, guest_clear);
    for (const char *at = words; *at != '\0';) {
        Guest guest = {.folder = folder};
        bool ok = guests->len < IREKO_TREE_MACHINES_MAX && take_guest(&at, path, &guest);
        g_array_append_val(guests, guest);
        if (ok)
            continue;
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "identity: the words for the guests of '%s' cannot be read", path);
        return NULL;
    }
    return g_steal_pointer(&guests);
}

/* ---- the whole ---- */

/* The line to GUEST is in use until that has answered: a name may come twice. */
static void
take_line(GHashTable *lines, Guest *guest)
{
    Line *line = g_hash_table_lookup(lines, guest->name);
    if (line == NULL || line->used)
        return;
    line->used = true;
    guest->line = line;
    guest->kept = true;
}

/* One that did not answer is no longer to be trusted. */
static void
keep_line(GHashTable *lines, Guest *guest)
{
    bool answered = guest->answer != NULL;
    if (guest->kept && answered)
        guest->line->used = false;
    else if (guest->kept)
        (void)g_hash_table_remove(lines, guest->name);
    else if (answered)
        g_hash_table_replace(lines, g_strdup(guest->name), g_steal_pointer(&guest->line));
}

/* The last one without a thread of its own: most hosts have one guest. */
static void
run_all(GArray *guests)
{
    g_autofree GThread **threads = g_new(GThread *, guests->len);
    for (unsigned i = 0; i < guests->len; i++) {
        Guest *guest = &g_array_index(guests, Guest, i);
        if (i + 1 < guests->len)
            threads[i] = g_thread_new("identity", run_guest, guest);
        else
            (void)run_guest(guest);
    }
    for (unsigned i = 0; i + 1 < guests->len; i++)
        (void)g_thread_join(threads[i]);
}

bool
ireko_identity_hand_on(const char *words,
                       const char *path,
                       const char *folder,
                       GHashTable **lines,
                       GString *answer,
                       GError **error)
{
    if (*lines == NULL)
        *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_line);
    g_autoptr(GArray) guests = guests_of(words, path, folder, error);
    if (guests == NULL)
        return false;
    for (unsigned i = 0; i < guests->len; i++)
        take_line(*lines, &g_array_index(guests, Guest, i));
    run_all(guests);
    Guest *silent = NULL;
    for (unsigned i = 0; i < guests->len; i++) {
        Guest *guest = &g_array_index(guests, Guest, i);
        keep_line(*lines, guest);
        if (guest->answer != NULL)
            g_string_append(answer, guest->answer);
        else if (silent == NULL)
            silent = guest;
    }
    if (silent != NULL)
        g_propagate_error(error, g_steal_pointer(&silent->error));
    return silent == NULL;
}
