/* lab/network/packets.h - frames on the interfaces of the layer that this program runs in
 * (packet(7)). Needs root; for the agent of a built-in image alone. Private to lib/lab. */
#pragma once

#include "lab/network/exchange.h"

extern const IrekoWire ireko_wire_packets;
