"""Labs that require vSAN, of fake machines: what their files are refused for, what the hosts prove."""

import json
import os
import shutil

from harness import TOP, Place, by_path, main, one_error, read, write
from nests import check_contract

EXAMPLE = os.path.join(TOP, "examples", "vsan")
HOSTS = ["esxi-1", "esxi-2", "esxi-3"]
OF_A_HOST = [(what, f"scsi0:{unit}") for unit, role in ((1, "vsan.cache"), (2, "vsan.capacity"))
             for what in (role, "disk.size", "disk.serial", "disk.wwn")]


def three_files(place, name, change=None):
    """A copy of the example with a file for each host, the second of them as CHANGE makes it."""
    lines = read(os.path.join(EXAMPLE, "esxi.vmx")).splitlines(keepends=True)
    folder = place.path(name)
    os.makedirs(folder)
    for number in (1, 2, 3):
        own = change(lines) if number == 2 and change else lines
        write(os.path.join(folder, f"esxi0{number}.vmx"), "".join(own))
    machines = "".join(f"  - vmx: esxi0{number}.vmx\n" for number in (1, 2, 3))
    write(os.path.join(folder, "lab.yaml"), f"name: {name}\nrequires: [vsan]\nmachines:\n{machines}")
    return folder


def without(text):
    return lambda lines: [line for line in lines if text not in line]


def line_of(path, text):
    return next(number for number, line in enumerate(read(path).splitlines(), 1) if text in line)


def vsan_checks(machine):
    return {(check["what"], check.get("device")): check for check in machine["checks"]
            if check["what"].startswith("vsan.") or check["what"] in (
                "disk.size", "disk.serial", "disk.wwn")}


def test_example(place):
    """The example comes up, and each host proves what it contributes."""
    for words in (("up", EXAMPLE), ("verify", "vsan")):
        nest = place.nest(*words)
        check_contract(nest)
        assert nest["ok"] and [machine["path"] for machine in nest["machines"]] == HOSTS
        for machine in nest["machines"]:
            first = [("vsan.hosts", None)] if machine["path"] == HOSTS[0] else []
            assert list(vsan_checks(machine)) == OF_A_HOST + first, machine
            assert all(check["ok"] for check in machine["checks"]), machine
        cache = vsan_checks(nest["machines"][1])["vsan.cache", "scsi0:1"]
        assert cache["promised"] == cache["seen"] == "ssd" and "1 GiB" in cache["evidence"]
        assert vsan_checks(nest["machines"][0])["vsan.hosts", None]["seen"] == 3
    place.ireko("down", "vsan")


def test_one_host(place):
    """A host that is stopped is missed by the others, and started again they are as many as before."""
    place.ireko("up", EXAMPLE)
    place.ireko("stop", "esxi-2")
    hosts = broken(place.nest("verify", "vsan", expect=1))
    assert hosts["esxi-1", "vsan.hosts", None]["evidence"] == "ready: esxi-1, esxi-3", hosts
    started = place.nest("start", "esxi-2")
    assert [machine["path"] for machine in started["machines"]] == ["esxi-2"] and started["ok"]
    assert not vsan_checks(started["machines"][0]), "of one host it is not asked"
    assert place.nest("verify", "vsan")["ok"]
    place.ireko("down", "vsan")


def test_other_labs(place):
    """A lab that requires nothing is not asked."""
    folder = three_files(place, "free", without("virtualSSD"))
    write(os.path.join(folder, "lab.yaml"),
          read(os.path.join(folder, "lab.yaml")).replace("requires: [vsan]\n", ""))
    nest = place.nest("up", folder)
    assert nest["ok"] and not any(vsan_checks(machine) for machine in nest["machines"])
    place.ireko("down", "free")


def test_no_ssd(place):
    """A host without its virtualSSD line is named, with the line to mend, before anything starts."""
    folder = three_files(place, "lost", without("virtualSSD"))
    host = os.path.join(folder, "esxi02.vmx")
    where = f"{host}:{line_of(host, 'esxi-cache.vmdk')}"
    fix = f"ireko vmx ssd {host} scsi0:1"
    for words in (("up", folder), ("up", folder, "--dry-run")):
        done = place.ireko(*words, expect=1)
        one_error(done, where, "esxi02 is not ready for vSAN", fix)
        assert done.stdout == ""
    found = json.loads(place.ireko("vmx", "lint", folder, "--json", expect=1).stdout)
    errors = [finding for finding in found["labs"][0]["findings"] if finding["severity"] == "error"]
    assert [(finding["code"], f"{finding['file']}:{finding['line']}") for finding in errors] == [
        ("vsan-no-ssd", where)]
    assert place.ireko("ps").stdout == ""
    place.ireko(*fix.split()[1:])
    assert place.nest("up", folder)["ok"]
    place.ireko("down", "lost")


def test_memory(place):
    """ESXi itself needs the memory that vSAN takes; the image that stands in its place does not."""
    folder = three_files(place, "real", without("ireko.image"))
    host = os.path.join(folder, "esxi02.vmx")
    one_error(place.ireko("up", folder, "--dry-run", expect=1),
              f"{host}:{line_of(host, 'memsize')}", "6140 MB", 'memsize = "6140" or more')


def test_many_faults(place):
    """Of several faults one is said, and how to see the others."""
    folder = three_files(place, "bad", lambda lines: [
        line.replace('"4G"', '"1G"').replace("hostonly", "nat") for line in lines])
    one_error(place.ireko("up", folder, expect=1), "esxi02 is not ready", "1 more: 'ireko vmx lint")


def test_unknown_requirement(place):
    """A requirement that ireko does not know is an error that lists those it knows."""
    folder = place.path("new")
    shutil.copytree(EXAMPLE, folder)
    text = read(os.path.join(folder, "lab.yaml")).replace("[vsan]", "[vsan, vmotion]")
    path = write(os.path.join(folder, "lab.yaml"), text)
    one_error(place.ireko("up", folder, expect=1), f"{path}:4", "'vmotion'", "vsan")


def broken(nest):
    return {(path, check["what"], check.get("device")): check
            for path, machine in by_path(nest).items() for check in machine["checks"]
            if not check["ok"]}


def test_liar(place):
    """A host whose SSD turns after all is named from inside, with the line of the disk."""
    folder = three_files(place, "liar", lambda lines: [*lines, 'ireko.fake = "lies-about-ssd"\n'])
    nest = place.nest("up", folder, expect=1)
    check_contract(nest)
    found = broken(nest)
    cache = found["esxi02", "vsan.cache", "scsi0:1"]
    host = os.path.join(folder, "esxi02.vmx")
    assert cache["promised"] == "ssd" and cache["seen"] == "hdd", cache
    assert cache["fix"].startswith(f"{host}:{line_of(host, 'esxi-cache.vmdk')}: "), cache
    assert found["esxi01", "vsan.hosts", None]["seen"] == 2
    assert found["esxi01", "vsan.hosts", None]["evidence"] == "ready: esxi01, esxi03"
    said = place.ireko("verify", folder, expect=1).stdout
    assert f"To mend it: {cache['fix']}" in said and "too-few-hosts" in said, said
    place.ireko("down", "liar")


def test_twins(place):
    """Two hosts whose disks have one serial number are both named."""
    folder = place.path("twins")
    shutil.copytree(EXAMPLE, folder)
    path = os.path.join(folder, "esxi.vmx")
    write(path, read(path) + 'ireko.fake = "same-serial"\n')
    found = broken(place.nest("up", folder, expect=1))
    for host in HOSTS:
        check = found[host, "disk.serial", "scsi0:1"]
        assert check["seen"] == "shared" and check["cause"] == "same-identity", check
        other = HOSTS[1] if host == HOSTS[0] else HOSTS[0]
        assert f"as {other} scsi0:1" in check["evidence"], check
        assert f"{path}:{line_of(path, 'esxi-cache.vmdk')}: " in check["fix"]
    place.ireko("down", "vsan")


if __name__ == "__main__":
    main([test_example, test_one_host, test_other_labs, test_no_ssd, test_memory, test_many_faults,
          test_unknown_requirement, test_liar, test_twins], lambda: Place().fake("1"))
