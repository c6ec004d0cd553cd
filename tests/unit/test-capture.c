/* The memory of a machine, looked into: with pages of its own over its file, and with holes. The
 * machine is this process: it maps a file privately, as a clone does, and writes into the mapping.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/see/capture.h"

#define PAGES     64
#define BYTES     ((size_t)PAGES * IREKO_PAGE_BYTES)
#define FILE_PAGE 3 /* has data in the file */
#define OWN_PAGE  5 /* has data in the file, and other data of the process's own */
#define NEW_PAGE  9 /* is a hole of the file, and was written by the process */
#define HOLE_PAGE 7

typedef struct {
    int file;
    uint8_t *mapped;
    IrekoCapture capture;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->capture = IREKO_CAPTURE_NONE;
    fixture->file = memfd_create("ram", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fixture->file, BYTES), ==, 0);
    for (unsigned page = FILE_PAGE; page <= OWN_PAGE; page += OWN_PAGE - FILE_PAGE) {
        uint8_t bytes[IREKO_PAGE_BYTES];
        memset(bytes, (int)page, sizeof bytes);
        g_assert_cmpint(pwrite(fixture->file, bytes, sizeof bytes, page * IREKO_PAGE_BYTES), ==,
                        sizeof bytes);
    }
    fixture->mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fixture->file, 0);
    g_assert_true(fixture->mapped != MAP_FAILED);
    memset(fixture->mapped + (size_t)OWN_PAGE * IREKO_PAGE_BYTES, 0xaa, IREKO_PAGE_BYTES);
    memset(fixture->mapped + (size_t)NEW_PAGE * IREKO_PAGE_BYTES, 0xbb, IREKO_PAGE_BYTES);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fixture->file);
    g_assert_true(ireko_capture_open(&fixture->capture, NULL, path, NULL));
}

static void
be_a_clone(Fixture *fixture)
{
    IrekoRamFiles *files = &fixture->capture.files;
    files->process_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    files->pages_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    files->base = (uint64_t)(uintptr_t)fixture->mapped;
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    ireko_capture_clear(&fixture->capture);
    (void)munmap(fixture->mapped, BYTES);
    (void)close(fixture->file);
}

static uint64_t
allocated(const Fixture *fixture)
{
    struct stat st;
    g_assert_cmpint(fstat(fixture->file, &st), ==, 0);
    return (uint64_t)st.st_blocks;
}

static void
assert_page(const IrekoMemory *memory, unsigned page, uint8_t expected)
{
    uint8_t bytes[IREKO_PAGE_BYTES];
    const IrekoGpa at = {(uint64_t)page * IREKO_PAGE_BYTES};
    g_assert_true(memory->read(memory->data, at, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++)
        g_assert_cmphex(bytes[i], ==, expected);
    size_t len = 0;
    const uint8_t *window = memory->window != NULL ? memory->window(memory->data, at, &len) : NULL;
    g_assert_true(memory->window == NULL || (window != NULL && len > 0 && *window == expected));
}

static void
a_file_is_read(Fixture *fixture, gconstpointer data)
{
    (void)data;
    IrekoMemory whole;
    g_assert_true(ireko_capture_scan(&fixture->capture, &whole, NULL));
    const IrekoMemory *memories[] = {&fixture->capture.memory, &whole};
    for (size_t i = 0; i < G_N_ELEMENTS(memories); i++) {
        assert_page(memories[i], FILE_PAGE, FILE_PAGE);
        assert_page(memories[i], OWN_PAGE, OWN_PAGE);
        assert_page(memories[i], NEW_PAGE, 0);
        assert_page(memories[i], HOLE_PAGE, 0);
    }
}

static void
a_clone_has_pages_of_its_own(Fixture *fixture, gconstpointer data)
{
    (void)data;
    be_a_clone(fixture);
    IrekoMemory whole;
    g_assert_true(ireko_capture_scan(&fixture->capture, &whole, NULL));
    const IrekoMemory *memories[] = {&fixture->capture.memory, &whole};
    for (size_t i = 0; i < G_N_ELEMENTS(memories); i++) {
        assert_page(memories[i], FILE_PAGE, FILE_PAGE);
        assert_page(memories[i], OWN_PAGE, 0xaa);
        assert_page(memories[i], NEW_PAGE, 0xbb);
    }
    assert_page(&whole, HOLE_PAGE, 0);
    uint64_t there = 0, zero = 0;
    ireko_capture_measure(&fixture->capture, &there, &zero);
    g_assert_cmpuint(there, ==, 3 * IREKO_PAGE_BYTES);
    g_assert_cmpuint(zero, ==, 0);
}

/* A page that no guest has touched costs nothing, and looking does not change that. */
static void
looking_fills_no_hole(Fixture *fixture, gconstpointer data)
{
    (void)data;
    uint64_t before = allocated(fixture);
    IrekoMemory whole;
    g_assert_true(ireko_capture_scan(&fixture->capture, &whole, NULL));
    uint8_t bytes[IREKO_PAGE_BYTES];
    for (uint64_t at = 0; at < BYTES; at += IREKO_PAGE_BYTES) {
        g_assert_true(whole.read(whole.data, (IrekoGpa){at}, bytes, sizeof bytes));
        const IrekoMemory *now = &fixture->capture.memory;
        g_assert_true(now->read(now->data, (IrekoGpa){at}, bytes, sizeof bytes));
    }
    g_assert_cmpuint(allocated(fixture), ==, before);
}

static void
what_is_behind_the_end_is_no_memory(Fixture *fixture, gconstpointer data)
{
    (void)data;
    IrekoMemory whole;
    g_assert_true(ireko_capture_scan(&fixture->capture, &whole, NULL));
    uint8_t bytes[16];
    size_t len = 0;
    const uint64_t places[] = {BYTES - 8, BYTES, UINT64_MAX - 7};
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        const IrekoMemory *now = &fixture->capture.memory;
        g_assert_false(now->read(now->data, (IrekoGpa){places[i]}, bytes, sizeof bytes));
        g_assert_false(whole.read(whole.data, (IrekoGpa){places[i]}, bytes, sizeof bytes));
    }
    g_assert_null(whole.window(whole.data, (IrekoGpa){BYTES}, &len));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add(name, Fixture, NULL, set_up, function, tear_down)
    ADD("/capture/a machine's file is read, now and whole", a_file_is_read);
    ADD("/capture/a clone has pages of its own over its template's", a_clone_has_pages_of_its_own);
    ADD("/capture/looking fills no hole", looking_fills_no_hole);
    ADD("/capture/what is behind the end is no memory", what_is_behind_the_end_is_no_memory);
    return g_test_run();
}
