/* lab/see/capture.c - see capture.h.
 *
 * A machine that was started here has its memory in a file that is mapped shared: what the guest
 * has at any moment can be read there at no cost to it. A clone has mapped its template's file
 * privately: what it wrote since is in pages of its own, which only its process shows. QEMU would
 * write its state only together with all of these; so it is asked for the devices alone, which are
 * read by the description in the state that the clone began with (xray/stream.h).
 *
 * Looking must not cost memory. A page that no guest has touched is a hole of the file, and
 * touching a hole in a mapping fills it; pread(2) does not. So walks read by pread, and who looks
 * through all of the memory gets windows into a mapping where the file has data, and zeros where it
 * has none. Of a clone the mapping is private, and its own pages, as /proc/PID/pagemap tells them,
 * are copied over the template's. */
#include "lab/see/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "lab/clone/began.h"
#include "lab/layer.h"
#include "lab/record.h"

#define TAKE_MS   30000
#define AGAIN_MS  5000                    /* of devices alone, which may have to be taken again */
#define LOOKS_MAX 4096                    /* entries of a pagemap read at a time */
#define ZEROS     (16 * IREKO_PAGE_BYTES) /* of a window where there is nothing */

/* Of an entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_FILE    (UINT64_C(1) << 61) /* of a file, or shared */
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

void
ireko_capture_clear(IrekoCapture *capture)
{
    if (capture->mapped != NULL)
        (void)munmap(capture->mapped, capture->bytes);
    g_clear_pointer(&capture->extents, g_array_unref);
    ireko_lab_free(capture->lab);
    ireko_vm_free(capture->vm);
    g_free(capture->folder);
    ireko_ram_files_clear(&capture->files);
    g_clear_pointer(&capture->began, g_bytes_unref);
    ireko_stream_free(capture->stream);
    *capture = IREKO_CAPTURE_NONE;
}

/* The node at SEGMENTS below NODES, which has it. */
static const IrekoNode *
find_node(const GPtrArray *nodes, char **segments)
{
    for (guint i = 0; i < nodes->len; i++) {
        const IrekoNode *node = g_ptr_array_index(nodes, i);
        if (strcmp(node->name, segments[0]) == 0)
            return segments[1] == NULL ? node : find_node(node->guests, segments + 1);
    }
    return NULL;
}

bool
ireko_capture_find(IrekoCapture *capture, const IrekoHome *home, const char *where, GError **error)
{
    g_autoptr(IrekoLab) part = ireko_lab_of_machine(home, where, error);
    capture->lab = part != NULL ? ireko_record_read(home, part->name, error) : NULL;
    if (capture->lab == NULL)
        return false;
    const char *colon = strchr(where, ':');
    g_auto(GStrv) segments = g_strsplit(colon != NULL ? colon + 1 : where, "/", -1);
    capture->node = find_node(capture->lab->nodes, segments);
    g_autofree char *run = ireko_record_run_folder(home, capture->lab->name);
    capture->folder = g_build_filename(run, segments[0], NULL);
    g_autoptr(GError) why = NULL;
    capture->vm = ireko_vm_attach(ireko_engine_chosen(), capture->folder, &why);
    if (capture->node != NULL && capture->vm != NULL)
        return true;
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_STATE,
                "'%s' does not run: 'ireko ps %s' says what does", segments[0], capture->lab->name);
    return false;
}

/* Whether the machine is one that began from a file and wrote over it since. */
static bool
has_own_pages(const IrekoCapture *capture)
{
    return capture->files.process_fd >= 0;
}

/* Reads from the file, or of a machine with pages of its own from its process. */
static bool
read_now(void *data, IrekoGpa at, void *ret_bytes, size_t len)
{
    const IrekoCapture *capture = data;
    const IrekoRamFiles *files = &capture->files;
    IrekoOffset offset;
    if (ireko_ram_map_row(&capture->map, at, &offset) < len)
        return false;
    int fd = has_own_pages(capture) ? files->process_fd : files->file_fd;
    return pread(fd, ret_bytes, len, (off_t)(files->base + offset.at)) == (ssize_t)len;
}

static bool
open_memory(IrekoCapture *capture, GError **error)
{
    struct stat st;
    if (fstat(capture->files.file_fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size < IREKO_PAGE_BYTES) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX,
                    "'%s' is no memory of a machine: expected a file of a page or more",
                    capture->files.path);
        return false;
    }
    capture->bytes = (uint64_t)st.st_size;
    capture->map = ireko_ram_map_pc(capture->bytes);
    capture->memory = (IrekoMemory){.read = read_now, .data = capture};
    return true;
}

/* What a file has, up to the limit of a state; a new reference. */
static GBytes *
read_state(int fd, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size > IREKO_CAPTURE_STATE_MAX) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
                    "its state is empty or has more than %zu MiB", IREKO_CAPTURE_STATE_MAX >> 20);
        return NULL;
    }
    size_t len = (size_t)st.st_size;
    g_autofree uint8_t *state = g_malloc(len);
    for (size_t have = 0; have < len;) {
        ssize_t n = pread(fd, state + have, len - have, (off_t)have);
        if (n <= 0 && errno != EINTR) {
            ireko_error_from_errno(error, n < 0 ? errno : EIO, "cannot read its state");
            return NULL;
        }
        have += n > 0 ? (size_t)n : 0;
    }
    return g_bytes_new_take(g_steal_pointer(&state), len);
}

static GBytes *
open_state(const char *path, GError **error)
{
    IREKO_AUTOFD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return read_state(fd, error);
    ireko_error_from_errno(error, errno, "cannot open '%s'", path);
    return NULL;
}

/* Of a machine with pages of its own: what it began with. */
static void
find_beginning(IrekoCapture *capture)
{
    g_autoptr(json_t) began = ireko_began_read(capture->folder);
    const char *path = json_string_value(json_object_get(began, "state"));
    g_autofree char *state = path != NULL ? ireko_began_path(began, path, NULL) : NULL;
    capture->began = state != NULL ? open_state(state, NULL) : NULL;
}

static bool
begin(IrekoCapture *capture, const IrekoHome *home, const char *where, GError **error)
{
    if (!ireko_capture_find(capture, home, where, error) ||
        !ireko_vm_open_ram(capture->vm, &capture->files, error) || !open_memory(capture, error))
        return false;
    if (has_own_pages(capture))
        find_beginning(capture);
    return true;
}

/* ---- looking through it ---- */

/* Bytes FROM to TO of the file, which are there. */
typedef struct {
    uint64_t from, to;
} Extent;

/* The extent that holds AT, or the first one behind it, which may be the count of them. */
static guint
extent_at(const GArray *extents, uint64_t at)
{
    guint low = 0, high = extents->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (g_array_index(extents, Extent, middle).to <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A window: into the mapping as far as the file has data, else of zeros. */
static const uint8_t *
window_of(void *data, IrekoGpa at, size_t *ret_len)
{
    static uint8_t zeros[ZEROS]; /* never written: not part of the program's file */
    const IrekoCapture *capture = data;
    IrekoOffset offset;
    uint64_t row = ireko_ram_map_row(&capture->map, at, &offset);
    guint i = extent_at(capture->extents, offset.at);
    const Extent *extent =
        i < capture->extents->len ? &g_array_index(capture->extents, Extent, i) : NULL;
    if (row == 0)
        return NULL;
    if (extent != NULL && extent->from <= offset.at) {
        *ret_len = (size_t)MIN(row, extent->to - offset.at);
        return (const uint8_t *)capture->mapped + offset.at;
    }
    uint64_t hole = extent != NULL ? MIN(row, extent->from - offset.at) : row;
    *ret_len = (size_t)MIN(hole, sizeof zeros - offset.at % IREKO_PAGE_BYTES);
    return zeros + offset.at % IREKO_PAGE_BYTES;
}

static bool
read_window(void *data, IrekoGpa at, void *ret_bytes, size_t len)
{
    uint8_t *bytes = ret_bytes;
    while (len > 0) {
        size_t n = 0;
        const uint8_t *window = window_of(data, at, &n);
        if (window == NULL)
            return false;
        n = MIN(n, len);
        if (n == sizeof(uint64_t) && at.at % n == 0) {
            uint64_t word = *(const volatile uint64_t *)(const void *)window;
            memcpy(bytes, &word, n);
        } else {
            memcpy(bytes, window, n);
        }
        at.at += n;
        bytes += n;
        len -= n;
    }
    return true;
}

static void
list_extents(IrekoCapture *capture)
{
    int fd = capture->files.file_fd;
    g_clear_pointer(&capture->extents, g_array_unref);
    capture->extents = g_array_new(FALSE, FALSE, sizeof(Extent));
    for (off_t at = 0;;) {
        off_t from = lseek(fd, at, SEEK_DATA);
        if (from < 0)
            return;
        at = lseek(fd, from, SEEK_HOLE);
        const Extent extent = {.from = (uint64_t)from, .to = (uint64_t)at};
        if (at <= from)
            return;
        g_array_append_val(capture->extents, extent);
    }
}

/* Adds to what is there a page of the process's own. */
static void
add_extent(IrekoCapture *capture, uint64_t at)
{
    const Extent extent = {.from = at, .to = at + IREKO_PAGE_BYTES};
    guint i = extent_at(capture->extents, at);
    if (i == capture->extents->len || g_array_index(capture->extents, Extent, i).from > at)
        g_array_insert_val(capture->extents, i, extent);
}

/* Copies the pages from FIRST on that are the process's own: PAGES has N entries of its pagemap. */
static bool
copy_own(IrekoCapture *capture, const uint64_t *pages, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool there = (pages[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) != 0;
        if (!there || (pages[i] & PAGEMAP_FILE) != 0)
            continue;
        uint64_t at = (first + i) * IREKO_PAGE_BYTES;
        if (pread(capture->files.process_fd, (uint8_t *)capture->mapped + at, IREKO_PAGE_BYTES,
                  (off_t)(capture->files.base + at)) != IREKO_PAGE_BYTES)
            return false;
        add_extent(capture, at);
    }
    return true;
}

static bool
take_own_pages(IrekoCapture *capture, GError **error)
{
    size_t count = capture->bytes / IREKO_PAGE_BYTES;
    uint64_t pages[LOOKS_MAX];
    for (size_t at = 0; capture->files.pages_fd >= 0 && at < count;) {
        size_t n = MIN(G_N_ELEMENTS(pages), count - at);
        off_t where = (off_t)((capture->files.base / IREKO_PAGE_BYTES + at) * sizeof pages[0]);
        ssize_t got = pread(capture->files.pages_fd, pages, n * sizeof pages[0], where);
        if (got != (ssize_t)(n * sizeof pages[0]) || !copy_own(capture, pages, at, n)) {
            ireko_error_from_errno(error, errno, "cannot read the pages of '%s'",
                                   capture->files.path);
            return false;
        }
        at += n;
    }
    return true;
}

bool
ireko_capture_scan(IrekoCapture *capture, IrekoMemory *ret_memory, GError **error)
{
    bool own = has_own_pages(capture); /* they are put over the file's */
    if (capture->mapped == NULL) {
        void *mapped =
            mmap(NULL, capture->bytes, own ? PROT_READ | PROT_WRITE : PROT_READ,
                 own ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED, capture->files.file_fd, 0);
        if (mapped == MAP_FAILED) {
            ireko_error_from_errno(error, errno, "cannot map the memory of the machine");
            return false;
        }
        capture->mapped = mapped;
    }
    list_extents(capture);
    if (!take_own_pages(capture, error))
        return false;
    *ret_memory = (IrekoMemory){.read = read_window, .window = window_of, .data = capture};
    return true;
}

void
ireko_capture_measure(const IrekoCapture *capture, uint64_t *ret_there, uint64_t *ret_zero)
{
    uint64_t there = 0, zero = 0;
    for (guint i = 0; i < capture->extents->len; i++) {
        const Extent *extent = &g_array_index(capture->extents, Extent, i);
        for (uint64_t at = extent->from; at + IREKO_PAGE_BYTES <= extent->to;
             at += IREKO_PAGE_BYTES) {
            const uint8_t *page = (const uint8_t *)capture->mapped + at;
            there += IREKO_PAGE_BYTES;
            if (*page == 0 && memcmp(page, page + 1, IREKO_PAGE_BYTES - 1) == 0)
                zero += IREKO_PAGE_BYTES;
        }
    }
    *ret_there = there;
    *ret_zero = zero;
}

/* ---- the state ---- */

typedef struct {
    IrekoCapture *capture;
    int state_fd;
    GError *why; /* the stream could not be read */
    bool (*look)(void *data, GError **error);
    void *data;
} Still;

static IrekoStream *
read_stream(const IrekoCapture *capture, GBytes *state, GError **error)
{
    gsize len = 0, began_len = 0;
    const void *data = g_bytes_get_data(state, &len);
    if (!has_own_pages(capture))
        return ireko_stream_read(data, len, error);
    const void *began = g_bytes_get_data(capture->began, &began_len);
    return ireko_stream_read_devices(data, len, began, began_len, error);
}

/* Reads what was written; where that cannot be read, but may be at another moment, makes room for
 * it to be written again. */
static bool
take_stream(void *data)
{
    Still *still = data;
    g_clear_error(&still->why);
    g_autoptr(GBytes) state = read_state(still->state_fd, &still->why);
    still->capture->stream = state != NULL ? read_stream(still->capture, state, &still->why) : NULL;
    return !g_error_matches(still->why, IREKO_ERROR, IREKO_ERROR_STATE) ||
           ftruncate(still->state_fd, 0) != 0 || lseek(still->state_fd, 0, SEEK_SET) != 0;
}

static bool
stand_still(void *data, GError **error)
{
    Still *still = data;
    if (still->why != NULL) {
        g_propagate_error(error, g_steal_pointer(&still->why));
        return false;
    }
    return still->look == NULL || still->look(still->data, error);
}

bool
ireko_capture_has_state(const IrekoCapture *capture)
{
    return capture->vm == NULL ? capture->stream != NULL
                               : !has_own_pages(capture) || capture->began != NULL;
}

bool
ireko_capture_take(IrekoCapture *capture,
                   bool (*look)(void *data, GError **error),
                   void *data,
                   GError **error)
{
    if (capture->vm == NULL)
        return look == NULL || look(data, error);
    bool own = has_own_pages(capture);
    if (!ireko_capture_has_state(capture)) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                            "the state that this clone began with is not there, and nothing else "
                            "says how to read what it holds now: --no-pause does without");
        return false;
    }
    IREKO_AUTOFD fd = memfd_create("ireko-state", MFD_CLOEXEC);
    if (fd < 0) {
        ireko_error_from_errno(error, errno, "cannot make room for its state");
        return false;
    }
    Still still = {.capture = capture, .state_fd = fd, .look = look, .data = data};
    const IrekoFreeze freeze = {.state_fd = fd,
                                .devices = own,
                                .fits = take_stream,
                                .still = stand_still,
                                .data = &still,
                                .ret_still_us = &capture->still_us};
    g_autoptr(GError) why = NULL;
    bool taken =
        ireko_vm_freeze(capture->vm, &freeze, ireko_deadline_in_ms(own ? AGAIN_MS : TAKE_MS), &why);
    if (!taken && still.why != NULL)
        g_propagate_error(error, g_steal_pointer(&still.why));
    else if (!taken)
        g_propagate_error(error, g_steal_pointer(&why));
    g_clear_error(&still.why);
    return taken;
}

/* ---- what was saved ---- */

bool
ireko_capture_open(IrekoCapture *capture, const char *state, const char *ram, GError **error)
{
    g_autoptr(GBytes) bytes = state != NULL ? open_state(state, error) : NULL;
    if (state != NULL && bytes == NULL)
        return false;
    capture->files.path = g_canonicalize_filename(ram, NULL);
    capture->files.file_fd = open(ram, O_RDONLY | O_CLOEXEC);
    if (capture->files.file_fd < 0) {
        ireko_error_from_errno(error, errno, "cannot open '%s'", ram);
        return false;
    }
    if (!open_memory(capture, error))
        return false;
    capture->stream = bytes != NULL ? read_stream(capture, bytes, error) : NULL;
    if (bytes != NULL && capture->stream == NULL)
        g_prefix_error(error, "%s: ", state);
    return bytes == NULL || capture->stream != NULL;
}

bool
ireko_capture_order(IrekoCapture *capture,
                    const IrekoHome *home,
                    const IrekoSeeOrder *order,
                    GError **error)
{
    return order->path != NULL ? begin(capture, home, order->path, error)
                               : ireko_capture_open(capture, order->state, order->ram, error);
}
