#!/usr/bin/env python3
"""sizes.py TOP - a file fits in a head: at most 600 lines, and a function 80."""

import re
import sys

from tap import Tap, read, tree_files

FILE_MAX = 600
FUNCTION_MAX = 80

# Longer files and functions, each with its reason.
EXCEPTED = {
    "tests/unit/test-host.c": "rows of recorded hosts",
    "tests/unit/test-lint.c": "rows of files and what is wrong with them",
    "tests/unit/test-nest.c": "rows of promises and what was seen",
    "test_a_value_that_cannot_be_meant_is_an_error": "rows of values, a line or two each",
}

NAME = re.compile(r"^(\w+)\(")


def functions(text):
    """(name, line, length) of each function: its braces stand alone in the first column
    (clang-format sees to that), its name begins a line above."""
    name, opened = None, None
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            opened = number
        elif line == "}" and opened is not None:
            yield name, opened, number - opened + 1
            opened = None
        elif opened is None and NAME.match(line):
            name = NAME.match(line).group(1)


def main():
    top = sys.argv[1]
    tap = Tap()
    long_files, long_functions, used, seen = [], [], set(), 0
    for name in tree_files(top):
        if not name.endswith((".c", ".h")):
            continue
        text = read(top, name)
        lines = text.count("\n")
        if lines > FILE_MAX:
            used.add(name)
            long_files += [f"{name} has {lines} lines"] if name not in EXCEPTED else []
        for function, line, length in functions(text):
            seen += 1
            if length > FUNCTION_MAX:
                used.add(function)
                long_functions += ([f"{name}:{line}: {function} has {length} lines"]
                                   if function not in EXCEPTED else [])
    tap.row(f"no source file has more than {FILE_MAX} lines", long_files)
    tap.row("every exception is one",
            [f"{name} is short enough: take it off the list" for name in EXCEPTED.keys() - used])
    tap.row(f"none of the {seen} functions has more than {FUNCTION_MAX} lines",
            long_functions if seen else ["no function was found at all"])
    tap.end()


main()
