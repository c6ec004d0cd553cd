/* xray/parts.h - what a chain shows to this module alone. */
#pragma once

#include "xray/chain.h"

/* The outermost machine's memory, and which of it is RAM. */
const IrekoMemory *
ireko_chain_outermost(const IrekoChain *chain, const IrekoRamMap **ret_map);
