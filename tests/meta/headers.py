#!/usr/bin/env python3
"""headers.py TOP COMPILER... - every header compiles by itself, twice over; the public ones as C++
too."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tap import Tap, tree_files

PACKAGES = ["glib-2.0", "jansson"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
DEFINES = [
    "-D_GNU_SOURCE",
    "-DGLIB_VERSION_MIN_REQUIRED=GLIB_VERSION_2_74",
    "-DGLIB_VERSION_MAX_ALLOWED=GLIB_VERSION_2_74",
]


def package_flags():
    words = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True,
                           check=True).stdout.split()
    return ["-isystem" + word[2:] if word.startswith("-I") else word for word in words]


def compile_alone(top, command, header):
    """What the compiler says against a file that only includes HEADER, or nothing."""
    text = f'#include "{header}"\n#include "{header}"\ntypedef int used;\n'
    done = subprocess.run([*command, "-fsyntax-only", "-"], cwd=top, input=text, text=True,
                          capture_output=True, check=False)
    return [] if done.returncode == 0 else [done.stderr or f"exit {done.returncode}"]


def main():
    top, compiler = sys.argv[1], sys.argv[2:]
    tap = Tap()
    headers = [name for name in tree_files(top)
               if name.endswith(".h") and name.startswith(("include/", "lib/", "cli/"))]
    common = [*WARNINGS, *DEFINES, *package_flags(), "-Iinclude"]
    as_c = [*compiler, "-xc", "-std=c17", *common]
    rows = [(f"{name} compiles alone", [*as_c, "-Ilib"] if name.startswith("lib/") else as_c, name)
            for name in headers]
    cxx = shutil.which("c++") or shutil.which("clang++")
    public = [name for name in headers if name.startswith("include/")]
    if cxx:
        rows += [(f"{name} compiles alone as C++17", [cxx, "-xc++", "-std=c++17", *common], name)
                 for name in public]
    with ThreadPoolExecutor(2) as pool:
        for row, faults in zip(rows, pool.map(lambda row: compile_alone(top, *row[1:]), rows)):
            tap.row(row[0], faults)
    if not cxx:
        tap.skip("the public headers compile as C++17", "no C++ compiler")
    tap.end()


main()
