/* convert/convert.c - one .vmx, one target: the machine is read, the target writes it, and every
 * line of the .vmx gets a word. */
#include <string.h>

#include <ireko/convert.h>

#include "base/text.h"
#include "convert/parts.h"

static const char *const target_names[] = {
    [IREKO_AS_QEMU] = "qemu",
    [IREKO_AS_LIBVIRT] = "libvirt",
    [IREKO_AS_VIRTUALBOX] = "virtualbox",
};

bool
ireko_target_from_name(const char *name, IrekoTarget *ret_target)
{
    for (size_t i = 0; i < G_N_ELEMENTS(target_names); i++) {
        if (strcmp(name, target_names[i]) != 0)
            continue;
        *ret_target = (IrekoTarget)i;
        return true;
    }
    return false;
}

/* ---- the account ---- */

static void
row_free(void *data)
{
    IrekoConverted *row = data;
    g_free(row->key);
    g_free(row->value);
    g_free(row->how);
    g_free(row);
}

static void
account_clear(Account *account)
{
    g_ptr_array_unref(account->rows);
    g_hash_table_unref(account->first);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Account, account_clear)

/* A row for each entry, without a word yet. The machine's notes are in the same order. */
static void
account_init(Account *account, const IrekoVmx *doc, const IrekoMachine *machine)
{
    account->doc = doc;
    account->machine = machine;
    account->rows = g_ptr_array_new_with_free_func(row_free);
    account->first = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (size_t i = 0; i < machine->notes->len; i++) {
        const IrekoKeyNote *note = g_ptr_array_index(machine->notes, i);
        IrekoConverted *row = g_new0(IrekoConverted, 1);
        row->key = g_strdup(note->key);
        row->line = note->line;
        row->value = ireko_vmx_entry_value(doc, i);
        g_ptr_array_add(account->rows, row);
        if (note->status != IREKO_KEY_MALFORMED && note->status != IREKO_KEY_DUPLICATE)
            g_hash_table_insert(account->first, g_ascii_strdown(row->key, -1), row);
    }
}

static IrekoConverted *
find_row(const Account *account, const char *device, const char *attr)
{
    g_autofree char *key = device != NULL ? g_strconcat(device, ".", attr, NULL) : g_strdup(attr);
    g_autofree char *lower = g_ascii_strdown(key, -1);
    return g_hash_table_lookup(account->first, lower);
}

void
ireko_account_say(Account *account,
                  const char *device,
                  const char *attr,
                  Outcome outcome,
                  const char *format,
                  ...)
{
    static const char *const outcomes[] = {
        [CARRIED] = "carried",
        [APPROXIMATED] = "approximated",
        [DROPPED] = "dropped",
    };
    IrekoConverted *row = find_row(account, device, attr);
    if (row == NULL)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_free(row->how);
    row->how = g_strdelimit(ireko_text_safe(text, (size_t)-1), "\n\t", ' ');
    row->outcome = outcomes[outcome];
}

void
ireko_account_say_each(
    Account *account, const char *device, const char *attrs, Outcome outcome, const char *how)
{
    g_auto(GStrv) each = g_strsplit(attrs, " ", -1);
    for (char **attr = each; *attr != NULL; attr++)
        ireko_account_say(account, device, *attr, outcome, "%s", how);
}

const char *
ireko_account_get(const Account *account, const char *device, const char *attr)
{
    const IrekoConverted *row = find_row(account, device, attr);
    return row != NULL ? row->value : NULL;
}

bool
ireko_account_flag(const Account *account, const char *device, const char *attr, bool fallback)
{
    const char *value = ireko_account_get(account, device, attr);
    if (value != NULL)
        (void)ireko_text_parse_bool(value, &fallback);
    return fallback;
}

/* ---- files ---- */

char *
ireko_account_path(const Account *account, const char *file)
{
    g_autofree char *folder = g_path_get_dirname(account->machine->file);
    return g_path_is_absolute(file) ? g_strdup(file) : g_build_filename(folder, file, NULL);
}

const char *
ireko_account_format(const char *file)
{
    /* "-flat.vmdk" is the data of an ESXi disk; its descriptor is the .vmdk beside it */
    static const struct {
        const char *ending, *format;
    } rows[] = {
        {"-flat.vmdk", "raw"}, {".vmdk", "vmdk"}, {".qcow2", "qcow2"},
        {".vhdx", "vhdx"},     {".vhd", "vpc"},   {".vdi", "vdi"},
    };
    g_autofree char *lower = g_ascii_strdown(file, -1);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (g_str_has_suffix(lower, rows[i].ending))
            return rows[i].format;
    }
    return "raw";
}

/* ---- the whole ---- */

char *
ireko_convert(
    const IrekoVmx *doc, const char *file, IrekoTarget target, GPtrArray **ret_rows, GError **error)
{
    g_autoptr(IrekoMachine) machine = ireko_machine_from_vmx(doc, file, error);
    if (machine == NULL)
        return NULL;
    g_auto(Account) account = {0};
    account_init(&account, doc, machine);
    g_autofree char *text = NULL;
    switch (target) {
    case IREKO_AS_LIBVIRT:
        text = ireko_convert_to_libvirt(&account);
        break;
    case IREKO_AS_QEMU:
        text = ireko_convert_to_qemu(&account, error);
        break;
    case IREKO_AS_VIRTUALBOX:
        text = ireko_convert_to_virtualbox(&account);
        break;
    }
    if (text == NULL)
        return NULL;
    ireko_account_settle(&account);
    if (ret_rows != NULL)
        *ret_rows = g_ptr_array_ref(account.rows);
    return g_steal_pointer(&text);
}
