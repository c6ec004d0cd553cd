/* machine: what a .vmx describes, and what is said of each of its keys. */
#include <glib.h>
#include <string.h>

#include "machine/keys.h"

static IrekoMachine *
read_text(const char *text, GError **error)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(text, strlen(text), NULL);
    return ireko_machine_from_vmx(doc, "labs/test.vmx", error);
}

static IrekoMachine *
machine_of(const char *text)
{
    g_autoptr(GError) error = NULL;
    IrekoMachine *machine = read_text(text, &error);
    g_assert_no_error(error);
    return machine;
}

static const char workstation[] =
    "#!/usr/bin/vmware\n"
    ".encoding = \"windows-1252\"\n"
    "config.version = \"8\"\n"
    "virtualHW.version = \"16\"\n"
    "displayName = \"Caf\xe9\"\n"
    "guestOS = \"vmkernel65\"\n"
    "numvcpus = \"4\"\n"
    "cpuid.coresPerSocket = \"2\"\n"
    "memsize = \"4096\"\n"
    "vhv.enable = \"TRUE\"\n"
    "hypervisor.cpuid.v0 = \"FALSE\"\n"
    "firmware = \"efi\"\n"
    "uuid.bios = \"56 4d 8c 4f 5e 0e 1c 0a-9b 3a 40 E0 8b 1c 5d 5e\"\n"
    "scsi0.virtualDev = \"pvscsi\"\n"
    "scsi0.present = \"TRUE\"\n"
    "scsi0:1.fileName = \"vsan.vmdk\"\n"
    "SCSI0:1.Present = \"true\"\n"
    "scsi0:1.virtualSSD = 1\n"
    "ireko.scsi0:1.size = \"64M\"\n"
    "scsi0:0.fileName = \"esxi.vmdk\"\n"
    "scsi0:0.present = \"TRUE\"\n"
    "scsi0:0.redo = \"\"\n"
    "ide1:0.present = \"TRUE\"\n"
    "ide1:0.deviceType = \"cdrom-image\"\n"
    "ide1:0.fileName = \"esxi.iso\"\n"
    "nvme0.present = \"TRUE\"\n"
    "nvme0:0.present = \"TRUE\"\n"
    "nvme0:0.fileName = \"cache.vmdk\"\n"
    "nvme0:0.mode = \"independent-nonpersistent\"\n"
    "ethernet0.present = \"TRUE\"\n"
    "ethernet0.virtualDev = \"vmxnet3\"\n"
    "ethernet0.connectionType = \"nat\"\n"
    "ethernet0.addressType = \"generated\"\n"
    "ethernet0.generatedAddress = \"00:0C:29:1C:5D:5E\"\n"
    "ethernet3.present = \"TRUE\"\n"
    "ethernet3.startConnected = \"FALSE\"\n"
    "serial0.present = \"TRUE\"\n"
    "serial0.fileType = \"file\"\n"
    "serial0.fileName = \"serial.log\"\n"
    "serial1.present = \"TRUE\"\n"
    "serial1.fileType = \"thinprint\"\n"
    "RemoteDisplay.vnc.enabled = \"TRUE\"\n"
    "RemoteDisplay.vnc.port = \"5901\"\n"
    "RemoteDisplay.vnc.password = \"secret\"\n"
    "floppy0.present = \"FALSE\"\n"
    "pciBridge4.virtualDev = \"pcieRootPort\"\n";

static void
test_a_workstation_machine_is_read_whole(void)
{
    g_autoptr(IrekoMachine) m = machine_of(workstation);
    g_assert_cmpstr(m->file, ==, "labs/test.vmx");
    g_assert_cmpstr(m->name, ==, "test");
    g_assert_cmpstr(m->display_name, ==, "Caf\xc3\xa9");
    g_assert_cmpstr(m->guest_os, ==, "vmkernel65");
    g_assert_cmpstr(m->uuid, ==, "564d8c4f-5e0e-1c0a-9b3a-40e08b1c5d5e");
    g_assert_cmpuint(m->hw_version, ==, 16);
    g_assert_cmpuint(m->vcpus, ==, 4);
    g_assert_cmpuint(m->vcpus_line, ==, 7);
    g_assert_cmpuint(m->cores_per_socket, ==, 2);
    g_assert_cmpuint(m->memory_mib, ==, 4096);
    g_assert_cmpuint(m->memory_line, ==, 9);
    g_assert_true(m->vhv);
    g_assert_cmpuint(m->vhv_line, ==, 10);
    g_assert_true(m->hypervisor_hidden);
    g_assert_true(m->efi);
    g_assert_true(m->svga);
    g_assert_true(m->vnc);
    g_assert_cmpuint(m->vnc_port, ==, 5901);
    g_assert_cmpstr(m->vnc_password, ==, "secret");
    g_assert_true(m->has_pvscsi);
    g_assert_true(m->has_nvme);
}

static void
test_disks_stand_in_the_order_of_their_places(void)
{
    const IrekoDisk want[] = {
        {.device = (char[]){"scsi0:0"},
         .bus = IREKO_BUS_SCSI,
         .file = (char[]){"esxi.vmdk"},
         .line = 20},
        {.device = (char[]){"scsi0:1"},
         .bus = IREKO_BUS_SCSI,
         .unit = 1,
         .file = (char[]){"vsan.vmdk"},
         .ssd = true,
         .create_bytes = 64 << 20,
         .line = 16},
        {.device = (char[]){"ide1:0"},
         .bus = IREKO_BUS_IDE,
         .controller = 1,
         .cdrom = true,
         .file = (char[]){"esxi.iso"},
         .line = 25},
        {.device = (char[]){"nvme0:0"},
         .bus = IREKO_BUS_NVME,
         .file = (char[]){"cache.vmdk"},
         .ssd = true,
         .nonpersistent = true,
         .line = 28},
    };
    g_autoptr(IrekoMachine) m = machine_of(workstation);
    g_assert_cmpuint(m->disks->len, ==, G_N_ELEMENTS(want));
    for (size_t i = 0; i < G_N_ELEMENTS(want); i++) {
        const IrekoDisk *disk = g_ptr_array_index(m->disks, i);
        g_assert_cmpstr(disk->device, ==, want[i].device);
        g_assert_cmpint(disk->bus, ==, want[i].bus);
        g_assert_cmpuint(disk->controller, ==, want[i].controller);
        g_assert_cmpuint(disk->unit, ==, want[i].unit);
        g_assert_cmpint(disk->cdrom, ==, want[i].cdrom);
        g_assert_cmpstr(disk->file, ==, want[i].file);
        g_assert_cmpint(disk->ssd, ==, want[i].ssd);
        g_assert_cmpint(disk->nonpersistent, ==, want[i].nonpersistent);
        g_assert_cmpuint(disk->create_bytes, ==, want[i].create_bytes);
        g_assert_cmpuint(disk->line, ==, want[i].line);
        if (disk->bus == IREKO_BUS_SCSI)
            g_assert_cmpint(disk->scsi_model, ==, IREKO_SCSI_PVSCSI);
    }
    g_assert_true(ireko_machine_boot_disk(m) == g_ptr_array_index(m->disks, 0));
}

static void
test_cards_and_ports_are_read(void)
{
    g_autoptr(IrekoMachine) m = machine_of(workstation);
    g_assert_cmpuint(m->nics->len, ==, 2);
    const IrekoNic *first = g_ptr_array_index(m->nics, 0), *second = g_ptr_array_index(m->nics, 1);
    g_assert_cmpint(first->model, ==, IREKO_NIC_VMXNET3);
    g_assert_cmpint(first->connection, ==, IREKO_CONNECT_NAT);
    g_assert_cmpstr(first->mac, ==, "00:0c:29:1c:5d:5e");
    g_assert_true(first->start_connected);
    g_assert_cmpuint(second->index, ==, 3);
    g_assert_cmpint(second->model, ==, IREKO_NIC_VLANCE);
    g_assert_cmpint(second->connection, ==, IREKO_CONNECT_BRIDGED);
    g_assert_null(second->mac);
    g_assert_false(second->start_connected);

    g_assert_cmpuint(m->serials->len, ==, 2);
    const IrekoSerial *file = g_ptr_array_index(m->serials, 0);
    const IrekoSerial *printer = g_ptr_array_index(m->serials, 1);
    g_assert_cmpstr(file->kind, ==, "file");
    g_assert_cmpstr(file->file, ==, "serial.log");
    g_assert_null(printer->kind);
}

static void
test_what_is_absent_is_as_in_vmware(void)
{
    g_autoptr(IrekoMachine) m = machine_of("");
    g_assert_cmpuint(m->vcpus, ==, 1);
    g_assert_cmpuint(m->cores_per_socket, ==, 1);
    g_assert_cmpuint(m->memory_mib, ==, 32);
    g_assert_false(m->vhv);
    g_assert_cmpuint(m->vhv_line, ==, 0);
    g_assert_false(m->hypervisor_hidden);
    g_assert_false(m->efi);
    g_assert_true(m->svga);
    g_assert_false(m->vnc);
    g_assert_null(m->uuid);
    g_assert_cmpuint(m->disks->len + m->nics->len + m->serials->len + m->notes->len, ==, 0);
    g_assert_null(ireko_machine_boot_disk(m));

    g_autoptr(IrekoMachine) image = machine_of("ireko.image = linux\n");
    g_assert_cmpstr(image->image, ==, "linux");
    g_assert_false(image->svga);
}

static void
test_a_drive_without_a_medium_has_no_file(void)
{
    static const struct {
        const char *type, *more;
        const char *file; /* that the drive has in the end */
    } rows[] = {
        {"cdrom-image", "sata0:0.fileName = \"a.iso\"", "a.iso"},
        {"cdrom-image", "", NULL},
        {"cdrom-image", "sata0:0.fileName = \"\"", NULL},
        {"cdrom-image", "sata0:0.fileName = \"a.iso\"\nsata0:0.startConnected = FALSE", NULL},
        {"cdrom-raw", "sata0:0.fileName = \"auto detect\"", NULL},
        {"cdrom-raw", "sata0:0.fileName = \"/dev/sr0\"\nsata0:0.autodetect = TRUE", NULL},
        {"cdrom-raw", "sata0:0.fileName = \"D:\"", NULL},
        {"cdrom-raw", "sata0:0.fileName = \"/dev/sr0\"", "/dev/sr0"},
        {"atapi-cdrom", "sata0:0.fileName = \"emptyBackingString\"", NULL},
        {"atapi-cdrom", "sata0:0.fileName = \"/dev/cdrom\"\nsata0:0.clientDevice = TRUE", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf(
            "sata0.present = TRUE\nsata0:0.present = TRUE\nsata0:0.deviceType = %s\n%s\n",
            rows[i].type, rows[i].more);
        g_autoptr(IrekoMachine) m = machine_of(text);
        g_assert_cmpuint(m->disks->len, ==, 1);
        const IrekoDisk *drive = ireko_machine_boot_disk(m);
        g_assert_true(drive->cdrom);
        g_assert_cmpstr(drive->file, ==, rows[i].file);
        g_assert_cmpuint(drive->line, >=, 2);
    }
}

static void
test_a_value_that_cannot_be_meant_is_an_error(void)
{
#define DISK(bus) bus "0.present = 1\n" bus "0:0.present = 1\n" bus "0:0.fileName = a.vmdk\n"
#define CDROM     "ide1:0.present = yes\nide1:0.deviceType = cdrom-image\n"
#define CARD      "ethernet0.present = TRUE\n"
    static const struct {
        const char *text;
        IrekoError code;
        const char *says; /* behind "labs/test.vmx:" */
    } rows[] = {
        {"numvcpus = 0", IREKO_ERROR_SYNTAX, "1: numvcpus = '0': must be a number from 1 to 128"},
        {"\nnumvcpus = 129", IREKO_ERROR_SYNTAX, "2: numvcpus"},
        {"numvcpus = two", IREKO_ERROR_SYNTAX, "1: numvcpus = 'two'"},
        {"numvcpus = 99999999999999999999999", IREKO_ERROR_SYNTAX, "1: numvcpus"},
        {"numvcpus = 3\ncpuid.coresPerSocket = 2", IREKO_ERROR_SYNTAX, "2: cpuid.coresPerSocket"},
        {"memSize = 255", IREKO_ERROR_SYNTAX, "1: memSize = '255': must be a multiple of 4"},
        {"memsize = 0", IREKO_ERROR_SYNTAX, "1: memsize = '0': must be a number from 4"},
        {"memsize = -4", IREKO_ERROR_SYNTAX, "1: memsize"},
        {"memsize = 25165828", IREKO_ERROR_SYNTAX, "1: memsize"},
        {"memsize = \"\"", IREKO_ERROR_SYNTAX, "1: memsize = ''"},
        {"vhv.enable = maybe", IREKO_ERROR_SYNTAX,
         "1: vhv.enable = 'maybe': must be TRUE or FALSE"},
        {"virtualHW.version = x", IREKO_ERROR_SYNTAX, "1: virtualHW.version"},
        {"uuid.bios = \"56 4d\"", IREKO_ERROR_SYNTAX, "1: uuid.bios = '56 4d': must have 32"},
        {"uuid.bios = \"564d8c4f5e0e1c0a9b3a40e08b1c5d5e0\"", IREKO_ERROR_SYNTAX, "1: uuid.bios"},
        {"uuid.bios = \"564d8c4f5e0e1c0a9b3a40e08b1c5d5g\"", IREKO_ERROR_SYNTAX, "1: uuid.bios"},
        {"firmware = coreboot", IREKO_ERROR_UNSUPPORTED, "1: firmware = 'coreboot'"},
        {"ireko.image = ../x", IREKO_ERROR_SYNTAX, "1: ireko.image = '../x'"},
        {"RemoteDisplay.vnc.port = 65536", IREKO_ERROR_SYNTAX, "1: RemoteDisplay.vnc.port"},
        {"displayName = a\nnumvcpus = \"\x1b[2J|0Ax\"", IREKO_ERROR_SYNTAX,
         "2: numvcpus = '\\x1b[2J x'"},
        {"scsi0.present = 1\nscsi0.virtualDev = buslogic", IREKO_ERROR_UNSUPPORTED,
         "2: scsi0.virtualDev = 'buslogic': ireko has no such thing; it has lsilogic, pvscsi, "
         "lsisas1068"},
        {"scsi0.present = 1\nscsi0.virtualDev = warp", IREKO_ERROR_UNSUPPORTED,
         "2: scsi0.virtualDev"},
        {"scsi0.present = 1\nscsi0:0.present = 1", IREKO_ERROR_SYNTAX,
         "2: scsi0:0.present = '1': the disk has no file: add scsi0:0.fileName"},
        {"scsi0.present = 1\nscsi0:7.present = 1", IREKO_ERROR_UNSUPPORTED,
         "2: scsi0:7.present = '1': unit 7"},
        {"scsi0.present = 1\nscsi0:16.present = 1", IREKO_ERROR_UNSUPPORTED, "2: scsi0:16.present"},
        {"scsi4.present = TRUE", IREKO_ERROR_UNSUPPORTED,
         "1: scsi4.present = 'TRUE': a machine has no device of that number"},
        {"scsi0:65.present = TRUE", IREKO_ERROR_UNSUPPORTED, "1: scsi0:65.present"},
        {"ide0:2.present = TRUE", IREKO_ERROR_UNSUPPORTED, "1: ide0:2.present"},
        {"ethernet10.present = TRUE", IREKO_ERROR_UNSUPPORTED, "1: ethernet10.present"},
        {"ethernet4294967296.present = TRUE", IREKO_ERROR_UNSUPPORTED, "1: ethernet4294967296"},
        {"nvme0.present = 1\nnvme0:1.present = 1", IREKO_ERROR_UNSUPPORTED, "2: nvme0:1.present"},
        {DISK("scsi") "scsi0:0.deviceType = tape", IREKO_ERROR_UNSUPPORTED,
         "4: scsi0:0.deviceType"},
        {DISK("scsi") "scsi0:0.mode = append", IREKO_ERROR_UNSUPPORTED, "4: scsi0:0.mode"},
        {DISK("scsi") "scsi0:0.virtualSSD = 2", IREKO_ERROR_SYNTAX, "4: scsi0:0.virtualSSD"},
        {DISK("scsi") "ireko.scsi0:0.size = 64X", IREKO_ERROR_SYNTAX,
         "4: ireko.scsi0:0.size = '64X': must be a size"},
        {DISK("scsi") "ireko.scsi0:0.size = 63T", IREKO_ERROR_SYNTAX, "4: ireko.scsi0:0.size"},
        {DISK("scsi") "ireko.scsi0:0.size = 512", IREKO_ERROR_SYNTAX, "4: ireko.scsi0:0.size"},
        {DISK("nvme") "nvme0:0.deviceType = cdrom-image", IREKO_ERROR_UNSUPPORTED,
         "4: nvme0:0.deviceType = 'cdrom-image': NVMe has no CD-ROM"},
        {CDROM "ide1:0.virtualSSD = 1", IREKO_ERROR_UNSUPPORTED,
         "3: ide1:0.virtualSSD = '1': a CD-ROM"},
        {CDROM "ireko.ide1:0.size = 64M", IREKO_ERROR_SYNTAX, "3: ireko.ide1:0.size"},
        {CARD "ethernet0.virtualDev = vmxnet", IREKO_ERROR_UNSUPPORTED,
         "2: ethernet0.virtualDev = 'vmxnet': ireko has no such thing; it has vlance, e1000, "
         "e1000e, vmxnet3"},
        {CARD "ethernet0.connectionType = pvn", IREKO_ERROR_UNSUPPORTED,
         "2: ethernet0.connectionType"},
        {CARD "ethernet0.address = 00:50:56:00:00", IREKO_ERROR_SYNTAX, "2: ethernet0.address"},
        {CARD "ethernet0.address = 01:50:56:00:00:01", IREKO_ERROR_SYNTAX, "2: ethernet0.address"},
        {CARD "ethernet0.address = 00:50:56:00:00,id", IREKO_ERROR_SYNTAX, "2: ethernet0.address"},
        {"serial0.present = 1\nserial0.fileType = modem", IREKO_ERROR_UNSUPPORTED,
         "2: serial0.fileType"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoMachine) m = read_text(rows[i].text, &error);
        g_autofree char *begin = g_strconcat("labs/test.vmx:", rows[i].says, NULL);
        if (m != NULL)
            g_error("'%s' was accepted", rows[i].text);
        if (!g_str_has_prefix(error->message, begin))
            g_error("want '%s', got '%s'", begin, error->message);
        g_assert_error(error, IREKO_ERROR, (int)rows[i].code);
    }
}

static void
test_each_key_has_a_note(void)
{
    static const struct {
        const char *text; /* the note on its last line is looked at */
        IrekoKeyStatus status;
        const char *reason; /* how it begins; NULL: none */
    } rows[] = {
        {"memsize = 64", IREKO_KEY_HONOURED, NULL},
        {"MEMSIZE = 64", IREKO_KEY_HONOURED, NULL},
        {"config.version = 8", IREKO_KEY_BOOKKEEPING, NULL},
        {"pciBridge4.functions = 8", IREKO_KEY_BOOKKEEPING, NULL},
        {"floppy0.present = FALSE", IREKO_KEY_BOOKKEEPING, NULL},
        {"floppy0.present = TRUE", IREKO_KEY_UNSUPPORTED, "ireko gives no floppy"},
        {"usb:1.parent = -1", IREKO_KEY_BOOKKEEPING, NULL},
        {"usb.present = TRUE", IREKO_KEY_UNSUPPORTED, "ireko gives no USB"},
        {"sched.mem.min = 0", IREKO_KEY_UNSUPPORTED, "ireko gives all of memsize"},
        {"sched.cpu.units = mhz", IREKO_KEY_BOOKKEEPING, NULL},
        {"guestInfo.hostname = a", IREKO_KEY_UNSUPPORTED, "ireko does not hand"},
        {"vhv.allow = TRUE", IREKO_KEY_UNSUPPORTED, "it belongs in a host's"},
        {"ethernet0.promiscuousMode = accept", IREKO_KEY_UNSUPPORTED, "no VMware product"},
        {"cpuid.1.ecx = \"----\"", IREKO_KEY_UNSUPPORTED, "ireko gives the whole CPU"},
        {"not a line", IREKO_KEY_MALFORMED, "not of the form"},
        {"vhv.enable = 1\nVHV.enable = 0", IREKO_KEY_DUPLICATE, "line 1 has it already"},
        {"zebra.stripes = 40", IREKO_KEY_UNKNOWN, "ireko does not know"},
        {"vhv.enabled = TRUE", IREKO_KEY_UNKNOWN, "did you mean 'vhv.enable'?"},
        {"hypervisor.cpuid.0 = FALSE", IREKO_KEY_UNSUPPORTED,
         "no VMware product reads it: did you mean 'hypervisor.cpuid.v0'?"},
        {"scsi0:1.virtaulSSD = 1", IREKO_KEY_UNKNOWN, "did you mean 'scsi0:1.virtualSSD'?"},
        {"ireko.imgae = linux", IREKO_KEY_UNKNOWN, "did you mean 'ireko.image'?"},
        {"ethernet0.virtualDe = e1000", IREKO_KEY_UNKNOWN, "did you mean 'ethernet0.virtualDev'?"},
        {"nvr = x", IREKO_KEY_UNKNOWN, "ireko does not know"},
        {"virtualHW.version = 8\nvhv.enable = TRUE", IREKO_KEY_HONOURED,
         "VMware's products ignore it"},
        {"vhv.enable = TRUE", IREKO_KEY_HONOURED, NULL},
        {"virtualHW.version = 9\nvhv.enable = TRUE", IREKO_KEY_HONOURED, NULL},
        {"virtualHW.version = 8\nvhv.enable = FALSE", IREKO_KEY_HONOURED, NULL},
        {DISK("nvme") "nvme0:0.virtualSSD = 0", IREKO_KEY_HONOURED, "an NVMe disk is an SSD"},
        {DISK("sata") "sata0:0.virtualSSD = 1", IREKO_KEY_HONOURED, NULL},
        {"scsi0:1.virtualSSD = 1", IREKO_KEY_UNSUPPORTED,
         "no line says that the device is present"},
        {"scsi0:1.present = 0\nscsi0:1.virtualSSD = x", IREKO_KEY_HONOURED, NULL},
        {"scsi0:1.fileName = a\nscsi0:1.present = 1", IREKO_KEY_UNSUPPORTED,
         "left out: scsi0.present"},
        {"scsi0:1.mode = persistent\nscsi0:01.mode = persistent", IREKO_KEY_UNKNOWN,
         "did you mean 'scsi0:1.mode'?"},
        {"scsi9:1.virtualSSD = 1", IREKO_KEY_UNSUPPORTED, "a machine has no device of that number"},
        {"serial0.present = 1\nserial0.fileType = thinprint", IREKO_KEY_UNSUPPORTED,
         "ireko does not print"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(IrekoMachine) m = machine_of(rows[i].text);
        const IrekoKeyNote *note = g_ptr_array_index(m->notes, m->notes->len - 1);
        if (note->status != rows[i].status)
            g_error("'%s': status %d, reason %s", rows[i].text, note->status, note->reason);
        if (rows[i].reason == NULL)
            g_assert_null(note->reason);
        else if (note->reason == NULL || !g_str_has_prefix(note->reason, rows[i].reason))
            g_error("'%s': want '%s', got '%s'", rows[i].text, rows[i].reason, note->reason);
    }
}

static void
test_no_key_is_dropped(void)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(workstation, strlen(workstation), NULL);
    g_autoptr(IrekoMachine) m = ireko_machine_from_vmx(doc, "test.vmx", NULL);
    g_assert_cmpuint(m->notes->len, ==, ireko_vmx_count(doc));
    for (size_t i = 0; i < m->notes->len; i++) {
        const IrekoKeyNote *note = g_ptr_array_index(m->notes, i);
        g_assert_cmpuint(note->line, ==, ireko_vmx_entry(doc, i).line);
        g_assert_cmpint(note->status, !=, IREKO_KEY_UNKNOWN);
    }
}

static void
test_what_the_book_carries_has_a_place_in_the_machine(void)
{
    size_t count = 0;
    const IrekoKey *keys = ireko_book_keys(&count);
    unsigned carried = 0, places = 0;
    for (size_t i = 0; i < count; i++) {
        bool wanted = keys[i].carry == IREKO_CARRIED || keys[i].carry == IREKO_APPROXIMATED;
        g_test_message("%s", keys[i].pattern);
        g_assert_true(wanted == (ireko_key_place(&keys[i]) != NULL));
        carried += wanted;
    }
    while (ireko_key_place_pattern(places) != NULL)
        places++;
    g_assert_cmpuint(places, ==, carried);
}

static void
test_mac_addresses_come_from_the_key_that_counts(void)
{
    static const struct {
        const char *text, *mac;
    } rows[] = {
        {"ethernet0.addressType = static\nethernet0.address = 00:50:56:00:00:01\n"
         "ethernet0.generatedAddress = 00:0c:29:00:00:02\n",
         "00:50:56:00:00:01"},
        {"ethernet0.addressType = generated\nethernet0.address = 00:50:56:00:00:01\n"
         "ethernet0.generatedAddress = 00:0c:29:00:00:02\n",
         "00:0c:29:00:00:02"},
        {"ethernet0.addressType = vpx\nethernet0.generatedAddress = 00-50-56-AB-00-02\n",
         "00:50:56:ab:00:02"},
        {"ethernet0.generatedAddress = 00:0c:29:00:00:02\n", "00:0c:29:00:00:02"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strconcat(CARD, rows[i].text, NULL);
        g_autoptr(IrekoMachine) m = machine_of(text);
        const IrekoNic *nic = g_ptr_array_index(m->nics, 0);
        g_assert_cmpstr(nic->mac, ==, rows[i].mac);
    }
}

static void
test_a_machine_is_named_after_its_file(void)
{
    static const struct {
        const char *file, *name;
    } rows[] = {
        {"esxi01.vmx", "esxi01"},
        {"/labs/a/esxi01.VMX", "esxi01"},
        {"esxi01", "esxi01"},
        {"Windows 10 x64.vmx", "Windows-10-x64"},
        {".vmx", "vmx"},
        {"-rf.vmx", "rf"},
        {"a,b=c.vmx", "a-b-c"},
        {"---.vmx", NULL},
        {"/", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = ireko_vmx_parse("", 0, NULL);
        g_autoptr(IrekoMachine) m = ireko_machine_from_vmx(doc, rows[i].file, &error);
        g_assert_cmpstr(m == NULL ? NULL : m->name, ==, rows[i].name);
        if (m == NULL)
            g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    }
}

static void
test_pvscsi_has_sixty_four_disks(void)
{
    g_autoptr(GString) text = g_string_new("scsi0.present = 1\nscsi0.virtualDev = pvscsi\n");
    for (unsigned unit = 0; unit <= 64; unit++) {
        if (unit != 7)
            g_string_append_printf(text, "scsi0:%u.present = 1\nscsi0:%u.fileName = d%u\n", unit,
                                   unit, unit);
    }
    g_autoptr(IrekoMachine) m = machine_of(text->str);
    g_assert_cmpuint(m->disks->len, ==, 64);
}

static void
test_the_examples_are_understood_to_the_last_key(void)
{
    static const struct {
        const char *file, *image;
        unsigned vcpus, memory_mib;
        bool has_vhv_line, vhv;
    } rows[] = {
        {"workshop/esxi01.vmx", "kvm-host", 1, 2048, true, true},
        {"workshop/esxi02.vmx", "kvm-host", 1, 1024, true, true},
        {"workshop/linux.vmx", "linux", 1, 256, false, false},
        {"vhv-off/esxi01.vmx", "kvm-host", 1, 2048, true, false},
        {"vhv-off/esxi02.vmx", "kvm-host", 1, 1024, true, true},
        {"vhv-off/linux.vmx", "linux", 1, 256, false, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = g_build_filename(IREKO_EXAMPLES, rows[i].file, NULL);
        g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, &error);
        g_assert_no_error(error);
        g_autoptr(IrekoMachine) m = ireko_machine_from_vmx(doc, path, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(m->image, ==, rows[i].image);
        g_assert_cmpuint(m->vcpus, ==, rows[i].vcpus);
        g_assert_cmpuint(m->memory_mib, ==, rows[i].memory_mib);
        g_assert_cmpint(m->vhv_line != 0, ==, rows[i].has_vhv_line);
        g_assert_cmpint(m->vhv, ==, rows[i].vhv);
        g_assert_cmpuint(m->disks->len, ==, 2);
        const IrekoDisk *boot = ireko_machine_boot_disk(m), *data = g_ptr_array_index(m->disks, 1);
        g_assert_false(boot->ssd);
        g_assert_true(data->ssd);
        g_assert_cmpuint(data->create_bytes, ==, 64 << 20);
        for (size_t k = 0; k < m->notes->len; k++) {
            const IrekoKeyNote *note = g_ptr_array_index(m->notes, k);
            if (note->status != IREKO_KEY_HONOURED && note->status != IREKO_KEY_BOOKKEEPING)
                g_error("%s:%u: %s: %s", path, note->line, note->key, note->reason);
        }
    }
}

static void
test_too_many_keys_are_refused(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < IREKO_MACHINE_KEYS_MAX; i++)
        g_string_append_printf(text, "unknown.key%u = x\n", i);
    g_autoptr(IrekoMachine) m = machine_of(text->str);
    g_assert_cmpuint(m->notes->len, ==, IREKO_MACHINE_KEYS_MAX);

    g_string_append(text, "one.more = x\n");
    g_autoptr(GError) error = NULL;
    g_assert_null(read_text(text->str, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/workstation-machine-is-read-whole",
                    test_a_workstation_machine_is_read_whole);
    g_test_add_func("/machine/disks-stand-in-the-order-of-their-places",
                    test_disks_stand_in_the_order_of_their_places);
    g_test_add_func("/machine/cards-and-ports-are-read", test_cards_and_ports_are_read);
    g_test_add_func("/machine/what-is-absent-is-as-in-vmware", test_what_is_absent_is_as_in_vmware);
    g_test_add_func("/machine/drive-without-a-medium-has-no-file",
                    test_a_drive_without_a_medium_has_no_file);
    g_test_add_func("/machine/value-that-cannot-be-meant-is-an-error",
                    test_a_value_that_cannot_be_meant_is_an_error);
    g_test_add_func("/machine/each-key-has-a-note", test_each_key_has_a_note);
    g_test_add_func("/machine/no-key-is-dropped", test_no_key_is_dropped);
    g_test_add_func("/machine/what-the-book-carries-has-a-place",
                    test_what_the_book_carries_has_a_place_in_the_machine);
    g_test_add_func("/machine/mac-addresses-come-from-the-key-that-counts",
                    test_mac_addresses_come_from_the_key_that_counts);
    g_test_add_func("/machine/machine-is-named-after-its-file",
                    test_a_machine_is_named_after_its_file);
    g_test_add_func("/machine/pvscsi-has-sixty-four-disks", test_pvscsi_has_sixty_four_disks);
    g_test_add_func("/machine/too-many-keys-are-refused", test_too_many_keys_are_refused);
    g_test_add_func("/machine/examples-are-understood-to-the-last-key",
                    test_the_examples_are_understood_to_the_last_key);
    return g_test_run();
}
