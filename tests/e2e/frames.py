"""The lab's network on real QEMU: guests of hypervisors on one network, a bridge taken apart, a switch
killed. The built images are those of workshop.py."""

import re
import sys

from harness import TOP, by_path, kill, run_tests
from nests import check_contract
from network import KINDS, frames, switches
from workshop import shared_place, up, why_not

LAB = f"{TOP}/examples/network"
PATHS = ["esxi-1", "esxi-1/linux", "esxi-2", "esxi-2/linux"]


def addresses(nest):
    return {path: {a["network"]: a["address"].split("/")[0] for a in machine["addresses"]}
            for path, machine in by_path(nest).items()}


def ping(place, path, address):
    done = place.ireko("exec", path, "--", "ping", "-c", "3", "-w", "60", address, expect=None)
    return done.returncode == 0


def test_network(place):
    """Guests of two hosts reach each other; a port taken out of a bridge is named; a dead switch is mended."""
    up(place, LAB)
    nest = place.nest("verify", "network")
    check_contract(nest)
    counts, lost = frames(nest)
    assert nest["ok"] and not lost, lost
    assert counts == {path: {kind: (3, 3) for kind in KINDS} for path in PATHS}, counts
    at = addresses(nest)
    assert ping(place, "esxi-1/linux", at["esxi-2/linux"]["hostonly"])
    assert ping(place, "esxi-2", at["esxi-1/linux"]["hostonly"])
    gateway = place.ireko("exec", "esxi-1", "--", "ip", "route").stdout
    assert ping(place, "esxi-1", re.search(r"default via (\S+)", gateway)[1])

    tap = place.ireko("exec", "esxi-1", "--", "sh", "-c",
                      "grep -l linux /sys/class/net/*/ifalias").stdout.split("/")[4]
    place.ireko("exec", "esxi-1", "--", "ip", "link", "set", tap, "nomaster")
    counts, lost = frames(place.nest("verify", "network", expect=1))
    assert counts["esxi-2"] == {kind: (3, 2) for kind in KINDS}, counts
    for words in lost["esxi-2"].values():
        assert words == ("from esxi-1/linux: seen at the port of linux ethernet0 in esxi-1, not at "
                         "ethernet0 of esxi-1: the bridge in esxi-1 ate it"), words
    for words in lost["esxi-1/linux"].values():
        assert "from esxi-1: seen at bridge 0 of esxi-1, not at the port of linux" in words, words
    place.ireko("exec", "esxi-1", "--", "ip", "link", "set", tap, "master", "br0")

    before = place.guests()
    kill(switches(place)["network/hostonly"])
    broken = [check for check in by_path(place.nest("verify", "network", expect=1))["esxi-2"]["checks"]
              if not check["ok"]]
    assert [check["what"] for check in broken] == ["net.link", *KINDS], broken
    assert all("does not run" in check["evidence"] and "ireko up network" in check["fix"]
               for check in broken), broken
    assert place.nest("up", LAB)["ok"], "up did not mend the network"
    after = place.guests()
    for path in ("network/esxi-1", "network/esxi-2"):
        assert after[path] == before[path], "it was started anew"
    place.ireko("down", "network")


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    sys.exit(run_tests([test_network], shared_place))
