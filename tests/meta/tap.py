"""What the meta tests share: the files of the tree, and TAP."""

import os
import subprocess
import sys

SKIPPED_FOLDERS = {".git", "__pycache__"}


def tree_files(top):
    """Every file of the project, relative to TOP: as git knows them, else all but build folders."""
    git = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard"],
                         capture_output=True, text=True, check=False)
    if git.returncode == 0 and git.stdout:
        return sorted(name for name in set(git.stdout.splitlines())
                      if os.path.isfile(os.path.join(top, name)))
    found = []
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if name not in SKIPPED_FOLDERS and
                    not os.path.exists(os.path.join(folder, name, "meson-private"))]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in names]
    return sorted(found)


def read(top, name):
    """The text of a file; of one that is not there, none: what it should hold is then missed."""
    if not os.path.isfile(os.path.join(top, name)):
        return ""
    with open(os.path.join(top, name), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


class Tap:
    """Rows, each with a sentence that says what is true and what speaks against it."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def row(self, sentence, faults=()):
        self.count += 1
        faults = list(faults)
        self.failed += bool(faults)
        print(f"{'not ok' if faults else 'ok'} {self.count} {sentence}")
        for fault in faults:
            for line in str(fault).splitlines():
                print(f"#   {line}")

    def skip(self, sentence, why):
        self.count += 1
        print(f"ok {self.count} {sentence} # SKIP {why}")

    def end(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed or self.count == 0 else 0)
