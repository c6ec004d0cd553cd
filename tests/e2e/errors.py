"""What goes wrong is one clear line that says what to do; nothing is lost and nothing left behind.

Machines here boot nothing: QEMU, where a test needs the real one, sits in its firmware."""

import os
import shutil
import subprocess

from harness import HYPERVISOR, IREKO, LEAF, Machine, Place, Skip, main, one_error, read, vmx_text, write

PLAIN = {"memsize": "32", "numvcpus": "1", "svga.present": "FALSE", "guestOS": "other"}


def disk(name, bus="ide0:0"):
    return {f"{bus}.present": "TRUE", f"{bus}.fileName": name}


def plain(place, keys=None, name="plain.vmx"):
    return write(place.path(name), vmx_text({**PLAIN, **(keys or {})}))


def need(program):
    if shutil.which(program) is None:
        raise Skip(f"there is no {program}")


def make_vmdk(path):
    need("qemu-img")
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", path, "1M"], check=True)
    return path


# name of the file, its bytes, words of the error
NO_VMX = [
    ("a disk", b"KDMV\x01\0\0\0" + bytes(600), ("vmdk",)),
    ("a disk's descriptor", b"# Disk DescriptorFile\nversion=1\nCID=fffffffe\n", ("vmdk",)),
    ("a ZIP archive", b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(200), ("zip archive",)),
    ("a program", b"\x7fELF\x02\x01\x01" + bytes(200), ("ELF",)),
    ("an OVF package", b'<?xml version="1.0"?>\n<Envelope>\n</Envelope>\n', ("OVF", "ovftool")),
    ("an empty file", b"", ("empty",)),
    ("noise", bytes(range(256)) * 8, ()),
]


def test_no_vmx(place, name, content, words):
    """A .vmx that is really something else is told for what it is."""
    path = write(place.path("thing.vmx"), content)
    one_error(place.ireko("run", path, expect=1), path, *words)
    write(place.path("lab.yaml"), "name: lab\nmachines:\n  - vmx: thing.vmx\n")
    one_error(place.ireko("up", place.folder, expect=1), "thing.vmx", *words)


def test_missing_files(place):
    """A missing .vmx, lab or folder is named; a folder is no .vmx."""
    one_error(place.ireko("run", place.path("none.vmx"), expect=1), "none.vmx", "No such file")
    one_error(place.ireko("up", place.path("none"), expect=1), "none", "No such file")
    one_error(place.ireko("up", place.folder, expect=1), "lab.yaml", "No such file")
    os.mkdir(place.path("folder.vmx"))
    one_error(place.ireko("run", place.path("folder.vmx"), expect=1), "folder.vmx", "older")
    write(place.path("lab.yaml"), "name: lab\nmachines:\n  - vmx: gone.vmx\n")
    one_error(place.ireko("up", place.folder, expect=1), "gone.vmx", "No such file")


def test_unreadable(place):
    """A .vmx that may not be read is named with the reason."""
    need("setpriv")
    if os.geteuid() != 0:
        raise Skip("only root can become nobody")
    os.chmod(place.folder, 0o755)
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    if subprocess.run([*as_nobody, IREKO, "--version"], capture_output=True, check=False).returncode:
        raise Skip("nobody may not run ireko where it was built")
    path = plain(place)
    os.chmod(path, 0)
    one_error(place.ireko("run", path, expect=1, before=as_nobody), path, "Permission denied")


def test_encrypted(place):
    """An encrypted .vmx is told of as that."""
    path = write(place.path("locked.vmx"), '.encoding = "UTF-8"\ndisplayName = "locked"\n'
                 'encryption.keySafe = "vmware:key/list/(pair/(phrase/x))"\n'
                 'encryption.data = "c2VjcmV0"\n')
    one_error(place.ireko("run", path, expect=1), "locked.vmx", "encrypted")


# the keys, the line that is wrong, words
BAD_DEVICES = [
    ({"scsi0.present": "TRUE", "scsi0.virtualDev": "buslogic", **disk("d.img", "scsi0:0")},
     "scsi0.virtualDev", ("buslogic", "lsilogic")),
    ({"scsi0.present": "TRUE", "scsi0.virtualDev": "megaraid", **disk("d.img", "scsi0:0")},
     "scsi0.virtualDev", ("megaraid", "pvscsi")),
    ({"ethernet0.present": "TRUE", "ethernet0.virtualDev": "ne3000"},
     "ethernet0.virtualDev", ("ne3000", "vmxnet3")),
    ({"numvcpus": "many"}, "numvcpus", ("many",)),
    ({"memsize": "-4"}, "memsize", ("-4",)),
    ({"vhv.enable": "perhaps"}, "vhv.enable", ("TRUE or FALSE",)),
    ({"ireko.image": "windows"}, None, ("windows", "linux")),
]


def test_bad_device(place, name, keys, wrong, words):
    """What cannot be given or meant is named with its file and line, and what there is instead."""
    write(place.path("d.img"), bytes(1 << 20))
    path = plain(place, keys)
    where = [path]
    if wrong is not None:
        numbers = [i for i, line in enumerate(read(path).splitlines(), 1) if line.startswith(wrong)]
        where = [f"{path}:{numbers[0]}:"]
    one_error(place.ireko("run", path, expect=1), *where, *words)


def test_disk_missing(place):
    """A disk image that is not there: file, line, device, and how to have one made."""
    path = plain(place, disk("gone.vmdk"))
    one_error(place.ireko("run", path, expect=1), f"{path}:6: ", "gone.vmdk", "ide0:0", "is not there",
              "ireko.")


def test_disk_corrupt(place):
    """A disk image that is damaged or none at all is told of before anything starts, or by QEMU."""
    for content in (b"garbage" * 100, b"", b"KDMV" + b"\xff" * 2000, b"QFI\xfb" + b"\xff" * 2000):
        before = write(place.path("bad.vmdk"), content)
        one_error_of_run(place, plain(place, disk("bad.vmdk")), "damaged")
        with open(before, "rb") as file:
            assert file.read() == content, "the user's file was changed"


def one_error_of_run(place, path, *words):
    """RUN fails and says so once, in its own line or in the machine's."""
    done = place.ireko("run", "--detach", path, expect=1)
    said = done.stdout + done.stderr
    for word in words:
        assert word in said, f"'{word}' is not in: {said}"
    place.assert_nothing_left()


def test_disk_locked(place):
    """A disk that another machine has is not touched: the error says who may have it."""
    need("qemu-system-x86_64")
    make_vmdk(place.path("shared.vmdk"))
    first = plain(place, disk("shared.vmdk"), "first.vmx")
    second = plain(place, disk("shared.vmdk"), "second.vmx")
    place.ireko("run", "--detach", first)
    done = place.ireko("run", "--detach", second, expect=1)
    assert "shared.vmdk" in done.stdout + done.stderr and "another" in done.stdout + done.stderr, done
    assert place.nest("verify", "run-first", expect=None)["machines"][0]["state"] == "running"
    one_error(place.ireko("down", "run-second", expect=1), "no lab")
    place.env["IREKO_PATIENCE"] = "0.02"
    place.ireko("down", "run-first")


def test_qemu_missing(place):
    """No QEMU: the error names the package."""
    place.env["IREKO_QEMU"] = "/nonexistent/qemu"
    one_error(place.ireko("run", plain(place), expect=1), "/nonexistent/qemu", "qemu-system-x86")


def test_qemu_old(place):
    """A QEMU that is too old: the error says which it is and which is needed."""
    script = write(place.path("qemu"), "#!/bin/sh\necho 'QEMU emulator version 2.11.1'\n")
    os.chmod(script, 0o755)
    place.env["IREKO_QEMU"] = script
    one_error(place.ireko("run", plain(place), expect=1), "2.11", "7.2")


def test_qemu_that_dies(place):
    """A QEMU that dies at once: its own words are shown."""
    script = write(place.path("qemu"), "#!/bin/sh\ncase \"$*\" in *-version*) echo 'QEMU emulator version "
                   "9.0.0';; *) echo 'qemu: no luck today' >&2; exit 1;; esac\n")
    os.chmod(script, 0o755)
    place.env["IREKO_QEMU"] = script
    one_error_of_run(place, plain(place), "no luck today")


def test_memory(place):
    """A nest that does not fit: L0's memory, or a guest's into its host's, with the line to change."""
    place.fake()
    path = plain(place, {"memsize": "4194304"})
    one_error(place.ireko("run", path, expect=1), "needs 4", "TiB", "available", "lower memsize")
    lab = place.lab("tight", Machine("host", Machine("guest", memsize=1024), memsize=1024))
    vmx = os.path.join(lab, "host.vmx")
    line = [i for i, text in enumerate(read(vmx).splitlines(), 1) if text.startswith("memsize")][0]
    one_error(place.ireko("up", lab, expect=1), f"{vmx}:{line}: ", "'host' has 1 GiB", "memsize = ")
    lab = place.lab("deeper", Machine("a", Machine("b", Machine("c", memsize=512), memsize=512)))
    one_error(place.ireko("up", lab, expect=1), "b.vmx", "'a/b' has 512 MiB")


LAB_FILES = [
    ("name: x\nmachine:\n  - vmx: m.vmx\n", 2, ("machine",)),
    ("name: x\nmachines:\n  - vmx: m.vmx\n    guest: []\n", 4, ("guest",)),
    ("name: x\nmachines:\n  - vmx: m.vmx\n    count: lots\n", 4, ("count",)),
    ("name: x\nmachines:\n  - vmx: m.vmx\n    count: -1\n", 4, ("count",)),
    ("name: x\nmachines: m.vmx\n", 2, ()),
    ("name: x\nmachines:\n  - vmx: m.vmx\n   broken\n", None, ()),
    ("machines:\n  - vmx: m.vmx\n", None, ("name",)),
    ("name: x\n", None, ("machines",)),
    ("name: ../x\nmachines:\n  - vmx: m.vmx\n", None, ("name of a lab",)),
    ("name: x\nmachines:\n  - vmx: m.vmx\n    count: 100000\n", None, ("count",)),
    ("name: x\nmachines:\n  - &m\n    vmx: m.vmx\n  - *m\n", 3, ("alias",)),
    ("", None, ()),
    ("\0\1\2", None, ()),
]


def test_lab_file(place, name, text, line, words):
    """A lab file with something wrong: file, line, what it is."""
    plain(place, name="m.vmx")
    path = write(place.path("lab.yaml"), text)
    done = place.ireko("up", place.folder, expect=1)
    one_error(done, f"{path}:{line}: " if line is not None else path, *words)


def test_same_names(place):
    """Two machines with one name: both files are named."""
    plain(place, name="m.vmx")
    os.mkdir(place.path("other"))
    plain(place, name="other/m.vmx")
    write(place.path("lab.yaml"), "name: x\nmachines:\n  - vmx: m.vmx\n  - vmx: other/m.vmx\n")
    one_error(place.ireko("up", place.folder, expect=1), "two machines are called 'm'", "other/m.vmx")


def test_mistyped_verb(place):
    """A verb that is mistyped: the one that is meant is named, and none where that cannot be told."""
    for typed, meant in (("chekc", "did you mean 'check'?"), ("DOWN", "did you mean 'down'?"),
                         ("agnet", "'ireko --help' lists them"), ("x" * 5000, "'ireko --help' lists them")):
        said = place.ireko(typed, expect=2).stderr
        assert said == f"ireko: there is no verb '{typed}': {meant}\n", said
    for typed, meant in (("shwo", "did you mean 'show'?"), ("frobnicate", "'ireko vmx --help' lists them")):
        said = place.ireko("vmx", typed, expect=2).stderr
        assert said == f"ireko vmx: there is no verb '{typed}': {meant}\n", said


def test_no_such_lab(place):
    """A lab that is not there, a path that is wrong, an option that is none."""
    for verb in ("verify", "down"):
        one_error(place.ireko(verb, "nothing", expect=1), "no lab 'nothing' is on record")
    one_error(place.ireko("ps", "nothing", expect=1), "no lab 'nothing' is on record")
    one_error(place.ireko("exec", "a/b", "--", "true", expect=1), "no machine 'a/b' runs here")
    one_error(place.ireko("console", "x:a", expect=1), "no machine 'a' runs here")
    for words in (("up",), ("up", "--fast", "x"), ("up", "a", "b"), ("ps", "a", "b"), ("down",),
                  ("exec", "a"), ("run", "x.iso"), ("up", "--accel", "xen", "x"), ("image", "sell"),
                  ("dance",), ()):
        place.ireko(*words, expect=2)


def test_damaged_record(place):
    """A damaged record: ps and verify say so, down removes the lab all the same."""
    place.fake()
    lab = place.lab("deep", Machine("host", Machine("guest")))
    other = place.lab("other", Machine("alone"))
    place.ireko("up", other)
    for damage in (b"", b"{", b"[]", b'{"schema": "ireko.record/99"}', b"\v", os.urandom(500), None):
        place.ireko("up", lab)
        path = os.path.join(place.home, "labs", "deep", "record.json")
        content = damage
        if damage is None:
            content = read(path).replace('"vmx"', '"xmv"').encode()
        write(path, content)
        done = place.ireko("ps", expect=1)
        assert "deep" in done.stderr and "ireko down deep" in done.stderr, done.stderr
        assert "alone" in done.stdout, "the other lab is not shown"
        one_error(place.ireko("verify", "deep", expect=1), "deep", "ireko down deep")
        assert place.ireko("exec", "host/guest", "--", "echo", "x").stdout == "x\n"
        place.ireko("down", "deep")
    place.ireko("down", "other")


def test_disk_full(place):
    """A full disk: up says so and leaves nothing half made."""
    if os.geteuid() != 0:
        raise Skip("only root can mount a small file system")
    os.mkdir(place.home)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place.home], check=False,
                      capture_output=True).returncode != 0:
        raise Skip("a file system cannot be mounted here")
    try:
        place.fake()
        lab = place.lab("deep", Machine("host", Machine("guest")))
        write(os.path.join(place.home, "filler"), bytes(48 << 10))
        guests = [Machine(f"m{i}") for i in range(12)]
        lab = place.lab("big", Machine("host", *guests))
        done = place.ireko("up", lab, expect=1)
        assert "No space left" in done.stdout + done.stderr, done.stdout + done.stderr
        os.unlink(os.path.join(place.home, "filler"))
        place.ireko("down", "big", expect=None)
        place.assert_nothing_left()
    finally:
        for pid in place.guests().values():
            os.kill(pid, 9)
        subprocess.run(["umount", "-l", place.home], check=False)


if __name__ == "__main__":
    main([(test_no_vmx, *row) for row in NO_VMX] +
         [test_missing_files, test_unreadable, test_encrypted] +
         [(test_bad_device, row[2][0], *row) for row in BAD_DEVICES] +
         [test_disk_missing, test_disk_corrupt, test_disk_locked, test_qemu_missing, test_qemu_old,
          test_qemu_that_dies, test_memory] +
         [(test_lab_file, repr(row[0]), *row) for row in LAB_FILES] +
         [test_same_names, test_mistyped_verb, test_no_such_lab, test_damaged_record, test_disk_full])
