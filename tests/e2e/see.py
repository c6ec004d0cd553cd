"""What ireko sees of a real nest from outside, compared with what every layer says of itself.

In a machine a program fills pages and prints where its own kernel says they are. Around it, the kernel
of each layer says where the process that is the machine has that memory. ireko is told none of this."""

import json
import os
import re
import struct
import subprocess
import sys

from harness import LEAF, TOP, Place, run_tests, vmx_text, wait_for, write
from vmruns import found_is_what_runs, nothing_is_found, what_ended_is_not_found
from workshop import HOME, UP_SECONDS, WORKSHOP, up

PAGES = os.environ.get("IREKO_GUEST_PAGES", os.path.join(TOP, "build/tests/e2e/guest-pages"))
SHADOWS = os.environ.get("IREKO_SHADOW_PAGES", os.path.join(TOP, "build/tests/e2e/shadow-pages"))
PAGE = 4096
LARGE = 2 << 20
FRAME = (1 << 55) - 1
PATHS = ["esxi01", "esxi01/esxi02", "esxi01/esxi02/linux"]
TRIES = 6  # a vCPU is seen at any moment: also when its kernel runs something else


def words(*parts):
    return " ".join(parts)


class Pages:
    """The program in the machine PATH; its pages are (size, virtual, physical, word)."""

    def __init__(self, place, path, small, large):
        with open(PAGES, "rb") as file:
            program = file.read()
        subprocess.run([os.environ.get("IREKO", os.path.join(TOP, "build/ireko")), "exec", path, "--", "sh", "-c",
                        "cat > /tmp/pages && chmod +x /tmp/pages"],
                       input=program, env=place.env, check=True)
        self.process = place.begin("exec", path, "--", "/tmp/pages", str(small), str(large),
                                   stdin=subprocess.PIPE)
        self.pages = []
        for line in self.process.stdout:
            if line == "ready\n":
                break
            self.pages.append(tuple(int(word, 16) for word in line.split()))
        assert len(self.pages) == small + large, f"{len(self.pages)} pages: {self.process.stderr}"

    def end(self):
        self.process.communicate()


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
            [os.environ.get("IREKO", os.path.join(TOP, "build/ireko")), "exec", path, "--", "dd",
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


def compare(place, path, mibs, small, large):
    """Every translation of PATH is what its own kernel and the kernels around it say."""
    names = path.split("/")
    program = Pages(place, path, small, large)
    document, wanted, walks = seen_with_its_tables(place, path, program.pages)
    layers = [Guest(place, "/".join(names[:depth]), names[depth], mibs[depth]) for depth in range(1, len(names))]
    assert document["schema"] == "ireko.see/1" and document["path"] == path and document["level"] == len(names)
    wrong, gone = [], 0
    for (virtual, physical, word), walk in zip(wanted, walks, strict=True):
        expected = [(len(names), "gva", virtual), (len(names), "gpa", physical)]
        for depth in range(len(names) - 1, 0, -1):
            at = layers[depth - 1].outwards(expected[-1][2]) if expected[-1][2] is not None else None
            expected.append((depth, "gpa", at))
        if any(at is None for _, _, at in expected):
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
    for path in PATHS:
        document = see(place, path, [])
        walk = document["vcpus"][0]["walks"][0]
        assert walk["ok"] and walk["what"] == "rip" and walk["bytes"], walk
        assert bytes.fromhex(walk["bytes"])[:8] == byte_at(document, places(walk)[-1][2], len(walk["bytes"]) // 2)[:8]


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


def the_nest_is_seen(place):
    """Thousands of translations of L1, L2 and L3 are what the layers themselves say"""
    try:
        up(place, WORKSHOP)
        rip_is_code(place)
        compare(place, PATHS[0], [2048], 2000, 4)
        compare(place, PATHS[1], [2048, 1024], 2000, 4)
        compare(place, PATHS[2], [2048, 1024, 256], 1000, 2)
        shadows_lead_to_the_same(place)
        found_is_what_runs(place, "workshop", PATHS)
        what_ended_is_not_found(place, "workshop", PATHS)
    finally:
        place.ireko("down", "workshop", expect=None)


def no_hypervisor_is_found_where_none_is(place):
    """In a Linux without guests no control block is found"""
    vmx = write(place.path("leaf.vmx"), vmx_text({**LEAF, "memsize": "256"}))
    try:
        place.ireko("run", "--detach", vmx, timeout=UP_SECONDS)
        nothing_is_found(place, "leaf")
    finally:
        place.ireko("down", "run-leaf", expect=None)


if __name__ == "__main__":
    sys.exit(run_tests([the_nest_is_seen, no_hypervisor_is_found_where_none_is], lambda: Place(HOME)))
