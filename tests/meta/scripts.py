#!/usr/bin/env python3
"""scripts.py TOP - every script is at least one: its shell or Python reads it to the end."""

import os
import subprocess
import sys

from tap import Tap, read, tree_files

READERS = {"sh": ["sh", "-n"], "bash": ["bash", "-n"]}


def interpreter(top, name):
    """"sh", "bash", "python3" ... of a script, or None."""
    if name.endswith(".bash"):
        return "bash"
    if name.endswith(".py"):
        return "python3"
    first = read(top, name).split("\n", 1)[0]
    if not first.startswith("#!"):
        return None
    return os.path.basename(first[2:].split()[-1])


def faults_of(top, name, language):
    if language == "python3":
        try:
            compile(read(top, name), name, "exec")
        except SyntaxError as error:
            return [error]
        return []
    done = subprocess.run([*READERS[language], os.path.join(top, name)], capture_output=True,
                          text=True, check=False)
    return [] if done.returncode == 0 else [done.stderr]


def main():
    top = sys.argv[1]
    tap = Tap()
    for name in tree_files(top):
        language = None if name.endswith(".vmx") else interpreter(top, name)
        if language is None:
            continue
        if language not in READERS and language != "python3":
            tap.row(f"{name} is in a language that the project uses", [language])
            continue
        tap.row(f"{name} is read by {language} without complaint", faults_of(top, name, language))
    tap.end()


main()
