/* ireko/lab.h - labs: from lab.yaml and .vmx files to a running nest whose every layer was asked
 * what it sees; and back to nothing. What was started is on record before it starts, so that any
 * later call, of any process, can tell what is true and put it right. */
#pragma once

#include <stdbool.h>

#include <ireko/bench.h>
#include <ireko/check.h>
#include <ireko/report.h>

G_BEGIN_DECLS

/* Where things are kept: IREKO_HOME, or the XDG folders. */
typedef struct {
    char *state; /* labs/NAME: what was started */
    char *run;   /* NAME/MACHINE: sockets, disks that ireko made; mode 0700 */
    char *cache; /* images */
} IrekoHome;

IrekoHome *
ireko_home_new(void);

void
ireko_home_free(IrekoHome *home); /* NULL is fine */

typedef struct IrekoLab IrekoLab;

/* The lab that WHERE defines: a lab.yaml, the folder that holds it, or, with a name ending in .vmx,
 * one machine by itself (the lab "run-NAME"). Every .vmx is read and checked. Errors name file and
 * line. */
IrekoLab *
ireko_lab_load(const IrekoHome *home, const char *where, GError **error);

/* The lab on record that WHERE means: its name, its folder, or its lab.yaml. IREKO_ERROR_NOT_FOUND
 * where nothing is on record. */
IrekoLab *
ireko_lab_recorded(const IrekoHome *home, const char *where, GError **error);

/* The lab on record that has the machine PATH, "esxi01/esxi02" or "LAB:esxi01/esxi02"; of its
 * machines those on the way there, that one and those inside it. IREKO_ERROR_NOT_FOUND where none
 * has it, IREKO_ERROR_STATE where several have. */
IrekoLab *
ireko_lab_of_machine(const IrekoHome *home, const char *path, GError **error);

void
ireko_lab_free(IrekoLab *lab); /* NULL is fine */

/* Names of the labs on record, sorted; free with g_strfreev. */
char **
ireko_lab_names(const IrekoHome *home);

const char *
ireko_lab_name(const IrekoLab *lab);

/* What the .vmx files ask for and will not get, a line each ("FILE:LINE: ..."); free with
 * g_strfreev. */
char **
ireko_lab_notes(const IrekoLab *lab);

/* The .vmx files of LAB, each once, in the order of the tree; free with g_strfreev. */
char **
ireko_lab_files(const IrekoLab *lab);

/* What is wrong with the machines of LAB together, as ireko_lint_lab says: IrekoFinding; free with
 * g_ptr_array_unref. */
GPtrArray *
ireko_lab_lint(const IrekoLab *lab);

/* The .vmx files of machines that run, and of the guests inside them: their real paths, each with
 * the name of the lab; free with g_hash_table_unref. */
GHashTable *
ireko_lab_running_files(const IrekoHome *home);

/* Every machine of the lab before anything is known: IrekoReport in the order of the tree; free
 * with g_ptr_array_unref. */
GPtrArray *
ireko_lab_machines(const IrekoLab *lab);

typedef struct {
    const char *accel;   /* "kvm", "tcg", or NULL: KVM where it works, else TCG */
    const char *program; /* this ireko, which goes into the guest images */
    bool fresh;          /* every machine boots: templates are neither used nor made */
    int cancel_fd;       /* readable: stop waiting; -1: none */
    bool no_frames;      /* machines are asked, and send each other nothing */
    /* Each time more is known of a machine; from any thread, one at a time. NULL: not asked for. */
    void (*report)(void *data, const IrekoReport *report);
    /* Each step before the first machine starts, as image.h says. NULL: not asked for. */
    void (*progress)(void *data, const char *step, unsigned done, unsigned total);
    void *data;
} IrekoLabRun;

/* A nest as it was found. */
typedef struct {
    char *lab;
    char *accel;        /* of the outermost machines; NULL where none runs */
    unsigned depth;     /* of the deepest machine */
    bool ok;            /* every machine runs, and every check of it held */
    double seconds;     /* that it took to find out */
    GPtrArray *reports; /* IrekoReport, in the order of the tree */
} IrekoNest;

void
ireko_nest_free(IrekoNest *nest); /* NULL is fine */

/* Schema ireko.nest/1; free with g_free. */
char *
ireko_nest_to_text(const IrekoNest *nest);

/* The labs of NESTS (IrekoNest) as one document of the same schema: "lab" is null unless there is
 * one; each machine says its "lab"; free with g_free. */
char *
ireko_nests_to_text(const GPtrArray *nests);

/* Starts what does not run, proves everything. NULL with an error where nothing could be begun
 * (then nothing is left behind); else the nest, whose OK says whether promises held. */
IrekoNest *
ireko_lab_up(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error);

/* Asks every layer again; starts nothing. */
IrekoNest *
ireko_lab_verify(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error);

/* What up would start on this machine, a command line a machine; free with g_free. */
char *
ireko_lab_plan(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error);

/* Asks every machine that runs here, however deep, to check itself as this layer did, and adds what
 * they say to VERDICT. Takes no longer than half a minute where one does not answer; nothing where
 * nothing runs. */
void
ireko_lab_check(const IrekoHome *home, IrekoVerdict *verdict, int cancel_fd);

/* Ends every machine of the lab on record as NAME and removes all that was made for it, its
 * snapshots included; with RUN's FRESH these stay. Machines with a user's own disks are asked to
 * shut down first. */
bool
ireko_lab_down(const IrekoHome *home, const char *name, const IrekoLabRun *run, GError **error);

/* Shuts the machine PATH down ("esxi01/esxi02", or "LAB:esxi01/esxi02") and ends it where it does
 * not go by itself in its time; those inside end with it. It stays on record, as stopped. */
bool
ireko_lab_stop(const IrekoHome *home, const char *path, const IrekoLabRun *run, GError **error);

/* Starts what does not run of LAB, which is on record, whole or as ireko_lab_of_machine gives it,
 * and proves it. */
IrekoNest *
ireko_lab_start(const IrekoHome *home, IrekoLab *lab, const IrekoLabRun *run, GError **error);

/* Runs ARGV in the machine PATH ("esxi01/esxi02", or "LAB:esxi01/esxi02") with FDS as its standard
 * streams. Returns its exit status (128 + N for signal N), or -1 with an error. */
int
ireko_lab_exec(const IrekoHome *home,
               const char *path,
               const char *const *argv,
               const int fds[3],
               int cancel_fd,
               GError **error);

typedef struct {
    const char *path;   /* of a machine that runs, as for exec */
    const char *device; /* "scsi0:1"; NULL: its first disk that ireko made */
    unsigned rounds;    /* 1 to IREKO_BENCH_ROUNDS_MAX */
    bool dry_run;       /* find the disk, measure nothing */
    int cancel_fd;
    /* Before each round. NULL: not asked for. */
    void (*progress)(void *data, unsigned done, unsigned total);
    void *data;
} IrekoDiskBenchAsk;

/* Measures a disk that ireko made, inside its machine; what is on it stays. IREKO_ERROR_UNSUPPORTED
 * for a disk of the user's, IREKO_ERROR_REMOTE with what was said inside. */
IrekoDiskBench *
ireko_lab_bench_disk(const IrekoHome *home, const IrekoDiskBenchAsk *ask, GError **error);

/* Connects to the serial console of the machine PATH: a descriptor, -1 with an error. */
int
ireko_lab_console(const IrekoHome *home, const char *path, int cancel_fd, GError **error);

/* The switch of a lab's network, on the descriptors that lib/lab starts it with; false with an
 * error where it was started by anybody else. */
bool
ireko_lab_serve_switch(GError **error);

/* The agent: serves the layer that this program runs in, for ever; false with an error where it is
 * not inside a machine that ireko started. VERSION is told to who asks. */
bool
ireko_lab_serve_agent(const char *version, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoHome, ireko_home_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoLab, ireko_lab_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(IrekoNest, ireko_nest_free)

G_END_DECLS
