"""Control blocks that a real nest runs, by the traces of the CPU and the kernels, beside those that ireko
finds in its memory by their form alone.

QEMU, told to log, names the address of each VMRUN that its emulated CPU executes, a kernel inside names
that of each VMRUN which its guest's hypervisor executes. ireko is told none of this."""

import json
import os
import re
import shutil
import socket
import tempfile
import time

TRACED_SECONDS = 6
STIR = "for i in 1 2 3 4 5 6 7 8; do cat /proc/uptime; sleep 1; done"  # so that all that runs, runs
TRACE = ("t=/sys/kernel/tracing; mount -t tracefs tracefs $t; echo > $t/trace; "
         "echo 1 > $t/events/kvm/kvm_nested_vmenter/enable; "
         f"sleep {TRACED_SECONDS}; echo 0 > $t/events/kvm/kvm_nested_vmenter/enable; cat $t/trace")


def tell_monitor(path, *lines, seconds=TRACED_SECONDS):
    """Tells QEMU's monitor LINES, SECONDS between one and the next."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(30)
        channel.connect(path)
        answers = channel.makefile("r", encoding="utf-8")

        def execute(command, arguments):
            channel.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            while "event" in (answer := json.loads(answers.readline())):
                pass
            assert answer.get("return") in ({}, ""), answer
        answers.readline()
        execute("qmp_capabilities", {})
        for number, line in enumerate(lines):
            if number > 0:
                time.sleep(seconds)
            execute("human-monitor-command", {"command-line": line})


def run_by_the_cpu(place, lab, machine):
    """The addresses of VMRUN in the outermost machine; empty where the CPU is not QEMU's."""
    folder = tempfile.mkdtemp(prefix="ireko-vmruns-")
    os.chmod(folder, 0o777)  # QEMU has given up root
    log = os.path.join(folder, "log")
    qmp = os.path.join(place.home, "run", lab, machine, "qmp")
    try:
        tell_monitor(qmp, f"logfile {log}")
        tell_monitor(qmp, "log in_asm", "log none")
        with open(log, encoding="utf-8", errors="replace") as file:
            return {int(address, 16) for address in re.findall(r"^vmrun! ([0-9a-f]+)", file.read(), re.MULTILINE)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_inside(place, path):
    """The addresses of VMRUN in the guests of the layer PATH, by its kernel; in those guests' memory."""
    said = place.ireko("exec", path, "--", "sh", "-c", TRACE).stdout
    return {int(address, 16) for address in re.findall(r"kvm_nested_vmenter: .*?vmcb: (0x[0-9a-f]+)", said)}


def find(place, path):
    found = json.loads(place.ireko("see", path, "--find", "--json").stdout)
    assert found["schema"] == "ireko.find/1" and not found["cut"], found
    return found


def trusted(found, owner):
    return {int(control["at"], 16) for control in found["controls"]
            if control["owner"] == owner and control["trust"] != "unconfirmed"}


def compare(what, seen, truth):
    """Prints precision and recall; both are 1."""
    right = len(seen & truth)
    print(f"# {what}: {len(truth)} ran, {len(seen)} found, precision {right}/{len(seen)}, "
          f"recall {right}/{len(truth)}", flush=True)
    assert seen == truth, f"{what}: found {sorted(map(hex, seen))}, ran {sorted(map(hex, truth))}"


def found_is_what_runs(place, lab, paths):
    """PATHS: a machine, its guest and its guest's guest."""
    stirring = place.begin("exec", paths[2], "--", "sh", "-c", STIR)
    by_cpu = run_by_the_cpu(place, lab, paths[0])
    stirring.communicate()
    stirring = place.begin("exec", paths[2], "--", "sh", "-c", STIR)
    by_guest = run_inside(place, paths[0])
    stirring.communicate()
    found = find(place, paths[0])
    assert [guest["path"] for guest in found["guests"]] == paths[1:], found["guests"]
    assert [guest["parent"] for guest in found["guests"]] == [0, 1], found["guests"]
    if by_cpu:
        compare("control blocks of L1's hypervisor", trusted(found, 0), by_cpu)
    assert by_guest, "the trace of L1 has no VMRUN of L2's"
    compare("control blocks of L2's hypervisor", trusted(found, 1), by_guest)
    assert trusted(found, 2) == set(), found["controls"]


def what_ended_is_not_found(place, lab, paths):
    """The innermost machine is stopped: nothing is left that is taken for its control block."""
    place.ireko("stop", paths[2], timeout=200)
    by_cpu = run_by_the_cpu(place, lab, paths[0])
    found = find(place, paths[0])
    assert [guest["path"] for guest in found["guests"]] == paths[1:2], found["guests"]
    if by_cpu:
        compare("control blocks of L1's hypervisor, L3 being stopped", trusted(found, 0), by_cpu)
    compare("control blocks of L2's hypervisor, L3 being stopped", trusted(found, 1), set())


def nothing_is_found(place, path):
    """PATH runs no hypervisor."""
    found = find(place, path)
    assert found["guests"] == [] and trusted(found, 0) == set(), found
    print(f"# no hypervisor: {len(found['controls'])} found in {found['ram_bytes'] >> 20} MiB", flush=True)
