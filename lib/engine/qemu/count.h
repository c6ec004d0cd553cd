/* engine/qemu/count.h - what QEMU counts of a machine that runs, and shows of its registers. */
#pragma once

#include "engine/engine.h"
#include "qmp/qmp.h"

/* As the operations of engine/ops.h. */
GHashTable *
ireko_qemu_count(int control_fd, IrekoDeadline deadline, GError **error);

GArray *
ireko_qemu_registers(int control_fd, IrekoDeadline deadline, GError **error);

/* The numbers of TEXT, which `info jit` printed: "TLB full flushes    12" becomes tlb_full_flushes;
 * pure. */
void
ireko_qemu_read_jit(const char *text, GHashTable *counts);

/* Adds the statistics of ANSWER, which query-stats returned for vCPUs; pure. */
void
ireko_qemu_read_stats(const json_t *answer, GHashTable *counts);

/* The registers in TEXT, which `info registers -a` printed: IrekoRegisters. Of a vCPU that is not
 * told whole there is none; pure. */
GArray *
ireko_qemu_read_registers(const char *text);
