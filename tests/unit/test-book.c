/* book: what is known of a key, how it is spelt, what was meant, what may stand. */
#include <glib.h>
#include <string.h>

#include <ireko/book.h>
#include <ireko/vmx.h>

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
        {"a digit of the name itself", "ICH7M.present", "ich7m.present", {0}},
        {"a beginning where another digit was", "mks.enable4d", "mks.*", {0}},
        {"a beginning", "guestinfo.hostname", "guestinfo.*", {0}},
        {"the longest beginning", "RemoteDisplay.vnc.key", "RemoteDisplay.vnc.*", {0}},
        {"a whole key before any beginning", "vmx.allowNested", "vmx.allowNested", {0}},
        {"a beginning with a number", "ethernet1.dvs.portId", "ethernet%u.dvs.*", {1}},
        {"a beginning alone is no key", "guestinfo.", NULL, {0}},
        {"a number is not left out", "ethernet.present", NULL, {0}},
        {"no other digit of the name", "ich8m.present", NULL, {0}},
        {"nothing", "", NULL, {0}},
        {"% is no number", "ethernet%.present", NULL, {0}},
        {"nought is a number", "nvme0:0.mode", "nvme%u:%u.mode", {0, 0}},
        {"a nought before a number is another name", "nvme0:00.mode", NULL, {0}},
        {"and before a name with a star", "ethernet01.dvs.portId", NULL, {0}},
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
        {"scsi00:01.virtualSSD", "scsi0:1.virtualSSD"},
        {"something.else", NULL},
        {"x", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s", rows[i].key);
        g_autofree char *meant = ireko_book_suggest(rows[i].key);
        g_assert_cmpstr(meant, ==, rows[i].want);
    }
}

/* What a value can be, and the words of the refusal. */
static void
test_values_are_checked_against_the_book(void)
{
    static const struct {
        const char *key, *value, *error; /* NULL: fine */
    } rows[] = {
        {"vhv.enable", "TRUE", NULL},
        {"VHV.ENABLE", "false", NULL},
        {"scsi0:1.virtualSSD", "1", NULL},
        {"vhv.enable", "on", "vhv.enable = 'on': must be TRUE or FALSE"},
        {"vhv.enable", "", "vhv.enable = '': must be TRUE or FALSE"},
        {"memsize", "4096", NULL},
        {"memsize", "255", "memsize = '255': must be a multiple of 4 from 4 to 25165824"},
        {"memsize", "2", "memsize = '2': must be a multiple of 4"},
        {"memsize", "4 GB", "memsize = '4 GB': must be a multiple of 4"},
        {"numvcpus", "0", "numvcpus = '0': must be a number from 1 to 768"},
        {"numvcpus", "99999999999999999999", "numvcpus = '99999999999999999999': must be"},
        {"sched.mem.max", "unlimited", NULL},
        {"sched.mem.max", "-1", NULL},
        {"sched.mem.max", "-2", "sched.mem.max = '-2': must be a number, -1 or more, or unlimited"},
        {"sched.mem.shares", "NORMAL", NULL},
        {"vm.genid", "-1956126922046584683", NULL},
        {"firmware", "EFI", NULL},
        {"firmware", "uefi", "firmware = 'uefi': must be one of bios, efi"},
        {"ethernet0.address", "00:50:56:00:00:01", NULL},
        {"ethernet0.address", "00:50:56:00:00",
         "ethernet0.address = '00:50:56:00:00': must be the"},
        {"ethernet0.address", "00:50:56:00:00:0g", "ethernet0.address = '00:50:56:00:00:0g': must"},
        {"uuid.bios", "56 4d 01 02 03 04 05 06-07 08 09 0a 0b 0c 0d 0e", NULL},
        {"uuid.bios", "564d0102-0304-0506-0708-090a0b0c0d0e", NULL},
        {"vc.uuid", "", NULL},
        {"uuid.bios", "56 4d", "uuid.bios = '56 4d': must be 32 hexadecimal digits"},
        {"uuid.bios", "x", "uuid.bios = 'x': must be 32 hexadecimal digits"},
        {"displayName", "any text at all", NULL},
        {"guestinfo.x", "", NULL},
        {"vhu.enable", "TRUE", "'vhu.enable' is not in the key book: did you mean 'vhv.enable'?"},
        {"no.such.key", "TRUE", "'no.such.key' is not in the key book"},
        {"hypervisor.cpuid.0", "FALSE",
         "'hypervisor.cpuid.0': no VMware product reads it; did you mean 'hypervisor.cpuid.v0'?"},
        {"vhv.allow", "TRUE",
         "'vhv.allow': it belongs in a host's /etc/vmware/config; in a .vmx it is vhv.enable; did "
         "you mean 'vhv.enable'?"},
        {"ethernet3.promiscuousMode", "accept",
         "'ethernet3.promiscuousMode': no VMware product reads it: promiscuous mode is a setting "
         "of the port group"},
        {"nestedHVEnabled", "TRUE", "'nestedHVEnabled': it is the name in vSphere's API"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("%s = %s", rows[i].key, rows[i].value);
        g_autoptr(GError) error = NULL;
        bool ok = ireko_book_check(rows[i].key, rows[i].value, &error);
        g_assert_true(ok == (rows[i].error == NULL) && ok == (error == NULL));
        if (!ok && !g_str_has_prefix(error->message, rows[i].error))
            g_error("want '%s', got '%s'", rows[i].error, error->message);
    }
}

static void
test_every_entry_says_what_and_who_says_so(void)
{
    size_t count = 0;
    const IrekoKey *keys = ireko_book_keys(&count);
    g_assert_cmpuint(count, >, 400);
    for (size_t i = 0; i < count; i++) {
        const IrekoKey *key = &keys[i];
        g_test_message("%s", key->pattern);
        g_assert_true(key->what != NULL && *key->what != '\0');
        g_assert_true(key->source != NULL && *key->source != '\0');
        g_assert_true(key->products != NULL && *key->products != '\0');
        g_assert_true((key->qemu != NULL) == (key->carry != IREKO_BOOKKEEPING));
        g_assert_true((key->type == IREKO_TYPE_WORD) <= (key->values != NULL));
        g_assert_cmpint(key->least, <=, key->most);
        if (key->instead != NULL)
            g_assert_true(key->invented && ireko_book_find(key->instead) != NULL);
        const char *star = strchr(key->pattern, '*');
        g_assert_true(star == NULL || (star[1] == '\0' && star[-1] == '.'));
    }
}

static void
test_a_default_and_each_word_may_stand(void)
{
    size_t count = 0;
    const IrekoKey *keys = ireko_book_keys(&count);
    for (size_t i = 0; i < count; i++) {
        g_autofree char *pattern = g_strdup(keys[i].pattern);
        for (char *at = pattern; (at = strstr(at, "%u")) != NULL;)
            memcpy(at, "10", 2);
        if (keys[i].invented || strchr(pattern, '*') != NULL)
            continue;
        g_test_message("%s", pattern);
        g_assert_true(ireko_book_find(pattern) == &keys[i]);
        g_autoptr(GError) error = NULL;
        if (keys[i].fallback != NULL && !ireko_book_check(pattern, keys[i].fallback, &error))
            g_error("the default: %s", error->message);
        for (size_t k = 0; keys[i].values != NULL && keys[i].values[k] != NULL; k++)
            g_assert_true(ireko_book_check(pattern, keys[i].values[k], NULL));
    }
}

/* GLib reads the same groups in the book as we do. */
static void
test_the_book_is_a_key_file(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    (void)g_key_file_load_from_file(file, IREKO_BOOK, G_KEY_FILE_NONE, &error);
    g_assert_no_error(error);
    size_t groups = 0, count = 0, wanted = 0;
    g_auto(GStrv) names = g_key_file_get_groups(file, &groups);
    const IrekoKey *keys = ireko_book_keys(&count);
    for (size_t i = 0; i < groups; i++) {
        g_autofree char *what = g_key_file_get_string(file, names[i], "what", &error);
        g_assert_no_error(error);
        g_assert_cmpstr(what, ==, keys[wanted].what);
        const char *open = strchr(names[i], '{');
        for (; open != NULL && *open != '}'; open++)
            wanted += *open == ',';
        wanted++;
    }
    g_assert_cmpuint(wanted, ==, count);
}

static void
check_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(IrekoVmx) doc = ireko_vmx_load(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(ireko_vmx_count(doc), >, 90);
    for (size_t i = 0; i < ireko_vmx_count(doc); i++) {
        IrekoVmxEntry entry = ireko_vmx_entry(doc, i);
        g_autofree char *key = g_strndup(entry.name, entry.name_len);
        g_autofree char *value = ireko_vmx_entry_value(doc, i);
        if (!ireko_book_check(key, value, &error))
            g_error("%s:%u: %s", path, entry.line, error->message);
    }
}

static void
test_what_products_write_is_in_the_book(void)
{
    unsigned seen = 0;
    g_autoptr(GDir) dir = g_dir_open(IREKO_CORPUS, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)) != NULL; seen++) {
        g_autofree char *path = g_build_filename(IREKO_CORPUS, name, NULL);
        check_file(path);
    }
    g_assert_cmpuint(seen, >=, 5);
}

/* The keys that matter to nested labs, as the research for this book lists them. */
static void
test_the_keys_of_nested_labs_are_in_the_book(void)
{
    static const char *const names[] = {
        "vhv.enable",
        "vhv.allow",
        "vhv.allowPassthru",
        "vhv.allowNestedPageTables",
        "hypervisor.cpuid.v0",
        "featMask.vm.hv.capable",
        "featMask.vm.cpuid.VMX",
        "featureCompat.vm.completeMasks",
        "monitor.virtual_exec",
        "monitor.virtual_mmu",
        "vmx.allowNested",
        "monitor_control.vt32",
        "cpuid.1.ecx",
        "cpuid.80000001.ecx.amd",
        "vvtd.enable",
        "vbs.enable",
        "windows.vbs.enabled",
        "vpmc.enable",
        "vpmc.freezeMode",
        "scsi0:1.virtualSSD",
        "sata0:0.virtualSSD",
        "nvme0:0.virtualSSD",
        "sched.mem.max",
        "sched.mem.minsize",
        "sched.mem.min",
        "sched.mem.shares",
        "sched.mem.maxmemctl",
        "sched.mem.pshare.enable",
        "sched.mem.pshare.salt",
        "MemTrimRate",
        "mainMem.useNamedFile",
        "mainmem.backing",
        "prefvmx.useRecommendedLockedMemSize",
        "prefvmx.minVmMemPct",
        "MemAllowAutoScaleDown",
        "guestOS",
        "virtualHW.version",
        "numvcpus",
        "cpuid.coresPerSocket",
        "memSize",
        "ethernet0.virtualDev",
        "ethernet0.addressType",
        "ethernet0.address",
        "ethernet0.generatedAddress",
        "ethernet0.checkMACAddress",
        "ethernet0.filter4.name",
        "ethernet0.filter4.onFailure",
        "ethernet0.noPromisc",
        "ethernet0.promiscuousMode",
        "disk.EnableUUID",
        "SMBIOS.reflectHost",
        "firmware",
        "uefi.secureBoot.enabled",
        "tools.syncTime",
        "tools.upgrade.policy",
        "tools.remindInstall",
        "toolScripts.afterPowerOn",
        "guestinfo.hostname",
        "isolation.tools.hgfs.disable",
        "isolation.tools.copy.disable",
        "mce.enable",
        "vcpu.hotadd",
        "ulm.disableMitigations",
        "pciBridge4.virtualDev",
        "monitor_control.disable_apichv",
        "cpuid.brandstring",
        "nestedHVEnabled",
        "vPMCEnabled",
        "flags.vvtdEnabled",
        "flags.vbsEnabled",
        ".encoding",
        "config.version",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_test_message("%s", names[i]);
        g_assert_nonnull(ireko_book_find(names[i]));
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
    g_test_add_func("/book/values are checked against the book",
                    test_values_are_checked_against_the_book);
    g_test_add_func("/book/every entry says what, and who says so",
                    test_every_entry_says_what_and_who_says_so);
    g_test_add_func("/book/a default and each word may stand",
                    test_a_default_and_each_word_may_stand);
    g_test_add_func("/book/the book is a key file", test_the_book_is_a_key_file);
    g_test_add_func("/book/what products write is in the book",
                    test_what_products_write_is_in_the_book);
    g_test_add_func("/book/the keys of nested labs are in the book",
                    test_the_keys_of_nested_labs_are_in_the_book);
    return g_test_run();
}
