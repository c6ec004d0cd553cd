/* lab/see/exits-serve.c - inside a layer: what its KVM counts of its guests, told a line a round.
 *
 *     {"hv":"svm","us":N,"rows":[[GUEST,REASON,EXITS,INNER,REFLECTED],...]}
 *
 * GUEST is the name of one of ireko's machines, or of whatever other program runs a vCPU. The line
 * holds all that was counted since the beginning, so that one that gets lost is made up for. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ireko/see.h>

#include "base/file.h"
#include "base/json.h"
#include "base/jsonl.h"
#include "base/text.h"
#include "engine/engine.h"
#include "host/exits.h"
#include "lab/layer.h"
#include "lab/serve.h"

#define STATUS_MAX  ((size_t)64 << 10)
#define WRITE_MS    10000
#define GUEST_SHOWN 64 /* bytes of a program's name */

typedef struct {
    GHashTable *names; /* of threads: GINT_TO_POINTER -> char * */
    IrekoExitCount *count;
    IrekoHv hv;
    int64_t began_us;
} Counting;

/* The number behind KEY ("Tgid:") in /proc/THREAD/status; 0 where there is none. */
static int
status_number(int thread, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", thread);
    g_autofree char *text = ireko_file_read(AT_FDCWD, path, STATUS_MAX, NULL, NULL);
    const char *at = text != NULL ? strstr(text, key) : NULL;
    int number = 0;
    return at != NULL && sscanf(at + strlen(key), " %9d", &number) == 1 ? number : 0;
}

/* The machine below FOLDER whose process is PROCESS; NULL where none is. */
static char *
machine_of(const char *folder, int process)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, name, "pid", NULL);
        g_autofree char *text = ireko_file_read(AT_FDCWD, path, STATUS_MAX, NULL, NULL);
        int number = 0;
        if (text != NULL && sscanf(text, "%9d", &number) == 1 && number == process)
            return g_strdup(name);
    }
    return NULL;
}

static const char *
guest_of(Counting *counting, int thread)
{
    const char *known = g_hash_table_lookup(counting->names, GINT_TO_POINTER(thread));
    if (known != NULL)
        return known;
    char *name = machine_of(IREKO_SERVE_FOLDER, status_number(thread, "Tgid:"));
    if (name == NULL) {
        g_autofree char *path = g_strdup_printf("/proc/%d/comm", thread);
        g_autofree char *comm = ireko_file_read(AT_FDCWD, path, STATUS_MAX, NULL, NULL);
        name = g_strdup_printf("thread %d (%.*s)", thread, GUEST_SHOWN,
                               comm != NULL ? g_strchomp(comm) : "gone");
    }
    (void)g_hash_table_insert(counting->names, GINT_TO_POINTER(thread), name);
    return name;
}

static bool
tell(Counting *counting, int out_fd, int cancel_fd, GError **error)
{
    g_autoptr(GArray) rows = ireko_exits_read(counting->count, error);
    if (rows == NULL)
        return false;
    json_t *list = json_array();
    for (guint i = 0; i < rows->len; i++) {
        const IrekoExitRow *row = &g_array_index(rows, IrekoExitRow, i);
        (void)json_array_append_new(
            list, json_pack("[o,I,I,I,I]",
                            ireko_json_clipped(guest_of(counting, row->thread), GUEST_SHOWN * 2),
                            (json_int_t)row->reason, (json_int_t)row->exits, (json_int_t)row->inner,
                            (json_int_t)row->reflected));
    }
    g_autoptr(json_t) line =
        json_pack("{s:s,s:I,s:o}", "hv", ireko_hv_name(counting->hv), "us",
                  (json_int_t)(g_get_monotonic_time() - counting->began_us), "rows", list);
    char *text = json_dumps(line, JSON_COMPACT);
    g_autofree char *whole = g_strconcat(text, "\n", NULL);
    free(text);
    return ireko_fd_write_all(out_fd, whole, strlen(whole), ireko_deadline_in_ms(WRITE_MS),
                              cancel_fd, error);
}

bool
ireko_see_serve_exits(
    unsigned first_ms, unsigned every_ms, int out_fd, int cancel_fd, GError **error)
{
    IREKO_AUTOFD root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(IrekoExitCount) count = ireko_exits_begin(root, error);
    if (count == NULL)
        return false;
    g_autoptr(GHashTable) names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    Counting counting = {.names = names,
                         .count = count,
                         .hv = access("/sys/module/kvm_intel", F_OK) == 0 ? IREKO_HV_VMX
                                                                          : IREKO_HV_SVM,
                         .began_us = g_get_monotonic_time()};
    for (unsigned round = 0;; round++) {
        int64_t next_us = counting.began_us + (first_ms + (int64_t)round * every_ms) * 1000;
        int64_t wait_ms = (next_us - g_get_monotonic_time()) / 1000;
        struct pollfd fds[] = {{.fd = cancel_fd, .events = POLLIN}, {.fd = out_fd, .events = 0}};
        if (poll(fds, G_N_ELEMENTS(fds), (int)CLAMP(wait_ms, 0, INT_MAX)) > 0)
            return true;
        if (!tell(&counting, out_fd, cancel_fd, error))
            return false;
    }
}
