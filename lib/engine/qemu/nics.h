/* engine/qemu/nics.h - cards of a machine that runs. */
#pragma once

#include "base/fd.h"

/* As ireko_vm_relink, over the control socket CONTROL_FD, which it owns. */
bool
ireko_qemu_relink(
    int control_fd, unsigned index, int link_fd, IrekoDeadline deadline, GError **error);
