"""What ireko sees of a real nest from outside, compared with what every layer says of itself.

In a machine a program fills pages and prints where its own kernel says they are. Around it, the kernel
of each layer says where the process that is the machine has that memory. ireko is told none of this."""

import functools
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading

from harness import LEAF as LEAF_KEYS, TOP, Machine, Place, run_tests, vmx_text, wait_for, write
from vmruns import found_is_what_runs, nothing_is_found, what_ended_is_not_found
from workshop import HOME, UP_SECONDS, WORKSHOP, up

IREKO = os.environ.get("IREKO", os.path.join(TOP, "build/ireko"))
PAGES = os.environ.get("IREKO_GUEST_PAGES", os.path.join(TOP, "build/tests/e2e/guest-pages"))
SHADOWS = os.environ.get("IREKO_SHADOW_PAGES", os.path.join(TOP, "build/tests/e2e/shadow-pages"))
PAGE = 4096
LARGE = 2 << 20
FRAME = (1 << 55) - 1
OUTER, INNER, LEAF = PATHS = ["esxi01", "esxi01/esxi02", "esxi01/esxi02/linux"]
MIBS = {OUTER: 2048, INNER: 1024, LEAF: 256, "outer": 1024, "outer/one": 160, "outer/two": 192}
LOOKS = 12
WORK = "echo at work; while :; do i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; usleep 5000; done"
TRIES = 6  # a vCPU is seen at any moment: also when its kernel runs something else
ANSWER_SECONDS = 60  # for the program to say where its pages are: it takes 2 s


class Stuck(Exception):
    """A machine stands still, or is gone: QEMU 7.2's TCG can do that to a guest where it is stopped, as
    `ireko see` stops it (docs/design/boot.md)."""


def again_where_it_stuck(test):
    """TEST, with a second nest where the first stood still."""
    @functools.wraps(test)
    def run(place):
        try:
            test(place)
        except Stuck as why:
            print(f"# tried again, since the emulator failed: {why}", flush=True)
            test(place)
    return run


class Pages:
    """The program in the machine PATH; its pages are (size, virtual, physical, word)."""

    def __init__(self, place, path, small, large):
        self.place, self.path = place, path
        with open(PAGES, "rb") as file:
            program = file.read()
        if subprocess.run([IREKO, "exec", path, "--", "sh", "-c", "cat > /tmp/pages && chmod +x /tmp/pages"],
                          input=program, env=place.env, check=False).returncode != 0:
            raise self.stuck()
        self.process = place.begin("exec", path, "--", "/tmp/pages", str(small), str(large), "rest",
                                   stdin=subprocess.PIPE)
        self.pages = []
        limit = threading.Timer(ANSWER_SECONDS, self.process.kill)
        limit.start()
        for line in self.process.stdout:
            if line == "ready\n":
                break
            self.pages.append(tuple(int(word, 16) for word in line.split()))
        limit.cancel()
        if len(self.pages) != small + large:
            assert self.process.wait(ANSWER_SECONDS) == -signal.SIGKILL, f"{len(self.pages)} pages"
            raise self.stuck()

    def end(self):
        try:
            self.process.communicate(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise self.stuck() from late

    def stuck(self):
        """That it stands still; where the outermost machine does too, it is ireko that let it."""
        self.place.ireko("exec", self.path.split("/")[0], "--", "true", timeout=ANSWER_SECONDS)
        return Stuck(f"{self.path} did not answer, or not in {ANSWER_SECONDS} s")


class Guest:
    """Where the layer PATH has the memory of its guest NAME: what /proc/PID says inside it."""

    def __init__(self, place, path, name, mib):
        ask = place.ireko("exec", path, "--", "sh", "-c",
                          f"p=$(cut -d' ' -f1 /run/ireko/nest/{name}/pid); echo $p; cat /proc/$p/maps").stdout
        lines = ask.splitlines()
        spans = [(int(a, 16), int(b, 16)) for a, b in
                 (re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line).groups() for line in lines[1:])]
        found = [a for a, b in spans if b - a == mib << 20]
        assert len(found) == 1, f"the memory of {name} is not one mapping of {mib} MiB:\n{ask}"
        first, count = found[0] // PAGE, (mib << 20) // PAGE
        raw = subprocess.run(
            [IREKO, "exec", path, "--", "dd",
             f"if=/proc/{lines[0]}/pagemap", "bs=8", f"skip={first}", f"count={count}", "status=none"],
            stdout=subprocess.PIPE, env=place.env, check=True).stdout
        self.entries = struct.unpack(f"<{len(raw) // 8}Q", raw)

    def outwards(self, physical):
        """A physical address of the guest as one of the layer; None where it is not there now."""
        entry = self.entries[physical // PAGE]
        return (entry & FRAME) * PAGE + physical % PAGE if entry >> 63 else None


def see(place, path, addresses, *options, expect=0):
    asked = [word for address in addresses for word in ("--address", hex(address))]
    done = place.ireko("see", path, "--json", *options, *asked, expect=expect)
    return json.loads(done.stdout) if done.stdout else None


def byte_at(document, offset, count):
    with open(document["ram_file"], "rb") as file:
        file.seek(int(document["ram_base"], 16) + offset)
        return file.read(count)


def places(walk):
    return [(place["layer"], place["space"], int(place["at"], 16)) for place in walk["chain"]]


def targets(pages):
    """(virtual, physical, word) of what is compared: every small page, and every 32nd page of a large one."""
    for size, virtual, physical, word in pages:
        for sub in range(0, size // PAGE, 32 if size > PAGE else 1):
            yield virtual + sub * PAGE, physical + sub * PAGE, word + (sub << 21)


def seen_with_its_tables(place, path, pages):
    """ireko's answers at a moment when the program's own page tables are loaded."""
    wanted = list(targets(pages))
    for _ in range(TRIES):
        document = see(place, path, [virtual for virtual, _, _ in wanted], expect=None)
        walks = document["vcpus"][0]["walks"]
        if walks[0]["ok"] and byte_at(document, places(walks[0])[-1][2], 8) == struct.pack("<Q", wanted[0][2]):
            return document, wanted, walks
    raise AssertionError(f"the page tables of the program were not loaded in {TRIES} tries: {walks[0]}")


def layers_around(place, path):
    """What each layer around PATH, from the innermost outwards, says where its guest's memory is."""
    names = path.split("/")
    return [Guest(place, "/".join(names[:depth]), names[depth], MIBS["/".join(names[:depth + 1])])
            for depth in range(len(names) - 1, 0, -1)]


def compare(place, path, small, large):
    """Every translation of PATH is what its own kernel and the kernels around it say."""
    level = path.count("/") + 1
    program = Pages(place, path, small, large)
    document, wanted, walks = seen_with_its_tables(place, path, program.pages)
    layers = layers_around(place, path)
    assert document["schema"] == "ireko.see/1" and document["path"] == path and document["level"] == level
    wrong, gone = [], 0
    for (virtual, physical, word), walk in zip(wanted, walks, strict=True):
        expected = [(level, "gva", virtual), (level, "gpa", physical)]
        for layer in layers:
            at = layer.outwards(expected[-1][2]) if expected[-1][2] is not None else None
            expected.append((expected[-1][0] - 1, "gpa", at))
        if expected[-1][2] is None:
            gone += 1
            continue
        expected.append((0, "offset", expected[-1][2]))
        content = byte_at(document, places(walk)[-1][2], 8) if walk["ok"] else b""
        if places(walk) != expected or content != struct.pack("<Q", word):
            wrong.append((hex(virtual), walk["cause"], places(walk), expected, content))
    program.end()
    print(f"# {path}: {len(walks)} translations compared, {len(wrong)} wrong, {gone} not in memory", flush=True)
    assert not wrong, f"{len(wrong)} of {len(walks)}: {wrong[:3]}"
    assert gone * 100 <= len(walks), f"{gone} of {len(walks)} pages were not in memory"
    sizes = {step["page_bytes"] for walk in walks for step in walk["steps"] if step["kind"] == "own" and step["last"]}
    assert {PAGE, LARGE} <= sizes or large == 0, f"pages of {sizes} were walked"


def rip_is_code(place):
    """With a stop and without one, the bytes at RIP are those of the memory file."""
    for path in PATHS:
        for options in [(), ("--no-pause",)]:
            document = see(place, path, [], *options)
            walk = document["vcpus"][0]["walks"][0]
            assert walk["ok"] and walk["what"] == "rip" and walk["bytes"] and walk["code"], walk
            assert (document["still_us"] is None) == bool(options), document["still_us"]
            here = byte_at(document, places(walk)[-1][2], len(walk["bytes"]) // 2)
            assert bytes.fromhex(walk["bytes"]) == here, (walk, here)


def guests_at_work_are_no_part_of_it(place):
    """Where a vCPU is stopped in a guest of the machine, the machine's own registers are those that it put away."""
    process = place.begin("exec", LEAF, "--", "sh", "-c", WORK)
    try:
        assert process.stdout.readline() == "at work\n"
        seen = [see(place, OUTER, [])["vcpus"][0] for _ in range(LOOKS)]
        running = [see(place, OUTER, [], "--no-pause")["vcpus"][0] for _ in range(LOOKS)]
    finally:
        process.kill()
        process.communicate()
    away = sum("where VMRUN put them" in vcpu["evidence"] for vcpu in seen)
    print(f"# {away} of {LOOKS} times the vCPU ran a guest", flush=True)
    assert away > 0 and all(vcpu["walks"][0]["ok"] and vcpu["mode"] == "long4" for vcpu in seen + running), seen
    assert all(int(vcpu["walks"][0]["address"], 16) >> 47 == 0x1FFFF for vcpu in seen if "VMRUN" in vcpu["evidence"])


def boxes_are_right(place):
    """Every page that --map lists is where the layer around says that it is."""
    boxes = {box["path"]: box for box in json.loads(place.ireko("see", OUTER, "--map", "--json").stdout)["boxes"]}
    assert set(boxes) == set(PATHS), boxes.keys()
    for path in (INNER, LEAF):
        layer, box = layers_around(place, path)[0], boxes[path]
        listed = wrong = 0
        for run in box["runs"]:
            for at in range(int(run["start"], 16), int(run["start"], 16) + run["bytes"], PAGE):
                there = layer.outwards(at) if at < MIBS[path] << 20 else None
                if run["cause"] is None and there is not None:
                    listed += 1
                    wrong += there != int(run["to"], 16) + at - int(run["start"], 16)
        print(f"# {path}: {listed} pages of its map compared, {wrong} elsewhere", flush=True)
        assert listed > 1000 and wrong * 1000 <= listed, f"{path}: {wrong} of {listed} pages are elsewhere"
        assert box["ram_bytes"] == MIBS[path] << 20
        assert box["small_bytes"] + box["large_bytes"] + box["huge_bytes"] >= box["taken_bytes"]


def what_was_saved_has_boxes(place):
    """The template that a clone began as is a saved machine: its guests are found, and have numbers."""
    with open(os.path.join(place.home, "run", "workshop", OUTER, "from.json"), encoding="utf-8") as file:
        state = json.load(file)["state"]
    ram = os.path.join(os.path.dirname(state), "ram")
    boxes = json.loads(place.ireko("see", state, "--ram", ram, "--map", "--json").stdout)["boxes"]
    assert [(box["path"], box["level"]) for box in boxes] == [(ram, 1), ("guest 1", 2), ("guest 2", 3)], boxes
    assert all(box["zero_bytes"] < box["taken_bytes"] for box in boxes), boxes
    assert boxes[0]["taken_bytes"] > boxes[1]["taken_bytes"] > boxes[2]["taken_bytes"] > 32 << 20, boxes
    found = json.loads(place.ireko("see", state, "--ram", ram, "--find", "--json").stdout)["guests"]
    assert [(f"guest {guest['number']}", guest["level"]) for guest in found] == [
        (box["path"], box["level"]) for box in boxes[1:]], (found, boxes)
    walk = json.loads(place.ireko("see", state, "--ram", ram, "--guest", "2", "--json").stdout)
    assert walk["level"] == 3 and walk["vcpus"][0]["walks"][0]["ok"], walk
    names_are_any_bytes(place, state, ram)


def names_are_any_bytes(place, state, ram):
    """A saved machine may have any name."""
    odd = os.fsencode(place.path("o")) + b"\xff\x1b"
    os.symlink(ram, odd)
    for option in ("--map", "--find"):
        said = subprocess.run([IREKO, "see", state, "--ram", odd, option, "--json"], stdout=subprocess.PIPE,
                              env=place.env, check=True).stdout
        assert json.loads(said) and b"\x1b" not in said, said
    os.remove(odd)


def shadows_lead_to_the_same(place):
    """L1's KVM runs L3 by a table merged from L2's and its own: all of L3 is where that one says, too."""
    memory = see(place, PATHS[0], [])["ram_file"]
    for _ in range(TRIES):  # the machines run on
        done = subprocess.run([SHADOWS, memory], stdout=subprocess.PIPE, text=True, check=True)
        found = [tuple(int(word) for word in line.split()) for line in done.stdout.splitlines()]
        if found and all(other == 0 for _, other, _ in found):
            break
    print(f"# L3 by both ways (same page, another, not in the shadow): {found}", flush=True)
    assert found and all(same > 1000 and other == 0 for same, other, _ in found), found


def a_dump_is_found_alike(place):
    """A dump of the memory alone shows the same control blocks and guests."""
    dump = place.path("dump")
    live = json.loads(place.ireko("see", OUTER, "--find", "--json").stdout)
    subprocess.run(["cp", "--sparse=always", see(place, OUTER, [])["ram_file"], dump], check=True)
    found = json.loads(place.ireko("see", dump, "--find", "--json").stdout)
    sure = [sorted((c["gpa"], c["owner"], c["guest"], c["shadow"]) for c in document["controls"]
                   if c["trust"] != "unconfirmed") for document in (live, found)]
    assert sure[0] == sure[1] and len(sure[0]) == 3, sure
    os.remove(dump)


def exits_add_up(place):
    """What one layer hands inwards the next one sees as exits of its guest, which an idle one has none of."""
    process = place.begin("exec", LEAF, "--", "sh", "-c", WORK)
    try:
        assert process.stdout.readline() == "at work\n"
        told = place.ireko("see", LEAF, "--exits", "--seconds", "4", "--json").stdout
    finally:
        process.kill()
        process.communicate()
    edges = {edge["path"]: edge for edge in json.loads(told)["edges"]}
    assert {OUTER, INNER, LEAF} <= set(edges), edges.keys()
    assert edges[OUTER]["counted"]
    back = sum(reason["reflected"] for reason in edges[INNER]["reasons"])
    seen = sum(reason["exits"] for reason in edges[LEAF]["reasons"])
    names = {reason["name"] for reason in edges[INNER]["reasons"]}
    print(f"# {back} exits handed back to {INNER}, which saw {seen}", flush=True)
    assert back > 0 and seen > 0 and abs(back - seen) <= max(back, seen) / 3, (back, seen)
    assert names & {"vmrun", "VMLAUNCH", "VMRESUME"}, names
    assert all(reason["meaning"] for reason in edges[INNER]["reasons"]), edges[INNER]["reasons"]
    wait_for(lambda: place.ireko("exec", OUTER, "--", "ls", "/sys/kernel/tracing/instances").stdout == "",
             what="the end of tracing")


@again_where_it_stuck
def the_nest_is_seen(place):
    """Thousands of translations of L1, L2 and L3 are what the layers themselves say"""
    try:
        up(place, WORKSHOP, "--fresh")  # booted: its memory is a file that others can read, too
        rip_is_code(place)
        compare(place, OUTER, 2000, 4)
        compare(place, INNER, 2000, 4)
        compare(place, LEAF, 1000, 2)
        boxes_are_right(place)
        exits_add_up(place)
        shadows_lead_to_the_same(place)
        a_dump_is_found_alike(place)
        found_is_what_runs(place, "workshop", PATHS)
        what_ended_is_not_found(place, "workshop", PATHS)
    finally:
        place.ireko("down", "workshop", expect=None)


@again_where_it_stuck
def a_clone_is_seen_as_well(place):
    """A clone, whose memory is pages of its own over its template's, is stopped and seen as a machine that booted"""
    try:
        up(place, WORKSHOP)  # where there is no template, that makes one
        place.ireko("down", "workshop")
        up(place, WORKSHOP)
        assert see(place, OUTER, [])["ram_file"].endswith("/mem"), "it is no clone"
        rip_is_code(place)
        guests_at_work_are_no_part_of_it(place)
        for path in PATHS:
            compare(place, path, 300, 1)
        found_is_what_runs(place, "workshop", PATHS)
        what_was_saved_has_boxes(place)
    finally:
        place.ireko("down", "workshop", expect=None)


@again_where_it_stuck
def two_guests_are_told_apart(place):
    """Of two guests in one hypervisor each is told to be itself"""
    one = {"numvcpus": "1"}
    paths = ["outer/one", "outer/two"]
    inner = [Machine(path.split("/")[1], memsize=str(MIBS[path]), **one) for path in paths]
    process = None
    lab = place.lab("pair", Machine("outer", *inner, memsize=str(MIBS["outer"]), **one))
    try:
        up(place, lab, "--fresh")
        # the beginning of its own path, as a stack may have it: not what a kernel was started with
        process = place.begin("exec", paths[0], "--", "env", "ireko.path=outer", "sh", "-c",
                              "echo at work; while :; do sleep 1; done")
        assert process.stdout.readline() == "at work\n"
        for path in paths:
            compare(place, path, 300, 0)
            walk = see(place, path, [])["vcpus"][0]
            assert f"ireko.path={path}" in walk["evidence"], walk["evidence"]
    finally:
        if process is not None:
            process.kill()
            process.communicate()
        place.ireko("down", "pair", expect=None)


def no_hypervisor_is_found_where_none_is(place):
    """In a Linux without guests no control block is found"""
    vmx = write(place.path("leaf.vmx"), vmx_text({**LEAF_KEYS, "memsize": "256"}))
    try:
        place.ireko("run", "--detach", vmx, timeout=UP_SECONDS)
        nothing_is_found(place, "leaf")
    finally:
        place.ireko("down", "run-leaf", expect=None)


if __name__ == "__main__":
    sys.exit(run_tests([the_nest_is_seen, a_clone_is_seen_as_well, two_guests_are_told_apart,
                        no_hypervisor_is_found_where_none_is], lambda: Place(HOME)))
