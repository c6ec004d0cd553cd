/* bench-files THREADS FILE... - the floor of `ireko vmx set FILE... KEY=VALUE`: reads each file,
 * writes its bytes beside it, syncs and renames, as many at a time as THREADS says. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool
write_again(const char *path)
{
    g_autofree char *bytes = NULL, *beside = g_strconcat(path, ".new", NULL);
    size_t len = 0;
    if (!g_file_get_contents(path, &bytes, &len, NULL))
        return false;
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool done = write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
    return close(fd) == 0 && done && g_rename(beside, path) == 0;
}

static void
do_file(void *path, void *failed)
{
    if (!write_again(path))
        g_atomic_int_inc((int *)failed);
}

int
main(int argc, char **argv)
{
    int failed = 0;
    guint64 threads = 0;
    if (argc < 3 || !g_ascii_string_to_unsigned(argv[1], 10, 1, 256, &threads, NULL))
        return 2;
    GThreadPool *pool = g_thread_pool_new(do_file, &failed, (int)threads, TRUE, NULL);
    for (int i = 2; i < argc; i++)
        (void)g_thread_pool_push(pool, argv[i], NULL);
    g_thread_pool_free(pool, FALSE, TRUE);
    if (failed > 0)
        (void)fprintf(stderr, "%d of %d files failed\n", failed, argc - 2);
    return failed > 0;
}
