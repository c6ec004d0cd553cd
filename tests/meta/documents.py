#!/usr/bin/env python3
"""documents.py TOP IREKO - the documents are well-formed and speak of what is there.

Man pages please mandoc; each command line of their EXAMPLES, and of the READMEs' shell blocks, is
one that ireko takes; files and functions that a document names exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from tap import Tap, read, tree_files

EXIT_USAGE = 2
STARTS_SOMETHING = {("up",), ("run",), ("down",), ("image", "build")}
PROSE = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md",
         "docs/howto/nested-esxi.md", "docs/howto/vsan-ssd.md", "docs/howto/leaving-vmware.md"]
ROOTS = ("lib/", "cli/", "docs/", "tests/", "include/", "examples/", "scripts/", "guest/")
NAMED_FILE = re.compile(r"`((?:%s)[\w./*-]+)`" % "|".join(ROOTS))
NAMED_FUNCTION = re.compile(r"`([a-z]\w*_\w+)\(\)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")
COLUMNS = 80


def man_examples(text):
    """The command lines of an EXAMPLES section: .Dl $ ireko ..."""
    section = re.search(r"^\.Sh EXAMPLES\n(.*?)(?=^\.Sh |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\.Dl \$ (.*)$", section.group(1), re.MULTILINE) if section else []


def prose_examples(text):
    """The command lines of ```sh blocks that run ireko."""
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
             for line in block.splitlines()]
    return [line for line in lines if re.match(r"(build/)?ireko ", line)]


def words_of(line):
    """What ireko is given: up to a pipe or a comment."""
    words = []
    for word in shlex.split(line, comments=True):
        if word in ("|", "<", ">", ">>", "&&", "||", ";"):
            break
        words.append(word)
    while words and "=" in words[0]:
        words.pop(0)
    return words


def tries(top, ireko, line):
    """What is wrong with the command line LINE, in a list: made to start nothing, it must not be
    wrong usage."""
    words = words_of(line.replace("\\&", ""))
    if not words or os.path.basename(words[0]) != "ireko":
        return [f"'{line}' does not run ireko"]
    words = words[1:]
    if any(tuple(words[:len(start)]) == start for start in STARTS_SOMETHING):
        words = [*words, "--dry-run"]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([ireko, *words], cwd=top, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60,
                              env={**os.environ, "IREKO_HOME": home})
    return [] if done.returncode not in (EXIT_USAGE, -6, -11) else [f"{line}: {done.stderr}"]


def example_rows(tap, top, ireko, pages):
    for name in pages:
        lines = man_examples(read(top, name))
        faults = [fault for line in lines for fault in tries(top, ireko, line)]
        if name.endswith(".1") and not lines:
            faults.append("it has no examples")
        tap.row(f"{name}: its examples are command lines that ireko takes", faults)
    for name in PROSE:
        faults = [fault for line in prose_examples(read(top, name))
                  for fault in tries(top, ireko, line)]
        tap.row(f"{name}: its commands are command lines that ireko takes", faults)


def lint_rows(tap, top, pages):
    for name in pages:
        if shutil.which("mandoc") is None:
            tap.skip(f"{name} pleases mandoc", "no mandoc")
            continue
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", os.path.join(top, name)],
                              capture_output=True, text=True, check=False)
        tap.row(f"{name} pleases mandoc", [done.stdout] if done.returncode != 0 else [])


def missing_files(top, name, files):
    text = read(top, name)
    named = set(NAMED_FILE.findall(text)) | {link for link in LINK.findall(text)}
    for path in sorted(named):
        stem = path.split("*")[0].rstrip("/")
        if not any(file == stem or file.startswith(stem if "*" in path else stem + "/")
                   for file in files):
            yield f"{path} is not there"


def missing_functions(top, name, source):
    del top
    for function in sorted(set(NAMED_FUNCTION.findall(name))):
        if not re.search(rf"^{function}\(", source, re.MULTILINE):
            yield f"no function {function}()"


def truth_rows(tap, top):
    files = tree_files(top)
    source = "\n".join(read(top, name) for name in files if name.endswith(".c"))
    for name in PROSE:
        tap.row(f"{name}: the files it names are there", missing_files(top, name, files))
        tap.row(f"{name}: the functions it names are there",
                missing_functions(top, read(top, name), source))
    wide = [f"README.md:{number}: {len(line)} columns"
            for number, line in enumerate(read(top, "README.md").splitlines(), 1)
            if line.startswith(("    ", "+", "|")) and not line.startswith("|")
            and len(line) > COLUMNS]
    tap.row(f"the README's pictures fit in {COLUMNS} columns", wide)


def main():
    top, ireko = sys.argv[1], os.path.abspath(sys.argv[2])
    tap = Tap()
    pages = [name for name in tree_files(top) if re.match(r"docs/man/.*\.\d$", name)]
    tap.row("there are man pages", [] if pages else ["none in docs/man"])
    tap.row("the documents are there", [name for name in PROSE if not read(top, name)])
    tap.row("the README has commands to try",
            [] if prose_examples(read(top, "README.md")) else ["no ```sh block runs ireko"])
    lint_rows(tap, top, pages)
    example_rows(tap, top, ireko, pages)
    truth_rows(tap, top)
    tap.end()


main()
