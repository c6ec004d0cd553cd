/* Presets: what a guest hypervisor and an SSD need of a .vmx, and what is right already. */
#include <glib.h>
#include <string.h>

#include <ireko/preset.h>

static IrekoVmx *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    IrekoVmx *doc = ireko_vmx_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    return doc;
}

/* "+key=value" for a change, "-key" for a line that goes, "=key" for what is right, "?key" for
 * advice. */
static char *
in_short(const GPtrArray *steps)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (unsigned i = 0; i < steps->len; i++) {
        const IrekoStep *step = steps->pdata[i];
        g_assert_nonnull(step->reason);
        g_assert_nonnull(step->source);
        const char *sign = step->kind == IREKO_STEP_RIGHT    ? "="
                           : step->kind == IREKO_STEP_ADVICE ? "?"
                           : step->after == NULL             ? "-"
                                                             : "+";
        g_string_append_printf(out, "%s%s%s%s%s", i > 0 ? " " : "", sign, step->key,
                               *sign == '+' ? "=" : "", *sign == '+' ? step->after : "");
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

#define HW13  "virtualHW.version = \"13\"\n"
#define READY HW13 "vhv.enable = \"TRUE\"\n"

static void
test_a_guest_hypervisor_gets_what_it_lacks(void)
{
    static const struct {
        const char *label, *text, *want, *guest;
    } rows[] = {
        {"an empty ESXi 7 needs everything", HW13 "guestOS = \"vmkernel7\"\n",
         "=virtualHW.version +vhv.enable=TRUE +numvcpus=2 +memsize=8192", "ESXi 7"},
        {"what is enough stays",
         READY "guestOS = \"vmkernel7\"\nnumvcpus = \"8\"\nmemsize = \"16384\"\n",
         "=virtualHW.version =vhv.enable =numvcpus =memsize", "ESXi 7"},
        {"ESXi 6.5 asks for less", READY "guestOS = \"vmkernel65\"\nnumvcpus = \"2\"\n",
         "=virtualHW.version =vhv.enable =numvcpus +memsize=4096", "ESXi 6.5 or 6.7"},
        {"the case of guestOS does not matter",
         READY "guestos = \"VMkernel8\"\nmemsize = \"4096\"\n",
         "=virtualHW.version =vhv.enable +numvcpus=2 +memsize=8192", "ESXi 8"},
        {"hardware of before nesting is raised, not further than needed",
         "virtualHW.version = \"8\"\nguestOS = \"debian12-64\"\nvhv.enable = \"FALSE\"\n",
         "+virtualHW.version=9 +vhv.enable=TRUE", "KVM, Xen or another hypervisor"},
        {"a missing hardware version too", "guestOS = \"debian12-64\"\n",
         "+virtualHW.version=9 +vhv.enable=TRUE", "KVM, Xen or another hypervisor"},
        {"a monitor in software goes",
         READY "guestOS = \"debian12-64\"\nmonitor.virtual_mmu = \"Software\"\n"
               "monitor.virtual_exec = \"software\"\n",
         "=virtualHW.version =vhv.enable -monitor.virtual_mmu -monitor.virtual_exec", NULL},
        {"one in hardware does not",
         READY "guestOS = \"debian12-64\"\nmonitor.virtual_mmu = \"hardware\"\n",
         "=virtualHW.version =vhv.enable", NULL},
        {"Hyper-V is hidden from", READY "guestOS = \"windows9srv-64\"\nmemsize = \"8192\"\n",
         "=virtualHW.version =vhv.enable +hypervisor.cpuid.v0=FALSE =memsize", "Hyper-V"},
        {"the server of that name is one",
         READY "guestOS = \"winHyperV\"\nmemsize = \"8192\"\n"
               "hypervisor.cpuid.v0 = \"FALSE\"\n",
         "=virtualHW.version =vhv.enable =hypervisor.cpuid.v0 =memsize", "Hyper-V"},
        {"a 32-bit guest is pointed out", READY "guestOS = \"debian10\"\n",
         "=virtualHW.version =vhv.enable ?guestOS", NULL},
        {"a built-in image has no floors",
         READY "guestOS = \"vmkernel65\"\nireko.image = \"kvm-host\"\nmemsize = \"1024\"\n",
         "=virtualHW.version =vhv.enable =ireko.image", NULL},
        {"cards that ESXi cannot drive are changed, absent ones not added",
         READY
         "guestOS = \"vmkernel65\"\nireko.image = \"kvm-host\"\nethernet0.present = \"TRUE\"\n"
         "ethernet1.present = \"TRUE\"\nethernet1.virtualDev = \"e1000\"\n"
         "ethernet2.present = \"FALSE\"\nethernet3.virtualDev = \"vlance\"\n",
         "=virtualHW.version =vhv.enable =ireko.image +ethernet0.virtualDev=vmxnet3 "
         "=ethernet1.virtualDev",
         NULL},
        {"ESXi 5 gets an older card",
         READY
         "guestOS = \"vmkernel5\"\nireko.image = \"kvm-host\"\nethernet0.present = \"TRUE\"\n",
         "=virtualHW.version =vhv.enable =ireko.image +ethernet0.virtualDev=e1000", "ESXi 5"},
        {"Linux drives every card",
         READY "guestOS = \"debian12-64\"\nethernet0.present = \"TRUE\"\n",
         "=virtualHW.version =vhv.enable", NULL},
        {"ESXi 7 cannot have been installed on parallel SCSI",
         READY "guestOS = \"vmkernel7\"\nireko.image = \"kvm-host\"\nscsi0.present = \"TRUE\"\n"
               "scsi1.present = \"TRUE\"\nscsi1.virtualDev = \"lsisas1068\"\n",
         "=virtualHW.version =vhv.enable =ireko.image +scsi0.virtualDev=pvscsi =scsi1.virtualDev",
         NULL},
        {"ESXi 6.5 can",
         READY "guestOS = \"vmkernel65\"\nireko.image = \"kvm-host\"\nscsi0.present = \"TRUE\"\n",
         "=virtualHW.version =vhv.enable =ireko.image", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = parse(rows[i].text);
        const char *guest = NULL;
        g_autoptr(GPtrArray) steps = ireko_preset_nest(doc, &guest, &error);
        g_assert_no_error(error);
        g_autofree char *got = in_short(steps);
        g_assert_cmpstr(got, ==, rows[i].want);
        if (rows[i].guest != NULL)
            g_assert_cmpstr(guest, ==, rows[i].guest);
    }
}

static void
test_hardware_that_is_too_old_is_refused(void)
{
    static const char *const texts[] = {"virtualHW.version = \"4\"\n",
                                        "virtualHW.version = \"new\"\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = parse(texts[i]);
        const char *guest = NULL;
        g_assert_null(ireko_preset_nest(doc, &guest, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, "upgrade"));
    }
}

#define DISKS                                                                                      \
    HW13 "scsi0:0.present = \"TRUE\"\nSCSI0:1.Present = \"true\"\nscsi0:1.virtualSSD = \"1\"\n"    \
         "scsi0:2.present = \"FALSE\"\nide1:0.present = \"TRUE\"\n"                                \
         "ide1:0.deviceType = \"cdrom-image\"\nnvme0:0.present = \"TRUE\"\n"

static void
test_a_disk_becomes_an_ssd(void)
{
    static const struct {
        const char *label, *text, *disk;
        gboolean ssd;
        const char *want; /* NULL: an error that says SAYS */
        int code;
        const char *says;
    } rows[] = {
        {"on", DISKS, "scsi0:0", TRUE, "+scsi0:0.virtualSSD=1", 0, NULL},
        {"in any case", DISKS, "SCSI0:0", TRUE, "+scsi0:0.virtualSSD=1", 0, NULL},
        {"on already", DISKS, "scsi0:1", TRUE, "=scsi0:1.virtualSSD", 0, NULL},
        {"off is said, since absent may mean either", DISKS, "scsi0:0", FALSE,
         "+scsi0:0.virtualSSD=0", 0, NULL},
        {"off again", DISKS, "scsi0:1", FALSE, "+scsi0:1.virtualSSD=0", 0, NULL},
        {"old hardware does not tell", "virtualHW.version = \"7\"\nscsi0:0.present = \"TRUE\"\n",
         "scsi0:0", TRUE, "+scsi0:0.virtualSSD=1 ?virtualHW.version", 0, NULL},
        {"an NVMe disk is one", DISKS, "nvme0:0", TRUE, "=nvme0:0.virtualSSD", 0, NULL},
        {"and stays one", DISKS, "nvme0:0", FALSE, NULL, IREKO_ERROR_UNSUPPORTED, "always"},
        {"a CD-ROM drive is none", DISKS, "ide1:0", TRUE, NULL, IREKO_ERROR_UNSUPPORTED, "CD-ROM"},
        {"one that is not there: the others are named", DISKS, "scsi0:2", TRUE, NULL,
         IREKO_ERROR_NOT_FOUND, "scsi0:0, scsi0:1, ide1:0 (a CD-ROM), nvme0:0"},
        {"no disks at all", HW13, "scsi0:2", TRUE, NULL, IREKO_ERROR_NOT_FOUND, "none"},
        {"a controller is no disk", DISKS, "scsi0", TRUE, NULL, IREKO_ERROR_SYNTAX, "scsi0:1"},
        {"a file is no disk", DISKS, "data.vmdk", TRUE, NULL, IREKO_ERROR_SYNTAX, "scsi0:1"},
        {"nor is half a name", DISKS, "scsi0:", TRUE, NULL, IREKO_ERROR_SYNTAX, "scsi0:1"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = parse(rows[i].text);
        g_autoptr(GPtrArray) steps = ireko_preset_ssd(doc, rows[i].disk, rows[i].ssd, &error);
        if (rows[i].want == NULL) {
            g_assert_error(error, IREKO_ERROR, rows[i].code);
            g_assert_nonnull(strstr(error->message, rows[i].says));
            continue;
        }
        g_assert_no_error(error);
        g_autofree char *got = in_short(steps);
        g_assert_cmpstr(got, ==, rows[i].want);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/preset/a-guest-hypervisor-gets-what-it-lacks",
                    test_a_guest_hypervisor_gets_what_it_lacks);
    g_test_add_func("/preset/hardware-that-is-too-old-is-refused",
                    test_hardware_that_is_too_old_is_refused);
    g_test_add_func("/preset/a-disk-becomes-an-ssd", test_a_disk_becomes_an_ssd);
    return g_test_run();
}
