/* nest/prove.c - promise and proof, check by check.
 *
 * What is promised comes from the .vmx and from what the layer that runs the machine can offer;
 * what is seen comes only from inside the machine. A promise is broken in one of five ways, each
 * with a cause of its own: the layer outside cannot offer it (its own cause, or nested-off); it
 * offers and the machine does not see (hidden-by-host); the machine sees what nobody promised (a
 * leak); the .vmx does not ask for what its guests need (vhv-off); what is seen differs otherwise.
 * Without an answer from inside nothing is broken and nothing is kept: every check is unknown.
 */
#include <string.h>

#include "nest/parts.h"

/* System RAM is what was installed but for the firmware's own tables: OVMF keeps the most. */
#define B1_DIGITS_SHOWN    12 /* 4 bytes of header, 2 of rotation rate */
#define FIRMWARE_KEEPS_MIB 16
/* MemTotal also lacks the kernel's image and its array of pages (1/64), and a crash kernel. */
#define KERNEL_KEEPS_MIB  64
#define KERNEL_KEEPS_PART 20 /* and one part in this many */

/* Rotation rates: 1 is a disk that does not turn; below this is reserved (SBC-3, 6.5.2). */
#define RATE_SSD    1
#define RATE_LOWEST 0x401

typedef struct {
    IrekoReport *report;
    const IrekoMachine *machine;
    const IrekoFacts *outer, *inner;
    IrekoAccel accel;
    IrekoHv offer;
    bool has_guests;
} Proof;

static IrekoCheck *
add(const Proof *proof, const char *what, const char *device, const char *promised)
{
    IrekoCheck *check = ireko_check_new(what, device, promised);
    g_ptr_array_add(proof->report->checks, check);
    return check;
}

/* What vhv.enable = TRUE asks for where the layer outside has none to give: what its CPU could. */
static IrekoHv
wanted_hv(const Proof *proof)
{
    if (proof->offer != IREKO_HV_NONE)
        return proof->offer;
    if (proof->outer->hv != IREKO_HV_NONE)
        return proof->outer->hv;
    return g_strcmp0(proof->outer->cpu_vendor, "GenuineIntel") == 0 ? IREKO_HV_VMX : IREKO_HV_SVM;
}

/* Why assistance that was promised did not arrive. */
static const char *
hv_cause(const Proof *proof)
{
    const IrekoFacts *outer = proof->outer;
    if (proof->offer != IREKO_HV_NONE)
        return "hidden-by-host";
    if (outer->hv != IREKO_HV_NONE)
        return "nested-off";
    if (outer->kvm.cause != NULL)
        return outer->kvm.cause;
    return g_strcmp0(outer->above, "none") == 0 ? "cpu-lacks" : "hidden-by-host";
}

static char *
nested_fix(const IrekoFacts *outer)
{
    return g_strdup_printf("load %s with nested=1 in the layer that runs this machine",
                           outer->hv == IREKO_HV_VMX ? "kvm_intel" : "kvm_amd");
}

static void
prove_hv(const Proof *proof)
{
    bool vhv = proof->machine->vhv;
    IrekoHv promised = vhv ? wanted_hv(proof) : IREKO_HV_NONE;
    IrekoCheck *check = add(proof, "hv", NULL, ireko_hv_name(promised));
    if (proof->inner == NULL)
        return;

    IrekoHv seen = proof->inner->hv;
    bool missed = !vhv && proof->has_guests && seen == IREKO_HV_NONE;
    bool lacking = vhv && seen == IREKO_HV_NONE;
    const char *cause = missed ? "vhv-off" : lacking ? hv_cause(proof) : IREKO_CAUSE_UNKNOWN;
    ireko_check_settle(check, ireko_hv_name(seen), seen == promised && !missed, cause,
                       proof->inner->hv_evidence);
    if (missed)
        check->fix = ireko_nest_vhv_fix(proof->machine);
    else if (lacking && strcmp(cause, "nested-off") == 0)
        check->fix = nested_fix(proof->outer);
}

/* Nested paging is handed on where the layer outside has it itself. */
/* The half of the evidence that speaks of nested paging; whole where it has no halves. */
static const char *
paging_evidence(const char *evidence)
{
    const char *half = evidence != NULL ? strstr(evidence, "; ") : NULL;
    return half != NULL ? half + strlen("; ") : evidence;
}

static void
prove_npt(const Proof *proof)
{
    bool promised = proof->offer == IREKO_HV_NONE || proof->accel == IREKO_ACCEL_TCG ||
                    proof->outer->nested_paging;
    IrekoCheck *check = add(proof, "npt", NULL, ireko_bool_name(promised));
    if (proof->inner == NULL)
        return;

    bool seen = proof->inner->nested_paging;
    ireko_check_settle(check, ireko_bool_name(seen), seen == promised,
                       promised ? hv_cause(proof) : IREKO_CAUSE_UNKNOWN,
                       paging_evidence(proof->inner->hv_evidence));
}

static void
prove_kvm(const Proof *proof)
{
    IrekoCheck *check = add(proof, "kvm", NULL, "true");
    if (proof->inner == NULL)
        return;

    const IrekoKvmFact *kvm = &proof->inner->kvm;
    const char *cause = kvm->cause != NULL ? kvm->cause : IREKO_CAUSE_UNKNOWN;
    /* KVM inside knows only that there is no assistance; we know why */
    if (proof->inner->hv == IREKO_HV_NONE)
        cause = hv_cause(proof);
    ireko_check_settle(check, ireko_bool_name(kvm->usable), kvm->usable, cause, kvm->evidence);
}

static void
prove_cpus(const Proof *proof)
{
    g_autofree char *promised = g_strdup_printf("%u", proof->machine->vcpus);
    IrekoCheck *check = add(proof, "cpus", NULL, promised);
    if (proof->inner == NULL || proof->inner->cpus == 0)
        return;

    g_autofree char *seen = g_strdup_printf("%u", proof->inner->cpus);
    g_autofree char *evidence = g_strdup_printf("%s online", seen);
    ireko_check_settle(check, seen, proof->inner->cpus == proof->machine->vcpus,
                       IREKO_CAUSE_UNKNOWN, evidence);
}

static uint64_t
mib_up(uint64_t bytes)
{
    return (bytes >> 20) + ((bytes & ((1 << 20) - 1)) != 0);
}

static void
prove_memory(const Proof *proof)
{
    uint64_t promised_mib = proof->machine->memory_mib;
    g_autofree char *promised = g_strdup_printf("%" G_GUINT64_FORMAT, promised_mib);
    IrekoCheck *check = add(proof, "memory", NULL, promised);
    const IrekoFacts *inner = proof->inner;
    if (inner == NULL || (inner->installed_bytes == 0 && inner->memory_bytes == 0))
        return;

    bool installed = inner->installed_bytes > 0;
    uint64_t bytes = installed ? inner->installed_bytes : inner->memory_bytes;
    uint64_t keeps_mib =
        installed ? FIRMWARE_KEEPS_MIB : KERNEL_KEEPS_MIB + promised_mib / KERNEL_KEEPS_PART;
    uint64_t seen_mib = mib_up(bytes);
    g_autofree char *seen = g_strdup_printf("%" G_GUINT64_FORMAT, seen_mib);
    g_autofree char *evidence =
        g_strdup_printf("%" G_GUINT64_FORMAT " KiB: %s", bytes >> 10,
                        installed ? "System RAM of the firmware's map" : "MemTotal");
    ireko_check_settle(check, seen,
                       seen_mib <= promised_mib && seen_mib + keeps_mib >= promised_mib,
                       IREKO_CAUSE_UNKNOWN, evidence);
}

const IrekoDiskFact *
ireko_nest_find_disk(const IrekoFacts *facts, const char *device)
{
    for (guint i = 0; i < facts->disks->len; i++) {
        const IrekoDiskFact *disk = g_ptr_array_index(facts->disks, i);
        if (g_strcmp0(disk->device, device) == 0)
            return disk;
    }
    return NULL;
}

/* 1 yes, 0 no, -1 the disk does not say. */
static int
ssd_by_rate(const IrekoDiskFact *disk)
{
    if (disk->rotation_rate == RATE_SSD)
        return 1;
    return disk->rotation_rate >= RATE_LOWEST ? 0 : -1;
}

/* The bytes of VPD page B1h up to the rotation rate (SBC-4, 6.6.2), short enough for a column. */
static void
append_page(GString *text, const char *bytes)
{
    g_string_append(text, ", B1h ");
    for (unsigned digits = 0; *bytes != '\0' && digits < B1_DIGITS_SHOWN; bytes++) {
        if (*bytes == ' ')
            continue;
        g_string_append_c(text, *bytes);
        digits++;
    }
}

static char *
disk_evidence(const IrekoDiskFact *disk, bool contradicts)
{
    GString *text = g_string_new(disk->name);
    if (disk->rotational >= 0)
        g_string_append_printf(text, ": rotational %d", disk->rotational);
    else
        g_string_append(text, ": rotational unknown");
    if (disk->vpd_b1 != NULL)
        append_page(text, disk->vpd_b1);
    else if (disk->rotation_rate >= 0)
        g_string_append_printf(text, ", rotation rate %d", disk->rotation_rate);
    if (contradicts)
        g_string_append_printf(text,
                               "; the kernel says %s, the disk's own rotation rate %d says %s",
                               disk->rotational == 0 ? "SSD" : "rotating", disk->rotation_rate,
                               disk->rotation_rate == RATE_SSD ? "SSD" : "rotating");
    return g_string_free(text, FALSE);
}

static void
prove_disk(const Proof *proof, const IrekoDisk *disk)
{
    bool promised = disk->ssd || disk->bus == IREKO_BUS_NVME;
    IrekoCheck *check = add(proof, "disk.ssd", disk->device, ireko_bool_name(promised));
    if (proof->inner == NULL)
        return;

    const IrekoDiskFact *fact = ireko_nest_find_disk(proof->inner, disk->device);
    if (fact == NULL) {
        ireko_check_settle(check, NULL, false, "device-missing", "no such disk seen");
        return;
    }
    int by_rate = ssd_by_rate(fact);
    int by_kernel = fact->rotational < 0 ? -1 : !fact->rotational;
    bool contradicts = by_rate >= 0 && by_kernel >= 0 && by_rate != by_kernel;
    int seen = by_kernel >= 0 ? by_kernel : by_rate;
    g_autofree char *evidence = disk_evidence(fact, contradicts);
    ireko_check_settle(check, seen < 0 ? NULL : ireko_bool_name(seen != 0),
                       seen >= 0 && (seen != 0) == promised && !contradicts, IREKO_CAUSE_UNKNOWN,
                       evidence);
}

void
ireko_nest_prove(IrekoReport *report,
                 const IrekoMachine *machine,
                 const IrekoFacts *outer,
                 IrekoAccel accel,
                 const IrekoFacts *inner,
                 bool has_guests)
{
    const Proof proof = {.report = report,
                         .machine = machine,
                         .outer = outer,
                         .inner = inner,
                         .accel = accel,
                         .offer = ireko_nest_offer(outer, accel),
                         .has_guests = has_guests};
    prove_hv(&proof);
    if (machine->vhv) {
        prove_npt(&proof);
        prove_kvm(&proof);
    }
    prove_cpus(&proof);
    prove_memory(&proof);
    for (guint i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (!disk->cdrom)
            prove_disk(&proof, disk);
    }
    if (inner != NULL)
        ireko_nest_compare_cpus(report, machine, outer, accel, inner);
}
