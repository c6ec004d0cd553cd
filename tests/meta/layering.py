#!/usr/bin/env python3
"""layering.py TOP - each file includes only what its module may see.

The linker checks the same for functions (a module links the modules below it and no others); this
also sees types, macros and the headers that a module keeps to itself."""

import os
import re
import sys

from tap import Tap, read, tree_files

# Whose headers a module may include, besides its own. ALL: every module. "host/facts.h": that
# header alone.
ALL = object()
MAY_SEE = {
    "base": [],
    "vmx": ["base"],
    "bench": ["base"],
    "machine": ["vmx", "base"],
    "host": ["machine", "vmx", "base"],
    "lan": ["base"],
    "nest": ["host", "lan/lan.h", "machine", "vmx", "base"],
    "qmp": ["base"],
    "engine": ["qmp", "lan/lan.h", "host/facts.h", "host/survey.h", "machine", "vmx", "base"],
    "convert": ["engine", "lan/lan.h", "host/facts.h", "machine", "vmx", "base"],
    "agent": ["base"],
    "image": ["base"],
    "xray": ["base"],
    "vault": ["base"],
    "lab": ALL,
}

# The headers of a module that others may include; the rest are its own. None: all of them.
OPEN = {
    "base": None,
    "vmx": [],
    "bench": ["bench/bench.h"],
    "machine": ["machine/machine.h", "machine/address.h"],
    "host": ["host/exits.h", "host/facts.h", "host/survey.h", "host/verdict.h", "host/inner.h"],
    "nest": ["nest/nest.h"],
    "lan": ["lan/lan.h", "lan/switch.h", "lan/probe.h"],
    "qmp": ["qmp/qmp.h"],
    "engine": ["engine/engine.h", "engine/process.h", "engine/qemu/argv.h"],
    "convert": [],
    "agent": ["agent/agent.h"],
    "image": [],
    "xray": None,
    "vault": ["vault/vault.h"],
    "lab": [],
}

# Which modules may include a header of include/ireko. None: every one.
PUBLIC = {
    "ireko/error.h": None,
    "ireko/finding.h": None,
    "ireko/text.h": None,
    "ireko/vmx.h": ["vmx", "machine", "convert", "lab"],
    "ireko/vmxfile.h": ["vmx", "lab"],
    "ireko/book.h": ["vmx", "machine", "convert", "lab"],
    "ireko/lint.h": ["vmx", "lab"],
    "ireko/preset.h": ["vmx"],
    "ireko/vsan.h": ["vmx", "nest", "lab"],
    "ireko/bench.h": ["bench", "lab"],
    "ireko/check.h": ["host", "lab"],
    "ireko/convert.h": ["convert"],
    "ireko/report.h": ["host", "nest", "lab"],
    "ireko/image.h": ["image", "lab"],
    "ireko/lab.h": ["lab"],
    "ireko/see.h": ["lab"],
    "ireko/snapshot.h": ["lab"],
    "ireko/template.h": ["lab"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def sees(module, header):
    """Why MODULE may not include HEADER of lib/, or None."""
    owner = header.split("/")[0]
    if owner == module:
        return None
    allowed = MAY_SEE[module]
    if allowed is not ALL and owner not in allowed and header not in allowed:
        return f"{module} may not see {owner}"
    if OPEN[owner] is not None and header not in OPEN[owner]:
        return f"{header} is private to {owner}"
    return None


def judge_lib(top, name, kind, header):
    module = name.split("/")[1]
    if header in PUBLIC:
        allowed = PUBLIC[header]
        return None if allowed is None or module in allowed else f"{module} may not see <{header}>"
    if header.startswith("ireko/"):
        return f"<{header}> is not in the table of public headers"
    if header.split("/")[0] in MAY_SEE:
        return sees(module, header)
    if kind == '"':
        return f'"{header}": a header of lib/ is named by its module, as in "base/fd.h"'
    if os.path.exists(os.path.join(top, "cli", header)):
        return "a front end is not included"
    return None


def judge_cli(top, name, kind, header):
    del name
    if kind == '"':
        own = os.path.exists(os.path.join(top, "cli", header))
        return None if own else f'"{header}": a front end sees <ireko/...> and its own headers'
    if header.startswith("ireko/"):
        return None if header in PUBLIC else f"there is no public <{header}>"
    inside = os.path.exists(os.path.join(top, "lib", header))
    return f"<{header}> is of lib/" if inside else None


def judge_public(top, name, kind, header):
    del top, name
    if header.startswith("ireko/") and kind == "<":
        return None
    return None if kind == "<" and "/" not in header else f"{header}: a public header stands alone"


def faults_of(top, names, judge):
    for name in names:
        for kind, header in INCLUDE.findall(read(top, name)):
            fault = judge(top, name, kind, header)
            if fault:
                yield f"{name}: {fault}"


def main():
    top = sys.argv[1]
    tap = Tap()
    files = [name for name in tree_files(top) if name.endswith((".c", ".h", ".S"))]
    modules = sorted(entry for entry in os.listdir(os.path.join(top, "lib"))
                     if os.path.isdir(os.path.join(top, "lib", entry)))
    tap.row("every module of lib/ is in the tables",
            [f"{name} is not" for name in set(modules) ^ set(MAY_SEE)])
    for module in MAY_SEE:
        below = [name for name in files if name.startswith(f"lib/{module}/")]
        faults = list(faults_of(top, below, judge_lib)) if below else [f"lib/{module} is empty"]
        tap.row(f"{module} includes only what it may see", faults)
    tap.row("the command line sees the public headers and nothing of lib/",
            faults_of(top, [name for name in files if name.startswith("cli/")], judge_cli))
    tap.row("public headers include public headers and system libraries",
            faults_of(top, [name for name in files if name.startswith("include/")], judge_public))
    tap.end()


main()
