/* convert/qemu.c - a machine as the command that starts it on QEMU, for a shell.
 *
 * The command line is the engine's own, the one that `ireko up` runs, in the form that it has for a
 * person (IrekoQemuHost, by_hand). Before it stand the commands that make what it counts on: disks
 * that the .vmx wants made, EFI variables, the file with the VNC password. What is said of the keys
 * is what the machine's notes and the key book say, but for those that are otherwise by hand. */
#include <string.h>

#include <ireko/book.h>

#include "convert/parts.h"
#include "convert/shell.h"
#include "engine/qemu/argv.h"

#define PROGRAM "qemu-system-x86_64"

static bool
is_block(const char *file)
{
    return g_str_has_prefix(file, "/dev/");
}

static GPtrArray *
drives_of(const Account *account)
{
    GPtrArray *drives =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))ireko_drive_free);
    for (unsigned i = 0; i < account->machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(account->machine->disks, i);
        if (disk->file == NULL)
            continue;
        IrekoDrive *drive = g_new0(IrekoDrive, 1);
        drive->disk = disk;
        drive->path = ireko_account_path(account, disk->file);
        drive->format = is_block(disk->file) ? "host_device" : ireko_account_format(disk->file);
        drive->read_only = disk->cdrom;
        g_ptr_array_add(drives, drive);
    }
    return drives;
}

/* ---- what the command counts on ---- */

static void
append_disks(GString *out, Account *account, const GPtrArray *drives)
{
    for (unsigned i = 0; i < drives->len; i++) {
        const IrekoDrive *drive = g_ptr_array_index(drives, i);
        if (drive->disk->create_bytes == 0)
            continue;
        g_autofree char *word = ireko_shell_word(drive->path);
        g_autofree char *key = g_strconcat("ireko.", drive->disk->device, NULL);
        ireko_shell_unless(out, drive->path);
        g_string_append_printf(out, "qemu-img create -q -f %s %s %" G_GUINT64_FORMAT "\n",
                               drive->format, word, drive->disk->create_bytes);
        ireko_account_say(account, key, "size", CARRIED, "qemu-img create, where it is missing");
    }
}

static void
append_own_files(GString *out, const IrekoMachine *machine, const IrekoQemuHost *host)
{
    if (machine->efi) {
        g_autofree char *vars = ireko_qemu_own_file(host, IREKO_QEMU_EFI_VARS);
        g_autofree char *word = ireko_shell_word(vars);
        ireko_shell_unless(out, vars);
        g_string_append_printf(out, "cp " IREKO_QEMU_OVMF_VARS " %s\n", word);
    }
    if (machine->vnc && machine->vnc_password != NULL) {
        g_autofree char *secret = ireko_qemu_own_file(host, IREKO_QEMU_VNC_SECRET);
        g_autofree char *word = ireko_shell_word(secret);
        g_autofree char *password = ireko_shell_word(machine->vnc_password);
        g_string_append_printf(out, "(umask 077; printf %%s %s > %s)\n", password, word);
    }
}

/* ---- the command ---- */

static void
append_command(GString *out, char **argv)
{
    for (char **arg = argv; *arg != NULL; arg++) {
        g_autofree char *word = ireko_shell_word(*arg);
        bool option = arg != argv && **arg == '-';
        g_string_append_printf(out, "%s%s", arg == argv ? "" : option ? " \\\n    " : " ", word);
    }
    g_string_append_c(out, '\n');
}

/* ---- the account ---- */

static void
say_honoured(Account *account, const IrekoConverted *row, const IrekoKeyNote *note)
{
    const IrekoKey *known = ireko_book_find(row->key);
    bool near = known != NULL && known->carry == IREKO_APPROXIMATED;
    const char *words = note->reason != NULL ? note->reason : known != NULL ? known->qemu : NULL;
    ireko_account_say(account, NULL, row->key, near ? APPROXIMATED : CARRIED, "%s",
                      words != NULL ? words : "it is in the command");
}

/* The lab's networks are the lab's: a machine that a person starts is in none. */
static void
say_nic(Account *account, const IrekoNic *nic)
{
    static const char nowhere[] =
        "outside of a lab there is no such network: the card leads nowhere";
    g_autofree char *device = g_strdup_printf("ethernet%u", nic->index);
    if (nic->connection == IREKO_CONNECT_NAT)
        ireko_account_say(account, device, "connectionType", CARRIED, "-netdev user");
    else
        ireko_account_say(account, device, "connectionType", APPROXIMATED, nowhere);
    ireko_account_say(account, device, "vnet", DROPPED, nowhere);
    ireko_account_say(account, device, "networkName", DROPPED, nowhere);
}

static void
say_by_hand(Account *account)
{
    const IrekoMachine *m = account->machine;
    if (m->vhv)
        ireko_account_say(account, "vhv", "enable", CARRIED,
                          "-cpu max: the host's vmx or svm on KVM, svm in software");
    if (m->svga)
        ireko_account_say(account, "svga", "present", CARRIED,
                          "-device vmware-svga; the screen is a VNC socket beside the .vmx");
    bool hpet = ireko_account_flag(account, "hpet0", "present", true);
    ireko_account_say(account, "hpet0", "present", hpet ? CARRIED : DROPPED,
                      "QEMU's pc board has an HPET");
    for (unsigned i = 0; i < m->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(m->disks, i);
        ireko_account_say(account, disk->device, "fileName", CARRIED,
                          disk->file != NULL ? "-blockdev, of the format that the name says"
                                             : "an empty drive");
    }
    for (unsigned i = 0; i < m->nics->len; i++)
        say_nic(account, g_ptr_array_index(m->nics, i));
    ireko_account_say(account, "serial0", "present", CARRIED, "-chardev stdio: the terminal");
    ireko_account_say(account, NULL, "ireko.image", DROPPED,
                      "a built-in image is ireko's own: the machine boots from its disks");
}

static void
say_all(Account *account)
{
    for (size_t i = 0; i < account->rows->len; i++) {
        const IrekoConverted *row = g_ptr_array_index(account->rows, i);
        const IrekoKeyNote *note = g_ptr_array_index(account->machine->notes, i);
        if (note->status == IREKO_KEY_HONOURED)
            say_honoured(account, row, note);
        else if (note->status == IREKO_KEY_UNSUPPORTED)
            ireko_account_say(account, NULL, row->key, DROPPED, "%s", note->reason);
    }
    say_by_hand(account);
}

/* ---- the whole ---- */

char *
ireko_convert_to_qemu(Account *account, GError **error)
{
    IrekoMachine machine = *account->machine; /* as it is without ireko's own image */
    g_autoptr(GPtrArray) drives = drives_of(account);
    g_autofree char *folder = g_path_get_dirname(machine.file);
    g_autofree char *own = g_strdup_printf("%s/%s.", folder, machine.name);
    machine.svga = ireko_account_flag(account, "svga", "present", true);
    IrekoSpec spec = {.machine = &machine, .id = machine.name, .drives = drives};
    IrekoQemuHost host = {.program = PROGRAM, .efi_code = IREKO_QEMU_OVMF_CODE, .by_hand = own};
    g_auto(GStrv) argv = ireko_qemu_argv(&spec, &host, error);
    if (argv == NULL)
        return NULL;

    say_all(account);
    GString *out = g_string_new(NULL);
    g_string_append_printf(out,
                           "# %s. This terminal is its first serial port; Ctrl-a c is QEMU's "
                           "monitor.\n",
                           machine.name);
    append_disks(out, account, drives);
    append_own_files(out, &machine, &host);
    append_command(out, argv);
    return g_string_free(out, FALSE);
}
