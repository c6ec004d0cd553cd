/* cli/cmd-exec.c - ireko exec PATH -- COMMAND, ireko console PATH. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int
cmd_exec(int argc, char **argv, GError **error)
{
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, NULL, (const int[]){2, -1}, &status, error))
        return status;
    char **command = argv + 2;
    if (strcmp(*command, "--") == 0)
        command++;
    if (*command == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                            "usage: ireko exec PATH -- COMMAND...");
        return EXIT_USAGE;
    }
    g_autoptr(IrekoHome) home = ireko_home_new();
    status = ireko_lab_exec(home, argv[1], (const char *const *)command,
                            (const int[]){STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                            cli_cancel_fd(), error);
    return status >= 0 ? status : EXIT_NO;
}

int
cmd_console(int argc, char **argv, GError **error)
{
    int status = EXIT_USAGE;
    if (!cli_parse(&argc, &argv, NULL, (const int[]){1, 1}, &status, error))
        return status;
    g_autoptr(IrekoHome) home = ireko_home_new();
    int fd = ireko_lab_console(home, argv[1], cli_cancel_fd(), error);
    if (fd < 0)
        return EXIT_NO;
    (void)fprintf(stderr, "console of %s: Enter shows a prompt, Ctrl-] leaves\n", argv[1]);
    bool left = cli_attach_terminal(fd, cli_cancel_fd());
    (void)close(fd);
    (void)fprintf(stderr, "\n%s\n", left ? "left; the machine runs on" : "the machine hung up");
    return EXIT_DONE;
}
