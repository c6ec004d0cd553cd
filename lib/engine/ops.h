/* engine/ops.h - what an engine is made of. Only engine.c calls this table. Every engine runs a
 * machine as one process in the manner of process.h, so that finding, ending and connecting are
 * common to all; what differs stands here. */
#pragma once

#include "engine/engine.h"
#include "engine/process.h"

struct IrekoEngine {
    const char *name;
    bool boots_images; /* as ireko_engine_boots_images */

    /* As ireko_engine_probe; RET_VERSION is never NULL. */
    bool (*probe)(char **ret_version, GError **error);

    /* As ireko_engine_identity. */
    char *(*identity)(void);

    /* As ireko_engine_plan. */
    char **(*plan)(const IrekoSpec *spec, GError **error);

    /* Puts what the plan counts on into the claimed folder DIR_FD. NULL: nothing is needed. */
    bool (*prepare)(const IrekoSpec *spec, int dir_fd, GError **error);

    /* Talks over CONTROL_FD, a connection to the control socket that it owns, until the machine of
     * SPEC runs. */
    bool (*await)(int control_fd,
                  const IrekoSpec *spec,
                  IrekoDeadline deadline,
                  int cancel_fd,
                  GError **error);

    /* As ireko_vm_freeze, over CONTROL_FD, which it owns. NULL: the engine cannot. */
    bool (*freeze)(int control_fd,
                   const IrekoFreeze *freeze,
                   IrekoDeadline deadline,
                   GError **error);

    /* As ireko_vm_check_freeze, ireko_vm_halt and ireko_vm_unfreeze, over CONTROL_FD, which they
     * own; there where FREEZE is. */
    bool (*check_freeze)(int control_fd, IrekoDeadline deadline, GError **error);
    bool (*halt)(int control_fd, IrekoDeadline deadline, GError **error);
    bool (*unfreeze)(int control_fd, IrekoDeadline deadline, GError **error);

    /* Where the process NUMBER has the machine's memory, as ireko_vm_open_ram; NULL: nowhere. */
    bool (*open_ram)(pid_t number, IrekoRamFiles *ret_files, GError **error);

    /* As ireko_vm_count and ireko_vm_registers, over CONTROL_FD, which they own. NULL: the engine
     * cannot. */
    GHashTable *(*count)(int control_fd, IrekoDeadline deadline, GError **error);
    GArray *(*registers)(int control_fd, IrekoDeadline deadline, GError **error);

    /* As ireko_vm_relink, over CONTROL_FD, which it owns. */
    bool (*relink)(
        int control_fd, unsigned index, int link_fd, IrekoDeadline deadline, GError **error);

    /* Presses the power button. */
    bool (*press_power)(const IrekoProcess *process, int dir_fd, GError **error);

    /* Sets the error that WORDS, the end of a dead process's log, stand for. NULL: the words say it
     * themselves. */
    void (*explain)(const char *words, GError **error);
};
