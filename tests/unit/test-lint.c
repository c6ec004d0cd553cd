/* Lint: each rule has a file that it finds wrong and one beside it that it does not; what can be
 * mended is, and nothing else changes; no file is slow. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include <ireko/lint.h>

static IrekoVmx *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    IrekoVmx *doc = ireko_vmx_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    return doc;
}

/* "code:line code:line", by line. */
static char *
in_short(const GPtrArray *findings)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        g_assert_nonnull(finding->what);
        g_assert_nonnull(finding->evidence);
        g_assert_nonnull(finding->source);
        g_assert_null(strpbrk(finding->evidence, "\n\t\x1b"));
        g_string_append_printf(out, "%s%s:%u", i > 0 ? " " : "", finding->code, finding->line);
    }
    return g_string_free(out, FALSE);
}

#define ESXI                                                                                       \
    "guestOS = \"vmkernel65\"\nvirtualHW.version = \"14\"\nnumvcpus = \"2\"\nmemsize = \"8192\"\n"
#define NEST   ESXI "vhv.enable = \"TRUE\"\n" /* 5 lines */
#define VHV    "vhv.enable = \"TRUE\"\n"
#define PORT   "pciBridge4.virtualDev = \"pcieRootPort\"\n"
#define NIC0   "ethernet0.present = \"TRUE\"\n"
#define NIC1   "ethernet1.present = \"TRUE\"\n"
#define DISK   "scsi0:0.present = \"TRUE\"\n"
#define FILTER "ethernet0.filter4.name = \"dvfilter-maclearn\"\n"
#define SALT   "sched.mem.pshare.salt = \"lab\"\n"

/* WANT: what is found, then ! and a rule that the file just misses. */
static const struct {
    const char *label, *text, *want;
} rows[] = {
    {"a file that is right has no finding", NEST PORT NIC0, ""},
    {"a key twice", "memsize = \"64\"\nMemSize = \"128\"\n", "duplicate-key:2"},
    {"two keys that only begin alike", "tools.a = \"64\"\ntools.ab = \"64\"\n", "!duplicate-key"},
    {"a value without quotes", "memsize = 64\n", "unquoted-value:1"},
    {"quotes without blanks around =", "memsize=\"64\"\n", "!unquoted-value"},
    {"a comment behind a value", "memsize = \"64\" # MB\n", "trailing-comment:1"},
    {"a # inside quotes", "annotation = \"a # b\"\n", "!trailing-comment"},
    {"a bar that is no escape", "annotation = \"a | b\"\n", "bad-escape:1"},
    {"a bar at the end", "annotation = \"a|\"\n", "bad-escape:1"},
    {"escapes", "annotation = \"a|22b|7C|0A\"\n", "!bad-escape"},
    {"another encoding", ".encoding = \"windows-1252\"\nannotation = \"\xe9\"\n",
     "encoding-not-utf8:1"},
    {"another encoding that makes no difference", ".encoding = \"windows-1252\"\n",
     "!encoding-not-utf8"},
    {"UTF-8", ".encoding = \"UTF-8\"\n", ""},
    {"a line that is none", "# c\nmemsize \"64\"\n", "malformed-line:2"},
    {"a typing error", "numvcpu = \"2\"\n", "misspelt-key:1"},
    {"a key that nobody knows and that is near to none", "some.private.thing = \"2\"\n",
     "!misspelt-key"},
    {"folklore", "hypervisor.cpuid.0 = \"FALSE\"\n", "invented-key:1"},
    {"the key that was meant", "hypervisor.cpuid.v0 = \"FALSE\"\n", "!invented-key"},
    {"a setting of a port group in a .vmx", "ethernet0.promiscuousMode = \"accept\"\n",
     "invented-key:1"},
    {"a value that cannot be meant", "memsize = \"many\"\n", "bad-value:1"},
    {"an ordinary comment", "# memsize \"64\"\n\n", "!malformed-line"},
    {"a value that can be meant", "memsize = \"64\"\n", "!bad-value"},
    {"nothing behind =", "annotation =\n", "unquoted-value:1"},
    {"nesting below hardware version 9", "virtualHW.version = \"8\"\n" VHV,
     "vhv-hardware-version:2"},
    {"nesting at hardware version 9", "virtualHW.version = \"9\"\n" VHV, "!vhv-hardware-version"},
    {"nesting without hardware paging", VHV "monitor.virtual_mmu = \"software\"\n",
     "vhv-software-mmu:2"},
    {"nesting without hardware execution", VHV "monitor.virtual_exec = \"software\"\n",
     "vhv-software-mmu:2"},
    {"nesting with hardware paging", VHV "monitor.virtual_mmu = \"hardware\"\n",
     "!vhv-software-mmu"},
    {"software paging without nesting", "monitor.virtual_mmu = \"software\"\n", ""},
    {"an ESXi without assistance", ESXI, "hypervisor-without-vhv:1"},
    {"an ESXi with assistance switched off", ESXI "vhv.enable = \"FALSE\"\n",
     "hypervisor-without-vhv:5"},
    {"a Hyper-V without assistance", "guestOS = \"winHyperV\"\n", "hypervisor-without-vhv:1"},
    {"a Linux without assistance", "guestOS = \"debian12-64\"\n", "!hypervisor-without-vhv"},
    {"ESXi 8 on old hardware",
     "guestOS = \"vmkernel8\"\nvirtualHW.version = \"19\"\nnumvcpus = \"2\"\nmemsize = "
     "\"8192\"\n" VHV,
     "guest-newer-than-hardware:1"},
    {"ESXi 8 on its hardware",
     "guestOS = \"vmkernel8\"\nvirtualHW.version = \"20\"\nnumvcpus = \"2\"\nmemsize = "
     "\"8192\"\n" VHV,
     "!guest-newer-than-hardware"},
    {"an ESXi with one CPU", "guestOS = \"vmkernel65\"\nnumvcpus = \"1\"\nmemsize = \"4096\"\n" VHV,
     "esxi-too-small:2"},
    {"an ESXi with too little memory",
     "guestOS = \"vmkernel7\"\nnumvcpus = \"2\"\nmemsize = \"4096\"\n" VHV, "esxi-too-small:3"},
    {"a built-in image in the place of ESXi",
     "guestOS = \"vmkernel7\"\nireko.image = \"kvm-host\"\nmemsize = \"1024\"\n" VHV,
     "!esxi-too-small"},
    {"a boot disk of 16 GB",
     "guestOS = \"vmkernel7\"\nnumvcpus = \"2\"\nmemsize = \"8192\"\n" VHV DISK
     "ireko.scsi0:0.size = \"16G\"\n",
     "esxi-boot-disk-small:6"},
    {"a boot disk of 16 GB behind a CD-ROM drive",
     "guestOS = \"vmkernel7\"\nnumvcpus = \"2\"\nmemsize = \"8192\"\n" VHV DISK
     "ireko.scsi0:0.size = \"16G\"\nide1:0.present = \"TRUE\"\nide1:0.deviceType = "
     "\"cdrom-image\"\n",
     "esxi-boot-disk-small:6"},
    {"a boot disk of 32 GB",
     "guestOS = \"vmkernel7\"\nnumvcpus = \"2\"\nmemsize = \"8192\"\n" VHV DISK
     "ireko.scsi0:0.size = \"32G\"\n",
     "!esxi-boot-disk-small"},
    {"performance counters in EVC", "vpmc.enable = \"TRUE\"\nevcCompatibilityMode = \"TRUE\"\n",
     "vpmc-masked-cpu:1"},
    {"performance counters alone", "vpmc.enable = \"TRUE\"\nevcCompatibilityMode = \"FALSE\"\n",
     "!vpmc-masked-cpu"},
    {"nesting with Fault Tolerance", VHV "ftcpt.something = \"1\"\n", "vhv-fault-tolerance:2"},
    {"a key of encryption that every machine has",
     VHV "ftcpt.ftEncryptionMode = \"ftEncryptionOpportunistic\"\n", "!vhv-fault-tolerance"},
    {"nesting with a device passed through", VHV "pciPassthru0.present = \"TRUE\"\n",
     "vhv-passthrough:2"},
    {"nesting with a device passed through, allowed",
     VHV "pciPassthru0.present = \"TRUE\"\nvhv.allowPassthru = \"TRUE\"\n", "!vhv-passthrough"},
    {"VBS without an IOMMU", "vbs.enable = \"TRUE\"\nvvtd.enable = \"FALSE\"\n",
     "vbs-incomplete:2"},
    {"VBS on old hardware", "vbs.enable = \"TRUE\"\nvirtualHW.version = \"13\"\n",
     "vbs-incomplete:1"},
    {"VBS with a BIOS", "windows.vbs.enabled = \"TRUE\"\nfirmware = \"bios\"\n",
     "vbs-incomplete:2"},
    {"a BIOS without VBS", "windows.vbs.enabled = \"FALSE\"\nfirmware = \"bios\"\n",
     "!vbs-incomplete"},
    {"VBS with all it needs",
     "vbs.enable = \"TRUE\"\nvvtd.enable = \"TRUE\"\nvirtualHW.version = \"19\"\n",
     "!vbs-incomplete"},
    {"a hypervisor that is suspended", VHV "checkpoint.vmState = \"a.vmss\"\n",
     "suspended-hypervisor:2"},
    {"a hypervisor that is not", VHV "checkpoint.vmState = \"\"\n", "!suspended-hypervisor"},
    {"a vmxnet3 without a PCIe port", NIC0 "ethernet0.virtualDev = \"vmxnet3\"\n",
     "no-pcie-port:1"},
    {"an NVMe disk without a PCIe port", "nvme0.present = \"TRUE\"\nnvme0:0.present = \"TRUE\"\n",
     "no-pcie-port:2"},
    {"a vmxnet3 with one", NIC0 "ethernet0.virtualDev = \"vmxnet3\"\n" PORT, "!no-pcie-port"},
    {"an e1000", NIC0 "ethernet0.virtualDev = \"e1000\"\n", ""},
    {"a virtual ESXi on a port group", NEST NIC0 "ethernet0.networkName = \"VM Network\"\n",
     "port-group-for-nested:7"},
    {"a Linux on a port group", NIC0 "ethernet0.networkName = \"VM Network\"\n",
     "!port-group-for-nested"},
    {"a virtual ESXi on a distributed port group",
     NEST NIC0 "ethernet0.dvs.portgroupId = \"dvportgroup-1\"\n", "mac-learning:7"},
    {"the same below 6.7",
     "guestOS = \"vmkernel65\"\nvirtualHW.version = \"13\"\nnumvcpus = \"2\"\nmemsize = "
     "\"8192\"\n" VHV NIC0 "ethernet0.dvs.portgroupId = \"dvportgroup-1\"\n",
     "!mac-learning"},
    {"the filter on one card of two", "virtualHW.version = \"13\"\n" NIC0 NIC1 FILTER,
     "maclearn-filter:4"},
    {"the filter where the switch learns", "virtualHW.version = \"14\"\n" NIC0 FILTER,
     "maclearn-filter:3"},
    {"the filter on the only card", "virtualHW.version = \"13\"\n" NIC0 FILTER, "!maclearn-filter"},
    {"a network device of Linux", VHV NIC0 "ethernet0.vnet = \"/dev/vmnet0\"\n",
     "vmnet-permission:3"},
    {"a card that may not be promiscuous", VHV NIC0 "ethernet0.noPromisc = \"TRUE\"\n",
     "card-forbids-nested:3"},
    {"a card that may not send for others", VHV NIC0 "ethernet0.noForgedSrcAddr = \"TRUE\"\n",
     "card-forbids-nested:3"},
    {"a card that may", VHV NIC0 "ethernet0.noPromisc = \"FALSE\"\n", "!card-forbids-nested"},
    {"such a card without nesting", NIC0 "ethernet0.noPromisc = \"TRUE\"\n",
     "!card-forbids-nested"},
    {"a network of Windows", VHV NIC0 "ethernet0.vnet = \"VMnet2\"\n", "!vmnet-permission"},
    {"a virtual ESXi in EVC", NEST "evcCompatibilityMode = \"TRUE\"\n", "esxi-in-evc:6"},
    {"a virtual ESXi out of EVC", NEST "evcCompatibilityMode = \"FALSE\"\n", "!esxi-in-evc"},
    {"a disk with a path of Windows", VHV DISK "scsi0:0.fileName = \"D:\\\\vm\\\\a.vmdk\"\n",
     "windows-host-vbs:3"},
    {"a disk with a path of its own folder", VHV DISK "scsi0:0.fileName = \"a.vmdk\"\n",
     "!windows-host-vbs"},
    {"a virtual ESXi on a distributed switch", NEST NIC0 "ethernet0.dvs.switchId = \"50 1a\"\n",
     "nested-unsupported:7"},
    {"a Linux on a distributed switch", NIC0 "ethernet0.dvs.switchId = \"50 1a\"\n",
     "!nested-unsupported"},
    {"sharing that nobody asks for", "memsize = \"64\"\nsched.mem.min = \"64\"\n",
     "!sharing-large-pages"},
    {"sharing without a salt", "sched.mem.pshare.enable = \"TRUE\"\n", "sharing-without-salt:1"},
    {"sharing with a salt", "sched.mem.pshare.enable = \"TRUE\"\n" SALT,
     "sharing-large-pages:2 !sharing-without-salt"},
    {"a salt on memory that is all reserved", "memsize = \"64\"\nsched.mem.min = \"64\"\n" SALT,
     "sharing-pinned:2 sharing-large-pages:3"},
    {"a salt on memory that is half reserved", "memsize = \"64\"\nsched.mem.min = \"32\"\n" SALT,
     "sharing-large-pages:3 !sharing-pinned"},
    {"a salt with sharing off", "sched.mem.pshare.enable = \"FALSE\"\n" SALT,
     "sharing-pinned:1 sharing-large-pages:2"},
    {"a Xen by its name", VHV "displayName = \"XenServer 8\"\n", "xen-nested:2"},
    {"a Xen by a later word of its name", VHV "displayName = \"lab-xcp1\"\n", "xen-nested:2"},
    {"a name with xen in a word", VHV "displayName = \"Maxence\"\n", "!xen-nested"},
    {"a Xen that runs no guests with assistance", "displayName = \"XenServer 8\"\n", "!xen-nested"},
    {"an ESXi on a disk of VirtualBox", NEST DISK "scsi0:0.fileName = \"a.vdi\"\n",
     "virtualbox-no-ept:7"},
    {"a Linux on a disk of VirtualBox", DISK "scsi0:0.fileName = \"a.vdi\"\n",
     "!virtualbox-no-ept"},
};

static void
check(const GPtrArray *findings, const char *want)
{
    g_autofree char *found = in_short(findings);
    g_autofree char *wanted = g_strchomp(g_strndup(want, strcspn(want, "!")));
    g_assert_cmpstr(found, ==, wanted);
}

static void
test_a_document(gconstpointer data)
{
    const size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(IrekoVmx) doc = parse(rows[i].text);
    g_autoptr(GPtrArray) findings = ireko_lint(doc, "a.vmx");
    check(findings, rows[i].want);
}

/* Files of a lab: each a text, the number of them, its level. */
#define HOST                                                                                       \
    NEST DISK "scsi0:1.present = \"TRUE\"\nscsi0:1.virtualSSD = \"1\"\nscsi0:2.present = "         \
              "\"TRUE\"\n"
#define PLAIN NEST DISK "scsi0:1.present = \"TRUE\"\nscsi0:2.present = \"TRUE\"\n"
#define SMALL                                                                                      \
    "guestOS = \"vmkernel65\"\nmemsize = \"4096\"\n" DISK                                          \
    "scsi0:1.present = \"TRUE\"\nscsi0:1.virtualSSD = \"1\"\nscsi0:2.present = \"TRUE\"\n"

#define FLASH(memory)                                                                              \
    "guestOS = \"vmkernel65\"\nnumvcpus = \"2\"\nmemsize = " memory "\n" VHV DISK                  \
    "scsi0:1.present = \"TRUE\"\nscsi0:1.virtualSSD = \"1\"\nireko.scsi0:1.size = \"200G\"\n"      \
    "scsi0:2.present = \"TRUE\"\nscsi0:2.virtualSSD = \"1\"\nireko.scsi0:2.size = \"107G\"\n"
/* A host of a lab that requires vSAN: a file of 10 lines, and behind them what differs. */
#define SSD   "scsi0:1.present = \"TRUE\"\nireko.scsi0:1.size = \"1G\"\nscsi0:1.virtualSSD = \"1\"\n"
#define HDD   "scsi0:2.present = \"TRUE\"\nireko.scsi0:2.size = \"2G\"\n"
#define ALIKE "scsi0:2.present = \"TRUE\"\nireko.scsi0:2.size = \"1024M\"\n"
#define NET   "ethernet0.connectionType = \"custom\"\nethernet0.vnet = \"VMnet2\"\n"
#define BARE  NEST DISK NIC0 "scsi0.virtualDev = \"pvscsi\"\n"
#define READY BARE NET SSD HDD
#define REQUIRED(count)                                                                            \
    {                                                                                              \
        .copies = (count), .level = 1, .vsan = true                                                \
    }
#define CARD(number, last)                                                                         \
    "ethernet" number ".present = \"TRUE\"\nethernet" number ".address = \"00:50:56:00:00:" last   \
    "\"\n"

static const struct {
    const char *label;
    IrekoLintMachine machines[3];
    const char *texts[3], *want;
} lab_rows[] = {
    {"three hosts with an SSD and a disk each",
     {{.copies = 3, .level = 1}},
     {HOST},
     "!vsan-three-hosts"},
    {"two hosts with an SSD", {{.copies = 2, .level = 1}}, {HOST}, "vsan-three-hosts:1"},
    {"one host with an SSD is no vSAN", {{.copies = 1, .level = 1}}, {HOST}, ""},
    {"hosts one inside the other are no vSAN",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 2}},
     {HOST, HOST},
     ""},
    {"hosts without any SSD are no vSAN", {{.copies = 2, .level = 1}}, {PLAIN}, "!vsan-no-ssd"},
    {"a third host without an SSD",
     {{.copies = 2, .level = 1}, {.copies = 1, .level = 1}},
     {HOST, PLAIN},
     "vsan-no-ssd:7"},
    {"a third host without a disk for capacity",
     {{.copies = 2, .level = 1}, {.copies = 1, .level = 1}},
     {HOST, NEST DISK "scsi0:1.present = \"TRUE\"\nscsi0:1.virtualSSD = \"1\"\n"},
     "vsan-no-capacity:1"},
    {"hosts with less memory than vSAN takes",
     {{.copies = 3, .level = 1}},
     {SMALL},
     "vsan-memory:2"},
    {"three hosts with the memory for all SSDs",
     {{.copies = 3, .level = 1}},
     {FLASH("\"7632\"")},
     "!vsan-memory"},
    {"three hosts with 4 MB less",
     {{.copies = 3, .level = 1}},
     {FLASH("\"7628\"")},
     "vsan-memory:3"},
    {"an SSD that it boots from is no cache",
     {{.copies = 3, .level = 1}},
     {NEST DISK "scsi0:0.virtualSSD = \"1\"\nscsi0:1.present = \"TRUE\"\n"},
     ""},
    {"three hosts with two SSDs each and no other disk",
     {{.copies = 3, .level = 1}},
     {FLASH("\"8192\"")},
     "!vsan-no-capacity"},
    {"required: three hosts with all that vSAN needs", {REQUIRED(3)}, {READY}, "!vsan-three-hosts"},
    {"required: two hosts", {REQUIRED(2)}, {READY}, "vsan-three-hosts:1"},
    {"required: no host at all, and a machine that is none",
     {REQUIRED(3)},
     {"guestOS = \"debian12-64\"\n"},
     "vsan-three-hosts:0"},
    {"required: a machine beside the hosts that is none",
     {REQUIRED(3), REQUIRED(1)},
     {READY, "guestOS = \"debian12-64\"\n"},
     "!vsan-no-ssd"},
    {"required: hosts inside the hosts are none",
     {REQUIRED(3), {.copies = 1, .level = 2}},
     {READY, NEST DISK},
     ""},
    {"required: a Linux that hands assistance on is a host",
     {REQUIRED(2), REQUIRED(1)},
     {READY, "memsize = \"8192\"\nscsi0.virtualDev = \"lsisas1068\"\n" VHV NIC0 NET DISK SSD HDD},
     "!vsan-controller"},
    {"required: a host whose virtualSSD is gone, by the disk's line",
     {REQUIRED(2), REQUIRED(1)},
     {READY, BARE NET "scsi0:1.fileName = \"c.vmdk\"\nscsi0:1.present = \"TRUE\"\n" HDD},
     "vsan-no-ssd:11"},
    {"required: a host whose virtualSSD is off, by that line",
     {REQUIRED(2), REQUIRED(1)},
     {READY, BARE NET "scsi0:1.present = \"TRUE\"\nscsi0:1.virtualSSD = \"0\"\n" HDD},
     "vsan-no-ssd:12"},
    {"required: the smaller of two disks is the one to mark",
     {REQUIRED(2), REQUIRED(1)},
     {READY, BARE NET "scsi0:3.present = \"TRUE\"\nireko.scsi0:3.size = \"3G\"\n" HDD},
     "vsan-no-ssd:13"},
    {"required: an SSD and no more", {REQUIRED(3)}, {BARE NET SSD}, "vsan-no-capacity:1"},
    {"required: SSDs alone, of two sizes",
     {REQUIRED(3)},
     {READY "scsi0:2.virtualSSD = \"TRUE\"\n"},
     "!vsan-no-capacity"},
    {"required: cache and capacity of one size",
     {REQUIRED(3)},
     {BARE NET SSD ALIKE},
     "vsan-same-size:15"},
    {"required: two disks of capacity of one size",
     {REQUIRED(3)},
     {READY "scsi0:3.present = \"TRUE\"\nireko.scsi0:3.size = \"2G\"\n"},
     "!vsan-same-size"},
    {"required: disks on VMware's default controller",
     {REQUIRED(3)},
     {NEST DISK NIC0 NET "scsi0:1.present = \"TRUE\"\nscsi0:1.virtualSSD = \"1\"\n"},
     "vsan-no-capacity:1 vsan-controller:10"},
    {"required: a disk on IDE",
     {REQUIRED(3)},
     {READY "ide0:0.present = \"TRUE\"\n"},
     "vsan-controller:16"},
    {"required: a host on another network",
     {REQUIRED(1), REQUIRED(1), REQUIRED(1)},
     {READY, BARE "ethernet0.connectionType = \"hostonly\"\n" SSD HDD, READY},
     "vsan-network:9"},
    {"required: hosts that reach out and not each other",
     {REQUIRED(3)},
     {BARE "ethernet0.connectionType = \"nat\"\n" SSD HDD},
     "vsan-network:9"},
    {"required: VMnet1 is the network of hostonly, and VMnet0 the bridged one",
     {REQUIRED(1), REQUIRED(1), REQUIRED(1)},
     {BARE "ethernet0.connectionType = \"hostonly\"\n" SSD HDD,
      BARE "ethernet0.connectionType = \"custom\"\nethernet0.vnet = \"/dev/vmnet1\"\n" SSD HDD,
      BARE "ethernet0.connectionType = \"custom\"\nethernet0.vnet = \"VMnet0\"\n" SSD HDD},
     "vsan-network:9"},
    {"required: VMnet8 is NAT",
     {REQUIRED(3)},
     {BARE "ethernet0.connectionType = \"custom\"\nethernet0.vnet = \"VMnet8\"\n" SSD HDD},
     "vsan-network:9"},
    {"required: hosts that share one of two networks",
     {REQUIRED(2), REQUIRED(1)},
     {READY, BARE NET SSD HDD "ethernet1.present = \"TRUE\"\nethernet1.connectionType = \"nat\"\n"},
     "!vsan-network"},
    {"required: a built-in image in ESXi's place takes less memory",
     {REQUIRED(3)},
     {"guestOS = \"vmkernel65\"\nireko.image = \"kvm-host\"\nmemsize = \"512\"\n"
      "scsi0.virtualDev = \"pvscsi\"\n" DISK NIC0 NET SSD HDD},
     "vsan-memory:3"},
    {"a host with guests and no assistance for them",
     {{.copies = 1, .level = 1, .has_guests = true}},
     {"guestOS = \"debian12-64\"\nvhv.enable = \"FALSE\"\n"},
     "guests-without-vhv:2"},
    {"an ESXi of which its file is told so",
     {{.copies = 1, .level = 1, .has_guests = true}},
     {ESXI},
     "!guests-without-vhv"},
    {"a host with two cards on one port group",
     {{.copies = 1, .level = 1}},
     {NEST NIC0 NIC1 "ethernet0.networkName = \"lab\"\nethernet1.networkName = \"lab\"\n"},
     ""},
    {"two virtual hosts on one port group, by other cards",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {NEST NIC0 "ethernet0.networkName = \"lab\"\n", NEST NIC1 "ethernet1.networkName = \"lab\"\n"},
     "promiscuous-copies:7"},
    {"the same identity twice",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {"uuid.bios = \"56 4d\"\n", "memsize = \"4\"\nuuid.bios = \"56 4d\"\n"},
     "same-uuid:2"},
    {"an identity of a machine that is there twice",
     {{.copies = 2, .level = 1}},
     {"uuid.bios = \"56 4d\"\n"},
     "same-uuid:1"},
    {"identities of their own",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {"uuid.bios = \"56 4d\"\n", "uuid.bios = \"56 4e\"\n"},
     "!same-uuid"},
    {"the same address twice, on any card, in any case of its letters",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 2}},
     {CARD("1", "0a"), CARD("0", "0A")},
     "same-mac:2"},
    {"addresses of their own, and one on a card that is not there",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {CARD("1", "01") CARD("0", "02"),
      CARD("0", "03") "ethernet1.address = \"00:50:56:00:00:01\"\n"},
     "!same-mac"},
    {"two salts",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {SALT, "sched.mem.pshare.salt = \"other\"\n"},
     "salts-differ:1"},
    {"one salt",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {SALT, SALT},
     "!salts-differ"},
    {"two virtual hosts on one port group",
     {{.copies = 2, .level = 1}},
     {NEST NIC0 "ethernet0.networkName = \"lab\"\n"},
     "promiscuous-copies:7"},
    {"two virtual hosts on two",
     {{.copies = 1, .level = 1}, {.copies = 1, .level = 1}},
     {NEST NIC0 "ethernet0.networkName = \"a\"\n", NEST NIC0 "ethernet0.networkName = \"b\"\n"},
     "!promiscuous-copies"},
};

static void
test_a_lab(gconstpointer data)
{
    const size_t i = GPOINTER_TO_SIZE(data);
    IrekoLintMachine machines[3];
    g_autoptr(GPtrArray) docs = g_ptr_array_new_with_free_func((GDestroyNotify)ireko_vmx_free);
    for (size_t k = 0; k < 3 && lab_rows[i].texts[k] != NULL; k++) {
        machines[k] = lab_rows[i].machines[k];
        g_ptr_array_add(docs, parse(lab_rows[i].texts[k]));
        machines[k].doc = docs->pdata[k];
        machines[k].file = k == 0 ? "a.vmx" : k == 1 ? "b.vmx" : "c.vmx";
    }
    g_autoptr(GPtrArray) findings = ireko_lint_lab(machines, docs->len);
    check(findings, lab_rows[i].want);
}

/* The severity of the finding CODE about COUNT machines TEXT. */
static IrekoSeverity
severity(const char *text, const char *code, bool required)
{
    g_autoptr(IrekoVmx) doc = parse(text);
    const IrekoLintMachine machine = {
        .doc = doc, .file = "a.vmx", .copies = 3, .level = 1, .vsan = required};
    g_autoptr(GPtrArray) findings = ireko_lint_lab(&machine, 1);
    for (unsigned i = 0; i < findings->len; i++) {
        const IrekoFinding *finding = findings->pdata[i];
        if (strcmp(finding->code, code) == 0)
            return finding->severity;
    }
    g_error("no finding %s", code);
}

static void
test_what_a_lab_requires_it_cannot_do_without(void)
{
    const char *old = "guestOS = \"vmkernel65\"\nvirtualHW.version = \"7\"\n" DISK SSD HDD;
    g_assert_cmpint(severity(old, "vsan-no-ssd", false), ==, IREKO_SEVERITY_WARNING);
    g_assert_cmpint(severity(old, "vsan-no-ssd", true), ==, IREKO_SEVERITY_ERROR);
    g_assert_cmpint(severity(SMALL, "vsan-memory", false), ==, IREKO_SEVERITY_WARNING);
    g_assert_cmpint(severity(SMALL, "vsan-memory", true), ==, IREKO_SEVERITY_ERROR);
    g_assert_cmpint(severity(SMALL "ireko.image = \"kvm-host\"\n", "vsan-memory", true), ==,
                    IREKO_SEVERITY_INFO);
}

static bool
triggers(const char *want, const char *code)
{
    const char *at = strstr(want, code);
    return at != NULL && (at == want || at[-1] == ' ') && at[strlen(code)] == ':';
}

static bool
just_misses(const char *want, const char *code)
{
    const char *at = strchr(want, '!');
    return at != NULL && strcmp(at + 1, code) == 0 && !triggers(want, code);
}

/* But for those that are asked of the file itself, or of more findings than a row can have. */
static void
test_every_rule_has_a_file_that_it_finds_wrong_and_one_that_it_just_does_not(void)
{
    g_autoptr(GPtrArray) rules = ireko_lint_rules();
    g_assert_cmpuint(rules->len, >=, 29);
    for (unsigned r = 0; r < rules->len; r++) {
        const IrekoFinding *rule = rules->pdata[r];
        g_assert_nonnull(rule->evidence);
        bool found =
            strcmp(rule->code, "file-locked") == 0 || strcmp(rule->code, "too-many-findings") == 0;
        bool near = found;
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            found |= triggers(rows[i].want, rule->code);
            near |= just_misses(rows[i].want, rule->code);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(lab_rows); i++) {
            found |= triggers(lab_rows[i].want, rule->code);
            near |= just_misses(lab_rows[i].want, rule->code);
        }
        if (!found || !near)
            g_error("no row of this test %s %s", found ? "just misses" : "triggers", rule->code);
    }
}

/* WHAT as a sentence. Names of keys and of vSAN keep their small letter. */
static char *
as_sentence(const char *what)
{
    g_autofree char *word = g_strndup(what, strcspn(what, " "));
    char *sentence = g_strdup(what);
    if (strchr(word, '.') == NULL && strcmp(word, "vSAN") != 0)
        *sentence = g_ascii_toupper(*sentence);
    return sentence;
}

/* The page of ireko-lint(7) is written by hand; it says what the rules say, of no other. */
static void
test_every_rule_is_in_the_man_page(void)
{
    g_autoptr(GPtrArray) rules = ireko_lint_rules();
    g_autofree char *page = NULL;
    g_assert_true(g_file_get_contents(IREKO_LINT_PAGE, &page, NULL, NULL));
    unsigned items = 0;
    for (const char *at = strstr(page, "\n.It Sy "); at != NULL; at = strstr(at + 1, "\n.It Sy "))
        items++;
    g_assert_cmpuint(items, ==, rules->len);
    for (unsigned i = 0; i < rules->len; i++) {
        const IrekoFinding *rule = rules->pdata[i];
        g_autofree char *what = as_sentence(rule->what);
        g_autofree char *item = g_strdup_printf(
            "\n.It Sy %s Pq %s\n%s.\nShown by: %s.\nSource: %s.\n", rule->code,
            ireko_severity_name(rule->severity), what, rule->evidence, rule->source);
        if (strstr(page, item) == NULL)
            g_error("ireko-lint(7) lacks:%s", item);
    }
}

/* The examples that are labs as they should be; vhv-off is wrong on purpose, in one line. */
static void
test_the_examples_are_right(void)
{
    static const struct {
        const char *file, *want;
    } files[] = {{"workshop/esxi01.vmx", ""}, {"workshop/esxi02.vmx", ""},
                 {"workshop/linux.vmx", ""},  {"vhv-off/esxi01.vmx", "hypervisor-without-vhv:15"},
                 {"vhv-off/esxi02.vmx", ""},  {"vhv-off/linux.vmx", ""}};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(IREKO_EXAMPLES, files[i].file, NULL);
        g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, NULL);
        g_autoptr(GPtrArray) findings = ireko_lint(doc, path);
        g_autofree char *found = in_short(findings);
        g_assert_cmpstr(found, ==, files[i].want);
    }
}

/* Files as the products write them: what lint says of them is meant. */
static void
test_files_of_products(void)
{
    static const struct {
        const char *file, *want;
    } files[] = {{"workstation17-windows11.vmx", ""},
                 {"workstation16-debian.vmx", ""},
                 {"esxi7-linux.vmx", ""},
                 {"esxi8-nested-esxi.vmx", "nested-unsupported:58 mac-learning:60"},
                 {"fusion12-macos.vmx", ""}};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(IREKO_CORPUS, files[i].file, NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, &error);
        g_assert_no_error(error);
        g_autoptr(GPtrArray) findings = ireko_lint(doc, path);
        g_autofree char *found = in_short(findings);
        g_assert_cmpstr(found, ==, files[i].want);
    }
}

static const struct {
    const char *label, *before, *after;
    unsigned mended;
} fixes[] = {
    {"the same again goes",
     "\xef\xbb\xbf"
     "# c\r\na = \"1\"\r\nb = \"2\"\r\nA = \"1\" # again\r\n",
     "\xef\xbb\xbf"
     "# c\r\na = \"1\"\r\nb = \"2\"\r\n",
     1},
    {"the same again at an end without a line end", "a = \"1\"\nb = \"2\"\na = \"1\"",
     "a = \"1\"\nb = \"2\"", 1},
    {"another value stays", "a = \"1\"\na = \"2\"\n", "a = \"1\"\na = \"2\"\n", 0},
    {"a bare value gets quotes", "  memsize =   64 # MB\nb = \"2\"\n",
     "  memsize =   \"64\" # MB\nb = \"2\"\n", 1},
    {"a bare virtualSSD stays bare", "scsi0:1.virtualSSD = 1\n", "scsi0:1.virtualSSD = 1\n", 0},
    {"folklore becomes what was meant", "Hypervisor.CPUID.0 = FALSE\n",
     "hypervisor.cpuid.v0 = \"FALSE\"\n", 2},
    {"folklore stays where what was meant is there",
     "hypervisor.cpuid.0 = \"FALSE\"\nhypervisor.cpuid.v0 = \"FALSE\"\n",
     "hypervisor.cpuid.0 = \"FALSE\"\nhypervisor.cpuid.v0 = \"FALSE\"\n", 0},
    {"two lines of folklore do not become a duplicate",
     "nestedHVEnabled = \"TRUE\"\nNestedHVenabled = \"FALSE\"\n",
     "vhv.enable = \"TRUE\"\nNestedHVenabled = \"FALSE\"\n", 1},
    {"a key of a host's file stays", "vhv.allow = \"TRUE\"\n", "vhv.allow = \"TRUE\"\n", 0},
    {"nothing gets quotes", "a =\r\nb = # c\nd =", "a =\"\"\r\nb = \"\"# c\nd =\"\"", 3},
    {"a quote in a bare value stays a quote", "a = b\"c\"\n", "a = \"b|22c|22\"\n", 1},
    {"a file that is right stays", NEST, NEST, 0},
};

static void
test_a_fix(gconstpointer data)
{
    const size_t i = GPOINTER_TO_SIZE(data);
    g_autoptr(IrekoVmx) doc = parse(fixes[i].before);
    g_assert_cmpuint(ireko_lint_fix(doc, "a.vmx"), ==, fixes[i].mended);
    size_t len = 0;
    g_autofree char *after = ireko_vmx_print(doc, &len);
    g_assert_cmpmem(after, len, fixes[i].after, strlen(fixes[i].after));
    g_assert_cmpuint(ireko_lint_fix(doc, "a.vmx"), ==, 0);
}

static void
lint_and_fix(GString *text)
{
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(text->str, text->len, NULL);
    g_autoptr(GPtrArray) findings = ireko_lint(doc, "a.vmx");
    g_assert_nonnull(findings);
    (void)ireko_lint_fix(doc, "a.vmx");
    (void)g_string_free(text, TRUE);
}

/* And one that is worse than the others is not lost behind them. */
static void
test_of_too_many_findings_the_worst_are_said(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < 30000; i++)
        g_string_append(text, "x\n");
    g_string_append(text, "memsize = \"many\"\n");
    g_autoptr(IrekoVmx) doc = parse(text->str);
    g_autoptr(GPtrArray) findings = ireko_lint(doc, "a.vmx");
    g_assert_cmpuint(findings->len, ==, 10001);
    const IrekoFinding *first = findings->pdata[0], *worst = findings->pdata[9999];
    const IrekoFinding *rest = findings->pdata[10000];
    g_assert_cmpuint(first->line, ==, 1);
    g_assert_cmpstr(worst->code, ==, "bad-value");
    g_assert_cmpstr(rest->code, ==, "too-many-findings");
    g_assert_true(g_str_has_prefix(rest->evidence, "20001 others"));
}

/* What is quadratic takes minutes here. */
static void
test_no_file_is_slow(void)
{
    GString *line = g_string_new("annotation = ");
    for (size_t i = 0; i < 1 << 20; i++)
        g_string_append_c(line, '|');
    GString *keys = g_string_new(NULL), *same = g_string_new(NULL);
    for (unsigned i = 0; i < 100000; i++) {
        g_string_append_printf(keys, "key%u.present = 1\n", i);
        g_string_append(same, "memsize = 64\n");
    }
    gint64 began_us = g_get_monotonic_time();
    lint_and_fix(line);
    lint_and_fix(keys);
    lint_and_fix(same);
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, 60 * G_USEC_PER_SEC);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strdup_printf("/lint/file/%s", rows[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_a_document);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lab_rows); i++) {
        g_autofree char *path = g_strdup_printf("/lint/lab/%s", lab_rows[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_a_lab);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fixes); i++) {
        g_autofree char *path = g_strdup_printf("/lint/fix/%s", fixes[i].label);
        g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_a_fix);
    }
    g_test_add_func("/lint/every-rule-has-a-file-that-it-finds-wrong-and-one-that-it-just-does-not",
                    test_every_rule_has_a_file_that_it_finds_wrong_and_one_that_it_just_does_not);
    g_test_add_func("/lint/of-too-many-findings-the-worst-are-said",
                    test_of_too_many_findings_the_worst_are_said);
    g_test_add_func("/lint/what-a-lab-requires-it-cannot-do-without",
                    test_what_a_lab_requires_it_cannot_do_without);
    g_test_add_func("/lint/every-rule-is-in-the-man-page", test_every_rule_is_in_the_man_page);
    g_test_add_func("/lint/the-examples-are-right", test_the_examples_are_right);
    g_test_add_func("/lint/files-of-products", test_files_of_products);
    g_test_add_func("/lint/no-file-is-slow", test_no_file_is_slow);
    return g_test_run();
}
