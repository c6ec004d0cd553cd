/* cli/cmd-template-warm.c - ireko template warm|cool: clones made beforehand, and ended. */
#include <jansson.h>
#include <stdio.h>

#include <ireko/template.h>

#include "template.h"

static void
print_json(const char *lab, const GPtrArray *all)
{
    json_t *machines = json_array();
    for (unsigned i = 0; i < all->len; i++) {
        const IrekoSpares *spares = all->pdata[i];
        json_array_append_new(machines, json_pack("{s:s,s:i,s:i}", "path", spares->path, "ready",
                                                  (int)spares->ready, "made", (int)spares->made));
    }
    cli_print_json(
        json_pack("{s:s,s:s,s:o}", "schema", "ireko.spares/1", "lab", lab, "machines", machines));
}

static void
print_lines(const GPtrArray *all, bool dry_run)
{
    for (unsigned i = 0; i < all->len; i++) {
        const IrekoSpares *spares = all->pdata[i];
        if (dry_run)
            (void)printf("%s: %u ready, would make %u\n", spares->path, spares->ready,
                         spares->made);
        else
            (void)printf("%s: %u ready, %u of them made now\n", spares->path, spares->ready,
                         spares->made);
    }
}

int
template_warm(const IrekoHome *home,
              const char *where,
              const TemplateOptions *options,
              GError **error)
{
    g_autoptr(IrekoLab) lab = ireko_lab_load(home, where, error);
    if (lab == NULL)
        return EXIT_NO;
    g_autofree char *program = cli_program();
    const IrekoLabRun run = {.accel = options->accel,
                             .program = program,
                             .cancel_fd = cli_cancel_fd(),
                             .progress = cli_print_step};
    g_autoptr(GPtrArray) all =
        ireko_template_warm(home, lab, &run, (unsigned)options->count, options->dry_run, error);
    if (all == NULL)
        return EXIT_NO;
    if (options->json)
        print_json(ireko_lab_name(lab), all);
    else
        print_lines(all, options->dry_run);
    return EXIT_DONE;
}

static bool
cool_one(const IrekoHome *home, const char *name, bool dry_run, GError **error)
{
    int ended = ireko_template_cool(home, name, dry_run, error);
    if (ended < 0)
        return false;
    (void)printf("%s %d of %s\n", dry_run ? "would end" : "ended", ended, name);
    return true;
}

/* The lab that has spares which WHERE means: its name, or what defines it; free with g_free. */
static char *
find_lab(const IrekoHome *home, char **labs, const char *where, GError **error)
{
    if (g_strv_contains((const char *const *)labs, where))
        return g_strdup(where);
    g_autoptr(IrekoLab) lab = ireko_lab_load(home, where, NULL);
    if (lab != NULL && g_strv_contains((const char *const *)labs, ireko_lab_name(lab)))
        return g_strdup(ireko_lab_name(lab));
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "the lab '%s' has no spares", where);
    return NULL;
}

int
template_cool(const IrekoHome *home, char **where, const TemplateOptions *options, GError **error)
{
    g_auto(GStrv) labs = ireko_template_warm_labs(home);
    for (char **lab = options->all ? labs : where; *lab != NULL; lab++) {
        g_autofree char *name = find_lab(home, labs, *lab, error);
        if (name == NULL || !cool_one(home, name, options->dry_run, error))
            return EXIT_NO;
    }
    return EXIT_DONE;
}
