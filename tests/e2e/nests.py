"""Whole nests of fake machines: what up, ps, verify, exec, console and down say and do."""

import json
import os
import re

from harness import TOP, Machine, Place, by_path, main, one_error, read, wait_for

CAUSES = {"cpu-lacks", "firmware-off", "module-missing", "nested-off", "device-missing",
          "device-denied", "device-busy", "hidden-by-host", "vhv-off", "container",
          "held-by-other", "sev-guest", "unknown", "same-size", "same-identity", "too-few-hosts"}
STATES = {"defined", "starting", "proving", "running", "not-started", "failed", "stopped"}
PATHS = ["esxi01", "esxi01/esxi02", "esxi01/esxi02/linux"]


def workshop(name="deep", **leaf):
    return [Machine("esxi01", Machine("esxi02", Machine("linux", **leaf)))]


def optional(kind):
    return lambda value: value is None or isinstance(value, kind)


def text(value):
    return isinstance(value, str)


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def plain(value):
    return isinstance(value, (str, bool, int))


TAKERS = ("vhv.enable", "hypervisor.cpuid.v0", "tcg", "cpu-model", "firmware", "kernel")
MACHINE_FIELDS = {
    "path": text, "level": number, "state": lambda value: value in STATES,
    "origin": optional(str), "accel": lambda value: value in ("kvm", "tcg", None),
    "ready_seconds": lambda value: value is None or number(value),
    "checks": lambda value: isinstance(value, list),
    "features_lost": lambda value: isinstance(value, list) and all(
        set(loss) == {"name", "by"} and text(loss["name"]) and loss["by"] in TAKERS
        for loss in value),
    "addresses": lambda value: isinstance(value, list),
}
ADDRESS_FIELDS = {
    "card": lambda value: re.fullmatch(r"ethernet\d", value), "network": optional(str), "mac": text,
    "address": optional(str), "by": lambda value: value in ("agent", "assigned", "arp", "unknown"),
}
CHECK_FIELDS = {
    "what": text, "promised": plain, "seen": lambda value: value is None or plain(value),
    "ok": lambda value: isinstance(value, bool), "evidence": optional(str),
    "cause": lambda value: value is None or value in CAUSES,
}
NEST_FIELDS = {
    "schema": lambda value: value == "ireko.nest/1", "lab": optional(str),
    "accel": lambda value: value in ("kvm", "tcg", None), "depth": number,
    "ok": lambda value: isinstance(value, bool), "seconds": number,
    "machines": lambda value: isinstance(value, list),
}


def check_fields(thing, fields, where):
    for name, holds in fields.items():
        assert name in thing, f"{where} has no '{name}'"
        assert holds(thing[name]), f"{where}.{name} is {thing[name]!r}"


def check_contract(nest):
    check_fields(nest, NEST_FIELDS, "nest")
    for machine in nest["machines"]:
        check_fields(machine, MACHINE_FIELDS, machine["path"])
        assert machine["level"] == machine["path"].count("/") + 1
        for address in machine["addresses"]:
            check_fields(address, ADDRESS_FIELDS, machine["path"])
        for check in machine["checks"]:
            check_fields(check, CHECK_FIELDS, f"{machine['path']} {check['what']}")
            assert check["ok"] == (check["cause"] is None), check
            if check["what"].startswith("disk."):
                assert re.fullmatch(r"(scsi|sata|ide|nvme)\d+:\d+", check["device"]), check


def test_depth_three(place):
    """A nest three deep comes up, and its JSON is as the contract says."""
    lab = place.lab("deep", *workshop())
    nest = place.nest("up", lab)
    check_contract(nest)
    assert nest["ok"] and nest["depth"] == 3 and nest["lab"] == "deep"
    assert [machine["path"] for machine in nest["machines"]] == PATHS
    assert [machine["accel"] for machine in nest["machines"]] == [nest["accel"], "kvm", "kvm"]
    for machine in nest["machines"]:
        assert machine["state"] == "running" and machine["origin"] == "boot"
        assert machine["ready_seconds"] >= 0
        whats = [check["what"] for check in machine["checks"]]
        hypervisor = ["npt", "kvm"] if machine["level"] < 3 else []
        assert whats == ["hv", *hypervisor, "cpus", "memory", "disk.ssd", "disk.ssd"], whats
        ssd = {check.get("device"): check for check in machine["checks"]}
        assert ssd["scsi0:1"]["promised"] is True and ssd["scsi0:1"]["seen"] is True
        assert ssd["scsi0:0"]["promised"] is False and ssd["scsi0:0"]["seen"] is False
    for words in (("verify", "deep"), ("ps",), ("ps", "deep"), ("verify", lab)):
        again = place.nest(*words)
        check_contract(again)
        assert [m["state"] for m in again["machines"]] == ["running"] * 3, words
        assert again["ok"] and again["lab"] == "deep"
    place.ireko("down", "deep")


def test_words(place):
    """Without --json it says in words what was proven and what to try next."""
    lab = place.lab("deep", *workshop())
    said = place.ireko("up", lab).stdout
    for words in ("Every promise held", "ireko exec esxi01/esxi02/linux", "ireko down deep", "SSD"):
        assert words in said, words
    lines = place.ireko("ps").stdout.splitlines()
    assert len(lines) == 4 and all("running" in line for line in lines[1:])
    place.ireko("down", lab)  # by its folder
    assert place.ireko("ps").stdout == ""


def test_count(place):
    """count: 3 makes three machines, each with its own guests."""
    lab = place.lab("wide", Machine("host", Machine("inner", Machine("leaf", count=2)), count=3))
    nest = place.nest("up", lab)
    check_contract(nest)
    hosts = [f"host-{i}" for i in (1, 2, 3)]
    want = [path for host in hosts for path in
            (host, f"{host}/inner", f"{host}/inner/leaf-1", f"{host}/inner/leaf-2")]
    assert [machine["path"] for machine in nest["machines"]] == want and nest["ok"]
    said = place.ireko("exec", "host-2/inner/leaf-2", "--", "echo", "here").stdout
    assert said == "here\n"
    place.ireko("down", "wide")


def test_deepest(place):
    """A nest sixteen deep comes up; seventeen is too deep, and nothing is begun."""
    def deep(levels):
        machine = Machine(f"m{levels}", memsize=128)
        for level in range(levels - 1, 0, -1):
            machine = Machine(f"m{level}", machine)
        return machine
    nest = place.nest("up", place.lab("sixteen", deep(16)))
    assert nest["ok"] and nest["depth"] == 16
    path = "/".join(f"m{i}" for i in range(1, 17))
    assert place.ireko("exec", path, "--", "echo", "far").stdout == "far\n"
    place.ireko("down", "sixteen")
    one_error(place.ireko("up", place.lab("toodeep", deep(17)), expect=1), "16 machines deep")


def test_exec(place):
    """exec carries words, all three streams and the exit status at every depth."""
    place.ireko("up", place.lab("deep", *workshop()))
    big = "".join(f"line {i}\n" for i in range(40000))
    for path in PATHS:
        done = place.ireko("exec", path, "--", "sh", "-c", "echo out; echo err >&2; exit 7", expect=7)
        assert (done.stdout, done.stderr) == ("out\n", "err\n")
        assert place.ireko("exec", path, "--", "cat", text=big).stdout == big
        assert place.ireko("exec", path, "--", "printf", "%s|", "a b", "", "-x", "'").stdout == "a b||-x|'|"
        place.ireko("exec", path, "--", "sh", "-c", "kill -9 $$", expect=137)
        place.ireko("exec", path, "--", "head", "-c1", text=big)
        missing = place.ireko("exec", path, "--", "/no/such/program", expect=127)
        assert missing.stderr == "/no/such/program: cannot be run there: not found\n"
    one_error(place.ireko("exec", "esxi01/esxi09", "--", "true", expect=1), "esxi09")
    one_error(place.ireko("exec", "nobody", "--", "true", expect=1), "no machine 'nobody' runs here")
    one_error(place.ireko("exec", "esxi01//linux", "--", "true", expect=1), "is not a path")
    one_error(place.ireko("exec", "esxi01/../x", "--", "true", expect=1), "is not a path")
    place.ireko("exec", "esxi01", expect=2)
    place.ireko("down", "deep")


def test_many_talks(place):
    """Four talks go on at once; the fifth is told to wait, and the first may go on."""
    place.ireko("up", place.lab("deep", *workshop()))
    talks = []
    for _ in range(4):
        talk = place.begin("exec", "esxi01/esxi02", "--", "sh", "-c", "echo ready; exec sleep 60")
        assert talk.stdout.readline() == "ready\n"
        talks.append(talk)
    one_error(place.ireko("exec", "esxi01", "--", "true", expect=1), "channels to the agent are in use")
    for talk in talks:
        talk.kill()
        talk.communicate()
    wait_for(lambda: place.ireko("exec", "esxi01/esxi02", "--", "true", expect=None).returncode == 0,
             what="a free channel")
    place.ireko("down", "deep")


def test_console(place):
    """console at every depth carries what is typed and what is printed."""
    place.ireko("up", place.lab("deep", *workshop()))
    for path in PATHS:
        process = place.begin("console", path, stdin=-1)
        assert process.stdout.readline().strip() == f"fake console of {path}"
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == "hello\n"
        process.stdin.write("\x1d")
        process.stdin.close()
        assert process.wait(10) == 0
        process.stdin = None
    one_error(place.ireko("console", "esxi01/none", expect=1), "none")
    place.ireko("down", "deep")


def test_up_twice(place):
    """up of what runs proves again, starts nothing new and keeps its times."""
    lab = place.lab("deep", *workshop())
    first = place.nest("up", lab)
    before = place.guests()
    assert len(before) == 3
    again = place.nest("up", lab)
    assert again["ok"] and place.guests() == before
    assert [m["ready_seconds"] for m in again["machines"][:1]] == \
        [m["ready_seconds"] for m in first["machines"][:1]]
    place.ireko("down", "deep")


def test_fresh(place):
    """up --fresh ends what runs and starts anew."""
    lab = place.lab("deep", *workshop())
    place.ireko("up", lab)
    before = place.guests()
    assert place.nest("up", "--fresh", lab)["ok"]
    after = place.guests()
    assert after.keys() == before.keys() and not set(after.values()) & set(before.values())
    place.ireko("down", "deep")


def test_lost_features(place):
    """verify says which CPU features did not arrive in each machine, and who took them."""
    place.ireko("up", place.lab("deep", *workshop()))
    machines = by_path(place.nest("verify", "deep"))
    lost = {path: {loss["name"]: loss["by"] for loss in machine["features_lost"]}
            for path, machine in machines.items()}
    taker, words = {"tcg": ("tcg", "TCG"), "kvm": ("cpu-model", "CPU model")}[
        machines[PATHS[0]]["accel"]]
    hv = machines[PATHS[1]]["checks"][0]["seen"]  # the processor's, or what TCG emulates
    assert lost[PATHS[0]]["sse2"] == taker and "fpu" not in lost[PATHS[0]], lost
    assert lost[PATHS[1]] == {} and lost[PATHS[2]] == {hv: "vhv.enable"}, lost
    said = place.ireko("verify", "deep").stdout.split("did not arrive", 1)[1].splitlines()[1:]
    assert said[0].startswith(f"  esxi01: {words} ") and all(len(line) <= 80 for line in said), said
    assert said[1] == f"  esxi01/esxi02/linux: vhv.enable 1 ({hv})", said
    place.ireko("down", "deep")


def test_check(place):
    """check asks every layer inside, however deep, in the order of the tree; --here asks none."""
    for name in ("one", "two"):
        place.nest("up", place.lab(name, *workshop()))
    found = json.loads(place.ireko("check", "--json", expect=None).stdout)
    layers = found["layers"]
    assert [(layer["lab"], layer["path"]) for layer in layers] == \
        [(name, path) for name in ("one", "two") for path in PATHS]
    for layer in layers:
        assert layer["level"] == layer["path"].count("/") + 1 and layer["message"] is None
        assert layer["schema"] == "ireko.check/1" and "layers" not in layer
        for field in ("verdict", "cause", "links", "cpu", "above", "host"):
            assert layer[field] == found[field] or field == "host", (layer["path"], field)
    said = place.ireko("check", expect=None).stdout
    assert said.index(" one:esxi01\n") < said.index("two:esxi01/esxi02/linux\n")
    for words in (("--here",), ("--root", os.path.join(TOP, "tests", "hosts", "intel-metal"))):
        assert json.loads(place.ireko("check", "--json", *words, expect=None).stdout)["layers"] == []
    place.ireko("down", "one")
    place.ireko("down", "two")


def test_dry_run(place):
    """--dry-run of up, run and down says what it would do and changes nothing."""
    lab = place.lab("deep", *workshop())
    said = place.ireko("up", "--dry-run", lab).stdout
    assert "esxi01: " in said and "esxi01/esxi02/linux: started by the agent" in said
    place.ireko("run", "--dry-run", os.path.join(lab, "linux.vmx"))
    place.assert_nothing_left()
    place.ireko("up", lab)
    before = place.guests()
    said = place.ireko("down", "--dry-run", "deep").stdout
    assert said.split() == [word for path in PATHS for word in ("end", path)]
    assert place.guests() == before and place.nest("verify", "deep")["ok"]
    place.ireko("down", "deep")


def states(nest):
    return {machine["path"]: machine["state"] for machine in nest["machines"]}


def test_stop_and_start(place):
    """One machine at any depth is stopped with those inside it, and started again; others run on."""
    place.ireko("up", place.lab("deep", *workshop()))
    first = place.guests()
    said = place.ireko("stop", "--dry-run", "esxi01/esxi02").stdout
    assert said.split() == ["stop", PATHS[1], "stop", PATHS[2]] and place.guests() == first
    for path in reversed(PATHS):
        before = place.guests()
        place.ireko("stop", path)
        gone = [f"deep/{other}" for other in PATHS if other.startswith(path)]
        wait_for(lambda: not set(gone) & set(place.guests()), what="the end of " + path)
        ps = states(place.nest("ps", "deep"))
        assert ps[path] == "stopped", ps
        assert all(ps[other] == "running" for other in PATHS if not other.startswith(path)), ps
        one_error(place.ireko("stop", path, expect=1), "run")
        nest = place.nest("start", path)
        check_contract(nest)
        assert nest["ok"] and set(states(nest).values()) == {"running"}
        after = place.guests()
        assert all((after[name] == before[name]) == (name not in gone) for name in after), after
        assert place.nest("verify", "deep")["ok"]
    one_error(place.ireko("stop", "esxi01/none", expect=1), "no lab on record has the machine")
    one_error(place.ireko("start", "none", expect=1), "no lab on record has the machine")
    place.ireko("down", "deep")


def test_start_of_one_among_others(place):
    """start of one machine leaves its stopped siblings alone; ps tells of all of them."""
    place.ireko("up", place.lab("wide", Machine("host", Machine("leaf", count=2), count=2)))
    for path in ("host-1/leaf-1", "host-1/leaf-2", "host-2"):
        place.ireko("stop", path)
    nest = place.nest("start", "host-1/leaf-2")
    assert list(states(nest)) == ["host-1", "host-1/leaf-2"] and nest["ok"]
    assert states(place.nest("ps", "wide")) == {
        "host-1": "running", "host-1/leaf-1": "stopped", "host-1/leaf-2": "running",
        "host-2": "stopped", "host-2/leaf-1": "not-started", "host-2/leaf-2": "not-started"}
    assert place.nest("up", place.path("wide"))["ok"]
    place.ireko("down", "wide")


def test_two_labs(place):
    """Two labs with machines of the same names run side by side; LAB:PATH tells them apart."""
    for name in ("one", "two"):
        assert place.nest("up", place.lab(name, *workshop()), "--fresh")["ok"]
    one_error(place.ireko("exec", "esxi01", "--", "true", expect=1), "one:esxi01", "'one' and 'two'")
    for name in ("one", "two"):
        said = place.ireko("exec", f"{name}:esxi01/esxi02", "--", "sh", "-c", "cat /proc/$PPID/cmdline")
        assert f"{name}/esxi01/esxi02" in said.stdout.split("\0")
    both = place.nest("ps")
    check_contract(both)
    assert len(both["machines"]) == 6 and both["lab"] is None
    assert {machine["lab"] for machine in both["machines"]} == {"one", "two"}
    place.ireko("down", "one")
    assert place.nest("verify", "two")["ok"]
    assert place.ireko("exec", "esxi01", "--", "echo", "x").stdout == "x\n"
    one_error(place.ireko("exec", "one:esxi01", "--", "true", expect=1), "no machine")
    place.ireko("down", "two")


def test_changed_definition(place):
    """A lab whose definition changed while it runs is not mixed with what runs."""
    lab = place.lab("deep", *workshop())
    place.ireko("up", lab)
    path = os.path.join(lab, "linux.vmx")
    with open(path, "a", encoding="utf-8") as file:
        file.write('annotation = "another"\n')
    one_error(place.ireko("up", lab, expect=1), "another definition", "ireko down deep")
    assert place.nest("verify", "deep")["ok"]
    assert place.nest("up", "--fresh", lab)["ok"]
    place.ireko("down", "deep")


def test_run(place):
    """run --detach leaves one machine as the lab run-NAME; run without it ends with the console."""
    vmx = os.path.join(place.lab("deep", Machine("alone")), "alone.vmx")
    place.ireko("run", "--detach", vmx)
    assert place.nest("verify", "run-alone")["ok"]
    assert place.ireko("exec", "alone", "--", "echo", "x").stdout == "x\n"
    place.ireko("down", "run-alone")
    place.assert_nothing_left()
    done = place.ireko("run", vmx, text="typed\n\x1d")
    assert "console of alone" in done.stderr
    place.ireko("run", os.path.join(TOP, "README.md"), expect=2)


def test_vhv_off(place):
    """The example with vhv off: its host runs, its guest does not, and the line to change is named."""
    lab = os.path.join(TOP, "examples", "vhv-off")
    nest = place.nest("up", lab, expect=1)
    check_contract(nest)
    machines = by_path(nest)
    assert not nest["ok"] and machines["esxi01"]["state"] == "running"
    hv = machines["esxi01"]["checks"][0]
    assert (hv["what"], hv["ok"], hv["cause"]) == ("hv", False, "vhv-off")
    for path in PATHS[1:]:
        assert machines[path]["state"] == "not-started"
    fix = machines["esxi01/esxi02"]["checks"][0]["fix"]
    where = re.search(r"(\S+esxi01\.vmx):(\d+)", fix)
    assert "vhv.enable" in read(where.group(1)).splitlines()[int(where.group(2)) - 1]
    said = place.ireko("verify", "vhv-off", expect=1).stdout
    assert "To mend it: " + fix in said
    place.ireko("down", "vhv-off")


if __name__ == "__main__":
    main([test_depth_three, test_words, test_count, test_deepest, test_exec, test_many_talks,
          test_console, test_up_twice, test_fresh, test_lost_features, test_check, test_dry_run, test_stop_and_start,
          test_start_of_one_among_others, test_two_labs,
          test_changed_definition, test_run, test_vhv_off], lambda: Place().fake("1"))
