/* convert/extras.h - devices of a .vmx that ireko's own machines have not, and so lib/machine does
 * not keep. A value that cannot be meant is as if it were absent. Private to convert. */
#pragma once

#include "convert/parts.h"

G_BEGIN_DECLS

#define IREKO_FLOPPIES  2
#define IREKO_PARALLELS 3
#define IREKO_FOLDERS   16 /* shared folders that are looked for */

typedef enum { SOUND_NONE, SOUND_ES1371, SOUND_HDA, SOUND_SB16 } Sound;

Sound
ireko_extra_sound(const Account *account);

/* Whether there is the floppy drive DEVICE; RET_FILE is NULL where it is empty. */
bool
ireko_extra_floppy(const Account *account, const char *device, const char **ret_file);

/* Whether there is the parallel port DEVICE; RET_FILE is NULL where nothing is behind it. */
bool
ireko_extra_parallel(const Account *account, const char *device, const char **ret_file);

typedef struct {
    const char *path, *name; /* on the host, in the guest */
    bool writable;
} Folder;

/* Whether there is the shared folder DEVICE, and it is enabled. */
bool
ireko_extra_folder(const Account *account, const char *device, Folder *ret_folder);

/* Says of a folder's keys what they have in common. */
void
ireko_extra_say_folder(Account *account, const char *device, const Folder *folder, const char *how);

/* The number of bytes of svga.vramSize, 0 where it is absent or not from 1 MiB to MOST. */
unsigned
ireko_extra_vram(const Account *account, unsigned most);

/* The other end of a serial port that is a network connection. */
typedef struct {
    bool telnet;
    char *host; /* NULL: every one */
    unsigned port;
} Remote;

/* Reads "telnet://host:7001", "tcp://:7001", "host:7001"; false where there is no port. HOST is to
 * be freed with g_free. */
bool
ireko_extra_remote(const char *uri, Remote *ret_remote);

/* Whether DEVICE.ATTR says "client". */
bool
ireko_extra_is_client(const Account *account, const char *device, const char *attr);

/* Says of the address keys of the card DEVICE which of them is MAC, and that WORDS carry it. */
void
ireko_extra_say_mac(Account *account, const char *device, const char *mac, const char *words);

G_END_DECLS
