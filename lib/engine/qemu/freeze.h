/* engine/qemu/freeze.h - a machine of QEMU's stopped at one moment, and gone on from one. */
#pragma once

#include "engine/engine.h"
#include "qmp/qmp.h"

/* Reads the state that the process was given (process.h) and returns when the vCPUs run. */
bool
ireko_qemu_resume(IrekoQmp *qmp, const IrekoFrozen *from, IrekoDeadline deadline, GError **error);

/* The engine's operations (ops.h). */
bool
ireko_qemu_freeze(int control_fd,
                  const IrekoFreeze *freeze,
                  IrekoDeadline deadline,
                  GError **error);

bool
ireko_qemu_check_freeze(int control_fd, IrekoDeadline deadline, GError **error);

bool
ireko_qemu_halt(int control_fd, IrekoDeadline deadline, GError **error);

bool
ireko_qemu_unfreeze(int control_fd, IrekoDeadline deadline, GError **error);

bool
ireko_qemu_open_ram(pid_t number, IrekoRamFiles *ret_files, GError **error);
