/* QEMU's command lines: golden files, one argument a line, in tests/golden. REGENERATE=1 writes
 * them anew; the diff is then to be read. What is golden is also shown to the real QEMU. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ireko/error.h>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/qemu/argv.h"

#define LONG_MS 60000

typedef enum { UNPLANNED, PORTS, TAPS } Net;
typedef enum { TCG, KVM, EMULATED } Accel; /* EMULATED: KVM, on a CPU of TCG's */

typedef struct {
    const char *name; /* of the golden file */
    const char *vmx;
    Accel accel;
    IrekoHv offer;
    bool boot, drop_root;
    Net net; /* what cards are plugged into */
} Row;

static const Row rows[] = {
    {"hypervisor-tcg-svm", "hypervisor", TCG, IREKO_HV_SVM, true, true, UNPLANNED},
    {"hypervisor-kvm-svm", "hypervisor", KVM, IREKO_HV_SVM, true, false, UNPLANNED},
    {"hypervisor-emulated-svm", "hypervisor", EMULATED, IREKO_HV_SVM, true, false, UNPLANNED},
    {"hypervisor-kvm-vmx", "hypervisor", KVM, IREKO_HV_VMX, true, false, UNPLANNED},
    {"hypervisor-nothing-to-offer", "hypervisor", TCG, IREKO_HV_NONE, true, false, UNPLANNED},
    {"hypervisor-own-disk", "hypervisor", TCG, IREKO_HV_SVM, false, false, UNPLANNED},
    {"vhv-off", "vhv-off", TCG, IREKO_HV_SVM, true, false, UNPLANNED},
    {"disks", "disks", TCG, IREKO_HV_SVM, false, false, UNPLANNED},
    {"cards", "cards", TCG, IREKO_HV_SVM, false, false, UNPLANNED},
    {"cards-of-a-lab", "cards", TCG, IREKO_HV_SVM, false, false, PORTS},
    {"cards-of-a-guest", "cards", TCG, IREKO_HV_SVM, false, false, TAPS},
    {"desktop", "desktop", TCG, IREKO_HV_SVM, false, false, UNPLANNED},
    {"desktop-kvm", "desktop", KVM, IREKO_HV_VMX, false, false, UNPLANNED},
    {"image-on-ide", "image-on-ide", TCG, IREKO_HV_SVM, true, false, UNPLANNED},
    {"image-alone", "image-alone", TCG, IREKO_HV_SVM, true, false, UNPLANNED},
};

typedef struct {
    IrekoMachine *machine;
    IrekoBoot boot;
    GPtrArray *drives, *cards;
    char *kernel, *initrd, *root;
    IrekoSpec spec;
} Case;

static char *
golden_path(const char *name, const char *suffix)
{
    const char *folder = g_getenv("IREKO_GOLDEN");
    g_assert_nonnull(folder);
    return g_strdup_printf("%s/%s%s", folder, name, suffix);
}

static const char *
format_of(const char *path)
{
    if (g_str_has_prefix(path, "/dev/"))
        return "host_device";
    return g_str_has_suffix(path, ".vmdk") ? "vmdk" : "raw";
}

/* The disks of the machine, their files in the folder LAB. A boot image stands for the boot disk.
 */
static GPtrArray *
drives_of(const IrekoMachine *machine, const char *lab, bool boot)
{
    GPtrArray *drives = g_ptr_array_new_with_free_func((GDestroyNotify)ireko_drive_free);
    const IrekoDisk *boot_disk = ireko_machine_boot_disk(machine);
    for (unsigned i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (disk->file == NULL || (boot && disk == boot_disk && !disk->cdrom))
            continue;
        IrekoDrive *drive = g_new0(IrekoDrive, 1);
        drive->disk = disk;
        drive->path = g_build_filename(lab, disk->file, NULL);
        drive->format = format_of(disk->file);
        g_ptr_array_add(drives, drive);
    }
    return drives;
}

/* What a lab gives the cards of the machine. */
static GPtrArray *
cards_of(const IrekoMachine *machine)
{
    GPtrArray *cards = g_ptr_array_new_with_free_func((GDestroyNotify)ireko_card_free);
    for (unsigned i = 0; i < machine->nics->len; i++) {
        const IrekoNic *nic = g_ptr_array_index(machine->nics, i);
        bool nat = nic->connection == IREKO_CONNECT_NAT;
        IrekoCard *card = ireko_card_new(nic->index, nat ? IREKO_CARD_NAT : IREKO_CARD_NET,
                                         nat ? NULL : "hostonly");
        if (!nic->start_connected)
            card->link = IREKO_CARD_NONE;
        card->address = 0x0a40100f; /* 10.64.16.15 */
        card->gateway = nat ? 0x0a401002 : 0;
        card->prefix = 20;
        (void)g_snprintf(card->mac, sizeof card->mac, "00:0c:29:00:00:%02x", i);
        g_ptr_array_add(cards, card);
    }
    return cards;
}

static void
case_init(Case *c, const IrekoVmx *doc, const Row *row, const char *lab)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *file = g_strdup_printf("%s/%s.vmx", lab, row->vmx);
    c->machine = ireko_machine_from_vmx(doc, file, &error);
    g_assert_no_error(error);
    c->kernel = g_build_filename(lab, "vmlinux", NULL);
    c->initrd = g_build_filename(lab, "initrd", NULL);
    c->root = g_build_filename(lab, "root.erofs", NULL);
    c->boot = (IrekoBoot){
        .kernel = c->kernel,
        .initrd = c->initrd,
        .root = c->root,
        .root_format = "raw",
        .cmdline = "console=ttyS0 panic=-1 one,two",
    };
    c->drives = drives_of(c->machine, lab, row->boot);
    c->spec = (IrekoSpec){
        .machine = c->machine,
        .id = "lab/one",
        .kvm = row->accel != TCG,
        .emulated = row->accel == EMULATED,
        .offer = row->offer,
        .boot = row->boot ? &c->boot : NULL,
        .drives = c->drives,
        .drop_root = row->drop_root,
        .taps = row->net == TAPS,
    };
    c->cards = row->net != UNPLANNED ? cards_of(c->machine) : NULL;
    c->spec.cards = c->cards;
    for (unsigned i = 0; i < IREKO_NET_CARDS_MAX; i++)
        c->spec.link_fds[i] = -1;
}

static void
case_clear(Case *c)
{
    g_ptr_array_unref(c->drives);
    g_clear_pointer(&c->cards, g_ptr_array_unref);
    for (unsigned i = 0; i < IREKO_NET_CARDS_MAX; i++)
        ireko_fd_close(&c->spec.link_fds[i]);
    ireko_machine_free(c->machine);
    g_free(c->kernel);
    g_free(c->initrd);
    g_free(c->root);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Case, case_clear)

static IrekoVmx *
load(const Row *row)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = golden_path(row->vmx, ".vmx");
    IrekoVmx *doc = ireko_vmx_load(path, &error);
    g_assert_no_error(error);
    return doc;
}

static void
test_no_kernel(void)
{
    const IrekoFrozen frozen = {.ram_fd = -1, .state_fd = -1};
    const IrekoQemuHost host = {.program = "qemu-system-x86_64"};
    g_autoptr(IrekoVmx) doc = load(&rows[0]);
    g_auto(Case) c = {0};
    case_init(&c, doc, &rows[0], "/lab");
    for (unsigned goes_on = 0; goes_on < 2; goes_on++) {
        g_autoptr(GError) error = NULL;
        c.spec.from = goes_on ? &frozen : NULL;
        g_auto(GStrv) argv = ireko_qemu_argv(&c.spec, &host, &error);
        g_assert_no_error(error);
        static const char *const options[] = {"-kernel", "-initrd", "-append"};
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
            g_assert_cmpint(g_strv_contains((const char *const *)argv, options[i]), !=, goes_on);
        g_assert_true(g_strv_contains((const char *const *)argv, "-bios"));
    }
}

static void
test_golden(const void *data)
{
    const Row *row = data;
    g_autoptr(IrekoVmx) doc = load(row);
    g_auto(Case) c = {0};
    case_init(&c, doc, row, "/lab");

    g_autoptr(GError) error = NULL;
    IrekoQemuHost host = {.program = "qemu-system-x86_64", .efi_code = "/ovmf/code.fd"};
    g_auto(GStrv) argv = ireko_qemu_argv(&c.spec, &host, &error);
    g_assert_no_error(error);
    g_autofree char *lines = g_strjoinv("\n", argv);
    g_autofree char *got = g_strconcat(lines, "\n", NULL);

    g_autofree char *path = golden_path(row->name, ".argv");
    if (g_getenv("REGENERATE") != NULL)
        g_assert_true(g_file_set_contents(path, got, -1, NULL));
    g_autofree char *want = ireko_file_read(AT_FDCWD, path, 1 << 20, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got, ==, want);
}

/* ---- what cannot be carried ---- */

static const struct {
    const char *label;
    const char *vmx;
    int code;
    const char *says;
} refused[] = {
    {"a target that lsilogic has not",
     "scsi0.present = \"TRUE\"\nscsi0:9.present = \"TRUE\"\nscsi0:9.fileName = \"a.vmdk\"\n",
     IREKO_ERROR_UNSUPPORTED, "scsi0:9: QEMU's lsi53c895a has the places scsi0:0 to scsi3:6"},
    {"a port that AHCI has not",
     "sata0.present = \"TRUE\"\nsata0:6.present = \"TRUE\"\nsata0:6.fileName = \"a.vmdk\"\n",
     IREKO_ERROR_UNSUPPORTED, "sata3:5"},
    {"a serial port's file outside",
     "serial1.present = \"TRUE\"\nserial1.fileType = \"file\"\nserial1.fileName = \"/etc/motd\"\n",
     IREKO_ERROR_UNSUPPORTED, "outside the folder of the .vmx"},
    {"a serial port's file outside, the other way",
     "serial0.present = \"TRUE\"\nserial0.fileType = \"file\"\nserial0.fileName = \"a/../../b\"\n",
     IREKO_ERROR_UNSUPPORTED, "outside the folder of the .vmx"},
    {"a screen open to everyone",
     "RemoteDisplay.vnc.enabled = \"TRUE\"\nRemoteDisplay.vnc.port = \"5901\"\n",
     IREKO_ERROR_UNSUPPORTED, "without a password"},
    {"a port below QEMU's",
     "RemoteDisplay.vnc.enabled = \"TRUE\"\nRemoteDisplay.vnc.port = \"80\"\n"
     "RemoteDisplay.vnc.password = \"x\"\n",
     IREKO_ERROR_UNSUPPORTED, "QEMU has ports from 5900 on"},
    {"EFI without OVMF", "firmware = \"efi\"\n", IREKO_ERROR_NOT_FOUND, "apt install ovmf"},
};

static void
test_refused(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_test_message("%s", refused[i].label);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = ireko_vmx_parse(refused[i].vmx, strlen(refused[i].vmx), &error);
        Row row = {.vmx = "a", .offer = IREKO_HV_SVM};
        g_auto(Case) c = {0};
        case_init(&c, doc, &row, "/lab");
        IrekoQemuHost host = {.program = "qemu", .efi_code = NULL};
        g_auto(GStrv) argv = ireko_qemu_argv(&c.spec, &host, &error);
        g_assert_null(argv);
        g_assert_error(error, IREKO_ERROR, refused[i].code);
        g_assert_nonnull(strstr(error->message, refused[i].says));
    }
}

static void
test_a_disk_needs_a_file(void)
{
    g_autoptr(IrekoVmx) doc = load(&(Row){.vmx = "hypervisor"});
    g_auto(Case) c = {0};
    case_init(&c, doc, &(Row){.vmx = "hypervisor"}, "/lab");
    g_ptr_array_set_size(c.drives, 1);
    g_autoptr(GError) error = NULL;
    IrekoQemuHost host = {.program = "qemu"};
    g_assert_null(ireko_qemu_argv(&c.spec, &host, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "scsi0:1"));
}

static void
test_a_name_that_is_no_text_is_refused(void)
{
    g_autoptr(IrekoVmx) doc = load(&(Row){.vmx = "hypervisor"});
    g_auto(Case) c = {0};
    case_init(&c, doc, &(Row){.vmx = "hypervisor"}, "/lab");
    IrekoDrive *drive = g_ptr_array_index(c.drives, 0);
    g_free(drive->path);
    drive->path = g_strdup("/lab/\xff.vmdk");
    g_autoptr(GError) error = NULL;
    IrekoQemuHost host = {.program = "qemu"};
    g_assert_null(ireko_qemu_argv(&c.spec, &host, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED);
}

/* ---- the real QEMU ---- */

static void
run(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void
run(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *command = g_strdup_vprintf(format, args);
    va_end(args);
    g_autoptr(GError) error = NULL;
    int status = 0;
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, &error));
    g_assert_cmpint(status, ==, 0);
}

static void
make_files(const Case *c, const char *dir)
{
    for (unsigned i = 0; i < c->drives->len; i++) {
        const IrekoDrive *drive = g_ptr_array_index(c->drives, i);
        g_autofree char *path = g_shell_quote(drive->path);
        run("qemu-img create -q -f %s %s 1M", drive->format, path);
    }
    run("truncate -s 1M %s/root.erofs", dir);
}

/* Plugs the cards that are on a network in; false where that takes a right that we have not. */
static bool
plug_in(Case *c, int *ret_peer)
{
    for (unsigned i = 0; c->cards != NULL && i < c->cards->len; i++) {
        const IrekoCard *card = g_ptr_array_index(c->cards, i);
        if (card->link != IREKO_CARD_NET)
            continue;
        int ends[2] = {-1, -1};
        struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
        if (c->spec.taps)
            ends[0] = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        else
            g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
        c->spec.link_fds[card->index] = ends[0];
        if (c->spec.taps && (ends[0] < 0 || ioctl(ends[0], TUNSETIFF, &request) != 0))
            return false;
        ireko_fd_close(ret_peer);
        *ret_peer = ends[1];
    }
    return true;
}

/* A switch that died is another one: the machine does not notice. */
static void
check_relink(const Case *c, IrekoVm *vm, unsigned index)
{
    g_autoptr(GError) error = NULL;
    for (unsigned again = 0; again < 2 && c->cards != NULL && !c->spec.taps; again++) {
        int ends[2];
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
        IREKO_AUTOFD ours = ends[0];
        IREKO_AUTOFD theirs = ends[1];
        g_assert_true(ireko_vm_relink(vm, index, theirs, ireko_deadline_in_ms(LONG_MS), &error));
        g_assert_no_error(error);
        ireko_fd_close(&theirs);
        struct pollfd end = {.fd = ours, .events = POLLHUP};
        g_assert_cmpint(poll(&end, 1, 0), ==, 0); /* QEMU holds the other end */
    }
}

/* A machine of no image has all its devices realised before it is seen to run. */
static void
test_taken_by_qemu(const void *data)
{
    const Row *row = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *img = g_find_program_in_path("qemu-img");
    if (img == NULL || !ireko_engine_probe(&ireko_engine_qemu, NULL, &error)) {
        g_test_skip("there is no QEMU");
        return;
    }
    g_autofree char *dir = g_dir_make_tmp("ireko-test-XXXXXX", NULL);
    g_autoptr(IrekoVmx) doc = load(row);
    g_auto(Case) c = {0};
    case_init(&c, doc, row, dir);
    make_files(&c, dir);
    c.machine->memory_mib = MIN(c.machine->memory_mib, 256);
    c.spec.drop_root = getuid() == 0;
    IREKO_AUTOFD peer = -1;
    if (!plug_in(&c, &peer)) {
        g_test_skip("there is no right to make a tap");
        g_assert_true(ireko_file_remove_tree(dir, NULL));
        return;
    }

    g_autoptr(IrekoVm) vm =
        ireko_vm_start(&ireko_engine_qemu, &c.spec, dir, ireko_deadline_in_ms(LONG_MS), -1, &error);
    if (g_error_matches(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND) && c.machine->efi) {
        g_test_skip(error->message);
    } else {
        g_assert_no_error(error);
        check_relink(&c, vm, 1);
        g_assert_true(ireko_vm_end(vm, ireko_deadline_in_ms(LONG_MS), &error));
    }
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

/* What QEMU says of a disk that it cannot have, as ireko repeats it. */
static void
test_disks_that_qemu_cannot_have(void)
{
    static const struct {
        const char *file;
        const char *content; /* NULL: no such file */
        int code;
        const char *says;
    } faults[] = {
        {"taken.raw", "taken", IREKO_ERROR_STATE, "used by another machine"},
        {"missing.raw", NULL, IREKO_ERROR_NOT_FOUND, "missing.raw"},
        {"text.vmdk", "this is no disk at all", IREKO_ERROR_SYNTAX, "of another format"},
    };
    g_autoptr(GError) error = NULL;
    if (!ireko_engine_probe(&ireko_engine_qemu, NULL, &error)) {
        g_test_skip(error->message);
        return;
    }
    g_autofree char *dir = g_dir_make_tmp("ireko-test-XXXXXX", NULL);
    g_autofree char *first = g_build_filename(dir, "first", NULL);
    g_autofree char *second = g_build_filename(dir, "second", NULL);
    g_assert_true(ireko_file_make_folder(first, NULL) && ireko_file_make_folder(second, NULL));
    g_autoptr(IrekoVm) holder = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        g_autofree char *path = g_build_filename(dir, faults[i].file, NULL);
        g_autofree char *vmx = g_strdup_printf(
            "memsize = \"32\"\nscsi0.present = \"TRUE\"\nscsi0:0.present = \"TRUE\"\n"
            "scsi0:0.fileName = \"%s\"\n",
            faults[i].file);
        g_autoptr(IrekoVmx) doc = ireko_vmx_parse(vmx, strlen(vmx), NULL);
        g_auto(Case) c = {0};
        case_init(&c, doc, &(Row){.vmx = "a"}, dir);
        IrekoDeadline deadline = ireko_deadline_in_ms(LONG_MS);
        if (faults[i].content != NULL)
            g_assert_true(g_file_set_contents(path, faults[i].content, -1, NULL));
        if (faults[i].code == IREKO_ERROR_STATE) {
            holder = ireko_vm_start(&ireko_engine_qemu, &c.spec, first, deadline, -1, &error);
            g_assert_no_error(error);
        }
        g_assert_null(ireko_vm_start(&ireko_engine_qemu, &c.spec, second, deadline, -1, &error));
        g_test_message("%s", error->message);
        g_assert_error(error, IREKO_ERROR, faults[i].code);
        g_assert_nonnull(strstr(error->message, faults[i].says));
        g_clear_error(&error);
    }
    g_assert_true(ireko_vm_end(holder, ireko_deadline_in_ms(LONG_MS), &error));
    g_assert_true(ireko_file_remove_tree(dir, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *golden = g_strdup_printf("/argv/golden/%s", rows[i].name);
        g_test_add_data_func(golden, &rows[i], test_golden);
        g_autofree char *taken = g_strdup_printf("/argv/taken by QEMU/%s", rows[i].name);
        if (rows[i].accel == TCG && !rows[i].boot)
            g_test_add_data_func(taken, &rows[i], test_taken_by_qemu);
    }
    g_test_add_func("/argv/what goes on as it was reads no kernel", test_no_kernel);
    g_test_add_func("/argv/what cannot be carried is said so", test_refused);
    g_test_add_func("/argv/disks that QEMU cannot have are said so",
                    test_disks_that_qemu_cannot_have);
    g_test_add_func("/argv/a disk needs a file", test_a_disk_needs_a_file);
    g_test_add_func("/argv/a name that is no text is refused",
                    test_a_name_that_is_no_text_is_refused);
    return g_test_run();
}
