"""Snapshots of whole labs of fake machines: one point in time, brought back, and never damaged."""

import json
import os
import shutil

from harness import Machine, Place, by_path, kill, main, one_error, read, wait_for, write

NOTE = '"$IREKO_FAKE_MEMORY/note"'


def pair(place, **keys):
    """Two hosts of a definition each, so that both boot; a guest in each."""
    return place.lab("pair", Machine("a", Machine("g", **keys)), Machine("b", Machine("h")))


def note(place, path, text=None):
    """What the machine PATH remembers; TEXT: from now on."""
    script = f"cat {NOTE}" if text is None else f"printf '%s' '{text}' > {NOTE}"
    return place.ireko("exec", path, "--", "sh", "-c", script).stdout


def seed(place, path):
    return place.ireko("exec", path, "--", "sh", "-c", 'cat "$IREKO_FAKE_MEMORY/seed"').stdout


def snapshots(place, *words):
    said = json.loads(place.ireko("snapshot", "list", *words, "--json").stdout)
    assert said["schema"] == "ireko.snapshots/1"
    return {one["name"]: one for one in said["snapshots"]}


def origins(nest):
    return {machine["origin"] for machine in nest["machines"]}


def test_back(place):
    """A lab goes on, is brought back, twice, with other random numbers, and goes on from there."""
    lab = pair(place)
    place.ireko("up", lab)
    for host in ("a", "b"):
        note(place, host, "then")
    said = json.loads(place.ireko("snapshot", "pair", "clean", "--json").stdout)
    assert said["schema"] == "ireko.snapshot/1" and said["machines"] == 4, said
    assert said["bytes"] > 0 and said["still_seconds"] < 10 and not said["damage"], said
    running = place.guests()
    seeds = []
    for _ in range(2):
        for host in ("a", "b"):
            note(place, host, "later")
        nest = place.nest("restore", lab, "clean")
        assert nest["ok"] and origins(nest) == {"snapshot"}, nest
        assert [note(place, host) for host in ("a", "b")] == ["then", "then"]
        assert not set(running.values()) & set(place.guests().values()), "one was not ended"
        running = place.guests()
        seeds += [seed(place, host) for host in ("a", "b")]
    assert len(set(seeds)) == 4, seeds
    assert place.nest("verify", "pair")["ok"]
    assert origins(place.nest("ps", "pair")) == {"snapshot"}
    assert snapshots(place)["clean"]["in_use"]
    place.ireko("down", "pair")


def test_of_clones(place):
    """Clones can be saved, and what came back from a snapshot; neither needs the one before."""
    lab = place.lab("twins", Machine("host", Machine("guest"), count=2))
    place.ireko("up", lab)
    place.ireko("down", "twins")
    nest = place.nest("up", lab)
    assert origins(nest) == {"clone"}, nest
    note(place, "host-2", "one")
    place.ireko("snapshot", "twins", "one")
    place.nest("restore", "twins", "one")
    note(place, "host-2", "two")
    place.ireko("snapshot", "twins", "two")
    assert place.nest("restore", "twins", "two")["ok"]
    place.ireko("snapshot", "remove", "twins", "one")
    shutil.rmtree(os.path.join(place.home, "templates"))
    assert place.nest("restore", "twins", "two")["ok"]
    assert note(place, "host-2") == "two"
    assert list(snapshots(place, "twins")) == ["two"]
    place.ireko("down", "twins")


def test_names(place):
    """A name is taken once; what is not there, is in use or is no name is told in one line."""
    lab = pair(place)
    one_error(place.ireko("snapshot", "pair", "x", expect=1), "no lab 'pair' is on record")
    place.ireko("up", lab)
    assert place.ireko("snapshot", "list").stdout == ""
    place.ireko("snapshot", "pair", "x")
    one_error(place.ireko("snapshot", "pair", "x", expect=1), "has a snapshot 'x' already")
    one_error(place.ireko("snapshot", "pair", "../x", expect=1), "'../x' is no name")
    one_error(place.ireko("restore", "pair", "y", expect=1), "has no snapshot 'y'")
    one_error(place.ireko("restore", "pair", "../x", expect=1), "has no snapshot")
    one_error(place.ireko("snapshot", "remove", "pair", "y", expect=1), "has no snapshot 'y'")
    place.ireko("restore", "pair", "x")
    one_error(place.ireko("snapshot", "remove", "pair", "x", expect=1), "go on from its snapshot")
    place.ireko("down", "pair")


def test_dry_run(place):
    """--dry-run says what would be done, and does nothing."""
    lab = pair(place)
    place.ireko("up", lab)
    said = place.ireko("snapshot", "--dry-run", "pair", "x").stdout
    assert [line.split(",")[0] for line in said.splitlines()] == ["save a", "save b"], said
    assert not snapshots(place)
    place.ireko("snapshot", "pair", "x")
    before = place.guests()
    assert "would go on from 'x'" in place.ireko("restore", "--dry-run", "pair", "x").stdout
    assert "would remove x" in place.ireko("snapshot", "remove", "--dry-run", "pair", "x").stdout
    assert "remove snapshot x" in place.ireko("down", "--dry-run", "pair").stdout
    assert place.guests() == before and list(snapshots(place)) == ["x"]
    assert "removed its snapshot x" in place.ireko("down", "pair").stderr


def test_in_the_way(place):
    """All that is in the way is named, of every machine, before any of them stands still."""
    lab = place.lab("odd", Machine("a", **{"scsi0:1.fileName": "own.raw", "scsi0:1.virtualSSD": None}),
                    Machine("b", **{"ireko.fake": "cannot-be-frozen"}), Machine("c"))
    write(os.path.join(lab, "own.raw"), b"\0" * 8192)
    place.ireko("up", lab)
    for words in (("snapshot", "odd", "x"), ("snapshot", "--dry-run", "odd", "x")):
        done = place.ireko(*words, expect=1)
        one_error(done, "a: its disk scsi0:1 is a file of your own", "own.raw", "b: its state cannot "
                  "be saved: it has a fake device")
        assert "stands still" not in done.stderr, done.stderr
    place.ireko("stop", "c")
    one_error(place.ireko("snapshot", "odd", "x", expect=1), "c: does not run: 'ireko up' first")
    assert not snapshots(place)
    place.ireko("down", "odd")


def damage(path, how):
    if how == "gone":
        os.unlink(path)
    elif how == "cut":
        os.truncate(path, os.path.getsize(path) - 1)
    else:
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))


def test_damage(place):
    """A snapshot with one bit wrong, a file cut or gone, is not used: the lab runs on as it was."""
    place.ireko("up", place.lab("one", Machine("a", memsize="16")))
    place.ireko("snapshot", "one", "x")
    whole = os.path.join(place.home, "labs", "one", "snapshots", "x")
    kept = place.path("kept")
    shutil.copytree(whole, kept)
    before = place.guests()
    files = [os.path.join(folder, name) for folder, _, names in os.walk(whole) for name in names
             if not name.startswith(".")]
    assert len(files) == 4, files
    for file in files:
        for how in ("bit", "cut", "gone"):
            damage(file, how)
            done = place.ireko("restore", "one", "x", expect=1)
            if os.path.exists(os.path.join(whole, "manifest.json")):
                one_error(done, "cannot be brought back")
            assert place.guests() == before, (file, how)
            shutil.rmtree(whole)
            shutil.copytree(kept, whole)
    place.ireko("restore", "one", "x")
    place.ireko("down", "one")


def test_other_definition(place):
    """A snapshot of another definition brings its own back, and says so."""
    lab = pair(place)
    place.ireko("up", lab)
    note(place, "a", "then")
    place.ireko("snapshot", "pair", "old")
    place.lab("pair", Machine("a", Machine("g")), Machine("c"))
    place.ireko("up", "--fresh", lab)
    assert sorted(place.guests()) == ["pair/a", "pair/a/g", "pair/c"]
    assert snapshots(place)["old"]["changed"]
    done = place.ireko("restore", "pair", "old")
    assert "'old' was taken of another definition" in done.stderr
    assert sorted(place.guests()) == ["pair/a", "pair/a/g", "pair/b", "pair/b/h"]
    assert note(place, "a") == "then" and not snapshots(place)["old"]["changed"]
    place.ireko("down", "pair")


def test_stays(place):
    """A snapshot is kept over a failed up and a host's end; restore brings back what runs no more."""
    lab = pair(place)
    place.ireko("up", lab)
    note(place, "a", "then")
    place.ireko("snapshot", "pair", "x")
    for pid in place.guests().values():
        kill(pid)
    vmx = os.path.join(lab, "a.vmx")
    good = read(vmx)
    write(vmx, good.replace('"kvm-host"', '"no-such"'))
    place.ireko("up", lab, expect=1)
    write(vmx, good)
    assert list(snapshots(place)) == ["x"]
    shutil.rmtree(os.path.join(place.home, "run"))
    assert place.nest("restore", "pair", "x")["ok"]
    assert note(place, "a") == "then"
    place.ireko("down", "pair")


def test_one_does_not_load(place):
    """Where one machine cannot go on, restore says which, boots none in its place, and exits 1."""
    lab = place.lab("pair", Machine("a"), Machine("b", **{"ireko.fake": "does-not-go-on"}))
    place.ireko("up", lab)
    place.ireko("snapshot", "pair", "x")
    nest = place.nest("restore", "pair", "x", expect=1)
    states = {path: machine["state"] for path, machine in by_path(nest).items()}
    assert states == {"a": "running", "b": "failed"}, nest
    assert list(place.guests()) == ["pair/a"]
    assert place.nest("up", lab)["ok"]
    place.ireko("down", "pair")


def test_one_dies(place):
    """A machine that dies while the lab is saved: no snapshot, and the others go on."""
    lab = pair(place)
    place.ireko("up", lab)
    os.kill(place.guests()["pair/b"], 19)  # SIGSTOP: it will not answer
    process = place.begin("snapshot", "pair", "x")
    wait_for(lambda: os.path.exists(os.path.join(place.home, "run/pair/a/freezing")) or
             process.poll() is not None)
    kill(place.guests()["pair/b"])
    _, words = process.communicate(timeout=30)
    assert process.returncode == 1, words
    assert not snapshots(place)
    place.ireko("exec", "a", "--", "true")
    assert place.nest("up", lab)["ok"]
    place.ireko("down", "pair")


main([test_back, test_of_clones, test_names, test_dry_run, test_in_the_way, test_damage,
      test_other_definition, test_stays, test_one_does_not_load, test_one_dies],
     lambda: Place().fake("1"))
