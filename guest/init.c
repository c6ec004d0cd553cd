/* guest/init.c - process 1 of the built-in images.
 *
 * It runs twice. From the initrd (read-write, in memory) it loads the drivers that this machine's
 * devices ask for, finds the root disk by the UUID in the kernel parameter ireko.root (so it does
 * not matter which bus the disk is on), mounts it read-only and moves into it. From there it loads
 * what is left, keeps `ireko agent` alive, offers a shell on the serial console to whoever presses
 * Enter, and turns the power button into an orderly end.
 *
 * It is one small static program without scripts or helpers because each exec, each fork and each
 * page counts three hypervisors deep. A driver list (made with the image, see lib/image/modules.c)
 * has lines "WHAT,WHAT... FILE...": the files, in that order, are modules to load (parameters
 * behind a colon) where a WHAT is "-" or a pattern that matches the modalias of a PCI device or a
 * name of the CPU ("cpu:svm").
 *
 * Trusted: the kernel, the image. Nothing here reads what comes from outside but the console. */
#include <cpuid.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/hpet.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DEVICES_MAX      256   /* PCI devices whose drivers are looked for */
#define MODALIAS_MAX     160   /* bytes; the kernel's are shorter */
#define LIST_MAX         65536 /* bytes of a driver list */
#define INPUTS_MAX       8     /* /dev/input/eventN looked at for a power button */
#define ROOT_WAIT_MS     60000 /* a disk that is not there by then will not come */
#define ROOT_POLL_US     1000
#define RESPAWN_DELAY_MS 1000
#define STOP_WAIT_MS     500 /* for processes to end after SIGTERM */
#define KHUGEPAGED       "/sys/kernel/mm/transparent_hugepage/khugepaged/"

#define EROFS_SUPERBLOCK_AT 1024
#define EROFS_MAGIC         0xe0f5e1e2u
#define EROFS_UUID_AT       48

typedef struct {
    char names[DEVICES_MAX][MODALIAS_MAX];
    size_t count;
} Devices;

static void
say(const char *what, const char *name)
{
    dprintf(STDERR_FILENO, "init: %s '%s': %s\n", what, name, strerror(errno));
}

static void
pause_us(long us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)nanosleep(&t, NULL);
}

/* Without a root there is nothing to go on with; panic=-1 ends the machine. */
static void
give_up(const char *what, const char *name)
{
    say(what, name);
    pause_us(100000); /* lets the console drain */
    exit(1);
}

static void
mount_at(const char *type, const char *where, unsigned long flags, const char *options)
{
    (void)mkdir(where, 0755);
    if (mount(type, where, type, flags, options) != 0)
        say("cannot mount", where);
}

/* At most ROOM - 1 bytes of PATH with a NUL behind them; their count, or -1. */
static ssize_t
read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;

    size_t len = 0;
    ssize_t n = 0;
    while (len + 1 < room && (n = read(fd, text + len, room - 1 - len)) > 0)
        len += (size_t)n;
    (void)close(fd);
    text[len] = '\0';
    return n < 0 ? -1 : (ssize_t)len;
}

static void
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        say("cannot write", path);
    if (fd >= 0)
        (void)close(fd);
}

/* The value of kernel parameter NAME ("ireko.root="), or "". */
static const char *
parameter(const char *name)
{
    static char line[4096];
    static char value[256];
    value[0] = '\0';
    if (read_text("/proc/cmdline", line, sizeof line) < 0)
        return value;

    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        if (strncmp(word, name, strlen(name)) == 0)
            (void)snprintf(value, sizeof value, "%s", word + strlen(name));
    }
    return value;
}

static void
add_device(Devices *devices, const char *name)
{
    if (devices->count == DEVICES_MAX)
        return;
    char *at = devices->names[devices->count++];
    (void)snprintf(at, MODALIAS_MAX, "%s", name);
    at[strcspn(at, "\n")] = '\0';
}

static void
add_bus(Devices *devices, const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512], name[MODALIAS_MAX];
        (void)snprintf(path, sizeof path, "%s/%s/modalias", folder, entry->d_name);
        if (entry->d_name[0] != '.' && read_text(path, name, sizeof name) > 0)
            add_device(devices, name);
    }
    (void)closedir(dir);
}

static void
add_cpu(Devices *devices)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & (1u << 2)) != 0)
        add_device(devices, "cpu:svm");
    if (__get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1u << 5)) != 0)
        add_device(devices, "cpu:vmx");
}

/* The 440BX always has IDE; its driver resets and waits for both channels, empty or not. A channel
 * without a drive has 0 in its status register (QEMU), or floats. Through /dev/port and not
 * ioperm(2): QEMU's emulated SVM refuses a nested guest's I/O permission bitmap. */
static void
add_ide(Devices *devices)
{
    static const off_t status[] = {0x1f7, 0x177};
    int fd = open("/dev/port", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof status / sizeof *status; i++) {
        char value = 1;
        if (pread(fd, &value, 1, status[i]) != 1 || value != 0) {
            add_device(devices, "ide:drive");
            break;
        }
    }
    if (fd >= 0)
        (void)close(fd);
}

/* Whether one of the comma-separated PATTERNS is "-" or matches a device; they are cut apart. */
static bool
is_wanted(const Devices *devices, char *patterns)
{
    char *next = NULL;
    for (char *what = strtok_r(patterns, ",", &next); what != NULL;
         what = strtok_r(NULL, ",", &next)) {
        if (strcmp(what, "-") == 0)
            return true;
        for (size_t i = 0; i < devices->count; i++) {
            if (fnmatch(what, devices->names[i], 0) == 0)
                return true;
        }
    }
    return false;
}

/* FILE is "name.ko" or "name.ko:parameter=value,parameter=value". */
static void
load_module(const char *folder, char *file)
{
    char path[512];
    char *parameters = file + strcspn(file, ":");
    if (*parameters != '\0')
        *parameters++ = '\0';
    for (char *comma = parameters; (comma = strchr(comma, ',')) != NULL;)
        *comma = ' ';
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, parameters, 0) != 0 && errno != EEXIST))
        say("cannot load", file);
    if (fd >= 0)
        (void)close(fd);
}

/* Loads what the driver list FOLDER/NAME has for DEVICES, each line in a process of its own:
 * probing is mostly waiting. A module that two lines name is loaded once, and the kernel makes the
 * second one wait for it. See wait_for_drivers. */
static void
load_drivers(const Devices *devices, const char *folder, const char *name)
{
    static char list[LIST_MAX];
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (read_text(path, list, sizeof list) < 0) {
        say("cannot read", path);
        return;
    }

    char *next_line = NULL;
    for (char *line = strtok_r(list, "\n", &next_line); line != NULL;
         line = strtok_r(NULL, "\n", &next_line)) {
        char *next_word = NULL;
        char *what = strtok_r(line, " ", &next_word);
        if (what == NULL || !is_wanted(devices, what))
            continue;
        pid_t pid = fork();
        if (pid > 0)
            continue;
        for (char *file; (file = strtok_r(NULL, " ", &next_word)) != NULL;)
            load_module(folder, file);
        if (pid == 0)
            _exit(0);
    }
}

/* No other children are there yet. */
static void
wait_for_drivers(void)
{
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_uuid(const char *text, uint8_t uuid[16])
{
    unsigned digits = 0;
    for (; *text != '\0'; text++) {
        int digit = hex_digit(*text);
        if (*text == '-')
            continue;
        if (digit < 0 || digits == 32)
            return false;
        uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 32;
}

static bool
has_root(const char *disk, const uint8_t uuid[16])
{
    char path[300];
    uint8_t block[128];
    (void)snprintf(path, sizeof path, "/dev/%s", disk);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = pread(fd, block, sizeof block, EROFS_SUPERBLOCK_AT);
    (void)close(fd);

    uint32_t magic = 0;
    memcpy(&magic, block, sizeof magic);
    return n == (ssize_t)sizeof block && magic == EROFS_MAGIC &&
           memcmp(block + EROFS_UUID_AT, uuid, 16) == 0;
}

/* Looks at every disk that there is; true and its name in DISK where one has the root. */
static bool
find_root(const uint8_t uuid[16], char *disk, size_t room)
{
    DIR *dir = opendir("/sys/class/block");
    if (dir == NULL)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.' && has_root(entry->d_name, uuid)) {
            (void)snprintf(disk, room, "%s", entry->d_name);
            found = true;
        }
    }
    (void)closedir(dir);
    return found;
}

static void
wait_for_root(char *disk, size_t room)
{
    uint8_t uuid[16] = {0};
    const char *text = parameter("ireko.root=");
    if (!parse_uuid(text, uuid)) {
        errno = EINVAL;
        give_up("the kernel parameter ireko.root is no UUID", text);
    }
    for (long waited_us = 0; !find_root(uuid, disk, room); waited_us += ROOT_POLL_US) {
        if (waited_us > ROOT_WAIT_MS * 1000L) {
            errno = ENODEV;
            give_up("no disk has the root", text);
        }
        pause_us(ROOT_POLL_US);
    }
}

/* The disk it booted from, where the next layer's machines find it. */
static void
note_root_disk(const char *disk)
{
    char device[300];
    (void)snprintf(device, sizeof device, "/dev/%s", disk);
    (void)mkdir("/run/ireko", 0755);
    if (symlink(device, "/run/ireko/root-disk") != 0)
        say("cannot note", device);
    (void)chmod(device, 0444); /* machines run unprivileged */
    if (mount(device, "/root", "erofs", MS_RDONLY, NULL) != 0)
        give_up("cannot mount", device);
}

static void
switch_root(void)
{
    static const char *const moved[] = {"/proc", "/sys", "/dev", "/run"};
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++) {
        char to[32];
        (void)snprintf(to, sizeof to, "/root%s", moved[i]);
        if (mount(moved[i], to, NULL, MS_MOVE, NULL) != 0)
            say("cannot move", moved[i]);
    }
    if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 ||
        chdir("/") != 0)
        give_up("cannot move into", "/root");
}

static void
set_up_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        say("cannot set up", "lo");
    if (fd >= 0)
        (void)close(fd);
}

static void
set_name(void)
{
    const char *name = parameter("ireko.name=");
    if (name[0] == '\0')
        name = "ireko";
    if (sethostname(name, strlen(name)) != 0)
        say("cannot take the name", name);
}

/* Has the HPET interrupt this machine as often as it was told to (docs/design/boot.md), which is
 * all that is wanted of it. The descriptor stays open: it ends when that is closed. */
static void
begin_wakes(void)
{
    unsigned long hz = strtoul(parameter("ireko.wakes="), NULL, 10);
    if (hz == 0)
        return;
    int fd = open("/dev/hpet", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, HPET_IRQFREQ, hz) != 0 || ioctl(fd, HPET_IE_ON, 0) != 0)
        say("cannot be woken by", "/dev/hpet");
}

/* --- children --------------------------------------------------------------------------------- */

static pid_t
start(void (*run)(void))
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;

    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    run();
    _exit(127);
}

/* What the C library and GLib do for speed is more code that a clone has to translate
 * (docs/design/boot.md): restartable sequences, and an allocator beside malloc. */
static void
run_agent(void)
{
    (void)setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
    (void)setenv("G_SLICE", "always-malloc", 1);
    (void)execl("/usr/bin/ireko", "ireko", "agent", NULL);
    say("cannot start", "/usr/bin/ireko");
}

/* A shell for whoever presses Enter; until then only this sleeping process. */
static void
run_console(void)
{
    int fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (fd < 0)
        _exit(0);
    while (poll(&wait, 1, -1) < 0 && errno == EINTR)
        ;
    (void)tcflush(fd, TCIFLUSH);
    (void)ioctl(fd, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        (void)dup2(fd, i);

    (void)setenv("HOME", "/root", 1);
    (void)setenv("TERM", "vt102", 1);
    (void)execl("/usr/bin/busybox", "-sh", NULL);
    say("cannot start", "/usr/bin/busybox");
}

static bool
is_power_key(int fd)
{
    struct input_event event;
    return read(fd, &event, sizeof event) == (ssize_t)sizeof event && event.type == EV_KEY &&
           event.code == KEY_POWER && event.value == 1;
}

static void
run_power_button(void)
{
    Devices none = {.count = 0};
    load_drivers(&none, "/usr/lib/modules", "late");
    wait_for_drivers();
    write_text("/proc/sys/kernel/modprobe", "/usr/bin/load-for-mount\n");
    write_text(KHUGEPAGED "scan_sleep_millisecs", "4294967295\n"); /* pages are huge from birth */

    struct pollfd inputs[INPUTS_MAX];
    nfds_t count = 0;
    for (int i = 0; i < INPUTS_MAX; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/dev/input/event%d", i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            inputs[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    while (count > 0) {
        if (poll(inputs, count, -1) < 0 && errno != EINTR)
            _exit(1);
        for (nfds_t i = 0; i < count; i++) {
            if ((inputs[i].revents & POLLIN) != 0 && is_power_key(inputs[i].fd))
                (void)kill(1, SIGTERM);
        }
    }
    _exit(0);
}

static void
end_machine(int how)
{
    struct timespec wait = {.tv_nsec = STOP_WAIT_MS * 1000000L};
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);

    (void)kill(-1, SIGTERM);
    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 || (pid == 0 && sigtimedwait(&child, NULL, &wait) < 0))
            break;
    }
    (void)kill(-1, SIGKILL);
    sync();
    (void)reboot(how);
}

/* Keeps both children running for ever. One that dies comes back after a while, so that a broken
 * one does not eat the CPU. */
static void
supervise(const sigset_t *signals)
{
    pid_t agent = start(run_agent), console = start(run_console);
    (void)start(run_power_button);
    for (;;) {
        struct timespec delay = {.tv_sec = RESPAWN_DELAY_MS / 1000};
        bool waits = agent < 0 || console < 0;
        int got = waits ? sigtimedwait(signals, NULL, &delay) : sigwaitinfo(signals, NULL);
        if (got == SIGTERM)
            end_machine(RB_POWER_OFF);
        if (got == SIGINT)
            end_machine(RB_AUTOBOOT);
        if (got < 0 && errno == EAGAIN) {
            agent = agent < 0 ? start(run_agent) : agent;
            console = console < 0 ? start(run_console) : console;
        }
        for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
            agent = pid == agent ? -1 : agent;
            console = pid == console ? -1 : console;
        }
    }
}

/* --- the two lives ---------------------------------------------------------------------------- */

static void
from_initrd(void)
{
    static Devices devices;
    char disk[256];
    mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755");
    mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
    write_text("/proc/sys/kernel/modprobe", "\n"); /* not yet: the kernel need not try */

    add_bus(&devices, "/sys/bus/pci/devices");
    add_ide(&devices);
    load_drivers(&devices, "/modules", "early");
    wait_for_root(disk, sizeof disk);
    note_root_disk(disk);
    switch_root();

    add_cpu(&devices);
    load_drivers(&devices, "/usr/lib/modules", "drivers");
    wait_for_drivers();
    (void)chmod("/dev/kvm", 0666);
    mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
}

int
main(void)
{
    if (getpid() != 1) {
        (void)fputs("this is the init of ireko's guest images\n", stderr);
        return 2;
    }
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)reboot(RB_DISABLE_CAD);
    (void)setenv("PATH", "/usr/bin", 1);

    from_initrd();
    set_name();
    set_up_loopback();
    begin_wakes();
    supervise(&signals);
}
