/* The network of a fake guest: its cards are the descriptors that it was started with, its guests'
 * cards lead on by them over a hub, and all of it can be watched. */
#pragma once

#include "lab/serve.h"

extern const IrekoServerNet fake_net;

/* Begins; FAULT is the word of ireko.fake. */
void
fake_net_start(const char *fault);

/* The card INDEX is plugged into another end. */
void
fake_net_relinked(unsigned index);
