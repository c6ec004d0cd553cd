/* lan/switch.h - the lab's switch: learns which MAC address is behind which port, as IEEE 802.1D,
 * clause 7 has it, so that frames of guests of guests arrive without promiscuous mode.
 *
 * A port is a connection to a unix socket of the kind SOCK_SEQPACKET: its first message is a label
 * (who is plugged in), which the switch answers with IREKO_SWITCH_ANSWER; each one after that is a
 * frame. QEMU has it as "-netdev dgram" with a descriptor. Nothing here needs a privilege, opens a
 * file or reads more of a frame than its header and, to know addresses, ARP. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lan/lan.h"

G_BEGIN_DECLS

#define IREKO_FRAME_HEADER  14
#define IREKO_FRAME_MAX     (9216 + IREKO_FRAME_HEADER) /* the largest jumbo frame in use */
#define IREKO_SWITCH_PORTS  2560                        /* 256 machines with ten cards each */
#define IREKO_SWITCH_ANSWER "plugged"
#define IREKO_SWITCH_LABEL  1152 /* bytes of a label: a path and a card */

/* ---- the table of addresses; pure ---- */

typedef struct IrekoFdb IrekoFdb;

#define IREKO_FDB_AGE_S    300 /* an address that is silent so long is forgotten: 802.1D's default */
#define IREKO_FDB_MAX      8192 /* addresses; further ones are not learnt, and flooded to */
#define IREKO_FDB_PORT_MAX 1024 /* ... behind one port: a guest cannot push the others' out */

typedef enum {
    IREKO_FDB_DROP = -2, /* no frame, or its addressee is where it came from */
    IREKO_FDB_ALL = -1,  /* to every port but that */
} IrekoFdbWay;           /* or the number of a port */

IrekoFdb *
ireko_fdb_new(void);

void
ireko_fdb_free(IrekoFdb *fdb); /* NULL is fine */

/* Learns the sender of FRAME, which came in by PORT, and says where the frame goes. */
int
ireko_fdb_pass(IrekoFdb *fdb, unsigned port, const uint8_t *frame, size_t len, uint32_t now_s);

/* Forgets what is behind PORT. */
void
ireko_fdb_unplug(IrekoFdb *fdb, unsigned port);

/* Calls FUNC for each address that is remembered; ADDRESS is what it said of itself by ARP, or 0.
 */
void
ireko_fdb_each(const IrekoFdb *fdb,
               uint32_t now_s,
               void (*func)(void *data, const char *mac, unsigned port, uint32_t address),
               void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoFdb, ireko_fdb_free)

/* ---- the process ---- */

/* Serves for ever. PORTS_FD is the listening socket of the ports; who connects to the listening
 * stream socket STATUS_FD is told, as JSON, what the switch knows:
 *     {"ports":[{"label":L,"received":N,"sent":N,"dropped":N}],
 *      "seen":[{"mac":M,"label":L,"address":A}]}
 * Returns where it cannot begin. */
void
ireko_switch_serve(int ports_fd, int status_fd, GError **error);

G_END_DECLS
