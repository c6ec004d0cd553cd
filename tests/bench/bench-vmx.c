/* bench-vmx - how fast a .vmx is parsed and printed, and with how much memory.
 *
 * The text is made of lines as VMware writes them. Measured is what a user would have: a file is
 * loaded (read, parsed, looked at) and printed, by a process of its own, since the peak of a
 * process covers its past. Of the rounds the median counts. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ireko/vmx.h>

#include "base/file.h"

#define TEXT_BYTES ((size_t)60 << 20) /* below IREKO_VMX_BYTES_MAX */
#define ROUNDS     5
#define MB         1e6

static const char *const lines[] = {
    "scsi%u.present = \"TRUE\"\n",
    "scsi%u:0.present = \"TRUE\"\n",
    "scsi%u:0.fileName = \"esxi01-000001.vmdk\"\n",
    "scsi%u:1.virtualSSD = 1\n",
    "ethernet%u.virtualDev = \"vmxnet3\"\n",
    "ethernet%u.generatedAddress = \"00:0c:29:1c:5d:5e\"\n",
    "# a comment, number %u\n",
    "pciBridge%u.virtualDev = \"pcieRootPort\" # root\n",
    "guestinfo.note%u = \"a |22quoted|22 word\"\r\n",
    "\n",
    "memsize%u = \"4096\"\n",
};

static char *
write_text(void)
{
    g_autoptr(GString) text = g_string_sized_new(TEXT_BYTES);
    for (unsigned i = 0; text->len < TEXT_BYTES - 128; i++) {
        const char *line = lines[i % G_N_ELEMENTS(lines)];
        const char *number = strstr(line, "%u");
        if (number == NULL) {
            g_string_append(text, line);
            continue;
        }
        g_string_append_len(text, line, number - line);
        g_string_append_printf(text, "%u%s", i, number + 2);
    }
    g_autoptr(GError) error = NULL;
    char *path = g_strdup_printf("%s/ireko-bench-%d.vmx", g_get_tmp_dir(), (int)getpid());
    if (!g_file_set_contents(path, text->str, (gssize)text->len, &error))
        g_error("%s", error->message);
    return path;
}

/* The resident memory of this process now, in bytes. */
static size_t
resident(void)
{
    g_autofree char *text = ireko_file_read(-1, "/proc/self/statm", 4096, NULL, NULL);
    const char *second = text == NULL ? NULL : strchr(text, ' ');
    return second == NULL ? 0 : g_ascii_strtoull(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t
peak(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(double *seconds)
{
    qsort(seconds, ROUNDS, sizeof *seconds, compare_doubles);
    return seconds[ROUNDS / 2];
}

static void
say(const char *what, size_t len, double seconds)
{
    printf("vmx %-24s %6.0f MB/s (%.1f MB in %.3f s, median of %d)\n", what,
           (double)len / MB / seconds, (double)len / MB, seconds, ROUNDS);
}

static double
seconds_since(gint64 begin)
{
    return (double)(g_get_monotonic_time() - begin) / 1e6;
}

/* From bytes to bytes. */
static double
parse_and_print(const char *bytes, size_t len)
{
    gint64 begin = g_get_monotonic_time();
    g_autoptr(IrekoVmx) doc = ireko_vmx_parse(bytes, len, NULL);
    size_t out_len = 0;
    g_autofree char *out = ireko_vmx_print(doc, &out_len);
    double seconds = seconds_since(begin);
    g_assert_cmpmem(out, out_len, bytes, len);
    return seconds;
}

/* From a file to bytes, with all that is asked of a file. */
static double
load_and_print(const char *path)
{
    g_autoptr(GError) error = NULL;
    gint64 begin = g_get_monotonic_time();
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, &error);
    if (doc == NULL)
        g_error("%s", error->message);
    size_t out_len = 0;
    g_autofree char *out = ireko_vmx_print(doc, &out_len);
    return seconds_since(begin);
}

static int
measure(const char *path)
{
    double loads[ROUNDS], parses[ROUNDS];
    size_t len = 0, before = resident();
    for (size_t i = 0; i < ROUNDS; i++)
        loads[i] = load_and_print(path);
    size_t load_peak = peak() - before;

    g_autofree char *bytes = ireko_file_read(AT_FDCWD, path, IREKO_VMX_BYTES_MAX, &len, NULL);
    for (size_t i = 0; i < ROUNDS; i++)
        parses[i] = parse_and_print(bytes, len);
    say("parse + print", len, median(parses));
    say("load + print", len, median(loads));
    printf("vmx peak memory, load + print: %.2f times the file\n", (double)load_peak / (double)len);
    printf("vmx peak memory, with the caller's own copy: %.2f times the file\n",
           (double)(peak() - before) / (double)len);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 2)
        return measure(argv[1]);

    g_autofree char *path = write_text();
    char *child[] = {argv[0], path, NULL};
    g_autoptr(GError) error = NULL;
    int status = 0;
    if (!g_spawn_sync(NULL, child, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL,
                      &status, &error))
        g_printerr("bench-vmx: %s\n", error->message);
    (void)g_unlink(path);
    return error == NULL && status == 0 ? 0 : 1;
}
