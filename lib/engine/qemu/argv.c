/* engine/qemu/argv.c - a machine as QEMU's command line.
 *
 * Pure, and always the same for the same machine, so that golden files can show it: sockets are
 * descriptors with fixed numbers and files of the machine's folder are named through one (see
 * process.h), names of disks and network cards are hashes of the machine's own.
 *
 * Nothing is left to QEMU's defaults that the guest could see and that the .vmx speaks about:
 * hardware assistance is given or taken away in so many words, since "-cpu max" and "-cpu host"
 * have it. Values from files travel as JSON, or with their commas doubled where QEMU has no JSON
 * form.
 */
#include "engine/qemu/argv.h"

#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include "engine/process.h"
#include "machine/address.h"

#define VNC_PORT_FIRST 5900 /* QEMU counts displays from here */
#define SERIALS_MAX    4    /* of a PC */

/* TCG delivers an interrupt that KVM injects a second time where its vCPU is stopped before the
 * guest has exited again (docs/design/boot.md). A guest that has to exit to end its interrupt is
 * hardly ever caught in between. */
#define NO_PV_EOI ",kvm-pv-eoi=off"

/* The inputs of the I/O APIC that the HPET may be wired to, a bit each. */
#define HPET_INTERRUPTS 0xff0104

G_STATIC_ASSERT(IREKO_PROCESS_FD_AGENT + IREKO_ENGINE_AGENT_PORTS == IREKO_PROCESS_FD_DIR);

void
ireko_qemu_add(GPtrArray *argv, const char *option, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, g_strdup_vprintf(format, args));
    va_end(args);
}

void
ireko_qemu_add_json(GPtrArray *argv, const char *option, json_t *object)
{
    g_assert(object != NULL); /* texts in it were checked to be UTF-8 */
    char *text = json_dumps(object, JSON_COMPACT);
    ireko_qemu_add(argv, option, "%s", text);
    free(text);
    json_decref(object);
}

char *
ireko_qemu_escape(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    return g_strjoinv(",,", parts);
}

bool
ireko_qemu_check_path(const char *path, GError **error)
{
    if (g_utf8_validate(path, -1, NULL))
        return true;
    g_autofree char *shown = g_utf8_make_valid(path, -1);
    g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                "QEMU cannot be given the file name '%s', which is not UTF-8: rename the file",
                shown);
    return false;
}

char *
ireko_qemu_own_file(const IrekoQemuHost *host, const char *file)
{
    return g_strconcat(host->by_hand != NULL ? host->by_hand : IREKO_PROCESS_DIR "/", file, NULL);
}

bool
ireko_qemu_wants_efi(const IrekoSpec *spec)
{
    return spec->machine->efi && spec->boot == NULL;
}

/* ---- parts ---- */

static void
add_flag(GPtrArray *argv, const char *flag)
{
    g_ptr_array_add(argv, g_strdup(flag));
}

static void
add_identity(GPtrArray *argv, const IrekoSpec *spec)
{
    g_autofree char *id = ireko_qemu_escape(spec->id);
    ireko_qemu_add(argv, "-name", "%s", id);
    add_flag(argv, "-nodefaults");
    add_flag(argv, "-no-user-config");
    /* spawn=deny and the rest hold for the threads too. Giving up root needs setuid(2), which
     * elevateprivileges=deny takes away; no_new_privs is set for every machine before it is QEMU.
     */
    ireko_qemu_add(argv, "-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny%s",
                   spec->drop_root ? "" : ",elevateprivileges=deny");
    if (spec->drop_root)
        ireko_qemu_add(argv, "-runas", "nobody");
}

static const char *
assistance_of(const IrekoSpec *spec, const IrekoQemuHost *host)
{
    IrekoHv hv = spec->machine->vhv ? spec->offer : IREKO_HV_NONE;
    if (spec->machine->vhv && host->by_hand != NULL)
        return ""; /* "max" has what there is */
    return hv == IREKO_HV_SVM   ? ",svm=on,npt=on,vmx=off"
           : hv == IREKO_HV_VMX ? ",vmx=on,svm=off"
                                : ",svm=off,vmx=off";
}

/* The HPET's third timer is the one that wakes the machine (docs/design/boot.md). Only the newer of
 * QEMU's machines wire it to the I/O APIC by themselves. */
static void
add_tcg(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host)
{
    if (host->by_hand == NULL)
        ireko_qemu_add(argv, "-global", "hpet.hpet-intcap=%u", HPET_INTERRUPTS);
    if (spec->jit_mib > 0)
        ireko_qemu_add(argv, "-accel", "tcg,thread=multi,tb-size=%u", spec->jit_mib);
    else
        ireko_qemu_add(argv, "-accel", "tcg,thread=multi");
}

static void
add_cpu(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host)
{
    bool any = host->by_hand != NULL; /* "max" is "host" on KVM */
    bool hidden = spec->machine->hypervisor_hidden;
    if (any || spec->kvm)
        ireko_qemu_add(argv, "-accel", "kvm");
    if (any || !spec->kvm)
        add_tcg(argv, spec, host);
    ireko_qemu_add(argv, "-cpu", "%s%s%s%s%s%s", any || !spec->kvm ? "max" : "host",
                   assistance_of(spec, host), hidden ? ",hypervisor=off" : "",
                   hidden && (any || spec->kvm) ? ",kvm=off" : "", spec->emulated ? NO_PV_EOI : "",
                   hidden && (any || !spec->kvm) ? ",tcg-cpuid=off" : "");
}

/* Memory that ireko can read is a file, and so is that of a frozen machine: mapped privately, what
 * is written goes into pages of this machine alone. QEMU opens it by the descriptor's own name. */
static void
add_memory(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host)
{
    bool given = spec->from != NULL && spec->from->ram_fd >= 0;
    if (host->by_hand != NULL || (!given && !spec->open_ram))
        ireko_qemu_add(argv, "-object", "memory-backend-ram,id=ram,size=%uM",
                       spec->machine->memory_mib);
    else
        ireko_qemu_add(argv, "-object",
                       "memory-backend-file,id=ram,size=%uM,mem-path=" IREKO_PROCESS_RAM
                       ",share=%s",
                       spec->machine->memory_mib, given ? "off" : "on");
    if (spec->from != NULL && host->by_hand == NULL)
        ireko_qemu_add(argv, "-incoming", "defer");
}

static void
add_board(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host)
{
    const IrekoMachine *m = spec->machine;
    unsigned cores = MAX(m->cores_per_socket, 1);
    g_assert(m->vcpus % cores == 0); /* ireko_machine_from_vmx saw to it */
    /* VMware's own tools, in a guest that was installed there, look for its backdoor port */
    ireko_qemu_add(argv, "-machine", "pc,memory-backend=ram,vmport=%s%s",
                   spec->boot == NULL ? "on" : "off",
                   ireko_qemu_wants_efi(spec) ? ",pflash0=efi-code,pflash1=efi-vars" : "");
    add_cpu(argv, spec, host);
    ireko_qemu_add(argv, "-smp", "%u,sockets=%u,cores=%u,threads=1", m->vcpus, m->vcpus / cores,
                   cores);
    ireko_qemu_add(argv, "-m", "%uM", m->memory_mib);
    add_memory(argv, spec, host);
    ireko_qemu_add(argv, "-rtc", "base=utc");
    g_autofree char *uuid = host->by_hand == NULL ? ireko_spec_uuid(spec) : g_strdup(m->uuid);
    if (uuid != NULL)
        ireko_qemu_add(argv, "-uuid", "%s", uuid);
}

static void
add_flash(GPtrArray *argv, const char *name, const char *path, bool read_only)
{
    /* clang-format off */
    ireko_qemu_add_json(argv, "-blockdev", json_pack(
        "{s:s, s:s, s:b, s:{s:s, s:s, s:b, s:b}}",
        "driver", "raw", "node-name", name, "read-only", read_only,
        "file", "driver", "file", "filename", path, "read-only", read_only, "auto-read-only", false));
    /* clang-format on */
}

static void
add_kernel(GPtrArray *argv, const IrekoBoot *boot)
{
    ireko_qemu_add(argv, "-kernel", "%s", boot->kernel);
    if (boot->initrd != NULL)
        ireko_qemu_add(argv, "-initrd", "%s", boot->initrd);
    if (boot->cmdline != NULL)
        ireko_qemu_add(argv, "-append", "%s", boot->cmdline);
}

static bool
add_boot(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host, GError **error)
{
    if (spec->boot != NULL) {
        /* The firmware has nothing to do but start the kernel: qboot does that and no more. SeaBIOS
         * would try every disk and run option ROMs, thousands of exits at an inner layer. */
        ireko_qemu_add(argv, "-bios", "qboot.rom");
        if (spec->from == NULL) /* else its kernel runs: QEMU need not read 45 MiB of it */
            add_kernel(argv, spec->boot);
        add_flag(argv, "-no-reboot"); /* its panic ends the machine, where it is seen */
        return true;
    }
    if (!ireko_qemu_wants_efi(spec))
        return true;
    if (host->efi_code == NULL) {
        g_set_error_literal(error, IREKO_ERROR, IREKO_ERROR_NOT_FOUND,
                            "firmware = \"efi\" needs OVMF, which is not here: apt install ovmf");
        return false;
    }
    add_flash(argv, "efi-code", host->efi_code, true);
    g_autofree char *vars = ireko_qemu_own_file(host, IREKO_QEMU_EFI_VARS);
    add_flash(argv, "efi-vars", vars, false);
    return true;
}

/* ---- serial ports and the agent ---- */

static void
add_port(GPtrArray *argv, unsigned index, const char *chardev)
{
    ireko_qemu_add(argv, "-device", "isa-serial,index=%u,chardev=%s", index, chardev);
}

/* The file of a serial port, inside the folder of the .vmx: a .vmx from elsewhere writes nowhere
 * else. */
static char *
serial_path(const IrekoSpec *spec, const IrekoSerial *serial, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(spec->machine->file);
    g_autofree char *within = g_strconcat(folder, "/", NULL);
    g_auto(GStrv) segments = g_strsplit(serial->file, "/", -1);
    bool inside = g_path_is_absolute(serial->file) ? g_str_has_prefix(serial->file, within) : true;
    if (!inside || g_strv_contains((const char *const *)segments, "..")) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "serial%u.fileName = '%s' is outside the folder of the .vmx: name a file in it",
                    serial->index, serial->file);
        return NULL;
    }
    return g_path_is_absolute(serial->file) ? g_strdup(serial->file)
                                            : g_build_filename(folder, serial->file, NULL);
}

static const IrekoSerial *
find_serial(const IrekoMachine *machine, unsigned index)
{
    for (unsigned i = 0; i < machine->serials->len; i++) {
        const IrekoSerial *serial = g_ptr_array_index(machine->serials, i);
        if (serial->index == index)
            return serial;
    }
    return NULL;
}

/* ",logfile=..." for a first serial port that the .vmx sends to a file; NULL with an error. */
static char *
console_copy(const IrekoSpec *spec, const IrekoSerial *serial, GError **error)
{
    if (serial == NULL || serial->file == NULL || g_strcmp0(serial->kind, "file") != 0)
        return g_strdup("");
    g_autofree char *path = serial_path(spec, serial, error);
    if (path == NULL)
        return NULL;
    g_autofree char *escaped = ireko_qemu_escape(path);
    return g_strconcat(",logappend=on,logfile=", escaped, NULL);
}

/* The first serial port is the console whatever the .vmx says of it; a file gets a copy. */
static bool
add_console(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host, GError **error)
{
    g_autofree char *copy = console_copy(spec, find_serial(spec->machine, 0), error);
    if (copy == NULL)
        return false;
    if (host->by_hand != NULL)
        ireko_qemu_add(argv, "-chardev", "stdio,id=console,mux=on,signal=off%s", copy);
    else
        ireko_qemu_add(argv, "-chardev", "socket,id=console,fd=%d,server=on,wait=off%s",
                       IREKO_PROCESS_FD_CONSOLE, copy);
    add_port(argv, 0, "console");
    return true;
}

/* What is behind a port besides the console: a file, a socket where VMware has a pipe, else
 * nothing: the port is there. */
static char *
serial_backend(const IrekoSpec *spec, const IrekoSerial *serial, GError **error)
{
    bool is_file = g_strcmp0(serial->kind, "file") == 0;
    bool is_pipe = g_strcmp0(serial->kind, "pipe") == 0;
    if (serial->file == NULL || (!is_file && !is_pipe))
        return g_strdup_printf("null,id=serial%u", serial->index);
    g_autofree char *path = serial_path(spec, serial, error);
    if (path == NULL)
        return NULL;
    g_autofree char *escaped = ireko_qemu_escape(path);
    if (is_file)
        return g_strdup_printf("file,id=serial%u,append=on,path=%s", serial->index, escaped);
    if (strlen(path) < sizeof((struct sockaddr_un *)NULL)->sun_path)
        return g_strdup_printf("socket,id=serial%u,server=on,wait=off,path=%s", serial->index,
                               escaped);
    g_set_error(
        error, IREKO_ERROR, IREKO_ERROR_TOO_LARGE,
        "serial%u.fileName: the socket's path '%s' has more than %zu bytes: move the .vmx to a "
        "folder with a shorter path",
        serial->index, path, sizeof((struct sockaddr_un *)NULL)->sun_path - 1);
    return NULL;
}

static bool
add_serials(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host, GError **error)
{
    if (!add_console(argv, spec, host, error))
        return false;
    for (unsigned index = 1; index < SERIALS_MAX; index++) {
        const IrekoSerial *serial = find_serial(spec->machine, index);
        if (serial == NULL)
            continue;
        g_autofree char *backend = serial_backend(spec, serial, error);
        if (backend == NULL)
            return false;
        g_autofree char *name = g_strdup_printf("serial%u", index);
        ireko_qemu_add(argv, "-chardev", "%s", backend);
        add_port(argv, index, name);
    }
    return true;
}

/* Only a built-in image has an agent; elsewhere nothing is put in that VMware has not. */
static void
add_agent(GPtrArray *argv)
{
    /* One port more than ours: port 0 is for consoles. Without the limit the guest sets up 64
     * queues. KVM on AMD decodes the instruction by which a guest notifies in memory, and none by
     * which it does in a port. */
    ireko_qemu_add(argv, "-device",
                   "virtio-serial-pci,id=agent,addr=0x%x,max_ports=%d,modern-pio-notify=on",
                   IREKO_SLOT_AGENT, IREKO_ENGINE_AGENT_PORTS + 1);
    for (int n = 0; n < IREKO_ENGINE_AGENT_PORTS; n++) {
        ireko_qemu_add(argv, "-chardev", "socket,id=agent%d,fd=%d,server=on,wait=off", n,
                       IREKO_PROCESS_FD_AGENT + n);
        ireko_qemu_add(
            argv, "-device",
            "virtserialport,bus=agent.0,nr=%d,chardev=agent%d,name=" IREKO_ENGINE_PORT_NAME ".%d",
            n + 1, n, n);
    }
}

/* ---- display ---- */

static bool
check_vnc(const IrekoMachine *m, GError **error)
{
    if (m->vnc_port == 0)
        return true;
    if (m->vnc_port < VNC_PORT_FIRST) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
                    "RemoteDisplay.vnc.port = %u: QEMU has ports from %d on", m->vnc_port,
                    VNC_PORT_FIRST);
        return false;
    }
    if (m->vnc_password != NULL)
        return true;
    g_set_error(
        error, IREKO_ERROR, IREKO_ERROR_UNSUPPORTED,
        "RemoteDisplay.vnc.port = %u without a password shows the screen to every user of this "
        "host: set RemoteDisplay.vnc.password, or remove the port for a socket of your own",
        m->vnc_port);
    return false;
}

static void
add_vnc(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host)
{
    const IrekoMachine *m = spec->machine;
    bool secret = m->vnc && m->vnc_password != NULL;
    const char *password = secret ? ",password-secret=vnc-secret" : "";
    if (secret) {
        g_autofree char *file = ireko_qemu_own_file(host, IREKO_QEMU_VNC_SECRET);
        g_autofree char *escaped = ireko_qemu_escape(file);
        ireko_qemu_add(argv, "-object", "secret,id=vnc-secret,file=%s", escaped);
    }
    if (m->vnc && m->vnc_port != 0) {
        ireko_qemu_add(argv, "-vnc", "127.0.0.1:%u%s", m->vnc_port - VNC_PORT_FIRST, password);
        return;
    }
    g_autofree char *file = ireko_qemu_own_file(host, IREKO_QEMU_VNC_SOCKET);
    g_autofree char *escaped = ireko_qemu_escape(file);
    ireko_qemu_add(argv, "-vnc", "unix:%s%s", escaped, password);
}

static bool
add_display(GPtrArray *argv, const IrekoSpec *spec, const IrekoQemuHost *host, GError **error)
{
    const IrekoMachine *m = spec->machine;
    bool screen = (m->svga && spec->boot == NULL) || m->vnc;
    ireko_qemu_add(argv, "-vga", "none");
    ireko_qemu_add(argv, "-display", "none");
    if (screen)
        ireko_qemu_add(argv, "-device", "vmware-svga,id=svga,addr=0x%x", IREKO_SLOT_VGA);
    if (m->vnc && !check_vnc(m, error))
        return false;
    if (m->vnc || (screen && host->by_hand != NULL))
        add_vnc(argv, spec, host);
    return true;
}

/* QEMU's own control: for ireko by QMP, for a person behind the console. */
static void
add_control(GPtrArray *argv, const IrekoQemuHost *host)
{
    if (host->by_hand != NULL) {
        ireko_qemu_add(argv, "-mon", "chardev=console,mode=readline");
        return;
    }
    ireko_qemu_add(argv, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off",
                   IREKO_PROCESS_FD_CONTROL);
    ireko_qemu_add(argv, "-mon", "chardev=qmp,mode=control");
}

/* ---- the whole ---- */

char **
ireko_qemu_argv(const IrekoSpec *spec, const IrekoQemuHost *host, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    add_flag(argv, host->program);
    add_identity(argv, spec);
    add_board(argv, spec, host);
    if (!add_boot(argv, spec, host, error) || !ireko_qemu_add_disks(argv, spec, error))
        return NULL;
    for (unsigned i = 0; i < spec->machine->nics->len; i++)
        ireko_qemu_add_nic(argv, spec, i);
    if (!add_serials(argv, spec, host, error) || !add_display(argv, spec, host, error))
        return NULL;
    if (spec->boot != NULL)
        add_agent(argv);
    add_control(argv, host);
    g_ptr_array_add(argv, NULL);
    g_ptr_array_set_free_func(argv, NULL);
    return (char **)g_ptr_array_steal(argv, NULL);
}
