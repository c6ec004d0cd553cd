"""Whatever is interrupted, whenever: the next up puts it right, or the next down leaves nothing.

The moments are spread over the time that the undisturbed command takes, and over the stages that it
tells of; they are not chosen by what the code does there."""

import signal
import time

from harness import Machine, Place, by_path, kill, main, one_error, wait_for

MOMENTS = 15
PATHS = ["esxi01", "esxi01/esxi02", "esxi01/esxi02/linux"]
STAGES = ["checking what the lab needs"] + \
    [f"{path}: {stage}" for path in PATHS for stage in ("starting", "proving", "running")]


def workshop(place):
    return place.lab("deep", Machine("esxi01", Machine("esxi02", Machine("linux"))))


def prove_whole(place, lab):
    nest = place.nest("up", lab)
    assert nest["ok"], nest
    assert sorted(place.guests()) == [f"deep/{path}" for path in PATHS], place.guests()
    place.ireko("down", "deep")
    place.assert_nothing_left()


def clear_away(place):
    """down, where there is still something on record."""
    done = place.ireko("down", "deep", expect=None)
    if done.returncode != 0:
        one_error(done, "no lab 'deep' is on record")
    place.assert_nothing_left()


def ps_is_true(place):
    """ps says what runs, whatever state things are in."""
    nest = place.nest("ps")
    guests = set(place.guests())  # after it: a machine may just have been starting
    for machine in nest["machines"]:
        if machine["state"] == "running":
            assert f"deep/{machine['path']}" in guests, (machine, guests)


def measure(place, *words):
    began = time.monotonic()
    place.ireko(*words)
    return time.monotonic() - began


def time_up(place, lab):
    """What an up takes; the first one pays for what is not in memory yet."""
    taken = []
    for _ in range(3):
        taken.append(measure(place, "up", lab))
        place.ireko("down", "deep")
    return min(taken)


def interrupt(place, signals, delay, *words):
    process = place.begin(*words)
    time.sleep(delay)
    for number in signals:
        process.send_signal(number)
    process.communicate(timeout=20)
    return process.returncode


def moments(seconds):
    return [seconds * 1.3 * i / (MOMENTS - 1) for i in range(MOMENTS)]


def test_up_interrupted(place, name, *signals):
    """up interrupted at any time: the next up comes to the whole nest, the next down to nothing."""
    lab = workshop(place)
    seconds = time_up(place, lab)
    cut = 0
    for delay in moments(seconds):
        cut += interrupt(place, signals, delay, "up", lab) != 0
        ps_is_true(place)
        prove_whole(place, lab)
        interrupt(place, signals, delay, "up", lab)
        clear_away(place)
    assert cut >= MOMENTS // 4, f"only {cut} of {MOMENTS} runs were interrupted"


def test_up_interrupted_at_stages(place, name, *signals):
    """up interrupted at each stage that it tells of: as above."""
    lab = workshop(place)
    for stage in STAGES:
        for settle in (prove_whole, lambda place, lab: clear_away(place)):
            process = place.begin("up", "--fresh", lab)  # a clone tells of fewer stages
            while (line := process.stderr.readline()) and not line.startswith(stage):
                pass
            assert line, f"up never said '{stage}'"
            for number in signals:
                process.send_signal(number)
            process.communicate(timeout=20)
            ps_is_true(place)
            settle(place, lab)


def test_up_again_interrupted(place, name, *signals):
    """up of a nest that runs, interrupted: nothing that ran is lost."""
    lab = workshop(place)
    place.ireko("up", lab)
    before = place.guests()
    for delay in moments(measure(place, "up", lab)):
        interrupt(place, signals, delay, "up", lab)
        assert place.guests() == before
    assert place.nest("verify", "deep")["ok"]
    place.ireko("down", "deep")


def test_down_interrupted(place, name, *signals):
    """down interrupted at any time: the next down leaves nothing, the next up comes to the nest."""
    lab = workshop(place)
    place.ireko("up", lab)
    seconds = measure(place, "down", "deep")
    for delay in moments(seconds):
        place.ireko("up", lab)
        interrupt(place, signals, delay, "down", "deep")
        ps_is_true(place)
        clear_away(place)
        place.ireko("up", lab)
        interrupt(place, signals, delay, "down", "deep")
        prove_whole(place, lab)


def test_guest_killed(place, level):
    """A machine killed at any level: ps tells, up repairs just that, down removes the rest."""
    lab = workshop(place)
    for settle in ("up", "down"):
        place.ireko("up", lab)
        before = place.guests()
        kill(before[f"deep/{PATHS[level]}"])
        wait_for(lambda: len(place.guests()) == level, what="the end of what is inside")
        for words in (("ps", "deep"), ("verify", "deep")):
            nest = place.nest(*words, expect=0 if words[0] == "ps" else 1)
            assert not nest["ok"]
            states = [by_path(nest)[path]["state"] for path in PATHS]
            want = ["running"] * level + ["stopped"] + ["not-started"] * (2 - level)
            assert states == want, states
        if settle == "up":
            nest = place.nest("up", lab)
            assert nest["ok"]
            after = place.guests()
            for path in PATHS[:level]:
                assert after[f"deep/{path}"] == before[f"deep/{path}"], f"{path} was started anew"
        place.ireko("down", "deep")
        place.assert_nothing_left()


def test_two_ups(place):
    """Two ups at once: one brings the nest up once, the other waits for its turn or says so."""
    lab = workshop(place)
    for _ in range(10):
        ups = [place.begin("up", lab) for _ in range(3)]
        said = [process.communicate(timeout=30)[1] for process in ups]
        codes = [process.returncode for process in ups]
        assert 0 in codes, said
        for process, words in zip(ups, said):
            assert process.returncode == 0 or "another ireko is at work on the lab 'deep'" in words
        assert sorted(place.guests()) == [f"deep/{path}" for path in PATHS]
        assert place.nest("verify", "deep")["ok"]
        place.ireko("down", "deep")
        place.assert_nothing_left()


def test_down_during_up(place):
    """down while up is at work does not tear it apart: it says so, or comes before or after."""
    lab = workshop(place)
    seconds = time_up(place, lab)
    for delay in moments(seconds):
        process = place.begin("up", lab)
        time.sleep(delay)
        done = place.ireko("down", "deep", expect=None)
        words = process.communicate(timeout=30)[1]
        if done.returncode != 0:
            assert "another ireko is at work" in done.stderr or "no lab 'deep'" in done.stderr
        if process.returncode != 0:
            assert "another ireko is at work" in words, words
        clear_away(place)


def test_verify_during_all(place):
    """ps and verify beside an up, over and over, disturb nothing and never say what is not so."""
    lab = workshop(place)
    for _ in range(5):
        process = place.begin("up", "--json", lab)
        while process.poll() is None:
            done = place.ireko("ps", expect=None)
            assert done.returncode == 0, done.stderr
        out, words = process.communicate()
        assert process.returncode == 0, out + words
        place.ireko("down", "deep")


SIGNALS = [("SIGKILL", signal.SIGKILL), ("SIGINT", signal.SIGINT), ("SIGTERM", signal.SIGTERM),
           ("SIGINT twice", signal.SIGINT, signal.SIGINT)]

main([(test, *row) for test in (test_up_interrupted, test_up_interrupted_at_stages,
                                test_up_again_interrupted, test_down_interrupted)
      for row in (SIGNALS if test is test_up_interrupted else SIGNALS[:2])] +
     [(test_guest_killed, level) for level in range(3)] +
     [test_two_ups, test_down_during_up, test_verify_during_all], lambda: Place().fake("1"))
