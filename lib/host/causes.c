/* host/causes.c - the pages of the causes, from causes.book.
 *
 * The book is text with four kinds of marks, each at the start of a line:
 *
 *   # ...                        a comment, before the first mark only
 *   @platform KEY TITLE          what a section of that key is headed with
 *   @cause CAUSE SUMMARY         a page begins; what follows says what it is
 *   @fix KEY... | NEED...        a section of it: how to mend it there
 *
 * A section's first paragraph is the fix in short, its indented lines are commands. A key without a
 * platform only chooses. The book is part of the program and is read once, at the first question.
 */
#include <string.h>

#include "host/judge.h"

#define INDENT       "    " /* of a command */
#define PAGE_COLUMNS 78

extern const char ireko_causes_book[];
extern const char ireko_causes_book_end[];

typedef struct {
    char *name;
    char *summary;
    GString *page;
    GPtrArray *remedies; /* IrekoRemedy */
} Cause;

typedef struct {
    GPtrArray *causes;
    GPtrArray *names; /* const char *, NULL at the end */
    GHashTable *titles;
} Book;

static const struct {
    const char *need, *words;
} needs_words[] = {
    {"root", "root"},
    {"reboot", "a reboot"},
    {"power-cycle", "powering the machine off and on again"},
    {"owner", "the owner of the layer above"},
};

const char *
ireko_need_words(const char *need)
{
    for (size_t i = 0; i < G_N_ELEMENTS(needs_words); i++) {
        if (strcmp(needs_words[i].need, need) == 0)
            return needs_words[i].words;
    }
    return need;
}

/* "Below Xen, In Amazon EC2" and what it needs, as a heading of the page. */
static void
append_heading(const Book *book, const IrekoRemedy *remedy, GString *page)
{
    g_autoptr(GString) heading = g_string_new(NULL);
    for (size_t i = 0; remedy->keys[i] != NULL; i++) {
        const char *title = g_hash_table_lookup(book->titles, remedy->keys[i]);
        if (title != NULL)
            g_string_append_printf(heading, "%s%s", heading->len > 0 ? "; " : "", title);
    }
    for (size_t i = 0; remedy->needs[i] != NULL; i++)
        g_string_append_printf(heading, "%s%s", i == 0 ? " - needs " : ", ",
                               ireko_need_words(remedy->needs[i]));
    ireko_append_wrapped(page, 0, PAGE_COLUMNS, heading->str);
}

/* TEXT's first paragraph on one line, and its commands. */
static void
read_section(const char *text, IrekoRemedy *remedy)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) first = g_string_new(NULL);
    GPtrArray *commands = g_ptr_array_new();
    bool ended = false;
    for (size_t i = 0; lines[i] != NULL; i++) {
        bool is_command = g_str_has_prefix(lines[i], INDENT);
        ended = ended || is_command || (*lines[i] == '\0' && first->len > 0);
        if (is_command)
            g_ptr_array_add(commands, g_strdup(g_strstrip(lines[i])));
        else if (!ended)
            g_string_append_printf(first, "%s%s", first->len > 0 ? " " : "", lines[i]);
    }
    g_ptr_array_add(commands, NULL);
    remedy->text = g_strdup(first->str);
    remedy->commands = (char **)g_ptr_array_free(commands, FALSE);
}

/* HEAD is what stands behind "@fix", BODY the lines below it. */
static void
add_remedy(const Book *book, Cause *cause, const char *head, const char *body)
{
    g_auto(GStrv) halves = g_strsplit(head, "|", 2);
    IrekoRemedy *remedy = g_new0(IrekoRemedy, 1);
    remedy->keys = g_strsplit(g_strstrip(halves[0]), " ", -1);
    remedy->needs = halves[1] != NULL && *g_strstrip(halves[1]) != '\0'
                        ? g_strsplit(halves[1], " ", -1)
                        : g_new0(char *, 1);
    read_section(body, remedy);
    g_ptr_array_add(cause->remedies, remedy);

    g_string_append_c(cause->page, '\n');
    append_heading(book, remedy, cause->page);
    g_auto(GStrv) lines = g_strsplit(body, "\n", -1);
    for (size_t i = 0; lines[i] != NULL; i++) {
        if (*lines[i] != '\0')
            g_string_append_printf(cause->page, "  %s\n", lines[i]);
        else if (lines[i + 1] != NULL)
            g_string_append_c(cause->page, '\n');
    }
}

static Cause *
add_cause(Book *book, const char *head, const char *body)
{
    Cause *cause = g_new0(Cause, 1);
    const char *blank = strchr(head, ' ');
    cause->name = g_strndup(head, (gsize)(blank - head));
    cause->summary = g_strdup(blank + 1);
    cause->page = g_string_new(NULL);
    cause->remedies = g_ptr_array_new();
    g_string_printf(cause->page, "%s: %s\n\n%s\n", cause->name, cause->summary, body);
    g_ptr_array_add(book->causes, cause);
    g_ptr_array_add(book->names, cause->name);
    return cause;
}

/* One part of the book: a mark's line, and the lines below it. */
static void
add_part(Book *book, const char *part)
{
    g_auto(GStrv) halves = g_strsplit(part, "\n", 2);
    const char *body = halves[1] != NULL ? g_strstrip(halves[1]) : "";
    char *words = strchr(halves[0], ' ');
    *words++ = '\0';
    if (strcmp(halves[0], "platform") == 0) {
        char *title = strchr(words, ' ');
        *title++ = '\0';
        g_hash_table_insert(book->titles, g_strdup(words), g_strdup(title));
    } else if (strcmp(halves[0], "cause") == 0) {
        (void)add_cause(book, words, body);
    } else {
        add_remedy(book, book->causes->pdata[book->causes->len - 1], words, body);
    }
}

static void *
read_book(void *data)
{
    (void)data;
    Book *book = g_new0(Book, 1);
    book->causes = g_ptr_array_new();
    book->names = g_ptr_array_new();
    book->titles = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *text =
        g_strndup(ireko_causes_book, (gsize)(ireko_causes_book_end - ireko_causes_book));
    g_auto(GStrv) parts = g_strsplit(text, "\n@", -1);
    for (size_t i = 1; parts[i] != NULL; i++) /* before the first mark there are comments */
        add_part(book, parts[i]);
    g_ptr_array_add(book->names, NULL);
    return book;
}

static const Book *
the_book(void)
{
    static GOnce once = G_ONCE_INIT;
    return g_once(&once, read_book, NULL);
}

static const Cause *
find_cause(const char *name)
{
    const Book *book = the_book();
    for (guint i = 0; i < book->causes->len; i++) {
        const Cause *cause = book->causes->pdata[i];
        if (strcmp(cause->name, name) == 0)
            return cause;
    }
    return NULL;
}

const char *const *
ireko_causes(void)
{
    return (const char *const *)the_book()->names->pdata;
}

const char *
ireko_cause_page(const char *cause)
{
    const Cause *found = find_cause(cause);
    return found != NULL ? found->page->str : NULL;
}

const char *
ireko_cause_summary(const char *cause)
{
    const Cause *found = find_cause(cause);
    return found != NULL ? found->summary : cause;
}

const IrekoRemedy *
ireko_cause_remedy(const char *cause, const char *const *keys)
{
    const Cause *found = find_cause(cause);
    for (size_t k = 0; found != NULL && keys[k] != NULL; k++) {
        for (guint i = 0; i < found->remedies->len; i++) {
            const IrekoRemedy *remedy = found->remedies->pdata[i];
            if (g_strv_contains((const char *const *)remedy->keys, keys[k]))
                return remedy;
        }
    }
    return NULL;
}
