/* engine/process.h - the process behind a machine: started so that it outlives ireko, found again
 * by a later one. The folder it works in is described in engine.h. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/fd.h"

#define IREKO_PROCESS_LINKS 10 /* as many as a machine has cards */

/* What the process finds open, besides stdin (/dev/null), stdout and stderr (the log). The sockets
 * listen already: whoever connects waits for the process in their queue. */
enum {
    IREKO_PROCESS_FD_PID = 3, /* holds the lock; not to be touched */
    IREKO_PROCESS_FD_CONTROL, /* "qmp" */
    IREKO_PROCESS_FD_CONSOLE,
    IREKO_PROCESS_FD_AGENT,                            /* agent.0, and so on */
    IREKO_PROCESS_FD_DIR = IREKO_PROCESS_FD_AGENT + 4, /* the folder: /proc/self/fd/10/NAME */
    IREKO_PROCESS_FD_RAM,   /* the machine's memory, a file; where it has one */
    IREKO_PROCESS_FD_STATE, /* the state that it begins with; where it has one */
    IREKO_PROCESS_FD_LINK,  /* what ethernet0 is plugged into, and so on; where it is */
    IREKO_PROCESS_FD_END = IREKO_PROCESS_FD_LINK + IREKO_PROCESS_LINKS,
};

#define IREKO_PROCESS_RAM "/proc/self/fd/11" /* as the process can name it */

/* What a process is given besides, the caller's; -1: nothing. */
typedef struct {
    int ram_fd;
    int state_fd;
    const int *link_fds; /* IREKO_PROCESS_LINKS of them; NULL: none */
} IrekoProcessGift;

#define IREKO_PROCESS_DIR "/proc/self/fd/10" /* the folder, as the process can name it */

typedef struct IrekoProcess IrekoProcess;

/* Takes the lock of the folder DIR_FD, so that nobody else starts a machine there, and clears away
 * what a dead one left. Returns the lock's fd, or -1: IREKO_ERROR_STATE where a machine runs there.
 */
int
ireko_process_claim(int dir_fd, GError **error);

/* Starts ARGV (its program is looked for in PATH) in the folder DIR_FD, claimed by LOCK_FD, which
 * it owns from here; TMPDIR is that folder, named DIR; GIFT goes with it. Returns once the program
 * was executed, or NULL: IREKO_ERROR_NOT_FOUND where there is no such program, IREKO_ERROR_REMOTE
 * where it ended already. */
IrekoProcess *
ireko_process_start(char **argv,
                    const char *dir,
                    int dir_fd,
                    int lock_fd,
                    const IrekoProcessGift *gift,
                    GError **error);

/* The process that runs in DIR_FD, or NULL with IREKO_ERROR_NOT_FOUND. */
IrekoProcess *
ireko_process_attach(int dir_fd, GError **error);

/* Its number, for what is found in /proc/NUMBER; checked to be its own when it was found. */
pid_t
ireko_process_number(const IrekoProcess *process);

void
ireko_process_free(IrekoProcess *process); /* it runs on; NULL is fine */

bool
ireko_process_is_alive(const IrekoProcess *process);

/* Waits until the process is gone. */
bool
ireko_process_wait(const IrekoProcess *process, IrekoDeadline deadline, GError **error);

/* It is no error when the process is gone. */
bool
ireko_process_signal(const IrekoProcess *process, int signal, GError **error);

/* Removes sockets and pid file from the folder DIR_FD unless a machine runs there. */
void
ireko_process_tidy(int dir_fd);

/* The end of the log in DIR_FD, safe to print; never NULL; free with g_free. */
char *
ireko_process_log_tail(int dir_fd);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoProcess, ireko_process_free)
