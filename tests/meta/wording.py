#!/usr/bin/env python3
"""wording.py TOP - what stands in no file of the project."""

import re
import sys

from tap import Tap, read, tree_files

# Bytes as they stand belong to these: inputs of tests, and the licence's own text.
AS_THEY_ARE = ("tests/fuzz/seeds/", "tests/corpus/", "tests/golden/", "LICENSE")

# Words are put together here, so that this file does not hold them.
NEVER = [
    ("no work is left as a note", re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")),
    ("no path of the machine that a text was written on",
     re.compile(r"(?<![\w.$}])/(work|home/[a-z]+|root)/" r"\S")),
    ("no licence line in a file: LICENSE and meson.build say it", re.compile("SP" "DX-License")),
    ("no blank at the end of a line", re.compile(r"[ \t]+$", re.MULTILINE)),
    ("no carriage return", re.compile(r"\r")),
]


def main():
    top = sys.argv[1]
    tap = Tap()
    texts = {name: read(top, name) for name in tree_files(top) if not name.startswith(AS_THEY_ARE)}
    for sentence, pattern in NEVER:
        faults = []
        for name, text in texts.items():
            faults += [f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group()!r}"
                       for match in pattern.finditer(text)]
        tap.row(sentence, faults)
    tap.row("numbers are not read with what fails where two threads begin with it (base/text.h)",
            [name for name, text in texts.items()
             if name.startswith(("lib/", "cli/")) and name.endswith(".c")
             and re.search(r"\bg_ascii_string_to_(un)?signed", text)])
    tap.row("every file ends with a line end, and only one",
            [name for name, text in texts.items() if text and not re.search(r"[^\n]\n\Z", text)])
    tap.row("no tab in C and Python",
            [name for name, text in texts.items()
             if name.endswith((".c", ".h", ".py")) and "\t" in text])
    tap.end()


main()
