#!/usr/bin/env python3
"""Makes the fixtures of a version: make_fixtures.py GODWIT SHOW GUESTS FOLDER [NAME...]

GUESTS holds state_m.elf, state_s.elf and state_c.elf. For each machine of machines.py, or those named, FOLDER gets
NAME.gz (its snapshot), NAME.state (what show says of that), NAME.out (what the machine says when it
goes on) and, where the count decides, NAME.later (its state one span on) and NAME.insns (the count at
its end). Run by hand when a version is new; the files are tracked.
"""
import gzip
import json
import os
import shutil
import subprocess
import sys

from machines import MACHINES, SETTING, SPAN, call, make_files

WORK = "/tmp/godwit-fixtures"  # in the manifests' paths, so always the same


def run(program, args, status=0, **more):
    r = call(program, WORK, args, **more)
    if r.returncode != status:
        sys.exit(f"{args}: status {r.returncode}\n{r.stderr.decode()}")
    return r


def show(tool, path):
    return subprocess.run([tool, path], check=True, capture_output=True, text=True).stdout


def save(program, machine, to):
    run(program, ["run", "-q", "-k", f"{WORK}/{machine.guest}.elf", "--load",
                  f"{WORK}/setting@{SETTING:#x}", *machine.run, *machine.outside, "--stop-insn",
                  str(machine.stop), "--save-at-end", to, *machine.command], typed=machine.typed)


def make(program, tool, folder, name, machine):
    saved, later, report = f"{WORK}/saved", f"{WORK}/later", f"{WORK}/report"
    make_files(WORK, machine)
    save(program, machine, saved)
    text = show(tool, saved)
    missing = [u for u in machine.uses if not any(l.startswith(u + " ") for l in text.splitlines())]
    if missing:
        sys.exit(f"{name}: all zero: {missing}")
    with open(saved, "rb") as f, open(f"{folder}/{name}.gz", "wb") as out:
        out.write(gzip.compress(f.read(), 9, mtime=0))
    with open(f"{folder}/{name}.state", "w", encoding="ascii") as f:
        f.write(text)
    if not machine.restores:
        return
    again = ["restore", "-q", *machine.outside]
    r = run(program, [*again, "--report", report, saved], machine.status, reads=True)
    with open(f"{folder}/{name}.out", "wb") as f:
        f.write(r.stdout)
    if not machine.later:
        return
    with open(report, encoding="utf-8") as f, open(f"{folder}/{name}.insns", "w",
                                                   encoding="ascii") as out:
        out.write(f"{json.load(f)['insns']}\n")
    at = next(int(l.split()[1], 0) for l in text.splitlines() if l.startswith("machine.clock_ns"))
    run(program, [*again, "--stop-insn", str(at + SPAN), "--save-at-end", later, saved], reads=True)
    with open(f"{folder}/{name}.later", "w", encoding="ascii") as f:
        f.write(show(tool, later))


def main():
    program, tool, guests, folder = sys.argv[1:5]
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    os.chmod(WORK, 0o777)  # a machine that root starts writes as another user
    os.makedirs(folder, exist_ok=True)
    for guest in ("state_m", "state_s", "state_c"):
        shutil.copy(f"{guests}/{guest}.elf", WORK)
    for name in sys.argv[5:] or MACHINES:
        make(program, tool, folder, name, MACHINES[name])
        print(name, os.path.getsize(f"{folder}/{name}.gz"))
    shutil.rmtree(WORK)


main()
