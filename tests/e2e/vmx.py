"""ireko vmx as a person uses it: what it prints, what an edit leaves of a file, what it refuses."""

import json
import os
import random
import re
import shutil
import subprocess

from harness import IREKO, LEAF, TOP, Machine, Skip, main, one_error, read, vmx_text, write

EXAMPLE = os.path.join(TOP, "examples", "workshop", "esxi01.vmx")
ALONE = {**LEAF, "config.version": "8", "virtualHW.version": "13", "guestOS": "debian12-64"}

# Each a file as somebody's tool writes it, of a machine with a disk scsi0:0.
PLAIN = vmx_text({**ALONE, "vhv.enable": "FALSE"}).encode()
KINDS = {
    "plain": PLAIN,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "lone CR": PLAIN.replace(b"\n", b"\r"),
    "no final newline": PLAIN.rstrip(b"\n"),
    "a BOM": b"\xef\xbb\xbf" + PLAIN,
    "Shift_JIS": b'.encoding = "Shift_JIS"\r\ndisplayName = "\x93\xfa\x96\x7b"\r\n# \x83e\r\n'
                 + PLAIN.replace(b"\n", b"\r\n"),
    "comments, blanks, no quotes": b"#!/usr/bin/vmware\n\n# mine\n" + PLAIN.replace(
        b'vhv.enable = "FALSE"', b"  VHV.Enable\t=FALSE   # nested?") + b"\n\n",
    "malformed lines": b"not a key\nk = v w\n" + PLAIN + b'"\n',
}


def content(path):
    with open(path, "rb") as file:
        return file.read()


def vmx(place, *words, expect=0, stdin=b""):
    """Runs `ireko vmx` with bytes in and out; EXPECT None: any exit status."""
    done = subprocess.run([IREKO, "vmx", *words], env=place.env, check=False, input=stdin,
                          capture_output=True, timeout=60)
    assert expect is None or done.returncode == expect, (
        f"ireko vmx {' '.join(words)}: exit {done.returncode}, expected {expect}\n"
        f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done


def words_of(done):
    return done.stderr.decode()


def test_edit_and_back(place, kind):
    """set changes one value's bytes; undo, or setting back, gives the identical file."""
    before = KINDS[kind]
    path = write(place.path("m.vmx"), before)
    vmx(place, "set", path, "vhv.enable=TRUE")
    after = content(path)
    assert after != before and after.replace(b"TRUE", b"FALSE") == before.replace(b"TRUE", b"FALSE")
    assert vmx(place, "get", path, "VHV.ENABLE").stdout == b"TRUE\n"
    vmx(place, "undo", path)
    assert content(path) == before, "undo did not give the file back"
    vmx(place, "undo", path)
    assert content(path) == after, "a second undo did not take the first back"
    vmx(place, "set", path, "vhv.enable=FALSE")
    assert content(path) == before, "setting back did not give the file back"


def test_patch(place, kind):
    """patch(1) makes of the file what --dry-run shows, and the edit makes the same."""
    if shutil.which("patch") is None:
        raise Skip("no patch(1)")
    before = KINDS[kind]
    for words in (("set", "%", "vhv.enable=TRUE", "guestinfo.a=b", "memsize=512"),
                  ("unset", "%", "scsi0:0.present", "vhv.enable"), ("nest", "%"),
                  ("ssd", "%", "scsi0:0", "--off")):
        path = write(place.path("my vm.vmx"), before)
        words = [path if word == "%" else word for word in words]
        diff = vmx(place, *words, "--dry-run").stdout
        assert diff, f"{words} shows nothing"
        assert content(path) == before, "a dry run wrote"
        copy = write(place.path("copy.vmx"), before)
        patch = subprocess.run(["patch", copy], input=diff, capture_output=True, check=False)
        assert patch.returncode == 0, patch.stdout + patch.stderr + diff
        vmx(place, *words)
        assert content(copy) == content(path), diff
        undo = vmx(place, "undo", path, "--dry-run").stdout
        patch = subprocess.run(["patch", copy], input=undo, capture_output=True, check=False)
        assert patch.returncode == 0 and content(copy) == before, patch.stdout + undo


def test_random_patches(place):
    """patch(1) takes the diff of any edits of a long file."""
    if shutil.which("patch") is None:
        raise Skip("no patch(1)")
    chance = random.Random(7)
    lines = [f'guestinfo.k{i} = "{i % 7}"\n'.encode() for i in range(300)]
    path = write(place.path("m.vmx"), PLAIN + b"".join(lines))
    for _ in range(12):
        keys = chance.sample(range(300), chance.randrange(1, 40))
        edits = [f"guestinfo.k{key}=x{chance.randrange(99)}" for key in keys]
        copy = write(place.path("copy.vmx"), content(path))
        diff = vmx(place, "set", path, *edits, "--dry-run").stdout
        subprocess.run(["patch", "-s", copy], input=diff, check=True)
        vmx(place, "set", path, *edits)
        assert content(copy) == content(path)


def test_standard_input(place, kind):
    """- is standard input: the edited text goes to standard output, the words to standard error."""
    before = KINDS[kind]
    for words in (("set", "-", "vhv.enable=TRUE"), ("unset", "-", "vhv.enable"), ("nest", "-"),
                  ("ssd", "-", "scsi0:0")):
        path = write(place.path("m.vmx"), before)
        done = vmx(place, *words, stdin=before)
        vmx(place, *[path if word == "-" else word for word in words])
        assert done.stdout == content(path), words
        assert b"standard input" in done.stderr and b"/proc" not in done.stderr, done.stderr
    assert vmx(place, "get", "-", "vhv.enable", stdin=before).stdout == b"FALSE\n"
    assert b"vhv.enable" in vmx(place, "show", "-", stdin=before).stdout.lower()
    assert b"standard input:" in vmx(place, "lint", "-", stdin=before + b"x\n", expect=None).stdout
    for words in (("nest", "-", "--json"), ("ssd", "-", "scsi0:0", "--json"),
                  ("lint", "--fix", "-", "--json")):
        assert b"--dry-run" in vmx(place, *words, stdin=before, expect=2).stderr


REFUSED_FILES = [
    ("nothing there", None, ["No such file"]),
    ("an empty file", b"", ["empty"]),
    ("a disk", b"KDMV" + bytes(600), ["a VMware disk", "give the .vmx"]),
    ("a text", b"hello world\n", ["not a .vmx"]),
    ("an encrypted machine", b'config.version = "8"\nencryption.data = "x"\n', [":2:", "encrypted"]),
]


def test_refused_files(place, what, bytes_there, *says):
    """A file that is no .vmx that can be edited is refused by every verb, in one line."""
    path = place.path("m.vmx")
    if bytes_there is not None:
        write(path, bytes_there)
    for words in (("show", path), ("get", path, "a"), ("set", path, "memsize=64"),
                  ("unset", path, "memsize"), ("undo", path), ("nest", path),
                  ("ssd", path, "scsi0:0"), ("lint", path), ("lint", "--fix", path),
                  ("set", path, "memsize=64", "--dry-run")):
        done = place.ireko("vmx", *words, expect=1)
        error = [line for line in done.stderr.splitlines() if line.startswith("ireko vmx: ")]
        assert len(error) == 1, done.stderr
        for word in says[0]:
            assert word in error[0], f"{what}: '{word}' is not in {error[0]}"
        assert bytes_there is None or content(path) == bytes_there


def hold_lock(place, path):
    """The lock of a VMware product that runs here: a .lck folder with a lock file in it."""
    del place
    os.mkdir(path + ".lck")
    write(os.path.join(path + ".lck", "M12345.lck"), "x" * 512)


def suspend(place, path):
    write(path.replace(".vmx", ".vmss"), b"\xd2\xbe\xd2\xbe" + bytes(600))
    with open(path, "a", encoding="utf-8") as file:
        file.write('checkpoint.vmState = "m.vmss"\n')
    del place


def test_stale_state(place):
    """Where the suspended state is gone, one edit is let through: the one that takes its line away."""
    path = write(place.path("m.vmx"), PLAIN + b'checkpoint.vmState = "gone.vmss"\n')
    before = content(path)
    for words in (("set", path, "vhv.enable=TRUE"), ("nest", path), ("unset", path, "vhv.enable")):
        one_error(place.ireko("vmx", *words, expect=1), path, "gone.vmss", "vmx unset")
        assert content(path) == before
    assert "file-locked" in place.ireko("vmx", "lint", path, expect=None).stdout
    vmx(place, "unset", path, "checkpoint.vmState")
    assert content(path) == PLAIN
    vmx(place, "set", path, "vhv.enable=TRUE")


def second_name(place, path):
    os.link(path, place.path("other.vmx"))


STATES = [(hold_lock, ["open in VMware", ".lck"]), (suspend, ["suspended"]),
          (second_name, ["hard link"])]


def test_refused_states(place, what, prepare, says):
    """A machine that runs or sleeps, and a file that cannot be exchanged, are left alone."""
    del what
    os.mkdir(place.path("vm"))
    path = write(place.path("vm", "m.vmx"), PLAIN)
    prepare(place, path)
    before, names = content(path), sorted(os.listdir(place.path("vm")))
    for words in (("set", path, "vhv.enable=TRUE"), ("nest", path), ("ssd", path, "scsi0:0"),
                  ("unset", path, "vhv.enable")):
        one_error(place.ireko("vmx", *words, expect=1), path, *says)
        assert content(path) == before
    vmx(place, "set", path, "vhv.enable=TRUE", "--dry-run")
    found = place.ireko("vmx", "lint", path, expect=None).stdout
    assert ("file-locked" in found) == (prepare is not second_name), found
    assert sorted(os.listdir(place.path("vm"))) == names, os.listdir(place.path("vm"))


def test_read_only(place):
    """In a folder that may not be written nothing changes, and a dry run works all the same."""
    os.mkdir(place.path("vm"))
    path = write(place.path("vm", "m.vmx"), PLAIN)
    before = []
    if os.geteuid() == 0:  # who may write everywhere
        before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chmod(place.folder, 0o755)
    os.chmod(place.path("vm"), 0o555)
    if subprocess.run([*before, IREKO, "--version"], capture_output=True, check=False).returncode:
        raise Skip("somebody who is not root cannot run the program here")
    done = place.ireko("vmx", "set", path, "vhv.enable=TRUE", expect=1, before=before)
    one_error(done, path, "ermission denied")
    place.ireko("vmx", "set", path, "vhv.enable=TRUE", "--dry-run", before=before)
    assert content(path) == PLAIN


def test_ireko_runs_it(place):
    """The .vmx of a machine that ireko runs is refused, also of a guest and through a link."""
    place.fake()
    lab = place.lab("deep", Machine("host", Machine("guest")))
    subprocess.run([IREKO, "up", "deep"], cwd=place.folder, env=place.env, check=True,
                   capture_output=True)  # by a relative path
    os.symlink(os.path.join(lab, "guest.vmx"), place.path("link.vmx"))
    for path in (os.path.join(lab, "host.vmx"), place.path("link.vmx")):
        one_error(place.ireko("vmx", "set", path, "memsize=64", expect=1), "deep", "ireko down deep")
        vmx(place, "show", path)
    place.ireko("down", "deep")
    place.ireko("vmx", "set", os.path.join(lab, "host.vmx"), "memsize=2048")


def test_link_stays(place):
    """A symbolic link stays one, and mode and time of day say who wrote."""
    path = write(place.path("real.vmx"), PLAIN)
    os.chmod(path, 0o640)
    os.symlink("real.vmx", place.path("m.vmx"))
    vmx(place, "set", place.path("m.vmx"), "vhv.enable=TRUE")
    assert os.readlink(place.path("m.vmx")) == "real.vmx"
    assert b"TRUE" in content(path) and os.stat(path).st_mode & 0o777 == 0o640
    vmx(place, "undo", place.path("m.vmx"))
    assert content(path) == PLAIN


SET_WORDS = [
    (["vhu.enable=TRUE"], ["vhv.enable"]),
    (["hypervisor.cpuid.0=FALSE"], ["hypervisor.cpuid.v0"]),
    (["memsize=3"], ["4"]),
    (["vhv.enable=maybe"], ["TRUE"]),
    (["firmware=uefi"], ["efi"]),
]


def test_set_refuses(place, words, says):
    """A typing error and a value that cannot be meant are refused, unless --force insists."""
    path = write(place.path("m.vmx"), PLAIN)
    one_error(place.ireko("vmx", "set", path, *words, expect=1), "--force", *says)
    assert content(path) == PLAIN
    place.ireko("vmx", "set", path, *words, "--force")
    assert content(path) != PLAIN


def test_set_floor(place):
    """vhv.enable on old virtual hardware is refused, and both together are not."""
    old = PLAIN.replace(b'"13"', b'"8"')
    path = write(place.path("m.vmx"), old)
    one_error(place.ireko("vmx", "set", path, "vhv.enable=TRUE", expect=1), path, "9", "--force")
    assert content(path) == old
    place.ireko("vmx", "set", path, "vhv.enable=TRUE", "virtualHW.version=9")
    assert b'virtualHW.version = "9"' in content(path)
    small = PLAIN.replace(b"debian12-64", b"vmkernel7").replace(b"ireko.image", b"# ireko.image")
    path = write(place.path("small.vmx"), small)
    vmx(place, "set", path, "memsize=4096")  # an error that stays one is none that comes


def test_new_keys(place):
    """A new key is spelled as the book spells it, beside its siblings; an old one keeps its case."""
    path = write(place.path("m.vmx"), PLAIN.replace(b"memsize", b"MemSize"))
    done = vmx(place, "set", path, "SCSI0:0.VIRTUALSSD=1", "memsize=256", "mine.own=x y")
    lines = content(path).decode().splitlines()
    assert 'MemSize = "256"' in lines and 'mine.own = "x y"' in lines
    assert 'scsi0:0.virtualSSD = "1"' in lines
    assert "mine.own" in words_of(done) and "key book" in words_of(done)


def test_unset(place):
    """unset removes a key's line alone, and says where there is none."""
    path = write(place.path("m.vmx"), PLAIN)
    done = vmx(place, "unset", path, "VHV.enable", "no.such")
    assert content(path) == PLAIN.replace(b'vhv.enable = "FALSE"\n', b"")
    assert "no.such: not there" in words_of(done)


def test_wrong_usage(place):
    """Wrong usage is exit 2, with the usage of the verb."""
    for words in ((), ("dance",), ("show",), ("show", "a", "b"), ("get", "a"), ("set", "a.vmx"),
                  ("set", "a=b", "c=d"), ("unset", "a.vmx"), ("unset", "a.vmx", "b.vmx"), ("undo",),
                  ("nest",), ("ssd", "a.vmx"), ("lint",), ("lint", "--dry-run", "a.vmx"),
                  ("show", EXAMPLE, "--as", "xen"), ("set", "--nope", "a.vmx", "b=c")):
        vmx(place, *words, expect=2)
    for words in (("--help",), ("show", "--help"), ("lint", "--help")):
        assert vmx(place, *words).stdout.startswith(b"usage: ireko vmx ")


def test_show(place):
    """show has every line with what became of it, and no password."""
    text = PLAIN + b'RemoteDisplay.vnc.password = "se\\cret"\nvhu.enable = "TRUE"\nbroken line\n'
    path = write(place.path("m.vmx"), text)
    shown = json.loads(vmx(place, "show", path, "--json").stdout)
    assert shown["schema"] == "ireko.vmx/1" and shown["file"] == path
    rows = {row["key"]: row for row in shown["entries"]}
    assert len(rows) == len(shown["entries"]) == text.count(b"\n")
    assert {"line", "key", "value", "topic", "type", "outcome", "how", "what"} <= set(rows["memsize"])
    assert "se" not in rows["RemoteDisplay.vnc.password"]["value"].split()[0]
    assert rows["vhv.enable"]["type"] == "bool" and rows["vhv.enable"]["value"] == "FALSE"
    assert rows[None]["value"] == "broken line"
    for words in (("show", path), ("show", path, "--explain")):
        out = vmx(place, *words).stdout.decode()
        assert "se\\cret" not in out
        for key in rows:
            assert key is None or key in out, f"{key} is not shown by {words}"
    assert vmx(place, "get", path, "remotedisplay.vnc.password").stdout == b"se\\cret\n"


def test_show_is_safe(place):
    """Bytes of a file that would steer a terminal do not reach it."""
    path = write(place.path("m.vmx"), PLAIN + b'annotation = "\x1b[2J|1b[2J"\nodd\x1bkey = "1"\n')
    for words in (("show", path), ("show", path, "--explain"), ("lint", path),
                  ("set", path, "annotation=\033[2J", "--force")):
        done = subprocess.run([IREKO, "vmx", *words], env=place.env, capture_output=True, check=False)
        assert b"\x1b[2J" not in done.stdout + done.stderr, words


def test_show_backslash(place):
    """What looks like an escape in a value is shown as it stands there."""
    path = write(place.path("m.vmx"), PLAIN + b'scsi0:0.fileName = "C:\\VMs\\x1.vmdk"\n')
    for words in (("show", path), ("show", path, "--explain")):
        assert b"C:\\VMs\\x1.vmdk" in vmx(place, *words).stdout, words


def test_show_as(place):
    """--as prints the machine for libvirt, VirtualBox and QEMU, with an account of every key."""
    for target, word in (("libvirt", "<domain"), ("virtualbox", "VBoxManage"), ("qemu", "qemu-system")):
        done = vmx(place, "show", EXAMPLE, "--as", target)
        assert word in done.stdout.decode(), done.stdout
        assert b"vhv.enable" in done.stderr
        shown = json.loads(vmx(place, "show", EXAMPLE, "--as", target, "--json").stdout)
        assert shown["schema"] == "ireko.convert/1" and word in shown["text"]
        assert {row["outcome"] for row in shown["entries"]} <= {"carried", "approximated", "dropped"}
        keys = [line for line in read(EXAMPLE).splitlines() if re.match(r"[^#]+ = ", line)]
        assert len(shown["entries"]) == len(keys)


def test_get(place):
    """get prints values in order; one that is not there is told, and is exit 1."""
    path = write(place.path("m.vmx"), KINDS["Shift_JIS"])
    done = vmx(place, "get", path, "displayname", "memsize", "hypervisor.cpuid.v0", expect=1)
    assert done.stdout.decode() == "日本\n128\n"
    assert "no 'hypervisor.cpuid.v0'" in words_of(done) and "TRUE" in words_of(done)
    assert "mean 'vhv.enable'" in words_of(vmx(place, "get", path, "vhu.enable", expect=1))
    values = json.loads(vmx(place, "get", path, "memsize", "x", "--json", expect=1).stdout)
    assert values["schema"] == "ireko.vmx.values/1" and values["values"] == {"memsize": "128", "x": None}


def test_explain(place):
    """explain knows keys whatever their case and number, and what was meant."""
    out = vmx(place, "explain", "VHV.Enable", "scsi3:14.virtualssd").stdout.decode()
    assert out.startswith("vhv.enable\n") and "scsi3:14.virtualSSD\n" in out and "source" in out
    keys = json.loads(vmx(place, "explain", "memsize", "--json").stdout)
    assert keys["schema"] == "ireko.vmx.keys/1" and keys["keys"][0]["step"] == 4
    everything = json.loads(vmx(place, "explain", "--json").stdout)["keys"]
    assert len(everything) == vmx(place, "explain").stdout.count(b"\n") > 100
    names = [line.split()[0] for line in vmx(place, "explain").stdout.decode().splitlines()]
    assert vmx(place, "explain", *names).stdout.count(b"\n  source ") == len(names)
    one_error(place.ireko("vmx", "explain", "vhu.enable", expect=1), "vhv.enable")


def test_nest(place):
    """nest says each step with its reason, changes what is needed and, again, nothing."""
    text = PLAIN.replace(b"debian12-64", b"vmkernel7").replace(b"ireko.image", b"# ireko.image")
    path = write(place.path("m.vmx"), text)
    out = vmx(place, "nest", path).stdout.decode()
    for line in ('+ vhv.enable = "TRUE"', '+ numvcpus = "2"', '+ memsize = "8192"', "DOC-8970",
                 '= virtualHW.version = "13"', "ESXi 7", "undo"):
        assert line in out, f"{line} is not in:\n{out}"
    after = content(path)
    assert "nothing to change" in vmx(place, "nest", path).stdout.decode() and content(path) == after
    vmx(place, "undo", path)
    assert content(path) == text
    steps = json.loads(vmx(place, "nest", path, "--json").stdout)
    assert steps["schema"] == "ireko.vmx.nest/1" and content(path) == after
    assert steps["files"][0]["guest"] == "ESXi 7" and steps["files"][0]["changed"] is True
    kinds = {step["key"]: step["kind"] for step in steps["files"][0]["steps"]}
    assert kinds["vhv.enable"] == "change" and kinds["virtualHW.version"] == "right"


def test_ssd(place):
    """ssd marks a disk, --off takes it back, and a disk that is not there is told with the others."""
    path = write(place.path("m.vmx"), PLAIN.replace(b'scsi0:1.virtualSSD = "1"\n', b""))
    before = content(path)
    vmx(place, "ssd", path, "scsi0:0", "SCSI0:1")
    assert content(path).count(b'.virtualSSD = "1"') == 2
    vmx(place, "ssd", path, "scsi0:0", "scsi0:1", "--off")
    assert content(path).count(b'.virtualSSD = "0"') == 2
    one_error(place.ireko("vmx", "ssd", path, "scsi0:7", expect=1), path, "scsi0:0, scsi0:1")
    steps = json.loads(vmx(place, "ssd", path, "scsi0:1", "--json", "--dry-run").stdout)
    assert steps["schema"] == "ireko.vmx.ssd/1" and steps["dry_run"] is True
    assert [step["after"] for step in steps["files"][0]["steps"]] == ["1"]
    assert before != content(path)


def test_lint(place):
    """lint names code, line, reason and source; --fix mends; a clean file has nothing."""
    clean = write(place.path("clean.vmx"), PLAIN.replace(b"FALSE", b"TRUE"))
    assert b"nothing found in 1 file" in vmx(place, "lint", clean).stderr
    bad = write(place.path("bad.vmx"), PLAIN.replace(b'"13"', b'"8"').replace(
        b'vhv.enable = "FALSE"', b'vhv.enable = "TRUE"') + b'hypervisor.cpuid.0 = "FALSE"\n')
    done = vmx(place, "lint", bad, expect=1)
    out = done.stdout.decode()
    assert re.search(rf"^{re.escape(bad)}:\d+: error: .* \[[a-z-]+\]$", out, re.MULTILINE), out
    assert "source: " in out and "fix" in out and "error" in words_of(done)
    found = json.loads(vmx(place, "lint", bad, clean, "--json", expect=1).stdout)
    assert found["schema"] == "ireko.lint/1" and found["ok"] is False
    assert [entry["file"] for entry in found["files"]] == [bad, clean]
    assert {"code", "severity", "file", "line", "what", "evidence", "fix", "source",
            "can_fix"} == set(found["files"][0]["findings"][0])
    fixable = sum(finding["can_fix"] for finding in found["files"][0]["findings"])
    assert fixable > 0, "nothing of it can be mended"
    before = content(bad)
    diff = vmx(place, "lint", "--fix", "--dry-run", bad, expect=None).stdout
    assert content(bad) == before and diff.startswith(b"--- ")
    vmx(place, "lint", "--fix", bad, expect=None)
    assert content(bad) != before
    again = json.loads(vmx(place, "lint", bad, "--json", expect=None).stdout)
    assert not any(finding["can_fix"] for finding in again["files"][0]["findings"])
    vmx(place, "undo", bad)
    assert content(bad) == before


def test_lint_lab(place):
    """A lab is looked at machine by machine and as a whole; the examples are clean."""
    for name in sorted(os.listdir(os.path.join(TOP, "examples"))):
        done = vmx(place, "lint", os.path.join(TOP, "examples", name))
        assert b"error" not in done.stdout, done.stdout
    lab = place.lab("deep", Machine("host", Machine("guest")), Machine("twin", count=3))
    shown = json.loads(vmx(place, "lint", lab, "--json", expect=0).stdout)
    assert [os.path.basename(entry["file"]) for entry in shown["files"]] == [
        "host.vmx", "guest.vmx", "twin.vmx"]
    assert [entry["lab"] for entry in shown["labs"]] == ["deep"]
    one_error(place.ireko("vmx", "lint", place.folder, expect=1), "lab.yaml")


def test_many(place):
    """Of many files each is edited, in order of words, and one bad file stops none."""
    paths = [write(place.path(f"m{i}.vmx"), PLAIN) for i in range(200)]
    write(paths[50], b"")
    os.unlink(paths[120])
    done = vmx(place, "set", *paths, "vhv.enable=TRUE", expect=1)
    errors = [line for line in words_of(done).splitlines() if line.startswith("ireko vmx: ")]
    assert len(errors) == 2 and paths[50] in errors[0] and paths[120] in errors[1], errors
    good = [path for path in paths if path not in (paths[50], paths[120])]
    assert all(b'vhv.enable = "TRUE"' in content(path) for path in good)
    found = json.loads(vmx(place, "lint", *good, "--json", expect=0).stdout)
    assert [entry["file"] for entry in found["files"]] == good
    vmx(place, "undo", *good)
    assert all(content(path) == PLAIN for path in good)


def test_two_at_once(place):
    """Of two that edit one file at once, none is lost without a word."""
    path = write(place.path("m.vmx"), PLAIN)
    running = [place.begin("vmx", "set", path, f"guestinfo.k{i}={i}") for i in range(12)]
    done = {i: process.wait(30) for i, process in enumerate(running)}
    assert any(status == 0 for status in done.values())
    text = content(path).decode()
    for i, status in done.items():
        assert (f'guestinfo.k{i} = "{i}"' in text) == (status == 0), (i, status, text)


def test_output_is_full(place):
    """A text that could not be written to standard output is a failure."""
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([IREKO, "vmx", "set", "-", "vhv.enable=TRUE"], input=PLAIN, check=False,
                              stdout=full, stderr=subprocess.PIPE, env=place.env)
    assert done.returncode == 1 and b"standard output" in done.stderr, done.stderr


def test_examples(place):
    """Every example of the man page does what it says."""
    page = read(os.path.join(TOP, "docs", "man", "ireko-vmx.1"))
    lines = re.findall(r"^\.Dl \$ (.*)$", page, re.MULTILINE)
    assert len(lines) > 5
    shutil.copytree(os.path.join(TOP, "examples"), place.path("examples"))
    os.symlink(IREKO, place.path("ireko"))
    path = place.folder + ":" + os.environ["PATH"]
    for line in lines:
        done = subprocess.run(["sh", "-c", line], cwd=place.folder, check=False, capture_output=True,
                              env={**place.env, "PATH": path}, timeout=60)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout + done.stderr or ">" in line, f"{line} prints nothing"


if __name__ == "__main__":
    main([(test_edit_and_back, kind) for kind in KINDS] +
         [(test_patch, kind) for kind in KINDS] +
         [(test_standard_input, kind) for kind in KINDS] +
         [(test_refused_files, *row) for row in REFUSED_FILES] +
         [(test_refused_states, row[0].__name__, *row) for row in STATES] +
         [(test_set_refuses, *row) for row in SET_WORDS] +
         [test_stale_state, test_random_patches, test_read_only, test_ireko_runs_it, test_link_stays, test_set_floor, test_new_keys,
          test_unset, test_wrong_usage, test_show, test_show_is_safe, test_show_backslash, test_show_as, test_get,
          test_explain, test_nest, test_ssd, test_lint, test_lint_lab, test_many, test_two_at_once,
          test_output_is_full, test_examples])
