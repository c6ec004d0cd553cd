/* editors.c - many edit one file at once, and no edit is lost without a word.
 *
 * Each process counts a key of its own up, by one an edit. An edit either lands or is refused with
 * IREKO_ERROR_STATE. In the end each key holds as many as its process was told had landed. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ireko/vmxfile.h>

#include "base/file.h"

#define EDITORS 8
#define EDITS   40

typedef struct {
    unsigned landed, refused, failed;
    char message[512]; /* of the last that failed */
} Count;

static unsigned
value_of(const IrekoVmx *doc, const char *key)
{
    g_autofree char *text = ireko_vmx_get(doc, key, NULL);
    guint64 value = 0;
    g_assert_true(text == NULL || g_ascii_string_to_unsigned(text, 10, 0, EDITS, &value, NULL));
    return (unsigned)value;
}

static bool
count_up(const char *path, const char *key, GError **error)
{
    g_autoptr(IrekoVmxFile) file = ireko_vmxfile_open(path, error);
    if (file == NULL)
        return false;
    IrekoVmx *doc = ireko_vmxfile_document(file);
    g_autofree char *next = g_strdup_printf("%u", value_of(doc, key) + 1);
    return ireko_vmx_set(doc, key, next, error) && ireko_vmxfile_save(file, error);
}

static void
edit_often(const char *path, unsigned number, Count *count)
{
    g_autofree char *key = g_strdup_printf("editor%u.count", number);
    for (unsigned i = 0; i < EDITS; i++) {
        g_autoptr(GError) error = NULL;
        if (count_up(path, key, &error)) {
            count->landed++;
        } else if (g_error_matches(error, IREKO_ERROR, IREKO_ERROR_STATE)) {
            count->refused++;
        } else {
            count->failed++;
            (void)g_strlcpy(count->message, error->message, sizeof count->message);
        }
    }
}

static void
run_editors(const char *path, Count *counts)
{
    for (unsigned i = 0; i < EDITORS; i++) {
        pid_t pid = fork();
        g_assert_true(pid >= 0);
        if (pid > 0)
            continue;
        edit_often(path, i, &counts[i]);
        _exit(0);
    }
    for (unsigned i = 0; i < EDITORS; i++) {
        int status = 1;
        g_assert_true(wait(&status) > 0 && status == 0);
    }
}

static bool
judge(const char *path, const Count *counts)
{
    unsigned landed = 0, refused = 0, wrong = 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < EDITORS; i++) {
        g_autofree char *key = g_strdup_printf("editor%u.count", i);
        unsigned value = value_of(doc, key);
        landed += counts[i].landed;
        refused += counts[i].refused;
        if (value == counts[i].landed && counts[i].failed == 0)
            continue;
        wrong++;
        printf("# editor %u: %u landed, the file says %u; %u failed (%s)\n", i, counts[i].landed,
               value, counts[i].failed, counts[i].message);
    }
    bool good = wrong == 0 && landed > 0;
    printf("%sok 1 - %d editors at once: %u edits landed, %u were refused, none was lost\n",
           good ? "" : "not ", EDITORS, landed, refused);
    return good;
}

int
main(void)
{
    g_autofree char *folder = g_dir_make_tmp("ireko-editors-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_autofree char *path = g_build_filename(folder, "a.vmx", NULL);
    g_assert_true(g_file_set_contents(path, "memsize = \"4096\"\n", -1, NULL));
    Count *counts = mmap(NULL, EDITORS * sizeof *counts, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(counts != MAP_FAILED);

    run_editors(path, counts);
    bool good = judge(path, counts);
    printf("1..1\n");
    g_assert_true(ireko_file_remove_tree(folder, NULL));
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
