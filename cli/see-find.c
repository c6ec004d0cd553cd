/* cli/see-find.c - ireko see --find: control blocks and the guests that they make, as a tree. */
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "see.h"

enum { COLUMN_WHAT, COLUMN_AT, COLUMN_TRUST, COLUMN_RIP, COLUMN_EXIT };

#define MIB ((double)(1 << 20))

/* What is put under the line LINE. */
typedef struct {
    struct libscols_table *table;
    const IrekoSeeFound *found;
} Tree;

static const char *
trust_words(const IrekoSeeControl *control)
{
    if (control->doubt != NULL)
        return control->doubt;
    return strcmp(control->trust, "run") == 0 ? "ran last" : control->trust;
}

static void
add_control(const Tree *tree, struct libscols_line *parent, const IrekoSeeControl *control)
{
    struct libscols_line *line = scols_table_new_line(tree->table, parent);
    g_autofree char *what =
        g_strdup_printf("%s%s", control->kind, control->shadow ? ", shadow" : "");
    g_autofree char *at = g_strdup_printf("%" PRIx64, control->gpa);
    g_autofree char *rip = g_strdup_printf("%" PRIx64, control->rip);
    g_autofree char *number = g_strdup_printf("%" PRIx64 "h", control->exit_code);
    (void)scols_line_set_data(line, COLUMN_WHAT, what);
    (void)scols_line_set_data(line, COLUMN_AT, at);
    (void)scols_line_set_data(line, COLUMN_TRUST, trust_words(control));
    (void)scols_line_set_data(line, COLUMN_RIP, rip);
    (void)scols_line_set_data(line, COLUMN_EXIT,
                              control->exit_name != NULL ? control->exit_name : number);
}

/* The guests inside PARENT, each with its control blocks. */
static void
add_guests(const Tree *tree, struct libscols_line *above, unsigned parent)
{
    for (guint i = 0; i < tree->found->guests->len; i++) {
        const IrekoSeeGuest *guest = g_ptr_array_index(tree->found->guests, i);
        if (guest->parent != parent)
            continue;
        struct libscols_line *line = scols_table_new_line(tree->table, above);
        const char *slash = guest->path != NULL ? strrchr(guest->path, '/') : NULL;
        g_autofree char *what = g_strdup_printf("L%u guest %u%s%s", guest->level, guest->number,
                                                guest->path != NULL ? " " : "",
                                                slash != NULL         ? slash + 1
                                                : guest->path != NULL ? guest->path
                                                                      : "");
        g_autofree char *size = g_strdup_printf("%.0f MiB", (double)guest->bytes / MIB);
        (void)scols_line_set_data(line, COLUMN_WHAT, what);
        (void)scols_line_set_data(line, COLUMN_TRUST, size);
        (void)scols_cell_set_color(scols_line_get_cell(line, COLUMN_WHAT), "bold");
        for (guint k = 0; k < tree->found->controls->len; k++) {
            const IrekoSeeControl *control = g_ptr_array_index(tree->found->controls, k);
            if (control->guest == guest->number)
                add_control(tree, line, control);
        }
        add_guests(tree, line, guest->number);
    }
}

static void
print_text(const IrekoSeeFound *found)
{
    unsigned width = cli_width(STDOUT_FILENO);
    struct libscols_table *table = cli_table_new(cli_is_terminal(STDOUT_FILENO), width);
    const Tree tree = {.table = table, .found = found};
    (void)scols_table_new_column(table, "FOUND", 0, SCOLS_FL_TREE);
    (void)scols_table_new_column(table, "AT (L1)", 0, SCOLS_FL_RIGHT);
    (void)scols_table_new_column(table, "TRUST", 0, 0);
    (void)scols_table_new_column(table, "RIP", 0, SCOLS_FL_RIGHT);
    (void)scols_table_new_column(table, "LAST EXIT", 0, 0);
    struct libscols_line *top = scols_table_new_line(table, NULL);
    g_autofree char *title = g_strdup_printf("L1 %s", found->name);
    (void)scols_line_set_data(top, COLUMN_WHAT, title);
    add_guests(&tree, top, 0);
    for (guint i = 0; i < found->controls->len; i++) {
        const IrekoSeeControl *control = g_ptr_array_index(found->controls, i);
        if (control->guest == 0)
            add_control(&tree, top, control);
    }
    g_autofree char *text = cli_table_to_text(table);
    scols_unref_table(table);
    (void)puts(text);
    (void)printf("\n%u control blocks, %u guests in %.0f MiB of memory, in %.0f ms.%s\n",
                 found->controls->len, found->guests->len, (double)found->bytes / MIB,
                 (double)found->took_us / 1000,
                 found->cut ? " There were more than are looked at." : "");
}

int
see_find(const IrekoHome *home,
         const IrekoSeeOrder *order,
         const SeeOptions *options,
         GError **error)
{
    g_autoptr(IrekoSeeFound) found = ireko_see_find(home, order, error);
    if (found == NULL)
        return EXIT_NO;
    if (options->json) {
        g_autofree char *text = ireko_see_found_to_json(found);
        (void)puts(text);
    } else {
        print_text(found);
    }
    return EXIT_DONE;
}
