"""ireko see where no nest is needed: what goes wrong, what the CPU lost, and a machine in its firmware."""

import array
import json
import os
import re
import shutil
import socket
import time

from harness import HYPERVISOR, Machine, Skip, main, one_error, vmx_text, write

PLAIN = {"memsize": "32", "numvcpus": "1", "svga.present": "FALSE", "guestOS": "other"}


def nest():
    return Machine("outer", Machine("inner", Machine("leaf")))


def up(place):
    place.fake()
    place.ireko("up", place.lab("seen", nest()))


# words of the command, exit status, words of the error
USAGE = [
    (["outer", "--address", "somewhere"], 2, ("'somewhere' is not an address", "hex digits")),
    (["outer", "--address", "0x"], 2, ("'0x' is not an address",)),
    (["outer", "--address", "11112222333344445"], 2, ("is not an address",)),
    (["outer", "--map", "--cpu"], 2, ("ask one",)),
    (["outer", "--watch"], 2, ("--watch and --seconds go with --exits",)),
    (["outer", "--exits", "--seconds", "-1"], 2, ("--seconds is 1 to 3600",)),
    (["outer", "--map", "--no-pause"], 2, ("--no-pause goes with addresses",)),
    (["outer/inner/none"], 1, ("no lab on record has the machine 'outer/inner/none'", "ireko ps")),
    (["other:outer"], 1, ("'other:outer'",)),
    (["outer"], 1, ("no state stream of QEMU's",)),
]


def wrong_usage(place):
    """What cannot be meant or cannot be seen is one line that says why"""
    up(place)
    for words, status, parts in USAGE:
        done = place.ireko("see", *words, expect=status)
        for part in parts:
            assert part in done.stderr, f"{words}: '{part}' is not in: {done.stderr}"
    place.ireko("down", "seen")
    one_error(place.ireko("see", "outer", expect=1), "no lab on record")


def stopped_machine(place):
    """A machine that does not run is not seen"""
    up(place)
    place.ireko("stop", "outer", expect=None)
    one_error(place.ireko("see", "outer", expect=1), "'outer' does not run")
    place.ireko("down", "seen")


def saved_files(place):
    """A file that is no state, no memory, or not there is named"""
    ram = write(place.path("ram"), bytes(1 << 20))
    small = write(place.path("small"), b"x")
    noise = write(place.path("noise"), os.urandom(5000))
    for words, parts in [
        ((noise, "--ram", ram), ("noise", "no state stream")),
        ((place.path("none"), "--ram", ram), ("none", "No such file")),
        ((noise, "--ram", place.path("none")), ("none", "No such file")),
        ((noise, "--ram", small), ("small", "a page or more")),
        ((noise, "--ram", place.folder), ("no memory of a machine",)),
        ((noise, "--ram", ram, "--exits"), ("ask a machine that runs",)),
    ]:
        done = place.ireko("see", *words, expect=None)
        assert done.returncode in (1, 2), done
        for part in parts:
            assert part in done.stderr, f"{words}: '{part}' is not in: {done.stderr}"


def dumps_without_hypervisors(place):
    """No control block is found in zeros, nor in noise"""
    for name, content in [("zeros", bytes(8 << 20)), ("noise", os.urandom(8 << 20))]:
        found = json.loads(place.ireko("see", write(place.path(name), content), "--find", "--json").stdout)
        assert found["schema"] == "ireko.find/1" and found["ram_bytes"] == 8 << 20, found
        assert found["controls"] == [] and found["guests"] == [] and not found["cut"], found


def cpus(place):
    """--cpu says on each edge what verify says that was lost there"""
    up(place)
    seen = json.loads(place.ireko("see", "outer/inner/leaf", "--cpu", "--json").stdout)
    assert seen["schema"] == "ireko.cpus/1" and seen["path"] == "outer/inner/leaf"
    assert [layer["path"] for layer in seen["layers"]] == ["", "outer", "outer/inner", "outer/inner/leaf"]
    assert [layer["level"] for layer in seen["layers"]] == [0, 1, 2, 3]
    verified = {m["path"]: m["features_lost"] for m in place.nest("verify", "seen")["machines"]}
    for layer in seen["layers"][1:]:
        assert layer["lost"] == verified[layer["path"]], layer["path"]
    for around, layer in zip(seen["layers"], seen["layers"][1:]):
        gone = {loss["name"] for loss in layer["lost"]}
        assert (set(around["features"]) - set(layer["features"])) <= gone
        assert set(layer["gained"]) == set(layer["features"]) - set(around["features"])
    text = place.ireko("see", "outer/inner", "--cpu").stdout
    assert text.startswith("L0 this host") and "L2 outer/inner" in text, text
    place.ireko("down", "seen")


def exits_untold(place):
    """A layer that cannot count its exits says why, and the others are told all the same"""
    up(place)
    seen = json.loads(place.ireko("see", "outer/inner", "--exits", "--seconds", "1", "--json").stdout)
    assert seen["schema"] == "ireko.exits/1"
    assert [(edge["path"], edge["layer"]) for edge in seen["edges"]] == [
        ("outer", ""), ("outer", "outer"), ("outer/inner", "outer/inner")]
    assert all(edge["unknown"] and edge["reasons"] == [] for edge in seen["edges"]), seen
    place.ireko("down", "seen")


# ---- a machine that sits in its firmware ----

class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r")
        self.lines.readline()
        self("qmp_capabilities")

    def __call__(self, command, fd=None, **arguments):
        text = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        self.socket.sendmsg([text], passed)
        while True:
            answer = json.loads(self.lines.readline())
            if "return" in answer or "error" in answer:
                return answer.get("return", answer)

    def close(self):
        self.lines.close()
        self.socket.close()


def save(qmp, path):
    """Writes the state of the machine, without memory, to PATH; the machine stands still after that."""
    qmp("stop")
    qmp("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
    with open(path, "wb") as file:
        qmp("getfd", fd=file.fileno(), fdname="state")
        qmp("migrate", uri="fd:state")
        while qmp("query-migrate")["status"] not in ("completed", "failed"):
            time.sleep(0.01)


def firmware(place):
    """A machine in its firmware is seen running and saved, with what QEMU itself says of it"""
    if shutil.which("qemu-system-x86_64") is None:
        raise Skip("there is no QEMU")
    place.ireko("run", write(place.path("plain.vmx"), vmx_text(PLAIN)), "--accel", "tcg", "--detach")
    seen = json.loads(place.ireko("see", "plain", "--address", "0x7c00", "--json").stdout)
    assert seen["schema"] == "ireko.see/1" and seen["level"] == 1 and seen["accel"] == "tcg"
    assert 0 < seen["still_us"] < 5_000_000, seen["still_us"]
    vcpu, walk = seen["vcpus"][0], seen["vcpus"][0]["walks"][0]
    assert vcpu["mode"] in ("real", "32bit") and walk["ok"] and walk["steps"] == [], vcpu
    assert [(p["layer"], p["space"], p["at"]) for p in walk["chain"]] == [
        (1, "gva", "0x7c00"), (1, "gpa", "0x7c00"), (0, "offset", "0x7c00")]
    beyond = json.loads(place.ireko("see", "plain", "--address", "0xfec00000", "--json", expect=1).stdout)
    refused = beyond["vcpus"][0]["walks"][0]
    assert not refused["ok"] and refused["cause"] == "not-ram" and refused["bytes"] is None, refused

    folder = os.path.join(place.home, "run", "run-plain", "plain")
    qmp = Qmp(os.path.join(folder, "qmp"))
    assert qmp("query-status")["running"], "the machine stands still after it was seen"
    state, ram = place.path("plain.state"), place.path("plain.ram")
    save(qmp, state)
    shutil.copyfile(seen["ram_file"], ram)
    rip = int(re.search(r"(?:RIP|EIP)=([0-9a-f]+)", qmp("human-monitor-command", **{"command-line": "info registers"}))[1], 16)
    qmp.close()
    walk = json.loads(place.ireko("see", state, "--ram", ram, "--json", expect=None).stdout)["vcpus"][0]["walks"][0]
    assert walk["what"] == "rip" and int(walk["address"], 16) & 0xffff == rip & 0xffff, (walk, hex(rip))
    if walk["ok"]:
        offset = int(walk["chain"][-1]["at"], 16)
        with open(ram, "rb") as file:
            file.seek(offset)
            assert file.read(len(walk["bytes"]) // 2).hex() == walk["bytes"]
    found = json.loads(place.ireko("see", state, "--ram", ram, "--find", "--json").stdout)
    assert found["controls"] == [], found
    place.ireko("down", "run-plain")


main([wrong_usage, stopped_machine, saved_files, dumps_without_hypervisors, cpus, exits_untold, firmware])
