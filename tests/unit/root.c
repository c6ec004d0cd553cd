/* A machine made of files. */
#include "root.h"

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"

Root
root_new(const File *files, size_t count)
{
    g_autoptr(GError) error = NULL;
    Root root = {.path = g_dir_make_tmp("ireko-host-XXXXXX", &error)};
    g_assert_no_error(error);
    for (size_t i = 0; i < count && files[i].path != NULL; i++) {
        g_autofree char *path = g_build_filename(root.path, files[i].path, NULL);
        g_autofree char *folder = g_path_get_dirname(path);
        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        if (g_str_has_prefix(files[i].text, "->"))
            g_assert_cmpint(symlink(files[i].text + 2, path), ==, 0);
        else
            g_assert_true(g_file_set_contents(path, files[i].text, -1, NULL));
    }
    g_autofree char *proc = g_build_filename(root.path, "proc", NULL);
    g_assert_cmpint(g_mkdir_with_parents(proc, 0700), ==, 0);
    root.fd = open(root.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(root.fd, >=, 0);
    return root;
}

void
root_clear(Root *root)
{
    ireko_fd_close(&root->fd);
    g_assert_true(ireko_file_remove_tree(root->path, NULL));
    g_free(root->path);
}
