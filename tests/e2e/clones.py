"""Templates on real QEMU: hosts that are clones, what each is inside, and that no two are the same."""

import json
import os
import sys

from harness import Machine, run_tests
from workshop import shared_place, why_not

UP_SECONDS = 600
READ = ("hostname; cat /etc/machine-id /sys/class/dmi/id/product_uuid /proc/sys/kernel/random/boot_id "
        "/sys/class/net/eth0/address /run/ireko/path; head -c 16 /dev/urandom | od -An -tx1; "
        "date +%s; cat /proc/uptime")
FIELDS = ["host", "machine-id", "uuid", "boot-id", "mac", "path", "random", "date", "uptime"]
OWN = FIELDS[:7]  # what no two machines share
CARD = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": "vmxnet3",
        "ethernet0.connectionType": "nat", "ethernet1.present": "TRUE", "ethernet1.virtualDev": "vmxnet3",
        "ethernet1.connectionType": "hostonly"}
ONE_CPU = {"numvcpus": "1"}  # docs/design/boot.md


def lab_of(place, count):
    guest = Machine("guest", **CARD)
    return place.lab("twins", Machine("host", guest, count=count, **CARD, **ONE_CPU))


def up(place, lab, *words):
    return json.loads(place.ireko("up", lab, "--json", *words, timeout=UP_SECONDS).stdout)


def identity(place, path):
    said = place.ireko("exec", path, "--", "sh", "-c", READ).stdout.splitlines()
    return dict(zip(FIELDS, (line.strip() for line in said)))


def check_identities(place, paths):
    """Reads every machine from inside; returns what each is."""
    found = {path: identity(place, path) for path in paths}
    now = int(os.popen("date +%s").read())
    for path, one in found.items():
        assert set(one) == set(FIELDS), (path, one)
        assert one["path"] == path and one["host"] == path.replace("/", "-"), (path, one)
        assert abs(int(one["date"]) - now) <= 10, (path, one, now)
    for field in OWN:
        values = [one[field] for one in found.values()]
        assert len(set(values)) == len(values), (field, values)
    return found


def serials(place, path):
    """What the kernel has read of its disks."""
    said = place.ireko("exec", path, "--", "sh", "-c", "cat /sys/block/sd?/device/vpd_pg80 | od -An -c").stdout
    assert "o" in said, said
    return said


def test_clones(place):
    """Two hosts, then two clones: a MAC, UUID, name, machine-id, random numbers each, at every layer."""
    lab = lab_of(place, 2)
    paths = ["host-1", "host-1/guest", "host-2", "host-2/guest"]
    nest = up(place, lab)
    assert nest["ok"] and {m["path"]: m["origin"] for m in nest["machines"]}["host-2"] == "clone"
    place.ireko("down", "twins")

    nest = up(place, lab)
    assert nest["ok"] and {m["origin"] for m in nest["machines"]} == {"clone"}, nest
    assert serials(place, "host-1") != serials(place, "host-2")
    first = check_identities(place, paths)
    before = float(first["host-1/guest"]["uptime"].split()[0])
    assert place.nest("verify", "twins")["ok"]
    assert float(identity(place, "host-1/guest")["uptime"].split()[0]) > before, "it stands still"
    # each writes to a disk of its own
    place.ireko("exec", "host-1", "--", "sh", "-c", "echo one | dd of=/dev/sdb conv=fsync 2>/dev/null")
    said = place.ireko("exec", "host-2", "--", "sh", "-c", "head -c 3 /dev/sdb | od -An -tx1").stdout
    assert said.split() == ["00", "00", "00"], said
    place.ireko("down", "twins")

    nest = up(place, lab)  # from the same template, whatever the clones before did
    second = check_identities(place, paths)
    for path in paths:
        for field in ("machine-id", "boot-id", "random"):
            assert first[path][field] != second[path][field], (path, field)
        for field in ("uuid", "mac", "host"):
            assert first[path][field] == second[path][field], (path, field)
    said = place.ireko("exec", "host-1", "--", "sh", "-c", "head -c 3 /dev/sdb | od -An -tx1").stdout
    assert said.split() == ["00", "00", "00"], said
    place.ireko("down", "twins")


def pid_of(folder):
    with open(os.path.join(folder, "pid"), encoding="utf-8") as file:
        return int(file.read().split()[0])


def test_spares(place):
    """Hosts that stood ready: nobody in them was anybody before, and their networks lead on."""
    lab = lab_of(place, 2)
    paths = ["host-1", "host-1/guest", "host-2", "host-2/guest"]
    up(place, lab)
    first = check_identities(place, paths)
    told = json.loads(place.ireko("template", "warm", lab, "--count", "2", "--json").stdout)
    assert [machine["made"] for machine in told["machines"]] == [2, 2], told
    for _ in range(2):
        place.ireko("down", "twins")
        top = os.path.join(place.home, "run", ".spares", "twins")
        ready = {pid_of(os.path.join(top, host, name)) for host in os.listdir(top)
                 for name in os.listdir(os.path.join(top, host))}
        nest = up(place, lab)
        assert nest["ok"] and {m["origin"] for m in nest["machines"]} == {"clone"}, nest
        taken = {pid_of(os.path.join(place.home, "run", "twins", f"host-{n}")) for n in (1, 2)}
        assert taken <= ready, (taken, ready)
        now = check_identities(place, paths)
        for path in paths:
            for field in ("machine-id", "boot-id", "random"):
                assert first[path][field] != now[path][field], (path, field)
            for field in ("uuid", "mac", "host"):
                assert first[path][field] == now[path][field], (path, field)
        first = now
        assert serials(place, "host-1") != serials(place, "host-2")
        assert place.nest("verify", "twins")["ok"]  # frames between them, too
        place.ireko("exec", "host-1", "--", "sh", "-c", "echo one | dd of=/dev/sdb conv=fsync 2>/dev/null")
        said = place.ireko("exec", "host-2", "--", "sh", "-c", "head -c 3 /dev/sdb | od -An -tx1").stdout
        assert said.split() == ["00", "00", "00"], said
    place.ireko("down", "twins")


def test_damaged(place):
    """A bit of the memory turns: the host boots, and says why."""
    lab = lab_of(place, 1)
    assert up(place, lab)["machines"][0]["origin"] == "clone"
    listed = json.loads(place.ireko("template", "list", "--json").stdout)["templates"]
    [key] = [template["key"] for template in listed if template["in_use"]]
    place.ireko("down", "twins")
    with open(os.path.join(place.home, "templates", key, "ram"), "r+b") as file:
        file.seek(20 << 20)
        byte = file.read(1)
        file.seek(20 << 20)
        file.write(bytes([byte[0] ^ 4]))
    done = place.ireko("up", lab, "--json", timeout=UP_SECONDS)
    assert json.loads(done.stdout)["machines"][0]["origin"] == "boot"
    assert "'ram' is damaged" in done.stderr, done.stderr
    place.ireko("down", "twins")


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    sys.exit(run_tests([test_clones, test_spares, test_damaged], shared_place))
