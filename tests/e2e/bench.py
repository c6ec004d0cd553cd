"""ireko bench disk on fake machines: which disk it takes, and what it makes of what is said inside.

exec of a fake machine runs on the host, so the ireko that is inside is a script of the test."""

import json
import os

from harness import LEAF, Machine, Place, main, one_error, vmx_text, write

KINDS = ["seq-read", "seq-write", "random-read", "random-write"]
GOOD = "".join(f"{json.dumps({'kind': kind, 'ssd': ssd, 'per_second': 4000 + 100 * ssd})}\\n"
               for kind in KINDS for ssd in (False, True, False))


def running(place, inside, **keys):
    """A machine of the lab "one", in which ireko is the shell script INSIDE."""
    folder = place.path("bin")
    os.makedirs(folder, exist_ok=True)
    path = write(os.path.join(folder, "ireko"), f"#!/bin/sh\n{inside}\n")
    os.chmod(path, 0o755)
    place.env["PATH"] = f"{folder}:{os.environ['PATH']}"
    place.ireko("up", place.lab("one", Machine("m", **keys)))


def test_result(place):
    """Rounds are asked for inside, in turn the other way round, and summed up."""
    said = place.path("said")
    running(place, f'echo "$@" >> {said}; printf \'{GOOD}\'')
    shown = json.loads(place.ireko("bench", "disk", "m", "--rounds", "3", "--json").stdout)
    assert shown["schema"] == "ireko.bench/1" and shown["what"] == "disk" and shown["path"] == "m"
    assert shown["device"] == "scsi0:1" and shown["ssd"] is True and shown["rounds"] == 3
    assert [row["kind"] for row in shown["results"]] == KINDS
    for row in shown["results"]:
        assert row["hdd"] == {"median": 4000, "least": 4000, "most": 4000}, row
        assert abs(row["ssd_over_hdd"]["median"] - 1.025) < 1e-5 and row["file"]["least"] > 0, row
        assert row["itself"] == {"median": 1, "least": 1, "most": 1}, row
    with open(said, encoding="utf-8") as file:
        assert file.read().splitlines() == [
            f"bench-round /dev/sdb /sys/block/sdb/queue/rotational {number}" for number in (0, 1, 0)]
    words = place.ireko("bench", "disk", "one:m", "--disk", "scsi0:1", "--rounds", "1").stdout
    assert "random write" in words and "1.02 (1.02..1.02)" in words, words
    assert max(map(len, words.splitlines())) <= 80, words
    place.ireko("down", "one")


def test_refused(place):
    """Only a disk that ireko made is measured, and --dry-run measures none."""
    own = write(place.path("own.raw"), b"\1" * (1 << 20))
    running(place, "exit 9", **{
        "scsi0:2.present": "TRUE", "scsi0:2.fileName": own, "ireko.scsi0:2.size": "4M"})
    done = place.ireko("bench", "disk", "m", "--dry-run")
    assert "scsi0:1 of m (/dev/sdb there)" in done.stdout, done.stdout
    one_error(place.ireko("bench", "disk", "m", "--disk", "scsi0:2", expect=1),
              "m.vmx:", "scsi0:2 is a file of yours")
    one_error(place.ireko("bench", "disk", "m", "--disk", "scsi0:9", expect=1), "'scsi0:9'")
    one_error(place.ireko("bench", "disk", "nobody", expect=1), "'nobody'")
    one_error(place.ireko("bench", "tape", "m", expect=2), "'tape'")
    one_error(place.ireko("bench", "disk", "m", "--rounds", "0", expect=2), "1 to 100")
    place.ireko("down", "one")
    with open(own, "rb") as file:
        assert file.read() == b"\1" * (1 << 20), "down took a file of the user's"


def test_no_made_disk(place):
    """A machine without a disk that ireko made is told how to get one."""
    keys = {key: value for key, value in LEAF.items() if "scsi0:1" not in key}
    os.makedirs(place.path("bare"))
    write(place.path("bare", "m.vmx"), vmx_text(keys))
    write(place.path("bare", "lab.yaml"), "name: bare\nmachines:\n  - vmx: m.vmx\n")
    place.ireko("up", place.path("bare"))
    one_error(place.ireko("bench", "disk", "m", expect=1), "ireko.X:Y.size")
    place.ireko("down", "bare")


def test_lies(place):
    """What is said inside is taken with care: nonsense, too much, too little, and failures."""
    running(place, "exit 0")
    script = place.path("bin", "ireko")
    for inside, words in (
            ("echo '/dev/sdb is in use' >&2; exit 1", ["m: exit 1", "in use"]),
            ("exit 4", ["m: exit 4", "said nothing"]),
            ("printf '\\033[2Jx' >&2; exit 1", ["\\x1b"]),
            ("echo hello", ["m: "]),
            ("true", ["0 of the disk"]),
            ("yes '{}'", ["m"]),
            ("yes | head -c 100000", ["m"]),
            (f"printf '{GOOD}'; printf '{GOOD.splitlines()[0][:90]}'", ["m"])):
        write(script, f"#!/bin/sh\n{inside}\n")
        one_error(place.ireko("bench", "disk", "m", "--rounds", "2", expect=1), *words)
    place.ireko("down", "one")


if __name__ == "__main__":
    main([test_result, test_refused, test_no_made_disk, test_lies], lambda: Place().fake("1"))
