"""Machines that misbehave: each is reported once and clearly, and the others are not affected.

ireko.fake in a .vmx tells the fake machine how (tests/fake/fake-guest.c)."""

import json
import time

from harness import Machine, Place, by_path, main

# fault, state of the machine, words of its message, (check, cause) that fails, its guests come up
FAULTS = [
    ("silent", "failed", "did not answer within", None, False),
    ("die-before-hello", "failed", "its process ended before its agent answered (", None, False),
    ("die-after-hello", "failed", "", None, False),
    ("babble", "failed", "babbles instead of saying hello", None, False),
    ("endless-line", "failed", "babbles instead of saying hello", None, False),
    ("wrong-protocol", "failed", "the agent speaks protocol 3", None, False),
    ("wrong-path", "failed", "'somebody/else' answered", None, False),
    ("lies-about-ssd", "running", None, ("disk.ssd", "unknown"), True),
    ("no-kvm", "running", None, ("kvm", "device-missing"), False),
    ("slow", "running", None, None, True),  # it says hello late
]


def lab_with(place, fault, level):
    """Three lines of machines; the one in the middle has FAULT at LEVEL."""
    def chain(name, faulty):
        keys = [{"ireko__fake": fault} if faulty and level == i else {} for i in (1, 2, 3)]
        return Machine(name, Machine("inner", Machine("leaf", **keys[2]), **keys[1]), **keys[0])
    # One file name, one .vmx: the faulty chain has names of its own.
    bad = chain("bad", True)
    bad.guests[0].name = "badinner"
    bad.guests[0].guests[0].name = "badleaf"
    return place.lab("mixed", chain("before", False), bad, chain("behind", False))


CHECK_SECONDS = 30  # what check may take in all
CHECK_PATIENCE = "0.1"  # 3 s for all layers: what is not silent says so in time on a busy machine
BAD = ["bad", "bad/badinner", "bad/badinner/badleaf"]
GOOD = ["before", "before/inner", "before/inner/leaf", "behind", "behind/inner", "behind/inner/leaf"]


def check_bad(machines, level, fault, state, message, broken):
    bad = machines[BAD[level - 1]]
    assert bad["state"] == state, (bad["state"], bad.get("message"))
    if message is not None:
        assert message in bad["message"], bad["message"]
        assert len(bad["message"].splitlines()) == 1, bad["message"]
    wrong = [check for check in bad["checks"] if not check["ok"]]
    if broken is None:
        assert not wrong, wrong
    else:
        what, cause = broken
        assert [check for check in wrong if check["what"] == what], (fault, bad["checks"])
        assert {check["cause"] for check in wrong} == {cause}, wrong


def test_fault(place, fault, state, message, broken, goes_on):
    """A machine that misbehaves is reported once, its guests held back, the others unaffected."""
    if fault == "slow":
        place.env["IREKO_PATIENCE"] = "1"
    for level in (1, 2):
        lab = lab_with(place, fault, level)
        harmless = broken is None and goes_on
        nest = place.nest("up", lab, expect=0 if harmless else 1)
        machines = by_path(nest)
        check_bad(machines, level, fault, state, message, broken)
        for path in GOOD + BAD[:level - 1]:
            assert machines[path]["state"] == "running", (path, machines[path])
            assert all(check["ok"] for check in machines[path]["checks"]), path
        for path in BAD[level:]:
            assert machines[path]["state"] == ("running" if goes_on else "not-started"), path
        assert nest["ok"] is harmless
        said = place.ireko("verify", "mixed", expect=0 if harmless else 1).stdout
        assert harmless or BAD[level - 1] in said
        place.ireko("down", "mixed")
        place.assert_nothing_left()


def checked(place, fault, level):
    """The layers that check tells of, by their paths: each once."""
    place.nest("up", lab_with(place, fault, level), expect=None)
    began = time.monotonic()
    found = json.loads(place.ireko("check", "--json", expect=None,
                                   env={"IREKO_PATIENCE": CHECK_PATIENCE}).stdout)
    assert time.monotonic() - began < CHECK_SECONDS
    place.ireko("down", "mixed")
    place.assert_nothing_left()
    layers = {layer["path"]: layer for layer in found["layers"]}
    assert len(layers) == len(found["layers"]), found["layers"]
    return layers


def test_check(place, fault, *_):
    """check names a layer that does not answer, in time, and has what all others say."""
    place.env["IREKO_QEMU"] = "none"  # so that no layer starts one to judge itself
    for level in (1, 2, 3):
        running = {path for path in GOOD + BAD[:level]
                   if path != BAD[level - 1] or not fault.startswith("die")}
        layers = checked(place, fault, level)
        assert set(layers) == running, (level, set(layers) ^ running)
        for path, layer in layers.items():
            silent = path == BAD[level - 1]
            assert (layer["verdict"] is None) == (layer["message"] is not None) == silent, layer


def test_check_cut_short(place):
    """A machine that ends in the middle of its check is told of, and whom it asked is named."""
    layers = checked(place, "dies-in-check", 1)
    assert set(layers) == set(GOOD + BAD[:2]), layers
    assert layers["bad"]["verdict"] == "hardware"
    inner = layers["bad/badinner"]
    assert inner["verdict"] is None and "asked" not in inner, inner
    assert inner["message"].startswith("nothing came of it through 'bad': "), inner


def test_check_of_a_liar(place):
    """A machine tells in its check of itself, once, and of nobody else."""
    for level in (1, 2):
        place.nest("up", lab_with(place, "lies-in-check", level))
        found = json.loads(place.ireko("check", "--json", expect=None).stdout)
        told = [layer["path"] for layer in found["layers"]]
        assert sorted(told) == sorted(GOOD + BAD[:level]), told
        place.ireko("down", "mixed")


def test_leaf_without_answer(place):
    """A silent leaf's last console lines are shown, and the others are proven."""
    lab = lab_with(place, "silent", 3)
    nest = place.nest("up", lab, expect=1)
    bad = by_path(nest)[BAD[2]]
    assert bad["state"] == "failed" and f"fake console of {BAD[2]}" in bad["console"], bad
    assert all(by_path(nest)[path]["state"] == "running" for path in GOOD + BAD[:2])
    said = place.ireko("verify", "mixed", expect=1).stdout
    behind = said[said.index("Not every promise held"):]
    assert behind.count(BAD[2] + ": failed: its agent did not answer within") == 1, said
    place.ireko("down", "mixed")


def test_leak(place):
    """A machine that sees assistance nobody promised it is told of."""
    nest = place.nest("up", lab_with(place, "leak-hv", 3), expect=1)
    wrong = [check for check in by_path(nest)[BAD[2]]["checks"] if not check["ok"]]
    assert [(check["what"], check["promised"], check["seen"]) for check in wrong] == \
        [("hv", "none", "svm")]
    place.ireko("down", "mixed")


def test_dies_in_run(place):
    """A host that dies while it runs its guests: its guests are told of, and up mends nothing else."""
    lab = lab_with(place, "dies-in-run", 1)
    nest = place.nest("up", lab, expect=1)
    machines = by_path(nest)
    assert not nest["ok"] and all(machines[path]["state"] == "running" for path in GOOD)
    inner = machines[BAD[1]]
    assert inner["state"] == "not-started" and "did not run its guests" in inner["message"], inner
    before = place.guests()
    again = by_path(place.nest("ps"))
    assert again["bad"]["state"] == "stopped", again["bad"]
    place.nest("up", lab, expect=1)
    after = place.guests()
    assert {name: after[name] for name in before} == before
    place.ireko("down", "mixed")


def test_all_at_once(place):
    """Every fault in one lab: one line each, and the healthy machine among them is proven."""
    machines = [Machine(f"m-{fault[0]}", Machine(f"g-{fault[0]}"), ireko__fake=fault[0])
                for fault in FAULTS]
    nest = place.nest("up", place.lab("all", *machines, Machine("fine")), expect=1)
    found = by_path(nest)
    for fault, state, *_ in FAULTS:
        assert found[f"m-{fault}"]["state"] == state, (fault, found[f"m-{fault}"])
    assert found["fine"]["state"] == "running"
    place.ireko("down", "all")


def test_mended(place):
    """A machine that died is started again by the next up once its .vmx is mended."""
    lab = lab_with(place, "die-before-hello", 1)
    place.nest("up", lab, expect=1)
    lab = lab_with(place, "", 1)
    assert place.nest("up", "--fresh", lab)["ok"]
    place.ireko("down", "mixed")

main([(test_fault, *fault) for fault in FAULTS] +
     [(test_check, *fault) for fault in FAULTS if fault[1] == "failed"] +
     [test_check_cut_short, test_check_of_a_liar, test_leaf_without_answer, test_leak, test_dies_in_run, test_all_at_once, test_mended],
     lambda: Place().fake("0.02"))
