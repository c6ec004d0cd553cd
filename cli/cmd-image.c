/* cli/cmd-image.c - ireko image build|list. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include <ireko/image.h>

#include "cli.h"

typedef struct {
    bool live;  /* a terminal: a count is written over the one before */
    bool open;  /* the last line has no end yet */
    char *step; /* elsewhere: the last step that has its line */
} Lines;

static void
print_step(void *data, const char *step, unsigned done, unsigned total)
{
    Lines *lines = data;
    if (lines->live && total > 0)
        (void)fprintf(stderr, "\r\033[K%s: %u of %u", step, done, total);
    else if (g_strcmp0(lines->step, step) != 0)
        (void)fprintf(stderr, "%s%s\n", lines->open ? "\n" : "", step);
    g_free(lines->step);
    lines->step = g_strdup(step);
    lines->open = lines->live && total > 0;
}

static int
build(const IrekoHome *home, bool fresh, bool dry_run, GError **error)
{
    g_autofree char *program = cli_program();
    Lines lines = {.live = cli_is_terminal(2)};
    const IrekoImageBuild order = {
        .home = home->cache,
        .program = program,
        .fresh = fresh,
        .dry_run = dry_run,
        .cancel_fd = cli_cancel_fd(),
        .progress = print_step,
        .data = &lines,
    };
    bool built = ireko_image_build(&order, error);
    g_free(lines.step);
    if (lines.open)
        (void)fputc('\n', stderr);
    return built ? EXIT_DONE : EXIT_NO;
}

static void
print_json(const GPtrArray *images)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < images->len; i++) {
        const IrekoImage *image = images->pdata[i];
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:s}", "name", image->name, "hash",
                                              image->hash, "kernel", image->kernel, "initrd",
                                              image->initrd, "root", image->root));
    }
    cli_print_json(json_pack("{s:s,s:o}", "schema", "ireko.images/1", "images", list));
}

static int
list(const IrekoHome *home, bool json)
{
    g_autoptr(GPtrArray) images = ireko_image_list(home->cache);
    if (json) {
        print_json(images);
        return EXIT_DONE;
    }
    if (images->len == 0)
        (void)fprintf(stderr, "no images yet: 'ireko image build' makes them\n");
    for (unsigned i = 0; i < images->len; i++) {
        const IrekoImage *image = images->pdata[i];
        (void)printf("%-10s %.12s  %s\n", image->name, image->hash, image->root);
    }
    return EXIT_DONE;
}

int
cmd_image(int argc, char **argv, GError **error)
{
    gboolean fresh = FALSE, dry_run = FALSE, json = FALSE;
    const GOptionEntry entries[] = {
        {"fresh", 0, 0, G_OPTION_ARG_NONE, &fresh, "build: take newer Debian packages", NULL},
        {"dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "build: say what would be done", NULL},
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "list: as ireko.images/1", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){1, 1}, &status, error))
        return status;
    g_autoptr(IrekoHome) home = ireko_home_new();
    bool is_build = strcmp(argv[1], "build") == 0;
    if (is_build ? json : fresh || dry_run) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "--fresh and --dry-run go with 'build', --json with 'list'");
        return EXIT_USAGE;
    }
    if (is_build)
        return build(home, fresh, dry_run, error);
    if (strcmp(argv[1], "list") == 0)
        return list(home, json);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "image knows build and list, not '%s'",
                argv[1]);
    return EXIT_USAGE;
}
