/* cli/cmd-switch.c - ireko switch: a network of a running lab; no use anywhere else. */
#include "cli.h"

int
cmd_switch(int argc, char **argv, GError **error)
{
    (void)argc, (void)argv;
    return ireko_lab_serve_switch(error) ? EXIT_DONE : EXIT_NO;
}
