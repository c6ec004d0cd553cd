"""ireko on real KVM, also where this host has none: a machine of ours is the host, with the KVM of its own
kernel, and the ireko in it brings up, sees and clones as one does anywhere.

What that machine gets is what a host has: ireko, the built images, a lab. Its KVM does not know that its CPU
is one of TCG's."""

import io
import json
import os
import subprocess
import sys
import tarfile

from harness import HYPERVISOR, IREKO, Machine, run_tests, vmx_text, write
from nests import check_contract
from workshop import UP_SECONDS, shared_place, up, why_not

HOST = "host"
FOLDER = "/tmp/there"
PATIENCE = "IREKO_PATIENCE=4"  # nobody tells that ireko that its KVM is emulated
TRIES = 5  # on a slow host every other one stands still
LOOKS = 12
WORK = "echo at work; while :; do i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; usleep 5000; done"


def inside(place, *words, expect=0):
    """Runs the ireko of the host."""
    return place.ireko("exec", HOST, "--", "env", f"IREKO_HOME={FOLDER}/home", PATIENCE, "ireko", *words,
                       expect=expect, timeout=UP_SECONDS)


def carry(place, *labs):
    """Takes the built images and LABS, folders, to the host."""
    images = os.path.join(place.home, "images")
    bundle = io.BytesIO()
    with tarfile.open(fileobj=bundle, mode="w") as tar:
        current = os.readlink(os.path.join(images, "current"))
        for name in (current, "current"):
            tar.add(os.path.join(images, name), f"home/images/{name}")
        for lab in labs:
            tar.add(lab, os.path.basename(lab))
    place.ireko("exec", HOST, "--", "mkdir", FOLDER)
    subprocess.run([IREKO, "exec", HOST, "--", "tar", "-C", FOLDER, "-x"], input=bundle.getvalue(), env=place.env,
                   check=True, timeout=UP_SECONDS)


def see(place, path):
    document = json.loads(inside(place, "see", path, "--json").stdout)
    [vcpu] = document["vcpus"]
    [walk] = vcpu["walks"]
    assert walk["ok"] and walk["bytes"] and document["still_us"] > 0, document
    return document, vcpu


def a_nest_is_seen(place):
    """Also the host's own guest, whose registers are KVM's to keep while a guest of its runs."""
    found = json.loads(inside(place, "see", "esxi01", "--find", "--json").stdout)
    assert [guest["path"] for guest in found["guests"]] == ["esxi01/linux"], found
    assert [control["trust"] != "unconfirmed" for control in found["controls"]] == [True], found
    process = place.begin("exec", HOST, "--", "env", f"IREKO_HOME={FOLDER}/home", "ireko", "exec", "esxi01/linux",
                          "--", "sh", "-c", WORK)
    try:
        assert process.stdout.readline() == "at work\n"
        seen = [see(place, "esxi01")[1] for _ in range(LOOKS)]
        see(place, "esxi01/linux")
    finally:
        process.kill()
        process.communicate()
    apart = [vcpu for vcpu in seen if "as KVM keeps them apart" in vcpu["evidence"]]
    print(f"# {len(apart)} of {LOOKS} times the vCPU ran a guest", flush=True)
    assert apart and all(int(vcpu["walks"][0]["address"], 16) >> 47 == 0x1FFFF for vcpu in apart), seen


def spares(place):
    listed = json.loads(inside(place, "template", "list", "--json").stdout)["templates"]
    return sum(template["spares"] for template in listed)


def spares_are_taken(place):
    inside(place, "template", "warm", f"{FOLDER}/leaves")
    assert spares(place) == 2
    nest = json.loads(inside(place, "up", f"{FOLDER}/leaves", "--json").stdout)
    assert nest["ok"] and spares(place) == 0, nest
    assert json.loads(inside(place, "verify", "leaves", "--json").stdout)["ok"]
    inside(place, "down", "leaves")


def test_kvm(place):
    """On KVM a nest comes up and is seen, a host on AMD is not frozen, and one without guests is cloned and seen"""
    vmx = write(place.path(HOST + ".vmx"), vmx_text({**HYPERVISOR, "numvcpus": "1", "memsize": "4096"}))
    nested = place.lab("nested", Machine("esxi01", Machine("linux"), numvcpus="1"))
    leaves = place.lab("leaves", Machine("leaf", count=2))
    try:
        place.ireko("run", "--detach", vmx, timeout=UP_SECONDS)
        carry(place, nested, leaves)
        nest = json.loads(up(place, f"{FOLDER}/nested", "--json", tries=TRIES,
                             run=lambda *words: inside(place, *words, expect=None)).stdout)
        check_contract(nest)
        assert nest["ok"] and nest["accel"] == "kvm", nest
        svm = "svm" in [check["seen"] for check in nest["machines"][0]["checks"]]
        assert svm == ("calls saving a machine whose guests run undefined" in (nest["machines"][0]["message"] or ""))
        a_nest_is_seen(place)
        inside(place, "down", "nested")
        inside(place, "up", f"{FOLDER}/leaves")
        inside(place, "down", "leaves")
        nest = json.loads(inside(place, "up", f"{FOLDER}/leaves", "--json").stdout)
        assert [machine["origin"] for machine in nest["machines"]] == ["clone", "clone"], nest
        document, _ = see(place, "leaf-2")
        assert document["ram_file"].endswith("/mem") and document["accel"] == "kvm", document
        assert inside(place, "see", "leaf-2", "--no-pause").stdout
        inside(place, "down", "leaves")
        spares_are_taken(place)
        left = place.ireko("exec", HOST, "--", "sh", "-c", "ps | grep -c '[q]emu-system'", expect=None).stdout
        assert left == "0\n", left
    finally:
        place.ireko("down", "run-" + HOST, expect=None)


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print(f"1..0 # SKIP {reason}")
        sys.exit(0)
    sys.exit(run_tests([test_kvm], shared_place))
