#!/usr/bin/env python3
"""commands.py TOP IREKO - the command table, the help, the man pages and the completions name the
same verbs and the same options."""

import os
import re
import subprocess
import sys
import tempfile

from tap import Tap, read

TABLE_ROW = re.compile(r'^\s*\{"([a-z-]+)",\s*(NULL|")', re.MULTILINE)
HELP_VERB = re.compile(r"^  ([a-z]+)  +\S", re.MULTILINE)
HELP_OPTION = re.compile(r"^  --([a-z-]+)", re.MULTILINE)
MAN_OPTION = re.compile(r"\bFl -([a-z-]+)")
PAGE = re.compile(r"ireko-([a-z]+)\.1$")

# Presses Tab behind the words given, and prints what is offered.
ASK_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_ireko
printf '%s\\n' "${COMPREPLY[@]}"
"""


def program(ireko, *words):
    done = subprocess.run([ireko, *words], capture_output=True, text=True, check=False)
    return done.stdout


def offered(top, *words, env=None):
    script = os.path.join(top, "docs/completion/ireko.bash")
    done = subprocess.run(["bash", "-c", ASK_BASH, "bash", script, "ireko", *words],
                          capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    return {line.strip() for line in done.stdout.splitlines() if line.strip()}


def differences(names, found, expected, where, reference):
    faults = [f"{names} '{name}' is in {where} and not in {reference}" for name in found - expected]
    return faults + [f"{names} '{name}' is in {reference} and not in {where}"
                     for name in expected - found]


def verbs_rows(tap, top, ireko, verbs):
    table = "cli/main.c"
    shown = set(HELP_VERB.findall(program(ireko, "--help")))
    tap.row("--help lists the verbs of the table",
            differences("verb", shown, verbs, "ireko --help", table))
    pages = {match.group(1) for match in map(PAGE.match, os.listdir(os.path.join(top, "docs/man")))
             if match}
    tap.row("every verb has a man page, and every page a verb",
            differences("verb", pages, verbs, "docs/man", table))
    named = set(re.findall(r"\.It Xr ireko-([a-z]+) 1", read(top, "docs/man/ireko.1")))
    tap.row("ireko.1 lists the verbs of the table",
            differences("verb", named, verbs, "ireko.1", table))
    completed = {word for word in offered(top, "") if not word.startswith("-")}
    tap.row("bash completes the verbs of the table",
            differences("verb", completed, verbs, "ireko.bash", table))
    zsh = set(re.findall(r"^\s*'([a-z]+):", read(top, "docs/completion/_ireko"), re.MULTILINE))
    tap.row("zsh completes the verbs of the table",
            differences("verb", zsh, verbs, "_ireko", table))


def completion_rows(tap, top, words, help_options):
    """The completions offer HELP_OPTIONS behind WORDS, a verb or a verb and its sub-verb."""
    name = " ".join(words)
    completed = {word[2:] for word in offered(top, *words, "--") if word.startswith("--")}
    tap.row(f"bash completes the options of {name}",
            differences("option", completed - {"help"}, help_options, "ireko.bash",
                        f"{name} --help"))
    zsh = re.search(rf"^ *{'-'.join(words)}\) *options=\(([^)]*)\)",
                    read(top, "docs/completion/_ireko"), re.MULTILINE)
    found = set(re.findall(r"--([a-z-]+)", zsh.group(1))) if zsh else {"(no line)"}
    tap.row(f"zsh completes the options of {name}",
            differences("option", found, help_options, "_ireko", f"{name} --help"))


def sub_verb_rows(tap, top, ireko, verb, subs):
    """A verb with sub-verbs: they are completed, and have all its options between them."""
    bash = {word for word in offered(top, verb, "") if not word.startswith("-")}
    tap.row(f"bash completes the sub-verbs of {verb}",
            differences("sub-verb", bash, set(subs), "ireko.bash", f"{verb} --help"))
    zsh = re.search(rf"== {verb} \]\]; then\n.*\n *compadd (.*)",
                    read(top, "docs/completion/_ireko"))
    tap.row(f"zsh completes the sub-verbs of {verb}",
            differences("sub-verb", set(zsh.group(1).split()) if zsh else set(), set(subs),
                        "_ireko", f"{verb} --help"))
    options = set()
    for sub in subs:
        own = set(HELP_OPTION.findall(program(ireko, verb, sub, "--help")))
        completion_rows(tap, top, (verb, sub), own)
        options |= own
    return options


def template_rows(tap, top):
    """What stands ready and what is kept, which no lab on record tells of."""
    with tempfile.TemporaryDirectory() as home:
        state = {"HOME": home, "IREKO_HOME": "", "XDG_STATE_HOME": "", "XDG_CACHE_HOME": "", "XDG_RUNTIME_DIR": ""}
        below = {"IREKO_HOME": ("{}/run/.spares", "{}/templates"),
                 "XDG_RUNTIME_DIR": ("{}/ireko/.spares", "{}/.cache/ireko/templates"),
                 "XDG_STATE_HOME": ("{}/ireko/run/.spares", "{}/.cache/ireko/templates")}
        for variable, (spares, templates) in below.items():
            folder = os.path.join(home, variable)
            names = (os.path.join(spares.format(folder), "gone"),
                     os.path.join(templates.format(folder if variable == "IREKO_HOME" else home), "0e7e"))
            for name in names:
                os.makedirs(name, exist_ok=True)
            env = {**state, variable: folder}
            found = offered(top, "template", "cool", "", env=env) | offered(top, "template", "remove", "0", env=env)
            tap.row(f"bash completes what cool and remove take ({variable})",
                    differences("name", found, {"gone", "0e7e"}, "ireko.bash", "the folders"))


def options_rows(tap, top, ireko, verb):
    text = program(ireko, verb, "--help")
    subs = re.findall(rf"^  {verb} ([a-z]+)  +\S", text, re.MULTILINE)
    help_options = set(HELP_OPTION.findall(text))
    if subs:
        help_options |= sub_verb_rows(tap, top, ireko, verb, subs)
    else:
        completion_rows(tap, top, (verb,), help_options)
    page = set(MAN_OPTION.findall(read(top, f"docs/man/ireko-{verb}.1")))
    tap.row(f"the man page of {verb} has the options of its help",
            differences("option", page, help_options, f"ireko-{verb}.1", f"{verb} --help"))


def main():
    top, ireko = sys.argv[1], os.path.abspath(sys.argv[2])
    tap = Tap()
    rows = TABLE_ROW.findall(read(top, "cli/main.c"))
    verbs = {name for name, shown in rows if shown != "NULL"}
    tap.row("the command table is found", [] if len(verbs) > 1 else ["no rows in cli/main.c"])
    verbs_rows(tap, top, ireko, verbs)
    for verb in sorted(verbs):
        options_rows(tap, top, ireko, verb)
    template_rows(tap, top)
    tap.row("every option of the program is in the help of a verb or in ireko.1",
            differences("option", set(MAN_OPTION.findall(read(top, "docs/man/ireko.1"))),
                        {"help", "version"}, "ireko.1", "ireko itself"))
    tap.end()


main()
