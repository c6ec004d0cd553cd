/* cli/cmd-vmx.c - ireko vmx: the table of its sub-verbs, and reading a file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ireko/text.h>

#include "vmx.h"

#define PIECE_BYTES ((size_t)64 << 10)

const Command vmx_commands[] = {
    {"vmx show", "FILE [--explain] [--as qemu|libvirt|virtualbox] [--json]",
     "what a machine has, key by key, and what becomes of it on QEMU",
     "Passwords are not shown; `get` prints them.\n"
     "\n"
     "  ireko vmx show esxi01.vmx\n"
     "  ireko vmx show esxi01.vmx --explain\n"
     "  ireko vmx show esxi01.vmx --as libvirt > esxi01.xml\n",
     vmx_show},
    {"vmx get", "FILE KEY... [--json]", "the values of keys, a line each",
     "A key is found whatever its case. Exit 1 where one is not in the file.\n"
     "\n"
     "  ireko vmx get esxi01.vmx vhv.enable\n",
     vmx_get},
    {"vmx set", "FILE... KEY=VALUE... [--dry-run] [--force]", "give keys values",
     "A key that is there keeps its line, its case and its quotes; a new one goes\n"
     "beside its siblings. A key that looks like a typing error, a value that cannot be\n"
     "meant and what lint would call an error are refused. Where a name of a file has a\n"
     "=, write ./ before it.\n"
     "\n"
     "  ireko vmx set esxi01.vmx vhv.enable=TRUE memsize=8192\n"
     "  ireko vmx set lab/*.vmx vhv.enable=TRUE --dry-run\n",
     vmx_set},
    {"vmx unset", "FILE... KEY... [--dry-run]", "remove keys with their lines",
     "The first word is a file, and so is each more that ends in .vmx or has a /.\n"
     "\n"
     "  ireko vmx unset esxi01.vmx monitor.virtual_mmu\n",
     vmx_unset},
    {"vmx lint", "FILE...|LAB [--fix [--dry-run]] [--json]", "what is wrong, and why",
     "A lab (a folder or its lab.yaml) is looked at machine by machine and as a whole.\n"
     "Exit 1 where there is an error; warnings alone are exit 0. --fix mends what has\n"
     "one right answer.\n"
     "\n"
     "  ireko vmx lint esxi01.vmx\n"
     "  ireko vmx lint examples/workshop\n"
     "  ireko vmx lint --fix --dry-run lab/*.vmx\n",
     vmx_lint},
    {"vmx explain", "[KEY...] [--json]", "what keys mean; without one, which there are",
     "From the key book: meaning, values, default, hardware version, products, what the\n"
     "key does to a nest, how QEMU carries it, and who says so.\n"
     "\n"
     "  ireko vmx explain vhv.enable scsi0:1.virtualSSD\n",
     vmx_explain},
    {"vmx undo", "FILE... [--dry-run]", "take the last edit back",
     "One edit is kept. A second undo takes the first back.\n"
     "\n"
     "  ireko vmx undo esxi01.vmx\n",
     vmx_undo},
    {"vmx nest", "FILE... [--dry-run] [--json]", "make a machine fit to run a hypervisor",
     "Goes by guestOS: ESXi by version, Hyper-V, KVM and Xen. Prints what it looks at,\n"
     "each with its reason; what is right already stays as it is.\n"
     "\n"
     "  ireko vmx nest esxi01.vmx --dry-run\n"
     "  ireko vmx nest esxi01.vmx\n",
     vmx_nest},
    {"vmx ssd", "FILE DISK... [--off] [--dry-run] [--json]", "make disks say that they are SSDs",
     "DISK is a name such as scsi0:1.\n"
     "\n"
     "  ireko vmx ssd esxi01.vmx scsi0:1\n"
     "  ireko vmx ssd esxi01.vmx scsi0:1 --off\n",
     vmx_ssd},
    {NULL, NULL, NULL, NULL, NULL},
};

static void
print_help(void)
{
    (void)puts("usage: ireko vmx VERB ...\n"
               "\n"
               "Reads, explains, checks and edits VMware .vmx files. An edit changes the bytes of\n"
               "its own line and nothing else; at any moment the file is the old or the new one.\n"
               "A FILE of - is standard input; its edited text goes to standard output.\n");
    for (const Command *command = vmx_commands; command->name != NULL; command++)
        (void)printf("  %-12s %s\n", command->name, command->summary);
    (void)puts("\n"
               "  ireko vmx VERB --help  more of one of them, with examples\n"
               "\n"
               "Begin with: ireko vmx show examples/workshop/esxi01.vmx");
}

const char *
vmx_name(const char *file)
{
    return strcmp(file, "-") == 0 ? "standard input" : file;
}

char *
vmx_line(const char *text)
{
    return g_strdelimit(ireko_text_safe(text, (size_t)-1), "\n\t", ' ');
}

/* Standard input in a file without a name, as far as a .vmx can be long; -1 with an error. */
static int
spool(GError **error)
{
    int fd = memfd_create("vmx", MFD_CLOEXEC);
    g_autofree char *piece = g_malloc(PIECE_BYTES);
    size_t total = 0;
    ssize_t n = 0;
    while (fd >= 0 && total <= IREKO_VMX_BYTES_MAX) {
        n = read(STDIN_FILENO, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if ((n = write(fd, piece, (size_t)n)) < 0)
            break;
        total += (size_t)n;
    }
    if (fd >= 0 && n >= 0)
        return fd;
    ireko_error_from_errno(error, errno, "cannot read standard input");
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

IrekoVmx *
vmx_read(const char *file, GError **error)
{
    if (strcmp(file, "-") != 0)
        return ireko_vmx_load(file, error);
    int fd = spool(error);
    if (fd < 0)
        return NULL;
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) why = NULL;
    IrekoVmx *doc = ireko_vmx_load(path, &why);
    (void)close(fd);
    if (doc == NULL) {
        g_autoptr(GString) text = g_string_new(why->message);
        (void)g_string_replace(text, path, vmx_name(file), 0);
        g_set_error_literal(error, why->domain, why->code, text->str);
    }
    return doc;
}

int
cmd_vmx(int argc, char **argv, GError **error)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 || strcmp(verb, "help") == 0 ||
        *verb == '\0') {
        print_help();
        return *verb == '\0' ? EXIT_USAGE : EXIT_DONE;
    }
    for (const Command *command = vmx_commands; command->name != NULL; command++) {
        if (strcmp(command->name + strlen("vmx "), verb) != 0)
            continue;
        g_autofree char *name = g_strdup(command->name);
        argv[1] = name; /* the name that options and help go by */
        return command->run(argc - 1, argv + 1, error);
    }
    g_autofree char *fault = cli_no_verb(vmx_commands, "vmx ", verb);
    g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, fault);
    return EXIT_USAGE;
}
