/* lab/bench.c - how fast a machine's disk answers, asked inside the machine.
 *
 * Only a disk that ireko made is measured: nobody misses it. A round is one command in the machine,
 * this program again, and the same against a file of this host; rounds of the two take turns. What
 * the machine says is limited by where it goes, a sealed file in memory that cannot grow. */
#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ireko/lab.h>

#include "base/fd.h"
#include "base/text.h"
#include "lab/drives.h"
#include "lab/layer.h"
#include "lab/reach.h"
#include "lab/record.h"

#define SAID_SHOWN ((size_t)200) /* bytes of what went wrong inside */

typedef struct {
    const IrekoHome *home;
    const IrekoDiskBenchAsk *ask;
    const IrekoLab *lab;
    const IrekoNode *node;
    IrekoDiskBench *bench;
} Job;

/* The machine that LAB, which has no more than one on each level of the way, keeps DEPTH deep. */
static const IrekoNode *
node_of(const IrekoLab *lab, const char *path)
{
    const char *colon = strchr(path, ':');
    g_auto(GStrv) segments = g_strsplit(colon != NULL ? colon + 1 : path, "/", -1);
    const GPtrArray *nodes = lab->nodes;
    const IrekoNode *node = NULL;
    for (size_t i = 0; segments[i] != NULL && nodes->len > 0; i++) {
        node = nodes->pdata[0];
        nodes = node->guests;
    }
    return node;
}

static bool
refuse(const Job *job, const IrekoDisk *disk, const char *why, GError **error)
{
    unsigned line = disk != NULL ? disk->line : 1;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED, "%s:%u: %s%s%s",
                job->node->machine->file, line, disk != NULL ? disk->device : "",
                disk != NULL ? " " : "", why);
    return false;
}

/* The disk that is asked for, or the first that ireko made. */
static bool
choose_disk(Job *job, GError **error)
{
    const char *wanted = job->ask->device;
    g_autoptr(GPtrArray) drives = ireko_drives_prepare(job->node, NULL, error);
    if (drives == NULL)
        return false;
    for (unsigned i = 0; i < drives->len; i++) {
        const IrekoDrive *drive = drives->pdata[i];
        if (wanted != NULL && strcmp(wanted, drive->disk->device) != 0)
            continue;
        if (drive->made) {
            job->bench->device = g_strdup(drive->disk->device);
            job->bench->ssd = drive->disk->ssd;
            return true;
        }
        if (wanted != NULL)
            return refuse(job, drive->disk,
                          "is a file of yours: only a disk that ireko made is written to", error);
    }
    if (wanted == NULL)
        return refuse(
            job, NULL,
            "no disk of it was made by ireko: have one made with ireko.X:Y.size = \"64M\"", error);
    g_autofree char *shown = ireko_text_shown(wanted);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                "%s has no disk '%s' beside the one it boots from", job->bench->path, shown);
    return false;
}

/* What the disk is called inside. */
static bool
find_name(const Job *job, GError **error)
{
    g_autoptr(IrekoFacts) facts =
        ireko_reach_facts(job->home, job->ask->path, job->ask->cancel_fd, error);
    for (guint i = 0; facts != NULL && i < facts->disks->len; i++) {
        const IrekoDiskFact *fact = g_ptr_array_index(facts->disks, i);
        if (g_strcmp0(fact->device, job->bench->device) != 0)
            continue;
        job->bench->name = g_strdup(fact->name);
        job->bench->bytes = fact->bytes;
        return true;
    }
    if (facts != NULL)
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND, "%s does not see its disk %s",
                    job->bench->path, job->bench->device);
    return false;
}

/* A file in memory of MAX bytes that are zero, which cannot grow; -1. */
static int
new_cup(size_t max, GError **error)
{
    IREKO_AUTOFD fd = memfd_create("said", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, (off_t)max) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
        return ireko_fd_steal(&fd);
    ireko_error_from_errno(error, errno, "cannot make a file in memory");
    return -1;
}

/* What is in the cup FD; free with g_free. */
static char *
drink(int fd, size_t max)
{
    char *text = g_malloc0(max + 1);
    (void)!pread(fd, text, max, 0);
    return text;
}

static bool
take_samples(const Job *job, int status, int out, int err, GArray *samples, GError **error)
{
    if (status != 0) {
        g_autofree char *said = drink(err, SAID_SHOWN);
        g_autofree char *safe = ireko_text_shown(g_strstrip(said));
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_REMOTE, "%s: exit %d: %s", job->bench->path,
                    status, *safe != '\0' ? safe : "it said nothing");
        return false;
    }
    g_autofree char *text = drink(out, IREKO_BENCH_TEXT_MAX);
    g_autoptr(GArray) round = ireko_bench_samples_from_text(text, strlen(text), error);
    if (round == NULL) {
        g_prefix_error(error, "%s: ", job->bench->path);
        return false;
    }
    g_array_append_vals(samples, round->data, round->len);
    return true;
}

/* Round NUMBER inside the machine. */
static bool
ask_inside(const Job *job, unsigned number, GArray *samples, GError **error)
{
    g_autofree char *disk = g_strdup_printf("/dev/%s", job->bench->name);
    g_autofree char *flag = g_strdup_printf("/sys/block/%s/queue/rotational", job->bench->name);
    const char *const argv[] = {"ireko", "bench-round", disk, flag, number % 2 == 1 ? "1" : "0",
                                NULL};
    IREKO_AUTOFD out = new_cup(IREKO_BENCH_TEXT_MAX, error);
    IREKO_AUTOFD err = out >= 0 ? new_cup(IREKO_BENCH_TEXT_MAX, error) : -1;
    if (err < 0)
        return false;
    int status = ireko_lab_exec(job->home, job->ask->path, argv, (const int[]){-1, out, err},
                                job->ask->cancel_fd, error);
    return status >= 0 && take_samples(job, status, out, err, samples, error);
}

/* The same on a file of this host, in the lab's folder; it has no name, and ends with its fd. */
static bool
ask_here(const Job *job, unsigned number, GArray *samples, GError **error)
{
    g_autofree char *folder = ireko_record_run_folder(job->home, job->lab->name);
    IREKO_AUTOFD fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)IREKO_BENCH_REGION_MAX) != 0) {
        ireko_error_from_errno(error, errno, "cannot make a file in '%s'", folder);
        return false;
    }
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    const IrekoBenchRound round = {
        .path = path, .number = number, .sample_ms = IREKO_BENCH_SAMPLE_MS};
    g_autoptr(GArray) measured = ireko_bench_round(&round, error);
    if (measured != NULL)
        g_array_append_vals(samples, measured->data, measured->len);
    return measured != NULL;
}

static bool
measure(const Job *job, GError **error)
{
    g_autoptr(GArray) disk = g_array_new(FALSE, FALSE, sizeof(IrekoBenchSample));
    g_autoptr(GArray) file = g_array_new(FALSE, FALSE, sizeof(IrekoBenchSample));
    for (unsigned i = 0; i < job->bench->rounds; i++) {
        if (job->ask->progress != NULL)
            job->ask->progress(job->ask->data, i, job->bench->rounds);
        if (!ask_inside(job, i, disk, error) || !ask_here(job, i, file, error))
            return false;
    }
    return ireko_bench_sum(disk, file, job->bench->rows, error);
}

IrekoDiskBench *
ireko_lab_bench_disk(const IrekoHome *home, const IrekoDiskBenchAsk *ask, GError **error)
{
    g_autoptr(IrekoLab) lab = ireko_lab_of_machine(home, ask->path, error);
    if (lab == NULL)
        return NULL;
    g_autoptr(IrekoDiskBench) bench = g_new0(IrekoDiskBench, 1);
    Job job = {
        .home = home, .ask = ask, .lab = lab, .node = node_of(lab, ask->path), .bench = bench};
    bench->path = g_strdup(job.node->path);
    bench->outer = g_strdup(lab->accel);
    bench->accel = g_strdup(job.node->level == 1 ? lab->accel : ireko_accel_name(IREKO_ACCEL_KVM));
    bench->rounds = ask->rounds;
    if (job.node->machine->image == NULL) {
        (void)refuse(&job, NULL, "runs a system of yours: nobody inside could measure", error);
        return NULL;
    }
    if (!choose_disk(&job, error) || !find_name(&job, error) ||
        (!ask->dry_run && !measure(&job, error)))
        return NULL;
    return g_steal_pointer(&bench);
}
