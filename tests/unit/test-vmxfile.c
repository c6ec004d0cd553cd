/* vmxfile: a .vmx on disk is edited and undone; what must not be touched is refused. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <ireko/vmxfile.h>

#include "base/file.h"

#define OLD "config.version = \"8\"\nmemsize = \"4096\"\n"
#define NEW "config.version = \"8\"\nmemsize = \"8192\"\n"

typedef struct {
    char *folder, *vmx;
} Place;

static Place
make_place(void)
{
    Place place = {.folder = g_dir_make_tmp("ireko-vmxfile-XXXXXX", NULL)};
    g_assert_nonnull(place.folder);
    place.vmx = g_build_filename(place.folder, "a.vmx", NULL);
    return place;
}

static void
remove_place(Place *place)
{
    g_assert_true(ireko_file_remove_tree(place->folder, NULL));
    g_free(place->folder);
    g_free(place->vmx);
}

static char *
beside(const Place *place, const char *name)
{
    return g_build_filename(place->folder, name, NULL);
}

static void
write_beside(const Place *place, const char *name, const char *text)
{
    g_autofree char *path = beside(place, name);
    g_assert_true(
        g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL));
}

static void
assert_beside(const Place *place, const char *name, const char *want)
{
    g_autofree char *path = beside(place, name);
    g_autofree char *got = NULL;
    (void)g_file_get_contents(path, &got, NULL, NULL);
    g_assert_cmpstr(got, ==, want);
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in the folder, sorted, with blanks between. */
static char *
names_in(const Place *place)
{
    g_autoptr(GDir) dir = g_dir_open(place->folder, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (const char *name = g_dir_read_name(dir); name != NULL; name = g_dir_read_name(dir))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

static IrekoVmxFile *
open_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    IrekoVmxFile *file = ireko_vmxfile_open(path, &error);
    g_assert_no_error(error);
    return file;
}

static void
edit(const char *path, const char *key, const char *value)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = open_file(path);
    (void)ireko_vmx_set(ireko_vmxfile_document(file), key, value, &error);
    g_assert_no_error(error);
    bool saved = ireko_vmxfile_save(file, &error);
    g_assert_no_error(error);
    g_assert_true(saved);
}

static void
undo(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = open_file(path);
    bool undone = ireko_vmxfile_undo(file, &error);
    g_assert_no_error(error);
    g_assert_true(undone);
}

static void
assert_cannot_open(const char *path, int code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = ireko_vmxfile_open(path, &error);
    g_assert_error(error, IREKO_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
    g_assert_null(strchr(error->message, '\n'));
    g_assert_null(file);
}

static void
assert_cannot_undo(const char *path, int code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = open_file(path);
    g_assert_false(ireko_vmxfile_undo(file, &error));
    g_assert_error(error, IREKO_ERROR, code);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

static void
test_an_edit_is_undone_and_done_again(void)
{
    Place place = make_place();
    write_beside(&place, "a.vmx", OLD);
    assert_cannot_undo(place.vmx, IREKO_ERROR_NOT_FOUND, "nothing to undo");
    edit(place.vmx, "memsize", "8192");
    assert_beside(&place, "a.vmx", NEW);
    assert_beside(&place, "a.vmx.undo", OLD);
    g_autofree char *names = names_in(&place);
    g_assert_cmpstr(names, ==, ".a.vmx.ireko a.vmx a.vmx.undo");

    for (int round = 0; round < 2; round++) {
        undo(place.vmx);
        assert_beside(&place, "a.vmx", OLD);
        assert_beside(&place, "a.vmx.undo", NEW);
        undo(place.vmx);
        assert_beside(&place, "a.vmx", NEW);
    }
    edit(place.vmx, "memsize", "16384");
    assert_beside(&place, "a.vmx.undo", NEW);
    remove_place(&place);
}

static void
test_one_file_is_saved_and_undone_many_times(void)
{
    Place place = make_place();
    write_beside(&place, "a.vmx", OLD);
    g_autoptr(IrekoVmxFile) file = open_file(place.vmx);
    for (int i = 0; i < 5; i++) {
        g_autofree char *value = g_strdup_printf("%d", i);
        g_assert_true(ireko_vmx_set(ireko_vmxfile_document(file), "numvcpus", value, NULL));
        g_assert_true(ireko_vmxfile_save(file, NULL));
    }
    size_t len = 0;
    g_autofree char *before = ireko_vmxfile_before(file, &len, NULL);
    g_assert_cmpstr(before, ==, OLD "numvcpus = \"3\"\n");
    g_assert_true(ireko_vmxfile_undo(file, NULL));
    g_autofree char *now = ireko_vmx_get(ireko_vmxfile_document(file), "numvcpus", NULL);
    g_assert_cmpstr(now, ==, "3");
    remove_place(&place);
}

static void
test_what_did_not_change_is_not_written(void)
{
    Place place = make_place();
    write_beside(&place, "a.vmx", OLD);
    struct stat before, after;
    g_assert_cmpint(stat(place.vmx, &before), ==, 0);
    edit(place.vmx, "memsize", "4096");
    g_assert_cmpint(stat(place.vmx, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    g_autofree char *names = names_in(&place);
    g_assert_cmpstr(names, ==, "a.vmx");
    remove_place(&place);
}

static void
test_mode_owner_and_attributes_stay(void)
{
    static const mode_t modes[] = {0600, 0644, 0755, 0664, 0200, 02775};
    Place place = make_place();
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        write_beside(&place, "a.vmx", OLD);
        g_assert_true(geteuid() != 0 || chown(place.vmx, 12, 34) == 0);
        bool has_xattrs = setxattr(place.vmx, "user.lab", "three\0x", 7, 0) == 0;
        g_assert_cmpint(chmod(place.vmx, modes[i]), ==, 0);
        if (geteuid() != 0 && modes[i] == 0200)
            continue;
        edit(place.vmx, "memsize", "8192");
        assert_beside(&place, "a.vmx", NEW);
        struct stat st;
        g_assert_cmpint(stat(place.vmx, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, modes[i]);
        g_assert_cmpuint(st.st_uid, ==, geteuid() == 0 ? 12 : geteuid());
        g_assert_cmpuint(st.st_gid, ==, geteuid() == 0 ? 34 : getegid());
        char value[16] = "";
        ssize_t len = getxattr(place.vmx, "user.lab", value, sizeof value);
        g_assert_cmpint(len, ==, has_xattrs ? 7 : -1);
        g_assert_cmpmem(value, has_xattrs ? 7 : 0, "three\0x", has_xattrs ? 7 : 0);
    }
    remove_place(&place);
}

/* What "setfacl -d -m u:1:rwx" writes: version 2; user::rwx, user:1:rwx, group::---, mask::rwx,
 * other::---. */
static void
test_a_list_that_the_folder_would_add_is_not_added(void)
{
    static const char list[] =
        "\2\0\0\0\1\0\7\0\377\377\377\377\2\0\7\0\1\0\0\0\4\0\0\0\377\377\377"
        "\377\20\0\7\0\377\377\377\377\40\0\0\0\377\377\377\377";
    Place place = make_place();
    write_beside(&place, "a.vmx", OLD);
    if (setxattr(place.folder, "system.posix_acl_default", list, sizeof list - 1, 0) != 0) {
        g_test_skip("this filesystem has no access lists");
    } else {
        edit(place.vmx, "memsize", "8192");
        char value[256];
        g_assert_cmpint(getxattr(place.vmx, "system.posix_acl_access", value, sizeof value), <, 0);
        struct stat st;
        g_assert_cmpint(stat(place.vmx, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0644);
    }
    remove_place(&place);
}

static void
test_a_symbolic_link_stays_one(void)
{
    Place place = make_place();
    g_autofree char *real = beside(&place, "real"), *link = beside(&place, "l.vmx");
    g_autofree char *again = beside(&place, "m.vmx"), *lost = beside(&place, "lost.vmx");
    g_autofree char *loop = beside(&place, "loop.vmx");
    g_assert_cmpint(mkdir(real, 0700), ==, 0);
    write_beside(&place, "real/a.vmx", OLD);
    g_assert_cmpint(symlink("real/a.vmx", link), ==, 0);
    g_assert_cmpint(symlink(link, again), ==, 0);
    g_assert_cmpint(symlink("nowhere.vmx", lost), ==, 0);
    g_assert_cmpint(symlink("loop.vmx", loop), ==, 0);
    edit(again, "memsize", "8192");
    assert_beside(&place, "real/a.vmx", NEW);
    assert_beside(&place, "real/a.vmx.undo", OLD);
    g_autofree char *target = g_file_read_link(link, NULL);
    g_assert_cmpstr(target, ==, "real/a.vmx");
    undo(link);
    assert_beside(&place, "real/a.vmx", OLD);
    assert_cannot_open(lost, IREKO_ERROR_NOT_FOUND, "lost.vmx");
    assert_cannot_open(loop, IREKO_ERROR_IO, "loop.vmx");
    remove_place(&place);
}

#define STATE(name) "checkpoint.vmState = \"" name "\"\n"

static void
test_a_machine_that_vmware_holds_is_refused(void)
{
    static const struct {
        const char *folder, *file, *text, *says; /* SAYS NULL: it is not refused */
    } rows[] = {
        {"a.vmx.lck", "a.vmx.lck/M11454.lck", OLD,
         "open in VMware (its lock 'a.vmx.lck/M11454.lck'"},
        {NULL, "a.vmx.lck", OLD, "open in VMware (its lock 'a.vmx.lck'"},
        {"a.vmx.lck", NULL, OLD, NULL},
        {NULL, "a.vmss", OLD, "suspended ('a.vmss' is beside it)"},
        {NULL, "a-1.vmss", OLD STATE("a-1.vmss"), "suspended (line 3"},
        {NULL, "a.vmss", OLD STATE("a-1.vmss"), "suspended ('a.vmss' is beside it)"},
        {NULL, NULL, OLD STATE("C:\\\\vm\\\\a.vmss"), "suspended (line 3"},
        {NULL, NULL, OLD STATE("/no/such/volume/a.vmss"), "suspended (line 3"},
        {NULL, NULL, OLD STATE("a.vmss") "workingDir = \"/elsewhere\"\n", "suspended (line 3"},
        {NULL, NULL, OLD "checkpoint.vmState = \"\"\n", NULL},
        {"b.vmx.lck", "b.vmss", OLD, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Place place = make_place();
        write_beside(&place, "a.vmx", rows[i].text);
        g_autofree char *folder = beside(&place, rows[i].folder ? rows[i].folder : "");
        g_assert_true(rows[i].folder == NULL || mkdir(folder, 0700) == 0);
        if (rows[i].file != NULL)
            write_beside(&place, rows[i].file, "x");
        if (rows[i].says != NULL)
            assert_cannot_open(place.vmx, IREKO_ERROR_STATE, rows[i].says);
        else
            edit(place.vmx, "memsize", "8192");
        remove_place(&place);
    }
}

static void
test_a_stale_suspended_state_can_be_taken_away_and_nothing_else(void)
{
    static const char *const states[] = {"a-1.vmss", "./a-1.vmss", "/tmp/no-such-file.vmss"};
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        Place place = make_place();
        g_autofree char *text =
            g_strdup_printf(OLD "checkpoint.vmState = \"%s\" # kept\n", states[i]);
        write_beside(&place, "a.vmx", text);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmxFile) file = open_file(place.vmx);
        g_assert_true(ireko_vmx_set(ireko_vmxfile_document(file), "memsize", "8192", NULL));
        g_assert_false(ireko_vmxfile_save(file, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
        g_assert_nonnull(strstr(error->message, "vmx unset"));
        assert_beside(&place, "a.vmx", text);
        ireko_vmxfile_free(g_steal_pointer(&file));

        file = open_file(place.vmx);
        g_assert_cmpuint(ireko_vmx_unset(ireko_vmxfile_document(file), "checkpoint.vmState"), ==,
                         1);
        g_clear_error(&error);
        g_assert_true(ireko_vmxfile_save(file, &error));
        ireko_vmxfile_free(g_steal_pointer(&file));
        assert_beside(&place, "a.vmx", OLD);
        edit(place.vmx, "memsize", "8192");
        undo(place.vmx);
        assert_beside(&place, "a.vmx", OLD);
        remove_place(&place);
    }
}

static void
test_a_value_set_back_has_its_bytes_back(void)
{
    static const char *const texts[] = {"memsize = \"4096\"\nname = \"|41|0a|5a\"\n",
                                        "memsize = \"4096\"\nname =   AZ  # c\n",
                                        "memsize = \"4096\"\nname=|41Z",
                                        "\xef\xbb\xbfNAME\t= \"A\xffZ\"\r\nmemsize = \"4096\"\r\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        Place place = make_place();
        write_beside(&place, "a.vmx", texts[i]);
        g_autoptr(IrekoVmx) doc = ireko_vmx_load(place.vmx, NULL);
        g_autofree char *old = ireko_vmx_get(doc, "name", NULL);
        edit(place.vmx, "name", "");
        edit(place.vmx, "name", old);
        assert_beside(&place, "a.vmx", texts[i]);
        edit(place.vmx, "name", "a b");
        g_autoptr(IrekoVmx) preview = ireko_vmxfile_preview(place.vmx, NULL);
        g_assert_true(ireko_vmx_set(preview, "name", old, NULL));
        size_t len = 0;
        g_autofree char *seen = ireko_vmx_print(preview, &len);
        g_assert_cmpmem(seen, len, texts[i], strlen(texts[i]));
        edit(place.vmx, "name", old);
        assert_beside(&place, "a.vmx", texts[i]);
        remove_place(&place);
    }
}

static void
test_what_somebody_else_wrote_is_not_taken_for_the_bytes_of_before(void)
{
    Place place = make_place();
    write_beside(&place, "a.vmx", "memsize = \"4096\"\nname = \"|41\"\n");
    edit(place.vmx, "name", "B");
    write_beside(&place, "a.vmx", "memsize = \"4096\"\nname = \"C\"\n");
    edit(place.vmx, "name", "A");
    assert_beside(&place, "a.vmx", "memsize = \"4096\"\nname = \"A\"\n");
    remove_place(&place);
}

static void
test_what_is_not_to_be_edited_is_refused(void)
{
    Place place = make_place();
    g_autofree char *other = beside(&place, "other");
    assert_cannot_open(place.vmx, IREKO_ERROR_NOT_FOUND, "a.vmx");
    assert_cannot_open(place.folder, IREKO_ERROR_SYNTAX, "is a folder");
    write_beside(&place, "a.vmx", "encryption.data = \"x\"\n");
    assert_cannot_open(place.vmx, IREKO_ERROR_SYNTAX, "encrypted");
    write_beside(&place, "a.vmx", "hello\n");
    assert_cannot_open(place.vmx, IREKO_ERROR_SYNTAX, "not a .vmx");
    write_beside(&place, "a.vmx", OLD);
    g_assert_cmpint(link(place.vmx, other), ==, 0);
    assert_cannot_open(place.vmx, IREKO_ERROR_STATE, "has 2 names");
    remove_place(&place);
}

static void
test_an_edit_after_which_it_would_be_no_vmx_is_refused(void)
{
    Place place = make_place();
    write_beside(&place, "a.vmx", "memsize = \"4\"\n");
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmxFile) file = open_file(place.vmx);
    (void)ireko_vmx_unset(ireko_vmxfile_document(file), "memsize");
    g_assert_false(ireko_vmxfile_save(file, &error));
    g_assert_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX);
    assert_beside(&place, "a.vmx", "memsize = \"4\"\n");
    remove_place(&place);
}

static void
test_an_edit_waits_for_another_and_then_gives_up(void)
{
    Place place = make_place();
    write_beside(&place, "a.vmx", OLD);
    g_autoptr(IrekoVmxFile) file = open_file(place.vmx);
    assert_cannot_open(place.vmx, IREKO_ERROR_STATE, "another ireko");
    remove_place(&place);
}

/* Somebody without a lock; each way to write. */
static void
change_behind(const Place *place, bool in_place)
{
    g_autofree char *theirs = beside(place, "theirs");
    write_beside(place, "theirs", OLD "theirs = 1\n");
    if (!in_place) {
        g_assert_cmpint(rename(theirs, place->vmx), ==, 0);
        return;
    }
    int fd = open(place->vmx, O_WRONLY | O_APPEND);
    g_assert_cmpint(write(fd, "theirs = 1\n", 11), ==, 11);
    g_assert_cmpint(close(fd), ==, 0);
    g_assert_cmpint(unlink(theirs), ==, 0);
}

static void
test_what_somebody_else_wrote_stands(void)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        Place place = make_place();
        write_beside(&place, "a.vmx", OLD);
        g_autoptr(GError) error = NULL;
        g_autoptr(IrekoVmxFile) file = open_file(place.vmx);
        g_assert_true(ireko_vmx_set(ireko_vmxfile_document(file), "memsize", "8192", NULL));
        change_behind(&place, in_place == 1);
        g_assert_false(ireko_vmxfile_save(file, &error));
        g_assert_error(error, IREKO_ERROR, IREKO_ERROR_STATE);
        assert_beside(&place, "a.vmx", OLD "theirs = 1\n");
        g_autofree char *names = names_in(&place);
        g_assert_cmpstr(names, ==, "a.vmx");
        remove_place(&place);
    }
}

static void
test_undo_does_not_undo_what_somebody_else_wrote(void)
{
    for (int in_place = 0; in_place < 2; in_place++) {
        Place place = make_place();
        write_beside(&place, "a.vmx", OLD);
        edit(place.vmx, "memsize", "8192");
        change_behind(&place, in_place == 1);
        assert_cannot_undo(place.vmx, IREKO_ERROR_STATE, "compare it with 'a.vmx.undo'");
        edit(place.vmx, "memsize", "1");
        undo(place.vmx);
        assert_beside(&place, "a.vmx", in_place == 1 ? NEW "theirs = 1\n" : OLD "theirs = 1\n");
        remove_place(&place);
    }
}

int
main(int argc, char **argv)
{
    (void)umask(022);
    g_test_init(&argc, &argv, NULL);
#define ADD(name, func) g_test_add_func("/vmxfile/" name, func)
    ADD("an-edit-is-undone-and-done-again", test_an_edit_is_undone_and_done_again);
    ADD("one-file-is-saved-and-undone-many-times", test_one_file_is_saved_and_undone_many_times);
    ADD("what-did-not-change-is-not-written", test_what_did_not_change_is_not_written);
    ADD("mode-owner-and-attributes-stay", test_mode_owner_and_attributes_stay);
    ADD("a-list-that-the-folder-would-add-is-not-added",
        test_a_list_that_the_folder_would_add_is_not_added);
    ADD("a-symbolic-link-stays-one", test_a_symbolic_link_stays_one);
    ADD("a-machine-that-vmware-holds-is-refused", test_a_machine_that_vmware_holds_is_refused);
    ADD("what-is-not-to-be-edited-is-refused", test_what_is_not_to_be_edited_is_refused);
    ADD("an-edit-after-which-it-would-be-no-vmx-is-refused",
        test_an_edit_after_which_it_would_be_no_vmx_is_refused);
    ADD("an-edit-waits-for-another-and-then-gives-up",
        test_an_edit_waits_for_another_and_then_gives_up);
    ADD("what-somebody-else-wrote-stands", test_what_somebody_else_wrote_stands);
    ADD("undo-does-not-undo-what-somebody-else-wrote",
        test_undo_does_not_undo_what_somebody_else_wrote);
    ADD("a-stale-suspended-state-can-be-taken-away-and-nothing-else",
        test_a_stale_suspended_state_can_be_taken_away_and_nothing_else);
    ADD("a-value-set-back-has-its-bytes-back", test_a_value_set_back_has_its_bytes_back);
    ADD("what-somebody-else-wrote-is-not-taken-for-the-bytes-of-before",
        test_what_somebody_else_wrote_is_not_taken_for_the_bytes_of_before);
    return g_test_run();
}
