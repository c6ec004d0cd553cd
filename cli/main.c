/* cli/main.c - the command table. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <ireko/text.h>

#include "cli.h"

#define NEAR 3 /* letters wrong are another word */

const Command cli_commands[] = {
    {"check",
     "[--json] [--need hardware] [--here | --root DIR | --cpuid FILE | --record DIR | --explain "
     "CAUSE]",
     "will nesting work here, and if not, what is to be changed?",
     "From the CPU to a vCPU that ran, link by link, each with what was read; the first\n"
     "broken link is named, with the fix for this platform and what the fix needs. Works\n"
     "without root and without network; says what it could not read. Exit 0 for yes.\n"
     "While labs run, each of their layers, however deep, judges itself in the same report.\n"
     "\n"
     "  ireko check                           this machine, and every layer that runs in it\n"
     "  ireko check --here                    this machine alone\n"
     "  ireko check --need hardware           exit 1 where only software would do\n"
     "  ireko check --explain hidden-by-host  one cause, and its fix on every platform\n"
     "  ireko exec esxi01 -- ireko check      all that one layer says of itself\n",
     cmd_check},
    {"up", "LAB [--accel auto|kvm|tcg] [--fresh] [--dry-run] [--json]",
     "bring up a lab and prove what each layer sees",
     "LAB is a lab.yaml, or the folder that holds it. Each machine is started by the\n"
     "layer around it, asked from inside what it sees, and compared with what its\n"
     ".vmx promises. Run twice, it proves again; interrupted, it goes on where it was.\n"
     "\n"
     "  ireko up examples/workshop            three machines, one inside the other\n"
     "  ireko up examples/workshop --json     the same as ireko.nest/1\n"
     "  ireko up examples/workshop --dry-run  QEMU's options, and nothing started\n",
     cmd_up},
    {"ps", "[LAB] [--json]", "what runs, at every layer",
     "Without LAB: every lab on record. Each running machine is asked; nothing is\n"
     "started.\n"
     "\n"
     "  ireko ps\n"
     "  ireko ps workshop --json\n",
     cmd_ps},
    {"verify", "LAB [--json]", "prove a running lab again",
     "LAB is the name of a lab, or where its lab.yaml is. Exit 0 when every promise\n"
     "holds now.\n"
     "\n"
     "  ireko verify workshop\n",
     cmd_verify},
    {"down", "LAB [--dry-run]", "end a lab and remove exactly what was made for it",
     "Your own disks stay, and are written back first: a system of your own is asked\n"
     "to shut down. A lab of a single machine (ireko run) is called run-NAME.\n"
     "\n"
     "  ireko down workshop\n",
     cmd_down},
    {"snapshot", "LAB NAME | list [LAB] | remove LAB NAME  [--dry-run] [--json]",
     "freeze a whole lab as it is at one moment",
     "Every machine stands still until all of them do, so that what they hold fits\n"
     "together; then they go on. Memory, devices and the disks that ireko made are kept\n"
     "as NAME, as often as you like. What cannot be saved - a disk of your own, a device\n"
     "- is named before anything is stopped. down removes a lab's snapshots with it.\n"
     "\n"
     "  ireko snapshot workshop clean\n"
     "  ireko snapshot list\n"
     "  ireko snapshot remove workshop clean\n",
     cmd_snapshot},
    {"restore", "LAB NAME [--dry-run] [--json]", "bring a whole lab back as it was",
     "Checks the snapshot NAME, ends what runs of the lab, and has every machine go on\n"
     "as it was then, the same machines with the same addresses. Clocks are set and\n"
     "random numbers drawn anew at every layer; all is proven as by verify. The snapshot\n"
     "stays. One that is damaged is not used, and what runs runs on.\n"
     "\n"
     "  ireko restore workshop clean\n",
     cmd_restore},
    {"stop", "PATH [--dry-run]", "shut one machine down, at any depth",
     "The machines inside it end with it. It stays on record; start, or up, brings it\n"
     "back. A machine that does not shut down in its time is ended.\n"
     "\n"
     "  ireko stop esxi01/esxi02\n",
     cmd_stop},
    {"start", "PATH [--dry-run] [--json]", "start a machine that was stopped",
     "With the machines inside it, and those around it that do not run; proves them.\n"
     "\n"
     "  ireko start esxi01/esxi02\n",
     cmd_start},
    {"console", "PATH", "the serial console of a machine at any depth",
     "PATH names machines from the outside in. Ctrl-] leaves; the machine runs on.\n"
     "\n"
     "  ireko console esxi01/esxi02/linux\n",
     cmd_console},
    {"exec", "PATH -- COMMAND...", "run a command in a machine at any depth",
     "Standard streams are carried through, and the exit status is the command's own\n"
     "(128 + N where signal N ended it). The machine must run a built-in image\n"
     "(ireko.image). There is no shell between, unless you name one.\n"
     "\n"
     "  ireko exec esxi01 -- dmesg\n"
     "  ireko exec esxi01/esxi02/linux -- sh -c 'grep . /sys/block/*/queue/rotational'\n",
     cmd_exec},
    {"see",
     "PATH [--address GVA]... [--map | --cpu | --exits [--watch] | --find] [--no-pause] [--json]",
     "what each layer really sees: addresses, memory, CPU, exits",
     "Looks through a running nest from L0, without its guests taking part. By default the\n"
     "way of each vCPU's present RIP: through the machine's own page tables, then through\n"
     "the nested table of each hypervisor around it, to the byte in this host's memory.\n"
     "\n"
     "  ireko see esxi01/esxi02\n"
     "  ireko see esxi01/esxi02 --address 0xffffffff81000000 --json\n"
     "  ireko see esxi01 --exits --watch\n"
     "  ireko see saved.state --ram saved.ram\n",
     cmd_see},
    {"run", "FILE.vmx [--accel auto|kvm|tcg] [--detach] [--dry-run]",
     "run one machine, its serial console in this terminal",
     "The player: FILE.vmx names a built-in image (ireko.image) or your own disk or\n"
     "ISO. Ctrl-] ends the machine, as does its own power-off; with --detach it stays,\n"
     "as the lab run-NAME.\n"
     "\n"
     "  ireko run examples/workshop/linux.vmx\n",
     cmd_run},
    {"bench", "disk PATH [--disk scsi0:1] [--rounds N] [--dry-run] [--json]",
     "how fast is a machine's disk, as an SSD and as one that rotates?",
     "Measured inside the machine PATH, on a disk that ireko made; what is on it stays.\n"
     "Beside it the same requests to a file of this host, without a machine between.\n"
     "\n"
     "  ireko bench disk esxi-1\n"
     "  ireko bench disk esxi01/esxi02 --rounds 20 --json\n",
     cmd_bench},
    {"vmx", "show|get|set|unset|lint|explain|undo|nest|ssd ...",
     "read, explain, check and edit .vmx files",
     "An edit changes the bytes of its own line and nothing else; the file is at any\n"
     "moment the old or the new one, and undo takes the last edit back. - as FILE reads\n"
     "standard input; then the edited text goes to standard output.\n"
     "\n"
     "  ireko vmx nest esxi01.vmx --dry-run\n"
     "  ireko vmx set esxi01.vmx vhv.enable=TRUE\n"
     "  ireko vmx lint examples/workshop\n",
     cmd_vmx},
    {"image", "build [--fresh] [--dry-run] | list [--json]", "the built-in guest images",
     "Made from Debian packages, without root, under a hash of their inputs: a second\n"
     "build takes milliseconds. --fresh takes newer packages where the archive has\n"
     "them. `up` and `run` build what they need by themselves.\n"
     "\n"
     "  ireko image build\n"
     "  ireko image list\n",
     cmd_image},
    {"template", "list [--json] | remove KEY... | warm LAB [--count N] | cool LAB...",
     "hosts kept as they ran, that up begins with",
     "Once up has proven a host, it keeps it frozen, its guests running inside, under a\n"
     "hash of everything that shaped it: the next up of the same definition, and every\n"
     "further host of a count, is a clone of it. All together take at most what\n"
     "IREKO_TEMPLATES_SIZE says (16G; 0 keeps none); those used longest ago go first. One\n"
     "in use stays. KEY may be cut short.\n"
     "\n"
     "warm makes clones beforehand, which stand still until the next up of LAB takes\n"
     "them: it then has them ready within a blink. They are of no lab: down leaves them,\n"
     "cool ends them.\n"
     "\n"
     "  ireko template list\n"
     "  ireko template remove --all\n"
     "  ireko template warm examples/workshop --count 3\n"
     "  ireko template cool --all\n",
     cmd_template},
    {"agent", NULL, NULL, NULL, cmd_agent},             /* hidden: what runs inside a machine */
    {"switch", NULL, NULL, NULL, cmd_switch},           /* ... and what a lab's network is */
    {"exits", NULL, NULL, NULL, cmd_exits},             /* ... and what `see --exits` runs there */
    {"bench-round", NULL, NULL, NULL, cmd_bench_round}, /* ... and what `bench` runs there */
    {NULL, NULL, NULL, NULL, NULL},
};

static const Command *
find_command(const char *name)
{
    for (const Command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

char *
cli_no_verb(const Command *commands, const char *group, const char *verb)
{
    const char *meant = NULL;
    unsigned nearest = NEAR;
    bool typed = strlen(verb) <= IREKO_TEXT_NEAR_MAX;
    for (const Command *command = commands; typed && command->name != NULL; command++) {
        const char *name = command->name + strlen(group);
        unsigned d = ireko_text_distance(verb, name, nearest);
        if (command->help != NULL && d < nearest) {
            nearest = d;
            meant = name;
        }
    }
    return meant != NULL
               ? g_strdup_printf("there is no verb '%s': did you mean '%s'?", verb, meant)
               : g_strdup_printf("there is no verb '%s': 'ireko %s--help' lists them", verb, group);
}

int
main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setlocale(LC_CTYPE, "");
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--version") == 0) {
        (void)puts("ireko " IREKO_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0 || strcmp(verb, "help") == 0) {
        cli_print_help();
        return EXIT_DONE;
    }
    const Command *command = find_command(verb);
    if (command == NULL) {
        g_autofree char *fault = cli_no_verb(cli_commands, "", verb);
        if (*verb != '\0')
            g_printerr("ireko: %s\n", fault);
        else
            cli_print_help();
        return EXIT_USAGE;
    }
    g_autoptr(GError) error = NULL;
    int status = command->run(argc - 1, argv + 1, &error);
    if (error != NULL)
        g_printerr("ireko %s: %s\n", command->name, error->message);
    return status;
}
