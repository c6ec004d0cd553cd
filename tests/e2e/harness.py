"""Runs tests that use ireko as a person does, and prints TAP.

A test is a function whose docstring, its name, says what is true. Each gets a place of its own: a
folder with an IREKO_HOME and room for labs. Afterwards nothing may be left there: no process that
names it, no socket, no file of a home but the images that were built."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IREKO = os.environ.get("IREKO", os.path.join(TOP, "build", "ireko"))
STOP_AT = os.environ.get("IREKO_STOP_AT", os.path.join(TOP, "build/tests/faults/stop-at"))
FAKE_GUEST = os.environ.get("IREKO_FAKE_GUEST", os.path.join(TOP, "build/tests/fake/fake-guest"))
GONE_SECONDS = 5  # guests end a moment after the machine around them
RUN_SECONDS = 120

HYPERVISOR = {
    "config.version": "8",
    "virtualHW.version": "13",
    "guestOS": "vmkernel65",
    "ireko.image": "kvm-host",
    "numvcpus": "2",
    "memsize": "1024",
    "vhv.enable": "TRUE",
    "scsi0.present": "TRUE",
    "scsi0.virtualDev": "pvscsi",
    "scsi0:0.present": "TRUE",
    "scsi0:0.fileName": "boot.vmdk",
    "scsi0:1.present": "TRUE",
    "scsi0:1.fileName": "data.vmdk",
    "scsi0:1.virtualSSD": "1",
    "ireko.scsi0:1.size": "8M",
}
LEAF = {**HYPERVISOR, "ireko.image": "linux", "numvcpus": "1", "memsize": "128"}
del LEAF["vhv.enable"]


class Skip(Exception):
    """The test cannot run here; says why."""


def write(path, text):
    mode = "wb" if isinstance(text, bytes) else "w"
    with open(path, mode) as file:
        file.write(text)
    return path


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def vmx_text(keys):
    return "".join(f'{key} = "{value}"\n' for key, value in keys.items() if value is not None)


class Machine:
    """A machine of a lab: a .vmx NAME with KEYS over those of its kind, and its guests."""

    def __init__(self, name, *guests, count=None, **keys):
        self.name, self.guests, self.count = name, guests, count
        self.keys = {key.replace("__", "."): value for key, value in keys.items()}

    def write(self, folder, depth_below=None):
        below = max((guest.write(folder) for guest in self.guests), default=0)
        base = HYPERVISOR if self.guests else LEAF
        need = sum(g.memory * (g.count or 1) + 64 * (g.count or 1) for g in self.guests) + 256
        self.memory = int(self.keys.get("memsize", need if self.guests else 128))
        keys = {**base, "displayName": self.name, "memsize": str((self.memory + 3) // 4 * 4)}
        self.memory = int(keys["memsize"])
        write(os.path.join(folder, self.name + ".vmx"), vmx_text({**keys, **self.keys}))
        return below + 1

    def yaml(self, indent):
        pad = " " * indent
        lines = [f"{pad}- vmx: {self.name}.vmx"]
        if self.count is not None:
            lines.append(f"{pad}  count: {self.count}")
        if self.guests:
            lines.append(f"{pad}  guests:")
            lines += [guest.yaml(indent + 4) for guest in self.guests]
        return "\n".join(lines)


class Place:
    """Where one test works."""

    def __init__(self, home=None):
        self.folder = tempfile.mkdtemp(prefix="ireko-e2e-")
        self.home = home or os.path.join(self.folder, "home")
        self.env = {**os.environ, "IREKO_HOME": self.home, "TERM": "dumb"}
        self.started = []

    def fake(self, patience="0.02"):
        self.env.update(IREKO_ENGINE="fake", IREKO_FAKE_GUEST=FAKE_GUEST, IREKO_PATIENCE=patience)
        return self

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def lab(self, name, *machines, folder=None):
        """Writes the lab NAME; returns its folder."""
        folder = self.path(folder or name)
        os.makedirs(folder, exist_ok=True)
        for machine in machines:
            machine.write(folder)
        lines = "\n".join(machine.yaml(2) for machine in machines)
        write(os.path.join(folder, "lab.yaml"), f"name: {name}\nmachines:\n{lines}\n")
        return folder

    def ireko(self, *words, expect=0, text=None, env=None, before=(), timeout=RUN_SECONDS):
        """Runs ireko to its end; EXPECT is its exit status (None: any)."""
        done = subprocess.run(
            [*before, IREKO, *words], env={**self.env, **(env or {})}, timeout=timeout,
            input=text if text is not None else "", capture_output=True, text=True, check=False)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"ireko {' '.join(words)}: exit {done.returncode}, expected "
                                 f"{expect}\n{done.stdout}{done.stderr}")
        return done

    def begin(self, *words, **more):
        """Starts ireko and returns its process."""
        process = subprocess.Popen(
            [IREKO, *words], env=self.env, text=True,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               **more})
        self.started.append(process)
        return process

    def begin_stopped(self, at, *words):
        """Starts ireko and has it stand before the call AT by which it changes something; returns
        its process and a socket: b"g" lets it go on, b"k" kills it. The socket is None where it
        made fewer calls, and ran to its end."""
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [STOP_AT, str(at), IREKO, *words], env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: os.dup2(theirs.fileno(), 3), close_fds=False)
        self.started.append(process)
        theirs.close()
        if ours.makefile().readline().startswith("at "):
            return process, ours
        ours.close()
        return process, None

    def end(self, process):
        """What a process that was begun said, when it has ended."""
        told = process.communicate(timeout=RUN_SECONDS)
        self.started.remove(process)
        return told

    def nest(self, *words, expect=0):
        return json.loads(self.ireko(*words, "--json", expect=expect).stdout)

    def guests(self):
        """Numbers of the processes that name this place, by path of their machine."""
        found = {}
        for pid, words in processes():
            if not self.is_ours(pid, words) or pid in [child.pid for child in self.started]:
                continue
            options = [word for word in ("--id", "-name") if word in words]
            after = words[words.index(options[0]) + 1] if options else " ".join(words)
            found[after.split(",")[0]] = pid
        return found

    def is_ours(self, pid, words):
        """Whether the process names this place, or was given its home."""
        if any(self.folder in word or self.home in word for word in words):
            return True
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"IREKO_HOME={self.home}".encode() in file.read().split(b"\0")
        except OSError:
            return False

    def leftovers(self):
        left = [f"process {pid}: {name}" for name, pid in self.guests().items()]
        for folder, folders, files in os.walk(self.home):
            if folder == self.home:
                folders[:] = [name for name in folders
                              if name not in ("images", "packages", "cache", "templates")]
                files = [name for name in files if name != "qemu.json"]  # what QEMU can, kept
            below = os.path.relpath(folder, self.home)
            if files or below.count(os.sep) >= 1:
                left.append(f"{folder}: {files}")
        templates = os.path.join(self.home, "templates")
        for name in os.listdir(templates) if os.path.isdir(templates) else []:
            if name.startswith("."):
                left.append(f"half a template: {name}")
        return left

    def assert_nothing_left(self):
        deadline = time.monotonic() + GONE_SECONDS
        while (left := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, "left behind: " + "; ".join(left)

    def clear(self):
        for process in self.started:
            process.kill()
            process.communicate()
        for pid in self.guests().values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for folder in (self.folder, os.path.join(self.home, "labs"), os.path.join(self.home, "run")):
            shutil.rmtree(folder, ignore_errors=True)


def processes():
    """(number, words of the command line) of each process that is not just waiting to be reaped."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if words:  # a zombie has none
            yield int(entry), words


def kill(pid):
    """Kills a process and returns when it is gone: it may take its time to give back its memory."""
    watched = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([watched], [], [], GONE_SECONDS)[0], f"process {pid} does not end"
    os.close(watched)


def one_error(done, *words):
    """DONE said exactly one line, and each of WORDS is in it."""
    lines = done.stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("ireko ")]
    assert len(errors) == 1, f"expected one line that says what is wrong, got:\n{done.stderr}"
    assert lines[-1] == errors[0], f"the error is not the last line:\n{done.stderr}"
    for word in words:
        assert word in errors[0], f"'{word}' is not in: {errors[0]}"
    assert "\033" not in errors[0]


def by_path(nest):
    return {machine["path"]: machine for machine in nest["machines"]}


def wait_for(condition, seconds=10, what="what was waited for"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.01)


def run_tests(tests, make_place=Place):
    """Runs each (function, arguments) or function of TESTS; prints TAP; returns the exit status."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        function, *arguments = test if isinstance(test, tuple) else (test,)
        name = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
        if arguments:
            name += f" ({arguments[0]})"
        place = make_place()
        began = time.monotonic()
        try:
            function(place, *arguments)
            place.assert_nothing_left()
            print(f"ok {number} - {name} # {time.monotonic() - began:.1f} s", flush=True)
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}", flush=True)
        except Exception:  # whatever it is, the next test runs
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
        finally:
            place.clear()
    return 1 if failed else 0


def main(tests, make_place=Place):
    sys.exit(run_tests(tests, make_place))
