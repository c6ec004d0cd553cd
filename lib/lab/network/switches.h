/* lab/network/switches.h - the lab's switches on L0: a process for each network. Private to
 * lib/lab.
 *
 *     RUN/NAME/.net/NETWORK/     a folder as engine/process.h describes it, of the switch's
 * process; in it also ports                  the socket that cards are plugged into (lan/switch.h)
 */
#pragma once

#include <jansson.h>

#include "base/fd.h"
#include "lab/tree.h"

G_BEGIN_DECLS

/* Starts the switch of each network that the machines NODES of L0 are on where it does not run.
 * FOLDER is RUN/NAME, PROGRAM this ireko, LAB its name for process lists. */
bool
ireko_switches_start(const char *folder,
                     const char *program,
                     const char *lab,
                     const GPtrArray *nodes,
                     GError **error);

/* A port of the switch of NETWORK for the card INDEX of the machine PATH: a descriptor, -1 with
 * IREKO_ERROR_STATE where the switch does not run. */
int
ireko_switch_plug(
    const char *folder, const char *network, const char *path, unsigned index, GError **error);

/* What the switch of NETWORK knows (lan/switch.h): a new reference, NULL where it does not say. */
json_t *
ireko_switch_status(const char *folder, const char *network, GError **error);

/* What STATUS (NULL: nothing) says of the port of that card; NULL where there is none. */
const json_t *
ireko_switch_port(const json_t *status, const char *path, unsigned index);

/* Ends every switch below FOLDER. */
bool
ireko_switches_end(const char *folder, GError **error);

G_END_DECLS
