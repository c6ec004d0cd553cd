/* cli/cmd-exits.c - ireko exits: what `ireko see --exits` runs inside each layer; no use elsewhere.
 */
#include <unistd.h>

#include <ireko/see.h>

#include "cli.h"

#define EVERY_LEAST_MS 100
#define EVERY_MOST_MS  3600000

int
cmd_exits(int argc, char **argv, GError **error)
{
    int every_ms = 1000, first_ms = 1000;
    const GOptionEntry entries[] = {
        {"every-ms", 0, 0, G_OPTION_ARG_INT, &every_ms, "how often it is told", "N"},
        {"first-ms", 0, 0, G_OPTION_ARG_INT, &first_ms, "and when first", "N"},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, entries, (const int[]){0, 0}, &status, error))
        return status;
    unsigned every = (unsigned)CLAMP(every_ms, EVERY_LEAST_MS, EVERY_MOST_MS);
    unsigned first = (unsigned)CLAMP(first_ms, EVERY_LEAST_MS, EVERY_MOST_MS);
    return ireko_see_serve_exits(first, every, STDOUT_FILENO, cli_cancel_fd(), error) ? EXIT_DONE
                                                                                      : EXIT_NO;
}
