/* bad-talk.h - an agent that does everything wrong. */
#pragma once

#include <stdbool.h>

/* Has the talk on FD of the machine OWN_PATH as FAULT, a value of ireko.fake, says, to its end;
 * false where that says nothing of talks. */
bool
bad_talk(const char *fault, int fd, const char *own_path);
