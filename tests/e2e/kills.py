"""kill -9 of ireko, of one machine, of all machines, before each system call by which a command
changes something: the next command tells what is true and repairs or removes it.

The points are counted as the command runs, so they grow with the code. By default every seventh is
tried; IREKO_EVERY_POINT=1 tries all of them."""

import os
import random
import signal
import subprocess

from harness import STOP_AT, Machine, Place, Skip, main

STEP = 1 if os.environ.get("IREKO_EVERY_POINT") else 7
PATHS = ["a", "a/g", "b"]
RUNNING = [f"life/{path}" for path in PATHS]
NOTE = '"$IREKO_FAKE_MEMORY/note"'


def note(place, text=None):
    script = f"cat {NOTE}" if text is None else f"printf '%s' '{text}' > {NOTE}"
    return place.ireko("exec", "b", "--", "sh", "-c", script).stdout


def snapshots(place):
    folder = os.path.join(place.home, "labs", "life", "snapshots")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


class Life:
    """A lab whose commands are interrupted."""

    def __init__(self, place):
        self.place = place
        self.lab = place.lab("life", Machine("a", Machine("g", memsize="16"), memsize="512"),
                             Machine("b", memsize="16"))

    def up(self, *words):
        nest = self.place.nest("up", *words, self.lab)
        assert nest["ok"], nest
        assert sorted(self.place.guests()) == RUNNING, self.place.guests()
        for machine in nest["machines"]:
            if machine["origin"] != "boot" and machine["level"] == 1:
                self.place.ireko("exec", machine["path"], "--", "sh", "-c",
                                 'test -s "$IREKO_FAKE_MEMORY/seed"')  # it was told who it is

    def down(self):
        """Ends it, where there is still something on record, and what stands ready for it."""
        self.place.ireko("template", "cool", "--all")
        done = self.place.ireko("down", "life", expect=None)
        assert done.returncode == 0 or "no lab 'life' is on record" in done.stderr, done.stderr
        self.place.assert_nothing_left()

    def saved(self):
        """The lab runs and has the snapshot 'base', of a time when b knew 'then'."""
        self.down()
        self.up()
        note(self.place, "then")
        self.place.ireko("snapshot", "life", "base")
        note(self.place, "later")

    def ps_is_true(self):
        nest = self.place.nest("ps")
        guests = set(self.place.guests())
        for machine in nest["machines"]:
            assert machine["state"] != "running" or f"life/{machine['path']}" in guests, nest

    def interrupted(self, at, whom, words):
        """Runs ireko WORDS; before its call AT, kills WHOM. None: there was no such call."""
        process, stopped = self.place.begin_stopped(at, *words)
        if stopped is not None:
            if whom != "ireko":
                self.kill_guests(whom)
            stopped.send(b"k" if whom == "ireko" else b"g")
            stopped.close()
        _, told = self.place.end(process)
        return (process.returncode, told) if stopped is not None else None

    def kill_guests(self, whom):
        guests = list(self.place.guests().values())
        for pid in guests if whom == "all machines" else random.sample(guests, min(1, len(guests))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


# What a command begins with, and what has to be so after it was interrupted, each in two ways.

def before_boot(life):
    life.down()
    for name in os.listdir(os.path.join(life.place.home, "templates")):
        subprocess.run(["rm", "-rf", os.path.join(life.place.home, "templates", name)], check=True)


def before_clone(life):
    life.down()
    if len(os.listdir(os.path.join(life.place.home, "templates"))) < 2:
        life.up()
        life.down()


def after_warm(life, odd):
    if odd:
        told = life.place.ireko("template", "warm", life.lab).stdout
        assert told.count(": 1 ready") == 2, told
        life.up()
    life.down()


def before_taking(life):
    before_clone(life)
    life.place.ireko("template", "warm", life.lab)


def after_up(life, odd):
    if odd:
        life.up()
    life.down()


def before_snapshot(life):
    if snapshots(life.place) != ["base"] or sorted(life.place.guests()) != RUNNING:
        life.saved()


def after_snapshot(life, odd):
    place = life.place
    life.up()
    names = snapshots(place)
    assert names in (["base"], ["base", "new"]), names
    if "new" in names:
        place.ireko("restore", "--dry-run", "life", "new")
        place.ireko("snapshot", "remove", "life", "new")
    if odd:
        place.ireko("restore", "life", "base")
        assert note(place) == "then"
    else:
        life.down()


def after_restore(life, odd):
    place = life.place
    assert snapshots(place) == ["base"], snapshots(place)
    if odd:
        nest = place.nest("restore", "life", "base")
        assert nest["ok"] and note(place) == "then", nest
    else:
        life.up()
    assert place.nest("verify", "life")["ok"]
    place.ireko("restore", "--dry-run", "life", "base")


def before_down(life):
    if sorted(life.place.guests()) != RUNNING:
        life.up()


def after_down(life, odd):
    if odd:
        life.up()
    life.down()


COMMANDS = {
    "up that boots": (["up"], before_boot, after_up),
    "up that clones": (["up"], before_clone, after_up),
    "warm": (["template", "warm"], before_clone, after_warm),
    "up that takes spares": (["up"], before_taking, after_up),
    "cool": (["template", "cool", "life"], before_taking, after_warm),
    "snapshot": (["snapshot", "life", "new"], before_snapshot, after_snapshot),
    "restore": (["restore", "life", "base"], before_snapshot, after_restore),
    "down": (["down", "life"], before_down, after_down),
}


def test_killed(place, command, whom):
    """Killed before any call of a command that changes something, the next command puts it right."""
    if not os.access(STOP_AT, os.X_OK):
        raise Skip("stop-at is not built")
    words, before, after = COMMANDS[command]
    life = Life(place)
    life.up()
    words = {"up": ["up", life.lab], "warm": ["template", "warm", life.lab]}.get(words[-1], words)
    at, tried = 1 + random.randrange(STEP), 0
    while True:
        before(life)
        outcome = life.interrupted(at, whom, words)
        if outcome is None:
            break
        tried += 1
        try:
            life.ps_is_true()
            after(life, tried % 2 == 1)
        except AssertionError as wrong:
            raise AssertionError(f"{command}, {whom} killed before call {at}: {wrong}\n"
                                 f"exit {outcome[0]}: {outcome[1]}") from wrong
        at += STEP
    print(f"# {command}, {whom}: {tried} of some {at} points", flush=True)
    assert tried >= 5, "the command changes nothing?"
    life.down()


random.seed(int(os.environ.get("IREKO_SEED", "1")))
main([(test_killed, command, whom) for command in COMMANDS
      for whom in ("ireko", "one machine", "all machines")], lambda: Place().fake("0.2"))
