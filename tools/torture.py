#!/usr/bin/env python3
"""Runs gcc's c-torture execute programs, built for riscv64, under `godwit exec`.

The sources come from Debian's gcc-12-source, fetched privately into .cache/torture; each *.c in
execute/ and execute/ieee/ is built static with -O2 and the options that it asks for itself. A
program passes when it ends with status 0. One that does not build is listed and not counted.
With --host the program is another host's build, and an emulator of that host runs it.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers  # noqa: E402
from aptbox import CACHE, ROOT, AptBox, Failure, main_guard, native, say  # noqa: E402

TOP = os.path.join(CACHE, "torture")
SRC = os.path.join(TOP, "execute")
CC = "riscv64-linux-gnu-gcc"
# Not a fault of who runs them: {program: why}. They are run and listed, and do not fail the suite.
EXCUSED = {}


def fetch():
    if os.path.exists(os.path.join(TOP, "fetched")):
        return
    box = AptBox("bookworm", native())
    box.update()
    deb, = box.download("gcc-12-source")
    shutil.rmtree(TOP, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as tmp:
        subprocess.run(["dpkg-deb", "-x", deb, tmp], check=True)
        tar, = glob.glob(f"{tmp}/usr/src/gcc-12/gcc-12*.tar.xz")
        os.makedirs(TOP)
        subprocess.run(["tar", "-xf", tar, "-C", TOP, "--strip-components=4", "--wildcards",
                        "*/gcc/testsuite/gcc.c-torture/execute/*"], check=True)
    os.unlink(deb)
    with open(os.path.join(TOP, "fetched"), "w"):
        pass


def applies(selector):
    """Whether a DejaGnu target selector, as these files use them, holds for riscv64-linux-gnu."""
    return not selector or bool(re.search(r"(^|[\s{])\*-\*-\*|riscv", selector))


def options(path):
    """What a program asks for: dg-options in the source, additional_flags in its .x file."""
    with open(path, encoding="latin-1") as f:
        text = f.read()
    out = []
    for m in re.finditer(r'dg-(?:additional-)?options\s+(?:"([^"]*)"|\{\s*"([^"]*)"\s*\})\s*'
                         r"(\{\s*target\s.*\})?\s*\}", text):
        if applies(m[3]):
            out += shlex.split(m[1] or m[2] or "")
    script = path[:-2] + ".x"
    if os.path.exists(script):
        with open(script, encoding="latin-1") as f:
            # Those at the left margin hold for every target.
            out += re.findall(r'^lappend additional_flags "([^"]*)"', f.read(), re.M)
    return out


def programs():
    for path in sorted(glob.glob(f"{SRC}/*.c")):
        yield os.path.basename(path)[:-2], path, []
    for path in sorted(glob.glob(f"{SRC}/ieee/*.c")):
        yield "ieee/" + os.path.basename(path)[:-2], path, ["-fno-inline"]


def build(jobs, pool):
    """Builds what is not built; returns (names built, {name: first error line})."""
    bin_dir = os.path.join(TOP, "bin")
    os.makedirs(os.path.join(bin_dir, "ieee"), exist_ok=True)

    def one(job):
        name, path, flags = job
        exe = f"{bin_dir}/{name}"
        if os.path.exists(exe):
            return name, None
        p = subprocess.run([CC, "-O2", "-w", "-static", "-s", *flags, *options(path),
                            "-o", exe + ".new", path, "-lm"], capture_output=True, text=True,
                           errors="replace", check=False)
        if p.returncode == 0:
            os.replace(exe + ".new", exe)
            return name, None
        errors = [s for s in p.stderr.splitlines() if "error" in s or "undefined" in s]
        return name, (errors or p.stderr.splitlines() or ["?"])[0].replace(SRC + "/", "")

    built, broken = [], {}
    for name, error in pool.map(one, jobs):
        if error is None:
            built.append(name)
        else:
            broken[name] = error
    return built, broken


def run(names, command, pool, seconds):
    """{name: status} of the programs that did not end with 0."""
    def one(name):
        with tempfile.TemporaryDirectory() as cwd:
            try:
                p = subprocess.run([*command, os.path.join(TOP, "bin", name)], cwd=cwd,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, timeout=seconds, check=False)
            except subprocess.TimeoutExpired:
                return name, f"no end within {seconds} s"
            if p.returncode == 0:
                return name, None
            last = p.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            return name, f"status {p.returncode}" + (f": {last[0]}" if last else "")

    return {name: status for name, status in pool.map(one, names) if status is not None}


def main():
    ap = argparse.ArgumentParser(prog="./dev suite torture", description=__doc__)
    ap.add_argument("--peer", action="store_true", help="runs them under sid's qemu-riscv64 too")
    ap.add_argument("--only-peer", action="store_true", help="runs them under QEMU alone")
    ap.add_argument("--host", help="of whose build the program is, which ./dev has made: aarch64")
    ap.add_argument("--engine", help="passed to godwit exec")
    ap.add_argument("--timeout", type=int, default=60, help="seconds for one program (60)")
    ap.add_argument("names", nargs="*", metavar="PROGRAM", help="e.g. 20000112-1 ieee/inf-1")
    opt = ap.parse_args()
    fetch()
    jobs = [j for j in programs() if not opt.names or j[0] in opt.names]
    if not jobs:
        raise Failure(f"no such program: {' '.join(opt.names)}", f"ls {SRC}")
    runners = {}
    if not opt.only_peer:
        program = os.environ.get("GODWIT_PROGRAM") or os.path.join(ROOT, "build", "godwit")
        runners["godwit"] = [*shlex.split(os.environ.get("GODWIT_EMULATOR", "")), program, "exec",
                             *(["--engine", opt.engine] if opt.engine else [])]
    if opt.peer or opt.only_peer:
        peers.ensure("qemu-sid")
        runners["qemu"] = [os.path.join(peers.BIN, "qemu-riscv64-sid"), "-cpu", "rv64"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        say(f"torture: building {len(jobs)} programs, or finding them built")
        built, broken = build(jobs, pool)
        failures = {r: run(built, command, pool, opt.timeout) for r, command in runners.items()}
    for name, error in broken.items():
        print(f"not built: {name}: {error}")
    for r, failed in failures.items():
        for name, status in failed.items():
            why = f" (excused: {EXCUSED[name]})" if name in EXCUSED else ""
            print(f"{r}: FAILED: {name}: {status}{why}")
    for r, failed in failures.items():
        print(f"{r}: {len(built) - len(failed)} of {len(built)} programs passed, "
              f"{len(broken)} not built")
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    with open(os.path.join(ROOT, "build", "torture.json"), "w") as f:
        json.dump({"built": len(built), "not_built": broken, "failures": failures}, f, indent=1)
    mine = failures.get("godwit", {})
    return 1 if any(n not in EXCUSED for n in mine) else 0


if __name__ == "__main__":
    main_guard(main)
