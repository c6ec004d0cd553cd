"""Spares, on whole nests of fake machines: clones made beforehand, taken by up, ended."""

import json
import os
import shutil
import signal
import socket

from harness import STOP_AT, Machine, Place, Skip, by_path, kill, main, one_error, read, wait_for, write

CARD = {"ethernet0.present": "TRUE", "ethernet0.virtualDev": "vmxnet3",
        "ethernet0.connectionType": "hostonly"}
SEED = 'test -s "$IREKO_FAKE_MEMORY/seed"'  # it was told who it is


def hosts(count=1, **keys):
    return [Machine("esxi01", Machine("linux"), count=count, **keys)]


def made(place, lab):
    """The template is there and the lab is not up."""
    place.nest("up", lab)
    place.ireko("down", os.path.join(lab, "lab.yaml"))
    return lab


def warm(place, lab, *words):
    told = json.loads(place.ireko("template", "warm", lab, "--json", *words).stdout)
    return {machine["path"]: (machine["ready"], machine["made"]) for machine in told["machines"]}


def spares(place):
    """Folders of those that stand ready."""
    top = os.path.join(place.home, "run", ".spares")
    return sorted(os.path.join(folder, name) for folder, names, _ in os.walk(top) for name in names
                  if os.path.isfile(os.path.join(folder, name, "spare.json")))


def pid_of(folder):
    return int(read(os.path.join(folder, "pid")).split()[0])


def took_one(place, lab):
    """Brings the lab up; whether its first machine is one that stood ready."""
    before = {pid_of(folder) for folder in spares(place)}
    nest = place.nest("up", lab)
    assert nest["ok"], nest
    assert {machine["origin"] for machine in nest["machines"]} == {"clone"}, nest
    place.ireko("exec", nest["machines"][0]["path"], "--", "sh", "-c", SEED)
    [host] = [m["path"] for m in nest["machines"] if m["level"] == 1][:1]
    return pid_of(os.path.join(place.home, "run", nest["lab"], host)) in before


def test_taken(place):
    """up takes what warm made: the same process, now a machine of its own, proven as any clone."""
    lab = made(place, place.lab("deep", Machine("esxi01", Machine("esxi02", Machine("linux")))))
    assert warm(place, lab, "--count", "2") == {"esxi01": (2, 2)}
    assert warm(place, lab, "--count", "2") == {"esxi01": (2, 0)}
    [template] = json.loads(place.ireko("template", "list", "--json").stdout)["templates"]
    assert template["spares"] == 2 and template["in_use"]
    assert "2 ready" in place.ireko("template", "list").stdout
    seeds = set()
    for left in (1, 0):
        assert took_one(place, lab) and len(spares(place)) == left
        assert place.nest("verify", "deep")["ok"]
        said = place.ireko("exec", "esxi01/esxi02/linux", "--", "sh", "-c",
                           'echo here; od -An -tx1 "$IREKO_FAKE_MEMORY/seed"').stdout
        assert said.startswith("here\n")
        seeds.add(said)
        folder = os.path.join(place.home, "run", "deep", "esxi01")
        assert not {"spare.json", "thawing"} & set(os.listdir(folder)), os.listdir(folder)
        done = place.ireko("down", "deep")
        assert ("1 spare" in done.stderr) == (left == 1), done.stderr
    assert len(seeds) == 2
    assert not took_one(place, lab), "there was none"
    place.ireko("down", "deep")


def test_count(place):
    """Each machine of a count has spares of its own; without one it is a clone all the same."""
    lab = made(place, place.lab("many", *hosts(3)))
    paths = [f"esxi01-{n}" for n in (1, 2, 3)]
    assert warm(place, lab) == {path: (1, 1) for path in paths}
    kill(pid_of(spares(place)[1]))
    pids = {pid_of(folder) for folder in spares(place)}
    nest = place.nest("up", lab)
    assert nest["ok"] and {m["origin"] for m in nest["machines"]} == {"clone"}, nest
    running = {pid_of(os.path.join(place.home, "run", "many", path)) for path in paths}
    assert len(running & pids) == 2, (running, pids)
    place.ireko("down", "many")
    assert place.ireko("template", "cool", "many").stdout == "ended 1 of many\n"  # the dead one


def test_cool(place):
    """cool ends the spares of a lab, by its name or its folder, or of all; down leaves them."""
    labs = [made(place, place.lab(name, *hosts())) for name in ("one", "two")]
    for lab in labs:
        warm(place, lab)
    assert place.ireko("template", "cool", "one", "--dry-run").stdout == "would end 1 of one\n"
    assert len(spares(place)) == 2
    assert place.ireko("template", "cool", labs[0]).stdout == "ended 1 of one\n"
    one_error(place.ireko("template", "cool", "one", expect=1), "'one' has no spares")
    assert took_one(place, labs[1]) and not spares(place)
    one_error(place.ireko("template", "cool", "two", expect=1), "'two' has no spares")
    warm(place, labs[1], "--count", "2")
    kill(pid_of(spares(place)[0]))
    said = [place.ireko("template", "cool", "two", *words).stdout.replace("would end", "ended")
            for words in (("--dry-run",), ())]
    assert said == ["ended 2 of two\n"] * 2, said
    warm(place, labs[1])
    place.ireko("down", "two")
    assert len(spares(place)) == 1 and "1 spare" in place.ireko("ps").stderr
    shutil.rmtree(labs[1])
    assert place.ireko("template", "cool", "--all").stdout == "ended 1 of two\n"
    assert place.ireko("template", "cool", "--all").stdout == ""


def test_no_template(place):
    """Where there is no template, or can be none, warm says what to do and leaves nothing."""
    lab = place.lab("many", *hosts())
    one_error(place.ireko("template", "warm", lab, expect=1), "no template yet", "ireko up")
    place.assert_nothing_left()
    env = {"IREKO_TEMPLATES_SIZE": "0"}
    one_error(place.ireko("template", "warm", lab, env=env, expect=1), "IREKO_TEMPLATES_SIZE is 0")
    own = place.lab("own", *hosts(**{"scsi0:2.present": "TRUE", "scsi0:2.fileName": "mine.img"}))
    write(os.path.join(own, "mine.img"), b"\1" * 4096)
    one_error(place.ireko("template", "warm", own, expect=1), "no spare", "mine.img")
    for words in (("warm",), ("warm", lab, lab), ("warm", lab, "--count", "65"), ("warm", lab, "--count", "-1"),
                  ("warm", lab, "--all"), ("cool",), ("cool", "--all", "x"), ("cool", "x", "--count", "2"),
                  ("list", "--count", "1"), ("warm", lab, "--accel", "fast")):
        assert place.ireko("template", *words, expect=2).stderr, words


def test_dry_run(place):
    """--dry-run says how many would be made, and makes none."""
    lab = made(place, place.lab("many", *hosts(2)))
    said = place.ireko("template", "warm", lab, "--count", "3", "--dry-run").stdout
    assert said == "esxi01-1: 0 ready, would make 3\nesxi01-2: 0 ready, would make 3\n", said
    assert not spares(place) and not place.guests()


def test_changed(place):
    """One of another definition, or of a template that was made anew, is not taken; warm ends it."""
    lab = made(place, place.lab("many", *hosts()))
    warm(place, lab)
    path = os.path.join(lab, "esxi01.vmx")
    text = read(path)
    write(path, text + "# one byte more\n")
    made(place, lab)
    assert not took_one(place, lab)
    place.ireko("down", "many")
    [old] = spares(place)
    assert warm(place, lab) == {"esxi01": (1, 1)} and spares(place) != [old]
    assert took_one(place, lab)
    place.ireko("down", "many")
    warm(place, lab)
    made(place, place.lab("many", *hosts(2)))
    assert set(warm(place, lab)) == {"esxi01-1", "esxi01-2"}
    assert len(spares(place)) == 2, "the lab has no esxi01 any more"
    place.ireko("template", "cool", "--all")


def test_damaged_template(place):
    """Those of a template that is damaged are not taken either: the host boots."""
    lab = made(place, place.lab("many", *hosts()))
    warm(place, lab)
    [template] = json.loads(place.ireko("template", "list", "--json").stdout)["templates"]
    with open(os.path.join(place.home, "templates", template["key"], "ram"), "r+b") as file:
        file.write(b"damage")
    done = place.ireko("up", lab, "--json")
    assert by_path(json.loads(done.stdout))["esxi01"]["origin"] == "boot"
    assert "not used" in done.stderr, done.stderr
    place.ireko("down", "many")
    assert not took_one(place, lab), "it is of the template that was damaged"
    place.ireko("down", "many")
    place.ireko("template", "cool", "--all")


def test_in_use(place):
    """A template with spares is in use: remove says how to end them."""
    lab = made(place, place.lab("many", *hosts()))
    warm(place, lab)
    [template] = json.loads(place.ireko("template", "list", "--json").stdout)["templates"]
    one_error(place.ireko("template", "remove", template["key"][:8], expect=1), "in use", "template cool")
    place.ireko("template", "cool", "many")
    place.ireko("template", "remove", template["key"][:8])


def test_does_not_go_on(place):
    """A spare that does not become a machine of its own is ended, and the host is another clone."""
    lab = made(place, place.lab("many", *hosts()))
    warm(place, lab)
    [folder] = spares(place)
    os.kill(pid_of(folder), signal.SIGSTOP)
    done = place.ireko("up", lab, "--json", env={"IREKO_PATIENCE": "0.01"})
    nest = json.loads(done.stdout)
    assert nest["ok"] and by_path(nest)["esxi01"]["origin"] == "clone", nest
    assert "its spare could not be used" in done.stderr, done.stderr
    place.ireko("down", "many")


def test_two_at_once(place):
    """Two that make spares of a lab do not meet; one says that the other is at work."""
    lab = made(place, place.lab("many", *hosts()))
    process = place.begin("template", "warm", lab, "--count", "20")
    wait_for(lambda: spares(place))
    one_error(place.ireko("template", "warm", lab, expect=1), "another ireko is at work")
    one_error(place.ireko("template", "cool", "many", expect=1), "another ireko is at work")
    assert place.nest("up", lab)["ok"], "up need not wait"
    one_error(place.ireko("template", "warm", lab, expect=1), "another ireko is at work")
    process.send_signal(signal.SIGINT)
    process.communicate()
    place.started.remove(process)
    place.ireko("down", "many")
    place.ireko("template", "cool", "--all")  # up may have taken the only one


def test_half_made(place):
    """What a warm that was killed left half made goes with the next command on that lab."""
    lab = made(place, place.lab("many", *hosts()))
    for words in (("down", "many"), ("template", "cool", "many"), ("template", "warm", lab)):
        place.nest("up", lab)
        process = place.begin("template", "warm", lab, "--count", "20")
        wait_for(lambda: any(".new-" in name for _, names, _ in os.walk(place.path("home/run/.spares"))
                             for name in names))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        place.started.remove(process)
        place.ireko(*words)
        half = [name for _, names, _ in os.walk(place.path("home/run/.spares")) for name in names
                if name.startswith(".new-")]
        assert not half, (words, half)
        place.ireko("down", "many", expect=None)
        place.ireko("template", "cool", "--all")


def test_plugged(place):
    """The cards of one that is taken lead on, also where the switch has yet to miss the one before."""
    lab = made(place, place.lab("many", *hosts(2, **CARD)))
    warm(place, lab)
    place.nest("up", lab)
    warm(place, lab)
    folder = os.path.join(place.home, "run", "many", "esxi01-2")
    pids = {pid_of(spare) for spare in spares(place)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as port:
        where = os.open(os.path.join(place.home, "run", "many", ".net", "hostonly"), os.O_RDONLY)
        port.connect(f"/proc/self/fd/{where}/ports")
        os.close(where)
        port.send(b"esxi01-2 ethernet0")
        port.recv(100)
        kill(pid_of(folder))
        assert place.nest("up", lab)["ok"] and pid_of(folder) in pids
    assert place.nest("verify", "many")["ok"]
    place.ireko("down", "many")
    place.ireko("template", "cool", "many")


def test_damaged(place):
    """One whose note of what it fits is damaged is not taken; warm ends it."""
    lab = made(place, place.lab("many", *hosts()))
    for damage in (b"", b"{", b"[]", b"[" * 100000, b"{}" + b" " * (2 << 20), os.mkdir, os.mkfifo):
        warm(place, lab)
        [folder] = spares(place)
        path = os.path.join(folder, "spare.json")
        os.unlink(path)
        write(path, damage) if isinstance(damage, bytes) else damage(path)
        pid = pid_of(folder)
        place.nest("up", lab)
        assert pid_of(os.path.join(place.home, "run", "many", "esxi01")) != pid, damage
        place.ireko("down", "many")
        assert warm(place, lab) == {"esxi01": (1, 1)} and not os.path.exists(folder), damage
        place.ireko("template", "cool", "many")


def expected_mib(place, lab):
    """What up says that the lab's machines will take; it is down again then."""
    [line] = [line for line in place.ireko("up", lab).stderr.splitlines() if " expected, " in line]
    place.ireko("down", "many")
    number, unit = line.split()[1:3]
    return float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit]


def test_memory(place):
    """What spares have is not wanted once more: up takes them where there is no room for others."""
    lab = made(place, place.lab("many", *hosts(4)))
    before = expected_mib(place, lab)
    warm(place, lab)
    assert expected_mib(place, lab) < before / 100
    warm(place, lab)
    kill(pid_of(spares(place)[0]))
    assert abs(expected_mib(place, lab) - before / 4) < 1
    place.ireko("template", "cool", "--all")


def test_links(place):
    """Nothing is removed where a link leads to; what cannot be opened is told as that."""
    lab = made(place, place.lab("many", *hosts()))
    mine = os.path.join(place.folder, "mine")
    os.makedirs(os.path.join(mine, "esxi01", "precious"))
    os.makedirs(os.path.join(mine, ".new-precious"))
    top = os.path.join(place.home, "run", ".spares")
    os.makedirs(os.path.join(top, "many"))
    os.symlink(mine, os.path.join(top, "many", "esxi01"))
    os.symlink(mine, os.path.join(top, "all"))
    place.ireko("template", "cool", "--all", expect=None)
    one_error(place.ireko("template", "warm", lab, expect=1), "esxi01")
    assert sorted(os.listdir(mine)) == [".new-precious", "esxi01"] and os.listdir(os.path.join(mine, "esxi01"))
    place.nest("up", lab)
    place.ireko("down", "many")
    shutil.rmtree(top)
    os.makedirs(top)
    os.symlink(mine, os.path.join(top, "many"))
    one_error(place.ireko("template", "warm", lab, expect=1), "cannot open", ".spares/many")
    assert os.listdir(os.path.join(mine, "esxi01"))
    shutil.rmtree(top)


def test_cool_beside_up(place):
    """cool ends no machine that up has just taken, wherever the two meet."""
    if not os.access(STOP_AT, os.X_OK):
        raise Skip("stop-at is not built")
    lab = made(place, place.lab("many", *hosts()))
    at, stopped = 1, True
    while stopped:
        warm(place, lab)
        process, stopped = place.begin_stopped(at, "template", "cool", "many")
        if stopped:
            assert place.nest("up", lab)["ok"]
            running = pid_of(os.path.join(place.home, "run", "many", "esxi01"))
            stopped.send(b"g")
            stopped.close()
        place.end(process)
        if stopped:
            assert not spares(place)
            assert running in place.guests().values(), at
            assert place.nest("verify", "many")["ok"], at
            place.ireko("down", "many")
        at += 1
    assert at > 8, "cool changes nothing?"


main([test_taken, test_count, test_cool, test_no_template, test_dry_run, test_changed,
      test_damaged_template, test_in_use, test_does_not_go_on, test_two_at_once, test_half_made, test_plugged,
      test_links, test_damaged, test_memory, test_cool_beside_up],
     lambda: Place().fake())
