"""Templates, on whole nests of fake machines: when a host is a clone, when it boots, and what is
left of either."""

import json
import os
import signal

from harness import Machine, Place, by_path, kill, main, one_error, read, wait_for, write

KEY_DIGITS = 32


def hosts(count=1, **keys):
    return [Machine("esxi01", Machine("linux"), count=count, **keys)]


def templates(place):
    return json.loads(place.ireko("template", "list", "--json").stdout)["templates"]


def origins(nest):
    return {machine["path"]: machine["origin"] for machine in nest["machines"]}


def folder_of(place):
    [template] = templates(place)
    return os.path.join(place.home, "templates", template["key"])


def test_next_up(place):
    """The first up boots and keeps a template; the next one is a clone of it, proven as well."""
    lab = place.lab("deep", Machine("esxi01", Machine("esxi02", Machine("linux"))))
    first = place.nest("up", lab)
    assert first["ok"] and set(origins(first).values()) == {"boot"}, origins(first)
    [template] = templates(place)
    assert len(template["key"]) == KEY_DIGITS and template["machines"] == 3
    assert (template["lab"], template["name"], template["damage"]) == ("deep", "esxi01", None)
    assert not template["in_use"]
    place.ireko("down", "deep")
    second = place.nest("up", lab)
    assert second["ok"] and set(origins(second).values()) == {"clone"}, origins(second)
    whats = [[check["what"] for check in machine["checks"]] for machine in first["machines"]]
    assert whats == [[check["what"] for check in m["checks"]] for m in second["machines"]]
    assert all(machine["ready_seconds"] is not None for machine in second["machines"])
    assert templates(place)[0]["in_use"]
    assert place.nest("verify", "deep")["ok"]
    said = place.ireko("exec", "esxi01/esxi02/linux", "--", "echo", "here").stdout
    assert said == "here\n"
    place.ireko("down", "deep")
    assert not templates(place)[0]["in_use"]


def test_count(place):
    """Of count: 3 one host boots, the others are clones of it; each has its path and its guests."""
    nest = place.nest("up", place.lab("many", *hosts(3)))
    assert nest["ok"] and len(nest["machines"]) == 6
    assert [origins(nest)[f"esxi01-{n}"] for n in (1, 2, 3)] == ["boot", "clone", "clone"]
    assert len(templates(place)) == 1
    for n in (1, 2, 3):
        place.ireko("exec", f"esxi01-{n}/linux", "--", "true")
    assert place.nest("verify", "many")["ok"]
    place.ireko("down", "many")


def test_fresh(place):
    """--fresh boots, and keeps no template; a size of 0 does the same."""
    lab = place.lab("many", *hosts(2))
    assert set(origins(place.nest("up", lab, "--fresh")).values()) == {"boot"}
    assert not templates(place)
    place.ireko("down", "many")
    place.env["IREKO_TEMPLATES_SIZE"] = "0"
    assert set(origins(place.nest("up", lab)).values()) == {"boot"}
    assert not templates(place)
    place.ireko("down", "many")


def test_change(place, what, change):
    """What shapes a host has a part in its key: another host boots."""
    lab = place.lab("many", *hosts())
    place.nest("up", lab)
    place.ireko("down", "many")
    change(place, lab)
    nest = place.nest("up", lab)
    assert origins(nest)["esxi01"] == "boot", what
    assert len(templates(place)) == 2
    place.ireko("down", "many")


def append(name):
    def change(place, lab):
        del place
        path = os.path.join(lab, name + ".vmx")
        write(path, read(path) + "# one byte more\n")
    return change


def other_engine(place, lab):
    del lab
    script = f"#!/bin/sh\nexec {place.env['IREKO_FAKE_GUEST']} \"$@\"\n"
    place.env["IREKO_FAKE_GUEST"] = write(place.path("other-guest"), script)
    os.chmod(place.env["IREKO_FAKE_GUEST"], 0o755)


def rename_guest(place, lab):
    del place
    os.rename(os.path.join(lab, "linux.vmx"), os.path.join(lab, "other.vmx"))
    path = os.path.join(lab, "lab.yaml")
    write(path, read(path).replace("linux.vmx", "other.vmx"))


def test_same_for_another_lab(place):
    """A lab of another name with the same host begins with the same template."""
    place.nest("up", place.lab("one", *hosts()))
    nest = place.nest("up", place.lab("two", *hosts()))
    assert set(origins(nest).values()) == {"clone"} and len(templates(place)) == 1
    place.ireko("down", "one")
    place.ireko("down", "two")


DAMAGES = [
    ("ram", 0, None), ("ram", 17, None), ("ram", None, 100), ("ram", None, None),
    ("state", 0, None), ("state", -1, None), ("state", None, 3), ("state", None, None),
    ("scsi0-1.disk", 4096, None), ("scsi0-1.disk", None, 0), ("scsi0-1.disk", None, None),
    ("manifest.json", 1, None), ("manifest.json", -2, None), ("manifest.json", None, 50),
]


def damage(folder, file, at, length):
    path = os.path.join(folder, file)
    if at is None and length is None:
        os.unlink(path)
        return
    with open(path, "r+b") as thing:
        if length is not None:
            thing.truncate(length)
            return
        thing.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = thing.read(1)
        thing.seek(-1, os.SEEK_CUR)
        thing.write(bytes([byte[0] ^ 1]))


def test_damage(place):
    """A damaged template is not used, wherever the damage is: the host boots, and says why."""
    lab = place.lab("many", *hosts())
    for file, at, length in DAMAGES:
        where = (file, at, length)
        place.nest("up", lab)
        place.ireko("down", "many")
        assert origins(place.nest("up", lab))["esxi01"] == "clone", where
        place.ireko("down", "many")
        damage(folder_of(place), file, at, length)
        done = place.ireko("up", lab, "--json")
        assert origins(json.loads(done.stdout))["esxi01"] == "boot", where
        assert "template" in done.stderr and "not used" in done.stderr, (where, done.stderr)
        assert templates(place)[0]["damage"] is None  # a new one was made
        place.ireko("down", "many")
        place.ireko("template", "remove", "--all")


def test_does_not_load(place):
    """A template whose state is whole and does not load is removed, and the host boots."""
    lab = place.lab("many", *hosts(ireko__fake="does-not-go-on"))
    place.nest("up", lab)
    place.ireko("down", "many")
    done = place.ireko("up", lab)
    assert "could not be used" in done.stderr and "load of its state failed" in done.stderr, done.stderr
    assert not templates(place)
    place.ireko("down", "many")


def test_does_not_answer(place):
    """A template whose clone answers nothing is removed, so that nobody waits for it twice."""
    lab = place.lab("many", *hosts(ireko__fake="goes-on-silent"))
    place.nest("up", lab)
    place.ireko("down", "many")
    place.env["IREKO_PATIENCE"] = "0.02"
    done = place.ireko("up", lab)
    assert "could not be used: no answer in time" in done.stderr, done.stderr
    assert not templates(place)
    place.ireko("down", "many")


def test_one_does_not_answer(place):
    """Where other clones answered, one that does not boots, and the template stays."""
    lab = place.lab("many", *hosts(3, ireko__fake="second-goes-on-silent"))
    place.env["IREKO_PATIENCE"] = "0.02"
    place.ireko("up", lab, expect=None)
    place.ireko("down", "many")
    assert len(templates(place)) == 1
    done = place.ireko("up", lab)
    assert "could not be used: no answer in time" in done.stderr, done.stderr
    nest = place.nest("ps", "many")
    assert [origins(nest)[f"esxi01-{n}"] for n in (1, 2, 3)] == ["clone", "boot", "clone"], origins(nest)
    assert len(templates(place)) == 1
    place.ireko("down", "many")


def test_identity_refused(place):
    """A clone that keeps what it should have changed is ended, and the host boots."""
    for machine in (Machine("esxi01", Machine("linux"), ireko__fake="keeps-its-host-name"),
                    Machine("esxi01", Machine("linux", ireko__fake="keeps-its-host-name"))):
        lab = place.lab("many", machine)
        place.nest("up", lab)
        place.ireko("down", "many")
        done = place.ireko("up", lab)
        assert "did not become a machine of its own: its host name is fake" in done.stderr, done.stderr
        nest = place.nest("ps", "many")
        assert nest["ok"] and origins(nest)["esxi01"] == "boot"
        place.ireko("down", "many")


def test_blocked(place):
    """A host that cannot be frozen is left running, and the reason is told."""
    lab = place.lab("many", *hosts(2, ireko__fake="cannot-be-frozen"))
    done = place.ireko("up", lab)
    assert "its state cannot be saved: it has a fake device" in done.stderr, done.stderr
    assert set(origins(place.nest("ps", "many")).values()) == {"boot"}
    assert not templates(place)
    place.ireko("down", "many")


def test_own_disk(place):
    """A host with a disk of the user's own boots, is told why, and the disk stays as it was."""
    lab = place.lab("many", *hosts(scsi0__2__="", **{"scsi0:2.present": "TRUE",
                                                    "scsi0:2.fileName": "mine.img"}))
    mine = write(os.path.join(lab, "mine.img"), b"\1" * 4096)
    done = place.ireko("up", lab)
    assert "not from a template" in done.stderr and "mine.img" in done.stderr, done.stderr
    assert not templates(place)
    place.ireko("down", "many")
    with open(mine, "rb") as file:
        assert file.read() == b"\1" * 4096


def test_broken_promise(place):
    """What did not hold its promises is not kept."""
    lab = place.lab("many", Machine("esxi01", Machine("linux", ireko__fake="lies-about-ssd")))
    place.nest("up", lab, expect=1)
    assert not templates(place)
    place.ireko("down", "many")


def test_remove(place):
    """remove takes a key cut short; one in use stays, until its clones are gone."""
    lab = place.lab("many", *hosts(2))
    place.nest("up", lab)
    [template] = templates(place)
    one_error(place.ireko("template", "remove", template["key"][:8], expect=1), "in use")
    place.ireko("template", "remove", "--all", expect=1)
    assert len(templates(place)) == 1 and place.nest("verify", "many")["ok"]
    place.ireko("down", "many")
    assert "would remove" in place.ireko("template", "remove", template["key"][:8], "--dry-run").stdout
    assert len(templates(place)) == 1
    one_error(place.ireko("template", "remove", "0" * 31, expect=1), "no template")
    place.ireko("template", "remove", template["key"][:8])
    assert not templates(place)
    for words in (("remove",), ("remove", "--all", "abc"), ("list", "abc"), ("burn",)):
        assert place.ireko("template", *words, expect=2).stderr


def test_limit(place):
    """Over the size limit the template used longest ago goes, never one in use."""
    labs = [place.lab(name, Machine("esxi01", Machine("linux"), displayName=name))
            for name in ("a", "b", "c")]
    place.nest("up", labs[0])
    place.ireko("down", "a")
    size = templates(place)[0]["bytes"]
    os.utime(os.path.join(folder_of(place), "manifest.json"), (1000, 1000))
    place.env["IREKO_TEMPLATES_SIZE"] = str(2 * size + 20000)
    place.nest("up", labs[1])
    assert {template["lab"] for template in templates(place)} == {"a", "b"}
    place.ireko("down", "b")
    place.nest("up", labs[1])  # a clone: b is in use
    place.nest("up", labs[2])
    assert {template["lab"] for template in templates(place)} == {"b", "c"}
    place.env["IREKO_TEMPLATES_SIZE"] = "1"
    place.ireko("down", "c")
    place.ireko("template", "remove", [t["key"] for t in templates(place) if t["lab"] == "c"][0])
    place.nest("up", labs[2])
    assert {template["lab"] for template in templates(place)} == {"b", "c"}
    place.ireko("down", "b")
    place.ireko("down", "c")


def test_memory(place):
    """More may be promised than there is where it is shared; else up says so, and starts nothing."""
    with open("/proc/meminfo", encoding="ascii") as file:
        [room] = [int(line.split()[1]) >> 10 for line in file if line.startswith("MemAvailable")]
    lab = place.lab("many", *hosts(3, memsize=str(room * 6 // 10 // 4 * 4)))
    one_error(place.ireko("up", lab, "--fresh", expect=1), "the lab needs", "promised", "available")
    assert not place.guests()
    done = place.ireko("up", lab)
    assert "expected" in done.stderr and "runs out of memory" in done.stderr, done.stderr
    place.ireko("down", "many")


def test_interrupted(place):
    """up killed at any moment of keeping a template: the next up goes on, and half a template goes."""
    for n in range(12):
        lab = place.lab(f"many{n}", Machine("esxi01", Machine("linux"), displayName=f"many{n}"))
        process = place.begin("up", lab)
        while (line := process.stderr.readline()) and "being kept" not in line:
            pass
        assert line, "it was never kept"
        if n > 0:
            wait_for(lambda k=n, p=process: p.poll() is not None or k < 20, 0.001 * n + 0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        nest = place.nest("up", lab)
        assert nest["ok"], nest
        place.ireko("down", f"many{n}")
        assert place.nest("up", lab)["ok"]
        place.ireko("down", f"many{n}")
    assert all(template["damage"] is None for template in templates(place))


def test_killed_clone(place):
    """A clone that is killed comes back with the next up, as a clone; the other one runs on."""
    lab = place.lab("many", *hosts(2))
    place.nest("up", lab)
    pids = place.guests()
    os.kill(pids["many/esxi01-2"], signal.SIGKILL)
    wait_for(lambda: "many/esxi01-2" not in place.guests())
    nest = place.nest("up", lab)
    assert nest["ok"] and origins(nest)["esxi01-2"] == "clone"
    assert place.guests()["many/esxi01-1"] == pids["many/esxi01-1"]
    place.ireko("down", "many")


def test_stopped_clone(place):
    """A clone that is stopped keeps what is on its disks, as disks of its own, and boots from them."""
    lab = place.lab("many", *hosts(2))
    place.nest("up", lab)
    folder = os.path.join(place.home, "run", "many", "esxi01-2")
    before = set(os.listdir(folder))
    assert "from.json" in before and not any(name.endswith("-flat.vmdk") for name in before), before
    place.ireko("stop", "esxi01-2")
    after = set(os.listdir(folder))
    assert "from.json" not in after and any(name.endswith("-flat.vmdk") for name in after), after
    for template in templates(place):
        place.ireko("template", "remove", template["key"], expect=None)
    for words in (("start", "esxi01-2"), ("up", lab)):
        nest = place.nest(*words)
        assert nest["ok"] and origins(nest)["esxi01-2"] == "boot", nest
        place.ireko("stop", "esxi01-2")
    place.ireko("down", "many")


def test_discarded_under_clone(place):
    """A clone whose template was discarded and made anew keeps the disks that it has gone on from."""
    labs = [place.lab(name, *hosts()) for name in ("one", "two", "three")]
    place.nest("up", labs[0])
    place.ireko("down", "one")
    for lab, text in zip(labs, (b"first ", b"second", b"third ")):
        place.nest("up", lab)  # a clone; what stands in its template's disk, it has on its own
        with open(os.path.join(folder_of(place), "scsi0-1.disk"), "r+b") as file:
            file.write(text)
        if lab != labs[2]:
            assert origins(place.nest("up", place.lab("next", *hosts())))["esxi01"] == "boot"
            place.ireko("down", "next")
    for name, text in (("one", b"first "), ("two", b"second"), ("three", b"third ")):
        place.ireko("snapshot", name, "base")
        place.ireko("template", "list")  # sweeps
        place.ireko("stop", f"{name}:esxi01")
        for path in (("run", name, "esxi01", "scsi0-1-flat.vmdk"),
                     ("labs", name, "snapshots", "base", "esxi01", "scsi0-1.disk")):
            with open(os.path.join(place.home, *path), "rb") as file:
                assert file.read(6) == text, path
    for name in ("one", "two", "three"):
        place.ireko("down", name)
    place.ireko("template", "list")
    assert [name for name in os.listdir(place.path("home/templates")) if name.startswith(".")] == []


def test_written(place):
    """A machine that ended by itself boots from what it wrote, or was brought back with; as a clone it lost that."""
    lab = place.lab("many", *hosts(2))
    place.nest("up", lab)
    place.ireko("down", "many")

    def after_death(name):
        kill(place.guests()["many/" + name])
        nest = place.nest("up", lab)
        assert nest["ok"], nest
        return origins(nest)[name]

    place.nest("up", lab)
    assert after_death("esxi01-1") == "clone"  # nothing is lost
    folder = os.path.join(place.home, "run", "many", "esxi01-1")
    with open(os.path.join(folder, "scsi0-1.overlay"), "ab") as file:
        file.write(bytes(1 << 16))
    assert after_death("esxi01-1") == "boot" and "scsi0-1-flat.vmdk" in os.listdir(folder)
    assert after_death("esxi01-2") == "clone"
    place.ireko("snapshot", "many", "base")
    place.ireko("restore", "many", "base")
    assert after_death("esxi01-2") == "boot"
    place.ireko("down", "many")


def test_stopped_stays_stopped(place):
    """A machine that was stopped keeps its disks where it cannot be started."""
    lab = place.lab("many", *hosts(2))
    place.nest("up", lab)
    for name in ("esxi01-1", "esxi01-2"):  # one booted, one is a clone
        place.ireko("stop", name)
        path = os.path.join(place.home, "run", "many", name, "scsi0-1-flat.vmdk")
        with open(path, "r+b") as file:
            file.write(b"precious")
        for words in (("start", name), ("up", lab)):
            place.ireko(*words, expect=1, env={"IREKO_FAKE_GUEST": place.path("none")})
            assert place.nest(*words)["ok"]
            with open(path, "rb") as file:
                assert file.read(8) == b"precious", (name, words)
            place.ireko("stop", name)
        place.nest("up", lab)
    place.ireko("down", "many")
    place.nest("up", lab)
    folder = os.path.join(place.home, "run", "many", "esxi01-1")
    kill(place.guests()["many/esxi01-1"])
    place.ireko("start", "esxi01-1", expect=1, env={"IREKO_FAKE_GUEST": place.path("none")})
    assert {"scsi0-1.overlay", "scsi0-1-flat.vmdk"} & set(os.listdir(folder)), "what it wrote is gone"
    place.ireko("down", "many")


main([test_next_up, test_count, test_fresh,
      (test_change, "a byte of the host's .vmx", append("esxi01")),
      (test_change, "a byte of a guest's .vmx", append("linux")),
      (test_change, "the name of a guest", rename_guest),
      (test_change, "the program that runs machines", other_engine),
      test_same_for_another_lab, test_damage, test_does_not_load, test_does_not_answer, test_one_does_not_answer,
      test_identity_refused, test_blocked, test_own_disk, test_broken_promise, test_remove,
      test_limit, test_memory, test_interrupted, test_killed_clone, test_stopped_clone,
      test_discarded_under_clone, test_written, test_stopped_stays_stopped],
     lambda: Place().fake())
