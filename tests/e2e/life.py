"""A lab's life on real QEMU: a nest frozen with its guests running and brought back, and one killed."""

import json
import os
import signal
import sys
import time

from harness import Machine, by_path, run_tests
from workshop import shared_place, up, why_not

SECONDS = 600
CARD = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": "vmxnet3",
        "ethernet0.connectionType": "nat"}
ONE_CPU = {"numvcpus": "1"}  # docs/design/boot.md
HOST, GUEST = "host", "host/guest"
WHO = "cat /etc/machine-id /proc/sys/kernel/random/boot_id /sys/class/net/eth0/address; hostname"
DISK = "/dev/$(basename $(dirname $(grep -lx 16384 /sys/block/sd*/size)))"  # the one of 8 MiB
COUNT = ("i=0; while :; do i=$((i + 1)); echo $i > /run/count.new; mv /run/count.new /run/count; "
         "sleep 0.1; done >/dev/null 2>&1 </dev/null &")


def sh(place, path, script):
    return place.ireko("exec", path, "--", "sh", "-c", script).stdout


def shell_says(place, path):
    """What the machine PATH holds: its count, a note, and what it is."""
    count, text, *who = sh(place, path, f"cat /run/count /run/note; {WHO}").splitlines()
    return int(count), text, who


def write_note(place, text):
    for path in (HOST, GUEST):
        sh(place, path, f"echo {text} > /run/note")
        sh(place, path, f"echo {text} | dd of={DISK} conv=fsync 2>/dev/null")


def disk(place, path):
    return sh(place, path, f"head -c 5 {DISK}")


def restore(place, name):
    return json.loads(place.ireko("restore", "life", name, "--json", timeout=SECONDS).stdout)


def check_back(place, path, then, text):
    """PATH goes on from THEN, remembers TEXT, is who it was, and its clock is right."""
    count, said, who = shell_says(place, path)
    assert said == text and disk(place, path) == text, (path, said)
    assert who == then[2], (path, who, then[2])
    assert then[0] <= count < then[0] + 600, (path, then[0], count)
    assert abs(int(sh(place, path, "date +%s")) - time.time()) <= 10, path
    time.sleep(0.5)
    assert shell_says(place, path)[0] > count, f"{path} stands still"


def test_life(place):
    """A nest is brought back, with all inside; of one machine killed ps tells, and up repairs it."""
    lab = place.lab("life", Machine(HOST, Machine("guest", **CARD), **CARD, **ONE_CPU))
    assert json.loads(up(place, lab, "--json").stdout)["ok"]
    for path in (HOST, GUEST):
        sh(place, path, COUNT)
    write_note(place, "first")
    time.sleep(0.5)
    then = {path: shell_says(place, path) for path in (HOST, GUEST)}
    place.ireko("snapshot", "life", "one", timeout=SECONDS)
    write_note(place, "later")
    randoms = []
    for _ in range(2):
        nest = restore(place, "one")
        assert nest["ok"] and {m["origin"] for m in nest["machines"]} == {"snapshot"}, nest
        for path in (HOST, GUEST):
            check_back(place, path, then[path], "first")
            randoms.append(sh(place, path, "head -c 16 /dev/urandom | od -An -tx1"))
    assert len(set(randoms)) == 4, randoms
    assert place.nest("verify", "life")["ok"]

    # what came back is saved in its turn, memory and disk in one
    write_note(place, "other")
    place.ireko("snapshot", "life", "two", timeout=SECONDS)
    write_note(place, "later")
    assert restore(place, "two")["ok"]
    for path in (HOST, GUEST):
        check_back(place, path, then[path], "other")

    os.kill(place.guests()["life/host"], signal.SIGKILL)
    time.sleep(1)
    assert by_path(place.nest("ps", "life"))[HOST]["state"] == "stopped"
    assert json.loads(up(place, lab, "--json").stdout)["ok"]
    assert restore(place, "one")["ok"]
    place.ireko("down", "life")


if __name__ == "__main__":
    WHY = why_not()
    if WHY:
        print(f"1..0 # SKIP {WHY}")
        sys.exit(0)
    sys.exit(run_tests([test_life], shared_place))
