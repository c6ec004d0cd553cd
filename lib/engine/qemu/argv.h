/* engine/qemu/argv.h - a machine as QEMU's command line; pure. */
#pragma once

#include <jansson.h>

#include "engine/engine.h"

/* What the command line takes from the host besides the machine. */
typedef struct {
    const char *program;  /* "qemu-system-x86_64" */
    const char *efi_code; /* OVMF's code; NULL where it is not installed */
    /* NULL: ireko starts it, as process.h says. Else a person does, in a shell: the first serial
     * port is the terminal, with QEMU's monitor behind Ctrl-a c; the accelerator is the best there
     * is, and vhv.enable gives what that one has; the screen is a socket; nothing is inherited, and
     * this is what the names of the machine's own files begin with ("lab/esxi01."). */
    const char *by_hand;
} IrekoQemuHost;

/* QEMU's name or path: IREKO_QEMU of the environment, or Debian's. */
const char *
ireko_qemu_program(void);

/* Where Debian has OVMF's code, and the variables to begin with. */
#define IREKO_QEMU_OVMF_CODE "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define IREKO_QEMU_OVMF_VARS "/usr/share/OVMF/OVMF_VARS_4M.fd"

/* The machine's EFI variables, VNC password and screen: files of its own that the command line
 * names. */
#define IREKO_QEMU_EFI_VARS   "efivars.fd"
#define IREKO_QEMU_VNC_SECRET "vnc.secret"
#define IREKO_QEMU_VNC_SOCKET "vnc"

/* The name of FILE, one of those, for HOST. Free with g_free. */
char *
ireko_qemu_own_file(const IrekoQemuHost *host, const char *file);

/* Whether the machine boots by EFI: a built-in image has an entry of its own and needs no
 * firmware's help. */
bool
ireko_qemu_wants_efi(const IrekoSpec *spec);

/* QEMU's command line for SPEC; free with g_strfreev. NULL: IREKO_ERROR_UNSUPPORTED for what QEMU
 * cannot give, IREKO_ERROR_NOT_FOUND for a disk without a file or for missing firmware. */
char **
ireko_qemu_argv(const IrekoSpec *spec, const IrekoQemuHost *host, GError **error);

/* QEMU's name of a card. */
const char *
ireko_qemu_nic_model(IrekoNicModel model);

/* The parts of it. ARGV gets char *. */

/* Controllers, disks and CD-ROMs. */
bool
ireko_qemu_add_disks(GPtrArray *argv, const IrekoSpec *spec, GError **error);

/* The machine's card NUMBER (of its nics) and what it is plugged into. */
void
ireko_qemu_add_nic(GPtrArray *argv, const IrekoSpec *spec, unsigned number);

/* OPTION and its value. Nothing that comes from a file may be in FORMAT's arguments unless QEMU
 * takes the whole value as it stands: QEMU reads commas. */
void
ireko_qemu_add(GPtrArray *argv, const char *option, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* OPTION and OBJECT, which it takes over, as JSON: no name in it can become an option. */
void
ireko_qemu_add_json(GPtrArray *argv, const char *option, json_t *object);

/* TEXT with its commas doubled, for the values that QEMU takes in no other form. */
char *
ireko_qemu_escape(const char *text);

/* Sets an error and returns false where PATH cannot be told to QEMU. */
bool
ireko_qemu_check_path(const char *path, GError **error);
