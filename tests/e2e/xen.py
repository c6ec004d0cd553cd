"""A hypervisor that ireko knows nothing of: Xen, from Debian's package, with a Linux as its first guest.

What is found in its memory is compared with what QEMU's emulated CPU was told to run."""

import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

from harness import Skip, read, run_tests, wait_for, write
from vmruns import tell_monitor, trusted
from workshop import HOME, shared_place, why_not

PACKAGE = "xen-hypervisor-4.17-amd64"
KEPT = os.path.join(os.path.dirname(HOME), "xen")  # the package, taken apart
MEMORY = 1 << 30
BOOT_SECONDS = 150
# A PVH guest of Xen's needs an IOMMU. It has no disk, so it is looked at while it boots.
CPU = "max,-la57,-smap,-pku,-rdtscp"
XEN = "console=com1 loglvl=all guest_loglvl=all dom0=pvh dom0_mem=512M dom0_max_vcpus=1 noreboot"
LINUX = "console=hvc0 earlyprintk=xen nomodeset"


def xen_itself():
    """The path of Xen's image, an ELF file."""
    image = os.path.join(KEPT, "xen")
    if not os.path.exists(image):
        shutil.rmtree(KEPT, ignore_errors=True)
        os.makedirs(KEPT)
        subprocess.run(["apt-get", "download", PACKAGE], cwd=KEPT, capture_output=True, check=False)
        packages = glob.glob(os.path.join(KEPT, "*.deb"))
        if not packages:
            raise Skip(f"{PACKAGE} cannot be downloaded")
        subprocess.run(["dpkg-deb", "-x", packages[0], KEPT], check=True)
        [packed] = glob.glob(os.path.join(KEPT, "boot", "xen-*.gz"))
        with gzip.open(packed) as file:
            write(image, file.read())
    return image


def begin(place, xen, kernel):
    """Starts Xen in QEMU, its memory in a file."""
    ram = place.path("ram")
    return subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", CPU, "-M", "q35,memory-backend=ram", "-device", "amd-iommu",
         "-object", f"memory-backend-file,id=ram,size={MEMORY},mem-path={ram},share=on", "-m", str(MEMORY >> 20),
         "-nodefaults", "-display", "none", "-serial", f"file:{place.path('serial')}", "-no-reboot",
         "-qmp", f"unix:{place.path('qmp')},server=on,wait=off",
         "-kernel", xen, "-append", XEN, "-initrd", f"{kernel} {LINUX}"])


def said(place):
    """What came out of the serial port so far, SeaBIOS's bytes among it."""
    try:
        with open(place.path("serial"), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def test_xen(place):
    """Xen's control block is found, and its guest, by the form of what lies in memory"""
    kernel = os.path.join(place.home, "images", "current", "linux", "vmlinux")
    qemu = begin(place, xen_itself(), kernel)
    log = place.path("log")
    try:
        wait_for(lambda: "Linux version" in said(place), BOOT_SECONDS, "Xen's guest")
        tell_monitor(place.path("qmp"), f"logfile {log}", "log in_asm", "log none", "stop", seconds=0.5)
        ran = {int(address, 16) for address in re.findall(r"^vmrun! ([0-9a-f]+)", read(log), re.MULTILINE)}
        found = json.loads(place.ireko("see", place.path("ram"), "--find", "--json").stdout)
    finally:
        qemu.kill()
        qemu.wait()
    print(f"# Xen: ran {sorted(map(hex, ran))}, found {sorted(map(hex, trusted(found, 0)))}", flush=True)
    assert ran and trusted(found, 0) == ran, found
    [guest] = found["guests"]
    assert guest["nested"] == "npt" and 500 << 20 <= guest["bytes"] <= 520 << 20, guest


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    sys.exit(run_tests([test_xen], shared_place))
