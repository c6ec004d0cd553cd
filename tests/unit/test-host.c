/* Host: recorded roots and CPUID tables in, facts out; facts to JSON and back, from liars too. */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "host/facts.h"
#include "root.h"

typedef struct {
    uint32_t leaf, regs[4];
} Leaf;

#define LEAVES_MAX 12

static bool
cpuid_of_table(void *data, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    (void)subleaf;
    const Leaf *leaves = data;
    for (size_t i = 0; i < LEAVES_MAX; i++) {
        if (leaves[i].leaf == leaf && memcmp(leaves[i].regs, (uint32_t[4]){0}, 16) != 0) {
            memcpy(regs, leaves[i].regs, sizeof leaves[i].regs);
            return true;
        }
    }
    return false;
}

#define BELOW 0x80000000u /* the hypervisor bit */
#define LEAF1(ecx)                                                                                 \
    {                                                                                              \
        1,                                                                                         \
        {                                                                                          \
            0x000106a5, 0, (ecx), 0x0f8bfbff                                                       \
        }                                                                                          \
    }
#define AMD                                                                                        \
    {                                                                                              \
        0,                                                                                         \
        {                                                                                          \
            13, 0x68747541, 0x444d4163, 0x69746e65                                                 \
        }                                                                                          \
    }
#define INTEL                                                                                      \
    {                                                                                              \
        0,                                                                                         \
        {                                                                                          \
            13, 0x756e6547, 0x6c65746e, 0x49656e69                                                 \
        }                                                                                          \
    }
#define EXT(ecx)                                                                                   \
    {                                                                                              \
        0x80000001,                                                                                \
        {                                                                                          \
            0x000106a5, 0, (ecx), 0                                                                \
        }                                                                                          \
    }
#define SVM(edx)                                                                                   \
    {                                                                                              \
        0x8000000a,                                                                                \
        {                                                                                          \
            1, 16, 0, (edx)                                                                        \
        }                                                                                          \
    }
#define SIGN(leaf, a, b, c)                                                                        \
    {                                                                                              \
        (leaf),                                                                                    \
        {                                                                                          \
            0x40000001, (a), (b), (c)                                                              \
        }                                                                                          \
    }

static const struct {
    const char *label;
    Leaf leaves[LEAVES_MAX];
    File files[4];
    const char *vendor, *above;
    IrekoHv hv;
    bool nested_paging;
    const char *features; /* joined by blanks */
    const char *kvm_cause;
} cpu_rows[] = {
    {
        .label = "AMD on metal offers SVM with every part that its bits name",
        .leaves = {AMD, LEAF1(0), EXT(4), SVM(0x100084ff)},
        .vendor = "AuthenticAMD",
        .above = "none",
        .hv = IREKO_HV_SVM,
        .nested_paging = true,
        .features = "npt lbrv svm-lock nrip-save tsc-scale vmcb-clean flushbyasid decodeassists "
                    "pause-filter v-vmsave-vmload svme-addr-chk",
        .kvm_cause = "module-missing",
    },
    {
        .label = "QEMU's TCG offers NPT, VGIF and SVME_ADDR_CHK",
        .leaves = {AMD, LEAF1(BELOW), EXT(4), SVM(0x10010001),
                   SIGN(0x40000000, 0x54474354, 0x43544743, 0x47435447)},
        .vendor = "AuthenticAMD",
        .above = "qemu-tcg",
        .hv = IREKO_HV_SVM,
        .nested_paging = true,
        .features = "npt vgif svme-addr-chk",
        .kvm_cause = "module-missing",
    },
    {
        .label = "SVM without nested paging is told apart",
        .leaves = {AMD, LEAF1(BELOW), EXT(4), SVM(0x10000000),
                   SIGN(0x40000000, 0x54474354, 0x43544743, 0x47435447)},
        .vendor = "AuthenticAMD",
        .above = "qemu-tcg",
        .hv = IREKO_HV_SVM,
        .features = "svme-addr-chk",
        .kvm_cause = "module-missing",
    },
    {
        .label = "a guest of KVM without SVM had it taken away",
        .leaves = {AMD, LEAF1(BELOW), EXT(0), SIGN(0x40000000, 0x4b4d564b, 0x564b4d56, 0x0000004d)},
        .vendor = "AuthenticAMD",
        .above = "kvm",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "a CPU on metal without assistance lacks it",
        .leaves = {INTEL, LEAF1(0), EXT(0)},
        .vendor = "GenuineIntel",
        .above = "none",
        .features = "",
        .kvm_cause = "cpu-lacks",
    },
    {
        .label = "VMX under VMware, with the parts that the kernel read",
        .leaves = {INTEL, LEAF1(BELOW | 0x20), EXT(0),
                   SIGN(0x40000000, 0x61774d56, 0x4d566572, 0x65726177)},
        .files = {{"proc/cpuinfo",
                   "processor\t: 0\nflags\t\t: vmx hypervisor\nvmx flags\t: vnmi ept vpid\n\n"
                   "processor\t: 1\nvmx flags\t: other\n"}},
        .vendor = "GenuineIntel",
        .above = "vmware",
        .hv = IREKO_HV_VMX,
        .nested_paging = true,
        .features = "vnmi ept vpid",
        .kvm_cause = "module-missing",
    },
    {
        .label = "without the kernel's list EPT is what the module's parameter says",
        .leaves = {INTEL, LEAF1(0x20), EXT(0)},
        .files = {{"sys/module/kvm_intel/parameters/ept", "Y\n"}, {"sys/class/misc/kvm/dev", ""}},
        .vendor = "GenuineIntel",
        .above = "none",
        .hv = IREKO_HV_VMX,
        .nested_paging = true,
        .features = "ept",
        .kvm_cause = "unknown",
    },
    {
        .label = "EPT switched off in the module is no nested paging",
        .leaves = {INTEL, LEAF1(0x20), EXT(0)},
        .files = {{"sys/module/kvm_intel/parameters/ept", "N\n"}},
        .vendor = "GenuineIntel",
        .above = "none",
        .hv = IREKO_HV_VMX,
        .features = "",
        .kvm_cause = "unknown",
    },
    {
        .label = "VMX in CPUID that the kernel does not list was locked off by the firmware",
        .leaves = {INTEL, LEAF1(0x20), EXT(0)},
        .files = {{"proc/cpuinfo", "flags\t\t: fpu vmxnot\n"}},
        .vendor = "GenuineIntel",
        .above = "none",
        .hv = IREKO_HV_VMX,
        .features = "",
        .kvm_cause = "firmware-off",
    },
    {
        .label = "Hyper-V",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x7263694d, 0x666f736f, 0x76482074)},
        .vendor = "GenuineIntel",
        .above = "hyperv",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "KVM that plays Hyper-V signs behind it",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x7263694d, 0x666f736f, 0x76482074),
                   SIGN(0x40000100, 0x4b4d564b, 0x564b4d56, 0x0000004d)},
        .vendor = "GenuineIntel",
        .above = "kvm",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "Xen",
        .leaves = {AMD, LEAF1(BELOW), SIGN(0x40000000, 0x566e6558, 0x65584d4d, 0x4d4d566e)},
        .vendor = "AuthenticAMD",
        .above = "xen",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "VirtualBox",
        .leaves = {AMD, LEAF1(BELOW), SIGN(0x40000000, 0x786f4256, 0x786f4256, 0x786f4256)},
        .vendor = "AuthenticAMD",
        .above = "virtualbox",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "Parallels",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x70726c20, 0x68797065, 0x20727620)},
        .vendor = "GenuineIntel",
        .above = "parallels",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "bhyve",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x76796862, 0x68622065, 0x20657679)},
        .vendor = "GenuineIntel",
        .above = "bhyve",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "ACRN",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x4e524341, 0x4e524341, 0x4e524341)},
        .vendor = "GenuineIntel",
        .above = "acrn",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "a signature that nobody knows is unknown",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x1b5b1b5b, 0x41414141, 0x41414141)},
        .vendor = "GenuineIntel",
        .above = "unknown",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "a signature of several lines is shown on one",
        .leaves = {INTEL, LEAF1(BELOW), SIGN(0x40000000, 0x0a410d41, 0x41414109, 0x41414141)},
        .vendor = "GenuineIntel",
        .above = "unknown",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "a hypervisor that does not sign is unknown",
        .leaves = {INTEL, LEAF1(BELOW)},
        .vendor = "GenuineIntel",
        .above = "unknown",
        .features = "",
        .kvm_cause = "hidden-by-host",
    },
    {
        .label = "Bochs emulates a bare machine and is known by its BIOS",
        .leaves = {INTEL, LEAF1(0x20)},
        .files = {{"sys/class/dmi/id/bios_vendor", "The Bochs Project\n"},
                  {"proc/cpuinfo", "flags\t: vmx\nvmx flags\t: ept\n"}},
        .vendor = "GenuineIntel",
        .above = "bochs",
        .hv = IREKO_HV_VMX,
        .nested_paging = true,
        .features = "ept",
        .kvm_cause = "module-missing",
    },
    {
        .label = "a recorded host without CPUID is read from /proc/cpuinfo",
        .files = {{"proc/cpuinfo",
                   "vendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nflags\t\t: hypervisor svm npt "
                   "nrip_save pausefilter\n"}},
        .vendor = "AuthenticAMD",
        .above = "unknown",
        .hv = IREKO_HV_SVM,
        .nested_paging = true,
        .features = "npt nrip-save pause-filter",
        .kvm_cause = "module-missing",
    },
    {
        .label = "a container has the module and not the device; recorded, it was not tried",
        .leaves = {AMD, LEAF1(0), EXT(4), SVM(1)},
        .files = {{".dockerenv", ""}, {"sys/devices/virtual/misc/kvm/dev", "10:232\n"}},
        .vendor = "AuthenticAMD",
        .above = "none",
        .hv = IREKO_HV_SVM,
        .nested_paging = true,
        .features = "npt",
        .kvm_cause = "unknown",
    },
};

static char *
join(const GPtrArray *texts)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < texts->len; i++)
        g_string_append_printf(out, "%s%s", i == 0 ? "" : " ",
                               (const char *)g_ptr_array_index(texts, i));
    return g_string_free(out, FALSE);
}

static IrekoFacts *
read_root(const Root *root, const Leaf *leaves, bool probe)
{
    Leaf table[LEAVES_MAX] = {{0, {0}}};
    if (leaves != NULL)
        memcpy(table, leaves, sizeof table);
    IrekoHostSource source = {
        .root_fd = root->fd, .cpuid = cpuid_of_table, .data = table, .probe = probe};
    g_autoptr(GError) error = NULL;
    IrekoFacts *facts = ireko_facts_read(&source, &error);
    g_assert_no_error(error);
    return facts;
}

static void
test_cpuid_tables(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cpu_rows); i++) {
        g_test_message("%s", cpu_rows[i].label);
        Root root = root_new(cpu_rows[i].files, G_N_ELEMENTS(cpu_rows[i].files));
        g_autoptr(IrekoFacts) facts = read_root(&root, cpu_rows[i].leaves, false);
        g_assert_cmpstr(facts->cpu_vendor, ==, cpu_rows[i].vendor);
        g_assert_cmpstr(facts->above, ==, cpu_rows[i].above);
        g_assert_cmpint(facts->hv, ==, cpu_rows[i].hv);
        g_assert_cmpint(facts->nested_paging, ==, cpu_rows[i].nested_paging);
        g_autofree char *features = join(facts->hv_features);
        g_assert_cmpstr(features, ==, cpu_rows[i].features);
        g_assert_false(facts->kvm.usable);
        g_assert_cmpstr(facts->kvm.cause, ==, cpu_rows[i].kvm_cause);
        g_assert_nonnull(facts->hv_evidence);
        g_assert_nonnull(facts->above_evidence);
        g_assert_nonnull(facts->kvm.evidence);
        g_assert_null(strpbrk(facts->above_evidence, "\n\r\x1b"));
        root_clear(&root);
    }
}

static void
test_evidence_names_the_words_that_were_read(void)
{
    static const Leaf leaves[LEAVES_MAX] = {AMD, LEAF1(BELOW), EXT(0x123c3), SVM(0x1),
                                            SIGN(0x40000000, 0x4b4d564b, 0x564b4d56, 0x4d)};
    Root root = root_new(NULL, 0);
    g_autoptr(IrekoFacts) without = read_root(&root, leaves, false);
    g_assert_cmpstr(
        without->hv_evidence, ==,
        "SVM clear: CPUID 80000001h ECX bit 2 of 000123c3; VMX clear: CPUID 1 ECX bit 5 "
        "of 80000000");
    g_assert_cmpstr(without->above_evidence, ==, "CPUID 40000000h signature 'KVMKVMKVM'");

    static const Leaf more[LEAVES_MAX] = {AMD, LEAF1(0), EXT(0x123c7), SVM(0x10010001)};
    g_autoptr(IrekoFacts) with = read_root(&root, more, false);
    g_assert_cmpstr(with->hv_evidence, ==,
                    "SVM set: CPUID 80000001h ECX bit 2 of 000123c7; NPT set: CPUID 8000000Ah EDX "
                    "bit 0 of 10010001");
    root_clear(&root);

    static const File itanium[] = {{"proc/cpuinfo", "vendor     : GenuineIntel\n"
                                                    "arch       : IA-64\nfamily     : 32\n"}};
    root = root_new(itanium, G_N_ELEMENTS(itanium));
    g_autoptr(IrekoFacts) other = read_root(&root, NULL, false);
    g_assert_cmpint(other->hv, ==, IREKO_HV_NONE);
    g_assert_cmpstr(other->cpu_vendor, ==, "GenuineIntel");
    g_assert_nonnull(strstr(other->hv_evidence, "VT-i"));
    root_clear(&root);
}

static const Leaf amd_on_metal[LEAVES_MAX] = {AMD, LEAF1(0), EXT(4), SVM(1)};

static const struct {
    const char *label;
    File files[4];
    const char *cause;
} device_rows[] = {
    {"no module, no device", {{"proc/cpuinfo", "flags\t: svm\n"}}, "module-missing"},
    {"module without a device file", {{"sys/class/misc/kvm/dev", ""}}, "device-missing"},
    {"module without a device file in a container",
     {{"sys/class/misc/kvm/dev", ""}, {"run/.containerenv", ""}},
     "container"},
    {"a container that only the environment of its first process names",
     {{"sys/class/misc/kvm/dev", ""}, {"proc/1/environ", "container=lxc"}},
     "container"},
    {"a device file that is not KVM", {{"dev/kvm", "text"}}, "unknown"},
    {"a device file that points nowhere", {{"dev/kvm", "->nowhere"}}, "module-missing"},
    {"a device switched off by the firmware", {{"proc/cpuinfo", "flags\t: fpu\n"}}, "firmware-off"},
};

static void
test_kvm_is_tried_and_the_reason_named(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(device_rows); i++) {
        g_test_message("%s", device_rows[i].label);
        Root root = root_new(device_rows[i].files, G_N_ELEMENTS(device_rows[i].files));
        g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, true);
        g_assert_false(facts->kvm.usable);
        g_assert_cmpstr(facts->kvm.cause, ==, device_rows[i].cause);
        root_clear(&root);
    }
}

static void
test_a_busy_kvm_names_who_may_hold_it(void)
{
    static const File files[] = {{"dev/kvm", "text"}, {"sys/module/vboxdrv/version", "7\n"}};
    Root root = root_new(files, G_N_ELEMENTS(files));
    g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, true);
    g_assert_nonnull(strstr(facts->kvm.evidence, "VirtualBox"));
    root_clear(&root);
}

#define PCI  "sys/devices/pci0000:00/"
#define LINK "->../devices/pci0000:00/"

static const File machine_files[] = {
    {"proc/meminfo", "MemTotal:        1000000 kB\nMemFree: 5 kB\nMemAvailable:     900000 kB\n"},
    {"proc/sys/kernel/osrelease", "6.1.0-40-amd64\n"},
    {"sys/devices/system/cpu/online", "0-1,3\n"},
    {"sys/firmware/memmap/0/type", "System RAM\n"},
    {"sys/firmware/memmap/0/start", "0x0\n"},
    {"sys/firmware/memmap/0/end", "0x9fbff\n"},
    {"sys/firmware/memmap/1/type", "Reserved\n"},
    {"sys/firmware/memmap/1/start", "0x9fc00\n"},
    {"sys/firmware/memmap/1/end", "0xfffff\n"},
    {"sys/firmware/memmap/2/type", "System RAM\n"},
    {"sys/firmware/memmap/2/start", "0x100000\n"},
    {"sys/firmware/memmap/2/end", "0x3ffdffff\n"},
    {"sys/module/kvm_amd/parameters/npt", "Y\n"},
    {"sys/module/kvm_amd/parameters/nested", "1\n"},
    {"sys/module/kvm/parameters/ignore_msrs", "N\n"},

    {"sys/block/loop0/size", "8\n"},
    {"sys/block/zram0/size", "8\n"},
    {"sys/block/dm-0/size", "8\n"},

    {"sys/block/sda", LINK "0000:00:10.0/host2/target2:0:0/2:0:0:0/block/sda"},
    {PCI "0000:00:10.0/driver", "->../../../bus/pci/drivers/vmw_pvscsi"},
    {PCI "0000:00:10.0/host2/target2:0:0/2:0:0:0/vpd_pgb1", "\1\xb1x<xxxxxxx"},
    {PCI "0000:00:10.0/host2/target2:0:0/2:0:0:0/vpd_pg80", "\1\x80\1\1  ireko5c9f40 \x1b"},
    {PCI "0000:00:10.0/host2/target2:0:0/2:0:0:0/wwid", "naa.5000c29123456789\n"},
    {PCI "0000:00:10.0/host2/target2:0:0/2:0:0:0/block/sda/device", "->../../../2:0:0:0"},
    {PCI "0000:00:10.0/host2/target2:0:0/2:0:0:0/block/sda/size", "2048\n"},
    {PCI "0000:00:10.0/host2/target2:0:0/2:0:0:0/block/sda/queue/rotational", "1\n"},

    {"sys/block/sdb", LINK "0000:00:11.0/host3/target3:0:5/3:0:5:0/block/sdb"},
    {PCI "0000:00:11.0/host3/target3:0:5/3:0:5:0/block/sdb/queue/rotational", "0\n"},
    {PCI "0000:00:11.0/host3/target3:0:5/3:0:5:0/block/sdb/device/vpd_pg80", "\1\x80\1\1    "},
    {PCI "0000:00:11.0/host3/target3:0:5/3:0:5:0/block/sdb/device/wwid", "\n"},

    {"sys/block/sdc",
     LINK "0000:00:12.0/host4/port-4:0/end_device-4:0/target4:0:0/4:0:0:0/block/sdc"},
    {PCI "0000:00:12.0/host4/port-4:0/end_device-4:0/sas_device/end_device-4:0/phy_identifier",
     "3\n"},

    {"sys/block/sdd", LINK "0000:00:15.0/ata9/host5/target5:0:0/5:0:0:0/block/sdd"},
    {PCI "0000:00:15.0/ata9/ata_port/ata9/port_no", "3\n"},

    {"sys/block/sde", LINK "0000:00:01.1/ata2/host6/target6:0:1/6:0:1:0/block/sde"},
    {PCI "0000:00:01.1/ata2/ata_port/ata2/port_no", "2\n"},

    {"sys/block/sr0", LINK "0000:00:01.1/ata1/host7/target7:0:0/7:0:0:0/block/sr0"},
    {PCI "0000:00:01.1/ata1/ata_port/ata1/port_no", "1\n"},

    {"sys/block/nvme0n1", LINK "0000:00:18.0/nvme/nvme0/nvme0n1"},
    {PCI "0000:00:18.0/driver", "->../../../bus/pci/drivers/nvme"},
    {PCI "0000:00:18.0/nvme/nvme0/nvme0n1/queue/rotational", "0\n"},
    {PCI "0000:00:18.0/nvme/nvme0/nvme0n1/device/serial", "ireko60916              \n"},
    {PCI "0000:00:18.0/nvme/nvme0/nvme0n1/wwid", "nvme.8086-69-51-00000001\n"},

    {"sys/block/sdf", LINK "0000:00:10.0/0000:01:10.0/host8/target8:0:0/8:0:0:0/block/sdf"},
    {"sys/block/sdg", LINK "0000:00:10.0/host2/target2:0:1/2:0:1:7/block/sdg"},
    {"sys/block/vda", LINK "0000:00:06.0/virtio1/block/vda"},
    {"sys/block/vdb/device/driver", "->../../../bus/virtio/drivers/virtio_blk"},
};

static const IrekoDiskFact *
find_disk(const IrekoFacts *facts, const char *name)
{
    for (guint i = 0; i < facts->disks->len; i++) {
        const IrekoDiskFact *disk = g_ptr_array_index(facts->disks, i);
        if (strcmp(disk->name, name) == 0)
            return disk;
    }
    return NULL;
}

static const struct {
    const char *name, *device, *controller;
} place_rows[] = {
    {"nvme0n1", "nvme0:0", "nvme"}, /* in the order of names */
    {"sda", "scsi0:0", "vmw_pvscsi"}, {"sdb", "scsi1:5", NULL},
    {"sdc", "scsi2:3", NULL},                              /* SAS: the phy, not the target */
    {"sdd", "sata1:2", NULL},                              /* ports count from 1 */
    {"sde", "ide1:1", NULL},          {"sdf", NULL, NULL}, /* behind a bridge */
    {"sdg", NULL, "vmw_pvscsi"},                           /* a LUN that no .vmx can name */
    {"sr0", "ide0:0", NULL},          {"vda", NULL, NULL}, /* a controller that no .vmx has */
    {"vdb", NULL, "virtio_blk"},
};

static void
test_a_recorded_machine_is_read_whole(void)
{
    Root root = root_new(machine_files, G_N_ELEMENTS(machine_files));
    g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, false);

    g_assert_cmpuint(facts->cpus, ==, 3);
    g_assert_cmpuint(facts->memory_bytes, ==, (uint64_t)1000000 << 10);
    g_assert_cmpuint(facts->available_bytes, ==, (uint64_t)900000 << 10);
    g_assert_cmpuint(facts->installed_bytes, ==, 0x9fc00 + 0x3ffe0000 - 0x100000);
    g_assert_cmpstr(facts->kernel, ==, "6.1.0-40-amd64");
    g_autofree char *params = join(facts->kvm_params);
    g_assert_cmpstr(params, ==, "kvm.ignore_msrs=N kvm_amd.nested=1 kvm_amd.npt=Y");

    g_assert_cmpuint(facts->disks->len, ==, G_N_ELEMENTS(place_rows));
    for (size_t i = 0; i < G_N_ELEMENTS(place_rows); i++) {
        const IrekoDiskFact *disk = g_ptr_array_index(facts->disks, i);
        g_assert_cmpstr(disk->name, ==, place_rows[i].name);
        g_assert_cmpstr(disk->device, ==, place_rows[i].device);
        g_assert_cmpstr(disk->controller, ==, place_rows[i].controller);
        g_assert_cmpint(disk->cdrom, ==, disk->name[1] == 'r');
    }

    const IrekoDiskFact *sda = find_disk(facts, "sda");
    g_assert_cmpuint(sda->bytes, ==, 1 << 20);
    g_assert_cmpint(sda->rotational, ==, 1);
    g_assert_cmpint(sda->rotation_rate, ==, 'x' << 8 | 'x');
    g_assert_cmpstr(sda->vpd_b1, ==, "01 b1 78 3c 78 78 78 78");
    g_assert_cmpstr(sda->serial, ==, "ireko5c9f40 \\x1b");
    g_assert_cmpstr(sda->wwn, ==, "naa.5000c29123456789");
    g_assert_null(find_disk(facts, "sdb")->serial); /* only spaces */
    g_assert_null(find_disk(facts, "sdb")->wwn);
    g_assert_null(find_disk(facts, "sdc")->serial);
    g_assert_cmpstr(find_disk(facts, "nvme0n1")->serial, ==, "ireko60916");
    g_assert_cmpstr(find_disk(facts, "nvme0n1")->wwn, ==, "nvme.8086-69-51-00000001");
    g_assert_cmpint(find_disk(facts, "sdb")->rotational, ==, 0);
    g_assert_cmpint(find_disk(facts, "sdb")->rotation_rate, ==, -1);
    g_assert_cmpint(find_disk(facts, "sdc")->rotational, ==, -1);
    g_assert_cmpint(find_disk(facts, "nvme0n1")->rotational, ==, 0);
    root_clear(&root);
}

static void
test_nonsense_in_files_is_unknown(void)
{
    static const File files[] = {
        {"proc/meminfo", "MemTotal: 99999999999999999999999 kB\n"},
        {"proc/sys/kernel/osrelease", "6\x1b[2J\n"},
        {"sys/devices/system/cpu/online", "7-2\n"},
        {"sys/firmware/memmap/0/type", "System RAM\n"},
        {"sys/firmware/memmap/0/start", "0x10\n"},
        {"sys/firmware/memmap/0/end", "0x5\n"},
        {"sys/block/sda/size", "-5\n"},
        {"sys/block/sda/queue/rotational", "99\n"},
        {"sys/block/bad name/size", "5\n"},
    };
    Root root = root_new(files, G_N_ELEMENTS(files));
    g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, false);
    g_assert_cmpuint(facts->memory_bytes, ==, 0);
    g_assert_cmpstr(facts->kernel, ==, "6\\x1b[2J");
    g_assert_cmpuint(facts->cpus, ==, 0);
    g_assert_cmpuint(facts->installed_bytes, ==, 0);
    g_assert_cmpuint(facts->disks->len, ==, 1);
    g_assert_cmpuint(find_disk(facts, "sda")->bytes, ==, 0);
    g_assert_cmpint(find_disk(facts, "sda")->rotational, ==, 1);
    root_clear(&root);
}

static void
test_a_root_without_proc_is_an_error(void)
{
    g_autofree char *path = g_dir_make_tmp("ireko-host-XXXXXX", NULL);
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    IrekoHostSource source = {.root_fd = fd};
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_facts_read(&source, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_IO);
    g_assert_true(ireko_file_remove_tree(path, NULL));
}

static void
test_json_there_and_back_is_the_same(void)
{
    Root root = root_new(machine_files, G_N_ELEMENTS(machine_files));
    g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, true);
    json_t *object = ireko_facts_to_json(facts);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(object, &error);
    g_assert_no_error(error);
    json_t *object_again = ireko_facts_to_json(again);
    g_assert_true(json_equal(object, object_again));
    g_assert_cmpuint(again->disks->len, ==, facts->disks->len);
    g_assert_cmpint(find_disk(again, "sdb")->rotation_rate, ==, -1);
    g_assert_cmpstr(find_disk(again, "sda")->wwn, ==, find_disk(facts, "sda")->wwn);
    g_assert_cmpuint(again->installed_bytes, ==, facts->installed_bytes);
    json_decref(object);
    json_decref(object_again);
    root_clear(&root);
}

/* Every kind that there is says so in letters and hyphens, but for one. */
static void
test_a_kind_with_digits_is_read_back(void)
{
    const File files[] = {{"proc/cpuinfo", "vendor_id : PowerVM Lx86\n"}};
    Root root = root_new(files, G_N_ELEMENTS(files));
    g_autoptr(IrekoFacts) facts = read_root(&root, NULL, true);
    g_assert_cmpstr(facts->above, ==, "powervm-lx86");
    json_t *object = ireko_facts_to_json(facts);
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(object, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->above, ==, facts->above);
    json_decref(object);
    root_clear(&root);
}

/* One field of good facts is replaced; PATH's segments are split at '/', numbers index lists. */
#define FIFTY "naa.5000c29123456789naa.5000c29123456789naa.5000c2"

static const struct {
    const char *label, *path, *json;
} hostile_rows[] = {
    {"no CPU", "cpu", "null"},
    {"a CPU that is a list", "cpu", "[]"},
    {"an assistance that nobody has", "cpu/hv", "\"xyz\""},
    {"a number for a flag", "cpu/nested_paging", "1"},
    {"a feature that is a number", "cpu/features", "[1]"},
    {"a feature that is long", "cpu/features", "[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]"},
    {"a kind that is no word", "above/kind", "\"a\\u001bb\""},
    {"a kind that is not there", "above/kind", "null"},
    {"a cause with a blank", "kvm/cause", "\"not ok\""},
    {"a usable KVM with a cause", "kvm/usable", "true"},
    {"an unusable KVM without a cause", "kvm/cause", "null"},
    {"a feature that is long once it is safe to print", "cpu/features",
     "[\"\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\\u001b\"]"},
    {"negative memory", "memory/total_bytes", "-1"},
    {"memory that is a fraction", "memory/total_bytes", "1.5"},
    {"more CPUs than there are", "cpus", "1000000"},
    {"disks that are a text", "disks", "\"sda\""},
    {"a disk that is a number", "disks", "[3]"},
    {"a disk without a name", "disks", "[{\"bytes\":1,\"cdrom\":false}]"},
    {"a disk whose name is a path", "disks", "[{\"name\":\"../sda\",\"bytes\":1,\"cdrom\":false}]"},
    {"a disk that half rotates", "disks",
     "[{\"name\":\"sda\",\"bytes\":1,\"cdrom\":false,\"rotational\":2}]"},
    {"a disk whose serial number is a number", "disks",
     "[{\"name\":\"sda\",\"bytes\":1,\"cdrom\":false,\"serial\":2}]"},
    {"a disk whose WWN is longer than a page", "disks",
     "[{\"name\":\"sda\",\"bytes\":1,\"cdrom\":false,\"wwn\":\"" FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY
     "\"}]"},
};

static void
replace_field(json_t *object, const char *path, const char *text)
{
    g_auto(GStrv) keys = g_strsplit(path, "/", 2);
    json_t *at = keys[1] != NULL ? json_object_get(object, keys[0]) : object;
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    g_assert_nonnull(value);
    g_assert_cmpint(json_object_set_new(at, keys[1] != NULL ? keys[1] : keys[0], value), ==, 0);
}

static void
test_facts_from_a_liar_are_refused(void)
{
    Root root = root_new(machine_files, G_N_ELEMENTS(machine_files));
    g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, true);
    for (size_t i = 0; i < G_N_ELEMENTS(hostile_rows); i++) {
        g_test_message("%s", hostile_rows[i].label);
        json_t *object = ireko_facts_to_json(facts);
        replace_field(object, hostile_rows[i].path, hostile_rows[i].json);
        g_autoptr(GError) error = NULL;
        g_assert_null(ireko_facts_from_json(object, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
        json_decref(object);
    }

    json_t *object = ireko_facts_to_json(facts);
    json_t *disk = json_array_get(json_object_get(object, "disks"), 0);
    for (size_t i = 0; i < IREKO_FACTS_DISKS_MAX; i++)
        g_assert_cmpint(json_array_append(json_object_get(object, "disks"), disk), ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_null(ireko_facts_from_json(object, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    g_clear_error(&error);
    g_assert_null(ireko_facts_from_json(NULL, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE);
    json_decref(object);
    root_clear(&root);
}

static void
test_texts_from_a_liar_cannot_drive_the_terminal(void)
{
    Root root = root_new(NULL, 0);
    g_autoptr(IrekoFacts) facts = read_root(&root, amd_on_metal, false);
    json_t *object = ireko_facts_to_json(facts);
    replace_field(object, "cpu/model", "\"\\u001b[2J\\nroot\"");
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(object, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->cpu_model, ==, "\\x1b[2J root");
    json_decref(object);
    root_clear(&root);
}

static void
test_this_machine_can_be_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoFacts) facts = ireko_facts_here(&error);
    g_assert_no_error(error);
    g_assert_cmpuint(facts->cpus, >, 0);
    g_assert_cmpuint(facts->memory_bytes, >, 0);
    g_assert_cmpuint(facts->available_bytes, <=, facts->memory_bytes);
    g_assert_nonnull(facts->kernel);
    g_assert_nonnull(facts->cpu_vendor);
    g_assert_nonnull(facts->above);
    g_assert_cmpint(facts->kvm.usable, ==, facts->kvm.cause == NULL);

    json_t *object = ireko_facts_to_json(facts);
    g_autofree char *text = json_dumps(object, JSON_COMPACT);
    g_test_message("%s", text);
    g_autoptr(IrekoFacts) again = ireko_facts_from_json(object, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->kernel, ==, facts->kernel);
    json_decref(object);
}

#ifdef __x86_64__
/* Within one part in fifty: the other measurement may lose its slice of time. */
static void
test_the_pace_of_the_counter(void)
{
    gint64 before_us = g_get_monotonic_time();
    unsigned long long ticks = __builtin_ia32_rdtsc();
    g_usleep(50000);
    double khz = (double)(__builtin_ia32_rdtsc() - ticks) * 1e3 /
                 (double)(g_get_monotonic_time() - before_us);
    g_assert_cmpfloat_with_epsilon(ireko_tsc_khz(), khz, khz / 50);
}
#endif

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/host/cpuid-tables", test_cpuid_tables);
    g_test_add_func("/host/evidence-names-the-words", test_evidence_names_the_words_that_were_read);
    g_test_add_func("/host/kvm-is-tried", test_kvm_is_tried_and_the_reason_named);
    g_test_add_func("/host/kvm-held-by-other", test_a_busy_kvm_names_who_may_hold_it);
    g_test_add_func("/host/a-recorded-machine-whole", test_a_recorded_machine_is_read_whole);
    g_test_add_func("/host/nonsense-is-unknown", test_nonsense_in_files_is_unknown);
    g_test_add_func("/host/no-proc-is-an-error", test_a_root_without_proc_is_an_error);
    g_test_add_func("/host/a-kind-with-digits-is-read-back", test_a_kind_with_digits_is_read_back);
    g_test_add_func("/host/json-there-and-back", test_json_there_and_back_is_the_same);
    g_test_add_func("/host/a-liar-is-refused", test_facts_from_a_liar_are_refused);
    g_test_add_func("/host/a-liar-cannot-drive-the-terminal",
                    test_texts_from_a_liar_cannot_drive_the_terminal);
#ifdef __x86_64__
    g_test_add_func("/host/the-pace-of-the-counter-is-that-of-the-clock",
                    test_the_pace_of_the_counter);
#endif
    g_test_add_func("/host/this-machine", test_this_machine_can_be_read);
    return g_test_run();
}
