/* image/run.h - the programs that a build drives: started by argument vector, never by a shell. */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

typedef void (*ImageLineFunc)(void *data, const char *line);

typedef struct {
    const char *const *argv; /* argv[0] is looked for in PATH */
    const char *package;     /* that has it, for the message when it is missing */
    const char *folder;      /* to run in; NULL: this one */
    int stdin_fd;            /* -1: nothing to read */
    int stdout_fd;           /* -1: to LINE */
    int cancel_fd;           /* -1: none */
    ImageLineFunc line;      /* called for every line of its output; NULL: ignored */
    void *data;
} ImageCommand;

/* Runs COMMAND to its end. False with IREKO_ERROR_NOT_FOUND where the program is missing,
 * IREKO_ERROR_CANCELLED (the program was ended), or IREKO_ERROR_IO with its own last words. */
bool
image_run(const ImageCommand *command, GError **error);

G_END_DECLS
