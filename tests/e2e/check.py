"""`ireko check` answers, with evidence and a fix, for this machine and for recorded ones; and says all
that virt-host-validate, kvm-ok, virt-what and systemd-detect-virt say of this machine."""

import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess

from harness import GONE_SECONDS, IREKO, TOP, Skip, kill, main, one_error, read, wait_for, write

HOSTS = os.path.join(TOP, "tests", "hosts")
LINKS = ["cpu", "firmware", "module", "nested", "device", "permission", "probe"]
CAUSES = ["cpu-lacks", "firmware-off", "module-missing", "nested-off", "device-missing", "device-denied",
          "device-busy", "hidden-by-host", "vhv-off", "container", "held-by-other", "sev-guest",
          "unknown"]
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")

# What the others call a layer above or a container, and what we do.
VIRT_WHAT = {"qemu": ("qemu-tcg", "qemu"), "xen-hvm": ("xen",), "xen-dom0": ("xen",),
             "xen-domU": ("xen",), "redhat": ("kvm",), "lkvm": ("kvm",), "vmm": ("openbsd-vmm",)}
DETECT_VIRT = {"microsoft": ("hyperv",), "oracle": ("virtualbox",), "amazon": ("kvm",),
               "google": ("kvm",), "qemu": ("qemu-tcg", "qemu"), "kvm": ("kvm", "firecracker"),
               "none": ("none",)}
CLOUDS = {"aws": "aws", "google_cloud": "gcp", "alibaba_cloud": "alibaba"}
CGROUP_V2 = {"blkio": ("io", "blkio"), "cpuacct": ("cpu", "cpuacct"), "devices": None, "freezer": None}


def check(place, *words, expect=None):
    done = place.ireko("check", "--json", *words, expect=expect)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def tool(*words):
    if shutil.which(words[0]) is None:
        raise Skip(f"there is no {words[0]}")
    return subprocess.run(words, capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def test_this_machine(place):
    """This machine: the fields of ireko.check/1, seven links, an exit status that is the answer."""
    done = place.ireko("check", "--json", expect=None)
    found = json.loads(done.stdout)
    assert found["schema"] == "ireko.check/1"
    assert found["verdict"] in ("hardware", "software", "none")
    assert done.returncode == (1 if found["verdict"] == "none" else 0)
    assert [link["link"] for link in found["links"]] == LINKS
    assert all(link["evidence"] for link in found["links"])
    assert found["cause"] in [None, *CAUSES]
    assert found["accelerators"]["kvm"]["usable"] == os.path.exists("/dev/kvm") or found["cause"]
    assert {"vendor", "model", "hv", "features"} <= found["cpu"].keys()
    strict = place.ireko("check", "--need", "hardware", expect=None)
    assert strict.returncode == (0 if found["verdict"] == "hardware" else 1)


def test_software(place):
    """Where QEMU emulates SVM the verdict is software at least; where it is asked again, the same."""
    if shutil.which("qemu-system-x86_64") is None:
        raise Skip("there is no QEMU")
    first, second = check(place, expect=0), check(place, expect=0)
    assert first["accelerators"]["tcg"] == second["accelerators"]["tcg"]
    assert first["accelerators"]["tcg"]["usable"] and first["accelerators"]["tcg"]["hv"] == "svm"
    assert first["levels_below"] == 2, first["levels_why"]


# Answers as QEMU does over QMP; ACCELS are those it starts with, ANSWER what -cpu max has.
FAKE_QEMU = """#!/usr/bin/env python3
import json, sys
accel = sys.argv[sys.argv.index("-accel") + 1]
if accel not in {accels}:
    sys.exit(1)
print(json.dumps({{"QMP": {{"version": {{}}, "capabilities": []}}}}), flush=True)
answers = {{"query-version": {{"qemu": {{"major": 9, "minor": 1, "micro": 0}}, "package": ""}},
           "query-kvm": {{"enabled": False, "present": {kvm}}},
           "query-cpu-model-expansion": {{"model": {{"name": "max", "props": {props}}}}}}}
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({{"return": answers.get(asked["execute"], {{}}), "id": asked.get("id")}}), flush=True)
"""

# what the QEMU is, its text, what is told of it
QEMUS = [
    ("one whose TCG emulates SVM and NPT",
     {"accels": ["tcg"], "kvm": True, "props": {"svm": True, "npt": True, "vmx": False}},
     {"version": "9.1.0", "kvm": True, "tcg": True, "tcg_svm": True, "tcg_npt": True, "tcg_vmx": False}),
    ("one whose TCG emulates none",
     {"accels": ["tcg"], "kvm": False, "props": {"svm": False, "npt": False, "vmx": False}},
     {"version": "9.1.0", "kvm": False, "tcg": True, "tcg_svm": False}),
    ("one without TCG", {"accels": ["qtest"], "kvm": True, "props": {}},
     {"version": "9.1.0", "kvm": True, "tcg": False, "tcg_svm": False}),
    ("one with KVM alone", {"accels": ["kvm"], "kvm": True, "props": {}},
     {"version": "9.1.0", "kvm": True, "tcg": False, "tcg_svm": False}),
    ("one that says nothing of SVM", {"accels": ["tcg"], "kvm": True, "props": {}},
     {"version": "9.1.0", "tcg": True, "tcg_svm": None}),
    ("one that does not start", {"accels": [], "kvm": True, "props": {}},
     {"version": None, "kvm": False, "tcg": False, "tcg_svm": None}),
]


def test_qemu(place, name, made, expect):
    """What QEMU can is asked of it."""
    del name
    program = write(place.path("qemu"), FAKE_QEMU.format(**made))
    os.chmod(program, 0o755)
    place.env["IREKO_QEMU"] = program
    found = check(place)["qemu"]
    assert {key: found[key] for key in expect} == expect, found
    assert found["path"] == program


def test_qemu_changes(place):
    """The answer is kept while QEMU is the same; another one at its place is asked anew."""
    program = place.path("qemu")
    place.env["IREKO_QEMU"] = program
    for version, svm in ((1, True), (2, False)):
        asked = place.path(f"asked{version}")
        made = FAKE_QEMU.format(accels=["tcg"], kvm=True, props={"svm": svm, "npt": svm, "vmx": False})
        write(program, made.replace("import json", f"open({asked!r}, 'w')\nimport json"))
        os.chmod(program, 0o755)
        assert check(place)["qemu"]["tcg_svm"] is svm
        os.unlink(asked)
        assert check(place)["qemu"]["tcg_svm"] is svm
        assert not os.path.exists(asked), "it was asked again"
    write(os.path.join(place.home, "qemu.json"), '{"program": 7}')
    assert check(place)["qemu"]["tcg_svm"] is False, "a damaged answer was believed"


def test_killed_while_qemu_is_asked(place):
    """A QEMU that is asked what it can ends with who asks, however that ends."""
    asked = place.path("asked")
    program = write(place.path("qemu"), f"#!/bin/sh\n: >{asked}\nexec sleep 60\n")
    os.chmod(program, 0o755)
    place.env["IREKO_QEMU"] = program
    process = place.begin("check")
    wait_for(lambda: os.path.exists(asked))
    child = int(read(f"/proc/{process.pid}/task/{process.pid}/children").split()[0])
    watched = os.pidfd_open(child)
    kill(process.pid)
    assert select.select([watched], [], [], GONE_SECONDS)[0], "it runs on"
    os.close(watched)


def test_no_qemu(place):
    """Without QEMU and KVM nothing runs: the answer is no, and says what to install."""
    place.env["IREKO_QEMU"] = place.path("none")
    found = check(place)
    if found["accelerators"]["kvm"]["usable"]:
        raise Skip("this machine has KVM")
    assert (found["verdict"], found["levels_below"]) == ("none", 0)
    [finding] = [one for one in found["findings"] if one["code"] == "qemu-missing"]
    assert "apt-get install qemu-system-x86" in finding["fix"]


def test_without_root(place):
    """Without root there is the same verdict, and what was not read is said."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        raise Skip("only root can become nobody")
    os.chmod(place.folder, 0o755)
    if subprocess.run([*AS_NOBODY, IREKO, "--version"], capture_output=True, check=False).returncode:
        raise Skip("nobody may not run ireko where it was built")
    rich = check(place)
    home = place.path("nobody")
    os.mkdir(home)
    os.chown(home, 65534, 65534)
    done = place.ireko("check", "--json", before=AS_NOBODY, expect=None, env={"IREKO_HOME": home})
    poor = json.loads(done.stdout)
    if not rich["accelerators"]["kvm"]["usable"]:
        assert (poor["verdict"], poor["cause"]) == (rich["verdict"], rich["cause"])
    assert poor["host"]["root"] is False and poor["unread"], "nothing is said to be unread"


def test_recorded(place, name):
    """A recorded host comes to what stands beside it, and its exit status with it."""
    folder = os.path.join(HOSTS, name)
    expect = dict(line.split(" ", 1) for line in read(os.path.join(folder, "expect")).splitlines())
    found = check(place, "--root", folder, expect=1 if expect["verdict"] == "none" else 0)
    assert found["verdict"] == expect["verdict"]
    assert (found["cause"] or "-") == expect["cause"]
    assert str(found["levels_below"]) == expect["levels"]
    assert found["above"]["kind"] == expect["above"]
    assert found["host"]["recorded"]


def test_dumps(place):
    """A CPUID dump says what the CPU offers, in both formats; it proves nothing, so the answer is no."""
    for name in ("intel.instlatx64", "intel.cpuid-r"):
        found = check(place, "--cpuid", os.path.join(HOSTS, "dumps", name), expect=1)
        assert (found["cpu"]["hv"], found["cause"]) == ("vmx", "unknown"), name
    one_error(place.ireko("check", "--cpuid", write(place.path("no-dump"), "hello\n"), expect=1),
              "no-dump")
    one_error(place.ireko("check", "--cpuid", place.path("none"), expect=1), "none", "No such file")


def test_record(place):
    """A record of this machine is judged as the machine was, and does not name it."""
    folder = place.path("record")
    place.ireko("check", "--record", folder)
    here, there = check(place), check(place, "--root", folder)
    for key in ("verdict", "cause", "levels_below", "cpu", "qemu"):
        assert here[key] == there[key], f"{key}: {here[key]} is recorded as {there[key]}"
    assert here["above"]["kind"] == there["above"]["kind"]
    assert [link["state"] for link in here["links"]] == [link["state"] for link in there["links"]]
    secrets = [socket.gethostname(), *macs()]
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                text = file.read().decode(errors="replace")
            found = [secret for secret in secrets if re.search(rf"\b{re.escape(secret)}\b", text)]
            assert not found, f"{path}/{name} holds {found}"
    one_error(place.ireko("check", "--record", folder, expect=1), "record")


def macs():
    for card in os.listdir("/sys/class/net"):
        address = read(f"/sys/class/net/{card}/address").strip()
        if address.strip("0:"):
            yield address


def test_nothing_there(place):
    """A folder that is no record, or not there, is an error that names it."""
    one_error(place.ireko("check", "--root", place.path("none"), expect=1), "none", "No such file")
    os.mkdir(place.path("empty"))
    one_error(place.ireko("check", "--root", place.path("empty"), expect=1), "empty")


def test_explain(place):
    """Every cause has its page; a word that is none is wrong usage, and the others are named."""
    for cause in CAUSES:
        page = place.ireko("check", "--explain", cause).stdout
        assert page.startswith(cause + ":")
        for word in ("KVM", "ESXi", "Workstation", "VirtualBox", "Hyper-V", "Xen", "cloud"):
            assert word in page, f"{cause} says nothing of {word}"
    one_error(place.ireko("check", "--explain", "moon-phase", expect=2), "moon-phase", "nested-off")


def test_usage(place):
    """What cannot go together is wrong usage."""
    for words in (["--need", "software"], ["--root", "/", "--cpuid", "x"], ["--record", "x", "--root", "/"],
                  ["extra"], ["--nonsense"]):
        place.ireko("check", *words, expect=2)


def test_terminal(place):
    """On a terminal of 80 columns no line is longer; with colours, and without UTF-8 where there is none."""
    folder = os.path.join(HOSTS, "azure-hidden")
    shown = on_terminal(place, "check", "--root", folder)
    assert "\033[" in shown
    plain = re.sub(r"\033\[[0-9;]*m", "", shown)
    long = [line for line in plain.replace("\r", "").splitlines() if len(line) > 80]
    assert not long, long
    for word in ("✗ cpu", "What to do", "az vm resize", "hidden-by-host"):
        assert word in plain, f"'{word}' is not in:\n{plain}"
    done = place.ireko("check", "--root", folder, expect=1, env={"LC_ALL": "C"})
    assert done.stdout.isascii() and "\033" not in done.stdout


def on_terminal(place, *words):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([IREKO, *words], stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**place.env, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    os.close(theirs)
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
    process.wait()
    os.close(ours)
    return shown.decode()


def kinds(found):
    """Every layer above that a sign was seen of."""
    return {found["above"]["kind"], *(sign.split(":")[0] for sign in found["above"]["signs"])}


def test_virt_what(place):
    """What virt-what says of this machine, we say too."""
    if os.geteuid() != 0:
        raise Skip("virt-what wants root")
    words = tool("virt-what").split()
    found = check(place)
    for word in words:
        if word in CLOUDS:
            assert found["above"]["cloud"] == CLOUDS[word], word
        elif word in ("docker", "podman", "lxc", "openvz"):
            assert found["above"]["container"] is not None, word
        else:
            assert kinds(found) & set(VIRT_WHAT.get(word, (word,))), f"{word}: {found['above']}"


def test_detect_virt(place):
    """What systemd-detect-virt says of this machine, we say too."""
    found = check(place)
    machine = tool("systemd-detect-virt", "--vm").strip()
    assert kinds(found) & set(DETECT_VIRT.get(machine, (machine,))), f"{machine}: {found['above']}"
    container = tool("systemd-detect-virt", "--container").strip()
    assert (found["above"]["container"] or "none") == container
    # They answer by their exit status: 0 for yes.
    for option, key in (("--chroot", "chroot"), ("--private-users", "user_namespace")):
        done = subprocess.run(["systemd-detect-virt", option], check=False)
        assert (found["host"][key] is True) == (done.returncode == 0), option


def test_kvm_ok(place):
    """What kvm-ok says of this machine, we say too; its yes is a device that exists, ours one that runs."""
    said = tool("kvm-ok")
    found = check(place)
    if "does not support KVM extensions" in said:
        assert found["cpu"]["hv"] == "none"
    if "/dev/kvm exists" in said:
        assert device(found, "/dev/kvm")["there"]
    if "disabled by your BIOS" in said:
        assert found["cause"] == "firmware-off"
    if "can NOT be used" in said:
        assert not found["accelerators"]["kvm"]["usable"]


def device(found, path):
    [one] = [device for device in found["host"]["devices"] if device["path"] == path]
    return one


def line_holds(found, what, passed):
    """Whether our answer to a line of virt-host-validate is the same; None: a line unknown here."""
    match = re.search(r"device (/dev/[\w/-]+) (exists|is accessible)", what)
    if match:
        one = device(found, match.group(1))
        return bool(one["there"] if match.group(2) == "exists" else one["opens"]) == passed
    match = re.search(r"cgroup '(\w+)' controller", what)
    if match:
        groups = found["host"]["cgroups"]
        names = (CGROUP_V2.get(match.group(1), (match.group(1),)) if groups["version"] == 2
                 else (match.group(1),))
        return names is None or bool({*names} & {*(groups["controllers"] or "").split()}) == passed
    match = re.search(r"namespace (\w+)", what)
    if match:
        return (match.group(1) in (found["host"]["namespaces"] or "").split()) == passed
    answers = {
        "hardware virtualization": found["cpu"]["hv"] != "none",
        "IOMMU": found["host"]["iommu"]["there"] is True,
        "secure guest": bool(found["above"]["confidential"]) or device(found, "/dev/sev")["there"] is True,
        "/sys/fs/fuse/connections": found["host"]["fuse"] is True,
        "Linux >= 2.6.26": bool(found["host"]["kernel"]),
    }
    return next((answer == passed for words, answer in answers.items() if words in what), None)


def test_virt_host_validate(place):
    """Every line of virt-host-validate has our answer, and it is the same."""
    lines = re.findall(r"^\s*\w+: Checking (.*?)\s*: (PASS|FAIL|WARN|NOTE)", tool("virt-host-validate"),
                       re.MULTILINE)
    assert len(lines) > 5, "virt-host-validate says hardly anything"
    found = check(place)
    for what, answer in lines:
        if "requires loading" in what:
            continue
        assert line_holds(found, what, answer == "PASS"), f"{what}: {answer}"


def recorded_names():
    """One of each cause and of each verdict; all of them are in the unit test `hosts`."""
    return ["intel-metal", "amd-svmdis", "docker-no-device", "vmware-vhv-off", "xen-dom0", "itanium",
            "ec2-nested", "sev-snp"]


main([test_this_machine, test_software, *[(test_qemu, *row) for row in QEMUS], test_qemu_changes,
      test_killed_while_qemu_is_asked,
      test_no_qemu, test_without_root,
      *[(test_recorded, name) for name in recorded_names()],
      test_dumps, test_record, test_nothing_there, test_explain, test_usage, test_terminal,
      test_virt_what, test_detect_virt, test_kvm_ok, test_virt_host_validate])
