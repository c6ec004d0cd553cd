"""Disks on real QEMU: hosts that are ready for vSAN, and what a guest discards at any depth."""

import json
import os
import sys

from harness import by_path, one_error, run_tests
from vsan import EXAMPLE, OF_A_HOST, line_of, vsan_checks
from workshop import WORKSHOP, check_contract, shared_place, up, why_not

MIB = 1 << 20

# Of the disk that says it is an SSD: a file system with 24 MiB in it; and it taken away again.
FILL = """
set -e
disk=/dev/$(grep -l 0 /sys/block/sd?/queue/rotational | cut -d/ -f4)
mke2fs $disk > /dev/null
mkdir -p /run/scratch
mount $disk /run/scratch
dd if=/dev/urandom of=/run/scratch/file bs=1M count=24 2> /dev/null
sync
"""
EMPTY = "rm /run/scratch/file; sync; fstrim /run/scratch; umount /run/scratch"


def test_vsan(place):
    """Three hosts come up ready for vSAN, and a flag that is turned inside one of them is found."""
    up(place, EXAMPLE)
    nest = place.nest("verify", "vsan")
    check_contract(nest)
    seen = {}
    for path, machine in by_path(nest).items():
        checks = vsan_checks(machine)
        assert [key for key in checks if key[1]] == OF_A_HOST, machine
        assert all(check["ok"] for check in machine["checks"]), machine
        assert "B1h 00b1003c0001" in checks["vsan.cache", "scsi0:1"]["evidence"]
        assert "B1h 00b1003c0000" in checks["vsan.capacity", "scsi0:2"]["evidence"]
        assert checks["disk.size", "scsi0:1"]["seen"] == 1024 * MIB
        assert checks["disk.size", "scsi0:2"]["seen"] == 4096 * MIB
        for what in ("disk.serial", "disk.wwn"):
            for device in ("scsi0:1", "scsi0:2"):
                value = checks[what, device]["evidence"].split(": ")[1].split(", ")[0]
                assert seen.setdefault(value, path) == path, f"{value}: {path}, {seen[value]}"
    assert len(seen) == 12 and sum(value.startswith("naa.5000c29") for value in seen) == 6, seen

    place.ireko("exec", "esxi-2", "--", "sh", "-c",
                "echo 1 > $(grep -l 0 /sys/block/sd?/queue/rotational)")
    broken = {(path, check["what"]): check
              for path, machine in by_path(place.nest("verify", "vsan", expect=1)).items()
              for check in machine["checks"] if not check["ok"]}
    assert sorted(broken) == [("esxi-1", "vsan.hosts"), ("esxi-2", "disk.ssd"),
                              ("esxi-2", "vsan.cache")], broken
    line = line_of(os.path.join(EXAMPLE, "esxi.vmx"), "esxi-cache.vmdk")
    assert f"esxi.vmx:{line}: " in broken["esxi-2", "vsan.cache"]["fix"], broken
    place.ireko("down", "vsan")


def measure(place):
    """A disk is measured inside its machine, as both, and is afterwards as it was."""
    path = "esxi01/esxi02"
    disk = "/dev/$(grep -l 0 /sys/block/sd?/queue/rotational | cut -d/ -f4)"
    look = f"head -c 16777216 {disk} | md5sum; cat /sys/block/sd?/queue/rotational"
    place.ireko("exec", path, "--", "sh", "-c", f"head -c 4000000 /dev/urandom > {disk}; sync")
    before = place.ireko("exec", path, "--", "sh", "-c", look).stdout
    shown = json.loads(place.ireko("bench", "disk", path, "--rounds", "1", "--json").stdout)
    assert shown["accel"] == "kvm" and shown["device"] == "scsi0:1" and shown["bytes"] == 64 * MIB
    for row in shown["results"]:
        assert all(row[what]["least"] > 1 for what in ("hdd", "ssd", "file")), row
    assert place.ireko("exec", path, "--", "sh", "-c", look).stdout == before
    place.ireko("exec", path, "--", "sh", "-c",
                f"disk={disk}; mke2fs $disk > /dev/null; mkdir /run/m; mount $disk /run/m")
    one_error(place.ireko("bench", "disk", path, expect=1), path, "in use there: unmount it")
    place.ireko("exec", path, "--", "umount", "/run/m")


def test_discard(place):
    """What a guest discards is given back by the layer that its disk is made on; disks are measured."""
    up(place, WORKSHOP)

    def used_mib(depth):
        if depth == 0:  # a clone has an overlay besides
            folder = os.path.join(place.home, "run", "workshop", "esxi01")
            files = [entry for entry in os.scandir(folder) if entry.name.startswith("scsi0-1")]
            return sum(entry.stat().st_blocks for entry in files) * 512 / MIB
        said = place.ireko("exec", "esxi01", "--", "stat", "-c", "%b",
                           "/run/ireko/nest/esxi02/scsi0-1-flat.vmdk").stdout
        return int(said) * 512 / MIB
    for depth, path in enumerate(("esxi01", "esxi01/esxi02")):
        fresh = used_mib(depth)
        place.ireko("exec", path, "--", "sh", "-c", FILL)
        full = used_mib(depth)
        place.ireko("exec", path, "--", "sh", "-c", EMPTY)
        empty = used_mib(depth)
        assert fresh < 1 and full > 24 and empty < 4, f"{path}: {fresh}, {full}, {empty} MiB"
    measure(place)
    place.ireko("down", "workshop")


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    sys.exit(run_tests([test_vsan, test_discard], shared_place))
