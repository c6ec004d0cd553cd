/* nest/vsan.c - the proof that hosts are ready for a vSAN together, by what was seen inside them.
 *
 * Of each host: the disks that it contributes, each with what it must say of itself (taken over
 * from the proof of the machine alone, nest/prove.c), its size, and that no disk of any host has
 * its serial number or WWN, by which vSAN tells disks apart. Of all together: how many are ready,
 * said in the report of the first. Where nobody inside could tell, nothing is broken and nothing
 * kept. */
#include <string.h>

#include <ireko/text.h>
#include <ireko/vsan.h>

#include "base/text.h"
#include "nest/parts.h"

#define SECTOR_BYTES 512u /* a disk is made of whole ones */

/* A disk that a host contributes. */
typedef struct {
    const IrekoDisk *disk;
    const IrekoDiskFact *fact; /* NULL: not seen, or nobody told */
    IrekoVsanDisk as;
} Claim;

/* Who has a serial number or a WWN: the first disk, and another where there is one. */
typedef struct {
    char *first, *second;
} Owners;

typedef struct {
    const IrekoVsanHost *host;
    GHashTable *serials, *wwns; /* value -> Owners, over all hosts */
} Proof;

static void
free_owners(void *data)
{
    Owners *owners = data;
    g_free(owners->first);
    g_free(owners->second);
    g_free(owners);
}

static char *
disk_name(const IrekoVsanHost *host, const IrekoDiskFact *fact)
{
    return g_strdup_printf("%s %s", host->report->path,
                           fact->device != NULL ? fact->device : fact->name);
}

static void
note_owner(GHashTable *owners,
           const char *value,
           const IrekoVsanHost *host,
           const IrekoDiskFact *fact)
{
    Owners *known = value != NULL ? g_hash_table_lookup(owners, value) : NULL;
    if (known == NULL && value != NULL) {
        known = g_new0(Owners, 1);
        known->first = disk_name(host, fact);
        g_hash_table_insert(owners, g_strdup(value), known);
    } else if (known != NULL && known->second == NULL) {
        known->second = disk_name(host, fact);
    }
}

static void
note_disks(const Proof *proof, const IrekoVsanHost *host)
{
    for (guint i = 0; host->facts != NULL && i < host->facts->disks->len; i++) {
        const IrekoDiskFact *fact = g_ptr_array_index(host->facts->disks, i);
        if (fact->cdrom)
            continue;
        note_owner(proof->serials, fact->serial, host, fact);
        note_owner(proof->wwns, fact->wwn, host, fact);
    }
}

/* The disks that HOST contributes by its .vmx; free with g_array_unref. */
static GArray *
claims_of(const IrekoVsanHost *host)
{
    const IrekoMachine *machine = host->machine;
    const IrekoDisk *boot = ireko_machine_boot_disk(machine);
    GArray *claims = g_array_new(FALSE, TRUE, sizeof(Claim));
    g_autoptr(GArray) roles = g_array_new(FALSE, TRUE, sizeof(IrekoVsanDisk));
    for (guint i = 0; i < machine->disks->len; i++) {
        const IrekoDisk *disk = g_ptr_array_index(machine->disks, i);
        if (disk->cdrom || disk == boot)
            continue;
        Claim claim = {.disk = disk};
        if (host->facts != NULL)
            claim.fact = ireko_nest_find_disk(host->facts, disk->device);
        IrekoVsanDisk as = {.flash = disk->ssd || disk->bus == IREKO_BUS_NVME,
                            .bytes = disk->create_bytes};
        g_array_append_val(claims, claim);
        g_array_append_val(roles, as);
    }
    IrekoVsanDisk *as = (IrekoVsanDisk *)(void *)roles->data;
    ireko_vsan_assign(as, roles->len);
    for (guint i = 0; i < roles->len; i++)
        g_array_index(claims, Claim, i).as = as[i];
    return claims;
}

static IrekoCheck *
add(const Proof *proof, const char *what, const Claim *claim, const char *promised)
{
    IrekoCheck *check = ireko_check_new(what, claim->disk->device, promised);
    g_ptr_array_add(proof->host->report->checks, check);
    return check;
}

static char *
fix_at(const Proof *proof, const Claim *claim, const char *what)
{
    return g_strdup_printf("%s:%u: %s", proof->host->machine->file, claim->disk->line, what);
}

static const IrekoCheck *
ssd_check(const IrekoReport *report, const char *device)
{
    for (guint i = 0; i < report->checks->len; i++) {
        const IrekoCheck *check = g_ptr_array_index(report->checks, i);
        if (strcmp(check->what, "disk.ssd") == 0 && strcmp(check->device, device) == 0)
            return check;
    }
    return NULL;
}

/* How a disk that does not say of itself what its .vmx says is put right. */
static char *
role_fix(const Proof *proof, const Claim *claim)
{
    const char *device = claim->disk->device;
    if (claim->fact == NULL) {
        g_autofree char *what = g_strdup_printf("%s is described here and not seen inside", device);
        return fix_at(proof, claim, what);
    }
    g_autofree char *what =
        claim->as.flash
            ? g_strdup_printf("%s is an SSD by this file; in %s, /sys/block/%s/queue/rotational "
                              "has to be 0",
                              device, proof->host->report->path, claim->fact->name)
            : g_strdup_printf("%s is no SSD by this file; in %s, /sys/block/%s/queue/rotational "
                              "has to be 1",
                              device, proof->host->report->path, claim->fact->name);
    return fix_at(proof, claim, what);
}

/* A disk of the cache with the size of CLAIM as it was seen, or NULL. */
static const Claim *
cache_of_size(const GArray *claims, const Claim *claim)
{
    for (guint i = 0; i < claims->len; i++) {
        const Claim *other = &g_array_index(claims, Claim, i);
        if (other->as.role == IREKO_VSAN_CACHE && other->fact != NULL &&
            other->fact->bytes == claim->fact->bytes)
            return other;
    }
    return NULL;
}

/* What CLAIM is to vSAN, and whether it says so. */
static bool
prove_role(const Proof *proof, const GArray *claims, const Claim *claim)
{
    bool cache = claim->as.role == IREKO_VSAN_CACHE;
    IrekoCheck *check =
        add(proof, cache ? "vsan.cache" : "vsan.capacity", claim, claim->as.flash ? "ssd" : "hdd");
    if (proof->host->facts == NULL)
        return true;
    const IrekoCheck *ssd = ssd_check(proof->host->report, claim->disk->device);
    const char *seen = ssd == NULL || ssd->seen == NULL                ? NULL
                       : strcmp(ssd->seen, ireko_bool_name(true)) == 0 ? "ssd"
                                                                       : "hdd";
    if (claim->fact == NULL || seen == NULL || !ssd->ok) {
        ireko_check_settle(check, seen != NULL ? seen : "nothing", false,
                           ssd != NULL ? ssd->cause : IREKO_CAUSE_UNKNOWN,
                           ssd != NULL ? ssd->evidence : NULL);
        check->fix = role_fix(proof, claim);
        return false;
    }
    const Claim *alike = cache ? NULL : cache_of_size(claims, claim);
    g_autofree char *size = ireko_text_size(claim->fact->bytes);
    g_autofree char *evidence =
        g_strdup_printf("%s; %s%s%s", ssd->evidence, size, alike != NULL ? ", as the cache " : "",
                        alike != NULL ? alike->disk->device : "");
    ireko_check_settle(check, seen, alike == NULL, "same-size", evidence);
    if (alike != NULL)
        check->fix = fix_at(proof, claim, "give the disk for the capacity another size");
    return check->ok;
}

/* A disk that ireko makes has the size that was asked for. */
static bool
prove_size(const Proof *proof, const Claim *claim)
{
    uint64_t bytes = (claim->disk->create_bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    if (bytes == 0)
        return true;
    g_autofree char *promised = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
    IrekoCheck *check = add(proof, "disk.size", claim, promised);
    if (claim->fact == NULL)
        return true; /* its role says so */
    g_autofree char *seen = g_strdup_printf("%" G_GUINT64_FORMAT, claim->fact->bytes);
    g_autofree char *evidence = g_strdup_printf("/sys/block/%s/size", claim->fact->name);
    ireko_check_settle(check, seen, claim->fact->bytes == bytes, IREKO_CAUSE_UNKNOWN, evidence);
    if (!check->ok)
        check->fix = fix_at(proof, claim, "the size is asked for where this disk is described");
    return check->ok;
}

/* What tells CLAIM from other disks is no other disk's. */
static bool
prove_identity(const Proof *proof, const Claim *claim, bool serial)
{
    IrekoCheck *check = add(proof, serial ? "disk.serial" : "disk.wwn", claim, "unique");
    const IrekoDiskFact *fact = claim->fact;
    if (fact == NULL)
        return true; /* its role says so */
    bool nvme = claim->disk->bus == IREKO_BUS_NVME;
    const char *source = nvme ? "as the kernel has it" : serial ? "VPD 80h" : "VPD 83h";
    const char *value = serial ? fact->serial : fact->wwn;
    const Owners *owners =
        value != NULL ? g_hash_table_lookup(serial ? proof->serials : proof->wwns, value) : NULL;
    if (owners == NULL) {
        g_autofree char *evidence = g_strdup_printf("%s: none, %s", fact->name, source);
        ireko_check_settle(check, "none", false, "same-identity", evidence);
        check->fix = fix_at(proof, claim,
                            "the disk that is described here says of itself nothing "
                            "that tells it from others");
        return false;
    }
    g_autofree char *own = disk_name(proof->host, fact);
    bool unique = owners->second == NULL;
    const char *other = strcmp(owners->first, own) != 0 ? owners->first : owners->second;
    g_autofree char *evidence = g_strdup_printf("%s: %s, %s%s%s", fact->name, value, source,
                                                unique ? "" : ", as ", unique ? "" : other);
    ireko_check_settle(check, unique ? "unique" : "shared", unique, "same-identity", evidence);
    if (!unique)
        check->fix = fix_at(proof, claim,
                            "this disk says that it is another's: 'ireko up --fresh' "
                            "starts the lab anew, and each gets its own");
    return unique;
}

/* Whether every disk of the host that it contributes is as it has to be. */
static bool
prove_host(const Proof *proof)
{
    g_autoptr(GArray) claims = claims_of(proof->host);
    bool ready = claims->len > 0;
    for (guint i = 0; i < claims->len; i++) {
        const Claim *claim = &g_array_index(claims, Claim, i);
        bool role = prove_role(proof, claims, claim);
        bool size = prove_size(proof, claim);
        bool serial = prove_identity(proof, claim, true);
        bool wwn = prove_identity(proof, claim, false);
        ready = ready && role && size && serial && wwn;
    }
    return ready;
}

/* READY of the COUNT hosts are ready; of UNKNOWN nobody could tell. */
static void
prove_count(
    const IrekoVsanHost *first, size_t count, unsigned ready, unsigned unknown, const char *names)
{
    g_autofree char *promised = g_strdup_printf("%zu", count);
    g_autofree char *seen = g_strdup_printf("%u", ready);
    IrekoCheck *check = ireko_check_new("vsan.hosts", NULL, promised);
    g_ptr_array_add(first->report->checks, check);
    if (ready + unknown < count || unknown == 0)
        ireko_check_settle(check, seen, ready == count && count >= IREKO_VSAN_HOSTS_MIN,
                           "too-few-hosts", names);
}

void
ireko_nest_prove_vsan(const IrekoVsanHost *hosts, size_t count)
{
    g_autoptr(GHashTable) serials =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_owners);
    g_autoptr(GHashTable) wwns =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_owners);
    Proof proof = {.serials = serials, .wwns = wwns};
    for (size_t i = 0; i < count; i++)
        note_disks(&proof, &hosts[i]);
    g_autoptr(GString) names = g_string_new(NULL);
    unsigned ready = 0, unknown = 0;
    for (size_t i = 0; i < count; i++) {
        if (hosts[i].report->state != IREKO_STATE_RUNNING)
            continue;
        proof.host = &hosts[i];
        bool good = prove_host(&proof);
        unknown += good && hosts[i].facts == NULL;
        if (!good || hosts[i].facts == NULL)
            continue;
        ready++;
        g_string_append_printf(names, "%s%s",
                               names->len > 0 ? ", " : "ready: ", hosts[i].report->path);
    }
    if (count > 0)
        prove_count(&hosts[0], count, ready, unknown, names->str);
}
