#!/usr/bin/env python3
"""Checks a model of docs/model with spin: check_model.py MODEL.pml

As it stands the model must be free of errors over all of its states, and each of its lines must have
been reached, so that it is not right for want of anything that happens. With each BROKEN_* that it
names defined, spin must find an error: a model that cannot fail shows nothing.

A model with a formula (ltl) is searched for runs that break it, each process getting its turns;
others for assertions that fail and for processes that never end.
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SKIP = 77
DEPTH = 100_000
MEGABYTES = 1024


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class Model:
    def __init__(self, path):
        self.path = path
        self.text = path.read_text()
        self.formula = re.search(r"^ltl\b", self.text, re.M) is not None
        self.broken = sorted(set(re.findall(r"\bBROKEN_\w+", self.text)))

    def build(self, folder, broken):
        """The verifier of the model, as pan in the folder."""
        for part in [self.path, *self.path.parent.glob("*.inc")]:
            shutil.copy(part, folder)
        defines = [f"-D{broken}"] if broken else []
        status, said = run(["spin", *defines, "-a", self.path.name], folder)
        if status or not (folder / "pan.c").is_file():
            sys.exit(f"{self.path.name}: spin does not take it:\n{said}")
        kind = [] if self.formula else ["-DSAFETY"]
        # Searches are so short that optimising them takes longer than it saves.
        status, said = run(["gcc", "-O0", "-w", *kind, f"-DMEMLIM={MEGABYTES}", "-o", "pan", "pan.c"], folder)
        if status:
            sys.exit(f"{self.path.name}: gcc does not take what spin made:\n{said}")

    def search(self, folder, broken):
        # -w: bits of the hash table's size, which is touched whole; an error shows after few states.
        options = ["-w18" if broken else "-w22"] + (["-a", "-f"] if self.formula else [])
        _, said = run(["./pan", f"-m{DEPTH}", *options], folder)
        found = re.search(r"errors: (\d+)", said)
        if not found:
            sys.exit(f"{self.path.name}: no verdict:\n{said}")
        return int(found.group(1)), said

    def lines_never_reached(self, folder, said):
        """Lines with states, of which none was reached: an inline has states at each of its uses."""
        name = re.escape(self.path.name)
        _, table = run(["./pan", "-d"], folder)
        states = re.findall(rf"\b{name}:(\d+)\b", table)
        never = re.findall(rf"^\t{name}:(\d+), state \d+, (.*)$", said, re.M)
        never = [line for line, what in never if what != '"-end-"']
        counted = {}
        for line in states:
            counted[line] = counted.get(line, 0) + 1
        missing = {line for line in never if never.count(line) >= counted.get(line, 0)}
        return sorted(missing, key=int)

    def error_of(self, said):
        for line in said.splitlines():
            if line.startswith("pan:1:"):
                return re.sub(r" \(at depth \d+\)", "", line[6:]).strip()
        return "no error named"


def check(model, folder):
    model.build(folder, None)
    errors, said = model.search(folder, None)
    states = re.search(r"(\d+) states, stored", said)
    if re.search(r"Search not completed|max search depth too small|out of memory", said, re.I):
        yield f"not all of it was searched:\n{said}"
    elif errors:
        yield f"{model.error_of(said)}; to see how: spin -a, gcc -DREACH, ./pan -i, spin -t -p -g -l"
    else:
        print(f"{model.path.name}: right, {states.group(1)} states")
        for line in model.lines_never_reached(folder, said):
            yield f"line {line} is never reached"


def check_broken(model, folder, broken):
    model.build(folder, broken)
    errors, said = model.search(folder, broken)
    if not errors:
        yield f"{broken}: no error is found"
    else:
        print(f"{model.path.name}: {broken}: {model.error_of(said)}")


def main():
    model = Model(Path(sys.argv[1]).resolve())
    if not shutil.which("spin") or not shutil.which("gcc"):
        print("skipped: spin or gcc is absent (Debian packages spin, gcc)")
        sys.exit(SKIP)
    faults = []
    if not model.broken:
        faults.append("it names no BROKEN_* variant")
    with tempfile.TemporaryDirectory(prefix="godwit-model.") as top:
        for broken in [None, *model.broken]:
            folder = Path(top) / (broken or "right")
            folder.mkdir()
            faults += check_broken(model, folder, broken) if broken else check(model, folder)
    for fault in faults:
        print(f"{model.path.name}: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
