"""The lab's network with fake machines: its switches are real, started, mended, ended."""

import json
import os
import socket
import signal

from harness import Machine, Place, by_path, kill, main, processes, wait_for, write
from nests import check_contract

CARDS = {"ethernet0__present": "TRUE", "ethernet0__connectionType": "hostonly",
         "ethernet0__virtualDev": "vmxnet3"}
OUT = {"ethernet1__present": "TRUE", "ethernet1__connectionType": "nat"}


def hosts(count=3, **more):
    return Machine("host", Machine("leaf", **CARDS), count=count, **CARDS, **more)


def switches(place):
    """The switches of this place: title -> number."""
    return {words[2]: pid for pid, words in processes()
            if place.is_ours(pid, words) and words[1:2] == ["switch"]}


def status(place, lab, network="hostonly"):
    with socket.socket(socket.AF_UNIX) as asked:
        folder = os.open(place.path("home", "run", lab, ".net", network), os.O_RDONLY)
        asked.connect(f"/proc/self/fd/{folder}/qmp")
        os.close(folder)
        return json.loads(asked.makefile().read())


def plugged(place, lab):
    return sorted(port["label"] for port in status(place, lab)["ports"])


def cards(place, lab):
    """path -> list of its cards, as they are on record."""
    with open(place.path("home", "labs", lab, "record.json"), encoding="utf-8") as file:
        record = json.load(file)

    def walk(machines, above):
        for machine in machines:
            yield above + machine["name"], machine["cards"]
            yield from walk(machine["guests"], above + machine["name"] + "/")
    return dict(walk(record["machines"], ""))


def test_switch(place):
    """A lab with cards on a network has a switch for it; down ends it, a lab without has none."""
    lab = place.lab("one", hosts())
    assert place.nest("up", lab)["ok"]
    assert list(switches(place)) == ["one/hostonly"]
    assert plugged(place, "one") == [f"host-{n} ethernet0" for n in (1, 2, 3)]
    with open(f"/proc/{switches(place)['one/hostonly']}/status", encoding="utf-8") as file:
        uid = [line for line in file if line.startswith("Uid:")][0].split()
    assert os.geteuid() != 0 or "0" not in uid, "the switch runs as root"
    place.ireko("down", "one")
    assert not switches(place)
    place.nest("up", place.lab("none", Machine("alone")))
    assert not switches(place)
    place.ireko("down", "none")


def test_addresses(place):
    """Each card has an address of its own, the same after down and up; guests are on the host's net."""
    lab = place.lab("one", hosts(**OUT))
    place.nest("up", lab)
    first = cards(place, "one")
    assert first["host-1"][0]["network"] == first["host-2/leaf"][0]["network"] == "hostonly"
    assert first["host-1/leaf"][0]["uplink"] == 0 and first["host-1"][0]["uplink"] is None
    for field in ("mac", "address"):
        given = [card[field] for path in first for card in first[path] if card["link"] == "net"]
        assert len(given) == len(set(given)) == 6, given
    assert first["host-1"][1]["link"] == "nat" and first["host-1"][1]["gateway"]
    place.ireko("down", "one")
    place.nest("up", lab)
    assert cards(place, "one") == first
    place.ireko("down", "one")


def test_told(place):
    """ps says each machine's addresses and how it knows them; one that no driver took fails."""
    own = {"ireko.image": None, "scsi0:0.fileName": "own.img"}
    lab = place.lab("one", hosts(1, **OUT), Machine("own", **own, **CARDS, **OUT))
    write(place.path("one", "own.img"), b"\0" * 4096)
    nest = place.nest("up", lab)
    check_contract(nest)
    given = cards(place, "one")
    told = {path: [(a["network"], a["address"], a["by"]) for a in machine["addresses"]]
            for path, machine in by_path(nest).items()}
    address = {path: [f"{card['address']}/{card['prefix']}" for card in found]
               for path, found in given.items()}
    assert told["host"] == [("hostonly", address["host"][0], "agent"), ("nat", address["host"][1], "agent")]
    assert told["own"] == [("hostonly", None, "unknown"), ("nat", address["own"][1], "assigned")], told
    proven = [(c["device"], c["seen"], c["evidence"].split(",")[0]) for c in by_path(nest)["host"]["checks"] if c["what"] == "net.address"]
    assert proven == [("ethernet0", True, address["host"][0]), ("ethernet1", True, address["host"][1])], proven
    said = place.ireko("ps", "one").stdout
    assert f"hostonly {address['host'][0]} (agent), nat {address['host'][1]} (agent)" in said, said
    assert f"hostonly {given['own'][0]['mac']} (unknown)" in said, said
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as guest:  # it speaks for 'own'
        guest.connect(place.path("home", "run", "one", ".net", "hostonly", "ports"))
        mac = bytes.fromhex(given["own"][0]["mac"].replace(":", ""))
        guest.send(b"stands in for own")
        guest.send(b"\xff" * 6 + mac + bytes.fromhex("0806" "0001080006040001") + mac +
                   bytes([10, 9, 8, 7]) + b"\0" * 6 + bytes([10, 9, 8, 1]))
        heard = {a["card"]: a for a in by_path(place.nest("ps", "one"))["own"]["addresses"]}["ethernet0"]
        assert (heard["address"], heard["by"]) == ("10.9.8.7", "arp"), heard
    place.ireko("down", "one")
    nest = place.nest("up", place.lab("two", hosts(1, ireko__fake="no-driver")), expect=1)
    broken = [c for c in by_path(nest)["host"]["checks"] if not c["ok"]]
    assert [(c["what"], c["cause"]) for c in broken] == [("net.address", "device-missing")], broken
    place.ireko("down", "two")


KINDS = ("net.broadcast", "net.unicast", "net.foreign-mac", "net.mtu")


def frames(nest):
    """path -> {kind: (promised, seen)} and path -> {kind: evidence} of what did not come."""
    counts, lost = {}, {}
    for path, machine in by_path(nest).items():
        checks = [check for check in machine["checks"] if check["what"] in KINDS]
        counts[path] = {check["what"]: (check["promised"], check["seen"]) for check in checks}
        lost[path] = {check["what"]: check["evidence"] for check in checks if not check["ok"]}
    return counts, {path: words for path, words in lost.items() if words}


def test_frames(place):
    """up and verify send frames of four kinds between every pair, at every depth; ps does not."""
    deep = Machine("host", Machine("inner", Machine("leaf", **CARDS), **CARDS), count=2, **CARDS)
    lab = place.lab("one", deep, Machine("alone", **CARDS))
    for words in (("up", lab), ("verify", "one")):
        nest = place.nest(*words)
        check_contract(nest)
        counts, lost = frames(nest)
        assert nest["ok"] and not lost, lost
        assert len(counts) == 7 and all(
            count == {kind: (6, 6) for kind in KINDS} for count in counts.values()), counts
    assert not any(frames(place.nest("ps"))[0].values())
    assert "foreign MAC" in place.ireko("verify", "one").stdout
    place.ireko("down", "one")


def test_no_frames(place):
    """Who is alone on a network, or has no card, or no agent, sends nothing, and it is said."""
    own = {"ireko.image": None, "scsi0:0.fileName": "own.img"}
    lab = place.lab("one", Machine("own", **own, **CARDS), Machine("cardless"), Machine("alone", **CARDS),
                    Machine("out", **OUT))
    write(place.path("one", "own.img"), b"\0" * 4096)
    nest = place.nest("up", lab)
    counts, lost = frames(nest)
    assert counts == {"own": {"net.unicast": (True, None)}, "cardless": {}, "alone": {}, "out": {}}, counts
    assert "no agent inside" in lost["own"]["net.unicast"] and nest["ok"]
    place.ireko("down", "one")


EATERS = {"eats-foreign-mac": ["net.foreign-mac"], "eats-long": ["net.mtu"],
          "eats-broadcast": ["net.broadcast"], "eats-all": list(KINDS)}


def test_eaten(place, fault):
    """A bridge inside a hypervisor that eats frames is named, for those it eats and no others"""
    inner = Machine("inner", Machine("leaf", **CARDS), ireko__fake=fault, **CARDS)
    nest = place.nest("up", place.lab("one", Machine("host", inner, **CARDS), Machine("peer", **CARDS)),
                      expect=1)
    counts, lost = frames(nest)
    assert set(lost) == {"host", "peer", "host/inner/leaf"}, lost
    for path in ("host", "peer"):
        assert sorted(lost[path]) == sorted(EATERS[fault]), (path, lost[path])
        for kind, words in lost[path].items():
            assert words == ("from host/inner/leaf: seen at the port of leaf ethernet0 in host/inner, "
                             "not at ethernet0 of host/inner: the bridge in host/inner ate it"), words
            assert counts[path][kind] == (3, 2), counts[path]
    for words in lost["host/inner/leaf"].values():
        assert "from host:" in words and "the bridge in host/inner ate it" in words, words
    place.ireko("down", "one")


def test_dead_switch(place):
    """verify says that a switch does not run, or knows nothing of a machine, and up mends both."""
    lab = place.lab("one", hosts(2))
    place.nest("up", lab)
    kill(switches(place)["one/hostonly"])
    links = {path: [(c["seen"], c["fix"]) for c in machine["checks"] if c["what"] == "net.link"]
             for path, machine in by_path(place.nest("ps", "one")).items()}
    assert links["host-1"][0][0] == "nothing" and "ireko up one" in links["host-1"][0][1], links
    assert links["host-1/leaf"] == [], links
    nest = place.nest("verify", "one", expect=1)
    counts, lost = frames(nest)
    assert counts["host-1"]["net.unicast"] == (3, 1), counts  # its own guest's came
    broken = [c for c in by_path(nest)["host-1/leaf"]["checks"] if not c["ok"]]
    assert all("the lab's switch 'hostonly' does not run" in c["evidence"] and
               "ireko up one" in c["fix"] for c in broken) and broken, broken
    assert place.nest("up", lab)["ok"] and place.nest("verify", "one")["ok"]
    place.ireko("down", "one")


def test_networks(place):
    """VMware's numbers mean what they mean there; names stand for networks; each has its switch."""
    named = {"a": {"connectionType": "custom", "vnet": "/dev/vmnet1"},
             "b": {"connectionType": "custom", "vnet": "VMnet2"},
             "c": {"networkName": "VM Network"}, "d": {},
             "e": {"connectionType": "custom", "vnet": "vmnet8"},
             "f": {"startConnected": "FALSE"}}
    machines = [Machine(name, ethernet0__present="TRUE",
                        **{f"ethernet0__{key}": value for key, value in keys.items()})
                for name, keys in named.items()]
    place.nest("up", place.lab("nets", *machines))
    found = {path: given[0]["network"] or given[0]["link"] for path, given in cards(place, "nets").items()}
    assert found == {"a": "hostonly", "b": "vmnet2", "c": "VM Network", "d": "bridged", "e": "nat",
                     "f": "none"}, found
    assert sorted(switches(place)) == ["nets/VM Network", "nets/bridged", "nets/hostonly", "nets/vmnet2"]
    place.ireko("down", "nets")


def test_uplinks(place):
    """A guest's card leads on by its host's of the same name, else the first; else to its like alone."""
    wants = {f"ethernet0__{key}": value for key, value in
             {"present": "TRUE", "networkName": "VM Network"}.items()}
    two = {**CARDS, "ethernet1__present": "TRUE", "ethernet1__networkName": "VM Network"}
    lab = place.lab("one", Machine("same", Machine("a", **wants), **two),
                    Machine("other", Machine("b", **wants), **CARDS),
                    Machine("none", Machine("c", **wants, count=2)))
    nest = place.nest("up", lab)
    found = {path: (given[0]["network"], given[0]["uplink"]) for path, given in cards(place, "one").items()
             if given}
    assert found == {"same": ("hostonly", None), "same/a": ("VM Network", 1),
                     "other": ("hostonly", None), "other/b": ("hostonly", 0),
                     "none/c-1": ("in none", None), "none/c-2": ("in none", None)}, found
    counts, lost = frames(nest)
    assert nest["ok"] and not lost, lost
    assert counts["none/c-1"] == {kind: (1, 1) for kind in KINDS}, counts
    assert counts["other/b"] == {kind: (2, 2) for kind in KINDS}, counts
    place.ireko("down", "one")


def test_two_labs(place):
    """Two labs side by side have switches, subnets and addresses of their own."""
    for name in ("one", "two"):
        assert place.nest("up", place.lab(name, hosts(2)))["ok"]
    one, two = ({card["address"].rsplit(".", 2)[0] for given in cards(place, name).values()
                 for card in given} for name in ("one", "two"))
    assert not one & two
    assert sorted(switches(place)) == ["one/hostonly", "two/hostonly"]
    place.ireko("down", "one")
    assert list(switches(place)) == ["two/hostonly"] and len(plugged(place, "two")) == 2
    place.ireko("down", "two")


def test_killed(place):
    """A switch that is killed is there again after up, with every machine plugged in."""
    lab = place.lab("one", hosts())
    place.nest("up", lab)
    machines = {path: pid for path, pid in place.guests().items() if "switch" not in path}
    before = switches(place)["one/hostonly"]
    kill(before)
    assert not switches(place)
    assert place.nest("up", lab)["ok"]
    after = switches(place)["one/hostonly"]
    assert after != before and plugged(place, "one") == [f"host-{n} ethernet0" for n in (1, 2, 3)]
    assert machines.items() <= place.guests().items(), "machines were started anew"
    place.ireko("down", "one")


def test_all_killed(place):
    """With everything killed, up starts anew, and a machine that ends is unplugged."""
    lab = place.lab("one", hosts(2))
    place.nest("up", lab)
    for pid in place.guests().values():
        kill(pid)
    assert place.nest("up", lab)["ok"] and len(plugged(place, "one")) == 2
    kill(place.guests()["one/host-2"])
    wait_for(lambda: plugged(place, "one") == ["host-1 ethernet0"], what="the switch's notice")
    assert place.nest("up", lab)["ok"] and len(plugged(place, "one")) == 2
    place.ireko("down", "one")


def test_orphan(place):
    """Only the switch is left: down ends it, and so does up of a lab that has none any more."""
    lab = place.lab("one", hosts(2))
    place.nest("up", lab)
    for path, pid in place.guests().items():
        if "switch" not in path:
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(place.guests()) == 1, what="the end of the machines")
    place.ireko("down", "one")
    assert not place.guests()


if __name__ == "__main__":
    main([test_switch, test_addresses, test_told, test_frames, test_no_frames,
          *((test_eaten, fault) for fault in EATERS), test_dead_switch, test_networks, test_uplinks, test_two_labs, test_killed, test_all_killed,
          test_orphan], lambda: Place().fake("1"))
