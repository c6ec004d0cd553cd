/* book: what is known of a key, how it is spelt, what was meant, what may stand. */
#include <glib.h>
#include <string.h>

#include <ireko/book.h>

static void
test_a_key_finds_the_entry_that_fits_it_best(void)
{
    static const struct {
        const char *label, *key, *pattern;
        unsigned numbers[IREKO_KEY_NUMBERS_MAX];
    } rows[] = {
        {"as it is written", "vhv.enable", "vhv.enable", {0}},
        {"case does not matter", "VHV.Enable", "vhv.enable", {0}},
        {"one number", "ethernet7.virtualDev", "ethernet%u.virtualDev", {7}},
        {"two numbers", "SCSI1:12.virtualssd", "scsi%u:%u.virtualSSD", {1, 12}},
        {"each bus of a list", "nvme3:4.filename", "nvme%u:%u.fileName", {3, 4}},
        {"a number that does not fit", "sata4294967296.present", "sata%u.present", {G_MAXUINT}},
        {"a digit of the name itself", "mks.enable3D", "mks.enable3d", {0}},
        {"a beginning", "guestinfo.hostname", "guestinfo.*", {0}},
        {"the longest beginning", "RemoteDisplay.vnc.key", "RemoteDisplay.vnc.*", {0}},
        {"a whole key before any beginning", "vmx.allowNested", "vmx.allowNested", {0}},
        {"a beginning with a number", "ethernet1.dvs.portId", "ethernet%u.dvs.*", {1}},
        {"a beginning alone is no key", "guestinfo.", NULL, {0}},
        {"a number is not left out", "ethernet.present", NULL, {0}},
        {"no other digit of the name", "mks.enable4d", NULL, {0}},
        {"nothing", "", NULL, {0}},
        {"% is no number", "ethernet%.present", NULL, {0}},
        {"a longer key is another", "vhv.enabled", NULL, {0}},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].label);
        unsigned numbers[IREKO_KEY_NUMBERS_MAX] = {0};
        const IrekoKey *entry = ireko_book_match(rows[i].key, numbers);
        g_assert_cmpstr(entry != NULL ? entry->pattern : NULL, ==, rows[i].pattern);
        if (entry != NULL)
            g_assert_cmpmem(numbers, sizeof numbers, rows[i].numbers, sizeof numbers);
        g_assert_true(entry == ireko_book_find(rows[i].key));
    }
}

static void
test_a_long_key_is_found_by_its_beginning(void)
{
    g_autofree char *rest = g_strnfill(1 << 20, '.');
    g_autofree char *key = g_strconcat("guestinfo.", rest, NULL);
    g_autofree char *other = g_strconcat("guestinfi.", rest, NULL);
    g_assert_cmpstr(ireko_book_find(key)->pattern, ==, "guestinfo.*");
    g_assert_null(ireko_book_find(other));
    g_assert_null(ireko_book_suggest(other));
}

static void
test_keys_are_spelt_as_the_book_has_them(void)
{
    static const struct {
        const char *key, *want;
    } rows[] = {
        {"SCSI0:1.virtualssd", "scsi0:1.virtualSSD"},
        {"MEMSIZE", "memsize"},
        {"GuestInfo.Name", "GuestInfo.Name"},
        {"no.such.Key", "no.such.Key"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *spelt = ireko_book_spell(rows[i].key);
        g_assert_cmpstr(spelt, ==, rows[i].want);
    }
}

static void
test_a_typing_error_is_told(void)
{
    static const struct {
        const char *key, *want;
    } rows[] = {
        {"vhu.enable", "vhv.enable"},
        {"vvh.enable", "vhv.enable"},
        {"scsi0:1.virtualSDD", "scsi0:1.virtualSSD"},
        {"memsiz", "memsize"},
        {"ehternet0.present", "ethernet0.present"},
        {"something.else", NULL},
        {"x", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].key);
        g_autofree char *meant = ireko_book_suggest(rows[i].key);
        g_assert_cmpstr(meant, ==, rows[i].want);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/book/a key finds the entry that fits it best",
                    test_a_key_finds_the_entry_that_fits_it_best);
    g_test_add_func("/book/a long key is found by its beginning",
                    test_a_long_key_is_found_by_its_beginning);
    g_test_add_func("/book/keys are spelt as the book has them",
                    test_keys_are_spelt_as_the_book_has_them);
    g_test_add_func("/book/a typing error is told", test_a_typing_error_is_told);
    return g_test_run();
}
