/* cli/cmd-agent.c - ireko agent: what the guest images run; no use anywhere else. */
#include "cli.h"

int
cmd_agent(int argc, char **argv, GError **error)
{
    (void)argc, (void)argv;
    return ireko_lab_serve_agent(IREKO_VERSION, error) ? EXIT_DONE : EXIT_NO;
}
